"""
Validation of names and relative paths.

Names become directories, lines of ``buildslave.furls`` and words on a command line; so their alphabet is small.
"""

import os
import re
from collections.abc import Mapping
from posixpath import normpath

from ..errors import NameNotAllowedError, UnsafePathError

_NAME = re.compile(r"[A-Za-z0-9_+][A-Za-z0-9._+-]{0,79}\Z")
LONGEST_PATH = 1024
REF = re.compile(r"(?![-/])(?!.*(?:\.\.|@\{|//))[^\x00-\x20\x7f~^:?*\[\\]{1,250}(?<![/.])\Z")
"""Names of branches, tags and commits that no program can read as an option or an expression."""


def checked_name(name: object, what: str = "name") -> str:
    """
    Return *name* if it is valid; otherwise raise `NameNotAllowedError`.  *what*: the kind of object, for the error.
    """
    if not isinstance(name, str) or not _NAME.match(name):
        raise NameNotAllowedError(
            f"{name!r:.100} cannot be the name of a {what}: use 1 to 80 letters, digits and . _ + -, "
            "not beginning with a dot or a dash."
        )
    return name


def directory_name(name: str) -> str:
    """
    The name of the directory for the builder or slave *name*: all characters except letters, digits and . _ + - become
    underscores, and at most 80 are kept.
    """
    return re.sub(r"[^A-Za-z0-9._+-]", "_", name).lstrip(".-")[:80] or "_"


def relative_path(path: object) -> str:
    """
    Return *path*, normalised, if it does not lead out of the directory that it is relative to.

    `UnsafePathError` for absolute paths, paths that leave the directory with ``..``, paths with a NUL or of more than
    `LONGEST_PATH` characters, and text that cannot be encoded as a file name, such as a lone surrogate from JSON.
    Symbolic links are not considered: the code that opens the file must check them.
    """
    if not isinstance(path, str) or len(path) > LONGEST_PATH or "\0" in path or not _can_be_written(path):
        raise UnsafePathError(f"{path!r:.100} is not a usable path.")
    short = normpath(path or ".")
    if short == ".." or short.startswith(("/", "../")):
        raise UnsafePathError(f"{path!r:.100} leads out of its directory.  Give a path inside it, without '..'.")
    return short


def path_bytes(path: str) -> bytes:
    """
    The file name for *path*, a path in a message: encoded in UTF-8, in any locale; surrogates stand for bytes that are
    not UTF-8 (PEP 383).
    """
    return path.encode("utf-8", "surrogateescape")


def path_text(path: bytes) -> str:
    """
    The text for the file name *path* in messages; the inverse of `path_bytes`.
    """
    return path.decode("utf-8", "surrogateescape")


def locale_to_utf8(text: str) -> str:
    """
    Decode *text*, a path or variable that this process decoded by its locale, again as UTF-8.
    """
    return path_text(os.fsencode(text))


def environment_to_utf8(env: Mapping[str, str]) -> dict[str, str]:
    """
    `locale_to_utf8` of the names and values of *env*.
    """
    return {locale_to_utf8(name): locale_to_utf8(value) for name, value in env.items()}


def _can_be_written(path: str) -> bool:
    try:
        path_bytes(path)
    except UnicodeEncodeError:
        return False
    return True
