"""
The roles of a submission: the objects behind FURLs, and the calls that their client accepts.
"""

from collections.abc import Callable
from typing import Protocol, runtime_checkable

from twisted.internet.defer import Deferred

from ..model.patch_base import PatchBase
from .control import Document, Follower

REFUSED_INPUT = "refused_input"
"""
The field on standard output, true, of a refusal of a submitted file that can never be used: the client's exit code is
another one than for a string that does not permit the submission.
"""
Read = Callable[[int], Deferred[bytes]]
"""
Reads the next bytes of the file that the client uploads, at most the given number (and `LARGEST_CHUNK`); ``b""`` at its
end.  Several calls may be unanswered at a time; they are answered in order.
"""


@runtime_checkable
class Watcher(Protocol):
    """
    A client that has submitted or watches, and waits for output.
    """

    def stdout(self, data: bytes) -> Deferred[None]:
        """
        Print *data*, at most `LARGEST_CHUNK` bytes, on standard output; fires when that is done.

        Wait for that before sending more, so that data for a slow client does not accumulate in memory.
        """

    def stderr(self, data: bytes) -> Deferred[None]:
        """
        Like `stdout`, for standard error.
        """

    def when_writable(self) -> Deferred[None]:
        """
        Fires when the connection's send buffer is not full.
        """

    def done(self, exit_code: int) -> Deferred[None]:
        """
        Make the client exit with *exit_code*; fires when the client has it or is disconnected.
        """

    def when_lost(self, callback: Callable[[], None]) -> None:
        """
        Call *callback* once, when the client is disconnected.
        """


@runtime_checkable
class StdinFeed(Protocol):
    """
    A consumer of a client's standard input.  Its exceptions do not reach the client: report errors to the `Watcher`.
    """

    def feed(self, data: bytes) -> None:
        """
        Take the next bytes.
        """

    def close(self) -> None:
        """
        Note the end of the input.  Not called when the client is disconnected before.
        """


@runtime_checkable
class Submission(Protocol):
    """
    The object of a ``flappclient``'s FURL.
    """

    def execute(self, watcher: Watcher) -> Deferred[StdinFeed | None]:
        """
        ``run-command``: submit, and send output to *watcher*.  Fires with the consumer of the client's standard input,
        None if it is not wanted; fails with a `RefusedError`.
        """

    def put(self, name: bytes, read: Read) -> Deferred[None]:
        """
        ``upload-file``: store the file called *name* (any bytes); fires when it is stored, fails with a `RefusedError`.
        """


@runtime_checkable
class Watchable(Protocol):
    """
    A `Submission` that submits nothing: its FURL is for watching a request.
    """

    def watch(self, watcher: Watcher, request: int | None = None) -> None:
        """
        Send the output of *request* (None: of all requests of the FURL) to *watcher*, from the beginning of the logs to
        the end.  Raises a `RefusedError`.
        """


@runtime_checkable
class AnsweringSubmission(Protocol):
    """
    A `Submission` that can answer with its requests, instead of following them.
    """

    def submit_patch(self, watcher: Watcher, base: PatchBase) -> Deferred[StdinFeed | None]:
        """
        Submit a patch that applies to *base*; fires with the consumer of the patch.

        If it is accepted, *watcher* gets on standard output a JSON object with "requests" (their numbers), "builders"
        and "watch" (the watch FURL), and the exit code 0.
        """

    def submit_file(self, watcher: Watcher, options: Document | None = None) -> Deferred[StdinFeed | None]:
        """
        Submit an input that is no patch.  *options*: for the scheduler that examines it.
        """


@runtime_checkable
class Askable(Protocol):
    """
    A `Submission` that answers questions about what was submitted.
    """

    def ask(self, question: Document) -> Deferred[Document]:
        """
        Fires with the answer, or fails with a refusal.
        """

    def follow(self, question: Document, follower: Follower) -> Deferred[Document]:
        """
        Send chunks to *follower*; fires with the answer after the last one, or fails with a refusal.
        """
