"""
Machines, by their names in ``uname -m``, and the architectures whose programs they run.
"""

from collections.abc import Sequence

ARCH = "arch"
"""The property of a slave with its architectures; without it, they follow from its machine."""

# Machine → the names of architectures in Debian and RPM: its own, and those that it runs with another personality
# (personality(2), setarch(8)).
_RUNS = {
    "x86_64": ("x86_64", "amd64", "i386", "i686", "i586"),
    "i686": ("i686", "i386", "i586"),
    "i586": ("i586", "i386"),
    "aarch64": ("aarch64", "arm64"),
    "armv7l": ("armv7l", "armhf", "armv7hl"),
    "ppc64le": ("ppc64le", "ppc64el"),
    "riscv64": ("riscv64",),
    "s390x": ("s390x",),
    "mips64": ("mips64", "mips64el"),
    "loongarch64": ("loongarch64", "loong64"),
}


def architectures_of(machine: str) -> Sequence[str]:
    """
    The architectures whose programs *machine* runs; for an unknown machine, only its name.
    """
    return _RUNS.get(machine, (machine,))
