"""
The priority of the web process.
"""

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.web.serving.priority import is_nice, yield_to_builds

OWN, SESSION = 4000, 3990


class PriorityTests(SynchronousTestCase):
    """
    A process of a session.
    """

    def setUp(self) -> None:
        self.proc = Path(self.mktemp())
        self.autogroup = self.proc / "self" / "autogroup"
        self.autogroup.parent.mkdir(parents=True)
        self.autogroup.write_text("/autogroup-12 nice 0\n")
        self.process(OWN, "S", SESSION)
        self.process(1, "S", 1)
        self.now = 0
        self.patch(os, "getpid", lambda: OWN)
        self.patch(os, "getsid", lambda pid: SESSION)
        self.patch(os, "getpriority", lambda which, who: self.now)
        self.patch(os, "setpriority", self.set)
        self.policy = os.SCHED_OTHER
        self.patch(os, "sched_getscheduler", lambda pid: self.policy)
        self.patch(os, "sched_setscheduler", self.set_policy)

    def set(self, which: int, who: int, nice: int) -> None:
        """
        The priority of the calling thread.
        """
        self.assertEqual((which, who), (os.PRIO_PROCESS, 0))
        self.now = nice

    def set_policy(self, pid: int, policy: int, parameters: os.sched_param) -> None:
        """
        The policy of the calling thread; these policies have no other priority than 0.
        """
        self.assertEqual((pid, parameters.sched_priority), (0, 0))
        self.policy = policy

    def process(self, pid: int, state: str, session: int) -> None:
        """
        There is such a process; its name has a parenthesis and spaces.
        """
        (self.proc / str(pid)).mkdir()
        (self.proc / str(pid) / "stat").write_text(f"{pid} (a b) c) {state} 1 {session} {session} 0 -1\n")

    def lower(self, nice: int) -> tuple[int, str]:
        """
        The nice values of process and session after the priority was lowered to *nice*.
        """
        self.assertEqual(yield_to_builds(nice, str(self.proc)), max(self.now, nice))
        return self.now, self.autogroup.read_text().split()[-1]

    def test_lowered(self) -> None:
        """
        Promise 10.10: a daemon lowers itself and its session, whose leader has ended and is not yet waited for.
        """
        self.process(SESSION, "Z", SESSION)
        self.assertEqual(self.lower(10), (10, "10"))
        self.assertEqual(self.policy, os.SCHED_BATCH)

    def test_not_alone(self) -> None:
        """
        A session in which somebody else is, such as a shell or the master, stays as it is.
        """
        self.process(SESSION, "S", SESSION)
        self.assertEqual(self.lower(10), (10, "0"))

    def test_never_raised(self) -> None:
        """
        A priority that is lower already stays.
        """
        self.policy = os.SCHED_IDLE
        self.now = 15
        self.autogroup.write_text("/autogroup-12 nice 19\n")
        self.assertEqual(self.lower(10), (15, "19"))
        self.assertEqual(self.policy, os.SCHED_IDLE)

    def test_left(self) -> None:
        """
        With nice=0 nothing is changed, and without sessions that are weighed only the process is.
        """
        self.assertEqual((*self.lower(0), self.policy), (0, "0", os.SCHED_OTHER))
        self.autogroup.unlink()
        yield_to_builds(10, str(self.proc))
        self.assertEqual((self.now, self.autogroup.exists()), (10, False))

    def test_values(self) -> None:
        """
        A nice value is a whole number that raises no priority.
        """
        self.assertEqual([each for each in (-1, 0, 19, 20, True, "5", None, 1.0) if is_nice(each)], [0, 19])
