"""
Estimates of builds, and the simulation of the queue.
"""

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.model.estimates import (
    UNKNOWN,
    BusySlot,
    ExpectedRequest,
    SlaveLoad,
    estimate,
    expected_starts,
)

NOW = 100.0


class EstimateTests(SynchronousTestCase):
    def test_median(self) -> None:
        """
        Promise 8.11: an estimate is the median, for the build and for each step by name; without builds it is unknown.
        """
        found = estimate([10.0, 1000.0, 12.0], [("make", 5.0), ("make", 7.0), ("check", 3.0)])
        self.assertEqual((found.build, found.steps), (12.0, {"make": 6.0, "check": 3.0}))
        self.assertEqual(estimate([], []), UNKNOWN)

    def test_starts(self) -> None:
        """
        Promise 8.11: each waiting request is expected to take the slot that is free first.
        """
        request = ExpectedRequest("a", ["one", "two"], 10.0, concurrent=True)
        other = ExpectedRequest("b", ["one"], None)
        busy = BusySlot("a", 130.0)
        one = {"one": SlaveLoad(1, [busy])}
        for name, loads, waiting, expected in (
            ("free", {"one": SlaveLoad(1)}, [request], [100.0]),
            ("after the running one", one, [request, request, request], [130.0, 140.0, 150.0]),
            ("two slaves", {**one, "two": SlaveLoad(1, [BusySlot("a", 120.0)])}, [request] * 3, [120.0, 130.0, 130.0]),
            ("two slots", {"one": SlaveLoad(2, [busy])}, [request] * 3, [100.0, 110.0, 120.0]),
            ("overdue", {"one": SlaveLoad(1, [BusySlot("a", 50.0)])}, [request], [100.0]),
            ("unknown end", {"one": SlaveLoad(1, [BusySlot("a", None)])}, [request], [None]),
            ("unknown duration", one, [other, request], [130.0, None]),
            ("more builds than slots", {"one": SlaveLoad(1, [busy, BusySlot("a", 110.0)])}, [request], [130.0]),
            ("no limit", {"one": SlaveLoad(None, [busy])}, [request, request], [100.0, 100.0]),
            ("no slave", {}, [request], [None]),
        ):
            self.assertEqual(expected_starts(NOW, loads, waiting), expected, name)

    def test_slotted(self) -> None:
        """
        Promise 9.2: a slave without a limit builds one package at a time, of all builders; with a limit, any that fit.
        """
        request, other = (ExpectedRequest(name, ["one"], 10.0, slotted=True) for name in "ab")
        busy = [BusySlot("a", 130.0, slotted=True)]
        ordinary = ExpectedRequest("c", ["one"], 1.0)
        for most, expected in ((None, [130.0, 140.0, 100.0]), (3, [100.0, 100.0, 110.0])):
            loads = {"one": SlaveLoad(most, busy)}
            self.assertEqual(expected_starts(NOW, loads, [request, other, ordinary]), expected)

    def test_not_concurrent(self) -> None:
        """
        Promise 8.11: a builder that is not concurrent has one build on a slave at a time.
        """
        request = ExpectedRequest("a", ["one"], 10.0)
        loads = {"one": SlaveLoad(None, [BusySlot("a", 130.0)])}
        self.assertEqual(expected_starts(NOW, loads, [request, request]), [130.0, 140.0])
        self.assertEqual(expected_starts(NOW, loads, [ExpectedRequest("b", ["one"], 1.0)]), [100.0])
