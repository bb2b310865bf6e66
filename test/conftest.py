"""
What holds for a whole run of the tests.

Promise 14: no secret and no FURL is in any log or record of the run.  Whatever a farm of processes leaves is searched
when it ends (`test.processes.leaks`), whatever is logged inside the tests' own process is searched as it is logged, and
what the other tests leave in their temporary directories is searched in the end.  One find fails the run.

No test fails because it took long on a busy machine: Hypothesis has no deadlines.  With CI in the environment it tries
the same examples each time, as its own profile for that does; at home it goes on looking for new ones.

Tests make their temporary directories outside this checkout.

Under pytest-xdist the tests of a class stay together, because they may share a farm; the long ones begin.

What a run owes to those who wait for it (it ends, and a race costs nothing) is in `test.harness`.
"""

import os
import re
import signal
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings
from twisted.logger import ILogObserver, LogEvent, formatEvent, globalLogPublisher
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


def pytest_configure(config: pytest.Config) -> None:
    """
    Begin: one file for everything that is found, also by the workers of pytest-xdist.
    """
    # Under nohup, or in the background of a script, these are ignored; what is started here is to be as at a terminal.
    for each, ordinary in ((signal.SIGINT, signal.default_int_handler), (signal.SIGQUIT, signal.SIG_DFL)):
        if signal.getsignal(each) is signal.SIG_IGN:
            signal.signal(each, ordinary)
    # How long something takes here says nothing about it.
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
    globalLogPublisher.addObserver(_search)


def pytest_unconfigure(config: pytest.Config) -> None:
    """
    The end.
    """
    globalLogPublisher.removeObserver(_search)
    if path := config.stash.get(_NOTED_HERE, None):
        path.unlink(missing_ok=True)


@pytest.fixture(scope="session", autouse=True)
def outside(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """
    Let tests make their temporary directories outside this checkout.

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
    Fail the run if anything was found.
    """
    path = session.config.stash.get(_NOTED_HERE, None)
    if path is None:
        return
    if path.stat().st_size and session.exitstatus in {pytest.ExitCode.OK, pytest.ExitCode.TESTS_FAILED}:
        session.exitstatus = pytest.ExitCode.TESTS_FAILED


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """
    Say what was found.
    """
    path = config.stash.get(_NOTED_HERE, None)
    if path is not None and (found := path.read_text()):
        terminalreporter.section("Promise 14 is broken: strings or secrets where none may be")
        terminalreporter.write(found)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """
    The longest go first, so that no worker is left alone with them in the end.
    """
    # Imported before it is a plugin, its asserts would not be pytest's.
    from test.harness.second_runs import PATHS

    items.sort(key=lambda item: next((n for n, path in enumerate(PATHS) if item.nodeid.startswith(path)), len(PATHS)))
