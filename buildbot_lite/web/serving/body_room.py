"""
Memory for the bodies of requests.
"""

from collections.abc import Callable
from typing import Self

from attrs import define, field


@define(eq=False)
class HeldBody:
    """
    A body that comes in, with *size* bytes so far.  *cut*: ends its connection.
    """

    cut: Callable[[], object]
    size: int = 0


@define(eq=False)
class BodyRoom:
    """
    Room for at most *most* bytes of bodies.  A body for which there is none displaces that which has been coming in for
    longest: who sends slowly, or never ends, does not keep the others out.
    """

    most: int
    held: int = 0
    _coming: dict[HeldBody, None] = field(factory=dict)

    def begin(self, body: HeldBody) -> Self:
        """
        *body* begins to come in.
        """
        self._coming[body] = None
        return self

    def grow(self, body: HeldBody, count: int) -> bool:
        """
        Whether there is room for *count* more bytes of *body*, which are held then.
        """
        while self.held + count > self.most:
            oldest = next(iter(self._coming), body)
            if oldest is body:
                return False
            self.release(oldest)
            oldest.cut()
        body.size += count
        self.held += count
        return True

    def complete(self, body: HeldBody) -> None:
        """
        *body* is here, and is not displaced while its request is answered.
        """
        self._coming.pop(body, None)

    def release(self, body: HeldBody) -> None:
        """
        *body* is not needed any more.
        """
        self.complete(body)
        self.held -= body.size
        body.size = 0
