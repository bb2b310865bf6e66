"""
The steps that only builds of source RPMs have.
"""

from collections.abc import Collection

from ...master.steps import argument_checks as checks
from ...master.steps.argument import argument
from ...master.steps.outcomes import CommandFailedError
from ...model.results import Result
from ..repositories.for_builds import MOST_SENT
from .farm_repository import FarmRepository, needed_rpms
from .root import Root
from .steps import LONGEST_LIST, NOT_INSTALLED, PackageStep, Prepping

MOST_ROUNDS = 10
"""Times that a build may need more of the farm's packages."""

BUILT_FOR = "built_for"
"""The property of a build with the architecture of its packages, where that is not its builder's."""


class _RpmStep(PackageStep):
    """
    *architecture*: of the root.  *target*: the architecture of the packages, or "noarch"; the property of a build
    overrides it.  *dist*: the value of ``%dist``.
    """

    target = argument(checks.word, rendered=False)
    dist = argument(checks.text, default="", rendered=False)

    @property
    def built_for(self) -> str:
        """
        The architecture of the packages.
        """
        return str(self.getProperty(BUILT_FOR) or self.target)


class RpmPrepping(_RpmStep, Prepping):
    """
    The root, with the build requirements of the spec file for this architecture.
    """

    tools = ("rpm", "dnf", "file")

    async def install(self, repository: FarmRepository | None) -> None:
        root: Root = self.root
        arguments = (self.architecture, self.built_for, self.dist)
        if repository is not None and not root.says_needs:
            await self.get_packages(repository, None, self.listed_packages)
        words = root.rpm_preparation(*arguments)
        # What a source computes (%generate_buildrequires) may need more once its other needs are there.
        sent: set[str] = set()
        for _ in range(MOST_ROUNDS):
            ran = await self.must(words, NOT_INSTALLED)
            if repository is None or not root.says_needs:
                return
            # What the source itself prints is among the output: it can ask for packages, but not without end.
            needed = needed_rpms(ran.end_of_output(limit=LONGEST_LIST))
            if not needed:
                return
            await self.get_packages(repository, _not_sent(needed, sent))
            sent |= needed
            words = root.rpm_further_preparation(*arguments)
        raise CommandFailedError(
            Result.FAILURE, f"{NOT_INSTALLED}: it needed more packages of the farm {MOST_ROUNDS} times."
        )


def _not_sent(needed: frozenset[str], sent: Collection[str]) -> frozenset[str]:
    """
    Those of the packages *needed* that were not asked for before, as *sent* were.  `CommandFailedError` if there are
    none, or all together are too many.
    """
    new = needed.difference(sent)
    if not new:
        raise CommandFailedError(
            Result.FAILURE,
            f"{NOT_INSTALLED}: it asks for {min(needed):.100} of the farm's packages once more; see the log.",
        )
    if len(new) + len(sent) > MOST_SENT:
        raise CommandFailedError(
            Result.FAILURE,
            f"{NOT_INSTALLED}: it needs {len(new) + len(sent)} packages of the farm; at most {MOST_SENT} are sent to a "
            "build.",
        )
    return new


class RpmBuilding(_RpmStep):
    """
    Builds the packages, without the network.
    """

    name = "building"

    async def work(self) -> None:
        words = self.root.rpm_building(self.architecture, self.built_for, self.dist)
        await self.must(words, "The package could not be built")
        self.summary = f"built for {self.built_for}"
