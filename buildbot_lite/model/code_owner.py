"""
Whose code runs: the user's, this program's, or that of a library.

Only code of the user's may be interrupted at any place.  What Python's library or an installed package does for it is
part of it, unless that package runs the farm::

    user's ──► requests ──► socket      the user's
    reactor ──► own steps ──► socket    the user's: an installed package that nothing of this program has called
    user's ──► ours ──► jinja2          this program's
    user's ──► sqlalchemy               this program's
"""

import os
import sysconfig
from types import FrameType

STORED = "<generation "
"""The beginning of the names of source files of an earlier configuration, which are in no directory."""

_LIBRARIES = tuple(
    os.path.join(path, "") for path in {*sysconfig.get_paths("posix_prefix").values()} if "python" in path
)
_PACKAGES = tuple(f"{os.sep}{name}{os.sep}" for name in ("site-packages", "dist-packages"))
# To interrupt these would leave the farm in an unknown state: what runs it, and what they call.
_WITH_STATE = frozenset(
    {
        *("alembic", "attr", "automat", "constantly", "cryptography", "foolscap", "hyperlink", "idna", "incremental"),
        *("OpenSSL", "service_identity", "sqlalchemy", "twisted", "zope"),
    }
)
_OURS = os.path.join(os.path.dirname(os.path.dirname(os.path.abspath(__file__))), "")


def is_users_file(path: str) -> bool:
    """
    Whether the source file *path* is the user's: neither this program's, nor of Python or an installed package.
    """
    return not (_is_of_python(path) or path.startswith(_OURS) or any(name in path for name in _PACKAGES))


def is_users(frame: FrameType | None) -> bool:
    """
    Whether *frame* is the user's, or was called by the user's code through Python's library and installed packages
    only.  An installed package that this program does not use is the user's, if it was not called by this program; one
    of `_WITH_STATE` never is.
    """
    in_package = False
    while frame is not None:
        path = frame.f_code.co_filename
        package = None if path.startswith(_OURS) else _package_of(path)
        if package in _WITH_STATE:
            return in_package
        if package is not None:
            in_package = True
        elif not _is_of_python(path):
            return is_users_file(path)
        frame = frame.f_back
    return False


def _is_of_python(path: str) -> bool:
    return path.startswith(("<", *_LIBRARIES)) and not path.startswith(STORED)


def _package_of(path: str) -> str | None:
    """
    The name of the installed package to which the source file *path* belongs; None: to none.
    """
    for name in _PACKAGES:
        if name in path:
            return path.rpartition(name)[2].partition(os.sep)[0].removesuffix(".py")
    return None
