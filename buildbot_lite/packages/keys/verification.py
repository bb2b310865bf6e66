"""
Signatures checked with the public key of a target, by gpgv and rpmkeys.

Both run in a new directory with nothing but that key, so no keyring, database or configuration of the master's user
counts. gpgv's exit code is 0 for a key that has expired, and ``rpmkeys --checksig`` takes unsigned packages; so gpgv's
status lines count (GnuPG's doc/DETAILS), and rpmkeys gets ``_pkgverify_level all``.
"""

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from errno import ENOSPC
from threading import Event

from attrs import field, frozen

from ...child_programs import ChildProgram, ProgramError, Ran, last_complaint, run_here
from ...errors import FileError, InputError, sentence
from ...model.display import printable
from ...storage.files import file_error
from .openpgp import LARGEST_KEYS, Signature, armored_keys, read_public_keys, read_signature

SECONDS = 60.0
"""Seconds for one check of a signature."""
SECONDS_FOR_PACKAGES = 1800.0
"""Seconds for the check of all packages of a job, which reads their payloads."""
PACKAGES_AT_ONCE = 100
MOST_MEMORY = 1 << 30
"""Bytes of address space: signatures, texts and packages come from others."""
LEAST_FREE = 16 << 20
"""Free bytes on the disk of temporary files.  With less, a failed check says nothing about a signature."""
_LARGEST_OUTPUT = 1 << 20


@frozen
class TargetKey:
    """
    The public keys in the file *path*, such as ``sign_key`` of a target.  *name*: the name of the file in sentences.

    The file is read for each check, so a new key counts at once.  All methods block: call them in a thread.
    *unwanted*: set it to end running programs.  `ProgramError` and `DiskFullError`: nothing could be checked, because
    the master stops or has no room for temporary files.
    """

    path: str
    name: str
    unwanted: Event = field(factory=Event)

    def check_signature(self, data: bytes, signature: bytes, what: str) -> Signature:
        """
        The detached *signature* of *data*, if it is good and by this key.  *what*: the name of the signed file, for
        sentences.  `InputError` says what is wrong with the signature; `FileError` and `InputError`, with the key.
        """
        found = read_signature(signature)
        with self._directory() as directory:
            files = {"data": data, "signature": signature}
            for name, contents in files.items():
                _write(os.path.join(directory, name), contents)
            _check_status(self._gpgv(directory, "signature", "data"), what, self.name)
        return found

    def check_signed_text(self, data: bytes, what: str) -> bytes:
        """
        The signed text in *data*, a text with its signature, like an ``InRelease``; the signature is good.  Use only
        this result and not *data*, because programs differ in what they take for the signed part.
        """
        with self._directory() as directory:
            _write(os.path.join(directory, "text"), data)
            ran = self._gpgv(directory, "--output", "verified", "text")
            _check_status(ran, what, self.name)
            with open(os.path.join(directory, "verified"), "rb") as file:
                return file.read(len(data))

    def check_packages(self, paths: Sequence[str]) -> None:
        """
        Check that rpm accepts the packages in *paths*: signature and all digests.  `InputError` names the first one
        that it refuses.
        """
        if not paths:
            return
        with self._directory() as directory:
            with open(os.path.join(directory, "keys"), "rb") as file:
                _write(os.path.join(directory, "keys.asc"), armored_keys(file.read()))
            database = ["rpmkeys", "--dbpath", os.path.join(directory, "rpm")]
            ran = self._run(directory, [*database, "--import", "keys.asc"], SECONDS)
            if ran.code:
                raise InputError(f"rpmkeys does not take the key in {self.name}: {_complaint(ran)}.")
            check = [*database, "--define", "_pkgverify_level all", "--checksig", "--verbose"]
            for start in range(0, len(paths), PACKAGES_AT_ONCE):
                some = [os.path.abspath(path) for path in paths[start : start + PACKAGES_AT_ONCE]]
                ran = self._run(directory, [*check, *some], SECONDS_FOR_PACKAGES)
                if ran.code:
                    raise InputError(_refusal(ran, some))

    def _gpgv(self, directory: str, *arguments: str) -> Ran:
        keyring = os.path.join(directory, "keys")
        return self._run(
            directory, ["gpgv", "--homedir", directory, "--keyring", keyring, "--status-fd", "1", *arguments], SECONDS
        )

    def _run(self, directory: str, argv: Sequence[str], seconds: float) -> Ran:
        env = {"PATH": os.environ.get("PATH", os.defpath), "HOME": directory, "LC_ALL": "C.UTF-8"}
        program = ChildProgram(
            argv=argv, cwd=directory, env=env, seconds=seconds, largest=_LARGEST_OUTPUT, memory=MOST_MEMORY
        )
        ran = run_here(program, self.unwanted)
        if self.unwanted.is_set():
            raise ProgramError("The signatures could not be checked: the master stops.")
        return ran

    def keyring(self) -> bytes:
        """
        The public keys in the file; `FileError`, `InputError` say what is wrong with it.
        """
        try:
            with open(self.path, "rb") as file:
                return read_public_keys(file.read(LARGEST_KEYS + 1), self.name)
        except OSError as error:
            raise FileError(
                f"The public key of the target cannot be read: {sentence(error).rstrip('.')}.  Write it: "
                f"gpg --armor --export KEY > {self.name}"
            ) from None

    @contextmanager
    def _directory(self) -> Iterator[str]:
        keyring = self.keyring()
        try:
            with tempfile.TemporaryDirectory(prefix="buildbot-lite-") as directory:
                _write(os.path.join(directory, "keys"), keyring)
                try:
                    yield directory
                except InputError as error:
                    # Programs that find no room fail like those that find no good signature.
                    if shutil.disk_usage(directory).free < LEAST_FREE:
                        raise OSError(ENOSPC, os.strerror(ENOSPC)) from error
                    raise
        except OSError as error:
            raise file_error(error, "temporary files with which signatures are checked") from error


def _check_status(ran: Ran, what: str, key_name: str) -> None:
    lines = [line.split()[1:] for line in ran.output.decode("utf-8", "replace").splitlines()]
    status = {words[0]: words[1:] for words in lines if words}
    by = next((printable(status[word][0]) for word in _NAMES_THE_KEY if status.get(word)), "an unknown key")
    for word, why in _REFUSALS.items():
        if word in status:
            raise InputError(why.format(what=what, by=by, name=key_name))
    # Exactly one signature: of several, the good one could be for something else.
    good = [words for words in lines if words and words[0] == "GOODSIG"]
    if ran.code or "VALIDSIG" not in status or len(good) != 1:
        raise InputError(f"gpgv does not accept the signature of {what}: {_complaint(ran)}.")


_NAMES_THE_KEY = ("NO_PUBKEY", "EXPKEYSIG", "REVKEYSIG", "EXPSIG", "BADSIG", "GOODSIG", "ERRSIG")
_REFUSALS = {
    "NO_PUBKEY": "The signature of {what} is by the key {by}, which is not in {name}.",
    "BADSIG": "The signature of {what} is of other bytes.",
    "REVKEYSIG": "The signature of {what} is by the key {by}, which is revoked.",
    "EXPKEYSIG": "The signature of {what} is by the key {by}, which has expired.  Extend it (gpg --quick-set-expire), "
    "and write it into {name} again.",
    "EXPSIG": "The signature of {what} has expired.",
}


def _refusal(ran: Ran, paths: Sequence[str]) -> str:
    # The name of each package, and a line for each of its signatures and digests.
    name = os.path.basename(paths[0])
    for line in ran.output.decode("utf-8", "replace").splitlines():
        if line.startswith("/"):
            name = os.path.basename(line.rstrip(":"))
        elif not line.rstrip().endswith(": OK"):
            return f"rpm does not accept the signed package {printable(name)}: {printable(line.strip()):.200}."
    return f"rpm does not accept one of the signed packages, like {printable(name)}: {_complaint(ran)}."


def _complaint(ran: Ran) -> str:
    return last_complaint(ran.errors).removeprefix("gpgv: ") or f"exit code {ran.code}"


def _write(path: str, contents: bytes) -> None:
    with open(path, "xb") as file:
        file.write(contents)
