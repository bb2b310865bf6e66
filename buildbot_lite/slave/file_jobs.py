"""
Long jobs on files: pack, unpack, remove, compute a checksum.

A job and its result are JSON objects, because the job runs in another process (`file_worker`, started by
`worker_process`).  Neither Twisted nor attrs is imported, so that this process starts quickly.
"""

import hashlib
import os
from collections.abc import Callable, Mapping
from typing import Any

from ..errors import BuildbotLiteError
from ..keeper.tree_removal import remove_tree
from ..model.names import locale_to_utf8
from ..storage.archive_input import Bounds
from .nofollow import DIRECTORY
from .packing import pack
from .safe_paths import SafePaths
from .unpacking import unpack

Job = Mapping[str, Any]
LARGEST_ANSWER = 64 << 10
"""Bytes of the JSON of a result."""
# Bytes to read at a time.
_BLOCK = 1 << 20


def pack_job(paths: SafePaths, path: str, into: str, *, largest: int | None = None) -> Job:
    """
    Pack the directory *path* of *paths* into the new file *into*.  The result has the fields of `PackedArchive`.
    """
    return {"job": "pack", "tree": _described(paths), "path": path, "into": locale_to_utf8(into), "largest": largest}


def unpack_job(paths: SafePaths, path: str, archive: str, staged: str, *, bounds: Bounds) -> Job:
    """
    Unpack the file *archive* into the new directory *staged*; once that is complete, merge it into the directory *path*
    of *paths*.
    """
    return {
        "job": "unpack",
        "tree": _described(paths),
        "path": path,
        "archive": locale_to_utf8(archive),
        "staged": locale_to_utf8(staged),
        "bounds": list(bounds),
    }


def remove_job(paths: SafePaths, path: str) -> Job:
    """
    Remove *path* from *paths*.
    """
    return {"job": "remove", "tree": _described(paths), "path": path}


def discard_job(path: str) -> Job:
    """
    Remove the tree at the absolute *path*, in a directory that belongs to the slave alone.
    """
    return {"job": "discard", "path": locale_to_utf8(path)}


def sum_job(descriptor: int, size: int) -> Job:
    """
    Compute the *sha256* of the first *size* bytes of the open file *descriptor*.
    """
    return {"job": "sum", "descriptor": descriptor, "size": size}


def perform(job: Job) -> dict[str, Any]:
    """
    Run *job*; return an object with one of ``done`` (the result), ``problem`` (a sentence), ``os_error`` (number and
    text).
    """
    try:
        return {"done": _JOBS[job["job"]](job)}
    except BuildbotLiteError as error:
        return {"problem": str(error)}
    except OSError as error:
        return {"os_error": [error.errno or 0, error.strerror or str(error)]}
    except MemoryError:
        return {"problem": "This archive needs more memory than a slave may use for one."}


def _described(paths: SafePaths) -> dict[str, Any]:
    return {
        "root": locale_to_utf8(paths.root),
        "beyond": [locale_to_utf8(each) for each in paths.beyond],
        "owner": paths.owner,
        "umask": paths.umask,
    }


def _paths(job: Job) -> SafePaths:
    tree = job["tree"]
    owner = tuple(tree["owner"]) if tree["owner"] else None
    return SafePaths(tree["root"], beyond=tree["beyond"], owner=owner, umask=tree["umask"])


def _pack(job: Job) -> dict[str, Any]:
    directory = _paths(job).open_directory(job["path"])
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC
        with open(os.open(job["into"], flags, 0o600), "wb", buffering=_BLOCK) as into:
            return pack(directory, into, largest=job["largest"])._asdict()
    finally:
        os.close(directory)


def _unpack(job: Job) -> dict[str, Any]:
    paths, staged = _paths(job), job["staged"]
    _discard({"path": staged})
    os.mkdir(staged, 0o700)
    try:
        directory = os.open(staged, DIRECTORY)
        try:
            with open(job["archive"], "rb") as archive:
                unpack(archive, directory, Bounds(*job["bounds"]), owner=paths.owner)
            paths.merge(directory, job["path"])
        finally:
            os.close(directory)
    finally:
        _discard({"path": staged})
    return {}


def _remove(job: Job) -> dict[str, Any]:
    _paths(job).remove(job["path"])
    return {}


def _discard(job: Job) -> dict[str, Any]:
    above, name = os.path.split(os.fsencode(job["path"]))
    directory = os.open(above, DIRECTORY)
    try:
        remove_tree(name, directory)
    finally:
        os.close(directory)
    return {}


def _sum(job: Job) -> dict[str, Any]:
    return {"sha256": sha256_of(job["descriptor"], job["size"], lambda: None)}


def sha256_of(descriptor: int, size: int, check: Callable[[], None]) -> str:
    """
    The SHA-256 of the first *size* bytes of an open file.  *check*: called before each block; may raise to end this.
    """
    digest = hashlib.sha256()
    for offset in range(0, size, _BLOCK):
        check()
        digest.update(os.pread(descriptor, min(_BLOCK, size - offset), offset))
    return digest.hexdigest()


_JOBS: dict[str, Callable[[Job], dict[str, Any]]] = {
    "pack": _pack,
    "unpack": _unpack,
    "remove": _remove,
    "discard": _discard,
    "sum": _sum,
}
