"""
Targets for packages of Debian.
"""

import os
import re
from collections.abc import Sequence
from typing import Any

from ...errors import InputError
from ...master.config.arguments import ArgumentChecker
from ...master.config.mistakes import MISSING
from ..building.steps import DebianBuilding, DebianPrepping, PackageStep
from ..formats.architectures import BuildPlan, debian_plan
from ..formats.debian_architectures import ALL, is_wildcard
from ..formats.debian_source import read_dsc
from ..formats.source_package import DEB, SourcePackage
from ..formats.submitted_package import SIGNED, SubmittedPackage
from ..keys.verification import TargetKey
from .target import Target

MOST_REPLACED = 200

_REPLACED = re.compile(r"[a-z0-9*?][a-z0-9+.*?-]{0,127}\Z")
_SUFFIX = re.compile(r"[a-z0-9+.~]{1,40}\Z")


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
