"""
Recovery: a starting master reads the records of the earlier ones, and continues their builds.
"""

from collections.abc import Mapping, Sequence
from functools import partial

from attrs import frozen
from sqlalchemy import Connection
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from ..storage.records import builds as records_of_builds
from ..storage.records import buildsets, settings
from ..storage.records import grants as records_of_grants
from ..storage.records import requests as records_of_requests
from ..storage.records.buildsets import Buildset
from ..storage.records.grants import Grant
from ..storage.records.requests import Request
from ..storage.roles import Records
from .config.generations import Generations
from .grants.live_grants import is_of_a_submission
from .grants.registry import GrantRegistry
from .scheduling.preparation import RecordedBuild, read_changes, read_entries
from .scheduling.queue import Queue
from .scheduling.runner import BuildRunner
from .scheduling.submit_limits import HOUR, SubmitLimits

KEY = "strings"
"""The setting that holds the fingerprint of the key from which the FURLs in force were made."""

LONGEST_CATCH_UP = 60.0
"""Seconds that a starting master waits for unfinished builds to catch up with their journals."""

_log = Logger()


@frozen
class RecordedGrants:
    """
    All grants.  *made_with*: buildset → the grant with which it was submitted, where a grant watches that buildset.
    *uses*: grant → the times (seconds since 1970) of its recent uses, where it has a limit per hour.
    """

    grants: Sequence[Grant]
    made_with: Mapping[int, int]
    uses: Mapping[int, Sequence[float]]


def read_grants(connection: Connection, *, since: float) -> RecordedGrants:
    """
    The recorded grants, with their uses after *since*.
    """
    grants = records_of_grants.get_all(connection)
    watched = [int(grant.object) for grant in grants if is_of_a_submission(grant)]
    made_with = buildsets.granted(connection, min(watched)) if watched else {}
    uses = {
        grant.id: buildsets.submission_times(connection, grant.id, since)
        for grant in grants
        if grant.per_hour is not None and grant.revoked is None
    }
    return RecordedGrants(grants, made_with, uses)


@frozen
class RecordedRequests:
    """
    The unfinished requests: those that are being built, and those that wait.
    """

    running: Sequence[RecordedBuild]
    waiting: Sequence[tuple[Request, Buildset]]


def read_requests(connection: Connection) -> RecordedRequests:
    """
    The unfinished requests in the records.
    """
    unfinished = {request.id: request for request in records_of_requests.unfinished(connection)}
    sets = {each.id: each for each in buildsets.unfinished(connection)}
    running = [
        RecordedBuild(
            row,
            request,
            sets[request.buildset],
            read_changes(connection, request.buildset),
            read_entries(connection, row.id),
        )
        for row in records_of_builds.unfinished(connection)
        if (request := unfinished.get(row.request)) is not None
    ]
    begun = {each.request.id for each in running}
    waiting = [(request, sets[request.buildset]) for id, request in unfinished.items() if id not in begun]
    return RecordedRequests(running, waiting)


async def check_key(records: Records, fingerprint: str, now: float) -> None:
    """
    Revoke all grants if *fingerprint* is not that of the key from which they were made.

    A FURL also names the Tub that it is for, so with another ``tub.pem`` every FURL is void.
    """

    def change(connection: Connection) -> int:
        before = settings.get(connection, KEY)
        settings.put(connection, KEY, fingerprint)
        if before in (None, fingerprint):
            return 0
        return records_of_grants.revoke_all(connection, now, label="of the key before")

    if void := await records.write(change):
        _log.warn(
            "private/tub.pem has changed: the {count} strings that were handed out no longer work.  New ones are "
            "in the farm's files",
            count=void,
        )


async def remember_grants(
    records: Records, *, grants: GrantRegistry, limits: SubmitLimits, fingerprint: str, now: float
) -> None:
    """
    Restore *grants* and *limits* from the *records*.  *fingerprint*: as for `check_key`.
    """
    await check_key(records, fingerprint, now)
    recorded = await records.read(partial(read_grants, since=now - HOUR))
    grants.remember(recorded.grants, recorded.made_with)
    limits.remember(recorded.uses)


async def continue_builds(
    records: Records, *, generations: Generations, queue: Queue, runner: BuildRunner, clock: IReactorTime
) -> None:
    """
    Fill the *queue* from the *records*, and let the *runner* continue the unfinished builds.  Returns when these have
    caught up with their journals, at the latest after `LONGEST_CATCH_UP`.
    """
    recorded = await records.read(read_requests)
    with_hashes = generations.with_hashes(each.row.generation for each in recorded.running)
    # Before builds continue: a stopped build cancels the requests that it waits for.
    for request, buildset in recorded.waiting:
        queue.add(request, buildset)
    catching_up = runner.resume(recorded.running, with_hashes)
    # A step that waits for something outside its context is not replayed, and may never return: open the queue anyway.
    await catching_up.addTimeout(LONGEST_CATCH_UP, clock, _not_caught_up)


def _not_caught_up(result: object, timeout: float) -> None:
    _log.warn("some builds have not caught up with their journals after {seconds} s", seconds=timeout)
