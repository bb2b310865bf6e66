"""
Changes of the running farm that no record has: slaves come and go, requests wait for other reasons.
"""

from collections.abc import Callable

from ...deferreds import Listeners


class LiveChanges:
    """
    Counts such changes.  *count* only grows, from 0 at the master's start.
    """

    def __init__(self) -> None:
        self.count = 0
        self._listeners: Listeners[None] = Listeners("A listener to the running farm")

    def note(self) -> None:
        """
        Something changed.
        """
        self.count += 1
        self._listeners.tell(None)

    def on_change(self, callback: Callable[[None], object]) -> Callable[[], None]:
        """
        Call *callback* after each change.  Returns a function that ends this.
        """
        return self._listeners.add(callback)
