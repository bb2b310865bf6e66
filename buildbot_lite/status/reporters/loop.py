"""
The loop of one reporter: read events, store messages, send them.

Each reporter has its own loop, so a receiver that does not answer delays only its own messages.  Nothing ends a loop
but `stop`: code of master.cfg, such as a lookup or a function that formats, may raise anything.
"""

from collections.abc import Callable
from contextlib import suppress

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from ...deferreds import background
from ...errors import RecordsClosedError, StorageError
from ...master.config.master_config import MasterConfig
from ...master.scheduling.code_time import OwnersTime
from ...master.scheduling.wakeup import Wakeup
from ...model.time_limit import OverdueError
from ...storage.roles import Records
from .calls import ReporterCalls
from .details import FarmFacts
from .reading import EventReader
from .reporter import Outside, Reporter
from .sending import OutboxSender

AGAIN = 30.0
"""Seconds after which a loop goes on that failed otherwise."""


class ReporterLoop:
    """
    The loop of *reporter*, with the collaborators of `EventReader` and `OutboxSender`.  *budget*: the time for the
    reporter's methods that master.cfg defines.
    """

    _log = Logger()

    def __init__(
        self,
        reporter: Reporter,
        *,
        records: Records,
        config: Callable[[], MasterConfig],
        facts: Callable[[], FarmFacts],
        outside: Outside,
        clock: IReactorTime,
        wall: Callable[[], float],
        budget: OwnersTime,
    ) -> None:
        self._calls = ReporterCalls(reporter, budget=budget, clock=clock)
        self._reading = EventReader(self._calls, records=records, config=config, facts=facts, wall=wall)
        self._sending = OutboxSender(self._calls, records=records, outside=outside, wall=wall)
        self._wakeup = Wakeup(clock)
        self._running: Deferred[None] | None = None

    def start(self) -> None:
        """
        Begin.  A reporter without a state begins with the next event.
        """
        self._running = Deferred.fromCoroutine(self._until_cancelled())
        background(self._running, self._log, f"the reporter {self._calls.reporter.name}")

    def replace(self, reporter: Reporter) -> None:
        """
        Go on with *reporter*, which has the same name.
        """
        self._calls.reporter = reporter

    def wake(self) -> None:
        """
        There are new events.
        """
        self._wakeup.set()

    def stop(self) -> None:
        """
        End, also in the midst of sending.
        """
        running, self._running = self._running, None
        self._wakeup.set_after(None)
        if running is not None:
            running.cancel()

    async def _until_cancelled(self) -> None:
        with suppress(CancelledError):
            await self._run()

    async def _run(self) -> None:
        while True:
            woken = self._wakeup.next()
            try:
                await self._reading.begin()
                # Events first: a receiver that does not answer must not keep them unread.
                while await self._reading.read_some() or await self._sending.send_some():
                    pass
                pause = await self._sending.until_next()
            except (RecordsClosedError, CancelledError):
                raise
            except StorageError as error:
                self._log.warn("the reporter {name}: {why}", name=self._calls.reporter.name, why=str(error))
                pause = AGAIN
            except (Exception, OverdueError):  # noqa: BLE001 - nothing ends a loop
                self._log.failure("the reporter {name} failed and goes on", name=self._calls.reporter.name)
                pause = AGAIN
            self._wakeup.set_after(pause)
            await woken
