"""
How much of a shell may be on its way: bytes, calls, and sizes of its terminal.

::

    ShellSender ── at most 64 pieces, 64 KiB ──► ShellWindow ── at most 64 pieces, 64 KiB ──► the next link, or the end
                                                   what waits is joined

A peer that is sent too many calls at once cuts the link (`limits.call_bounds`), and a slave's link is used by others,
too.  So a piece counts as at least `LEAST_SHELL_CHARGE` bytes.  Earlier versions count bytes alone: what they send in
smaller pieces is accepted, and passed on in fewer.
"""

from collections import deque
from collections.abc import Callable
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.python.failure import Failure

from ..deferreds import OneShot
from ..errors import MessageError
from .contract import LARGEST_SHELL_PIECE, LEAST_SHELL_CHARGE, MOST_SHELL_PIECES, SHELL_WINDOW

Send = Callable[[bytes], Deferred[None]]


def _charge(data: bytes) -> int:
    return max(len(data), LEAST_SHELL_CHARGE)


@define(eq=False)
class _Passed:
    """
    Bytes that are passed on with *take*, of one or more pieces.
    """

    take: Send
    data: bytes
    taken: OneShot[None] = field(factory=OneShot)


class ShellWindow:
    """
    The unacknowledged bytes of one direction, at the side that receives them.  A shell that is not answered stops no
    other one on the same link.
    """

    def __init__(self) -> None:
        self._unanswered = 0
        self._unacknowledged = 0
        self._passed_on = 0
        self._waiting: deque[_Passed] = deque()

    def through(self, data: bytes, take: Send) -> Deferred[None]:
        """
        ``take(data)``, whose result acknowledges *data*; pieces that have to wait for others may be joined.
        `MessageError` if there is no byte, if more than `SHELL_WINDOW` would wait, or more than `MOST_SHELL_PIECES`.
        """
        if not data:
            raise MessageError("A piece of a shell has no bytes.")
        if self._unacknowledged + len(data) > SHELL_WINDOW:
            raise MessageError(f"More than {SHELL_WINDOW} bytes of a shell were sent before they were acknowledged.")
        if self._unanswered >= MOST_SHELL_PIECES:
            raise MessageError(f"More than {MOST_SHELL_PIECES} pieces were sent before they were acknowledged.")
        self._unacknowledged += len(data)
        self._unanswered += 1
        taken = self._queued(data, take).taken.wait().addBoth(self._answered, len(data))
        self._pass_on()
        return taken

    def _queued(self, data: bytes, take: Send) -> _Passed:
        last = self._waiting[-1] if self._waiting else None
        if last is not None and last.take == take and len(last.data) + len(data) <= LARGEST_SHELL_PIECE:
            last.data += data
            return last
        self._waiting.append(_Passed(take, data))
        return self._waiting[-1]

    def _pass_on(self) -> None:
        while self._waiting and self._passed_on + (charge := _charge(self._waiting[0].data)) <= SHELL_WINDOW:
            passed = self._waiting.popleft()
            self._passed_on += charge
            maybeDeferred(passed.take, passed.data).addBoth(self._taken, passed, charge)  # type: ignore[unused-awaitable]
            if not passed.taken.fired:
                passed.taken.wait().addBoth(lambda _: self._pass_on())  # type: ignore[unused-awaitable]

    def _taken(self, result: Failure | None, passed: _Passed, charge: int) -> None:
        self._passed_on -= charge
        passed.taken.fire(result)

    def _answered(self, result: Any, size: int) -> Any:
        self._unacknowledged -= size
        self._unanswered -= 1
        return result


class ShellSender:
    """
    Sends the bytes of one direction in pieces, at most `SHELL_WINDOW` unacknowledged, each piece counted as at least
    `LEAST_SHELL_CHARGE`.

    *full*: called when bytes have to wait here, so that no more are read; *room*: called when none waits any more.
    *failed*: called once, with the first error of a piece; after it, bytes are thrown away.
    """

    def __init__(
        self, *, full: Callable[[], None], room: Callable[[], None], failed: Callable[[Failure], None]
    ) -> None:
        self._full = full
        self._room = room
        self._failed = failed
        self._waiting: deque[tuple[Send, bytes]] = deque()
        self._unacknowledged = 0
        self._flushed: list[OneShot[None]] = []
        self._closed = False

    @property
    def is_full(self) -> bool:
        """
        Whether bytes wait here for the acknowledgement of others.
        """
        return bool(self._waiting)

    def send(self, send: Send, data: bytes) -> None:
        """
        Send *data* with *send*, after all that was sent before.
        """
        if self._closed:
            return
        # A call for each byte would take far more than the byte.
        if self._waiting and self._waiting[-1][0] == send:
            data = self._waiting.pop()[1] + data
        for start in range(0, len(data), LARGEST_SHELL_PIECE):
            self._waiting.append((send, data[start : start + LARGEST_SHELL_PIECE]))
        self._send_some()
        if self._waiting:
            self._full()

    def when_flushed(self) -> Deferred[None]:
        """
        Fires when everything is acknowledged, or the sender is closed.
        """
        flushed: OneShot[None] = OneShot()
        self._flushed.append(flushed)
        self._tell_flushed()
        return flushed.wait()

    def close(self) -> None:
        """
        Throw everything away that waits, and what comes later.
        """
        self._closed = True
        self._waiting.clear()
        self._tell_flushed()

    def _send_some(self) -> None:
        while self._waiting and self._unacknowledged + (charge := _charge(self._waiting[0][1])) <= SHELL_WINDOW:
            send, piece = self._waiting.popleft()
            self._unacknowledged += charge
            # The errback of the last one takes every failure.
            send(piece).addCallbacks(self._acknowledged, self._refused, callbackArgs=(charge,))  # type: ignore[unused-awaitable]

    def _acknowledged(self, _: None, charge: int) -> None:
        waited = bool(self._waiting)
        self._unacknowledged -= charge
        self._send_some()
        if waited and not self._waiting:
            self._room()
        self._tell_flushed()

    def _refused(self, failure: Failure) -> None:
        if not self._closed:
            self.close()
            self._failed(failure)

    def _tell_flushed(self) -> None:
        if self._closed or not (self._waiting or self._unacknowledged):
            flushed, self._flushed = self._flushed, []
            for each in flushed:
                each.fire(None)


Resize = Callable[[int, int], Deferred[None]]


class SizeWindow:
    """
    Passes sizes of a terminal on with *resize*: one call at a time.  Of the sizes that come meanwhile, only the last is
    passed on, and the others are answered at once.
    """

    def __init__(self, resize: Resize) -> None:
        self._resize = resize
        self._unanswered: OneShot[None] | None = None
        self._next: tuple[int, int, OneShot[None]] | None = None

    def through(self, rows: int, columns: int) -> Deferred[None]:
        """
        ``resize(rows, columns)``, now or later, unless another size comes before.
        """
        if self._next is not None:
            self._next[2].fire(None)
        answered: OneShot[None] = OneShot()
        self._next = rows, columns, answered
        if self._unanswered is None:
            self._pass_on()
        return answered.wait()

    def _pass_on(self) -> None:
        if self._next is not None:
            (rows, columns, self._unanswered), self._next = self._next, None
            maybeDeferred(self._resize, rows, columns).addBoth(self._answered, self._unanswered)  # type: ignore[unused-awaitable]

    def _answered(self, result: Failure | None, answered: OneShot[None]) -> None:
        self._unanswered = None
        answered.fire(result)
        self._pass_on()


class CalledOnce:
    """
    Makes *call* once, however often it is asked to; all get the same answer.
    """

    def __init__(self, call: Callable[[], Deferred[None]]) -> None:
        self._call = call
        self._answer: OneShot[None] | None = None

    def __call__(self) -> Deferred[None]:
        if self._answer is None:
            self._answer = OneShot()
            maybeDeferred(self._call).addBoth(self._answer.fire)  # type: ignore[unused-awaitable]
        return self._answer.wait()
