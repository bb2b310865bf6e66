"""
Keys of GnuPG for tests, each in a directory of its own.
"""

import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from twisted.trial.unittest import SynchronousTestCase

LONG_AGO = "20200101T000000"


class GnupgHome:
    """
    A GNUPGHOME with one key, for "NAME <f@example.org>".  *made*: when, for gpg (None: now); *lasts*: until when.

    Its path is short: gpg-agent's socket is in it where there is no /run/user.
    """

    def __init__(
        self, algorithm: str = "ed25519", *, name: str = "Farm", made: str | None = None, lasts: str = "never"
    ) -> None:
        self.path = Path(tempfile.mkdtemp(prefix="gpg-", dir="/tmp"))
        self._when = ["--faked-system-time", made] if made else []
        self.gpg("--passphrase", "", "--quick-gen-key", f"{name} <f@example.org>", algorithm, "sign", lasts)
        listed = self.gpg("--with-colons", "--list-keys").decode()
        self.fingerprint = next(line for line in listed.splitlines() if line.startswith("fpr:")).split(":")[9]

    @property
    def environment(self) -> dict[str, str]:
        return {**os.environ, "GNUPGHOME": str(self.path)}

    def gpg(self, *arguments: str, stdin: bytes = b"") -> bytes:
        """
        What gpg prints.
        """
        argv = ["gpg", "--batch", *self._when, *arguments]
        ran = subprocess.run(argv, input=stdin, capture_output=True, env=self.environment, check=False, timeout=120)
        if ran.returncode:
            raise AssertionError(ran.stderr.decode())
        return ran.stdout

    def public(self, armor: Sequence[str] = ("--armor",)) -> bytes:
        return self.gpg(*armor, "--export")

    def sign(self, data: bytes, *options: str) -> bytes:
        """
        A detached signature.
        """
        return self.gpg("--digest-algo", "SHA256", *options, "--output", "-", "--detach-sign", stdin=data)

    def remove(self) -> None:
        """
        End the agent, and remove the directory.
        """
        subprocess.run(["gpgconf", "--kill", "all"], env=self.environment, check=False, capture_output=True, timeout=60)
        shutil.rmtree(self.path, ignore_errors=True)


class KeyCase(SynchronousTestCase):
    """
    Tests that share a *key*, which takes gpg a second to make.
    """

    key: ClassVar[GnupgHome]

    @classmethod
    def setUpClass(cls) -> None:
        if not getattr(cls, "skip", ""):
            cls.key = GnupgHome()

    @classmethod
    def tearDownClass(cls) -> None:
        if hasattr(cls, "key"):
            cls.key.remove()
