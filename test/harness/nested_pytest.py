"""
A temporary directory with a few tests, run by a separate pytest with the plugins under test.
"""

import os
import re
import subprocess
import sys
import tempfile
import textwrap
from collections.abc import Mapping
from pathlib import Path
from shutil import rmtree
from typing import NamedTuple

from twisted.trial.unittest import SynchronousTestCase

CHECKOUT = Path(__file__).parents[2]
# Seconds; each run takes one or two.
PATIENCE = 240.0
# Without the other installed plugins, which take longer to load than these tests to run.
_ENVIRONMENT = {"PYTHONPATH": str(CHECKOUT), "PY_COLORS": "0", "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
_NEEDED = ("xdist.plugin", "pytest_timeout")


class PytestResult(NamedTuple):
    """
    The result of a run: pytest's exit status and its output.
    """

    code: int
    text: str

    @property
    def ended_by_watchdogs(self) -> int:
        """
        How many processes `faulthandler` has ended for a test that took too long.
        """
        return len(re.findall(r"(?m)^Timeout \(", self.text))


class NestedPytestCase(SynchronousTestCase):
    """
    A test case with such a directory.
    """

    plugins: tuple[str, ...] = ()

    def setUp(self) -> None:
        """
        Create an empty directory.
        """
        self.directory = Path(tempfile.mkdtemp(prefix="tiny-"))
        self.addCleanup(rmtree, self.directory)

    def file(self, name: str, text: str) -> Path:
        """
        Write a file in the directory.
        """
        path = self.directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(textwrap.dedent(text))
        return path

    def pytest(self, *words: str, env: Mapping[str, str] | None = None) -> PytestResult:
        """
        Run the tests in the directory.
        """
        plugins = [word for plugin in (*_NEEDED, *self.plugins) for word in ("-p", plugin)]
        given = {name: value for name, value in os.environ.items() if not name.startswith(("PYTEST_", "COV_"))}
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "--rootdir=.", *plugins, *words, "."],
            cwd=self.directory,
            env={**given, **_ENVIRONMENT, **(env or {})},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            check=False,
            timeout=PATIENCE,
        )
        return PytestResult(done.returncode, done.stdout.decode(errors="replace"))
