"""
Shells in the root of a build that failed, from the command over master and slave into the root.
"""

import contextlib
import fcntl
import json
import os
import pty
import select
import struct
import subprocess
import termios
import time
from collections.abc import Callable
from pathlib import Path

from buildbot_lite.packages.building.debian_roots import Overlay
from buildbot_lite.packages.building.kept_roots import KEPT
from buildbot_lite.packages.building.overlay import overlay
from buildbot_lite.packages.building.steps import DebianPrepping
from test.packages.archives import archive, greet
from test.packages.test_overlay import make_base

from ..needs import needs
from ..process_table import alive, arguments
from .farm import BIN, until
from .test_packages import PackagesCase

MARK = f"54321.{os.getpid()}"


@needs("dpkg-buildpackage", "mmdebstrap", "newuidmap", "flock", "setpriv")
class RootShellsTests(PackagesCase):
    """
    A build that fails at once, because the root has no apt.
    """

    target = 'DebTarget("t", ["ARCH"], root=Overlay("bookworm", keep_failed=5))'

    def setUp(self) -> None:
        super().setUp()
        self.farm.write_config()
        self.farm.start_master()
        directory = self.farm.slave_directory("bot1")
        self.farm.write_slave_tac("bot1", policy="shells=True, ")
        self.work = directory / "work"
        build = self.work / "t" / "build"
        bases = Path(os.path.normpath(build / Overlay("bookworm").begin(self.arch, DebianPrepping.tools)[0][6]))
        self.addCleanup(self.remove_roots)
        make_base(bases / "base.1.1", "bash")
        (bases / "base.1.1.made").touch()
        (bases / "current").symlink_to("base.1.1")
        self.farm.start_slave()
        self.submitting = self.farm.submitting("t", archive(greet()))
        self.until_architecture(1, "failed")
        granted = self.farm.command("grant", "shell", str(self.farm.master_directory), "t", "--label", "zoe")
        self.string = self.farm.private_furl(granted.out.decode())

    def remove_roots(self) -> None:
        """
        Remove files of subordinate users.
        """
        subprocess.run(overlay("remove", str(self.work / "roots")), check=True, timeout=60)

    def words(self, *command: str) -> list[str]:
        """
        The words of the command that enters the root.
        """
        return [
            "package",
            "shell",
            "--furlfile",
            str(self.string),
            "1",
            self.arch,
            *(["--", *command] if command else ()),
        ]

    def inside(self) -> list[int]:
        """
        The processes in the root, and those that watch it.
        """
        return [pid for pid in self.farm.processes() if any(MARK in word for word in arguments(pid)) and alive(pid)]

    def test_entered(self) -> None:
        """
        Promise 9.4: with one string, a maintainer runs a command or a shell in the kept root, far from the slave: with
        pipes as with a terminal, and its exit code comes back.  It is recorded, without what was typed.
        """
        ran = self.farm.client(
            "buildbot-lite", *self.words("sh", "-c", "cat; echo made >/etc/made; echo e >&2; exit 3"), stdin=b"typed"
        ).wait()
        self.assertEqual((ran.code, ran.out), (3, b"typed"), ran)
        self.assertIn("on the slave bot1", ran.err)
        self.assertIn("\ne\n", ran.err)

        ours, theirs = pty.openpty()
        self.addCleanup(os.close, ours)
        fcntl.ioctl(ours, termios.TIOCSWINSZ, struct.pack("HHHH", 33, 77, 0, 0))
        shell = subprocess.Popen(
            [BIN / "buildbot-lite", *self.words()], stdin=theirs, stdout=theirs, stderr=theirs, env=self.farm.env
        )
        self.addCleanup(shell.kill)
        os.close(theirs)
        said = b""
        os.write(ours, b"cat /etc/made; ls /build; exit 4\r")
        with contextlib.suppress(OSError):  # EIO: the command has ended
            while select.select([ours], [], [], 60)[0] and (piece := os.read(ours, 1000)):
                said += piece
        self.assertEqual(shell.wait(60), 4, said)
        self.assertIn(b"\nmade\r\n", said)
        events = self.farm.rows("SELECT body FROM feed WHERE kind = 'package.shell' ORDER BY seq")
        self.assertEqual([json.loads(body)["state"] for (body,) in events], ["asked", "opened", "closed"] * 2)
        log = self.farm.master.log
        self.assertIn("zoe (string", log)
        self.assertNotIn("/etc/made", log)

    def test_killed(self) -> None:
        """
        Promise 9.4: nothing stays in the root after a kill -9 of the command, of the slave or of the master, and the
        root can be entered again.
        """
        for kill in (self._kill_command, self._kill_slave, self._kill_master):
            entering = self.farm.client("buildbot-lite", *self.words("sleep", MARK))
            until(lambda: len(self.inside()) > 1, "the command runs in the root")
            kill(entering.process.pid)
            until(lambda: not self.inside(), "nothing is left in the root")
            entering.process.kill()
            entering.wait()
            again: Callable[[], bool] = self._enters
            until(again, "the root is entered again")
        self.assertEqual(os.listdir(self.work / KEPT), [f"t-{self.arch}-1"])

    def _enters(self) -> bool:
        ran = self.farm.command(*self.words("sh", "-c", "exit 7"))
        if ran.code != 7:
            # The slave is not connected again yet, or the lock is not free.
            time.sleep(0.2)
        return ran.code == 7

    def _kill_command(self, pid: int) -> None:
        self.farm.kill(pid)

    def _kill_slave(self, pid: int) -> None:
        self.farm.slave().kill()
        self.farm.start_slave()

    def _kill_master(self, pid: int) -> None:
        self.farm.master.kill()
        self.farm.start_master()
