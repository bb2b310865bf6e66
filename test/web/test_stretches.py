"""
Pages of a farm with many builders, slaves and changes show some of them at a time.
"""

import json
import re
from collections.abc import Callable
from typing import Any
from unittest import mock

from sqlalchemy import Connection, insert

from buildbot_lite.model.results import Result
from buildbot_lite.status import build_rows
from buildbot_lite.status.build_rows import ChangeRows
from buildbot_lite.storage import schema
from buildbot_lite.storage.records import history
from buildbot_lite.storage.records.history import Filter
from buildbot_lite.web.pages import farm
from buildbot_lite.web.pages import queue as pages_queue
from buildbot_lite.web.pages import waterfall as pages_waterfall
from buildbot_lite.web.pages.changes import LEAST_CHANGES
from buildbot_lite.web.pages.farm import MOST_ROWS
from buildbot_lite.web.pages.slaves import MOST_SLAVES

from .pages_case import NOW, PagesCase
from .test_pages import a_build, inserted


def of_change(number: int, builder: str) -> Callable[[Connection], object]:
    """
    A change of the records: a request for *builder* because of the change *number*, which is recorded if it is not.
    """

    def change(connection: Connection) -> None:
        row = {"id": number, "digest": "0", "received": NOW, "happened": NOW, "author": "ada", "source": "git"}
        connection.execute(insert(schema.changes).prefix_with("OR IGNORE").values(**row))
        of = {"scheduler": "all", "reason": "", "submitted": NOW, "source": "{}", "properties": "{}"}
        buildset = inserted(connection, schema.buildsets, **of)
        connection.execute(insert(schema.buildset_changes).values(buildset=buildset, change=number))
        inserted(connection, schema.requests, buildset=buildset, builder=builder, submitted=NOW)

    return change


class StretchTests(PagesCase):
    def _with_builders(self, count: int) -> None:
        builders = [{"builder": f"b{each}", "tags": [], "slaves": []} for each in range(count)]
        self.master.answers["www"] = {"title": "A farm", "private": False, "builders": builders}

    def _rows(self, page: str) -> list[str]:
        return re.findall(r'<th(?: class="short")? scope="row"><a href="(?:builders|slaves)/([^"]+)">', page)

    def test_builders(self) -> None:
        """
        The farm's page shows a part of very many builders, with links to the parts before and after; a filter stays.
        """
        self._with_builders(MOST_ROWS + 5)
        first = self.get("/?text=b").text
        self.assertEqual(len(self._rows(first)), MOST_ROWS)
        self.assertIn(f'href="./?text=b&amp;from={MOST_ROWS}" rel="next"', first)
        last = self.get(f"/?text=b&from={MOST_ROWS}").text
        self.assertEqual(self._rows(last), [f"b{MOST_ROWS + each}" for each in range(5)])
        self.assertIn('href="./?text=b" rel="prev"', last)
        self.assertNotIn('rel="next"', last)

    def test_no_such_row(self) -> None:
        """
        A place that is none shows the first rows.
        """
        self._with_builders(3)
        for text in ("3", "-1", "x", "9" * 5000, "%C2%B2"):
            self.live.changed()
            self.assertEqual(len(self._rows(self.get(f"/?from={text}").text)), 3, text)

    def test_busy_first(self) -> None:
        """
        Of very many builders, those that build come first on the first page, then those that wait, however many they
        are; through all pages the others keep their order, so that none is missing when those that build or wait
        change.
        """
        self._with_builders(MOST_ROWS + 5)
        name = f"b{MOST_ROWS + 3}"
        self.successResultOf(self.records.write(a_build(name, 1, None)))
        waits = {"builder": f"b{MOST_ROWS + 1}", "why": {"kind": "busy", "sentence": "busy"}, "submitted": 1.0}
        self.master.answers["status"] = {"waiting": [waits], "waiting_total": 1, "slaves": [], "running": []}
        rows = self._rows(self.get("/").text)
        first = [f"b{each}" for each in range(MOST_ROWS)]
        self.assertEqual(rows, [name, f"b{MOST_ROWS + 1}", *first])
        further = [f"b{MOST_ROWS + each}" for each in range(5)]
        for builder in ("b5", f"b{MOST_ROWS + 2}"):
            self.assertEqual(self._rows(self.get(f"/?from={MOST_ROWS}").text), further)
            self.master.answers["status"] = {"waiting": [{**waits, "builder": builder}], "waiting_total": 1}
            self.clock.advance(10)
        self.assertEqual(self._rows(self.get("/").text)[:3], [name, further[2], "b0"])
        self.patch(farm, "MOST_BUSY", 1)
        self.clock.advance(10)
        self.assertEqual(self._rows(self.get("/").text), [name, *first])

    def test_last_result(self) -> None:
        """
        The filter by the last result looks at builders of all parts.
        """
        self._with_builders(MOST_ROWS + 5)
        name = f"b{MOST_ROWS + 3}"
        self.successResultOf(self.records.write(a_build(name, 1, Result.FAILURE)))
        self.assertEqual(self._rows(self.get("/?result=FAILURE").text), [name])
        self.assertEqual(self._rows(self.get("/?result=SUCCESS").text), [])

    def test_slaves(self) -> None:
        """
        So does the page of slaves.
        """
        slaves = [{"slave": f"s{each}", "state": "here", "running": []} for each in range(MOST_SLAVES + 1)]
        self.master.answers["status"] = {"slaves": slaves, "running": [], "waiting": [], "waiting_total": 0}
        page = self.get("/slaves").text
        self.assertEqual(len(self._rows(page)), MOST_SLAVES)
        self.assertIn(f'href="slaves?from={MOST_SLAVES}" rel="next"', page)
        self.assertEqual(self._rows(self.get(f"/slaves?from={MOST_SLAVES}").text), [f"s{MOST_SLAVES}"])

    def test_changes(self) -> None:
        """
        The console of a farm with many builders has fewer changes.
        """
        asked: list[int] = []

        def page_of_changes(connection: object, most: int, before: int | None = None) -> ChangeRows:
            asked.append(most)
            return ChangeRows([], {})

        self.patch(build_rows, "page_of_changes", page_of_changes)
        for builders in (1, 200, 1000):
            self._with_builders(builders)
            self.clock.advance(2)
            self.assertEqual(self.get("/changes").status, 200)
        self.assertEqual(asked, [40, 5, LEAST_CHANGES])

    def test_requests_of_changes(self) -> None:
        """
        A page of changes ends with the last one that it can show with all of its builds.
        """
        self.patch(build_rows, "MOST_REQUESTS", 3)
        for number, requests in enumerate((1, 2, 1, 5), 1):
            for each in range(requests):
                self.successResultOf(self.records.write(of_change(number, f"b{each}")))
        pages: list[object] = []
        address = "/api/v1/changes"
        for _ in range(4):
            answer = json.loads(self.get(address).text)
            pages.append([(each["change"], len(each["requests"])) for each in answer["changes"]])
            address = f"/api/v1/changes?cursor={answer['next']}"
        self.assertEqual(pages, [[(4, 3)], [(3, 1)], [(2, 2)], [(1, 1)]])

    def test_queue_never_told(self) -> None:
        """
        While the master has never answered, the queue shows the requests that wait in the records, without reasons.
        """
        self.live.know("www", {"title": "A farm", "private": False})
        self.master.away = True
        with mock.patch.object(pages_queue, "ON_PAGE", 2):
            for each in range(3):
                self.successResultOf(self.records.write(of_change(1, f"b{each}")))
                self.clock.advance(10)
                page = self.get("/queue").text
                self.assertEqual(page.count("why it waits is not known: the master does not answer"), min(each + 1, 2))
                self.assertEqual("The first 2 are shown." in page, each == 2)
                self.assertIn('href="builders/b0"', page)

    def test_waterfall(self) -> None:
        """
        The waterfall has the newest builds, says so when there are more, and reads no others.
        """
        self.patch(pages_waterfall, "MOST_BUILDS", 2)
        self.patch(pages_waterfall, "HOURS", (24, 10**6))
        for number in (1, 2, 3):
            self.successResultOf(self.records.write(a_build("linux", number, Result.SUCCESS)))
        page = self.get("/waterfall?hours=1000000").text
        self.assertIn("Only the newest 2 builds are shown.", page)
        self.assertEqual(re.findall(r'href="builders/linux/(\d+)"', page), ["3", "2"])

    def test_no_filter(self) -> None:
        """
        A page of builds without a filter, however that is written, looks at no more builds than it shows.
        """
        for number in range(1, 5):
            self.successResultOf(self.records.write(a_build("b0", number, Result.SUCCESS)))
        before = [self._instructions(wanted) for wanted in self._unfiltered]
        for number in range(5, 40):
            self.successResultOf(self.records.write(a_build("b0", number, Result.SUCCESS)))
        self.assertEqual([self._instructions(wanted) for wanted in self._unfiltered], before)

    _unfiltered = (Filter(), Filter(results=[]), Filter("b0", results=[]))

    def _instructions(self, wanted: Filter) -> int:
        """
        The instructions of SQLite's virtual machine that a page of *wanted* takes.
        """
        count = 0

        def one_more() -> int:
            nonlocal count
            count += 1
            return 0

        def read(connection: Connection) -> None:
            driver: Any = connection.connection.driver_connection
            driver.set_progress_handler(one_more, 1)
            try:
                self.assertEqual(len(history.page(connection, wanted, most=3).entries), 3)
            finally:
                driver.set_progress_handler(None, 0)

        self.successResultOf(self.records.read(read))
        return count

    def test_times_of_the_waterfall(self) -> None:
        """
        The waterfall names several times at its side, each another one, however short the time is that its newest
        builds took.
        """
        self.patch(pages_waterfall, "MOST_BUILDS", 1)
        for number, age in enumerate((20_000, 700, 74, 3), 1):
            self.successResultOf(self.records.write(a_build("b", number, None, started=NOW - age)))
            self.clock.advance(10)
            times = re.findall(r'data-clock="\d+"[^>]*>([^<]*)</text>', self.get("/waterfall").text)
            self.assertTrue(3 <= len(times) <= 15, (age, times))
            self.assertEqual(len({*times}), len(times))

    def test_order_of_the_waterfall(self) -> None:
        """
        Of a few builders the columns of the waterfall are in their order; of many, those come first that build, or have
        built last.
        """

        def columns(most: int, hours: int) -> list[str]:
            # Answers are kept, so each is for other hours.
            with mock.patch.object(pages_waterfall, "MOST_IN_ORDER", most):
                page = self.get(f"/waterfall?hours={hours}").text
            return re.findall(r'y="-36"[^>]*><a href="builders/([^"]*)"', page)

        for name, age, result in (("a", 90, "SUCCESS"), ("b", 80, "SUCCESS"), ("c", 95, None), ("d", 70, "FAILURE")):
            ended = None if result is None else Result[result]
            self.successResultOf(self.records.write(a_build(name, 1, ended, started=NOW - age)))
        self.assertEqual(columns(4, 24), ["a", "b", "c", "d"])
        self.assertEqual(columns(3, 72), ["c", "d", "b", "a"])
        # What runs may be older than another build that is over.
        self.successResultOf(self.records.write(a_build("c", 2, Result.SUCCESS, started=NOW - 92)))
        self.assertEqual(columns(3, 168), ["c", "d", "b", "a"])
