"""
The master's end of commands, and the sessions of slaves.
"""

import hashlib
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import (
    DiskFullError,
    MessageError,
    RefusedError,
)
from buildbot_lite.master.slaves.command import DispatchedCommand
from buildbot_lite.master.slaves.session import Session
from buildbot_lite.model.hello import (
    HeldCommand,
    Hello,
    Life,
)
from buildbot_lite.model.outcome import (
    Ending,
    Outcome,
    Seal,
)
from buildbot_lite.model.spec import Run, fingerprint
from buildbot_lite.wire.roles import LATER

from .harness import FakeSlave, hello


class MemoryStream:
    """
    A stream in memory.
    """

    def __init__(self) -> None:
        self.data = b""
        self.full = False

    @property
    def length(self) -> int:
        return len(self.data)

    def append(self, offset: int, data: bytes) -> int:
        if self.full:
            raise DiskFullError
        if offset <= len(self.data):
            self.data += data[len(self.data) - offset :]
        return len(self.data)

    def seal(self, seal: Seal) -> Deferred[bool]:
        return succeed(seal == seal_of(self.data))


class SlowStream(MemoryStream):
    """
    A stream whose seal waits for the test.
    """

    def __init__(self) -> None:
        super().__init__()
        self.sealing: list[Deferred[bool]] = []

    def seal(self, seal: Seal) -> Deferred[bool]:
        self.sealing.append(Deferred())
        return self.sealing[-1]


class MemoryStreams:
    """
    Streams in memory.
    """

    def __init__(self) -> None:
        self.streams: dict[str, MemoryStream] = {}

    def stream(self, name: str) -> MemoryStream:
        return self.streams.setdefault(name, MemoryStream())

    def lengths(self) -> dict[str, int]:
        return {name: stream.length for name, stream in self.streams.items()}


class MemoryInput:
    """
    An input in memory.
    """

    def read(self, offset: int, size: int) -> bytes:
        return b"some text"[offset : offset + size]


def seal_of(data: bytes) -> Seal:
    """
    The seal of *data*.
    """
    return Seal(len(data), hashlib.sha256(data).hexdigest())


def command(streams: MemoryStreams | None = None, **more: Any) -> DispatchedCommand:
    """
    A command with some defaults.
    """
    given: dict[str, Any] = {"id": "c1", "grace": 60.0, "sources": {"tar": MemoryInput()}, "home": "home-1", **more}
    return DispatchedCommand(spec=Run(argv=("true",)), secrets={}, streams=streams or MemoryStreams(), **given)


class DispatchedCommandTests(SynchronousTestCase):
    """
    Reports of a slave about its command.
    """

    def test_sealed_before_over(self) -> None:
        """
        Invariant I3: an outcome counts only when all bytes of all streams have arrived with the right checksums.
        """
        streams = MemoryStreams()
        it = command(streams)
        over = it.when_over()
        self.successResultOf(it.append("stdio", 0, b"abc"))
        outcome = Outcome(Ending.EXITED, exit_code=0, streams={"stdio": seal_of(b"abcd")})
        self.assertEqual(self.successResultOf(it.finished(outcome)), ("stdio",))
        self.assertNoResult(over)
        self.successResultOf(it.append("stdio~1", 0, b"abcd"))
        again = outcome.but(streams={"stdio~1": seal_of(b"abcd")})
        answer = it.finished(again)
        self.assertEqual(self.successResultOf(over), again)
        self.assertNoResult(answer)

    def test_answer_after_commit(self) -> None:
        """
        Invariant I4: the slave gets the permission to forget the command only after the commit of its outcome, on
        whichever link it reported.
        """
        it = command()
        first = it.finished(Outcome(Ending.EXITED, exit_code=0))
        second = it.finished(Outcome(Ending.EXITED, exit_code=0))
        self.assertNoResult(first)
        it.committed()
        self.assertEqual(self.successResultOf(first), ())
        self.assertEqual(self.successResultOf(second), ())
        self.assertEqual(self.successResultOf(it.finished(Outcome(Ending.EXITED, exit_code=0))), ())

    def test_reported_again_while_it_is_sealed(self) -> None:
        """
        A slave that reattaches may report the end again while a thread still seals the stream: the seal is not
        repeated, and both reports are answered.
        """
        stream, streams = SlowStream(), MemoryStreams()
        streams.streams["stdio"] = stream
        it = command(streams)
        over = it.when_over()
        self.successResultOf(it.append("stdio", 0, b"text"))
        outcome = Outcome(Ending.EXITED, exit_code=0, streams={"stdio": seal_of(b"text")})
        first, second = it.finished(outcome), it.finished(outcome)
        self.assertEqual(len(stream.sealing), 1)
        stream.sealing[0].callback(True)
        self.assertEqual(len(stream.sealing), 1)
        self.assertTrue(self.successResultOf(over).succeeded)
        it.committed()
        self.assertEqual([self.successResultOf(first), self.successResultOf(second)], [(), ()])

    def test_checksum_differs_twice(self) -> None:
        """
        When the repeated transfer is damaged too, the command has FAILED, with the expected checksum in the sentence.
        """
        it = command()
        over = it.when_over()
        self.successResultOf(it.append("stdio~1", 0, b"x"))
        _ = it.finished(Outcome(Ending.EXITED, exit_code=0, streams={"stdio~1": seal_of(b"y")}))
        outcome = self.successResultOf(over)
        self.assertEqual(outcome.ending, Ending.FAILED)
        self.assertIn(seal_of(b"y").sha256, outcome.sentence)

    def test_disk_full(self) -> None:
        """
        While the disk is full, the answer to an append is LATER.
        """
        streams = MemoryStreams()
        streams.stream("stdio").full = True
        it = command(streams)
        self.assertEqual(self.successResultOf(it.append("stdio", 0, b"x")), LATER)
        streams.stream("stdio").full = False
        self.assertEqual(self.successResultOf(it.append("stdio", 0, b"x")), 1)

    def test_forbidden_names(self) -> None:
        """
        Streams with forbidden names, and negative offsets, are refused.
        """
        for name, offset in (("../x", 0), ("", 0), ("a/b", 0), ("x" * 200, 0), ("stdio", -1), ("stdio~1~1", 0)):
            self.failureResultOf(command().append(name, offset, b"x"), MessageError)

    def test_read(self) -> None:
        """
        A slave reads the inputs of its command, and no others.
        """
        self.assertEqual(self.successResultOf(command().read("tar", 5, 100)), b"text")
        self.failureResultOf(command().read("other", 0, 1), MessageError)

    def test_step_stopped_waiting(self) -> None:
        """
        After its step stopped waiting, a command stores nothing more; the slave holds the command until this is
        recorded.
        """
        streams = MemoryStreams()
        it = command(streams)
        self.successResultOf(it.append("stdio", 0, b"abc"))
        over, released = it.when_over(), it.when_released()
        over.cancel()
        self.failureResultOf(over, CancelledError)
        self.failureResultOf(it.append("stdio", 3, b"def"), RefusedError)
        self.assertEqual(streams.lengths(), {"stdio": 3})
        self.assertNoResult(released)

    def test_lose_once(self) -> None:
        """
        A report after the command was lost changes nothing.
        """
        it = command()
        it.lose("gone")
        _ = it.finished(Outcome(Ending.EXITED, exit_code=0))
        self.assertEqual(self.successResultOf(it.when_over()), Outcome.lost("gone"))


class RecordingListener:
    """
    A listener that records its calls.
    """

    def __init__(self) -> None:
        self.events: list[str] = []

    def slave_attached(self, name: str, hello: Hello, news: str) -> None:
        self.events.append(news)

    def slave_lost(self, name: str) -> None:
        self.events.append("lost")


class SessionTests(SynchronousTestCase):
    """
    The session of one slave, over several links.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.listener = RecordingListener()
        self.session = Session("bot1", clock=self.clock, listener=self.listener)

    def attach(self, **said: Any) -> FakeSlave:
        """
        Attach over a new link.
        """
        slave = FakeSlave()
        self.session.attached(slave, hello(**said))
        return slave

    def run_command(self, it: DispatchedCommand) -> Deferred[Outcome]:
        """
        Run a command.
        """
        return Deferred.fromCoroutine(self.session.run(it))

    def test_run_while_away(self) -> None:
        """
        A command that is run while the slave is away starts when the slave attaches.
        """
        it = command()
        running = self.run_command(it)
        slave = self.attach()
        self.assertEqual([started.id for started in slave.commands], ["c1"])
        slave.commands[0].end(3)
        self.assertEqual(self.successResultOf(running).exit_code, 3)
        it.committed()
        self.assertEqual(self.session.live_ids, ())

    def test_back_before_the_commit(self) -> None:
        """
        Invariant I4: a slave that reattaches between an outcome and its commit is not told to disown the command.
        """
        it = command()
        _ = self.run_command(it)
        slave = self.attach()
        slave.commands[0].end(0)
        ended = (HeldCommand("c1", it.fingerprint, Life.ENDED),)
        back = self.attach(held=ended)
        self.assertEqual((back.disowned, [id for id, _ in back.resumed]), ([], ["c1"]))
        it.committed()
        self.assertEqual(self.attach(held=ended).disowned, ["c1"])

    def test_back_after_the_loss(self) -> None:
        """
        Invariants I4, I8: an abandoned command is disowned as soon as its loss is committed and before any retry.  If
        it were disowned earlier, a new master could find the intent in the journal, run the command again, and be
        refused.
        """
        it = command()
        _ = self.run_command(it)
        self.attach().lose()
        it.lose("too long")
        slave = self.attach(held=(HeldCommand("c1", it.fingerprint, Life.RUNNING),))
        self.assertEqual((slave.disowned, slave.resumed), ([], []))
        it.committed()
        self.assertEqual(slave.disowned, ["c1"])

    def test_refused_the_second_time(self) -> None:
        """
        When a slave refuses a command that an earlier master had sent, the command is lost, because it may have run.
        """
        slave = FakeSlave(refusal=RefusedError("It was here before."))
        self.session.attached(slave, hello())
        outcome = self.successResultOf(self.run_command(command(resumed=True)))
        self.assertEqual((outcome.ending, outcome.sentence), (Ending.LOST, "It was here before."))

    def test_second_link(self) -> None:
        """
        When a slave connects twice, its second link is used and the first is dropped.
        """
        first, second = self.attach(), self.attach()
        self.assertEqual(first.dropped, ["connected again"])
        _ = self.run_command(command())
        self.assertEqual(len(second.commands), 1)
        self.assertEqual(first.commands, [])

    def test_late_loss_of_an_old_link(self) -> None:
        """
        The loss of an old link does not affect the present one.
        """
        first = self.attach()
        self.attach()
        first.lose()
        self.assertIsNotNone(self.session.hello)

    def test_news(self) -> None:
        """
        A reattached slave is reported as reconnected, restarted or rebooted.
        """
        for said in ({}, {}, {"incarnation": "p2"}, {"incarnation": "p3", "boot": "b2"}):
            self.attach(**said).lose()
            self.clock.advance(2)
        news = [each for each in self.listener.events if each != "lost"]
        self.assertEqual(
            news,
            [
                "attached",
                "reconnected after 2.0 s",
                "back after 2.0 s: the slave process was restarted",
                "back after 2.0 s: the machine was rebooted",
            ],
        )

    def test_unknown_commands(self) -> None:
        """
        A held command that the master does not know is disowned.
        """
        slave = self.attach(held=(HeldCommand("old", "f" * 64, Life.RUNNING),))
        self.assertEqual(slave.disowned, ["old"])

    def test_other_fingerprint(self) -> None:
        """
        A held command with another fingerprint is disowned and lost, and does not run.
        """
        it = command()
        running = self.run_command(it)
        slave = self.attach(held=(HeldCommand("c1", "f" * 64, Life.RUNNING),))
        self.assertEqual((slave.commands, slave.resumed), ([], []))
        it.committed()
        self.assertEqual(slave.disowned, ["c1"])
        self.assertEqual(self.successResultOf(running).ending, Ending.LOST)

    def test_keeper_gone(self) -> None:
        """
        Invariant I1: a command that a dead keeper had claimed is lost, and is not started again.
        """
        for life in (Life.UNKNOWN, Life.LOST):
            it = command()
            running = self.run_command(it)
            slave = self.attach(held=(HeldCommand("c1", fingerprint(it.spec), life),))
            self.assertEqual((slave.commands, slave.disowned), ([], []))
            self.assertIn("keeper", self.successResultOf(running).sentence)
            it.committed()
            self.assertEqual(slave.disowned, ["c1"])
            slave.lose()

    def test_never_lost_without_grace(self) -> None:
        """
        A command without grace waits without a limit.
        """
        running = self.run_command(command(grace=None))
        self.attach().lose()
        self.clock.advance(10**7)
        self.assertNoResult(running)

    def test_grace_starts_again(self) -> None:
        """
        The grace starts again each time the slave detaches.
        """
        running = self.run_command(command(grace=60.0))
        for _ in range(3):
            slave = self.attach(held=(HeldCommand("c1", command().fingerprint, Life.RUNNING),))
            self.clock.advance(1000)
            slave.lose()
            self.clock.advance(89)
        self.assertNoResult(running)
        self.clock.advance(2)
        self.assertEqual(self.successResultOf(running).ending, Ending.LOST)

    def test_refused(self) -> None:
        """
        A command that a slave refuses to start has failed, with the slave's sentence.
        """
        slave = FakeSlave(refusal=RefusedError("not here"))
        self.session.attached(slave, hello())
        running = self.run_command(command())
        self.assertEqual(self.successResultOf(running).sentence, "not here")
