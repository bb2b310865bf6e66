"""
A reserve on the master's disk that no single slave can use up.

A log or an artifact may have any length, because no limit would be right for all.  But if less than the reserve is
free, the slave that has sent the most bytes in the last hours must wait (the master refuses its bytes for now, as with
a full disk), and the rest of the disk is for the other slaves::

    plenty ──less than the reserve is free──► scarce: the largest sender waits
       ^──────────── there is room again ────────'

The count of sent bytes halves every hour, so that a slave that began to flood the disk just now counts more than one
that was busy for days.  A slave that has sent little is never stopped.

Rejected: a default limit on the size of every stream.  A slave with many builds can fill any disk within such a limit,
and a longer log would be cut although nothing is wrong with it.
"""

from collections.abc import Callable

from attrs import define, field
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from ...model.token_bucket import TokenBucket, once_every

LARGEST_RESERVE = 1 << 30
SHARE_OF_DISK = 20
"""The default reserve is the size of the disk divided by this, but at most `LARGEST_RESERVE` bytes."""
LITTLE = 16
"""A slave that has sent less than the reserve divided by this is never stopped."""

_HALF_LIFE = 3600.0
_MEASURE_EVERY = 1.0
_MEASURE_AFTER = 64 << 20
_REPORT_EVERY = 60.0


@define
class _SentBytes:
    """
    The bytes that one slave has sent, decayed up to the time *since*.
    """

    lines: TokenBucket
    since: float
    amount: float = 0.0

    def by(self, now: float) -> float:
        self.amount *= 0.5 ** ((now - self.since) / _HALF_LIFE)
        self.since = now
        return self.amount


@define
class DiskReserve:
    """
    Decides which slaves' bytes the master stores while its disk is almost full.

    *disk*: returns the size and the free space of the disk in bytes.  *least*: returns the configured reserve in bytes,
    or None.  *report*: called with the name of a slave that must wait and the reason, at most once a minute for each.
    """

    clock: IReactorTime
    disk: Callable[[], tuple[int, int]]
    least: Callable[[], int | None]
    report: Callable[[str, str], None]
    _log: Logger = field(factory=Logger)
    _sent: dict[str, _SentBytes] = field(factory=dict)
    _measured_at: float | None = field(default=None)
    _sent_since: int = field(default=0)
    _reserve: int = field(default=0)
    _scarce: bool = field(default=False)

    def admits(self, slave: str, size: int) -> bool:
        """
        Whether *size* bytes from *slave* may be written now.
        """
        now = self.clock.seconds()
        self._measure(now, size)
        sent = self._sent.setdefault(slave, _SentBytes(once_every(_REPORT_EVERY, self.clock.seconds), now))
        if self._scarce and self._is_greedy(sent, now):
            if sent.lines.take():
                self._report(slave)
            return False
        sent.amount = sent.by(now) + size
        return True

    def _measure(self, now: float, size: int) -> None:
        self._sent_since += size
        if (
            self._measured_at is not None
            and now - self._measured_at < _MEASURE_EVERY
            and self._sent_since < _MEASURE_AFTER
        ):
            return
        self._measured_at, self._sent_since = now, 0
        try:
            total, free = self.disk()
        except OSError:
            return  # the next write will report the error
        least = self.least()
        self._reserve = min(LARGEST_RESERVE, total // SHARE_OF_DISK) if least is None else least
        self._scarce = free < self._reserve

    def _is_greedy(self, sent: _SentBytes, now: float) -> bool:
        amount = sent.by(now)
        return amount > self._reserve / LITTLE and amount >= max(each.by(now) for each in self._sent.values())

    def _report(self, slave: str) -> None:
        reason = (
            f"the master's disk has less than {self._reserve} bytes free (c['minspace']), and {slave} recently sent "
            "most: its output waits until there is more room; other slaves go on"
        )
        self._log.warn("{slave}: {why}", slave=slave, why=reason)
        self.report(slave, reason)
