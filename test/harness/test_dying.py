"""
Processes that the tests start do not outlive the tests' own.
"""

import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

# The parent ends first; its child waits for that, and only then makes the promise.
LATE = """
import os, time
from test.processes.farm import dying_with_the_test

parent, promise = os.getpid(), dying_with_the_test()
if os.fork():
    os._exit(0)
while os.getppid() == parent:
    time.sleep(0.01)
promise()
print("lives")
"""


class DyingTests(SynchronousTestCase):
    """
    Of a test's process that dies early.
    """

    def test_late_promise(self) -> None:
        """
        A process that promises to die with the test's dies at once when that has died before.
        """
        root = Path(__file__).parent.parent.parent
        ran = subprocess.run([sys.executable, "-c", LATE], capture_output=True, check=True, timeout=60, cwd=root)
        self.assertEqual((ran.stdout, ran.stderr), (b"", b""))
