"""
``make demo`` in a fresh clone, as a new user runs it.

The clone's ``.venv`` is a link to the tests' own environment, so that nothing is downloaded.
"""

import importlib.util
import os
import pty
import re
import select
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import ClassVar
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from ..asking_again import opened
from ..process_table import (
    kill,
    other_pids,
    read_proc,
)
from .farm import until

CHECKOUT = Path(__file__).resolve().parents[2]
NOBODY = 65534
PATIENCE = 400.0


class DemoTests(SynchronousTestCase):
    """
    One clone for all tests.
    """

    clone: ClassVar[Path]
    directory: ClassVar[Path]
    user: ClassVar[int | None] = None

    @classmethod
    def setUpClass(cls) -> None:
        """
        Clone the checkout, as an ordinary user where possible.
        """
        super().setUpClass()
        for program in ("git", "make"):
            if shutil.which(program) is None:
                cls.skip = f"the demo needs {program}"
                return
        if not (CHECKOUT / ".git").exists():
            cls.skip = "the demo's job clones the checkout with git, and this is none"
            return
        cls.directory = Path(tempfile.mkdtemp(prefix="demo-"))
        cls.addClassCleanup(shutil.rmtree, cls.directory, ignore_errors=True)
        cls.clone = cls.directory / "clone"
        safe = ["-c", f"safe.directory={CHECKOUT}", "-c", f"safe.directory={CHECKOUT}/.git"]
        subprocess.run(["git", *safe, "clone", "-q", CHECKOUT, cls.clone], check=True)
        environment = cls.clone / ".venv"
        environment.mkdir()
        for name in ("bin", "lib", "pyvenv.cfg"):
            (environment / name).symlink_to(Path(sys.prefix) / name)
        (environment / ".with-test").touch()
        if os.geteuid() == 0 and can_run_as_nobody():
            cls.user = NOBODY
            subprocess.run(["chown", "-Rh", f"{NOBODY}:{NOBODY}", cls.directory], check=True)

    def processes(self) -> list[int]:
        """
        Return the pids of all processes of the clone.
        """
        mark = str(self.clone).encode()
        return [pid for pid in other_pids() if mark in read_proc(pid, "environ") + read_proc(pid, "cmdline")]

    def tearDown(self) -> None:
        """
        Kill all remaining processes.
        """
        for pid in self.processes():
            kill(pid)

    def demo(self, *, once: bool, terminal: int | None = None) -> "subprocess.Popen[bytes]":
        """
        Start ``make demo`` with PATH as its only variable, in a session of its own.
        """
        env = {"PATH": os.environ["PATH"], **({"ONCE": "1"} if once else {})}
        if "PYTHONPATH" in os.environ:
            env["PYTHONPATH"] = os.environ["PYTHONPATH"]
        return subprocess.Popen(
            ["make", "-C", str(self.clone), "demo"],
            env=env,
            stdin=subprocess.DEVNULL if terminal is None else terminal,
            stdout=subprocess.PIPE if terminal is None else terminal,
            stderr=subprocess.STDOUT if terminal is None else terminal,
            user=self.user,
            group=self.user,
            extra_groups=[] if self.user is not None else None,
            start_new_session=True,
        )

    def check_gone(self) -> None:
        """
        Check that no process is left, including keepers and commands.
        """
        until(lambda: not self.processes(), "every process of the demo is gone")

    def test_once(self) -> None:
        """
        Promise 1: the demo works in a fresh clone, with ``env -i``, as an ordinary user, twice in a row; no process is
        left.
        """
        for _ in range(2):
            said, _nothing = self.demo(once=True).communicate(timeout=PATIENCE)
            self.assertIn(b"The job's exit code is 0.", said)
            self.assertIn(b"passed", said)
            self.assertEqual(self.processes(), [])

    def test_interrupted(self) -> None:
        """
        Promise 1: after Ctrl-C, also during its job, no process is left.
        """
        demo = self.demo(once=False)
        assert demo.stdout is not None
        said = read_until(demo.stdout.fileno(), b" runs on bot")
        os.killpg(demo.pid, signal.SIGINT)
        rest, _ = demo.communicate(timeout=PATIENCE)
        self.assertIn(b"Everything has ended.", said + rest)
        self.check_gone()

    def test_next_steps(self) -> None:
        """
        Promise 10.1: after the job, the address of the pages is printed, and shows the farm; the printed commands for
        killing the slaves work, and Ctrl-C is no failure.
        """
        demo = self.demo(once=False)
        assert demo.stdout is not None
        said = read_until(demo.stdout.fileno(), b"Ctrl-C here ends everything.")
        address = re.findall(r"Its pages:  (http://127\.0\.0\.1:80\d\d/)", said.decode())[0]
        self.assertIn("The demo</title>", opened(address).text)
        kill = next(line for line in said.decode().splitlines() if "kill -9" in line)
        subprocess.run(kill, shell=True, cwd=self.clone, check=True)
        said = read_until(demo.stdout.fileno(), b"bot1 died; it is started again.")
        if b"bot2 died" not in said:
            read_until(demo.stdout.fileno(), b"bot2 died; it is started again.")
        os.killpg(demo.pid, signal.SIGINT)
        rest, _ = demo.communicate(timeout=PATIENCE)

        self.assertIn(b"Everything has ended.", rest)
        self.assertNotIn(b"Error", rest)
        self.check_gone()

    def test_terminal_closed(self) -> None:
        """
        Promise 1: after its terminal was closed, no process is left.
        """
        ours, its = pty.openpty()
        demo = self.demo(once=False, terminal=its)
        os.close(its)
        read_until(ours, b" runs on bot")
        os.close(ours)
        demo.wait(PATIENCE)
        self.check_gone()


class DemoStartTests(SynchronousTestCase):
    """
    A part of the demo, in this process.
    """

    def test_interrupted(self) -> None:
        """
        Promise 1: a process that is being started when Ctrl-C arrives is ended like the others.
        """
        spec = importlib.util.spec_from_file_location("demo", CHECKOUT / "docs" / "demo" / "demo.py")
        assert spec is not None
        assert spec.loader is not None
        demo = importlib.util.module_from_spec(spec)
        spec.loader.exec_module(demo)
        self.addCleanup(signal.signal, signal.SIGINT, signal.signal(signal.SIGINT, demo.end))
        for number in demo.SIGNALS:
            self.addCleanup(signal.signal, number, signal.getsignal(number))
        child = mock.Mock()

        def begin(*words: object, **more: object) -> mock.Mock:
            signal.raise_signal(signal.SIGINT)
            return child

        directory, farm = Path(self.mktemp()), demo.Farm()
        directory.mkdir(parents=True)
        self.patch(demo.subprocess, "Popen", begin)
        self.assertRaises(demo.Ended, farm._start, directory)
        self.assertEqual(farm._running, {directory: child})


def can_run_as_nobody() -> bool:
    """
    Return whether an ordinary user can run our Python and read our code.
    """
    try:
        subprocess.run(
            [sys.executable, "-c", "import buildbot_lite.plugins"],
            user=NOBODY,
            group=NOBODY,
            extra_groups=[],
            cwd="/",
            check=True,
            capture_output=True,
        )
    except (OSError, subprocess.CalledProcessError):
        return False
    return True


def read_until(descriptor: int, text: bytes) -> bytes:
    """
    Read until the output contains *text*; return the output.
    """
    said = b""
    deadline = time.monotonic() + PATIENCE
    while text not in said:
        left = deadline - time.monotonic()
        assert left > 0 and select.select([descriptor], [], [], left)[0], said.decode(errors="replace")
        data = os.read(descriptor, 65536)
        assert data, said.decode(errors="replace")
        said += data
    return said
