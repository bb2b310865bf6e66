"""
Events about missing slaves: one for each absence of a slave that is longer than its ``missing_timeout``.
"""

from collections.abc import Callable, Mapping

from attrs import frozen
from sqlalchemy import Connection
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from ...deferreds import background
from ...storage.records import feed, states
from ...storage.roles import Records
from .member import Member
from .registry import SlaveRegistry

LOOK_EVERY = 60.0
EVENT = "slave.missing"
RETURN = 120.0
"""Seconds after the start of the master in which no slave counts as missing, because slaves still reconnect."""


@frozen
class _Absence:
    """
    *since*: when the link was lost, in seconds since 1970, which identifies the absence; None: the slave was never
    connected.  *begun*: when the absence began, in seconds of the monotonic clock.
    """

    since: float | None
    begun: float


class MissingSlaves:
    """
    Publishes the events for *slaves*: it looks for missing ones each minute, from `start` to `stop`.

    An absence begins when the link was lost, or, for a slave that was never connected, when this master started.  It is
    measured with the monotonic *clock*, so that a change of the system's time does not matter; only the part before the
    start of this master is computed from the recorded time.  *wall*: returns the time in seconds since 1970.
    """

    _log = Logger()

    def __init__(
        self, slaves: SlaveRegistry, *, records: Records, clock: IReactorTime, wall: Callable[[], float]
    ) -> None:
        self._slaves = slaves
        self._records = records
        self._clock = clock
        self._wall = wall
        self._started = clock.seconds()
        self._absences: Mapping[str, _Absence] = {}
        self._looking = LoopingCall(self._look)
        self._looking.clock = clock

    def start(self) -> None:
        """
        Start to look for missing slaves.  The registry must have read the recorded ones.
        """
        self._started, wall = self._clock.seconds(), self._wall()
        self._absences = {
            member.name: _Absence(member.lost_at, self._started - max(0.0, wall - member.lost_at))
            for member in self._slaves.everyone()
            if member.lost_at is not None
        }
        background(self._looking.start(LOOK_EVERY, now=False), self._log, "looking for missing slaves")

    def stop(self) -> None:
        if self._looking.running:
            self._looking.stop()

    def _look(self) -> None:
        # In the background, because a LoopingCall would end when its function fails.
        background(self._publish(), self._log, "noting missing slaves")

    async def _publish(self) -> None:
        self._absences = {
            member.name: self._absence(member) for member in self._slaves.everyone() if member.session.hello is None
        }
        missing = [member for member in self._slaves.everyone() if self._is_missing(member)]
        if not missing:
            return
        now = self._wall()

        def change(connection: Connection) -> None:
            for member in missing:
                owner, since = f"missing:{member.name}", member.lost_at
                if (states.get(connection, owner) or {"since": ""})["since"] != since:
                    body = {"slave": member.name, "since": since, "notify": list(member.config.notify_on_missing)}
                    feed.publish(connection, EVENT, now=now, body=body)
                    states.put(connection, owner, {"since": since}, now)

        await self._records.write(change)

    def _absence(self, member: Member) -> _Absence:
        known = self._absences.get(member.name)
        if known is not None and known.since == member.lost_at:
            return known
        return _Absence(member.lost_at, self._clock.seconds())

    def _is_missing(self, member: Member) -> bool:
        absence, now = self._absences.get(member.name), self._clock.seconds()
        if absence is None or not member.config.notify_on_missing or now - self._started < RETURN:
            return False
        return now - absence.begun >= member.config.missing_timeout
