"""
Steps that count warnings in the output of a program.
"""

import re
from typing import Any

from ...model.results import Result
from ...model.user_functions import LONGEST_CALL
from ..config.arguments import ArgumentChecker
from . import argument_checks as checks
from .argument import argument
from .context import CommandResult
from .outcomes import result_of
from .own_logs import in_parts
from .shell import ShellCommand
from .warning_parser import Found, Suppression, WarningParser, read_suppressions

__all__ = ["Compile", "Test", "WarningCountingShellCommand"]

_PATTERN = r"(?i).*warning[: ].*"
_ENTER = "make.*: Entering directory [\"`'\N{LEFT SINGLE QUOTATION MARK}](.*)['\"\N{RIGHT SINGLE QUOTATION MARK}]"
_LEAVE = "make.*: Leaving directory"
_LARGEST_OUTPUT = 64 << 20
_LARGEST_SUPPRESSIONS = 1 << 20
_LONGEST_SEARCH = 20.0
"""Seconds for the search of the whole output.  Beyond some seconds, it gets a tenth of the master's time."""
_LONGEST_READING = 1.0
"""Seconds for reading the expressions in a file on the slave."""
_LONGEST_SEARCH_OF_FILE = 1.0
"""Seconds for a search with expressions of a file on the slave, where anybody may have written them."""


def _suppressions(checker: ArgumentChecker, name: str, value: Any) -> list[Suppression]:
    if not isinstance(value, (list, tuple)):
        checker.wrong(name, value, "a list of (file, text, first line, last line)")
        return []
    found = []
    for each in value:
        if isinstance(each, Suppression):
            found.append(each)
        elif not isinstance(each, (list, tuple)) or len(each) != 4:
            checker.wrong(f"each of {name}", each, "a tuple (file, text, first line, last line)")
        else:
            file, text = (None if part is None else checks.pattern(checker, name, part) for part in each[:2])
            first, last = (None if part is None else checker.whole(name, part) for part in each[2:])
            found.append(Suppression(file, text, first, last))
    return found


def _overdue(file: str | None) -> str:
    whose, limit = ("step", _LONGEST_SEARCH) if file is None else (_named(file), _LONGEST_SEARCH_OF_FILE)
    return (
        f"The expressions of the {whose} take longer than {limit:g} s to search this output, or longer than "
        f"{LONGEST_CALL:g} s for a part of it.  The search for warnings was given up.  Make them simpler: avoid "
        "repetitions of repetitions, like (a+)+."
    )


def _named(file: str) -> str:
    return f"suppressionFile {file!r:.100}"


class WarningCountingShellCommand(ShellCommand):
    """
    A `ShellCommand` that counts the warnings in its output.  If there are any, the result is WARNINGS, not SUCCESS.

    *warningPattern*: the regular expression of a line that is a warning, default ``(?i).*warning[: ].*``; None: nothing
    is counted.  The lines become the log "warnings", and their number the statistic "warnings"; it is also added to the
    property "warnings-count".  *maxWarnCount*: with more warnings than this, the step fails; default None: no limit.

    *suppressionList*: warnings that do not count, as tuples ``(file, text, first line, last line)``: file and text are
    regular expressions, and None means any.  *suppressionFile*: a file on the slave, relative to *workdir*, with lines
    ``FILE : TEXT`` or ``FILE : TEXT : FIRST-LAST``.
    *warningExtractor*: a function of step, line and match, which returns the file, the line number and the text of a
    warning, for the suppressions.  Default: the text is the whole line; ``warnExtractFromRegexpGroups`` takes the
    groups 1, 2 and 3 of *warningPattern*.  *directoryEnterPattern*, *directoryLeavePattern*: the lines in which make
    reports that it enters a directory (its first group) and leaves it; file names are relative to it.

    The first 64 MiB of the output are searched.  The search may take 20 seconds in all, with a *suppressionFile* 1
    second, and 5 seconds for each 64 KiB.  A longer one is given up, which fails the step.
    """

    warningPattern = argument(checks.pattern, default=_PATTERN, nullable=True)
    warningExtractor = argument(checks.function, default=None, rendered=False)
    directoryEnterPattern = argument(checks.pattern, default=_ENTER, nullable=True)
    directoryLeavePattern = argument(checks.pattern, default=_LEAVE, nullable=True)
    suppressionFile = argument(checks.path, default=None)
    suppressionList = argument(_suppressions, default=())
    maxWarnCount = argument(checks.count, default=None)

    def warnExtractWholeLine(self, line: str, match: re.Match[str]) -> Found:
        """
        A *warningExtractor*: no file, no line number, and the whole *line* as the text.
        """
        return None, None, line

    def warnExtractFromRegexpGroups(self, line: str, match: re.Match[str]) -> Found:
        """
        A *warningExtractor*: file, line number and text are the groups 1, 2 and 3 of *match*.
        """
        groups = [*match.groups(), None, None, None]
        number = int(groups[1]) if groups[1] is not None and groups[1].isdecimal() else None
        return groups[0], number, line if groups[2] is None else groups[2]

    async def run(self) -> Result:
        suppressions = list(self.suppressionList)
        if self.suppressionFile is not None and self.warningPattern is not None:
            read = await self.execute(["cat", self.suppressionFile], workdir=self.workdir)
            result, error_text = result_of(read.outcome, self.slave_name)
            if result is not Result.SUCCESS:
                return self.fail(
                    f"The suppressionFile {self.suppressionFile!r:.100} cannot be read: {error_text}.", result
                )
            try:
                text = read.output(limit=_LARGEST_SUPPRESSIONS)
                read_ones, is_whole = await self.bench.look_through([text], read_suppressions, seconds=_LONGEST_READING)
                if not is_whole:
                    return self.fail(_overdue(self.suppressionFile))
                suppressions += read_ones
            except ValueError as error:
                return self.fail(f"The suppressionFile {self.suppressionFile!r:.100} has a mistake in {error}.")
        ran = await self.do(self.spec())
        result = await self.conclude(ran)
        return result if self.warningPattern is None else await self._counted(ran, result, suppressions)

    async def _counted(self, ran: CommandResult, result: Result, suppressions: list[Suppression]) -> Result:
        # A function in the body of a class is a method by now, and would get the step twice.
        extractor = getattr(self.warningExtractor, "__func__", self.warningExtractor)
        parser = WarningParser(
            self.warningPattern,
            self.warnExtractWholeLine if extractor is None else lambda line, match: extractor(self, line, match),
            self.directoryEnterPattern,
            self.directoryLeavePattern,
            suppressions,
        )
        # Not in a thread: there, a search that never ends could not be ended, and would keep the interpreter.
        lines, is_whole = await self.bench.look_through(
            in_parts(ran.output(limit=_LARGEST_OUTPUT)),
            lambda part: parser.lines(part.splitlines()),
            seconds=_LONGEST_SEARCH if self.suppressionFile is None else _LONGEST_SEARCH_OF_FILE,
        )
        if not is_whole:
            return self.fail(_overdue(self.suppressionFile))
        count = len(lines)
        self.setStatistic("warnings", self.getStatistic("warnings", 0) + count)
        before = self.getProperty("warnings-count", 0)
        self.setProperty("warnings-count", count + (before if isinstance(before, int) else 0))
        if not count:
            return result
        self.bench.write("warnings", "\n".join(lines) + "\n")
        counted = f"{count} {'warning' if count == 1 else 'warnings'}"
        self.summary = f"{self.summary}, {counted}" if self.summary else counted
        if self.maxWarnCount is not None and count > self.maxWarnCount:
            self.summary += f", but maxWarnCount allows {self.maxWarnCount}"
            return max(result, Result.FAILURE)
        return Result.WARNINGS if result is Result.SUCCESS else result


class Compile(WarningCountingShellCommand):
    """
    A `WarningCountingShellCommand` that runs ``make all``; its failure ends the build.
    """

    name = "compile"
    haltOnFailure = True
    command = ("make", "all")


class Test(WarningCountingShellCommand):
    """
    A `WarningCountingShellCommand` that runs ``make test``.  After its failure the build goes on, and fails at its end.
    Warnings are counted if *warningPattern* is given.
    """

    name = "test"
    warnOnFailure = True
    command = ("make", "test")
    warningPattern = None

    def setTestResults(self, total: int = 0, failed: int = 0, passed: int = 0, warnings: int = 0) -> None:
        """
        Add the numbers to the statistics "tests-total", "tests-failed", "tests-passed" and "tests-warnings".
        """
        for name, value in {"total": total, "failed": failed, "passed": passed, "warnings": warnings}.items():
            self.setStatistic(f"tests-{name}", self.getStatistic(f"tests-{name}", 0) + value)
