"""
What a root is: a file system in which packages are built.

A root returns the words of the commands that prepare it, run a script in it and remove it.  Steps run these commands on
the slave, in the builder's directory, which has two subdirectories: ``files`` is the working directory inside the root,
with the source in ``in`` and the results in ``out``; ``root`` has the files of the root itself.
"""

from collections.abc import Collection, Sequence
from importlib.resources import files
from typing import Any, ClassVar

from ...master.config.argument_fit import NotingType
from ...master.config.arguments import ArgumentChecker
from ...master.config.executed_line import current_line
from ..formats.source_package import DEB, RPM
from . import debian_scripts
from .kept_roots import KEPT
from .programs import words_of

FILES = "files"
ROOT = "root"
KEPT_ON_SLAVE = f"../../{KEPT}"
"""Where failed roots are kept, relative to the builder's directory."""
INCOMING, RESULTS = "in", "out"

DAY = 86400.0
LARGEST_BUILD = 40 << 30
MOST_HOURS = 8760
"""Hours for which the root of a failed build may be kept: a year."""

RPM_SCRIPT = files(__package__).joinpath("rpm.sh").read_text("utf-8")
_MAKE_SOURCE = files(__package__).joinpath("made_source.sh").read_text("utf-8")


class Root(metaclass=NotingType):
    """
    The parent class of all roots.
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
    """The program that keeps the roots of failed builds, and removes those of others."""
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
        return self.prepare(architecture, RPM_SCRIPT, "unpack installed", target, dist, "")

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
        return self.build(architecture, RPM_SCRIPT, "build", target, dist, "")

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
        return self.build(architecture, *source_making_script(family, dist, ""))

    def keep(self, architecture: str, name: str) -> Sequence[str] | None:
        """
        The words of the command that keeps the root of a failed build under *name*, so that people can enter it; None
        where roots are not kept.
        """
        if not self.keep_failed:
            return None
        seconds = str(int(self.keep_failed))
        return words_of(self.kept_by, "keep", ROOT, FILES, architecture, KEPT_ON_SLAVE, name, seconds)

    def claim(self) -> Sequence[str]:
        """
        The words of the first command of a build: it removes what an earlier one left, and marks the directory as that
        of a build that has begun (`leftovers`).
        """
        return words_of(self.kept_by, "claim", ROOT, FILES)

    def end(self) -> Sequence[str]:
        """
        The words of the command that removes the root and ``files``, whatever state they are in.
        """
        return words_of(self.kept_by, "clear", ROOT, FILES)

    def __repr__(self) -> str:
        return f"{type(self).__name__}()"


def source_making_script(family: str, dist: str, user: str) -> Sequence[str]:
    """
    The script that makes a source package of *family*, and its arguments.  *user*: who makes it in the root; "": the
    user that runs the script.
    """
    script = RPM_SCRIPT + _MAKE_SOURCE if family == RPM else _MAKE_SOURCE
    return [script, "", "", dist, user, family]
