"""
Missing slaves: an event for each slave that stays away longer than its ``missing_timeout``, once for each absence.
"""

from collections.abc import Callable

from sqlalchemy import Connection
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import LoopingCall
from twisted.logger import Logger

from ...deferreds import background
from ...storage.records import feed, states
from ...storage.writer import Records
from .member import Member
from .registry import SlaveRegistry

LOOK_EVERY = 60.0
EVENT = "slave.missing"


class MissingSlaves:
    """
    Looks at *slaves* each minute, from `start` to `stop`.  *wall*: seconds since 1970.

    An absence begins when the link was lost, or, for a slave that was never there, when this master started.
    """

    _log = Logger()

    def __init__(
        self, slaves: SlaveRegistry, *, records: Records, clock: IReactorTime, wall: Callable[[], float]
    ) -> None:
        self._slaves = slaves
        self._records = records
        self._wall = wall
        self._started = wall()
        self._looking = LoopingCall(self._look)
        self._looking.clock = clock

    def start(self) -> None:
        """
        Begin; slaves have their ``missing_timeout`` to connect.
        """
        background(self._looking.start(LOOK_EVERY, now=False), self._log, "looking for missing slaves")

    def stop(self) -> None:
        """
        End.
        """
        if self._looking.running:
            self._looking.stop()

    def _look(self) -> None:
        # In the background: a LoopingCall ends when its function fails.
        background(self._publish(), self._log, "noting missing slaves")

    async def _publish(self) -> None:
        now = self._wall()
        missing = [member for member in self._slaves.everyone() if self._is_missing(member, now)]
        if not missing:
            return

        def change(connection: Connection) -> None:
            for member in missing:
                owner, since = f"missing:{member.name}", member.lost_at
                if (states.get(connection, owner) or {"since": ""})["since"] != since:
                    body = {"slave": member.name, "since": since, "notify": list(member.config.notify_on_missing)}
                    feed.publish(connection, EVENT, now=now, body=body)
                    states.put(connection, owner, {"since": since}, now)

        await self._records.write(change)

    def _is_missing(self, member: Member, now: float) -> bool:
        if not member.config.notify_on_missing or member.session.hello is not None:
            return False
        return now - max(member.lost_at or 0.0, self._started) >= member.config.missing_timeout
