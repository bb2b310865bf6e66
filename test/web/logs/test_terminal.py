"""
Lines of logs as a terminal shows them.
"""

import math
import re
from html.parser import HTMLParser

from hypothesis import example, given
from hypothesis import strategies as st
from rich.cells import cell_len
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.web.logs.colours import nearest, palette
from buildbot_lite.web.logs.line_cells import MOST_JOINED
from buildbot_lite.web.logs.terminal import (
    LARGEST_GROWTH,
    LONGEST_LINE,
    Terminal,
)
from buildbot_lite.web.logs.visible import visible

HOSTILE = (
    b"<script>alert(1)</script>",
    b"</pre></span><img src=x onerror=alert(1)>",
    b"<b\x1b[1m>bold</b\x1b[0m>",
    b"<scr\x08\x08\x08\x08<script>",
    b"&lt;script&gt;",
    b"\"><svg onload='alert(1)'>",
    b'\x1b[31" onclick="alert(1)m',
    b"\x1b]8;;javascript:alert(1)\x1b\\click\x1b]8;;\x1b\\",
    "\u202etxt.exe\u2066".encode(),
    b"\xff\xfe\xc0\xaf\xed\xa0\x80",
)


class Markup(HTMLParser):
    """
    Collects the tags and the text of HTML.
    """

    def __init__(self, text: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, list[tuple[str, str | None]]]] = []
        self.text = ""
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, attrs))

    def handle_data(self, data: str) -> None:
        self.text += data


class Grid:
    """
    A line of a terminal as a table of columns: a character is kept at its first one.
    """

    def __init__(self, columns: int) -> None:
        self.columns = columns
        self.at = self.length = 0
        self.texts: dict[int, str] = {}
        self.before: int | None = None

    def after(self, line: str) -> str:
        """
        The text of *line*.
        """
        for each in re.findall(r"\x1b\[\d*[A-Z]|.", line, re.DOTALL):
            self.do(each)
        shown = column = 0
        text = ""
        while column < self.length:
            shown = self.width(column) or 1
            text += self.texts.get(column, " ")
            column += shown
        return text

    def width(self, column: int) -> int:
        return cell_len(self.texts.get(column, "")[:1])

    def clear(self, columns: range) -> None:
        for column in columns:
            if self.width(column - 1) == 2:
                del self.texts[column - 1]
            self.texts.pop(column, None)

    def do(self, each: str) -> None:
        number = int(each[2:-1] or 0) if each.startswith("\x1b") else 1
        moved = {"\r": 0, "\b": max(0, self.at - 1), "\t": self.at // 8 * 8 + 8}.get(each)
        moved = {"D": max(0, self.at - number), "C": self.at + max(1, number), "G": number - 1}.get(each[-1:], moved)
        if each.endswith("K"):
            last = self.at if number == 0 else self.at + 1 if number == 1 else self.length
            self.clear(range(self.at if number == 0 else 0, self.length if number == 0 else min(last, self.length)))
            self.length = min(self.length, self.at) if number == 0 else self.length
            self.before = None
        elif moved is not None:
            self.at, self.before = moved, None
            if each[-1] in "CG\t":
                self.length = max(self.length, min(moved, self.columns))
        elif not cell_len(each) and self.before is not None:
            self.texts[self.before] += each
        else:
            self.write(each, max(1, cell_len(each)))

    def write(self, each: str, width: int) -> None:
        fits = self.at + width <= self.columns
        if fits:
            self.clear(range(self.at, self.at + width))
            self.texts[self.at] = each
            self.length = max(self.length, self.at + width)
        self.before = self.at if fits else None
        self.at += width


def shown(*lines: bytes) -> list[str]:
    """
    The HTML of *lines* by one terminal.
    """
    terminal = Terminal()
    return [terminal.show(line).html for line in lines]


class TerminalTests(SynchronousTestCase):
    def test_colours(self) -> None:
        """
        Colours become classes, also of 256 and of 24 bits in either form; a style carries over to the next line.
        """
        lines = shown(
            b"a\x1b[31mred\x1b[1;44mbold\x1b[0m plain",
            b"\x1b[38;5;196ma\x1b[38;2;255;0;0mb\x1b[38:2::0:0:255mc\x1b[48:5:17md\x1b[39;49me",
            b"\x1b[92;4m",
            b"on\x1b[24m off\x1b[m",
            b"\x1b[7mi\x1b[33mj\x1b[27mk",
        )
        self.assertEqual(
            lines,
            [
                'a<span class="f1">red</span><span class="f1 b4 bo">bold</span> plain',
                '<span class="f196">ab</span><span class="f21">c</span><span class="f21 b17">d</span>e',
                "",
                '<span class="f10 un">on</span><span class="f10"> off</span>',
                '<span class="fi bi">i</span><span class="fi b3">j</span><span class="f3">k</span>',
            ],
        )

    def test_movements(self) -> None:
        """
        Carriage returns and backspaces leave what a terminal would show: in each column, what was written last.
        """
        self.assertEqual(
            shown(
                b"10 %\r100 %\r",
                b"downloading 99 %\r\x1b[Kdone",
                b"abc\rX",
                b"ab\b\bXY\b!",
                b"\x1b[31mred\r\x1b[0mn",
                b"x\x1b[1Gy\x1b[2Cz\x1b[2Dw",
                b"a\tb\rc",
                b"a\tb",
                b"line of Windows\r",
                b"\x1b[4000Gx",
                b"erased\x1b[1K!",
            ),
            [
                "100 %",
                "done",
                "Xbc",
                "X!",
                'n<span class="f1">ed</span>',
                "y wz",
                "c       b",
                "a\tb",
                "line of Windows",
                " " * 200 + "x",
                "      !",
            ],
        )

    def test_wide_characters(self) -> None:
        """
        Where the cursor moves, a character counts as many columns as a terminal gives it; what is written over one
        half of a wide one leaves a space for the other.
        """
        for written, expected in (
            ("漢字 12\rab", "ab字 12"),
            ("漢字\rx", "x 字"),
            ("漢字\x1b[2Gx", " x字"),
            ("ab\r漢", "漢"),
            ("a漢c\r漢", "漢 c"),
            ("🚀 50 %\r🚀 100 %", "🚀 100 %"),
            ("e\u0301a\rx", "xa"),
            ("e\u0301a\b\bxy", "xy"),
            ("漢\u0301!\r\x1b[2C?", "漢\u0301?"),
            ("漢字\b\x1b[K!", "漢 !"),
            ("漢字\x1b[2D\b\x1b[1Kx", " x字"),
            ("漢字\t|\rx", "x 字    |"),
            ("\ra\u200bb\rcd", "cd"),
        ):
            self.assertEqual(Markup(shown(written.encode())[0]).text, expected, repr(written))

    def test_many_joined(self) -> None:
        """
        A letter takes a bounded number of characters without a width; the others have columns of their own.
        """
        [line] = shown(b"a" + "\u0301".encode() * (MOST_JOINED + 2) + b"b\rx")
        self.assertEqual(line, "x\u0301\u0301b")

    @given(
        st.lists(
            st.one_of(
                st.text(alphabet="ab漢字🚀\u0301\u200d", max_size=6),
                st.sampled_from(["\r", "\b", "\t", "\x1b[2D", "\x1b[C", "\x1b[4G", "\x1b[K", "\x1b[1K", "\x1b[2K"]),
            ),
            max_size=12,
        ),
        st.integers(1, 20),
    )
    @example(["ab\u0301"], 1)
    @example(["漢漢\x1b[2D"], 1)
    def test_columns(self, parts: list[str], columns: int) -> None:
        """
        Whatever is written over what, the line has as many columns as were written, each in its place: no wide
        character is split into halves.
        """
        line = "".join(["\b", *parts])
        text = Markup(Terminal().show(line.encode(), columns=columns).html).text
        self.assertEqual(re.sub(r"U\+(200B)", "\u200b", text), Grid(columns).after(line))

    def test_dropped_sequences(self) -> None:
        """
        Sequences for titles, links and the like are dropped; one without an end hides nothing.
        """
        self.assertEqual(
            shown(
                b"a\x1b]0;title\x07b\x1b]8;;https://example.org\x1b\\link\x1b]8;;\x1b\\",
                b"a\x1b[2Jb\x1b[?25lc\x1b(Bd\x1b7e\x1b[>4;1mf\x1bPq\x1b\\g",
                b"\x1b]0;no end",
                b"\x1b[12",
                b"\x1b",
            ),
            ["ablink", "abcdefg", "<i>\u241b</i>]0;no end", "<i>\u241b</i>[12", "<i>\u241b</i>"],
        )

    def test_invisible_characters(self) -> None:
        """
        Control characters, undecodable bytes and characters without a width or with a direction are made visible.
        """
        self.assertEqual(
            shown(
                b"\x00\x07\x7f",
                b"a\xffb",
                "a\u202eb\u2066\u200b".encode(),
                "\u009b31m".encode(),
                "ü→👩\u200d🚀".encode(),
            ),
            [
                "<i>\u2400</i><i>\u2407</i><i>\u2421</i>",
                "a<i>\ufffd</i>b",
                "a<i>U+202E</i>b<i>U+2066</i><i>U+200B</i>",
                "<i>U+009B</i>31m",
                "ü→👩\u200d🚀",
            ],
        )
        self.assertEqual(visible("<a>\x1b"), "&lt;a&gt;<i>\u241b</i>")

    def test_long_lines(self) -> None:
        """
        Of a long line, the first columns are shown, and it is said how many bytes are not.
        """
        terminal = Terminal()
        line = terminal.show(b"x" * LONGEST_LINE + "ü".encode() * 10)
        self.assertEqual((len(line.html), line.hidden), (LONGEST_LINE, 20))
        self.assertEqual(terminal.show(b"<" * 10, columns=4).html, "&lt;" * 4)

    @given(st.lists(st.one_of(st.binary(max_size=200), st.sampled_from(HOSTILE)), max_size=8))
    @example([b"".join(HOSTILE)])
    def test_no_markup_from_content(self, parts: list[bytes]) -> None:
        """
        Promise 10.3: whatever a log contains, its HTML has only the elements and attributes of the terminal.
        """
        terminal = Terminal()
        for line in b"".join(parts).split(b"\n"):
            markup = Markup(terminal.show(line).html)
            for tag, attributes in markup.tags:
                self.assertIn(tag, {"span", "i"})
                for name, value in attributes:
                    self.assertEqual(name, "class")
                    self.assertRegex(value or "", r"\A[a-z]+[0-9]*( [a-z]+[0-9]*)*\Z")
            self.assertNotRegex(markup.text, "[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]")

    @given(
        st.lists(
            st.one_of(
                st.binary(max_size=20),
                st.sampled_from(
                    [b"\x1b[1;2;3;4;9;7;38;5;200;48;5;201m", b"\x1b[m", b"\x1b[1m", b"\x00", b"\r", b"\n", b"x", b"&"]
                ),
                st.sampled_from([b"\x1b[999C", b"\x1b[2K", b"\x1b[K", b"\x1b[G", b"\t", b"\xf3\xa0\x80\x81"]),
            ),
            max_size=60,
        )
    )
    def test_bounded_growth(self, parts: list[bytes]) -> None:
        """
        The HTML is at most `LARGEST_GROWTH` times as large as the log.
        """
        log = b"".join(parts)
        size = sum(len(each.encode()) for each in shown(*log.split(b"\n")))
        self.assertLessEqual(size, LARGEST_GROWTH * len(log))

    @given(
        st.text(
            alphabet=st.characters(blacklist_categories=["C", "Zl", "Zp"], blacklist_characters="\ufffd"), max_size=300
        )
    )
    def test_text_is_kept(self, text: str) -> None:
        """
        Text without control characters reads in the HTML as it is in the log.
        """
        self.assertEqual(Markup(shown(text.encode())[0]).text, text)

    @given(st.integers(0, 255), st.integers(0, 255), st.integers(0, 255))
    def test_nearest_colours(self, red: int, green: int, blue: int) -> None:
        """
        A colour of 24 bits is shown by the one of the palette that is nearest to it; one of the palette by itself.
        """
        wanted = (red, green, blue)
        index = nearest(red, green, blue)
        self.assertEqual(math.dist(palette(index), wanted), min(math.dist(palette(n), wanted) for n in range(16, 256)))
        self.assertEqual(palette(nearest(*palette(index))), palette(index))

    def test_sequences_cost_little(self) -> None:
        """
        A line of erasing sequences behind a long text erases no more than a bounded number of columns.
        """
        erasing = b"x" * LONGEST_LINE + b"\x1b[2K" * 10_000
        self.assertIsNotNone(re.fullmatch(" *", shown(erasing)[0]))
