"""
The signer's own gpg, on the signer's own machine.

The signer's agent keeps the secret key and asks for the passphrase with its own pinentry.  This program never sees
either of them, and passes gpg no option that would reveal them.
"""

import os
import re
import subprocess
import sys

from attrs import frozen

from ...child_programs import last_complaint
from ...errors import InputError
from ..keys.openpgp import BINARY, TEXT, Signature, read_signature

SECONDS = 600.0
"""Seconds for one signature: somebody may have to fetch a smart card."""
_KEY = re.compile(r"[A-Za-z0-9][^\0\n]{0,199}\Z|<[^\0\n]{1,199}\Z")


@frozen
class Gnupg:
    """
    Signs with *key*: an ID, a fingerprint, or a part of the user's name, as gpg takes it.
    """

    key: str

    def __attrs_post_init__(self) -> None:
        if not _KEY.match(self.key):
            raise InputError(f"{self.key!r:.100} names no key: give its fingerprint (gpg --list-secret-keys).")

    def check(self) -> None:
        """
        `InputError` unless gpg has the secret key, or knows the card that has it.
        """
        argv = ["gpg", "--batch", "--with-colons", "--list-secret-keys", self.key]
        if self._run(argv, b"", "look for the key").returncode:
            raise InputError(f"gpg has no secret key {self.key!r} here.  See: gpg --list-secret-keys")

    def sign(self, data: bytes, *, text: bool) -> Signature:
        """
        A detached signature of *data*; *text*: whether it is a signature of text (RFC 9580, 5.2.1).  `InputError`.
        """
        argv = ["gpg", "--no-armor", "--textmode" if text else "--no-textmode", "--digest-algo", "SHA256"]
        argv += ["--local-user", self.key, "--output", "-", "--detach-sign"]
        ran = self._run(argv, data, "sign")
        if ran.returncode:
            said = last_complaint(ran.stderr) or "it says no reason"
            raise InputError(f"gpg did not sign with the key {self.key!r}: {said}.")
        signature = read_signature(ran.stdout)
        if signature.kind != (TEXT if text else BINARY):
            raise InputError("gpg made another kind of signature than it was asked for: see your gpg.conf.")
        return signature

    def _run(self, argv: list[str], data: bytes, what: str) -> subprocess.CompletedProcess[bytes]:
        try:
            return subprocess.run(
                argv, input=data, capture_output=True, timeout=SECONDS, check=False, env={**os.environ, **_terminal()}
            )
        except FileNotFoundError:
            raise InputError("gpg is not installed here (Debian: apt install gnupg).") from None
        except subprocess.TimeoutExpired:
            raise InputError(f"gpg did not {what} within {SECONDS:.0f} s.") from None


def _terminal() -> dict[str, str]:
    # A pinentry for terminals must be told which terminal to use (gpg-agent(1)).
    if "GPG_TTY" in os.environ or not sys.stderr.isatty():
        return {}
    return {"GPG_TTY": os.ttyname(sys.stderr.fileno())}
