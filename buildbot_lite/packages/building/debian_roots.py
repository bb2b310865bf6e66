"""
Roots of Debian above a base that all builds on a slave share.
"""

import hashlib
import re
from collections.abc import Sequence
from typing import Any

from ...master.config.mistakes import MISSING
from . import debian_scripts
from .overlay import overlay
from .root import DAY, FILES, LARGEST_BUILD, ROOT, RPM_SCRIPT, Root, source_making_script

DEFAULT_MIRROR = "http://deb.debian.org/debian"
WEEK = 7 * DAY
MOST_PROCESSES = 4096
# With lower limits, not even the root can be prepared.
LEAST_MEMORY, LEAST_PROCESSES, LEAST_DISK = 64 << 20, 20, 1 << 20
_MIRROR = re.compile(r"(https?|file|ftp)://[!-~]+\Z")
_BUILD_USER = "builder"
"""The user that builds RPM packages in a root of Debian."""
_DEBIAN_NAMES = {
    "x86_64": "amd64", "i486": "i386", "i586": "i386", "i686": "i386", "athlon": "i386",
    "aarch64": "arm64", "armv7hl": "armhf", "ppc64le": "ppc64el",
}  # fmt: skip
"""By architecture of RPM: Debian's name for it, where the names differ."""


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
        return self.build(architecture, *source_making_script(family, dist, _BUILD_USER))

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
        return self.prepare(architecture, RPM_SCRIPT, "debian unpack needs installed", target, dist, _BUILD_USER)

    def rpm_further_preparation(self, architecture: str, target: str, dist: str) -> Sequence[str]:
        return self.prepare(architecture, RPM_SCRIPT, "needs installed", target, dist, _BUILD_USER)

    def rpm_building(self, architecture: str, target: str, dist: str) -> Sequence[str]:
        return self.build(architecture, RPM_SCRIPT, "build", target, dist, _BUILD_USER)

    def rpm_source_preparation(self, architecture: str) -> Sequence[str] | None:
        return self.prepare(architecture, RPM_SCRIPT, "debian", "noarch", "", _BUILD_USER)
