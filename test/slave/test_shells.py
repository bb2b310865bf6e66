"""
Shells of a slave, as real processes.
"""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

from twisted.internet import reactor  # noqa: TID251 - real processes
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock, deferLater
from twisted.trial.unittest import TestCase

from buildbot_lite.deferreds import OneShot
from buildbot_lite.errors import ConfigError, MessageError, RefusedError
from buildbot_lite.model.shell_request import ShellRequest, WindowSize
from buildbot_lite.slave import shell_process
from buildbot_lite.slave.policy import DEFAULT_POLICY, CommandUser, Policy
from buildbot_lite.slave.shell_process import ShellProcess
from buildbot_lite.slave.shells import MOST_SHELLS, Shells
from buildbot_lite.wire.contract import LARGEST_SHELL_PIECE, SHELL_WINDOW

from ..process_table import alive, kill
from ..waiting_program import WaitingProgram
from ..wire.tub_case import until, with_reactor

PERMITTED = Policy(shells=True)
SIZE = WindowSize(rows=25, columns=99)
# A slave with one shell, which says when the shell runs.
SLAVE = """
import os, sys
from twisted.internet import reactor
from buildbot_lite.model.shell_request import ShellRequest, WindowSize
from buildbot_lite.slave.policy import Policy
from buildbot_lite.slave.shells import Shells
from test.slave.test_shells import RecordingTerminal

terminal = RecordingTerminal()
terminal.shown = lambda: print(terminal.said.decode(), end="", flush=True)
policy = Policy(shells=True, wrapper=tuple(sys.argv[4:]))
shells = Shells(reactor, work=sys.argv[1], make=str, env={"PATH": os.environ["PATH"]}, policy=policy)
size = WindowSize(24, 80) if sys.argv[2] == "terminal" else None
reactor.callWhenRunning(shells.open, ShellRequest(("sh", "-c", sys.argv[3]), size), terminal)
reactor.run()
"""


class RecordingTerminal:
    """
    A `ShellTerminal` that records its calls.  While *slow*, output is acknowledged only by `acknowledge`.
    """

    def __init__(self) -> None:
        self.said = b""
        self.errors_said = b""
        self.largest = 0
        self.slow = False
        self.unacknowledged: list[tuple[int, Deferred[None]]] = []
        self.end: OneShot[tuple[int, str]] = OneShot()
        self.lose: list[Callable[[], None]] = []
        self.shown: Callable[[], object] = lambda: None

    def output(self, data: bytes) -> Deferred[None]:
        self.said += data
        self.largest = max(self.largest, len(data))
        self.shown()
        if not self.slow:
            return succeed(None)
        answer: Deferred[None] = Deferred()
        self.unacknowledged.append((len(data), answer))
        return answer

    def errors(self, data: bytes) -> Deferred[None]:
        self.errors_said += data
        return succeed(None)

    def ended(self, exit_code: int, reason: str) -> Deferred[None]:
        self.end.fire((exit_code, reason))
        return succeed(None)

    def when_lost(self, callback: Callable[[], None]) -> None:
        self.lose.append(callback)

    def acknowledge(self) -> None:
        """
        Acknowledge all output.
        """
        waiting, self.unacknowledged = self.unacknowledged, []
        for _, answer in waiting:
            answer.callback(None)


class ShellTests(TestCase):
    """
    Shells of a slave that permits them.
    """

    timeout = 120

    def setUp(self) -> None:
        self.work = os.path.realpath(tempfile.mkdtemp())
        self.shells = self.with_policy(PERMITTED)
        self.terminal = RecordingTerminal()

    def with_policy(self, policy: Policy) -> Shells:
        """
        Shells under *policy*.
        """
        where: Any = reactor
        return Shells(where, work=self.work, make=self.make, env={"PATH": os.environ["PATH"]}, policy=policy)

    def make(self, path: str) -> str:
        """
        Make a directory in ``work``.
        """
        made = os.path.join(self.work, path)
        os.makedirs(made, exist_ok=True)
        return made

    def run_script(self, script: str, size: WindowSize | None = SIZE) -> ShellProcess:
        """
        Run *script* in a shell.
        """
        return self.shells.open(ShellRequest(("sh", "-c", script), size), self.terminal)

    def waiting(self) -> int:
        """
        The bytes of output that are not acknowledged.
        """
        return sum(size for size, _ in self.terminal.unacknowledged)

    async def until_said(self, said: bytes) -> None:
        """
        Wait for output.
        """
        await until(lambda: said in self.terminal.said)

    @with_reactor
    async def test_terminal(self: Any) -> None:
        """
        A shell with a terminal has the terminal's size, which can be changed, and takes control characters as they
        come; its exit code comes back.
        """
        shell = self.run_script(
            "stty size; trap 'echo interrupted; stty size; exit 7' INT; echo ready; read line; read more"
        )
        await self.until_said(b"ready")
        self.assertIn(b"25 99", self.terminal.said)
        await shell.resize(50, 132)
        await shell.input(b"typed\n")
        await shell.input(b"\x03")
        self.assertEqual(await self.terminal.end.wait(), (7, ""))
        self.assertIn(b"interrupted", self.terminal.said)
        self.assertIn(b"50 132", self.terminal.said)
        await self.assertFailure(self.failing(shell.resize, 0, 132), MessageError)

    def failing(self, call: Callable[..., Deferred[None]], *arguments: Any) -> Deferred[None]:
        """
        The Deferred of a call that may raise.
        """

        async def called() -> None:
            await call(*arguments)

        return Deferred.fromCoroutine(called())

    @with_reactor
    async def test_pipes(self: Any) -> None:
        """
        Without a terminal, both outputs come apart, and the input has an end.
        """
        shell = self.run_script("cat; pwd >&2; exit 3", None)
        await shell.input(b"\x03\x04 as it is")
        await shell.end_input()
        self.assertEqual(await self.terminal.end.wait(), (3, ""))
        self.assertEqual(self.terminal.said, b"\x03\x04 as it is")
        self.assertEqual(self.terminal.errors_said.decode().strip(), self.work)
        # Nobody reads this, and it does not wait.
        await shell.input(b"late")
        await shell.end_input()

    @with_reactor
    async def test_output_window(self: Any) -> None:
        """
        At most a window of output is unacknowledged, in pieces; the shell waits meanwhile, and nothing is lost.
        """
        self.terminal.slow = True
        size = 10 * SHELL_WINDOW
        self.run_script(f"head -c {size} /dev/zero", None)
        left = size
        while left:
            # The next piece, whose size is that of a read, may not fit into the rest of the window.
            least = min(SHELL_WINDOW - LARGEST_SHELL_PIECE + 1, left)
            await until(lambda least=least: self.waiting() >= least)  # type: ignore[misc]  # its default
            self.assertLessEqual(self.waiting(), SHELL_WINDOW)
            left -= self.waiting()
            self.terminal.acknowledge()
        self.assertEqual(await self.terminal.end.wait(), (0, ""))
        self.assertEqual(len(self.terminal.said), size)
        self.assertLessEqual(self.terminal.largest, LARGEST_SHELL_PIECE)

    @with_reactor
    async def test_late(self: Any) -> None:
        """
        What a process that has ended left in its pipe is sent whenever the other end takes it.
        """
        self.patch(shell_process, "LINGER", 0.0)
        self.terminal.slow = True
        size = 2 * SHELL_WINDOW
        shell: Any = self.run_script(f"head -c {size} /dev/zero; read go", None)
        await until(lambda: self.waiting() > SHELL_WINDOW - LARGEST_SHELL_PIECE)
        await shell.end_input()
        await until(lambda: shell.transport.pid is None)
        for _ in range(3):  # turns of the reactor
            await deferLater(reactor, 0)
        self.patch(shell_process, "LINGER", 60.0)
        while not self.terminal.end.fired:
            self.terminal.acknowledge()
            await until(lambda: self.waiting() or self.terminal.end.fired)
        self.assertEqual(len(self.terminal.said), size)

    @with_reactor
    async def test_input_waits(self: Any) -> None:
        """
        Input is acknowledged when the shell has taken it, not before.
        """
        fifo = os.path.join(self.work, "fifo")
        os.mkfifo(fifo)
        shell = self.run_script(f"read go <{fifo}; exec wc -c", None)
        # More than a pipe holds.
        taken = [shell.input(bytes(LARGEST_SHELL_PIECE)) for _ in range(8)]
        self.assertFalse(taken[-1].called)
        descriptor = os.open(fifo, os.O_RDWR)
        self.addCleanup(os.close, descriptor)
        os.write(descriptor, b"go\n")
        for each in taken:
            await each
        await shell.end_input()
        self.assertEqual(await self.terminal.end.wait(), (0, ""))
        self.assertEqual(int(self.terminal.said), 8 * LARGEST_SHELL_PIECE)

    @with_reactor
    async def test_lost_link(self: Any) -> None:
        """
        Promise 9.4: when the link is lost, the shell ends with everything that runs in it, also with what ignores
        SIGHUP, on a terminal or with pipes.
        """
        for size in (SIZE, None):
            self.terminal = RecordingTerminal()
            self.run_script("trap '' HUP TERM; sleep 98765 & echo $! $$; wait; wait", size)
            await self.until_said(b"\n")
            pids = [int(word) for word in self.terminal.said.split()]
            for lose in self.terminal.lose:
                lose()
            code, reason = await self.terminal.end.wait()
            self.assertEqual((code, reason), (128 + signal.SIGKILL, "The connection was lost."))
            for pid in pids:
                await until(lambda pid=pid: not alive(pid))  # type: ignore[misc]  # its default

    @with_reactor
    async def test_killed_slave(self: Any) -> None:
        """
        Promise 9.4: a shell does not outlive the slave's process, even if that is killed.
        """
        for kind in ("terminal", "pipes"):
            script = "trap '' HUP; echo $$; read line; exec sleep 98765"
            words = [sys.executable, "-c", SLAVE, self.work, kind, script]
            slave = subprocess.Popen(words, stdout=subprocess.PIPE, cwd=_ROOT)  # noqa: ASYNC220 - it runs beside
            assert slave.stdout is not None
            with slave.stdout:
                pid = int(slave.stdout.readline())
                slave.kill()
            slave.wait(60)
            await until(lambda pid=pid: not alive(pid))  # type: ignore[misc]  # its default

    def slave_killed_at(self, call: str, kind: str, *wrapper: str) -> tuple[int, ...]:
        """
        Kill a slave before its shell's *call* of setpriv (see `WaitingProgram`), and let the call go on when its parent
        is gone; return the processes of both.
        """
        setpriv = WaitingProgram(Path(self.work), "setpriv", call)
        words = [sys.executable, "-c", SLAVE, self.work, kind, "trap '' HUP; echo >began; read line; exec sleep 98765"]
        with subprocess.Popen([*words, *wrapper], cwd=_ROOT, env=setpriv.environment) as slave:
            waiting, parent = setpriv.wait_for_call()
            self.addCleanup(kill, waiting)
            slave.kill()
            slave.wait(60)
            setpriv.go_on(when_gone=parent)
        return waiting, parent

    @with_reactor
    async def test_begun_while_killed(self: Any) -> None:
        """
        Promise 9.4: a shell does not begin when the slave's process is killed before the shell has asked the kernel to
        be killed with it.
        """
        for kind in ("terminal", "pipes"):
            waiting, _ = self.slave_killed_at('[ "$8" = setpriv ]', kind)
            await until(lambda pid=waiting: not alive(pid))  # type: ignore[misc]  # its default
            self.assertNotIn("began", os.listdir(self.work))

    @with_reactor
    async def test_begun_below_killed(self: Any) -> None:
        """
        Promise 9.4: nor does it begin below a wrapper that was killed with the slave's process before that.
        """
        waiting, wrapper = self.slave_killed_at('[ "$7" = sh ]', "pipes", "sh", "-c", '"$@" & wait', "sh")
        self.assertNotEqual(waiting, wrapper)
        await until(lambda: not alive(waiting))
        self.assertNotIn("began", os.listdir(self.work))

    @with_reactor
    async def test_most(self: Any) -> None:
        """
        A slave has at most so many shells; one that ended makes room.
        """
        for _ in range(MOST_SHELLS):
            shell = self.run_script("read line")
        self.assertRaises(RefusedError, self.run_script, "true")
        await shell.hang_up()
        await self.terminal.end.wait()
        self.run_script("true")
        self.shells.end_all()
        await until(lambda: not self.shells._open)

    @with_reactor
    async def test_not_permitted(self: Any) -> None:
        """
        Without ``shells=True`` in slave.tac, the slave opens none, and says what to do.
        """
        shells = self.with_policy(DEFAULT_POLICY)
        self.assertFalse(shells.permitted)
        error = self.assertRaises(RefusedError, shells.open, ShellRequest(("true",)), self.terminal)
        self.assertIn("shells=True", str(error))
        self.assertRaises(ConfigError, Policy.of, shells="yes")

    @with_reactor
    async def test_wrapper(self: Any) -> None:
        """
        A shell runs under the wrapper of slave.tac, whose placeholders are replaced.
        """
        self.shells = self.with_policy(Policy.of(shells=True, wrapper=["env", "WORK={work}", "PRIVATE={private}"]))
        self.run_script('echo "$WORK $PRIVATE"', None)
        self.assertEqual(await self.terminal.end.wait(), (0, ""))
        self.assertEqual(self.terminal.said.decode().split(), [self.work, os.path.join(self.work, ".shell")])

    def test_words(self) -> None:
        """
        The change of user comes first, because it would cancel the kernel's promise to kill the shell with the slave;
        the master's words come last.
        """
        user = CommandUser("builder", 1234, 1235, "/home/builder", "/bin/setpriv")
        shells = self.with_policy(Policy(user=user, wrapper=("env", "ID={id}"), shells=True))
        words = [os.fsdecode(word) for word in shells.words(ShellRequest(("make", "sësame")))]
        as_user, dying = words.index("--reuid=1234"), words.index("--pdeathsig")
        self.assertEqual(words[0], "/bin/setpriv")
        self.assertTrue(as_user < dying < words.index("env"))
        self.assertRegex(words[words.index("env") + 1], "ID=shell-[0-9a-f]{16}")
        self.assertEqual(words[-2:], ["make", "sësame"])

    @with_reactor
    async def test_no_program(self: Any) -> None:
        """
        A program that does not exist ends the shell, with a sentence among its errors.
        """
        self.shells.open(ShellRequest(("no-such-program",), None), self.terminal)
        code, _ = await self.terminal.end.wait()
        self.assertEqual(code, 127)
        self.assertIn(b"no-such-program", self.terminal.errors_said)


class _FakeProcess:
    """
    The transport of a `ShellProcess`.
    """

    pid: int | None = 1 << 30
    connected = True

    def __init__(self) -> None:
        self.signals: list[object] = []

    def registerProducer(self, producer: Any, streaming: bool) -> None:
        producer.resumeProducing()

    def unregisterProducer(self) -> None:
        pass

    def write(self, data: bytes) -> None:
        pass

    def resumeProducing(self) -> None:
        pass

    def signalProcess(self, number: object) -> None:
        self.signals.append(number)


class TimeLimitTests(TestCase):
    """
    The end of shells that are not used.
    """

    def setUp(self) -> None:
        self.clock, self.process = Clock(), _FakeProcess()
        self.shell = ShellProcess(RecordingTerminal(), SIZE, self.clock, lambda: None)
        self.shell.makeConnection(self.process)

    def test_idle(self) -> None:
        """
        A shell ends when nothing was typed or shown for an hour; SIGKILL follows SIGHUP.
        """
        self.clock.advance(shell_process.IDLE - 1)
        self.shell.outReceived(b"x")
        self.clock.advance(shell_process.IDLE - 1)
        _ = self.shell.input(b"x")
        self.clock.advance(shell_process.IDLE - 1)
        self.assertEqual(self.process.signals, [])
        self.clock.advance(1)
        self.assertEqual(self.process.signals, [signal.SIGHUP])
        self.clock.advance(shell_process.KILL_AFTER)
        self.assertEqual(self.process.signals, [signal.SIGHUP, signal.SIGKILL])

    def test_longest(self) -> None:
        """
        No shell is open for more than twelve hours.
        """
        for _ in range(23):
            self.clock.advance(1800)
            _ = self.shell.input(b"x")
        self.assertEqual(self.process.signals, [])
        self.clock.advance(1800)
        self.assertEqual(self.process.signals, [signal.SIGHUP])


_ROOT = Path(__file__).parent.parent.parent
