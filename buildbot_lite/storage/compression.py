"""
Compression of finished logs, one after the other, in one thread.
"""

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.internet.threads import deferToThreadPool
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from .compressed_streams import compress


class Compression:
    """
    A queue of files to compress.  Files may stay uncompressed for ever: a log is readable in either form.
    """

    _log = Logger()

    def __init__(self, reactor: IReactorFromThreads) -> None:
        self._reactor = reactor
        self._pool = ThreadPool(0, 1, "compression")
        self._running = False
        self._stopped = False

    def add(self, path: str) -> Deferred[bool]:
        """
        Compress the finished stream file *path* later.  Fires with whether it was compressed; errors are logged.
        """

        def failed(failure: Failure) -> bool:
            self._log.failure("{path} could not be compressed", failure=failure, path=path)
            return False

        def work() -> bool:
            return not self._stopped and compress(path, is_wanted=lambda: not self._stopped)

        if not self._running and not self._stopped:
            self._running = True
            self._pool.start()
        deferred: Deferred[bool] = deferToThreadPool(self._reactor, self._pool, work)
        return deferred.addErrback(failed)

    def stop(self) -> None:
        """
        Give up the current file, which stays as it is, and skip the others.  Blocks until the thread has ended: for the
        time of one frame, or of the last sync of a file.
        """
        self._stopped = True
        if self._running:
            self._running = False
            self._pool.stop()
