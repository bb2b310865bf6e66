"""
Submission: requests made for the holders of submit FURLs.
"""

from collections.abc import Callable, Container, Mapping
from functools import partial

from attrs import evolve, field, frozen

from ...errors import (
    InputError,
    RevokedError,
)
from ...model.patch_base import PatchBase
from ...model.properties import (
    OF_THE_BUILD,
    SUBMITTED,
    Json,
    Properties,
)
from ...storage.inputs import InputFile, InputStore
from ...storage.records import inputs
from ...storage.records.grants import Grant
from ...storage.records.requests import (
    SubmittedBuildset,
)
from ...storage.roles import Records
from ..builds.streams import InThread
from ..config.generations import Generations
from ..config.master_config import MasterConfig
from ..config.submit_scheduler import SKIPPED, Examination, Submit
from ..grants.publisher import FurlPublisher
from ..grants.registry import GrantRegistry
from ..grants.verbs import SUBMIT, WATCH
from .buildset_composer import BuildsetComposer
from .request_canceller import RequestCanceller
from .submission_record import SubmissionRecord, watched
from .submit_limits import Admission, SubmitLimits


@frozen
class SubmissionInput:
    """
    The input of a submission: its *kind*, one of `Submit.input_kinds`, and the submitter's *name* for it.

    *kept*: the stored file, for a patch or an upload; an input of *properties* is not stored.  *options*: for a
    scheduler that examines it.
    """

    kind: str = "none"
    name: str = ""
    kept: InputFile | None = None
    properties: Properties = field(factory=Properties)
    options: Mapping[str, Json] = field(factory=dict)


NO_INPUT = SubmissionInput()


class Submissions:
    """
    Makes requests, by the Submit schedulers in master.cfg.  *wall*: seconds since 1970.
    """

    def __init__(
        self,
        *,
        generations: Generations,
        composer: BuildsetComposer,
        canceller: RequestCanceller,
        grants: GrantRegistry,
        limits: SubmitLimits,
        records: Records,
        furls: FurlPublisher,
        inputs: InputStore,
        in_thread: InThread,
        wall: Callable[[], float],
    ) -> None:
        self._generations = generations
        self._composer = composer
        self._canceller = canceller
        self._grants = grants
        self._limits = limits
        self._records = records
        self._furls = furls
        self._inputs = inputs
        self._in_thread = in_thread
        self._wall = wall

    def scheduler(self, grant: int) -> Submit:
        """
        The scheduler to which the FURL of *grant* submits now; `RevokedError` when there is none any more.
        """
        return scheduler_of(self._generations.config, self._grants.in_force(grant))

    def admit(self, grant: int) -> Admission:
        """
        The permission to submit now with the FURL of *grant*; `RefusedError` says why there is none, and until when.
        """
        scheduler = self.scheduler(grant)
        with_input = scheduler.input_kinds != [NO_INPUT.kind]
        return self._limits.admit(grant, scheduler.most_requests, with_input=with_input)

    async def submit(
        self,
        admission: Admission,
        given: SubmissionInput,
        base: PatchBase | None = None,
        *,
        watched: bool = True,
    ) -> SubmittedBuildset:
        """
        Record the requests that *admission* permits, with the input *given*.  *base*: the sources to which a patch
        applies.  Its branch is ignored where the farm sets another, because the revision is sufficient.  *watched*:
        the submitter gets a FURL to watch it.
        """
        scheduler, examined = await self._examined(admission.grant.id, given)
        grant = self._grants.in_force(admission.grant.id)
        by = f" ({grant.label})" if grant.label else ""
        title = given.name if examined is None else examined.title
        name = f": {title}" if title else ""
        properties = self._properties(scheduler, given, base)
        if examined is not None:
            properties.update({**examined.properties, SKIPPED: dict(examined.skipped)}, scheduler.kind)
        kept = given.kept if examined is None or examined.keeps_file else None
        record = SubmissionRecord(
            grant=grant, examined=examined, watched=watched, grants=self._grants, limits=self._limits, wall=self._wall
        )
        submitted = await self._composer.submit(
            scheduler,
            properties,
            builders=None if examined is None else examined.builders,
            priority=None if examined is None else examined.priority,
            recorded_as="" if examined is None else examined.recorded_as,
            reason=f"submitted through {scheduler.name}{by}{name}",
            input=None if kept is None else inputs.adding(kept, given.kind, given.name, self._wall()),
            by_grant=grant.id,
            in_transaction=record.in_transaction,
            committed=record.committed,
        )
        return record.titled(submitted)

    async def _examined(self, grant: int, given: SubmissionInput) -> tuple[Submit, Examination | None]:
        """
        The scheduler to which *grant* submits, and its examination of the file *given*, if it examines files.
        """
        scheduler = self.scheduler(grant)
        while True:
            if given.kind not in scheduler.input_kinds:
                raise InputError(f"The settings of {scheduler.name} changed during this submission.  Submit again.")
            if not scheduler.examines or given.kept is None:
                if given.options:
                    raise InputError(f"{scheduler.name} takes no options.")
                return scheduler, None
            path = self._inputs.path(given.kept.sha256)
            options = await self._records.read(partial(scheduler.resolve, options=given.options, grant=grant))
            examined: Examination = await self._in_thread(partial(_examine, scheduler, path, options))
            # The configuration or the grant may have changed meanwhile; another scheduler may have other builders.
            before, scheduler = scheduler, self.scheduler(grant)
            if scheduler is before:
                return scheduler, examined

    def _properties(self, scheduler: Submit, given: SubmissionInput, base: PatchBase | None) -> Properties:
        properties, fixed = given.properties.copy(), self._fixed(scheduler)
        if base is not None:
            properties.update_from((evolve(base, branch=None) if "branch" in fixed else base).properties)
        _check_properties(properties, fixed)
        if given.name:
            properties.set("filename", given.name, SUBMITTED)
        return properties

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
        object_, name = watched(submitted)
        by_grant = submitted.buildset.by_grant
        return self._furls.furl(await self._grants.ensure(WATCH, object_, name=name, made_with=by_grant))

    async def cancel(self, submitted: SubmittedBuildset, reason: str) -> None:
        """
        End the requests of *submitted* that have not ended.
        """
        await self._canceller.cancel_unfinished([request.id for request in submitted.requests], reason)

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


def _examine(scheduler: Submit, path: str, options: Mapping[str, Json]) -> Examination:
    with open(path, "rb") as file:
        return scheduler.examine(file, options)


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
