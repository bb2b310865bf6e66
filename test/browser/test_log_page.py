"""
The page of a log, in a real browser.
"""

import os
import sqlite3
from contextlib import closing
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
        cls.farm = ShownFarm(Seeding(builds=60, hostile=False))
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
        self.browser.run("scrollTo(0, 0)")
        self.write(b"more\n", "ab")
        self.farm.change()
        self.browser.until(lambda: "more" in self.browser.text, "more is there")
        self.assertEqual(self.browser.run("return scrollY"), 0)
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
