"""
Small pictures: a badge for each builder, and the icon of the farm, which tells its state.

The width of a text is known before it is drawn: the font is Helvetica or one with the same widths (Arial, Liberation
Sans), whose widths stand here, and ``textLength`` makes any other font keep to them.
"""

import unicodedata
from collections.abc import Sequence
from xml.sax.saxutils import escape, quoteattr

from sqlalchemy import Connection

from ...errors import NotFoundError
from ...model.display import printable
from ...model.results import Result
from ...storage.records import cells
from ...storage.records.cells import BuildCell
from ..farm.live import is_private
from ..page_request import PageRequest
from ..view import FarmView, Reply, Route

SVG = "image/svg+xml"
LONGEST_NAME = 60
_KEPT = 10.0
_LOOKED_AT = 10
"""Newest builds among which the newest finished one is looked for."""
_MOST_BUILDERS = 300
"""Builders that the icon takes into account."""

# Advance widths of Helvetica from U+0020 to U+007E, in thousandths of the size (Adobe Font Metrics).
_WIDTHS = (
    *(278, 278, 355, 556, 556, 889, 667, 191, 333, 333, 389, 584, 278, 333, 278, 278),
    *(556, 556, 556, 556, 556, 556, 556, 556, 556, 556, 278, 278, 584, 584, 584, 556),
    *(1015, 667, 667, 722, 722, 667, 611, 778, 722, 278, 500, 667, 556, 833, 722, 778),
    *(667, 778, 722, 667, 611, 722, 667, 944, 667, 667, 611, 278, 278, 278, 469, 556),
    *(333, 556, 556, 500, 556, 556, 278, 556, 556, 222, 222, 500, 222, 833, 556, 556),
    *(556, 556, 333, 500, 278, 556, 500, 722, 500, 500, 500, 334, 260, 334, 584),
)
_SIZE = 11
_FONT = "Helvetica, Arial, 'Liberation Sans', sans-serif"
_WORDS = {
    Result.SUCCESS: ("success", "#177545"),
    Result.WARNINGS: ("warnings", "#94600a"),
    Result.FAILURE: ("failure", "#c0272d"),
    Result.EXCEPTION: ("exception", "#8a3ab9"),
    Result.RETRY: ("retry", "#0f7285"),
    Result.SKIPPED: ("skipped", "#596375"),
    Result.CANCELLED: ("cancelled", "#596375"),
    None: ("no build yet", "#596375"),
}
"""What a badge says, and its colour: white letters on it have a contrast of 4.5 and more."""
_BAD = (Result.EXCEPTION, Result.FAILURE)


def text_width(text: str, size: float = _SIZE) -> float:
    """
    The width of *text* in Helvetica of *size*.
    """
    return sum(_width(each) for each in text) * size / 1000


def badge(name: str, result: Result | None) -> bytes:
    """
    The badge of a builder called *name* whose newest finished build has *result*; None: it has none.
    """
    name = printable(name, longest=LONGEST_NAME)
    word, colour = _WORDS[result]
    left, right = text_width(name) + 16, text_width(word) + 16
    whole = left + right
    title = f"{name}: {word}"
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" width="{whole:.1f}" height="20" viewBox="0 0 {whole:.1f} 20" '
        f'role="img" aria-label={quoteattr(title)}><title>{escape(title)}</title>'
        f'<rect width="{whole:.1f}" height="20" rx="4" fill="#2a3140"/>'
        f'<path d="M{left:.1f} 0h{right - 4:.1f}a4 4 0 0 1 4 4v12a4 4 0 0 1 -4 4h-{right - 4:.1f}z" fill="{colour}"/>'
        f'<g fill="#fff" font-family="{_FONT}" font-size="{_SIZE}">{_text(name, 8)}{_text(word, left + 8)}</g></svg>\n'
    ).encode()


def icon(result: Result | None, *, running: bool, away: bool) -> bytes:
    """
    The icon of a farm whose worst builder has *result*: a coloured square with a sign, because not everybody sees the
    colour; a dot while builds run; grey while the master is *away*.
    """
    colour = "#596375" if away else _WORDS[result][1]
    bad = result in _BAD
    sign = "M11 11L21 21M21 11L11 21" if bad else "M9 17L14 22L23 11"
    if away:
        sign = "M9 16H23"
    elif result is None:
        sign = "M16 16v.01"
    dot = '<circle cx="26" cy="6" r="6" fill="#7fb0ff" stroke="#10141c" stroke-width="1.5"/>' if running else ""
    return (
        '<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 32 32">'
        f'<rect x="1" y="1" width="30" height="30" rx="7" fill="{colour}"/>'
        f'<path d="{sign}" fill="none" stroke="#fff" stroke-width="3.5" stroke-linecap="round"/>'
        f"{dot}</svg>\n"
    ).encode()


async def badge_of_builder(view: FarmView, asked: PageRequest, builder: str) -> Reply:
    """
    ``/badges/BUILDER.svg``.  Other sites may show it.  Of a private farm there is none, but for holders of grants.
    """
    www = await view.told(asked, "www")
    if asked.holder is None and is_private(www):
        raise NotFoundError("There is nothing at this address.")
    known = {each["builder"] for each in www.get("builders") or ()}
    newest = await view.records.read(lambda connection: cells.newest(connection, builder, _LOOKED_AT))
    if not newest and builder not in known:
        raise NotFoundError("There is no such builder.")
    # Otherwise a page of another site could not show it.
    headers = {"cross-origin-resource-policy": "cross-origin"}
    return Reply(200, badge(builder, _finished(newest)), SVG, headers)


async def favicon(view: FarmView, asked: PageRequest) -> Reply:
    """
    ``/favicon.svg``.
    """
    www = await view.told(asked, "www")
    configured = [each["builder"] for each in www.get("builders") or ()][:_MOST_BUILDERS]

    def read(connection: Connection) -> tuple[dict[str, list[BuildCell]], list[BuildCell]]:
        names = configured or cells.builders(connection, _MOST_BUILDERS)
        return cells.newest_of_each(connection, names, 3), cells.running(connection)

    newest, running = await view.records.read(read)
    results = [_finished(each) for each in newest.values()]
    worst = next((bad for bad in _BAD if bad in results), None)
    best = next((each for each in results if each is not None), None)
    shown = worst or (Result.SUCCESS if best is not None else None)
    return Reply(200, icon(shown, running=bool(running), away=view.live.away_since is not None), SVG)


def _finished(newest: Sequence[BuildCell]) -> Result | None:
    return next((each.result for each in newest if each.result is not None), None)


def _width(character: str) -> int:
    if " " <= character <= "~":
        return _WIDTHS[ord(character) - 32]
    return 1000 if unicodedata.east_asian_width(character) in "WF" else 600


def _text(text: str, x: float) -> str:
    return (
        f'<text x="{x:.1f}" y="14" textLength="{text_width(text):.1f}" lengthAdjust="spacingAndGlyphs">'
        f"{escape(text)}</text>"
    )


ROUTES = (
    Route("/badges/<builder>.svg", badge_of_builder, kept=_KEPT, is_open=True),
    Route("/favicon.svg", favicon, kept=_KEPT),
)
