"""
Roots that mock makes: the program with which Fedora and its relatives build RPM packages.
"""

import re
from collections.abc import Collection, Sequence
from typing import Any, ClassVar

from ...master.config.mistakes import MISSING
from ..formats.source_package import RPM
from .programs import words_of
from .root import DAY, FILES, KEPT_ON_SLAVE, ROOT, Root

_ARCH = "{arch}"
_CONFIG = re.compile(r"[A-Za-z0-9][A-Za-z0-9._+-]{0,100}\Z")


class Mock(Root):
    """
    A clean root for each build, made by mock(1) with a configuration on the slave.

    *config*: the name of a configuration in the slave's /etc/mock, like "fedora-40-{arch}"; "{arch}" becomes the
    architecture.  *longest*: seconds after which a command of a build is ended; default a day.  *keep_failed*: as for
    `Overlay`.  There are no limits for memory, processes and disk. mock installs what a package needs with the network,
    and builds without, unless its configuration says otherwise.  The slave needs mock, and its user must be in the
    group mock.  Users in that group can become root on the machine (mock(1), "DESCRIPTION").
    """

    installs = True
    makes_sources = False
    kept_by = "mock"
    families: ClassVar[Collection[str]] = (RPM,)

    def __init__(self, config: Any = MISSING, *, longest: Any = DAY, keep_failed: Any = 0) -> None:
        super().__init__()
        self.keep_failed = self.kept_for(keep_failed)
        self.config = self.arguments.text("config", config)
        if self.config and not _CONFIG.match(self.config.replace(_ARCH, "x86_64")):
            self.arguments.wrong("config", config, 'the name of a configuration of mock, like "fedora-40-{arch}"')
        self.longest = self.arguments.seconds("longest", longest, least=1.0)

    def rpm_preparation(self, architecture: str, target: str, dist: str) -> Sequence[str]:
        return _mock("prepare", ROOT, FILES, self._config(architecture), target, KEPT_ON_SLAVE)

    def rpm_building(self, architecture: str, target: str, dist: str) -> Sequence[str]:
        return _mock("build", ROOT, FILES, self._config(architecture), target, dist)

    def _config(self, architecture: str) -> str:
        return self.config.replace(_ARCH, architecture)

    def __repr__(self) -> str:
        return f"Mock({self.config!r})"


def _mock(verb: str, *words: str) -> Sequence[str]:
    return words_of("mock", verb, *words)
