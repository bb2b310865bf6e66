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
from twisted.internet.defer import Deferred
from zope.interface import implementer

from ..errors import LinkLostError, WrongVerbError
from .adapters import Remote
from .contract import LARGEST_CHUNK, Acknowledgement, Chunk, RIStdin, RISubmission
from .exposed import Exposed, Revocable

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
    What ``flappclient run-command`` finds at the end of its FURL.
    """

    def execute(self, watcher: Watcher) -> Deferred[StdinFeed | None]:
        """
        Go, and tell *watcher*.  Fires with what wants its standard input, or None; or fails with a refusal.
        """


@runtime_checkable
class Upload(Protocol):
    """
    What ``flappclient upload-file`` finds at the end of its FURL.
    """

    def put(self, name: bytes, read: Read) -> Deferred[None]:
        """
        Take the file that the client calls *name* (any bytes); fires when it is stored, or fails with a refusal.
        """


class RemoteWatcher(Remote):
    """
    A `Watcher`: a stock client, which knows no interface.
    """

    def stdout(self, data: bytes) -> Deferred[None]:
        return self._call("stdout", data=data, _resultConstraint=Acknowledgement)

    def stderr(self, data: bytes) -> Deferred[None]:
        return self._call("stderr", data=data, _resultConstraint=Acknowledgement)

    def done(self, exit_code: int) -> Deferred[None]:
        told = self._call("done", signal=None, exitcode=exit_code, _resultConstraint=Acknowledgement)
        # A client that was told to exit may be gone before it has answered.
        return told.addErrback(lambda failure: failure.trap(LinkLostError) and None)

    def when_lost(self, callback: Callable[[], None]) -> None:
        self.link.when_lost(callback)


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
class RunCommandService(Exposed):
    """
    *local*, for whoever holds a submission's (or a watch) FURL.
    """

    def __init__(self, local: Submission, revocable: Revocable) -> None:
        super().__init__(revocable)
        self._local = local

    def remote_execute(self, watcher: Any) -> Deferred[Referenceable | None]:
        started = self._local.execute(RemoteWatcher(watcher))
        return started.addCallback(lambda feed: ExposedStdin(feed, self.revocable) if feed is not None else None)

    def remote_putfile(self, name: bytes, source: object) -> None:
        raise WrongVerbError("This string takes no file.  Use it with: flappclient --furlfile FILE run-command")


@implementer(RISubmission)
class UploadService(Exposed):
    """
    *local*, for whoever holds the FURL of a submission that is a file.
    """

    def __init__(self, local: Upload, revocable: Revocable) -> None:
        super().__init__(revocable)
        self._local = local

    def remote_execute(self, watcher: object) -> None:
        raise WrongVerbError("This string takes a file.  Use it with: flappclient --furlfile FILE upload-file NAME")

    def remote_putfile(self, name: bytes, source: Any) -> Deferred[None]:
        return self._local.put(name, RemoteSource(source).read).addCallback(lambda _: None)
