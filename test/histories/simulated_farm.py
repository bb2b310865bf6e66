"""
A simulated farm (a master, two slaves, the links between them) and its invariants.

The simulated time is common to all processes; each process has its own clock, which stops when the process dies.
"""

import errno
import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from typing import Any
from unittest import mock

from attrs import define
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from buildbot_lite.master.slaves.desk import SlaveDesk
from buildbot_lite.model.properties import Properties
from buildbot_lite.model.results import Result
from buildbot_lite.storage.streams import StreamFile
from buildbot_lite.wire.contract import SILENCE

from .links import DeskOverLink, FakeLink
from .machines import (
    FakeCommand,
    FakeMachine,
    text_of,
)
from .masters import SimulatedMaster

SECRET = "correct-horse-battery"
TEXT = "a text that goes there and back\n" * 900
GRACE = 120.0
RETRIES = 3
SLAVES = ("bot1", "bot2")
REDIAL = 0.5

CONFIG = f"""
c["slaves"] = [slave.BuildSlave(name, grace={GRACE}) for name in {SLAVES!r}]
c["secretsProviders"] = [secrets.SecretInAFile("secrets")]
c["maxRetries"] = {RETRIES}
c["builders"] = [
    util.BuilderConfig("b", {list(SLAVES)!r}, util.BuildFactory([
        steps.ShellCommand(name="one", command=["run", "one"], haltOnFailure=True),
        steps.StringDownload(s={TEXT!r}, slavedest="text"),
        steps.FileUpload(slavesrc="text", masterdest="text"),
        steps.ShellCommand(name="two", command=["run", "two"], env={{"TOKEN": util.Secret("token")}}),
        steps.ShellCommand(name="last", command=["run", "last"], alwaysRun=True),
    ])),
    util.BuilderConfig("f", {list(SLAVES)!r}, util.BuildFactory([
        steps.ShellCommand(name="once", command=["run", "once"], onLost="fail"),
    ])),
]
c["schedulers"] = [schedulers.Submit(name, [name]) for name in ("b", "f")]
"""


@define(eq=False)
class SubmittedRequest:
    """
    An acknowledged request.
    """

    id: int
    cancelled: bool = False
    # The cancellation was acknowledged.
    is_told: bool = False


class SimulatedFarm:
    """
    The simulated farm.  `settle` delivers all messages that can be delivered; `check` checks the invariants.
    """

    def __init__(self) -> None:
        self.directory = os.path.realpath(tempfile.mkdtemp(prefix="world-"))
        self.time = 1_000_000_000.0
        self.defects: list[Failure] = []
        self.wires: list[FakeLink] = []
        self.requests: list[SubmittedRequest] = []
        self.slow = False
        # Commands by id: all that were ever spawned, those that the master disowned, those that may be lost and why.
        self.spawned: dict[str, str] = {}
        self.disowned: set[str] = set()
        self.excused: dict[str, str] = {}
        self.given_up: set[str] = set()
        self.here: dict[str, float] = dict.fromkeys(SLAVES, self.time)
        self.codes: dict[str, int] = {}
        self.broken: list[str] = []
        self.disk_full = False
        self._really_open = StreamFile._open
        self._patch = mock.patch.object(
            StreamFile,
            "_open",
            lambda file: self._open(file),  # noqa: PLW0108 - a function becomes a method, a method does not
        )
        self._patch.start()
        os.mkdir(os.path.join(self.directory, "master"))
        secrets = os.path.join(self.directory, "master", "secrets")
        os.mkdir(secrets, 0o700)
        with open(os.open(os.path.join(secrets, "token"), os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:
            file.write(SECRET)
        self.master = SimulatedMaster(os.path.join(self.directory, "master"), CONFIG, self.now)
        self.machines = {name: self._machine(name) for name in SLAVES}
        self.master.start()
        for machine in self.machines.values():
            machine.start()
            self.connect(machine)
        self.settle()

    def _machine(self, name: str) -> FakeMachine:
        directory = os.path.join(self.directory, name)
        os.mkdir(directory)
        return FakeMachine(name, directory, self.now, spawned=self._spawned, forgot=self._forgot)

    def _open(self, file: StreamFile) -> int:
        if self.disk_full:
            raise OSError(errno.ENOSPC, "no room")
        return self._really_open(file)

    def close(self) -> None:
        self._patch.stop()
        shutil.rmtree(self.directory, ignore_errors=True)

    def now(self) -> float:
        return self.time

    # Events.

    def connect(self, machine: FakeMachine) -> None:
        """
        Connect a slave that has no link.
        """
        process = machine.process
        if process is None or not machine.reachable or self.master.farm is None:
            return
        if process.end is not None and not process.end.lost:
            return
        link = FakeLink(self.now, self.defects)
        self.wires.append(link)
        process.end = link.slave
        farm = self.master.farm
        desk = SlaveDesk(machine.name, farm.slaves, lambda key: None, lambda: ())
        process.session.connected(DeskOverLink(desk, link.slave, self.disowned.add), link.slave)

    def link_of(self, machine: FakeMachine) -> FakeLink | None:
        """
        Return the link that the slave considers alive.
        """
        process = machine.process
        return process.end.link if process is not None and process.end is not None and not process.end.lost else None

    def submit(self, builder: str) -> None:
        """
        Submit a build; the master must keep its promise once the request is committed.
        """
        farm = self.master.farm
        assert farm is not None

        def promised(submitted: Any) -> None:
            self.requests.extend(SubmittedRequest(each.id) for each in submitted.requests)

        asking = farm.composer.submit(farm.config.schedulers[builder], Properties(), reason="test")
        _ = Deferred.fromCoroutine(asking).addCallbacks(promised, self.defects.append)

    def cancel(self, request: SubmittedRequest) -> None:
        """
        Cancel a request.
        """
        farm = self.master.farm
        assert farm is not None
        request.cancelled = True

        async def cancel() -> None:
            why = "not wanted any more"
            if await farm.requests.cancel(request.id, why) or await farm.running.stop(request.id, why):
                request.is_told = True

        Deferred.fromCoroutine(cancel()).addErrback(self.defects.append)  # type: ignore[unused-awaitable]  # what fails is seen by check()

    def kill_master(self, committing: int) -> None:
        """
        Kill the master's process.
        """
        self.master.kill(committing=committing)
        for link in self.wires:
            link.master.die()

    def lose(self, machine: FakeMachine, lost: list[str], why: str) -> None:
        """
        Note that the test caused the loss of these commands.
        """
        for id in lost:
            self.excused.setdefault(id, why)

    def give_up(self, machine: FakeMachine) -> None:
        """
        Declare a machine lost, rightly or wrongly.  If wrongly, its commands may run until the machine is heard again.
        """
        farm = self.master.farm
        assert farm is not None
        rows = self.master.rows("select nonce from builds where slave = ? and finished is null", machine.name)
        self.excused.update((nonce, "an admin said so") for (nonce,) in rows)
        self.given_up.update(nonce for (nonce,) in rows)
        farm.slaves.give_up(machine.name, "an admin says that it is lost")

    def pass_time(self, seconds: float) -> None:
        """
        Advance all clocks; the ends of a broken link notice its loss after `SILENCE`.
        """
        end = self.time + seconds
        while self.time < end:
            step = min(1.0, end - self.time)
            self.time += step
            for machine in self.machines.values():
                if machine.process is not None:
                    machine.process.clock.advance(step)
                machine.look_at_leases()
                for command in machine.commands.values():
                    if (
                        command.outcome is not None
                        and command.outcome.why is not None
                        and command.outcome.why.value == "lease"
                    ):
                        self.excused.setdefault(command.id, "lease")
            if self.master.farm is not None:
                self.master.clock.advance(step)
            for link in list(self.wires):
                if link.broken is not None and self.time - link.broken >= SILENCE:
                    for each in link.ends:
                        each.lose()
                    self.wires.remove(link)
            for machine in self.machines.values():
                self.connect(machine)
                self._excuse_the_absent(machine)
            self.settle()

    def _excuse_the_absent(self, machine: FakeMachine) -> None:
        """
        Excuse the loss of commands on a slave that was not heard for longer than its grace.
        """
        link = self.link_of(machine)
        if link is not None and link.broken is None and not self.slow:
            self.here[machine.name] = self.time
        elif self.time - self.here[machine.name] >= GRACE:
            rows = self.master.rows("select nonce from builds where slave = ? and finished is null", machine.name)
            self.excused.update((nonce, "away") for (nonce,) in rows)

    def settle(self) -> None:
        """
        Deliver messages until nothing changes without the passing of time.
        """
        for _ in range(10_000):
            some = False
            for machine in self.machines.values():
                some |= self._talk(machine)
            if not self.slow:
                for link in self.wires:
                    for end in link.ends:
                        some |= link.deliver(end, 1000)
            self._turn()
            if not some:
                break
        else:
            raise AssertionError("it never comes to rest")
        self.check()

    def _talk(self, machine: FakeMachine) -> bool:
        some = False
        line = machine.line
        if line is None:
            return False
        while line.to_keeper and line is machine.line:
            line.to_keeper.popleft()()
            some = True
        while line.to_slave and line is machine.line:
            line.to_slave.popleft()()
            some = True
        return some

    def _turn(self) -> None:
        for _ in range(4):
            for machine in self.machines.values():
                if machine.process is not None:
                    machine.process.clock.advance(0)
            if self.master.farm is not None:
                self.master.clock.advance(0)

    # Invariants.

    def _spawned(self, machine: FakeMachine, id: str) -> None:
        if id in self.spawned:
            self.broken.append(f"I1: {id} was started twice, on {self.spawned[id]} and {machine.name}")
        self.spawned[id] = machine.name
        mine = self._attempt(id)
        for other in self.machines.values():
            for command in other.running:
                theirs = self._attempt(command.id)
                given_up = {id.partition("-")[0], command.id.partition("-")[0]} & self.given_up
                if command.id != id and mine[0] == theirs[0] and mine[1] != theirs[1] and not given_up:
                    self.broken.append(
                        f"I8: {id} was started while {command.id} of another attempt ran on {other.name}"
                    )

    def _attempt(self, id: str) -> tuple[int, int]:
        """
        Return the request and the build of a command.
        """
        found = self.master.rows("select request, id from builds where nonce = ?", id.partition("-")[0])
        assert found, f"I6: {id} belongs to no committed build"
        return found[0][0], found[0][1]

    def _forgot(self, machine: FakeMachine, id: str) -> None:
        if id not in self.disowned and id in machine.commands and not self._committed(id):
            self.broken.append(f"I4: {machine.name} forgot {id}, which nobody committed or disowned")

    def _committed(self, id: str) -> bool:
        nonce, step, ordinal = id.split("-")
        return bool(
            self.master.rows(
                "select 1 from journal join builds on builds.id = build where nonce = ? and step = ? and ordinal = ? "
                "and outcome is not null",
                nonce, int(step), int(ordinal),
            )
        )  # fmt: skip

    def check(self) -> None:
        """
        Check the invariants.
        """
        assert not self.broken, self.broken
        assert not self.defects, self.defects[0].getTraceback()
        self._check_streams()
        self._check_results()
        told = [event.seq for event in self.master.told]
        committed = [seq for (seq,) in self.master.rows("select seq from feed order by seq")]
        assert told == sorted(set(told)), "I6: an event was told twice or out of order"
        assert set(told) <= set(committed), "I6: an event was told that was never committed"

    def _check_streams(self) -> None:
        for id, build, step, ordinal in self._commands():
            path = self._stream(build, step, ordinal)
            if os.path.exists(path):
                with open(path, "rb") as file:
                    found = file.read()
                assert text_of(id, "stdio").startswith(found), f"I2: the log of {id} is not what it wrote"

    def _check_results(self) -> None:
        rows = self.master.rows(
            "select nonce, build, step, ordinal, outcome from journal join builds on builds.id = build "
            "where kind = 'command' and outcome is not null"
        )
        for nonce, build, step, ordinal, text in rows:
            for name, seal in json.loads(text).get("streams", {}).items():
                path = self._stream(build, step, ordinal) if name == "stdio" else self._artifact(build)
                with open(path, "rb") as file:
                    found = file.read()
                assert len(found) == seal["length"], f"I3: {nonce}-{step}-{ordinal} has a result, and not all of {name}"
                assert hashlib.sha256(found).hexdigest() == seal["sha256"]
                if name != "stdio":
                    assert found == TEXT.encode(), "the artifact is not whole"

    def _commands(self) -> Iterator[tuple[str, int, int, int]]:
        rows = self.master.rows(
            "select nonce, build, step, ordinal from journal join builds on builds.id = build where kind = 'command'"
        )
        for nonce, build, step, ordinal in rows:
            yield f"{nonce}-{step}-{ordinal}", build, step, ordinal

    def _stream(self, build: int, step: int, ordinal: int) -> str:
        return os.path.join(self.master.directory, "streams", "0", str(build), f"{step}-{ordinal}-stdio")

    def _artifact(self, build: int) -> str:
        ((builder, number),) = self.master.rows("select builder, number from builds where id = ?", build)
        return os.path.join(self.master.directory, "artifacts", builder, str(number), "text")

    # The end of a history.

    def heal(self) -> None:
        """
        Repair all failures and start all processes.
        """
        self.slow = self.disk_full = False
        if self.master.farm is None:
            self.master.start()
        assert self.master.process is not None
        self.master.process.held = False
        self.master.process.commit(self.master.process.waiting)
        for machine in self.machines.values():
            machine.reachable = True
            if machine.process is None:
                machine.start()
        self.settle()

    def finish(self) -> None:
        """
        Let every command end, and check that every promise is kept.
        """
        self.heal()
        self.pass_time(35)
        self._check_interrupts()
        for _ in range(100):
            if not self._unfinished():
                break
            for machine in self.machines.values():
                for command in machine.running:
                    machine.write(command, 100)
                    self.end_command(machine, command, 0)
            self.pass_time(4)
        else:
            raise AssertionError(f"never finished: {self._unfinished()}\n{self.picture()}")
        self.pass_time(60)
        self.check()
        for machine in self.machines.values():
            assert not machine.commands, f"{machine.name} still holds {sorted(machine.commands)}"
            assert not os.listdir(os.path.join(machine.directory, "transfers")), "transfers were left"
        self._check_requests()
        self._check_secret()

    def _check_interrupts(self) -> None:
        """
        Check that no command of a cancelled request runs, except the last step, which has alwaysRun.
        """
        unwanted = {request.id for request in self.requests if request.is_told}
        for machine in self.machines.values():
            for command in machine.running:
                always = command.spec.argv[-1] == "last"
                assert always or self._attempt(command.id)[0] not in unwanted, (
                    f"{command.id} was cancelled, and runs on"
                )

    def end_command(self, machine: FakeMachine, command: FakeCommand, code: int) -> None:
        """
        Let a command exit.
        """
        self.codes[command.id] = code
        machine.end(command, exit_code=code)

    def _unfinished(self) -> list[int]:
        return [id for (id,) in self.master.rows("select id from requests where finished is null")]

    def picture(self) -> str:
        """
        Describe the state of the farm, for the report of a failure.
        """
        lines = [repr(row) for row in self.master.rows("select id, builder, number, slave, result, reason from builds")]
        lines += [repr(row) for row in self.master.rows("select build, step, ordinal, kind, outcome from journal")]
        farm = self.master.farm
        for machine in self.machines.values():
            commands = [(command.id, command.life, command.length) for command in machine.commands.values()]
            lines.append(f"{machine.name}: {commands}")
            process = machine.process
            if process is not None:
                lines.append(f"  it holds {sorted(process.agent._held)}")
                if process.end is not None:
                    link = process.end.link
                    lines.append(f"  line: lost {[end.lost for end in link.ends]}, broken {link.broken}")
            if farm is not None:
                session = farm.slaves.session(machine.name)
                lines.append(f"  the master's: here {session.hello is not None}, orders {list(session.live_ids)}")
        if farm is not None:
            lines += [f"{waiting.request.id} waits: {waiting.reason}" for waiting in farm.queue.waiting()]
        return "\n".join(lines)

    def _check_requests(self) -> None:
        promised = {request.id: request for request in self.requests}
        rows = self.master.rows("select id, builder, result, retries, reason from requests")
        assert set(promised) <= {row[0] for row in rows}, "a promise is not on the disk"
        for id, builder, result, retries, reason in rows:
            request = promised.get(id)
            builds = self.master.rows(
                "select id, nonce, result, reason from builds where request = ? order by number", id
            )
            self._check_attempts(builder, retries, builds)
            if request is not None and request.cancelled and Result(result) is Result.CANCELLED:
                continue
            last = builds[-1]
            codes = self._codes(last[1])
            if retries == RETRIES and Result(last[2]) is Result.RETRY:
                assert Result(result) is Result.EXCEPTION
            elif builder == "f" and any(id in self.excused for id in [last[1], *self._ids(last[1])]):
                assert Result(result) in {Result.EXCEPTION, Result.SUCCESS, Result.FAILURE}
            else:
                wanted = Result.FAILURE if any(codes.values()) else Result.SUCCESS
                assert Result(result) is wanted, (id, Result(result), reason, codes)
                assert Result(last[2]) is wanted

    def _check_attempts(self, builder: str, retries: int, builds: list[Any]) -> None:
        tried = [build for build in builds if Result(build[2]) is Result.RETRY]
        assert retries <= RETRIES
        assert len(tried) in {retries, retries + 1}
        for _, nonce, _, reason in tried:
            ids = [nonce, *self._ids(nonce)]
            assert builder != "f", f"retried in spite of onLost=fail: {reason}"
            assert any(id in self.excused for id in ids), f"a retry without need: {reason}"
            assert reason

    def _ids(self, nonce: str) -> list[str]:
        return [id for id, *_ in self._commands() if id.startswith(nonce)]

    def _codes(self, nonce: str) -> Mapping[str, int]:
        return {id: self.codes.get(id, 0) for id in self._ids(nonce)}

    def _check_secret(self) -> None:
        """
        I7: the secret is in no record, stream, or file except its own.
        """
        for (table,) in self.master.rows("select name from sqlite_master where type = 'table'"):
            for row in self.master.rows(f'select * from "{table}"'):
                assert SECRET not in repr(row), f"I7: the table {table} has the secret"
        for directory, _, names in os.walk(self.directory):
            for name in names:
                if not directory.endswith("secrets"):
                    with open(os.path.join(directory, name), "rb") as file:
                        assert SECRET.encode() not in file.read(), f"I7: {name} has the secret"
