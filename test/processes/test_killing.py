"""
Killing a command kills all processes that it started.
"""

import os
import subprocess
import sys

from ..growing_limits import LIMITS, within_limits
from ..process_table import alive
from .farm import PATIENCE, Farm, until
from .farm_case import FarmCase

# Forks twice, starts a session, closes inherited descriptors, and ignores all signals that can be ignored.
RUNAWAY = """
import os, signal, sys, time
witness = os.environ["WITNESS"] + "/" + sys.argv[1]
if os.fork():
    os.wait()
    # With "leave", the parent exits only after its child has recorded its pid.
    while "leave" not in sys.argv or not (os.path.exists(witness) and os.path.getsize(witness)):
        time.sleep(0.02)
    os._exit(0)
os.setsid()
if os.fork():
    os._exit(0)
os.setsid() if os.getpid() != os.getsid(0) and os.getpgid(0) != os.getpid() else None
for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
    signal.signal(number, signal.SIG_IGN)
for descriptor in range(3):
    os.close(descriptor)
with open(witness, "w") as file:
    file.write(str(os.getpid()))
time.sleep(600)
"""


class KillTests(FarmCase):
    """
    The ways in which a command is ended.
    """

    @classmethod
    def make(cls) -> Farm:
        """
        Create a builder for each way.
        """
        farm = Farm("bot1")
        runaway = farm.directory / "runaway.py"
        runaway.write_text(RUNAWAY)
        python = f"{sys.executable} {runaway}"
        ways = {
            "interrupted": (f"echo begun; {python} interrupted", ""),
            "capped": (
                f"{python} capped & until test -s $WITNESS/capped; do sleep 0.05; done; yes",
                "logMaxSize=100000",
            ),
            "left": (f"{python} left leave", ""),
        }
        for seconds in LIMITS:
            silent, long = f"silent-{seconds:g}", f"long-{seconds:g}"
            ways[silent] = (f"{python} {silent}", f"timeout={seconds}")
            talking = "while :; do echo talking; sleep 0.1; done"
            ways[long] = (f"{python} {long} & {talking}", f"maxTime={seconds}")
        for name, (script, more) in ways.items():
            step = f"steps.ShellCommand(command={script!r}, sigtermTime=1{', ' if more else ''}{more})"
            farm.builder(name, step, submit="cancelOnDisconnect=True" if name == "interrupted" else "")
        forgiving = f"steps.ShellCommand(command='{python} forgiven leave', leaveRunning=True)"
        return farm.builder("forgiven", forgiving)

    def runaway(self, name: str) -> int:
        """
        Return the pid of the double-forked process.
        """
        path = self.farm.witness / name
        return int(until(lambda: path.exists() and path.read_text(), f"{name} ran away"))

    def check_dead(self, name: str) -> None:
        """
        Check that the process is dead.
        """
        pid = self.runaway(name)
        until(lambda: not alive(pid), f"the process of {name!r} that ran away is dead")

    def test_interrupt(self) -> None:
        """
        Promise 8: interrupting a command kills its double-forked child in another session.
        """
        client = self.farm.submitting("interrupted")
        furl = client.watch_furl()
        self.assertTrue(alive(self.runaway("interrupted")))
        client.process.kill()

        self.assertEqual(self.farm.watch(furl).code, 4)
        self.check_dead("interrupted")

    def ended_by_a_limit(self, kind: str, sentence: str) -> None:
        """
        Check that a limit, which came after the process had run away, killed that process.  *sentence*: has a place for
        the seconds.
        """

        def attempt(seconds: float) -> str | None:
            name = f"{kind}-{seconds:g}"
            done = self.farm.submit(name, within=PATIENCE + seconds)
            self.assertEqual(done.code, 1)
            self.assertIn(sentence.format(f"{seconds:g}"), done.err)
            return name if self.farm.witnessed(name) else None

        self.check_dead(within_limits(attempt))

    def test_timeout(self) -> None:
        """
        Promise 8: the timeout for silent commands kills all processes of the command.
        """
        self.ended_by_a_limit("silent", "There was no output for {} s.")

    def test_max_time(self) -> None:
        """
        Promise 8: maxTime kills all processes of the command.
        """
        self.ended_by_a_limit("long", "It was still running after {} s.")

    def test_cap(self) -> None:
        """
        Promise 8: exceeding the cap on output kills all processes of the command; the log has the allowed bytes, and no
        more.
        """
        done = self.farm.submit("capped")
        self.assertEqual((done.code, len(done.out)), (1, 100_000), done.err)
        self.check_dead("capped")

    def test_left_behind(self) -> None:
        """
        Promise 8: processes that a command leaves behind are killed when it ends.
        """
        self.assertEqual(self.farm.submit("left").code, 0)
        self.check_dead("left")

    def test_leave_running(self) -> None:
        """
        Promise 8: with leaveRunning, processes that a command leaves behind live on.
        """
        self.assertEqual(self.farm.submit("forgiven").code, 0)
        self.assertTrue(alive(self.runaway("forgiven")))

    def test_stop_kill(self) -> None:
        """
        Promise 8: ``stop --kill`` of a slave ends its commands and its keeper.
        """
        with Farm("bot1") as farm:
            runaway = farm.directory / "runaway.py"
            runaway.write_text(RUNAWAY)
            farm.builder("endless", f"{sys.executable} {runaway} endless").start()
            client = farm.submitting("endless")
            client.watch_furl()
            path = farm.witness / "endless"
            pid = int(until(lambda: path.exists() and path.read_text(), "it ran away"))
            keeper = farm.keeper_pid()
            done = farm.command("stop", str(farm.directory / "bot1"), "--kill")

            self.assertEqual(done.code, 0, done.err)
            until(lambda: not alive(pid) and not alive(keeper), "command and keeper are dead")


class WithoutProcessTableTests(FarmCase):
    """
    A slave on a machine with neither /proc nor ``ps``.
    """

    @classmethod
    def make(cls) -> Farm:
        """
        Create one builder.
        """
        return Farm("bot1").builder("b", "touch $WITNESS/ran")

    @classmethod
    def begin(cls) -> None:
        """
        Attach the slave to a keeper that cannot list processes.
        """
        farm = cls.farm
        farm.write_config()
        farm.start_master()
        home = farm.slave_directory("bot1") / "keeper"
        words = [sys.executable, "-m", "buildbot_lite.keeper", "--without=subreaper,proc", str(home)]
        subprocess.run(words, check=True, env={**farm.env, "PATH": "/nonexistent"})
        farm.start_slave()

    def test_refused(self) -> None:
        """
        Promise 6.3: a command that could not be ended is not started; the submitter and the slave's log get the reason.
        """
        done = self.farm.submit("b")
        self.assertEqual(done.code, 1, done.err)
        sentence = "cannot list processes (there is no /proc and no program ps)"
        self.assertIn(sentence, done.err)
        self.assertIn(sentence, self.farm.slave().log)
        self.assertFalse(os.path.exists(self.farm.witness / "ran"))
