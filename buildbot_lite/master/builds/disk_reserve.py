"""
Room on the master's disk that no slave alone can take from all others.

A log may have any length, and so may an artifact: nobody can say beforehand what is too much.  But when less than a
reserve is left of the disk, the slave that has sent most of late waits (it is told "later", as when the disk is full),
and what is left is for the others::

    plenty ──less than the reserve is free──► scarce: who sent most waits, others go on
       ^──────────── there is room again ────────'

What a slave has sent counts half after an hour, so that an old and busy one is not taken for the one that just went
wild; and who has sent little goes on in any case.

Rejected: a largest size for every stream by default, because a slave with many builds fills any disk within it, and
because the one honest log that is larger would be cut off.
"""

from collections.abc import Callable

from attrs import define, field
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from ...model.token_bucket import TokenBucket, once_every

LARGEST_RESERVE = 1 << 30
SHARE_OF_DISK = 20
"""Without a word of the admin: a twentieth of the disk, and no more than `LARGEST_RESERVE`."""
LITTLE = 16
"""This part of the reserve is little."""

_HALF_LIFE = 3600.0
_MEASURE_EVERY = 1.0
_MEASURE_AFTER = 64 << 20
_REPORT_EVERY = 60.0


@define
class _SentBytes:
    """
    What one slave has sent, and as of when that is.
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
    See the module.  *disk* gives the bytes that it has and those that are free; *least* the admin's word, in bytes, or
    None; *tell* hears why a slave waits: its name and the sentence.
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
        Whether *size* bytes of *slave* may be written now.
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
            return  # whoever writes to it will be told
        least = self.least()
        self._reserve = min(LARGEST_RESERVE, total // SHARE_OF_DISK) if least is None else least
        self._scarce = free < self._reserve

    def _is_greedy(self, sent: _SentBytes, now: float) -> bool:
        amount = sent.by(now)
        return amount > self._reserve / LITTLE and amount >= max(each.by(now) for each in self._sent.values())

    def _report(self, slave: str) -> None:
        why = (
            f"the master's disk has less than {self._reserve} bytes free (c['minspace']), and {slave} has sent most of "
            "late: it waits until there is more room, others go on"
        )
        self._log.warn("{slave}: {why}", slave=slave, why=why)
        self.report(slave, why)
