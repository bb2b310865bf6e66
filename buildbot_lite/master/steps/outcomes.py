"""
From the outcome of a command to the result of its step.
"""

from collections.abc import Mapping

from ...model.outcome import (
    Ending,
    Outcome,
    Why,
)
from ...model.results import Result

SUCCEEDS_WITH_0: Mapping[int, Result] = {0: Result.SUCCESS}


def result_of(outcome: Outcome, slave: str, decode: Mapping[int, Result] = SUCCEEDS_WITH_0) -> tuple[Result, str]:
    """
    The result, and a few words for people; "" after a success.

    *decode*: exit code → result; any other exit code is FAILURE.  *slave*: the slave's name, for the words.
    """
    if outcome.ending is Ending.EXITED:
        code = outcome.exit_code if outcome.exit_code is not None else -1
        result = decode.get(code, Result.FAILURE)
        return result, outcome.sentence or ("" if result is Result.SUCCESS else f"exit code {code}")
    if outcome.ending is Ending.SIGNALLED:
        return Result.FAILURE, outcome.sentence or f"killed by signal {outcome.signal}"
    if outcome.ending is Ending.KILLED:
        said = outcome.sentence or (_KILLED[outcome.why] if outcome.why else "killed")
        if outcome.why is Why.INTERRUPTED:
            return Result.CANCELLED, said
        if outcome.why in {Why.LEASE, Why.STORAGE}:
            return Result.EXCEPTION, said
        return Result.FAILURE, f"{slave}: {said}" if outcome.why is Why.DISK_FULL else said
    if outcome.ending is Ending.LOST:
        return Result.EXCEPTION, outcome.sentence or f"{slave} was lost"
    return Result.FAILURE, outcome.sentence or "the slave could not do it"


_KILLED = {
    Why.INTERRUPTED: "interrupted",
    Why.TIMEOUT: "killed: it wrote nothing for too long",
    Why.MAX_TIME: "killed: it took too long",
    Why.CAP: "killed: it wrote too much",
    Why.LEASE: "killed: the master was away for too long",
    Why.DISK_FULL: "disk full",
    Why.STORAGE: "killed: the master could not store what it sent",
}
