"""
The choice of the next request and its slave, and the reasons for which other requests wait.
"""

import inspect
import os
from typing import Any
from unittest import mock

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import DatabaseLockedError
from buildbot_lite.master.grants import verbs
from buildbot_lite.master.scheduling.choice import LOOK_FOR_ROOM, BuildChoice
from buildbot_lite.master.scheduling.dispatcher import WaitingPlace
from buildbot_lite.master.scheduling.user_answers import MOST_PENDING
from buildbot_lite.model.results import Result
from buildbot_lite.model.time_limit import OverdueError
from buildbot_lite.model.wait_reasons import (
    WaitKind,
    absent,
    after_another,
    busy,
    nearest,
    paused,
)
from buildbot_lite.storage.records import requests

from .configurations import ONE, builder_config, master_cfg
from .harness import (
    FakeSlave,
    MasterHarness,
    succeeding,
)


def two_builders(*, of_bot2: str = "max_builds=1") -> str:
    """
    A configuration whose builder "a" builds on both slaves, and "b" on bot1 only.
    """
    step = 'steps.ShellCommand(command=["true"])'
    return master_cfg(
        slaves={"bot1": "max_builds=2", "bot2": of_bot2},
        builders=[
            builder_config("a", slaves=["bot1", "bot2"], steps=[step]),
            builder_config("b", slaves=["bot1"], steps=[step], arguments="concurrent=True"),
        ],
        schedulers=[
            'schedulers.Submit("a", ["a"])',
            'schedulers.Submit("b", ["b"])',
            'schedulers.Submit("urgent", ["b"], priority=5)',
        ],
    )


TWO = two_builders()


class InterruptedQueueTests(SynchronousTestCase):
    """
    Code of the configuration that was interrupted within a decision about the queue.
    """

    def test_goes_on(self) -> None:
        """
        The interruption does not end the queue, which is looked at again.
        """
        harness = MasterHarness(ONE)
        harness.attach(slave=FakeSlave(behaviour=succeeding))
        with mock.patch.object(BuildChoice, "choose", side_effect=OverdueError):
            request = harness.submit()
            harness.settle()
        self.assertTrue(self.flushLoggedErrors(OverdueError))
        self.assertEqual(harness.builds(request), [])
        harness.settle(LOOK_FOR_ROOM)
        self.assertEqual(len(harness.builds(request)), 1)


class LongQueueTests(SynchronousTestCase):
    """
    Many requests of one builder.
    """

    def test_examined_up_to_the_first(self) -> None:
        """
        Promise 6.15: after a request that cannot be built, no further request of its builder is examined; all have the
        same reason.
        """
        harness = MasterHarness(TWO)
        waiting = [harness.submit("b") for _ in range(20)]
        harness.settle()
        choice = harness.farm.choice
        with mock.patch.object(choice, "_choose_slave", wraps=choice._choose_slave) as choose:
            other = harness.submit("a")
        self.assertEqual(sorted(call.args[1].name for call in choose.call_args_list), ["a", "b"])
        self.assertEqual(
            {harness.farm.dispatcher.why(each) for each in waiting}, {harness.farm.dispatcher.why(waiting[0])}
        )
        self.assertIsNotNone(harness.farm.dispatcher.why(other))

    def test_pages(self) -> None:
        """
        Promise 6.15: the queue is read in pages, in order, also while requests are added and removed.
        """
        harness = MasterHarness(TWO)
        submitted = [harness.submit(name) for name in ("a", "b", "urgent", "b", "a", "urgent")]
        order = [submitted[index] for index in (2, 5, 0, 1, 3, 4)]
        queue = harness.farm.queue

        def page(most: int, after: WaitingPlace | None = None) -> list[int]:
            return [each.request.id for each in harness.farm.dispatcher.waiting(most, after)[1]]

        self.assertEqual(page(100), order)
        self.assertEqual(page(2), order[:2])
        harness.done(harness.farm.requests.cancel(order[1], "not wanted"))
        late = harness.submit("urgent")
        self.assertEqual(page(2, WaitingPlace(order[1], 2)), [late, order[2]])
        self.assertEqual(page(100, WaitingPlace(order[2], 4)), order[3:])
        self.assertEqual(page(100, WaitingPlace(order[2], 2)), [late, order[2], *order[3:]])
        self.assertEqual(page(100, WaitingPlace(order[-1], 100)), [])
        self.assertEqual((len(queue), queue.count_of_builder("b"), queue.count_of_builder("nowhere")), (6, 4, 0))


class ReasonTests(SynchronousTestCase):
    """
    Promise 10: each reason of the closed list is reached in a real queue.
    """

    def reason(self, harness: MasterHarness, request: int) -> tuple[WaitKind, str]:
        """
        The kind and the sentence of the reason for which *request* waits.
        """
        harness.settle()
        reason = harness.farm.dispatcher.why(request)
        assert reason is not None, "it does not wait"
        return reason.kind, reason.sentence

    def test_never_seen(self) -> None:
        """
        Promise 10: none of the builder's slaves has ever been connected.
        """
        harness = MasterHarness(ONE)
        kind, sentence = self.reason(harness, harness.submit())
        self.assertEqual(kind, WaitKind.ABSENT)
        self.assertEqual(sentence, "bot1 is not connected (never seen)")

    def test_away(self) -> None:
        """
        Promise 10: the slave is not connected; the reason says since when.
        """
        harness = MasterHarness(ONE)
        harness.attach().lose()
        kind, sentence = self.reason(harness, harness.submit())
        self.assertEqual(kind, WaitKind.ABSENT)
        self.assertRegex(sentence, r"not connected \(since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d [+-]\d{4}\)")

    def test_busy(self) -> None:
        """
        Promise 10: all slaves are busy; the reason names their builds.
        """
        harness = MasterHarness(TWO)
        harness.attach("bot1")
        for _ in range(2):
            harness.submit("b")
        kind, sentence = self.reason(harness, harness.submit("b"))
        self.assertEqual(kind, WaitKind.BUSY)
        self.assertEqual(sentence, "bot1 is busy with b/1, b/2")

    def test_builder_busy(self) -> None:
        """
        Promise 10: a builder that is not concurrent has at most one build on each slave.
        """
        harness = MasterHarness(TWO)
        harness.attach("bot1")
        harness.submit("a")
        kind, sentence = self.reason(harness, harness.submit("a"))
        self.assertEqual(kind, WaitKind.BUILDER_BUSY)
        self.assertIn("a/1 already runs on bot1", sentence)

    def test_paused(self) -> None:
        """
        Promise 10: the slave is paused; `unpause` starts the build.
        """
        harness = MasterHarness(ONE)
        harness.attach()
        harness.done(harness.farm.slaves.pause("bot1", paused=True))
        request = harness.submit()
        self.assertEqual(self.reason(harness, request), (WaitKind.PAUSED, "bot1 is paused"))
        harness.done(harness.farm.slaves.pause("bot1", paused=False))
        harness.settle()
        self.assertEqual(len(harness.builds(request)), 1)

    def test_revoked(self) -> None:
        """
        Promise 10: the slave's FURL was revoked; the reason says how to make another.
        """
        harness = MasterHarness(ONE)
        harness.attach()
        grant = harness.farm.grants.of(verbs.SLAVE, "bot1")
        assert grant is not None
        harness.done(harness.farm.revocation.revoke(grant))
        kind, sentence = self.reason(harness, harness.submit())
        self.assertEqual(kind, WaitKind.REVOKED)
        self.assertIn("buildbot-lite rotate bot1", sentence)

    def test_draining(self) -> None:
        """
        Promise 10: the slave is draining.
        """
        harness = MasterHarness(ONE)
        harness.attach(draining=True)
        self.assertEqual(self.reason(harness, harness.submit())[0], WaitKind.DRAINING)

    def test_low_space(self) -> None:
        """
        Promise 10: the slave has less free space than its minspace.
        """
        harness = MasterHarness(master_cfg(slaves={"bot1": "minspace=1 << 30"}))
        harness.attach(space=1 << 20)
        kind, sentence = self.reason(harness, harness.submit())
        self.assertEqual(kind, WaitKind.LOW_SPACE)
        self.assertEqual(sentence, "bot1 has 1 MiB free, and needs 1024 MiB (minspace)")

    def test_refused(self) -> None:
        """
        Promise 10: canStartBuild refuses.
        """
        harness = MasterHarness(master_cfg(arguments="canStartBuild=lambda builder, slave, request: False"))
        harness.attach()
        self.assertEqual(self.reason(harness, harness.submit())[0], WaitKind.REFUSED)

    def test_back_off(self) -> None:
        """
        Promise 10: a lost request is retried after a pause.
        """
        harness = MasterHarness(ONE)
        slave = harness.attach()
        request = harness.submit()
        slave.lose()
        harness.attach(home="other")
        kind, sentence = self.reason(harness, request)
        self.assertEqual((kind, sentence), (WaitKind.BACK_OFF, "retry 1 begins in 2 s"))
        harness.settle(3)
        self.assertEqual(len(harness.builds(request)), 2)

    def test_after(self) -> None:
        """
        Promise 10: a request that is held waits with the reason, whatever its builder waits for, also if it was held
        before it came, or comes back for a retry; others of its builder are built, until it is released.
        """
        harness = MasterHarness(TWO)
        reason = after_another("job 1: hello 1.0", "building")
        harness.farm.queue.hold({1: reason})
        first, second = harness.submit("b"), harness.submit("b")
        said = "it is built after job 1: hello 1.0, which is in the state building"
        self.assertEqual(self.reason(harness, first), (WaitKind.AFTER, said))
        self.assertEqual(self.reason(harness, second)[0], WaitKind.ABSENT)
        slave = harness.attach()
        self.assertEqual((len(harness.builds(first)), len(harness.builds(second))), (0, 1))
        harness.farm.queue.release([first])
        harness.settle()
        self.assertEqual(len(harness.builds(first)), 1)
        harness.farm.queue.hold({first: reason})
        slave.lose()
        harness.attach(home="other")
        harness.settle(10)
        self.assertEqual(self.reason(harness, first), (WaitKind.AFTER, said))
        self.assertEqual((len(harness.builds(first)), len(harness.builds(second))), (1, 2))

    def test_back_off_and_a_jumping_clock(self) -> None:
        """
        Promise 5: when the wall clock jumps an hour back during the pause, the retry is not an hour late.
        """
        harness = MasterHarness(ONE)
        slave = harness.attach()
        request = harness.submit()
        slave.lose()
        harness.attach(home="other")
        harness.settle()
        with mock.patch.object(harness.farm.queue, "_wall", lambda: harness.clock.seconds() - 3600):
            harness.settle(3)
        self.assertEqual(len(harness.builds(request)), 2)

    def test_retry_with_a_clock_ahead(self) -> None:
        """
        Promise 5: a retry whose time was set by a clock that was an hour ahead waits minutes, not an hour.
        """
        harness = MasterHarness(ONE)
        slave = harness.attach()
        request = harness.submit()
        slave.lose()
        with mock.patch.object(harness.farm.requests, "_wall", lambda: harness.clock.seconds() + 3600):
            harness.attach(home="other")
        harness.settle(301)
        self.assertEqual(len(harness.builds(request)), 2)

    def test_no_builder(self) -> None:
        """
        Promise 10: the request's builder was removed from master.cfg.
        """
        harness = MasterHarness(TWO)
        request = harness.submit("a")
        harness.configure(ONE)
        harness.done(harness.farm.reconfiguration.apply())
        self.assertEqual(self.reason(harness, request)[0], WaitKind.NO_BUILDER)

    def test_stopping(self) -> None:
        """
        Promise 10: the master is waiting to stop.
        """
        harness = MasterHarness(ONE)
        harness.attach()
        harness.farm.hold.begin()
        self.assertEqual(self.reason(harness, harness.submit())[0], WaitKind.STOPPING)

    def test_disk_full(self) -> None:
        """
        Promise 10: the master's disk is full; the build starts by itself when there is room.
        """
        harness = MasterHarness(ONE)
        harness.attach()
        full = os.statvfs_result((1,) * 10)
        with mock.patch("os.statvfs", lambda path: full):
            self.assertEqual(self.reason(harness, request := harness.submit())[0], WaitKind.DISK_FULL)
        harness.settle(6)
        self.assertEqual(len(harness.builds(request)), 1, "there is room again, and nobody had to say so")

    def test_locked(self) -> None:
        """
        Promise 10: another program has locked the master's database.
        """
        harness = MasterHarness(ONE)
        request = harness.submit()
        harness.farm.records.obstacle = DatabaseLockedError()
        harness.attach()
        self.assertEqual(self.reason(harness, request)[0], WaitKind.LOCKED)
        harness.farm.records.obstacle = None
        harness.settle(6)
        self.assertEqual(len(harness.builds(request)), 1)

    def test_called_again(self) -> None:
        """
        A canStartBuild that refused is called again after a minute, because it may depend on the time.
        """
        harness = MasterHarness("at_night = []\n" + master_cfg(arguments="canStartBuild=lambda *_: at_night"))
        harness.attach()
        request = harness.submit()
        self.assertEqual(self.reason(harness, request)[0], WaitKind.REFUSED)
        builder = harness.farm.config.builders["b"]
        with mock.patch.object(builder, "can_start_build", lambda *_: True):
            harness.settle(61)
        self.assertEqual(len(harness.builds(request)), 1)

    def test_nearest(self) -> None:
        """
        Of several slaves, the reason names the one that is likely to be free first.
        """
        self.assertEqual(nearest([paused("x"), busy("y", ["b/1"]), paused("z")]), busy("y", ["b/1"]))
        self.assertEqual(nearest([paused("x"), paused("z")]).sentence, "x is paused; z is paused")

    def test_nearest_that_stay(self) -> None:
        """
        Where somebody has to remove one of the obstacles, all slaves are named.
        """
        away = absent("y", "never seen", paused=True)
        reason = nearest([away, paused("x"), *(paused(f"z{number}") for number in range(2))])
        self.assertEqual(reason.kind, WaitKind.PAUSED)
        self.assertEqual(
            reason.sentence, "x is paused; z0 is paused; z1 is paused; y is not connected (never seen) and paused"
        )
        self.assertEqual(nearest([away, busy("x", ["b/1"])]).sentence, "x is busy with b/1")


class ChoiceTests(SynchronousTestCase):
    """
    The order of requests, and the choice of slaves.
    """

    def test_order(self) -> None:
        """
        Requests with a higher priority come first; others keep their order.
        """
        harness = MasterHarness(TWO)
        first, second, urgent = harness.submit("b"), harness.submit("b"), harness.submit("urgent")
        self.assertEqual([each.request.id for each in harness.farm.queue.waiting()], [urgent, first, second])

    def test_spread(self) -> None:
        """
        A build starts on the slave with the fewest builds.
        """
        harness = MasterHarness(TWO)
        harness.attach("bot1")
        harness.attach("bot2")
        harness.submit("b")
        request = harness.submit("a")
        self.assertEqual(harness.builds(request)[0].slave, "bot2")

    def test_warm(self) -> None:
        """
        Among equal slaves, a build starts on the one that built the builder last.
        """
        harness = MasterHarness(two_builders(of_bot2="max_builds=2"))
        harness.attach("bot2", FakeSlave(behaviour=succeeding))
        harness.submit("a")
        harness.attach("bot1", FakeSlave(behaviour=succeeding))
        request = harness.submit("a")
        self.assertEqual(harness.builds(request)[0].slave, "bot2")

    def test_slow_can_start_build(self) -> None:
        """
        CanStartBuild may be a coroutine; if it raises an error, the request waits.
        """
        text = """
async def ask(builder, slave, request):
    if request.id == 1:
        raise ValueError("no")
    return True
"""
        harness = MasterHarness(text + master_cfg(arguments="canStartBuild=ask"))
        harness.attach(slave=FakeSlave(behaviour=succeeding))
        first, second = harness.submit(), harness.submit()
        self.assertIsNone(harness.request(first).result)
        self.assertEqual(harness.request(second).result, Result.SUCCESS)
        self.assertTrue(self.flushLoggedErrors(ValueError))

    def test_can_start_build_raises(self) -> None:
        """
        A canStartBuild that raises an error is called again for each request; the log has the error once in ten
        minutes.
        """
        raising = "def ask(builder, slave, request):\n    raise ValueError('no')\n"
        harness = MasterHarness(raising + master_cfg(arguments="canStartBuild=ask"))
        harness.attach(slave=FakeSlave(behaviour=succeeding))
        for _ in range(5):
            harness.submit()
        harness.clock.pump([60.0] * 9)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        harness.clock.pump([60.0] * 3)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_can_start_build_without_end(self) -> None:
        """
        Promise 10: a canStartBuild that does not answer delays no other request; the reason says that it is being
        called.
        """
        harness = MasterHarness(PENDING_CAN_START)
        harness.attach(slave=FakeSlave(behaviour=succeeding))
        slow, quick = harness.submit("slow"), harness.submit("quick")
        self.assertEqual(harness.request(quick).result, Result.SUCCESS)
        self.assertEqual(self.why(harness, slow), WaitKind.CAN_START_PENDING)
        harness.settle(30)
        self.assertEqual(harness.request(harness.submit("quick")).result, Result.SUCCESS)
        harness.settle(31)
        self.assertEqual(self.why(harness, slow), WaitKind.REFUSED)
        harness.settle(11)
        self.assertEqual(self.why(harness, slow), WaitKind.CAN_START_PENDING)

    def test_can_start_build_answers_late(self) -> None:
        """
        When canStartBuild answers late, the request starts, or waits as refused without an immediate second call.
        """
        harness = MasterHarness(PENDING_CAN_START)
        harness.attach(slave=FakeSlave(behaviour=succeeding))
        first, second = harness.submit("slow"), harness.submit("slow")
        asked = dict(self.pending(harness))
        asked[first].callback(True)
        asked[second].callback(False)
        harness.settle()
        self.assertEqual(harness.request(first).result, Result.SUCCESS)
        self.assertEqual(self.why(harness, second), WaitKind.REFUSED)
        self.assertIs(asked[second], self.pending(harness)[second])

    def test_cancelled_while_pending(self) -> None:
        """
        When a request is cancelled during canStartBuild, the call is cancelled and the request is not built.
        """
        harness = MasterHarness(PENDING_CAN_START)
        harness.attach()
        request = harness.submit("slow")
        harness.done(harness.farm.canceller.cancel(request, "not needed"))
        harness.settle()
        self.assertTrue(self.pending(harness)[request].called)
        self.assertEqual(harness.builds(request), [])

    def test_most_pending(self) -> None:
        """
        At most MOST_PENDING calls of canStartBuild are pending; the other requests follow later.
        """
        harness = MasterHarness(PENDING_CAN_START)
        harness.attach()
        for _ in range(MOST_PENDING + 5):
            last = harness.submit("slow")
        asked = self.pending(harness)
        self.assertEqual(len(asked), MOST_PENDING)
        self.assertEqual(self.why(harness, last), WaitKind.CAN_START_PENDING)
        for answer in list(asked.values()):
            answer.callback(False)
        harness.settle()
        self.assertEqual(len(asked), MOST_PENDING + 5)

    def pending(self, harness: MasterHarness) -> dict[int, Deferred[bool]]:
        """
        The pending answers of canStartBuild by request, in `PENDING_CAN_START`.
        """
        builder: Any = harness.farm.config.builders["slow"]
        found: dict[int, Deferred[bool]] = inspect.unwrap(builder.can_start_build).__globals__["asked"]
        return found

    def why(self, harness: MasterHarness, request: int) -> WaitKind:
        """
        The kind of the reason for which *request* waits.
        """
        reason = harness.farm.dispatcher.why(request)
        assert reason is not None
        return reason.kind

    def test_cancel_waiting(self) -> None:
        """
        A waiting request that is cancelled is not built.
        """
        harness = MasterHarness(ONE)
        request = harness.submit()
        harness.done(harness.farm.canceller.cancel(request, "not needed"))
        harness.attach()
        self.assertEqual(harness.request(request).result, Result.CANCELLED)
        self.assertEqual(harness.builds(request), [])

    def test_waits_through_restart(self) -> None:
        """
        A request that waited when the master died waits again after the restart.
        """
        harness = MasterHarness(ONE)
        request = harness.submit()
        harness.restart()
        self.assertEqual([each.request.id for each in harness.farm.queue.waiting()], [request])
        self.assertEqual(len(harness.read(requests.unfinished)), 1)


PENDING_CAN_START = """
from twisted.internet.defer import Deferred
asked = {}
def ask(builder, slave, request):
    asked[request.id] = Deferred()
    return asked[request.id]
c["slaves"] = [slave.BuildSlave("bot1")]
one = util.BuildFactory([steps.ShellCommand(command=["run"])])
c["builders"] = [
    util.BuilderConfig("slow", ["bot1"], one, canStartBuild=ask),
    util.BuilderConfig("quick", ["bot1"], one),
]
c["schedulers"] = [schedulers.Submit(name, [name]) for name in ("slow", "quick")]
"""
