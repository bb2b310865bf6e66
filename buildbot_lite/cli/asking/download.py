"""
Files that arrive whole, with the right checksum, or not at all.
"""

import hashlib
import os
import tempfile
from contextlib import suppress
from typing import Self

from ...errors import BuildbotLiteError
from ...model.display import printable
from ...model.names import relative_path
from ..output.printing import ProgressLine


class DownloadedFile:
    """
    The file *name* on its way into *directory*; *length*: the expected bytes, if known.

    A context manager, which removes the bytes at its end unless `keep` was called.  Names that lead out of *directory*,
    by themselves or by a symbolic link, are refused; existing files too, without *overwrite*.

    Until `keep`, the bytes are in a temporary file beside the target (mkstemp: O_EXCL, O_NOFOLLOW, 0600).
    """

    def __init__(self, directory: str, name: str, *, overwrite: bool, length: int | None) -> None:
        self.path = os.path.join(directory, relative_path(name))
        self.shown = printable(self.path)
        self._overwrite = overwrite
        self._length = length
        self._so_far = 0
        self._checksum = hashlib.sha256()
        self._progress = ProgressLine()
        if os.path.lexists(self.path) and not overwrite:
            raise self._is_there()
        self._above = os.path.dirname(self.path) or "."
        _check_no_links(directory, self._above, self.shown)
        os.makedirs(self._above, exist_ok=True)
        descriptor, self._incoming = tempfile.mkstemp(prefix=".buildbot-lite-", dir=self._above)
        self._file = os.fdopen(descriptor, "wb")

    def __enter__(self) -> Self:
        self._progress.__enter__()
        return self

    def __exit__(self, *problem: object) -> None:
        self._progress.__exit__(*problem)
        self._file.close()
        with suppress(FileNotFoundError):
            os.unlink(self._incoming)

    def take(self, data: bytes) -> None:
        """
        Write the next chunk, without its first byte, which only names the stream.
        """
        self._so_far += len(data) - 1
        if self._length is not None and self._so_far > self._length:
            raise BuildbotLiteError(f"The master sent more of {self.shown} than the {self._length} bytes that it has.")
        self._file.write(data[1:])
        self._checksum.update(data[1:])
        of = "" if self._length is None else f" of {size(self._length)}"
        self._progress.say(f"{self.shown}: {size(self._so_far)}{of}")

    def keep(self, length: int, sha256: str) -> None:
        """
        Check the length and the checksum, and move the file to its place.
        """
        self._file.flush()
        if (self._so_far, self._checksum.hexdigest()) != (length, sha256):
            raise BuildbotLiteError(f"{self.shown} has the wrong checksum: the master's copy is damaged.")
        os.fchmod(self._file.fileno(), 0o666 & ~_umask())
        os.fsync(self._file.fileno())
        if self._overwrite:
            os.replace(self._incoming, self.path)
            return
        try:
            os.link(self._incoming, self.path, follow_symlinks=False)  # unlike a rename, it replaces nothing
        except OSError:
            # Some file systems have no links; then only a second look remains.
            if os.path.lexists(self.path):
                raise self._is_there() from None
            os.rename(self._incoming, self.path)

    def _is_there(self) -> BuildbotLiteError:
        return BuildbotLiteError(f"{self.shown} exists already.  To replace it: --overwrite")


def _check_no_links(top: str, directory: str, shown: str) -> None:
    """
    Refuse *directory* if a symbolic link leads there from *top*: fetched files stay below *top*.
    """
    while len(directory) > len(top) and directory not in {"", os.curdir, os.sep}:
        if os.path.islink(directory):
            raise BuildbotLiteError(f"{shown} is not written: {printable(directory)} is a symbolic link.  Remove it.")
        directory = os.path.dirname(directory)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def size(number: float) -> str:
    """
    *number* of bytes, for people.
    """
    if number < 1024:
        return f"{number:.0f} B"
    for unit in ("KiB", "MiB"):
        number /= 1024
        if number < 1024:
            return f"{number:.1f} {unit}"
    return f"{number / 1024:.1f} GiB"
