"""
The public repositories of targets, for apt and dnf: files with ranges and dates (RFC 9110), and lists for people.
"""

from collections.abc import Mapping, Sequence
from email.utils import parsedate_to_datetime
from urllib.parse import quote

from ...errors import NotFoundError
from ...packages.keys.openpgp import read_public_keys
from ..farm.public_files import ARMORED, KEYRING, PublicDirectory, PublicFile, names_in, open_public
from ..page_request import PageRequest
from ..replies.downloads import ByteRange, nothing, range_of, writing
from ..replies.reading_rights import until_revoked
from ..serving.policy import ARTIFACT_HEADERS
from ..view import FarmView, Reply, Route, Streamed

PATH = "/repositories"
KINDS: Mapping[str, str] = {
    "asc": "application/pgp-signature",
    "bz2": "application/x-bzip2",
    "deb": "application/vnd.debian.binary-package",
    "gpg": "application/pgp-signature",
    "gz": "application/gzip",
    "rpm": "application/x-rpm",
    "xml": "application/xml",
    "xz": "application/x-xz",
    "zst": "application/zstd",
}
"""The kinds of files, by what follows the last dot of their names."""
TEXTS = frozenset({"InRelease", "Packages", "Release", "Sources"})
_KEYS = "application/pgp-keys"
_UNKNOWN = "application/octet-stream"
_STRONG = 1.0
"""Seconds after which a date says that a file is the same (RFC 9110, 8.8.2.2)."""


async def repository_file(view: FarmView, asked: PageRequest, target: str, name: str = "") -> Reply | Streamed:
    """
    ``/repositories/TARGET/PATH``.
    """
    # Not as it was decoded for the pages: names of packages have percent signs of their own (``1%3a2.0``).
    path = asked.address.partition("?")[0].removeprefix(f"{PATH}/")
    target, *names = names_in(path)
    found = _found(view, target, names)
    if isinstance(found, PublicFile):
        return until_revoked(view, asked, _closed_if_failing(view, asked, found, names[-1]))
    return await _listed(view, asked, found, [target, *(each for each in names if each)])


def repository_directory(view: FarmView, target: str, path: str) -> PublicDirectory:
    """
    The directory *path* of the repository of *target*, "" its uppermost; `NotFoundError` if there is none.
    """
    found = _found(view, target, names_in(quote(f"{path}/") if path else ""))
    assert isinstance(found, PublicDirectory)  # names that end in a slash are never a file's
    return found


def _found(view: FarmView, target: str, names: Sequence[str]) -> PublicFile | PublicDirectory:
    directory = view.places().repositories.get(target)
    if directory is None:
        raise NotFoundError("No target of this name has a repository.")
    return open_public(directory, names)


def _closed_if_failing(view: FarmView, asked: PageRequest, file: PublicFile, name: str) -> Reply | Streamed:
    """
    As `file_reply`, which looks at headers that can be anything.
    """
    try:
        return file_reply(view, asked, file, name)
    except BaseException:
        file.close()
        raise


def file_reply(view: FarmView, asked: PageRequest, file: PublicFile, name: str) -> Reply | Streamed:
    """
    The answer with *file*, called *name*, or the range of it that is asked for; it is closed with the answer.
    """
    kind = "text/plain; charset=utf-8" if name in TEXTS else KINDS.get(name.rpartition(".")[2].lower(), _UNKNOWN)
    headers = {
        **ARTIFACT_HEADERS,
        "etag": file.tag,
        "last-modified": file.date,
        "accept-ranges": "bytes",
        "cache-control": "no-cache",
    }
    if _is_known(asked, file):
        file.close()
        return Streamed(nothing, 304, kind, headers)
    wanted = range_of(asked.headers.get("range", ""), file.length) if _may_be_partial(view, asked, file) else None
    if wanted is not None and wanted.start >= wanted.end:
        file.close()
        return Reply(416, b"", headers={"content-range": f"bytes */{file.length}"})
    send = wanted or ByteRange(0, file.length)
    headers["content-length"] = str(send.end - send.start)
    if wanted is not None:
        headers["content-range"] = f"bytes {send.start}-{send.end - 1}/{file.length}"
    write = writing(file, send, view.logs.clock, packed=False)
    return Streamed(write, 200 if wanted is None else 206, kind, headers, close=file.close)


def _is_known(asked: PageRequest, file: PublicFile) -> bool:
    """
    Whether the client has the file already; its ETag says more than its date (RFC 9110, 13.2.2).
    """
    if tags := asked.headers.get("if-none-match"):
        return file.tag in tags or tags == "*"
    try:
        since = parsedate_to_datetime(asked.headers.get("if-modified-since", "")).timestamp()
    except (ValueError, OverflowError):
        return False
    return int(file.modified) <= since


def _may_be_partial(view: FarmView, asked: PageRequest, file: PublicFile) -> bool:
    if asked.method != "GET":
        return False
    same = asked.headers.get("if-range", file.tag)
    return same == file.tag or (same == file.date and view.wall() - file.modified > _STRONG)


async def _listed(view: FarmView, asked: PageRequest, found: PublicDirectory, names: list[str]) -> Reply:
    above = f"{asked.root}{PATH.strip('/')}/{'/'.join(quote(each, safe='') for each in names)}/"
    return await view.page(
        asked,
        "repository_files.html",
        target=names[0],
        inside="/".join(names[1:]),
        files=[(each, above + quote(each.name, safe="") + ("/" if each.size is None else "")) for each in found.names],
        more=found.more,
    )


async def armored_key(view: FarmView, asked: PageRequest, target: str) -> Reply:
    """
    ``/repositories/TARGET/key.asc``: the public keys with which the target is signed, in ASCII armor.
    """
    return Reply(200, _key(view, target).encode(), _KEYS, ARTIFACT_HEADERS)


async def keyring(view: FarmView, asked: PageRequest, target: str) -> Reply:
    """
    ``/repositories/TARGET/key.gpg``: the same as a keyring, without armor.
    """
    return Reply(200, read_public_keys(_key(view, target).encode(), "the key"), _KEYS, ARTIFACT_HEADERS)


def _key(view: FarmView, target: str) -> str:
    key = view.places().keys.get(target)
    if key is None:
        raise NotFoundError("No target of this name is signed.")
    return key


ROUTES = (
    Route(f"{PATH}/<target>", repository_file, kept=0, takes_password=True, ends_in_slash=True),
    Route(f"{PATH}/<target>/{ARMORED}", armored_key, kept=0, takes_password=True),
    Route(f"{PATH}/<target>/{KEYRING}", keyring, kept=0, takes_password=True),
    Route(f"{PATH}/<target>/<path:name>", repository_file, kept=0, takes_password=True, ends_in_slash=True),
)
