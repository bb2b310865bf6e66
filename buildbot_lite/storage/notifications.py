"""
Who waits for what to grow.

A follower of a log sends what there is, asks `Growth.when_grown`, and looks again: it needs no queue of its own, and
a slow one finds more bytes the next time instead of a longer queue.  Nothing falls between, because both happen in
one turn of the reactor.
"""

from collections.abc import Hashable

from twisted.internet.defer import Deferred


class Growth:
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

    def when_grown(self, key: Hashable) -> Deferred[None]:
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
