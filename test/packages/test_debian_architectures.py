"""
Architectures of Debian and their wildcards, also compared with dpkg-architecture.
"""

import shutil
import subprocess
from collections import defaultdict

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.packages.formats.debian_architectures import Parts, is_wildcard, matches, parts

CASES = [
    # what a package declares, the architecture, whether it is meant
    ("amd64", "amd64", True),
    ("amd64", "i386", False),
    ("any", "amd64", True),
    ("any", "hurd-i386", True),
    ("linux-any", "arm64", True),
    ("linux-any", "hurd-i386", False),
    ("hurd-any", "hurd-i386", True),
    ("any-amd64", "amd64", True),
    ("any-amd64", "kfreebsd-amd64", True),
    ("any-amd64", "x32", True),  # the processor is the same; the ABI is not written
    ("any-arm", "armhf", True),
    ("any-arm", "armel", True),
    ("any-arm", "arm64", False),
    ("gnu-linux-any", "amd64", True),
    ("musl-any-any", "amd64", False),
    ("musl-any-any", "musl-linux-amd64", True),
    ("eabihf-any-any-arm", "armhf", True),
    ("eabihf-any-any-arm", "armel", False),
    ("all", "all", True),
    ("all", "amd64", False),
    ("any", "all", False),
    ("source", "amd64", False),
    ("any", "source", False),
]
WILDCARDS = [
    "any",
    "linux-any",
    "hurd-any",
    "kfreebsd-any",
    "any-amd64",
    "any-i386",
    "any-arm",
    "any-arm64",
    "any-mips64el",
    "any-powerpc",
    "gnu-any-any",
    "gnu-linux-any",
    "musl-any-any",
    "musl-linux-any",
    "eabi-any-any-any",
    "eabihf-any-any-arm",
    "base-gnu-linux-any",
    "abin32-any-any-any",
]


class DebianArchitecturesTests(SynchronousTestCase):
    """
    Which architectures a package declares.
    """

    def test_cases(self) -> None:
        """
        Promise 9.3: each kind of wildcard means what Debian's policy says.
        """
        for text, architecture, wanted in CASES:
            with self.subTest(text=text, architecture=architecture):
                self.assertEqual(matches(text, architecture), wanted)

    def test_parts(self) -> None:
        """
        An architecture without a kernel is Linux with the GNU C library.
        """
        self.assertEqual(parts("armhf"), Parts("eabihf", "gnu", "linux", "arm"))
        self.assertEqual(parts("musl-linux-armhf"), Parts("eabihf", "musl", "linux", "arm"))
        self.assertEqual(parts("hurd-i386"), Parts("base", "gnu", "hurd", "i386"))

    def test_wildcards(self) -> None:
        """
        A word that only contains "any" is no wildcard.
        """
        self.assertTrue(is_wildcard("linux-any"))
        self.assertFalse(is_wildcard("many"))
        self.assertFalse(is_wildcard("amd64"))

    @given(st.text(alphabet="any-lix64", max_size=20), st.text(alphabet="amd64-hurd", max_size=20))
    def test_any_text(self, text: str, architecture: str) -> None:
        """
        No text makes it fail.
        """
        self.assertIsInstance(matches(text, architecture), bool)

    @pytest.mark.skipif(shutil.which("dpkg-architecture") is None, reason="dpkg-architecture is not installed")
    def test_beside_dpkg(self) -> None:
        """
        Promise 9.3: dpkg-architecture finds the same architectures for each wildcard.
        """
        known = _dpkg("-L")
        ported = [each for each in known if parts(each).kernel in ("linux", "hurd", "kfreebsd")]
        self.assertGreater(len(ported), 100)
        theirs, ours = defaultdict(list), defaultdict(list)
        for wildcard in WILDCARDS:
            theirs[wildcard] = [each for each in _dpkg("-L", "-W", wildcard) if each in ported]
            ours[wildcard] = [each for each in ported if matches(wildcard, each)]
        self.assertEqual(ours, theirs)


def _dpkg(*arguments: str) -> list[str]:
    run = subprocess.run(["dpkg-architecture", *arguments], capture_output=True, check=True, timeout=60, text=True)
    return run.stdout.split()
