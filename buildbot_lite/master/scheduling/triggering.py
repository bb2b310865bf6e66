"""
Requests that a `Trigger` step of a running build makes, by a Triggerable of master.cfg.
"""

from collections.abc import Iterable, Mapping
from functools import partial

from sqlalchemy import Connection
from twisted.internet.defer import Deferred

from ...errors import NotFoundError, RefusedError
from ...model.properties import Json, Properties
from ...model.results import Result
from ...model.source_stamps import has_patch, is_untrusted, source_of
from ...storage.records import builds, requests
from ...storage.records import changes as records_of_changes
from ...storage.records.changes import RecordedChange
from ...storage.roles import Records
from ..config.clock_schedulers import NightlyTriggerable
from ..config.generations import Generations
from ..config.schedulers import Triggerable
from .buildset_composer import BuildsetComposer, marks_of, stamps_for, with_properties
from .request_canceller import RequestCanceller
from .requests import Requests
from .schedulers.engine import SchedulerEngine


class Triggering:
    """
    Makes and cancels requests for builds: the role `triggered.RequestSubmission`.
    """

    def __init__(
        self,
        *,
        records: Records,
        generations: Generations,
        requests: Requests,
        schedulers: SchedulerEngine,
        composer: BuildsetComposer,
        canceller: RequestCanceller,
    ) -> None:
        self._records = records
        self._generations = generations
        self._requests = requests
        self._schedulers = schedulers
        self._composer = composer
        self._canceller = canceller

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
        async def submit() -> int:
            triggerable = self._triggerable(scheduler, source)
            given = Properties(dict(properties), "Trigger")
            stamps = stamps_for(triggerable, source)
            inherited = input if has_patch(stamps, source) else None
            if isinstance(triggerable, NightlyTriggerable):
                stamps = with_properties(stamps, given)
                values = {name: (value, "Trigger") for name, value in properties.items()}
                await self._schedulers.call(scheduler, parent, source_of(stamps, **marks_of(source)), values, inherited)
                return 0
            changes = [] if build is None else await self._records.read(partial(_built_by, build=build))
            submitted = await self._composer.submit(
                triggerable,
                given,
                reason=triggerable.reason or "triggered",
                parent=parent,
                parent_build=build,
                source=source,
                input=inherited,
                changes=changes,
                priority=priority,
            )
            return submitted.buildset.id

        return Deferred.fromCoroutine(submit())

    def when_finished(self, buildset: int) -> Deferred[Result]:
        return self._requests.when_finished(buildset)

    async def cancel_unfinished(self, requests: Iterable[int], reason: str) -> None:
        await self._canceller.cancel_unfinished(requests, reason)

    def _triggerable(self, name: str, source: Mapping[str, Json]) -> Triggerable:
        triggerable = self._generations.config.triggerables.get(name)
        if triggerable is None:
            raise NotFoundError(f"There is no Triggerable {name!r:.100} in master.cfg.")
        if is_untrusted(source) and not triggerable.forks:
            raise RefusedError(
                f"The Triggerable {name!r} takes no code from forks, and this build's is.  If it may, write "
                "forks=True there."
            )
        return triggerable


def _built_by(connection: Connection, build: int) -> list[RecordedChange]:
    row = builds.get(connection, build)
    request = None if row is None else requests.get(connection, row.request)
    return [] if request is None else records_of_changes.of_buildset(connection, request.buildset)
