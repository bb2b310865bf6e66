"""
Waiting for an answer of the other side, so that to stop waiting does not stop the other side.
"""

from typing import TypeVar

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

T = TypeVar("T")


def shielded(awaited: Deferred[T]) -> Deferred[T]:
    """
    The same result; but to cancel this leaves *awaited* alone.
    """
    answer: Deferred[T] = Deferred()

    def fired(result: T | Failure) -> None:
        if not answer.called:
            if isinstance(result, Failure):
                answer.errback(result)
            else:
                answer.callback(result)

    awaited.addBoth(fired)  # type: ignore[unused-awaitable]  # *answer* is what is waited for
    return answer
