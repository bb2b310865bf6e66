"""
A limit on how often one slave may attach.

buildbot_lite's slave waits at least half a second before it connects again.  Without the limit, a slave that attaches a
thousand times a second would cause as many rows, remarks and log lines, and delay all others.
"""

from attrs import define, field
from twisted.internet.interfaces import IReactorTime

from ...errors import RefusedError
from ...model.token_bucket import TokenBucket, once_every

MOST_AT_ONCE = 200
PER_SECOND = 4.0
_REPORT_EVERY = 60.0


@define
class AttachLimit:
    """
    The limit for one slave: a token bucket with room for *most* attachments, refilled with *per_second* each second.
    """

    clock: IReactorTime
    most: int = MOST_AT_ONCE
    per_second: float = PER_SECOND
    _allowance: TokenBucket = field(init=False)
    _lines: TokenBucket = field(init=False)

    def __attrs_post_init__(self) -> None:
        self._allowance = TokenBucket(self.clock.seconds, self.most, self.per_second)
        self._lines = once_every(_REPORT_EVERY, self.clock.seconds)

    def admit(self, name: str) -> None:
        """
        Count one attachment of the slave *name*; `RefusedError` when the limit is exceeded.
        """
        if not self._allowance.take():
            raise RefusedError(f"{name} attaches too often: its connection is lost again and again.  See its log.")

    def may_report(self) -> bool:
        """
        Whether a refusal may be logged now, which is once a minute.
        """
        return self._lines.take()
