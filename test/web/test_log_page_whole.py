"""
The page of a log as a whole: whatever its bytes are, and wherever they are cut.
"""

import re
from html.parser import HTMLParser
from itertools import pairwise

from attrs import define, field
from hypothesis import example, given, settings
from hypothesis import strategies as st

from buildbot_lite.storage.records import steps
from buildbot_lite.web.logs import windows

from .logs.test_terminal import HOSTILE, Grid
from .pages_case import NOW
from .test_pages_log import LogCase

TAGS = {
    "div": {"class", "id", "data-at", "data-next", "data-length", "data-size", "data-remark", "data-layout"},
    "a": {"class", "href", "aria-label"},
    "code": {"id"},
    "span": {"class"},
    "i": set(),
}
"""The elements of lines, and their attributes."""

# What a log contains, and what a terminal makes of it: text and movements, as `Grid` takes them.
PIECES = {
    b"word ": "word ",
    b"x" * 40: "x" * 40,
    b"<script>alert(1)</script>": "<script>alert(1)</script>",
    b"</code></div><a href='javascript:1'>&amp;": "</code></div><a href='javascript:1'>&amp;",
    b'" onclick="x" id="L1': '" onclick="x" id="L1',
    "漢字".encode(): "漢字",
    "🚀".encode(): "🚀",
    "e\u0301".encode(): "e\u0301",
    "a\u202e".encode(): "a\u202e",
    b"\xff": "\ufffd",
    b"\xc3": "\ufffd",
    b"\x00": "\u2400",
    b"\x07": "\u2407",
    b"\x7f": "\u2421",
    b"\t": "\t",
    b"\r": "\r",
    b"\b": "\b",
    b"\x1b[K": "\x1b[K",
    b"\x1b[1K": "\x1b[1K",
    b"\x1b[2D": "\x1b[2D",
    b"\x1b[C": "\x1b[C",
    b"\x1b[4G": "\x1b[4G",
    b"\x1b[31;1m": "",
    b"\x1b[38;5;200m": "",
    b"\x1b[m": "",
    b"\x1b]0;title\x07": "",
    b"\x1b]8;;javascript:1\x1b\\": "",
    b"\x1b[2J": "",
}
_MOVING = re.compile("[\r\b]|\x1b\\[\\d*[CDGK]")

line_of_pieces = st.lists(st.sampled_from(sorted(PIECES)), max_size=8)


def as_shown(line: list[bytes]) -> str:
    """
    What a terminal shows of a *line*.
    """
    while line and line[-1] == b"\r":
        line = line[:-1]
    text = "".join(PIECES[each] for each in line)
    if _MOVING.search(text):
        text = Grid(4000).after(text)
    return text.replace("\u202e", "U+202E")


@define
class Row:
    """
    A line on a page.  *more*: the address of what is not shown of it.
    """

    at: int
    id: str
    marked: bool
    number: int = 0
    text: str = ""
    more: str = ""

    @property
    def begins(self) -> bool:
        """
        Whether the beginning of the line is there.
        """
        return bool(self.id)


@define(slots=False, eq=False)
class Page(HTMLParser):
    """
    The rows of a page, what its links to the pages before and after are, and all that is not ours.
    """

    rows: list[Row] = field(factory=list)
    ways: dict[str, str] = field(factory=dict)
    foreign: list[str] = field(factory=list)
    _depth: int = 0
    _inside: str = ""

    def __attrs_post_init__(self) -> None:
        super().__init__()

    def handle_starttag(self, tag: str, attributes: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attributes}
        if self._depth or given.get("id") == "lines":
            self._depth += tag == "div"
            self._line_tag(tag, given)
        elif tag == "a" and given.get("rel") in {"prev", "next"}:
            self.ways[given["rel"]] = given["href"]

    def _line_tag(self, tag: str, given: dict[str, str]) -> None:
        if set(given) - TAGS.get(tag, set()) - {"data-ended"} or tag not in TAGS:
            self.foreign.append(f"{tag} {given}")
        kind = given.get("class", "")
        if "row" in kind.split():
            self.rows.append(Row(int(given["data-at"]), given.get("id", ""), "marked" in kind))
        elif tag == "code" or (tag == "a" and kind == "n"):
            self._inside = tag
        elif tag == "a":
            self._inside, self.rows[-1].more = "", given["href"]
        if not re.match(
            r"\?(line|after)=\d+|(\.\./)+builders/linux/1/steps/\d+/logs/stdio/raw\?", given.get("href", "?after=0")
        ):
            self.foreign.append(given["href"])

    def handle_endtag(self, tag: str) -> None:
        if self._depth:
            self._depth -= tag == "div"
        if tag in {"code", "div"}:
            self._inside = ""

    def handle_data(self, data: str) -> None:
        if self._inside == "a":
            self.rows[-1].number = int(data)
            self._inside = ""
        elif self._inside == "code":
            self.rows[-1].text += data


class WholeLogPageTests(LogCase):
    """
    All pages of a log.
    """

    def setUp(self) -> None:
        super().setUp()
        self.step = 0

    def new_log(self, content: bytes, cuts: list[int]) -> str:
        """
        A step whose commands wrote *content*, cut into their parts; the address of its log.
        """
        self.step += 1
        self.write(lambda connection: steps.start(connection, self.build, self.step, "make", NOW))
        places = [0, *sorted(min(cut, len(content)) for cut in cuts), len(content)]
        for start, end in pairwise(places):
            self.log(content[start:end], step=self.step)
        return f"/builders/linux/1/steps/{self.step}/logs/stdio"

    def page(self, address: str) -> Page:
        """
        The page at *address*, on which nothing is foreign.
        """
        page = Page()
        answer = self.get(address)
        self.assertEqual(answer.status, 200)
        page.feed(answer.text)
        page.close()
        self.assertEqual(page.foreign, [])
        return page

    def pages(self, log: str, query: str, way: str) -> list[list[Row]]:
        """
        The rows of the page at *query* and of all that its links lead to in this direction.
        """
        found = []
        address = query
        while True:
            page = self.page(f"{log}{address}")
            found.append(page.rows)
            if way not in page.ways:
                return found
            following = page.ways[way].partition("stdio")[2].partition("#")[0]
            self.assertNotEqual(following, address)
            address = following

    @settings(max_examples=40, report_multiple_bugs=False)
    @given(
        st.lists(line_of_pieces, max_size=12),
        st.booleans(),
        st.lists(st.integers(0, 300), max_size=3),
        st.sampled_from([64, 200, windows.BYTES]),
        st.tuples(st.integers(1, 12), st.integers(0, 12)),
    )
    @example([[], [b"\r"], [b"x" * 40] * 3, [b"\xff"] * 3, []], True, [1, 3, 100], 64, (2, 2))
    def test_pages(
        self, lines: list[list[bytes]], ends: bool, cuts: list[int], size: int, marked: tuple[int, int]
    ) -> None:
        """
        Promise 10.3: whatever bytes a log has, in whatever parts they came and on whatever pages they are, there is no
        element but ours; the lines have their numbers without a gap or a repetition, forwards and backwards; their text
        is what a terminal shows; and links to lines and ranges mean the same lines as in the file that is downloaded.
        """
        self.patch(windows, "BYTES", size)
        content = b"\n".join(b"".join(line) for line in lines) + (b"\n" if ends and lines else b"")
        log = self.new_log(content, cuts)
        raw = self.get(f"{log}/raw").body
        self.assertEqual(raw, content)
        in_raw = raw.removesuffix(b"\n").split(b"\n") if raw else []
        starts = [0, *(each.end() for each in re.finditer(b"\n", raw))]
        forwards = [row for rows in self.pages(log, "?after=0", "next") for row in rows]
        backwards = [row for rows in reversed(self.pages(log, "", "prev")) for row in rows]
        for rows in (forwards, backwards):
            begun = [row for row in rows if row.begins]
            self.assertEqual([row.number for row in begun], list(range(1, len(in_raw) + 1)))
            for row in rows:
                self.assertEqual(row.begins, row.at == starts[row.number - 1])
            for row in begun:
                self.assertEqual((row.id, row.at), (f"L{row.number}", starts[row.number - 1]))
                self.check_text(row, lines[row.number - 1], in_raw[row.number - 1])
        if in_raw:
            first, last = marked[0], sum(marked)
            page = self.page(f"{log}?line={first}-{last}")
            self.assertEqual(
                {row.number for row in page.rows if row.marked},
                {row.number for row in page.rows if first <= row.number <= last},
            )
            self.assertEqual(any(row.id == f"L{first}" for row in page.rows), first <= len(in_raw))

    def check_text(self, row: Row, line: list[bytes], in_raw: bytes) -> None:
        """
        The text of *row* is that of its *line*, of which a part may be behind a link.
        """
        text = row.text
        if row.more:
            text, _, _ = text.rpartition(" … ")
            sent = self.get(row.more[row.more.index("/builders") :]).body
            self.assertEqual(sent.removesuffix(b"\n"), in_raw)
        shown = as_shown(line)
        if len(in_raw) < windows.BYTES:
            self.assertEqual(text, shown)
        elif not re.search(rb"[\r\b\x1b]", in_raw):
            # A part, which may end within a character; of a line that is written over, it is the last state.
            self.assertTrue(shown.startswith(text.removesuffix("…")[:-1]), (text, shown))

    def test_hostile(self) -> None:
        """
        Promise 10.3: hostile lines make no element, in whatever parts they came.
        """
        content = b"\n".join(HOSTILE)
        for cut in range(0, len(content), 7):
            log = self.new_log(content, [cut])
            self.assertEqual(len(self.page(log).rows), len(HOSTILE))
