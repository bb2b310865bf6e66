"""
A submission as its client sees it: the log on stdout, remarks on stderr, the result as exit code.

Everything is read from the records and the stream files, so that it can be told again, from the beginning, to anybody
who asks later; and nothing waits for a client that reads slowly but the coroutine that tells it.

::

    feed since 0 ──► event by event ──► stream begun: its bytes, until it is complete
                         ▲              step, build, request: a remark
                         └── wait for the next commit
"""

import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol

from attrs import define, field
from sqlalchemy import Connection
from twisted.internet.defer import CancelledError, Deferred, DeferredList

from ..errors import NotFoundError
from ..model.results import Result, worst
from ..storage.frames import open_stream
from ..storage.growth import Growth
from ..storage.records import builds, feed, requests, steps, streams
from ..storage.records.feed import Event
from ..storage.writer import Records

CHUNK = 64 << 10


class Client(Protocol):
    """
    Whoever watches.  Both methods fire when the client has taken the bytes.
    """

    def stdout(self, data: bytes) -> Deferred[None]:
        """
        A piece of the log.
        """

    def stderr(self, data: bytes) -> Deferred[None]:
        """
        A remark.
        """


def request_key(request: int) -> tuple[str, int]:
    """
    Under which key `Growth` is told of a request's events.
    """
    return "request", request


def tell_growth(records: Records, growth: Growth) -> Callable[[], None]:
    """
    Have *growth* told of every committed event, by request.  Answers how to stop that.
    """

    def committed(events: Sequence[Event]) -> None:
        for request in {event.request for event in events if event.request is not None}:
            growth.changed(request_key(request))

    return records.on_commit(committed)


class Following:
    """
    What it takes to follow requests: the *records*, the *growth* of streams, and the *streams* directory.
    """

    def __init__(self, *, records: Records, growth: Growth, streams_directory: str) -> None:
        self._records = records
        self._growth = growth
        self._directory = streams_directory

    async def follow(self, buildset: int, client: Client) -> int:
        """
        Tell *client* of every build of *buildset*, from the beginning to the end; answers the exit code.
        """
        wanted = await self._records.read(lambda connection: requests.of_buildset(connection, buildset))
        if not wanted:
            raise NotFoundError("There is no such request (any more).")
        codes = [await _Follower(following=self, request=request.id, client=client).run() for request in wanted]
        return max(codes, key=_WORSE.index)

    async def events(self, request: int, after: int) -> Sequence[Event]:
        """
        The events of *request* after number *after*, as soon as there are any.
        """
        while True:
            news = self._growth.when_grown(request_key(request))
            found = await self._records.read(lambda connection: feed.since(connection, after, request=request))
            if found:
                _let_go(news)
                return found
            await news

    async def copy(self, request: int, build: int, stream: Mapping[str, Any], client: Client) -> None:
        """
        Every byte of a log, until it is complete.
        """
        step, ordinal, name, path = stream["step"], stream["ordinal"], stream["name"], stream["path"]

        async def is_complete() -> bool:
            return await self._records.read(lambda connection: _is_complete(connection, build, step, ordinal, name))

        reading = open_stream(os.path.join(self._directory, path))
        offset = 0
        news = self._growth.when_grown(request_key(request))
        complete = await is_complete()
        try:
            while True:
                grown = self._growth.when_grown(path)
                while data := reading.read(offset, CHUNK):
                    offset += len(data)
                    await client.stdout(data)
                if complete:
                    _let_go(grown)
                    return
                await DeferredList([grown, news], fireOnOneCallback=True)
                _let_go(grown)
                if news.called:
                    news = self._growth.when_grown(request_key(request))
                    complete = await is_complete()
        finally:
            _let_go(news)
            reading.close()


_WORSE = [0, 1, 2, 4]


@define
class _Follower:
    following: Following
    request: int
    client: Client
    label: str = ""
    last_result: Result = Result.SUCCESS
    hidden: set[int] = field(factory=set)

    async def run(self) -> int:
        seen = 0
        while True:
            for event in await self.following.events(self.request, seen):
                seen = event.seq
                await self._tell(event)
                if event.kind == "request.finished":
                    return self._exit_code(Result(event.body["result"]))

    async def _tell(self, event: Event) -> None:
        body = event.body
        if event.kind == "build.started":
            self.label = f"{body['builder']}/{body['number']}"
            await self._say(f"{self.label} runs on {body['slave']}")
        elif event.kind == "stream.begun" and body["kind"] == "log" and event.build is not None:
            if body["name"] != "stdio":
                await self._say(f"log {body['name']}:")
            await self.following.copy(self.request, event.build, body, self.client)
        elif event.kind == "remark":
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

    async def _say(self, text: str) -> None:
        await self.client.stderr(f"# {text}\n".encode("utf-8", "replace"))

    def _exit_code(self, result: Result) -> int:
        # Retries used up end as EXCEPTION, whose own code is 2; the client is told which it was.
        given_up = result is Result.EXCEPTION and self.last_result is Result.RETRY
        return Result.RETRY.exit_code if given_up else worst([result]).exit_code


def _is_complete(connection: Connection, build: int, step: int, ordinal: int, name: str) -> bool:
    for stream in streams.of_step(connection, build, step):
        if (stream.ordinal, stream.name) == (ordinal, name) and stream.length is not None:
            return True
    row = steps.get(connection, build, step)
    if row is not None and row.finished is not None:
        return True
    of = builds.get(connection, build)
    return of is not None and of.finished is not None


def _let_go(waiting: Deferred[None]) -> None:
    waiting.addErrback(lambda failure: failure.trap(CancelledError)).cancel()
