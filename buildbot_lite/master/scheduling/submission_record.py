"""
What is recorded beside the requests of a submission, in their transaction.
"""

from collections.abc import Callable

from attrs import define, evolve
from sqlalchemy import Connection

from ...storage.records import buildsets, grants
from ...storage.records.buildsets import Buildset
from ...storage.records.grants import Grant
from ...storage.records.requests import SubmittedBuildset
from ..config.submit_scheduler import Examination, RecordedSubmission
from ..grants.registry import GrantRegistry
from ..grants.verbs import WATCH
from .submit_limits import ExpectedRequests, SubmitLimits


@define(kw_only=True)
class SubmissionRecord:
    """
    One submission by *grant*: a use of the grant, what the examination of its file adds, and the grant to watch it, if
    it is *watched*.  *wall*: seconds since 1970.
    """

    grant: Grant
    examined: Examination | None
    watched: bool
    grants: GrantRegistry
    limits: SubmitLimits
    wall: Callable[[], float]
    # Of the last transaction: one that failed is tried again.
    _submitted: SubmittedBuildset | None = None
    _recorded: RecordedSubmission | None = None
    _watch: Grant | None = None

    def in_transaction(self, connection: Connection, submitted: SubmittedBuildset) -> Buildset | None:
        """
        Record it, with the requests in *submitted*.  The buildset, if what the examination adds may have changed it.
        """
        grants.used(connection, self.grant.id, self.wall())
        record = None if self.examined is None else self.examined.record
        by = self.grant.label or self.grant.name
        self._recorded = None if record is None else record(connection, submitted, by)
        self._watch = self._add_watch(connection, submitted) if self.watched else None
        self._submitted = submitted
        return None if record is None else buildsets.get(connection, submitted.buildset.id)

    def committed(self) -> None:
        """
        The transaction was committed: it counts from now on.
        """
        self.limits.spent(self.grant)
        becomes = 0 if self.examined is None else self.examined.becomes
        if becomes and self._recorded is not None and self._submitted is not None:
            expected = ExpectedRequests(self.grant.id, self._submitted.requests[0].id, becomes)
            self.limits.expect(self._recorded.number, expected)
        if self._watch is not None:
            self.grants.recorded(self._watch, made_with=self.grant.id)

    def titled(self, submitted: SubmittedBuildset) -> SubmittedBuildset:
        """
        *submitted*, as the submitter is told of it.
        """
        known = self._recorded
        return submitted if known is None else evolve(submitted, title=known.title, number=known.number)

    def _add_watch(self, connection: Connection, submitted: SubmittedBuildset) -> Grant:
        object_, name = watched(submitted)
        minted, now = self.grants.mint(), self.wall()
        return grants.add(connection, name=name, verb=WATCH, object=object_, minted=minted, now=now)


def watched(submitted: SubmittedBuildset) -> tuple[str, str]:
    """
    The object and the name of the grant that watches *submitted*.
    """
    return str(submitted.buildset.id), f"request-{submitted.requests[0].id}"
