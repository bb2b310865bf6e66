"""
What pages and answers read of the records, and when.
"""

import sys
from collections.abc import Callable, Mapping
from enum import Enum
from types import FrameType
from typing import Any, TypeVar
from unittest.mock import patch
from urllib.parse import quote

from attrs import evolve, fields, has
from sqlalchemy import Connection
from twisted.internet.defer import Deferred
from twisted.internet.testing import StringTransport

from buildbot_lite.status import build_documents
from buildbot_lite.storage.records import history
from buildbot_lite.storage.records.history import Filter
from buildbot_lite.web.api.definitions import BASE
from buildbot_lite.web.dispatcher import Pages
from buildbot_lite.web.root import SiteRoot
from buildbot_lite.web.routes import ROUTES
from buildbot_lite.web.serving.site import make_factory

from .api_case import ApiCase

T = TypeVar("T")
ROWS = ("buildbot_lite.storage.records.", "buildbot_lite.packages.records.")
"""Where the classes of rows are; their columns may be JSON."""
MAKERS = ("_from", "_document", "_documents")
"""The ends of the names of functions that make documents, and of modules that have nothing else."""
NO_READERS = ("buildbot_lite.web.html", "buildbot_lite.web.replies", "jinja2", "markupsafe")
SCALARS = (type(None), str, int, float, bytes, Enum)


def is_row(value: Any) -> bool:
    """
    Whether *value* is of rows alone: a mapping by names that has other values is a document.
    """
    if isinstance(value, SCALARS):
        return True
    if type(value).__module__.startswith(ROWS) or type(value).__name__ in {"ReporterRows", "Event"}:
        return True
    if has(type(value)):
        return all(is_row(getattr(value, each.name)) for each in fields(type(value)))
    if isinstance(value, Mapping):
        named = [each for key, each in value.items() if isinstance(key, str)]
        return all(map(is_row, value.values())) and not any(isinstance(each, SCALARS) for each in named)
    return isinstance(value, list | tuple | set | frozenset) and all(map(is_row, value))


def is_maker(code: FrameType) -> bool:
    """
    Whether the function that is called makes a document or a part of a page.
    """
    module = str(code.f_globals.get("__name__", ""))
    return module.startswith(NO_READERS) or code.f_code.co_name.endswith(MAKERS)


class WatchedRecords:
    """
    The role `Reading`, which knows whether a query runs, and counts them.  *others*: what queries returned that is no
    row; *makers*: what made documents while they ran.
    """

    def __init__(self, records: Any) -> None:
        self._records = records
        self.running = False
        self.count = 0
        self.others: list[str] = []
        self.makers: set[str] = set()

    def read(self, query: Callable[[Connection], T]) -> "Deferred[T]":
        """
        As that of the records.
        """

        def watched(connection: Connection) -> T:
            self.running = True
            self.count += 1
            sys.setprofile(self._profile)
            try:
                found = query(connection)
            finally:
                sys.setprofile(None)
                self.running = False
            if not is_row(found):
                self.others.append(repr(found)[:200])
            return found

        found: Deferred[T] = self._records.read(watched)
        return found

    def _profile(self, frame: FrameType, event: str, argument: object) -> None:
        if event == "call" and is_maker(frame):
            self.makers.add(f"{frame.f_globals.get('__name__')}.{frame.f_code.co_name}")


class ReadingRuleTests(ApiCase):
    """
    Every page and every address of the API.
    """

    def setUp(self) -> None:
        super().setUp()
        self.watched = WatchedRecords(self.view.records)
        self.view = evolve(self.view, records=self.watched)
        self.factory = make_factory(SiteRoot(Pages(self.view, ROUTES).resource(), None), self.clock)
        self.factory.doStart()

    def addresses(self) -> list[str]:
        """
        One address of each route that only reads and ends.
        """
        rules = [route.rule for route in ROUTES if "GET" in route.methods and not route.rule.endswith("/events")]
        found = next(each for each in self.call("/builds")["builds"] if each["result"] == "SUCCESS")
        of_build = {name: found[name] for name in ("builder", "number", "slave")}
        known = {**of_build, "step": 1, "log": "stdio"}
        return [_filled(rule, known) for rule in rules]

    def test_rows_alone(self) -> None:
        """
        Promise 10.1: within a transaction rows are fetched, for each address there is; documents and pages are made of
        them when it has ended.
        """
        for address in (*self.addresses(), "/?result=failing", "/?from=5", "/packages/2", f"{BASE}/packages/jobs/2"):
            self.get(address)
            self.assertEqual((self.watched.others, self.watched.makers), ([], set()), address)

    def test_rule(self) -> None:
        """
        A query that makes a document is found.
        """

        def making(connection: Connection) -> Any:
            return build_documents.of_builds(connection, history.page(connection, Filter(), 1))

        self.successResultOf(self.watched.read(making))
        self.assertEqual(len(self.watched.others), 1)
        self.assertEqual(self.watched.makers, {"buildbot_lite.status.build_documents.builds_from"})

    def test_no_write_within(self) -> None:
        """
        Promise 10.1: no transaction of the records spans a write to a client.
        """
        written: list[str] = []
        write, address = StringTransport.write, ""

        def watching(transport: StringTransport, data: bytes) -> None:
            if self.watched.running:
                written.append(address)
            write(transport, data)

        reading = 0
        addresses = self.addresses()
        with patch.object(StringTransport, "write", watching):
            for address in addresses:
                before = self.watched.count
                answer = self.get(address)
                self.assertLess(answer.status, 500 if BASE in address else 504, address)
                reading += self.watched.count > before
        self.assertEqual(written, [])
        # Some need no records, such as the description of the API.
        self.assertGreater(reading, len(addresses) // 3)


def _filled(rule: str, known: dict[str, Any]) -> str:
    """
    An address at *rule*, whose names are those of *known*, or else 1.
    """
    words = rule.replace("<int:", "<").replace("<path:", "<").split("<")
    filled = words[0]
    for each in words[1:]:
        name, _, rest = each.partition(">")
        filled += quote(str(known.get(name, 1)), safe="") + rest
    return filled
