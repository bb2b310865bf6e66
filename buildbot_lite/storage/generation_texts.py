"""
The texts of applied configurations: one file each, ``private/generations/HASH``.

They are not in the records, because a master.cfg may hold passwords.  A text is on the disk before the records name it
and is removed when no unfinished build needs it.
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
    Those of the farm whose directory ``private`` is *private*.
    """

    def __init__(self, private: str) -> None:
        self._private = private
        self._directory = os.path.join(private, DIRECTORY)

    def keep(self, hash: str, files: Mapping[str, str]) -> None:
        """
        Keep the *files* (name → text) of the configuration with that *hash*; they are on the disk afterwards.

        What is there is not written again: a master starts with the configuration that it had on a full disk, too.
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
        The files of the configuration with that *hash*; None when they were let go.
        """
        path = self._path(hash)
        try:
            with open(path, encoding="ascii") as file:
                found = json.load(file)
        except FileNotFoundError:
            return None
        except (OSError, ValueError) as error:
            raise StorageError(f"{path} cannot be read: {error}.  Restore it from a backup.") from None
        if not isinstance(found, dict):
            raise StorageError(f"{path} holds no configuration.  Restore it from a backup.")
        return found

    def remove_all_but(self, needed: Collection[str]) -> None:
        """
        Remove every text whose hash is not among the *needed*.
        """
        if os.path.isdir(self._directory):
            for name in os.listdir(self._directory):
                if name not in needed:
                    remove(os.path.join(self._directory, name))

    def _path(self, hash: str) -> str:
        return os.path.join(self._directory, os.path.basename(hash))
