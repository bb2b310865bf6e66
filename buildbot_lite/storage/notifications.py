"""
Notifications that a stream or a request's events have grown.

A follower of a log sends the bytes that exist, waits for `Notifications.next_change`, and reads again.  It has no
queue: a slow follower finds more bytes at its next read.  It misses no change, because reading and starting to wait
happen in one turn of the reactor.
"""

from collections.abc import Callable, Hashable

from twisted.internet.defer import Deferred

from ..deferreds import Listeners, OneShot


class Notifications:
    """
    Waiting Deferreds by key (a stream's path, a request's number).  A key without waiters takes no memory.
    """

    def __init__(self) -> None:
        self._next: dict[Hashable, OneShot[None]] = {}
        self._growth: Listeners[Hashable] = Listeners("A listener to growing streams")
        self.bytes_arrived = 0
        """Bytes appended to all streams since the process started."""

    def changed(self, key: Hashable, size: int = 0) -> None:
        """
        Fire all Deferreds that wait for *key*: it grew (by *size* bytes, for a stream) or ended.
        """
        if size:
            self.bytes_arrived += size
            self._growth.tell(key)
        # Removed first: a callback may wait for the next change at once.
        if change := self._next.pop(key, None):
            change.fire(None)

    def next_change(self, key: Hashable) -> Deferred[None]:
        """
        Fires at the next change of *key*.  Cancel it to stop waiting.
        """
        return self._next.setdefault(key, OneShot(lambda: self._next.pop(key))).wait()

    def on_growth(self, callback: Callable[[Hashable], object]) -> Callable[[], None]:
        """
        Call *callback* with the key of each stream that grows, at once and each time: it must be quick.  Returns a
        function that ends this.
        """
        return self._growth.add(callback)

    def __len__(self) -> int:
        return sum(change.waiting for change in self._next.values())
