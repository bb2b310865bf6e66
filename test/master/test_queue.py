"""
Which request is built next, where, and why the others wait.
"""

import os
from typing import Any
from unittest import mock

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import DatabaseLockedError
from buildbot_lite.master.grants import verbs
from buildbot_lite.master.scheduling.can_start import MOST_PENDING
from buildbot_lite.model.results import Result
from buildbot_lite.model.wait_reasons import (
    WaitKind,
    busy,
    nearest,
    paused,
)
from buildbot_lite.storage.records import requests

from .stage import (
    ONE,
    FakeSlave,
    Stage,
    succeeding,
)

TWO = """
c["slaves"] = [slave.BuildSlave("bot1", max_builds=2), slave.BuildSlave("bot2", max_builds=1)]
step = steps.ShellCommand(command=["true"])
c["builders"] = [
    util.BuilderConfig("a", ["bot1", "bot2"], util.BuildFactory([step])),
    util.BuilderConfig("b", ["bot1"], util.BuildFactory([step]), concurrent=True),
]
c["schedulers"] = [
    schedulers.Submit("a", ["a"]), schedulers.Submit("b", ["b"]), schedulers.Submit("urgent", ["b"], priority=5),
]
"""


class LongQueueTests(SynchronousTestCase):
    """
    Many requests of one builder.
    """

    def test_looked_at_up_to_the_first(self) -> None:
        """
        Promise 6.15: behind a request that cannot be built no other of its builder is looked at; all say the same.
        """
        stage = Stage(TWO)
        waiting = [stage.submit("b") for _ in range(20)]
        stage.settle()
        queue = stage.farm.queue
        with mock.patch.object(queue, "_choose_slave", wraps=queue._choose_slave) as choose:
            other = stage.submit("a")
        self.assertEqual(sorted(call.args[1].name for call in choose.call_args_list), ["a", "b"])
        self.assertEqual({stage.farm.dispatcher.why(each) for each in waiting}, {stage.farm.dispatcher.why(waiting[0])})
        self.assertIsNotNone(stage.farm.dispatcher.why(other))

    def test_pages(self) -> None:
        """
        Promise 6.15: what waits is answered in pages, in order, also while some of it comes and goes.
        """
        stage = Stage(TWO)
        submitted = [stage.submit(name) for name in ("a", "b", "urgent", "b", "a", "urgent")]
        order = [submitted[index] for index in (2, 5, 0, 1, 3, 4)]
        queue = stage.farm.queue
        self.assertEqual([each.request.id for each in queue.page(100)], order)
        first = queue.page(2)
        stage.done(stage.farm.requests.cancel(order[1], "not wanted"))
        late = stage.submit("urgent")
        second = queue.page(2, first[-1].urgency)
        self.assertEqual([each.request.id for each in second], [late, order[2]])
        rest = queue.page(100, second[-1].urgency)
        self.assertEqual([each.request.id for each in rest], order[3:])
        self.assertEqual(queue.page(100, rest[-1].urgency), ())
        self.assertEqual((len(queue), queue.count_of_builder("b"), queue.count_of_builder("nowhere")), (6, 4, 0))


class ReasonTests(SynchronousTestCase):
    """
    Promise 10: why each request waits, from a closed list, each reached from a real queue.
    """

    def reason(self, stage: Stage, request: int) -> tuple[WaitKind, str]:
        """
        Why it waits.
        """
        stage.settle()
        reason = stage.farm.dispatcher.why(request)
        assert reason is not None, "it does not wait"
        return reason.kind, reason.sentence

    def test_never_seen(self) -> None:
        """
        Promise 10: no slave of its list was ever connected.
        """
        stage = Stage(ONE)
        kind, sentence = self.reason(stage, stage.submit())
        self.assertEqual(kind, WaitKind.ABSENT)
        self.assertEqual(sentence, "bot1 is not connected (never seen)")

    def test_away(self) -> None:
        """
        Promise 10: its slave is not connected, and since when.
        """
        stage = Stage(ONE)
        stage.attach().lose()
        kind, sentence = self.reason(stage, stage.submit())
        self.assertEqual(kind, WaitKind.ABSENT)
        self.assertRegex(sentence, r"not connected \(since \d{4}-\d\d-\d\d \d\d:\d\d:\d\d\)")

    def test_busy(self) -> None:
        """
        Promise 10: all its slaves are busy, and with what.
        """
        stage = Stage(TWO)
        stage.attach("bot1")
        for _ in range(2):
            stage.submit("b")
        kind, sentence = self.reason(stage, stage.submit("b"))
        self.assertEqual(kind, WaitKind.BUSY)
        self.assertEqual(sentence, "bot1 is busy with b/1, b/2")

    def test_builder_busy(self) -> None:
        """
        Promise 10: a builder that is not concurrent builds once per slave at a time.
        """
        stage = Stage(TWO)
        stage.attach("bot1")
        stage.submit("a")
        kind, sentence = self.reason(stage, stage.submit("a"))
        self.assertEqual(kind, WaitKind.BUILDER_BUSY)
        self.assertIn("a/1 already runs on bot1", sentence)

    def test_paused(self) -> None:
        """
        Promise 10: its slave is paused; unpausing starts it.
        """
        stage = Stage(ONE)
        stage.attach()
        stage.done(stage.farm.slaves.pause("bot1", paused=True))
        request = stage.submit()
        self.assertEqual(self.reason(stage, request), (WaitKind.PAUSED, "bot1 is paused"))
        stage.done(stage.farm.slaves.pause("bot1", paused=False))
        stage.settle()
        self.assertEqual(len(stage.builds(request)), 1)

    def test_revoked(self) -> None:
        """
        Promise 10: the string of its slave was revoked; the sentence says how it gets another.
        """
        stage = Stage(ONE)
        stage.attach()
        grant = stage.farm.grants.of(verbs.SLAVE, "bot1")
        assert grant is not None
        stage.done(stage.farm.revocation.revoke(grant))
        kind, sentence = self.reason(stage, stage.submit())
        self.assertEqual(kind, WaitKind.REVOKED)
        self.assertIn("buildbot-lite rotate bot1", sentence)

    def test_draining(self) -> None:
        """
        Promise 10: its slave takes no new builds.
        """
        stage = Stage(ONE)
        stage.attach(draining=True)
        self.assertEqual(self.reason(stage, stage.submit())[0], WaitKind.DRAINING)

    def test_low_space(self) -> None:
        """
        Promise 10: its slave has less room than minspace.
        """
        stage = Stage(ONE.replace('"bot1")', '"bot1", minspace=1 << 30)'))
        stage.attach(space=1 << 20)
        kind, sentence = self.reason(stage, stage.submit())
        self.assertEqual(kind, WaitKind.LOW_SPACE)
        self.assertEqual(sentence, "bot1 has 1 MiB free, and needs 1024 MiB (minspace)")

    def test_refused(self) -> None:
        """
        Promise 10: canStartBuild refuses.
        """
        stage = Stage(ONE.replace("]))]", "]), canStartBuild=lambda builder, slave, request: False)]"))
        stage.attach()
        self.assertEqual(self.reason(stage, stage.submit())[0], WaitKind.REFUSED)

    def test_back_off(self) -> None:
        """
        Promise 10: it was lost, and is retried after a pause.
        """
        stage = Stage(ONE)
        slave = stage.attach()
        request = stage.submit()
        slave.lose()
        stage.attach(home="other")
        kind, sentence = self.reason(stage, request)
        self.assertEqual((kind, sentence), (WaitKind.BACK_OFF, "retry 1 begins in 2 s"))
        stage.settle(3)
        self.assertEqual(len(stage.builds(request)), 2)

    def test_back_off_and_a_jumping_clock(self) -> None:
        """
        Promise 5: a wall clock that jumps an hour back while a retry waits does not make it wait for an hour.
        """
        stage = Stage(ONE)
        slave = stage.attach()
        request = stage.submit()
        slave.lose()
        stage.attach(home="other")
        stage.settle()
        with mock.patch.object(stage.farm.queue, "_wall", lambda: stage.clock.seconds() - 3600):
            stage.settle(3)
        self.assertEqual(len(stage.builds(request)), 2)

    def test_retry_of_the_future(self) -> None:
        """
        Promise 5: a retry that was put off by a clock that was an hour ahead waits minutes, not an hour.
        """
        stage = Stage(ONE)
        slave = stage.attach()
        request = stage.submit()
        slave.lose()
        with mock.patch.object(stage.farm.requests, "_wall", lambda: stage.clock.seconds() + 3600):
            stage.attach(home="other")
        stage.settle(301)
        self.assertEqual(len(stage.builds(request)), 2)

    def test_no_builder(self) -> None:
        """
        Promise 10: its builder was removed from master.cfg.
        """
        stage = Stage(TWO)
        request = stage.submit("a")
        stage.configure(ONE)
        stage.done(stage.farm.reconfiguration.apply())
        self.assertEqual(self.reason(stage, request)[0], WaitKind.NO_BUILDER)

    def test_stopping(self) -> None:
        """
        Promise 10: the master waits to stop.
        """
        stage = Stage(ONE)
        stage.attach()
        stage.farm.hold.begin()
        self.assertEqual(self.reason(stage, stage.submit())[0], WaitKind.STOPPING)

    def test_disk_full(self) -> None:
        """
        Promise 10: the master's disk is full.
        """
        stage = Stage(ONE)
        stage.attach()
        full = os.statvfs_result((1,) * 10)
        with mock.patch("os.statvfs", lambda path: full):
            self.assertEqual(self.reason(stage, request := stage.submit())[0], WaitKind.DISK_FULL)
        stage.settle(6)
        self.assertEqual(len(stage.builds(request)), 1, "there is room again, and nobody had to say so")

    def test_locked(self) -> None:
        """
        Promise 10: another program has the master's database locked.
        """
        stage = Stage(ONE)
        request = stage.submit()
        stage.farm.records.obstacle = DatabaseLockedError()
        stage.attach()
        self.assertEqual(self.reason(stage, request)[0], WaitKind.LOCKED)
        stage.farm.records.obstacle = None
        stage.settle(6)
        self.assertEqual(len(stage.builds(request)), 1)

    def test_asked_again(self) -> None:
        """
        A canStartBuild that refused is asked again after a minute: it may go by the time of day.
        """
        stage = Stage(
            "at_night = []\n"
            + ONE.replace("util.BuildFactory([", "canStartBuild=lambda *_: at_night, factory=util.BuildFactory([")
        )
        stage.attach()
        request = stage.submit()
        self.assertEqual(self.reason(stage, request)[0], WaitKind.REFUSED)
        builder = stage.farm.config.builders["b"]
        with mock.patch.object(builder, "can_start_build", lambda *_: True):
            stage.settle(61)
        self.assertEqual(len(stage.builds(request)), 1)

    def test_nearest(self) -> None:
        """
        Of several slaves the one that is likely to be free first is named.
        """
        self.assertEqual(nearest([paused("x"), busy("y", ["b/1"]), paused("z")]), busy("y", ["b/1"]))
        self.assertEqual(nearest([paused("x"), paused("z")]).sentence, "x is paused; z is paused")


class ChoiceTests(SynchronousTestCase):
    """
    Who goes first, and where to.
    """

    def test_order(self) -> None:
        """
        Requests with a higher priority go first, others in the order in which they came.
        """
        stage = Stage(TWO)
        first, second, urgent = stage.submit("b"), stage.submit("b"), stage.submit("urgent")
        self.assertEqual([each.request.id for each in stage.farm.queue.waiting()], [urgent, first, second])

    def test_spread(self) -> None:
        """
        A build goes to the slave that has least to do.
        """
        stage = Stage(TWO)
        stage.attach("bot1")
        stage.attach("bot2")
        stage.submit("b")
        request = stage.submit("a")
        self.assertEqual(stage.builds(request)[0].slave, "bot2")

    def test_warm(self) -> None:
        """
        Among equals it goes to the one that built it last.
        """
        stage = Stage(TWO.replace("max_builds=1", "max_builds=2"))
        stage.attach("bot2", FakeSlave(behaviour=succeeding))
        stage.submit("a")
        stage.attach("bot1", FakeSlave(behaviour=succeeding))
        request = stage.submit("a")
        self.assertEqual(stage.builds(request)[0].slave, "bot2")

    def test_slow_can_start_build(self) -> None:
        """
        CanStartBuild may be a coroutine; when it raises, the request waits.
        """
        text = """
async def ask(builder, slave, request):
    if request.id == 1:
        raise ValueError("no")
    return True
"""
        stage = Stage(text + ONE.replace("]))]", "]), canStartBuild=ask)]"))
        stage.attach(slave=FakeSlave(behaviour=succeeding))
        first, second = stage.submit(), stage.submit()
        self.assertIsNone(stage.request(first).result)
        self.assertEqual(stage.request(second).result, Result.SUCCESS)
        self.assertTrue(self.flushLoggedErrors(ValueError))

    def test_can_start_build_raises(self) -> None:
        """
        A canStartBuild that raises is asked for each request, and again; the log has it once in ten minutes.
        """
        raising = "def ask(builder, slave, request):\n    raise ValueError('no')\n"
        stage = Stage(raising + ONE.replace("]))]", "]), canStartBuild=ask)]"))
        stage.attach(slave=FakeSlave(behaviour=succeeding))
        for _ in range(5):
            stage.submit()
        stage.clock.pump([60.0] * 9)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)
        stage.clock.pump([60.0] * 3)
        self.assertEqual(len(self.flushLoggedErrors(ValueError)), 1)

    def test_can_start_build_without_end(self) -> None:
        """
        Promise 10: a canStartBuild that does not answer holds up nobody else; the request says that it is being asked.
        """
        stage = Stage(ASKING)
        stage.attach(slave=FakeSlave(behaviour=succeeding))
        slow, quick = stage.submit("slow"), stage.submit("quick")
        self.assertEqual(stage.request(quick).result, Result.SUCCESS)
        self.assertEqual(self.why(stage, slow), WaitKind.CAN_START_PENDING)
        stage.settle(30)
        self.assertEqual(stage.request(stage.submit("quick")).result, Result.SUCCESS)
        stage.settle(31)
        self.assertEqual(self.why(stage, slow), WaitKind.REFUSED)
        stage.settle(11)
        self.assertEqual(self.why(stage, slow), WaitKind.CAN_START_PENDING)

    def test_can_start_build_answers_late(self) -> None:
        """
        Once a canStartBuild has answered, the request is built, or waits because it is refused; it is not asked again
        at once.
        """
        stage = Stage(ASKING)
        stage.attach(slave=FakeSlave(behaviour=succeeding))
        first, second = stage.submit("slow"), stage.submit("slow")
        asked = dict(self.asked(stage))
        asked[first].callback(True)
        asked[second].callback(False)
        stage.settle()
        self.assertEqual(stage.request(first).result, Result.SUCCESS)
        self.assertEqual(self.why(stage, second), WaitKind.REFUSED)
        self.assertIs(asked[second], self.asked(stage)[second])

    def test_cancelled_while_asked(self) -> None:
        """
        A request that is cancelled while canStartBuild is being asked is not built, and it is asked no longer.
        """
        stage = Stage(ASKING)
        stage.attach()
        request = stage.submit("slow")
        stage.done(stage.farm.submissions.cancel_request(request, "not needed"))
        stage.settle()
        self.assertTrue(self.asked(stage)[request].called)
        self.assertEqual(stage.builds(request), [])

    def test_most_asked(self) -> None:
        """
        Of many requests only some are asked about at a time; the others are when those have been.
        """
        stage = Stage(ASKING)
        stage.attach()
        for _ in range(MOST_PENDING + 5):
            last = stage.submit("slow")
        asked = self.asked(stage)
        self.assertEqual(len(asked), MOST_PENDING)
        self.assertEqual(self.why(stage, last), WaitKind.CAN_START_PENDING)
        for answer in list(asked.values()):
            answer.callback(False)
        stage.settle()
        self.assertEqual(len(asked), MOST_PENDING + 5)

    def asked(self, stage: Stage) -> dict[int, Deferred[bool]]:
        """
        By request, what canStartBuild has been asked; see `ASKING`.
        """
        builder: Any = stage.farm.config.builders["slow"]
        found: dict[int, Deferred[bool]] = builder.can_start_build.__globals__["asked"]
        return found

    def why(self, stage: Stage, request: int) -> WaitKind:
        """
        Why *request* waits.
        """
        reason = stage.farm.dispatcher.why(request)
        assert reason is not None
        return reason.kind

    def test_cancel_waiting(self) -> None:
        """
        A request that waits can be cancelled, and is not built.
        """
        stage = Stage(ONE)
        request = stage.submit()
        stage.done(stage.farm.submissions.cancel_request(request, "not needed"))
        stage.attach()
        self.assertEqual(stage.request(request).result, Result.CANCELLED)
        self.assertEqual(stage.builds(request), [])

    def test_waits_through_restart(self) -> None:
        """
        What waited when the master died waits again.
        """
        stage = Stage(ONE)
        request = stage.submit()
        stage.restart()
        self.assertEqual([each.request.id for each in stage.farm.queue.waiting()], [request])
        self.assertEqual(len(stage.read(requests.unfinished)), 1)


ASKING = """
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
