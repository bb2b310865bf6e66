"""
The steps that only builds of source RPMs have.
"""

from collections.abc import Iterable, Sequence

from ..master.steps import argument_checks as checks
from ..master.steps.argument import argument
from .steps import PackageStep, Prepping

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

    def installing(self) -> Iterable[Sequence[str]]:
        return [self.root.rpm_preparation(self.architecture, self.built_for, self.dist)]


class RpmBuilding(_RpmStep):
    """
    Builds the packages, without the network.
    """

    name = "building"

    async def work(self) -> None:
        words = self.root.rpm_building(self.architecture, self.built_for, self.dist)
        await self.must(words, "The package could not be built")
        self.summary = f"built for {self.built_for}"
