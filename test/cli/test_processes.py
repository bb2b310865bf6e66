"""
The process that runs in a directory of a master or slave.
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

from .command_line_case import CommandLineCase

HOLD = "print('ready', flush=True); sys.stdin.read()"
OPENS_FILE = f"import sys; lock = open(sys.argv[1]); {HOLD}"
LOCKS_FILE = f"import fcntl, sys; lock = open(sys.argv[1]); fcntl.flock(lock, fcntl.LOCK_EX); {HOLD}"


class ProcessesTests(CommandLineCase):
    def setUp(self) -> None:
        """
        A slave's directory.
        """
        super().setUp()
        self.write("bot1/slave.tac", "")
        self.write("bot1/private/lock", "")
        self.write("other", "")

    def spawn(self, holds: str, first: str = "", program: str = OPENS_FILE) -> "subprocess.Popen[str]":
        """
        Start a process that runs the code *first* and then opens the file *holds*.
        """
        process = subprocess.Popen(
            [sys.executable, "-c", first + program, holds], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        self.addCleanup(process.communicate)
        self.addCleanup(process.kill)
        assert process.stdout is not None
        process.stdout.readline()
        return process

    def not_running(self) -> str:
        """
        The sentence that nothing runs in bot1.
        """
        return str(self.assertRaises(NotRunningError, running_in, "bot1"))

    def test_kinds(self) -> None:
        """
        A directory is a master's, a slave's, or neither, which is an error.
        """
        self.write("farm/master.cfg", "")
        self.write("empty/x", "")

        self.assertEqual((kind_of("farm"), kind_of("bot1")), (Kind.MASTER, Kind.SLAVE))
        self.assertIn("neither", str(self.assertRaises(NotFoundError, kind_of, "empty")))

    def test_no_permission(self) -> None:
        """
        A directory without permission to read is reported as such, and not as missing.
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

    def test_accepted(self) -> None:
        """
        The process in twistd.pid is accepted while it has the lock file open; its end is noticed.
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

    def test_reused_number(self) -> None:
        """
        A process that has the number in twistd.pid by chance is not accepted and not signalled.
        """
        child = self.spawn("other")
        self.write("bot1/twistd.pid", f"{child.pid}\n")

        self.assertIn("is left over from a process that was killed", self.not_running())
        self.assertIn("is left over", self.refused("stop", "bot1"))
        self.assertIsNone(child.poll())

    def test_ended(self) -> None:
        """
        A process that has ended is not accepted.
        """
        child = self.spawn("bot1/private/lock")
        child.kill()
        child.wait()
        self.write("bot1/twistd.pid", str(child.pid))

        self.assertIn("is left over", self.not_running())

    def test_no_number(self) -> None:
        """
        Without a number in twistd.pid, nothing runs.
        """
        self.assertEqual(self.not_running(), "No slave runs in bot1: there is no twistd.pid.")
        self.write("bot1/twistd.pid", "what?")
        self.assertIn("has no process number in it", self.not_running())

    def test_without_pidfd(self) -> None:
        """
        Without pidfd_open(2), processes are found by number.
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
        Promise 6.22: when twistd.pid is missing, empty or wrong, the process is found by the lock that it holds; a
        process that only reads the lock file is not.
        """
        reader = self.spawn("bot1/private/lock")
        self.assertIn("there is no twistd.pid", self.not_running())
        child = self.spawn("bot1/private/lock", program=LOCKS_FILE)
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
        Promise 6.22: a twistd.pid that was left behind does not prevent a start, whatever its contents.
        """
        done: subprocess.CompletedProcess[bytes] = subprocess.CompletedProcess([], 0)
        for text in (f"{self.spawn('other').pid}", "", "what?"):
            self.write("bot1/twistd.pid", text)
            with mock.patch.object(subprocess, "run", return_value=done):
                processes.start("bot1")
            self.assertFalse(os.path.exists("bot1/twistd.pid"))

    def test_wrong_options(self) -> None:
        """
        Wrong combinations of options are refused before anything is stopped.
        """
        self.write("farm/master.cfg", "")

        self.assertIn("--kill is for slaves", self.refused("stop", "farm", "--kill", code=64))
        self.assertIn("not both", self.refused("stop", "bot1", "--kill", "--when-idle", code=64))

    def test_does_not_end(self) -> None:
        """
        `stop` waits for the end of a process up to its patience.
        """
        child = self.spawn("bot1/private/lock", "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN)\n")
        self.write("bot1/twistd.pid", str(child.pid))

        self.assertIn(f"Process {child.pid} has not ended after 1 s.", self.refused("stop", "bot1", "--patience", "1"))

    def test_no_tac(self) -> None:
        """
        A directory without slave.tac is not started.
        """
        os.unlink("bot1/slave.tac")
        os.mkdir("bot1/keeper")

        self.assertIn("There is no slave.tac in bot1", str(self.assertRaises(NotFoundError, processes.start, "bot1")))

    def test_secrets_in_the_environment(self) -> None:
        """
        `restart` reads master.cfg, which takes secrets from the environment; the new master still gets them.
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
        When the daemon does not start, the error follows its own output.
        """
        self.write("bot1/slave.tac", "raise SystemExit('no')\n")

        self.assertEqual(str(self.assertRaises(BuildbotLiteError, processes.start, "bot1")), "The slave did not start.")
