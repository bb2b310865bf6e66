"""
`Mock`: its program with a stand-in for mock that checks its arguments, and replays real logs and exit codes.

mock itself cannot be installed on Debian 12, and has no root of Fedora there; so no test here runs it.  The state.log
files in ``data/mock`` are of mock itself, which was run by hand over a root of Debian: a build, a missing dependency, a
build that failed, and a truncated source package.
"""

import fcntl
import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.model.results import Result
from buildbot_lite.packages.building.kept_roots import KEPT, entering
from buildbot_lite.packages.building.leftovers import marked, removing_left
from buildbot_lite.packages.building.mock import Mock
from buildbot_lite.packages.building.root import FILES, INCOMING, RESULTS, ROOT
from test.control.test_submissions import SubmissionCase
from test.master.harness import FakeSlave

from .rpm_files import srpm
from .test_package_steps import NAMES, commands, failing

DATA = Path(__file__).parent / "data" / "mock"
# It keeps its arguments, and does what the test has put into "plan" for the command: an exit code and logs.
STAND_IN = """\
results=
for last; do
    case $last in
        --resultdir=*) results=${last#--resultdir=} ;;
        --init | --installdeps | --chroot | --rebuild | --scrub=* | --shell | --orphanskill) command=${last%%=*} ;;
    esac
done
printf '%s\\n' "$@" --- >>PLACE/asked
plan=PLACE/plan/${command#--}
[ ! -d "$plan/logs" ] || [ -z "$results" ] || cp -r "$plan/logs"/. "$results"
[ ! -e "$plan/said" ] || cat "$plan/said"
[ ! -e "$plan/does" ] || . "$plan/does"
exit $(cat "$plan/code" 2>/dev/null || echo 0)
"""
MISSING = """\
DEBUG util.py:460:  No matching package to install: 'nothing-of-that-name'
DEBUG util.py:460:  No matching package to install: 'pkgconfig(nothing)'
DEBUG util.py:460:  Not all dependencies satisfied
DEBUG util.py:460:  Error: Some packages could not be found.
"""
FAILED = """\
+ exit 1
error: Bad exit status from /var/tmp/rpm-tmp.C3QZfA (%build)
RPM build errors:
    Bad exit status from /var/tmp/rpm-tmp.C3QZfA (%build)
Child return code was: 1
"""
BROKEN_ROOT = "DEBUG util.py:460:  Error: Failed to download metadata for repo 'fedora'\n"
FAILURES = [
    # the command, its exit code, its logs; parts of the sentence
    ("init", 20, {"root.log": BROKEN_ROOT}, "mock could not make the root: Error: Failed to download metadata"),
    ("init", 3, {}, "mock cannot use its configuration fedora-40-x86_64"),
    ("init", 2, {}, "has to be in the group mock"),
    ("init", 60, {}, "in use by another process"),
    ("init", 90, {}, "bootstrap"),
    (
        "installdeps",
        30,
        {"root.log": MISSING, "state.log": "state-1.log"},
        "neither the root nor a repository has nothing-of-that-name, pkgconfig(nothing)",
    ),
    ("installdeps", 30, {"root.log": BROKEN_ROOT}, "could not install what the package needs: Error: Failed to"),
    ("installdeps", 40, {"state.log": "state-3.log"}, "mock cannot read the source package"),
    (
        "rebuild",
        1,
        {"build.log": FAILED, "state.log": "state-2.log"},
        'mock failed in "rpmbuild broken-1.0-1.src.rpm": Bad exit status from /var/tmp/rpm-tmp.C3QZfA (%build)',
    ),
    ("rebuild", 10, {"build.log": FAILED}, "mock failed: Bad exit status from"),
    ("rebuild", 11, {}, "took too long"),
    ("rebuild", 77, {}, "mock ended with the exit code 77"),
]


class MockProgramTests(SynchronousTestCase):
    """
    The calls of mock, and the treatment of its answers.
    """

    def setUp(self) -> None:
        super().setUp()
        self.directory = Path(tempfile.mkdtemp()).resolve()
        self.addCleanup(shutil.rmtree, self.directory)
        self.build = self.directory / "builder" / "build"
        self.kept = self.directory / KEPT
        self.plan = self.directory / "plan"
        program = self.directory / "programs" / "mock"
        program.parent.mkdir()
        program.write_text("#!/bin/sh\n" + STAND_IN.replace("PLACE", str(self.directory)))
        program.chmod(0o755)
        self.environment = {"PATH": f"{self.directory}/programs:{os.environ['PATH']}"}
        self.root = Mock("fedora-40-{arch}")
        self.fresh()

    def fresh(self) -> None:
        """
        An empty build, and a mock that succeeds.
        """
        for path in (self.build, self.plan):
            shutil.rmtree(path, ignore_errors=True)
        (self.build / FILES / RESULTS).mkdir(parents=True)
        (self.build / FILES / INCOMING).mkdir()
        (self.build / FILES / INCOMING / "hello-1.0-1.src.rpm").touch()
        packages = {"hello-1.0-1.x86_64.rpm": "binary", "hello-1.0-1.src.rpm": "source"}
        self.plans("rebuild", 0, {"build.log": "Building target platforms: x86_64\n", **packages})
        self.plans("chroot", 0, {})
        (self.plan / "chroot" / "said").write_text("zlib 1.2-1 x86_64\nbash 1:5.1-2 x86_64\n")

    def plans(self, command: str, code: int, logs: dict[str, str]) -> None:
        """
        Let mock's *command* end with *code*, and leave *logs*: texts, or names of files in DATA.
        """
        place = self.plan / command
        (place / "logs").mkdir(parents=True, exist_ok=True)
        (place / "code").write_text(str(code))
        for name, text in logs.items():
            (place / "logs" / name).write_text((DATA / text).read_text() if text.startswith("state-") else text)

    def run_words(self, words: Sequence[str]) -> tuple[int, str]:
        """
        The exit code, and the output.
        """
        ran = subprocess.run(
            words, cwd=self.build, env=self.environment, capture_output=True, check=False, text=True, timeout=120
        )
        return ran.returncode, ran.stdout + ran.stderr

    def built(self) -> tuple[int, str]:
        """
        The same of the preparation and, if it succeeds, the build.
        """
        code, said = self.run_words(self.root.rpm_preparation("x86_64", "noarch", ".f4"))
        return (code, said) if code else self.run_words(self.root.rpm_building("x86_64", "noarch", ".f4"))

    def asked(self) -> list[list[str]]:
        """
        The arguments of all calls.
        """
        text = (self.directory / "asked").read_text()
        return [each.splitlines() for each in text.split("---\n") if each]

    def test_built(self) -> None:
        """
        Promise 9.4: what is needed is installed before the build, in a root of this build's own; the packages come
        back without the source package, with the list of what was installed, and the log is shown.
        """
        index = self.build / FILES / "repositories" / "r" / "repodata"
        index.mkdir(parents=True)
        code, said = self.built()
        self.assertEqual(code, 0, said)
        self.assertIn("Building target platforms: x86_64\n", said)
        out = self.build / FILES / RESULTS
        self.assertEqual(sorted(os.listdir(out)), ["hello-1.0-1.x86_64.rpm", "installed.txt"])
        self.assertEqual((out / "installed.txt").read_text(), "bash 1:5.1-2 x86_64\nzlib 1.2-1 x86_64\n")

        init, needs, listed, rebuild = self.asked()
        unique = {each for call in self.asked() for each in call if each.startswith("--uniqueext=")}
        self.assertEqual(len(unique), 1)
        for call in self.asked():
            self.assertIn("--root=fedora-40-x86_64", call)
        repository = f"--addrepo=file://{index.parent}"
        self.assertIn(repository, init)
        self.assertEqual(
            needs[-5:], [repository, "--target=noarch", "--no-clean", "--installdeps", "in/hello-1.0-1.src.rpm"]
        )
        self.assertIn("--chroot", listed)
        wanted = {"--no-clean", "--target=noarch", "--define=dist .f4", "--define=_buildhost farm"}
        self.assertEqual(wanted - set(rebuild), set())
        self.assertEqual(rebuild[-2:], ["--rebuild", "in/hello-1.0-1.src.rpm"])
        self.assertNotIn("--enable-network", [each for call in self.asked() for each in call])

    def test_slots(self) -> None:
        """
        Promise 9.2, 9.4: builds in two slots of a builder have roots of different names, and each removes its own.
        """
        self.assertEqual(self.built()[0], 0)
        shutil.copytree(self.build / FILES, self.build.parent / "build-2" / FILES)
        first, self.build = self.build, self.build.parent / "build-2"
        self.assertEqual(self.built()[0], 0)
        made = [(place / ROOT / "made").read_text() for place in (first, self.build)]
        self.assertNotEqual(made[0].split("-")[-2], made[1].split("-")[-2])
        (self.directory / "asked").unlink()
        self.assertEqual(self.run_words(self.root.end())[0], 0)
        (scrubbed,) = self.asked()
        self.assertIn(f"--uniqueext={made[1].split()[1]}", scrubbed)
        self.assertTrue((first / ROOT / "made").exists())
        self.build = first

    def test_left(self) -> None:
        """
        Promise 9.4: the root that mock made for a build that is over is removed without another build; while mock
        cannot remove it, it is found again.
        """
        self.assertEqual(self.run_words(self.root.claim()), (0, ""))
        work, place = self.directory, str(self.build.relative_to(self.directory))
        (self.build / ROOT).mkdir()
        (self.build / ROOT / "made").write_text("fedora-40-x86_64 buildbot-lite-1-2\n")
        found = marked(work)
        self.assertEqual(set(found), {place})
        build, self.build = self.build, work
        self.plans("scrub", 1, {})
        self.assertEqual(self.run_words(removing_left(found))[0], 1)
        self.assertEqual(marked(work), found)
        self.plans("scrub", 0, {})
        self.assertEqual(self.run_words(removing_left(found)), (0, ""))
        self.build = build
        self.assertIn("--uniqueext=buildbot-lite-1-2", self.asked()[-1])
        self.assertEqual(list(build.iterdir()), [])

    def test_failures(self) -> None:
        """
        Promise 9.4: each way in which mock fails is one sentence, with what its logs say.
        """
        for command, ended, logs, sentence in FAILURES:
            with self.subTest(command=command, code=ended):
                self.fresh()
                self.plans(command, ended, logs)
                code, said = self.built()
                self.assertEqual(code, 1)
                last = said.strip().splitlines()[-1]
                self.assertTrue(last.startswith("error: "), last)
                self.assertIn(sentence, last)

    def test_removed(self) -> None:
        """
        Promise 9.4: the root that mock made is removed, also by the next build after a kill; where there is none, mock
        is not asked.
        """
        self.assertEqual(self.run_words(self.root.end())[0], 0)
        self.assertFalse((self.directory / "asked").exists())
        self.fresh()
        self.plans("installdeps", 30, {})
        self.built()
        (unique,) = {each for call in self.asked() for each in call if each.startswith("--uniqueext=")}
        self.assertEqual(self.run_words(self.root.end()), (0, ""))
        last = self.asked()[-1]
        self.assertEqual(last, ["--quiet", "--root=fedora-40-x86_64", unique, "--scrub=chroot", "--scrub=bootstrap"])
        self.assertFalse((self.build / FILES).exists() or (self.build / ROOT).exists())

    def test_mock_is_gone(self) -> None:
        """
        Promise 9.4: where mock has no such configuration any more, is not installed any more, or had not begun, both
        directories are removed all the same, so that the slave goes on; what stays of mock is named.
        """
        for code in (3, 5, 127):
            self.fresh()
            self.assertEqual(self.built()[0], 0)
            self.plans("scrub", code, {})
            if code == 127:
                (self.directory / "programs" / "mock").unlink()
            ended, said = self.run_words(self.root.end())
            self.assertEqual(ended, 0)
            self.assertIn('the root that it made stays on this machine: it has "buildbot-lite-', said)
            self.assertFalse((self.build / FILES).exists() or (self.build / ROOT).exists())
        (self.build / ROOT).mkdir()
        (self.build / ROOT / "made").touch()
        self.assertEqual(self.run_words(self.root.end()), (0, ""))
        self.assertFalse((self.build / ROOT).exists())

    def test_not_removed(self) -> None:
        """
        Where mock cannot remove its root, the directory that knows its name stays, for the next attempt.
        """
        self.assertEqual(self.built()[0], 0)
        self.plans("scrub", 1, {})
        self.assertNotEqual(self.run_words(self.root.end())[0], 0)
        self.assertTrue((self.build / ROOT / "made").exists())

    def keep(self, name: str, size: str = "200\t/\n") -> tuple[int, str]:
        """
        Let a build fail, and keep its root, of which du says *size*, under *name*.
        """
        self.plans("rebuild", 1, {})
        (self.plan / "chroot" / "said").write_text(size)
        self.assertEqual(self.built()[0], 1)
        words = Mock("fedora-40-{arch}", keep_failed=2).keep("x86_64", name)
        assert words is not None
        kept = self.run_words(words)
        self.assertEqual(self.run_words(self.root.end()), (0, ""))
        return kept

    def test_kept(self) -> None:
        """
        Promise 9.4: if asked, the root of a failed build stays where mock made it, and mock enters it, not as root,
        with the words as they are, and kills what is left in it; when its time is over, the next build lets mock
        remove it.
        """
        self.assertEqual(self.keep("f4-x86_64-1"), (0, ""))
        self.assertGreaterEqual(int((self.kept / "f4-x86_64-1" / "kilobytes").read_text()), 200)
        which = [each for each in self.asked()[0] if each.startswith(("--root=", "--uniqueext="))]
        self.assertNotIn("--scrub=chroot", [each for call in self.asked() for each in call])
        (self.directory / "asked").unlink()

        (self.directory / "work").symlink_to(".")
        self.plans("shell", 7, {})
        words = entering(self.directory, "f4-x86_64-1", "echo", "it's", "two  words\n")
        self.assertEqual(self.run_words(words), (7, ""))
        self.left("f4-x86_64-1")
        shell, left = self.asked()
        self.assertEqual(shell[:-2], ["--quiet", *which, "--no-clean", "--unpriv", "--shell", "--"])
        self.assertEqual(shlex.split("\n".join(shell[-2:])), ["echo", "it's", "two  words\n"])
        self.assertEqual(left, ["--quiet", *which, "--orphanskill"])
        self.assertIn("/builddir/build", self.run_words(entering(self.directory, "f4-x86_64-1"))[1])
        self.left("f4-x86_64-1")

        (self.kept / "f4-x86_64-1" / "until").write_text("1\n")
        for code, left_there in ((60, [".removed.f4-x86_64-1"]), (0, [])):
            self.plans("scrub", code, {})
            self.run_words(self.root.rpm_preparation("x86_64", "noarch", ""))
            self.assertEqual([each.rpartition(".")[0] for each in os.listdir(self.kept)], left_there)
        self.assertIn(["--quiet", *which, "--scrub=chroot", "--scrub=bootstrap"], self.asked())

    def test_swept_at_once(self) -> None:
        """
        Promise 9.4: a build that begins while another one removes kept roots leaves that to it, and does not fail.
        """
        self.keep("f4-x86_64-1")
        (self.kept / "f4-x86_64-1" / "until").write_text("1\n")
        self.fresh()
        other = os.open(self.kept, os.O_RDONLY)
        try:
            fcntl.flock(other, fcntl.LOCK_EX)
            code, said = self.run_words(self.root.rpm_preparation("x86_64", "noarch", ""))
        finally:
            os.close(other)
        self.assertEqual((code, os.listdir(self.kept)), (0, ["f4-x86_64-1"]), said)

    def test_swept_meanwhile(self) -> None:
        """
        Promise 9.4: a kept root that disappears while a build begins does not fail that build, and other roots are
        removed all the same.
        """
        for number in (1, 2):
            self.fresh()
            self.keep(f"f4-x86_64-{number}")
            (self.kept / f"f4-x86_64-{number}" / "until").write_text("1\n")
        # ls names a root that is gone when it has been read.
        listing = self.directory / "programs" / "ls"
        listing.write_text('#!/bin/sh\necho gone-1/until\nexec /bin/ls "$@"\n')
        listing.chmod(0o755)
        self.fresh()
        code, said = self.run_words(self.root.rpm_preparation("x86_64", "noarch", ""))
        self.assertEqual((code, os.listdir(self.kept)), (0, []), said)

    def test_not_scrubbed(self) -> None:
        """
        Promise 9.4: what mock does not remove of an interrupted keeping stops no other root from being kept; after a
        day it is given up, and named.
        """
        keep = Mock("fedora-40-{arch}", keep_failed=2).keep("x86_64", "f4-x86_64-1")
        assert keep is not None
        self.plans("rebuild", 1, {})
        self.plans("scrub", 60, {})
        self.built()
        left = self.kept / ".incoming" / "root"
        left.mkdir(parents=True)
        (left / "made").write_text("fedora-40-x86_64 left-unique\n")
        (self.plan / "chroot" / "said").write_text("200\t/\n")
        code, said = self.run_words(keep)
        self.assertEqual((code, "not kept" in said), (0, False), said)
        removed, kept = sorted(os.listdir(self.kept))
        self.assertEqual((removed.rpartition(".")[0], kept), (".removed..incoming", "f4-x86_64-1"))
        os.utime(self.kept / removed, (1, 1))
        self.fresh()
        self.plans("scrub", 60, {})
        code, said = self.run_words(self.root.rpm_preparation("x86_64", "noarch", ""))
        self.assertEqual((code, os.listdir(self.kept)), (0, ["f4-x86_64-1"]))
        self.assertIn("mock has failed for a day to remove what it made, so the root that it made stays", said)
        self.assertIn('it has "left-unique" in its name', said)

    def test_unknown_kind(self) -> None:
        """
        Promise 9.4: who enters a root of which nothing says what it is reads that it is not kept any more.
        """
        self.keep("f4-x86_64-1")
        (self.directory / "work").symlink_to(".")
        (self.kept / "f4-x86_64-1" / "root" / "made").unlink()
        code, said = self.run_words(entering(self.directory, "f4-x86_64-1"))
        self.assertEqual((code, "is not kept on this machine" in said), (99, True), said)

    def test_damaged(self) -> None:
        """
        Promise 9.4: a kept root whose files do not say how large it is, or when its time is over, is removed, and the
        build goes on.
        """
        for name in ("kilobytes", "until"):
            for text in ("", "x\n", "1 2\n"):
                with self.subTest(name=name, text=text):
                    self.fresh()
                    self.keep("f4-x86_64-1")
                    (self.kept / "f4-x86_64-1" / name).write_text(text)
                    self.fresh()
                    code, said = self.run_words(self.root.rpm_preparation("x86_64", "noarch", ""))
                    self.assertEqual((code, os.listdir(self.kept)), (0, []), said)

    def test_not_kept(self) -> None:
        """
        Promise 9.4: a root of which mock does not say how large it is, or that is too large, is not kept, and the build
        removes it.
        """
        for said, sentence in (("", "does not say how large"), ("999999999\t/\n", "more than 21474836480 bytes")):
            self.fresh()
            code, why = self.keep("f4-x86_64-1", said)
            self.assertEqual(code, 0)
            self.assertIn(sentence, why)
            self.assertEqual(self.asked()[-1][-1], "--scrub=bootstrap")
            self.assertEqual([each for each in os.listdir(self.kept) if each != ".incoming"], [])

    def test_killed_in_root(self) -> None:
        """
        Promise 9.4: when the process that entered the root is killed, mock kills what is left in it, and only then the
        root is free.
        """
        self.keep("f4-x86_64-1")
        (self.directory / "work").symlink_to(".")
        pid = self.directory / "pid"
        self.plans("shell", 0, {})
        (self.plan / "shell" / "does").write_text(f"echo $$ >{pid}\necho in\nexec sleep 100\n")
        self.plans("orphanskill", 0, {})
        (self.plan / "orphanskill" / "does").write_text(f"kill -9 $(cat {pid})\n")
        inside = subprocess.Popen(
            entering(self.directory, "f4-x86_64-1"), stdout=subprocess.PIPE, env=self.environment, cwd=self.build
        )
        self.addCleanup(inside.wait, 60)
        assert inside.stdout is not None
        with inside.stdout:
            self.assertIn(b"The root of a build that failed", inside.stdout.readline())
            self.assertEqual(inside.stdout.readline(), b"in\n")
            inside.kill()
            # The last process that could write to it is gone.
            self.assertEqual(inside.stdout.read(), b"")
        self.left("f4-x86_64-1")
        # Again, if mock had not ended by then.
        asked = [call[-1] for call in self.asked()]
        self.assertEqual(set(asked[asked.index("--shell") + 1 :]), {"--orphanskill"})

    def test_killed_before_the_command(self) -> None:
        """
        Promise 9.4: when that process is killed while mock still starts, mock kills what it starts then, and only then
        the root is free.
        """
        self.keep("f4-x86_64-1")
        (self.directory / "work").symlink_to(".")
        pid, asked, going = (self.directory / name for name in ("pid", "asked-once", "going"))
        os.mkfifo(going)
        self.plans("shell", 0, {})
        (self.plan / "shell" / "does").write_text(
            f"echo starting\nread -r go <{going}\necho $$ >{pid}\nexec perl -e 'sleep 60; print \"stayed\"'\n"
        )
        self.plans("orphanskill", 0, {})
        # The first time, there is nothing to kill, and mock goes on.
        (self.plan / "orphanskill" / "does").write_text(
            f"if [ ! -e {asked} ]; then >{asked}; echo go >{going}; else kill -9 $(cat {pid}) || true; fi\n"
        )
        inside = subprocess.Popen(
            entering(self.directory, "f4-x86_64-1"), stdout=subprocess.PIPE, env=self.environment, cwd=self.build
        )
        self.addCleanup(inside.wait, 60)
        assert inside.stdout is not None
        with inside.stdout:
            self.assertIn(b"The root of a build that failed", inside.stdout.readline())
            self.assertEqual(inside.stdout.readline(), b"starting\n")
            inside.kill()
            self.left("f4-x86_64-1")
            self.assertEqual(inside.stdout.read(), b"")

    def left(self, name: str) -> None:
        """
        Wait until nobody is in the root.
        """
        with (self.kept / name / "until").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)

    def test_lacking(self) -> None:
        """
        Promise 9.4: without mock, the sentence says what to install.
        """
        (self.directory / "programs" / "mock").unlink()
        words = self.root.rpm_preparation("x86_64", "noarch", ".f4")
        code, said = self.run_words(["/usr/bin/env", f"PATH={self.directory}/programs", *words])
        self.assertEqual(code, 97)
        self.assertIn("dnf install mock", said)


class MockStepsTests(SubmissionCase):
    """
    The commands of the steps.
    """

    def configuration(self) -> str:
        return (
            "from buildbot_lite.packages import Mock, RpmTarget\n"
            'c["slaves"] = [slave.BuildSlave("bot1", properties={"arch": ["x86_64", "i686"]})]\n'
            'c["targets"] = [RpmTarget("f4", ["x86_64", "i686"], root=Mock("fedora-4-{arch}"), dist=".f4")]\n'
        )

    def test_steps(self) -> None:
        """
        Promise 9.4: each architecture has its own configuration of mock; the root is removed before and after.
        """
        slave = FakeSlave(behaviour=failing())
        self.harness.attach("bot1", slave)
        self.run_command("f4", srpm(t1061=["i686"]))
        self.harness.settle()
        self.assertEqual(dict(self.harness.steps(1)), dict.fromkeys(NAMES, Result.SUCCESS))
        self.assertEqual(
            [each[4:] for each in commands(slave) if each[3:4] == ("mock",)],
            [
                ("claim", "root", "files"),
                ("prepare", "root", "files", "fedora-4-i686", "i686", "../../roots/kept"),
                ("build", "root", "files", "fedora-4-i686", "i686", ".f4"),
                ("clear", "root", "files"),
            ],
        )
