"""
The epochs of the masters that a slave has worked for.

When a farm is restored from a backup, it keeps its key and gets a higher epoch.  A slave stores the highest epoch that
it has seen for each key, one on each line of a file: ``TUBID EPOCH``, the latest at the end.  So it can refuse a copy
of the farm from before the restore.
"""

from ..storage.files import write_whole

MOST_KEYS = 20
LARGEST = 4096
"""Bytes of the file that are read."""


class SeenEpochs:
    """
    The highest epochs, in the file *path*.
    """

    def __init__(self, path: str) -> None:
        self._path = path

    def highest(self, key: str) -> int:
        """
        The highest epoch of masters with the TubID *key*; 0: none is known.
        """
        return self._read().get(key, 0)

    def note(self, key: str, epoch: int) -> None:
        """
        Store that the master with the TubID *key* has this *epoch*.  `StorageError` when that fails.
        """
        epochs = self._read()
        if epoch <= epochs.get(key, 0):
            return
        epochs.pop(key, None)
        latest = [*epochs.items(), (key, epoch)][-MOST_KEYS:]
        write_whole(self._path, "".join(f"{each} {number}\n" for each, number in latest).encode())

    def _read(self) -> dict[str, int]:
        try:
            with open(self._path, encoding="ascii", errors="replace") as file:
                words = [line.split() for line in file.read(LARGEST).splitlines()]
        except FileNotFoundError:
            return {}
        return {pair[0]: int(pair[1]) for pair in words if len(pair) == 2 and pair[1].isdecimal()}
