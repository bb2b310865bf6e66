"""
The repositories of all targets of a running master, in the role that jobs use.
"""

import os
from collections.abc import Collection, Mapping
from functools import partial
from threading import Event

from attrs import frozen
from twisted.logger import Logger

from ...errors import BuildbotLiteError, InputError, RefusedError
from ...master.farm import Farm
from ..formats.source_package import DEB
from ..keys.openpgp import armored_keys, read_public_keys
from ..records.jobs import Job
from ..records.results import JobResults
from ..repositories.debian_metadata import DebianMetadata
from ..repositories.metadata import Metadata
from ..repositories.repository import PackageRepository
from ..repositories.rpm_metadata import RpmMetadata
from ..repositories.snapshots import BUILD, PUBLIC
from ..targets.target import Target
from .checked_builds import checked_builds, submitted_file

MOST_VERSIONS = 3
"""Published versions of each package that stay in the repository for builds; *public* may have more."""
LARGEST_SERVED = 64 << 10
"""Bytes of the public keys of one target that the web process serves."""
INSTALLERS = ".udeb"
"""Packages for the installer of Debian, which are in no index that apt reads."""


class TargetRepositories:
    """
    The repositories of *farm*, as an extension of it.
    """

    name = "repositories of packages"
    _log = Logger()

    def __init__(self, farm: Farm) -> None:
        self._farm = farm
        self._unwanted = Event()

    async def start(self) -> None:
        """
        Remove incomplete snapshots that a killed master left.
        """
        for target in self._farm.config.extension("targets"):
            if target.repository:
                try:
                    await self._farm.in_thread(self.repository(target).start)
                except BuildbotLiteError as error:
                    # The next change of the repository removes them, too; until then its jobs wait with the reason.
                    self._log.warn("the repository of {target}: {why}", target=target.name, why=str(error))

    def stop(self) -> None:
        """
        End the running programs.  The next start removes incomplete snapshots.
        """
        self._unwanted.set()

    def published(self) -> Mapping[str, str]:
        """
        The directories of the repositories, by target; users see ``public`` in each.
        """
        targets: Collection[Target] = self._farm.config.extension("targets")
        return {
            target.name: os.path.abspath(os.path.join(self._farm.basedir, target.repository))
            for target in targets
            if target.repository
        }

    def keys(self) -> Mapping[str, str]:
        """
        The public keys of the targets that are signed, in ASCII armor, by target.  One that cannot be read now, or is
        larger than a page can offer, is missing, and the log says so.  Blocks.
        """
        found: dict[str, str] = {}
        targets: Collection[Target] = self._farm.config.extension("targets")
        for target in targets:
            if target.repository and target.signing.sign is not None:
                try:
                    key = self._key(target)
                except (BuildbotLiteError, OSError) as error:
                    self._log.warn("the key of {target} is not served: {why}", target=target.name, why=str(error))
                else:
                    found[target.name] = key
        return found

    def _key(self, target: Target) -> str:
        with open(os.path.join(self._farm.basedir, target.signing.key), "rb") as file:
            keyring = read_public_keys(file.read(LARGEST_SERVED + 1), target.signing.key)
        armored = armored_keys(keyring)
        if len(armored) > LARGEST_SERVED:
            raise InputError(f"{target.signing.key} has more than {LARGEST_SERVED} bytes.")
        return armored.decode("ascii")

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
        return PackageRepository(
            place, metadata_of(target), versions=target.versions, now=self._farm.wall, unwanted=self._unwanted
        )


@frozen
class UnsignedRepository:
    """
    The role `TargetRepository`, for a *target* without signatures.
    """

    farm: Farm
    target: Target
    repository: PackageRepository

    async def enter(self, job: Job, results: JobResults) -> None:
        await self.farm.in_thread(partial(self._enter, await submitted_file(self.farm, job), job.name, results))

    async def keep_only(self, waiting: Collection[str]) -> None:
        await self.farm.in_thread(partial(self._keep_only, waiting))

    async def shows(self, job: Job, results: JobResults) -> bool:
        kind = self.target.roots_from
        return kind is not None and await self.farm.in_thread(partial(self._shows, kind, _installable(results)))

    async def all_names(self) -> Collection[str]:
        names: Collection[str] = await self.farm.in_thread(self.repository.all_names)
        return names

    async def needs_signature(self, job: Job) -> bool:
        return False

    async def publish(self, job: Job, results: JobResults) -> Collection[int]:
        await self.farm.in_thread(partial(self._publish, _installable(results)))
        return (job.id,)

    async def announce(self, job: Job) -> None:
        pass

    def _enter(self, submitted: str, source: str, results: JobResults) -> None:
        # Checked again: the files may have been damaged since they were stored.
        builds = {each.architecture: os.path.join(results.directory, each.architecture) for each in results.files}
        packages = checked_builds(submitted, self.target.suffix, builds)
        paths = [str(each.path) for each in packages if each.path.suffix != INSTALLERS]
        self.repository.add(BUILD, paths, source)

    def _shows(self, kind: str, names: Collection[str]) -> bool:
        return self.repository.packages(kind).keys() >= set(names)

    def _keep_only(self, waiting: Collection[str]) -> None:
        public = self.repository.packages(PUBLIC)
        old = self.repository.superseded(BUILD, MOST_VERSIONS)
        leaving = [
            name
            for name in self.repository.packages(BUILD)
            if name not in waiting and (name not in public or name in old)
        ]
        if leaving:
            self.repository.remove(BUILD, leaving)

    def _publish(self, names: Collection[str]) -> None:
        # Linked from *build*, so that they take room only once.
        entered = self.repository.package_paths(BUILD)
        if missing := sorted(names - entered.keys()):
            raise InputError(f"{missing[0]} is not in the repository for builds.")
        self.repository.add(PUBLIC, [entered[name] for name in names])


def _installable(results: JobResults) -> set[str]:
    return {file.name for file in results.packages if not file.name.endswith(INSTALLERS)}


def metadata_of(target: Target) -> Metadata:
    """
    The metadata of the repositories of *target*.
    """
    if target.family == DEB:
        return DebianMetadata(target.name, list(target.builders))
    return RpmMetadata()
