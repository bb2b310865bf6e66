"""
Who holds a lock, and who gets it next: the core, without builds.
"""

from collections.abc import Sequence

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule
from twisted.internet.defer import CancelledError, Deferred
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.master.builds.lock_lines import LockOwner
from buildbot_lite.master.builds.locks import LockObstacle, Locks
from buildbot_lite.model.locks import LockName, LockUse, combined

DB, DISK = LockName("db"), LockName("disk")


def counting(lock: LockName = DB, count: int = 1, limit: int = 2) -> LockUse:
    """
    A counting use.
    """
    return LockUse(lock, exclusive=False, count=count, limit=limit)


def exclusive(lock: LockName = DB, limit: int = 2) -> LockUse:
    """
    An exclusive use.
    """
    return LockUse(lock, exclusive=True, limit=limit)


class LocksCase(SynchronousTestCase):
    """
    Locks, with the parents of requests in *parents*.
    """

    def setUp(self) -> None:
        self.parents: dict[int, int] = {}
        self.limits: dict[LockName, int] = {}
        self.changes = 0
        self.locks = Locks(limit=self.limits.get, parent=self.parents.get, changed=self._changed)

    def build(self, request: int, *uses: LockUse) -> LockObstacle | None:
        """
        Have the queue ask for *uses*, and start the build if it has them.
        """
        obstacle = self.locks.ask(request, uses, rank=(0, request), parent=self.parents.get(request))
        if obstacle is None:
            self.locks.take(LockOwner(request), uses)
        return obstacle

    def step(self, request: int, *uses: LockUse, number: int = 0) -> Deferred[None]:
        """
        Have a step of the build wait for *uses*.
        """
        return self.locks.wait(LockOwner(request, number), uses)

    def _changed(self) -> None:
        self.changes += 1


class SharingTests(LocksCase):
    """
    What several owners can hold at a time.
    """

    def test_counting(self) -> None:
        """
        Promise 8.4: a lock admits as many counting uses as its count says, or one exclusive use.
        """
        self.assertEqual([self.build(each, counting()) for each in (1, 2)], [None, None])
        self.assertEqual(self.build(3, counting()), LockObstacle(DB, (1, 2)))
        self.locks.leave_all(1)
        self.assertEqual(self.build(4, exclusive()), LockObstacle(DB, (2,)))

    def test_count_of_units(self) -> None:
        """
        Promise 8.4: a use may take several units.
        """
        self.assertIsNone(self.build(1, counting(count=3, limit=4)))
        self.assertIsNotNone(self.build(2, counting(count=2, limit=4)))
        self.locks.retain(())
        self.assertIsNone(self.build(3, counting(count=1, limit=4)))

    def test_all_or_none(self) -> None:
        """
        Promise 8.4: a build that needs two locks holds none of them while one is held by another.
        """
        self.build(1, exclusive(DB))
        self.assertIsNotNone(self.build(2, exclusive(DISK), exclusive(DB)))
        self.assertEqual(self.locks.of_request(2), [])
        self.locks.retain(())
        self.assertIsNone(self.build(3, exclusive(DISK)))

    def test_count_of_the_configuration_in_force(self) -> None:
        """
        Promise 8.4: the count in force decides, not the one with which a build began; a use of more units than there
        are by now is a use of all.
        """
        self.build(1, counting())
        self.limits[DB] = 1
        self.assertIsNotNone(self.build(2, counting()))
        self.locks.leave_all(1)
        self.assertIsNone(self.build(2, counting(count=2)))
        self.limits[DB] = 3
        self.assertIsNone(self.build(3, counting()))

    def test_combined(self) -> None:
        """
        Two uses of one lock are one use: of as much as any of them.
        """
        self.assertEqual(
            combined([counting(count=2), exclusive(), counting(DISK)]), (LockUse(DB, True, 2, 2), counting(DISK))
        )


class OrderTests(LocksCase):
    """
    Who is next.
    """

    def test_exclusive_is_not_starved(self) -> None:
        """
        Promise 8.4: counting uses that come later do not overtake an exclusive one, however many there are.
        """
        self.build(1, counting())
        whole = self.step(2, exclusive())
        later = [self.step(each, counting()) for each in (3, 4)]
        self.assertEqual(self.build(5, counting()), LockObstacle(DB, (2,), held=False))
        self.locks.leave_all(1)
        self.successResultOf(whole)
        self.assertFalse(any(each.called for each in later))
        self.locks.leave_all(2)
        self.assertTrue(all(each.called for each in later))

    def test_exclusive_build_is_not_starved_by_steps(self) -> None:
        """
        Promise 8.4: nor do steps overtake a build that waits for the whole lock.
        """
        running = self.step(1, counting())
        self.successResultOf(running)
        self.assertIsNotNone(self.build(2, exclusive()))
        self.assertNoResult(self.step(3, counting()))
        self.locks.leave_all(1)
        self.assertIsNone(self.build(2, exclusive()))

    def test_promise_of_the_free_lock(self) -> None:
        """
        One that waits for two locks does not keep others from the one that is free, until it was once the obstacle.
        """
        self.build(1, exclusive(DB))
        self.assertIsNotNone(self.build(2, exclusive(DB), exclusive(DISK)))
        self.assertIsNone(self.build(3, exclusive(DISK)))
        self.locks.leave_all(1)
        self.assertEqual(self.build(2, exclusive(DB), exclusive(DISK)), LockObstacle(DISK, (3,)))
        self.assertIsNotNone(self.build(4, exclusive(DB)), "it is promised to 2, or 2 would wait for ever")
        self.assertIsNotNone(self.build(5, exclusive(DISK)))
        self.locks.leave_all(3)
        self.assertIsNone(self.build(2, exclusive(DB), exclusive(DISK)))

    def test_urgent_request_first(self) -> None:
        """
        Of two requests that wait the more urgent gets the lock, whichever came first; neither overtakes a step.
        """
        self.build(1, exclusive())
        self.assertIsNotNone(self.locks.ask(2, [exclusive()], rank=(0, 2)))
        self.assertIsNotNone(self.locks.ask(3, [exclusive()], rank=(-5, 3)))
        step = self.step(4, exclusive())
        self.assertIsNotNone(self.locks.ask(5, [exclusive()], rank=(-9, 5)))
        self.locks.leave_all(1)
        self.assertIsNotNone(self.locks.ask(5, [exclusive()], rank=(-9, 5)))
        self.assertIsNotNone(self.locks.ask(2, [exclusive()], rank=(0, 2)))
        self.assertIsNone(self.locks.ask(3, [exclusive()], rank=(-5, 3)))
        self.assertNoResult(step)
        step.cancel()
        self.failureResultOf(step, CancelledError)

    def test_next_holder_at_once(self) -> None:
        """
        Promise 8.4: when a lock becomes free, the next step has it before the one that held it goes on.
        """
        self.build(1, exclusive())
        step = self.step(2, exclusive())
        self.locks.leave_all(1)
        self.successResultOf(step)
        self.assertEqual(self.locks.of_request(2), [exclusive()])

    def test_cancelled_waiter(self) -> None:
        """
        Promise 8.4: a waiter that is cancelled frees nobody else's lock, and keeps nobody waiting any more.
        """
        self.build(1, counting())
        cancelled, behind = self.step(2, exclusive()), self.step(3, counting())
        self.assertNoResult(behind)
        cancelled.cancel()
        self.failureResultOf(cancelled, CancelledError)
        self.successResultOf(behind)
        self.assertEqual(len(self.locks.of_request(1)), 1)
        self.assertIsNotNone(self.build(4, counting()))

    def test_cancelled_by_the_one_before(self) -> None:
        """
        Two steps have their turn at once, and the first to go on cancels the second: its locks are free again.
        """
        self.build(1, exclusive())
        first, second = self.step(2, counting()), self.step(3, counting())
        _ = first.addCallback(lambda _: second.cancel())
        self.locks.leave_all(1)
        self.failureResultOf(second, CancelledError)
        self.assertEqual(self.locks.of_request(3), [])

    def test_passing_a_waiter_that_waits_for_oneself(self) -> None:
        """
        Promise 8.4: no promise is a deadlock: a step passes a waiter that waits for what the step's own build holds.
        """
        self.build(1, exclusive(DB))
        self.build(2, exclusive(DISK))
        self.assertIsNotNone(self.build(3, exclusive(DISK), exclusive(DB)))
        self.assertIsNotNone(self.build(4, exclusive(DISK)))
        step = self.step(1, exclusive(DISK))
        self.assertNoResult(step)
        self.locks.leave_all(2)
        self.successResultOf(step)

    def test_withdrawn(self) -> None:
        """
        A request that does not wait for locks any more keeps nobody waiting.
        """
        self.build(1, counting())
        self.assertIsNotNone(self.build(2, exclusive()))
        step = self.step(3, counting())
        self.assertNoResult(step)
        self.locks.retain({5})
        self.successResultOf(step)


class FamilyTests(LocksCase):
    """
    Builds that wait for builds.
    """

    def test_child_shares_its_parents_lock(self) -> None:
        """
        Promise 8.4: a build does not wait for a lock of the build that waits for it; a stranger does.
        """
        self.build(1, exclusive())
        self.parents.update({2: 1, 3: 2})
        self.assertIsNone(self.build(2, exclusive()))
        self.assertIsNone(self.build(3, counting()))
        self.assertIsNotNone(self.build(4, counting()))
        self.locks.leave_all(1)
        self.locks.leave_all(3)
        self.assertEqual(self.build(4, counting()), LockObstacle(DB, (2,)))

    def test_children_exclude_each_other(self) -> None:
        """
        Two children of one parent share with it, not with each other.
        """
        self.build(1, exclusive())
        self.parents.update({2: 1, 3: 1})
        self.assertIsNone(self.build(2, exclusive()))
        self.assertEqual(self.build(3, exclusive()), LockObstacle(DB, (2,)))

    def test_parent_that_waits_no_longer(self) -> None:
        """
        When a build no longer waits for another one, because it was cancelled, both count from that moment on.
        """
        self.parents[2] = 1
        self.assertEqual([self.build(each, counting()) for each in (1, 2)], [None, None])
        self.assertIsNone(self.locks.ask(3, [counting()], rank=(0, 3)))
        self.parents.clear()
        self.assertEqual(self.locks.obstacle(LockOwner(3)), LockObstacle(DB, (1, 2)))

    def test_counts_once(self) -> None:
        """
        What a child needs of a lock counts within what its parent holds.
        """
        self.build(1, counting())
        self.parents[2] = 1
        self.assertIsNone(self.build(2, counting()))
        self.assertIsNone(self.build(3, counting()))
        self.assertIsNotNone(self.build(4, counting()))


class LockMachine(RuleBasedStateMachine):
    """
    Builds and steps that come and go at random.  Each build holds the first of its locks, its steps need the others, in
    one order for all: so there is no deadlock, and whoever waits gets its locks when the others have ended.
    """

    def __init__(self) -> None:
        super().__init__()
        self.locks = Locks(changed=self.look)
        self.next = 1
        self.queue: dict[int, tuple[LockUse, ...]] = {}
        self.running: dict[int, tuple[LockUse, ...]] = {}
        self.steps: dict[int, Deferred[None]] = {}
        self.looking = False

    uses = st.lists(
        st.builds(
            LockUse,
            st.sampled_from([LockName("a"), LockName("b")]),
            exclusive=st.booleans(),
            count=st.integers(1, 3),
            limit=st.just(3),
        ),
        max_size=2,
    ).map(combined)

    @rule(uses=uses, priority=st.integers(0, 2))
    def submit(self, uses: tuple[LockUse, ...], priority: int) -> None:
        """
        A request comes.
        """
        self.queue[self.next] = uses
        self.next += 1
        self.look()

    @precondition(lambda self: self.running.keys() - self.steps.keys())
    @rule(data=st.data(), uses=uses)
    def begin_step(self, data: st.DataObject, uses: tuple[LockUse, ...]) -> None:
        """
        A running build begins a step with locks that come after those that it holds.
        """
        request = data.draw(st.sampled_from(sorted(self.running.keys() - self.steps.keys())))
        last = max((use.lock.name for use in self.running[request]), default="")
        self.steps[request] = self.locks.wait(
            LockOwner(request, 0), [use for use in uses if use.lock.name > last] or [LockUse(LockName("c"))]
        )

    @precondition(lambda self: any(each.called for each in self.steps.values()))
    @rule(data=st.data())
    def end_step(self, data: st.DataObject) -> None:
        """
        A step ends.
        """
        request = data.draw(st.sampled_from(sorted(each for each, turn in self.steps.items() if turn.called)))
        del self.steps[request]
        self.locks.leave(LockOwner(request, 0))

    @precondition(lambda self: any(not each.called for each in self.steps.values()))
    @rule(data=st.data())
    def cancel_step(self, data: st.DataObject) -> None:
        """
        A step is cancelled while it waits: the locks of all others stay as they are.
        """
        request = data.draw(st.sampled_from(sorted(each for each, turn in self.steps.items() if not turn.called)))
        before = {each: self.locks.of_request(each) for each in self.running}
        turn = self.steps.pop(request)
        _ = turn.addErrback(lambda failure: failure.trap(CancelledError))
        turn.cancel()
        for each, held in before.items():
            assert set(held) <= set(self.locks.of_request(each))

    @precondition(lambda self: self.running.keys() - self.steps.keys())
    @rule(data=st.data())
    def end_build(self, data: st.DataObject) -> None:
        """
        A build ends.
        """
        request = data.draw(st.sampled_from(sorted(self.running.keys() - self.steps.keys())))
        del self.running[request]
        self.locks.leave_all(request)

    @invariant()
    def within_limits(self) -> None:
        """
        No lock is held by more than its count, or by others beside an exclusive holder; and nothing by the dead.
        """
        holding: dict[LockName, list[LockUse]] = {}
        for request in range(self.next):
            held = self.locks.of_request(request)
            assert not held or request in self.running
            for use in held:
                holding.setdefault(use.lock, []).append(use)
        for uses in holding.values():
            assert len(uses) == 1 or not any(use.exclusive for use in uses)
            assert sum(use.count for use in uses if not use.exclusive) <= uses[0].limit

    @invariant()
    def nobody_waits_for_nothing(self) -> None:
        """
        When nobody runs, nobody waits; and never do all that run wait.
        """
        assert self.running or not self.queue
        stuck = [request for request, turn in self.steps.items() if not turn.called]
        free = self.running.keys() - set(stuck)
        assert not stuck or free, "all of them wait: a deadlock"

    def look(self) -> None:
        """
        What the queue does with every decision.
        """
        if self.looking:
            return
        self.looking = True
        again = True
        while again:
            again, waiting = False, set()
            for request, uses in tuple(self.queue.items()):
                if self.locks.ask(request, uses, rank=(0, request)) is None:
                    self.locks.take(LockOwner(request), uses)
                    self.running[request] = self.queue.pop(request)
                    again = True
                else:
                    waiting.add(request)
            self.locks.retain(waiting)
        self.looking = False

    def teardown(self) -> None:
        """
        When all that run end, one after the other, all that wait have their turn.
        """
        for _ in range(4 * self.next):
            ended = [request for request in self.running if request not in self.steps or self.steps[request].called]
            for request in ended[:1]:
                self.steps.pop(request, None)
                del self.running[request]
                self.locks.leave_all(request)
        assert not self.running
        assert not self.queue
        assert not self.steps


LockMachineTests = LockMachine.TestCase
LockMachineTests.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


class StarvationTests(SynchronousTestCase):
    """
    Fairness, measured.
    """

    @settings(max_examples=50, deadline=None)
    @given(st.lists(st.integers(1, 3), min_size=5, max_size=30))
    def test_bounded_overtaking(self, counts: Sequence[int]) -> None:
        """
        Promise 8.4: whatever comes later, an exclusive use begins once those that held the lock before have ended.
        """
        locks = Locks()
        locks.take(LockOwner(1), [LockUse(DB, count=1, limit=3)])
        whole = locks.wait(LockOwner(2, 0), [LockUse(DB, exclusive=True, limit=3)])
        later = [
            locks.wait(LockOwner(number, 0), [LockUse(DB, count=count, limit=3)])
            for number, count in enumerate(counts, start=3)
        ]
        self.assertFalse(any(each.called for each in later))
        locks.leave_all(1)
        self.successResultOf(whole)
