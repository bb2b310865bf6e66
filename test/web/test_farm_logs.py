"""
What readers of logs share is bounded, counted as the memory that it takes.
"""

import os
import tracemalloc
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import NoAnswerError
from buildbot_lite.web.logs.farm_logs import MOST_KEPT, MOST_SEARCHES, MOST_SEARCHING, FarmLogs
from buildbot_lite.web.logs.log_reader import LogPart, LogReader
from buildbot_lite.web.logs.log_search import SearchState, TextSearch
from buildbot_lite.web.serving.fair_places import Occupant
from buildbot_lite.web.serving.packing import PackingPlaces
from buildbot_lite.web.serving.rooms import Rooms


class MemoryTests(SynchronousTestCase):
    def test_windows(self) -> None:
        """
        Promise 10.10: however many windows of a log are asked for, those that are kept take no more memory than
        they may: also of short lines, whose text is the least of what a line takes.
        """
        path = self.mktemp()
        lines = b"ok\n" * 500
        with open(path, "wb") as file:
            file.write(lines * 400)
        length = os.path.getsize(path)
        logs = FarmLogs(Clock(), lambda function: succeed(function()), PackingPlaces(Rooms().packing))
        log = LogReader([LogPart(path, length)], logs.shared.open)
        self.addCleanup(log.close)
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        for start in range(0, length, len(lines)):
            shown = self.successResultOf(Deferred.fromCoroutine(logs.window(log, start, length)))
            self.assertEqual(len(shown.rows), 500)
        del shown
        self.assertLess(tracemalloc.get_traced_memory()[0], MOST_KEPT + (1 << 20))


class SearchTurnsTests(SynchronousTestCase):
    def test_flood(self) -> None:
        """
        Searches of one visitor refuse its own and not those of others, who have the next turn; whoever has gone has
        none.
        """
        running: list[Deferred[None]] = []

        def in_thread(function: Callable[[], Any]) -> Deferred[Any]:
            running.append(Deferred())
            return running[-1].addCallback(lambda _: function())

        path = self.mktemp()
        with open(path, "wb") as file:
            file.write(b"a line\n")
        logs = FarmLogs(Clock(), in_thread, PackingPlaces(Rooms().packing))
        log = LogReader([LogPart(path, 7)], logs.shared.open)
        self.addCleanup(log.close)

        def search(host: str) -> Deferred[Any]:
            text = TextSearch("line", ignores_case=False)
            return Deferred.fromCoroutine(logs.search(log, text, SearchState(), Occupant.at(host)))

        flood = [search("192.0.2.9") for _ in range(MOST_SEARCHES + MOST_SEARCHING)]
        gone, other = search("192.0.2.2"), search("192.0.2.1")
        for each in flood[-2:]:
            self.failureResultOf(each, NoAnswerError)
        gone.cancel()
        self.failureResultOf(gone, CancelledError)
        self.assertEqual(len(running), MOST_SEARCHES)
        for _ in range(2):
            running.pop(0).callback(None)
        running.pop().callback(None)
        self.assertEqual(len(self.successResultOf(other)[0]), 1)
        while running:
            running.pop(0).callback(None)
