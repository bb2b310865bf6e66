"""
The thread that writes followed output.

A pager that is not scrolled blocks only this thread.  If it blocked the reactor, the link to the master would be idle,
and count as dead after half a minute.
"""

import os
import threading
from collections.abc import Mapping
from functools import partial
from queue import SimpleQueue
from types import MappingProxyType

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.python.failure import Failure

from ...errors import BuildbotLiteError
from ...keeper.spawn import resize_pipe
from .printing import ERR, NAMES, OUT, TakeChunk

# Bytes that standard output holds if it is a pipe: what the master has in flight, and the most without privileges.
_PIPE = 1 << 20


class OutputWriter:
    """
    Writes followed chunks to standard output and standard error, in order, and no faster than these accept them.

    One thread writes, because a pipe with a slow reader would block the reactor.  The master bounds the chunks that
    wait for the thread: it has at most 1 MiB in flight to a client.
    """

    def __init__(self, descriptors: Mapping[int, int] = MappingProxyType({OUT: OUT, ERR: ERR})) -> None:
        self._descriptors = descriptors
        self._chunks: SimpleQueue[tuple[bytes, Deferred[None]]] = SimpleQueue()
        self._writer: threading.Thread | None = None
        self.refused: OSError | None = None
        """The first error of a write: the reader is gone, or the disk is full."""

    def by(self, reactor: IReactorFromThreads) -> TakeChunk:
        """
        The function that takes chunks, in the reactor's thread.
        """
        return partial(self._take, reactor)

    def _take(self, reactor: IReactorFromThreads, data: bytes) -> Deferred[None]:
        """
        Write a chunk, whose first byte names the stream; fires when it is written.
        """
        written: Deferred[None] = Deferred()
        self._chunks.put((data, written))
        if self._writer is None:
            for descriptor in self._descriptors.values():
                resize_pipe(descriptor, _PIPE)
            # A daemon thread: Ctrl-C need not wait for it.
            self._writer = threading.Thread(target=self._write_all, args=(reactor,), daemon=True)
            self._writer.start()
        return written

    def _write_all(self, reactor: IReactorFromThreads) -> None:
        while True:
            data, written = self._chunks.get()
            stream = int(data[:1])
            try:
                if self.refused is None:
                    self._write(self._descriptors[stream], memoryview(data)[1:])
            except OSError as error:
                self.refused = OSError(error.errno, error.strerror, NAMES[stream])
            if self.refused is None:
                reactor.callFromThread(written.callback, None)
            else:
                # A BuildbotLiteError becomes a sentence for the master; others would be logged here, with a traceback.
                failure = Failure(BuildbotLiteError("The client does not accept output any more."))
                reactor.callFromThread(written.errback, failure)

    def _write(self, descriptor: int, remaining: memoryview) -> None:
        while remaining:
            remaining = remaining[os.write(descriptor, remaining) :]
