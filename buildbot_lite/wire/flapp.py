"""
What the stock ``flappclient`` may call: submissions and uploads.

::

    run-command                                    upload-file
    client -- execute(watcher) --> master          client -- putfile(name, source) --> master
           <-- None, or stdin -----                       <-- read(size) --------------
           <-- stdout(data) -------  (each acknowledged)  -- data -------------------->  (b"" at its end)
           <-- stderr(data) -------                       <-- None: it is stored ------
           -- feed_stdin(data) --->  (not acknowledged)
           -- close_stdin() ------>
           <-- done(None, code) ---

``run-command`` prints what it is sent and exits with the code; ``upload-file`` prints the file's name and exits 0.
Either prints the sentence of a refusal and exits 255.  A FURL obeys one of the two verbs, and says so when it is used
the other way.
"""

from collections.abc import Callable
from typing import Any, Protocol, runtime_checkable

from foolscap.api import Referenceable
from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from zope.interface import implementer

from ..errors import LinkLostError, WrongVerbError
from .contract import (
    LARGEST_CHUNK,
    Acknowledgement,
    Chunk,
    RIStdin,
    RISubmission,
)
from .exposed import Exposed, Revocable
from .failures import our_error, would_block
from .proxies import Remote

# The smallest buffer that a stock client's standard output has: Python makes it as large as the file's block, which
# is 4096 bytes for a pipe and 1024 for a terminal.  And seconds between two looks whether it is empty again.
_CLIENT_BUFFER = 1024
_FIRST_PAUSE = 0.005
_LONGEST_PAUSE = 0.5

TAKES_NO_FILE = "This string takes no file.  Use it with: flappclient --furlfile FILE run-command"
TAKES_A_FILE = "This string takes a file.  Use it with: flappclient --furlfile FILE upload-file NAME"

NOT_TO_WATCH = (
    "This string submits, and nothing is submitted by following.  Take the watch string that a submission prints."
)

Read = Callable[[int], Deferred[bytes]]
"""
Asks the uploader for the next bytes of its file: at most so many, ``b""`` at its end.  Several may be asked at once;
they are answered in order.
"""


@runtime_checkable
class Watcher(Protocol):
    """
    The client that submitted, and waits.
    """

    def stdout(self, data: bytes) -> Deferred[None]:
        """
        Print *data*, at most `LARGEST_CHUNK` bytes; fires when that is done.

        Whoever waits for it keeps a slow client from costing memory.
        """

    def stderr(self, data: bytes) -> Deferred[None]:
        """
        The same on its standard error.
        """

    def when_writable(self) -> Deferred[None]:
        """
        Fires when the connection has taken what it was given.
        """

    def done(self, exit_code: int) -> Deferred[None]:
        """
        Exit; fires when it was told, or is gone.
        """

    def when_lost(self, callback: Callable[[], None]) -> None:
        """
        Call *callback* once, when the client is gone.
        """


@runtime_checkable
class StdinFeed(Protocol):
    """
    What wants a client's standard input.  Nothing that it raises reaches the client: tell the `Watcher`.
    """

    def feed(self, data: bytes) -> None:
        """
        The next bytes.
        """

    def close(self) -> None:
        """
        That was all of it.  A client that is lost has not said so.
        """


@runtime_checkable
class Submission(Protocol):
    """
    What ``flappclient`` finds at the end of its FURL.
    """

    def execute(self, watcher: Watcher) -> Deferred[StdinFeed | None]:
        """
        ``run-command``: go, and tell *watcher*.  Fires with what wants its standard input, or None; or fails with a
        refusal.
        """

    def put(self, name: bytes, read: Read) -> Deferred[None]:
        """
        ``upload-file``: take the file that the client calls *name* (any bytes); fires when it is stored, or fails with
        a refusal.
        """


@runtime_checkable
class Watchable(Protocol):
    """
    A `Submission` that submits nothing: its string is to watch a request.
    """

    def watch(self, watcher: Watcher) -> None:
        """
        Tell *watcher* of the request, from the beginning to the end; raises a refusal.
        """


class RemoteWatcher(Remote):
    """
    A `Watcher`: a stock client, which knows no interface.

    Once it sends its standard input, the stock client's standard output does not block any more; so when whatever
    reads it is slow, a write fails there with BlockingIOError.  What fits into the client's buffer is not
    lost then, it only waits; so such a client gets smaller pieces, one at a time, and when one of them waits, empty
    ones until it was written.  (Under PYTHONUNBUFFERED it has no such buffer: it loses output, and no one knows.)

    One that does not send its standard input stands still while whatever reads its output does.  It answers no ping
    then, so its link is not given up for silence.
    """

    def __init__(self, reference: Any) -> None:
        super().__init__(reference)
        self._clock: IReactorTime = reference.tracker.broker.tub.clock
        self._in_pieces = False
        self._one_at_a_time = DeferredLock()
        reference.tracker.broker.tolerate_silence()

    def sends_stdin(self) -> None:
        """
        From now on the client sends its standard input.
        """
        self._in_pieces = True

    def stdout(self, data: bytes) -> Deferred[None]:
        self.count_stream_bytes(len(data))
        return self._write("stdout", data)

    def stderr(self, data: bytes) -> Deferred[None]:
        return self._write("stderr", data)

    def when_writable(self) -> Deferred[None]:
        return self.backlog.when_clear()

    def done(self, exit_code: int) -> Deferred[None]:
        told = self._one_at_a_time.run(
            self._call, "done", signal=None, exitcode=exit_code, _resultConstraint=Acknowledgement
        )
        # A client that was told to exit may be gone before it has answered.
        return told.addErrback(lambda failure: failure.trap(LinkLostError) and None)

    def when_lost(self, callback: Callable[[], None]) -> None:
        self.link.when_lost(callback)

    def _write(self, stream: str, data: bytes) -> Deferred[None]:
        if not self._in_pieces:
            return self._call(stream, data=data, _resultConstraint=Acknowledgement)
        return self._one_at_a_time.run(lambda: Deferred.fromCoroutine(self._write_in_pieces(stream, data)))

    async def _write_in_pieces(self, stream: str, data: bytes) -> None:
        for start in range(0, len(data), _CLIENT_BUFFER):
            piece = data[start : start + _CLIENT_BUFFER]
            pause = _FIRST_PAUSE
            while await self._blocks(stream, piece):
                piece = b""
                await deferLater(self._clock, pause)
                pause = min(2 * pause, _LONGEST_PAUSE)

    async def _blocks(self, stream: str, piece: bytes) -> bool:
        try:
            await self._reference.callRemote(stream, data=piece, _resultConstraint=Acknowledgement)
        except Exception as raised:  # noqa: BLE001 - each is put into our words
            if would_block(raised):
                return True
            raise our_error(raised) from None
        return False


class RemoteSource(Remote):
    """
    A file that a stock client holds open.
    """

    def read(self, size: int) -> Deferred[bytes]:
        """
        See `Read`.
        """
        return self._call("read", size=min(size, LARGEST_CHUNK), _resultConstraint=Chunk)


@implementer(RIStdin)
class ExposedStdin(Exposed):
    """
    *feed*, for the client whose standard input it wants.
    """

    def __init__(self, feed: StdinFeed, revocable: Revocable) -> None:
        super().__init__(revocable)
        self._feed = feed
        self._closed = False

    def remote_feed_stdin(self, data: bytes) -> None:
        if not self._closed:
            self._feed.feed(data)

    def remote_close_stdin(self) -> None:
        if not self._closed:
            self._closed = True
            self._feed.close()


@implementer(RISubmission)
class FlappService(Exposed):
    """
    *local*, for whoever holds a submission's (or a watch) FURL.
    """

    def __init__(self, local: Submission, revocable: Revocable) -> None:
        super().__init__(revocable)
        self._local = local

    def remote_execute(self, watcher: Any) -> Deferred[Referenceable | None]:
        remote = RemoteWatcher(watcher)

        def started(feed: StdinFeed | None) -> Referenceable | None:
            if feed is None:
                return None
            remote.sends_stdin()
            return ExposedStdin(feed, self.revocable)

        return self._local.execute(remote).addCallback(started)

    def remote_watch(self, watcher: Any) -> None:
        if not isinstance(self._local, Watchable):
            raise WrongVerbError(NOT_TO_WATCH)
        self._local.watch(RemoteWatcher(watcher))

    def remote_putfile(self, name: bytes, source: Any) -> Deferred[None]:
        return self._local.put(name, RemoteSource(source).read).addCallback(lambda _: None)
