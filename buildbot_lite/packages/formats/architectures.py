"""
For which architectures a source package is built at a target, and why others are left out.
"""

from collections.abc import Iterable, Mapping, Sequence

from attrs import field, frozen

from ...errors import InputError
from .debian_architectures import ALL, matches

NOARCH = "noarch"
"""The architecture in BuildArch of RPM packages that are the same on every architecture."""

MOST_SHOWN = 8
"""Architectures that one reason lists."""

_NOT_HERE = "the target does not build it"
_IX86 = frozenset({"i386", "i486", "i586", "i686"})
"""A machine for one of these runs the others, too."""


@frozen
class ArchitectureBuild:
    """
    One build of a package.  *architecture*: of the packages that it makes.  *on*: architectures of slaves, of which one
    is needed.
    """

    architecture: str
    on: tuple[str, ...]


@frozen
class BuildPlan:
    """
    The *builds* of a package at a target, in the target's order.  *skipped*: by architecture, why it is not built.
    Architectures that the target does not have share one entry, separated by spaces.
    """

    builds: tuple[ArchitectureBuild, ...]
    skipped: Mapping[str, str] = field(factory=dict)


@frozen
class RpmArchitectures:
    """
    What the header of a source RPM says, each a list of architectures: its tags BUILDARCHS, EXCLUSIVEARCH, EXCLUDEARCH.
    An empty *build* or *exclusive* is no limit.  Of *build*, rpmbuild makes packages for the first one that the machine
    can run, and for no other (rpm 4.18), so their order counts; every machine can run "noarch".
    """

    build: tuple[str, ...] = ()
    exclusive: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()


def debian_plan(package: str, declared: Sequence[str], arches: Sequence[str]) -> BuildPlan:
    """
    The plan for a Debian source *package*.

    *declared*: the words of the field Architecture of its .dsc.  *arches*: those of the target; "all" among them makes
    one build, on a slave of any of the others, of what is the same on every architecture.  `InputError` if nothing is
    to be built.
    """
    native = tuple(each for each in arches if each != ALL)
    builds, skipped = [], {}
    for arch in arches:
        if any(matches(text, arch) for text in declared):
            builds.append(ArchitectureBuild(arch, native if arch == ALL else (arch,)))
        elif arch == ALL:
            skipped[arch] = "the package has no part that is the same on every architecture"
        else:
            skipped[arch] = f"the package is for {_list(declared)} only"
    if ALL in declared and ALL not in arches:
        skipped[ALL] = _NOT_HERE
    return _checked(package, BuildPlan(tuple(builds), skipped))


def rpm_plan(
    package: str,
    declared: RpmArchitectures,
    *,
    base: Sequence[str],
    optional: Sequence[str] = (),
    additional: Mapping[str, Sequence[str]] | None = None,
) -> BuildPlan:
    """
    The plan for a source RPM called *package*.

    *base*: architectures for which every package is built that does not exclude them.  *optional*: for packages that
    name them in BuildArch or ExclusiveArch; "noarch" stands here or in *base*.  *additional*: by name of the package,
    further ones.  A package that is noarch is built once, on a slave of one of the *base* architectures that it does
    not exclude; rpmbuild compares ExclusiveArch and ExcludeArch with the machine then, too.  `InputError` if nothing is
    to be built.
    """
    asked = {*declared.build, *declared.exclusive}
    further = (additional or {}).get(package, ())
    builds, skipped = [], {}
    for arch in dict.fromkeys((*base, *optional, *further)):
        if arch == NOARCH:
            continue
        if arch in optional and arch not in (*base, *further) and arch not in asked:
            skipped[arch] = "it is built for packages that ask for it (optional_arches)"
        elif reason := _why_not(arch, declared):
            skipped[arch] = reason
        else:
            builds.append(ArchitectureBuild(arch, (arch,)))
    if NOARCH in declared.build:
        on = tuple(arch for arch in base if arch != NOARCH and not _excluded(arch, declared))
        if NOARCH not in (*base, *optional, *further):
            skipped[NOARCH] = _NOT_HERE
        elif builds or any(_made(arch, declared.build) != NOARCH for arch in on):
            skipped[NOARCH] = f"BuildArch of the package is {_list(declared.build)}, and {_first(builds, on, declared)}"
        elif not on:
            skipped[NOARCH] = f"the package excludes {_list(each for each in base if each != NOARCH)}"
        else:
            builds.append(ArchitectureBuild(NOARCH, on))
    elif NOARCH in declared.exclusive:
        # rpmbuild compares it with the architecture of the packages that it makes, which only BuildArch makes noarch.
        skipped[NOARCH] = "BuildArch of the package does not name it; noarch subpackages are built with the others"
    if others := sorted(asked - {NOARCH, *base, *optional, *further}):
        # A package may name hundreds, so they share one entry.
        skipped[_list(others)] = _NOT_HERE
    return _checked(package, BuildPlan(tuple(builds), skipped))


def _why_not(arch: str, declared: RpmArchitectures) -> str | None:
    if declared.build and (made := _made(arch, declared.build)) != arch:
        if arch in declared.build:
            instead = f", and {made} comes first"
        elif made in _IX86:
            instead = f", so a machine for {arch} makes packages for {made}"
        else:
            instead = ""
        return f"BuildArch of the package is {_list(declared.build)}{instead}"
    return _excluded(arch, declared)


def _first(builds: Sequence[ArchitectureBuild], on: Sequence[str], declared: RpmArchitectures) -> str:
    """
    What comes before noarch: the architectures of *builds*, or one that the target does not build, though a machine for
    one of *on* can run it.
    """
    if builds:
        return f"{', '.join(each.architecture for each in builds)} comes first"
    made = next(each for each in (_made(arch, declared.build) for arch in on) if each != NOARCH)
    return f"{made} comes first, which the target does not build: let noarch come first"


def _made(arch: str, build: Sequence[str]) -> str:
    """
    The architecture of the packages that rpmbuild makes on a machine for *arch*, if BuildArch is *build*; "": none.
    """
    return next((each for each in build if each in (arch, NOARCH) or {each, arch} <= _IX86), "")


def _excluded(arch: str, declared: RpmArchitectures) -> str | None:
    # A noarch package that needs certain machines says, for example, "ExclusiveArch: x86_64 noarch".
    if declared.exclusive and arch not in declared.exclusive:
        return f"ExclusiveArch of the package is {_list(declared.exclusive)}"
    if arch in declared.exclude:
        return f"ExcludeArch of the package has {arch}"
    return None


def _checked(package: str, plan: BuildPlan) -> BuildPlan:
    if not plan.builds:
        reasons = "; ".join(f"{arch}: {reason}" for arch, reason in plan.skipped.items())
        raise InputError(f"{package} cannot be built at this target: {reasons or 'it is for no architecture'}.")
    return plan


def _list(words: Iterable[str]) -> str:
    words = list(words)
    more = [f"… ({len(words) - MOST_SHOWN} more)"] if len(words) > MOST_SHOWN else []
    return " ".join([*words[:MOST_SHOWN], *more]) or "no architecture"
