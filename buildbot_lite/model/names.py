"""
Which names and which paths are allowed.

Names become directories, lines of ``buildslave.furls`` and words on a command line, so they are kept plain.
"""

import os
import re
from posixpath import normpath

from ..errors import NameNotAllowedError, UnsafePathError

_NAME = re.compile(r"[A-Za-z0-9_+][A-Za-z0-9._+-]{0,79}\Z")
LONGEST_PATH = 1024


def checked_name(name: object, what: str = "name") -> str:
    """
    *name* itself, if it may name a *what*; otherwise `NameNotAllowedError`.
    """
    if not isinstance(name, str) or not _NAME.match(name):
        raise NameNotAllowedError(
            f"{name!r:.100} cannot be the name of a {what}: use 1 to 80 letters, digits and . _ + -, "
            "not beginning with a dot or a dash."
        )
    return name


def directory_name(name: str) -> str:
    """
    The directory that belongs to whatever is called *name*: everything unusual becomes an underscore.
    """
    return re.sub(r"[^A-Za-z0-9._+-]", "_", name).lstrip(".-")[:80] or "_"


def relative_path(path: object) -> str:
    """
    *path* in its shortest form, if it stays inside the directory that it is relative to.

    Refused with `UnsafePathError`: absolute paths, paths that climb out with ``..``, NUL, more than 1024 characters,
    and what cannot be the name of a file at all, like half of a pair of surrogates out of somebody's JSON.  What
    symbolic links do is for whoever opens the file to check.
    """
    if not isinstance(path, str) or len(path) > LONGEST_PATH or "\0" in path or not _can_be_written(path):
        raise UnsafePathError(f"{path!r:.100} is not a usable path.")
    short = normpath(path or ".")
    if short == ".." or short.startswith(("/", "../")):
        raise UnsafePathError(f"{path!r:.100} leads out of its directory.  Give a path inside it, without '..'.")
    return short


def path_bytes(path: str) -> bytes:
    """
    The name or path that travelled as *path*: UTF-8, whatever the locale; bytes that are none travel as surrogates.
    """
    return path.encode("utf-8", "surrogateescape")


def path_text(path: bytes) -> str:
    """
    As what *path* travels; the reverse of `path_bytes`.
    """
    return path.decode("utf-8", "surrogateescape")


def locale_to_utf8(text: str) -> str:
    """
    *text*, a path or variable as this process spells it in its own locale, as it travels to a process in UTF-8 mode.
    """
    return path_text(os.fsencode(text))


def _can_be_written(path: str) -> bool:
    try:
        path_bytes(path)
    except UnicodeEncodeError:
        return False
    return True
