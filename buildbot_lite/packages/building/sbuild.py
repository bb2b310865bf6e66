"""
Roots that sbuild makes: the program that builds the packages of Debian itself.

::

    prepping                                      building
    base of Debian ──► archive                    sbuild: root of the archive ──► what the package needs ──► build
          '──► an overlay: is there all it needs?         (with the network)                          (without)
"""

from collections.abc import Collection, Sequence
from typing import ClassVar

from ..formats.source_package import DEB
from . import debian_scripts
from .debian_roots import DebianRoot
from .programs import words_of
from .root import FILES, INCOMING, ROOT

_SUFFIXED = "suffixed"


class Sbuild(DebianRoot):
    """
    A clean root of Debian for each build, made by sbuild(1) in its mode "unshare", which an ordinary user can use.

    *suite*, *mirror*, *packages*, *refresh*, *longest*, *keep_failed*: as for `Overlay`.  There are no limits for
    memory, processes and disk. sbuild installs what a package needs with the network, and builds without.  Besides what
    `Overlay` needs, the slave needs the package sbuild of Debian (12 or later), and room for a root in its temporary
    directory, which other users must be able to enter.
    """

    families: ClassVar[Collection[str]] = (DEB,)

    def begin(self, architecture: str, packages: Sequence[str] = ()) -> Sequence[Sequence[str]]:
        return [_sbuild("check"), *super().begin(architecture, packages), _sbuild("pack", ROOT)]

    def debian_preparation(self, *, same: bool = False) -> Sequence[tuple[str, Sequence[str], bool]]:
        if same:
            return [(debian_scripts.TRY_SAME, ["--simulate"], False)]
        return [(debian_scripts.TRY, [], False)]

    def debian_building(self, architecture: str, build_type: str, suffix: str) -> Sequence[Sequence[str]]:
        source = _SUFFIXED if suffix else INCOMING
        building = _sbuild("build", ROOT, FILES, self.suite, architecture, source, build_type)
        # sbuild has an option for a suffix, with which it does not build packages that are the same everywhere.
        return [self.prepare(architecture, debian_scripts.SUFFIX, suffix), building] if suffix else [building]


def _sbuild(verb: str, *words: str) -> Sequence[str]:
    return words_of("sbuild", verb, *words)
