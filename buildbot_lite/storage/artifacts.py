"""
Files that builds produced.

While one is on its way it is called ``NAME.partial``; it gets its name when every byte of it is there, so that whoever
serves the directory serves no half file.
"""

import os

from ..errors import StorageError
from .files import PRIVATE, make_directories, sync_directory
from .streams import StreamFile

SUFFIX = ".partial"


class ArtifactFile(StreamFile):
    """
    A stream file that is at *path* once it is sealed, and at ``path.partial`` before.

    *generation*: "~1" when it is sent for the second time, because it changed or arrived damaged the first time.
    *instead*: what is at *path* is another upload's, which this one replaces when it is sealed; the text tells the two
    apart until then.
    """

    def __init__(self, path: str, generation: str = "", *, instead: str = "") -> None:
        self._final = os.path.abspath(path)
        is_there = not instead and os.path.exists(path)
        super().__init__(path if is_there else path + instead + generation + SUFFIX)

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
                make_directories(os.path.dirname(self._final))
                os.close(os.open(self._path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, PRIVATE))
            if self._path != self._final:
                os.rename(self._path, self._final)
                self._path = self._final
                sync_directory(os.path.dirname(self._final))
        except OSError as error:
            raise StorageError(f"{self._final} cannot be stored: {error.strerror}.") from error
        return True
