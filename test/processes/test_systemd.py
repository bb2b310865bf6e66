"""
A slave as a systemd service: with the unit of ``docs/systemd``, under a user instance that the test starts.
"""

import os
import signal
import subprocess
from pathlib import Path

from twisted.trial.unittest import SkipTest, SynchronousTestCase

from ..needs import NO_SYSTEMD, needs
from ..process_table import alive
from .farm import (
    BIN,
    Farm,
    dying_with_the_test,
    until,
)

UNIT = "buildbot-lite-slave.service"
UNITS = Path(__file__).parents[2] / "docs" / "systemd"
MANAGER = next((path for path in ("/lib/systemd/systemd", "/usr/lib/systemd/systemd") if os.path.exists(path)), None)
# A user instance starts only if this directory exists, by which systemd detects that it booted the system.
BOOTED = "/run/systemd/system"
AS_IF_BOOTED = (
    "unshare", "--mount", "sh", "-ec", 'mount -t tmpfs none /run && mkdir -p /run/systemd/system && exec "$@"', "sh",
)  # fmt: skip
WAITS = "echo run >> $WITNESS/lines; echo begun; while ! test -e $WITNESS/go; do sleep 0.05; done; echo ended"


@needs("systemctl")
class SystemdTests(SynchronousTestCase):
    """
    Promise 3.3: a slave that is a service of systemd.
    """

    def setUp(self) -> None:
        """
        Start an instance of systemd, and a farm whose slave it runs.
        """
        if MANAGER is None:
            raise SkipTest("there is no systemd here")
        self.farm = Farm("bot1").builder("b", WAITS)
        self.addCleanup(self.farm.close)
        config = self.farm.directory / "home" / ".config"
        (config / "systemd" / "user").mkdir(parents=True)
        runtime = self.farm.directory / "run"
        runtime.mkdir(mode=0o700)
        self.env = {**self.farm.env, "XDG_RUNTIME_DIR": str(runtime), "XDG_CONFIG_HOME": str(config)}
        self.manager = subprocess.Popen(
            [MANAGER, "--user"] if os.path.isdir(BOOTED) else [*AS_IF_BOOTED, MANAGER, "--user"],
            env=self.env,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            preexec_fn=dying_with_the_test(),  # noqa: PLW1509 - two system calls, loaded before
        )
        self.addCleanup(self.end)
        until(lambda: self.manager.poll() is not None or self.ctl("show-environment"), "systemd is there, or is not")
        if self.manager.poll() is not None:
            raise SkipTest(NO_SYSTEMD)

    def end(self) -> None:
        """
        End systemd and its services.
        """
        self.ctl("kill", "--kill-whom=all", "--signal=KILL", UNIT)
        self.ctl("stop", UNIT)
        if self.manager.poll() is None:
            self.manager.send_signal(signal.SIGTERM)
        until(lambda: self.manager.poll() is not None, "systemd has ended")

    def ctl(self, *words: str) -> bool:
        """
        Run systemctl; return whether it succeeded.
        """
        return (
            subprocess.run(["systemctl", "--user", *words], env=self.env, check=False, capture_output=True).returncode
            == 0
        )

    def main_pid(self) -> int:
        """
        Return the pid of the service's twistd.
        """
        shown = ["systemctl", "--user", "show", "--property=MainPID", "--value", UNIT]
        return int(subprocess.run(shown, env=self.env, check=True, capture_output=True).stdout)

    def test_restart(self) -> None:
        """
        Promise 3.3: through ``systemctl restart`` of the slave, and kill -9 of its twistd, the same build continues.
        """
        farm = self.farm
        farm.write_config()
        farm.start_master()
        farm.slave_directory("bot1")
        unit = (UNITS / UNIT).read_text().replace("/opt/buildbot-lite/bin", str(BIN)).replace("User=", "# User=")
        unit = unit.replace("/var/lib/buildbot-slave/bot1", str(farm.directory / "bot1"))
        (farm.directory / "home" / ".config" / "systemd" / "user" / UNIT).write_text(unit)
        self.assertTrue(self.ctl("daemon-reload"))
        self.assertTrue(self.ctl("start", UNIT))
        client = farm.submitting("b")
        until(lambda: client.out == b"begun\n", "the build has begun")

        first = self.main_pid()
        self.assertTrue(self.ctl("restart", UNIT))
        second = self.main_pid()
        self.assertNotEqual(first, second)
        self.assertFalse(alive(first))
        until(lambda: "restarted" in client.err, "the slave is back")
        os.kill(second, signal.SIGKILL)
        until(lambda: self.main_pid() not in {0, second}, "systemd started it again")
        until(lambda: client.err.count("restarted") == 2, "the slave is back again")
        (farm.witness / "go").touch()
        done = client.wait()

        self.assertEqual((done.code, done.out), (0, b"begun\nended\n"), done.err)
        self.assertEqual(farm.witnessed(), ["run"])
