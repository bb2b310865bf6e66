"""
The agent: requests of a master to its slave, over links that break.
"""

import errno
import os
import shutil
import tempfile
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import (
    LinkLostError,
    MessageError,
    RefusedError,
)
from buildbot_lite.model.hello import Life
from buildbot_lite.model.outcome import Ending, Outcome
from buildbot_lite.model.spec import RemoveDirectory, Run, fingerprint
from buildbot_lite.slave.link import AgentLink
from buildbot_lite.wire.roles import Slave

from .fakes import (
    FakeCommand,
    SimulatedMachine,
    new_directory,
    sealed,
)

SPEC = Run(argv=("make",), workdir="hello/build")
ID = "7f" * 16


class AgentTests(SynchronousTestCase):
    def setUp(self) -> None:
        """
        A machine with one link to its master.
        """
        self.machine = SimulatedMachine(new_directory(self))
        self.keeper = self.machine.keeper
        self.command = FakeCommand()
        self.link = self.machine.link()

    def start(self, command: FakeCommand | None = None) -> None:
        """
        Start the test's command.
        """
        self.successResultOf(self.link.start(ID, SPEC, {}, command or self.command))

    def held(self) -> dict[str, Life]:
        """
        Return the held commands, as in `hello`.
        """
        held = self.successResultOf(Deferred.fromCoroutine(self.machine.agent.held()))
        return {item.id: item.life for item in held}

    def test_role(self) -> None:
        """
        The agent's end of a link implements the role `Slave`.
        """
        self.assertIsInstance(self.link, Slave)

    def test_run(self) -> None:
        """
        Output arrives as it is written, then the outcome; after the master's commit the keeper forgets the command.
        """
        self.start()
        self.keeper.write(ID, b"one\n")
        self.assertEqual(self.command.streams, {"stdio": b"one\n"})
        self.keeper.write(ID, b"two\n")
        outcome = self.keeper.end(ID)

        self.assertEqual(self.command.streams, {"stdio": b"one\ntwo\n"})
        self.assertEqual(self.command.outcomes, [outcome])
        self.assertEqual(self.keeper.asked, [("start", ID), ("forget", ID)])
        self.assertTrue(self.machine.agent.idle)

    def test_started_with(self) -> None:
        """
        The keeper gets fingerprint, secrets, the slave's environment and a working directory that exists.
        """
        self.successResultOf(self.link.start(ID, SPEC, {"token": "s3cr3t!"}, self.command))

        started = self.keeper.started[ID]
        self.assertEqual(started["fingerprint"], fingerprint(SPEC))
        self.assertEqual(started["secrets"], {"token": "s3cr3t!"})
        self.assertEqual(started["env"], {"PATH": "/bin"})
        self.assertTrue(os.path.isdir(started["workdir"]))
        self.assertEqual(started["workdir"], os.path.abspath(self.machine.path("hello/build")))

    def test_start_twice(self) -> None:
        """
        Invariant I1: starting an id again starts nothing; with another fingerprint it is refused.
        """
        self.start()
        self.start()
        self.assertEqual(self.keeper.asked, [("start", ID)])
        self.failureResultOf(self.link.start(ID, Run(argv=("rm",)), {}, self.command), RefusedError)

    def test_claimed_first(self) -> None:
        """
        A start is answered only when the keeper has claimed the command.
        """
        self.keeper.claims = False
        starting = self.link.start(ID, SPEC, {}, self.command)
        self.assertNoResult(starting)
        self.machine.agent.claimed(ID)
        self.successResultOf(starting)

    def test_refused(self) -> None:
        """
        A command that the keeper refuses is refused with the keeper's sentence, which is logged, and is not held.
        """
        self.keeper.claims = False
        starting = self.link.start(ID, SPEC, {}, self.command)
        with capturedLogs() as seen:
            self.machine.agent.refused(ID, "It was forgotten.")
        self.assertEqual(str(self.failureResultOf(starting, RefusedError).value), "It was forgotten.")
        self.assertEqual(self.held(), {})
        self.assertIn(f"{ID} was not started: It was forgotten.", map(formatEvent, seen))

    def test_bad_id(self) -> None:
        """
        An id that is not a valid file name is refused.
        """
        for id in ("", "../x", "a/b", ".hidden", "x" * 101, "x\n"):
            self.failureResultOf(self.link.start(id, SPEC, {}, self.command), MessageError)

    def test_blip(self) -> None:
        """
        Promise 7: after the loss of a link the next one continues at the master's offset; nothing runs again.
        """
        self.start()
        self.keeper.write(ID, b"before ")
        self.link.lost()
        self.keeper.write(ID, b"meanwhile ")
        self.assertEqual(self.command.streams, {"stdio": b"before "})

        self.link = self.machine.link()
        resend = FakeCommand()
        resend.streams = self.command.streams
        self.successResultOf(self.link.resume(ID, resend, {"stdio": 7}))
        self.keeper.write(ID, b"after")
        self.keeper.end(ID)

        self.assertEqual(resend.streams, {"stdio": b"before meanwhile after"})
        self.assertEqual(len(resend.outcomes), 1)
        self.assertEqual(self.keeper.asked, [("start", ID), ("forget", ID)])

    def test_finished_twice(self) -> None:
        """
        Invariant I4: an outcome whose link broke before the answer is kept, and sent again over the next link.
        """
        self.command.commits = False
        self.start()
        self.keeper.write(ID, b"x")
        self.keeper.end(ID)
        self.assertEqual(len(self.command.outcomes), 1)
        self.link.lost()
        self.assertEqual(self.held(), {ID: Life.ENDED})

        self.link = self.machine.link()
        resend = FakeCommand()
        resend.streams = self.command.streams
        self.successResultOf(self.link.resume(ID, resend, {"stdio": 1}))
        self.assertEqual(resend.outcomes, self.command.outcomes)
        self.assertEqual(self.held(), {})

    def test_late_commit(self) -> None:
        """
        An answer over a lost link is ignored.
        """
        self.command.commits = False
        self.start()
        self.keeper.write(ID, b"x")
        self.keeper.end(ID)
        self.link.lost()
        self.command.finishing[0].callback(())
        self.assertEqual(self.held(), {ID: Life.ENDED})

    def test_restarted_process(self) -> None:
        """
        Promise 7: a new process of the slave takes over the keeper's commands, and sends the rest of their output.
        """
        self.start()
        self.keeper.write(ID, b"one ")
        self.machine.restart()
        self.machine.keeper_attached(**{ID: (fingerprint(SPEC), Life.RUNNING, {"stdio": 4})})
        self.assertEqual(self.held(), {ID: Life.RUNNING})

        resend = FakeCommand()
        resend.streams = self.command.streams
        self.successResultOf(self.machine.link().resume(ID, resend, {"stdio": 4}))
        self.keeper.write(ID, b"two")
        self.keeper.end(ID)
        self.assertEqual(resend.streams, {"stdio": b"one two"})
        self.assertEqual(len(resend.outcomes), 1)

    def test_lost_keeper(self) -> None:
        """
        A command of a dead keeper is lost; it is not started again.
        """
        self.start()
        self.keeper.write(ID, b"so far")
        self.machine.keeper_attached(**{ID: (fingerprint(SPEC), Life.LOST, {"stdio": 6})})
        self.assertEqual(self.held(), {ID: Life.LOST})
        lost = Outcome(Ending.LOST, sentence="The keeper ended.", streams=sealed(stdio=b"so far"))
        self.machine.agent.ended(ID, lost, Life.LOST)
        self.assertEqual(self.command.outcomes, [lost])
        self.assertEqual(self.keeper.asked, [("start", ID), ("forget", ID)])

    def test_vanished_with_keeper(self) -> None:
        """
        A claimed command that the next keeper does not hold is lost.
        """
        self.start()
        self.machine.keeper_attached()
        self.assertEqual([outcome.ending for outcome in self.command.outcomes], [Ending.LOST])

    def test_unclaimed_at_lost_keeper(self) -> None:
        """
        A start that the dead keeper had not claimed is sent to the next one, three times in all.
        """
        self.keeper.claims = False
        starting = self.link.start(ID, SPEC, {}, self.command)
        self.machine.keeper_attached()
        self.machine.keeper_attached()
        self.assertEqual(self.keeper.asked, [("start", ID)] * 3)
        self.assertNoResult(starting)
        self.machine.keeper_attached()
        self.failureResultOf(starting, RefusedError)
        self.assertEqual(self.keeper.asked, [("start", ID)] * 3)

    def test_interrupted_at_lost_keeper(self) -> None:
        """
        An interrupted start that the dead keeper had not claimed is not sent to the next one.
        """
        self.keeper.claims = False
        starting = self.link.start(ID, SPEC, {}, self.command)
        self.successResultOf(self.link.interrupt(ID, "Enough."))
        self.machine.keeper_attached()
        self.failureResultOf(starting, RefusedError)
        self.assertEqual(self.keeper.asked, [("start", ID), ("interrupt", ID, "Enough.")])

    def test_forget_at_lost_keeper(self) -> None:
        """
        A forget request that a keeper's death interrupted is completed by the next keeper, even if that does not hold
        the command.
        """
        self.keeper.forgets = False
        self.start()
        disowning = self.link.disown(ID)
        self.machine.keeper_attached(**{ID: (fingerprint(SPEC), Life.LOST, {})})
        self.assertEqual(self.keeper.asked[1:], [("forget", ID)] * 2)
        self.assertNoResult(disowning)
        self.assertEqual(self.held(), {})
        self.machine.keeper_attached()
        self.successResultOf(disowning)

    def test_hello_waits_for_claims(self) -> None:
        """
        Invariant I1: `hello` tells for every start whether it was claimed, so it waits until this is known.
        """
        self.keeper.claims = False
        starting = self.link.start(ID, SPEC, {}, self.command)
        self.link.lost()
        held = Deferred.fromCoroutine(self.machine.agent.held())
        self.assertNoResult(held)
        self.machine.agent.claimed(ID)
        self.assertEqual([item.id for item in self.successResultOf(held)], [ID])
        self.failureResultOf(starting, LinkLostError)

    def test_interrupt(self) -> None:
        """
        An interrupt is passed to the keeper with its reason; for an unknown or ended command it does nothing.
        """
        self.start()
        self.successResultOf(self.link.interrupt(ID, "cancelled by amy"))
        self.successResultOf(self.link.interrupt("nobody", "cancelled by amy"))
        self.assertEqual(self.keeper.asked, [("start", ID), ("interrupt", ID, "cancelled by amy")])

    def test_disown(self) -> None:
        """
        The keeper forgets a disowned command, and the master hears no more of it.
        """
        self.start()
        self.successResultOf(self.link.disown(ID))
        self.machine.agent.ended(ID, Outcome(Ending.EXITED, exit_code=0))
        self.assertEqual(self.command.outcomes, [])
        self.assertEqual(self.keeper.asked, [("start", ID), ("forget", ID)])
        self.successResultOf(self.link.disown("unknown"))

    def test_disown_waits(self) -> None:
        """
        Invariant I8: a disown is answered only when the keeper has killed the command.
        """
        self.keeper.forgets = False
        self.start()
        disowning = self.link.disown(ID)
        self.assertNoResult(disowning)
        self.machine.agent.forgotten(ID)
        self.successResultOf(disowning)

    def test_forget_everything(self) -> None:
        """
        Promise 17: a slave whose FURL was revoked ends all its commands, and those that a keeper reports later; after
        the next link it holds commands again.
        """
        self.start()
        self.successResultOf(Deferred.fromCoroutine(self.machine.agent.forget_everything()))
        self.assertEqual(self.keeper.asked, [("start", ID), ("forget", ID)])
        self.machine.agent.attached({"older": ("f" * 64, Life.RUNNING, {})})
        self.assertEqual(self.keeper.asked[2:], [("forget", "older")])
        self.assertTrue(self.machine.agent.idle)
        AgentLink(self.machine.agent, lambda reason: None)
        self.machine.agent.attached({"newer": ("f" * 64, Life.RUNNING, {})})
        self.assertFalse(self.machine.agent.idle)

    def test_standard_input(self) -> None:
        """
        A build's input is fetched before the command starts, and removed when the command is forgotten.
        """
        command = FakeCommand({"input": b"patch" * 100_000})
        spec = Run(argv=("patch",), stdin_input="input")
        self.successResultOf(self.link.start(ID, spec, {}, command))
        path = self.keeper.started[ID]["stdin_path"]
        with open(path, "rb") as fetched:
            self.assertEqual(fetched.read(), b"patch" * 100_000)
        self.successResultOf(self.link.disown(ID))
        self.assertFalse(os.path.exists(path))

    def test_standard_input_broken_off(self) -> None:
        """
        When the link is lost while the input is fetched, the command has not started, and can start over the next link.
        """
        command = FakeCommand({"input": b"patch"})
        command.slow = True
        spec = Run(argv=("patch",), stdin_input="input")
        starting = self.link.start(ID, spec, {}, command)
        self.link.lost()
        self.failureResultOf(starting, LinkLostError)
        self.assertEqual(self.keeper.asked, [])

        command.slow = False
        self.successResultOf(self.machine.link().start(ID, spec, {}, command))
        self.assertEqual(self.keeper.asked, [("start", ID)])

    def test_no_room_to_begin(self) -> None:
        """
        Without disk space for its directory or its input a command waits, and starts when there is space.
        """
        command = FakeCommand({"input": b"patch"})
        spec = Run(argv=("patch",), workdir="new", stdin_input="input")
        for name in ("mkdir", "pwrite"):
            with mock.patch(f"os.{name}", side_effect=OSError(errno.ENOSPC, "No space left on device")):
                starting = self.link.start(name, spec, {}, command)
                self.machine.clock.advance(1)
                self.assertNoResult(starting)
                self.assertNotIn(("start", name), self.keeper.asked)
            self.machine.clock.advance(1)
            self.successResultOf(starting)
            with open(self.keeper.started[name]["stdin_path"], "rb") as fetched:
                self.assertEqual(fetched.read(), b"patch")
            os.rmdir(self.machine.path("new"))

    def test_idle(self) -> None:
        """
        Promise 8.9: an agent is idle when no command is being prepared, held, or ended, in a keeper or in a worker.
        """
        agent = self.machine.agent
        with mock.patch("os.mkdir", side_effect=OSError(errno.ENOSPC, "No space left on device")):
            starting = self.link.start(ID, Run(argv=("true",), workdir="new"), {}, self.command)
            self.assertFalse(agent.idle)
        self.machine.clock.advance(1)
        self.successResultOf(starting)
        self.assertFalse(agent.idle)
        self.keeper.forgets = False
        ending = self.link.disown(ID)
        self.assertIsNone(agent.find(ID))
        self.assertFalse(agent.idle)
        agent.forgotten(ID)
        self.successResultOf(ending)
        self.assertTrue(agent.idle)

        self.machine.busy = True
        self.machine.put("tree/file", b"")
        self.successResultOf(self.link.start("other", RemoveDirectory("tree"), {}, self.command))
        self.assertFalse(agent.idle)
        held = agent.find("other")
        assert held is not None
        slow: Deferred[None] = Deferred()
        with mock.patch.object(held, "forget", lambda: slow):
            ending = self.link.disown("other")
        self.assertFalse(agent.idle)
        slow.callback(None)
        self.successResultOf(ending)
        self.assertTrue(agent.idle)

    def test_lost_without_room(self) -> None:
        """
        A start that waits for disk space is dropped when the link is lost, or when it is interrupted.
        """
        with mock.patch("os.mkdir", side_effect=OSError(errno.ENOSPC, "No space left on device")):
            first = self.link.start("first", Run(argv=("true",), workdir="new"), {}, self.command)
            self.successResultOf(self.link.interrupt("first", "Enough."))
            self.failureResultOf(first, RefusedError)
            second = self.link.start("second", Run(argv=("true",), workdir="new"), {}, self.command)
            self.link.lost()
            self.failureResultOf(second, LinkLostError)
        self.machine.clock.advance(2)
        self.assertEqual(self.keeper.asked, [])

    def test_abandoned_input(self) -> None:
        """
        The next process removes the input of a command that never started, and keeps that of others.
        """
        for id in (ID, "abandoned"):
            with open(self.machine.agent.input_path(id), "w"):
                pass
        self.machine.restart()
        self.machine.keeper_attached(**{ID: (fingerprint(SPEC), Life.RUNNING, {})})
        self.assertEqual(os.listdir(os.path.join(self.machine.directory, "transfers")), [f"{ID}.stdin"])

    def test_redial(self) -> None:
        """
        A new link replaces the former one, whose end is notified of the loss.
        """
        lost: list[str] = []
        self.link.when_lost(lambda: lost.append("first"))
        second = self.machine.link()
        self.assertEqual(lost, ["first"])
        self.failureResultOf(self.link.start(ID, SPEC, {}, self.command), LinkLostError)
        self.successResultOf(second.start(ID, SPEC, {}, self.command))

    def test_drop(self) -> None:
        """
        `drop` cuts the link, once.
        """
        self.link.drop("connected again")
        self.link.drop("connected again")
        self.assertEqual(self.machine.drops, ["connected again"])

    def test_workdir_outside(self) -> None:
        """
        A working directory that leaves the work directory through a symbolic link is refused.
        """
        os.symlink("/tmp", self.machine.path("hello"))
        self.failureResultOf(self.link.start(ID, SPEC, {}, self.command))
        self.assertEqual(self.keeper.asked, [])

    def test_other_checksum(self) -> None:
        """
        A log that arrived damaged is sent again from the same spool, as its next generation.
        """
        self.start()
        self.keeper.write(ID, b"log", stream="twisted.log")
        self.command.wrong = ["twisted.log"]
        self.keeper.end(ID, streams=("twisted.log",))
        self.assertEqual(self.command.streams, {"twisted.log": b"log", "twisted.log~1": b"log"})
        self.assertEqual([set(one.streams) for one in self.command.outcomes], [{"twisted.log"}, {"twisted.log~1"}])
        self.assertEqual(self.held(), {})

    def test_generation_after_restart(self) -> None:
        """
        A new process continues the generation that the master has begun.
        """
        self.start()
        self.keeper.write(ID, b"0123456789")
        self.machine.restart()
        self.machine.keeper_attached(**{ID: (fingerprint(SPEC), Life.RUNNING, {"stdio": 10})})
        resend = FakeCommand()
        resend.streams = {"stdio": bytearray(b"xxxxx"), "stdio~1": bytearray(b"0123")}
        self.successResultOf(self.machine.link().resume(ID, resend, {"stdio": 5, "stdio~1": 4}))
        self.keeper.end(ID)
        self.assertEqual(resend.calls, [("stdio~1", 4, 6)])
        self.assertEqual(set(resend.outcomes[0].streams), {"stdio~1"})

    def test_damaged_spool(self) -> None:
        """
        A spool that lost bytes makes the command lost; the build does not wait for ever.
        """
        self.start()
        self.machine.agent.grew(ID, {"stdio": 100})
        self.assertEqual([outcome.ending for outcome in self.command.outcomes], [Ending.LOST])


class AnyHistoryTests(SynchronousTestCase):
    @settings(max_examples=80, deadline=None)
    @given(
        events=st.lists(
            st.one_of(
                st.binary(min_size=1, max_size=70_000),
                st.sampled_from(["cut", "restart", "answer", "slow", "quick"]),
            ),
            max_size=40,
        )
    )
    def test_any(self, events: list[bytes | str]) -> None:
        """
        Promise 7, invariants I1 and I2: any sequence of cuts and restarts gives one start, the exact log and one
        outcome.
        """
        directory = tempfile.mkdtemp(prefix="slave-")
        try:
            self.live_through(directory, events)
        finally:
            shutil.rmtree(directory)

    def live_through(self, directory: str, events: list[bytes | str]) -> None:
        """
        Run one command with *events* during its life.
        """
        machine = SimulatedMachine(directory)
        streams: dict[str, bytearray] = {}
        written = b""

        def linked() -> tuple[AgentLink, FakeCommand]:
            # Each link has its own end on the master; calls over an old link are never answered.
            command = FakeCommand()
            command.streams = streams
            return machine.link(), command

        link, command = linked()
        self.successResultOf(link.start(ID, SPEC, {}, command))
        for event in events:
            if isinstance(event, bytes):
                written += event
                machine.keeper.write(ID, event)
            elif event == "answer":
                command.answer(min(1, len(command.waiting)))
            elif event in {"slow", "quick"}:
                command.slow = event == "slow"
            else:
                if event == "restart":
                    machine.restart()
                    lengths = {"stdio": len(written)} if written else {}
                    machine.keeper_attached(**{ID: (fingerprint(SPEC), Life.RUNNING, lengths)})
                late = command
                link, command = linked()
                self.successResultOf(link.resume(ID, command, {name: len(data) for name, data in streams.items()}))
                late.answer(len(late.waiting))
            self.assertTrue(written.startswith(bytes(streams.get("stdio", b""))))
        machine.keeper.end(ID, streams=("stdio",) if written else ())
        command.slow = False
        while command.waiting:
            command.answer()
        self.assertEqual(bytes(streams.get("stdio", b"")), written)
        self.assertEqual(len(command.outcomes), 1)
        self.assertEqual([asked for asked in machine.keeper.asked if asked[0] == "start"], [("start", ID)])
        self.assertTrue(machine.agent.idle)
