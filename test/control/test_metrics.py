"""
Figures about the running master.
"""

from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.control.rights import MAY_LOOK
from buildbot_lite.master.builds.reactor_lag import INTERVAL, WINDOW, ReactorLag
from buildbot_lite.master.scheduling import builder_queue
from buildbot_lite.model.histogram import Histogram
from buildbot_lite.status.slave_documents import STATES

from .test_admin import AdminDeskCase


class MetricsTests(AdminDeskCase):
    def test_idle(self) -> None:
        """
        Promise 10.6: a watcher gets all figures of an idle farm.
        """
        self.assertIn("metrics", MAY_LOOK)
        found = self.ask("metrics")
        self.assertEqual((found["reactor_lag_seconds"], found["reactor_lag_mean_seconds"]), (None, None))
        self.assertEqual(found["queue"], {"b": {"length": 0, "oldest_wait": None}})
        self.assertEqual(found["slaves"], {state: int(state == "never-seen") for state in STATES})
        self.assertEqual((found["running"], found["slave_attaches_total"], found["records_waiting"]), (0, 0, 0))
        self.assertGreater(found["disk_bytes"], found["disk_free_bytes"])
        self.assertGreater(found["resident_memory_bytes"], 1 << 20)
        self.assertEqual((found["start_time_seconds"], found["records_failing"]), (self.harness.clock.seconds(), 0))
        self.assertIsNone(found["oldest_log"])

    def test_busy(self) -> None:
        """
        Promise 10.6: the figures follow the farm: what waits and how long, slaves by state, transactions, bytes of
        logs, reconnections.
        """
        self.ask("force", builder="b", properties={}, reason="test")
        self.harness.settle(60)
        self.assertEqual(self.ask("metrics")["queue"]["b"], {"length": 1, "oldest_wait": 60.0})
        before = self.ask("metrics")
        slave = self.harness.attach("bot1")
        started = slave.commands[-1]
        started.write(b"0123456789")
        self.harness.write_noted()
        during = self.ask("metrics")
        self.assertEqual((during["running"], during["queue"]["b"]["length"]), (1, 0))
        self.assertEqual((during["slaves"]["here"], during["log_bytes_total"]), (1, 10))
        self.assertGreater(during["record_batches_total"], before["record_batches_total"])
        self.assertGreaterEqual(during["record_changes_total"], during["record_batches_total"])
        self.assertEqual(during["record_write_buckets"][-1], [None, during["record_batches_total"]])
        self.assertEqual(during["oldest_log"], self.harness.clock.seconds())
        slave.lose()
        self.assertEqual(self.ask("metrics")["slaves"]["reconnecting"], 1)
        self.harness.attach("bot1", slave)
        after = self.ask("metrics")
        self.assertEqual((during["slave_reconnects_total"], after["slave_reconnects_total"]), (0, 1))
        self.assertEqual((during["slave_attaches_total"], after["slave_attaches_total"]), (1, 2))

    def test_oldest_of_priorities(self) -> None:
        """
        Promise 10.6: the oldest request is found behind more urgent ones, by one look at each priority.
        """
        for priority, seconds in ((0, 10), (5, 10), (0, 10), (5, 10), (-1, 10)):
            self.harness.submit(priority=priority)
            self.harness.settle(seconds)
        oldest = [self.ask("metrics")["queue"]["b"]["oldest_wait"]]
        self.patch(builder_queue, "MOST_PRIORITIES", 1)
        oldest.append(self.ask("metrics")["queue"]["b"]["oldest_wait"])
        self.assertEqual(oldest, [50.0, 40.0])


class ReactorLagTests(SynchronousTestCase):
    def test_measured(self) -> None:
        """
        Promise 10.6: the lag is how late a call was made; only the last 15 seconds count.
        """
        clock = Clock()
        lag = ReactorLag(clock)
        lag.start()
        self.assertEqual((lag.mean, lag.most), (None, None))
        clock.advance(INTERVAL)
        clock.advance(INTERVAL + 0.25)
        self.assertEqual((lag.mean, lag.most), (0.125, 0.25))
        for _ in range(round(WINDOW / INTERVAL)):
            clock.advance(INTERVAL)
        self.assertEqual((lag.mean, lag.most), (0.0, 0.0))
        lag.stop()
        self.assertEqual(clock.getDelayedCalls(), [])


class HistogramTests(SynchronousTestCase):
    def test_buckets(self) -> None:
        """
        A value counts in each bucket whose bound it does not exceed, and all in the last one.
        """
        histogram = Histogram((1.0, 2.0))
        for value in (0.5, 1.0, 1.5, 3.0):
            histogram.add(value)
        self.assertEqual(histogram.buckets(), [(1.0, 2), (2.0, 3), (None, 4)])
        self.assertEqual((histogram.count, histogram.total), (4, 6.0))
