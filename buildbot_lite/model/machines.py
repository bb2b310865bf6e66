"""
Machines, as ``uname -m`` calls them, and the architectures whose programs they run.
"""

from collections.abc import Sequence

ARCH = "arch"
"""The property of a slave that says which architectures it builds for, if its machine does not."""

# By machine, the names of Debian's and of RPM's: its own, and those that it runs with another personality
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
    The architectures of programs that *machine* runs; of one that is not known, its own name.
    """
    return _RUNS.get(machine, (machine,))
