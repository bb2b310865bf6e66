"""
Killing a command kills all processes that it started.  The processes are real, and identified by pid.
"""

import contextlib
import os
import signal
import sys
import textwrap
import time
from collections.abc import Callable

from attrs import evolve
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.keeper.start_request import read_start_request
from buildbot_lite.keeper.timeouts import expired
from buildbot_lite.model.outcome import (
    Ending,
    Outcome,
    Why,
)
from buildbot_lite.model.spec import Run

from ..growing_limits import within_limits
from ..needs import needs
from ..process_table import alive, kill
from .keeper_harness import KeeperHarness, wait_until

# Defines a process that writes its pid to the file "pids" and sleeps; each call is another way to avoid being found.
ESCAPES = textwrap.dedent(
    """
    import os, signal, sys
    def sleeper(*, session, clean, deaf, twice):
        read, write = os.pipe()
        if os.fork():
            os.close(write)
            os.read(read, 1)
            if sys.stdout:
                # Not silent, however slow this machine is.
                print('.', end='', flush=True)
            return
        if session:
            os.setsid()
        if twice and os.fork():
            os._exit(0)
        if deaf:
            for name in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
                signal.signal(name, signal.SIG_IGN)
        fd = os.open("pids", os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.write(fd, b"%d\\n" % os.getpid())
        os.set_inheritable(write, True)
        script = 'printf x >&%d; eval "exec %d>&-"; exec sleep 600' % (write, write)
        os.execve("/bin/sh", ["sh", "-c", script], {"PATH": os.environ["PATH"]} if clean else os.environ)
    """
)
EVERY_WAY = "".join(
    f"sleeper(session={session}, clean={clean}, deaf={deaf}, twice={twice})\n"
    for session in (False, True)
    for clean in (False, True)
    for deaf in (False, True)
    for twice in (False, True)
)
READY = "print('ready', flush=True)\n"
STAY = "os.execvp('sleep', ['sleep', '600'])\n"


def kill_all(pids: list[int]) -> None:
    """
    Kill the processes of a test, even if it failed.
    """
    for pid in pids:
        kill(pid)


class KillTests(SynchronousTestCase):
    arguments: tuple[str, ...] = ()
    escapes = ESCAPES + EVERY_WAY
    limit = 0.0

    def setUp(self) -> None:
        """
        A keeper and a client.
        """
        self.harness = KeeperHarness(*self.arguments)
        self.addCleanup(self.harness.close)
        self.keeper = self.harness.start_keeper()
        self.client = self.harness.client()

    def pids(self) -> list[int]:
        """
        Return the pids of the processes that the command left.
        """
        path = os.path.join(self.harness.work, "pids")
        if not os.path.exists(path):
            return []
        with open(path) as pids:
            found = [int(line) for line in pids]
        self.addCleanup(kill_all, found)
        return found

    def killed(self, run: Run) -> Outcome:
        """
        Return the outcome of a command after checking that none of its processes lives.
        """
        outcome = self.killed_if_ready("a-1", run)
        assert outcome is not None, "not all its processes had been started"
        return outcome

    def killed_if_ready(self, id: str, run: Run) -> Outcome | None:
        """
        The same of the command *id*; None if it was killed before it had started all its processes.
        """
        outcome = self.client.run(id, run)
        pids = self.pids()
        self.assertEqual([pid for pid in pids if alive(pid)], [])
        self.assertEqual(outcome.ending, Ending.KILLED)
        return outcome if len(pids) == self.escapes.count("\nsleeper(") + 1 else None

    def killed_by_a_limit(self, limited: Callable[[float], Run]) -> Outcome:
        """
        As `killed`, of a command with a limit of some seconds that came after it had started all its processes.
        """

        def attempt(seconds: float) -> Outcome | None:
            with contextlib.suppress(FileNotFoundError):
                os.unlink(os.path.join(self.harness.work, "pids"))
            self.limit = seconds
            return self.killed_if_ready(f"a-{seconds:g}", limited(seconds))

        return within_limits(attempt)

    def program(self, then: str) -> tuple[str, ...]:
        """
        Return a command that starts a sleeper in each way, sleeps itself, and then does *then*.
        """
        me = "open('pids', 'a').write('%d\\n' % os.getpid())\n"
        return (sys.executable, "-c", self.escapes + me + READY + then)

    def test_interrupt(self) -> None:
        """
        Promise 8: an interrupt kills all processes: in other sessions, after double forks, with ignored signals and
        with empty environments.
        """
        self.client.start("a-1", run := Run(argv=self.program(STAY), sigterm_time=0.2))
        self.client.wait_for_output("a-1", b"ready")
        self.client.say(op="interrupt", id="a-1", reason="Somebody said so.")
        outcome = self.killed(run)
        self.assertEqual((outcome.why, outcome.sentence), (Why.INTERRUPTED, "Somebody said so."))
        self.assertEqual(outcome.signal, "SIGTERM")

    def test_timeout(self) -> None:
        """
        Promise 8: silence for longer than the timeout kills all processes.
        """
        argv = self.program(STAY)
        outcome = self.killed_by_a_limit(lambda seconds: Run(argv=argv, timeout=seconds, sigterm_time=0.1))
        self.assertEqual(outcome.why, Why.TIMEOUT)
        self.assertIn(f"no output for {self.limit:g} s", outcome.sentence)

    def test_max_time(self) -> None:
        """
        Promise 8: maxTime kills all processes, however much they write.
        """
        talk = "import time\nwhile True:\n    print('x', flush=True)\n    time.sleep(0.01)\n"
        argv = self.program(talk)
        outcome = self.killed_by_a_limit(lambda seconds: Run(argv=argv, max_time=seconds, sigterm_time=0.1))
        self.assertEqual(outcome.why, Why.MAX_TIME)

    def test_cap(self) -> None:
        """
        Promise 8: exceeding the cap kills all processes, and no byte beyond the cap is kept.
        """
        talk = "while True:\n    print('x' * 1000, flush=True)\n"
        outcome = self.killed(Run(argv=self.program(talk), cap=100_000, sigterm_time=0.1))
        self.assertEqual(outcome.why, Why.CAP)
        self.assertEqual(outcome.streams["stdio"].length, 100_000)

    def test_left_behind(self) -> None:
        """
        When a command exits, the processes that it left behind are killed, and its result is unchanged.
        """
        outcome = self.client.run("a-1", Run(argv=self.program("os._exit(0)")))
        self.assertTrue(outcome.succeeded)
        *left, _main = self.pids()
        self.assertEqual([pid for pid in left if alive(pid)], [])

    def test_left_behind_is_told(self) -> None:
        """
        Promise 6.23: one remark names the processes that were killed because the command left them behind, and the
        option that keeps them.
        """
        # Before exec(2) both have the shell's name.
        named = 'until read -r name </proc/$pid/comm && [ "$name" = sleep ]; do sleep 0.01; done'
        script = (
            f"sleep 600 >&- 2>&- & first=$!; sleep 601 >&- 2>&- & for pid in $first $!; do {named}; done; echo done"
        )
        outcome = self.client.run("a-1", Run(script=script))
        [remark] = outcome.remarks
        self.assertRegex(
            remark.text,
            r"Killed processes that the command left running: sleep \(\d+\), sleep \(\d+\)\.  "
            r"With leaveRunning=True they would go on\.",
        )
        self.assertEqual(remark.offset, outcome.streams["stdio"].length)

    def test_nothing_left_behind(self) -> None:
        """
        A command that waits for its processes, or was interrupted, has no such remark.
        """
        outcome = self.client.run("a-1", Run(script="sleep 0 & sleep 0 & wait; echo done | cat | cat"))
        self.assertEqual(outcome.remarks, ())
        self.client.start("a-2", Run(script="sleep 600 & sleep 600"))
        self.client.say(op="interrupt", id="a-2", reason="enough")
        self.assertEqual(self.client.ended("a-2").remarks, ())

    def test_others_are_not_killed(self) -> None:
        """
        Killing one command does not affect the others.
        """
        self.client.start("b-1", Run(script="(sleep 600 & echo $!; wait)"))
        self.client.wait_for_output("b-1", b"\n")
        other = int(self.harness.spool("b-1"))
        self.client.start("a-1", run := Run(argv=("sleep", "600")))
        self.client.say(op="interrupt", id="a-1", reason="x")
        self.client.run("a-1", run)

        self.assertTrue(alive(other))
        self.client.say(op="interrupt", id="b-1", reason="x")
        self.client.ended("b-1")
        self.assertFalse(alive(other))


class SignalAndLeaseTests(SynchronousTestCase):
    def setUp(self) -> None:
        """
        A keeper and a client.
        """
        self.harness = KeeperHarness()
        self.addCleanup(self.harness.close)
        self.keeper = self.harness.start_keeper()
        self.client = self.harness.client()

    def test_interrupt_signal(self) -> None:
        """
        The configured signal is sent first, and ends a process that handles it, also a stopped one.
        """
        self.client.start(
            "a-1",
            Run(
                script="trap 'echo bye; exit 7' INT; echo ready; kill -STOP $$; read x",
                interrupt_signal="INT",
                pty=True,
            ),
        )
        self.client.wait_for_output("a-1", b"ready")
        self.client.say(op="interrupt", id="a-1", reason="x")
        outcome = self.client.ended("a-1")
        self.assertEqual((outcome.ending, outcome.exit_code), (Ending.KILLED, 7))
        self.assertTrue(self.harness.spool("a-1").endswith(b"bye\n"))

    def test_child_is_given_time(self) -> None:
        """
        A child that cleans up after the first signal may finish, although its parent has died of that signal.
        """
        child = "trap 'sleep 0.3; echo cleaned; exit' TERM; echo ready; while true; do sleep 0.01; done"
        self.client.start("a-1", Run(argv=("/bin/sh", "-c", f'/bin/sh -c "{child}" & wait')))
        self.client.wait_for_output("a-1", b"ready")
        self.client.say(op="interrupt", id="a-1", reason="x")
        self.client.ended("a-1")
        self.assertTrue(self.harness.spool("a-1").endswith(b"cleaned\n"))

    def test_leave_running(self) -> None:
        """
        With leave_running the processes that the command started survive it.
        """
        outcome = self.client.run("a-1", Run(script="sleep 600 >&- 2>&- & echo $!", leave_running=True))
        left = int(self.harness.spool("a-1"))
        self.assertTrue(outcome.succeeded)
        self.assertTrue(alive(left))
        self.client.run("b-1", Run(argv=("true",)))
        self.assertTrue(alive(left))
        os.kill(left, signal.SIGKILL)

    def test_leave_running_unmarked(self) -> None:
        """
        With leave_running, a process without marks also survives the end of a later command.
        """
        code = ESCAPES + "sleeper(session=True, clean=True, deaf=False, twice=True)\n"
        run = Run(script=f'{sys.executable} -c "$CODE" >&- 2>&-', env={"CODE": code}, leave_running=True)
        self.client.run("a-1", run)
        self.client.run("b-1", Run(argv=("true",)))
        with open(os.path.join(self.harness.work, "pids")) as pids:
            left = int(pids.read())
        self.assertTrue(alive(left))
        os.kill(left, signal.SIGKILL)

    def test_marked_stray(self) -> None:
        """
        A stray with its command's mark ends with that command, whatever else runs; a stray of another command survives.
        """
        code = ESCAPES + "sleeper(session=True, clean=False, deaf=False, twice=True)\n"
        script = f'{sys.executable} -c "$CODE" >&- 2>&-'
        self.client.start("b-1", Run(script=f"{script}; echo ready; sleep 600", env={"CODE": code}))
        self.client.wait_for_output("b-1", b"ready")
        self.client.run("a-1", Run(script=script, env={"CODE": code}))
        with open(os.path.join(self.harness.work, "pids")) as pids:
            others, own = map(int, pids)
        self.assertEqual((alive(others), alive(own)), (True, False))
        self.client.say(op="interrupt", id="b-1", reason="x")
        self.client.ended("b-1")
        self.assertFalse(alive(others))

    def test_output_held_open(self) -> None:
        """
        A process of another command that holds the output open delays the end for a bounded time, and a remark says so.
        """
        self.client.start("a-1", Run(script="echo $$; exec sleep 600"))
        self.client.wait_for_output("a-1", b"\n")
        pid = int(self.harness.spool("a-1"))
        self.client.start("b-1", Run(script=f"exec 3> /proc/{pid}/fd/1; echo held; sleep 600"))
        self.client.wait_for_output("b-1", b"held")
        os.kill(pid, signal.SIGKILL)
        outcome = self.client.ended("a-1")
        self.assertEqual(outcome.ending, Ending.SIGNALLED)
        self.assertIn("holds its output open", outcome.remarks[0].text)

    def test_left_running_delays_nothing(self) -> None:
        """
        With leave_running, a process that keeps the output open, or writes to it, does not delay the end.
        """
        outcome = self.client.run("a-1", Run(script="yes & echo $! >pid", leave_running=True))
        self.assertTrue(outcome.succeeded)
        with open(os.path.join(self.harness.work, "pid")) as pid:
            left = int(pid.read())
        wait_until(lambda: not alive(left))

    def test_ambiguous_stray(self) -> None:
        """
        A stray that may belong to either of two commands is killed when the last of them ends.
        """
        self.client.start("b-1", Run(script="echo ready; sleep 600"))
        self.client.wait_for_output("b-1", b"ready")
        # Its start time does not determine its command, as b-1 could have started it, through two forks.
        code = ESCAPES + "sleeper(session=True, clean=True, deaf=False, twice=True)\n"
        self.assertTrue(
            self.client.run("a-1", Run(script=f'{sys.executable} -c "$CODE" >&- 2>&-', env={"CODE": code})).succeeded
        )
        with open(os.path.join(self.harness.work, "pids")) as pids:
            stray = int(pids.read())
        self.assertTrue(alive(stray))
        self.client.say(op="interrupt", id="b-1", reason="x")
        self.client.ended("b-1")
        self.assertFalse(alive(stray))

    def test_signalled(self) -> None:
        """
        The outcome of a command that died of a signal not sent by the keeper names the signal.
        """
        outcome = self.client.run("a-1", Run(script="kill -SEGV $$"))
        self.assertEqual((outcome.ending, outcome.signal, outcome.exit_code), (Ending.SIGNALLED, "SIGSEGV", None))

    def test_lease(self) -> None:
        """
        A command is killed when no message from the master arrives for three quarters of the grace, and not otherwise.
        """
        self.client.start("a-1", Run(argv=("sleep", "600"), grace=1.4))
        outcome = self.client.ended("a-1")
        self.assertEqual(outcome.why, Why.LEASE)
        self.assertIn("lease expired", outcome.sentence)

        def attempt(seconds: float) -> Outcome | None:
            command, began, longest = f"b-{seconds:g}", time.monotonic(), 0.0
            self.client.start(command, Run(argv=("sleep", f"{1.5 * seconds}"), grace=seconds / 0.75))
            heard = began
            while time.monotonic() < began + 1.2 * seconds:
                self.client.say(op="word", age=0.0)
                self.client.run(f"{command}-{time.monotonic()}", Run(argv=("sleep", f"{seconds / 8}")))
                heard, longest = time.monotonic(), max(longest, time.monotonic() - heard)
            outcome = self.client.ended(command)
            return outcome if max(longest, time.monotonic() - heard) < seconds / 2 else None

        self.assertTrue(within_limits(attempt).succeeded)

    def test_lease_shortens_sigterm_time(self) -> None:
        """
        When its lease ends, a command that ignores the first signal is dead before the master starts it elsewhere, 30 s
        after the grace, whatever its sigterm_time (Invariant I8).
        """
        harness = KeeperHarness("--haste=0.2")
        self.addCleanup(harness.close)
        harness.start_keeper()
        client = harness.client()
        ignoring = Run(script="trap '' TERM; echo ready; sleep 600 & wait; sleep 600", sigterm_time=1e6, grace=1.4)
        client.start("a-1", ignoring)
        self.assertEqual(client.ended("a-1").why, Why.LEASE)

        def attempt(seconds: float) -> Outcome | None:
            client.say(op="word", age=0.0)
            client.start(id := f"b-{seconds:g}", evolve(ignoring, grace=seconds / 0.75))
            ended = {"id": id, "record": "ended"}
            wait_until(
                lambda: b"ready" in harness.spool(id) or any(ended.items() <= r.items() for r in harness.records())
            )
            client.say(op="interrupt", id=id, reason="Somebody said so.")
            outcome = client.ended(id)
            return None if outcome.why is Why.LEASE else outcome

        self.assertEqual(within_limits(attempt).sentence, "Somebody said so.")

    def test_forged_mark(self) -> None:
        """
        A process that carries the mark of a command that does not exist is killed with its own command.
        """
        code = ESCAPES + "os.environ['BUILDBOT_LITE_COMMAND'] = 'b-1'\n"
        code += "sleeper(session=True, clean=False, deaf=False, twice=True)\n"
        self.assertTrue(self.client.run("a-1", Run(argv=(sys.executable, "-c", code))).succeeded)
        with open(os.path.join(self.harness.work, "pids")) as pids:
            forger = int(pids.read())
        self.addCleanup(kill_all, [forger])
        self.assertFalse(alive(forger))

    def test_leases(self) -> None:
        """
        A lease ends 30 s before the grace; with a short grace, it ends after three quarters of it.
        """
        message = {"spec": {"argv": ["true"]}, "workdir": "/"}
        for grace, lease in ((40.0, 30.0), (120.0, 90.0), (1800.0, 1770.0)):
            order = read_start_request(message)._replace(grace=grace)
            self.assertIsNone(expired(order, lease - 0.1))
            self.assertIn(f"for {lease:.0f} s", expired(order, lease) or "")
        self.assertIsNone(expired(read_start_request(message), 1e9))

    def test_no_lease(self) -> None:
        """
        Without a grace there is no lease: the command runs to its end.
        """
        self.assertTrue(self.client.run("a-1", Run(argv=("sleep", "2.2"), grace=None)).succeeded)


class WithoutSubreaperTests(KillTests):
    """
    The tests above, without Linux's facilities: a stray with an empty environment in its own session cannot be found.
    """

    arguments = ("--without=pidfd,subreaper,inotify,spawn",)
    escapes = ESCAPES + "".join(
        line + "\n"
        for line in EVERY_WAY.splitlines()
        if "session=True, clean=True" not in line or "twice=False" in line
    )


@needs("ps")
class WithoutProcTests(WithoutSubreaperTests):
    """
    The tests above, also without /proc: a process that neither descends from the command nor is in its session cannot
    be found.
    """

    arguments = ("--without=pidfd,subreaper,inotify,spawn,proc",)
    escapes = ESCAPES + "".join(
        line + "\n" for line in EVERY_WAY.splitlines() if "session=True" not in line or "twice=False" in line
    )

    def test_left_behind(self) -> None:
        """
        Processes left behind in the command's own session are killed.
        """
        self.escapes = ESCAPES + "".join(line + "\n" for line in EVERY_WAY.splitlines() if "session=False" in line)
        super().test_left_behind()


class WithoutProcessTableTests(SynchronousTestCase):
    """
    A keeper with neither /proc nor ``ps``.
    """

    def setUp(self) -> None:
        """
        A keeper that can list no processes, and a client.
        """
        self.harness = KeeperHarness()
        self.addCleanup(self.harness.close)
        self.log = self.enterContext(open(os.path.join(self.harness.directory, "log"), "w+b"))
        self.start_without_table()
        self.client = self.harness.client()

    def start_without_table(self) -> None:
        """
        Start a keeper that can list no processes.
        """
        self.keeper = self.harness.start_keeper(
            "--without=subreaper,proc", stderr=self.log, env={**os.environ, "PATH": "/nonexistent"}
        )

    def logged(self) -> str:
        """
        Return the logs of the keepers.
        """
        with open(self.log.name) as log:
            return log.read()

    def test_refused(self) -> None:
        """
        Promise 6.3: a keeper that cannot list processes logs this, and refuses to start commands that it could not end.
        """
        self.assertIn("there is no /proc and no program ps", self.logged())
        self.client.start("a-1", Run(script="touch ../ran"))
        sentence = self.client.until("refused", "a-1")["sentence"]
        self.assertIn("cannot list processes (there is no /proc and no program ps)", sentence)
        self.assertIn("apt install procps", sentence)
        self.assertFalse(os.path.exists(os.path.join(self.harness.directory, "ran")))
        self.assertEqual(os.listdir(os.path.join(self.harness.home, "commands")), [])

    def test_again(self) -> None:
        """
        The refusal is not stored: the refused command runs under a keeper that can list processes.
        """
        self.client.start("a-1", run := Run(script="true"))
        self.client.until("refused", "a-1")
        self.keeper.terminate()
        self.keeper.wait()
        self.harness.start_keeper()
        self.assertTrue(self.harness.client().run("a-1", run).succeeded)

    def test_lost(self) -> None:
        """
        When it takes over from a killed keeper, it does not claim that the lost commands' processes are dead.
        """
        self.keeper.terminate()
        self.keeper.wait()
        before = self.harness.start_keeper()
        client = self.harness.client()
        client.start("a-1", Run(script="echo $$; exec sleep 600"))
        client.wait_for_output("a-1", b"\n")
        left = int(self.harness.spool("a-1"))
        self.addCleanup(kill, left)
        before.kill()
        before.wait()
        self.start_without_table()
        outcome = self.harness.client().ended("a-1")

        self.assertEqual(outcome.ending, Ending.LOST)
        self.assertIn("Its processes may still run.", outcome.sentence)
        self.assertIn("Its processes may still run.", self.logged())
        self.assertTrue(alive(left))
