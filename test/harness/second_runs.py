"""
Second runs: failed tests with real processes run once more, so a race costs no landing and is not hidden.

::

    failed --at the end, alone--> passed: printed under a heading of its own, with the first failure; the run goes on
                            `---> failed: the run has failed

Only tests whose paths begin with one of `PATHS` run again, and none when too many failed for a coincidence.  A test in
memory that fails sometimes is wrong.
"""

import os
import subprocess
import sys
from collections.abc import Generator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from .outcomes import (
    RUN_TWICE,
    Outcome,
    Record,
    mark_run_twice,
    read,
)

# Paths of tests that start processes, in the order in which they run: the longest first.
PATHS = (
    "test/torture/",
    "test/hostile/test_real.py",
    "test/processes/",
    "test/browser/",
    "test/cli/test_processes.py",
    "test/cli/test_real_processes.py",
    "test/keeper/test_bytes.py",
    "test/keeper/test_wrapper.py",
    "test/keeper/test_keeper.py",
    "test/keeper/test_killing.py",
    "test/keeper/test_lives.py",
    "test/keeper/test_tail.py",
    "test/recorded/test_keeper.py",
    "test/slave/test_keeper_client.py",
    "test/slave/test_shells.py",
    "test/slave/test_worker_process.py",
    "test/packages/test_overlay.py",
    "test/packages/test_repositories.py",
    "test/packages/test_sbuild.py",
    "test/packages/test_signing",
    "test/harness/",
    "test/master/test_steps_mercurial.py",
    "test/master/test_steps_source.py",
    "test/master/test_steps_svn.py",
    "test/master/test_git_",
    "test/master/test_other_pollers.py",
    "test/master/test_trial_load.py",
    "test/cli/test_shell_terminal.py",
    "test/test_child_programs.py",
)
MOST = 10
# Seconds for one test; more than the ini option `timeout`.
_PATIENCE = 900.0


def pytest_addoption(parser: pytest.Parser) -> None:
    """
    Add the option.
    """
    parser.addoption("--no-second-run", action="store_true", help="tests with processes that fail have failed")


def pytest_configure(config: pytest.Config) -> None:
    """
    Register the plugin, unless this process is a worker or a second run.
    """
    if not hasattr(config, "workerinput") and not config.getoption("no_second_run"):
        config.pluginmanager.register(SecondRuns(config), "second-runs")


class SecondRuns:
    """
    The second runs of one session.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._paths = tuple(os.environ.get("TEST_SECOND_RUNS", " ".join(PATHS)).split())
        self._failures: dict[str, list[pytest.TestReport]] = {}
        self._outcomes: dict[str, Outcome] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """
        Note failed tests.
        """
        if report.failed:
            self._failures.setdefault(report.nodeid, []).append(report)

    @pytest.hookimpl(wrapper=True, tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> Generator[None]:
        """
        Run them again, and report success if they pass and nothing else failed.
        """
        tests = [test for test in self._failures if test.startswith(self._paths)]
        if session.exitstatus == pytest.ExitCode.TESTS_FAILED and 0 < len(tests) <= MOST:
            self._outcomes = self._run(tests)
            passed = [test for test in tests if self._outcomes.get(test, Outcome("failed")).result == "passed"]
            self._take_back(passed)
            if len(passed) == len(self._failures):
                session.exitstatus = pytest.ExitCode.OK
        yield

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """
        Print each second run, with the first failure.
        """
        if not self._outcomes:
            return
        mark_run_twice(terminalreporter, [test for test in self._outcomes if self._outcomes[test].result == "passed"])
        terminalreporter.section("Run a second time: a defect to mend first")
        for test, outcome in self._outcomes.items():
            terminalreporter.write_line(f"{test}: failed, then {outcome.result}")
            for report in self._failures[test]:
                terminalreporter.write_line(report.longreprtext)

    def _run(self, tests: list[str]) -> dict[str, Outcome]:
        # Not what pytest says of this run; which plugins it loads is the same for both.
        kept = "PYTEST_DISABLE_PLUGIN_AUTOLOAD"
        env = {name: value for name, value in os.environ.items() if name == kept or not name.startswith("PYTEST_")}
        with TemporaryDirectory(prefix="second-") as directory:
            written = Path(directory) / "outcomes"
            plugins = [word for name in self._config.option.plugins or () for word in ("-p", name)]
            words = ["-n0", "-q", "--no-second-run", f"--write-outcomes={written}", *tests]
            try:
                subprocess.run(
                    [sys.executable, "-m", "pytest", *plugins, *words],
                    cwd=self._config.rootpath,
                    env=env,
                    stdin=subprocess.DEVNULL,
                    check=False,
                    timeout=_PATIENCE * len(tests),
                )
                found = read(written)
            except (OSError, ValueError, subprocess.TimeoutExpired):
                # The process ended in the middle of a test.
                found = {}
        return {test: found.get(test, Outcome("failed")) for test in tests}

    def _take_back(self, passed: list[str]) -> None:
        """
        Count the tests that passed in their second run as passed.
        """
        reporter: Any = self._config.pluginmanager.get_plugin("terminalreporter")
        record = self._config.pluginmanager.get_plugin("outcomes-record")
        for category in ("failed", "error"):
            reports = reporter.stats.get(category, [])
            reports[:] = [report for report in reports if report.nodeid not in passed]
            if not reports:
                reporter.stats.pop(category, None)
        for test in passed:
            report = pytest.TestReport(test, ("", None, test), {}, "passed", None, "call")
            reporter.stats.setdefault("passed", []).append(report)
            if isinstance(record, Record):
                record.note(test, RUN_TWICE)
