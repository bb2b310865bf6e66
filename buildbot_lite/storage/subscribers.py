"""
Callbacks for committed events.
"""

from collections.abc import Callable, Sequence

from twisted.logger import Logger

from .records.feed import Event

OnCommit = Callable[[Sequence[Event]], object]


class Subscribers:
    """
    Callbacks for committed events.
    """

    _log = Logger()

    def __init__(self) -> None:
        self._callbacks: list[OnCommit] = []

    def add(self, callback: OnCommit) -> Callable[[], None]:
        """
        Call *callback* for later events.  Returns a function that ends the subscription.
        """
        self._callbacks.append(callback)

        def remove() -> None:
            if callback in self._callbacks:
                self._callbacks.remove(callback)

        return remove

    def notify(self, events: Sequence[Event]) -> None:
        """
        Call all callbacks with *events*.  An exception of one is logged; the others are called anyway.
        """
        if not events:
            return
        for callback in tuple(self._callbacks):
            try:
                callback(events)
            except Exception:  # noqa: BLE001 - the callback's mistake
                self._log.failure("A follower of the feed failed")
