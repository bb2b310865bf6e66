"""
A spool: the file of one stream, to which only the keeper appends.

The slave reads it up to the length that the keeper reports.  The checksum is computed while appending, so that the file
need not be read again when the command ends.
"""

import contextlib
import hashlib
import os


class Spool:
    """
    Appends to the file at *path*, which is created at its first byte.
    """

    def __init__(self, path: str) -> None:
        self._path = path
        self._fd = -1
        self._sha256 = hashlib.sha256()
        self.length = 0

    def append(self, data: bytes) -> tuple[int, OSError | None]:
        """
        Append *data*, or as much as there is room for; return the number of bytes, and the error that stopped it.
        """
        written = 0
        try:
            if self._fd < 0:
                self._fd = self._open()
            while written < len(data):
                count = os.write(self._fd, data[written:] if written else data)
                self._sha256.update(data[written : written + count] if count < len(data) else data)
                self.length += count
                written += count
        except OSError as error:
            # The next attempt opens the file again, because another disk may be mounted by then.
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1
            return written, error
        return written, None

    def seal(self) -> dict[str, object]:
        """
        Close the file; return its length and checksum.
        """
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            # An error of close(2) means lost bytes, which the checksum shows.
            with contextlib.suppress(OSError):
                os.close(fd)
        return {"length": self.length, "sha256": self._sha256.hexdigest()}

    def _open(self) -> int:
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC
        try:
            return os.open(self._path, flags, 0o600)
        except FileNotFoundError:
            # The first file of this command.
            os.mkdir(os.path.dirname(self._path), 0o700)
            return os.open(self._path, flags, 0o600)
