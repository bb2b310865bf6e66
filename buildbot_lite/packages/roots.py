"""
Roots: the systems in which packages are built.

A root gives the words of the commands that prepare it, run a script in it and remove it; steps run them on the slave,
in the builder's directory, which has two subdirectories: ``files``, seen from inside as the working directory, with the
source in ``in`` and the results in ``out``; and ``root``, for what belongs to the root itself.
"""

import re
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from ..master.config.argument_fit import NotingType
from ..master.config.arguments import ArgumentChecker
from ..master.config.mistakes import MISSING, current_line

FILES = "files"
ROOT = "root"
INCOMING, RESULTS = "in", "out"

DEFAULT_MIRROR = "http://deb.debian.org/debian"
WEEK = 7 * 86400.0

_OVERLAY = files(__package__).joinpath("overlay.sh").read_text("utf-8")
_RPM = files(__package__).joinpath("rpm.sh").read_text("utf-8")
_MIRROR = re.compile(r"(https?|file|ftp)://[!-~]+\Z")
_APT = "apt-get --quiet --yes -o APT::Sandbox::User=root"
_INSTALLED = "dpkg-query --show --showformat '${binary:Package} ${Version}\\n' >out/installed.txt"

_BUILD_USER = "builder"
"""Who builds RPM packages in a root of Debian."""
_DEBIAN_NAMES = {
    "x86_64": "amd64", "i486": "i386", "i586": "i386", "i686": "i386", "athlon": "i386",
    "aarch64": "arm64", "armv7hl": "armhf", "ppc64le": "ppc64el",
}  # fmt: skip
"""The architecture of Debian whose programs are those of one of RPM, where the names differ."""


class Root(metaclass=NotingType):
    """
    The base of all roots.
    """

    def __init__(self) -> None:
        self.place = current_line(self)
        self.arguments = ArgumentChecker(type(self).__name__, self)

    def begin(self, architecture: str, packages: Sequence[str] = ()) -> Sequence[Sequence[str]]:
        """
        The words of the commands that begin a root of its own for one build, in order.  *packages*: further ones in it,
        by their names in the distribution of the root.
        """
        return []

    def inside(self, architecture: str, script: str, *words: str, network: bool = False) -> Sequence[str]:
        """
        The words that run a shell *script* in the root, with *words* as its arguments.  *network*: it may use the
        network, as far as the root keeps it from that.
        """
        raise NotImplementedError

    def debian_preparation(self) -> Sequence[tuple[str, bool]]:
        """
        The scripts that install what the build of a Debian package needs, each with whether it needs the network.  The
        last one leaves the list of all installed packages in ``out/installed.txt``.
        """
        raise NotImplementedError

    def rpm_preparation(self, architecture: str, target: str, dist: str) -> Sequence[str]:
        """
        The words of the command that takes a source RPM apart, installs what its build needs, and leaves the list of
        all installed packages in ``out/installed.txt``.  *target*: the architecture of the packages, or "noarch".
        *dist*: the value of ``%dist``.
        """
        return self.inside(architecture, _RPM, "unpack installed", target, dist, "")

    def rpm_building(self, architecture: str, target: str, dist: str) -> Sequence[str]:
        """
        The words of the command that builds it then.
        """
        return self.inside(architecture, _RPM, "build", target, dist, "")

    def end(self) -> Sequence[str]:
        """
        The words of the command that removes the root and ``files``, whatever state they are in.
        """
        raise NotImplementedError

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


class Overlay(Root):
    """
    A clean root of Debian for each build: a base that all builds on the slave share and none can change, and above it
    an overlay that is removed after the build.  An ordinary user can build in it, where user namespaces are allowed.

    What the build needs is installed with the network, by the root's own apt; the build itself has no network.

    *suite*: the release of Debian, like "bookworm".  *mirror*: where its packages are.  *packages*: further packages in
    the base, which saves the time of installing them for each build.  *refresh*: seconds after which the base is made
    anew; default a week.  The slave needs the programs mmdebstrap, unshare and flock (Debian: mmdebstrap, uidmap,
    util-linux).
    """

    def __init__(
        self, suite: Any = MISSING, *, mirror: Any = DEFAULT_MIRROR, packages: Any = ("debhelper",), refresh: Any = WEEK
    ) -> None:
        super().__init__()
        self.suite = self.arguments.name("suite", suite, "suite")
        self.mirror = self.arguments.text("mirror", mirror)
        if self.mirror and not _MIRROR.match(self.mirror):
            self.arguments.wrong("mirror", mirror, 'an address like "http://deb.debian.org/debian"')
        self.packages = [self.arguments.name("packages", each, "package") for each in self._listed(packages)]
        self.refresh = self.arguments.seconds("refresh", refresh, least=60.0)

    def begin(self, architecture: str, packages: Sequence[str] = ()) -> Sequence[Sequence[str]]:
        architecture = _DEBIAN_NAMES.get(architecture, architecture)
        bases = f"../../roots/{self.suite}-{architecture}"
        refresh, all_packages = str(int(self.refresh)), ",".join([*self.packages, *packages])
        return [
            _overlay("base", bases, self.suite, architecture, self.mirror, refresh, all_packages),
            _overlay("begin", bases, ROOT),
        ]

    def inside(self, architecture: str, script: str, *words: str, network: bool = False) -> Sequence[str]:
        return _overlay(
            "run", ROOT, FILES, architecture, "yes" if network else "no", "sh", "-euc", script, "sh", *words
        )

    def debian_preparation(self) -> Sequence[tuple[str, bool]]:
        return [
            (f"{_APT} --download-only build-dep ./in/*.dsc", True),
            (f"{_APT} --no-download build-dep ./in/*.dsc\n{_INSTALLED}", False),
        ]

    def rpm_preparation(self, architecture: str, target: str, dist: str) -> Sequence[str]:
        return self.inside(architecture, _RPM, "debian unpack needs installed", target, dist, _BUILD_USER)

    def rpm_building(self, architecture: str, target: str, dist: str) -> Sequence[str]:
        return self.inside(architecture, _RPM, "build", target, dist, _BUILD_USER)

    def end(self) -> Sequence[str]:
        return _overlay("remove", ROOT, FILES)

    def _listed(self, packages: Any) -> Sequence[Any]:
        return self.arguments.texts("packages", packages)

    def __repr__(self) -> str:
        return f"Overlay({self.suite!r})"


class Plain(Root):
    """
    The slave itself, as it is: nothing is installed for a build, nothing is kept from it, and what it leaves behind
    outside its directory stays.  For tests, and for machines that are thrown away after each build.
    """

    def inside(self, architecture: str, script: str, *words: str, network: bool = False) -> Sequence[str]:
        return ["/bin/sh", "-euc", f"cd {FILES}\n{script}", "sh", *words]

    def debian_preparation(self) -> Sequence[tuple[str, bool]]:
        return [(_INSTALLED, False)]

    def end(self) -> Sequence[str]:
        return ["rm", "-rf", "--", ROOT, FILES]


def _overlay(verb: str, *words: str) -> Sequence[str]:
    return ["/bin/sh", "-c", _OVERLAY, "overlay", verb, *words]
