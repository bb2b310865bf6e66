"""
The dependencies of an installation.
"""

import subprocess
import sys
from configparser import ConfigParser
from pathlib import Path

from packaging.requirements import Requirement
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.cli.command_line.groups import MASTER_PACKAGES

SETUP = Path(__file__).parents[1] / "setup.cfg"
# By package, the last release with a known vulnerability.
VULNERABLE = {
    "Twisted": "25.5.0",  # CVE-2026-42304
    "pyOpenSSL": "25.3.0",  # CVE-2026-27448, CVE-2026-27459
    "cryptography": "49.99",  # CVE-2026-69247; CVE-2026-34073 and others before
}


class RequirementsTests(SynchronousTestCase):
    def test_lower_bounds(self) -> None:
        """
        Promise 6.18: setup.cfg accepts no release with a known vulnerability.
        """
        config = ConfigParser()
        config.read(SETUP)
        lines = config["options"]["install_requires"].split("\n")
        wanted = {each.name: each for each in (Requirement(line) for line in lines if line.strip())}
        for name, version in VULNERABLE.items():
            self.assertNotIn(version, wanted[name].specifier)


WITHOUT = f"""
import sys
sys.modules.update(dict.fromkeys({sorted(MASTER_PACKAGES | {"cronsim", "klein", "prometheus_client", "werkzeug"})!r}))
"""
"""A program in which only what a slave needs can be imported."""


class SlaveMachineTests(SynchronousTestCase):
    """
    What ``pip install .`` without the packages of the master is enough for.
    """

    def run_without(self, program: str, *words: str) -> "subprocess.CompletedProcess[str]":
        """
        Run *program* where only a slave's packages are.
        """
        command = [sys.executable, "-c", WITHOUT + program, *words]
        return subprocess.run(command, capture_output=True, text=True, check=False, timeout=120)

    def test_commands(self) -> None:
        """
        A slave is made and its commands explain themselves; a command for the farm says what to install.
        """
        program = "from buildbot_lite.cli import main; sys.argv[0] = 'buildbot-lite'; main()"
        tub = "a" * 32
        directory = self.mktemp()
        for words in (
            ("--version",),
            ("--help",),
            ("start", "--help"),
            ("create-slave", directory, f"pb://{tub}@tcp:127.0.0.1:9/swissnum"),
        ):
            ran = self.run_without(program, *words)
            self.assertEqual(ran.returncode, 0, ran.stderr)
        self.assertTrue(Path(directory, "slave.tac").exists())
        ran = self.run_without(program, "create-master", self.mktemp())
        self.assertIn("pip install", ran.stderr)
        self.assertNotIn("Traceback", ran.stderr)

    def test_processes(self) -> None:
        """
        The processes of a slave start without the packages of the master.
        """
        ran = self.run_without("import buildbot_lite.slave_tap, buildbot_lite.keeper.__main__")
        self.assertEqual(ran.returncode, 0, ran.stderr)
