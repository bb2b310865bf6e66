"""
Submission: requests made for submitters, for admins, and for builds that trigger others.
"""

from collections.abc import Callable, Container, Iterable, Mapping, Sequence
from contextlib import suppress
from functools import partial
from typing import Any

from attrs import evolve, field, frozen
from sqlalchemy import Connection
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from ...errors import (
    InputError,
    NotFoundError,
    PropertyError,
    RefusedError,
    RevokedError,
)
from ...model.patch_base import PatchBase
from ...model.properties import (
    OF_THE_BUILD,
    SUBMITTED,
    Json,
    Properties,
)
from ...model.results import Result
from ...model.source_stamps import (
    FIELDS,
    Stamp,
    is_untrusted,
    slaves_of,
    source_of,
    stamps_of,
)
from ...storage.inputs import InputFile
from ...storage.records import (
    builds,
    grants,
    inputs,
    requests,
)
from ...storage.records import changes as records_of_changes
from ...storage.records.builds import Build
from ...storage.records.changes import RecordedChange
from ...storage.records.grants import Grant
from ...storage.records.requests import (
    Buildset,
    Request,
    SubmittedBuildset,
)
from ...storage.writer import Records
from ..builds.triggered import Child, read_children
from ..config.clock_schedulers import NightlyTriggerable
from ..config.generations import Generations
from ..config.master_config import MasterConfig
from ..config.schedulers import BaseScheduler, Submit
from ..grants.publisher import FurlPublisher
from ..grants.registry import GrantRegistry
from ..grants.verbs import SUBMIT, WATCH
from .queue import Queue
from .requests import NewBuildset, Requests
from .running_builds import RunningBuilds
from .schedulers.engine import SchedulerEngine
from .schedulers.submitting import SchedulerView, builders_for, priority_for, seen
from .submit_limits import Admission, SubmitLimits


@frozen
class SubmissionInput:
    """
    The input of a submission: its *kind* as in `Submit.input_kind`, and the submitter's *name* for it.

    *kept*: the stored file, for a patch or an upload; an input of *properties* is not stored.
    """

    kind: str = "none"
    name: str = ""
    kept: InputFile | None = None
    properties: Properties = field(factory=Properties)


NO_INPUT = SubmissionInput()


class Submissions:
    """
    Makes requests, by the schedulers in master.cfg.  The role `triggered.RequestSubmission`.

    *streams*: the directory of the logs.  *wall*: seconds since 1970.
    """

    def __init__(
        self,
        *,
        records: Records,
        generations: Generations,
        requests: Requests,
        schedulers: SchedulerEngine,
        running: RunningBuilds,
        queue: Queue,
        grants: GrantRegistry,
        limits: SubmitLimits,
        furls: FurlPublisher,
        streams: str,
        clock: IReactorTime,
        wall: Callable[[], float],
    ) -> None:
        self._records = records
        self._generations = generations
        self._requests = requests
        self._schedulers = schedulers
        self._clock = clock
        self._running = running
        self._queue = queue
        self._grants = grants
        self._limits = limits
        self._furls = furls
        self._streams = streams
        self._wall = wall

    def scheduler(self, grant: int) -> Submit:
        """
        The scheduler to which the FURL of *grant* submits now; `RevokedError` when there is none any more.
        """
        return scheduler_of(self._generations.config, self._grants.in_force(grant))

    def admit(self, grant: int) -> Admission:
        """
        Leave to submit now with the FURL of *grant*; or `RefusedError`, which says why not, and until when.
        """
        scheduler = self.scheduler(grant)
        return self._limits.admit(grant, len(scheduler.builder_names), with_input=scheduler.input_kind != NO_INPUT.kind)

    async def submit(
        self, admission: Admission, given: SubmissionInput, base: PatchBase | None = None
    ) -> SubmittedBuildset:
        """
        Record the requests that *admission* permits, with the input *given*.  *base*: what a patch applies to; its
        branch is ignored where the farm sets another, because the revision says enough.
        """
        grant = self._grants.in_force(admission.grant.id)
        scheduler = scheduler_of(self._generations.config, grant)
        if given.kind != scheduler.input_kind:
            raise InputError(f"The settings of {scheduler.name} changed during this submission.  Submit again.")
        kept, name, properties = given.kept, given.name, given.properties.copy()
        fixed = self._fixed(scheduler)
        if base is not None:
            properties.update_from((evolve(base, branch=None) if "branch" in fixed else base).properties)
        _check_properties(properties, fixed)
        if name:
            properties.set("filename", name, SUBMITTED)
        by = f" ({grant.label})" if grant.label else ""
        reason = f"submitted through {scheduler.name}{by}" + (f": {name}" if name else "")
        watches: list[Grant] = []

        def in_transaction(connection: Connection, submitted: SubmittedBuildset) -> None:
            grants.used(connection, grant.id, self._wall())
            # An uploader gets no answer in which a FURL could be.
            if not scheduler.file:
                watches.append(self._add_watch(connection, submitted))

        def committed() -> None:
            self._limits.spent(grant)
            for watch in watches[-1:]:
                self._grants.recorded(watch, made_with=grant.id)

        return await self._ask(
            scheduler,
            properties,
            reason=reason,
            input=None if kept is None else self._adding_input(kept, given.kind, name),
            by_grant=grant.id,
            in_transaction=in_transaction,
            committed=committed,
        )

    def applies_patches(self, scheduler: Submit) -> bool:
        """
        Whether a builder of *scheduler* has a step that applies a submitted patch.
        """
        builders = self._generations.config.builders
        found = [builders[name] for name in scheduler.builder_names if name in builders]
        return any(step.recipe.cls.applies_patch for builder in found for step in builder.steps)

    async def watch_furl(self, submitted: SubmittedBuildset) -> str:
        """
        A FURL with which *submitted* can be watched.
        """
        object_, name = _watched(submitted)
        by_grant = submitted.buildset.by_grant
        return self._furls.furl(await self._grants.ensure(WATCH, object_, name=name, made_with=by_grant))

    async def cancel(self, submitted: SubmittedBuildset, reason: str) -> None:
        """
        End the requests of *submitted* that have not ended.
        """
        await self.cancel_unfinished([request.id for request in submitted.requests], reason)

    async def cancel_request(self, request: int, reason: str) -> None:
        """
        End a request, whether it waits or is being built; `NotFoundError` when it does neither.
        """
        while not (await self._requests.cancel(request, reason) or await self._running.stop(request, reason)):
            # A request whose build could not be recorded is in the queue again.
            if request not in self._queue:
                break
        else:
            return
        raise NotFoundError(f"There is no request {request} that waits or runs.  See: buildbot-lite queue")

    def unfinished_with(self, grant: int) -> list[int]:
        """
        The unfinished requests that were submitted with the FURL of *grant*.
        """
        waiting = [each.request.id for each in self._queue.waiting() if each.buildset.by_grant == grant]
        return sorted({*waiting, *self._running.requested_with(grant)})

    async def force(
        self,
        builder: str,
        properties: Mapping[str, Json],
        reason: str | None = None,
        *,
        by_grant: int | None = None,
        scheduler: str | None = None,
    ) -> SubmittedBuildset:
        """
        Request a build of *builder* for an admin, whose FURL is that of the grant *by_grant*.  *scheduler*: the name of
        the ForceScheduler; None: the first that has the builder.
        """
        config = self._generations.config
        if builder not in config.builders:
            known = ", ".join(sorted(config.builders)) or "none"
            raise NotFoundError(f"There is no builder {builder!r:.100}.  There are: {known}.")
        forcing = config.forced_by(builder, scheduler)
        if forcing is None:
            named = "no ForceScheduler" if scheduler is None else f"no ForceScheduler {scheduler!r:.80}"
            raise NotFoundError(f"{builder} may not be forced: {named} in master.cfg has it among its builderNames.")
        if own := sorted((OF_THE_BUILD & properties.keys()) - forcing.slave_choices):
            raise PropertyError(f"The build itself sets {', '.join(own)}: leave out that property.")
        forced = forcing.check(properties, reason)
        if forced.slave is not None and forced.slave not in config.builders[builder].slavenames:
            known = ", ".join(config.builders[builder].slavenames)
            raise InputError(f"{forced.slave!r:.80} is no slave of {builder}.  There are: {known}.")
        given = Properties()
        for build in forced.inherit:
            given.update(await self._forced_with(build), "Force")
        given.update(forced.properties, "Force")
        stamps: Mapping[str, Stamp] = forced.stamps
        if set(stamps) == {""}:
            # As properties they count more than those of the scheduler.
            given.update(stamps[""], "Force")
            stamps = {"": {}}
        slaves = None if forced.slave is None else [forced.slave]
        plain = slaves is None and set(stamps) == {""}
        return await self._ask(
            forcing,
            given,
            reason=forced.reason,
            builders=[builder],
            by_grant=by_grant,
            source=None if plain else source_of(_named(dict(stamps), given), slaves=slaves),
        )

    async def _forced_with(self, label: str) -> Mapping[str, Json]:
        """
        The properties with which the build *label*, "builder/number", was forced.
        """
        builder, _, number = label.rpartition("/")

        def read(connection: Connection) -> Mapping[str, Any] | None:
            build = builds.by_number(connection, builder, int(number))
            request = None if build is None else requests.get(connection, build.request)
            buildset = None if request is None else requests.buildset(connection, request.buildset)
            return None if buildset is None else buildset.properties

        found = await self._records.read(read)
        if found is None:
            raise NotFoundError(f"There is no build {label:.80}.")
        return {name: value for name, (value, origin) in found.items() if origin == "Force"}

    async def rebuild(self, build: Build, *, by_grant: int | None = None) -> SubmittedBuildset:
        """
        Request *build* again: the same sources at the revision that it built, the same properties, patch or file.
        """
        if build.builder not in self._generations.config.builders:
            raise NotFoundError(f"The builder {build.builder} is not in master.cfg any more.")

        found = await self._records.read(partial(_asked_for, build=build))
        if found is None:
            raise NotFoundError(f"The records no longer have the request of {build.builder}/{build.number}.")
        request, buildset, changes = found
        stamps = _at_revision(stamps_of(buildset.source), build.properties.get("got_revision", [None])[0])
        source = source_of(stamps, **_marks(buildset.source))
        return await self._requests.submit(
            NewBuildset(
                scheduler=buildset.scheduler,
                builders=[build.builder],
                reason=f"rebuild of {build.builder}/{build.number}",
                properties={name: (value, origin) for name, (value, origin) in buildset.properties.items()},
                source=source,
                input=buildset.input,
                priority=request.priority,
                by_grant=by_grant,
                changes=changes,
            )
        )

    async def cancel_unfinished(self, requests: Iterable[int], reason: str) -> None:
        for request in requests:
            # A request that has ended does not keep the others from being cancelled.
            with suppress(NotFoundError):
                await self.cancel_request(request, reason)

    async def waited_for_by(self, request: int) -> Sequence[Child]:
        """
        The unfinished requests that the build of *request* triggered, and those below them: `cancel_request` of
        *request* ends them too.
        """
        live = self._running.live().get(request)
        found: list[Child] = []
        for buildset in () if live is None else live.build.waits_for:
            read = partial(read_children, buildset=buildset, directory=self._streams)
            found += [child for child in await self._records.read(read) if child.result is None]
        below = [each for child in found for each in await self.waited_for_by(child.request)]
        return [*found, *below]

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
        async def ask() -> int:
            triggerable = self._generations.config.triggerables.get(scheduler)
            if triggerable is None:
                raise NotFoundError(f"There is no Triggerable {scheduler!r:.100} in master.cfg.")
            if is_untrusted(source) and not triggerable.forks:
                raise RefusedError(
                    f"The Triggerable {scheduler!r} takes no code from forks, and this build's is.  If it may, write "
                    "forks=True there."
                )
            given = Properties(dict(properties), "Trigger")
            if isinstance(triggerable, NightlyTriggerable):
                wanted = source_of(_named(_stamps(triggerable, source), given), **_marks(source))
                values = {name: (value, "Trigger") for name, value in properties.items()}
                await self._schedulers.call(scheduler, parent, wanted, values, input)
                return 0
            changes = [] if build is None else await self._records.read(partial(_built_by, build=build))
            submitted = await self._ask(
                triggerable,
                given,
                reason=triggerable.reason or "triggered",
                parent=parent,
                parent_build=build,
                source=source,
                input=input,
                changes=changes,
            )
            return submitted.buildset.id

        return Deferred.fromCoroutine(ask())

    def when_finished(self, buildset: int) -> Deferred[Result]:
        return self._requests.when_finished(buildset)

    def _fixed(self, scheduler: Submit) -> frozenset[str]:
        """
        The properties that the farm sets, so that a submitter's would have no effect.
        """
        config = self._generations.config
        builders = [config.builders[name] for name in scheduler.builder_names]
        slaves = [config.slaves[name] for builder in builders for name in builder.slavenames]
        return OF_THE_BUILD.union(
            config.properties,
            scheduler.properties,
            *(each.properties for each in builders),
            *(each.properties for each in slaves),
        )

    async def _ask(
        self,
        scheduler: BaseScheduler,
        given: Properties,
        *,
        reason: str,
        builders: Sequence[str] | None = None,
        source: Mapping[str, Json] | None = None,
        changes: Sequence[RecordedChange] = (),
        in_transaction: Callable[[Connection, SubmittedBuildset], object] | None = None,
        committed: Callable[[], None] = lambda: None,
        **more: Any,
    ) -> SubmittedBuildset:
        """
        Submit as *scheduler*, with the properties *given*.  *more*: fields of `NewBuildset`.
        """
        properties = given.only(SUBMITTED)
        properties.update(scheduler.properties, "Scheduler")
        properties.update_from(given.without(SUBMITTED))
        # Properties that name the sources override the inherited sources.
        named = properties if source is None else given
        stamps = _named(_stamps(scheduler, source or {}), named)
        views = [seen(each) for each in changes]
        if builders is None:
            builders = await builders_for(
                scheduler, self._generations.config, SchedulerView(properties, stamps, views), self._clock
            )
        wanted = NewBuildset(
            scheduler=scheduler.name,
            builders=builders,
            reason=reason,
            properties={name: (value, origin) for name, (value, origin) in properties.to_document().items()},
            priority=priority_for(scheduler, builders, views),
            source=source_of(stamps, untrusted=is_untrusted(source or {}), slaves=_slaves(scheduler, source or {})),
            changes=[each.id for each in changes],
            **more,
        )
        return await self._requests.submit(wanted, in_transaction=in_transaction, committed=committed)

    def _add_watch(self, connection: Connection, submitted: SubmittedBuildset) -> Grant:
        object_, name = _watched(submitted)
        minted, now = self._grants.mint(), self._wall()
        return grants.add(connection, name=name, verb=WATCH, object=object_, minted=minted, now=now)

    def _adding_input(self, kept: InputFile, kind: str, name: str) -> Callable[[Connection], int]:
        now = self._wall()

        def note(connection: Connection) -> int:
            row = inputs.add(connection, name=name[:200], kind=kind, length=kept.length, sha256=kept.sha256, now=now)
            return row.id

        return note


def _asked_for(connection: Connection, build: Build) -> tuple[Request, Buildset, Sequence[int]] | None:
    request = requests.get(connection, build.request)
    buildset = None if request is None else requests.buildset(connection, request.buildset)
    if request is None or buildset is None:
        return None
    return request, buildset, [each.id for each in records_of_changes.of_buildset(connection, buildset.id)]


def _built_by(connection: Connection, build: int) -> list[RecordedChange]:
    row = builds.get(connection, build)
    request = None if row is None else requests.get(connection, row.request)
    return [] if request is None else records_of_changes.of_buildset(connection, request.buildset)


def _stamps(scheduler: BaseScheduler, source: Mapping[str, Json]) -> dict[str, Stamp]:
    """
    The stamps of *source* that *scheduler* builds; what they do not say is as its ``codebases`` say.
    """
    stamps = stamps_of(source)
    if not scheduler.has_codebases:
        return stamps
    return {
        codebase: {**default, **{name: value for name, value in stamps.get(codebase, {}).items() if value is not None}}
        for codebase, default in scheduler.codebases.items()
    }


def _marks(source: Mapping[str, Json]) -> dict[str, Any]:
    return {"untrusted": is_untrusted(source), "slaves": slaves_of(source)}


def _named(stamps: dict[str, Stamp], named: Properties) -> dict[str, Stamp]:
    if len(stamps) != 1:
        return stamps
    ((codebase, stamp),) = stamps.items()
    return {codebase: {**stamp, **{name: named.get(name) for name in FIELDS if name in named}}}


def _slaves(scheduler: BaseScheduler, source: Mapping[str, Json]) -> Sequence[str] | None:
    if is_untrusted(source) and scheduler.fork_slaves is not None:
        return scheduler.fork_slaves
    return slaves_of(source)


def _at_revision(stamps: Mapping[str, Stamp], got: Json) -> dict[str, Stamp]:
    """
    *stamps* at the revisions that a build *got*: a text, or a dictionary by codebase.
    """
    revisions = got if isinstance(got, dict) else dict.fromkeys(stamps, got) if len(stamps) == 1 else {}
    return {
        codebase: {**stamp, "revision": revisions[codebase]} if isinstance(revisions.get(codebase), str) else stamp
        for codebase, stamp in stamps.items()
    }


def _check_properties(given: Properties, fixed: Container[str]) -> None:
    """
    `InputError` when a submitter sets a property that is *fixed* by the farm.
    """
    for name in given:
        if name in fixed:
            raise InputError(f"The property {name} is set by the farm; a submission cannot set it.")


def check_configured(generations: Generations, grant: Grant) -> None:
    """
    `RevokedError` when *grant* submits to a scheduler that is not in the configuration in force.
    """
    if grant.verb == SUBMIT:
        scheduler_of(generations.config, grant)


def scheduler_of(config: MasterConfig, grant: Grant) -> Submit:
    """
    The scheduler to which *grant* submits; `RevokedError` when *config* has none of that name.
    """
    scheduler = config.submits.get(grant.object)
    if scheduler is None:
        raise RevokedError(f"{grant.object} is not in master.cfg any more.  Ask the farm's admin for another string.")
    return scheduler


def _watched(submitted: SubmittedBuildset) -> tuple[str, str]:
    """
    The object and the name of the grant that watches *submitted*.
    """
    return str(submitted.buildset.id), f"request-{submitted.requests[0].id}"
