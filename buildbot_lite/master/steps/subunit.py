"""
A step that runs tests whose output is a subunit stream of version 1, which is text
(https://pypi.org/project/python-subunit/).
"""

import re
from collections import Counter
from collections.abc import Iterable

from ...model.results import Result
from . import argument_checks as checks
from .argument import argument
from .shell import ShellCommand

__all__ = ["SubunitShellCommand"]

# Of a line without white space at its end: to look for it here takes a time that grows with the square of its length.
_OUTCOME = re.compile(r"(success|successful|failure|error|skip|xfail|uxsuccess):? (.+?)( \[(?: multipart)?)?\Z")
_KINDS = {
    "success": "passed", "successful": "passed", "xfail": "passed", "skip": "skipped", "failure": "failed",
    "uxsuccess": "failed", "error": "errors",
}  # fmt: skip
_LARGEST_OUTPUT = 64 << 20


class SubunitShellCommand(ShellCommand):
    """
    A `ShellCommand` whose output is a subunit stream of version 1.  It is a FAILURE if tests failed.  The summary has
    the numbers of tests; the log "problems" has the tests that failed, with their messages.

    *failureOnNoTests*: fail if the output has no tests; default False.

    The first 64 MiB of the output are read.
    """

    name = "shell"

    failureOnNoTests = argument(checks.flag, default=False)

    async def run(self) -> Result:
        ran = await self.do(self.spec())
        result = await self.conclude(ran)
        counts, problems = outcomes_in(ran.output(limit=_LARGEST_OUTPUT).splitlines())
        total = counts.total()
        for kind, count in {"total": total, **{each: counts[each] for each in set(_KINDS.values())}}.items():
            self.setStatistic(f"tests-{kind}", count)
        if problems:
            self.bench.write("problems", "\n".join(problems) + "\n")
        if not total:
            self.summary = self.summary or "no tests ran"
            return max(result, Result.FAILURE) if self.failureOnNoTests else result
        bad = counts["failed"] + counts["errors"]
        counts_shown = [f"{counts[kind]} {kind}" for kind in ("passed", "failed", "errors", "skipped") if counts[kind]]
        self.summary = ", ".join([f"{total} {'test' if total == 1 else 'tests'}", *counts_shown])
        return max(result, Result.FAILURE) if bad else result


def outcomes_in(lines: Iterable[str]) -> tuple[Counter[str], list[str]]:
    """
    Count the tests in the *lines* of a stream by their outcome; return the counts, and the lines about failed tests.
    """
    counts: Counter[str] = Counter()
    problems: list[str] = []
    details = has_failed = False
    for line in lines:
        if details:
            details = line.rstrip() != "]"
            if has_failed and details:
                problems.append(f"    {line}")
        elif found := _OUTCOME.match(line.rstrip()):
            kind = _KINDS[found[1]]
            counts[kind] += 1
            details, has_failed = found[3] is not None, kind in {"failed", "errors"}
            if has_failed:
                problems.append(f"{found[1]}: {found[2]}")
    return counts, problems
