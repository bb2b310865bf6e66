"""
How the outcome of a command becomes the result of a step, and words for people.
"""

import re
from collections.abc import Callable, Mapping

from ...model.outcome import (
    Ending,
    Outcome,
    Why,
)
from ...model.results import Result
from ...model.urls import without_passwords
from .context import CommandResult

LONGEST_COMPLAINT = 300
"""Characters of a program's error message that a summary shows."""
_COMPLAINT = re.compile(r"(?:svn: E\d+|abort|error|fatal): *(.*)")

SUCCEEDS_WITH_0: Mapping[int, Result] = {0: Result.SUCCESS}


class CommandFailedError(Exception):
    """
    A command of a step failed.  *result*: the result of the step; *sentence*: its summary.
    """

    def __init__(self, result: Result, sentence: str) -> None:
        super().__init__(sentence)
        self.result = result
        self.sentence = sentence


def complaint_of(ran: CommandResult) -> str:
    """
    The last error message of a program at the end of the output of *ran*; the last line if there is none.
    """
    lines = [line.strip() for line in re.split(r"[\r\n]+", ran.end_of_output()) if line.strip()]
    found = [match[1] for line in lines if (match := _COMPLAINT.match(line))]
    return without_passwords([*lines[-1:], *found][-1] if lines else "").removesuffix(".")[:LONGEST_COMPLAINT]


def must_succeed(
    ran: CommandResult, doing: str, slave: str, complaint: Callable[[CommandResult], str] = complaint_of
) -> CommandResult:
    """
    Return *ran* if it succeeded; otherwise raise `CommandFailedError`.

    *doing*: the beginning of its sentence, like "git could not fetch".  *slave*: the slave's name.  *complaint*: finds
    the error message in the output.
    """
    result, sentence = result_of(ran.outcome, slave)
    if result is Result.SUCCESS:
        return ran
    if ran.outcome.ending is Ending.EXITED:
        sentence = complaint(ran) or sentence
    raise CommandFailedError(result, f"{doing}: {sentence.removesuffix('.')}.")


def last_word(ran: CommandResult, what: str) -> str:
    """
    The last word in the output of *ran*; `CommandFailedError` if there is none.

    *what*: the beginning of the sentence about that, like "svn did not report the revision".
    """
    words = ran.output().split()
    if not words:
        raise CommandFailedError(Result.FAILURE, f"{what}; see the log.")
    return words[-1]


def result_of(outcome: Outcome, slave: str, decode: Mapping[int, Result] = SUCCEEDS_WITH_0) -> tuple[Result, str]:
    """
    The result of *outcome*, and a summary for people, which is empty after a success.

    *decode*: exit code → result; any other exit code is FAILURE.  *slave*: the slave's name, for the summary.
    """
    if outcome.ending is Ending.EXITED:
        code = outcome.exit_code if outcome.exit_code is not None else -1
        result = decode.get(code, Result.FAILURE)
        return result, outcome.sentence or ("" if result is Result.SUCCESS else f"exit code {code}")
    if outcome.ending is Ending.SIGNALLED:
        return Result.FAILURE, outcome.sentence or f"killed by signal {outcome.signal}"
    if outcome.ending is Ending.KILLED:
        sentence = outcome.sentence or (_KILLED[outcome.why] if outcome.why else "killed")
        if outcome.why is Why.INTERRUPTED:
            return Result.CANCELLED, sentence
        if outcome.why in {Why.LEASE, Why.STORAGE}:
            return Result.EXCEPTION, sentence
        return Result.FAILURE, f"{slave}: {sentence}" if outcome.why is Why.DISK_FULL else sentence
    if outcome.ending is Ending.LOST:
        return Result.EXCEPTION, outcome.sentence or f"{slave} was lost"
    return Result.FAILURE, outcome.sentence or "the slave could not do it"


_KILLED = {
    Why.INTERRUPTED: "interrupted",
    Why.TIMEOUT: "killed: it wrote nothing for too long",
    Why.MAX_TIME: "killed: it took too long",
    Why.CAP: "killed: it wrote too much",
    Why.LEASE: "killed: the slave was without a connection to the master for too long",
    Why.DISK_FULL: "disk full",
    Why.STORAGE: "killed: the master could not store its output",
}
