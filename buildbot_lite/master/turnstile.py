"""
How often a slave may attach.

Ours dials again after half a second at the soonest.  One that attaches a thousand times a second makes as many rows,
remarks and lines of log, and keeps everybody else waiting.
"""

from attrs import define, field
from twisted.internet.interfaces import IReactorTime

from ..errors import RefusedError

MOST_AT_ONCE = 200
PER_SECOND = 4.0
_SAY_EVERY = 60.0


@define
class Turnstile:
    """
    Lets *most* through at once, and then so many a second.
    """

    clock: IReactorTime
    most: int = MOST_AT_ONCE
    per_second: float = PER_SECOND
    _left: float = field(init=False)
    _seen: float = field(init=False)
    _said: float | None = field(init=False, default=None)

    def __attrs_post_init__(self) -> None:
        self._left, self._seen = float(self.most), self.clock.seconds()

    def pass_through(self, name: str) -> None:
        """
        One more, of the slave *name*; `RefusedError` when that is too often.
        """
        now = self.clock.seconds()
        self._left = min(float(self.most), self._left + (now - self._seen) * self.per_second)
        self._seen = now
        if self._left < 1.0:
            raise RefusedError(f"{name} attaches too often.  Something cuts its connection; see its log.")
        self._left -= 1.0

    def is_news(self) -> bool:
        """
        Whether a refusal is to be said now: not more than once a minute.
        """
        now = self.clock.seconds()
        if self._said is not None and now - self._said < _SAY_EVERY:
            return False
        self._said = now
        return True
