"""
The loops of the reporters: read the feed on, store messages, send them.

One reporter has one loop, so a receiver that does not answer delays only its own messages.  The number of the last
event that a reporter considered is recorded with the messages that followed from it; so none is lost, and none is
stored twice.  A message is sent at least once: a crash between sending and recording that repeats it, with the same
key.
"""

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any

from attrs import evolve, frozen
from sqlalchemy import Connection
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from ...deferreds import background
from ...errors import BuildbotLiteError, RecordsClosedError, StorageError
from ...master.config.master_config import MasterConfig
from ...master.scheduling.wakeup import Wakeup
from ...master.slaves.missing import EVENT as MISSING
from ...model.display import printable
from ...model.results import Result
from ...storage.records import feed, outbox, requests, states
from ...storage.records.feed import Event
from ...storage.records.outbox import OutboxMessage
from ...storage.writer import Records
from . import details as of
from .details import BuildDetails, FarmFacts
from .generators import Generator
from .reporter import Outside, RefusedForGoodError, Reporter

KINDS = frozenset({"build.started", "build.finished", "request.finished", MISSING})
EVENTS_AT_ONCE = 100
FIRST_PAUSE = 5.0
LONGEST_PAUSE = 3600.0
GIVE_UP_AFTER = 3 * 86400.0
"""Seconds after which a message that could not be sent is dropped."""
AGAIN = 30.0
"""Seconds after which a loop goes on that failed otherwise."""


@frozen
class _Report:
    """
    What one event leads to: the builds, and whether they begin, end, or are a finished buildset.
    """

    key: str
    builds: Sequence[BuildDetails]
    of_set: bool = False
    starting: bool = False


class ReporterLoop:
    """
    The loop of *reporter*.  *facts*: of the farm, *config*: in force, both asked again for each event.
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
    ) -> None:
        self.reporter = reporter
        self._records = records
        self._config = config
        self._facts = facts
        self._outside = outside
        self._wall = wall
        self._wakeup = Wakeup(clock)
        self._running: Deferred[None] | None = None

    def start(self) -> None:
        """
        Begin.  A reporter without a state begins with the next event.
        """
        self._running = Deferred.fromCoroutine(self._until_cancelled())
        background(self._running, self._log, f"the reporter {self.reporter.name}")

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
        await self._begin()
        while True:
            woken = self._wakeup.next()
            try:
                while await self._read_on():
                    pass
                pause = await self._send_due()
            except RecordsClosedError:
                raise
            except StorageError as error:
                self._log.warn("the reporter {name}: {why}", name=self.reporter.name, why=str(error))
                pause = AGAIN
            self._wakeup.set_after(pause)
            await woken

    @property
    def _owner(self) -> str:
        return f"reporter:{self.reporter.name}"

    async def _begin(self) -> None:
        def change(connection: Connection) -> None:
            if states.get(connection, self._owner) is None:
                states.put(connection, self._owner, {"seq": feed.last(connection)}, self._wall())

        await self._records.write(change)

    # From events to messages.

    async def _read_on(self) -> bool:
        """
        Consider some events; False: there are no more.
        """
        facts = self._facts()

        def read(connection: Connection) -> tuple[int, list[_Report], list[Event]]:
            state = states.get(connection, self._owner) or {"seq": feed.last(connection)}
            events = feed.since(connection, int(state["seq"]), most=EVENTS_AT_ONCE)
            reports = [report for event in events for report in _reports(connection, facts, event)]
            return (events[-1].seq if events else 0), reports, [event for event in events if event.kind == MISSING]

        seq, reports, missing = await self._records.read(read)
        if not seq:
            return False
        messages = [message for report in reports for message in await self._messages(report)]
        messages += [message for event in missing for message in self._of_missing(facts, event)]
        now = self._wall()

        def change(connection: Connection) -> None:
            for key, body in messages:
                outbox.add(connection, reporter=self.reporter.name, key=key, body=body, now=now)
            states.put(connection, self._owner, {"seq": seq}, now)

        await self._records.write(change)
        return True

    async def _messages(self, report: _Report) -> list[tuple[str, Any]]:
        builders: Mapping[str, Any] = self._config().builders
        messages = []
        for number, generator in enumerate(self.reporter.generators):
            if generator.of_sets is not report.of_set:
                continue
            reports = [
                each
                for each in report.builds
                if generator.wants(each, builders[each.build.builder].tags if each.build.builder in builders else ())
            ]
            if not reports:
                continue
            try:
                body = await self._composed(generator, report.builds if report.of_set else reports, report)
            except BuildbotLiteError as error:
                # A template that fails for one build must not keep the others from being told.
                self._log.error("the reporter {name}: {why}", name=self.reporter.name, why=printable(str(error)))
                continue
            messages += [] if body is None else [(f"{report.key}-{number}", body)]
        return messages

    async def _composed(self, generator: Generator, builds: Sequence[BuildDetails], report: _Report) -> Any:
        formatter = generator.start_formatter if report.starting else generator.formatter
        return await self.reporter.compose(builds, await formatter.message(builds, generator.mode))

    def _of_missing(self, facts: FarmFacts, event: Event) -> list[tuple[str, Any]]:
        slave, since, notify = event.body["slave"], event.body["since"], event.body["notify"]
        if not any(each.wants_slave(slave) for each in self.reporter.missing):
            return []
        body = self.reporter.compose_missing(facts, slave, since, notify)
        return [] if body is None else [(f"missing-{event.seq}", body)]

    # From messages to the world.

    async def _send_due(self) -> float | None:
        """
        Send what may be sent now; the seconds until more may, None: when there is more.
        """
        name = self.reporter.name
        while due := await self._records.read(lambda c: outbox.due(c, name, self._wall())):
            for message in due:
                await self._send(message)
        following = await self._records.read(lambda connection: outbox.next_due(connection, name))
        return None if following is None else max(1.0, min(LONGEST_PAUSE, following - self._wall()))

    async def _send(self, message: OutboxMessage) -> None:
        try:
            await self.reporter.send(message, self._outside)
        except RefusedForGoodError as error:
            self._log.error("{name} gave up a message: {why}", name=self.reporter.name, why=printable(str(error)))
        except BuildbotLiteError as error:
            if self._wall() < message.created + GIVE_UP_AFTER:
                await self._postpone(message, error)
                return
            self._log.error("{name} gave up a message: {why}", name=self.reporter.name, why=printable(str(error)))
        await self._records.write(lambda connection: outbox.sent(connection, message.id))

    async def _postpone(self, message: OutboxMessage, error: Exception) -> None:
        reason, until = printable(str(error)), self._wall() + back_off(message.attempts)
        if not message.attempts:
            self._log.warn("{name} will try again: {why}", name=self.reporter.name, why=reason)
        await self._records.write(lambda connection: outbox.failed(connection, message.id, reason, until))


def back_off(attempts: int) -> float:
    """
    Seconds to wait after so many earlier attempts and a failed one.
    """
    return float(min(FIRST_PAUSE * 4 ** min(attempts, 10), LONGEST_PAUSE))


def _reports(connection: Connection, facts: FarmFacts, event: Event) -> list[_Report]:
    if event.kind == "request.finished" and event.request is not None:
        return _of_set(connection, facts, event)
    if event.kind not in KINDS or event.build is None:
        return []
    if event.body.get("result") == Result.RETRY:
        return []
    starting = event.kind == "build.started"
    details = of.of_build(connection, facts, event.build, tail=not starting)
    if details is None:
        return []
    if starting:
        # As it was then: it may have ended by now.
        details.build = evolve(details.build, finished=None, result=None, reason="")
        return [_Report(f"{event.build}-started", [details], starting=True)]
    return [_Report(f"{event.build}-finished", [details])]


def _of_set(connection: Connection, facts: FarmFacts, event: Event) -> list[_Report]:
    request = requests.get(connection, event.request or 0)
    buildset = None if request is None else requests.buildset(connection, request.buildset)
    # The event of the last request has the time of the buildset's end.
    if request is None or buildset is None or buildset.finished != event.at:
        return []
    details = of.of_buildset(connection, facts, buildset.id)
    return [_Report(f"set-{buildset.id}", details, of_set=True)] if details else []
