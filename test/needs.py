"""
Programs that a test needs and a minimal system lacks: a test is skipped where its program is missing.

``python3 -m test.needs`` prints the Debian packages of all missing programs.  ``.ci/run`` installs them and then runs
the skipped tests.  (This module runs before anything is installed, so it uses the standard library alone.)
"""

import shutil
import sys
from collections.abc import Callable
from typing import Any, TypeVar

# The Debian package of each program.
PACKAGES = {
    "apt-ftparchive": "apt-utils",
    "apt-get": "apt",
    "bwrap": "bubblewrap",
    "chromedriver": "chromium-driver",
    "chromium": "chromium",
    "createrepo_c": "createrepo-c",
    "dnf": "dnf",
    "dpkg-deb": "dpkg",
    "faketime": "faketime",
    "dpkg-buildpackage": "dpkg-dev",
    "flock": "util-linux",
    "gcc": "build-essential",
    "git-lfs": "git-lfs",
    "gpg": "gnupg",
    "gpgv": "gpgv",
    "hg": "mercurial",
    "mmdebstrap": "mmdebstrap",
    "newuidmap": "uidmap",
    "nginx": "nginx-light",
    "pass": "pass",
    "promtool": "prometheus",
    "ps": "procps",
    "rpmkeys": "rpm",
    "rpmbuild": "rpm",
    "sbuild": "sbuild",
    "setpriv": "util-linux",
    "sqlite3": "sqlite3",
    "svn": "subversion",
    "svnadmin": "subversion",
    "svnserve": "subversion",
    "systemctl": "systemd",
    "zstd": "zstd",
}

# Reasons that no package removes: for these, a test may be skipped on the complete system as well.
MOUNTS = "only root, and not in every container, can mount a small disk"
NO_SYSTEMD = "systemd does not run for a user here"
NO_BWRAP = "bwrap does not work here"
NO_SOURCES = "no source packages of Debian's can be reached from here"
FORBIDDEN = (MOUNTS, NO_SYSTEMD, NO_BWRAP, NO_SOURCES)

T = TypeVar("T", bound=Callable[..., Any])


def lacking(*programs: str) -> str:
    """
    Return a sentence that names the missing programs and their packages, or "" when none is missing.
    """
    for program in programs:
        if shutil.which(program) is None:
            return f"{program} is not installed (Debian: apt install {PACKAGES[program]})"
    return ""


def needs(*programs: str) -> Callable[[T], T]:
    """
    Skip a test, or a class, when one of *programs* is missing.
    """

    def decorate(test: T) -> T:
        if sentence := lacking(*programs):
            # The attribute of trial's skipped tests.
            test.skip = sentence  # type: ignore[attr-defined]  # functions and classes have room for it
        return test

    return decorate


if __name__ == "__main__":
    sys.stdout.write(
        "".join(f"{package}\n" for package in sorted({PACKAGES[name] for name in PACKAGES if lacking(name)}))
    )
