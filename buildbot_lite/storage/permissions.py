"""
Refusal of private files that other users of the machine can read.

They contain FURLs and keys, which give rights to their readers, or records of what was built.
"""

import os
import shlex
from collections.abc import Iterable
from glob import escape, glob

from ..errors import LoosePermissionsError
from .files import readable_by_others

_PRIVATE = (
    *("private", "private/*", "private/generations/*"),
    *("furls", "furls/*", "buildslave.furls", "submit.furls"),
    "records",
)
# Only of a web process of this version: another directory of that name is none of the master's business.
_WEB = ("web/private", "web/private/*")
_WEB_TAC = "web/web.tac"
_OF_A_DATABASE = ("", "-wal", "-shm", "-journal")


def check_farm(basedir: str, database: str) -> None:
    """
    Raise `LoosePermissionsError`, with the remedy, when other users can read a FURL, a key or the records of the master
    in *basedir*, whose database is the file *database*.
    """
    names = (*_PRIVATE, *(_WEB if os.path.exists(os.path.join(basedir, _WEB_TAC)) else ()))
    patterns = [os.path.join(escape(basedir), pattern) for pattern in names]
    patterns += [escape(database) + ending for ending in _OF_A_DATABASE]
    # A link that leads nowhere makes nothing readable.
    refuse_loose(path for pattern in patterns for path in sorted(glob(pattern)) if os.path.exists(path))


def refuse_loose(paths: Iterable[str]) -> None:
    """
    Raise `LoosePermissionsError`, which names all offending files, when other users have permissions for one of
    *paths*.
    """
    loose = list(dict.fromkeys(path for path in paths if readable_by_others(path)))
    if loose:
        others = f" and {len(loose) - 1} more" if len(loose) > 1 else ""
        raise LoosePermissionsError(
            f"Other users of this machine may read {loose[0]}{others}, and so use this farm's strings and keys.  "
            f"Run: chmod go= {shlex.join(loose)}"
        )
