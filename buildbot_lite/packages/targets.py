"""
Targets: the distributions for which a farm builds packages, ``c["targets"]``.

A target stands for a builder for each architecture, and for a Submit scheduler that takes source packages::

    c["targets"] = [DebTarget("bookworm", arches=["amd64", "i386", "all"], root=Overlay("bookworm"))]

makes the builders bookworm-amd64, bookworm-i386 and bookworm-all, and a string in ``furls/bookworm.furl``.
"""

import re
from collections.abc import Mapping, Sequence
from typing import IO, Any, ClassVar

from sqlalchemy import Connection

from ..errors import InputError
from ..master.config.argument_fit import NotingType
from ..master.config.arguments import ArgumentChecker
from ..master.config.build_factory import BuildFactory
from ..master.config.keys import Contribution, Key
from ..master.config.mistakes import MISSING, SourceLine, current_line, note
from ..master.config.objects import BuilderConfig
from ..master.config.schedulers import Examination, Submit
from ..model.machines import ARCH
from ..storage.records.requests import SubmittedBuildset
from . import job_records
from .architectures import BuildPlan, debian_plan
from .debian_architectures import ALL, is_wildcard
from .job_records import NewJob
from .roots import Root
from .signing.signing_policy import checked_policy
from .source_package import DEB, SourcePackage
from .steps import Cleanup, DebianBuilding, DebianPrepping, Downloading, Uploading
from .submitted_package import examine

MOST_ARCHITECTURES = 20
MOST_TARGETS = 50

_SUFFIX = re.compile(r"[a-z0-9+.~]{1,40}\Z")


class Target(metaclass=NotingType):
    """
    The base of all targets.  *name*: of the target, its scheduler and its string.  *publishing*: the arguments
    *sign*, *sign_key* and *repo_script* of each kind of target.
    """

    def __init__(self, name: Any, root: Any, **publishing: Any) -> None:
        self.place = current_line(self)
        self.given_name = name
        self.arguments = ArgumentChecker(f"{type(self).__name__} {name!r:.100}", self)
        self.name = self.arguments.name("name", name, "target")
        if not isinstance(root, Root):
            self.arguments.wrong("root", root, 'a root, like Overlay("bookworm")')
            root = Root()
        self.root: Root = root
        self.signing = checked_policy(self.arguments, **publishing)

    def plan(self, package: SourcePackage) -> BuildPlan:
        """
        For which architectures *package* is built; `InputError` when it is not for this target.
        """
        raise NotImplementedError

    @property
    def builders(self) -> Mapping[str, BuilderConfig]:
        """
        A builder for each architecture.
        """
        raise NotImplementedError

    def built_version(self, version: str) -> str:
        """
        The version of the packages that are built of a source package of *version*.
        """
        return version

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"


class DebTarget(Target):
    """
    Packages of a release of Debian, or of a distribution like it.

    *arches*: for which architectures packages are built; "all" makes one more build, on any of these machines, of what
    is the same on every architecture.  *root*: where, like ``Overlay("bookworm")``.  *version_suffix*: appended to the
    version of what is built, like "+farm1".  *slavenames*: the slaves that build; without it, all whose
    machines run programs of the architecture, or whose property ``arch`` names it.  *sign*: "manual": people sign what
    is built; "auto": a program of theirs does; None: nobody does.  *sign_key*: the file with their public key.
    *repo_script*: a program that runs after the public repository has changed.
    """

    def __init__(
        self,
        name: Any,
        arches: Any = MISSING,
        root: Any = MISSING,
        *,
        version_suffix: Any = "",
        slavenames: Any = None,
        sign: Any = None,
        sign_key: Any = None,
        repo_script: Any = None,
    ) -> None:
        super().__init__(name, root, sign=sign, sign_key=sign_key, repo_script=repo_script)
        self.arches = _architectures(self.arguments, arches)
        self.version_suffix = self.arguments.text("version_suffix", version_suffix)
        if self.version_suffix and not _SUFFIX.match(self.version_suffix):
            self.arguments.wrong("version_suffix", version_suffix, 'small letters, digits, "+", "." and "~"')
        slaves = None if slavenames is None else self.arguments.several("slavenames", slavenames)
        self._builders = {arch: self._builder(arch, slaves) for arch in self.arches}
        self.scheduler = PackageScheduler(self)

    @property
    def builders(self) -> Mapping[str, BuilderConfig]:
        return self._builders

    def built_version(self, version: str) -> str:
        return version + self.version_suffix

    def plan(self, package: SourcePackage) -> BuildPlan:
        if package.family != DEB or not isinstance(package.architectures, tuple):
            raise InputError(f"{package} is a source RPM, and {self.name} builds packages of Debian.")
        return debian_plan(str(package), package.architectures, self.arches)

    def _builder(self, arch: str, slaves: Sequence[str] | None) -> BuilderConfig:
        native = [each for each in self.arches if each != ALL]
        on = native if arch == ALL else [arch]
        # What is the same everywhere is built in the root of the first architecture.
        common = {"root": self.root, "architecture": on[0] if on else arch}
        factory = BuildFactory(
            [
                Downloading(root=self.root),
                DebianPrepping(**common),
                DebianBuilding(**common, build_type="all" if arch == ALL else "any", suffix=self.version_suffix),
                Uploading(),
                Cleanup(root=self.root),
            ]
        )
        where = {"slavenames": slaves} if slaves is not None else {"requires": {ARCH: on}}
        return BuilderConfig(
            f"{self.name}-{arch}",
            factory=factory,
            description=f"packages of {self.name} for {arch}",
            tags=[self.name],
            collapseRequests=False,
            **where,
        )


class PackageScheduler(Submit):
    """
    Takes source packages for a *target*, and has each built for the architectures that its plan says.
    """

    examines: ClassVar[bool] = True

    def __init__(self, target: Target) -> None:
        builders = [builder.name for builder in target.builders.values()]
        super().__init__(target.name, builders, stdin="file", file="file")
        self.target = target

    def examine(self, file: IO[bytes]) -> Examination:
        found = examine(file)
        plan = self.target.plan(found.package)
        builders = {each.architecture: self.target.builders[each.architecture].name for each in plan.builds}
        package = found.package

        def record(connection: Connection, submitted: SubmittedBuildset, submitter: str) -> str:
            requests = {request.builder: request.id for request in submitted.requests}
            new = NewJob(
                target=self.target.name,
                name=package.name,
                version=package.full_version,
                submitter=submitter,
                by_grant=submitted.buildset.by_grant,
                buildset=submitted.buildset.id,
                builders={arch: (builder, requests[builder]) for arch, builder in builders.items()},
                skipped=plan.skipped,
            )
            job = job_records.add(connection, new, submitted.buildset.submitted)
            return f"{job.title} for {self.target.name} ({', '.join(builders)})"

        return Examination(
            title=str(package),
            builders=list(builders.values()),
            skipped=plan.skipped,
            properties={"package": package.name, "package_version": package.full_version},
            record=record,
        )


def checked_targets(checker: ArgumentChecker, value: Any) -> tuple[Target, ...]:
    """
    The value of ``c["targets"]``.
    """
    if not isinstance(value, (list, tuple)):
        checker.wrong("the value", value, "a list of targets")
        return ()
    if len(value) > MOST_TARGETS:
        checker.note(f"{len(value)} targets; at most {MOST_TARGETS} are allowed.")
    targets: dict[str, Target] = {}
    for each in value[:MOST_TARGETS]:
        if not isinstance(each, Target):
            checker.wrong("a target", each, 'one like DebTarget("bookworm", …)')
        elif each.name in targets:
            note(f"There are two targets called {each.name!r}.", each.place or SourceLine())
        elif each.name:
            targets[each.name] = each
    return tuple(targets.values())


def _contribution(targets: Sequence[DebTarget]) -> Contribution:
    return Contribution(
        builders=[builder for target in targets for builder in target.builders.values()],
        schedulers=[target.scheduler for target in targets],
    )


TARGETS = Key("targets", checked_targets, (), contributes=_contribution)
"""The key ``c["targets"]``."""


def _architectures(arguments: ArgumentChecker, value: Any) -> tuple[str, ...]:
    arches = arguments.several("arches", value)
    if len(arches) > MOST_ARCHITECTURES:
        arguments.note(f"{len(arches)} architectures; at most {MOST_ARCHITECTURES} are allowed.")
    for arch in arches:
        arguments.name("arches", arch, "architecture")
        if is_wildcard(arch):
            arguments.note(f"arches has {arch!r}; name the architectures themselves.")
    if ALL in arches and len(set(arches)) == 1:
        arguments.note('arches has "all" alone; name at least one architecture on which it is built.')
    return tuple(dict.fromkeys(arches))
