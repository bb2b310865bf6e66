"""
The addresses of a farm's pages, found as a person without scripts finds them: by the links of the pages.

A farm has very many pages, so of each route only a few addresses are taken: the first ones, and those whose names are
hostile.
"""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from html.parser import HTMLParser
from urllib.parse import urldefrag, urljoin, urlsplit

from attrs import frozen
from werkzeug.exceptions import HTTPException
from werkzeug.routing import Map, MapAdapter, Rule

from buildbot_lite.web.routes import ROUTES

from ..asking_again import opened

OF_EACH_ROUTE = 2
HOSTILE_OF_EACH_ROUTE = 3
_FILTERS = 1
"""Addresses of one route that have a query."""
_MOST = 400
_WRONG = 400
_NEEDS_GRANT = 401


@frozen
class FoundPage:
    """
    A page.  *path*: its address, relative to the first page.  *rule*: the route's.
    """

    path: str
    rule: str


@frozen
class Crawl:
    """
    What a crawl found.  *broken*: what leads nowhere: "PAGE: ADDRESS answers STATUS".
    """

    pages: Sequence[FoundPage]
    broken: Sequence[str]


class _Links(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.found: list[str] = []

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        if tag == "a" and (address := dict(attributes).get("href")) is not None:
            self.found.append(address)


def crawl(address: str, first: Sequence[str] = ("",)) -> Crawl:
    """
    The pages that can be reached from the paths *first* of the site at *address*.
    """
    adapter = _adapter()
    taken: Counter[str] = Counter()
    seen: set[str] = set()
    pages: list[FoundPage] = []
    broken: list[str] = []
    waiting = [("", urljoin(address, path)) for path in first]
    while waiting and len(pages) < _MOST:
        source, here = waiting.pop(0)
        here = urldefrag(here).url
        rule = _rule(adapter, here)
        if here in seen or not here.startswith(address) or not _wanted(taken, here, rule):
            continue
        seen.add(here)
        answer = opened(here)
        if answer.status >= _WRONG:
            if answer.status != _NEEDS_GRANT:
                broken.append(f"{source}: {here.removeprefix(address)} answers {answer.status}")
        elif answer.headers.get_content_type() == "text/html":
            pages.append(FoundPage(here.removeprefix(address), rule))
            waiting.extend((here.removeprefix(address) or "/", each) for each in _links(here, answer.text))
    return Crawl(pages, broken)


def _links(here: str, body: str) -> list[str]:
    links = _Links()
    links.feed(body)
    return [urljoin(here, each) for each in links.found]


def routes_without_pages(pages: Sequence[FoundPage]) -> list[str]:
    """
    The rules of all routes that none of *pages* shows.
    """
    return sorted({route.rule for route in ROUTES} - {page.rule for page in pages})


def _adapter() -> MapAdapter:
    rules = [Rule(route.rule, endpoint=route.rule, strict_slashes=False) for route in ROUTES]
    return Map(rules, strict_slashes=False, merge_slashes=False).bind("localhost")


def _rule(adapter: MapAdapter, address: str) -> str:
    try:
        endpoint, _ = adapter.match(urlsplit(address).path)
    except HTTPException:
        return ""
    return str(endpoint)


def _wanted(taken: Counter[str], address: str, rule: str) -> bool:
    parts = urlsplit(address)
    hostile = "%" in parts.path
    kind = f"{rule} {'hostile' if hostile else ''} {'filtered' if parts.query else ''}"
    taken[kind] += 1
    most = _FILTERS if parts.query else HOSTILE_OF_EACH_ROUTE if hostile else OF_EACH_ROUTE
    return taken[kind] <= most


def problems_of(pages: Sequence[FoundPage], look: Callable[[FoundPage], Iterator[str]]) -> str:
    """
    What *look* finds wrong, page by page; "" if nothing is.
    """
    found = [f"{page.path or '/'}: {problem}" for page in pages for problem in look(page)]
    return "\n".join(found)
