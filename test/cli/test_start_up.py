"""
What the command imports before it knows which of its commands it is.
"""

import subprocess
import sys

from twisted.trial.unittest import SynchronousTestCase

LATE = frozenset({"foolscap", "twisted.internet.reactor", "sqlalchemy", "jinja2", "rich", "cryptography"})
"""What takes long to import, and is for commands that connect, or draw, alone."""


class StartUpTests(SynchronousTestCase):
    def test_light(self) -> None:
        """
        All commands are defined without what only some of them need: the network's packages, the master's.
        """
        program = f"import sys, buildbot_lite.cli.program; print(sorted({set(LATE)!r} & set(sys.modules)))"
        ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False, timeout=120)
        self.assertEqual((ran.stdout, ran.stderr), ("[]\n", ""))
