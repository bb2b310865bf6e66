"""
Files that arrive whole, with the right checksum, or not at all.
"""

import hashlib
import os
from contextlib import suppress
from typing import Self

from ..errors import BuildbotLiteError
from ..model.names import relative_path
from .output import Progress

SUFFIX = ".partial"


class Receiving:
    """
    The file *name* on its way into *directory*; *length* is what is expected, if that is known.

    A context manager: what was not kept when it ends is removed.  Names that lead out of *directory* are refused, and
    so are files that are there already, unless they are to be overwritten.
    """

    def __init__(self, directory: str, name: str, *, overwrite: bool, length: int | None) -> None:
        self.path = os.path.join(directory, relative_path(name))
        if os.path.lexists(self.path) and not overwrite:
            raise BuildbotLiteError(f"{self.path} is there already.  Say --overwrite to replace it.")
        self._length = length
        self._so_far = 0
        self._checksum = hashlib.sha256()
        self._progress = Progress()
        os.makedirs(os.path.dirname(self.path) or ".", exist_ok=True)
        self._file = open(self.path + SUFFIX, "wb")  # noqa: SIM115 - closed by __exit__

    def __enter__(self) -> Self:
        self._progress.__enter__()
        return self

    def __exit__(self, *problem: object) -> None:
        self._progress.__exit__(*problem)
        self._file.close()
        with suppress(FileNotFoundError):
            os.unlink(self.path + SUFFIX)

    def take(self, data: bytes) -> None:
        """
        The next chunk, after its first byte, which is the same for all of them.
        """
        self._file.write(data[1:])
        self._checksum.update(data[1:])
        self._so_far += len(data) - 1
        of = "" if self._length is None else f" of {size(self._length)}"
        self._progress.say(f"{self.path}: {size(self._so_far)}{of}")

    def keep(self, length: int, sha256: str) -> None:
        """
        That was all: it should have *length* bytes and that checksum.
        """
        self._file.flush()
        os.fsync(self._file.fileno())
        if (self._so_far, self._checksum.hexdigest()) != (length, sha256):
            raise BuildbotLiteError(f"{self.path} did not arrive as it was built: the master's copy is damaged.")
        os.replace(self.path + SUFFIX, self.path)


def size(number: float) -> str:
    """
    Bytes, for people.
    """
    if number < 1024:
        return f"{number:.0f} B"
    for unit in ("KiB", "MiB"):
        number /= 1024
        if number < 1024:
            return f"{number:.1f} {unit}"
    return f"{number / 1024:.1f} GiB"
