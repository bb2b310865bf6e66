"""
Architectures of Debian, and the wildcards that stand for several of them.

An architecture has four parts: ABI, C library, kernel and processor; ``armhf`` is eabihf, gnu, linux, arm.  A wildcard
gives some parts and has ``any`` for the others: ``any``, ``linux-any``, ``any-arm``, ``musl-any-any``.  The rules are
those of Debian Policy 11.1 and dpkg-architecture(1), for the kernels that Debian has ported packages to: Linux, the
Hurd and kFreeBSD.
"""

from typing import NamedTuple

ANY = "any"
ALL = "all"
"""The field Architecture of packages that are the same on every architecture."""
SOURCE = "source"

_ABIS = {
    "armel": ("eabi", "arm"),
    "armhf": ("eabihf", "arm"),
    "arm64ilp32": ("ilp32", "arm64"),
    "x32": ("x32", "amd64"),
    "powerpcspe": ("spe", "powerpc"),
    "mipsn32": ("abin32", "mips64"),
    "mipsn32el": ("abin32", "mips64el"),
    "mipsn32r6": ("abin32", "mips64r6"),
    "mipsn32r6el": ("abin32", "mips64r6el"),
    "mips64": ("abi64", "mips64"),
    "mips64el": ("abi64", "mips64el"),
    "mips64r6": ("abi64", "mips64r6"),
    "mips64r6el": ("abi64", "mips64r6el"),
}


class Parts(NamedTuple):
    """
    The parts of an architecture; in a wildcard, `ANY` for those that may be anything.
    """

    abi: str
    libc: str
    kernel: str
    processor: str


def parts(architecture: str) -> Parts:
    """
    The parts of an architecture that is no wildcard.
    """
    *prefix, last = architecture.split("-", 2)
    abi, processor = _ABIS.get(last, ("base", last))
    libc, kernel = ("gnu", "linux") if not prefix else ("gnu", prefix[0]) if len(prefix) == 1 else prefix
    return Parts(abi, libc, kernel, processor)


def is_wildcard(text: str) -> bool:
    """
    Whether *text* stands for several architectures.
    """
    return ANY in text.split("-")


def matches(text: str, architecture: str) -> bool:
    """
    Whether *text*, an architecture or a wildcard, is or stands for *architecture*.

    ``all`` and ``source`` are no architectures: they match themselves only.
    """
    if text == architecture:
        return True
    if not is_wildcard(text) or architecture in (ALL, SOURCE):
        return False
    pattern = text.split("-", 3)
    # The parts that are not written are those at the front.
    wanted = [ANY] * (4 - len(pattern)) + pattern
    return all(want in (ANY, part) for want, part in zip(wanted, parts(architecture), strict=True))
