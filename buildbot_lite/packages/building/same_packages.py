"""
Rebuilds: the list of packages that an earlier build had in its root is sent to the slave, which installs the same ones.

::

    results of the first build: installed.txt ──► files/wanted.txt on the slave ──► installed there, with these versions
"""

import hashlib
import os
from collections.abc import Mapping
from typing import Any

from twisted.internet.threads import deferToThread

from ...errors import UnsafePathError
from ...master.steps.download_sources import MasterFile
from ...master.steps.outcomes import CommandFailedError, result_of
from ...master.steps.transfer import Transferring
from ...model.names import relative_path
from ...model.results import Result
from ...model.spec import Download
from ...storage.files import file_error
from ..records.results import TREE
from .root import FILES

LISTS = "installed_before"
"""
The property of rebuilds: by builder, the path of the earlier build's list of installed packages, relative to the
master's directory.
"""
WANTED = "wanted.txt"
"""That list, in the directory of the build on the slave."""
INSTALLED = "installed.txt"
"""The list of the packages that were installed in the root."""
LARGEST_INSTALLED = 4 << 20

_WORDS_OF_RPM = 3
_GONE = "The list of the packages that the first build had is not kept any more."


class GettingList(Transferring):
    """
    The part of a step that gets the list.
    """

    async def get_list(self) -> bool:
        """
        Put the list of the packages that the root must have on the slave; False when there is none for this build.
        """
        path = self._list()
        if path is None:
            return False
        whole = os.path.join(self.bench.master_directory, path)

        async def ask() -> Any:
            return await deferToThread(_measured, whole)

        # Recorded, so that a resumed build continues with the same list.
        found: Any = await self.bench.record("looking at the packages of the first build", path, ask, repeatable=True)
        if not found:
            raise CommandFailedError(Result.EXCEPTION, _GONE)
        what = Download(self.on_slave(f"{FILES}/{WANTED}"), "file", found["size"], found["sha256"])
        ran = await self.do(what, sources={"file": MasterFile(whole)})
        result, summary = result_of(ran.outcome, self.slave_name)
        if result is not Result.SUCCESS:
            raise CommandFailedError(result, f"The list of packages could not be sent: {summary}")
        return True

    def listed_packages(self) -> frozenset[str]:
        """
        The file names of the RPM packages in the list, also of those that are not the farm's.  Blocks; `FileError`.
        """
        path = self._list()
        return frozenset() if path is None else rpm_files(os.path.join(self.bench.master_directory, path))

    def _list(self) -> str | None:
        """
        The path of the list for this build, relative to the master's directory; None: it has none.
        `CommandFailedError` when it is not in the tree of results.
        """
        lists = self.getProperty(LISTS)
        path = lists.get(str(self.getProperty("buildername"))) if isinstance(lists, Mapping) else None
        if path is None:
            return None
        try:
            checked = relative_path(path)
        except UnsafePathError:
            checked = ""
        # A submitter may give properties, too.
        if not checked.startswith(f"{TREE}/"):
            raise CommandFailedError(
                Result.EXCEPTION, f"{path!r:.200} in the property {LISTS} is no list in the results of a build."
            )
        return checked


def rpm_files(path: str) -> frozenset[str]:
    """
    The file names of the RPM packages in the list *path*, of which a line has name, version and architecture.  Blocks;
    `FileError`.
    """
    try:
        with open(path, "rb") as file:
            lines = file.read(LARGEST_INSTALLED).decode("utf-8", "replace").splitlines()
    except OSError as error:
        raise file_error(error, "list of the packages of the first build", cannot="be read") from error
    packages = [words for line in lines if len(words := line.split()) == _WORDS_OF_RPM]
    # An epoch is in no name of a file.
    return frozenset(f"{name}-{version.rpartition(':')[2]}.{arch}.rpm" for name, version, arch in packages)


def _measured(path: str) -> dict[str, Any]:
    try:
        with open(path, "rb") as file:
            contents = file.read(LARGEST_INSTALLED + 1)
    except OSError:
        return {}
    if len(contents) > LARGEST_INSTALLED:
        return {}
    return {"size": len(contents), "sha256": hashlib.sha256(contents).hexdigest()}
