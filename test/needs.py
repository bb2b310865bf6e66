"""
Programs that a test needs and a minimal system lacks: the tests that need one are skipped where it is missing.

``python3 -m test.needs`` prints the Debian packages of all of them that are missing here, for ``.ci/run``, which
installs them and runs the skipped tests then.  (It is run before anything is installed: the standard library alone.)
"""

import shutil
import sys
from collections.abc import Callable
from typing import Any, TypeVar

# By program, the Debian package that has it.
PACKAGES = {
    "bwrap": "bubblewrap",
    "faketime": "faketime",
    "flock": "util-linux",
    "git-lfs": "git-lfs",
    "gpg": "gnupg",
    "pass": "pass",
    "ps": "procps",
    "setpriv": "util-linux",
    "sqlite3": "sqlite3",
    "systemctl": "systemd",
    "zstd": "zstd",
}

# What no package brings: where one of these is the reason, a test may be skipped on the complete system as well.
MOUNTS = "only root, and not in every container, can mount a small disk"
NO_SYSTEMD = "systemd does not run for a user here"
NO_BWRAP = "bwrap does not work here"
FORBIDDEN = (MOUNTS, NO_SYSTEMD, NO_BWRAP)

T = TypeVar("T", bound=Callable[..., Any])


def lacking(*programs: str) -> str:
    """
    The sentence that says which of *programs* is not here, and what to install; "" when all are.
    """
    for program in programs:
        if shutil.which(program) is None:
            return f"{program} is not installed (Debian: apt install {PACKAGES[program]})"
    return ""


def needs(*programs: str) -> Callable[[T], T]:
    """
    Skip a test, or a class of them, where one of *programs* is missing.
    """

    def decorate(test: T) -> T:
        if sentence := lacking(*programs):
            # Where trial looks for it.
            test.skip = sentence  # type: ignore[attr-defined]  # functions and classes have room for it
        return test

    return decorate


if __name__ == "__main__":
    sys.stdout.write(
        "".join(f"{package}\n" for package in sorted({PACKAGES[name] for name in PACKAGES if lacking(name)}))
    )
