"""
Builds that an admin requests: forced ones, by a ForceScheduler of master.cfg, and repetitions of earlier builds.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from sqlalchemy import Connection

from ...errors import NotFoundError, WrongValuesError
from ...model.properties import (
    OF_ONE_SUBMISSION,
    Json,
    Properties,
)
from ...model.source_stamps import Stamp, source_of, stamps_of, with_patch
from ...model.suggestions import there_is_no
from ...storage.inputs import InputFile, InputStore
from ...storage.records import builds, buildsets, inputs, requests
from ...storage.records import changes as records_of_changes
from ...storage.records.builds import Build
from ...storage.records.buildsets import Buildset
from ...storage.records.requests import Request, SubmittedBuildset
from ...storage.roles import Records
from ..builds.streams import InThread
from ..config.force_scheduler import ForceScheduler
from ..config.generations import Generations
from .buildset_composer import BuildsetComposer, marks_of, with_properties
from .new_buildset import NewBuildset
from .requests import Requests


class Forcing:
    """
    Requests builds for admins.
    """

    def __init__(
        self,
        *,
        records: Records,
        generations: Generations,
        requests: Requests,
        composer: BuildsetComposer,
        inputs: InputStore,
        in_thread: InThread,
        wall: Callable[[], float],
    ) -> None:
        self._records = records
        self._generations = generations
        self._requests = requests
        self._composer = composer
        self._inputs = inputs
        self._in_thread = in_thread
        self._wall = wall

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
        Request a build of *builder* for an admin, whose FURL is that of the grant *by_grant*.

        *properties*: the values of the scheduler's parameters.  *scheduler*: the name of the ForceScheduler; None for
        the first that has the builder.  `NotFoundError` when there is no such builder or scheduler, `WrongValuesError`
        with all values that the scheduler does not take.
        """
        forcing = self._scheduler(builder, scheduler)
        forced = forcing.check(properties, reason, builder, self._generations.config.builders[builder].slavenames)
        given = Properties()
        for name, build in forced.inherit.items():
            given.update(await self._forced_with(build, name), "Force")
        given.update(forced.properties, "Force")
        stamps: Mapping[str, Stamp] = forced.stamps
        if set(stamps) == {""}:
            # As properties they count more than those of the scheduler.
            given.update(stamps[""], "Force")
            stamps = {"": {}}
        slaves = None if forced.slave is None else [forced.slave]
        patch, added = forced.patch, None
        if patch is not None:
            stored = await self._in_thread(partial(self._stored, patch.body))
            added = inputs.adding(stored, "patch", f"patch{patch.author and ' by '}{patch.author}", self._wall())
            noted = with_patch(stamps.get(patch.codebase, {}), patch.place, patch.author, patch.comment)
            stamps = {**stamps, patch.codebase: noted}
        plain = slaves is None and not any(stamps.values()) and set(stamps) == {""}
        return await self._composer.submit(
            forcing,
            given,
            reason=forced.reason,
            builders=[builder],
            by_grant=by_grant,
            input=added,
            source=None if plain else source_of(with_properties(dict(stamps), given), slaves=slaves),
        )

    def _stored(self, body: bytes) -> InputFile:
        incoming = self._inputs.receive()
        incoming.write(body)
        return incoming.keep()

    def _scheduler(self, builder: str, name: str | None) -> ForceScheduler:
        config = self._generations.config
        if builder not in config.builders:
            raise NotFoundError(there_is_no("builder", builder, config.builders, see="buildbot-lite builders"))
        scheduler = config.forced_by(builder, name)
        if scheduler is None:
            known = [each.name for each in config.schedulers.values() if isinstance(each, ForceScheduler)]
            if name is not None and name not in known:
                raise NotFoundError(there_is_no("ForceScheduler", name, known, see="buildbot-lite schedulers"))
            subject = "no ForceScheduler in master.cfg has" if name is None else f"{name} does not have"
            raise NotFoundError(f"{builder} may not be forced: {subject} it among its builderNames.")
        return scheduler

    async def _forced_with(self, label: str, name: str) -> Mapping[str, Json]:
        """
        The properties with which the build *label*, "builder/number", was forced, which is the value called *name*.
        """
        builder, _, number = label.rpartition("/")

        def read(connection: Connection) -> Mapping[str, Any] | None:
            build = builds.by_number(connection, builder, int(number))
            request = None if build is None else requests.get(connection, build.request)
            buildset = None if request is None else buildsets.get(connection, request.buildset)
            return None if buildset is None else buildset.properties

        properties = await self._records.read(read)
        if properties is None:
            raise WrongValuesError(problems=[(name, f"There is no build {label:.80}.")])
        return {name: value for name, (value, origin) in properties.items() if origin == "Force"}

    async def rebuild(self, build: Build, *, by_grant: int | None = None) -> SubmittedBuildset:
        """
        Request *build* again: the same sources at the revision that it built, the same patch or file, and the same
        properties but for those that belong to one submission alone.
        """
        if build.builder not in self._generations.config.builders:
            raise NotFoundError(f"The builder {build.builder} is not in master.cfg any more.")

        original = await self._records.read(partial(_original, build=build))
        if original is None:
            raise NotFoundError(f"The records no longer have the request of {build.builder}/{build.number}.")
        request, buildset, changes = original
        stamps = _at_revision(stamps_of(buildset.source), build.properties.get("got_revision", [None])[0])
        return await self._requests.submit(
            NewBuildset(
                scheduler=buildset.scheduler,
                builders=[build.builder],
                reason=f"rebuild of {build.builder}/{build.number}",
                properties={
                    name: (value, origin)
                    for name, (value, origin) in buildset.properties.items()
                    if origin != OF_ONE_SUBMISSION
                },
                source=source_of(stamps, **marks_of(buildset.source)),
                input=buildset.input,
                priority=request.priority,
                by_grant=by_grant,
                changes=changes,
            )
        )


def _original(connection: Connection, build: Build) -> tuple[Request, Buildset, Sequence[int]] | None:
    """
    The request, the buildset and the changes of *build*; None when the records no longer have them.
    """
    request = requests.get(connection, build.request)
    buildset = None if request is None else buildsets.get(connection, request.buildset)
    if request is None or buildset is None:
        return None
    return request, buildset, [each.id for each in records_of_changes.of_buildset(connection, buildset.id)]


def _at_revision(stamps: Mapping[str, Stamp], got_revision: Json) -> dict[str, Stamp]:
    """
    *stamps* at the revisions that a build *got_revision*: a text, or a dictionary by codebase.
    """
    revisions = (
        got_revision
        if isinstance(got_revision, dict)
        else dict.fromkeys(stamps, got_revision)
        if len(stamps) == 1
        else {}
    )
    return {
        codebase: {**stamp, "revision": revisions[codebase]} if isinstance(revisions.get(codebase), str) else stamp
        for codebase, stamp in stamps.items()
    }
