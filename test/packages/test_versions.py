"""
The order of versions.
"""

import itertools
import subprocess

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.packages.repositories.versions import debian_key, rpm_key, superseded
from test.needs import needs

DEBIAN = ["1.0~~", "1.0~~a", "1.0~", "1.0~rc1-1", "1.0", "1.0-1~bpo", "1.0-1", "1.0-1+b1", "1.0a", "1.0+x", "1.0.1"]
DEBIAN += ["1.9", "1.10", "1.10-1", "10", "1:0.1", "2:0.0"]
# The examples of rpm-version(7), and of the tests of RPM.
RPM = ["1.0~rc1-1", "1.0~rc1^git1-1", "1.0-1", "1.0-1.f4", "1.0-2", "1.0^git1-1", "1.0^git2~x-1", "1.0a-1"]
RPM += ["1.0.1-1", "1.0010-1", "1.11-1", "2.0-1", "2.0.a-1", "2.0.1-1", "1:0.1-1"]
TEXT = st.text("019az~+.", min_size=1, max_size=6).map(lambda text: f"1{text}")


class VersionsTests(SynchronousTestCase):
    def test_order(self) -> None:
        """
        Later versions have larger keys; leading zeros and other separators make no difference.
        """
        for versions, key in ((DEBIAN, debian_key), (RPM, rpm_key)):
            for earlier, later in itertools.pairwise(versions):
                self.assertLess(key(earlier), key(later), (earlier, later))
        for first, second, key in (
            ("1.0", "0:1.00-0", debian_key),
            ("1.0-1", "0:1_00-01", rpm_key),
            ("1.5-1", "1..5-1", rpm_key),
        ):
            self.assertEqual(key(first), key(second))

    def test_long(self) -> None:
        """
        Versions with many digits are ordered, too.
        """
        digits = "9" * 10_000
        for key in (debian_key, rpm_key):
            self.assertLess(key(f"{digits}-1"), key(f"1{digits}-1"))
            self.assertLess(key(f"{digits[1:]}:1-1"), key(f"{digits}:1-1"))

    def test_superseded(self) -> None:
        """
        Versions are counted for each package and architecture; a file whose version is unknown is neither superseded
        nor counted.
        """
        names = ["a_2.0_amd64.deb", "a_1.0_amd64.deb", "a_1.0_i386.deb", "a-b_1.0_amd64.deb", "a_3_amd64.deb"]
        versions = {**{name: name.split("_")[1] for name in names}, "a_3_amd64.deb": ""}
        self.assertEqual(superseded(names, versions.__getitem__, 2), [])
        self.assertEqual(superseded(names, versions.__getitem__, 1), ["a_1.0_amd64.deb"])
        versions["a_3_amd64.deb"] = "3"
        self.assertEqual(superseded(names, versions.__getitem__, 1), ["a_1.0_amd64.deb", "a_2.0_amd64.deb"])
        rpms = ["p-1.10-1.noarch.rpm", "p-1.9-1.noarch.rpm", "p-q-1.9-1.noarch.rpm"]
        self.assertEqual(superseded(rpms, {rpms[0]: "0:1.10-1", rpms[1]: "0:1.9-1"}.__getitem__, 1), [rpms[1]])


@needs("dpkg-deb")
class DpkgOrderTests(SynchronousTestCase):
    @settings(max_examples=40, deadline=None)
    @given(TEXT, TEXT)
    def test_as_dpkg(self, first: str, second: str) -> None:
        """
        The order is that of dpkg.
        """
        for word, holds in (
            ("lt", debian_key(first) < debian_key(second)),
            ("eq", debian_key(first) == debian_key(second)),
        ):
            ran = subprocess.run(["dpkg", "--compare-versions", first, word, second], check=False)
            self.assertEqual(ran.returncode == 0, holds, (first, word, second))
