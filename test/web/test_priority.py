"""
The priority of the web process.
"""

import os
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.keeper.process_table import ProcessEntry
from buildbot_lite.web import priority
from buildbot_lite.web.priority import is_nice, yield_to_builds

OWN, SESSION = 4000, 3990


class PriorityTests(SynchronousTestCase):
    """
    A process of a session.
    """

    def setUp(self) -> None:
        self.autogroup = Path(self.mktemp())
        self.autogroup.write_text("/autogroup-12 nice 0\n")
        self.others = {1: ProcessEntry(1, 0, 1, 0), OWN: ProcessEntry(OWN, 1, SESSION, 0)}
        self.patch(priority, "proc_table", lambda: self.others)
        self.now = 0
        self.patch(os, "getpid", lambda: OWN)
        self.patch(os, "getsid", lambda pid: SESSION)
        self.patch(os, "getpriority", lambda which, who: self.now)
        self.patch(os, "setpriority", self.set)

    def set(self, which: int, who: int, nice: int) -> None:
        """
        The priority of the calling thread.
        """
        self.assertEqual((which, who), (os.PRIO_PROCESS, 0))
        self.now = nice

    def lower(self, nice: int) -> tuple[int, str]:
        """
        The nice values of process and session after the priority was lowered to *nice*.
        """
        self.assertEqual(yield_to_builds(nice, str(self.autogroup)), max(self.now, nice))
        return self.now, self.autogroup.read_text().split()[-1]

    def test_lowered(self) -> None:
        """
        Promise 10.10: a daemon lowers itself and its session, whose leader has ended.
        """
        self.assertEqual(self.lower(10), (10, "10"))

    def test_not_alone(self) -> None:
        """
        A session in which somebody else is, such as a shell or the master, stays as it is.
        """
        self.others[SESSION] = ProcessEntry(SESSION, 1, SESSION, 0)
        self.assertEqual(self.lower(10), (10, "0"))

    def test_never_raised(self) -> None:
        """
        A priority that is lower already stays.
        """
        self.now = 15
        self.autogroup.write_text("/autogroup-12 nice 19\n")
        self.assertEqual(self.lower(10), (15, "19"))

    def test_left(self) -> None:
        """
        With nice=0 nothing is changed, and without sessions that are weighed only the process is.
        """
        self.assertEqual(self.lower(0), (0, "0"))
        self.autogroup.unlink()
        yield_to_builds(10, str(self.autogroup))
        self.assertEqual((self.now, self.autogroup.exists()), (10, False))

    def test_values(self) -> None:
        """
        A nice value is a whole number that raises no priority.
        """
        self.assertEqual([each for each in (-1, 0, 19, 20, True, "5", None, 1.0) if is_nice(each)], [0, 19])
