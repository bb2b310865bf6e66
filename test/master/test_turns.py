"""
Fairness between submitters.
"""

import shutil
from collections.abc import Sequence
from itertools import chain, islice
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.master.scheduling import turns as turns_module
from buildbot_lite.master.scheduling.builder_queue import BuilderQueue, WaitingRequest
from buildbot_lite.master.scheduling.dispatcher import WaitingPlace
from buildbot_lite.master.scheduling.new_buildset import NewBuildset
from buildbot_lite.master.scheduling.turns import Turns
from buildbot_lite.model.wait_reasons import starting
from buildbot_lite.status import documents
from buildbot_lite.storage.records import builds
from buildbot_lite.storage.records.buildsets import Buildset
from buildbot_lite.storage.records.requests import Request

from .configurations import builder_config, master_cfg, run_step
from .harness import FakeSlave, MasterHarness

BUILDERS = ("b", "b2")


def farm(slaves: Sequence[str], more: str = "") -> MasterHarness:
    """
    A farm with two builders on *slaves*, each of which runs one build at a time, and *more* in its configuration.
    """
    return MasterHarness(
        master_cfg(
            slaves=dict.fromkeys(slaves, "max_builds=1"),
            builders=[builder_config(name, slaves=slaves, steps=[run_step("one")]) for name in BUILDERS],
            schedulers=['schedulers.Submit("go", ["b"])'],
        )
        + more
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


FAN_OUT = [f"part{number}" for number in range(30)]
"""The parts of a fan-out, each a build of its own."""


class TriggeredTurnsTests(SynchronousTestCase):
    """
    Of whom the requests are that a Trigger makes.
    """

    def setUp(self) -> None:
        """
        A farm with one slave, on which a builder triggers many builds, some of which trigger one more each.
        """
        names = ", ".join(map(repr, FAN_OUT))
        self.harness = MasterHarness(
            master_cfg(
                slaves={"bot1": "max_builds=1", "bot2": ""},
                builders=[
                    builder_config(
                        "fan", slaves=["bot2"], steps=[f"steps.Trigger(schedulerNames=[{names}], waitForFinish=True)"]
                    ),
                    builder_config("part", slaves=["bot1"], steps=[run_step("one")]),
                    builder_config("next", slaves=["bot2"], steps=['steps.Trigger(schedulerNames=["part0"])']),
                ],
                schedulers=[
                    *(f'schedulers.Triggerable({name!r}, ["part"])' for name in FAN_OUT[:-1]),
                    f'schedulers.Triggerable({FAN_OUT[-1]!r}, ["next"])',
                    'schedulers.Submit("go", ["fan"])',
                ],
            )
        )
        self.addCleanup(shutil.rmtree, self.harness.basedir)
        self.slave = self.harness.attach("bot1", home="bot1")
        self.harness.attach("bot2", home="bot2")

    def submit(self, builder: str, submitter: int | None) -> int:
        """
        The number of a new request of *submitter*.
        """
        new = NewBuildset(scheduler="go", builders=[builder], reason="", by_grant=submitter)
        (submitted,) = self.harness.done(self.harness.farm.requests.submit_all([new], lambda connection: None))
        self.harness.settle()
        return int(submitted.requests[0].id)

    def test_fan_out(self) -> None:
        """
        Promise 9.2: requests that a Trigger made, and those that their builds made, are of the submitter of the root;
        so the fan-out of one submitter delays another, and the schedulers, by one build each.
        """
        self.submit("fan", 7)
        self.assertGreaterEqual(len(self.harness.farm.queue), len(FAN_OUT) - 2)
        waiting = self.harness.farm.queue.waiting()
        self.assertEqual({each.buildset.submitter for each in waiting}, {7})
        self.assertIn("next", {self.above(each.buildset.parent_build) for each in waiting})
        of_another, of_schedulers = self.submit("part", 8), self.submit("part", None)
        ran = []
        for _ in range(3):
            self.slave.commands[-1].end(0)
            self.harness.settle()
            ran += [each for each, live in self.harness.farm.running.live().items() if live.row.slave == "bot1"]
        self.assertEqual(ran[:2], [of_another, of_schedulers])

    def test_after_a_restart(self) -> None:
        """
        Promise 9.2: whose a triggered request is, is recorded.
        """
        self.submit("fan", 7)
        self.harness.restart()
        self.assertEqual({each.buildset.submitter for each in self.harness.farm.queue.waiting()}, {7})

    def test_of_schedulers(self) -> None:
        """
        Requests that a build of a scheduler triggers are of the schedulers.
        """
        self.submit("fan", None)
        self.assertEqual({each.buildset.submitter for each in self.harness.farm.queue.waiting()}, {None})

    def above(self, build: int | None) -> str:
        """
        The builder of the build that made a request.
        """
        row = None if build is None else self.harness.read(lambda connection: builds.get(connection, build))
        return "" if row is None else row.builder


class ShownOrderTests(SynchronousTestCase):
    """
    Promise 8.11: people see the requests in the order in which they are built.
    """

    def shown(self, harness: MasterHarness, most: int = 1000) -> list[int]:
        """
        The waiting requests, page by page.
        """
        found: list[int] = []
        place: dict[str, int] | None = None
        while place is not None or not found:
            after = None if place is None else WaitingPlace(**place)
            document = documents.of_queue(harness.farm, most, after)
            positions = [each["position"] for each in document["queue"]]
            self.assertEqual(positions, list(range(len(found) + 1, len(found) + 1 + len(positions))))
            found += [each["request"] for each in document["queue"]]
            place = document["next"]
        return found

    @given(
        st.lists(st.tuples(st.sampled_from(BUILDERS), st.integers(0, 3), st.integers(0, 1)), min_size=1, max_size=14),
        st.integers(0, 4),
        st.sampled_from([None, list(BUILDERS), list(reversed(BUILDERS))]),
    )
    @settings(deadline=None)
    def test_as_built(
        self, submissions: list[tuple[str, int, int]], before: int, prioritized: Sequence[str] | None
    ) -> None:
        """
        Whatever the submitters, builders and priorities are, also after some builds, in any size of pages, and with
        ``prioritizeBuilders``.
        """
        text = "" if prioritized is None else f"c['prioritizeBuilders'] = lambda master, builders: {prioritized!r}\n"
        harness = farm(["bot1"], text)
        slave: FakeSlave = harness.attach("bot1")
        self.submit(harness, ("b", 9, 5))
        for each in submissions:
            self.submit(harness, each)
        built: list[int] = []

        def end_one() -> None:
            slave.commands[-1].end(0)
            harness.settle()
            built.extend(harness.farm.running.live())

        for _ in range(min(before, len(submissions) - 1)):
            end_one()
        expected = self.shown(harness)
        self.assertEqual(self.shown(harness, 3), expected)
        already = len(built)
        while harness.farm.running.live():
            end_one()
        self.assertEqual(built[already:], expected)
        shutil.rmtree(harness.basedir)

    def submit(self, harness: MasterHarness, each: tuple[str, int, int]) -> int:
        """
        The number of a new request for a builder, of a submitter, with a priority.
        """
        builder, submitter, priority = each
        new = NewBuildset(scheduler="go", builders=[builder], reason="", by_grant=submitter or None, priority=priority)
        (submitted,) = harness.done(harness.farm.requests.submit_all([new], lambda connection: None))
        harness.settle()
        return int(submitted.requests[0].id)

    def test_thousands(self) -> None:
        """
        A page of the list looks at few more requests than it shows, however many builders one submitter waits for.
        """
        queues = [BuilderQueue(f"b{number}") for number in range(100)]
        for number, each in enumerate(queues):
            for part in range(100):
                request = Request(part * 100 + number + 1, 1, each.builder, 0.0)
                each.add(WaitingRequest(request, Buildset(1, "s", "", 0.0, {}, {}), 0.0, each))
        with mock.patch.object(turns_module, "_rank", wraps=turns_module._rank) as looks:
            page = [each.request.id for each in islice(Turns().expected([queues]), 1000)]
        self.assertEqual(page, list(range(1, 1001)))
        self.assertLess(looks.call_count, 1100)
