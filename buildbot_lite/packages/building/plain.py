"""
The slave itself in place of a root.
"""

from collections.abc import Sequence

from . import debian_scripts
from .root import FILES, Root


class Plain(Root):
    """
    The slave itself, as it is.  Nothing is installed for a build, the build is not isolated, and files that it leaves
    outside its directory stay.  For tests, and for machines that are thrown away after each build.
    """

    def prepare(self, architecture: str, script: str, *words: str, network: bool = False) -> Sequence[str]:
        return ["/bin/sh", "-euc", f"cd {FILES}\n{script}", "sh", *words]

    def build(self, architecture: str, script: str, *words: str) -> Sequence[str]:
        return self.prepare(architecture, script, *words)

    def debian_preparation(self, *, same: bool = False) -> Sequence[tuple[str, Sequence[str], bool]]:
        return [(debian_scripts.LIST, [], False)]
