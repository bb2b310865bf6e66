"""
The page of a log, in a real browser.
"""

import os
import sqlite3
from contextlib import closing
from functools import partial
from typing import ClassVar

from ..needs import needs
from ..seeded.files import DATABASE
from ..seeded.seeding import Seeding
from .browser_case import BrowserCase
from .shown_farm import ShownFarm

GIB = 1 << 30


@needs("chromium", "chromedriver")
class LogPageTests(BrowserCase):
    """
    The log of a running step.
    """

    farm: ClassVar[ShownFarm]
    running: ClassVar[list[tuple[str, int, int, str]]]

    @classmethod
    def serve(cls) -> str:
        """
        Show a made-up farm, in which builds run.
        """
        cls.farm = ShownFarm(Seeding(builds=60, hostile=False, running=8))
        cls.addClassCleanup(cls.farm.close)
        with closing(sqlite3.connect(cls.farm.directory / DATABASE)) as database:
            cls.running = database.execute(
                "SELECT builder, number, step, path FROM streams JOIN builds ON builds.id = build"
                " WHERE kind = 'log' AND streams.length IS NULL AND finished IS NULL"
            ).fetchall()
        cls.farm.start()
        return cls.farm.address

    def setUp(self) -> None:
        """
        Each test has a log of its own, because logs only grow.
        """
        super().setUp()
        builder, number, step, path = self.running.pop()
        self.page = f"builders/{builder}/{number}/steps/{step}/logs/stdio"
        self.file = self.farm.directory / "streams" / path

    def write(self, content: bytes, mode: str = "wb") -> None:
        """
        The log is *content*, or has it in addition.
        """
        self.file.parent.mkdir(parents=True, exist_ok=True)
        with open(self.file, mode) as file:
            file.write(content)

    def at_tail(self) -> bool:
        """
        Whether the end of the page is seen.
        """
        return bool(self.browser.run("return innerHeight + scrollY >= document.documentElement.scrollHeight - 60"))

    def test_live(self) -> None:
        """
        Promise 10.3: new lines come by themselves, the page stays at the tail only while the reader is there, and an
        unfinished line is not shown twice.
        """
        self.write(b"".join(b"line %d\n" % number for number in range(200)) + b"not yet")
        self.browser.open(self.page)
        self.browser.until(self.at_tail, "the page opens at the tail")
        self.write(b" complete\n\x1b[31mnews\x1b[0m\n", "ab")
        whole = "return performance.getEntriesByName(location.href.split('#')[0], 'resource').length"
        self.browser.until(lambda: self.browser.run(whole) == 1, "it looked again when its stream was open")
        self.browser.run(
            "planned = 0; later = setTimeout; setTimeout = (...x) => { planned += x[1] === 1000; return later(...x) }"
        )
        self.farm.change()
        self.browser.until(lambda: self.browser.all(".log .f1"), "the new line is there")
        rows = [row.text for row in self.browser.all(".log .row code")][-3:]
        self.assertEqual(rows, ["line 199", "not yet complete", "news"])
        self.browser.until(self.at_tail, "the page stays at the tail")
        self.assertIn("Follows the log", self.browser.one("#follows").text)
        self.browser.run("scrollTo(0, 0)")
        self.write(b"more\n", "ab")
        self.farm.change()
        self.browser.until(lambda: "1 new line below" in self.browser.text, "it is said that more is there")
        self.assertEqual(self.browser.run("return scrollY"), 0)
        self.browser.click("button", "Follow at the tail")
        self.browser.until(self.at_tail, "the page is at the tail again")
        self.browser.until(lambda: "Follows the log" in self.browser.text, "it says that it follows")
        # The whole page is not fetched for each event of the farm, nor is that planned.
        self.assertEqual(self.browser.run(whole), 1)
        self.assertEqual(self.browser.run("return planned"), 0)

    def test_lines(self) -> None:
        """
        A click on a number marks its line and makes an address for it; with shift, a range; the address leads there
        again, also without scripts.
        """
        self.write(b"".join(b"line %d\n" % number for number in range(1, 3001)))
        self.browser.open(f"{self.page}?line=1000")
        marked = ".log .row.marked"
        self.assertEqual([row.get_attribute("id") for row in self.browser.all(marked)], ["L1000"])
        self.browser.one("#L1002 a.n").click()
        click = "document.querySelector('#L1004 a.n').dispatchEvent(new MouseEvent('click', {0}))"
        self.browser.run(click.format("{shiftKey: true, bubbles: true, cancelable: true}"))
        self.assertTrue(self.browser.path.endswith("?line=1002-1004#L1002-L1004"), self.browser.path)
        self.browser.scripts(run=False)
        self.browser.open(self.browser.path)
        self.assertEqual([row.text.split()[-1] for row in self.browser.all(marked)], ["1002", "1003", "1004"])

    def test_range_on_several_pages(self) -> None:
        """
        A range is marked on each page on which it has lines, and can be begun on one and ended on the next.
        """
        self.write(b"".join(b"line %d\n" % number for number in range(1, 1201)))
        self.browser.open(f"{self.page}#L490-L510")
        self.browser.until(lambda: len(self.browser.all(".log .row.marked")) == 21, "the page was found")
        self.browser.open(f"{self.page}?after=0")
        self.browser.one("#L499 a.n").click()
        self.browser.run("document.querySelector('#L500 a.n').focus()")
        self.browser.press("Enter", shift=True)
        self.assertTrue(self.browser.path.endswith("#L499-L500"), self.browser.path)
        self.browser.one(".pager a[rel=next]").click()
        self.browser.until(lambda: self.browser.all("#L501"), "the next page is there")
        click = "document.querySelector('#L503 a.n').dispatchEvent(new MouseEvent('click', {0}))"
        self.browser.run(click.format("{shiftKey: true, bubbles: true, cancelable: true}"))
        self.assertTrue(self.browser.path.endswith("?line=499-503#L499-L503"), self.browser.path)

    def test_keys(self) -> None:
        """
        ``/`` and ``g`` lead to the fields, the arrows from number to number; what is copied has no line numbers.
        """
        self.write(b"".join(b"entry %d\n" % number for number in range(1, 31)))
        self.browser.open(self.page)
        for key, field in (("/", "search"), ("g", "line")):
            self.browser.press(key)
            self.assertEqual(self.browser.run("return document.activeElement.id"), field)
            self.assertEqual(self.browser.run("return document.activeElement.value"), "")
            self.browser.run("document.activeElement.blur()")
        self.assertEqual(len(self.browser.all('.log a.n[tabindex="0"]')), 1)
        self.browser.run("document.querySelector('#L10 a.n').focus()")
        self.browser.press("ArrowDown")
        self.assertEqual(self.browser.run("return document.activeElement.textContent"), "11")
        copied = (
            "const [first, last] = ['#L1', '#L30'].map((each) => document.querySelector(each));"
            "getSelection().setBaseAndExtent(first, 0, last, last.childNodes.length); return getSelection().toString()"
        )
        lines = [line for line in self.browser.run(copied).split("\n") if line.strip()]
        self.assertEqual(lines, [f"entry {number}" for number in range(1, 31)])

    def test_far_lines(self) -> None:
        """
        A page of long lines opens at its very end, or at the line in its address, although the lines far from there are
        not laid out yet; they are reached by keys, copied, and laid out when they come near.
        """
        self.write(b"".join(b"entry %d%s\n" % (number, b" word" * 80) for number in range(1, 501)))
        is_laid_out = "return document.querySelector('#L%d code').checkVisibility({contentVisibilityAuto: true})"
        in_view = (
            "const {top, bottom} = document.querySelector('#L%d').getBoundingClientRect();"
            "return 0 <= top && bottom <= innerHeight"
        )
        self.browser.open(self.page)
        self.browser.until(lambda: self.at_tail() and self.browser.run(in_view % 500), "the page opens at its end")
        self.assertFalse(self.browser.run(is_laid_out % 100))
        copied = (
            "const [first, last] = ['#L1', '#L500'].map((each) => document.querySelector(each));"
            "getSelection().setBaseAndExtent(first, 0, last, last.childNodes.length); return getSelection().toString()"
        )
        lines = [line.split()[1] for line in self.browser.run(copied).split("\n") if line.strip()]
        self.assertEqual(lines, [str(number) for number in range(1, 501)])
        self.browser.run("document.querySelector('#L101 a.n').focus()")
        self.browser.press("ArrowUp")
        self.assertEqual(self.browser.run("return document.activeElement.textContent"), "100")
        self.browser.until(lambda: self.browser.run(is_laid_out % 100), "it is laid out where it is seen")
        for number in (20, 250, 490):
            self.browser.open(f"{self.page}?line={number}#L{number}")
            self.browser.until(partial(self.browser.run, in_view % number), "the page opens at the line")
        self.assert_sound()

    def test_found(self) -> None:
        """
        The search counts the lines that it finds; ``n`` and ``p`` lead from one to the next, and the text is marked.
        """
        self.write(b"".join(b"%s %d\n" % (b"odd" if number % 2 else b"even", number) for number in range(1, 801)))
        self.browser.open(f"{self.page}?search=odd")
        self.browser.until(lambda: self.browser.one("#searched").text == "400 lines.", "all is searched")
        self.assertEqual(len(self.browser.all("#found .row")), 400)
        self.browser.one("#found .row:nth-child(3) a").click()
        self.browser.until(lambda: "3 of 400 lines" in self.browser.text, "the place among the lines is said")
        self.browser.press("n")
        self.browser.until(lambda: self.browser.path.endswith("?line=7&find=odd#L7"), "the next line is there")
        self.browser.until(lambda: "4 of 400 lines" in self.browser.text, "the place among the lines is said")
        self.browser.press("p")
        self.browser.until(lambda: self.browser.path.endswith("#L5"), "the line before is there")
        self.assertGreater(self.browser.run("return CSS.highlights.get('found').size"), 100)
        # Behind the first thousand; with another text, because answers for the first one may be kept for a second.
        self.write(b"odd\n" * 3000, "ab")
        self.browser.open(f"{self.page}?line=3000&find=Odd#L3000")
        self.browser.until(lambda: "1,000+ lines" in self.browser.text, "it is said that there are more")
        self.browser.until(lambda: self.browser.all("#hits a[href*='line=3001']"), "the next one is known")
        self.browser.until(lambda: self.browser.all("#hits a[href*='line=2999']"), "the one before is known")
        self.browser.press("p")
        self.browser.until(lambda: self.browser.path.endswith("?line=2999&find=Odd#L2999"), "the one before is there")
        self.browser.until(lambda: self.browser.all("#hits a[href*='line=2998']"), "the one before that is known")
        self.browser.open(f"{self.page}?search=Odd")
        self.browser.until(lambda: "1,000+ lines" in self.browser.text, "it is said that there are more")
        self.browser.click("link", "The last ones")
        self.browser.until(lambda: self.browser.all("#found a[href*='line=3800']"), "the last ones are there")
        self.browser.click("link", "Search back")
        self.browser.until(lambda: self.browser.all("#found a[href*='line=3401']"), "those before them are there")
        self.assert_sound()

    def test_large(self) -> None:
        """
        Promise 10.3: a log of 1 GiB opens at its tail, and the search finds what is at its beginning.
        """
        self.write(b"first line\n")
        os.truncate(self.file, GIB)
        self.write(b"\nbefore the last\nthe last line\n", "ab")
        self.browser.open(self.page)
        rows = [row.text for row in self.browser.all(".log .row code")]
        self.assertEqual(rows[-2:], ["before the last", "the last line"])
        self.browser.open(f"{self.page}?search=first+line")
        self.assertEqual(self.browser.one(".log mark").text, "first line")
        self.browser.open(f"{self.page}?line=4")
        self.browser.until(lambda: self.browser.all("#L4.marked"), "the lines are counted")
