"""
The work directories that the master has ever named to this slave.

When there is too little free space, only such a directory may be removed: anything else in ``work`` was made by a
person or another program.  The names are kept in a file, one on each line, the latest at the end.
"""

from collections.abc import Collection

from ..storage.files import write_whole

MOST_NAMES = 20_000
LARGEST = 8 << 20
"""Bytes of the file that are read."""


class ServedDirectories:
    """
    Names directly in ``work``, in the file *path*.
    """

    def __init__(self, path: str) -> None:
        self._path = path

    def names(self) -> frozenset[str]:
        return frozenset(self._read())

    def note(self, names: Collection[str]) -> None:
        """
        Store that the master has named *names*; only the latest `MOST_NAMES` are kept.  `StorageError` when that fails.
        """
        directories = self._read()
        if directories.keys() >= set(names):
            return
        latest = [*(each for each in directories if each not in names), *sorted(names)][-MOST_NAMES:]
        write_whole(self._path, "".join(f"{each}\n" for each in latest).encode())

    def _read(self) -> dict[str, None]:
        try:
            with open(self._path, encoding="utf-8", errors="replace") as file:
                return dict.fromkeys(line for line in file.read(LARGEST).split("\n") if line)
        except FileNotFoundError:
            return {}
