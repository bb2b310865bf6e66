"""
How a repository asks for the metadata that package managers read: one implementation for each kind of them.
"""

from collections.abc import Mapping, Sequence
from threading import Event
from typing import Protocol

from attrs import frozen

from .snapshots import PackageFile


@frozen
class Making:
    """
    The input for writing metadata.  *tree*: the directory of the new snapshot, with all package files in it.  *state*:
    a directory beside it for what the next snapshot needs; *before*: that of the current one, or None.  *before_tree*:
    the tree of the current one.  *packages*: those for the index, by file name; *new*: the names of those that the
    current snapshot does not have.  *unwanted*: set when the master stops.
    """

    tree: str
    state: str
    before: str | None
    before_tree: str | None
    packages: Mapping[str, PackageFile]
    new: Sequence[str]
    unwanted: Event


class Metadata(Protocol):
    """
    The metadata for one kind of clients: `DebianMetadata`, `RpmMetadata`.

    *directory*: the directory of package files in the tree.  *to_sign*: the paths of files that are signed.
    *signatures*: the possible paths of signatures.
    """

    @property
    def directory(self) -> str: ...

    @property
    def to_sign(self) -> Sequence[str]: ...

    @property
    def signatures(self) -> Sequence[str]: ...

    def version(self, path: str) -> str:
        """
        The version of the package file *path*, with its epoch.  `InputError` when it is no package.
        """

    def make(self, making: Making) -> Sequence[str]:
        """
        Write the metadata, with the mode 0644 and synced to the disk.  Returns the paths of those whose names are made
        of their contents.  `InputError` when a new file is not the package that its name says.
        """
