"""
What pages and answers read of the records, and when.
"""

from collections.abc import Callable
from typing import Any, TypeVar
from unittest.mock import patch
from urllib.parse import quote

from attrs import evolve
from sqlalchemy import Connection
from twisted.internet.defer import Deferred
from twisted.internet.testing import StringTransport

from buildbot_lite.web.api.definitions import BASE
from buildbot_lite.web.dispatcher import Pages
from buildbot_lite.web.root import SiteRoot
from buildbot_lite.web.routes import ROUTES
from buildbot_lite.web.serving.site import make_factory

from .api_case import ApiCase

T = TypeVar("T")


class WatchedRecords:
    """
    The role `Reading`, which knows whether a query runs, and counts them.
    """

    def __init__(self, records: Any) -> None:
        self._records = records
        self.running = False
        self.count = 0

    def read(self, query: Callable[[Connection], T]) -> "Deferred[T]":
        """
        As that of the records.
        """

        def watched(connection: Connection) -> T:
            self.running = True
            self.count += 1
            try:
                return query(connection)
            finally:
                self.running = False

        found: Deferred[T] = self._records.read(watched)
        return found


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
