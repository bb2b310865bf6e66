"""
From events to messages: the half of a reporter's loop that reads the feed.

::

    feed ──► events after the last one considered ──► reports, with their builds ──► the reporter's generators
                                                                                        │
    outbox ◄── messages, and the number of the last event, in one transaction ◄─────────┘

So no message is lost at a crash, and none is stored twice.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import frozen
from sqlalchemy import Connection
from twisted.internet.defer import CancelledError
from twisted.logger import Logger

from ...master.config.master_config import MasterConfig
from ...master.slaves.missing import EVENT as MISSING
from ...model.time_limit import OverdueError
from ...storage.records import feed, outbox, states
from ...storage.records.feed import Event
from ...storage.roles import Records
from ...storage.statements import to_json
from .calls import ReporterCalls, why
from .details import BuildDetails, FarmFacts
from .event_reports import EventReport, reports_of
from .generators import Generator
from .reporter import NotSentError

EVENTS_AT_ONCE = 100
LARGEST_MESSAGE = 4 << 20
"""Characters of a stored message."""


@frozen
class _NewMessage:
    """
    A message for the outbox.
    """

    key: str
    subject: str
    body: Any


class EventReader:
    """
    Stores the messages that follow from events.  *facts*: of the farm, *config*: in force, both asked again for each
    event.
    """

    _log = Logger()

    def __init__(
        self,
        calls: ReporterCalls,
        *,
        records: Records,
        config: Callable[[], MasterConfig],
        facts: Callable[[], FarmFacts],
        wall: Callable[[], float],
    ) -> None:
        self._calls = calls
        self._records = records
        self._config = config
        self._facts = facts
        self._wall = wall

    async def begin(self) -> None:
        """
        A reporter without a state begins with the next event.
        """
        if await self._records.read(lambda connection: states.get(connection, self._calls.owner)) is not None:
            return

        def change(connection: Connection) -> None:
            if states.get(connection, self._calls.owner) is None:
                states.put(connection, self._calls.owner, {"seq": feed.last(connection)}, self._wall())

        await self._records.write(change)

    async def read_some(self) -> bool:
        """
        Consider some events; False: there are no more.
        """
        facts = self._facts()

        def read(connection: Connection) -> tuple[int, list[EventReport], list[Event]]:
            state = states.get(connection, self._calls.owner) or {"seq": feed.last(connection)}
            events = feed.since(connection, int(state["seq"]), most=EVENTS_AT_ONCE)
            reports = [report for event in events for report in reports_of(connection, facts, event)]
            return (events[-1].seq if events else 0), reports, [event for event in events if event.kind == MISSING]

        seq, reports, missing = await self._records.read(read)
        if not seq:
            return False
        messages = [message for report in reports for message in await self._messages(report)]
        messages += [message for event in missing for message in await self._of_missing(facts, event)]
        name, now = self._calls.reporter.name, self._wall()

        def change(connection: Connection) -> None:
            for each in messages:
                outbox.add(connection, reporter=name, key=each.key, subject=each.subject, body=each.body, now=now)
            state = states.get(connection, self._calls.owner) or {}
            states.put(connection, self._calls.owner, {**state, "seq": seq}, now)

        await self._records.write(change)
        return True

    async def _messages(self, report: EventReport) -> list[_NewMessage]:
        builders: Mapping[str, Any] = self._config().builders
        messages = []
        for number, generator in enumerate(self._calls.reporter.generators):
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
                body = await self._calls.in_time(
                    self._composed(generator, report.builds if report.of_set else reports, report)
                )
                subject = await self._calls.call("subject_of", body, report.about) if body is not None else ""
            except CancelledError:
                raise
            except (Exception, OverdueError) as error:  # noqa: BLE001 - code of master.cfg
                # What fails for one build must not keep the others from being told.
                self._log.error("the reporter {name}: {why}", name=self._calls.reporter.name, why=why(error))
                continue
            messages += [] if body is None else [_NewMessage(f"{report.key}-{number}", subject, body)]
        return messages

    async def _composed(self, generator: Generator, builds: Sequence[BuildDetails], report: EventReport) -> Any:
        formatter = generator.start_formatter if report.starting else generator.formatter
        body = await self._calls.call("compose", builds, await formatter.message(builds, generator.mode))
        if (size := len(to_json(body))) > LARGEST_MESSAGE:
            raise NotSentError(f"a message about {report.about} has {size} characters and is dropped")
        return body

    async def _of_missing(self, facts: FarmFacts, event: Event) -> list[_NewMessage]:
        slave, since, notify = event.body["slave"], event.body["since"], event.body["notify"]
        if not any(each.wants_slave(slave) for each in self._calls.reporter.missing):
            return []
        try:
            body = await self._calls.in_time(self._calls.call("compose_missing", facts, slave, since, notify))
        except CancelledError:
            raise
        except (Exception, OverdueError) as error:  # noqa: BLE001 - code of master.cfg
            self._log.error("the reporter {name}: {why}", name=self._calls.reporter.name, why=why(error))
            return []
        return [] if body is None else [_NewMessage(f"missing-{event.seq}", f"slave {slave}"[:200], body)]
