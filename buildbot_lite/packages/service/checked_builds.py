"""
The packages that the builds of a job made, compared with the submitted source package before any of them is kept.
"""

from collections.abc import Mapping
from pathlib import Path

from sqlalchemy import Connection

from ...errors import InputError
from ...master.farm import Farm
from ...storage.records import buildsets, inputs
from ..formats.built_packages import BuiltPackage, built_packages
from ..formats.joined_builds import joined
from ..formats.submitted_package import examine
from ..records.jobs import Job


async def submitted_file(farm: Farm, job: Job) -> str:
    """
    The path of the file that was submitted as *job*; `InputError` when it is no longer stored.
    """

    def read(connection: Connection) -> str:
        found = buildsets.get(connection, job.buildset)
        stored = inputs.get(connection, found.input) if found is not None and found.input is not None else None
        if stored is None:
            raise InputError("The source package of the job is not stored any more.  Submit it again.")
        return stored.sha256

    return farm.inputs.path(await farm.records.read(read))


def checked_builds(submitted: str, suffix: str, builds: Mapping[str, str]) -> list[BuiltPackage]:
    """
    All packages of *builds* (architecture → directory), each once; noarch ones are of the first build.

    *submitted*: the path of the submitted file.  *suffix*: what the target appends to the version.  `InputError` names
    a package that this source does not make.  Reads everything, so call it in a thread.
    """
    with open(submitted, "rb") as file:
        source = examine(file).package
    return joined({arch: built_packages(Path(place), source, arch, suffix) for arch, place in builds.items()})
