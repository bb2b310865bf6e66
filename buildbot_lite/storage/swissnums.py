"""
The secret parts of the farm's strings.

A copy of the records is not the farm: they say what a string is a right to, and hold none.  A swissnum is made of the
*salt* in its grant's row and of a key that is in no record::

    swissnum = base32(HMAC-SHA256(key, salt)[:20])       160 bits, in the letters that Foolscap uses
    digest   = SHA-256(swissnum)                         by which the row of a string that somebody shows is found

So a grant costs no file, whoever reads the records can show no string, and the key alone makes every string of restored
records again.  The salt is random, because the numbers of rows are given a second time after older records were
restored: the string of one grant would become that of another.

0.1.0 drew swissnums at random and kept them in its records.  Those that will be shown again are in `UNDERIVED_FILE`.
"""

import base64
import hashlib
import hmac
import os
import secrets
from collections.abc import Iterable, Mapping
from typing import Protocol, Self

from attrs import field, frozen

from ..errors import StorageError
from .files import write_whole

UNDERIVED_FILE = "strings.kept"
"""The file, in ``private/``, with the swissnums of 0.1.0's strings: one on each line."""

_SALT_BYTES = 16
_SWISSNUM_BYTES = 20
_LARGEST_KEPT = 64 << 20


@frozen
class SwissnumRecord:
    """
    What is recorded of a swissnum.  *salt*: None for one that 0.1.0 made.
    """

    salt: str | None
    digest: str


class HasSwissnum(Protocol):
    """
    A row with what is recorded of a swissnum: a grant.
    """

    @property
    def salt(self) -> str | None:
        """
        See `SwissnumRecord`.
        """

    @property
    def digest(self) -> str:
        """
        See `SwissnumRecord`.
        """


@frozen
class Swissnums:
    """
    *key*: secret bytes that only this farm has.  *kept*: digest → swissnum, of those that were made without a key.
    """

    key: bytes = field(repr=False)
    kept: Mapping[str, str] = field(factory=dict, repr=False)

    @classmethod
    def load(cls, key: bytes, private: str) -> Self:
        """
        Those of the farm whose directory ``private`` is *private*.
        """
        return cls(key, {digest_of(swissnum): swissnum for swissnum in _kept(private)})

    @property
    def fingerprint(self) -> str:
        """
        Tells this key from others, and nothing else of it.
        """
        return hmac.digest(self.key, b"fingerprint", "sha256").hex()

    def mint(self) -> SwissnumRecord:
        """
        What to record of a new swissnum.
        """
        salt = secrets.token_hex(_SALT_BYTES)
        return SwissnumRecord(salt, digest_of(self._derived(salt)))

    def of(self, row: HasSwissnum) -> str | None:
        """
        The swissnum of the grant *row*, or None: `UNDERIVED_FILE` is lost, or the key is another one.
        """
        swissnum = self.kept.get(row.digest) if row.salt is None else self._derived(row.salt)
        return swissnum if swissnum is not None and digest_of(swissnum) == row.digest else None

    def _derived(self, salt: str) -> str:
        code = hmac.digest(self.key, b"swissnum:" + salt.encode(), "sha256")
        return base64.b32encode(code[:_SWISSNUM_BYTES]).decode().lower()


def digest_of(swissnum: str) -> str:
    """
    By what a swissnum is known in the records.  Of 160 random bits, so that no salt is needed to keep it from guessing.
    """
    return hashlib.sha256(swissnum.encode(errors="surrogatepass")).hexdigest()


def keep(private: str, swissnums: Iterable[str]) -> None:
    """
    Add *swissnums*, which no key makes, to those of the farm whose directory ``private`` is *private*.
    """
    everything = sorted({*_kept(private), *swissnums})
    write_whole(os.path.join(private, UNDERIVED_FILE), "".join(f"{each}\n" for each in everything).encode())


def _kept(private: str) -> list[str]:
    path = os.path.join(private, UNDERIVED_FILE)
    try:
        with open(path, "rb") as file:
            return file.read(_LARGEST_KEPT).decode("ascii").split()
    except FileNotFoundError:
        return []
    except (OSError, UnicodeDecodeError) as error:
        raise StorageError(f"{path} cannot be read: {error}.  Restore it from a backup.") from None
