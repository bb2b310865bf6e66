"""
Packages of Debian, built for real from a source package that is made here.
"""

import json
import subprocess
from pathlib import Path
from typing import Any
from unittest import SkipTest

from twisted.trial.unittest import SynchronousTestCase

from ..needs import NO_SOURCES, needs
from .farm import Done, Farm, until

CONTROL = """\
Source: greet
Maintainer: Farm <farm@example.org>
Section: misc
Priority: optional
Standards-Version: 4.6.2
Rules-Requires-Root: no
{more}
Package: greet
Architecture: any
Description: greets
 A package for tests.

Package: greet-data
Architecture: all
Description: what greet says
 A package for tests.
"""
CHANGELOG = """\
greet (1.0) unstable; urgency=low

  * First.

 -- Farm <farm@example.org>  Sat, 28 Nov 2026 12:00:00 +0000
"""
# Without debhelper, so that dpkg-dev and make are enough.
RULES = """\
#!/usr/bin/make -f
build build-arch build-indep:
\t{script}
\tmkdir -p debian/greet/usr/bin debian/greet-data/usr/share/greet
\tuname -m > debian/greet/usr/bin/greet
\techo hello > debian/greet-data/usr/share/greet/words
binary: binary-arch binary-indep
binary-arch: build
\t$(call package,greet)
binary-indep: build
\t$(call package,greet-data)
define package
\tmkdir -p debian/$(1)/DEBIAN
\tdpkg-gencontrol -p$(1) -Pdebian/$(1)
\tdpkg-deb --root-owner-group --build debian/$(1) ..
endef
clean:
\trm -rf debian/greet debian/greet-data debian/files debian/substvars
"""
# The way out of a chroot (chroot(2)): a process whose directory is not below its root may go up.  It succeeds when
# there is nothing of the machine outside.
ESCAPE = (
    'mkdir "/deeper"; opendir my $outside, "/"; chroot "/deeper" or die; chdir $outside or die;'
    'chdir ".." for 1 .. 50; chroot "." or die; die "outside" if -e "PLACE"'
)
HEAD = "from buildbot_lite.packages import DebTarget, Overlay, Plain\n"


class _PackagesCase(SynchronousTestCase):
    """
    *target*: the only one, called "t".
    """

    target = ""

    def setUp(self) -> None:
        super().setUp()
        self.farm = Farm()
        self.addCleanup(self.farm.close)
        architecture = self.farm.directory / "architecture"
        self.farm.run(f"dpkg --print-architecture > {architecture}")
        self.arch = architecture.read_text().strip()
        self.farm.config(HEAD + f"c['targets'] = [{self.target.replace('ARCH', self.arch)}]\n")

    def source(self, script: str = "true", more: str = "") -> bytes:
        """
        An archive of the source package, whose build runs *script*; with *more* fields in debian/control.
        """
        tree = self.farm.directory / "greet"
        (tree / "debian" / "source").mkdir(parents=True, exist_ok=True)
        for name, text in {
            "control": CONTROL.format(more=more),
            "changelog": CHANGELOG,
            "rules": RULES.replace("{script}", script),
            "source/format": "3.0 (native)\n",
        }.items():
            (tree / "debian" / name).write_text(text)
        (tree / "debian" / "rules").chmod(0o755)
        self.farm.run("dpkg-source --build greet && tar -cf greet.tar greet_1.0*")
        return (self.farm.directory / "greet.tar").read_bytes()

    def submit(self, data: bytes, within: float = 120.0) -> Done:
        """
        Submit it to the target.
        """
        return self.farm.submit("t", data, within=within)

    def artifacts(self, builder: str) -> set[str]:
        """
        The names of the artifacts of the last build of *builder*.
        """
        directory = Path(self.farm.master_directory) / "artifacts" / builder
        newest = max((each for each in directory.iterdir() if each.name.isdecimal()), key=lambda each: int(each.name))
        return {path.name for path in newest.rglob("*") if path.is_file()}

    def left_on_slave(self) -> set[str]:
        """
        What the builds have left in their directories on the slave.
        """
        work = self.farm.slave_directory("bot1") / "work"
        return {path.name for directory in work.glob("t-*/build") for path in directory.iterdir()}


@needs("dpkg-buildpackage")
class PlainTests(_PackagesCase):
    """
    Builds on the slave as it is.
    """

    target = 'DebTarget("t", arches=["ARCH", "riscv64", "all"], root=Plain(), version_suffix="+farm1")'

    def test_built(self) -> None:
        """
        Promise 9.1: flappclient submits a source package, which is built for each architecture, one of which no machine
        has; what fails, and what is no source package, has its exit code and says why.
        """
        self.farm.start()
        submitting = self.farm.submitting("t", self.source())
        builds = self._until_ended(2)
        self.assertEqual(
            {(each["builder"], each["result"]) for each in builds},
            {("t-all", "SUCCESS"), (f"t-{self.arch}", "SUCCESS")},
        )
        self.assertEqual(
            self.artifacts(f"t-{self.arch}"),
            {f"greet_1.0+farm1_{self.arch}.{kind}" for kind in ("deb", "buildinfo", "changes")} | {"installed.txt"},
        )
        self.assertIn("greet-data_1.0+farm1_all.deb", self.artifacts("t-all"))
        self.assertEqual(self.left_on_slave(), set())
        queued = json.loads(self.farm.command("queue", str(self.farm.master_directory), "--json").out)
        self.assertIn("riscv64 is needed", queued[0]["why"]["sentence"])
        cancelled = self.farm.command("cancel", str(self.farm.master_directory), str(queued[0]["request"]))
        self.assertEqual(cancelled.code, 0, cancelled)
        self.assertNotEqual(submitting.wait().code, 0)

    def test_failing(self) -> None:
        """
        Promise 9.1: a build that fails, and a file that is no source package, end the client with a sentence.
        """
        self.farm.start()
        broken = self.farm.submit("t", b"nonsense" * 100)
        self.assertEqual(broken.code, 2)
        self.assertIn("That is no tar archive", broken.err)
        submitting = self.farm.submitting("t", self.source("echo it broke; false"))
        builds = self._until_ended(2)
        self.assertEqual({each["result"] for each in builds}, {"FAILURE"})
        self.assertEqual(self.left_on_slave(), set())
        submitting.process.kill()

    def _until_ended(self, count: int) -> list[dict[str, Any]]:
        def ended() -> list[dict[str, Any]]:
            found = json.loads(self.farm.command("builds", str(self.farm.master_directory), "--json").out)
            done = [each for each in found if each["result"] is not None]
            return done if len(done) >= count else []

        return until(ended, f"{count} builds ended")


@needs("dpkg-buildpackage", "mmdebstrap", "newuidmap")
class OverlayTests(_PackagesCase):
    """
    Builds in a clean root.
    """

    target = 'DebTarget("t", arches=["ARCH"], root=Overlay("bookworm", packages=()))'

    def test_built(self) -> None:
        """
        Promise 9.4: what a package needs is installed in a root of its own; its build has no network and cannot change
        the base, and nothing of the root is left.  Root in it can neither leave it nor make a device.
        """
        script = "command -v xz; id -u; ! getent hosts deb.debian.org; touch /usr/touched; test -x /usr/bin/ed"
        try:
            subprocess.run(["apt-get", "--version"], check=True, capture_output=True, timeout=60)
        except (OSError, subprocess.CalledProcessError):
            raise SkipTest(NO_SOURCES) from None
        self.farm.start()
        done = self.submit(self.source(script, "Build-Depends: ed\n"), within=900.0)
        if b"Unable to fetch" in done.out or b"Could not resolve" in done.out:
            raise SkipTest(NO_SOURCES)
        self.assertEqual(done.code, 0, done.out[-3000:])
        self.assertIn(f"greet_1.0_{self.arch}.deb", self.artifacts(f"t-{self.arch}"))
        self.assertEqual(self.left_on_slave(), set())
        roots = self.farm.slave_directory("bot1") / "work" / "roots"
        self.assertEqual(list(roots.glob("*/current/usr/touched")), [])
        # The second build has the base, and the first one's changes are not in it.
        escape = ESCAPE.replace("PLACE", str(self.farm.directory)).replace("$", "$$")
        script = f"test ! -e /usr/touched; ! command -v ed; perl -e '{escape}'; ! mknod /disk b 8 0"
        again = self.submit(self.source(script), within=300.0)
        self.assertEqual(again.code, 0, again.out[-3000:])
