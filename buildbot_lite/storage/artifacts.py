"""
Artifacts: files that builds produced.

An artifact that is being received has a path that no finished artifact can have.  It is renamed to its final path when
all its bytes are stored; so a web server for the directory serves no partial file.
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
"""Bytes of each component of a path.  File systems allow 255; programs that fetch or sign files append suffixes."""

INCOMING = ".incoming"
"""The directory of artifacts being received, beside the directories of a builder's builds, which are numbers."""


def incoming_path(builder: str, number: int, step: int, ordinal: int) -> str:
    """
    The path, below the directory of all artifacts, of an artifact that is being received from the build *number*.
    *builder*: the name of the builder's directory.
    """
    return f"{builder}/{INCOMING}/{number}-{step}-{ordinal}"


def directories_in(artifacts: str) -> list[str]:
    """
    The names of the builders' directories in the directory *artifacts*.
    """
    return sorted(_names_in(artifacts))


def incoming_files(artifacts: str, builder: str) -> dict[str, int]:
    """
    The artifacts being received in a builder's directory below *artifacts*: path → number of the build.
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
    Remove those of *paths* that exist.
    """
    try:
        for path in paths:
            remove(path)
    except OSError as error:
        raise file_error(error, "upload that broke off", cannot="be removed") from error


class ArtifactFile(StreamFile):
    """
    A stream file with the path *incoming* until it is sealed, then *path*; both on the same file system.

    *replaces*: a file at *path* comes from another upload, and sealing replaces it.
    """

    def __init__(self, path: str, incoming: str, *, replaces: bool = False, what: str = "") -> None:
        self._final = os.path.abspath(path)
        if any(len(os.fsencode(name)) > LONGEST_NAME for name in path.split("/")):
            raise NameRefusedError(
                f"The {what or 'artifact'} cannot be stored on the master: a name may have {LONGEST_NAME} bytes."
            )
        super().__init__(path if not replaces and os.path.exists(path) else incoming, what=what)

    def seal(self, length: int, sha256: str) -> bool:
        """
        Seal the file as `StreamFile.seal` does, then rename it to its final path.  An artifact of 0 bytes becomes an
        empty file.
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
