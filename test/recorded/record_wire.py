"""
Record the conversation of this version: ``python -m test.recorded.record_wire``.

Run this once for each released version, and never again: the recording must be what that version sent.
"""

import json
import os
import sys
from unittest import TestResult

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite import __version__

from .conversation import RecordedLink, play

DIRECTORY = os.path.dirname(os.path.abspath(__file__))
SUFFIX = ".wire.json"


class Recorder(SynchronousTestCase):
    """
    Records the conversation; a test case because the fakes need one.
    """

    def runTest(self) -> None:
        """
        Write the recording.
        """
        wire = RecordedLink([])
        play(self, wire)
        path = os.path.join(DIRECTORY, f"{__version__}{SUFFIX}")
        with open(path, "w") as file:
            file.write("[\n" + ",\n".join(json.dumps(entry) for entry in wire.recording) + "\n]\n")
        sys.stdout.write(f"{path}: {len(wire.recording)} entries\n")


if __name__ == "__main__":
    outcome = TestResult()
    Recorder().run(outcome)
    for _, traceback in (*outcome.errors, *outcome.failures):
        sys.stderr.write(str(traceback))
    sys.exit(not outcome.wasSuccessful())
