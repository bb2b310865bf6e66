"""
The states of a job and of each of its architectures, and which may follow which.

A job, without repository or as a scratch build::

    initialize ──► (checkout ──► make_srpm ──► prep ──►) waiting ⇄ building ──► finished

with a repository::

    building ──► repowait ──► needsign ──► pushed ──► finished

The states in brackets are those of a job whose source package is made from a git repository: it is in ``initialize``
until that build begins, and in ``prep`` while the master examines what was made.  When the build is tried again, the
job goes back.

A job may fail or be killed in every state but ``pushed`` and the last ones.  A failed or killed job may wait again
(``requeue``).

One architecture::

    waiting ──► downloading ──► prepping ──► building ──► uploading ──► cleanup ──► done, failed
       ▲                                                                   │
       '──────────────── the build is tried again ─────────────────────────'

An architecture is observed, so it may pass several states between two looks; a job goes from state to state on its own.
The words are those of plague, the first build system of Fedora Extras.
"""

from collections.abc import Collection, Mapping, Sequence
from enum import StrEnum
from types import MappingProxyType

from ...model.results import Result
from ...storage.records.builds import Build
from ...storage.records.requests import Request
from ...storage.records.steps import Step


class JobState(StrEnum):
    """
    The state of a job.
    """

    INITIALIZE = "initialize"
    CHECKOUT = "checkout"
    MAKE_SRPM = "make_srpm"
    PREP = "prep"
    WAITING = "waiting"
    BUILDING = "building"
    REPOWAIT = "repowait"
    NEEDSIGN = "needsign"
    PUSHED = "pushed"
    FINISHED = "finished"
    FAILED = "failed"
    KILLED = "killed"


class ArchState(StrEnum):
    """
    The state of one architecture of a job.
    """

    WAITING = "waiting"
    DOWNLOADING = "downloading"
    PREPPING = "prepping"
    BUILDING = "building"
    UPLOADING = "uploading"
    CLEANUP = "cleanup"
    DONE = "done"
    FAILED = "failed"
    KILLED = "killed"
    SKIPPED = "skipped"


_J, _A = JobState, ArchState
_UNHAPPY = (_J.FAILED, _J.KILLED)

ENDS = frozenset({_J.FINISHED, *_UNHAPPY})
"""States in which nothing more happens to a job on its own."""
ARCH_ENDS = frozenset({_A.DONE, _A.FAILED, _A.KILLED, _A.SKIPPED})
MAKING_SOURCE = (_J.INITIALIZE, _J.CHECKOUT, _J.MAKE_SRPM)
"""The states of a job that follow from the build of its source package."""
BEFORE_SOURCE = (*MAKING_SOURCE, _J.PREP)
"""The states of a job without builds of its packages, because its source package is not examined yet."""
IN_A_BUILD = (_A.DOWNLOADING, _A.PREPPING, _A.BUILDING, _A.UPLOADING, _A.CLEANUP)
"""The states that have the name of a step, in their order."""

JOB_TRANSITIONS: Mapping[JobState, frozenset[JobState]] = MappingProxyType(
    {
        _J.INITIALIZE: frozenset({_J.CHECKOUT, _J.MAKE_SRPM, _J.PREP, _J.WAITING, *_UNHAPPY}),
        _J.CHECKOUT: frozenset({_J.INITIALIZE, _J.MAKE_SRPM, _J.PREP, *_UNHAPPY}),
        _J.MAKE_SRPM: frozenset({_J.INITIALIZE, _J.CHECKOUT, _J.PREP, *_UNHAPPY}),
        _J.PREP: frozenset({_J.WAITING, *_UNHAPPY}),
        _J.WAITING: frozenset({_J.BUILDING, *_UNHAPPY}),
        _J.BUILDING: frozenset({_J.WAITING, _J.REPOWAIT, _J.FINISHED, *_UNHAPPY}),
        _J.REPOWAIT: frozenset({_J.NEEDSIGN, *_UNHAPPY}),
        _J.NEEDSIGN: frozenset({_J.PUSHED, _J.FINISHED, *_UNHAPPY}),
        _J.PUSHED: frozenset({_J.FINISHED}),
        _J.FINISHED: frozenset(),
        _J.FAILED: frozenset({_J.INITIALIZE, _J.PREP, _J.WAITING, _J.BUILDING}),
        _J.KILLED: frozenset({_J.INITIALIZE, _J.PREP, _J.WAITING, _J.BUILDING}),
    }
)
"""By state: the states that may follow it.  A job in the public repository cannot be killed; it becomes finished."""

_OF_STEPS: Mapping[str, ArchState] = MappingProxyType(
    {**{state.value: state for state in IN_A_BUILD}, "checkout": _A.DOWNLOADING, "make_srpm": _A.BUILDING}
)
"""By step: the state of an architecture (or of the build of the source package) while that step runs."""

_WITHIN = (_A.WAITING, *IN_A_BUILD)
_ARCH_RESULTS = (_A.DONE, _A.FAILED, _A.KILLED)

ARCH_TRANSITIONS: Mapping[ArchState, frozenset[ArchState]] = MappingProxyType(
    {
        **{
            state: frozenset({*_WITHIN[place + 1 :], *_ARCH_RESULTS} | ({_A.WAITING} if place else set()))
            for place, state in enumerate(_WITHIN)
        },
        _A.DONE: frozenset({_A.WAITING}),  # its results are gone, and the job is wanted again
        _A.FAILED: frozenset({_A.WAITING}),
        _A.KILLED: frozenset({_A.WAITING}),
        _A.SKIPPED: frozenset(),
    }
)
"""By state: the states that may be observed next."""


def observed(request: Request, builds: Sequence[Build], steps: Sequence[Step]) -> tuple[ArchState, str]:
    """
    The state of the architecture that *request* builds, and the reason for people if it has not succeeded.

    *builds*: of the request, oldest first.  *steps*: of the last of them.
    """
    if request.finished is not None:
        state = _result(request.result)
        sentence = _sentence(steps) if state is ArchState.FAILED else ""
        return state, sentence or request.reason or (builds[-1].reason if builds else "")
    if not builds or builds[-1].finished is not None:
        return ArchState.WAITING, ""
    named = [_OF_STEPS[step.name] for step in steps if step.name in _OF_STEPS]
    return (named[-1] if named else ArchState.DOWNLOADING), ""


def _sentence(steps: Sequence[Step]) -> str:
    """
    The summary of the first step that failed.
    """
    failed = (step for step in steps if step.result in (Result.FAILURE, Result.EXCEPTION) and step.name in IN_A_BUILD)
    return next((step.summary for step in failed), "")


def _result(result: Result | None) -> ArchState:
    if result in (Result.SUCCESS, Result.WARNINGS):
        return ArchState.DONE
    return ArchState.KILLED if result is Result.CANCELLED else ArchState.FAILED


def while_making(source: ArchState) -> JobState:
    """
    The state of a job whose source package is made, or was, by a build in the state *source*.
    """
    if source in ARCH_ENDS:
        ended = {ArchState.DONE: JobState.PREP, ArchState.KILLED: JobState.KILLED}
        return ended.get(source, JobState.FAILED)
    if source is ArchState.WAITING:
        return JobState.INITIALIZE
    return JobState.CHECKOUT if source is ArchState.DOWNLOADING else JobState.MAKE_SRPM


def while_building(arches: Collection[ArchState]) -> JobState | None:
    """
    The state of a job whose architectures are in the states *arches*, while builds run or after one failed.  None: all
    builds succeeded, so the state does not depend on them.
    """
    if any(state not in ARCH_ENDS for state in arches):
        begun = any(state not in (ArchState.WAITING, ArchState.SKIPPED) for state in arches)
        return JobState.BUILDING if begun else JobState.WAITING
    for state, job in ((ArchState.FAILED, JobState.FAILED), (ArchState.KILLED, JobState.KILLED)):
        if state in arches:
            return job
    return None
