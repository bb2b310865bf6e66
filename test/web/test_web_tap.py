"""
What a ``web.tac`` sets up before anything runs.
"""

import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

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
