"""
A queue of the bytes that were received and not parsed yet.

Foolscap parses a token by taking 65 bytes and putting back those that it did not need.  For both, its own `StringChain`
copies the rest of the piece: up to 16 KiB (one TLS record), a dozen times for each chunk of a log.  Here, both only
move an offset.
"""

from collections import deque


class ByteQueue:
    """
    The part of the interface of `foolscap.stringchain.StringChain` that a broker uses.
    """

    def __init__(self) -> None:
        self._pieces: deque[bytes] = deque()
        # The number of bytes of the first piece that were taken; always less than its length.
        self._offset = 0
        self._length = 0

    def __len__(self) -> int:
        return self._length

    def append(self, data: bytes) -> None:
        """
        Add *data* at the end.
        """
        if data:
            self._pieces.append(data)
            self._length += len(data)

    def popleft(self, size: int) -> bytes:
        """
        Take *size* bytes from the front, or all if there are fewer.
        """
        if not self._pieces:
            return b""
        first, end = self._pieces[0], self._offset + size
        if end < len(first):
            data = first[self._offset : end]
            self._offset = end
        else:
            data = self._across(size)
        self._length -= len(data)
        return data

    def appendleft(self, data: bytes) -> None:
        """
        Put *data* back at the front.  It must be the bytes that were taken last.
        """
        self._length += len(data)
        if len(data) <= self._offset:
            self._offset -= len(data)
            return
        if self._offset:
            self._pieces[0] = self._pieces[0][self._offset :]
            self._offset = 0
        self._pieces.appendleft(data)

    def clear(self) -> None:
        """
        Drop everything.
        """
        self._pieces.clear()
        self._offset = self._length = 0

    def _across(self, size: int) -> bytes:
        parts = []
        while size and self._pieces:
            first = self._pieces[0]
            parts.append(first[self._offset : self._offset + size])
            size -= len(parts[-1])
            self._offset += len(parts[-1])
            if self._offset == len(first):
                self._pieces.popleft()
                self._offset = 0
        return b"".join(parts)
