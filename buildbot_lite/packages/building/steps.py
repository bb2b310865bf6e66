"""
The steps of a build of a package.  Their names are also the states of an architecture of a job.
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, ClassVar

from attrs import evolve

from ...master.steps import argument_checks as checks
from ...master.steps.argument import argument
from ...master.steps.context import CommandResult
from ...master.steps.more_transfers import MultipleFileUpload
from ...master.steps.outcomes import LONGEST_COMPLAINT, CommandFailedError, complaint_of, must_succeed
from ...master.steps.step import BuildStep
from ...master.steps.submitted import Unpack
from ...model import spec
from ...model.machines import ARCH, architectures_of
from ...model.outcome import Ending
from ...model.results import Result
from ..records.jobs import JOB_NUMBER
from . import debian_scripts
from .apt_complaint import apt_complaint
from .farm_repository import FarmRepository, GettingRepository, needed_packages
from .kept_roots import KEPT_FOR, kept_name
from .overlay import OVER_LIMIT
from .root import FILES, INCOMING, RESULTS, ROOT, Root
from .same_packages import GettingList

LONGEST_SILENCE = 3600.0
"""Seconds without output after which a command of a build is killed: the last link of a large program is silent."""

ROOTS = "root_architectures"
"""The property of builders that may build in the root of any of several architectures: their names."""
ROOT_ARCHITECTURE = "root_architecture"
"""The property of such builds: the architecture of the root, once it is chosen."""
ROOTS_BEFORE = "root_architectures_before"
"""The property of rebuilds: by builder, the `ROOT_ARCHITECTURE` of the earlier build."""

_WARNING = "warning: "
"""The first word of a line in which overlay.sh says what does not stop a build."""
_NOT_KEPT = "not kept: "
"""The first words of the line in which kept.sh says why it does not keep a root."""

ONLY_FILES = """\
if [ -L "$1" ] || [ ! -d "$1" ]; then echo "the build has replaced the directory of its results" >&2; exit 1; fi
find "$1" -mindepth 1 ! -type f -prune -exec rm -rf {} +
# Where the slave is root, the build may have made a program with the rights of root on the machine itself.
find "$1" -type f -perm /7000 -exec chmod a-st {} +
# The list of packages as it was before the build (overlay.sh).
# A link needs no room on a full disk.
if [ -f "$2/installed.txt" ]; then
    rm -f "$1/installed.txt"
    ln "$2/installed.txt" "$1/" 2>/dev/null || cp "$2/installed.txt" "$1/"
fi
"""
"""Leaves only what may be uploaded in the directory of the results, its first argument.  The second one: `ROOT`."""


# strerror(3) of ENOSPC and EDQUOT.  A package can print them, too, so they are no more than a reason to measure.
_FULL = ("No space left on device", "Disk quota exceeded")
# As overlay.sh, which ends a build that leaves less.
_LEAST_BYTES, _LEAST_FILES = 1 << 30, 10_000
# Runs outside of the root.
_ROOM = """\
set -- "$1" "$2" $(stat -f -c "%a %S %c %d" .)
if [ $(($3 * $4)) -lt "$1" ] || { [ "$5" != 0 ] && [ "$6" -lt "$2" ]; }; then echo full; fi
"""


class PackageStep(BuildStep):
    """
    A step with a *root*, for an *architecture*.

    Packages that are the same on every architecture may be built in the roots of several, which the property `ROOTS`
    names: then the step takes the first of them that the slave's property ``arch`` names, or that the slave's machine
    runs; in a rebuild, the one of the first build.
    """

    haltOnFailure = True
    root = argument(checks.anything, rendered=False)
    architecture = argument(checks.word, rendered=False)

    async def run(self) -> Result:
        try:
            await self._choose_architecture()
            await self.work()
        except CommandFailedError as error:
            await self._keep()
            return self.fail(error.sentence, error.result)
        return Result.SUCCESS

    async def _choose_architecture(self) -> None:
        possible: Any = self.getProperty(ROOTS)
        if not possible:
            return
        chosen = self.getProperty(ROOT_ARCHITECTURE)
        if chosen is None:
            named: Any = self.getProperty(ARCH)
            if not named:
                # The machine's own architecture comes first: its programs are the fastest.
                machine = await self.must(["uname", "-m"], "The slave does not say what machine it is")
                named = architectures_of(machine.output().strip())
            runs = [named] if isinstance(named, str) else list(named)
            before = self._root_before(possible)
            chosen = next((each for each in runs if each in (before or possible)), None)
            if chosen is None:
                needs = (
                    f"the first build had a root of {before[0]}: if another slave runs that, pause "
                    f"{self.slave_name} (buildbot-lite pause {self.slave_name}) and rebuild once more"
                    if before
                    else (f"the package needs a root of {' or '.join(possible)}")
                )
                raise CommandFailedError(
                    Result.FAILURE,
                    f"{self.slave_name} runs programs of {', '.join(map(str, runs))[:200]}, and {needs}.",
                )
            self.setProperty(ROOT_ARCHITECTURE, chosen)
        self.architecture = chosen

    def _root_before(self, possible: Collection[str]) -> Sequence[str]:
        """
        The architecture of the root of the build that this one is compared with, alone; empty: any will do.
        """
        roots: Any = self.getProperty(ROOTS_BEFORE)
        before: Any = roots.get(str(self.getProperty("buildername"))) if isinstance(roots, Mapping) else None
        return [before] if before in possible else []

    async def _keep(self) -> None:
        builder, number = str(self.getProperty("buildername")), self.getProperty("buildnumber")
        assert isinstance(number, int)
        words = self.root.keep(self.architecture, kept_name(builder, number))
        if words is None:
            return
        # A large root may be copied to another disk.
        kept = await self.execute(words, timeout=LONGEST_SILENCE, max_time=self.root.longest)
        refusals = [line for line in kept.end_of_output().splitlines() if line.startswith(_NOT_KEPT)]
        if refusals or kept.outcome.exit_code != 0:
            why = refusals[-1].removeprefix(_NOT_KEPT)[:LONGEST_COMPLAINT] if refusals else complaint_of(kept)
            self.bench.remark(f"the root is not kept: {why}")
        else:
            # Builds that an earlier version has begun have no number.
            job = self.getProperty(JOB_NUMBER) or "JOB"
            self.setProperty(KEPT_FOR, int(self.root.keep_failed))
            self.bench.remark(
                f"the root is kept on {self.slave_name} for some hours; to enter it: "
                f"buildbot-lite package shell {job} {self.architecture}; on that machine: "
                f"buildbot-lite package shell {builder} {number} --slave DIRECTORY"
            )

    async def work(self) -> None:
        """
        Do the work of the step; `CommandFailedError` when a command fails.
        """
        raise NotImplementedError

    async def must(
        self, words: Sequence[str], doing: str, complaint: Callable[[CommandResult], str] = complaint_of
    ) -> CommandResult:
        """
        Run *words* on the slave; `CommandFailedError` unless they succeed.  *doing*: what failed, for the sentence.
        *complaint*: the reason of the failure, from the output.
        """
        ran = await self.execute(words, timeout=LONGEST_SILENCE, max_time=self.root.longest)
        failed = ran.outcome.ending is Ending.EXITED and not ran.outcome.succeeded
        full = next((each for each in _FULL if each in ran.end_of_output()), "") if failed else ""
        is_full = full != "" and await self._is_full()

        def why(ran: CommandResult) -> str:
            if ran.outcome.exit_code == OVER_LIMIT and self.root.says_limits:
                return ran.end_of_output().rstrip().rpartition("\n")[2][:LONGEST_COMPLAINT]
            # Most programs end with the words of another one that failed: only that one says why, and further above.
            said = complaint(ran)
            if not full or full in said:
                return said
            return f"{self.slave_name} has no room left ({full}): {said}" if is_full else f"{said} (above it: {full})"

        return must_succeed(ran, doing, self.slave_name, why)

    async def _is_full(self) -> bool:
        """
        Whether the slave finds its disk full.
        """
        found = await self.execute(["/bin/sh", "-euc", _ROOM, "room", str(_LEAST_BYTES), str(_LEAST_FILES)])
        return found.outcome.succeeded and found.output() == "full\n"


NOT_INSTALLED = "What the package needs could not be installed"
LONGEST_LIST = 16 << 20
"""Bytes of a program's output in which names of packages are looked for."""

SINGLE_FILE = "single_file"
"""The property of builds whose source package was submitted as one file, with the file's name."""


BUILT_AFTER = "built_after"
"""The property of builds in a chain, with the names of the source packages before theirs."""


class Downloading(Unpack):
    """
    Puts the source package on the slave, into an empty directory.
    """

    name = "downloading"
    input = "file"
    slavedest = f"{FILES}/{INCOMING}"
    root = argument(checks.anything, rendered=False)

    async def run(self) -> Result:
        # A slave that died during a build has left the root of that build.
        claimed = await self.execute(self.root.claim())
        if claimed.outcome.exit_code != 0:
            return self.fail(f"{self.slave_name} cannot remove what an earlier build left: {complaint_of(claimed)}")
        return await super().run()

    def download(self, size: int, sha256: str) -> spec.Download:
        if name := self.getProperty(SINGLE_FILE):
            return spec.Download(self.on_slave(f"{self.slavedest}/{name}"), "input", size, sha256)
        return super().download(size, sha256)


class Prepping(GettingList, GettingRepository, PackageStep):
    """
    Prepares a root with everything installed that the build needs, also from the farm's own *repository*.  In a rebuild
    (`same`), the root gets the packages of the first build.
    """

    name = "prepping"
    repository = argument(checks.anything, default=None, rendered=False)
    tools: ClassVar[Sequence[str]] = ()
    """Packages that the root needs for builds of this family."""
    same = False

    async def work(self) -> None:
        await self.must(["mkdir", "-p", f"{FILES}/{RESULTS}"], "The directory of the results could not be made")
        for words in self.root.begin(self.architecture, self.tools):
            begun = await self.must(words, "The root could not be made")
            for line in begun.end_of_output().splitlines():
                if line.startswith(_WARNING):
                    self.bench.remark(line.removeprefix(_WARNING)[:LONGEST_COMPLAINT])
        self.same = await self.get_list()
        repository = self.repository if self.repository is not None and self.root.installs else None
        if repository is not None and not await self.get_index(repository):
            repository = None
        await self.install(repository)
        self.summary = f"root ready on {self.slave_name}"

    async def install(self, repository: FarmRepository | None) -> None:
        """
        Install what the build needs, with packages of *repository*, whose index is on the slave; None: there are none.
        `CommandFailedError`.
        """
        raise NotImplementedError


class DebianPrepping(Prepping):
    """
    Prepares the root for a source package of Debian.
    """

    async def install(self, repository: FarmRepository | None) -> None:
        if repository is not None:
            await self.get_packages(repository, await self._needed(repository))
        root: Root = self.root
        for script, words, network in root.debian_preparation(same=self.same):
            complaint = complaint_of if script in debian_scripts.INSTALLING else apt_complaint
            await self.must(root.prepare(self.architecture, script, *words, network=network), NOT_INSTALLED, complaint)

    async def _needed(self, repository: FarmRepository) -> Collection[str]:
        sources: Any = self.getProperty(BUILT_AFTER)
        if sources:
            made = await self.get_names(repository, sources)
            repository = evolve(repository, replaces=(*repository.replaces, *made))
        words = self.root.prepare(self.architecture, *repository.debian_use)
        ran = await self.must(words, NOT_INSTALLED, apt_complaint)
        return needed_packages(ran.output(limit=LONGEST_LIST))


class DebianBuilding(PackageStep):
    """
    Builds the package, without the network.  *build*: "any" or "all", as dpkg-buildpackage calls it.  *suffix*:
    appended to the version.
    """

    name = "building"
    build_type = argument(checks.word, rendered=False)
    suffix = argument(checks.text, default="", rendered=False)

    async def work(self) -> None:
        for words in self.root.debian_building(self.architecture, self.build_type, self.suffix):
            await self.must(words, "The package could not be built")
        self.summary = f"built for {self.build_type}"


class Uploading(MultipleFileUpload):
    """
    Uploads the results as artifacts.
    """

    name = "uploading"
    slavesrcs: Any = tuple(
        f"{FILES}/{RESULTS}/*.{kind}" for kind in ("deb", "udeb", "rpm", "buildinfo", "changes", "txt")
    )
    masterdest: Any = "packages"
    glob: Any = True

    async def run(self) -> Result:
        # Any path that a build left, even the directory itself, could be a link to files of another build on this
        # slave.
        words = ["/bin/sh", "-euc", ONLY_FILES, "only-files", f"{FILES}/{RESULTS}", ROOT]
        removed = await self.execute(words)
        if removed.outcome.exit_code != 0:
            return self.fail(f"{self.slave_name} cannot take the results: {complaint_of(removed)}")
        return await super().run()


class Cleanup(BuildStep):
    """
    Removes the root, also after a failure.
    """

    name = "cleanup"
    alwaysRun = True
    flunkOnFailure = False
    warnOnFailure = True
    root = argument(checks.anything, rendered=False)

    async def run(self) -> Result:
        ended = await self.execute(self.root.end())
        if ended.outcome.exit_code != 0:
            return self.fail(f"{self.slave_name} cannot remove the root: {complaint_of(ended)}")
        return Result.SUCCESS
