"""
Shared reading: one read of a stream file for all its followers.

::

    file       │ block 0 │ block 1 │ block 2 │ block 3 │ bl…
    cached                           ▓▓▓▓▓▓▓▓▓ ▓▓▓▓▓▓▓▓▓ ▓▓▓   at most `MOST_BLOCKS` for all files together
    followers                           ▲  ▲       ▲      ▲▲▲

Followers of one file share its descriptor and the most recently read blocks.  A follower further behind reads its block
again: from the page cache, or as a frame of a compressed file.  Followers send the block itself, without a copy, so
fifty clients that receive it at the same time use the memory of one.

When a file grows, only the new bytes of its last block are read.
"""

from collections import OrderedDict

from attrs import define

from .compressed_streams import (
    FRAME,
    StreamReader,
    open_stream,
)

BLOCK = FRAME
"""Bytes of a block: one frame, because a frame of a compressed file is always read as a whole."""
MOST_BLOCKS = 32


class SharedStreams:
    """
    The followed files.  *most_blocks*: how many blocks of `BLOCK` bytes are cached.
    """

    def __init__(self, most_blocks: int = MOST_BLOCKS) -> None:
        self._most_blocks = most_blocks
        self._files: dict[str, _SharedFile] = {}
        self._blocks: OrderedDict[tuple[str, int], bytes] = OrderedDict()  # least recently used first

    def open(self, path: str) -> StreamReader:
        """
        As `open_stream`, but shared with all other readers of *path*.  For files that only grow.

        An empty file is not shared, because it may not exist yet.
        """
        file = self._files.get(path)
        if file is None:
            reader = open_stream(path)
            if not reader.length:
                return reader
            file = self._files[path] = _SharedFile(reader)
        file.users += 1
        return _SharedReader(self, path, file)

    def read(self, path: str, file: "_SharedFile", offset: int, size: int) -> bytes:
        """
        As `StreamReader.read`, from the cached blocks of *file*.
        """
        if file.users == 1:
            return file.reader.read(offset, size)
        pieces = []
        while size > 0:
            index, start = divmod(offset, BLOCK)
            piece = _part(self._block(path, file, index, start + size), start, size)
            if not piece:
                break
            pieces.append(piece)
            offset += len(piece)
            size -= len(piece)
        return pieces[0] if len(pieces) == 1 else b"".join(pieces)

    def leave(self, path: str, file: "_SharedFile") -> None:
        """
        Remove one reader of *file*; the last one closes it.
        """
        file.users -= 1
        if not file.users:
            del self._files[path]
            for key in [key for key in self._blocks if key[0] == path]:
                del self._blocks[key]
            file.reader.close()

    def _block(self, path: str, file: "_SharedFile", index: int, length: int) -> bytes:
        """
        Block *index*, with at least its first *length* bytes if the file has them.
        """
        block = self._blocks.pop((path, index), b"")
        if len(block) < min(length, BLOCK):
            block += file.reader.read(index * BLOCK + len(block), BLOCK - len(block))
        self._blocks[path, index] = block
        if len(self._blocks) > self._most_blocks:
            self._blocks.popitem(last=False)
        return block


@define(eq=False)
class _SharedFile:
    reader: StreamReader
    users: int = 0


class _SharedReader:
    """
    The role `StreamReader` for one follower.
    """

    def __init__(self, shared: SharedStreams, path: str, file: _SharedFile) -> None:
        self._shared = shared
        self._path = path
        self._file: _SharedFile | None = file

    @property
    def length(self) -> int:
        return self._open().reader.length

    def read(self, offset: int, size: int) -> bytes:
        return self._shared.read(self._path, self._open(), offset, size)

    def close(self) -> None:
        file, self._file = self._file, None
        if file is not None:
            self._shared.leave(self._path, file)

    def _open(self) -> _SharedFile:
        assert self._file is not None, "it was closed"
        return self._file


def _part(block: bytes, start: int, size: int) -> bytes:
    """
    At most *size* bytes of *block* from *start*, without a copy if that is the whole block.
    """
    return block if not start and len(block) <= size else block[start : start + size]
