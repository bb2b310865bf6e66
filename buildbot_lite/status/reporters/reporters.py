"""
The reporters of a farm: one loop for each that the configuration in force has.
"""

from collections.abc import Callable, Sequence

from sqlalchemy import Connection
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from ...deferreds import background
from ...master.config.master_config import MasterConfig
from ...master.farm import Farm
from ...storage.records import outbox, states
from ...storage.records.feed import Event
from .details import FarmFacts
from .event_reports import KINDS
from .loop import ReporterLoop
from .reporter import Outside, Reporter


class Reporters:
    """
    The loops of the reporters of *farm*, from `start` to `stop`.  *wall*: seconds since 1970.
    """

    _log = Logger()

    def __init__(self, farm: Farm, *, outside: Outside, clock: IReactorTime, wall: Callable[[], float]) -> None:
        self._farm = farm
        self._outside = outside
        self._clock = clock
        self._wall = wall
        self._loops: dict[str, ReporterLoop] = {}
        self._unsubscribe: Callable[[], None] = lambda: None

    def start(self) -> None:
        """
        Begin with the configuration in force, and follow it.
        """
        self._unsubscribe = self._farm.records.on_commit(self._committed)
        self._farm.reconfiguration.on_applied(self.configure)
        self.configure(self._farm.config)

    def stop(self) -> None:
        """
        Stop sending; messages in the outbox are sent after the next start.
        """
        self._unsubscribe()
        for loop in self._loops.values():
            loop.stop()
        self._loops.clear()
        # Their mails are sent after the next start: none may go out meanwhile, too.
        self._outside.mail_connections.end()

    def configure(self, config: MasterConfig) -> None:
        """
        Apply *config*.  A loop continues with the new reporter of the same name, so that a reconfiguration sends no
        message twice; messages of a removed reporter are dropped.
        """
        configured = {name: each for name, each in config.services.items() if isinstance(each, Reporter)}
        for name in sorted(self._loops.keys() - configured.keys()):
            self._loops.pop(name).stop()
        for name, reporter in configured.items():
            if name in self._loops:
                self._loops[name].replace(reporter)
            else:
                self._loops[name] = self._loop(reporter)
                self._loops[name].start()
        background(self._forget_all_but(set(configured)), self._log, "forgetting reporters")

    def _loop(self, reporter: Reporter) -> ReporterLoop:
        return ReporterLoop(
            reporter,
            records=self._farm.records,
            config=lambda: self._farm.config,
            facts=self._facts,
            outside=self._outside,
            clock=self._clock,
            wall=self._wall,
            budget=self._farm.code_time.of(f"reporter {reporter.name}"),
        )

    def _facts(self) -> FarmFacts:
        config = self._farm.config
        return FarmFacts(config.title, config.buildbot_url, self._farm.stream_storage.streams)

    async def _forget_all_but(self, names: set[str]) -> None:
        def change(connection: Connection) -> int:
            for owner in states.with_prefix(connection, "reporter:"):
                if owner.removeprefix("reporter:") not in names:
                    states.put(connection, owner, None, self._wall())
            return outbox.drop_all_but(connection, names)

        if dropped := await self._farm.records.write(change):
            self._log.warn("{n} messages of reporters that are not in master.cfg any more were dropped", n=dropped)

    def _committed(self, events: Sequence[Event]) -> None:
        if any(event.kind in KINDS for event in events):
            for loop in self._loops.values():
                loop.wake()
