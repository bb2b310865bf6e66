"""
Retention: removing old logs, artifacts, builds and inputs, as ``c['retention']`` says.

::

    logs, artifacts:  rows removed, and the directories noted ──► directories removed ──► the note removed
    builds:           as above, with all their rows ──► buildsets without builds ──► inputs without buildsets

A crash in between leaves the note, and the next run goes on from it; so no row ever names a file that was removed.
Each transaction changes few rows, so that builds write in between.  A build with a mark, an unfinished build and what
it needs, the newest build of each builder, and what a `RetentionHolder` holds stay.
"""

import os
import shutil
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from functools import partial

from sqlalchemy import Connection
from twisted.logger import Logger

from ..errors import FileError
from ..model.names import directory_name
from ..storage.inputs import InputStore
from ..storage.records import removal, retention, states
from ..storage.records.retention import OldBuild, RetentionHolder, not_held, slices
from ..storage.roles import Records
from .builds.streams import StreamStorage, streams_directory
from .config.retention import DAY, RetentionPolicies

ROWS_AT_ONCE = 300
"""Rows that one transaction removes; a build with more of them loses them before it is removed."""
MOST_LEFT = 100
"""Directories that cannot be removed, after which a run removes no more rows: something is wrong with the disk."""
PAGES_AT_ONCE = 500
"""Pages of the database file that one transaction gives back."""
INPUTS_AT_ONCE = 100
LEAST_AGE_OF_INPUT = DAY


class RetentionRun:
    """
    Applies *policies* once.  *holders*: additions of higher packages.  *now*: from when ages count, in seconds since
    1970.
    """

    _log = Logger()

    def __init__(
        self,
        policies: RetentionPolicies,
        *,
        records: Records,
        stream_storage: StreamStorage,
        inputs: InputStore,
        holders: Iterable[RetentionHolder],
        now: float,
    ) -> None:
        self._policies = policies
        self._records = records
        self._storage = stream_storage
        self._inputs = inputs
        self._holders = tuple(holders)
        self._told: set[str] = set()
        self._now = now
        # The latest beginning of the builds that were looked at so far, oldest first.
        self._latest = 0.0

    async def run(self) -> None:
        """
        Remove everything that is old enough.
        """
        await self._remove_noted()
        await self._drop_files("log", self._too_old_log(await self._log_bounds()))
        await self._drop_files("artifact", self._too_old_artifact)
        await self._drop_builds()
        await self._drop_buildsets()
        await self._drop_inputs()
        while await self._records.write(partial(removal.give_back, pages=PAGES_AT_ONCE)):
            pass

    # Files.

    async def _log_bounds(self) -> dict[tuple[str, ...], int]:
        """
        For each policy (by its builders) whose logs are too large together: the newest build that loses its logs.
        """
        totals: Counter[tuple[str, ...]] = Counter()
        bounds: dict[tuple[str, ...], int] = {}
        before: int | None = None
        while page := await self._records.read(partial(retention.log_sizes, before=before)):
            for build, builder, length in page:
                policy = self._policies.of(builder)
                totals[policy.builders] += length
                if policy.log_bytes is not None and totals[policy.builders] > policy.log_bytes:
                    bounds.setdefault(policy.builders, build)
            before = page[-1][0]
        return bounds

    def _too_old_log(self, bounds: dict[tuple[str, ...], int]) -> Callable[[OldBuild], bool]:
        def too_old(build: OldBuild) -> bool:
            policy = self._policies.of(build.builder)
            ended = self._ended(build)
            aged = policy.log_age is not None and ended < self._now - policy.log_age
            return aged or build.id <= bounds.get(policy.builders, 0)

        return too_old

    def _too_old_artifact(self, build: OldBuild) -> bool:
        age, ended = self._policies.of(build.builder).artifact_age, self._ended(build)
        return age is not None and ended < self._now - age

    def _ended(self, build: OldBuild) -> float:
        """
        When *build* ended.  If a clock that was behind says otherwise, it ended after the builds before it had begun.
        A beginning that is still to come, by a clock that was ahead, says nothing about later builds.
        """
        if build.started <= self._now:
            self._latest = max(self._latest, build.started)
        return max(build.finished, self._latest)

    async def _drop_files(self, kind: str, too_old: Callable[[OldBuild], bool]) -> None:
        after, self._latest = 0, 0.0
        while page := await self._records.read(partial(retention.with_files, kind=kind, after=after)):
            after = page[-1].id
            old = [build for build in page if too_old(build) and not build.kept]
            for some in slices(old, lambda build: build.rows, ROWS_AT_ONCE):
                await self._drop(some, partial(removal.drop_files, kind=kind), [kind])

    async def _drop(
        self, builds: Sequence[OldBuild], drop: Callable[[Connection, int], object], kinds: Iterable[str]
    ) -> None:
        """
        Remove the rows of those *builds* that nothing holds, note the directories of their files of these *kinds*, and
        remove those.
        """

        def change(connection: Connection) -> None:
            # In this transaction: what a holder needs from now on is recorded before or after it.
            removable = not_held(connection, builds, self._holders)
            if not removable:
                return
            state = states.get(connection, retention.OWNER) or {}
            for kind in kinds:
                state[kind] = [*state.get(kind, ()), *(_directory(build, kind) for build in removable)]
            if "log" in kinds:
                state["logs_up_to"] = max(state.get("logs_up_to", 0), removable[-1].id)
            for build in removable:
                drop(connection, build.id)
            states.put(connection, retention.OWNER, state, self._now)

        await self._records.write(change)
        await self._remove_noted()

    async def _remove_noted(self) -> None:
        """
        Remove the directories that the state names.  Those that cannot be removed stay there, for the next run;
        `FileError` when there are many.
        """
        state = await self._records.read(lambda connection: states.get(connection, retention.OWNER)) or {}
        noted: dict[str, list[str]] = {kind: state.pop(kind, []) for kind in ("log", "artifact")}
        if not any(noted.values()):
            return
        roots = {"log": self._storage.streams, "artifact": self._storage.artifacts}
        places = [(kind, each, os.path.join(roots[kind], each)) for kind, names in noted.items() for each in names]
        failed = await self._storage.in_thread(partial(_remove_directories, [path for _, _, path in places]))
        for kind, each, path in places:
            if path in failed:
                state.setdefault(kind, []).append(each)
        await self._records.write(lambda connection: states.put(connection, retention.OWNER, state, self._now))
        for path, why in failed.items():
            if path not in self._told:
                self._log.error("{path} cannot be removed: {why}", path=path, why=why)
        self._told |= set(failed)
        if len(failed) > MOST_LEFT:
            raise FileError(f"{len(failed)} directories of old builds cannot be removed, such as {next(iter(failed))}.")

    # Records.

    async def _drop_builds(self) -> None:
        after, self._latest = 0, 0.0
        newest = await self._records.read(retention.newest_numbers)

        def too_old(build: OldBuild) -> bool:
            policy = self._policies.of(build.builder)
            ended = self._ended(build)
            aged = policy.build_age is not None and ended < self._now - policy.build_age
            most = policy.most_builds
            return aged or (most is not None and build.number <= newest.get(build.builder, 0) - most)

        while page := await self._records.read(partial(retention.finished, after=after)):
            after = page[-1].id
            old = [build for build in page if too_old(build) and not build.kept]
            for some in slices(old, lambda build: build.rows, ROWS_AT_ONCE):
                for build in some:
                    if build.rows > ROWS_AT_ONCE:
                        await self._drop_rows(build)
                await self._drop(some, removal.drop_build, ("log", "artifact"))

    async def _drop_rows(self, build: OldBuild) -> None:
        """
        Remove most rows of a large build before the build.
        """

        def change(connection: Connection) -> int:
            if not not_held(connection, [build], self._holders):
                return 0
            return removal.drop_rows(connection, build.id, ROWS_AT_ONCE)

        while await self._records.write(change) == ROWS_AT_ONCE:
            pass

    async def _drop_buildsets(self) -> None:
        ages = [policy.build_age for policy in self._policies.policies] or [self._policies.of("").build_age]
        known_ages = [age for age in ages if age is not None]
        if not known_ages:
            return
        before, after = self._now - max(known_ages), 0
        while page := await self._records.read(partial(retention.buildsets_without_builds, after=after, before=before)):
            after = page[-1]
            for first in range(0, len(page), INPUTS_AT_ONCE):
                await self._each(page[first : first + INPUTS_AT_ONCE], removal.drop_buildset)

    async def _drop_inputs(self) -> None:
        before = self._now - LEAST_AGE_OF_INPUT
        unused = await self._records.read(partial(retention.unused_inputs, before=before))
        for first in range(0, len(unused), INPUTS_AT_ONCE):
            await self._each(unused[first : first + INPUTS_AT_ONCE], removal.drop_input)
        needed = await self._records.read(retention.input_sums)
        # In this thread, like the arrival of an input: one that arrives again is new, and stays.
        self._inputs.discard_all_but(needed, before)

    async def _each(self, ids: Sequence[int], drop: Callable[[Connection, int], object]) -> None:
        def change(connection: Connection) -> None:
            for id in ids:
                drop(connection, id)

        await self._records.write(change)


def _directory(build: OldBuild, kind: str) -> str:
    if kind == "log":
        return streams_directory(build.id)
    return f"{directory_name(build.builder)}/{build.number}"


def _remove_directories(paths: Iterable[str]) -> dict[str, str]:
    """
    Remove *paths*; returns those that are still there, and why.  Where a link is, the link is removed.
    """
    failed: dict[str, str] = {}
    for path in paths:
        try:
            if os.path.islink(path):
                os.unlink(path)
            else:
                shutil.rmtree(path, onerror=_unless_gone)
        except FileNotFoundError:
            continue
        except OSError as error:
            failed[path] = error.strerror or str(error)
    return failed


def _unless_gone(function: object, path: str, caught: tuple[type[BaseException], BaseException, object]) -> None:
    # A file that vanishes meanwhile, as one that is being compressed does, must not keep the others.
    if not isinstance(caught[1], FileNotFoundError):
        raise caught[1]
