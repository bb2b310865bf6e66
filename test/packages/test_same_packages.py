"""
The scripts that give a root the packages of another build, with stand-ins for apt-get and dpkg-query.
"""

import os
import shutil
import subprocess
import tempfile
from functools import partial
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.master.steps.context import CommandResult
from buildbot_lite.model.outcome import Ending, Outcome
from buildbot_lite.packages.building.apt_complaint import apt_complaint
from buildbot_lite.packages.building.debian_scripts import DOWNLOAD, INSTALL_SAME, TRY, TRY_SAME

NOW = "gcc-12 12.2.0-15\nlibc6:amd64 2.36-9\nnew 1.0\n"
THEN = "ed 1.19-1\ngcc-12 12.2.0-14\nlibc6:amd64 2.36-9\n"
COMMON = "--quiet --yes -o APT::Sandbox::User=root --no-install-recommends --allow-downgrades"
NOT_FOUND = """\
Reading package lists...
E: Version '12.2.0-14' for 'gcc-12' was not found
E: Unable to locate package ed
"""
UNMET = """\
The following packages have unmet dependencies:
 builddeps:./in/greet_1.0.dsc : Depends: nowhere but it is not installable
                                Depends: hello (>= 3.0) but 2.10-3 is to be installed
E: Unable to correct problems, you have held broken packages.
"""


class SamePackagesTests(SynchronousTestCase):
    """
    What they ask apt for, and what they say.
    """

    def setUp(self) -> None:
        super().setUp()
        self.directory = Path(tempfile.mkdtemp())
        self.addCleanup(shutil.rmtree, self.directory)
        for name in ("out", "programs"):
            (self.directory / name).mkdir()
        (self.directory / "wanted.txt").write_text(THEN)
        (self.directory / "now").write_text(NOW)
        self.program("dpkg-query", "cat now")
        self.program("apt-get", 'echo "$@" >>asked')

    def program(self, name: str, script: str) -> None:
        """
        Make a program.
        """
        path = self.directory / "programs" / name
        path.write_text(f"#!/bin/sh\n{script}\n")
        path.chmod(0o755)

    def ran(self, script: str, *words: str) -> tuple[int, str]:
        """
        The exit code of *script* and the last line of its output.
        """
        code, output = self.output_of(script, *words)
        return code, output.strip().rpartition("\n")[2]

    def output_of(self, script: str, *words: str) -> tuple[int, str]:
        """
        The exit code of *script* and its output.
        """
        ran = subprocess.run(
            ["sh", "-euc", script, "sh", *words],
            cwd=self.directory,
            env={"PATH": f"{self.directory}/programs:{os.environ['PATH']}", "LC_ALL": "C.UTF-8"},
            capture_output=True,
            check=False,
            text=True,
            timeout=60,
        )
        return ran.returncode, ran.stdout + ran.stderr

    def asked(self) -> list[list[str]]:
        """
        The words that apt-get got each time, sorted after the common ones.
        """
        lines = (self.directory / "asked").read_text().splitlines()
        return [sorted(line.removeprefix(f"{COMMON} ").split()) for line in lines]

    def test_asked(self) -> None:
        """
        Promise 9.5: exactly the versions of the first build are asked for, and what it had not is removed.
        """
        changes = ["ed=1.19-1", "gcc-12=12.2.0-14", "install", "new-"]
        self.assertEqual(self.ran(TRY_SAME, "--download-only"), (0, ""))
        self.assertEqual(self.asked(), [["--download-only", *changes]])
        self.program("apt-get", 'echo "$@" >>asked; cp wanted.txt now')
        self.assertEqual(self.ran(INSTALL_SAME), (0, ""))
        self.assertEqual(self.asked()[1], ["--no-download", *changes])
        self.assertEqual((self.directory / "out" / "installed.txt").read_text(), THEN)

    def test_nothing_to_do(self) -> None:
        """
        A root that has these packages is left as it is.
        """
        (self.directory / "now").write_text(THEN)
        for script in (TRY_SAME, INSTALL_SAME):
            self.assertEqual(self.ran(script), (0, ""))
        self.assertFalse((self.directory / "asked").exists())

    def test_not_to_be_had(self) -> None:
        """
        Promise 9.5: versions that cannot be had are named.
        """
        (self.directory / "error").write_text(NOT_FOUND)
        self.program("apt-get", "cat error >&2; exit 100")
        sentence = "error: these packages of the first build cannot be had any more: ed 1.19-1; gcc-12 12.2.0-14"
        self.assertEqual(self.ran(TRY_SAME), (100, sentence))

    def test_not_the_same(self) -> None:
        """
        Promise 9.5: a root that is not the first one's after all is not built in.
        """
        sentence = "error: the root is not that of the first build: ed 1.19-1;gcc-12 12.2.0-14;gcc-12 12.2.0-15;new 1.0"
        self.assertEqual(self.ran(INSTALL_SAME), (100, sentence))

    def test_no_options(self) -> None:
        """
        A line of the list that is no package with its version does not reach apt.
        """
        (self.directory / "wanted.txt").write_text(THEN + "-o Dir::Etc=/x\nhello $(id)\nhello 1.0 x86_64\n*\n")
        self.ran(TRY_SAME)
        self.assertEqual(self.asked(), [["ed=1.19-1", "gcc-12=12.2.0-14", "install", "new-"]])

    def test_named(self) -> None:
        """
        Promise 9.4: what a package needs and what cannot be installed is named from what apt says; apt is asked once.
        """
        (self.directory / "error").write_text(UNMET)
        self.program("apt-get", 'echo "$@" >>asked; cat error >&2; exit 100')
        named = (
            "neither the distribution nor a repository of the farm has nowhere; hello (>= 3.0) is needed, and version "
            "2.10-3 would be installed"
        )
        for script in (DOWNLOAD, TRY):
            code, output = self.output_of(script)
            result = CommandResult(
                Outcome(Ending.EXITED, exit_code=code), partial(_encoded, output), partial(_encoded, output)
            )
            self.assertEqual((code, apt_complaint(result)), (100, named))
        self.assertEqual(len(self.asked()), 2)


def _encoded(output: str, log: str, limit: int) -> bytes:
    return output.encode()
