"""
A log: the concatenation of the streams that the commands of a step wrote.

::

    streams    │ stdio of command 0 │ stdio of command 1 │ stdio of co…       one file each
    log        0 ───────────────────┴────────────────────┴────────────► length
"""

from bisect import bisect_right
from collections.abc import Callable, Sequence
from itertools import accumulate

from attrs import frozen

from ...storage.compressed_streams import StreamReader, open_stream

OpenStream = Callable[[str], StreamReader]


@frozen
class LogPart:
    """
    The first *length* bytes of the stream file *path*.
    """

    path: str
    length: int


class LogReader:
    """
    The role `StreamReader` for the log of *parts*, as it is at one moment: it does not grow.  At most one file is open.
    """

    def __init__(self, parts: Sequence[LogPart], open_: OpenStream = open_stream) -> None:
        self.parts = tuple(part for part in parts if part.length)
        self.starts = [0, *accumulate(part.length for part in self.parts)]
        self._open = open_
        self._current: tuple[str, StreamReader] | None = None

    @property
    def length(self) -> int:
        return self.starts[-1]

    def read(self, offset: int, size: int) -> bytes:
        pieces = []
        end = min(offset + size, self.length)
        while offset < end:
            index = bisect_right(self.starts, offset) - 1
            piece = self.part(index).read(offset - self.starts[index], min(end, self.starts[index + 1]) - offset)
            if not piece:
                break  # the file was removed
            pieces.append(piece)
            offset += len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def part(self, index: int) -> StreamReader:
        """
        The reader of one part; valid until the next call of a method.
        """
        path = self.parts[index].path
        if self._current is None or self._current[0] != path:
            self.close()
            self._current = path, self._open(path)
        return self._current[1]

    def close(self) -> None:
        current, self._current = self._current, None
        if current is not None:
            current[1].close()
