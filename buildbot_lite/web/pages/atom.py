"""
Feeds of the newest ended builds, for readers of news: Atom (RFC 4287).

The id of an entry follows from 128 random bits of its build: it stays when the farm gets another title or address, and
no other farm has it.
"""

import hashlib
from collections.abc import Sequence
from datetime import UTC, datetime
from uuid import NAMESPACE_URL, UUID, uuid5
from xml.etree import ElementTree as ET

from sqlalchemy import Connection

from ...errors import NotFoundError
from ...model.display import printable
from ...storage.records import history
from ...storage.records.builds import Build
from ...storage.records.history import Filter, HistoryEntry
from ..html.rendering import page_of_build, page_of_builder, result_words
from ..page_request import PageRequest
from ..view import FarmView, Reply, Route

ATOM = "application/atom+xml; charset=utf-8"
NAMESPACE = "http://www.w3.org/2005/Atom"
ENTRIES = 50
_LOOKED_AT = 100
"""Newest builds among which the ended ones are looked for."""
_KEPT = 10.0

ET.register_namespace("", NAMESPACE)


async def feed(view: FarmView, asked: PageRequest, builder: str | None = None) -> Reply:
    """
    ``/feed.atom``, or that of one *builder*.
    """
    www = await view.told(asked, "www")

    def read(connection: Connection) -> Sequence[HistoryEntry]:
        return history.page(connection, Filter(builder=builder), most=_LOOKED_AT).entries

    found = await view.records.read(read)
    if builder is not None and not found and builder not in {each["builder"] for each in www.get("builders") or ()}:
        raise NotFoundError("There is no such builder.")
    ended = [each for each in found if each.build.finished is not None][:ENTRIES]
    ended.sort(key=lambda each: each.build.finished or 0.0, reverse=True)
    title = printable(str(www.get("title") or "Build farm"))
    # Readers resolve relative addresses in different ways; where the farm's own is known, it is given.
    url = www.get("url")
    root = f"{str(url).rstrip('/')}/" if url else asked.root
    body = _document(title, root, builder, ended)
    return Reply(200, body, ATOM)


def entry_id(build: Build) -> str:
    """
    The id of the entry of *build*.
    """
    # Not the random bits themselves: ids of commands follow from them.
    digest = hashlib.sha256(f"atom {build.nonce}".encode()).digest()
    return UUID(bytes=digest[:16], version=4).urn


def _document(title: str, root: str, builder: str | None, entries: Sequence[HistoryEntry]) -> bytes:
    path = "feed.atom" if builder is None else f"{page_of_builder(builder)}/feed.atom"
    page = "" if builder is None else page_of_builder(builder)
    feed = ET.Element(_tag("feed"))
    _add(feed, "id", uuid5(NAMESPACE_URL, f"{root.strip('./')}/{path}").urn)
    _add(feed, "title", title if builder is None else f"{printable(builder)} on {title}")
    _add(feed, "updated", _moment(max((each.build.finished or 0.0 for each in entries), default=0.0)))
    _link(feed, "self", f"{root}{path}", "application/atom+xml")
    _link(feed, "alternate", f"{root}{page}", "text/html")
    _add(_add(feed, "author"), "name", title)
    for each in entries:
        _entry(feed, root, each)
    text: bytes = ET.tostring(feed, encoding="utf-8", xml_declaration=True)
    return text


def _entry(feed: ET.Element, root: str, found: HistoryEntry) -> None:
    build = found.build
    result = None if build.result is None else build.result.name
    entry = _add(feed, "entry")
    _add(entry, "id", entry_id(build))
    _add(entry, "title", printable(f"{build.builder} #{build.number} {result_words(result)}"))
    _add(entry, "updated", _moment(build.finished or 0.0))
    _add(entry, "published", _moment(build.started))
    _link(entry, "alternate", f"{root}{page_of_build(build.builder, build.number)}", "text/html")
    ET.SubElement(entry, _tag("category"), term=(result or "RUNNING").lower())
    about = [
        build.reason,
        f"on {build.slave}",
        " ".join(filter(None, [found.branch, found.revision])),
        found.origin.reason,
    ]
    _add(entry, "summary", printable("; ".join(filter(None, about))))


def _add(parent: ET.Element, name: str, text: str | None = None) -> ET.Element:
    child = ET.SubElement(parent, _tag(name))
    child.text = text
    return child


def _link(parent: ET.Element, relation: str, address: str, kind: str) -> None:
    ET.SubElement(parent, _tag("link"), rel=relation, href=address, type=kind)


def _moment(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _tag(name: str) -> str:
    return f"{{{NAMESPACE}}}{name}"


ROUTES = (
    # Readers of news know user and password (RFC 7617), and no other header.
    Route("/feed.atom", feed, kept=_KEPT, takes_password=True),
    Route("/builders/<builder>/feed.atom", feed, kept=_KEPT, takes_password=True),
)
