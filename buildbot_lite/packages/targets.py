"""
Targets: the distributions for which a farm builds packages, ``c["targets"]``.

A target stands for a builder for each architecture, and for a Submit scheduler that takes source packages::

    c["targets"] = [DebTarget("bookworm", arches=["amd64", "i386", "all"], root=Overlay("bookworm"))]

makes the builders bookworm-amd64, bookworm-i386 and bookworm-all, and a string in ``furls/bookworm.furl``.
"""

import itertools
import os
import re
from collections.abc import Mapping, Sequence
from functools import partial
from typing import IO, Any, ClassVar

from sqlalchemy import Connection

from ..errors import FileError, InputError
from ..master.config.argument_fit import NotingType, argument_names, note_unknown
from ..master.config.arguments import ArgumentChecker
from ..master.config.build_factory import BuildFactory
from ..master.config.keys import Contribution, Key
from ..master.config.mistakes import MISSING, SourceLine, current_line, note, once_loaded, remark
from ..master.config.objects import BuilderConfig
from ..master.config.schedulers import Examination, RecordedSubmission, Submit
from ..master.steps.step import BuildStep
from ..model.json_reader import JsonReader
from ..model.machines import ARCH
from ..model.properties import Json
from ..storage.records import grants
from ..storage.records.requests import SubmittedBuildset
from . import chain_records, job_records
from .architectures import BuildPlan, debian_plan
from .debian_architectures import ALL, is_wildcard
from .debian_source import read_dsc
from .farm_repository import FarmRepository
from .git_request import REPOSITORY, REVISION, GitRequest, read_request
from .git_sources import checked_sources, name_of_address
from .job_options import AFTER, MOST_PRIORITY, SOURCES, JobOptions
from .job_states import BEFORE_SOURCE
from .jobs import SOURCE, NewJob, Origin
from .repositories.debian_metadata import DebianMetadata
from .repositories.repository_place import checked_repository, shared
from .repositories.rpm_metadata import RpmMetadata
from .repositories.snapshots import BUILD, KINDS
from .roots import Root
from .signing.signing_policy import checked_policy
from .signing.verification import TargetKey
from .source_package import DEB, RPM, SourcePackage
from .source_steps import Checkout, MakeSource, SourcePrepping, UploadingSource
from .steps import (
    BUILT_AFTER,
    ROOTS,
    SINGLE_FILE,
    Cleanup,
    DebianBuilding,
    DebianPrepping,
    Downloading,
    PackageStep,
    Uploading,
)
from .submitted_package import SIGNED, SubmittedPackage, examine

MOST_ARCHITECTURES = 20
MOST_TARGETS = 50
MOST_REPLACED = 200
OF_SOURCE = " (source)"
"""Appended to the scheduler's name in the records of builds that make a source package.  So a `Dependent` of the
scheduler, which waits for packages, does not take these builds for theirs."""

PACKAGES_OF = {DEB: DebianMetadata.directory, RPM: RpmMetadata.directory}
"""By family: the directory of package files in a repository."""

_REPLACED = re.compile(r"[a-z0-9*?][a-z0-9+.*?-]{0,127}\Z")
_SUFFIX = re.compile(r"[a-z0-9+.~]{1,40}\Z")


class Target(metaclass=NotingType):
    """
    The base of all targets.

    *name*: the name of the target, its scheduler and its string.  *root*: where packages are built.  *aliases*: further
    names, each with a scheduler and a string of its own.  *slavenames*: the slaves that build; default None: all whose
    machines run programs of the architecture, or whose property ``arch`` names it.  *sign*: "manual": people sign what
    is built; "auto": a program of theirs does; None: nobody does.  *sign_key*: the file with their public key.
    *repo_script*: a program that runs after the public repository has changed.  *repository*: the directory of the
    target's repositories, relative to the master's, like "repos/bookworm"; default None: packages are results only.
    *roots_from*: the repository from which builds install packages: "build", "public" (only published packages), or
    None.  *versions*: how many versions of each package the public repository has, the latest ones; default None: all.
    *sources*: the addresses of git repositories from which source packages are made, like
    "https://git.example.org/{name}.git"; "{name}" stands for the name of the package.  *git*: arguments of the step
    `Git` that checks them out, like ``{"sshPrivateKey": util.Secret("key")}``.

    A subclass calls `complete` at the end of its constructor.
    """

    family: ClassVar[str] = ""
    """The family of its packages: `DEB` or `RPM`."""
    suffix = ""
    """Appended to the version of built packages (Debian), or the value of ``%dist`` (RPM)."""
    tools: ClassVar[Sequence[str]] = ()
    """Packages that roots need for builds of this family."""
    replaces: Sequence[str] = ()
    """Names and patterns of the farm's packages that win over the distribution's in roots."""

    def __init__(
        self,
        name: Any,
        root: Any,
        *,
        aliases: Any = (),
        slavenames: Any = None,
        sign: Any = None,
        sign_key: Any = None,
        repo_script: Any = None,
        repository: Any = None,
        roots_from: Any = BUILD,
        versions: Any = None,
        sources: Any = (),
        git: Any = None,
        **unknown: Any,
    ) -> None:
        self.place = current_line(self)
        self.given_name = name
        note_unknown(type(self).__name__, unknown, argument_names(type(self)), of=self)
        self.arguments = ArgumentChecker(f"{type(self).__name__} {name!r:.100}", self)
        self.name = self.arguments.name("name", name, "target")
        if not isinstance(root, Root):
            self.arguments.wrong("root", root, 'a root, like Overlay("bookworm")')
            root = Root()
        elif self.family not in root.families:
            self.arguments.note(f"{type(root).__name__} cannot build for {type(self).__name__}; use another root.")
        self.root: Root = root
        self.signing = checked_policy(self.arguments, sign=sign, sign_key=sign_key, repo_script=repo_script)
        self._remark_on_key("sign_key", self.signing.key)
        self.repository = checked_repository(self.arguments, repository)
        if not self.repository and (sign is not None or repo_script is not None):
            self.arguments.note('sign and repo_script need repository, like "repos/bookworm".')
        self.roots_from = None if roots_from is None else self.arguments.choice("roots_from", roots_from, KINDS)
        self.versions = None if versions is None else self.arguments.whole("versions", versions, least=1)
        self.sources = checked_sources(self.arguments, sources, git)
        if self.sources and not root.makes_sources:
            self.arguments.note(f"{type(root).__name__} makes no source packages, so sources= needs another root.")
        self.aliases = [
            self.arguments.name("aliases", each, "target") for each in self.arguments.texts("aliases", aliases)
        ]
        self._slaves = None if slavenames is None else self.arguments.several("slavenames", slavenames)

    def _remark_on_key(self, argument: str, path: str) -> None:
        """
        Remark on the file *path* of public keys when it cannot be used now.  This is no mistake, because the key may
        come later and the rest of the farm works without it.
        """
        place = self.place

        def check(config: Any) -> None:
            try:
                TargetKey(os.path.join(config.basedir, path), path).keyring()
            except (FileError, InputError) as error:
                remark(f"{self.arguments.owner}: {argument}: {error}", place)

        if path:
            once_loaded(check, of=self)

    def complete(self, machines: Mapping[str, Sequence[str]]) -> None:
        """
        Make the builders and schedulers.  *machines*: the architectures of packages, each with those of the machines
        that build for it.
        """
        if len(machines) > MOST_ARCHITECTURES:
            self.arguments.note(f"{len(machines)} architectures; at most {MOST_ARCHITECTURES} are allowed.")
        chosen = itertools.islice(machines.items(), MOST_ARCHITECTURES)
        self.builders: Mapping[str, BuilderConfig] = {arch: self._builder(arch, on) for arch, on in chosen}
        first = next(iter(machines.items()), None)
        self.source_builder = None
        if self.sources and first is not None:
            self.source_builder = self._source_builder(next(iter(first[1]), first[0]))
        self.schedulers = [PackageScheduler(self, name) for name in dict.fromkeys([self.name, *self.aliases])]

    def plan(self, package: SourcePackage) -> BuildPlan:
        """
        The architectures for which *package* is built; `InputError` when it is not for this target.
        """
        raise NotImplementedError

    def check_source(self, submitted: SubmittedPackage) -> None:
        """
        Check the further demands of the target, such as a signature; `InputError`.  The package was already found to be
        whole.
        """

    def check_chain(self) -> None:
        """
        `InputError` when roots of this target get no packages of the farm, so that chains make no sense.
        """
        if self.repository_for_builds is None:
            raise InputError(
                f"The builds of {self.name} get no packages of the farm, so nothing is built after another package: "
                "that needs repository=, and roots_from= other than None."
            )
        if not self.root.installs:
            raise InputError(
                f"The builds of {self.name} are in {self.root}, where nothing is installed, so nothing is built after "
                "another package."
            )

    def steps(self, architecture: str, on: str) -> Sequence[PackageStep]:
        """
        The steps that prepare and build packages for *architecture* in a root for *on*.
        """
        raise NotImplementedError

    @property
    def repository_for_builds(self) -> FarmRepository | None:
        """
        The repository from which builds of the target install packages; None: they use none.
        """
        if not self.repository or self.roots_from is None:
            return None
        packages = PACKAGES_OF[self.family]
        return FarmRepository(self.name, self.repository, packages, self.roots_from, self.replaces)

    def built_version(self, version: str) -> str:
        """
        The version of the packages that are built of a source package of *version*.
        """
        return version

    def builders_of(self, plan: BuildPlan) -> Mapping[str, BuilderConfig]:
        """
        The builders of the builds of *plan*, by architecture.
        """
        return {each.architecture: self.builders[each.architecture] for each in plan.builds}

    def properties(self, plan: BuildPlan) -> Mapping[str, Json]:
        """
        Properties of the builds of *plan*, beside those of all packages.
        """
        return {}

    @property
    def all_builders(self) -> Sequence[BuilderConfig]:
        """
        The builders of all architectures, and the builder that makes source packages.
        """
        return [*self.builders.values(), *filter(None, [self.source_builder])]

    def _source_builder(self, on: str) -> BuilderConfig:
        common = {"root": self.root, "architecture": on, "family": self.family}
        steps = [
            Checkout(sources=self.sources, family=self.family, root=self.root, **self.sources.arguments),
            SourcePrepping(**common, tools=self.tools),
            MakeSource(**common, dist=self.suffix if self.family == RPM else ""),
            UploadingSource(),
            Cleanup(root=self.root),
        ]
        return self._configured(SOURCE, steps, [on], f"source packages of {self.name} from git")

    def _builder(self, arch: str, on: Sequence[str]) -> BuilderConfig:
        # Packages that are the same on every architecture are built on any machine, in a root of an architecture that
        # it runs.
        steps = self.steps(arch, on[0] if on else arch)
        whole = [Downloading(root=self.root), *steps, Uploading(), Cleanup(root=self.root)]
        return self._configured(arch, whole, on, f"packages of {self.name} for {arch}")

    def _configured(self, arch: str, steps: Sequence[BuildStep], on: Sequence[str], description: str) -> BuilderConfig:
        # `steps.PackageStep` chooses one of them by the machine.
        roots = {"properties": {ROOTS: list(on)}} if len(on) > 1 else {}
        where = {"slavenames": self._slaves} if self._slaves is not None else {"requires": {ARCH: list(on)}}
        return BuilderConfig(
            f"{self.name}-{arch}",
            factory=BuildFactory(steps),
            description=description,
            tags=[self.name],
            collapseRequests=False,
            **roots,
            **where,
        )

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"


class DebTarget(Target):
    """
    Packages of a release of Debian, or of a distribution like it.

    *arches*: the architectures for which packages are built; "all" adds a build, on a machine of any of them, for
    packages that are the same on every architecture.  *root*: where packages are built, like ``Overlay("bookworm")``.
    *version_suffix*: appended to the version of built packages, like "+farm1".  *keyring*: an absolute path; each .dsc
    must then have a signature by one of the public keys in that file, like those of ``gpg --export KEY…``.  *replaces*:
    names of packages, and patterns like "libfoo*".  In roots, the farm's packages of these names win over the
    distribution's; for all other names the distribution's own win.  *common*: see `Target`.
    """

    family = DEB

    def __init__(
        self,
        name: Any,
        arches: Any = MISSING,
        root: Any = MISSING,
        *,
        version_suffix: Any = "",
        keyring: Any = None,
        replaces: Any = (),
        **common: Any,
    ) -> None:
        super().__init__(name, root, **common)
        self.keyring = "" if keyring is None else self.arguments.text("keyring", keyring)
        if self.keyring and not os.path.isabs(self.keyring):
            self.arguments.wrong("keyring", keyring, 'an absolute path, like "/etc/farm/developers.asc"')
        self._remark_on_key("keyring", self.keyring)
        if self.keyring and self.sources:
            self.arguments.note("keyring= asks for signed .dsc, and what is made from sources= has no signature.")
        self.arches = _architectures(self.arguments, arches)
        self.suffix = self.arguments.text("version_suffix", version_suffix)
        if self.suffix and not _SUFFIX.match(self.suffix):
            self.arguments.wrong("version_suffix", version_suffix, 'small letters, digits, "+", "." and "~"')
        self.replaces = _replaced(self.arguments, replaces)
        native = [each for each in self.arches if each != ALL]
        self.complete({arch: native if arch == ALL else [arch] for arch in self.arches})

    def check_source(self, submitted: SubmittedPackage) -> None:
        if not self.keyring or submitted.package.family != DEB:
            return
        if not submitted.description.startswith(SIGNED):
            raise InputError(
                f"{submitted.main} is not signed, and {self.name} takes signed ones only: debsign {submitted.main}"
            )
        verified = TargetKey(self.keyring, self.keyring).check_signed_text(submitted.description, submitted.main)
        if read_dsc(verified) != submitted.package:
            raise InputError(f"{submitted.main} is signed, but the signed text is another one than its fields.")

    def built_version(self, version: str) -> str:
        return version + self.suffix

    def plan(self, package: SourcePackage) -> BuildPlan:
        if package.family != DEB or not isinstance(package.architectures, tuple):
            raise InputError(f"{package} is a source RPM, and {self.name} builds packages of Debian.")
        return debian_plan(str(package), package.architectures, self.arches)

    def steps(self, architecture: str, on: str) -> Sequence[PackageStep]:
        common = {"root": self.root, "architecture": on}
        build_type = "all" if architecture == ALL else "any"
        prepping = DebianPrepping(**common, repository=self.repository_for_builds)
        return [prepping, DebianBuilding(**common, build_type=build_type, suffix=self.suffix)]


class PackageScheduler(Submit):
    """
    Takes source packages for a *target*, and submits builds for the architectures of its plan.
    """

    examines: ClassVar[bool] = True

    def __init__(self, target: Target, name: str) -> None:
        builders = [builder.name for builder in target.all_builders]
        super().__init__(name, builders, stdin="file", file="file")
        self.target = target

    @property
    def most_requests(self) -> int:
        return len(self.target.builders)

    def resolve(self, connection: Connection, options: Mapping[str, Json], grant: int) -> Mapping[str, Json]:
        limits = grants.get(connection, grant)
        most = None if limits is None else limits.most_priority
        # The master sets this, whatever the submitter sends.
        options = {**options, MOST_PRIORITY: self.priority if most is None else most}
        reader = JsonReader(dict(options), "options")
        if not reader.has(AFTER):
            return options
        self.target.check_chain()
        before = chain_records.before(connection, reader.integer(AFTER, least=1), self.target.name, grant)
        for each in before:
            making = each.state in BEFORE_SOURCE
            if each.origin is not None and making and not self.target.sources.name_in(each.origin.repository):
                raise InputError(f"The source package of job {each.id} is not made yet, so its name is not known.")
        return {**options, SOURCES: list(dict.fromkeys(each.name for each in before))}

    def examine(self, file: IO[bytes], options: Mapping[str, Json]) -> Examination:
        asked = JobOptions.read(options, self.priority)
        request = read_request(file)
        if request is not None:
            return self._from_git(request, asked)
        found = examine(file)
        self.target.check_source(found)
        plan = self.target.plan(found.package)
        builders = {arch: builder.name for arch, builder in self.target.builders_of(plan).items()}
        package = found.package
        properties: dict[str, Json] = {"package": package.name, "package_version": package.full_version}
        if asked.sources:
            properties[BUILT_AFTER] = list(asked.sources)
        if not found.main:
            properties[SINGLE_FILE] = package.source_rpm

        def record(connection: Connection, submitted: SubmittedBuildset, submitter: str) -> RecordedSubmission:
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
                scratch=asked.scratch,
                priority=asked.priority,
                after_job=asked.after,
            )
            job = job_records.add(connection, new, submitted.buildset.submitted)
            chain_records.tell(connection, job, submitted.buildset.submitted)
            after = "" if asked.after is None else f", after job {asked.after}"
            return RecordedSubmission(f"{job.title} for {self.target.name} ({', '.join(builders)}){after}", job.id)

        return Examination(
            title=str(package),
            builders=list(builders.values()),
            skipped=plan.skipped,
            properties={**properties, **self.target.properties(plan)},
            record=record,
            priority=asked.priority,
        )

    def _from_git(self, request: GitRequest, asked: JobOptions) -> Examination:
        address = self.target.sources.address(request, self.target.name)
        builder = self.target.source_builder
        assert builder is not None  # there are sources
        name = request.package or self.target.sources.name_in(address) or name_of_address(address)
        new = partial(
            NewJob,
            target=self.target.name,
            name=name,
            # No package has a version with a space, so no package's results can be taken for this job's.
            version=f"at {request.revision}",
            origin=Origin(address, request.revision),
            scratch=asked.scratch,
            priority=asked.priority,
            after_job=asked.after,
        )

        def record(connection: Connection, submitted: SubmittedBuildset, submitter: str) -> RecordedSubmission:
            (made,) = submitted.requests
            buildset = submitted.buildset
            job = job_records.add(
                connection,
                new(
                    submitter=submitter,
                    by_grant=buildset.by_grant,
                    buildset=buildset.id,
                    builders={SOURCE: (builder.name, made.id)},
                ),
                buildset.submitted,
            )
            after = "" if asked.after is None else f", after job {asked.after}"
            return RecordedSubmission(f"{job.title} for {self.target.name}, from {address}{after}", job.id)

        return Examination(
            title=f"{name} {request.revision}",
            builders=[builder.name],
            skipped={},
            properties={
                "package": name,
                REPOSITORY: address,
                REVISION: request.revision,
                **({BUILT_AFTER: list(asked.sources)} if asked.sources else {}),
            },
            record=record,
            priority=asked.priority,
            recorded_as=f"{self.name}{OF_SOURCE}",
            keeps_file=False,
            becomes=len(self.target.builders),
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
    if both := shared(target.repository for target in targets.values()):
        checker.note(f"Two targets have their repository in {both[1]!r} and {both[0]!r}; give each a place of its own.")
    return tuple(targets.values())


def _contribution(targets: Sequence[Target]) -> Contribution:
    return Contribution(
        builders=[builder for target in targets for builder in target.all_builders],
        schedulers=[scheduler for target in targets for scheduler in target.schedulers],
    )


TARGETS = Key("targets", checked_targets, (), contributes=_contribution)
"""The key ``c["targets"]``."""


def _replaced(arguments: ArgumentChecker, value: Any) -> tuple[str, ...]:
    names = arguments.texts("replaces", value)
    if len(names) > MOST_REPLACED:
        arguments.note(f"replaces has {len(names)} names; at most {MOST_REPLACED} are allowed.")
    for name in names:
        if not _REPLACED.match(name):
            arguments.wrong("replaces", name, 'names of packages, or patterns like "libfoo*"')
    return tuple(name for name in names[:MOST_REPLACED] if _REPLACED.match(name))


def _architectures(arguments: ArgumentChecker, value: Any) -> tuple[str, ...]:
    arches = arguments.several("arches", value)
    for arch in arches:
        arguments.name("arches", arch, "architecture")
        if is_wildcard(arch):
            arguments.note(f"arches has {arch!r}; name the architectures themselves.")
    if ALL in arches and len(set(arches)) == 1:
        arguments.note('arches has "all" alone; name at least one architecture on which it is built.')
    return tuple(dict.fromkeys(arches))
