"""
Texts of applied configurations, each in one file: ``private/generations/HASH``.

They are not in the database, because a master.cfg may contain passwords.  A text is on the disk before a record refers
to it, and is removed when no unfinished build needs it.
"""

import json
import os
from collections.abc import Collection, Mapping
from contextlib import suppress

from ..errors import StorageError
from .files import (
    make_directory,
    remove,
    write_whole,
)

DIRECTORY = "generations"


class GenerationTexts:
    """
    The texts of the farm with the directory *private*.
    """

    def __init__(self, private: str) -> None:
        self._private = private
        self._directory = os.path.join(private, DIRECTORY)

    def keep(self, hash: str, files: Mapping[str, str]) -> None:
        """
        Store the *files* (name → text) of the configuration *hash*; they are on the disk when this returns.

        An identical file is not written again, so a master with an unchanged configuration starts on a full disk.
        """
        make_directory(self._private)
        make_directory(self._directory)
        text = json.dumps(dict(files)).encode()
        with suppress(OSError), open(self._path(hash), "rb") as file:
            if file.read() == text:
                return
        write_whole(self._path(hash), text)

    def get(self, hash: str) -> Mapping[str, str] | None:
        """
        The files of the configuration *hash*; None when they were removed.  `StorageError` when they are damaged.
        """
        path = self._path(hash)
        try:
            with open(path, encoding="ascii") as file:
                texts = json.load(file)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise StorageError(f"{path} cannot be read: {error}.  Restore it from a backup.") from None
        if not isinstance(texts, dict):
            raise StorageError(f"{path} holds no configuration.  Restore it from a backup.")
        return texts

    def remove_all_but(self, needed: Collection[str]) -> None:
        """
        Remove the texts of all configurations whose hash is not in *needed*.
        """
        if os.path.isdir(self._directory):
            for name in os.listdir(self._directory):
                if name not in needed:
                    remove(os.path.join(self._directory, name))

    def _path(self, hash: str) -> str:
        return os.path.join(self._directory, os.path.basename(hash))
