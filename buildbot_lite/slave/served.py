"""
The work directories that a slave has served: those that its master has named since the slave is there.

Only such a directory may be removed when space is short: what else is in ``work``, somebody made on purpose.  The names
are kept in a file, one on each line, the latest at the end.
"""

from collections.abc import Collection

from ..storage.files import write_whole

MOST_NAMES = 20_000
LARGEST = 8 << 20


class ServedDirectories:
    """
    Names directly in ``work``, in the file *path*.
    """

    def __init__(self, path: str) -> None:
        self._path = path

    def names(self) -> frozenset[str]:
        """
        All of them.
        """
        return frozenset(self._read())

    def note(self, names: Collection[str]) -> None:
        """
        The master has named *names*.  `StorageError` when that cannot be stored.
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
