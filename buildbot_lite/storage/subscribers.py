"""
Callbacks for committed events.
"""

from collections.abc import Callable, Sequence

from ..deferreds import Listeners
from .records.feed import Event

OnCommit = Callable[[Sequence[Event]], object]


class Subscribers(Listeners[Sequence[Event]]):
    """
    Callbacks for the events of each commit.
    """

    def __init__(self) -> None:
        super().__init__("A follower of the feed")

    def notify(self, events: Sequence[Event]) -> None:
        """
        Call all callbacks with *events*, unless there is none.
        """
        if events:
            self.tell(events)
