"""
Packages of Debian built with sbuild, for real, by an ordinary user.
"""

import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from buildbot_lite.packages.building.sbuild import Sbuild

from ..needs import needs
from ..process_table import alive, arguments
from .farm import Done, until
from .test_packages import PackagesCase

NOBODY = "nobody"
MARK = f"43210.{os.getpid()}"
# Root lends the slave's user ids, for the slave alone: the machine's own /etc/subuid stays as it is.
LENDING = 'mount --bind "$0" /etc/subuid; mount --bind "$0" /etc/subgid; exec "$@"'
# A program with what debuggers want to know, so that the place of its source would be in it; without debhelper.
COMPILE = (
    "mkdir -p debian/PACKAGE/usr/bin"
    " && printf '\\043include <stdio.h>\\nint main(void) { return puts(__FILE__) < 0; }\\n' >hello.c"
    " && $$(dpkg-architecture -qDEB_HOST_GNU_TYPE)-gcc $$(dpkg-buildflags --get CFLAGS) -g hello.c"
    " -o debian/PACKAGE/usr/bin/hello && test $$(id -u) != 0 -o -d /build/in && ! getent hosts deb.debian.org"
)


@needs("apt-ftparchive", "dpkg-buildpackage", "mmdebstrap", "newuidmap", "sbuild")
class SbuildTests(PackagesCase):
    """
    Builds with sbuild, over a base that the tests share.
    """

    target = (
        'DebTarget("o", ["ARCH"], Overlay("bookworm", packages=[])),'
        ' DebTarget("s", ["ARCH"], Sbuild("bookworm", packages=[]), repository="repos/s", replaces=["hello"],'
        ' version_suffix="+farm1"),'
        ' DebTarget("t", ["ARCH"], Sbuild("bookworm", packages=[], keep_failed=5))'
    )
    bases = ""
    before: ClassVar[list[str]] = []

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        if getattr(cls, "skip", ""):
            return
        cls.bases = tempfile.mkdtemp(prefix="bases-")
        cls.addClassCleanup(cls.remove_bases)
        roots = Path(cls.bases) / "roots"
        roots.mkdir()
        if os.geteuid() == 0:
            lent = Path(cls.bases) / "lent"
            lent.write_text(f"{NOBODY}:700000:65536\n")
            for path in (cls.bases, roots):
                shutil.chown(path, NOBODY)
            cls.before = ["unshare", "--mount", "sh", "-euc", LENDING, str(lent)]

    @classmethod
    def remove_bases(cls) -> None:
        """
        Remove the bases, whose files belong to subordinate users.
        """
        words = ["unshare", "--map-auto", "--map-root-user", "rm", "-rf", f"{cls.bases}/roots"]
        subprocess.run(cls.as_slave(words), check=False, timeout=120)
        shutil.rmtree(cls.bases, ignore_errors=True)

    @classmethod
    def as_slave(cls, words: Sequence[str]) -> Sequence[str]:
        """
        *words*, run as the slave's user.
        """
        if not cls.before:
            return words
        return [*cls.before, "setpriv", f"--reuid={NOBODY}", "--regid=65534", "--clear-groups", *words]

    def setUp(self) -> None:
        super().setUp()
        farm = self.farm
        farm.write_config()
        farm.start_master()
        directory = farm.slave_directory("bot1")
        user = ""
        if self.before:
            for path in (farm.directory, directory):
                path.chmod(0o711)
            user = f"user={NOBODY!r}, "
        farm.write_slave_tac("bot1", policy=f"{user}shells=True, ")
        work = directory / "work"
        work.mkdir(exist_ok=True)
        (work / "roots").symlink_to(f"{self.bases}/roots")
        if self.before:
            shutil.chown(work, NOBODY)
        slave = farm.prepared_slave("bot1")
        slave.before = self.before
        slave.start()
        self.temporary = set(os.listdir(tempfile.gettempdir()))

    def packages(self, builder: str) -> dict[str, bytes]:
        """
        The packages that the last build of *builder* made.
        """
        return {path.name: path.read_bytes() for path in self.artifact_directory(builder).rglob("*.deb")}

    def test_same(self) -> None:
        """
        Promise 9.4, 9.5: sbuild and an overlay make the same package of a source, bit for bit, both without the
        network.  So does a rebuild, in a root with the packages of the first; without one of these it cannot be
        compared, and the sentence names it.
        """
        source = self.source(COMPILE.replace("PACKAGE", "hello"), "Build-Depends: ed\n", name="hello")
        for target in ("t", "o"):
            done = self.built(target, source)
            self.assertEqual(done.code, 0, done.out[-3000:])
        made = self.packages(f"t-{self.arch}")
        self.assertEqual(set(made), {f"hello_1.0_{self.arch}.deb"})
        self.assertEqual(made, self.packages(f"o-{self.arch}"))
        installed = (self.artifact_directory(f"t-{self.arch}") / "packages" / "installed.txt").read_text()
        self.assertIn("\nmake ", installed)
        self.assertNotIn("sbuild-build-depends", installed)
        self.until_job(2, "finished")
        again = self.rebuilt(2)
        self.assertEqual(again.code, 0, again)
        self.assertIn(b": the same, bit for bit, in equal roots.", again.out)
        place = Path(self.farm.master_directory) / "packages" / "o" / "hello" / "1.0" / self.arch / "installed.txt"
        place.write_text(place.read_text() + "nowhere-to-be-had 1.0\n")
        again = self.rebuilt(2)
        self.assertEqual(again.code, 2, again)
        self.assertIn(b"cannot be had any more: nowhere-to-be-had 1.0.", again.out)
        self.check_left()

    def rebuilt(self, job: int) -> Done:
        """
        Build *job* again, and compare.
        """
        words = ["package", "rebuild", str(self.farm.master_directory), str(job), "--compare"]
        return self.farm.client("buildbot-lite", *words).wait(within=300.0)

    def test_own_packages(self) -> None:
        """
        Promise 9.6: sbuild installs the farm's package where the target replaces the distribution's; packages have the
        suffix of the version.  What is nowhere is named before anything is built.
        """
        hello = self.built("s", self.source(name="hello"))
        self.assertEqual(hello.code, 0, hello.out[-3000:])
        self.assertEqual(set(self.packages(f"s-{self.arch}")), {f"hello_1.0+farm1_{self.arch}.deb"})
        self.until_job(1, "finished")
        script = "dpkg-query --show hello | grep -wF 1.0+farm1"
        asks = self.built("s", self.source(script, "Build-Depends: hello (>= 1.0)\n", name="asks"))
        self.assertEqual(asks.code, 0, asks.out[-3000:])
        lacks = self.built("s", self.source(more="Build-Depends: nowhere-to-be-found\n", name="lacks"))
        self.assertNotEqual(lacks.code, 0)
        self.assertIn("nowhere-to-be-found", self.reason(3))
        self.check_left()

    def test_failing(self) -> None:
        """
        Promise 9.4: of a build that fails, the stage of sbuild and the error are named.  If asked, its root is kept, as
        the build left it, and entered over the link, without the network; a kill -9 of the slave leaves nothing in it.
        When its time is over, the next build removes it.
        """
        done = self.built("t", self.source("id -u >made; echo it broke; false"))
        self.assertNotEqual(done.code, 0)
        self.assertIn(b"sbuild failed in the stage build: ", done.out)
        self.check_left()
        self.until_job(1, "failed")
        shown = self.enter(
            "sh",
            "-c",
            "id -u; pwd; cat out/src/made; stat -c %u out/src/made; stat -c %u:%a /bin/su; gcc --version; "
            "getent hosts deb.debian.org",
        )
        self.assertEqual(shown.code, 2, shown)
        ids = shown.out.split()
        # The owners are those that the build had, in which root is another user of the machine.
        self.assertEqual(ids[:2] + ids[4:5], [b"0", b"/build", b"0:4755"])
        self.assertEqual(ids[2], ids[3])
        self.assertNotEqual(ids[2], b"0")
        self.assertIn(b"Free Software Foundation", shown.out)

        entering = self.farm.client("buildbot-lite", *self.entering("sleep", MARK))
        until(lambda: len(self.inside()) > 1, "the command runs in the root")
        self.farm.slave().kill()
        until(lambda: not self.inside(), "nothing is left in the root")
        entering.process.kill()
        entering.wait()

        work = self.farm.slave_directory("bot1") / "work"
        kept = Path(self.bases) / "roots" / "kept"
        (one,) = kept.iterdir()
        self.assertEqual(kept.stat().st_mode & 0o777, 0o700)
        (one / "until").write_text("1\n")
        root, build = Sbuild("bookworm", packages=[]), work / f"t-{self.arch}" / "build"
        for words in (*root.begin(self.arch), root.end()):
            subprocess.run(self.as_slave(words), cwd=build, check=True, timeout=120)
        self.assertEqual(list(kept.iterdir()), [])

    def entering(self, *command: str) -> list[str]:
        """
        The words of the command that runs *command* in the root of the first job.
        """
        return ["package", "shell", str(self.farm.master_directory), "1", self.arch, "--", *command]

    def enter(self, *command: str) -> Done:
        """
        Run *command* in the root of the first job.
        """
        return self.farm.command(*self.entering(*command))

    def inside(self) -> list[int]:
        """
        The processes in the root, and those that watch it.
        """
        return [pid for pid in self.farm.processes() if any(MARK in word for word in arguments(pid)) and alive(pid)]

    def reason(self, job: int) -> str:
        """
        Why *job* failed.
        """
        shown = self.farm.command("package", "show", str(self.farm.master_directory), str(job), "--json")
        return str(json.loads(shown.out)["reason"])

    def check_left(self) -> None:
        """
        Check that nothing of the builds is on the slave, and none of sbuild's roots.
        """
        work = self.farm.slave_directory("bot1") / "work"
        self.assertEqual([path for each in work.glob("*-*/build") for path in each.iterdir()], [])
        new = set(os.listdir(tempfile.gettempdir())) - self.temporary
        self.assertEqual([name for name in new if (Path(tempfile.gettempdir()) / name / "root").exists()], [])
