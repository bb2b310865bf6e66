"""
Fairness between submitters.
"""

from collections.abc import Sequence
from itertools import chain
from unittest import mock

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.master.scheduling.requests import NewBuildset
from buildbot_lite.master.scheduling.turns import Turns
from buildbot_lite.model.wait_reasons import starting

from .configurations import builder_config, master_cfg, run_step
from .harness import FakeSlave, MasterHarness

BUILDERS = ("b", "b2")


def farm(slaves: Sequence[str]) -> MasterHarness:
    """
    A farm with two builders on *slaves*, each of which runs one build at a time.
    """
    return MasterHarness(
        master_cfg(
            slaves=dict.fromkeys(slaves, "max_builds=1"),
            builders=[builder_config(name, slaves=slaves, steps=[run_step("one")]) for name in BUILDERS],
            schedulers=['schedulers.Submit("go", ["b"])'],
        )
    )


class TurnsTests(SynchronousTestCase):
    """
    Which of several submitters' requests is built next.
    """

    def submit(self, harness: MasterHarness, submitter: int | None, count: int = 1, priority: int = 0) -> list[int]:
        """
        The numbers of *count* new jobs of *submitter*, each with a request for every builder.
        """
        new = [
            NewBuildset(scheduler="go", builders=BUILDERS, reason="", by_grant=submitter, priority=priority)
            for _ in range(count)
        ]
        submitted = harness.done(harness.farm.requests.submit_all(new, lambda connection: None))
        harness.settle()
        return [request.id for each in submitted for request in each.requests]

    def test_one_of_thousands(self) -> None:
        """
        Promise 9.2: 3,000 jobs of one submitter delay a job of another by no more than one build on each slave.
        """
        harness = farm(["bot1", "bot2"])
        many = self.submit(harness, 1, 3000)
        self.assertEqual(len(harness.farm.queue), 6000)
        slaves = [harness.attach(name, home=name) for name in ("bot1", "bot2")]
        running = set(harness.farm.running.live())
        self.assertEqual(len(running & set(many)), 2)
        first, second = self.submit(harness, 2)
        for slave in slaves:
            slave.commands[-1].end(0)
            harness.settle()
        self.assertTrue({first} <= set(harness.farm.running.live()))
        for slave in slaves:
            slave.commands[-1].end(0)
            harness.settle()
        self.assertNotIn(second, harness.farm.queue)

    def test_no_slave_left(self) -> None:
        """
        As soon as a builder has no free slave, a decision leaves all its requests alone, however many submitters have
        some.
        """
        harness = farm(["bot1"])
        harness.attach("bot1")
        self.submit(harness, 1)
        for submitter in range(2, 40):
            self.submit(harness, submitter)
        queues = harness.farm.queue.by_builder()
        for each in queues:
            each.begin(None)
        turns = Turns()
        order = turns.merged(chain.from_iterable(each.open() for each in queues))
        first = next(order)
        first.siblings.reason = starting()
        with mock.patch.object(turns, "turn_of", wraps=turns.turn_of) as looks:
            self.assertIsNot(next(order).siblings, first.siblings)
        self.assertLess(looks.call_count, 5)
        self.assertEqual(first.siblings.open(), [])

    @given(st.lists(st.tuples(st.integers(0, 3), st.booleans()), min_size=1, max_size=12))
    def test_turns(self, submissions: list[tuple[int, bool]]) -> None:
        """
        Promise 9.2: of submitters that all have requests of the same priority, none gets a second build before each got
        one; each one's own requests are built in their order; a higher priority comes first.
        """
        harness = farm(["bot1"])
        owner: dict[int, tuple[int, bool]] = {}
        for submitter, urgent in submissions:
            requests = self.submit(harness, submitter or None, priority=int(urgent))
            owner.update(dict.fromkeys(requests, (submitter, urgent)))
        slave: FakeSlave = harness.attach("bot1")
        order: list[int] = []
        while live := list(harness.farm.running.live()):
            order += live
            slave.commands[-1].end(0)
            harness.settle()
        self.assertEqual(sorted(order), sorted(owner))
        self.assertEqual([owner[each][1] for each in order], sorted((owner[each][1] for each in order), reverse=True))
        for group in {owner[each] for each in order}:
            own = [each for each in order if owner[each] == group]
            self.assertEqual(own, sorted(own))
        for place, request in enumerate(order):
            submitter, urgent = owner[request]
            later = order[place + 1 :]
            again = next((n for n, each in enumerate(later) if owner[each] == (submitter, urgent)), len(later))
            waited = {owner[each][0] for each in later[again:] if owner[each][1] is urgent}
            between = {owner[each][0] for each in later[:again]}
            if again < len(later):
                self.assertEqual(waited - {submitter} - between, set(), (order, owner))
