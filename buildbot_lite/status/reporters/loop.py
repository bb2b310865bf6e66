"""
The loops of the reporters: read the feed on, store messages, send them.

One reporter has one loop, so a receiver that does not answer delays only its own messages.  The number of the last
event that a reporter considered is recorded with the messages that followed from it; so none is lost, and none is
stored twice.  A message is sent at least once: a crash between sending and recording that repeats it, with the same
key.  A message that fails delays those about the same subject and no others.

Nothing ends a loop but `stop`: code of master.cfg, such as a lookup or a function that formats, may raise anything.
"""

from collections.abc import Callable, Coroutine, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from attrs import evolve, frozen
from sqlalchemy import Connection
from twisted.internet import defer
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from ...deferreds import background
from ...errors import BuildbotLiteError, RecordsClosedError, StorageError
from ...master.config.master_config import MasterConfig
from ...master.config.overrides import is_shipped
from ...master.scheduling.code_time import OwnersTime
from ...master.scheduling.wakeup import Wakeup
from ...master.slaves.missing import EVENT as MISSING
from ...model.display import printable
from ...model.time_limit import OverdueError, unlimited
from ...model.user_functions import awaited
from ...storage.records import feed, outbox, states
from ...storage.records.feed import Event
from ...storage.records.outbox import OutboxMessage
from ...storage.statements import to_json
from ...storage.writer import Records
from .details import BuildDetails, FarmFacts
from .event_reports import EventReport, reports_of
from .generators import Generator
from .reporter import NotSentError, Outside, RefusedForGoodError, Reporter

EVENTS_AT_ONCE = 100
FIRST_PAUSE = 5.0
LONGEST_PAUSE = outbox.LONGEST_WAIT
GIVE_UP_AFTER = 3 * 86400.0
"""Seconds after which a message that could not be sent is dropped."""
LONGEST_FAILURE = 1000
AGAIN = 30.0
"""Seconds after which a loop goes on that failed otherwise."""
LONGEST_WORK = 300.0
"""Seconds that composing a message, or sending one, may take; code of master.cfg may wait for ever."""
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


class ReporterLoop:
    """
    The loop of *reporter*.  *facts*: of the farm, *config*: in force, both asked again for each event.
    *budget*: the time for a reporter's methods that master.cfg defines.
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
        self.reporter = reporter
        self._budget = budget
        self._records = records
        self._config = config
        self._facts = facts
        # What a reporter calls is not limited as its own code is.
        self._outside = evolve(
            outside, in_thread=partial(unlimited, outside.in_thread), request=partial(unlimited, outside.request)
        )
        self._clock = clock
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
        while True:
            woken = self._wakeup.next()
            try:
                await self._begin()
                # Events first: a receiver that does not answer must not keep them unread.
                while await self._read_on() or await self._send_some():
                    pass
                pause = await self._until_next()
            except (RecordsClosedError, CancelledError):
                raise
            except StorageError as error:
                self._log.warn("the reporter {name}: {why}", name=self.reporter.name, why=str(error))
                pause = AGAIN
            except (Exception, OverdueError):  # noqa: BLE001 - nothing ends a loop
                self._log.failure("the reporter {name} failed and goes on", name=self.reporter.name)
                pause = AGAIN
            self._wakeup.set_after(pause)
            await woken

    @property
    def _owner(self) -> str:
        return f"reporter:{self.reporter.name}"

    async def _begin(self) -> None:
        if await self._records.read(lambda connection: states.get(connection, self._owner)) is not None:
            return

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

        def read(connection: Connection) -> tuple[int, list[EventReport], list[Event]]:
            state = states.get(connection, self._owner) or {"seq": feed.last(connection)}
            events = feed.since(connection, int(state["seq"]), most=EVENTS_AT_ONCE)
            reports = [report for event in events for report in reports_of(connection, facts, event)]
            return (events[-1].seq if events else 0), reports, [event for event in events if event.kind == MISSING]

        seq, reports, missing = await self._records.read(read)
        if not seq:
            return False
        messages = [message for report in reports for message in await self._messages(report)]
        messages += [message for event in missing for message in await self._of_missing(facts, event)]
        name, now = self.reporter.name, self._wall()

        def change(connection: Connection) -> None:
            for each in messages:
                outbox.add(connection, reporter=name, key=each.key, subject=each.subject, body=each.body, now=now)
            state = states.get(connection, self._owner) or {}
            states.put(connection, self._owner, {**state, "seq": seq}, now)

        await self._records.write(change)
        return True

    async def _messages(self, report: EventReport) -> list[_NewMessage]:
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
                body = await self._in_time(
                    self._composed(generator, report.builds if report.of_set else reports, report)
                )
                subject = await self._call("subject_of", body, report.about) if body is not None else ""
            except CancelledError:
                raise
            except (Exception, OverdueError) as error:  # noqa: BLE001 - code of master.cfg
                # What fails for one build must not keep the others from being told.
                self._log.error("the reporter {name}: {why}", name=self.reporter.name, why=_why(error))
                continue
            messages += [] if body is None else [_NewMessage(f"{report.key}-{number}", subject, body)]
        return messages

    async def _call(self, method: str, *args: Any) -> Any:
        """
        Call a *method* of the reporter; within the limits on code of master.cfg, if that has derived its class.
        """
        call = getattr(self.reporter, method)
        if is_shipped(call):
            return await awaited(call(*args))
        return await self._budget.run(f"{type(self.reporter).__name__}.{method}", call, *args)

    def _in_time(self, work: Coroutine[Deferred[Any], Any, Any]) -> Deferred[Any]:
        return Deferred.fromCoroutine(work).addTimeout(LONGEST_WORK, self._clock)

    async def _composed(self, generator: Generator, builds: Sequence[BuildDetails], report: EventReport) -> Any:
        formatter = generator.start_formatter if report.starting else generator.formatter
        body = await self._call("compose", builds, await formatter.message(builds, generator.mode))
        if (size := len(to_json(body))) > LARGEST_MESSAGE:
            raise NotSentError(f"a message about {report.about} has {size} characters and is dropped")
        return body

    async def _of_missing(self, facts: FarmFacts, event: Event) -> list[_NewMessage]:
        slave, since, notify = event.body["slave"], event.body["since"], event.body["notify"]
        if not any(each.wants_slave(slave) for each in self.reporter.missing):
            return []
        try:
            body = await self._in_time(self._call("compose_missing", facts, slave, since, notify))
        except CancelledError:
            raise
        except (Exception, OverdueError) as error:  # noqa: BLE001 - code of master.cfg
            self._log.error("the reporter {name}: {why}", name=self.reporter.name, why=_why(error))
            return []
        return [] if body is None else [_NewMessage(f"missing-{event.seq}", f"slave {slave}"[:200], body)]

    # Sending messages.

    async def _send_some(self) -> bool:
        """
        Send some of the messages that are due; False: none is due.
        """
        due = await self._records.read(lambda connection: outbox.due(connection, self.reporter.name, self._wall()))
        for message in due:
            await self._send(message)
        return bool(due)

    async def _until_next(self) -> float | None:
        """
        The seconds until more may be sent; None: when there is more.
        """
        name = self.reporter.name
        following = await self._records.read(lambda connection: outbox.next_due(connection, name))
        # One may have become due since `_send_some` looked.
        return None if following is None else max(1.0, min(LONGEST_PAUSE, following - self._wall()))

    async def _send(self, message: OutboxMessage) -> None:
        try:
            await self._in_time(self._call("send", message, self._outside))
        except (RecordsClosedError, CancelledError):
            raise
        except RefusedForGoodError as error:
            await self._give_up(message, error)
        except (Exception, OverdueError) as error:  # noqa: BLE001 - code of master.cfg, or an earlier reporter's body
            if self._wall() < message.created + GIVE_UP_AFTER:
                await self._postpone(message, error)
            else:
                await self._give_up(message, error)
        else:
            await self._records.write(lambda connection: outbox.sent(connection, message.id))

    async def _postpone(self, message: OutboxMessage, error: BaseException) -> None:
        reason, until = _why(error), self._wall() + back_off(message.attempts)
        left = error.left if isinstance(error, NotSentError) else None
        if not message.attempts:
            self._log.warn("{name} will try again: {why}", name=self.reporter.name, why=reason)
        await self._records.write(lambda connection: outbox.failed(connection, message.id, reason, until, left))

    async def _give_up(self, message: OutboxMessage, error: BaseException) -> None:
        """
        Drop *message*, and note it for ``buildbot-lite status``.
        """
        reason, now = _why(error), self._wall()
        self._log.error("{name} gave up a message: {why}", name=self.reporter.name, why=reason)

        def change(connection: Connection) -> None:
            outbox.sent(connection, message.id)
            state = states.get(connection, self._owner) or {}
            before = state.get("given_up") or {"messages": 0, "since": message.created}
            given_up = {"messages": before["messages"] + 1, "since": before["since"], "failure": reason}
            states.put(connection, self._owner, {**state, "given_up": given_up}, now)

        await self._records.write(change)


def _why(error: BaseException) -> str:
    """
    *error* as a sentence for logs and ``status``.
    """
    if isinstance(error, defer.TimeoutError):
        return f"it did not end within {LONGEST_WORK / 60:.0f} min, and was given up"
    said = str(error) if isinstance(error, BuildbotLiteError) else f"{type(error).__name__}: {error}"
    return printable(said, longest=LONGEST_FAILURE)


def back_off(attempts: int) -> float:
    """
    Seconds to wait after so many earlier attempts and a failed one.
    """
    return float(min(FIRST_PAUSE * 4 ** min(attempts, 10), LONGEST_PAUSE))
