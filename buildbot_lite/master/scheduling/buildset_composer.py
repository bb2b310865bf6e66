"""
A new buildset, composed of a scheduler of master.cfg and of properties: its sources, builders and priority.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from sqlalchemy import Connection
from twisted.internet.interfaces import IReactorTime

from ...model.properties import SUBMITTED, Json, Properties
from ...model.source_stamps import (
    FIELDS,
    Stamp,
    is_untrusted,
    slaves_of,
    source_of,
    stamps_of,
)
from ...storage.records.buildsets import Buildset
from ...storage.records.changes import RecordedChange
from ...storage.records.requests import SubmittedBuildset
from ..config.generations import Generations
from ..config.schedulers import BaseScheduler
from .new_buildset import NewBuildset
from .requests import Requests
from .schedulers.submitting import SchedulerView, builders_for, priority_for, seen


class BuildsetComposer:
    """
    Submits buildsets as the schedulers of the configuration in force.
    """

    def __init__(self, *, generations: Generations, requests: Requests, clock: IReactorTime) -> None:
        self._generations = generations
        self._requests = requests
        self._clock = clock

    async def submit(
        self,
        scheduler: BaseScheduler,
        given: Properties,
        *,
        reason: str,
        builders: Sequence[str] | None = None,
        source: Mapping[str, Json] | None = None,
        changes: Sequence[RecordedChange] = (),
        priority: int | None = None,
        recorded_as: str = "",
        in_transaction: Callable[[Connection, SubmittedBuildset], Buildset | None] | None = None,
        committed: Callable[[], None] = lambda: None,
        **more: Any,
    ) -> SubmittedBuildset:
        """
        Submit as *scheduler*, with the properties *given*.

        *builders*, *priority*: None for those of the scheduler.  *source*: the source that the buildset inherits;
        properties that name a source count more.  *recorded_as*: the name of the scheduler in the records; "": its own.
        *in_transaction*, *committed*: as for `Requests.submit`.  *more*:
        fields of `NewBuildset`.
        """
        properties = given.only(SUBMITTED)
        properties.update(scheduler.properties, "Scheduler")
        properties.update_from(given.without(SUBMITTED))
        stamps = with_properties(stamps_for(scheduler, source or {}), properties if source is None else given)
        config = self._generations.config
        view = SchedulerView(properties, stamps, [seen(each) for each in changes], config)
        if builders is None:
            builders = await builders_for(scheduler, config, view, self._clock)
        new = NewBuildset(
            scheduler=recorded_as or scheduler.name,
            builders=builders,
            reason=reason,
            properties={name: (value, origin) for name, (value, origin) in properties.to_document().items()},
            priority=await priority_for(scheduler, builders, view, self._clock) if priority is None else priority,
            source=source_of(stamps, untrusted=is_untrusted(source or {}), slaves=_slaves(scheduler, source or {})),
            changes=[each.id for each in changes],
            **more,
        )
        return await self._requests.submit(new, in_transaction=in_transaction, committed=committed)


def stamps_for(scheduler: BaseScheduler, source: Mapping[str, Json]) -> dict[str, Stamp]:
    """
    The stamps of *source* that *scheduler* builds.  Its ``codebases`` supply the values that are missing there.
    """
    stamps = stamps_of(source)
    if not scheduler.has_codebases:
        return stamps
    return {
        codebase: {**default, **{name: value for name, value in stamps.get(codebase, {}).items() if value is not None}}
        for codebase, default in scheduler.codebases.items()
    }


def with_properties(stamps: dict[str, Stamp], properties: Properties) -> dict[str, Stamp]:
    """
    *stamps*; a single stamp takes its fields from *properties* of the same names (``branch``, ``revision`` …).
    """
    if len(stamps) != 1:
        return stamps
    ((codebase, stamp),) = stamps.items()
    return {codebase: {**stamp, **{name: properties.get(name) for name in FIELDS if name in properties}}}


def marks_of(source: Mapping[str, Json]) -> dict[str, Any]:
    """
    The fields of *source* other than its stamps, as arguments of `source_of`.
    """
    return {"untrusted": is_untrusted(source), "slaves": slaves_of(source)}


def _slaves(scheduler: BaseScheduler, source: Mapping[str, Json]) -> Sequence[str] | None:
    if is_untrusted(source) and scheduler.fork_slaves is not None:
        return scheduler.fork_slaves
    return slaves_of(source)
