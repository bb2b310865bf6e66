"""
Who runs in a directory.
"""

import errno
import os
import signal
import subprocess
import sys
from typing import Any
from unittest import mock

from buildbot_lite.cli import processes
from buildbot_lite.cli.processes import (
    Kind,
    kind_of,
    running_in,
)
from buildbot_lite.errors import (
    BuildbotLiteError,
    NotFoundError,
    NotRunningError,
)

from .ground import CommandCase

HOLDS = "import sys; lock = open(sys.argv[1]); print('ready', flush=True); sys.stdin.read()"
LOCKS = HOLDS.replace("print", "import fcntl; fcntl.flock(lock, fcntl.LOCK_EX); print")


class ProcessesTests(CommandCase):
    def setUp(self) -> None:
        """
        A slave's directory.
        """
        super().setUp()
        self.write("bot1/slave.tac", "")
        self.write("bot1/private/lock", "")
        self.write("other", "")

    def spawn(self, holds: str, first: str = "", program: str = HOLDS) -> "subprocess.Popen[str]":
        """
        A process that does what comes *first*, and has a file open.
        """
        process = subprocess.Popen(
            [sys.executable, "-c", first + program, holds], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        assert process.stdout is not None
        process.stdout.readline()
        return process

    def refusal(self) -> str:
        """
        Why nothing runs in bot1.
        """
        return str(self.assertRaises(NotRunningError, running_in, "bot1"))

    def test_kinds(self) -> None:
        """
        A directory is a master's, a slave's, or neither, which is said.
        """
        self.write("farm/master.cfg", "")
        self.write("empty/x", "")

        self.assertEqual((kind_of("farm"), kind_of("bot1")), (Kind.MASTER, Kind.SLAVE))
        self.assertIn("neither", str(self.assertRaises(NotFoundError, kind_of, "empty")))

    def test_no_permission(self) -> None:
        """
        What may not be looked into is not taken for what is not there.
        """
        self.write("farm/master.cfg", "")
        self.write("farm/private/admin.furl", "")
        really = os.stat

        def stat(path: Any, *args: Any, **options: Any) -> os.stat_result:
            if str(path).startswith("farm/"):
                raise PermissionError(errno.EACCES, "Permission denied", path)
            return really(path, *args, **options)

        with mock.patch("os.stat", stat):
            for words, path in {
                ("status", "farm"): "farm/private/admin.furl",
                ("checkconfig", "farm"): "farm/master.cfg",
                ("furl", "farm", "bot1"): "farm/master.cfg",
                ("stop", "farm"): "farm/master.cfg",
            }.items():
                self.assertEqual(self.refused(*words), f"{path}: Permission denied.", words)

    def test_ours(self) -> None:
        """
        The process of twistd.pid is ours while it holds our lock; it is known when it ended.
        """
        child = self.spawn("bot1/private/lock")
        self.write("bot1/twistd.pid", str(child.pid))
        process = running_in("bot1")
        self.addCleanup(process.close)

        self.assertEqual(process.pid, child.pid)
        self.assertFalse(process.ended(0))
        process.send(signal.SIGKILL)
        self.assertTrue(process.ended(30))
        child.wait()
        process.send(signal.SIGTERM)

    def test_strangers(self) -> None:
        """
        A process that got the number of one that was killed is not ours, and is left alone.
        """
        child = self.spawn("other")
        self.write("bot1/twistd.pid", f"{child.pid}\n")

        self.assertIn("is left over from a process that was killed", self.refusal())
        self.assertIn("is left over", self.refused("stop", "bot1"))
        self.assertIsNone(child.poll())

    def test_gone(self) -> None:
        """
        Neither is one that is gone.
        """
        child = self.spawn("bot1/private/lock")
        child.kill()
        child.wait()
        self.write("bot1/twistd.pid", str(child.pid))

        self.assertIn("is left over", self.refusal())

    def test_no_number(self) -> None:
        """
        Without a number nothing is known to run.
        """
        self.assertEqual(self.refusal(), "No slave runs in bot1: there is no twistd.pid.")
        self.write("bot1/twistd.pid", "what?")
        self.assertIn("has no process number in it", self.refusal())

    def test_without_pidfd(self) -> None:
        """
        Where processes cannot be held by a descriptor, numbers have to do.
        """
        self.patch(processes, "_held", lambda pid: processes.Process(pid, None))
        child = self.spawn("bot1/private/lock")
        self.write("bot1/twistd.pid", str(child.pid))
        process = running_in("bot1")
        self.assertFalse(process.ended(0))
        process.send(signal.SIGKILL)
        child.wait()

        self.assertTrue(process.ended(30))
        process.close()

    def test_without_pid_file(self) -> None:
        """
        Promise 6.22: one that runs is found by its lock when twistd.pid is gone, empty or another's; who merely reads
        the lock file is not it.
        """
        reader = self.spawn("bot1/private/lock")
        self.assertIn("there is no twistd.pid", self.refusal())
        child = self.spawn("bot1/private/lock", program=LOCKS)
        for text in (None, "", f"{self.spawn('other').pid}"):
            if text is not None:
                self.write("bot1/twistd.pid", text)
            with self.subTest(text):
                process = running_in("bot1")
                self.addCleanup(process.close)
                self.assertEqual(process.pid, child.pid)
                self.assertIn("in bot1 runs already", self.command("start", "bot1").err)
        self.assertIsNone(reader.poll())

    def test_stale_pid_file(self) -> None:
        """
        Promise 6.22: a pid file that was left behind, whatever is in it, keeps nothing from being started.
        """
        done: subprocess.CompletedProcess[bytes] = subprocess.CompletedProcess([], 0)
        for text in (f"{self.spawn('other').pid}", "", "what?"):
            self.write("bot1/twistd.pid", text)
            with mock.patch.object(subprocess, "run", return_value=done):
                processes.start("bot1")
            self.assertFalse(os.path.exists("bot1/twistd.pid"))

    def test_wrong_way_to_stop(self) -> None:
        """
        What does not fit is refused before anything is stopped.
        """
        self.write("farm/master.cfg", "")

        self.assertIn("--kill is for slaves", self.refused("stop", "farm", "--kill", code=64))
        self.assertIn("not both", self.refused("stop", "bot1", "--kill", "--when-idle", code=64))

    def test_does_not_end(self) -> None:
        """
        One that does not end is not waited for without end.
        """
        child = self.spawn("bot1/private/lock", "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n")
        self.write("bot1/twistd.pid", str(child.pid))

        self.assertIn(f"Process {child.pid} has not ended after 1 s.", self.refused("stop", "bot1", "--patience", "1"))

    def test_no_tac(self) -> None:
        """
        What was started in another way is not started by us.
        """
        os.unlink("bot1/slave.tac")
        os.mkdir("bot1/keeper")

        self.assertIn("There is no slave.tac in bot1", str(self.assertRaises(NotFoundError, processes.start, "bot1")))

    def test_secrets_in_the_environment(self) -> None:
        """
        Restart reads master.cfg, which takes secrets out of the environment; the new master has them all the same.
        """
        self.write(
            "farm/master.cfg",
            "from buildbot_lite.plugins import secrets\n"
            "c = {'secretsProviders': [secrets.SecretInEnvironment('OF_THE_FARM_')]}\n",
        )
        self.write("farm/master.tac", "")
        done: subprocess.CompletedProcess[bytes] = subprocess.CompletedProcess([], 1)
        with (
            mock.patch.dict(os.environ, OF_THE_FARM_TOKEN="sesame-99"),
            mock.patch.object(subprocess, "run", return_value=done) as ran,
        ):
            self.command("restart", "farm")
            self.assertEqual(os.environ["OF_THE_FARM_TOKEN"], "sesame-99")

        self.assertIsNone(ran.call_args.kwargs.get("env"))

    def test_does_not_start(self) -> None:
        """
        What does not start is told, after what it said itself.
        """
        self.write("bot1/slave.tac", "raise SystemExit('no')\n")

        self.assertEqual(str(self.assertRaises(BuildbotLiteError, processes.start, "bot1")), "The slave did not start.")
