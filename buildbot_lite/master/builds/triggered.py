"""
The builds that a `Trigger` step asks for: what they inherit, and what became of them.

::

    parent ── Trigger ──► buildset: the parent's sources, input and number ──► requests ──► builds
      ▲                                                                                       │
      '───────────── one result; a remark and lines of a log for each child ◄─────────────────'

A child is the newest build of one request of such a buildset.  What the parent is told of it is text that was masked
when it was recorded.
"""

import os
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Protocol

from attrs import frozen
from sqlalchemy import Connection
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from ...errors import StorageError
from ...model.properties import Json
from ...model.results import Result
from ...storage.compressed_streams import open_stream
from ...storage.records import (
    builds,
    requests,
    steps,
    streams,
)
from ...storage.records.builds import Build
from ...storage.retrying import read_retrying
from ...storage.writer import Records

MOST_CHILDREN = 50
"""Children of one scheduler that are described; of more there is only a count."""
TAIL_LINES = 5
LONGEST_LINE = 200
_TAIL_BYTES = 4096
_BAD = frozenset({Result.FAILURE, Result.EXCEPTION, Result.RETRY, Result.CANCELLED})


@frozen
class Child:
    """
    What became of one request that a build asked for.

    *number*: of its newest build; None before the first.  *result*: None until the request is finished.  *reason*: why
    it ended so; may be empty.  *step*, *summary*: the first step that was not good.  *tail*: how its log ends, at most
    `TAIL_LINES` lines.
    """

    request: int
    builder: str
    number: int | None = None
    result: Result | None = None
    reason: str = ""
    step: str = ""
    summary: str = ""
    tail: tuple[str, ...] = ()

    @property
    def label(self) -> str:
        """
        How people call it: "builder/number", or the request while nothing was built.
        """
        return f"request {self.request} ({self.builder})" if self.number is None else f"{self.builder}/{self.number}"

    @property
    def lines(self) -> list[str]:
        """
        For people: how it ended, and if it is red the end of the failed step's log, indented.
        """
        if self.result is None:
            return [f"{self.label}: not finished"]
        if self.result not in _BAD:
            return [f"{self.label}: {self.result.name}"]
        summary = f" ({self.summary})" if self.summary else ""
        why = f"step {self.step}{summary}" if self.step else self.reason
        return [f"{self.label}: {self.result.name}{', ' if why else ''}{why}", *(f"    {line}" for line in self.tail)]

    def to_document(self) -> dict[str, Any]:
        """
        As JSON, for the journal.
        """
        return {
            "request": self.request,
            "builder": self.builder,
            "number": self.number,
            "result": None if self.result is None else int(self.result),
            "reason": self.reason,
            "step": self.step,
            "summary": self.summary,
            "tail": list(self.tail),
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "Child":
        """
        The opposite of `to_document`.
        """
        result = document["result"]
        return cls(
            **{**document, "result": None if result is None else Result(result), "tail": tuple(document["tail"])}
        )


class RequestSubmission(Protocol):
    """
    Where requests are made and ended: the front door.
    """

    def trigger(
        self,
        scheduler: str,
        parent: str,
        properties: Mapping[str, Json],
        source: Mapping[str, Json],
        *,
        build: int | None = None,
        input: int | None = None,
    ) -> Deferred[int]:
        """
        Ask the Triggerable called *scheduler*, once for each *parent*; answers the buildset.

        *parent*: the journal entry that asks.  *build*: the number of its build's row.  *input*: what was submitted.
        """

    def when_finished(self, buildset: int) -> Deferred[Result]:
        """
        Fires with its result, also when it has finished long ago.
        """

    async def cancel_unfinished(self, requests: Iterable[int], reason: str) -> None:
        """
        End those of *requests* that have not ended.
        """


class ChildBuilds:
    """
    The builds that one *parent* asks for: the role `step_context.TriggeredBuilds`.

    They get *input*, the number of what was submitted for the parent.  *directory*: where logs stand.
    """

    def __init__(
        self,
        *,
        submission: RequestSubmission,
        records: Records,
        clock: IReactorTime,
        directory: str,
        parent: Build,
        input: int | None = None,
    ) -> None:
        self._clock = clock
        self._submission = submission
        self._records = records
        self._directory = directory
        self._parent = parent
        self._input = input

    def trigger(
        self, scheduler: str, parent: str, properties: Mapping[str, Json], source: Mapping[str, Json]
    ) -> Deferred[int]:
        """
        See `step_context.TriggeredBuilds`.
        """
        return self._submission.trigger(scheduler, parent, properties, source, build=self._parent.id, input=self._input)

    def when_finished(self, buildset: int) -> Deferred[Result]:
        """
        See `step_context.TriggeredBuilds`.
        """
        return self._submission.when_finished(buildset)

    def children(self, buildset: int) -> Deferred[Sequence[Child]]:
        """
        See `step_context.TriggeredBuilds`.
        """
        reading = read_retrying(
            self._records, lambda connection: read_children(connection, buildset, self._directory), self._clock
        )
        return Deferred.fromCoroutine(reading)

    async def cancel(self, buildset: int, reason: str) -> Sequence[Child]:
        """
        See `step_context.TriggeredBuilds`.
        """
        unfinished = [child for child in await self.children(buildset) if child.result is None]
        because = f"its parent {self._parent.builder}/{self._parent.number} waits no more: {reason}"
        await self._submission.cancel_unfinished([child.request for child in unfinished], because)
        return unfinished


def read_children(connection: Connection, buildset: int, directory: str) -> Sequence[Child]:
    """
    What became of each request of *buildset*, in the order of its builders.  *directory*: where logs stand.
    """
    return [_child(connection, request, directory) for request in requests.of_buildset(connection, buildset)]


def _child(connection: Connection, request: requests.Request, directory: str) -> Child:
    attempts = builds.of_request(connection, request.id)
    if not attempts:
        return Child(request.id, request.builder, None, request.result, request.reason)
    build = attempts[-1]
    failed = [step for step in steps.of_build(connection, build.id) if step.result in _BAD]
    if request.result not in _BAD or not failed:
        return Child(request.id, request.builder, build.number, request.result, request.reason)
    first = failed[0]
    logs = [each for each in streams.of_step(connection, build.id, first.number) if each.name == "stdio"]
    tail = _tail(os.path.join(directory, logs[-1].path)) if logs else ()
    return Child(
        request.id, request.builder, build.number, request.result, request.reason, first.name, first.summary, tail
    )


def _tail(path: str) -> tuple[str, ...]:
    try:
        reading = open_stream(path)
        try:
            data = reading.read(max(0, reading.length - _TAIL_BYTES), _TAIL_BYTES)
        finally:
            reading.close()
    except (StorageError, OSError):
        # The remark is about the build; a log that cannot be read is another matter.
        return ()
    lines = [line.rstrip() for line in data.decode("utf-8", "replace").splitlines()]
    return tuple(line[-LONGEST_LINE:] for line in lines if line)[-TAIL_LINES:]
