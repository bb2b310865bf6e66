"""
A hostile slave harms only its own builds (promise 3.14).
"""

import os
import tracemalloc
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import (
    BuildbotLiteError,
    FileError,
    MessageError,
    PinnedError,
    RefusedError,
    SupersededError,
)
from buildbot_lite.master.builds.build import MOST_REMARKS
from buildbot_lite.master.grants import verbs
from buildbot_lite.master.scheduling.running_builds import REMARKS_AT_ONCE, REMARKS_PER_SECOND
from buildbot_lite.master.slaves.command import (
    MOST_ROUNDS,
    OVER,
    DispatchedCommand,
)
from buildbot_lite.master.slaves.command_streams import latest_of, streams_of
from buildbot_lite.master.slaves.registry import COMPLAINTS_AT_ONCE
from buildbot_lite.model.hello import (
    HeldCommand,
    Hello,
    Life,
)
from buildbot_lite.model.outcome import (
    Ending,
    Outcome,
    Remark,
    Seal,
)
from buildbot_lite.model.results import Result
from buildbot_lite.model.spec import (
    Download,
    Run,
    Upload,
)
from buildbot_lite.storage.records import epoch, remarks
from buildbot_lite.wire.codec import MOST_BYTES, not_negative
from buildbot_lite.wire.loopback import LoopbackLink

from .configurations import TWO_SLAVES, master_cfg
from .harness import (
    FakeSlave,
    MasterHarness,
    hello,
    scripted,
    succeeding,
)
from .test_slave_commands import (
    MemoryStreams,
    command,
    seal_of,
)

FORBIDDEN_NAMES = (
    "../x", "/etc/passwd", "stdio/../../../../private/admin.furl", "stdio~/../x", "a/b", "", ".", "..", "stdio\0",
    "STDIO", "Stdio", "stdio~3", "stdio~10", "stdio ", "artifact", "x" * 200, "\ud800", "traceback",
)  # fmt: skip


class BrokenStreams(MemoryStreams):
    """
    Streams whose errors name their files.
    """

    def stream(self, name: str) -> Any:
        raise FileError("/home/farm/streams/0/1/0-0-stdio cannot be used: Permission denied.")


class StreamTests(SynchronousTestCase):
    """
    Promise 14: the streams that a slave sends for its command.
    """

    def test_names(self) -> None:
        """
        Promise 14: a slave writes only the streams of its own command.  No other name makes a file: no path, no other
        case, no NUL, no long name, no stream that was not asked for.
        """
        streams = MemoryStreams()
        it = command(streams)
        for name in FORBIDDEN_NAMES:
            self.failureResultOf(it.append(name, 0, b"x"), MessageError)
            outcome = Outcome(Ending.EXITED, exit_code=0, streams={name: seal_of(b"")})
            self.failureResultOf(it.finished(outcome), MessageError)

        self.assertEqual(streams.streams, {})
        self.assertNoResult(it.when_over())

    def test_streams_of_a_spec(self) -> None:
        """
        Promise 14: the command's spec determines its streams.
        """
        self.assertEqual({name for name in streams_of(Run(argv=("x",))) if "~" not in name}, {"stdio"})
        run = Run(argv=("x",), separate_stderr=True, logfiles={"test.log": "test.log"})
        self.assertEqual({name for name in streams_of(run) if "~" not in name}, {"stdio", "stderr", "test.log"})
        self.assertEqual({name for name in streams_of(Upload("x")) if "~" not in name}, {"artifact"})
        self.assertEqual(streams_of(Download("x", "y", 1, "0" * 64)), frozenset())

    def test_latest(self) -> None:
        """
        Of the attempts at a stream, the one with the highest number counts, whichever was listed first.
        """
        names = ["stdio~10", "stdio", "test.log", "stdio~9", "stdio~x"]
        self.assertEqual(latest_of(names, "stdio", "stdio"), "stdio~10")
        self.assertEqual(latest_of(names, "out", "out"), "stdio~10")
        self.assertEqual(latest_of(names, "test.log", "stdio"), "test.log")
        self.assertIsNone(latest_of(names, "stderr", "stdio"))

    def test_cap(self) -> None:
        """
        Promise 14: the master enforces the cap of a log and the largest size of an upload, in case the slave's keeper
        does not.
        """
        for spec, stream in ((Run(argv=("x",), cap=10), "stdio"), (Upload("x", largest=10), "artifact")):
            streams = MemoryStreams()
            it = DispatchedCommand(id="c1", spec=spec, secrets={}, grace=60.0, streams=streams, sources={})
            self.assertEqual(self.successResultOf(it.append(stream, 0, b"0123456789")), 10)
            self.assertEqual(self.successResultOf(it.append(stream, 0, b"0123456789")), 10)
            self.failureResultOf(it.append(stream, 10, b"x"), MessageError)
            self.assertEqual(self.successResultOf(it.append(f"{stream}~1", 0, b"0123456789")), 10)
            self.assertEqual(streams.lengths(), {stream: 10, f"{stream}~1": 10})

    def test_cap_of_all_streams(self) -> None:
        """
        Promise 14: the cap applies to the sum of a command's streams, also after a restart of the master.
        """
        streams = MemoryStreams()
        streams.stream("stdio").append(0, b"01234567")
        spec = Run(argv=("x",), cap=10, separate_stderr=True)
        it = DispatchedCommand(id="c1", spec=spec, secrets={}, grace=60.0, streams=streams, sources={})

        self.assertEqual(self.successResultOf(it.append("stderr", 0, b"ab")), 2)
        self.failureResultOf(it.append("stderr", 2, b"c"), MessageError)

    def test_offsets(self) -> None:
        """
        Promise 14: an impossible offset or size is refused before anything else happens.
        """
        for number in (-1, MOST_BYTES + 1, 1 << 63, 1 << 64):
            self.assertRaises(MessageError, not_negative, number)
        self.assertEqual(self.successResultOf(command().append("stdio", MOST_BYTES, b"x")), 0)
        self.failureResultOf(command().append("stdio", -1, b"x"), MessageError)

    def test_after_the_end(self) -> None:
        """
        Promise 14: no stream grows after its command has ended.
        """
        streams = MemoryStreams()
        it = command(streams)
        self.assertNoResult(it.finished(Outcome(Ending.EXITED, exit_code=0)))
        self.failureResultOf(it.append("stdio", 0, b"x"), RefusedError)

        self.assertEqual(streams.streams, {})

    def test_end_without_bytes(self) -> None:
        """
        Promise 14: a command whose end is reported again and again without its bytes has FAILED after MOST_ROUNDS
        reports.
        """
        it = command()
        over = it.when_over()
        wrong = Outcome(Ending.EXITED, exit_code=0, streams={"stdio": Seal(5, "0" * 64)})
        for _ in range(MOST_ROUNDS):
            self.assertEqual(self.successResultOf(it.finished(wrong)), ("stdio",))
        self.assertNoResult(it.finished(wrong))

        self.assertIs(self.successResultOf(over).ending, Ending.FAILED)

    def test_inputs(self) -> None:
        """
        Promise 14: a slave reads only the inputs of its own command.
        """
        it = command()
        for name in ("other", "../tar", "/etc/passwd", "tar\0", "TAR", ""):
            self.failureResultOf(it.read(name, 0, 10), MessageError)
        self.assertEqual(self.successResultOf(it.read("tar", 5, 100)), b"text")

    def test_errors_without_text(self) -> None:
        """
        Promise 14: errors inside the master reach the slave without their text.
        """
        it = command(BrokenStreams())
        outcome = Outcome(Ending.EXITED, exit_code=0, streams={"stdio": seal_of(b"x")})
        for asking in (it.append("stdio", 0, b"x"), it.append("stdio", 0, b"x")):
            self.assertEqual(str(self.failureResultOf(asking, RefusedError).value), OVER)
        finishing = it.finished(outcome)
        it.committed()
        self.assertEqual(self.successResultOf(finishing), ())


class ReportedTextTests(SynchronousTestCase):
    """
    Promise 14: the bounds of what a slave reports about itself and its commands.
    """

    def test_outcome(self) -> None:
        """
        Promise 14: the texts of an outcome are bounded, printable and encodable.
        """
        said = Outcome(
            Ending.FAILED, sentence="\x1b[2Jgone \ud800", remarks=(Remark("stdio", 0, 1.0, "\x1b]0;title\x07"),)
        )
        heard = Outcome.from_bytes(said.to_bytes())

        for text in (heard.sentence, heard.remarks[0].text):
            self.assertTrue(text.isprintable(), text)
            text.encode()
        for wrong in (
            said.but(sentence="x" * 2001),
            said.but(remarks=tuple(Remark("stdio", 0, 1.0, "x") for _ in range(1001))),
            said.but(streams={f"s{number}": seal_of(b"") for number in range(101)}),
            said.but(streams={"stdio": Seal(-1, "0")}),
            said.but(elapsed=float("nan")),
        ):
            self.assertRaises(MessageError, Outcome.from_bytes, wrong.to_bytes())

    def test_hello_of_a_million_values(self) -> None:
        """
        Promise 14: a `hello` of a few MiB never takes a hundred MiB of memory.
        """
        for values in (b"{}," * 1_300_000, b"[]," * 1_300_000, b"0," * 2_000_000):
            said = hello().to_bytes()[:-1] + b',"x":[' + values + b"0]}"
            tracemalloc.start()
            self.assertRaises(MessageError, Hello.from_bytes, said)
            _, peak = tracemalloc.get_traced_memory()
            tracemalloc.stop()
            self.assertLess(peak, 1 << 20)

    def test_hello_of_a_busy_slave(self) -> None:
        """
        A `hello` with the largest number of commands, each with many streams, is read.
        """
        lengths = {f"log-{number}": 1 << 40 for number in range(90)}
        said = hello(
            held=tuple(HeldCommand(f"{number:032x}-1", "f" * 64, Life.RUNNING, lengths) for number in range(1000))
        )
        self.assertEqual(len(Hello.from_bytes(said.to_bytes()).held), 1000)

    def test_hello(self) -> None:
        """
        Promise 14: the texts of `hello` (facts, versions, held commands) are bounded, printable and encodable.
        """
        said = hello(version="\x1b[31m", platform={"os\n": "x\ud800"}, held=(HeldCommand("\ud800", "f", Life.RUNNING),))
        heard = Hello.from_bytes(said.to_bytes())

        for text in (heard.version, *heard.platform, *heard.platform.values(), heard.held[0].id):
            text.encode()
            self.assertTrue(text.isprintable(), text)
        for wrong in (
            hello(version="x" * 41),
            hello(platform={str(number): "x" for number in range(101)}),
            hello(platform={"x": "y" * 201}),
            hello(held=tuple(HeldCommand(str(number), "f", Life.RUNNING) for number in range(1001))),
            hello(space=-1),
        ):
            self.assertRaises(MessageError, Hello.from_bytes, wrong.to_bytes())


class FarmTests(SynchronousTestCase):
    """
    Promise 14: a hostile slave in a farm.
    """

    def setUp(self) -> None:
        self.harness = MasterHarness(TWO_SLAVES)

    def desk(self, name: str = "bot1") -> Any:
        """
        The object that the slave's FURL leads to.
        """
        grant = self.harness.farm.grants.of(verbs.SLAVE, name)
        assert grant is not None
        return self.harness.farm.grants.lookup(self.harness.farm.grants.swissnum(grant))

    def attach(self, key: str = "key-1") -> Deferred[Any]:
        """
        Attach once more.
        """
        attaching: Deferred[Any] = self.desk()._desk.attach(FakeSlave(), hello(), key)
        return attaching

    def test_others_commands(self) -> None:
        """
        Promise 14: a slave cannot resume or end another slave's command by claiming to hold it.
        """
        first, second = self.harness.attach("bot1"), self.harness.attach("bot2")
        self.harness.submit()
        self.harness.submit()
        (of_first,), (of_second,) = first.held(), second.held()
        self.assertNotEqual(of_first.id, of_second.id)
        again = self.harness.attach("bot1", held=(of_first, of_second))

        self.assertEqual([id for id, _ in again.resumed], [of_first.id])
        self.assertEqual(again.disowned, [of_second.id])
        self.assertEqual((second.disowned, second.interrupted), ([], []))

    def test_copy_of_a_restored_farm(self) -> None:
        """
        Promise 8.10: a master that is a copy from before a restore refuses slaves of the restored farm, disowns none
        of their commands, and says so; the restored farm tells its epoch, and disowns what it does not know.
        """
        raised = self.successResultOf(self.harness.records.write(lambda connection: epoch.raise_epoch(connection, 5.0)))
        self.harness.restart()
        slave = FakeSlave()
        unknown = HeldCommand("ff" * 16, "ab", Life.RUNNING)
        copy = self.desk()._desk.attach(slave, hello(epoch=raised + 1, held=(unknown,)), "key-1")
        self.failureResultOf(copy, SupersededError)
        self.assertEqual((slave.disowned, slave.dropped), ([], []))
        refused = self.harness.farm.slaves["bot1"].refused
        assert refused is not None
        self.assertIn("restored from a backup", refused[1])
        attached = self.desk()._desk.attach(slave, hello(epoch=raised, held=(unknown,)), "key-1")
        self.assertEqual(self.successResultOf(attached).epoch, raised)
        self.assertEqual(slave.disowned, [unknown.id])

    def test_removed_in_mid_build(self) -> None:
        """
        Promise 11: a slave that is removed from master.cfg finishes its build, also over a new link and after a restart
        of the master; then it is sent away.
        """
        slave = self.harness.attach("bot1")
        request = self.harness.submit()
        desk = self.desk()
        self.harness.configure(master_cfg(slaves={"bot2": ""}))
        self.harness.done(self.harness.farm.reconfiguration.apply())
        self.assertEqual(slave.dropped, [])
        slave.lose()
        self.successResultOf(desk._desk.attach(FakeSlave(), hello(held=slave.held()), "key-1"))
        self.harness.restart()
        back = FakeSlave(commands=slave.commands, behaviour=succeeding)
        self.successResultOf(self.desk()._desk.attach(back, hello(held=slave.held()), "key-1"))
        slave.commands[0].end(0)
        self.harness.settle()
        self.assertEqual(
            [(each.slave, each.result) for each in self.harness.builds(request)], [("bot1", Result.SUCCESS)]
        )
        self.assertEqual(back.dropped, ["this slave is not in master.cfg any more"])
        self.failureResultOf(self.attach(), BuildbotLiteError)

    def test_attaching_without_end(self) -> None:
        """
        Promise 14: a slave may attach as often as one with a bad link does; then it is refused.
        """
        for _ in range(200):
            self.successResultOf(self.attach())
        self.assertIn("attaches too often", str(self.failureResultOf(self.attach(), RefusedError).value))
        self.harness.clock.advance(1.0)
        self.successResultOf(self.attach())

    def test_stolen_string(self) -> None:
        """
        Promise 18: after its slave has used a FURL, the FURL is refused for every other key, however often it is tried.
        """
        self.successResultOf(self.attach("key-1"))
        for _ in range(300):
            self.failureResultOf(self.attach("key-2"), PinnedError)
        self.successResultOf(self.attach("key-1"))

    def test_stolen_string_is_not_shown(self) -> None:
        """
        Promise 6.15: another key is refused before `hello`: it uses none of the slave's CPU share, breaches no contract
        in the slave's name, and a link that showed the FURL before the slave did is closed.
        """
        revocable = self.desk().revocable
        early, own = LoopbackLink("key-2"), LoopbackLink("key-1")
        for link in (early, own):
            revocable.check_key(link.key)
            revocable.used_by(link)
        self.successResultOf(self.attach("key-1"))

        self.assertEqual((early.lost, own.lost), (True, False))
        self.assertRaises(PinnedError, revocable.check_key, "key-2")
        revocable.check_key("key-1")
        member = self.harness.farm.slaves["bot1"]
        self.assertEqual(member.breach, None)
        self.harness.configure(master_cfg(slaves={"bot1": "pin=False", "bot2": ""}))
        self.harness.done(self.harness.farm.reconfiguration.apply())
        revocable.check_key("key-2")

    def test_remarks(self) -> None:
        """
        Promise 14: the remarks of one build are bounded, however often its slave comes and goes.
        """
        self.harness.attach("bot1")
        request = self.harness.submit()
        (build,) = self.harness.builds(request)
        for number in range(MOST_REMARKS + 100):
            self.harness.clock.advance(1 / REMARKS_PER_SECOND)
            self.harness.farm.running.remark("bot1", str(number))
        rows = self.harness.read(lambda connection: remarks.of_build(connection, build.id))

        self.assertLess(len(rows), MOST_REMARKS + 10)

    def test_remarks_of_many_builds(self) -> None:
        """
        Promise 14: a slave with many builds that comes and goes does not fill the database's queue with remarks; when
        it has been quiet, remarks are written again.
        """
        self.harness.attach("bot1")
        request = self.harness.submit()
        (build,) = self.harness.builds(request)
        for number in range(REMARKS_AT_ONCE + 500):
            self.harness.farm.running.remark("bot1", str(number))
        self.harness.clock.advance(1.0)
        self.harness.farm.running.remark("bot1", "later")
        texts = [each.text for each in self.harness.read(lambda connection: remarks.of_build(connection, build.id))]

        self.assertLess(len(texts), REMARKS_AT_ONCE + 10)
        self.assertEqual(texts[-1], "later")

    def test_repeated_breaches(self) -> None:
        """
        Promise 14: the log stays bounded, however often a slave breaches the contract; the last breach is kept.
        """
        self.harness.attach("bot1")
        request = self.harness.submit()
        (build,) = self.harness.builds(request)
        for number in range(200):
            self.desk().revocable.on_breach(str(number))
        said = [each.text for each in self.harness.read(lambda c: remarks.of_build(c, build.id))]
        member = self.harness.farm.slaves["bot1"]

        self.assertEqual(len([text for text in said if "violated the protocol" in text]), COMPLAINTS_AT_ONCE)
        assert member.breach is not None
        self.assertEqual(member.breach[1], "199")

    def test_breach_is_shown(self) -> None:
        """
        Promise 14: a breach of the contract is shown with its reason, at the slave and beside its builds.
        """
        self.harness.attach("bot1")
        self.harness.attach("bot2")
        ours, theirs = self.harness.submit(), self.harness.submit()
        self.assertTrue(self.desk().revocable.on_breach("'../x' is no place in a stream\x1b[2J"))
        member = self.harness.farm.slaves["bot1"]

        assert member.breach is not None
        self.assertEqual(member.breach[1], "'../x' is no place in a stream?[2J")
        for request, number in ((ours, 1), (theirs, 0)):
            (build,) = self.harness.builds(request)
            said = [each.text for each in self.harness.read(lambda c, id=build.id: remarks.of_build(c, id))]
            self.assertEqual(len([text for text in said if "violated the protocol" in text]), number)

    def test_lies_concern_its_own_builds(self) -> None:
        """
        Promise 14: a slave may lie about its own commands; the builds of other slaves are not affected.
        """
        self.harness.attach("bot1", FakeSlave(behaviour=succeeding))
        lied = self.harness.submit()
        self.harness.done(self.harness.farm.slaves.pause("bot1", paused=True))
        self.harness.attach("bot2", FakeSlave(behaviour=scripted({"one": 1})))
        built = self.harness.submit()

        self.assertEqual(self.harness.builds(lied)[-1].result, Result.SUCCESS)
        self.assertEqual(self.harness.builds(built)[-1].result, Result.FAILURE)

    def test_files(self) -> None:
        """
        Promise 14: nothing that a slave sends makes a file outside the streams of its build.
        """
        slave = self.harness.attach("bot1")
        self.harness.submit()
        (started,) = slave.commands
        before = {directory for directory, _, _ in os.walk(self.harness.basedir)}
        for name in FORBIDDEN_NAMES:
            self.failureResultOf(started.command.append(name, 0, b"x"), MessageError)
        started.write(b"x")
        new = {directory for directory, _, _ in os.walk(self.harness.basedir)} - before

        self.assertTrue(all(os.path.relpath(path, self.harness.basedir).startswith("streams") for path in new), new)
