"""
The contract of the roles, tested in one process and over TLS.
"""

from collections.abc import Awaitable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import TestCase

from buildbot_lite.errors import (
    DefectError,
    LinkLostError,
    MessageError,
    PinnedError,
    RefusedError,
)
from buildbot_lite.model.outcome import (
    Ending,
    Outcome,
    Seal,
)
from buildbot_lite.model.shell_request import ShellRequest, WindowSize
from buildbot_lite.model.spec import Run
from buildbot_lite.wire.contract import LARGEST_SHELL_PIECE, LEAST_SHELL_CHARGE, MOST_SHELL_PIECES, SHELL_WINDOW
from buildbot_lite.wire.exposed import ExposedDesk, Revocable
from buildbot_lite.wire.loopback import LoopbackDesk, LoopbackLink
from buildbot_lite.wire.reconnecting import DeskConnection, connect
from buildbot_lite.wire.roles import (
    LATER,
    Command,
    Desk,
    Link,
    Slave,
)

from .recording_roles import (
    HELLO,
    WELCOME,
    RecordingCommand,
    RecordingDesk,
    RecordingShell,
    RecordingSlave,
)
from .tub_case import (
    FARM_KEY,
    SLAVE_KEY,
    SWISSNUM,
    TubTestCase,
    turn,
    until,
    with_reactor,
)

ID = "0123456789abcdef0123456789abcdef-1"
SPEC = Run(argv=("make", "-j2"), env={"LANG": "C", "TERM": None})


class RoleTests:
    """
    The contract, independent of the transport.
    """

    async def linked(self, desk: Desk) -> tuple[Desk, Link]:
        """
        Return the other end of *desk*, and the link to it.
        """
        raise NotImplementedError

    async def attached(self: Any) -> tuple[RecordingSlave, Slave]:
        """
        Return a slave, and the master's view of it.
        """
        desk, slave = RecordingDesk(), RecordingSlave()
        far, _ = await self.linked(desk)
        await far.attach(slave, HELLO, "")
        return slave, desk.slaves[0]

    async def started(self: Any) -> tuple[RecordingCommand, Command]:
        """
        Return a command, and the slave's view of it.
        """
        slave, master = await self.attached()
        command = RecordingCommand()
        await master.start(ID, SPEC, {}, command)
        return command, slave.commands[ID]

    @with_reactor
    async def test_attach(self: Any) -> None:
        """
        The desk gets the slave's `Hello` unchanged, with the key of its link; the slave gets the `Welcome`.
        """
        desk = RecordingDesk()
        far, link = await self.linked(desk)

        welcome = await far.attach(RecordingSlave(), HELLO, "")

        self.assertEqual(welcome, WELCOME)
        ((what, hello, key),) = desk.calls
        self.assertEqual((what, hello), ("attach", HELLO))
        self.assertTrue(key)
        self.assertTrue(link.key)

    @with_reactor
    async def test_refused(self: Any) -> None:
        """
        A refusal arrives as the same class with the same sentence.
        """
        desk = RecordingDesk()
        desk.answer = PinnedError()
        far, _ = await self.linked(desk)

        error = await failing(far.attach(RecordingSlave(), HELLO, ""))

        self.assertIsInstance(error, PinnedError)
        self.assertEqual(str(error), str(PinnedError()))

    @with_reactor
    async def test_defect(self: Any) -> None:
        """
        An unexpected exception arrives as a defect, without its text, and is logged where it was raised.
        """
        desk = RecordingDesk()
        desk.answer = KeyError("the secret of bot2")
        far, _ = await self.linked(desk)

        error = await failing(far.attach(RecordingSlave(), HELLO, ""))

        self.assertIs(type(error), DefectError)
        self.assertNotIn("bot2", str(error))
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)

    @with_reactor
    async def test_start(self: Any) -> None:
        """
        The slave gets the spec and the secrets unchanged.
        """
        slave, master = await self.attached()

        await master.start(ID, SPEC, {"token": "sësame"}, RecordingCommand())

        self.assertEqual(slave.calls, [("start", ID, SPEC, {"token": "sësame"})])

    @with_reactor
    async def test_calls_to_the_slave(self: Any) -> None:
        """
        `resume`, `interrupt` and `disown` reach the slave with their arguments.
        """
        slave, master = await self.attached()

        await master.resume(ID, RecordingCommand(), {"stdio": 1 << 40, "log-täst": 0})
        await master.interrupt(ID, "stopped by Zoë")
        await master.disown(ID)

        self.assertEqual(
            slave.calls,
            [
                ("resume", ID, {"stdio": 1 << 40, "log-täst": 0}),
                ("interrupt", ID, "stopped by Zoë"),
                ("disown", ID),
            ],
        )

    @with_reactor
    async def test_append(self: Any) -> None:
        """
        All 256 byte values arrive at their offset; the answer is the length of the stream.
        """
        command, far = await self.started()
        everything = bytes(range(256)) * 1024

        self.assertEqual(await far.append("stdio", 0, everything), len(everything))
        self.assertEqual(await far.append("stdio", len(everything), b"\0"), len(everything) + 1)
        self.assertEqual(command.streams["stdio"], everything + b"\0")

    @with_reactor
    async def test_append_in_order(self: Any) -> None:
        """
        Concurrent appends arrive in the order in which they were sent.
        """
        command, far = await self.started()

        answers = [far.append("stdio", n * 1000, bytes([n]) * 1000) for n in range(20)]

        self.assertEqual([await answer for answer in answers], [(n + 1) * 1000 for n in range(20)])
        self.assertEqual(command.streams["stdio"], b"".join(bytes([n]) * 1000 for n in range(20)))

    @with_reactor
    async def test_later(self: Any) -> None:
        """
        A master without disk space answers LATER.
        """
        command, far = await self.started()
        command.answer = Deferred()
        command.answer.callback(LATER)

        self.assertEqual(await far.append("stdio", 0, b"x"), LATER)

    @with_reactor
    async def test_large_offsets(self: Any) -> None:
        """
        A stream may be longer than 4 GiB.
        """
        command, far = await self.started()

        await far.append("stdio", 1 << 40, b"")

        self.assertEqual(command.calls, [("append", "stdio", 1 << 40, 0)])

    @with_reactor
    async def test_read(self: Any) -> None:
        """
        `read` returns the bytes at an offset, up to the end of the file.
        """
        _, far = await self.started()

        self.assertEqual(await far.read("tarball", 250, 100), bytes(range(250, 256)))
        self.assertEqual(await far.read("tarball", 256, 100), b"")

    @with_reactor
    async def test_finished(self: Any) -> None:
        """
        The outcome arrives unchanged; the answer names the streams to send again.
        """
        command, far = await self.started()
        outcome = Outcome(Ending.EXITED, exit_code=3, streams={"stdio": Seal(7, "0" * 64)}, elapsed=1.5)
        command.again = ("stdio", "log-x")

        self.assertEqual(await far.finished(outcome), ("stdio", "log-x"))
        command.again = ()
        self.assertEqual(await far.finished(outcome), ())
        self.assertEqual(command.calls, [("finished", outcome)] * 2)

    @with_reactor
    async def test_lost(self: Any) -> None:
        """
        When the link is cut, unanswered calls fail, both ends are notified once, and later calls fail.
        """
        desk, slave = RecordingDesk(), RecordingSlave()
        far, link = await self.linked(desk)
        await far.attach(slave, HELLO, "")
        master = desk.slaves[0]
        command = RecordingCommand()
        await master.start(ID, SPEC, {}, command)
        command.answer = Deferred()
        waiting = slave.commands[ID].append("stdio", 0, b"x")
        lost: list[str] = []
        master.when_lost(lambda: lost.append("master"))
        link.when_lost(lambda: lost.append("slave"))
        await until(lambda: bool(command.calls))

        master.drop("the test says so")
        error = await failing(waiting)
        await until(lambda: len(lost) == 2)
        await turn()

        self.assertIsInstance(error, LinkLostError)
        self.assertEqual(sorted(lost), ["master", "slave"])
        self.assertTrue(link.lost)
        self.assertIsInstance(await failing(master.disown(ID)), LinkLostError)
        self.assertIsInstance(await failing(slave.commands[ID].read("x", 0, 1)), LinkLostError)
        master.when_lost(lambda: lost.append("afterwards"))
        await until(lambda: "afterwards" in lost)
        command.answer.callback(1)

    @with_reactor
    async def test_shell(self: Any) -> None:
        """
        A shell's request, input and commands reach the slave, its output and its end the master; a refusal arrives as
        its sentence; nothing works after the link is lost.
        """
        slave, master = await self.attached()
        terminal, request = RecordingShell(), ShellRequest(("sh", "-c", "sësame"), WindowSize(24, 80))
        piece = bytes(range(256)) * (LARGEST_SHELL_PIECE // 256)

        shell = await master.open_shell(request, terminal)
        await shell.input(piece)
        await shell.resize(50, 132)
        await shell.end_input()
        await shell.hang_up()
        await slave.terminal.output(piece)
        await slave.terminal.errors(b"e")
        await slave.terminal.ended(3, "Zoë left.")

        self.assertEqual(slave.calls, [("open_shell", request)])
        self.assertEqual(slave.shell.calls, [("input", piece), ("resize", 50, 132), ("end_input",), ("hang_up",)])
        self.assertEqual(terminal.calls, [("output", piece), ("errors", b"e"), ("ended", 3, "Zoë left.")])
        slave.answer = RefusedError("Too many.")
        self.assertEqual(str(await failing(master.open_shell(request, terminal))), "Too many.")
        lost: list[bool] = []
        slave.terminal.when_lost(lambda: lost.append(True))
        master.drop("the test says so")
        await until(lambda: bool(lost))
        self.assertIsInstance(await failing(shell.input(b"x")), LinkLostError)
        self.assertIsInstance(await failing(slave.terminal.output(b"x")), LinkLostError)


class LoopbackTests(RoleTests, TestCase):
    async def linked(self, desk: Desk) -> tuple[Desk, Link]:
        link = LoopbackLink()
        return LoopbackDesk(desk, link), link


class TlsTests(RoleTests, TubTestCase):
    async def linked(self, desk: Desk) -> tuple[Desk, Link]:
        exposed = ExposedDesk(desk, Revocable())
        farm, listener = self.listening({SWISSNUM: exposed}.get, FARM_KEY)
        slave = self.tub(SLAVE_KEY)
        connected: Deferred[tuple[Desk, Link]] = Deferred()
        connection: DeskConnection = connect(
            slave, self.furl(farm, listener), [], lambda *both: connected.callback(both), connected.errback
        )
        both = await connected
        connection.stop()
        return both

    @with_reactor
    async def test_window_of_a_shell(self: Any) -> None:
        """
        Who sends more bytes of a shell than may be unacknowledged is refused.
        """
        slave, master = await self.attached()
        slave.shell.answer = Deferred()
        shell = await master.open_shell(ShellRequest(("sh",)), RecordingShell())
        sent = [shell.input(bytes(LARGEST_SHELL_PIECE)) for _ in range(SHELL_WINDOW // LARGEST_SHELL_PIECE)]
        self.assertIsInstance(await failing(shell.input(b"x")), MessageError)
        slave.shell.answer.callback(None)
        for each in sent:
            await each
        await shell.input(b"y")
        self.assertEqual(slave.shell.calls[-1], ("input", b"y"))

    @with_reactor
    async def test_exit_code_of_a_shell(self: Any) -> None:
        """
        Promise 9.4: a code that no process can exit with is 255 to the person: 256 would become a success.
        """
        slave, master = await self.attached()
        terminal = RecordingShell()
        await master.open_shell(ShellRequest(("sh",)), terminal)
        for code in (0, 255, 256, 512, -1):
            await slave.terminal.ended(code, "")
        self.assertEqual([call[1] for call in terminal.calls], [0, 255, 255, 255, 255])

    @with_reactor
    async def test_calls_of_a_shell(self: Any) -> None:
        """
        Promise 9.4: however many small pieces and sizes of shells are sent, the link stays, few of them are passed on
        at a time, and too many are refused; a shell that is not answered stops no other one on the link.
        """
        slave, master = await self.attached()
        slave.shell.answer = Deferred()
        shell, other = [await master.open_shell(ShellRequest(("sh",)), RecordingShell()) for _ in range(2)]
        self.assertIsInstance(await failing(shell.input(b"")), MessageError)
        sizes = [shell.resize(1, columns) for columns in range(1, 51)]
        sent = [shell.input(b"x") for _ in range(MOST_SHELL_PIECES)]
        self.assertIsInstance(await failing(shell.input(b"x")), MessageError)
        sent += [other.input(b"x") for _ in range(MOST_SHELL_PIECES)]
        self.assertIsInstance(await failing(other.input(b"x")), MessageError)
        self.assertEqual(slave.shell.calls.count(("input", b"x")), 2 * SHELL_WINDOW // LEAST_SHELL_CHARGE)
        self.assertEqual([call for call in slave.shell.calls if call[0] == "resize"], [("resize", 1, 1)])
        slave.shell.answer.callback(None)
        for each in (*sent, *sizes):
            await each
        self.assertEqual(
            [call for call in slave.shell.calls if call[0] == "resize"], [("resize", 1, 1), ("resize", 1, 50)]
        )


async def failing(call: Awaitable[Any]) -> BaseException:
    """
    Return the error of *call*.
    """
    try:
        result = await call
    except Exception as error:  # noqa: BLE001 - the test checks its class
        return error
    raise AssertionError(f"the call did not fail, but returned {result!r}")
