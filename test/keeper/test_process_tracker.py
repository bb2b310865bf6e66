"""
The set of processes that belong to a command.
"""

import os
import tempfile

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.keeper.process_table import ProcessEntry
from buildbot_lite.keeper.process_tracker import Facilities, ProcessTracker


class ProcessTrackerTests(SynchronousTestCase):
    def test_parents_first(self) -> None:
        """
        Parents come before their children, whatever their pids: pids wrap around.
        """
        directory = tempfile.mkdtemp()
        self.addCleanup(os.rmdir, directory)
        tracker = ProcessTracker(Facilities.here(("subreaper",)), directory)
        for shell, command, its in ((7, 8, 9), (32767, 300, 301), (16, 15, 14)):
            table = {
                its: ProcessEntry(its, command, shell, 102),
                shell: ProcessEntry(shell, 1, shell, 100),
                command: ProcessEntry(command, shell, shell, 101),
            }
            self.patch(tracker, "table", lambda table=table: table)
            process_set = tracker.track("a-1", shell)._replace(members={shell: 100})
            members = tracker.members(process_set, {shell: process_set})
            self.assertEqual([process.pid for process in members], [shell, command, its])
