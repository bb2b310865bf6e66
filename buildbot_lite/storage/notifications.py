"""
Notifications that a stream or a request's events have grown.

A follower of a log sends the bytes that exist, waits for `Notifications.next_change`, and reads again.  It has no
queue: a slow follower finds more bytes at its next read.  It misses no change, because reading and starting to wait
happen in one turn of the reactor.
"""

from collections.abc import Hashable

from twisted.internet.defer import Deferred


class Notifications:
    """
    For each key (a stream's path, a request's number) those who wait for it.  A key that nobody awaits costs nothing.
    """

    def __init__(self) -> None:
        self._waiting: dict[Hashable, list[Deferred[None]]] = {}
        self.bytes_arrived = 0
        """Of all streams, since the process began."""

    def changed(self, key: Hashable, size: int = 0) -> None:
        """
        There is more of *key*, by *size* bytes if it is a stream, or it ended.
        """
        self.bytes_arrived += size
        # Taken out first: whoever looks now may wait again at once.
        for waiting in self._waiting.pop(key, ()):
            waiting.callback(None)

    def next_change(self, key: Hashable) -> Deferred[None]:
        """
        Fires at the next change of *key*.  Cancelling it is how to stop waiting.
        """

        def forget(cancelled: Deferred[None]) -> None:
            waiting = self._waiting.get(key, [])
            if cancelled in waiting:
                waiting.remove(cancelled)
                if not waiting:
                    del self._waiting[key]

        deferred: Deferred[None] = Deferred(forget)
        self._waiting.setdefault(key, []).append(deferred)
        return deferred

    def __len__(self) -> int:
        return sum(map(len, self._waiting.values()))
