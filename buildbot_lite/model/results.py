"""
Results of steps, builds and requests.

The numbers are those of ``buildbot.process.results``, because users' configurations, mail filters and scripts use them.
"""

from collections.abc import Iterable, Mapping
from enum import IntEnum
from typing import Any


class Result(IntEnum):
    """
    The result of a step, a build or a request.
    """

    SUCCESS = 0
    WARNINGS = 1
    FAILURE = 2
    SKIPPED = 3
    EXCEPTION = 4
    RETRY = 5
    CANCELLED = 6

    @property
    def exit_code(self) -> int:
        """
        The exit code of a submitting client: 0: success; 1: failure; 2: exception; 4: cancelled, or no retries left.
        """
        return _EXIT_CODES[self]


_EXIT_CODES = {
    Result.SUCCESS: 0,
    Result.WARNINGS: 0,
    Result.SKIPPED: 0,
    Result.FAILURE: 1,
    Result.EXCEPTION: 2,
    Result.RETRY: 4,
    Result.CANCELLED: 4,
}

BY_NUMBER: Mapping[int | None, Result | None] = {None: None, **{int(result): result for result in Result}}
"""
Results by their numbers; None: there is none yet.  (Thousands are looked up for one page: calling `Result` takes four
times as long.)
"""

# From good to bad; `worst` chooses the last one.
_SEVERITY = (
    Result.SKIPPED,
    Result.SUCCESS,
    Result.WARNINGS,
    Result.FAILURE,
    Result.EXCEPTION,
    Result.RETRY,
    Result.CANCELLED,
)


def worst(results: Iterable[Result]) -> Result:
    """
    The most severe of *results*; SUCCESS when there are none or all are SKIPPED.
    """
    severest = max(results, key=_SEVERITY.index, default=Result.SUCCESS)
    return Result.SUCCESS if severest is Result.SKIPPED else severest


def worst_status(first: int, second: int) -> Result:
    """
    The worse of two results, under Buildbot's name.
    """
    return max(Result(first), Result(second), key=_SEVERITY.index)


def status_to_string(status: int | None) -> str:
    """
    The word for a result: "success", "failure"…; "not finished" for None, and a sentence for another number.
    """
    if status is None:
        return "not finished"
    try:
        return Result(status).name.lower()
    except ValueError:
        return f"no result has the number {status}"


def counted(result: int, flags: Any, before: int = Result.SUCCESS) -> tuple[Result, bool]:
    """
    Return the result of a whole (a build, a step with several programs) after a part of it ended with *result*, and
    whether the parts after it are left out.  *flags*: as for `weighed`.  *before*: the result of the whole so far.
    """
    part, ends = weighed(result, flags)
    return worst_status(before, part), ends


def weighed(result: int, flags: Any) -> tuple[Result, bool]:
    """
    Return what the *result* of a part counts for the whole, and whether the parts after it are left out.

    *flags*: an object with the attributes ``flunkOnFailure``, ``warnOnFailure``, ``flunkOnWarnings``,
    ``warnOnWarnings`` and ``haltOnFailure``.
    """
    part = Result(result)
    ends = part in {Result.EXCEPTION, Result.RETRY, Result.CANCELLED}
    if part is Result.FAILURE:
        ends = bool(flags.haltOnFailure)
        if not flags.flunkOnFailure:
            part = Result.WARNINGS if flags.warnOnFailure else Result.SUCCESS
    elif part is Result.WARNINGS:
        if flags.flunkOnWarnings:
            part = Result.FAILURE
        elif not flags.warnOnWarnings:
            part = Result.SUCCESS
    return part, ends
