"""
The events that the client has not received.

Only the kind of an event and the command's id are kept, each pair once, in order; the message is made when it is sent,
from the state at that time.  So the memory for events is bounded by the number of commands.  The growth of spools is
collected, and reported once in each period::

    grew ──at once──► event    grew, grew ──0.01 s after the last round──► event
"""

from collections.abc import Callable
from typing import Any

from .loop import Loop, Timer

# Seconds between two rounds of *grew* events; the first is sent at once.
_GREW_PERIOD = 0.01

Message = dict[str, Any]


class EventQueue:
    """
    *message*: makes the message of an event, from its kind and the command's id; None if there is nothing to tell any
    more.  *added*: called when there is an event to send.
    """

    def __init__(self, loop: Loop, *, message: Callable[[str, str], Message | None], added: Callable[[], None]) -> None:
        self._loop = loop
        self._message = message
        self._added = added
        self._events: dict[tuple[str, str], None] = {}
        self._grown: dict[str, None] = {}
        self._grew_timer: Timer | None = None
        self._open = False

    def open(self) -> None:
        """
        Begin with an empty queue, because the client has got the present state.
        """
        self._open = True
        self._events.clear()

    def close(self) -> None:
        """
        Take and give no events, because there is no client, or it has not introduced itself.
        """
        self._open = False

    def add(self, kind: str, id: str) -> None:
        """
        Add the event *kind* of the command *id*.
        """
        if self._open:
            self._events[kind, id] = None
            self._added()

    def grew(self, id: str) -> None:
        """
        Add the event "grew" of the command *id*, at the end of this period.
        """
        self._grown[id] = None
        if self._grew_timer is None:
            self._grew_timer = self._loop.later(0.0, self._end_period)

    def next(self) -> Message | None:
        """
        The next message for the client, or None.
        """
        while self._open and self._events:
            event = next(iter(self._events))
            del self._events[event]
            if (message := self._message(*event)) is not None:
                return message
        return None

    def _end_period(self) -> None:
        self._grew_timer = None
        for id in self._grown:
            self.add("grew", id)
        if self._grown:
            self._grown.clear()
            self._grew_timer = self._loop.later(_GREW_PERIOD, self._end_period)
