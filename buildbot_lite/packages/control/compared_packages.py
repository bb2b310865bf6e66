"""
Where two packages of one name differ, for people.
"""

import os
from contextlib import ExitStack

from ...errors import FileError, InputError
from ...model.display import printable
from ...storage.files import file_error
from ..formats import deb_differences, rpm_differences
from ..formats.rpm_file import read_unchecked

_RPM_HEADER = "the header, which names the machine, the time and the options of the build"


def where_different(first: str, second: str) -> str:
    """
    A sentence about the first difference between the packages in the files *first* and *second*.  Blocks.
    """
    name = os.path.basename(first)
    try:
        return f"{name}: first difference: {_difference(first, second)}"
    except (InputError, FileError) as error:
        return f"{name}: the first difference is not known: {error}"


def _difference(first: str, second: str) -> str:
    with ExitStack() as opened:
        try:
            one, other = (opened.enter_context(open(path, "rb")) for path in (first, second))
        except OSError as error:
            raise file_error(error, "package", cannot="be read") from error
        if not first.endswith(".rpm"):
            return deb_differences.first_difference(one, other)
        found = rpm_differences.differences(read_unchecked(one), read_unchecked(other))
        return printable(found[0], longest=deb_differences.LONGEST_PATH) if found else _RPM_HEADER
