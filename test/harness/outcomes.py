"""
Runs whose outcomes add up: tests that are skipped on one machine run on another.

::

    minimal system:  pytest --write-outcomes FILE   →  FILE: the outcome of each test, with the reason of a skip
    complete one:    pytest --after FILE            →  runs tests without a result in FILE; each skipped test
                                                       is listed with both results; skipped in both fails the run

With ``--after`` pytest's closing line counts the tests that passed before, too.
"""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from test.needs import FORBIDDEN

_RANK = ("passed", "skipped", "failed")


class Outcome(NamedTuple):
    """
    The result of a test (one of `_RANK`), and the reason if it was skipped, or had to run twice.
    """

    result: str
    reason: str = ""

    @property
    def excused(self) -> bool:
        """
        Whether no package can remove the reason.
        """
        return any(sentence in self.reason for sentence in FORBIDDEN)


RUN_TWICE = Outcome("passed", "it passed when it ran a second time")


def mark_run_twice(reporter: Any, tests: Sequence[str]) -> None:
    """
    Count *tests* in pytest's closing line as run twice, too, so that nobody overlooks them.
    """
    if tests:
        reporter.stats["run twice"] = [
            pytest.TestReport(test, ("", None, test), {}, "passed", None, "call") for test in tests
        ]
        # The kinds of outcomes that the line has are determined with its colour.
        reporter._set_main_color()


def pytest_addoption(parser: pytest.Parser) -> None:
    """
    Add the two options.
    """
    group = parser.getgroup("outcomes", "runs that add up")
    group.addoption("--write-outcomes", metavar="FILE", type=Path, help="write what became of each test to FILE")
    group.addoption("--after", metavar="FILE", type=Path, help="run only what FILE says was skipped or did not run")


def pytest_configure(config: pytest.Config) -> None:
    """
    Register the plugins.
    """
    path = config.getoption("after")
    before = read(path) if path else {}
    if path:
        config.pluginmanager.register(Selection(before), "outcomes-selection")
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(Record(config.getoption("write_outcomes"), before), "outcomes-record")


def read(path: Path) -> dict[str, Outcome]:
    """
    Read a file of ``--write-outcomes``.
    """
    return {test: Outcome(*outcome) for test, outcome in json.loads(path.read_text()).items()}


class Selection:
    """
    Deselects the tests that ran *before*.
    """

    def __init__(self, before: dict[str, Outcome]) -> None:
        self._before = before

    @pytest.hookimpl(trylast=True)
    def pytest_collection_modifyitems(self, config: pytest.Config, items: list[pytest.Item]) -> None:
        """
        Deselect the tests that ran before.
        """
        ran = [item for item in items if self._before.get(item.nodeid, Outcome("skipped")).result != "skipped"]
        config.hook.pytest_deselected(items=ran)
        items[:] = [item for item in items if item not in set(ran)]


class Record:
    """
    The outcomes of this run, written to *path* (None: nowhere), and those of the run *before*, as read from its file.
    """

    def __init__(self, path: Path | None, before: dict[str, Outcome]) -> None:
        self._path = path
        self._before = before
        self._now: dict[str, Outcome] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """
        Note the worst of a test's three reports.
        """
        known = self._now.get(report.nodeid, Outcome("passed"))
        if report.outcome in _RANK and _RANK.index(report.outcome) >= _RANK.index(known.result):
            self._now[report.nodeid] = Outcome(report.outcome, _reason(report))

    def note(self, test: str, outcome: Outcome) -> None:
        """
        Note an outcome of *test*, unless a worse one is known.
        """
        self._now[test] = outcome

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """
        Write the file; fail if a test was skipped for a second time.
        """
        if self._path is not None:
            self._path.write_text(json.dumps(self._now, indent=0))
        if session.exitstatus == pytest.ExitCode.OK and self._never_run():
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """
        Print the skipped tests with their results in both runs.
        """
        if self._path is not None:
            skipped = {test: outcome for test, outcome in self._now.items() if outcome.result == "skipped"}
            self._section(terminalreporter, f"{len(skipped)} tests were skipped here", _by_reason(skipped))
        if not self._before:
            return
        lines = _by_reason({
            test: Outcome("skipped", f"before: {outcome.reason}; here: {self._here(test)}")
            for test, outcome in self._before.items()
            if outcome.result == "skipped"
        })  # fmt: skip
        self._section(terminalreporter, "skipped before", lines)
        again = {test: outcome for test, outcome in self._before.items() if outcome == RUN_TWICE}
        self._section(terminalreporter, "Run a second time before: a defect to mend first", _by_reason(again))
        mark_run_twice(terminalreporter, [*again, *self._run_twice()])
        twice = {test: self._now[test] for test in self._twice()}
        excused = {test: outcome for test, outcome in twice.items() if outcome.excused}
        self._section(terminalreporter, "skipped in both: not possible on these machines", _by_reason(excused))
        never = {test: twice[test] for test in self._never_run()}
        self._section(terminalreporter, "FAILED: skipped in both, so never run", _by_reason(never))
        terminalreporter.stats.setdefault("passed", []).extend(
            pytest.TestReport(test, ("", None, test), {}, "passed", None, "call")
            for test, outcome in self._before.items()
            if outcome.result == "passed"
        )

    def _here(self, test: str) -> str:
        outcome = self._now.get(test, Outcome("not there"))
        return f"{outcome.result} {outcome.reason}".strip()

    def _run_twice(self) -> list[str]:
        return [test for test, outcome in self._now.items() if outcome == RUN_TWICE]

    def _twice(self) -> list[str]:
        return [
            test
            for test, outcome in self._now.items()
            if outcome.result == "skipped" and self._before.get(test, Outcome("passed")).result == "skipped"
        ]

    def _never_run(self) -> list[str]:
        return [test for test in self._twice() if not self._now[test].excused]

    @staticmethod
    def _section(reporter: Any, title: str, lines: Sequence[str]) -> None:
        if lines:
            reporter.section(title)
            for line in lines:
                reporter.write_line(line)


def _reason(report: pytest.TestReport) -> str:
    if report.outcome != "skipped":
        return ""
    words = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
    return words.removeprefix("Skipped: ")


def _by_reason(outcomes: dict[str, Outcome]) -> list[str]:
    """
    One line for each reason, with the tests below it.
    """
    reasons: dict[str, list[str]] = {}
    for test, outcome in outcomes.items():
        reasons.setdefault(outcome.reason, []).append(test)
    return [line for reason, tests in reasons.items() for line in (f"{reason}:", *(f"    {test}" for test in tests))]
