"""
Writes the recorded conversation of this version: ``python -m test.recorded.record_wire``.

Run once for each version that is released, never again for one that was: what is recorded is what that version said.
"""

import json
import os
import sys
from unittest import TestResult

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite import __version__

from .conversation import Line, play

DIRECTORY = os.path.dirname(os.path.abspath(__file__))
SUFFIX = ".wire.json"


class Recorder(SynchronousTestCase):
    """
    A test only because what it plays with is made for tests.
    """

    def runTest(self) -> None:
        """
        Write it.
        """
        line = Line([])
        play(self, line)
        path = os.path.join(DIRECTORY, f"{__version__}{SUFFIX}")
        with open(path, "w") as file:
            file.write("[\n" + ",\n".join(json.dumps(entry) for entry in line.recording) + "\n]\n")
        sys.stdout.write(f"{path}: {len(line.recording)} entries\n")


if __name__ == "__main__":
    outcome = TestResult()
    Recorder().run(outcome)
    for _, traceback in (*outcome.errors, *outcome.failures):
        sys.stderr.write(str(traceback))
    sys.exit(not outcome.wasSuccessful())
