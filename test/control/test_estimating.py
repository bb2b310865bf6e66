"""
What a running farm says about the time that builds take, and the first bad build.
"""

import shutil
from typing import Any
from unittest import mock

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.control.admin import AdminDesk
from buildbot_lite.status.estimating import Estimator
from buildbot_lite.storage.records import durations
from test.master.configurations import GO, master_cfg, run_step
from test.master.harness import FakeSlave, MasterHarness, StartedCommand


class EstimatingCase(SynchronousTestCase):
    def setUp(self) -> None:
        """
        A farm with one slave, which ends a command when the test says so.
        """
        self.harness = MasterHarness(master_cfg(steps=[run_step("one")], schedulers=[GO]))
        self.addCleanup(shutil.rmtree, self.harness.basedir)
        self.slave = FakeSlave()
        self.harness.attach(slave=self.slave)
        self.desk = AdminDesk(self.harness.farm, mock.Mock())

    def ask(self, what: str, **of: Any) -> Any:
        """
        The answer to the question *what*.
        """
        return self.successResultOf(self.desk.ask({"ask": what, **of}))

    @property
    def running(self) -> StartedCommand:
        """
        The command that was started last.
        """
        return self.slave.commands[-1]

    def build(self, seconds: float, code: int = 0) -> None:
        """
        Have a build that takes so many *seconds*.
        """
        self.harness.submit()
        self.harness.settle(seconds)
        self.running.end(code)
        self.harness.settle()


class EstimatingTests(EstimatingCase):
    def test_expected(self) -> None:
        """
        Promise 8.11: after some builds, a running one has an expected end, its step an expected duration, and waiting
        requests have positions and expected starts; before, all are unknown.
        """
        self.harness.submit()
        self.harness.submit()
        (waiting,) = self.ask("queue")["queue"]
        self.assertEqual((waiting["position"], waiting["expected_start"]), (1, None))
        (document,) = self.ask("builds", most=1)["builds"]
        self.assertEqual((document["expected_end"], document["steps"][0]["expected"]), (None, None))
        for _ in range(2):
            self.harness.settle(10.0)
            self.running.end()
            self.harness.settle()
        self.build(300.0, code=1)

        requests = [self.harness.submit() for _ in range(3)]
        (document,) = self.ask("builds", most=1)["builds"]
        end = document["expected_end"]
        self.assertEqual(end - document["started"], 10.0)
        self.assertEqual(document["steps"][0]["expected"], 10.0)
        queue = self.ask("queue")["queue"]
        self.assertEqual([each["request"] for each in queue], requests[1:])
        self.assertEqual([each["position"] for each in queue], [1, 2])
        self.assertEqual([each["expected_start"] - end for each in queue], [0.0, 10.0])
        page = self.ask("queue", after={"request": requests[1], "position": 1})["queue"]
        self.assertEqual([(each["position"], each["expected_start"]) for each in page], [(2, None)])
        status = self.ask("status")["status"]
        self.assertEqual((status["running"][0]["expected_end"], status["waiting"]), (end, queue))
        self.assertEqual([each["takes"] for each in self.ask("builders")["builders"]], [10.0])
        self.assertEqual(
            self.ask("build", builder=document["builder"], number=document["number"])["build"]["expected_end"], end
        )

    def test_obstacles(self) -> None:
        """
        Promise 8.11: the start of a request is unknown while it waits for something other than a slot.
        """
        self.build(10.0)
        self.harness.submit()
        self.harness.submit()
        self.assertNotEqual(self.ask("queue")["queue"][0]["expected_start"], None)
        self.successResultOf(Deferred.fromCoroutine(self.harness.farm.slaves.pause("bot1", paused=True)))
        self.harness.settle()
        self.assertEqual([each["expected_start"] for each in self.ask("queue")["queue"]], [None])

    def test_first_bad(self) -> None:
        """
        Promise 8.11: the first bad build after a good one, not a later one; none when there is none.
        """
        for code in (0, 0, 1, 1, 0, 1):
            self.build(1.0, code)
        (builder,) = self.harness.farm.config.builders
        for after, number in ((0, 3), (2, 3), (3, 4), (4, 6), (6, None)):
            found = self.ask("first-bad", builder=builder, results=["FAILURE", "EXCEPTION"], after=after)["build"]
            self.assertEqual(found and found["number"], number)

    def test_cached(self) -> None:
        """
        Promise 8.11: an estimate is read once, and again only after a build of its builder.
        """
        (builder,) = self.harness.farm.config.builders
        estimates = Estimator(self.harness.records)

        def seconds() -> float | None:
            found = self.successResultOf(Deferred.fromCoroutine(estimates.of([builder])))
            return found[builder].build

        of_builder = durations.of_builder
        with mock.patch.object(durations, "of_builder", side_effect=of_builder) as read:
            self.assertEqual([seconds(), seconds()], [None, None])
            self.build(5.0)
            self.assertEqual([seconds(), seconds()], [5.0, 5.0])
            self.assertEqual(read.call_count, 2)

    def test_late(self) -> None:
        """
        Promise 8.11: what was read before a build ended is not kept.
        """
        (builder,) = self.harness.farm.config.builders
        estimates = Estimator(self.harness.records)
        answer: Deferred[Any] = Deferred()
        with mock.patch.object(self.harness.records, "read", return_value=answer):
            asked = Deferred.fromCoroutine(estimates.of([builder]))
        self.build(5.0)
        answer.callback({builder: "late"})
        self.assertEqual(self.successResultOf(asked), {builder: "late"})
        found = self.successResultOf(Deferred.fromCoroutine(estimates.of([builder])))
        self.assertEqual(found[builder].build, 5.0)
