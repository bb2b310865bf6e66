"""
The dependencies of an installation.
"""

from configparser import ConfigParser
from pathlib import Path

from packaging.requirements import Requirement
from twisted.trial.unittest import SynchronousTestCase

SETUP = Path(__file__).parents[1] / "setup.cfg"
# By package, the last release with a known vulnerability.
VULNERABLE = {
    "Twisted": "25.5.0",  # CVE-2026-42304
    "pyOpenSSL": "25.3.0",  # CVE-2026-27448, CVE-2026-27459
    "cryptography": "49.99",  # CVE-2026-69247; CVE-2026-34073 and others before
}


class RequirementsTests(SynchronousTestCase):
    def test_lower_bounds(self) -> None:
        """
        Promise 6.18: setup.cfg accepts no release with a known vulnerability.
        """
        config = ConfigParser()
        config.read(SETUP)
        lines = config["options"]["install_requires"].split("\n")
        wanted = {each.name: each for each in (Requirement(line) for line in lines if line.strip())}
        for name, version in VULNERABLE.items():
            self.assertNotIn(version, wanted[name].specifier)
