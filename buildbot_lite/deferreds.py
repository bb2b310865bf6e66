"""
Fire and forget, in the one spelling that the project has.
"""

from collections.abc import Coroutine
from typing import Any, TypeVar

from twisted.internet.defer import Deferred
from twisted.logger import Logger
from twisted.python.failure import Failure

from .errors import (
    BuildbotLiteError,
    LinkLostError,
    RecordsClosedError,
)
from .model.display import printable

T = TypeVar("T")


def background(work: Deferred[Any] | Coroutine[Deferred[Any], Any, Any], log: Logger, what: str) -> None:
    """
    Let *work* go on by itself; when it fails, *log* says that *what* did.

    A lost link is no event, nor are records that are closed because the master stops.  Our own errors are one line;
    anything else is a defect and gets its traceback.
    """
    running = work if isinstance(work, Deferred) else Deferred.fromCoroutine(work)

    def failed(failure: Failure) -> None:
        if failure.check(LinkLostError, RecordsClosedError):
            return
        if failure.check(BuildbotLiteError):
            log.warn("{what}: {why}", what=what, why=printable(str(failure.value)))
        else:
            log.failure("{what} failed", failure=failure, what=what)

    running.addErrback(failed)  # type: ignore[unused-awaitable]  # this is the place where nobody awaits


def undisturbed(work: Coroutine[Deferred[Any], Any, T]) -> Deferred[T]:
    """
    What *work* gives.  It goes on to its end, also if whoever waits for it is cancelled.
    """
    done: Deferred[T] = Deferred()
    Deferred.fromCoroutine(work).addCallbacks(done.callback, done.errback)  # type: ignore[unused-awaitable]  # both ends are given
    return done
