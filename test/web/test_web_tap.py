"""
What a ``web.tac`` sets up before anything runs.
"""

import subprocess
import sys
from pathlib import Path

from twisted.internet.testing import MemoryReactorClock
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import StorageError
from buildbot_lite.storage.lock import DirectoryLock
from buildbot_lite.web.serving import priority
from buildbot_lite.web_tap import WebService

PATIENCE = 60
PROGRAM = """\
import sys, time
from buildbot_lite.web_tap import application_for
application_for(basedir=sys.argv[1], farm=sys.argv[1])
from twisted.internet import reactor
sys.exit(0 if reactor.seconds is time.monotonic else 3)
"""


class WebTacTests(SynchronousTestCase):
    """
    A ``web.tac`` in a process of its own, because it sets up the one reactor of its process.
    """

    def test_clock(self) -> None:
        """
        Turns, pauses and time-outs of the web process follow a monotonic clock, so they do not wait when the wall clock
        is set back.
        """
        directory = Path(self.mktemp())
        directory.mkdir()
        ended = subprocess.run([sys.executable, "-c", PROGRAM, directory], check=False, timeout=PATIENCE)
        self.assertEqual(ended.returncode, 0)


class WebServiceTests(SynchronousTestCase):
    def test_start_fails(self) -> None:
        """
        A service whose start failed is stopped like others, and its directory is free.
        """

        def fail(nice: int) -> int:
            raise StorageError("The disk is full.")

        self.patch(priority, "yield_to_builds", fail)
        directory = Path(self.mktemp())
        directory.mkdir()
        service = WebService(str(directory), None, {}, None, MemoryReactorClock())
        self.assertRaises(StorageError, service.startService)
        self.successResultOf(service.stopService())
        DirectoryLock(str(directory / "private"), "web process").release()
