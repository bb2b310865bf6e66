"""
Follow requests: the logs on stdout, remarks on stderr, the result as exit code.

A follower reads the records and the stream files, so it gets the whole output from the beginning, also after the build.
A slow client delays only its own coroutine.

::

    feed since 0 ──► event by event ──► stream begun: its bytes, until it is complete
                         ▲              step, build, request: a remark
                         └── wait for the next commit
"""

import os
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from typing import Any, ClassVar

from attrs import define, field
from sqlalchemy import Connection
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from ..deferreds import OneShot
from ..errors import NotFoundError
from ..model.display import remark_lines
from ..model.results import Result, worst
from ..model.wait_reasons import WaitReason
from ..storage.notifications import Notifications
from ..storage.records import (
    builds,
    buildsets,
    feed,
    requests,
    steps,
    streams,
)
from ..storage.records.feed import Event
from ..storage.roles import Records
from ..storage.shared_reading import SharedStreams
from .explaining import WaitExplainer
from .ingestion_first import IngestionFirst
from .send_window import Client, LogOutput, SendWindow, send_range

Meanwhile = Callable[[], Awaitable[None]]


async def _nothing() -> None:
    pass


async def _ends(buildset: int) -> None:
    return None


def request_key(request: int) -> tuple[str, int]:
    """
    The key of `Notifications` for the events of a request.
    """
    return "request", request


def notify_followers(records: Records, notifications: Notifications) -> Callable[[], None]:
    """
    Pass every committed event on to *notifications*, by request, until the returned function is called.
    """

    def committed(events: Sequence[Event]) -> None:
        for request in {event.request for event in events if event.request is not None}:
            notifications.changed(request_key(request))

    return records.on_commit(committed)


class LogFollower:
    """
    Follows requests for clients.  *notifications*: of committed events and growing streams.  *why*: the reason for
    which a request waits, or None.  *decided*: the number of the queue's decisions so far.  *continued*: the buildset
    as which another goes on after its good end, once it is there, or None.  *tells_steps*: whether clients are told
    when a step of a builder begins.
    """

    def __init__(
        self,
        *,
        records: Records,
        notifications: Notifications,
        streams_directory: str,
        why: Callable[[int], WaitReason | None],
        decided: Callable[[], int],
        clock: IReactorTime,
        continued: Callable[[int], Awaitable[int | None]] = _ends,
        tells_steps: Callable[[str], bool] = lambda builder: False,
    ) -> None:
        self._continued = continued
        self.tells_steps = tells_steps
        self._records = records
        self._notifications = notifications
        self._directory = streams_directory
        self.clock = clock
        self.streams = SharedStreams()
        self._ingestion = IngestionFirst(notifications, clock)
        self.explaining = WaitExplainer(why=why, decided=decided, clock=clock)

    async def follow(self, buildset: int, client: Client, holder: Hashable, *, request: int | None = None) -> int:
        """
        Send *client* the output of every request of *buildset* and of the one as which it goes on, or only of
        *request*, from the beginning to the end; return the exit code.  *holder*: as for `output_to`.
        """
        all_rows = await self._records.read(lambda connection: requests.of_buildset(connection, buildset))
        rows = [each for each in all_rows if request in (None, each.id)]
        # Before its good end, the request can be of no other, and `continued` would wait for that end.
        if all_rows and not rows and await self._ended_well(buildset):
            following = await self._continued(buildset)
            if following is not None:
                return await self.follow(following, client, holder, request=request)
        if not rows:
            raise NotFoundError("There is no such request (any more).")
        output = self.output_to(client, holder)
        codes = [await _RequestFollower(follower=self, request=request.id, client=output).run() for request in rows]
        await output.drained()
        code = max(codes, key=_WORSE.index)
        if code == 0 and request is None and (following := await self._continued(buildset)) is not None:
            return await self.follow(following, client, holder)
        return code

    async def _ended_well(self, buildset: int) -> bool:
        row = await self._records.read(lambda connection: buildsets.get(connection, buildset))
        return row is not None and row.result is not None and row.result.exit_code == 0

    def output_to(self, client: Client, holder: Hashable) -> SendWindow:
        """
        A new window to *client*, through which all of its output must go.  *holder*: that of its FURL; the clients of
        one holder share turns.
        """
        return SendWindow(client, self.clock, partial(self._ingestion.turn, holder))

    async def events(self, request: int, after: int) -> Sequence[Event]:
        """
        The events of *request* after the event number *after*; waits until there is at least one.
        """
        while True:
            news = self._notifications.next_change(request_key(request))
            try:
                events = await self.since(request, after)
            except BaseException:
                _let_go(news)
                raise
            if events:
                _let_go(news)
                return events
            await news

    async def since(self, request: int, after: int) -> Sequence[Event]:
        """
        The events of *request* after the event number *after*, at most a thousand; may be empty.
        """
        return await self._records.read(lambda connection: feed.since(connection, after, request=request))

    async def copy(
        self, request: int, build: int, stream: Mapping[str, Any], output: LogOutput, meanwhile: Meanwhile = _nothing
    ) -> None:
        """
        Send every byte of the log *stream* to *output*, until the log is complete.  *meanwhile* is called after each
        new event of the request.
        """
        path, offset, complete, is_news = stream["path"], 0, False, True
        reader = self.streams.open(os.path.join(self._directory, path))
        try:
            while True:
                news, grown = (
                    self._notifications.next_change(request_key(request)),
                    self._notifications.next_change(path),
                )
                try:
                    if is_news:
                        stored, complete = await self._records.read(
                            lambda connection: _state(connection, build, stream)
                        )
                        if stored != path:
                            # The bytes arrived damaged, so the slave sends the stream again, into another file.
                            reader.close()
                            path, reader = stored, self.streams.open(os.path.join(self._directory, stored))
                            continue
                    offset = await send_range(reader, offset, output)
                    if is_news:
                        await meanwhile()
                    if complete:
                        return
                    await _first_of(grown, news)
                    is_news = bool(news.called)
                finally:
                    _let_go(grown)
                    _let_go(news)
        finally:
            reader.close()


_WORSE = [0, 1, 2, 4]


@define
class _RequestFollower:
    _log: ClassVar[Logger] = Logger()

    follower: LogFollower
    request: int
    client: SendWindow
    label: str = ""
    last_result: Result = Result.SUCCESS
    tells_steps: bool = False
    # While a log is copied: the last event that was searched for remarks, and the later events whose remarks were sent.
    looked_at: int = 0
    sent_early: set[int] = field(factory=set)

    async def run(self) -> int:
        stop = self.follower.explaining.add(self.request, lambda why: self._say(f"waiting: {why}"))
        seen = 0
        try:
            while True:
                for event in await self.follower.events(self.request, seen):
                    seen = event.seq
                    await self._send_event(event)
                    if event.kind == "request.finished":
                        return self._exit_code(Result(event.body["result"]))
        finally:
            stop()

    async def _send_event(self, event: Event) -> None:
        body = event.body
        if event.kind == "build.started":
            self.label = f"{body['builder']}/{body['number']}"
            self.tells_steps = self.follower.tells_steps(body["builder"])
            await self._say(f"{self.label} runs on {body['slave']}")
        elif event.kind == "step.started" and self.tells_steps:
            await self._say(f"{body['name']} since {datetime.fromtimestamp(event.at, UTC):%H:%M:%S} UTC")
        elif event.kind == "stream.begun" and body["kind"] == "log" and event.build is not None:
            if body["name"] != "stdio":
                await self._say(f"log {body['name']}:")
            overtaking = partial(self._overtake, (event.build, body["step"]))
            self.looked_at = max(self.looked_at, event.seq)
            await self.follower.copy(self.request, event.build, body, self.client, overtaking)
        elif event.kind == "remark":
            if event.seq in self.sent_early:
                self.sent_early.remove(event.seq)
            else:
                await self._say(body["text"])
        elif event.kind == "step.finished":
            result = Result(body["result"])
            if result not in {Result.SUCCESS, Result.SKIPPED}:
                await self._say(f"step {body['name']}: {result.name.lower()} ({body['summary']})")
        elif event.kind == "build.finished":
            self.last_result = Result(body["result"])
        elif event.kind == "request.retried":
            # Of a retry that an upgrade needs there is no number: it does not count.
            which = "a retry" if body["retry"] is None else f"retry {body['retry']} of {body['of']}"
            await self._say(f"{which} in {body['wait']:.0f} s: {body['reason']}")
        elif event.kind == "request.finished":
            reason = f" ({body['reason']})" if body["reason"] else ""
            await self._say(f"{self.label or f'request {self.request}'}: {Result(body['result']).name}{reason}")

    async def _overtake(self, step: tuple[int, int]) -> None:
        """
        Send the new remarks of *step* before the end of its log: they may explain why the log does not grow.
        """
        for event in await self.follower.since(self.request, self.looked_at):
            self.looked_at = event.seq
            if event.kind == "remark" and (event.build, event.body["step"]) == step:
                self.sent_early.add(event.seq)
                await self._say(event.body["text"])

    async def _say(self, text: str) -> None:
        await self.client.stderr(remark_lines(text).encode())

    def _exit_code(self, result: Result) -> int:
        # A request without retries left has the result EXCEPTION, code 2; its client gets the code of RETRY.
        given_up = result is Result.EXCEPTION and self.last_result is Result.RETRY
        return Result.RETRY.exit_code if given_up else worst([result]).exit_code


def _state(connection: Connection, build: int, begun: Mapping[str, Any]) -> tuple[str, bool]:
    """
    The present path of the log of the event *begun*, and whether the log is complete.
    """
    path, step = begun["path"], begun["step"]
    for stream in streams.of_step(connection, build, step):
        if (stream.ordinal, stream.name) == (begun["ordinal"], begun["name"]):
            path = stream.path
            if stream.length is not None:
                return path, True
    row = steps.get(connection, build, step)
    if row is not None and row.finished is not None:
        return path, True
    of = builds.get(connection, build)
    return path, of is not None and of.finished is not None


async def _first_of(*waiting: Deferred[None]) -> None:
    """
    Return when one of *waiting* fires.  Cancelling this cancels none of them.
    """
    fired: OneShot[None] = OneShot()
    for each in waiting:
        each.addCallback(fired.fire)  # type: ignore[unused-awaitable]  # the caller cancels the rest
    await fired.wait()


def _let_go(waiting: Deferred[None]) -> None:
    waiting.addErrback(lambda failure: failure.trap(CancelledError)).cancel()
