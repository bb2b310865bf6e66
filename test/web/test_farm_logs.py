"""
What readers of logs share is bounded, counted as the memory that it takes.
"""

import os
import tracemalloc

from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.web.logs.farm_logs import MOST_KEPT, FarmLogs
from buildbot_lite.web.logs.log_reader import LogPart, LogReader


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
        logs = FarmLogs(Clock(), lambda function: succeed(function()))
        log = LogReader([LogPart(path, length)], logs.shared.open)
        self.addCleanup(log.close)
        tracemalloc.start()
        self.addCleanup(tracemalloc.stop)
        for start in range(0, length, len(lines)):
            shown = self.successResultOf(Deferred.fromCoroutine(logs.window(log, start, length)))
            self.assertEqual(len(shown.rows), 500)
        del shown
        self.assertLess(tracemalloc.get_traced_memory()[0], MOST_KEPT + (1 << 20))
