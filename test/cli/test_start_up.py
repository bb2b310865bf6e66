"""
What the command imports before it knows which of its commands it is.
"""

import subprocess
import sys

from click.shell_completion import ShellComplete
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.cli.program import program

LATE = frozenset({"foolscap", "twisted.internet.reactor", "sqlalchemy", "jinja2", "rich", "cryptography"})
"""What takes long to import, and is for commands that connect, or draw, alone."""


class StartUpTests(SynchronousTestCase):
    def test_light(self) -> None:
        """
        All commands are defined without what only some of them need: the network's packages, the master's.
        """
        code = f"import sys, buildbot_lite.cli.program; print(sorted({set(LATE)!r} & set(sys.modules)))"
        ran = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False, timeout=120)
        self.assertEqual((ran.stdout, ran.stderr), ("[]\n", ""))

    def test_completed_files(self) -> None:
        """
        A shell completes the names of files where commands take one.
        """
        completion = ShellComplete(program, {}, "buildbot-lite", "_BUILDBOT_LITE_COMPLETE")
        for words in (
            "backup",
            "restore",
            "restore --revocations",
            "sendchange --revision_file",
            "package shell --slave",
        ):
            kinds = [each.type for each in completion.get_completions(words.split(), "")]
            self.assertEqual(kinds, ["file"], words)
