"""
The master's end of one command, and sessions that hold it.
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

from .stage import FakeSlave, hello


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
    One that takes its time to be sealed.
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


class Text:
    """
    Something to read.
    """

    def read(self, offset: int, size: int) -> bytes:
        return b"some text"[offset : offset + size]


def seal_of(data: bytes) -> Seal:
    """
    What a slave says of *data*.
    """
    return Seal(len(data), hashlib.sha256(data).hexdigest())


def command(streams: MemoryStreams | None = None, **more: Any) -> DispatchedCommand:
    """
    An ordinary command.
    """
    given: dict[str, Any] = {"id": "c1", "grace": 60.0, "sources": {"tar": Text()}, "home": "home-1", **more}
    return DispatchedCommand(spec=Run(argv=("true",)), secrets={}, streams=streams or MemoryStreams(), **given)


class DispatchedCommandTests(SynchronousTestCase):
    """
    What a slave may report about a command.
    """

    def test_sealed_before_over(self) -> None:
        """
        Invariant I3: an outcome counts only when every byte of every stream is here, with the right checksum.
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
        Invariant I4: the slave hears that it may forget only when the outcome is committed, on whichever link.
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
        A slave that dialled again may report the end again while the stream is still on its way to the disk, in a
        thread: nothing else is done with the stream meanwhile, and both reports are answered.
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
        Bytes that arrive damaged twice end the command with a sentence that names the checksum.
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
        While there is no room the answer is: later.
        """
        streams = MemoryStreams()
        streams.stream("stdio").full = True
        it = command(streams)
        self.assertEqual(self.successResultOf(it.append("stdio", 0, b"x")), LATER)
        streams.stream("stdio").full = False
        self.assertEqual(self.successResultOf(it.append("stdio", 0, b"x")), 1)

    def test_bad_places(self) -> None:
        """
        Streams have plain names and offsets are not negative.
        """
        for name, offset in (("../x", 0), ("", 0), ("a/b", 0), ("x" * 200, 0), ("stdio", -1), ("stdio~1~1", 0)):
            self.failureResultOf(command().append(name, offset, b"x"), MessageError)

    def test_read(self) -> None:
        """
        A command reads what it was given, and nothing else.
        """
        self.assertEqual(self.successResultOf(command().read("tar", 5, 100)), b"text")
        self.failureResultOf(command().read("other", 0, 1), MessageError)

    def test_nobody_waits(self) -> None:
        """
        When a step stops waiting for its command nothing more is stored, because its build may end; the slave still
        holds the command until that is recorded.
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
        What is reported of a command after it was lost changes nothing.
        """
        it = command()
        it.lose("gone")
        _ = it.finished(Outcome(Ending.EXITED, exit_code=0))
        self.assertEqual(self.successResultOf(it.when_over()), Outcome.lost("gone"))


class Ears:
    """
    A listener that writes down what it hears.
    """

    def __init__(self) -> None:
        self.heard: list[str] = []

    def slave_attached(self, name: str, hello: Hello, news: str) -> None:
        self.heard.append(news)

    def slave_lost(self, name: str) -> None:
        self.heard.append("lost")


class SessionTests(SynchronousTestCase):
    """
    The memory of one slave, across links.
    """

    def setUp(self) -> None:
        self.clock = Clock()
        self.ears = Ears()
        self.session = Session("bot1", clock=self.clock, listener=self.ears)

    def attach(self, **said: Any) -> FakeSlave:
        """
        A new link.
        """
        slave = FakeSlave()
        self.session.attached(slave, hello(**said))
        return slave

    def run_command(self, it: DispatchedCommand) -> Deferred[Outcome]:
        """
        Have it done.
        """
        return Deferred.fromCoroutine(self.session.run(it))

    def test_run_while_away(self) -> None:
        """
        A command that is run while the slave is away is started when it attaches.
        """
        it = command()
        running = self.run_command(it)
        slave = self.attach()
        self.assertEqual([given.id for given in slave.given], ["c1"])
        slave.given[0].end(3)
        self.assertEqual(self.successResultOf(running).exit_code, 3)
        it.committed()
        self.assertEqual(self.session.live_ids, ())

    def test_back_before_the_commit(self) -> None:
        """
        Invariant I4: a slave that comes back between an outcome and its commit is not told to forget the command.
        """
        it = command()
        _ = self.run_command(it)
        slave = self.attach()
        slave.given[0].end(0)
        ended = (HeldCommand("c1", it.fingerprint, Life.ENDED),)
        back = self.attach(held=ended)
        self.assertEqual((back.disowned, [id for id, _ in back.resumed]), ([], ["c1"]))
        it.committed()
        self.assertEqual(self.attach(held=ended).disowned, ["c1"])

    def test_back_after_the_loss(self) -> None:
        """
        Invariants I4, I8: a command that was given up is disowned as soon as its loss is committed, before anything is
        done again; not earlier, or the next master would find an intent, ask for it anew, and be refused.
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
        What a slave will not start again, after an earlier master had sent it, is lost: perhaps it ran.
        """
        slave = FakeSlave(refusal=RefusedError("It was here before."))
        self.session.attached(slave, hello())
        outcome = self.successResultOf(self.run_command(command(resumed=True)))
        self.assertEqual((outcome.ending, outcome.sentence), (Ending.LOST, "It was here before."))

    def test_redial(self) -> None:
        """
        A slave that dials twice is known by its second link.
        """
        first, second = self.attach(), self.attach()
        self.assertEqual(first.dropped, ["dialled again"])
        _ = self.run_command(command())
        self.assertEqual(len(second.given), 1)
        self.assertEqual(first.given, [])

    def test_late_loss_of_an_old_link(self) -> None:
        """
        That an old link is gone says nothing about the present one.
        """
        first = self.attach()
        self.attach()
        first.lose()
        self.assertIsNotNone(self.session.hello)

    def test_news(self) -> None:
        """
        A blip, a restarted process and a rebooted machine are told apart.
        """
        for said in ({}, {}, {"incarnation": "p2"}, {"incarnation": "p3", "boot": "b2"}):
            self.attach(**said).lose()
            self.clock.advance(2)
        news = [each for each in self.ears.heard if each != "lost"]
        self.assertEqual(
            news,
            [
                "attached",
                "reconnected after 2.0 s",
                "back after 2.0 s: the slave process was restarted",
                "back after 2.0 s: the machine was rebooted",
            ],
        )

    def test_strangers_are_disowned(self) -> None:
        """
        A command that nobody here waits for is disowned.
        """
        slave = self.attach(held=(HeldCommand("old", "f" * 64, Life.RUNNING),))
        self.assertEqual(slave.disowned, ["old"])

    def test_other_fingerprint(self) -> None:
        """
        A known id with another fingerprint is disowned and lost, never run.
        """
        it = command()
        running = self.run_command(it)
        slave = self.attach(held=(HeldCommand("c1", "f" * 64, Life.RUNNING),))
        self.assertEqual((slave.given, slave.resumed), ([], []))
        it.committed()
        self.assertEqual(slave.disowned, ["c1"])
        self.assertEqual(self.successResultOf(running).ending, Ending.LOST)

    def test_keeper_gone(self) -> None:
        """
        Invariant I1: what a dead keeper had claimed is lost, and not started again.
        """
        for life in (Life.UNKNOWN, Life.LOST):
            it = command()
            running = self.run_command(it)
            slave = self.attach(held=(HeldCommand("c1", fingerprint(it.spec), life),))
            self.assertEqual((slave.given, slave.disowned), ([], []))
            self.assertIn("keeper", self.successResultOf(running).sentence)
            it.committed()
            self.assertEqual(slave.disowned, ["c1"])
            slave.lose()

    def test_never_lost_without_grace(self) -> None:
        """
        A command without grace waits for ever.
        """
        running = self.run_command(command(grace=None))
        self.attach().lose()
        self.clock.advance(10**7)
        self.assertNoResult(running)

    def test_grace_starts_again(self) -> None:
        """
        Each time that the slave goes, its grace begins anew.
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
        What a slave refuses to start has failed, with its sentence.
        """
        slave = FakeSlave(refusal=RefusedError("not here"))
        self.session.attached(slave, hello())
        running = self.run_command(command())
        self.assertEqual(self.successResultOf(running).sentence, "not here")
