"""
Uses of FURLs: counted at once, recorded later.
"""

from collections.abc import Callable, Iterable

from attrs import evolve
from sqlalchemy import Connection
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from ...deferreds import background
from ...model.token_bucket import once_every
from ...storage.records import grants as records_of_grants
from ...storage.roles import Records
from .live_grants import LiveGrant

RECORD_USES_EVERY = 60.0
"""Seconds between two writes of uses: a killed master forgets the uses since the last one, a stopped one does not."""


class GrantUses:
    """
    Counts and records uses.  *wall*: returns seconds since 1970; *clock* is monotonic.
    """

    _log = Logger()

    def __init__(self, records: Records, wall: Callable[[], float], clock: IReactorTime) -> None:
        self._records = records
        self._wall = wall
        self._clock = clock

    def count(self, live: LiveGrant, now: float) -> None:
        """
        Count a use at *now* (seconds since 1970).
        """
        live.grant = evolve(live.grant, used=now, uses=live.grant.uses + 1)

    def record(self, id: int, now: float, times: int = 1) -> None:
        """
        Record that the grant *id* was used *times*, the last time at *now*.
        """
        background(
            self._records.write(lambda connection: records_of_grants.used(connection, id, now, times)),
            self._log,
            "noting the use of a string",
        )

    def looked_up(self, live: LiveGrant) -> None:
        """
        Count a use, and record uses once a minute: a command looks its FURL up for each question.
        """
        now = self._wall()
        self.count(live, now)
        live.unrecorded += 1
        if live.recording is None:
            live.recording = once_every(RECORD_USES_EVERY, self._clock.seconds)
        if live.recording.take():
            times, live.unrecorded = live.unrecorded, 0
            self.record(live.grant.id, now, times)

    def record_all(self, lives: Iterable[LiveGrant]) -> None:
        """
        Record the uses of *lives* that are not recorded yet, because the master stops.
        """
        counts = []
        for live in lives:
            if live.unrecorded:
                counts.append((live.grant.id, live.grant.used or self._wall(), live.unrecorded))
                live.unrecorded = 0

        def change(connection: Connection) -> None:
            for id, at, times in counts:
                records_of_grants.used(connection, id, at, times)

        if counts:
            background(self._records.write(change), self._log, "noting the uses of strings")

    def arrived_at(self, live: LiveGrant, port: int) -> None:
        """
        Record the *port* of the master at which the latest holder of the FURL arrived.
        """
        if live.grant.port == port:
            return
        live.grant = evolve(live.grant, port=port)
        id = live.grant.id
        background(
            self._records.write(lambda connection: records_of_grants.shown(connection, id, port)),
            self._log,
            "noting the port of a string",
        )
