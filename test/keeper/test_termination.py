"""
Ending the processes of one command: which process gets which signal, and when.  Processes and clock are fakes.
"""

import signal
from collections.abc import Callable
from typing import Any, cast

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.keeper.context import KeeperContext, WaitLimits
from buildbot_lite.keeper.loop import Timer
from buildbot_lite.keeper.process_table import NoProcessTableError, ProcessEntry
from buildbot_lite.keeper.process_tracker import ProcessSet
from buildbot_lite.keeper.termination import Termination

KILL, TERM, CONT = signal.SIGKILL, signal.SIGTERM, signal.SIGCONT
MAIN, CHILD, NEWBORN = (ProcessEntry(pid, parent=1, session=10, started=pid) for pid in (10, 11, 12))


class FakeLoop:
    """
    A loop with a fake clock.
    """

    def __init__(self) -> None:
        self.time = 1000.0
        self.timers: list[Timer] = []

    def now(self) -> float:
        """
        Return the time in seconds.
        """
        return self.time

    def later(self, seconds: float, call: Callable[[], object]) -> Timer:
        """
        Start a timer.
        """
        self.timers.append(Timer(self.time + max(0.0, seconds), call))
        return self.timers[-1]

    def pass_by(self, seconds: float) -> None:
        """
        Advance the clock by *seconds*, and fire the timers that are due, in order.
        """
        end = self.time + seconds
        while due := [timer for timer in self.timers if timer.call is not None and timer.due <= end]:
            timer = min(due, key=lambda timer: timer.due)
            self.time = max(self.time, timer.due)
            call, timer.call = timer.call, None
            assert call is not None
            call()
        self.time = end


class FakeTracker:
    """
    Lists the processes that are *alive*; SIGKILL ends all except the *immortal*, SIGTERM those that *obey*.
    """

    def __init__(self, loop: FakeLoop) -> None:
        self._loop = loop
        self.alive = [MAIN, CHILD]
        self.obey: list[ProcessEntry] = []
        self.immortal: list[ProcessEntry] = []
        self.left_running: list[ProcessSet] = []
        self.no_table = False
        self.events: list[tuple[float, int, int]] = []

    def members(self, process_set: ProcessSet, others: object) -> list[ProcessEntry]:
        """
        Return all living processes, unless *no_table*.
        """
        if self.no_table:
            raise NoProcessTableError("a test says so")
        return list(self.alive)

    def childless(self, mains: object) -> bool | None:
        """
        Return None: unknown.
        """
        return None

    def leave_running(self, process_set: ProcessSet) -> None:
        """
        Record the call.
        """
        self.left_running.append(process_set)

    def signal(self, process: ProcessEntry, signum: int) -> None:
        """
        Record the signal with the time since the beginning.
        """
        self.events.append((round(self._loop.time - 1000.0, 2), process.pid, signum))
        dies = process not in self.immortal if signum == KILL else signum == TERM and process in self.obey
        if dies and process in self.alive:
            self.alive.remove(process)


class TerminationTests(SynchronousTestCase):
    def setUp(self) -> None:
        """
        A main process with a child.
        """
        self.loop = FakeLoop()
        self.tracker = FakeTracker(self.loop)
        self.process_sets: dict[int, ProcessSet] = {}
        self.sentences: list[str] = []
        context = KeeperContext(
            directory="/nowhere",
            loop=cast(Any, self.loop),
            store=cast(Any, None),
            tracker=cast(Any, self.tracker),
            process_sets=self.process_sets,
            notifier=cast(Any, None),
            wait_limits=WaitLimits(kill=60.0),
            portable_spawn=False,
        )
        self.process_set = ProcessSet("a-1", MAIN.pid, MAIN.started, {MAIN.pid: MAIN.started})
        self.termination = Termination(self.process_set, context=context, ended=self.sentences.append)

    def main_ends(self) -> None:
        """
        The main process is reaped.
        """
        self.tracker.alive = [process for process in self.tracker.alive if process is not MAIN]
        self.termination.main_ended()

    def test_end_on_first_signal(self) -> None:
        """
        Processes that end on the first signal get no other; after the last one the set is no longer tracked.
        """
        self.tracker.obey = [MAIN, CHILD]
        self.termination.begin(TERM, 5.0)
        self.assertEqual(self.process_sets, {MAIN.pid: self.process_set})
        self.main_ends()
        self.loop.pass_by(1000.0)
        self.assertEqual(self.tracker.events, [(0, 10, TERM), (0, 10, CONT), (0, 11, TERM), (0, 11, CONT)])
        self.assertEqual((self.sentences, self.process_sets), ([""], {}))

    def test_signalled_once(self) -> None:
        """
        Until the deadline, only processes that are new since the first signal get it; after the deadline all get
        SIGKILL.
        """
        self.termination.begin(TERM, 1.0)
        self.tracker.events.clear()
        self.tracker.alive.append(NEWBORN)
        self.main_ends()
        self.loop.pass_by(0.9)
        self.assertEqual(self.tracker.events, [(0, 12, TERM), (0, 12, CONT)])
        self.assertEqual(self.sentences, [])
        self.tracker.events.clear()
        self.loop.pass_by(0.2)
        self.assertEqual([event[1:] for event in self.tracker.events], [(11, KILL), (12, KILL)])
        self.assertEqual(self.sentences, [""])

    def test_new_process_after_deadline(self) -> None:
        """
        After the deadline of the main process, a new process gets SIGKILL at once.
        """
        self.termination.begin(TERM, 1.0)
        self.loop.pass_by(1.0)
        self.tracker.events.clear()
        self.tracker.alive.append(NEWBORN)
        self.main_ends()
        self.assertEqual(self.tracker.events, [(1.0, 12, KILL)])

    def test_main_process_exits(self) -> None:
        """
        When the main process exits, the processes that it left behind are killed at once.
        """
        self.main_ends()
        self.assertEqual(self.tracker.events, [(0, 11, KILL)])
        self.termination.shorten(15.0)
        self.loop.pass_by(0.1)
        self.assertEqual(self.tracker.events, [(0, 11, KILL)])
        self.assertEqual(self.sentences, [""])

    def test_shorten(self) -> None:
        """
        The time until SIGKILL can be shortened, and is never extended.
        """
        self.termination.begin(TERM, 7200.0)
        self.termination.shorten(15.0)
        self.termination.shorten(7200.0)
        self.tracker.immortal = [MAIN]
        self.tracker.events.clear()
        self.loop.pass_by(15.0)
        self.assertEqual(self.tracker.events, [(15.0, 10, KILL), (15.0, 11, KILL)])

    def test_shorten_for_survivors(self) -> None:
        """
        The time until SIGKILL can also be shortened after the main process has ended.
        """
        self.termination.begin(TERM, 7200.0)
        self.main_ends()
        self.tracker.events.clear()
        self.termination.shorten(15.0)
        self.loop.pass_by(14.9)
        self.assertEqual(self.tracker.events, [])
        self.loop.pass_by(0.2)
        self.assertEqual([event[1:] for event in self.tracker.events], [(11, KILL)])

    def test_immortal(self) -> None:
        """
        Processes that survive SIGKILL for a minute are named and given up: no signal is sent after that.
        """
        self.tracker.immortal = [MAIN]
        self.termination.begin(TERM, 1.0)
        self.loop.pass_by(60.9)
        self.assertEqual(self.sentences, [])
        self.loop.pass_by(0.2)
        self.assertEqual(self.sentences, ["Not even SIGKILL ended these processes: 10."])
        self.assertEqual(self.process_sets, {})
        self.tracker.events.clear()
        self.loop.pass_by(60.0)
        self.assertEqual(self.tracker.events, [])

    def test_no_process_table(self) -> None:
        """
        While processes cannot be listed, only the main process is signalled; the others follow when the list works.
        """
        self.tracker.no_table = True
        self.termination.begin(TERM, 1.0)
        self.loop.pass_by(1.0)
        self.assertEqual(self.tracker.events, [(0, 10, TERM), (0, 10, CONT), (1, 10, KILL)])
        self.main_ends()
        self.loop.pass_by(10.0)
        self.assertEqual(self.sentences, [])
        self.tracker.no_table = False
        self.loop.pass_by(2.0)
        self.assertEqual(self.tracker.events[-1][1:], (11, KILL))
        self.assertEqual((self.sentences, self.process_sets), ([""], {}))

    def test_no_process_table_for_a_minute(self) -> None:
        """
        When processes cannot be listed for a minute, the outcome does not claim that none is left.
        """
        self.tracker.no_table = True
        self.main_ends()
        self.loop.pass_by(59.0)
        self.assertEqual(self.sentences, [])
        self.loop.pass_by(2.0)
        [sentence] = self.sentences
        self.assertIn("The processes that the command left running were not killed.", sentence)
        self.assertIn("a test says so", sentence)
        self.assertEqual(self.process_sets, {})

    def test_left_running(self) -> None:
        """
        Processes that are left running get no signal, and the set is no longer tracked.
        """
        self.termination.leave_running()
        self.loop.pass_by(60.0)
        self.assertEqual(
            (self.tracker.left_running, self.tracker.events, self.process_sets), ([self.process_set], [], {})
        )
        self.assertEqual(self.sentences, [])

    def test_reused_pid(self) -> None:
        """
        When the pid was reused by another command's main process, that command's set stays tracked.
        """
        self.termination.begin(TERM, 1.0)
        another = self.process_sets[MAIN.pid] = self.process_set._replace(id="b-1")
        self.main_ends()
        self.loop.pass_by(2.0)
        self.assertEqual((self.sentences, self.process_sets), ([""], {MAIN.pid: another}))
