"""
Clients that follow in memory, and a farm whose records a test writes.
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from attrs import define, field
from sqlalchemy import Connection
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock

from buildbot_lite.model.outcome import Remark
from buildbot_lite.model.results import Result
from buildbot_lite.model.wait_reasons import WaitReason
from buildbot_lite.status.following import LogFollower, notify_followers
from buildbot_lite.storage.notifications import Notifications
from buildbot_lite.storage.records import (
    builds,
    feed,
    requests,
    steps,
    streams,
)
from buildbot_lite.storage.records import remarks as records_of_remarks
from buildbot_lite.storage.records.builds import Build
from test.storage.farm_case import FarmCase

T = TypeVar("T")


def run_due_calls(clock: Clock) -> None:
    """
    Run all calls of *clock* that are due, also those that they add.
    """
    while any(call.getTime() <= clock.seconds() for call in clock.getDelayedCalls()):
        clock.advance(0)


@define(eq=False)
class FakeClient:
    """
    Takes everything at once.  While `stuck`, it takes one piece, and the next only after `take`.
    """

    out: bytes = b""
    err: str = ""
    pieces: list[bytes] = field(factory=list)
    stuck: bool = False
    waiting: list[Deferred[None]] = field(factory=list)

    def stdout(self, data: bytes) -> Deferred[None]:
        self.out += data
        self.pieces.append(data)
        return self._taken()

    def stderr(self, data: bytes) -> Deferred[None]:
        self.err += data.decode()
        self.pieces.append(data)
        return self._taken()

    def when_writable(self) -> Deferred[None]:
        return succeed(None)

    def take(self) -> None:
        """
        Take everything that was sent.
        """
        waiting, self.waiting = self.waiting, []
        for each in waiting:
            each.callback(None)

    def _taken(self) -> Deferred[None]:
        if not self.stuck:
            return succeed(None)
        self.waiting.append(Deferred())
        return self.waiting[-1]


class FollowingCase(FarmCase):
    """
    A `LogFollower` on builds whose steps, streams and remarks are written by the test.
    """

    def setUp(self) -> None:
        """
        An empty farm.
        """
        self.clock = Clock()
        super().setUp()
        self.directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.directory)
        self.notifications = Notifications()
        self.addCleanup(notify_followers(self.records, self.notifications))
        self.reasons: dict[int, WaitReason] = {}
        self.log_follower = LogFollower(
            records=self.records,
            notifications=self.notifications,
            streams_directory=self.directory,
            why=self.reasons.get,
            decided=lambda: hash(repr(self.reasons)),
            clock=self.clock,
        )

    def do(self, change: Callable[[Connection], T]) -> T:
        """
        As `FarmCase.do`; followers then take their turns.
        """
        result = super().do(change)
        run_due_calls(self.clock)
        return result

    def start(self, slave: str = "bot1") -> Build:
        """
        Begin a build of a new request.
        """
        row = self.build()
        self.publish(row, "build.started", {"builder": row.builder, "number": row.number, "slave": slave})
        return row

    def again(self, former: Build) -> Build:
        """
        Begin another build of the same request.
        """
        request = self.do(lambda connection: requests.get(connection, former.request))
        row = self.build(request)
        self.publish(row, "build.started", {"builder": row.builder, "number": row.number, "slave": "bot1"})
        return row

    def begin(self, build: Build, step: int, name: str) -> None:
        """
        Begin a step.
        """

        def change(connection: Connection) -> None:
            steps.start(connection, build.id, step, name, 30.0)
            self._publish(connection, build, "step.started", {"step": step, "name": name})

        self.do(change)

    def write(self, build: Build, step: int, data: bytes, log: str = "stdio", ordinal: int = 0) -> str:
        """
        Append *data* to a log.  Return its path.
        """
        path = f"{build.id}-{step}-{ordinal}-{log}"
        whole = os.path.join(self.directory, path)
        is_new = not os.path.exists(whole)
        with open(whole, "ab") as file:
            file.write(data)

        def change(connection: Connection) -> None:
            streams.note(connection, build.id, step, ordinal, name=log, kind="log", path=path)
            body = {"step": step, "ordinal": ordinal, "name": log, "kind": "log", "path": path}
            self._publish(connection, build, "stream.begun", body)

        if is_new:
            self.do(change)
        self.notifications.changed(path)
        run_due_calls(self.clock)
        return path

    def remark(self, build: Build, step: int, text: str, offset: int = 0, log: str = "stdio") -> None:
        """
        Add a remark to a log.
        """
        remark = Remark(log, offset, 31.0, text)

        def change(connection: Connection) -> None:
            records_of_remarks.add(connection, build.id, step, log=log, offset=offset, text=text, now=remark.when)
            body = {"step": step, "log": log, "offset": offset, "text": text}
            self._publish(connection, build, "remark", body)

        self.do(change)

    def finish_step(
        self, build: Build, step: int, name: str, result: Result = Result.SUCCESS, summary: str = "done"
    ) -> None:
        """
        End a step.
        """

        def change(connection: Connection) -> None:
            steps.finish(connection, build.id, step, result, 40.0, summary=summary)
            body = {"step": step, "name": name, "result": int(result), "summary": summary, "hidden": False}
            self._publish(connection, build, "step.finished", body)

        self.do(change)

    def finish(self, build: Build, result: Result = Result.SUCCESS, reason: str = "", *, final: bool = True) -> None:
        """
        End the build, and its request unless *final* is false.
        """

        def change(connection: Connection) -> None:
            builds.finish(connection, build.id, result, 50.0, reason)
            self._publish(connection, build, "build.finished", {"result": int(result), "reason": reason})

        self.do(change)
        if final:
            self.finish_request(build, result, reason)

    def finish_request(self, build: Build, result: Result, reason: str = "") -> None:
        """
        End the request.
        """

        def change(connection: Connection) -> None:
            requests.finish(connection, build.request, result, 51.0, reason)
            body = {"result": int(result), "reason": reason}
            feed.publish(connection, "request.finished", now=51.0, request=build.request, body=body)

        self.do(change)

    def retry(self, build: Build, reason: str) -> None:
        """
        Publish that the request will be retried.
        """
        body = {"retry": 1, "of": 3, "reason": reason, "wait": 2.0}
        self.do(lambda c: feed.publish(c, "request.retried", now=51.0, request=build.request, body=body))

    def publish(self, build: Build, kind: str, body: Mapping[str, Any]) -> None:
        """
        Publish an event without changing any record.
        """
        self.do(lambda connection: self._publish(connection, build, kind, body))

    def _publish(self, connection: Connection, build: Build, kind: str, body: Mapping[str, Any]) -> None:
        feed.publish(connection, kind, now=30.0, request=build.request, build=build.id, body=body)

    def running(self, work: Any) -> "RunningCoroutine":
        """
        Start the coroutine *work*.
        """
        return RunningCoroutine(self, Deferred.fromCoroutine(work))


@define(eq=False)
class RunningCoroutine:
    """
    A running coroutine.
    """

    case: FollowingCase
    deferred: Deferred[Any]

    @property
    def done(self) -> bool:
        """
        Whether the coroutine has ended.
        """
        return bool(self.deferred.called)

    @property
    def result(self) -> Any:
        """
        The result of the coroutine.
        """
        run_due_calls(self.case.clock)
        return self.case.successResultOf(self.deferred)
