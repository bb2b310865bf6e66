"""
Signatures that have arrived, until the repository has them: one file for each, named by the digest of the signed bytes.

So a signature can never be used for other bytes, a signature that arrives twice is stored once, and an interrupted
round continues with the missing signatures.
"""

import os
from collections.abc import Collection

from attrs import frozen

from ...storage.files import make_directory, remove, write_whole
from ..keys.openpgp import LARGEST_SIGNATURE
from ..keys.signature_ids import is_id


@frozen
class SignatureStore:
    """
    The signatures in *directory*.
    """

    directory: str

    def get(self, id: str) -> bytes | None:
        """
        The signature *id*; None if it has not arrived.
        """
        try:
            with open(self._path(id), "rb") as file:
                return file.read(LARGEST_SIGNATURE)
        except FileNotFoundError:
            return None

    def put(self, id: str, signature: bytes) -> None:
        """
        Store *signature*, which was checked.
        """
        make_directory(self.directory)
        write_whole(self._path(id), signature)

    def remove(self, id: str) -> None:
        """
        Remove the signature *id*, if it is there.
        """
        remove(self._path(id))

    def keep_only(self, ids: Collection[str]) -> None:
        """
        Remove all other signatures.
        """
        for name in os.listdir(self.directory) if os.path.isdir(self.directory) else ():
            if name not in ids:
                remove(os.path.join(self.directory, name))

    def _path(self, id: str) -> str:
        assert is_id(id)
        return os.path.join(self.directory, id)
