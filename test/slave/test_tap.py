"""
The slave as a service: real twistd, real TLS, real keeper.
"""

import os
import signal
import sys

from twisted.internet import reactor  # noqa: TID251 - these tests have real processes
from twisted.internet.defer import Deferred, succeed
from twisted.internet.protocol import ProcessProtocol
from twisted.python import usage
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import FurlError, PinnedError
from buildbot_lite.keeper.loop import boottime
from buildbot_lite.model.hello import (
    Hello,
    Life,
    Welcome,
)
from buildbot_lite.model.outcome import Ending, Outcome
from buildbot_lite.model.spec import Run
from buildbot_lite.slave_tap import (
    Options,
    application_for,
)
from buildbot_lite.wire.exposed import ExposedDesk, Revocable
from buildbot_lite.wire.furl import read_furl
from buildbot_lite.wire.roles import Slave

from ..process_table import (
    arguments,
    kill,
    other_pids,
)
from ..wire.tub_case import (
    SWISSNUM,
    TubTestCase,
    until,
    with_reactor,
)
from .fakes import new_directory
from .test_assembly import (
    AcceptingDesk,
    AwaitableCommand,
    read,
    write,
)

ID = "9d" * 16


class ChildProcess(ProcessProtocol):
    """
    A process, its output and its exit.
    """

    def __init__(self) -> None:
        self.printed = b""
        self.exit_code: int | None = None
        self.ended: Deferred[None] = Deferred()
        self._said: list[tuple[bytes, Deferred[None]]] = []

    def childDataReceived(self, childFD: int, data: bytes) -> None:
        self.printed += data
        for words, said in self._said:
            if words in self.printed and not said.called:
                said.callback(None)

    def when_said(self, words: bytes) -> Deferred[None]:
        """
        Return a Deferred that fires when the output contains *words*.
        """
        said: Deferred[None] = Deferred()
        if words in self.printed:
            said.callback(None)
        else:
            self._said.append((words, said))
        return said

    def processEnded(self, reason: Failure) -> None:
        self.exit_code = getattr(reason.value, "exitCode", None)
        self.ended.callback(None)

    def signal(self, number: int) -> None:
        """
        Send a signal, if the process still runs.
        """
        if not self.ended.called:
            assert self.transport is not None
            os.kill(self.transport.pid, number)


class PinningDesk(AcceptingDesk):
    """
    A master that refuses every slave as pinned.
    """

    def attach(self, slave: Slave, hello: Hello, key: str) -> Deferred[Welcome]:
        raise PinnedError


class TwistdTests(TubTestCase):
    def setUp(self) -> None:
        """
        A master, and a slave's directory with its FURL.
        """
        super().setUp()
        self.desk = AcceptingDesk()
        self.exposed = ExposedDesk(self.desk, Revocable())
        self.tub_, self.listener = self.listening(lambda name: self.exposed if name == SWISSNUM else None)
        self.directory = new_directory(self)
        self.addCleanup(end_keepers, self.directory)

    def write_tac(self, furl: str | None = None) -> str:
        """
        Write a slave.tac like a user's.
        """
        furl = furl or self.furl(self.tub_, self.listener)
        path = os.path.join(self.directory, "slave.tac")
        text = f'from buildbot_lite.slave_tap import application_for\n\napplication = application_for(furl="{furl}")\n'
        write(path, text.encode())
        return path

    def twistd(self, *arguments: str) -> ChildProcess:
        """
        Start twistd in the foreground; slave and keeper are ended after the test.
        """
        process = ChildProcess()
        twistd = [sys.executable, "-c", "from twisted.scripts.twistd import run; run()", "-n", "--pidfile=", *arguments]
        reactor.spawnProcess(process, sys.executable, twistd, dict(os.environ), self.directory)

        def end() -> Deferred[None]:
            process.signal(signal.SIGUSR1)
            return process.ended if not process.ended.called else succeed(None)

        self.addCleanup(end)
        return process

    async def attached(self, *arguments: str) -> tuple[ChildProcess, Slave]:
        """
        Start a twistd, and wait until its slave has attached.
        """
        waiting = self.desk.when_attached()
        process = self.twistd(*(arguments or ("-y", self.write_tac())))
        return process, await waiting

    @with_reactor
    async def test_run(self) -> None:
        """
        A slave that was given one FURL runs a command for its master.
        """
        _, slave = await self.attached()
        command = AwaitableCommand()
        await slave.start(ID, Run(argv=("echo", "hello")), {}, command)
        self.assertTrue((await command.over).succeeded)
        self.assertEqual(bytes(command.streams["stdio"]), b"hello\n")

    @with_reactor
    async def test_plugin(self) -> None:
        """
        ``twistd buildbot-lite-slave`` needs no tac file.
        """
        furl_file = os.path.join(self.directory, "furl")
        write(furl_file, b"# bot1\n" + self.furl(self.tub_, self.listener).encode() + b"\n")
        await self.attached("buildbot-lite-slave", "--furlfile", furl_file, "--basedir", self.directory)
        self.assertEqual(len(self.desk.hellos), 1)

    @with_reactor
    async def test_expired_root(self) -> None:
        """
        Promise 9.4: a slave that has no build removes a kept root whose time is over, and no other.
        """
        tac = self.write_tac()
        write(tac, read(tac) + b"from buildbot_lite.slave import expiry\nexpiry.LOOK_EVERY = 0.2\n")
        kept = os.path.join(self.directory, "work", "roots", "kept")
        for name, when in (("b-1", b"1\n"), ("b-2", b"99999999999\n")):
            os.makedirs(os.path.join(kept, name, "root"))
            write(os.path.join(kept, name, "kilobytes"), b"1\n")
            write(os.path.join(kept, name, "until"), when)
        await self.attached("-y", tac)
        await until(lambda: os.listdir(kept) == ["b-2"])

    async def _through(self, number: int) -> None:
        """
        Check that a command outlives the end of its slave by the signal *number*.
        """
        process, slave = await self.attached()
        gate = os.path.join(self.directory, "gate")
        os.mkfifo(gate)
        await slave.start(ID, Run(script=f"echo x >> runs; cat {gate}; echo done"), {}, AwaitableCommand())
        process.signal(number)
        await process.ended

        _, slave = await self.attached()
        [held] = self.desk.hellos[-1].held
        self.assertEqual((held.id, held.life), (ID, Life.RUNNING))
        command = AwaitableCommand()
        await slave.resume(ID, command, {})
        write(gate, b"through\n")
        self.assertTrue((await command.over).succeeded)
        self.assertEqual(bytes(command.streams["stdio"]), b"through\ndone\n")
        self.assertEqual(read(os.path.join(self.directory, "work/runs")), b"x\n")

    @with_reactor
    async def test_stopped(self) -> None:
        """
        A stopped slave leaves its commands running; the next one takes them over.
        """
        await self._through(signal.SIGTERM)

    @with_reactor
    async def test_killed(self) -> None:
        """
        Promise 7: after kill -9 of the slave's twistd the command has run once, with its exact log and outcome.
        """
        await self._through(signal.SIGKILL)

    @with_reactor
    async def test_kill_commands(self) -> None:
        """
        SIGUSR1 kills the running commands, which count as lost (so that their builds are retried), and stops the slave.
        """
        process, slave = await self.attached()
        command = AwaitableCommand()
        await slave.start(ID, Run(argv=("sleep", "600")), {}, command)
        process.signal(signal.SIGUSR1)
        await process.ended
        self.assertEqual(process.exit_code, 0)
        self.assertFalse(keepers(self.directory))
        if not command.over.called:
            _, slave = await self.attached()
            await slave.resume(ID, command, {})
        outcome: Outcome = await command.over
        self.assertIs(outcome.ending, Ending.LOST)

    @with_reactor
    async def test_two(self) -> None:
        """
        Promise 12: a second slave in a directory exits with one sentence, and changes nothing.
        """
        await self.attached()
        packing = os.path.join(self.directory, "transfers", f"{ID}.tar.new")
        write(packing, b"half of an archive that the first one packs")
        second = self.twistd("-y", self.write_tac())
        await second.ended
        self.assertEqual(second.exit_code, 1)
        [line] = second.printed.decode().strip().splitlines()
        self.assertIn("Another slave already works in", line)
        self.assertTrue(read(packing))

    @with_reactor
    async def test_mistyped(self) -> None:
        """
        Promise 3: an invalid FURL ends the start with one sentence, which does not repeat the FURL.
        """
        process = self.twistd("-y", self.write_tac("pb://abc@tcp:farm.example:9989/swordfishswordfish"))
        await process.ended
        self.assertEqual(process.exit_code, 1)
        [line] = process.printed.decode().strip().splitlines()
        self.assertIn("FURL", line)
        self.assertNotIn("swordfish", line)

    @with_reactor
    async def test_unknown(self) -> None:
        """
        Promise 3: a FURL that the master does not know is reported with the remedy, and without the FURL.
        """
        furl = self.furl(self.tub_, self.listener, "b" * 32)
        process = self.twistd("-y", self.write_tac(furl))
        await process.when_said(b"does not know this string")
        self.assertNotIn(b"b" * 32, process.printed)
        process.signal(signal.SIGTERM)
        await process.ended

    @with_reactor
    async def test_pinned(self) -> None:
        """
        Promise 3: the log of a second slave with a pinned FURL has the master's sentence.
        """
        self.exposed = ExposedDesk(PinningDesk(), Revocable())
        process = self.twistd("-y", self.write_tac())
        await process.when_said(b"buildbot-lite unpin")
        self.assertNotIn(b"Traceback", process.printed)

    @with_reactor
    async def test_readable_string(self) -> None:
        """
        A warning tells of a slave.tac that other users may read; a private one gives no warning.
        """
        tac = self.write_tac()
        process = self.twistd("-y", tac)
        await process.when_said(b"chmod 600")
        process.signal(signal.SIGTERM)
        await process.ended

        os.chmod(tac, 0o600)
        process, _ = await self.attached("-y", tac)
        self.assertNotIn(b"chmod 600", process.printed)

    @with_reactor
    async def test_hints(self) -> None:
        """
        The slave stores the hints of its master's welcome.
        """
        process, _ = await self.attached()
        await process.when_said(b"attached to the master as local")
        process.signal(signal.SIGTERM)
        await process.ended
        self.assertEqual(read(os.path.join(self.directory, "private/hints")), b"tcp:farm.example:9989\n")
        self.assertNotIn(SWISSNUM.encode(), process.printed)


class FurlFileTests(SynchronousTestCase):
    def setUp(self) -> None:
        """
        The path of a file for a FURL.
        """
        self.path = os.path.join(new_directory(self), "furl")

    def test_clock(self) -> None:
        """
        The slave's clock includes the time of the machine's suspend, as does that of the keeper's leases (Invariant
        I8).
        """
        self.patch(reactor, "seconds", reactor.seconds)
        self.assertRaises(SystemExit, application_for, "no string", basedir="/nowhere")
        self.assertIs(reactor.seconds, boottime)

    def test_no_permission(self) -> None:
        """
        A directory that cannot be used ends the process with one sentence.
        """
        self.patch(reactor, "seconds", reactor.seconds)
        directory = new_directory(self)
        lock = os.path.join(directory, "private", "lock")
        os.makedirs(lock)
        ended = self.assertRaises(SystemExit, application_for, f"pb://{'a' * 32}@tcp:h:1/{SWISSNUM}", basedir=directory)
        self.assertEqual(str(ended), f"{lock}: Is a directory.")

    def test_first(self) -> None:
        """
        The FURL is the first line that begins with pb://.
        """
        write(self.path, b"# comment\n\n  pb://one \npb://two\n")
        self.assertEqual(read_furl(self.path), "pb://one")

    def test_windows(self) -> None:
        """
        Promise 6.23: a byte order mark at the beginning of the file is ignored.
        """
        write(self.path, b"\xef\xbb\xbfpb://one\r\n")
        self.assertEqual(read_furl(self.path), "pb://one")

    def test_none(self) -> None:
        """
        A missing file, or a file without a FURL, is refused with a sentence.
        """
        self.assertRaises(FurlError, read_furl, self.path)
        write(self.path, b"bot1 pb://one\n\xff\n")
        self.assertRaises(FurlError, read_furl, self.path)

    def test_options(self) -> None:
        """
        A slave without a FURL does not start.
        """
        self.assertRaises(usage.UsageError, Options().parseOptions, [])
        options = Options()
        options.parseOptions(["--furlfile", "x"])
        self.assertEqual(options["basedir"], ".")


def end_keepers(directory: str) -> None:
    """
    End the keepers of slaves that were stopped without --kill.
    """
    for pid in keepers(directory):
        kill(pid, signal.SIGTERM)


def keepers(directory: str) -> list[int]:
    """
    Return the pids of the keepers of *directory*.
    """
    kept = {"buildbot_lite.keeper", os.path.join(directory, "keeper")}
    return [pid for pid in other_pids() if kept <= set(arguments(pid))]
