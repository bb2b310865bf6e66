"""
Targets: the distributions for which a farm builds packages.

A target stands for a builder for each architecture.  `configured_targets` gives it the schedulers that take source
packages.
"""

import itertools
import os
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar

from ...errors import FileError, InputError
from ...master.config.argument_fit import NotingType, argument_names, note_unknown
from ...master.config.arguments import ArgumentChecker
from ...master.config.build_factory import BuildFactory
from ...master.config.executed_line import current_line
from ...master.config.mistakes import once_loaded, remark
from ...master.config.objects import BuilderConfig
from ...master.steps.step import BuildStep
from ...model.machines import ARCH
from ...model.properties import Json
from ..building.farm_repository import FarmRepository
from ..building.git_sources import checked_sources
from ..building.root import Root
from ..building.source_steps import Checkout, MakeSource, SourcePrepping, UploadingSource
from ..building.steps import ROOTS, Cleanup, Downloading, PackageStep, Uploading
from ..formats.architectures import BuildPlan
from ..formats.source_package import DEB, RPM, SourcePackage
from ..formats.submitted_package import SubmittedPackage
from ..keys.verification import TargetKey
from ..records.jobs import SOURCE
from ..repositories.debian_metadata import DebianMetadata
from ..repositories.rpm_metadata import RpmMetadata
from ..repositories.snapshots import BUILD, KINDS
from .repository_place import checked_repository
from .signing_policy import checked_policy

MOST_ARCHITECTURES = 20

PACKAGES_OF = {DEB: DebianMetadata.directory, RPM: RpmMetadata.directory}
"""By family: the directory of package files in a repository."""


class PackageBuilder(BuilderConfig):
    """
    A builder of packages.  Several of its builds may run on a slave, because they have directories of their own.  The
    names of its steps are the states of an architecture of a job.
    """

    slotted = True
    tells_steps = True


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
        self._remark_on_script(self.signing.repo_script)
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

    def _remark_on_script(self, path: str) -> None:
        """
        The same of the program *path*, which may come later, too.
        """
        place = self.place

        def check(config: Any) -> None:
            whole = os.path.join(config.basedir, path)
            if not os.path.isfile(whole):
                said = f"There is no program {path} in the master's directory."
            elif not os.access(whole, os.X_OK):
                said = f"{path} cannot be run.  Permit it: chmod +x {path}"
            else:
                return
            remark(f"{self.arguments.owner}: repo_script: {said}", place)

        if path:
            once_loaded(check, of=self)

    def complete(self, machines: Mapping[str, Sequence[str]]) -> None:
        """
        Make the builders.  *machines*: the architectures of packages, each with those of the machines
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
        The version of the packages that are built of a source package of *version*, as far as it is known before they
        are.
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
    def names(self) -> Sequence[str]:
        """
        The names under which packages are submitted to it, its own first.
        """
        return list(dict.fromkeys([self.name, *self.aliases]))

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
        return PackageBuilder(
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
