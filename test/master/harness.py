"""
A master in memory: real records (without threads), real builds, and scripted slaves.

`FakeSlave` plays the role `Slave`: it records each call, and behaves as the test tells it to.
"""

import hashlib
import os
import shutil
import tempfile
import weakref
from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Self
from unittest import mock

from attrs import define, field
from twisted.internet.defer import Deferred, fail, maybeDeferred, succeed
from twisted.internet.task import Clock

from buildbot_lite.control.verbs import granted_verbs
from buildbot_lite.errors import LinkLostError
from buildbot_lite.extensions import configuration_keys, services
from buildbot_lite.master.config.loading import Generation, load
from buildbot_lite.master.config.master_config import MasterConfig
from buildbot_lite.master.farm import Environment, Farm
from buildbot_lite.master.grants.location import ClosedPorts, Location, PreparedMove
from buildbot_lite.master.grants.verbs import Verb
from buildbot_lite.model.hello import (
    HeldCommand,
    Hello,
    Life,
)
from buildbot_lite.model.http_request import HttpAnswer, HttpRequest
from buildbot_lite.model.outcome import (
    Ending,
    Outcome,
    Seal,
)
from buildbot_lite.model.results import Result
from buildbot_lite.model.spec import (
    Run,
    Spec,
    fingerprint,
)
from buildbot_lite.storage.records import (
    builds,
    requests,
    steps,
)
from buildbot_lite.storage.swissnums import Swissnums
from buildbot_lite.wire.limits.preauth import Preauth
from buildbot_lite.wire.roles import Command
from test.storage.inline import InlineWriter

from .lifetime import Lifetime


def hello(**changes: Any) -> Hello:
    """
    The `hello` of an ordinary slave, with *changes*.
    """
    said: dict[str, Any] = {
        "home": "home-1",
        "incarnation": "process-1",
        "keeper": "keeper-1",
        "boot": "boot-1",
        "version": "0",
        "space": 1 << 40,
    }
    return Hello(**{**said, **changes})


@define(eq=False)
class StartedCommand:
    """
    A command that was started on a slave.
    """

    id: str
    spec: Spec
    secrets: Mapping[str, str]
    command: Command

    def write(self, data: bytes, stream: str = "stdio", offset: int = 0) -> int:
        """
        Have the slave append *data*.  Return the length that the master has.
        """
        answers: list[int] = []
        _ = self.command.append(stream, offset, data).addCallback(answers.append)
        return answers[0]

    def end(self, exit_code: int = 0, *, streams: Mapping[str, bytes] | None = None, **more: Any) -> list[Any]:
        """
        Have the slave report the command's end.  *streams*: the complete bytes of its streams.  The returned list
        receives the master's answer.
        """
        seals = {name: Seal(len(data), hashlib.sha256(data).hexdigest()) for name, data in (streams or {}).items()}
        ending = more.pop("ending", Ending.EXITED)
        outcome = Outcome(ending, exit_code=exit_code, streams=seals, **more)
        answers: list[Any] = []
        _ = self.command.finished(outcome).addBoth(answers.append)
        return answers


@define(eq=False)
class FakeSlave:
    """
    A slave whose link is up until the test calls `lose`.
    """

    commands: list[StartedCommand] = field(factory=list)
    resumed: list[tuple[str, dict[str, int]]] = field(factory=list)
    interrupted: list[tuple[str, str]] = field(factory=list)
    disowned: list[str] = field(factory=list)
    dropped: list[str] = field(factory=list)
    behaviour: Callable[[StartedCommand], None] = lambda started: None
    refusal: Exception | None = None
    _lost: list[Callable[[], None]] = field(factory=list)
    _gone: bool = False

    def start(self, id: str, spec: Spec, secrets: Mapping[str, str], command: Command) -> Deferred[None]:
        if self._gone:
            return fail(LinkLostError())
        if self.refusal is not None:
            return fail(self.refusal)
        started = StartedCommand(id, spec, secrets, command)
        self.commands.append(started)
        self.behaviour(started)
        return succeed(None)

    def resume(self, id: str, command: Command, have: Mapping[str, int]) -> Deferred[None]:
        self.resumed.append((id, dict(have)))
        for started in self.commands:
            if started.id == id:
                started.command = command
        return succeed(None)

    def interrupt(self, id: str, reason: str) -> Deferred[None]:
        self.interrupted.append((id, reason))
        return succeed(None)

    def disown(self, id: str) -> Deferred[None]:
        self.disowned.append(id)
        return succeed(None)

    def drop(self, reason: str) -> None:
        self.dropped.append(reason)
        self.lose()

    def when_lost(self, callback: Callable[[], None]) -> None:
        self._lost.append(callback)

    def lose(self) -> None:
        """
        Break the link.
        """
        self._gone = True
        lost, self._lost = self._lost, []
        for callback in lost:
            callback()

    def held(self) -> tuple[HeldCommand, ...]:
        """
        All started commands, as running.
        """
        return tuple(HeldCommand(each.id, fingerprint(each.spec), Life.RUNNING) for each in self.commands)


def succeeding(started: StartedCommand) -> None:
    """
    A behaviour: each command succeeds at once.
    """
    started.end(0)


def scripted(exit_codes: Mapping[str, int]) -> Callable[[StartedCommand], None]:
    """
    A behaviour: each command exits with the code that *exit_codes* has for its last word, or else with 0.
    """

    def behave(started: StartedCommand) -> None:
        words = started.spec.argv if isinstance(started.spec, Run) else ()
        started.end(exit_codes.get(words[-1] if words else "", 0))

    return behave


class FixedLocation(Location):
    """
    A location without ports that never changes.
    """

    def __init__(self) -> None:
        self._change = mock.Mock()

    def bind(self, config: MasterConfig) -> PreparedMove:
        return PreparedMove(self, config, self._change)

    def follow(self, config: MasterConfig) -> None:
        pass

    def moved(self) -> ClosedPorts:
        return ClosedPorts()

    def furl(self, swissnum: str) -> str:
        return f"pb://tub@tcp:here:1/{swissnum}"

    def hints(self) -> tuple[str, ...]:
        return ()

    def nearby(self) -> tuple[str, ...]:
        return ()

    async def unreachable(self, hints: Iterable[str]) -> list[str]:
        return []


class SlowRecords:
    """
    While this context is open, each call of *method* of *records* waits until `release`, as on a slow disk.
    """

    def __init__(self, records: InlineWriter, method: str) -> None:
        self._real: Callable[[Any], Deferred[Any]] = getattr(records, method)
        self._patch = mock.patch.object(records, method, self._wait)
        self._waiting: list[tuple[Any, Deferred[Any]]] = []

    def __enter__(self) -> Self:
        self._patch.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._patch.stop()
        self.release()

    def release(self) -> None:
        """
        Do all waiting calls, including those that they cause, and those whose caller cancelled.
        """
        while self._waiting:
            work, done = self._waiting.pop(0)
            result = self._real(work)
            if done.called:
                _ = result.addErrback(lambda failure: None)
            else:
                result.chainDeferred(done)  # type: ignore[unused-awaitable]  # *done* is what is waited for

    def _wait(self, work: Any) -> Deferred[Any]:
        # A transaction that has begun cannot be undone: cancelling only ends the wait.
        done: Deferred[Any] = Deferred()
        self._waiting.append((work, done))
        return done


class MasterHarness:
    """
    A farm with the configuration *text*.  `restart` replaces the master.

    *text* follows a head with the imports and ``c = {}``.  *verbs*: the verbs of grants other than the slaves'.
    """

    def __init__(self, text: str, verbs: Callable[[Farm], Iterable[Verb]] = granted_verbs) -> None:
        self._verbs = verbs
        self.basedir = tempfile.mkdtemp(prefix="farm-")
        weakref.finalize(self, shutil.rmtree, self.basedir, ignore_errors=True)
        self.records = InlineWriter()
        self.swissnums = Swissnums(b"key")
        self.clock = Clock()
        self.clock.advance(1_000_000_000)
        self._lifetime = Lifetime(self.records, self.clock)
        self.configure(text)
        self.farm = self._farm(load(self.basedir, keys=configuration_keys()))
        self.start()

    def configure(self, text: str) -> None:
        """
        Write master.cfg.
        """
        head = "from buildbot_lite.plugins import *\nc = BuildmasterConfig = {}\n"
        with open(os.path.join(self.basedir, "master.cfg"), "w", encoding="utf-8") as file:
            file.write(head + text)

    def start(self) -> None:
        """
        Start the farm, which takes no time.
        """
        done: list[Any] = []
        _ = Deferred.fromCoroutine(self.farm.start()).addBoth(done.append)
        assert done == [None], done
        self.settle()

    def restart(self) -> None:
        """
        The master dies without notice, and a new one starts.
        """
        self.replace()
        self.start()

    def replace(self) -> Farm:
        """
        The master dies without notice, and does nothing any more.  The next one is returned, to be started.
        """
        self._lifetime.end()
        self._lifetime = Lifetime(self.records, self.clock)
        self.farm = self._farm(load(self.basedir, keys=configuration_keys()))
        return self.farm

    def settle(self, seconds: float = 0.0) -> None:
        """
        Let *seconds* pass, and run all calls that are due.
        """
        self.clock.advance(seconds)
        for _ in range(50):
            self.clock.advance(0)

    def write_noted(self) -> None:
        """
        Let the moment pass after which noted changes are committed.  A master that is killed before has lost them.
        """
        self._lifetime.records.commit_noted()

    def attach(self, name: str = "bot1", slave: FakeSlave | None = None, **said: Any) -> FakeSlave:
        """
        Attach *slave* as *name*, with these changes to its `hello`.
        """
        slave = slave or FakeSlave()
        self.farm.slaves.session(name).attached(slave, hello(**said))
        self.settle()
        return slave

    def submit(self, name: str = "go", **more: Any) -> int:
        """
        Submit with the Submit scheduler *name*.  Return the last request of the submission.
        """
        scheduler = self.farm.config.schedulers[name]
        numbers: list[int] = []

        async def ask() -> None:
            submitted = await self.farm.composer.submit(scheduler, _none(), reason="test", **more)
            numbers.extend(request.id for request in submitted.requests)

        self.done(ask())
        self.settle()
        return numbers[-1]

    def done(self, coroutine: Any) -> Any:
        """
        The result of *coroutine*, which must finish at once.
        """
        results: list[Any] = []
        _ = Deferred.fromCoroutine(coroutine).addBoth(results.append)
        assert results, "it has not finished"
        if hasattr(results[0], "raiseException"):
            results[0].raiseException()
        return results[0]

    def read(self, query: Callable[..., Any]) -> Any:
        """
        The result of *query* on the records, a moment later: when what is noted is committed.
        """
        found: list[Any] = []
        self.write_noted()
        _ = self.records.read(query).addCallback(found.append)
        return found[0]

    def request(self, id: int) -> requests.Request:
        """
        The record of a request.
        """
        found: requests.Request = self.read(lambda connection: requests.get(connection, id))
        return found

    def builds(self, request: int) -> Sequence[builds.Build]:
        """
        The records of the builds of a request.
        """
        found: Sequence[builds.Build] = self.read(lambda connection: builds.of_request(connection, request))
        return found

    def steps(self, request: int) -> list[tuple[str, Result | None]]:
        """
        The steps of the last build of a request: name and result.
        """
        build = self.builds(request)[-1]
        rows = self.read(lambda connection: steps.of_build(connection, build.id))
        return [(row.name, row.result) for row in rows]

    def _farm(self, generation: Generation) -> Farm:
        return Farm(
            Environment(
                basedir=self.basedir,
                records=self._lifetime.records,
                generation=generation,
                location=FixedLocation(),
                swissnums=self.swissnums,
                preauth=Preauth("tub", self.clock.seconds),
                verbs=self._verbs,
                clock=self._lifetime.clock,
                wall=self.clock.seconds,
                in_thread=maybeDeferred,
                try_out=lambda seconds: succeed(None),
                http=no_http,
                extensions=services,
            )
        )


async def no_http(request: HttpRequest) -> HttpAnswer:
    """
    The network, which tests in memory have not.
    """
    return HttpAnswer(error="there is no network in this test")


def _none() -> Any:
    from buildbot_lite.model.properties import Properties

    return Properties()
