"""
A spool: the file of one stream, to which only the keeper appends.

Its length is what the slave reads up to; its checksum is counted along, so that a command's end costs nothing extra.
"""

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
        Append *data*, or as much of it as there is room for; answers how much that was and what stopped it.
        """
        written = 0
        try:
            if self._fd < 0:
                self._fd = os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC, 0o600)
            while written < len(data):
                count = os.write(self._fd, data[written:] if written else data)
                self._sha256.update(data[written : written + count] if count < len(data) else data)
                self.length += count
                written += count
        except OSError as error:
            # Opened again at the next attempt: by then the disk may be another one.
            if self._fd >= 0:
                os.close(self._fd)
                self._fd = -1
            return written, error
        return written, None

    def seal(self) -> dict[str, object]:
        """
        Make it durable and close it; answers its length and checksum.

        OSError if the disk does not do as told; asked again, it answers all the same.
        """
        if self._fd >= 0:
            fd, self._fd = self._fd, -1
            try:
                os.fsync(fd)
            finally:
                os.close(fd)
        return {"length": self.length, "sha256": self._sha256.hexdigest()}
