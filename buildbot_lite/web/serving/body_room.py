"""
Memory for what connections hold: bodies of requests that come in, and answers that wait to be read.
"""

from collections.abc import Callable
from typing import Self

from attrs import define, field


@define(eq=False)
class HeldBody:
    """
    A body that comes in, or a full buffer of answers, with *size* bytes so far.  *cut*: ends its connection.
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
        Whether there is room for *count* more bytes of *body*, which are held then.  If not, no other is displaced.
        """
        lacking = self.held + count - self.most
        displaced: list[HeldBody] = []
        for oldest in self._coming:
            if lacking <= 0 or oldest is body:
                break
            # What holds nothing would be cut for nothing.
            if oldest.size:
                displaced.append(oldest)
                lacking -= oldest.size
        if lacking > 0:
            return False
        for each in displaced:
            self.release(each)
            each.cut()
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
