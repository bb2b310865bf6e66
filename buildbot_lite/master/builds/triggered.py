"""
The builds that a `Trigger` step starts: what they inherit, and their results.

::

    parent ── Trigger ──► buildset: the parent's sources, input and number ──► requests ──► builds
      ▲                                                                                       │
      '───────────── one result; a remark and lines of a log for each child ◄─────────────────'

A child is the newest build of one request of such a buildset.  The text about it that the parent shows comes from the
records, in which secrets are masked.
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
from ...storage.roles import Records

MOST_CHILDREN = 50
"""The most children of one scheduler that are described; further ones are only counted."""
TAIL_LINES = 5
LONGEST_LINE = 200
_TAIL_BYTES = 4096
_BAD = frozenset({Result.FAILURE, Result.EXCEPTION, Result.RETRY, Result.CANCELLED})


@frozen
class Child:
    """
    The state of one request that a build made.

    *number*: the number of its newest build; None before the first.  *result*: None until the request is finished.
    *reason*: why it has this result; may be empty.  *step*, *summary*: the name and the summary of the first step that
    failed.  *tail*: the last lines of that step's log, at most `TAIL_LINES`.
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
        "builder/number"; before the first build, the number of the request.
        """
        return f"request {self.request} ({self.builder})" if self.number is None else f"{self.builder}/{self.number}"

    @property
    def lines(self) -> list[str]:
        """
        Lines for people: the result, and after a failure the end of the failed step's log, indented.
        """
        if self.result is None:
            return [f"{self.label}: not finished"]
        if self.result not in _BAD:
            return [f"{self.label}: {self.result.name}"]
        summary = f" ({self.summary})" if self.summary else ""
        reason = f"step {self.step}{summary}" if self.step else self.reason
        return [
            f"{self.label}: {self.result.name}{', ' if reason else ''}{reason}",
            *(f"    {line}" for line in self.tail),
        ]

    def to_document(self) -> dict[str, Any]:
        """
        The value as a JSON object, for the journal.
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
        Read what `to_document` returned.
        """
        result = document["result"]
        return cls(
            **{**document, "result": None if result is None else Result(result), "tail": tuple(document["tail"])}
        )


class RequestSubmission(Protocol):
    """
    Makes and cancels requests.
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
        priority: int | None = None,
    ) -> Deferred[int]:
        """
        Make the requests of the Triggerable called *scheduler*; return the id of the buildset, or 0 if it builds later.

        *parent*: the id of the journal entry; a second call with the same id returns the same buildset.  *source*: the
        source of the requests.  *build*: the row of the parent build.  *input*: the row of its submitted input.
        *priority*: of the requests; None: as the Triggerable says.
        """

    def when_finished(self, buildset: int) -> Deferred[Result]:
        """
        Fires with the result of *buildset*, also when it finished earlier.
        """

    async def cancel_unfinished(self, requests: Iterable[int], reason: str) -> None:
        """
        Cancel those of *requests* that are not finished.
        """


class ChildBuilds:
    """
    The builds that one *parent* starts: the role `build_context.TriggeredBuilds`.

    *input*: the row of the input submitted for the parent, which the children inherit.  *marks*: fields of the parent's
    source that apply to the children, too, whatever their source stamps are.  *directory*: the directory of the logs.
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
        marks: Mapping[str, Json] | None = None,
    ) -> None:
        self._marks = dict(marks or {})
        self._clock = clock
        self._submission = submission
        self._records = records
        self._directory = directory
        self._parent = parent
        self._input = input

    def trigger(
        self,
        scheduler: str,
        parent: str,
        properties: Mapping[str, Json],
        source: Mapping[str, Json],
        priority: int | None,
    ) -> Deferred[int]:
        return self._submission.trigger(
            scheduler,
            parent,
            properties,
            {**source, **self._marks},
            build=self._parent.id,
            input=self._input,
            priority=priority,
        )

    def when_finished(self, buildset: int) -> Deferred[Result]:
        return self._submission.when_finished(buildset)

    def children(self, buildset: int) -> Deferred[Sequence[Child]]:
        reading = read_retrying(
            self._records, lambda connection: read_children(connection, buildset, self._directory), self._clock
        )
        return Deferred.fromCoroutine(reading)

    async def cancel(self, buildset: int, reason: str) -> Sequence[Child]:
        unfinished = [child for child in await self.children(buildset) if child.result is None]
        because = f"its parent {self._parent.builder}/{self._parent.number} no longer waits for it: {reason}"
        await self._submission.cancel_unfinished([child.request for child in unfinished], because)
        return unfinished


def read_children(connection: Connection, buildset: int, directory: str) -> Sequence[Child]:
    """
    The state of each request of *buildset*, in the order of its builders.  *directory*: the directory of the logs.
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
        # Without the end of an unreadable log, the rest of the description is still of use.
        return ()
    lines = [line.rstrip() for line in data.decode("utf-8", "replace").splitlines()]
    return tuple(line[-LONGEST_LINE:] for line in lines if line)[-TAIL_LINES:]
