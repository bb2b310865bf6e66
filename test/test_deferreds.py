"""
`OneShot`, one event with many waiters, and work that outlives its caller.
"""

from twisted.internet.defer import CancelledError, Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.deferreds import CoroutineLock, OneShot, RepeatedWork, SharedWork, next_turn, shielded
from buildbot_lite.errors import LinkLostError


class OneShotTests(SynchronousTestCase):
    def test_result(self) -> None:
        """
        All waiters get the first result: earlier ones, later ones, and one that begins to wait in a callback.
        """
        event: OneShot[str] = OneShot()
        self.assertFalse(event.fired)
        early, nested = event.wait(), event.wait().addCallback(lambda _: event.wait())
        self.assertNoResult(early)
        event.fire("first")
        event.fire("second")
        self.assertTrue(event.fired)
        for waiter in (early, nested, event.wait()):
            self.assertEqual(self.successResultOf(waiter), "first")

    def test_failure(self) -> None:
        """
        A failure reaches every waiter.
        """
        event: OneShot[None] = OneShot()
        early = event.wait()
        event.fire(Failure(LinkLostError()))
        self.failureResultOf(early, LinkLostError)
        self.failureResultOf(event.wait(), LinkLostError)

    def test_cancelled(self) -> None:
        """
        Cancelling one wait leaves the others; when the last is cancelled, the owner is told.
        """
        unawaited: list[str] = []
        event: OneShot[None] = OneShot(lambda: unawaited.append("all"))
        first, second = event.wait(), event.wait()
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.assertEqual((event.waiting, unawaited), (1, []))
        second.cancel()
        self.failureResultOf(second, CancelledError)
        self.assertEqual((event.waiting, unawaited), (0, ["all"]))

    def test_cancelled_while_firing(self) -> None:
        """
        A waiter that an earlier waiter cancels gets no result, and the owner is not told, because the event has
        happened.
        """
        unawaited: list[str] = []
        event: OneShot[None] = OneShot(lambda: unawaited.append("all"))
        first, second = event.wait(), event.wait()
        first.addCallback(lambda _: second.cancel())  # type: ignore[unused-awaitable]  # it fires below
        event.fire(None)
        self.failureResultOf(second, CancelledError)
        self.assertEqual(unawaited, [])


class SharedWorkTests(SynchronousTestCase):
    def setUp(self) -> None:
        """
        Work, of which each one that begins waits for a Deferred.
        """
        self.shared: SharedWork[str, int] = SharedWork()
        self.begun: list[Deferred[int]] = []

    def ask(self, key: str = "a") -> Deferred[int]:
        """
        Ask for the work of *key*.
        """

        async def work() -> int:
            waiting = Deferred[int]()
            self.begun.append(waiting)
            return await waiting

        return self.shared.begun(key, work).wait()

    def test_one(self) -> None:
        """
        Who asks while the work runs gets its result; another key has work of its own.
        """
        first, second, other = self.ask(), self.ask(), self.ask("b")
        self.assertEqual(len(self.begun), 2)
        self.begun[0].callback(7)
        self.assertEqual([self.successResultOf(each) for each in (first, second)], [7, 7])
        self.assertNoResult(other)

    def test_again(self) -> None:
        """
        When the work has ended, also with a failure, it is begun anew: by who asks because of the result, too.
        """
        again = self.ask().addErrback(lambda failure: self.ask())
        also = self.ask()
        self.begun[0].errback(LinkLostError())
        self.failureResultOf(also, LinkLostError)
        self.begun[1].callback(8)
        self.assertEqual(self.successResultOf(again), 8)

    def test_at_once(self) -> None:
        """
        Work that ends at once has ended for its caller, and the next caller begins it anew.
        """

        async def work() -> int:
            return 9

        first, second = self.shared.begun("a", work), self.shared.begun("a", work)
        self.assertTrue(first.fired)
        self.assertIsNot(first, second)
        self.assertEqual(self.successResultOf(second.wait()), 9)

    def test_cancelled(self) -> None:
        """
        A caller who waits no more leaves the work to the others.
        """
        first, second = self.ask(), self.ask()
        first.cancel()
        self.failureResultOf(first, CancelledError)
        self.begun[0].callback(7)
        self.assertEqual(self.successResultOf(second), 7)


class NextTurnTests(SynchronousTestCase):
    def test_next_turn(self) -> None:
        """
        It fires in the next iteration of the reactor, and not in this one.
        """
        clock = Clock()
        turn = next_turn(clock)
        self.assertNoResult(turn)
        clock.advance(0)
        self.successResultOf(turn)


class ShieldedTests(SynchronousTestCase):
    def test_cancelled(self) -> None:
        """
        Cancelling the wait leaves the work running.
        """
        cancelled: list[str] = []
        work: Deferred[str] = Deferred(lambda _: cancelled.append("work"))
        waiting = shielded(work)
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        self.assertEqual(cancelled, [])
        work.callback("late")

    def test_coroutine(self) -> None:
        """
        A coroutine runs to its end after its caller was cancelled.
        """
        step: Deferred[None] = Deferred()
        ended: list[str] = []

        async def work() -> None:
            await step
            ended.append("work")

        waiting = shielded(work())
        waiting.cancel()
        self.failureResultOf(waiting, CancelledError)
        step.callback(None)
        self.assertEqual(ended, ["work"])

    def test_result(self) -> None:
        """
        The result, or the failure, is passed on.
        """
        self.assertEqual(self.successResultOf(shielded(succeed("yes"))), "yes")
        self.failureResultOf(shielded(fail(LinkLostError())), LinkLostError)


class CoroutineLockTests(SynchronousTestCase):
    def test_one_at_a_time(self) -> None:
        """
        One coroutine at a time has the lock, also after another has failed.
        """
        lock, first, order = CoroutineLock(), Deferred[None](), list[str]()

        async def work(name: str, until: Deferred[None]) -> None:
            async with lock:
                order.append(name)
                await until

        one = Deferred.fromCoroutine(work("one", first))
        two = Deferred.fromCoroutine(work("two", succeed(None)))
        self.assertEqual(order, ["one"])
        first.errback(LinkLostError())
        self.failureResultOf(one, LinkLostError)
        self.successResultOf(two)
        self.assertEqual((order, lock.locked), (["one", "two"], False))

    def test_closed(self) -> None:
        """
        A coroutine that is closed while it has the lock lets no other have it.
        """
        lock, order = CoroutineLock(), list[str]()

        async def work(name: str) -> None:
            async with lock:
                order.append(name)
                await Deferred()

        one = work("one")
        one.send(None)
        Deferred.fromCoroutine(work("two"))  # type: ignore[unused-awaitable]  # it waits for ever
        one.close()
        self.assertEqual((order, lock.locked), (["one"], True))


class RepeatedWorkTests(SynchronousTestCase):
    """
    Work that is done again for what came meanwhile.
    """

    def setUp(self) -> None:
        """
        Work whose every run waits for a Deferred of *runs*.
        """
        self.runs: list[Deferred[None]] = []
        self.work = RepeatedWork(self.run_once, Logger(), "the work")

    async def run_once(self) -> None:
        """
        One run.
        """
        self.runs.append(Deferred())
        await self.runs[-1]

    def test_one_at_a_time(self) -> None:
        """
        However often it is asked for while it runs, it runs once more afterwards, and then no more.
        """
        self.work.ask()
        self.work.ask()
        self.work.ask()
        self.assertEqual(len(self.runs), 1)
        self.runs[0].callback(None)
        self.assertEqual(len(self.runs), 2)
        self.runs[1].callback(None)
        self.assertEqual(len(self.runs), 2)

    def test_asked_by_itself(self) -> None:
        """
        A run that asks for the next one does not run within itself.
        """
        self.work.ask()
        self.runs[0].addCallback(lambda _: self.work.ask())  # type: ignore[unused-awaitable]  # the work awaits it
        self.runs[0].callback(None)
        self.assertEqual(len(self.runs), 2)

    def test_failed(self) -> None:
        """
        A run that fails is logged, and the next request begins a new one.
        """
        self.work.ask()
        self.runs[0].errback(ZeroDivisionError())
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(len(self.runs), 1)
        self.work.ask()
        self.assertEqual(len(self.runs), 2)

    def test_failed_with_another_due(self) -> None:
        """
        What was asked for while a run was about to fail is not forgotten.
        """
        self.work.ask()
        self.work.ask()
        self.runs[0].errback(ZeroDivisionError())
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.assertEqual(len(self.runs), 2)
        self.runs[1].callback(None)
        self.assertEqual(len(self.runs), 2)
