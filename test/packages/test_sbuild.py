"""
`Sbuild`: its steps, and its program with a stand-in for sbuild that says what sbuild 0.85 says.
"""

import os
import shlex
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.model.results import Result
from buildbot_lite.packages.building.kept_roots import KEPT
from buildbot_lite.packages.building.programs import words_of
from buildbot_lite.packages.building.root import FILES, INCOMING, RESULTS, ROOT
from buildbot_lite.packages.building.sbuild import Sbuild
from test.control.test_submissions import SubmissionCase
from test.master.harness import FakeSlave

from ..needs import needs
from .archives import archive, greet
from .test_package_steps import NAMES, commands, failing, overlays

BEGINNING = """\
sbuild (Debian sbuild) 0.85.0 (04 January 2023) on farm
"""
UNMET = """\
Install main build dependencies (apt-based resolver)
----------------------------------------------------

The following packages have unmet dependencies:
 sbuild-build-depends-main-dummy : Depends: nowhere but it is missing
                                   Depends: ask (>= 3) but 2 is there
E: Unable to correct problems, you have held broken packages.
apt-get failed.
E: Package installation failed
Not removing build depends: cloned chroot in use
"""
LISTED = """\
dpkg-query --show --showformat '@installed ${binary:Package} ${Version}\\n'; echo @installed.
--------------------------------------------------------------------------------------------

@installed gcc-12 12.2.0-14
@installed libc6:amd64 2.36-9
@installed sbuild-build-depends-main-dummy 0.invalid.0
@installed.
@installed evil 1.0

I: Finished running 'dpkg-query'.
"""
BROKEN = """\
gcc -o hello hello.c
make: *** [debian/rules:6: build] Error 1
dpkg-buildpackage: error: debian/rules build-arch subprocess returned exit status 2
--------------------------------------------------------------------------------
Build finished at 2026-11-29T20:50:54Z
"""
SUMMARY = """\
+------------------------------------------------------------------------------+
| Summary                                                                      |
+------------------------------------------------------------------------------+

Build Architecture: amd64
Distribution: bookworm
{stage}Package: greet
Status: {status}
Version: 1.0
"""
UNINSTALLED = "error: sbuild could not install what the package needs (stage install-deps): "
SAID = [
    # the output, sbuild's exit code; the exit code, the last line
    (LISTED + SUMMARY.format(stage="", status="successful"), 0, 0, "Version: 1.0"),
    (
        UNMET + SUMMARY.format(stage="Fail-Stage: install-deps\n", status="given-back"),
        3,
        1,
        f"{UNINSTALLED}nowhere but it is missing; ask (>= 3) but 2 is there",
    ),
    (
        LISTED + BROKEN + SUMMARY.format(stage="Fail-Stage: build\n", status="attempted"),
        2,
        1,
        "error: sbuild failed in the stage build: debian/rules build-arch subprocess returned exit status 2",
    ),
    (
        "E: Error creating chroot session: skipping greet\n"
        + SUMMARY.format(stage="Fail-Stage: create-session\n", status="failed"),
        1,
        1,
        "error: sbuild failed in the stage create-session: Error creating chroot session: skipping greet",
    ),
    (
        "E: greet_1.0.dsc: no such file\n",
        1,
        1,
        "error: sbuild failed in the beginning: greet_1.0.dsc: no such file",
    ),
    ("x" * 100_000 + "error: y\n", 1, 1, "error: sbuild failed in the beginning"),
]


class SbuildStepsTests(SubmissionCase):
    """
    Which commands the steps run.
    """

    def configuration(self) -> str:
        return (
            "from buildbot_lite.packages import DebTarget, Sbuild\n"
            'c["slaves"] = [slave.BuildSlave("bot1", properties={"arch": ["amd64"]})]\n'
            "c['targets'] = [\n"
            "    DebTarget('bookworm', arches=['amd64', 'all'], root=Sbuild('bookworm'), version_suffix='+farm1'),\n"
            "    DebTarget('plain', arches=['amd64'], root=Sbuild('bookworm')),\n"
            "]\n"
        )

    def test_steps(self) -> None:
        """
        Promise 9.4: whether all that is needed is there is found out before sbuild begins; with a suffix, the source
        package gets it first; a failure ends the build and removes the root.
        """
        for target, fails, wanted in (
            ("plain", "", ["check", "begin", "pack", "prepare", "build"]),
            ("bookworm", "", ["check", "begin", "pack", "prepare", "prepare", "build"]),
            ("plain", "check", ["check"]),
            ("plain", "prepare", ["check", "begin", "pack", "prepare"]),
        ):
            with self.subTest(target=target, fails=fails):
                slave = FakeSlave(behaviour=failing(*([fails] if fails else [])))
                self.harness.attach("bot1", slave)
                self.run_command(target, archive(greet()))
                self.harness.settle()
                words = [each[4:] for each in commands(slave) if each[3:4] in (("sbuild",), ("overlay",))]
                self.assertEqual([each[0] for each in words], ["claim", *wanted, "clear"])
                build = [each for each in words if each[0] == "build"]
                source = "suffixed" if target == "bookworm" else "in"
                if build:
                    self.assertEqual(build, [("build", "root", "files", "bookworm", "amd64", source, "any")])
                self.assertEqual([each for each in overlays(slave) if "yes" in each], [])
                slave.lose()

    def test_all(self) -> None:
        """
        What is the same everywhere is built for "all" alone.
        """
        slave = FakeSlave(behaviour=failing())
        self.harness.attach("bot1", slave)
        self.run_command("bookworm", archive(greet(Architecture="all")))
        self.harness.settle()
        self.assertEqual(dict(self.harness.steps(1)), dict.fromkeys(NAMES, Result.SUCCESS))
        (build,) = [each for each in commands(slave) if each[3:5] == ("sbuild", "build")]
        self.assertEqual(build[-2:], ("suffixed", "all"))


class SbuildProgramTests(SynchronousTestCase):
    """
    Arguments of sbuild, and what its output becomes.
    """

    def setUp(self) -> None:
        super().setUp()
        # A place with characters that mean something to shells and to sbuild.
        self.work = Path(tempfile.mkdtemp(suffix="100% it's")).resolve()
        self.addCleanup(shutil.rmtree, self.work)
        self.directory = self.work / "builder" / "build"
        self.directory.mkdir(parents=True)
        self.out = self.directory / FILES / RESULTS
        (self.directory / "base").mkdir()
        self.programs = self.directory / "programs"
        self.programs.mkdir()
        self.temporary = self.directory / "temporary"
        self.temporary.mkdir()
        self.prepared()

    def prepared(self) -> None:
        """
        Make what is there when a build begins.
        """
        self.out.mkdir(parents=True)
        (self.directory / FILES / INCOMING).mkdir()
        (self.directory / FILES / INCOMING / "greet_1.0.dsc").touch()
        (self.directory / ROOT / "upper").mkdir(parents=True)
        (self.directory / ROOT / "base").symlink_to(self.directory / "base")

    def program(self, name: str, script: str) -> None:
        """
        Make a program.
        """
        path = self.programs / name
        path.write_text(f"#!/bin/sh\n{script}")
        path.chmod(0o755)

    def run_words(self, words: Sequence[str]) -> tuple[int, str]:
        """
        The exit code and the last line of its output.
        """
        environment = {"PATH": f"{self.programs}:{os.environ['PATH']}", "TMPDIR": str(self.temporary)}
        ran = subprocess.run(
            words, cwd=self.directory, env=environment, capture_output=True, check=False, text=True, timeout=60
        )
        return ran.returncode, (ran.stdout + ran.stderr).strip().rpartition("\n")[2]

    def building(self, build_type: str = "any") -> tuple[int, str]:
        """
        The same of a build.
        """
        (words,) = Sbuild("bookworm").debian_building("amd64", build_type, "")
        return self.run_words(words)

    def says(self, text: str, code: int) -> None:
        """
        Let sbuild say *text*, and end with *code*.
        """
        (self.directory / "said").write_text(text)
        keep = """\
printf '%s\\n' "$@" >../../arguments
perl -e 'do $ENV{SBUILD_CONFIG} or die; print $unshare_tmpdir_template' >../../session
"""
        self.program("sbuild", f"{keep}cat ../../said\nexit {code}\n")

    def test_outcomes(self) -> None:
        """
        Promise 9.4: each end of sbuild is its exit code and one sentence, with the stage and what was missing.
        """
        for text, ended, code, line in SAID:
            with self.subTest(line=line):
                self.says(BEGINNING + text, ended)
                self.assertEqual(self.building(), (code, line))
                # That of a failed build stays until it is kept or removed.
                self.assertEqual(len(os.listdir(self.temporary)), code)
                self.assertEqual(self.run_words(Sbuild("bookworm").end()), (0, ""))
                self.assertEqual(os.listdir(self.temporary), [])
                self.prepared()

    def test_installed(self) -> None:
        """
        Promise 9.4: the list of installed packages is what the root had when the build began; what the build itself
        prints adds nothing to it.
        """
        self.says(*SAID[0][:2])
        self.building()
        self.assertEqual((self.out / "installed.txt").read_text(), "gcc-12 12.2.0-14\nlibc6:amd64 2.36-9\n")

    def test_arguments(self) -> None:
        """
        The archive of the base and the source package are X of the user's own configuration.
        """
        self.says(*SAID[0][:2])
        for build_type, wanted, other in (
            ("any", ["--no-arch-all", "--arch-any"], "--arch-all"),
            ("all", ["--arch-all", "--no-arch-any"], "--arch-any"),
        ):
            self.building(build_type)
            arguments = (self.directory / "arguments").read_text().splitlines()
            wanted += [
                "--chroot-mode=unshare",
                f"--chroot={self.directory}/base.tar",
                "--dist=bookworm",
                "--arch=amd64",
                "--no-clean-source",
                "--no-apt-update",
                "--build-path=/build/out",
            ]
            self.assertEqual([each for each in wanted if each not in arguments], [])
            self.assertNotIn(other, arguments)
            self.assertEqual(arguments[-1], f"{self.directory}/files/in/greet_1.0.dsc")
        session = (self.directory / "session").read_text()
        self.assertEqual(Path(session).parents[1], self.temporary)

    def test_others(self) -> None:
        """
        Promise 9.4: other users of the slave's machine cannot reach the root of a build; where that cannot be had, the
        log says so.
        """
        real = shutil.which("perl")
        for code, mode in ((0, "710"), (1, "711")):
            self.program("perl", f'case $2 in *chgrp*) exit {code} ;; esac\nexec {real} "$@"\n')
            self.says(*SAID[0][:2])
            self.program("sbuild", 'stat -c %a "$BUILD_SESSION" >../../mode\ncat ../../said\n')
            (words,) = Sbuild("bookworm").debian_building("amd64", "any", "")
            environment = {"PATH": f"{self.programs}:{os.environ['PATH']}", "TMPDIR": str(self.temporary)}
            ran = subprocess.run(
                words, cwd=self.directory, env=environment, capture_output=True, check=True, text=True, timeout=60
            )
            self.assertEqual((self.directory / "mode").read_text().strip(), mode)
            self.assertEqual("warning: other users" in ran.stdout, bool(code))

    def test_versions(self) -> None:
        """
        Promise 9.5, 9.6: the farm's packages that were sent win over later ones; in a rebuild all packages of the first
        build do, also over those of the base.
        """
        self.says(*SAID[0][:2])
        self.program("dpkg-deb", 'echo "hello\t1.0+farm1"')
        self.building()
        self.assertNotIn("--pre-build-commands", (self.directory / "arguments").read_text())
        package = self.directory / FILES / "repositories" / "s" / "pool" / "hello_1.0+farm1_amd64.deb"
        package.parent.mkdir(parents=True)
        package.touch()
        self.building()
        asked = (self.directory / "arguments").read_text().splitlines()
        self.assertIn(f"--extra-package={package}", asked)
        self.assertIn("--no-apt-distupgrade", asked)
        hello = "Package: hello\nPin: version 1.0+farm1\nPin-Priority: 1001\n\n"
        self.assertEqual(self.preferences(), hello)
        (self.directory / FILES / "wanted.txt").write_text("libc6:amd64 2.36-9\n$(id) 1\n-o x\na b c\n")
        self.building()
        self.assertIn("--apt-distupgrade", (self.directory / "arguments").read_text().splitlines())
        self.assertEqual(self.preferences(), f"Package: libc6\nPin: version 2.36-9\nPin-Priority: 1001\n\n{hello}")

    def preferences(self) -> str:
        """
        What sbuild's root gets as preferences of apt.
        """
        (command,) = [
            each.partition("=")[2]
            for each in (self.directory / "arguments").read_text().splitlines()
            if each.startswith("--pre-build-commands=")
        ]
        self.assertIn("%e sh -c 'cat >/etc/apt/preferences.d/farm'", command)
        outside = command.partition(" | ")[0].replace("%%", "%")
        return subprocess.run(["sh", "-c", outside], capture_output=True, check=True, text=True, timeout=60).stdout

    def test_killed(self) -> None:
        """
        Promise 9.4: what a build that was killed left in the temporary directory is removed by the next one.
        """
        shell = shlex.quote(f"{self.directory}/shell")
        self.program("sbuild", f"kill -9 $(cat {shell})\n")
        (words,) = Sbuild("bookworm").debian_building("amd64", "any", "")
        killed = ["sh", "-c", f'echo $$ >{shell}; exec "$@"', "sh", *words]
        self.assertEqual(self.run_words(killed)[0], -9)
        self.assertEqual(len(os.listdir(self.temporary)), 1)
        self.assertEqual(self.run_words(Sbuild("bookworm").end()), (0, ""))
        self.assertEqual(os.listdir(self.temporary), [])
        self.assertFalse((self.directory / FILES).exists() or (self.directory / ROOT).exists())

    @needs("newuidmap", "flock")
    def test_kept(self) -> None:
        """
        Promise 9.4: if asked, the root that sbuild made for a failed build is kept, with its size and the end of its
        time; if sbuild made none, the one in which the build was prepared; if there is none at all, that is said.
        """
        root = Sbuild("bookworm", keep_failed=2)
        kept = self.work / KEPT
        for number, (script, is_kept) in enumerate(
            [("exit 1", "base"), ('mkdir -p "$BUILD_SESSION/root.x/build/out/src"; exit 2', "tree/build/out/src")]
        ):
            self.program("sbuild", script)
            self.assertEqual(self.building()[0], 1)
            words = root.keep("amd64", f"b-{number}")
            assert words is not None
            self.assertEqual(self.run_words(words), (0, ""))
            self.assertTrue((kept / f"b-{number}" / "root" / is_kept).is_dir())
            self.assertTrue((kept / f"b-{number}" / "files" / RESULTS).is_dir())
            self.assertGreater(int((kept / f"b-{number}" / "kilobytes").read_text()), 0)
            self.assertEqual(self.run_words(root.end()), (0, ""))
            self.assertEqual(os.listdir(self.temporary), [])
            self.prepared()
        words = root.keep("amd64", "b-2")
        assert words is not None
        session = self.directory / ROOT / "session"
        session.symlink_to(self.temporary / "gone")
        self.assertEqual(self.run_words(words), (0, "not kept: its temporary directory is gone"))
        session.unlink()
        (self.directory / ROOT / "base").unlink()
        self.assertEqual(self.run_words(words), (0, "not kept: none was made"))
        self.assertEqual(sorted(os.listdir(kept)), ["b-0", "b-1"])

    def test_limit_of_a_kept_root(self) -> None:
        """
        Promise 9.4: what a kept root of sbuild's had already is no part of what may be written in it.
        """
        for name, text in (("arch", "amd64\n"), ("kilobytes", "1000000\n")):
            (self.directory / name).write_text(text)
        words = list(words_of("overlay", "true", str(self.directory)))
        words[2] += '\nrun() { echo "$5"; }\nenter_tree "$1"'
        self.assertEqual(self.run_words(words), (0, f"0,4096,{(20 << 30) + 1000000 * 1024}"))

    def test_checked(self) -> None:
        """
        Promise 9.4: without sbuild, or as root, the sentence says what to do.
        """
        check = Sbuild("bookworm").begin("amd64")[0]
        self.program("sbuild", "")
        self.program("id", "echo 0")
        self.assertIn("this slave runs as root", self.run_words(check)[1])
        self.program("id", "echo 1000")
        self.assertEqual(self.run_words(check), (0, ""))
        (self.programs / "sbuild").unlink()
        self.program("cat", 'exec /bin/cat "$@"')
        code, said = self.run_words(["/usr/bin/env", f"PATH={self.programs}", *check])
        self.assertEqual((code, said), (97, "error: This machine has no sbuild (Debian: apt install sbuild)."))
