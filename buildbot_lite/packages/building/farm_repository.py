"""
The repository of a target for its own builds, as the step *prepping* gives it to a slave.

::

    index ──► repositories/NAME ──► what does the package need of it? ──► these packages ──► installing, by the step

The master sends each build the index, and only those packages that the build needs.  The root reads both from its own
disk, so slaves need no web server of the farm.
"""

import os
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any
from urllib.parse import unquote

from attrs import frozen
from twisted.internet.threads import deferToThread

from ...errors import BuildbotLiteError
from ...master.steps.download_sources import MasterFile
from ...master.steps.outcomes import CommandFailedError, result_of
from ...master.steps.transfer import Transferring
from ...model.results import Result
from ...model.spec import Download
from ..repositories.debian_metadata import pin
from ..repositories.for_builds import MOST_SENT, REPOSITORIES, BuildRepository
from ..repositories.snapshots import BUILD
from . import debian_scripts
from .root import FILES

# "copy:", because with "file:" apt leaves packages where they are, and "--no-download" does not find them there.
_USE = """\
printf '%s' "$2" >/etc/apt/preferences.d/farm
echo "deb [trusted=yes] copy:/build/repositories/$1 $1 main" >/etc/apt/sources.list.d/farm.list
apt="apt-get --quiet --yes -o APT::Sandbox::User=root"
$apt -o Dir::Etc::sourcelist=sources.list.d/farm.list -o Dir::Etc::sourceparts=- -o APT::Get::List-Cleanup=0 update >&2
if [ ! -e wanted.txt ]; then
    $apt --print-uris build-dep ./in/*.dsc
    exit
fi
set -- --print-uris
TRY_SAME
""".replace("TRY_SAME", debian_scripts.TRY_SAME)
_NEEDED = re.compile(r"^'copy:/build/repositories/[^']*/(?P<name>[^'/]+)'", re.MULTILINE)
_NEEDED_RPM = re.compile(r"^needs the package (?P<name>[^/\s]+\.rpm)$", re.MULTILINE)

MOST_SHOWN = 50
"""Packages that a remark names."""
SNAPSHOT = "repository_snapshot"
"""The property of a build with the name of the snapshot of the farm's repository that its root was made with."""
SNAPSHOTS = "repository_snapshots_before"
"""The property of rebuilds: by builder, that of the first build."""


@frozen
class FarmRepository:
    """
    The repository that builds of the target *name* see.  *place*: the directory of the target's repositories, relative
    to the master's.  *packages*: the directory of package files in a tree.  *kind*: the repository, `BUILD` or
    `PUBLIC`.  *replaces*: the names of packages, and patterns of them, that win over the distribution's.
    """

    name: str
    place: str
    packages: str
    kind: str = BUILD
    replaces: Sequence[str] = ()

    @property
    def debian_use(self) -> Sequence[str]:
        """
        The script that lets apt in the root use the repository and prints which of its packages the source package
        needs; then the arguments of the script.
        """
        return (_USE, self.name, pin(self.name, self.replaces))


def needed_packages(output: str) -> frozenset[str]:
    """
    The file names of the farm's packages in the *output* of ``apt-get --print-uris``, which writes "+" as "%2b".
    """
    return frozenset(map(unquote, _NEEDED.findall(output)))


def needed_rpms(output: str) -> frozenset[str]:
    """
    The file names of the farm's packages in the *output* of rpm.sh that a build needs and does not have.
    """
    return frozenset(_NEEDED_RPM.findall(output))


class GettingRepository(Transferring):
    """
    The part of a step that gets the repository.
    """

    async def get_index(self, repository: FarmRepository) -> bool:
        """
        Put the index of *repository* on the slave; False when it has no packages yet.  A rebuild gets that of the first
        build if it is still there.
        """
        before = self.getProperty(SNAPSHOTS)
        earlier = before.get(str(self.getProperty("buildername"))) if isinstance(before, Mapping) else None
        index = await self._asked("looking at the repository", repository, lambda there: there.index(str(earlier)))
        if not index:
            return False
        await self._send("", index["path"], index["size"], index["sha256"], repository, unpack=True)
        # Builds that began with an earlier version have recorded none.
        self.setProperty(SNAPSHOT, str(index.get("snapshot", "")))
        return True

    async def get_names(self, repository: FarmRepository, sources: Sequence[str]) -> Sequence[str]:
        """
        The names of the packages in *repository* that are made of one of *sources*.
        """
        found = await self._asked("looking for packages of a chain", repository, lambda there: there.made_of(sources))
        return [str(name) for name in found]

    async def get_packages(
        self,
        repository: FarmRepository,
        names: Collection[str] | None,
        also: Callable[[], Collection[str]] = frozenset,
    ) -> None:
        """
        Put the packages of *repository* called *names*, or the latest version of each and those that *also* gives, on
        the slave.  *also* is called in a thread.
        """

        def question(there: BuildRepository) -> Mapping[str, Any]:
            packages, left_out = there.latest(also()) if names is None else (there.chosen(names), 0)
            return {"packages": dict(packages), "left_out": left_out}

        answer = await self._asked("choosing packages", repository, question)
        packages = answer["packages"]
        for name, (path, size, sha256) in packages.items():
            await self._send(f"/{repository.packages}/{name}", path, size, sha256, repository)
        if packages:
            shown = list(packages)[:MOST_SHOWN]
            more = f" and {len(packages) - MOST_SHOWN} more" if len(packages) > MOST_SHOWN else ""
            self.bench.remark(f"of the farm's own packages: {', '.join(shown)}{more}")
        if answer["left_out"]:
            self.bench.remark(
                f"without {answer['left_out']} packages of the farm, those that were added first: a build gets at most "
                f"{MOST_SENT}"
            )

    async def _asked(
        self, what: str, repository: FarmRepository, question: Callable[[BuildRepository], Mapping[str, Any]]
    ) -> Mapping[str, Any]:
        there = BuildRepository(
            os.path.join(self.bench.master_directory, repository.place), repository.packages, repository.kind
        )

        def answer() -> Any:
            try:
                return {"found": dict(question(there))}
            except BuildbotLiteError as error:
                return {"problem": str(error)}

        async def ask() -> Any:
            return await deferToThread(answer)

        # Recorded, so that a resumed build continues with the same packages.
        recorded: Any = await self.bench.record(what, repository.name, ask, repeatable=True)
        if "problem" in recorded:
            raise CommandFailedError(Result.EXCEPTION, recorded["problem"])
        found: Mapping[str, Any] = recorded["found"]
        return found

    async def _send(
        self, place: str, path: str, size: int, sha256: str, repository: FarmRepository, *, unpack: bool = False
    ) -> None:
        target = self.on_slave(f"{FILES}/{REPOSITORIES}/{repository.name}{place}")
        what = Download(target, "file", size, sha256, unpack=unpack)
        ran = await self.do(what, sources={"file": MasterFile(path)})
        result, summary = result_of(ran.outcome, self.slave_name)
        if result is not Result.SUCCESS:
            raise CommandFailedError(result, f"The packages of the farm could not be sent: {summary}")
