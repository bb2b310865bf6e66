"""
Settings for a whole run of the tests.

Promise 14: no secret and no FURL is in any log or record of the run.  Three searches check this: of each farm's
directory when the farm ends (`test.processes.leaks`), of each message logged in a test's own process, and of the
temporary directories that tests leave.  One match fails the run.

No test fails because a busy machine was slow: Hypothesis has no deadlines.  With CI in the environment Hypothesis tries
the same examples each time (its own profile for CI); otherwise it searches for new ones.

Tests create their temporary directories outside this checkout.

Under pytest-xdist the tests of a class stay in one worker, because they may share a farm; the longest classes run
first.

`test.harness` ensures that a run ends, and that a race costs no landing.
"""

import os
import re
import signal
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from twisted.logger import (
    ILogObserver,
    LogEvent,
    LogLevel,
    eventAsText,
    formatEvent,
    globalLogBeginner,
    globalLogPublisher,
)
from zope.interface import provider

from test.processes.leaks import NOTED

FURL = re.compile(r"pb://[a-z2-7]{32}@[^/\s\"'>]*/[A-Za-z0-9_~-]{8,}")
_NOTED_HERE = pytest.StashKey[Path]()

pytest_plugins = [
    "test.harness.bounds",
    "test.harness.outcomes",
    "test.harness.second_runs",
    "test.harness.workers",
]


def _note(line: str) -> None:
    with open(os.environ[NOTED], "a") as file:
        file.write(f"{line}\n")


@provider(ILogObserver)
def _search(event: LogEvent) -> None:
    text = formatEvent(event)
    if failure := event.get("log_failure"):
        text += failure.getTraceback()
    if "pb://" in text and FURL.search(text):
        _note(f"{os.environ.get('PYTEST_CURRENT_TEST', 'a test')} logged a string")


@provider(ILogObserver)
def _show(event: LogEvent) -> None:
    if event.get("log_level") is LogLevel.critical:
        sys.stderr.write(f"{eventAsText(event)}\n")


def pytest_configure(config: pytest.Config) -> None:
    """
    Start the search of log messages; create one file for all matches, also those of the workers of pytest-xdist.
    """
    # Under nohup, or in the background of a script, these are ignored; the tests' processes need the default actions.
    for each, ordinary in ((signal.SIGINT, signal.default_int_handler), (signal.SIGQUIT, signal.SIG_DFL)):
        if signal.getsignal(each) is signal.SIG_IGN:
            signal.signal(each, ordinary)
    # Durations on a shared machine say nothing about the code.
    settings.register_profile(
        "untimed",
        deadline=None,
        derandomize="CI" in os.environ,
        suppress_health_check=[HealthCheck.too_slow],
    )
    settings.load_profile("untimed")
    if not hasattr(config, "workerinput"):
        descriptor, name = tempfile.mkstemp(prefix="leaks-")
        os.close(descriptor)
        os.environ[NOTED] = name
        config.stash[_NOTED_HERE] = Path(name)
    # Until logging begins, Twisted keeps the last 65,536 messages.  What their failures hold would be collected when
    # they are dropped, in whichever test runs then, and that test would fail of another's unhandled error.
    globalLogBeginner.beginLoggingTo([_search, _show], discardBuffer=True, redirectStandardIO=False)


def pytest_unconfigure(config: pytest.Config) -> None:
    """
    Stop the search, and remove the file.
    """
    globalLogPublisher.removeObserver(_search)
    if path := config.stash.get(_NOTED_HERE, None):
        path.unlink(missing_ok=True)


@pytest.fixture(scope="session", autouse=True)
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """
    Create temporary directories outside this checkout.

    A test of the Git step once ran in a directory below it, and git took the checkout around it for the build's own.
    """
    before = os.getcwd()
    directory = tmp_path_factory.mktemp("tests")
    os.chdir(directory)
    yield
    os.chdir(before)
    for left in directory.rglob("*.log"):
        if left.is_file() and FURL.search(left.read_text(errors="replace")):
            _note(f"{left.relative_to(directory)} holds a string")


@pytest.hookimpl(tryfirst=True)
def pytest_sessionfinish(session: pytest.Session, exitstatus: int) -> None:
    """
    Fail the run if a secret was found.
    """
    path = session.config.stash.get(_NOTED_HERE, None)
    if path is None:
        return
    if path.stat().st_size and session.exitstatus in {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED}:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """
    Print the matches.
    """
    path = config.stash.get(_NOTED_HERE, None)
    if path is not None and (found := path.read_text()):
        terminalreporter.section("Promise 14 is broken: strings or secrets where none may be")
        terminalreporter.write(found)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """
    Run the longest classes first, so that no worker is left with them at the end.
    """
    # Not imported above: pytest rewrites the asserts of a plugin only if it is not imported before.
    from test.harness.second_runs import PATHS

    items.sort(key=lambda item: next((n for n, path in enumerate(PATHS) if item.nodeid.startswith(path)), len(PATHS)))
