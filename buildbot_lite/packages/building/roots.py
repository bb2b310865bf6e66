"""
Roots: the file systems in which packages are built.

A root returns the words of the commands that prepare it, run a script in it and remove it.  Steps run these commands on
the slave, in the builder's directory, which has two subdirectories: ``files`` is the working directory inside the root,
with the source in ``in`` and the results in ``out``; ``root`` has the files of the root itself.
"""

import hashlib
import re
from collections.abc import Collection, Sequence
from importlib.resources import files
from typing import Any, ClassVar

from ...master.config.argument_fit import NotingType
from ...master.config.arguments import ArgumentChecker
from ...master.config.mistakes import MISSING, current_line
from ..formats.source_package import DEB, RPM
from . import debian_scripts
from .kept_roots import KEPT
from .overlay import overlay
from .programs import words_of

FILES = "files"
ROOT = "root"
KEPT_ON_SLAVE = f"../../{KEPT}"
"""Where failed roots are kept, relative to the builder's directory."""
INCOMING, RESULTS = "in", "out"

DEFAULT_MIRROR = "http://deb.debian.org/debian"
DAY = 86400.0
WEEK = 7 * DAY
MOST_PROCESSES = 4096
LARGEST_BUILD = 40 << 30
MOST_HOURS = 8760
"""Hours for which the root of a failed build may be kept: a year."""
# With lower limits, not even the root can be prepared.
LEAST_MEMORY, LEAST_PROCESSES, LEAST_DISK = 64 << 20, 20, 1 << 20

_RPM = files(__package__).joinpath("rpm.sh").read_text("utf-8")
_MAKE_SOURCE = files(__package__).joinpath("made_source.sh").read_text("utf-8")
_MIRROR = re.compile(r"(https?|file|ftp)://[!-~]+\Z")
_BUILD_USER = "builder"
"""The user that builds RPM packages in a root of Debian."""
_DEBIAN_NAMES = {
    "x86_64": "amd64", "i486": "i386", "i586": "i386", "i686": "i386", "athlon": "i386",
    "aarch64": "arm64", "armv7hl": "armhf", "ppc64le": "ppc64el",
}  # fmt: skip
"""By architecture of RPM: Debian's name for it, where the names differ."""


class Root(metaclass=NotingType):
    """
    The base of all roots.
    """

    families: ClassVar[Collection[str]] = (DEB, RPM)
    """The families of packages that can be built in it."""
    installs = False
    """Whether it installs the packages that a build needs."""
    says_needs = False
    """Whether its preparation for an RPM package says which packages of the farm the build needs."""
    says_limits = False
    """Whether a command that exceeds a limit ends with `overlay.OVER_LIMIT`, and no other does."""
    makes_sources = True
    """Whether it can make source packages from git."""
    longest: float | None = None
    """Seconds after which a command is ended; None: none."""
    kept_by: ClassVar[str] = "overlay"
    """The program that keeps the roots of failed builds."""
    disk = LARGEST_BUILD
    """Bytes that a checkout of sources from git may have on the slave."""

    keep_failed = 0.0
    """Seconds for which the roots of failed builds are kept."""

    def __init__(self) -> None:
        self.place = current_line(self)
        self.arguments = ArgumentChecker(type(self).__name__, self)

    def kept_for(self, hours: Any) -> float:
        """
        The value of `keep_failed` for the argument of that name, *hours*.
        """
        if isinstance(hours, (int, float)) and not isinstance(hours, bool) and 0 <= hours <= MOST_HOURS:
            return hours * 3600.0
        self.arguments.wrong("keep_failed", hours, f"a number of hours, from 0 to {MOST_HOURS}")
        return 0.0

    def begin(self, architecture: str, packages: Sequence[str] = ()) -> Sequence[Sequence[str]]:
        """
        The words of the commands that make a new root for one build, in order.  *packages*: further packages in the
        root, by their names in its distribution.
        """
        return []

    def prepare(self, architecture: str, script: str, *words: str, network: bool = False) -> Sequence[str]:
        """
        The words that run a shell *script* in the root, before the build, with *words* as its arguments.  *network*:
        whether the script may use the network; roots without isolation ignore this.
        """
        raise NotImplementedError

    def build(self, architecture: str, script: str, *words: str) -> Sequence[str]:
        """
        The words that run the *script* of the build without the network.  The build is not trusted, and neither is the
        root after it, so nothing else runs in the root afterwards.
        """
        raise NotImplementedError

    def debian_preparation(self, *, same: bool = False) -> Sequence[tuple[str, Sequence[str], bool]]:
        """
        The scripts that install what the build of a Debian package needs: for each, the script, its arguments, and
        whether it needs the network.  They leave the list of all installed packages in ``out/installed.txt``.  *same*:
        install the packages that ``wanted.txt`` lists, as far as the root can.
        """
        raise NotImplementedError

    def debian_building(self, architecture: str, build_type: str, suffix: str) -> Sequence[Sequence[str]]:
        """
        The words of the commands that build a Debian package in the prepared root.  *build_type*: "any" or "all", as
        dpkg-buildpackage calls it.  *suffix*: appended to the version.
        """
        return [self.build(architecture, debian_scripts.BUILD, build_type, suffix, architecture)]

    def rpm_preparation(self, architecture: str, target: str, dist: str) -> Sequence[str]:
        """
        The words of the command that unpacks a source RPM, installs what its build needs, and leaves the list of all
        installed packages in ``out/installed.txt``.  *target*: the architecture of the packages, or "noarch".  *dist*:
        the value of ``%dist``.  Where `says_needs`, it may print the packages of the farm that it lacks instead, in
        lines that `farm_repository.needed_rpms` reads.
        """
        return self.prepare(architecture, _RPM, "unpack installed", target, dist, "")

    def rpm_further_preparation(self, architecture: str, target: str, dist: str) -> Sequence[str]:
        """
        The words of the command that goes on with the preparation when the packages of the farm that it said the build
        needs are there.
        """
        raise NotImplementedError

    def rpm_building(self, architecture: str, target: str, dist: str) -> Sequence[str]:
        """
        The words of the command that builds the unpacked source RPM.
        """
        return self.build(architecture, _RPM, "build", target, dist, "")

    def rpm_source_preparation(self, architecture: str) -> Sequence[str] | None:
        """
        The words of the command that prepares the root for making a source RPM; None where there is nothing to do.
        """
        return None

    def source_making(self, architecture: str, family: str, dist: str) -> Sequence[str]:
        """
        The words of the command that makes a source package of *family* from the checkout in ``tree``.  *dist*: the
        value of ``%dist``.
        """
        return self.build(architecture, *_source_making(family, dist, ""))

    def keep(self, architecture: str, name: str) -> Sequence[str] | None:
        """
        The words of the command that keeps the root of a failed build under *name*, so that people can enter it; None
        where roots are not kept.
        """
        if not self.keep_failed:
            return None
        seconds = str(int(self.keep_failed))
        return words_of(self.kept_by, "keep", ROOT, FILES, architecture, KEPT_ON_SLAVE, name, seconds)

    def end(self) -> Sequence[str]:
        """
        The words of the command that removes the root and ``files``, whatever state they are in.
        """
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class DebianRoot(Root):
    """
    The parent class of roots that use a base of Debian on the slave, which all builds there share and none can change.

    *suite*: the release of Debian, like "bookworm".  *mirror*: the address of the server of its packages.  *packages*:
    further packages in the base, so that builds need not install them.  *refresh*: seconds after which the base is made
    again; default a week.  *longest*: seconds after which a command of a build is ended; default a day.  *keep_failed*:
    hours for which the root of a failed build is kept; default 0.
    """

    installs = True

    def __init__(
        self,
        suite: Any = MISSING,
        *,
        mirror: Any = DEFAULT_MIRROR,
        packages: Any = ("debhelper",),
        refresh: Any = WEEK,
        longest: Any = DAY,
        keep_failed: Any = 0,
    ) -> None:
        super().__init__()
        self.keep_failed = self.kept_for(keep_failed)
        self.suite = self.arguments.name("suite", suite, "suite")
        self.mirror = self.arguments.text("mirror", mirror)
        if self.mirror and not _MIRROR.match(self.mirror):
            self.arguments.wrong("mirror", mirror, 'an address like "http://deb.debian.org/debian"')
        listed = self.arguments.texts("packages", packages)
        self.packages = [self.arguments.name("packages", each, "package") for each in listed]
        self.refresh = self.arguments.seconds("refresh", refresh, least=60.0)
        self.longest = self.arguments.seconds("longest", longest, least=1.0)

    @property
    def limits(self) -> str:
        """
        The limits of a command as overlay.sh reads them: memory, processes, disk.
        """
        return f"0,{MOST_PROCESSES},{LARGEST_BUILD}"

    def begin(self, architecture: str, packages: Sequence[str] = ()) -> Sequence[Sequence[str]]:
        architecture = _DEBIAN_NAMES.get(architecture, architecture)
        all_packages = ",".join(dict.fromkeys([*self.packages, *packages]))
        # Each combination of mirror and packages has a base of its own.
        kind = hashlib.sha256(f"{self.mirror} {all_packages}".encode()).hexdigest()[:8]
        bases = f"../../roots/{self.suite}-{architecture}-{kind}"
        refresh = str(int(self.refresh))
        return [overlay("begin", ROOT, bases, self.suite, architecture, self.mirror, refresh, all_packages)]

    def prepare(self, architecture: str, script: str, *words: str, network: bool = False) -> Sequence[str]:
        how = "yes" if network else "no"
        return overlay("prepare", *self.inside(architecture), how, "sh", "-euc", script, "sh", *words)

    def build(self, architecture: str, script: str, *words: str) -> Sequence[str]:
        return overlay("build", *self.inside(architecture), "sh", "-euc", script, "sh", *words)

    def source_making(self, architecture: str, family: str, dist: str) -> Sequence[str]:
        return self.build(architecture, *_source_making(family, dist, _BUILD_USER))

    def inside(self, architecture: str) -> Sequence[str]:
        """
        The arguments of overlay.sh that say where a command runs, and its limits.
        """
        return [ROOT, FILES, architecture, self.limits]

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.suite!r})"


class Overlay(DebianRoot):
    """
    A clean root of Debian for each build: a base that all builds on the slave share and none can change, and above it
    an overlay that is removed after the build.  An ordinary user can build in it, where user namespaces are allowed.

    The root's own apt installs what the build needs, with the network; the build itself has no network.

    *suite*: the release of Debian, like "bookworm".  *mirror*: the address of the server of its packages.  *packages*:
    further packages in the base, so that builds need not install them.  *refresh*: seconds after which the base is made
    again; default a week.  The slave needs the programs mmdebstrap, unshare and flock (Debian: mmdebstrap, uidmap,
    util-linux).

    A command in the root is ended, with a sentence that says why, when it exceeds one of these limits.  *memory*: bytes
    of all its processes; default None: nine tenths of the machine's.  *processes*: default 4096.  *disk*: bytes that it
    adds to the root and to the files of the build, or that a checkout of sources from git has; default 40 GiB.
    *longest*: seconds; default a day.

    *keep_failed*: hours for which the root of a failed build is kept; default 0.  ``buildbot-lite package shell``
    enters it.  A slave keeps the newest 5, and at most 20 GiB.
    """

    says_needs = True
    says_limits = True

    def __init__(
        self,
        suite: Any = MISSING,
        *,
        mirror: Any = DEFAULT_MIRROR,
        packages: Any = ("debhelper",),
        refresh: Any = WEEK,
        memory: Any = None,
        processes: Any = MOST_PROCESSES,
        disk: Any = LARGEST_BUILD,
        longest: Any = DAY,
        keep_failed: Any = 0,
    ) -> None:
        super().__init__(
            suite, mirror=mirror, packages=packages, refresh=refresh, longest=longest, keep_failed=keep_failed
        )
        self.memory = 0 if memory is None else self.arguments.whole("memory", memory, least=LEAST_MEMORY)
        self.processes = self.arguments.whole("processes", processes, least=LEAST_PROCESSES, most=1 << 22)
        self.disk = self.arguments.whole("disk", disk, least=LEAST_DISK)

    @property
    def limits(self) -> str:
        return f"{self.memory},{self.processes},{self.disk}"

    def debian_preparation(self, *, same: bool = False) -> Sequence[tuple[str, Sequence[str], bool]]:
        if same:
            return [
                (debian_scripts.TRY_SAME, ["--download-only"], True),
                (debian_scripts.INSTALL_SAME, [], False),
            ]
        return [(debian_scripts.DOWNLOAD, [], True), (debian_scripts.INSTALL, [], False)]

    def rpm_preparation(self, architecture: str, target: str, dist: str) -> Sequence[str]:
        return self.prepare(architecture, _RPM, "debian unpack needs installed", target, dist, _BUILD_USER)

    def rpm_further_preparation(self, architecture: str, target: str, dist: str) -> Sequence[str]:
        return self.prepare(architecture, _RPM, "needs installed", target, dist, _BUILD_USER)

    def rpm_building(self, architecture: str, target: str, dist: str) -> Sequence[str]:
        return self.build(architecture, _RPM, "build", target, dist, _BUILD_USER)

    def rpm_source_preparation(self, architecture: str) -> Sequence[str] | None:
        return self.prepare(architecture, _RPM, "debian", "noarch", "", _BUILD_USER)

    def end(self) -> Sequence[str]:
        return overlay("remove", ROOT, FILES)


class Plain(Root):
    """
    The slave itself, as it is.  Nothing is installed for a build, the build is not isolated, and files that it leaves
    outside its directory stay.  For tests, and for machines that are thrown away after each build.
    """

    def prepare(self, architecture: str, script: str, *words: str, network: bool = False) -> Sequence[str]:
        return ["/bin/sh", "-euc", f"cd {FILES}\n{script}", "sh", *words]

    def build(self, architecture: str, script: str, *words: str) -> Sequence[str]:
        return self.prepare(architecture, script, *words)

    def debian_preparation(self, *, same: bool = False) -> Sequence[tuple[str, Sequence[str], bool]]:
        return [(debian_scripts.LIST, [], False)]

    def end(self) -> Sequence[str]:
        return ["rm", "-rf", "--", ROOT, FILES]


def _source_making(family: str, dist: str, user: str) -> Sequence[str]:
    script = _RPM + _MAKE_SOURCE if family == RPM else _MAKE_SOURCE
    return [script, "", "", dist, user, family]
