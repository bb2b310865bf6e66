"""
A buildset that is to be submitted, and how it comes into the records.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import field, frozen
from sqlalchemy import Connection

from ...storage.records import buildsets, feed
from ...storage.records import changes as records_of_changes
from ...storage.records import requests as records_of_requests
from ...storage.records.requests import SubmittedBuildset


@frozen(kw_only=True)
class NewBuildset:
    """
    A buildset to submit: a request for each of *builders*.

    *source*: as in `model.source_stamps`.  *properties*: name → (value, source).  *input*: the row of the submitted
    input, or a function that adds it in the transaction.  *parent*: the journal entry that triggers the builds; a
    second submission with the same *parent* changes nothing and has the same result.  *parent_build*: the build of that
    journal entry.  *by_grant*: the grant of the submitter's FURL.  *changes*: those that it builds.
    """

    scheduler: str
    builders: Sequence[str]
    reason: str
    source: Mapping[str, Any] = field(factory=dict)
    properties: Mapping[str, tuple[Any, str]] = field(factory=dict)
    input: int | Callable[[Connection], int] | None = None
    parent: str | None = None
    parent_build: int | None = None
    priority: int = 0
    by_grant: int | None = None
    changes: Sequence[int] = ()


def add_buildset(connection: Connection, new: NewBuildset, now: float) -> tuple[SubmittedBuildset, bool]:
    """
    Record *new* with its requests; with False beside it, when that is a buildset with the same parent that was there.
    """
    earlier = buildsets.by_parent(connection, new.parent) if new.parent else None
    if earlier is not None:
        return SubmittedBuildset(earlier, tuple(records_of_requests.of_buildset(connection, earlier.id))), False
    submitted = records_of_requests.submit(
        connection,
        scheduler=new.scheduler,
        builders=new.builders,
        reason=new.reason,
        now=now,
        source=new.source,
        properties=new.properties,
        input=new.input(connection) if callable(new.input) else new.input,
        parent=new.parent,
        priority=new.priority,
        by_grant=new.by_grant,
        parent_build=new.parent_build,
    )
    records_of_changes.add_to_buildset(connection, submitted.buildset.id, new.changes)
    for request in submitted.requests:
        body = {"builder": request.builder, "scheduler": new.scheduler, "reason": new.reason}
        feed.publish(connection, "request.submitted", now=now, request=request.id, body=body)
    return submitted, True
