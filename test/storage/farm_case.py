"""
A farm's records in memory, without threads.
"""

from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.storage.records import (
    builds,
    generations,
    requests,
)
from buildbot_lite.storage.records.builds import Build
from buildbot_lite.storage.records.requests import Request
from test.storage.inline import InlineWriter

T = TypeVar("T")


class FarmCase(SynchronousTestCase):
    """
    Has records, with requests and builds on demand.
    """

    def setUp(self) -> None:
        """
        Empty records.
        """
        self.records = InlineWriter()
        self.addCleanup(self.records.close)

    def do(self, change: Callable[[Connection], T]) -> T:
        """
        The result of *change*, committed.
        """
        return self.successResultOf(self.records.write(change))

    def request(self, builder: str = "hello", *, now: float = 10.0) -> Request:
        """
        Submit a request.
        """
        submitted = self.do(
            lambda c: requests.submit(c, scheduler="hello", builders=[builder], reason="asked", now=now)
        )
        return submitted.requests[0]

    def build(self, request: Request | None = None, *, now: float = 20.0) -> Build:
        """
        Begin a build of *request*.
        """
        asked = request or self.request()

        def start(connection: Connection) -> Build:
            generations.keep(connection, "g", now)
            return builds.start(
                connection, request=asked.id, builder=asked.builder, slave="bot1", nonce="00", generation="g", now=now
            )

        return self.do(start)
