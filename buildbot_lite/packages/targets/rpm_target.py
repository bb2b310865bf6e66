"""
Targets for source RPMs.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from ...errors import InputError
from ...master.config.mistakes import MISSING
from ...master.config.objects import BuilderConfig
from ...model.properties import Json
from ..building.rpm_steps import BUILT_FOR, RpmBuilding, RpmPrepping
from ..building.steps import PackageStep
from ..formats.architectures import NOARCH, BuildPlan, RpmArchitectures, rpm_plan
from ..formats.source_package import RPM, SourcePackage
from .target import Target

_ARCHITECTURE = re.compile(r"[a-z0-9_]{1,40}\Z")
_DIST = re.compile(r"\.[A-Za-z0-9.+~_]{1,40}\Z")


class RpmTarget(Target):
    """
    Packages of a distribution that uses RPM.

    *base_arches*: architectures for which each package is built unless it excludes them.  *optional_arches*:
    architectures for which a package is built if its BuildArch or ExclusiveArch names them; "noarch" is one build of
    noarch packages, on a machine of any of the base architectures.  *additional_arches*: by the name of a package,
    further architectures.  *root*: where packages are built, like ``Overlay("bookworm")``.  *dist*: the value of the
    macro ``%dist``, like ".f4".  *common*: see `Target`.
    """

    family = RPM
    tools = RpmPrepping.tools

    def __init__(
        self,
        name: Any,
        base_arches: Any = MISSING,
        root: Any = MISSING,
        *,
        optional_arches: Any = (NOARCH,),
        additional_arches: Any = None,
        dist: Any = "",
        **common: Any,
    ) -> None:
        super().__init__(name, root, **common)
        self.base = self._architectures("base_arches", self.arguments.several("base_arches", base_arches))
        self.optional = self._architectures("optional_arches", self.arguments.texts("optional_arches", optional_arches))
        self.additional = self._additional(additional_arches)
        self.suffix = self.arguments.text("dist", dist)
        if self.suffix and not _DIST.match(self.suffix):
            self.arguments.wrong("dist", dist, 'text like ".f4"')
        self._native = [arch for arch in self.base if arch != NOARCH]
        if self.base and not self._native:
            self.arguments.note('base_arches has "noarch" alone; name at least one architecture on which it is built.')
        arches = dict.fromkeys(
            [*self.base, *self.optional, *(arch for each in self.additional.values() for arch in each)]
        )
        self.complete({arch: self._native if arch == NOARCH else [arch] for arch in arches})

    def plan(self, package: SourcePackage) -> BuildPlan:
        if not isinstance(package.architectures, RpmArchitectures):
            raise InputError(f"{package} is a source package of Debian, and {self.name} builds RPM packages.")
        return rpm_plan(
            package.name,
            package.architectures,
            base=self.base,
            optional=self.optional,
            additional=self.additional,
        )

    def steps(self, architecture: str, on: str) -> Sequence[PackageStep]:
        common = {"root": self.root, "architecture": on, "target": architecture, "dist": self.suffix}
        return [RpmPrepping(**common, repository=self.repository_for_builds), RpmBuilding(**common)]

    def builders_of(self, plan: BuildPlan) -> Mapping[str, BuilderConfig]:
        only = self._only_noarch(plan)
        return {NOARCH: self.builders[only]} if only else super().builders_of(plan)

    def properties(self, plan: BuildPlan) -> Mapping[str, Json]:
        return {BUILT_FOR: NOARCH} if self._only_noarch(plan) else {}

    def _only_noarch(self, plan: BuildPlan) -> str:
        """
        The architecture whose builder builds a noarch package that excludes other machines of the target; "" for all
        other packages.
        """
        only = plan.builds[0]
        excludes = only.architecture == NOARCH and only.on != tuple(self._native)
        return only.on[0] if excludes and len(plan.builds) == 1 else ""

    def _architectures(self, name: str, arches: Sequence[str]) -> Sequence[str]:
        for arch in arches:
            if not _ARCHITECTURE.match(arch):
                self.arguments.wrong(name, arch, "architectures of RPM, of small letters, digits and _")
        return tuple(arch for arch in arches if _ARCHITECTURE.match(arch))

    def _additional(self, value: Any) -> Mapping[str, Sequence[str]]:
        name = "additional_arches"
        if value is None:
            return {}
        if not isinstance(value, Mapping) or not all(isinstance(package, str) for package in value):
            self.arguments.wrong(name, value, 'a dictionary like {"kernel": ["i586"]}')
            return {}
        return {
            package: self._architectures(name, self.arguments.several(name, arches))
            for package, arches in value.items()
        }
