"""
The paths in an archive: components, safe links, and errors that name an entry.
"""

import errno
import tarfile
from collections.abc import Iterator
from contextlib import contextmanager
from posixpath import normpath

from ..errors import (
    FileError,
    InputError,
    UnsafePathError,
)
from ..model.names import path_bytes, path_text
from ..storage.files import is_disk_full

LONGEST_PATH = 4000
"""Bytes of a member's path; the system's limit is 4096 (PATH_MAX)."""


def parts_of(member: tarfile.TarInfo, path: str) -> tuple[bytes, ...]:
    """
    The components of *path*, which is the name or the link target of *member*.  `UnsafePathError` if it is absolute or
    contains ``..``, `InputError` if it is too long.
    """
    name = path_bytes(path)
    parts = tuple(part for part in name.split(b"/") if part not in (b"", b"."))
    if name.startswith(b"/") or b".." in parts:
        raise _leads_out(member)
    if len(name) > LONGEST_PATH:
        raise InputError(
            f"The archive has a member {member.name!r:.200}…, whose path has more than {LONGEST_PATH} bytes."
        )
    return parts


def safe_target(member: tarfile.TarInfo, parts: tuple[bytes, ...]) -> bytes:
    """
    The text of the symbolic link *member* at *parts*; `UnsafePathError` unless it is safe in the sense of `archive`.
    """
    target = path_bytes(member.linkname)
    components = [part for part in target.split(b"/") if part not in (b"", b".")]
    up = next((number for number, part in enumerate(components) if part != b".."), len(components))
    if b".." in components[up:]:
        target = normpath(target)
        components = target.split(b"/")
        up = components.count(b"..")
    if target.startswith(b"/") or up >= len(parts):
        raise _leads_out(member)
    return target


def _leads_out(member: tarfile.TarInfo) -> UnsafePathError:
    return UnsafePathError(f"The archive has a member {member.name!r:.200}, which leads out of its directory.")


@contextmanager
def file_errors(parts: tuple[bytes, ...], action: str) -> Iterator[None]:
    """
    Convert an OSError to a `FileError` that names the entry *parts*, which cannot be *action* ("read", "unpacked").  A
    full disk stays an OSError.
    """
    try:
        yield
    except OSError as error:
        if is_disk_full(error) or error.errno is None:
            raise
        path = path_text(b"/".join(parts) or b".")
        reason = "a link or a file is in its way" if error.errno in (errno.ENOTDIR, errno.ELOOP) else error.strerror
        raise FileError(f"{path!r:.200} cannot be {action}: {reason}.") from None
