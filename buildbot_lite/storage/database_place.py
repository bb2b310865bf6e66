"""
The place of a farm's database, for programs that do not load master.cfg.

``c["db"]`` may name another file than the default.  The master writes that to ``private/database``, because a backup
must also work while master.cfg has mistakes.
"""

import os

from ..errors import FileError
from .files import remove, write_whole

FILE = "database"
DEFAULT = os.path.join("records", "farm.sqlite")


def keep_place(private: str, basedir: str, path: str) -> None:
    """
    Keep *path* for `kept_place`.  *private*: the farm's directory of that name in *basedir*.
    """
    place = os.path.join(private, FILE)
    if os.path.normpath(path) == os.path.join(basedir, DEFAULT):
        remove(place)
    else:
        write_whole(place, os.fsencode(os.path.abspath(path)))


def kept_place(basedir: str) -> str:
    """
    The absolute path of the database of the farm in *basedir*.
    """
    try:
        with open(os.path.join(basedir, "private", FILE), "rb") as file:
            return os.fsdecode(file.read(1 << 16))
    except FileNotFoundError:
        return os.path.join(os.path.abspath(basedir), DEFAULT)
    except OSError as error:
        raise FileError(f"{error.filename} cannot be read: {error.strerror}.") from None
