"""
Bounds the calls that one peer makes: how many there are, and the bytes of their arguments until they are answered.
"""

from typing import Any

from foolscap.call import InboundDelivery
from foolscap.tokens import BananaError

from ..contract import MOST_BYTES_IN_CALLS, MOST_CALLS, UNAUTHENTICATED_CALLS

MESSAGE_OVERHEAD = 200
"""Bytes that a message takes in a buffer in addition to its data."""


class CallBounds:
    """
    The calls of one peer.
    """

    def __init__(self) -> None:
        self._calls = 0
        self._bytes = 0

    def begins(self, *, waiting: int, authenticated: bool) -> None:
        """
        Count a call, whose first token was read; `BananaError` if that makes too many.  *waiting*: the calls before it
        that are not made, or not answered.
        """
        self._calls += 1
        if not authenticated and self._calls > UNAUTHENTICATED_CALLS:
            raise BananaError("too many calls by an unauthenticated peer")
        if waiting >= MOST_CALLS:
            raise BananaError("too many calls at once")

    def received(self, call: InboundDelivery) -> None:
        """
        Count the bytes of *call*, whose last token was read; `BananaError` if that makes too many.
        """
        call.size = _size(call)
        self._bytes += call.size
        if self._bytes > MOST_BYTES_IN_CALLS:
            raise BananaError("too many bytes at once")

    def over(self, call: InboundDelivery) -> None:
        """
        Count the bytes of *call* no longer.
        """
        self._bytes -= call.size
        call.size = 0


def _size(call: Any) -> int:
    arguments = [*call.allargs.args, *call.allargs.kwargs.values()]
    return MESSAGE_OVERHEAD + sum(len(value) for value in arguments if isinstance(value, bytes))
