"""
A slave in one process with its master: a real keeper and real processes, no network.
"""

import hashlib
import io
import os
import tarfile

from twisted.internet import reactor  # noqa: TID251 - these tests have real processes
from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import TestCase

from buildbot_lite.model.hello import Hello, Welcome
from buildbot_lite.model.outcome import (
    Ending,
    Outcome,
    Why,
)
from buildbot_lite.model.spec import (
    Download,
    MakeDirectory,
    Run,
    Upload,
    UploadDirectory,
)
from buildbot_lite.slave.assembly import LocalSlave
from buildbot_lite.wire.roles import Slave

from .fakes import FakeCommand, new_directory

ID = "5a" * 16


class AcceptingDesk:
    """
    The master's side, which accepts every slave.
    """

    def __init__(self) -> None:
        self.hellos: list[Hello] = []
        self.slaves: list[Slave] = []
        self._waiting: list[Deferred[Slave]] = []

    def attach(self, slave: Slave, hello: Hello, key: str) -> Deferred[Welcome]:
        self.hellos.append(hello)
        self.slaves.append(slave)
        waiting, self._waiting = self._waiting, []
        for one in waiting:
            one.callback(slave)
        return succeed(Welcome("local", "0", hints=("tcp:farm.example:9989",)))

    def when_attached(self) -> Deferred[Slave]:
        """
        Return a Deferred that fires with the next slave to attach.
        """
        self._waiting.append(Deferred())
        return self._waiting[-1]


class AwaitableCommand(FakeCommand):
    """
    The master's end of a command; fires when it has an outcome.
    """

    def __init__(self, sources: dict[str, bytes] | None = None) -> None:
        super().__init__(sources)
        self.over: Deferred[Outcome] = Deferred()

    def finished(self, outcome: Outcome) -> Deferred[tuple[str, ...]]:
        answer = super().finished(outcome)
        if not self.over.called:
            # In a later iteration of the reactor: first the slave gets its answer.
            reactor.callLater(0, self.over.callback, outcome)
        return answer


def write(path: str, data: bytes) -> None:
    """
    Write to a file or FIFO.
    """
    with open(path, "wb") as out:
        out.write(data)


def read(path: str) -> bytes:
    """
    Return the contents of a file.
    """
    with open(path, "rb") as found:
        return found.read()


class LocalSlaveTests(TestCase):
    timeout = 240

    def setUp(self) -> None:
        """
        A directory for a slave.
        """
        self.directory = new_directory(self)
        self.desk = AcceptingDesk()

    async def begin(self) -> Slave:
        """
        Start a slave in that directory, and wait until it has attached.
        """
        local = self.local = LocalSlave(self.directory, reactor)
        self.addCleanup(lambda: Deferred.fromCoroutine(local.stop(kill=True)))
        local.start()
        attached = self.desk.when_attached()
        self.local.attach_to(self.desk)
        return await attached

    async def test_run(self) -> None:
        """
        A command's output and outcome arrive, byte for byte.
        """
        slave = await self.begin()
        command = AwaitableCommand()
        await slave.start(ID, Run(script="printf 'a\\0b'; pwd; exit 3", workdir="b/build"), {}, command)
        outcome = await command.over
        where = os.path.join(self.directory, "work/b/build")
        self.assertEqual(bytes(command.streams["stdio"]), b"a\0b" + where.encode() + b"\n")
        self.assertEqual((outcome.ending, outcome.exit_code), (Ending.EXITED, 3))

    async def test_restart(self) -> None:
        """
        Promise 7: a command outlives the slave that started it; the next slave in the directory reports its outcome.
        """
        slave = await self.begin()
        gate = os.path.join(self.directory, "gate")
        os.mkfifo(gate)
        first = AwaitableCommand()
        spec = Run(script=f"echo one >> runs; cat {gate}; echo done")
        await slave.start(ID, spec, {}, first)
        await self.local.stop()

        slave = await self.begin()
        held = self.desk.hellos[-1].held
        self.assertEqual([item.id for item in held], [ID])
        self.assertEqual(self.desk.hellos[0].home, self.desk.hellos[1].home)
        self.assertEqual(self.desk.hellos[0].keeper, self.desk.hellos[1].keeper)
        self.assertNotEqual(self.desk.hellos[0].incarnation, self.desk.hellos[1].incarnation)
        second = AwaitableCommand()
        await slave.resume(ID, second, {})
        write(gate, b"through the gate\n")
        outcome = await second.over
        self.assertTrue(outcome.succeeded)
        self.assertEqual(bytes(second.streams["stdio"]), b"through the gate\ndone\n")
        self.assertEqual(read(os.path.join(self.directory, "work/runs")), b"one\n")

    async def test_interrupt(self) -> None:
        """
        An interrupted command is killed, and its outcome says so.
        """
        slave = await self.begin()
        command = AwaitableCommand()
        await slave.start(ID, Run(argv=("sleep", "600")), {}, command)
        await slave.interrupt(ID, "cancelled by amy")
        outcome = await command.over
        self.assertEqual((outcome.ending, outcome.why), (Ending.KILLED, Why.INTERRUPTED))
        self.assertIn("cancelled by amy", outcome.sentence)

    async def test_transfers(self) -> None:
        """
        Directories, downloads and uploads work with real threads.
        """
        slave = await self.begin()
        data = os.urandom(3_000_000)

        async def done(number: int, spec: object, command: AwaitableCommand) -> Outcome:
            await slave.start(f"{number}", spec, {}, command)  # type: ignore[arg-type]  # any Spec
            return await command.over

        digest = hashlib.sha256(data).hexdigest()
        self.assertTrue((await done(1, MakeDirectory("b/build"), AwaitableCommand())).succeeded)
        download = Download("b/build/file", "input", len(data), digest, mode=0o755)
        self.assertTrue((await done(2, download, AwaitableCommand({"input": data}))).succeeded)
        upload = AwaitableCommand()
        outcome = await done(3, Upload("b/build/file"), upload)
        self.assertTrue(outcome.succeeded)
        self.assertEqual(upload.streams["artifact"], data)
        self.assertEqual(outcome.streams["artifact"].sha256, digest)
        packed = AwaitableCommand()
        self.assertTrue((await done(4, UploadDirectory("b"), packed)).succeeded)
        with tarfile.open(fileobj=io.BytesIO(bytes(packed.streams["artifact"]))) as archive:
            member = archive.extractfile("build/file")
            assert member is not None
            self.assertEqual(member.read(), data)
        self.assertEqual(os.listdir(os.path.join(self.directory, "transfers")), [])

    async def test_dropped(self) -> None:
        """
        A slave attaches again after the master has dropped its link.
        """
        slave = await self.begin()
        attached = self.desk.when_attached()
        slave.drop("connected again")
        await attached
        self.assertEqual(len(self.desk.hellos), 2)
