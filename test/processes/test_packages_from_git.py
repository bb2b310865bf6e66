"""
Packages whose sources the farm makes from git repositories, for real.
"""

import io
import json
import os
import shutil
import tarfile
import tempfile
from pathlib import Path
from typing import Any
from unittest import SkipTest

from ..needs import needs
from .git_server import GitServer
from .test_packages import SPEC, PackagesCase, native

UPSTREAM = {"words": "hello\n"}
PATCH = """\
--- a/words
+++ b/words
@@ -1 +1 @@
-hello
+hello patched
"""


def quilt(version: str = "1.0-1") -> dict[str, str]:
    """
    The files of a package of Debian with upstream sources and a patch, which its build sees.
    """
    files = native("grep patched words", "")
    files["debian/changelog"] = files["debian/changelog"].replace("(1.0)", f"({version})")
    patches = {"debian/patches/series": "more.patch\n", "debian/patches/more.patch": PATCH}
    return {**files, **UPSTREAM, **patches, "debian/source/format": "3.0 (quilt)\n"}


class FromGitCase(PackagesCase):
    """
    A target with the repositories of a server on this machine.
    """

    def setUp(self) -> None:
        directory = tempfile.mkdtemp(prefix="farm-git-")
        self.addCleanup(shutil.rmtree, directory, ignore_errors=True)
        self.server = GitServer(Path(directory) / "repositories")
        self.addCleanup(self.server.close)
        self.target = self.target.replace("SERVER", self.server.address)
        super().setUp()
        self.farm.start()

    def made(self, number: int, text: bytes, *, target: str = "t") -> dict[str, Any]:
        """
        Job *number*, after the request *text* was submitted and built.
        """
        done = self.farm.submit(target, text, within=300.0)
        self.assertEqual(done.code, 0, (done.err[-3000:], done.out[-3000:]))
        self.until_job(number, "finished")
        return self.job(number)

    def sources(self) -> list[bytes]:
        """
        The archives of the source packages that were made, oldest first.
        """
        found = Path(self.farm.master_directory, "artifacts").glob("*-source/*/packages/source.tar")
        return [path.read_bytes() for path in sorted(found, key=lambda path: int(path.parts[-3]))]

    def job(self, number: int = 1) -> dict[str, Any]:
        """
        A job, as ``package show`` has it.
        """
        shown = self.farm.command("package", "show", str(self.farm.master_directory), str(number), "--json")
        found: dict[str, Any] = json.loads(shown.out) if shown.code == 0 else {"state": "", "arches": [], "history": []}
        return found


@needs("dpkg-buildpackage")
class DebianFromGitTests(FromGitCase):
    """
    Source packages of Debian, on the slave as it is.
    """

    target = (
        'DebTarget("t", arches=["ARCH", "all"], root=Plain(), version_suffix="+farm1", sources="SERVER/{name}.git")'
    )

    def test_native(self) -> None:
        """
        Promise 9.1, 9.2: flappclient submits a name and a tag; the source package is made of it and built, with one
        job, whose states and commit are recorded.
        """
        commit = self.server.commit("greet", native(), "v1.0")
        done = self.farm.submit("t", b"package=greet\nrevision=v1.0\n", within=120.0)
        self.assertEqual(done.code, 0, done)
        self.assertIn(f"# job 1: greet at v1.0 for t, from {self.server.address}/greet.git", done.err)
        self.until_job(1, "finished")
        job = self.job()
        self.assertEqual((job["name"], job["version"], job["origin"]["commit"]), ("greet", "1.0", commit))
        states = [state for state, _ in job["history"]]
        self.assertEqual(states[-4:], ["prep", "waiting", "building", "finished"])
        results = Path(self.farm.master_directory) / "packages" / "t" / "greet" / "1.0+farm1"
        self.assertTrue(list((results / self.arch).glob("*.deb")))
        self.assertIn(commit, (results / "all" / "job.log").read_text())
        self.assertEqual(self.left_on_slave(), set())

    def test_command(self) -> None:
        """
        Promise 9.1: `package build` shows the source package being made, and then the builds side by side; a slave's
        git with settings of its own and a tree with traps are no danger.
        """
        traps = {
            ".gitattributes": "* filter=trap diff=trap merge=trap export-subst\n*.lfs filter=lfs\n",
            ".gitmodules": '[submodule "trap"]\n\tpath = trap\n\turl = ext::sh -c touch% /tmp/trapped\n',
            "big.lfs": "version https://git-lfs.github.com/spec/v1\n",
        }
        self.server.commit("greet", {**native("test -e big.lfs"), **traps}, "v1.0")
        command = ("package", "build", str(self.farm.master_directory), "t", "greet", "v1.0")
        done = self.farm.client("buildbot-lite", *command).wait(within=200.0)
        self.assertEqual(done.code, 0, done)
        self.assertRegex(done.err, "# greet 1.0, of commit [0-9a-f]{40}\n")
        self.assertIn(f"t-{self.arch}", done.out.decode())
        self.assertFalse(Path("/tmp/trapped").exists())

    def test_quilt(self) -> None:
        """
        Promise 9.1: upstream sources are those of the tag upstream/VERSION, or an archive in the repository, and the
        same commit makes the same source package.
        """
        self.server.commit("greet", UPSTREAM, "upstream/1.0")
        self.server.commit("greet", quilt(), "debian/1.0-1")
        self.assertEqual(self.made(1, b"package=greet\nrevision=debian/1.0-1\n")["version"], "1.0-1")
        self.made(2, b"package=greet\nrevision=debian/1.0-1\n")
        first, second = self.sources()
        self.assertEqual(first, second)
        with tarfile.open(fileobj=io.BytesIO(first)) as tar:
            names = {"greet_1.0-1.dsc", "greet_1.0-1.debian.tar.xz", "greet_1.0.orig.tar.gz"}
            self.assertEqual(set(tar.getnames()), names)
            orig = tar.extractfile("greet_1.0.orig.tar.gz")
            assert orig is not None
            archive = orig.read()
        files = {path: text for path, text in quilt("1.0-2").items() if path not in UPSTREAM}
        self.server.commit("greet", {**files, "greet_1.0.orig.tar.gz": archive}, "other")
        self.assertEqual(self.made(3, b"package=greet\nrevision=other\n")["version"], "1.0-2")

    def test_old_format(self) -> None:
        """
        Promise 9.1: of the format 1.0, a package with upstream sources is an archive and a difference, and one without
        is an archive; the same commit makes the same source package.
        """
        old = {"debian/source/format": "1.0\n"}
        upstream = {**UPSTREAM, "unchanged": "text\n"}
        self.server.commit("greet", upstream, "upstream/1.0")
        files = native("grep changed words", "")
        files["debian/changelog"] = files["debian/changelog"].replace("(1.0)", "(1.0-1)")
        self.server.commit("greet", {**upstream, **files, **old, "words": "changed\n"}, "debian/1.0-1")
        for number in (1, 2):
            self.assertEqual(self.made(number, b"package=greet\nrevision=debian/1.0-1\n")["version"], "1.0-1")
        first, second = self.sources()
        self.assertEqual(first, second)
        with tarfile.open(fileobj=io.BytesIO(first)) as tar:
            names = {"greet_1.0-1.dsc", "greet_1.0-1.diff.gz", "greet_1.0.orig.tar.gz"}
            self.assertEqual(set(tar.getnames()), names)
        files = {path: text for path, text in native().items() if path != "debian/source/format"}
        files["debian/changelog"] = files["debian/changelog"].replace("(1.0)", "(1.1)")
        self.server.commit("greet", files, "1.1")
        self.assertEqual(self.made(3, b"package=greet\nrevision=1.1\n")["version"], "1.1")
        with tarfile.open(fileobj=io.BytesIO(self.sources()[2])) as tar:
            self.assertEqual(set(tar.getnames()), {"greet_1.1.dsc", "greet_1.1.tar.gz"})

    def test_fails(self) -> None:
        """
        Promise 9.1: a revision that is not there, and one of which no source package can be made, fail the job with a
        sentence; nothing that a link in the repository leads to is read.
        """
        self.server.commit("greet", {"words": "hello\n"}, "none")
        self.server.commit("greet", quilt("2.0-1"), "no-upstream")
        self.server.commit("greet", {**native(), "debian/source/format": "2.0\n"}, "other")
        self.server.commit("greet", {**quilt("1.0-1"), "debian/source/format": "1.0\n"}, "no-archive")
        self.server.commit("greet", {**quilt(), "debian/changelog": "-> /etc/hostname"}, "link")
        for number, (revision, sentence) in enumerate(
            {
                "v9": "has no revision 'v9'",
                "none": "the repository has no directory debian",
                "no-upstream": "greet_2.0.orig.tar.* is not in the repository, and neither is the tag upstream/2.0",
                "other": "debian/source/format must be 1.0, 3.0 (native) or 3.0 (quilt)",
                "no-archive": "greet_1.0.orig.tar.* is not in the repository, and neither is the tag upstream/1.0",
                "link": "the repository has no debian/changelog",
            }.items(),
            1,
        ):
            done = self.farm.submit("t", f"package=greet\nrevision={revision}\n".encode(), within=120.0)
            self.assertEqual(done.code, 1, done)
            self.until_job(number, "failed")
            self.assertIn(sentence, self.job(number)["reason"])

    def test_killed(self) -> None:
        """
        Promise 9.2, 9.8: a master that is killed while a source package is checked out goes on with it, and it is built
        once.
        """
        self.server.commit("greet", native(), "v1.0")
        with self.server.held():
            submitting = self.farm.submitting("t", b"package=greet\nrevision=v1.0\n")
            self.until_job(1, "checkout")
            self.farm.master.kill()
            self.farm.start_master()
        self.until_job(1, "finished")
        states = [state for state, _ in self.job()["history"]]
        self.assertEqual([states.count(each) for each in ("prep", "finished")], [1, 1])
        self.assertEqual(len(self.sources()), 1)
        submitting.process.kill()


class LargeRepositoryTests(FromGitCase):
    """
    A repository that is larger than the target permits.
    """

    target = 'DebTarget("t", arches=["ARCH"], root=Overlay("bookworm", disk=1 << 20), sources="SERVER/{name}.git")'

    def test_limit(self) -> None:
        """
        Promise 9.1: a checkout that takes more of the slave's disk than permitted fails the job with a sentence, and
        nothing of it is left.
        """
        self.server.commit("greet", {**native(), "large": os.urandom(2_000_000)}, "v1")
        done = self.farm.submit("t", b"package=greet\nrevision=v1\n", within=120.0)
        self.assertEqual(done.code, 1, done)
        self.until_job(1, "failed")
        self.assertIn("the checkout has more than 1 MB, the limit (disk= of the target's root)", self.job()["reason"])
        self.assertEqual(self.left_on_slave(), set())


@needs("rpmbuild")
class RpmFromGitTests(FromGitCase):
    """
    Source RPMs, on the slave as it is.
    """

    target = 'RpmTarget("t", ["x86_64"], Plain(), dist=".f4", sources=["SERVER/other.git", "SERVER/{name}.git"])'

    def test_built(self) -> None:
        """
        Promise 9.1: the source RPM is made of the spec file and the sources beside it, the same ones each time.
        """
        if self.arch != "amd64":
            raise SkipTest("these packages are for x86_64")
        sources = {"hello.c": '#include <stdio.h>\nint main(void) { puts("hello"); return 0; }\n'}
        spec = SPEC.replace('test "$(id -u)" != 0', "true").replace("! touch /usr/touched", "true")
        spec = spec.replace("! getent hosts deb.debian.org", "true")
        commit = self.server.commit("hello", {"hello.spec": spec, **sources}, "v1")
        job = self.made(1, f"package=hello\nrevision={commit}\n".encode())
        self.assertEqual((job["version"], job["origin"]["commit"]), ("1.0-1.f4", commit))
        self.made(2, b"package=hello\nrevision=v1\n")
        first, second = self.sources()
        self.assertEqual(first, second)
        self.server.commit("other", {"README": "no spec file\n"}, "v1")
        done = self.farm.submit("t", f"repository={self.server.address}/other.git\nrevision=v1\n".encode())
        self.assertEqual(done.code, 1)
        self.assertIn("the repository has 0 spec files", self.job(3)["reason"])
