"""
Runs long jobs on files (`file_jobs`), each in a process of its own (`file_worker`).

::

    start ──► running ──result, process ended──► done, or an error
                 │
                 └── cancelled, or time limit: SIGKILL ──► ended

Rejected: threads, because they cannot be stopped, have no memory limit of their own, and their crash would end the
slave.
"""

import json
import os
import signal
import sys
from collections.abc import Mapping
from contextlib import suppress
from typing import Any, Protocol

from attrs import frozen
from twisted.internet.defer import Deferred
from twisted.internet.error import ProcessExitedAlready
from twisted.internet.interfaces import IDelayedCall, IReactorProcess, IReactorTime
from twisted.internet.protocol import ProcessProtocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..errors import FileError
from .file_jobs import LARGEST_ANSWER, Job

# The number of the open file in the process.
_DESCRIPTOR = 3
# In PYTHONPATH of the process, because the package need not be installed.
_SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


@frozen
class RunningJob:
    """
    A running job.  *answer* fires with its result or an error; cancelling it kills the job.  *ended* fires when its
    process has ended.
    """

    answer: Deferred[Mapping[str, Any]]
    ended: Deferred[None]


class Workers(Protocol):
    """
    Runs jobs.
    """

    def start(self, job: Job, *, seconds: float | None = None, descriptor: int | None = None) -> RunningJob:
        """
        Run *job*, for at most *seconds*.  *descriptor*: an open file for it; the caller may close it afterwards.
        """


class WorkerReactor(IReactorProcess, IReactorTime):
    """
    The parts of the reactor that this module uses.
    """


class WorkerProcesses:
    """
    `Workers` that start a process for each job.
    """

    def __init__(self, reactor: WorkerReactor) -> None:
        self._reactor = reactor

    def start(self, job: Job, *, seconds: float | None = None, descriptor: int | None = None) -> RunningJob:
        protocol = _Worker(job if descriptor is None else {**job, "descriptor": _DESCRIPTOR})
        # Without the slave's environment, because neither the locale nor PYTHON… variables may affect a job.
        self._reactor.spawnProcess(
            protocol,
            os.fsencode(sys.executable),
            [os.fsencode(sys.executable), b"-sPX", b"utf8", b"-m", b"buildbot_lite.slave.file_worker"],
            {b"PYTHONPATH": os.fsencode(_SOURCE)},
            childFDs={0: "w", 1: "r", 2: "r", **({} if descriptor is None else {_DESCRIPTOR: descriptor})},
        )
        if seconds is not None:
            protocol.limit(
                self._reactor.callLater(
                    seconds, protocol.kill, f"The step took longer than its maxTime of {seconds:g} s."
                )
            )
        return RunningJob(protocol.answer, protocol.ended)


class _Worker(ProcessProtocol):
    def __init__(self, job: Job) -> None:
        self.answer: Deferred[Mapping[str, Any]] = Deferred(lambda _: self.kill("It was stopped."))
        self.ended: Deferred[None] = Deferred()
        self._job = job
        self._answer = b""
        self._stderr = b""
        self._killed = ""
        self._limit: IDelayedCall | None = None

    _log = Logger()

    def limit(self, limit: IDelayedCall) -> None:
        self._limit = limit

    def kill(self, sentence: str) -> None:
        self._killed = self._killed or sentence
        with suppress(ProcessExitedAlready):
            self._process().signalProcess("KILL")

    def connectionMade(self) -> None:
        self._process().write(json.dumps(self._job).encode() + b"\n")

    def outReceived(self, data: bytes) -> None:  # noqa: N802 - Twisted's
        self._answer = (self._answer + data)[: LARGEST_ANSWER + 1]

    def errReceived(self, data: bytes) -> None:  # noqa: N802 - Twisted's
        self._stderr = (self._stderr + data)[-2000:]

    def processEnded(self, reason: Failure) -> None:  # noqa: N802 - Twisted's
        if self._limit is not None and self._limit.active():
            self._limit.cancel()
        if not self.answer.called:
            try:
                self.answer.callback(self._answered(reason))
            except (FileError, OSError):
                self.answer.errback(Failure())
        self.ended.callback(None)

    def _answered(self, reason: Failure) -> Mapping[str, Any]:
        if self._killed:
            raise FileError(self._killed)
        try:
            answer = json.loads(self._answer)
            if "os_error" in answer:
                raise OSError(*answer["os_error"])
            if "problem" in answer:
                raise FileError(answer["problem"])
            return dict(answer["done"])
        except (ValueError, KeyError, TypeError):
            raise FileError(self._crashed(reason)) from None

    def _crashed(self, reason: Failure) -> str:
        self._log.error(
            "a file worker crashed ({job}): {output}",
            job=self._job["job"],
            output=self._stderr.decode("utf-8", "replace"),
        )
        number = getattr(reason.value, "signal", None)
        if number == signal.SIGKILL:
            return "The slave's worker process was killed, perhaps because this machine has too little memory."
        ending = f"was ended by {signal.Signals(number).name}" if number else "crashed"
        return f"The slave's worker process {ending}; the slave's log (twistd.log) says more."

    def _process(self) -> Any:
        # Twisted's annotation of `transport` lacks the methods of a process.
        return self.transport
