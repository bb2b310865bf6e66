"""
Files that builds produced.

One that is on its way stands elsewhere, where no artifact can be.  It gets its name when every byte of it is there, so
that whoever serves the directory serves no half file, and no name of an artifact means another that is not complete.
"""

import os
from collections.abc import Iterable

from ..errors import NameRefusedError
from .files import (
    PRIVATE,
    file_error,
    make_directories,
    remove,
    sync_directory,
)
from .streams import StreamFile

LONGEST_NAME = 240
"""Bytes: file systems allow 255, and whoever fetches or signs the file appends something to its name."""

INCOMING = ".incoming"
"""Where artifacts on their way stand: beside the directories of a builder's builds, which are numbers."""


def incoming_path(builder: str, number: int, step: int, ordinal: int) -> str:
    """
    Where an artifact of the build *number* is on its way, below the directory of all artifacts.  *builder*: the name of
    its directory.
    """
    return f"{builder}/{INCOMING}/{number}-{step}-{ordinal}"


def directories_in(artifacts: str) -> list[str]:
    """
    The names of the builders' directories.
    """
    return sorted(_names_in(artifacts))


def incoming_files(artifacts: str, builder: str) -> dict[str, int]:
    """
    The files on their way in a builder's directory below *artifacts*; by path, the number of the build.
    """
    directory = os.path.join(artifacts, builder, INCOMING)
    names = _names_in(directory)
    numbers = {name: name.partition("-")[0] for name in names}
    return {os.path.join(directory, name): int(number) for name, number in numbers.items() if number.isdecimal()}


def _names_in(directory: str) -> list[str]:
    try:
        return os.listdir(directory)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise file_error(error, "directory of artifacts", cannot="be read") from error


def remove_files(paths: Iterable[str]) -> None:
    """
    Remove each of *paths* that is there.
    """
    try:
        for path in paths:
            remove(path)
    except OSError as error:
        raise file_error(error, "upload that broke off", cannot="be removed") from error


class ArtifactFile(StreamFile):
    """
    A stream file that is at *path* once it is sealed, and at *incoming* before, on the same disk.

    *replaces*: what is at *path* is another upload's, which this one replaces when it is sealed.
    """

    def __init__(self, path: str, incoming: str, *, replaces: bool = False, what: str = "") -> None:
        self._final = os.path.abspath(path)
        if any(len(os.fsencode(name)) > LONGEST_NAME for name in path.split("/")):
            raise NameRefusedError(
                f"The {what or 'artifact'} cannot be stored on the master: a name may have {LONGEST_NAME} bytes."
            )
        super().__init__(path if not replaces and os.path.exists(path) else incoming, what=what)

    @property
    def final_path(self) -> str:
        """
        Where it is once it is sealed.
        """
        return self._final

    def seal(self, length: int, sha256: str) -> bool:
        """
        See `StreamFile.seal`; then it gets its name.  An artifact without a byte is an empty file.
        """
        if not super().seal(length, sha256):
            return False
        try:
            if not length and not os.path.exists(self._path):
                make_directories(os.path.dirname(self._path))
                os.close(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, PRIVATE))
            if self._path != self._final:
                new = make_directories(os.path.dirname(self._final))
                os.rename(self._path, self._final)
                self._path = self._final
                for directory in (os.path.dirname(self._final), *new):
                    sync_directory(directory)
        except (OSError, ValueError) as error:
            raise file_error(error, self._what) from error
        return True
