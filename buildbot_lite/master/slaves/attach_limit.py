"""
How often a slave may attach.

Ours dials again after half a second at the soonest.  One that attaches a thousand times a second makes as many rows,
remarks and lines of log, and keeps everybody else waiting.
"""

from attrs import define, field
from twisted.internet.interfaces import IReactorTime

from ...errors import RefusedError
from ...model.token_bucket import TokenBucket, once_every

MOST_AT_ONCE = 200
PER_SECOND = 4.0
_SAY_EVERY = 60.0


@define
class AttachLimit:
    """
    Lets *most* through at once, and then so many a second.
    """

    clock: IReactorTime
    most: int = MOST_AT_ONCE
    per_second: float = PER_SECOND
    _allowance: TokenBucket = field(init=False)
    _lines: TokenBucket = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._allowance = TokenBucket(self.clock.seconds, self.most, self.per_second)
        self._lines = once_every(_SAY_EVERY, self.clock.seconds)

    def admit(self, name: str) -> None:
        """
        One more, of the slave *name*; `RefusedError` when that is too often.
        """
        if not self._allowance.take():
            raise RefusedError(f"{name} attaches too often.  Something cuts its connection; see its log.")

    def may_report(self) -> bool:
        """
        Whether a refusal is to be said now: not more than once a minute.
        """
        return self._lines.take()
