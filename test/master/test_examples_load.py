"""
The configurations of ``docs/examples``, as they are.
"""

import os
import shutil
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.master.config.loading import load

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
SECRETS = {"github": ("github-hook", "github-token")}
"""The files that an example's README has people write."""


class ExamplesLoadTests(SynchronousTestCase):
    def test_without_remark(self) -> None:
        """
        Promise 8.12: each loads without a mistake and without a remark.
        """
        names = sorted(path.parent.name for path in EXAMPLES.glob("*/master.cfg"))
        self.assertEqual(names, ["github", "hello", "monorepo", "nightly", "python"])
        for name in names:
            farm = os.path.abspath(self.mktemp())
            os.makedirs(os.path.join(farm, "secrets"), 0o700)
            for secret in SECRETS.get(name, ()):
                with open(os.open(os.path.join(farm, "secrets", secret), os.O_WRONLY | os.O_CREAT, 0o600), "w") as file:
                    file.write("open sesame\n")
            shutil.copy(EXAMPLES / name / "master.cfg", farm)

            self.assertEqual(load(farm).remarks, (), name)
