"""
Follow requests: the logs on stdout, remarks on stderr, the result as exit code.

Everything comes from the records and the stream files, so each follower gets all of it from the beginning, also after
the build.  A slow client delays only the coroutine that serves it.

::

    feed since 0 ──► event by event ──► stream begun: its bytes, until it is complete
                         ▲              step, build, request: a remark
                         └── wait for the next commit
"""

import os
from collections.abc import Awaitable, Callable, Hashable, Mapping, Sequence
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
    feed,
    requests,
    steps,
    streams,
)
from ..storage.records.feed import Event
from ..storage.shared_reading import SharedStreams
from ..storage.writer import Records
from .explaining import WaitExplainer
from .ingestion_first import IngestionFirst
from .send_window import Client, LogOutput, SendWindow, send_range

Meanwhile = Callable[[], Awaitable[None]]


async def _nothing() -> None:
    pass


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


class Following:
    """
    What it takes to follow requests: the *records*, the *growth* of streams, the *streams* directory, and the queue,
    which says *why* a request waits, and how often it has *decided*.
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
    ) -> None:
        self._records = records
        self._notifications = notifications
        self._directory = streams_directory
        self.clock = clock
        self.streams = SharedStreams()
        self._ingestion = IngestionFirst(notifications, clock)
        self.explaining = WaitExplainer(why=why, decided=decided, clock=clock)

    async def follow(self, buildset: int, client: Client, holder: Hashable) -> int:
        """
        Tell *client* of every build of *buildset*, from the beginning to the end; answers the exit code.  *holder*:
        see `output_to`.
        """
        wanted = await self._records.read(lambda connection: requests.of_buildset(connection, buildset))
        if not wanted:
            raise NotFoundError("There is no such request (any more).")
        output = self.output_to(client, holder)
        codes = [await _Follower(following=self, request=request.id, client=output).run() for request in wanted]
        await output.drained()
        return max(codes, key=_WORSE.index)

    def output_to(self, client: Client, holder: Hashable) -> SendWindow:
        """
        What is told to *client* goes through this.  *holder*: of its FURL; the clients of one holder share its turns.
        """
        return SendWindow(client, self.clock, partial(self._ingestion.turn, holder))

    async def events(self, request: int, after: int) -> Sequence[Event]:
        """
        The events of *request* after number *after*, as soon as there are any.
        """
        while True:
            news = self._notifications.next_change(request_key(request))
            try:
                found = await self.since(request, after)
            except BaseException:
                _let_go(news)
                raise
            if found:
                _let_go(news)
                return found
            await news

    async def since(self, request: int, after: int) -> Sequence[Event]:
        """
        The events of *request* after number *after*; perhaps none, and not more than a thousand.
        """
        return await self._records.read(lambda connection: feed.since(connection, after, request=request))

    async def copy(
        self, request: int, build: int, stream: Mapping[str, Any], output: LogOutput, meanwhile: Meanwhile = _nothing
    ) -> None:
        """
        Every byte of a log, until it is complete.  *meanwhile* is called whenever there is news of the request.
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
                        there, complete = await self._records.read(lambda connection: _state(connection, build, stream))
                        if there != path:
                            # It was sent anew, into another file, because it arrived damaged.
                            reader.close()
                            path, reader = there, self.streams.open(os.path.join(self._directory, there))
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
class _Follower:
    _log: ClassVar[Logger] = Logger()

    following: Following
    request: int
    client: SendWindow
    label: str = ""
    last_result: Result = Result.SUCCESS
    # While a log is copied: up to which event its remarks were looked for, and which of those to come were told.
    looked_at: int = 0
    told_early: set[int] = field(factory=set)

    async def run(self) -> int:
        stop = self.following.explaining.add(self.request, lambda why: self._say(f"waiting: {why}"))
        seen = 0
        try:
            while True:
                for event in await self.following.events(self.request, seen):
                    seen = event.seq
                    await self._tell(event)
                    if event.kind == "request.finished":
                        return self._exit_code(Result(event.body["result"]))
        finally:
            stop()

    async def _tell(self, event: Event) -> None:
        body = event.body
        if event.kind == "build.started":
            self.label = f"{body['builder']}/{body['number']}"
            await self._say(f"{self.label} runs on {body['slave']}")
        elif event.kind == "stream.begun" and body["kind"] == "log" and event.build is not None:
            if body["name"] != "stdio":
                await self._say(f"log {body['name']}:")
            overtaking = partial(self._overtake, (event.build, body["step"]))
            self.looked_at = max(self.looked_at, event.seq)
            await self.following.copy(self.request, event.build, body, self.client, overtaking)
        elif event.kind == "remark":
            if event.seq in self.told_early:
                self.told_early.remove(event.seq)
            else:
                await self._say(body["text"])
        elif event.kind == "step.finished":
            result = Result(body["result"])
            if result not in {Result.SUCCESS, Result.SKIPPED}:
                await self._say(f"step {body['name']}: {result.name.lower()} ({body['summary']})")
        elif event.kind == "build.finished":
            self.last_result = Result(body["result"])
        elif event.kind == "request.retried":
            await self._say(f"retry {body['retry']} of {body['of']} in {body['wait']:.0f} s: {body['reason']}")
        elif event.kind == "request.finished":
            reason = f" ({body['reason']})" if body["reason"] else ""
            await self._say(f"{self.label or f'request {self.request}'}: {Result(body['result']).name}{reason}")

    async def _overtake(self, step: tuple[int, int]) -> None:
        """
        The remarks of a *step* do not wait for the end of its log: they may be about why it does not go on.
        """
        for event in await self.following.since(self.request, self.looked_at):
            self.looked_at = event.seq
            if event.kind == "remark" and (event.build, event.body["step"]) == step:
                self.told_early.add(event.seq)
                await self._say(event.body["text"])

    async def _say(self, text: str) -> None:
        await self.client.stderr(remark_lines(text).encode())

    def _exit_code(self, result: Result) -> int:
        # Retries used up end as EXCEPTION, whose own code is 2; the client is told which it was.
        given_up = result is Result.EXCEPTION and self.last_result is Result.RETRY
        return Result.RETRY.exit_code if given_up else worst([result]).exit_code


def _state(connection: Connection, build: int, begun: Mapping[str, Any]) -> tuple[str, bool]:
    """
    Where a log that has *begun* stands now, and whether it is complete.
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
