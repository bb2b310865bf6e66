"""
The repositories of all targets of a running master, as jobs meet them.
"""

import os
from collections.abc import Collection
from functools import partial
from pathlib import Path
from threading import Event

from attrs import frozen
from sqlalchemy import Connection

from ...errors import InputError, RefusedError
from ...master.farm import Farm
from ...storage.records import inputs, requests
from ..built_packages import built_packages
from ..job_records import Job
from ..joined_builds import joined
from ..results import JobResults
from ..source_package import DEB, SourcePackage
from ..submitted_package import examine
from ..targets import Target
from .debian_metadata import DebianMetadata
from .repository import Metadata, PackageRepository
from .rpm_metadata import RpmMetadata
from .snapshots import BUILD, PUBLIC

INSTALLERS = ".udeb"
"""Packages for the installer of Debian, which are in no index that apt reads."""


class TargetRepositories:
    """
    Those of *farm*: an extension of it.
    """

    name = "repositories of packages"

    def __init__(self, farm: Farm) -> None:
        self._farm = farm
        self._unwanted = Event()

    async def start(self) -> None:
        """
        Remove what a master that was killed has left half-made.
        """
        for target in self._farm.config.extension("targets"):
            if target.repository:
                await self._farm.in_thread(self.repository(target).start)

    def stop(self) -> None:
        """
        End the programs that run; a snapshot that is being made is removed at the next start.
        """
        self._unwanted.set()

    def of(self, target: Target) -> "UnsignedRepository | None":
        """
        The repositories of *target*, to which packages are added without signatures; None: it has none.
        """
        if not target.repository:
            return None
        return UnsignedRepository(self._farm, target, self.repository(target))

    def repository(self, target: Target) -> PackageRepository:
        """
        The snapshots of *target*; `RefusedError` when it has no repository.
        """
        if not target.repository:
            raise RefusedError(f'{target.name} has no repository: give it one, like repository="repos/{target.name}".')
        place = os.path.join(self._farm.basedir, target.repository)
        return PackageRepository(place, metadata_of(target), now=self._farm.wall, unwanted=self._unwanted)


@frozen
class UnsignedRepository:
    """
    The role `TargetRepository`, for a *target* that nobody signs.
    """

    farm: Farm
    target: Target
    repository: PackageRepository

    async def enter(self, job: Job, results: JobResults) -> None:
        file = await self.farm.records.read(partial(_input_of, buildset=job.buildset))
        path = self.farm.inputs.path(file)
        await self.farm.in_thread(partial(self._enter, path, results))

    async def needs_signature(self, job: Job) -> bool:
        return False

    async def publish(self, job: Job, results: JobResults) -> None:
        names = {file.name for file in results.packages if not file.name.endswith(INSTALLERS)}
        await self.farm.in_thread(partial(self._publish, names))

    async def announce(self, job: Job) -> None:
        pass

    def _enter(self, submitted: str, results: JobResults) -> None:
        with open(submitted, "rb") as file:
            source = examine(file).package
        self.repository.add(BUILD, checked_packages(source, self.target.suffix, results))

    def _publish(self, names: Collection[str]) -> None:
        # As they are in *build*, so that they take room once.
        entered = self.repository.package_paths(BUILD)
        if missing := sorted(names - entered.keys()):
            raise InputError(f"{missing[0]} is not in the repository for builds.")
        self.repository.add(PUBLIC, [entered[name] for name in names])


def metadata_of(target: Target) -> Metadata:
    """
    The metadata of the repositories of *target*.
    """
    if target.family == DEB:
        return DebianMetadata(target.name, list(target.builders))
    return RpmMetadata()


def checked_packages(source: SourcePackage, suffix: str, results: JobResults) -> list[str]:
    """
    The paths of the packages of *results*, of a job that built *source*, each once.  *suffix*: of the target.
    `InputError` when there is one that such a build does not make.
    """
    top = Path(results.directory)
    arches = dict.fromkeys(file.architecture for file in results.files)
    builds = {arch: built_packages(top / arch, source, arch, suffix) for arch in arches}
    return [str(package.path) for package in joined(builds) if package.path.suffix != INSTALLERS]


def _input_of(connection: Connection, buildset: int) -> str:
    found = requests.buildset(connection, buildset)
    stored = inputs.get(connection, found.input) if found is not None and found.input is not None else None
    if stored is None:
        raise InputError("The source package of the job is not stored any more.  Submit it again.")
    return stored.sha256
