"""
What is written to a client must be read: a connection whose buffer stays full is cut, and what waits in all full
buffers is bounded.

::

    transport ── its buffer is full, empty ──► TimedProducer ──► HTTP channel ──► what writes the answer
                                                ├── not sent at the first attempt: it counts
                                                └── full for `LONGEST_PAUSE`: the connection is cut

What was just written does not count: the transport's buffer is full until the reactor has tried to send it, also that
of a client that reads all the time.

It is an object of its own, and not the connection, whose `pauseProducing` means something else: an HTTP channel calls
that of its transport to read no further requests while answers wait to be read.
"""

from collections.abc import Callable
from typing import Any

from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime
from zope.interface import implementer

from .body_room import BodyRoom, HeldBody
from .fair_places import Occupant

SMALL_BUFFER = 2 << 10
"""Bytes that wait to be read in the buffer of a connection that is not yet full; as many are received at a time."""
LONGEST_PAUSE = 120
"""Seconds for which a client may leave its buffer full: as long as 64 KiB at 5 kbit/s take."""


@implementer(IPushProducer)
class TimedProducer:
    """
    What writes to a connection: *producer*.  *abort*: called when the connection's buffer stays full for
    `LONGEST_PAUSE` seconds of *clock*, or when there is no *room* for what is in it.  *unsent*: how many bytes
    these are.  *occupant*: for whom the connection counts at this moment.
    """

    def __init__(
        self,
        producer: Any,
        clock: IReactorTime,
        abort: Callable[[], object],
        room: BodyRoom,
        unsent: Callable[[], int],
        occupant: Callable[[], Occupant],
    ) -> None:
        self._producer = producer
        self._clock = clock
        self._abort = abort
        self._room = room
        self._unsent = unsent
        self._occupant = occupant
        self._unread = HeldBody(abort)
        self._pause: IDelayedCall | None = None
        self._count: IDelayedCall | None = None

    def wrote(self) -> None:
        """
        Something was written.  If the buffer is full, and stays so when the reactor has tried to send it, it counts.
        """
        if _is_active(self._pause) and not _is_active(self._count):
            # The first of these turns comes before the sockets', the second after it.
            self._count = self._clock.callLater(0, self._count_soon)

    def _count_soon(self) -> None:
        self._count = self._clock.callLater(0, self._count_unsent)

    def _count_unsent(self) -> None:
        if not self._room.resize(self._unread, self._unsent()):
            self._abort()

    def pauseProducing(self) -> None:  # noqa: N802 - Twisted's
        """
        The buffer is full.
        """
        if not _is_active(self._pause):
            self._room.release(self._unread)
            self._unread = HeldBody(self._abort, self._occupant())
        _end(self._pause)
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
        _end(self._pause)
        _end(self._count)
        self._room.release(self._unread)


def _is_active(call: IDelayedCall | None) -> bool:
    return call is not None and call.active()


def _end(call: IDelayedCall | None) -> None:
    if call is not None and call.active():
        call.cancel()
