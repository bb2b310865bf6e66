"""
Going through the pages of a list while entries come and go.
"""

import json
import os
from collections.abc import Callable
from typing import Any

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, precondition, rule, run_state_machine_as_test
from sqlalchemy import Connection

from buildbot_lite.model.results import Result
from buildbot_lite.storage.database import open_database
from buildbot_lite.storage.reading import open_for_reading
from buildbot_lite.storage.records import builds, removal, requests
from buildbot_lite.web.api.cursors import LONGEST, cursor, page_by_name, place
from test.storage.inline import InlineWriter

from ..pages_case import NOW, PagesCase
from ..test_pages import a_build
from .api_case import BASE

EXAMPLES = 40
STEPS = 25
MOST_SEEN = 500
"""Entries, of which there are never as many."""
NAMES = st.text(st.sampled_from("ab/é\U0001f600 :"), min_size=1, max_size=3)


class Reader:
    """
    Goes through the pages of a list.  *get*: the document at an address.  *throughout*: the keys of the entries that
    have been there since it began.
    """

    def __init__(self, get: Callable[[str], Any], address: str, field: str, throughout: set[Any]) -> None:
        self._get = get
        self._address = address
        self._field = field
        self._next: str | None = None
        self.throughout = throughout
        self.seen: list[Any] = []
        self.is_over = False

    def turn(self, key: Callable[[Any], Any]) -> None:
        """
        Read the next page.
        """
        if len(self.seen) > MOST_SEEN:
            raise AssertionError("These pages have no end.")
        page = self._get(self._address + (f"&cursor={self._next}" if self._next else ""))
        self.seen += [key(each) for each in page[self._field]]
        self._next = page["next"]
        self.is_over = self._next is None

    def lost(self) -> set[Any]:
        """
        What was there throughout, and was not on any page.
        """
        return self.throughout - set(self.seen)


class Lists(RuleBasedStateMachine):
    """
    One list of the master's: entries come and go between two pages.
    """

    def __init__(self, case: "CursorTests", path: str, entry: Callable[[Any], Any], key: Callable[[Any], Any]) -> None:
        super().__init__()
        self.case = case
        self.path = path
        self.entry = entry
        self.key = key
        self.here: dict[Any, Any] = {}
        self.reader: Reader | None = None

    @rule(name=NAMES, number=st.integers(1, 9))
    def come(self, name: str, number: int) -> None:
        entry = self.entry((name, number))
        self.here.setdefault(self.key(entry), entry)

    @precondition(lambda self: self.here)
    @rule(data=st.data())
    def go(self, data: st.DataObject) -> None:
        key = data.draw(st.sampled_from(sorted(self.here)))
        del self.here[key]
        if self.reader is not None:
            self.reader.throughout.discard(key)

    @rule(limit=st.integers(1, 4))
    @precondition(lambda self: self.reader is None)
    def begin(self, limit: int) -> None:
        self.reader = Reader(self.case.document, f"/{self.path}?limit={limit}", self.path, set(self.here))

    @precondition(lambda self: self.reader is not None)
    @rule()
    def turn(self) -> None:
        assert self.reader is not None
        self.case.show(self.path, list(self.here.values()))
        self.reader.turn(self.key)
        if self.reader.is_over:
            self.case.assertEqual(self.reader.lost(), set())
            self.case.assertEqual(len(self.reader.seen), len(set(self.reader.seen)))
            self.reader = None

    def teardown(self) -> None:
        while self.reader is not None:
            self.turn()


class Builds(RuleBasedStateMachine):
    """
    The builds in a database: new ones begin, others end or are removed between two pages.
    """

    def __init__(self, case: "CursorTests") -> None:
        super().__init__()
        self.case = case
        self.here: dict[int, str] = {}
        self.numbers: dict[str, int] = {"a": 0, "b": 0}
        self.readers: list[Reader] = []
        case.new_database()
        case.show("builders", [{"builder": each} for each in "ab"])

    @initialize(count=st.integers(0, 6))
    def some(self, count: int) -> None:
        for each in range(count):
            self.begin("ab"[each % 2])

    @rule(builder=st.sampled_from("ab"))
    def begin(self, builder: str) -> None:
        self.numbers[builder] += 1
        self.here[self.case.change(a_build(builder, self.numbers[builder], None))] = builder

    @precondition(lambda self: self.here)
    @rule(data=st.data(), is_removed=st.booleans())
    def end(self, data: st.DataObject, *, is_removed: bool) -> None:
        build = data.draw(st.sampled_from(sorted(self.here)))
        self.case.change(lambda connection: builds.finish(connection, build, Result.SUCCESS, NOW))
        if is_removed:
            self.case.change(lambda connection: removal.drop_build(connection, build))
            del self.here[build]
            for each in self.readers:
                each.throughout.discard(build)

    @rule(limit=st.integers(1, 4), builder=st.sampled_from(["", "a"]))
    def read(self, limit: int, builder: str) -> None:
        wanted = f"&builder={builder}" if builder else ""
        there = {build for build, of in self.here.items() if not builder or of == builder}
        self.readers.append(Reader(self.case.document, f"/builds?limit={limit}{wanted}", "builds", there))

    @precondition(lambda self: self.readers)
    @rule(data=st.data())
    def turn(self, data: st.DataObject) -> None:
        self._turn(data.draw(st.sampled_from(self.readers)))

    def _turn(self, reader: Reader) -> None:
        self.case.clock.advance(3)
        reader.turn(lambda each: each["id"])
        self.case.assertEqual(reader.seen, sorted(set(reader.seen), reverse=True))
        if reader.is_over:
            self.case.assertEqual(reader.lost(), set())
            self.readers.remove(reader)

    def teardown(self) -> None:
        while self.readers:
            self._turn(self.readers[0])


class Waiting(RuleBasedStateMachine):
    """
    The queue: requests come, their builds begin, end or are tried again between two pages.
    """

    def __init__(self, case: "CursorTests") -> None:
        super().__init__()
        self.case = case
        self.waiting: dict[int, str] = {}
        self.building: dict[int, tuple[int, str]] = {}
        self.count = 0
        self.reader: Reader | None = None
        case.new_database()
        case.show("builders", [{"builder": each} for each in "ab"])

    @rule(builder=st.sampled_from("ab"))
    def come(self, builder: str) -> None:
        submitted = self.case.change(
            lambda connection: requests.submit(connection, scheduler="s", builders=[builder], reason="", now=NOW)
        )
        self.waiting[submitted.requests[0].id] = builder

    @precondition(lambda self: self.waiting)
    @rule(data=st.data(), is_built=st.booleans())
    def leave(self, data: st.DataObject, *, is_built: bool) -> None:
        request = data.draw(st.sampled_from(sorted(self.waiting)))
        builder = self.waiting.pop(request)
        if is_built:
            self.count += 1
            build = self.case.change(a_build(builder, self.count, None, request=request))
            self.building[build] = request, builder
        else:
            self.case.change(lambda connection: requests.finish(connection, request, Result.CANCELLED, NOW))
        if self.reader is not None:
            self.reader.throughout.discard(request)

    @precondition(lambda self: self.building)
    @rule(data=st.data())
    def try_again(self, data: st.DataObject) -> None:
        build = data.draw(st.sampled_from(sorted(self.building)))
        self.case.change(lambda connection: builds.finish(connection, build, Result.RETRY, NOW))
        request, builder = self.building.pop(build)
        self.waiting[request] = builder

    @rule(limit=st.integers(1, 4), builder=st.sampled_from(["", "a"]))
    @precondition(lambda self: self.reader is None)
    def begin(self, limit: int, builder: str) -> None:
        wanted = f"&builder={builder}" if builder else ""
        there = {request for request, of in self.waiting.items() if not builder or of == builder}
        self.reader = Reader(self.case.document, f"/queue?limit={limit}{wanted}", "queue", there)

    @precondition(lambda self: self.reader is not None)
    @rule()
    def turn(self) -> None:
        assert self.reader is not None
        # The master tells of the first alone.
        told = [{"request": each, "position": 1, "why": {}} for each in sorted(self.waiting)[:1]]
        self.case.show("queue", told)
        self.reader.turn(lambda each: each["request"])
        if self.reader.is_over:
            self.case.assertEqual(self.reader.lost(), set())
            self.case.assertEqual(self.reader.seen, sorted(set(self.reader.seen)))
            self.reader = None

    def teardown(self) -> None:
        while self.reader is not None:
            self.turn()


class CursorTests(PagesCase):
    """
    The cursors of all lists.
    """

    def document(self, address: str) -> Any:
        """
        The document at *address* below `BASE`.
        """
        answer = self.get(BASE + address)
        self.connections.clear()
        self.assertEqual(answer.status, 200, answer.body[:300])
        return json.loads(answer.text)

    def show(self, path: str, entries: list[Any]) -> None:
        """
        From now on, the list at *path* has these *entries*.
        """
        self.clock.advance(3)
        if path == "builders":
            self.master.answers["www"] = {**self.master.answers["www"], "builders": entries}
        else:
            name = {"queue": "waiting"}.get(path, path)
            self.master.answers["status"] = {**self.master.answers["status"], name: entries, "waiting_total": MOST_SEEN}
        self.live.expire()

    def new_database(self) -> None:
        """
        Read and change another, empty database from now on.
        """
        path = os.path.join(self.directory, f"{len(os.listdir(self.directory))}.sqlite")
        self.writer = InlineWriter(open_database(path))
        self.addCleanup(self.writer.close)
        reader = InlineWriter(open_for_reading(path))
        self.addCleanup(reader.close)
        self.patch(self.records, "read", reader.read)

    def change(self, change: Callable[[Connection], Any]) -> Any:
        """
        What comes of a *change* of the records.
        """
        return self.successResultOf(self.writer.write(change))

    def go_through(self, machine: Any) -> None:
        """
        Run machines that *machine* makes.
        """
        run_state_machine_as_test(
            machine,
            settings=settings(
                max_examples=EXAMPLES,
                stateful_step_count=STEPS,
                deadline=None,
                database=None,
                derandomize=True,
                suppress_health_check=list(HealthCheck),
            ),
        )

    def test_slaves(self) -> None:
        """
        Promise 10.5: while slaves come and go, each that is there throughout is on exactly one page.
        """
        key = lambda each: each["slave"]  # noqa: E731
        self.go_through(lambda: Lists(self, "slaves", lambda named: {"slave": named[0]}, key))

    def test_builders(self) -> None:
        """
        Promise 10.5: so is each builder, while the configuration changes.
        """
        key = lambda each: each["builder"]  # noqa: E731
        self.go_through(lambda: Lists(self, "builders", lambda named: {"builder": named[0]}, key))

    def test_queue(self) -> None:
        """
        Promise 10.5: so is each waiting request, however many there are, while others begin and come.
        """
        os.makedirs(self.directory, exist_ok=True)
        self.go_through(lambda: Waiting(self))

    def test_builds(self) -> None:
        """
        Promise 10.5: so is each build, the newest first, while builds begin, end and are removed.
        """
        os.makedirs(self.directory, exist_ok=True)
        self.go_through(lambda: Builds(self))

    def test_longest(self) -> None:
        """
        The cursor of the longest name is taken, and one that was made by hand is refused.
        """
        names = ["\U0001f600" * 80, "\U0001f601"]
        page = page_by_name("slaves", None, names, str, 1)
        self.assertLessEqual(len(page.next or ""), LONGEST)
        self.assertEqual(page_by_name("slaves", page.next, names, str, 1).entries, [names[1]])
        self.assertEqual(place("builds", cursor("builds", 12345)), 12345)
        for text in ("-1", "", "x", "9" * 30):
            made = page_by_name("waiting", None, [text, text + "~"], str, 1).next
            self.assertEqual(self.get(f"{BASE}/queue?cursor={made}").status, 400, text)

    def test_places(self) -> None:
        """
        A cursor with a place, as earlier versions made them, is of no page: a place is not taken as a name.
        """
        for path in ("builders", "slaves", "queue"):
            answer = self.get(f"{BASE}/{path}?cursor={cursor(path, 50)}")
            self.assertEqual(answer.status, 400, path)
            self.assertIn("This cursor is of no page of this list", answer.text)
