"""
The objects that a stock ``flappclient`` may call: submissions and uploads.

::

    run-command                                    upload-file
    client -- execute(watcher) --> master          client -- putfile(name, source) --> master
           <-- None, or stdin -----                       <-- read(size) --------------
           <-- stdout(data) -------  (each acknowledged)  -- data -------------------->  (b"" at its end)
           <-- stderr(data) -------                       <-- None: it is stored ------
           -- feed_stdin(data) --->  (not acknowledged)
           -- close_stdin() ------>
           <-- done(None, code) ---

``run-command`` prints the data and exits with the code; ``upload-file`` prints the file's name and exits 0.  On a
refusal, either prints the sentence and exits 255.  A FURL permits one of the two commands, and refuses the other with
a sentence that says which one it permits.
"""

from collections.abc import Callable
from typing import Any

from foolscap.api import Referenceable
from twisted.internet.defer import Deferred, DeferredLock
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from zope.interface import implementer

from ..errors import LinkLostError, WrongVerbError
from ..model.patch_base import PatchBase
from .contract import (
    LARGEST_CHUNK,
    Acknowledgement,
    Chunk,
    RIStdin,
    RISubmission,
)
from .control import RemoteFollower, answer_bytes, question_from
from .exposed import Exposed, Revocable
from .failures import our_error, would_block
from .flapp_roles import AnsweringSubmission, Askable, StdinFeed, Submission, Watchable
from .proxies import Remote

# Bytes of the smallest buffer of a stock client's standard output.  Python makes it as large as the file's block size:
# 4096 bytes for a pipe, 1024 for a terminal.
_CLIENT_BUFFER = 1024
# Seconds before the first and, doubled each time, between later checks whether that buffer was written.
_FIRST_PAUSE = 0.005
_LONGEST_PAUSE = 0.5

TAKES_NO_FILE = "This string takes no file.  Use it with: flappclient --furlfile FILE run-command"
TAKES_A_FILE = "This string takes a file.  Use it with: flappclient --furlfile FILE upload-file NAME"

TAKES_NO_PATCH = (
    'This string takes no patch: its Submit scheduler in master.cfg has no stdin="patch".  Ask the farm\'s admin for '
    "the string of a scheduler that has it."
)
ANSWERS_NOTHING = (
    "This string is not for the buildbot-lite command, which takes private/admin.furl of a master's directory, or one "
    "that buildbot-lite grant watch or grant control made.  The watch string of a request is for: buildbot-lite follow"
)
NOT_TO_WATCH = "This string is for submitting.  To follow a submission, use the watch string that it prints."


class RemoteWatcher(Remote):
    """
    A `Watcher` on a stock client, which has no Foolscap interfaces.

    A stock client that sends its standard input has made its standard output non-blocking, too.  If that output is read
    slowly, a write in the client fails with BlockingIOError; bytes that fit into the client's output buffer stay in it.
    So such a client gets pieces of the buffer's size, one at a time.  After a failed write it gets empty pieces until
    one succeeds, which means that the buffer was written.  (With PYTHONUNBUFFERED there is no buffer, and the client
    loses output without an error.)

    A stock client that does not send its standard input blocks while its output is not read, and answers no pings.  So
    its link is not given up for silence.
    """

    def __init__(self, reference: Any) -> None:
        super().__init__(reference)
        self._clock: IReactorTime = reference.tracker.broker.tub.clock
        self._in_pieces = False
        self._one_at_a_time = DeferredLock()
        reference.tracker.broker.tolerate_silence()

    def sends_stdin(self) -> None:
        """
        Note that the client sends its standard input.
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
        answer = self._one_at_a_time.run(
            self._call, "done", signal=None, exitcode=exit_code, _resultConstraint=Acknowledgement
        )
        # The client may exit before it answers.
        return answer.addErrback(lambda failure: failure.trap(LinkLostError) and None)

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
        except Exception as raised:  # noqa: BLE001 - converted to an error of ours
            if would_block(raised):
                return True
            raise our_error(raised) from None
        return False


class RemoteSource(Remote):
    """
    A file that a stock client uploads.
    """

    def read(self, size: int) -> Deferred[bytes]:
        """
        Read the next bytes, at most *size*; ``b""`` at its end.
        """
        return self._call("read", size=min(size, LARGEST_CHUNK), _resultConstraint=Chunk)


@implementer(RIStdin)
class ExposedStdin(Exposed):
    """
    *feed*, for the client that sends its standard input.  Calls after ``close_stdin`` are ignored.
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
    *local*, for the holder of a submission or watch FURL.
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

    def remote_watch_request(self, watcher: Any, request: int) -> None:
        if not isinstance(self._local, Watchable):
            raise WrongVerbError(NOT_TO_WATCH)
        self._local.watch(RemoteWatcher(watcher), request)

    def remote_submit_patch(self, watcher: Any, base: bytes) -> Deferred[Referenceable | None]:
        if not isinstance(self._local, AnsweringSubmission):
            raise WrongVerbError(TAKES_NO_PATCH)
        return self._fed(self._local.submit_patch(RemoteWatcher(watcher), PatchBase.from_bytes(base)))

    def remote_submit_file(self, watcher: Any) -> Deferred[Referenceable | None]:
        if not isinstance(self._local, AnsweringSubmission):
            raise WrongVerbError(TAKES_NO_FILE)
        return self._fed(self._local.submit_file(RemoteWatcher(watcher)))

    def remote_submit_with(self, watcher: Any, options: bytes) -> Deferred[Referenceable | None]:
        if not isinstance(self._local, AnsweringSubmission):
            raise WrongVerbError(TAKES_NO_FILE)
        return self._fed(self._local.submit_file(RemoteWatcher(watcher), question_from(options)))

    def remote_ask(self, request: bytes) -> Deferred[bytes]:
        if not isinstance(self._local, Askable):
            raise WrongVerbError(ANSWERS_NOTHING)
        return self._local.ask(question_from(request)).addCallback(self.revocable.account.charged(answer_bytes))

    def remote_follow(self, request: bytes, follower: Any) -> Deferred[bytes]:
        if not isinstance(self._local, Askable):
            raise WrongVerbError(ANSWERS_NOTHING)
        return self._local.follow(question_from(request), RemoteFollower(follower)).addCallback(answer_bytes)

    def _fed(self, submitting: Deferred[StdinFeed | None]) -> Deferred[Referenceable | None]:
        return submitting.addCallback(lambda feed: None if feed is None else ExposedStdin(feed, self.revocable))

    def remote_putfile(self, name: bytes, source: Any) -> Deferred[None]:
        return self._local.put(name, RemoteSource(source).read).addCallback(lambda _: None)
