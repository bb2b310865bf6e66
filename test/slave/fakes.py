"""
Fakes for tests of the slave's agent, in memory: the master's end of a command, a keeper, and a machine.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred, execute, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import BuildbotLiteError, FileError
from buildbot_lite.keeper.command_store import spool_path
from buildbot_lite.model.hello import Life
from buildbot_lite.model.outcome import (
    Ending,
    Outcome,
    Seal,
)
from buildbot_lite.model.spec import Run
from buildbot_lite.slave.agent import Agent
from buildbot_lite.slave.file_jobs import (
    Job,
    discard_job,
    perform,
)
from buildbot_lite.slave.link import AgentLink
from buildbot_lite.slave.safe_paths import SafePaths
from buildbot_lite.slave.transfer import TransferContext
from buildbot_lite.slave.worker_process import RunningJob


def new_directory(test: SynchronousTestCase) -> str:
    """
    Return a new directory that is removed after *test*.
    """
    directory = os.path.realpath(tempfile.mkdtemp(prefix="slave-"))
    test.addCleanup(perform, discard_job(directory))
    return directory


def make_deep(path: str, name: str, levels: int) -> int:
    """
    Create *levels* nested directories, all called *name*, in the directory *path*; return a descriptor of the lowest.
    """
    here = os.open(path, os.O_RDONLY)
    for _ in range(levels):
        os.mkdir(name, dir_fd=here)
        there = os.open(name, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = there
    return here


@contextmanager
def as_nobody() -> Iterator[None]:
    """
    Run the block with the effective user "nobody", for tests that root runs.
    """
    os.setegid(65534)
    os.seteuid(65534)
    try:
        yield
    finally:
        os.seteuid(0)
        os.setegid(0)


def answered(answer: Deferred[Mapping[str, Any]], said: Mapping[str, Any]) -> None:
    """
    Fire *answer* with the result that a job wrote as JSON.
    """
    if "problem" in said:
        answer.errback(FileError(said["problem"]))
    elif "os_error" in said:
        answer.errback(OSError(*said["os_error"]))
    else:
        answer.callback(said["done"])


def through_json(job: Job) -> dict[str, Any]:
    """
    Run *job* in this process, and pass its result through JSON.
    """
    found: dict[str, Any] = json.loads(json.dumps(perform(json.loads(json.dumps(job)))))
    return found


class InlineWorkers:
    """
    `Workers` that run each job at once, in this process.
    """

    def start(self, job: Job, *, seconds: float | None = None, descriptor: int | None = None) -> RunningJob:
        answer: Deferred[Mapping[str, Any]] = Deferred()
        answered(answer, through_json(job))
        return RunningJob(answer, succeed(None))


def sealed(**streams: bytes) -> dict[str, Seal]:
    """
    Return the seals of streams with these contents.
    """
    return {name: Seal(len(data), hashlib.sha256(data).hexdigest()) for name, data in streams.items()}


class FakeCommand:
    """
    The master's end of a command, which stores its streams.

    While *slow*, an append is answered only by `answer`.  *room*: the bytes that are stored before it answers LATER.
    *lost*: the number of next appends that are dropped.
    """

    def __init__(self, sources: Mapping[str, bytes] | None = None) -> None:
        self.streams: dict[str, bytearray] = {}
        self.calls: list[tuple[str, int, int]] = []
        self.outcomes: list[Outcome] = []
        self.sources = dict(sources or {})
        self.reads: list[tuple[str, int, int]] = []
        self.slow = False
        self.room: int | None = None
        self.lost = 0
        self.waiting: list[Callable[[], object]] = []
        self.commits = True
        self.finishing: list[Deferred[tuple[str, ...]]] = []
        self.broken: BuildbotLiteError | None = None
        self.wrong: list[str] = []

    def append(self, stream: str, offset: int, data: bytes) -> Deferred[int]:
        self.calls.append((stream, offset, len(data)))
        if self.slow:
            answer: Deferred[int] = Deferred()
            self.waiting.append(lambda: self._append(stream, offset, data).chainDeferred(answer))
            return answer
        return self._append(stream, offset, data)

    def answer(self, count: int = 1) -> None:
        for _ in range(count):
            self.waiting.pop(0)()

    def _append(self, stream: str, offset: int, data: bytes) -> Deferred[int]:
        if self.broken is not None:
            return fail(self.broken)
        if self.room is not None:
            if self.room < len(data):
                return succeed(-1)
            self.room -= len(data)
        kept = self.streams.setdefault(stream, bytearray())
        if self.lost:
            self.lost -= 1
        elif offset <= len(kept):
            kept += data[len(kept) - offset :]
        return succeed(len(kept))

    def read(self, name: str, offset: int, size: int) -> Deferred[bytes]:
        self.reads.append((name, offset, size))
        if self.broken is not None:
            return fail(self.broken)
        answer: Deferred[bytes] = Deferred()
        data = self.sources[name][offset : offset + size]
        if self.slow:
            self.waiting.append(lambda: answer.callback(data))
        else:
            answer.callback(data)
        return answer

    def finished(self, outcome: Outcome) -> Deferred[tuple[str, ...]]:
        self.outcomes.append(outcome)
        if self.broken is not None:
            return fail(self.broken)
        if self.wrong:
            wrong, self.wrong = tuple(self.wrong), []
            return succeed(wrong)
        if self.commits:
            return succeed(())
        self.finishing.append(Deferred())
        return self.finishing[-1]


@define
class FakeKeeper:
    """
    A keeper; the test controls its commands.  `SimulatedMachine` sets *agent*.
    """

    directory: str
    asked: list[tuple[Any, ...]] = field(factory=list)
    started: dict[str, dict[str, Any]] = field(factory=dict)
    claims: bool = True
    forgets: bool = True
    agent: Agent = field(init=False)

    def start(self, id: str, *, spec: Run, **others: Any) -> None:
        self.asked.append(("start", id))
        self.started[id] = {"spec": spec, **others}
        if self.claims:
            self.agent.claimed(id)

    def interrupt(self, id: str, reason: str) -> None:
        self.asked.append(("interrupt", id, reason))

    def forget(self, id: str) -> None:
        self.asked.append(("forget", id))
        shutil.rmtree(os.path.dirname(spool_path(self.directory, id, "stdio")), ignore_errors=True)
        if self.forgets:
            self.agent.forgotten(id)

    # Control of the commands by the test.

    def write(self, id: str, data: bytes, stream: str = "stdio") -> None:
        path = spool_path(self.directory, id, stream)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "ab") as spool:
            spool.write(data)
            length = spool.tell()
        self.agent.grew(id, {stream: length})

    def end(self, id: str, exit_code: int = 0, streams: tuple[str, ...] = ("stdio",)) -> Outcome:
        contents = {}
        for stream in streams:
            with open(spool_path(self.directory, id, stream), "rb") as spool:
                contents[stream] = spool.read()
        outcome = Outcome(Ending.EXITED, exit_code=exit_code, streams=sealed(**contents))
        self.agent.ended(id, outcome)
        return outcome


@define
class SimulatedMachine:
    """
    A slave's machine: its disk, and the keeper's commands, survive `restart`.
    """

    directory: str
    clock: Clock = field(factory=Clock)
    keeper: FakeKeeper = field(init=False)
    agent: Agent = field(init=False)
    links: list[AgentLink] = field(factory=list)
    drops: list[str] = field(factory=list)
    busy: bool = False
    threads: list[Callable[[], object]] = field(factory=list)
    jobs: list[tuple[str, float | None]] = field(factory=list)
    killed: int = 0

    def __attrs_post_init__(self) -> None:
        self.keeper = FakeKeeper(os.path.join(self.directory, "keeper"))
        os.makedirs(os.path.join(self.directory, "transfers"))
        os.makedirs(os.path.join(self.directory, "work"))
        self.restart()

    @property
    def work(self) -> str:
        return os.path.join(self.directory, "work")

    @property
    def context(self) -> TransferContext:
        return TransferContext(
            SafePaths(self.work),
            os.path.join(self.directory, "transfers"),
            self.in_thread,
            self.clock,
            self,
        )

    def start(self, job: Job, *, seconds: float | None = None, descriptor: int | None = None) -> RunningJob:
        """
        Run *job* like `in_thread`, instead of in a worker process (`Workers`); job and result still pass through JSON.
        """
        self.jobs.append((job["job"], seconds))
        ended: Deferred[None] = Deferred()
        answer: Deferred[Mapping[str, Any]] = Deferred(lambda _: self.kill(ended))

        def job_ended(result: Any) -> None:
            if not ended.called:
                answered(answer, result)
                ended.callback(None)

        done = self.in_thread(lambda: through_json(job))
        done.addCallback(job_ended)  # type: ignore[unused-awaitable]  # *answer* is what is waited for
        return RunningJob(answer, ended)

    def kill(self, ended: Deferred[None]) -> None:
        self.killed += 1
        ended.callback(None)

    def restart(self) -> None:
        """
        Replace the slave's process.
        """
        self.clock = Clock()
        self.agent = self.keeper.agent = Agent(
            client=self.keeper,
            keeper_directory=self.keeper.directory,
            context=self.context,
            env={"PATH": "/bin"},
            clock=self.clock,
        )
        self.agent.start()

    def in_thread(self, function: Callable[[], Any]) -> Deferred[Any]:
        """
        Run a function that belongs in a thread: at once, or, while *busy*, when the test takes it from *threads*.
        """
        if not self.busy:
            return execute(function)
        done: Deferred[Any] = Deferred()
        self.threads.append(lambda: execute(function).chainDeferred(done))
        return done

    def link(self) -> AgentLink:
        self.links.append(AgentLink(self.agent, self.drops.append))
        return self.links[-1]

    def keeper_attached(self, **held: tuple[str, Life, dict[str, int]]) -> None:
        self.agent.attached(held)

    def path(self, *parts: str) -> str:
        return os.path.join(self.work, *parts)

    def put(self, path: str, data: bytes) -> str:
        where = self.path(path)
        os.makedirs(os.path.dirname(where), exist_ok=True)
        with open(where, "wb") as out:
            out.write(data)
        return where

    def contents(self, path: str) -> bytes:
        with open(self.path(path), "rb") as found:
            return found.read()

    def settle(self) -> None:
        """
        Run all calls that were postponed to another iteration of the reactor.
        """
        for _ in range(20):
            self.clock.advance(0)
