"""
Retention of results: results of jobs that ended without being published are removed two weeks later.

::

    the version's jobs:  one goes on, or a build has a mark ─────────────────────────► kept
                         one ended a short time ago ─────────────────────────────────► kept
                         one is finished at a target without a repository ───────────► kept
                         none is remembered ─────────────────────────────────────────► kept
    a package of it is in a repository, or in a snapshot that waits for signatures ──► kept
    everything else ─────────────────────────────────────────────────────────────────► removed

A directory is renamed before it is removed, so that nobody sees a part of it.
"""

import os
import shutil
from collections.abc import Callable, Collection, Iterable, Mapping
from contextlib import suppress
from typing import Any

from attrs import frozen
from sqlalchemy import Connection, bindparam, exists, or_, select

from ...storage import schema
from ...storage.statements import Query
from ..records.job_states import JobState
from ..records.results import GONE, TREE, packages_below, set_aside, version_directory

UNPUBLISHED_KEPT = 14 * 86400.0
"""Seconds after the end of the last job of a version for which unpublished results are kept."""
LOOKED_EVERY = 3600.0
"""Seconds between two checks of all results of a target."""

Place = tuple[str, str]
"""The name of a package, and the directory of its version."""


@frozen
class ResultNeed:
    """
    How long the job with the number *job* keeps the results of its version.  *built*: the version of the packages, if
    it is recorded; else it follows from that of the source.  *ended*: seconds since 1970; None: the job has not ended.
    *lasting*: the results are kept as long as the job is remembered.
    """

    job: int
    name: str
    version: str
    ended: float | None
    lasting: bool
    built: str | None = None

    def place(self, built_version: Callable[[str], str]) -> Place:
        """
        Where they are.  *built_version*: the version of packages that are made of a source, where it is not recorded.
        """
        return self.name, version_directory(self.built or built_version(self.version))


def _need(
    job: int, name: str, version: str, built: str | None, state: str, ended: float | None, history: str, marked: Any
) -> ResultNeed:
    # Whether the target had a repository when the job was built; master.cfg may have changed since.
    only_results = state == JobState.FINISHED.value and f'"{JobState.REPOWAIT.value}"' not in history
    return ResultNeed(job, name, version, ended, bool(marked) or only_results, built)


_jobs, _arches, _builds = schema.package_jobs, schema.package_job_arches, schema.builds
_NEEDS = Query(
    select(
        _jobs.c.id,
        _jobs.c.name,
        _jobs.c.version,
        _jobs.c.built_version,
        _jobs.c.state,
        _jobs.c.finished,
        _jobs.c.history,
        exists(
            select(_builds.c.id)
            .join(_arches, _arches.c.build == _builds.c.id)
            .where(_arches.c.job == _jobs.c.id, _builds.c.kept.is_not(None))
        ),
    ).where(
        _jobs.c.target == bindparam("target"),
        _jobs.c.scratch == 0,
        # What was refused before it was stored must not decide about results of other jobs of its version.
        or_(
            _jobs.c.state != JobState.FAILED.value,
            _jobs.c.history.contains(f'"{JobState.REPOWAIT.value}"'),
            # They were stored, and refused after the master that did it was killed.
            _jobs.c.built_version.is_not(None),
        ),
    ),
    _need,
)


def needs_of(connection: Connection, target: str) -> list[ResultNeed]:
    """
    The needs of all jobs of *target* that may have stored results, except scratch builds.
    """
    return _NEEDS.all(connection, target=target)


def unneeded(needs: Iterable[ResultNeed], built_version: Callable[[str], str], now: float) -> set[Place]:
    """
    The places that no job needs at the time *now*.  Places without a remembered job are kept.  *built_version*: the
    version of packages that are made of a source, where it is not recorded.
    """
    needed: dict[Place, bool] = {}
    for each in needs:
        place = each.place(built_version)
        recent = each.ended is None or each.ended > now - UNPUBLISHED_KEPT
        needed[place] = needed.get(place, False) or each.lasting or recent
    return {place for place, is_needed in needed.items() if not is_needed}


def remove_unpublished(basedir: str, target: str, places: Collection[Place], published: Collection[str]) -> list[Place]:
    """
    Remove the results of *target* in *places* of which no package is *published* (file names); returns the places that
    were removed.  Also removes the rest of directories that an earlier call removed in part.  Blocks.
    """
    top = os.path.join(basedir, TREE, target)
    removed = []
    for name, versions in _there(top).items():
        for version in versions:
            path = os.path.join(top, name, version)
            if version.startswith(GONE):
                shutil.rmtree(path, ignore_errors=True)
            elif (name, version) in places and packages_below(path).isdisjoint(published):
                shutil.rmtree(set_aside(path), ignore_errors=True)
                removed.append((name, version))
        with suppress(OSError):
            os.rmdir(os.path.join(top, name))  # empty: nothing of the package is kept
    return removed


def _there(top: str) -> Mapping[str, list[str]]:
    # The other directories, ".signing" and "+scratch", are no packages.
    names = [each for each in _directories(top) if each[:1].isalnum()]
    return {name: _directories(os.path.join(top, name)) for name in names}


def _directories(path: str) -> list[str]:
    """
    The names of the directories in *path*.  A file that somebody has put there is nothing of ours.
    """
    try:
        with os.scandir(path) as entries:
            return [each.name for each in entries if each.is_dir(follow_symlinks=False)]
    except FileNotFoundError:
        return []
