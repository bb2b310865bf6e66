"""
Swissnums: the secret parts of the farm's FURLs.

The database says which rights a FURL gives, but contains no FURL: a copy of it gives no rights.  A swissnum is derived
from the *salt* in the row of its grant and a key that is not in the database::

    swissnum = base32(HMAC-SHA256(key, "swissnum:" + salt)[:20])     160 bits, in Foolscap's base32 alphabet
    digest   = SHA-256(swissnum)                                     finds the grant's row for a FURL that a peer uses

So a grant needs no file, and the key restores all FURLs of a restored database.  The salt is random.  Row ids were
rejected in its place, because after the restore of an older database ids are used again: a new grant would get the FURL
of another one.

0.1.0 chose swissnums at random and stored them in its database.  Those that must be shown again are in
`UNDERIVED_FILE`.
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
"""The file in ``private/`` with the swissnums of 0.1.0, one on each line."""

_SALT_BYTES = 16
_SWISSNUM_BYTES = 20
_LARGEST_KEPT = 64 << 20


@frozen
class SwissnumRecord:
    """
    The recorded parts of a swissnum.  *salt*: None for a swissnum of 0.1.0.
    """

    salt: str | None
    digest: str


class HasSwissnum(Protocol):
    """
    A row with the recorded parts of a swissnum, such as a grant.
    """

    @property
    def salt(self) -> str | None:
        """
        The salt in hexadecimal; None for a swissnum of 0.1.0.
        """

    @property
    def digest(self) -> str:
        """
        The result of `digest_of`.
        """


@frozen
class Swissnums:
    """
    The farm's swissnums.  *key*: the farm's secret bytes.  *kept*: digest → swissnum for those not derived from the
    key.
    """

    key: bytes = field(repr=False)
    kept: Mapping[str, str] = field(factory=dict, repr=False)

    @classmethod
    def load(cls, key: bytes, private: str) -> Self:
        """
        The swissnums of the farm with the directory *private*; `StorageError` when `UNDERIVED_FILE` cannot be read.
        """
        return cls(key, {digest_of(swissnum): swissnum for swissnum in _kept(private)})

    @property
    def fingerprint(self) -> str:
        """
        An identifier of the key that reveals nothing else about it.
        """
        return hmac.digest(self.key, b"fingerprint", "sha256").hex()

    def mint(self) -> SwissnumRecord:
        """
        The record of a new swissnum.
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
    The SHA-256 of *swissnum*, by which the database finds it.  A swissnum has 160 random bits, so hashing it without a
    salt is safe.
    """
    return hashlib.sha256(swissnum.encode(errors="surrogatepass")).hexdigest()


def keep(private: str, swissnums: Iterable[str]) -> None:
    """
    Add *swissnums*, which are not derived from a key, to the `UNDERIVED_FILE` in the directory *private*.
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
