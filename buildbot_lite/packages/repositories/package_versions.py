"""
The versions of the packages of a snapshot, also of one whose record lacks them.

Records of snapshots that were made before versions were kept have none; then the package file itself is read, which
does not change.
"""

import os
from collections.abc import Callable

from ...errors import InputError
from .snapshots import Snapshot


def versions_in(snapshot: Snapshot, directory: str, read: Callable[[str], str]) -> Callable[[str], str]:
    """
    What gives the version of a package of *snapshot* by its file name; "" for one that is damaged.  *directory*: that
    of its package files.  *read*: the version of the package file at a path, as `Metadata.version`.
    """

    def version_of(name: str) -> str:
        found = snapshot.versions.get(name)
        if found is None:
            try:
                found = read(os.path.join(directory, name))
            except InputError:
                found = ""
        return found

    return version_of
