"""
What is written to a client must be read: a connection whose buffer stays full is cut, and what waits in all full
buffers is bounded.

::

    transport ── its buffer is full, empty ──► TimedProducer ──► HTTP channel ──► what writes the answer
                                                └── full for `LONGEST_PAUSE`: the connection is cut

It is an object of its own, and not the connection, whose `pauseProducing` means something else: an HTTP channel calls
that of its transport to read no further requests while answers wait to be read.
"""

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime
from zope.interface import implementer

from .body_room import BodyRoom, HeldBody
from .fair_places import Occupant

LONGEST_PAUSE = 120
"""Seconds for which a client may leave its buffer full: as long as 64 KiB at 5 kbit/s take."""


@implementer(IPushProducer)
class TimedProducer:
    """
    What writes to a connection: *producer*.  *abort*: called when the connection's buffer stays full for
    `LONGEST_PAUSE` seconds of *clock*, or when there is no *room* for what is in it.  *occupant*: for whom the
    connection counts at this moment.
    """

    def __init__(
        self,
        producer: Any,
        clock: IReactorTime,
        abort: Callable[[], object],
        room: BodyRoom,
        occupant: Callable[[], Occupant],
    ) -> None:
        self._producer = producer
        self._clock = clock
        self._abort = abort
        self._room = room
        self._occupant = occupant
        self._unread = HeldBody(abort)
        self._pause: IDelayedCall | None = None

    def wrote(self, count: int) -> None:
        """
        So many bytes were written, and are in the buffer if it is full.
        """
        if self._is_paused and not self._room.grow(self._unread, count):
            self._abort()

    def pauseProducing(self) -> None:  # noqa: N802 - Twisted's
        """
        The buffer is full.
        """
        if not self._is_paused:
            self._room.release(self._unread)
            self._unread = HeldBody(self._abort, self._occupant())
        self._end_timer()
        self._pause = self._clock.callLater(LONGEST_PAUSE, self._abort)
        self._room.begin(self._unread)
        self._producer.pauseProducing()

    def resumeProducing(self) -> None:  # noqa: N802 - Twisted's
        """
        The buffer is empty.
        """
        self.end_pause()
        self._producer.resumeProducing()

    def stopProducing(self) -> None:  # noqa: N802 - Twisted's
        self.end_pause()
        self._producer.stopProducing()

    def end_pause(self) -> None:
        """
        Wait no longer for the client to read.
        """
        self._end_timer()
        self._room.release(self._unread)

    @property
    def _is_paused(self) -> bool:
        return self._pause is not None and self._pause.active()

    def _end_timer(self) -> None:
        if self._pause is not None and self._pause.active():
            self._pause.cancel()
