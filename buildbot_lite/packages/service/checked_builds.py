"""
The packages that the builds of a job made, compared with the submitted source package before any of them is kept.
"""

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

from sqlalchemy import Connection

from ...errors import InputError
from ...master.farm import Farm
from ...storage.files import file_error
from ...storage.records import buildsets, inputs
from ..formats.built_packages import BuiltPackage, built_packages
from ..formats.built_rpm import built_of
from ..formats.joined_builds import joined
from ..formats.source_package import RPM
from ..formats.submitted_package import examine
from ..records.jobs import Job
from ..records.results import ArchOutput
from ..targets.target import Target


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


def built_version(target: Target, job: Job, submitted: str, outputs: Sequence[ArchOutput], artifacts: str) -> str:
    """
    The version of the packages in *outputs*, which *target* built of the file *submitted*; *artifacts*: where they are.

    That of the first package which names it; `checked_builds` compares the others with it.  Without one, it is what
    can be known of the source, and the check says what is wrong.  Blocks; `FileError`.
    """
    expected = target.built_version(job.version)
    if target.family != RPM:
        return expected
    paths = [os.path.join(artifacts, each.path) for output in outputs for each in output.artifacts]
    first = next((path for path in paths if path.endswith(".rpm")), None)
    if first is None:
        return expected
    try:
        with open(submitted, "rb") as file:
            source = examine(file).package
        with open(first, "rb") as file:
            found = built_of(file, source, target.suffix)
    except InputError:
        return expected
    except OSError as error:
        raise file_error(error, os.path.basename(first), cannot="be read") from error
    if found is None:
        return expected
    return f"{source.epoch}:{found}" if source.epoch else found
