"""
The steps of a build of a package, on a slave of this test's.
"""

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Callable, Mapping, Sequence

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.model import spec
from buildbot_lite.model.results import Result
from buildbot_lite.packages.building.debian_scripts import BUILD, INSTALL
from buildbot_lite.storage.records import remarks, steps
from test.control.test_submissions import SubmissionCase
from test.master.harness import FakeSlave, StartedCommand

from ..needs import needs
from .archives import archive, greet
from .rpm_files import srpm

BASES = "../../roots/bookworm-i386-" + hashlib.sha256(b"http://deb.debian.org/debian debhelper").hexdigest()[:8]
NAMES = ("downloading", "prepping", "building", "uploading", "cleanup")


def failing(*words: str, complaint: str = "", code: int = 100, room: str = "") -> Callable[[StartedCommand], None]:
    """
    A slave on which commands with one of *words* fail, with that last line and exit code.  *room*: what it says when it
    is asked for its room.
    """

    def behave(started: StartedCommand) -> None:
        run = started.spec
        fails = isinstance(run, spec.Run) and any(word in run.argv or () for word in words)
        said = f"{complaint}\n".encode() if fails else b""
        if isinstance(run, spec.Run) and "room" in (run.argv or ()):
            said = room.encode()
        if said:
            started.write(said)
        started.end(code if fails else 0, streams={"stdio": said} if said else {})

    return behave


def keeping(said: str, verb: str = "keep") -> Callable[[StartedCommand], None]:
    """
    A slave on which the package cannot be built, that says this when it is asked to keep the root, or for another
    *verb*.
    """
    fails = failing("build", complaint="it broke")

    def behave(started: StartedCommand) -> None:
        run = started.spec
        if isinstance(run, spec.Run) and verb in run.argv:
            started.write(said.encode())
            started.end(0, streams={"stdio": said.encode()})
        else:
            fails(started)

    return behave


def on_machine(machine: str) -> Callable[[StartedCommand], None]:
    """
    A slave on such a machine, on which everything succeeds.
    """

    def behave(started: StartedCommand) -> None:
        run = started.spec
        said = f"{machine}\n".encode() if isinstance(run, spec.Run) and tuple(run.argv) == ("uname", "-m") else b""
        if said:
            started.write(said)
        started.end(0, streams={"stdio": said} if said else {})

    return behave


class MachineOfAllTests(SubmissionCase):
    """
    Packages that are the same on every architecture, on machines of several.
    """

    def configuration(self) -> str:
        return (
            "from buildbot_lite.packages import DebTarget, Overlay, RpmTarget\n"
            'c["slaves"] = [slave.BuildSlave("any"), slave.BuildSlave("arm", properties={"arch": "armhf"})]\n'
            'root, on_any = Overlay("bookworm"), {"slavenames": ["any"]}\n'
            "c['targets'] = [\n"
            "    DebTarget('several', arches=['i386', 'amd64', 'arm64', 'all'], root=root, **on_any),\n"
            "    DebTarget('named', arches=['amd64', 'armhf', 'all'], root=root, slavenames=['arm']),\n"
            "    RpmTarget('rpms', ['i686', 'x86_64'], root, **on_any),\n"
            "]\n"
        )

    def test_root(self) -> None:
        """
        Promise 9.3: such a package is built on any machine of the target's, in a root that it runs: of its own
        architecture, if the target has that, or of the one that the slave's property says.
        """
        for target, machine, root in (
            ("several", "x86_64", "amd64"),
            ("several", "i686", "i386"),
            ("several", "aarch64", "arm64"),
            ("named", "x86_64", "armhf"),
            ("rpms", "x86_64", "x86_64"),
            ("rpms", "i686", "i686"),
        ):
            with self.subTest(target=target, machine=machine):
                self.assertEqual(self.build(target, machine), [root])

    def test_none(self) -> None:
        """
        Promise 9.3: on a machine that runs no root of the target's, one sentence says so, and nothing is built.
        """
        self.assertEqual(self.build("several", "riscv64"), [])
        found = self.harness.read(lambda connection: steps.of_build(connection, 1))
        self.assertEqual(
            [each.summary for each in found if each.name == "prepping"],
            ["any runs programs of riscv64, and the package needs a root of i386 or amd64 or arm64."],
        )

    def build(self, target: str, machine: str) -> list[str]:
        """
        The architecture of the root in which a package is built on such a machine.
        """
        slave = FakeSlave(behaviour=on_machine(machine))
        self.harness.attach("arm" if target == "named" else "any", slave, platform={"machine": machine})
        self.run_command(target, srpm(t1089=["noarch"]) if target == "rpms" else archive(greet(Architecture="all")))
        self.harness.settle()
        slave.lose()
        self.harness.settle()
        return [each[3] for each in overlays(slave) if each[0] == "build"]


class PackageStepsTests(SubmissionCase):
    """
    The commands of the steps, and their failures.
    """

    def configuration(self) -> str:
        return (
            "from buildbot_lite.packages import DebTarget, Overlay, Plain\n"
            'c["slaves"] = [slave.BuildSlave("bot1", properties={"arch": ["amd64", "i386"]})]\n'
            "c['targets'] = [\n"
            "    DebTarget('bookworm', arches=['i386'], root=Overlay('bookworm'), version_suffix='+farm1'),\n"
            "    DebTarget('everywhere', arches=['amd64', 'all'], root=Overlay('bookworm')),\n"
            "    DebTarget('kept', arches=['amd64'], root=Overlay('bookworm', keep_failed=24)),\n"
            "    DebTarget('plain', arches=['amd64'], root=Plain()),\n"
            "]\n"
        )

    def build(self, target: str, slave: FakeSlave, **fields: str) -> Mapping[str, Result | None]:
        """
        The results of the steps of the first build of a package with these fields.
        """
        self.harness.attach("bot1", slave)
        self.run_command(target, archive(greet(**fields)))
        self.harness.settle()
        return dict(self.harness.steps(1))

    def test_overlay(self) -> None:
        """
        Promise 9.4: the root is begun before anything else, apt alone has the network, and the build has none.
        """
        slave = FakeSlave(behaviour=failing())
        results = self.build("bookworm", slave)
        self.assertEqual(results, dict.fromkeys(NAMES, Result.SUCCESS))
        self.assertEqual(
            [each[:3] for each in overlays(slave)],
            [
                ("claim", "root", "files"),
                ("begin", "root", BASES),
                ("prepare", "root", "files"),
                ("prepare", "root", "files"),
                ("build", "root", "files"),
                ("clear", "root", "files"),
            ],
        )
        prepared = [each[3:6] for each in overlays(slave) if each[0] == "prepare"]
        limits = f"0,4096,{40 << 30}"
        self.assertEqual(prepared, [("i386", limits, "yes"), ("i386", limits, "no")])
        with_network = next(each for each in overlays(slave) if "yes" in each)
        self.assertIn("--download-only", with_network[-2])
        self.assertEqual(overlays(slave)[-2][-3:], ("any", "+farm1", "i386"))

    def test_all(self) -> None:
        """
        Packages that are the same on every architecture are built in the root of the target's first architecture.
        """
        slave = FakeSlave(behaviour=failing())
        self.build("everywhere", slave, Architecture="all")
        (built,) = [each for each in overlays(slave) if each[0] == "build"]
        self.assertEqual((built[3], built[-3:]), ("amd64", ("all", "", "amd64")))

    def test_failures(self) -> None:
        """
        Promise 9.4: after a failure nothing more is built, the step says the program's last line, and the root goes.
        """
        self.check_failure("begin", "The root could not be made: no namespaces here.")

    def test_disk_full(self) -> None:
        """
        Promise 9.9: if a program says that the slave's disk is full, and the slave finds it full, so does the reason,
        whatever was written after it.
        """
        self.check_disk_full("full\n", "bot1 has no room left (No space left on device): dpkg: error: exit status 2.")

    def test_disk_not_full(self) -> None:
        """
        A package that only prints that the disk is full is not believed.
        """
        self.check_disk_full("", "dpkg: error: exit status 2 (above it: No space left on device).")

    def check_disk_full(self, room: str, why: str) -> None:
        """
        Check the reason of a build with such an output, on a slave that says *room*.
        """
        output = "x" * (1 << 20) + "sh: write error: No space left on device\ndpkg: error: exit status 2"
        slave = FakeSlave(behaviour=failing("build", complaint=output, room=room))
        self.build("bookworm", slave)
        self.assertEqual(self.summary("building"), f"The package could not be built: {why}")
        (words,) = [each for each in commands(slave) if "room" in each]
        for least, said in ((("0", "0"), b""), ((str(1 << 62), "0"), b"full\n")):
            self.assertEqual(subprocess.run([*words[:-2], *least], check=True, stdout=subprocess.PIPE).stdout, said)

    def test_ended(self) -> None:
        """
        Promise 9.4: a build that was ended because of a limit has that reason, whatever it printed before.
        """
        output = "error: all is well\nThe build was ended: it wrote more than 5 MB."
        self.build("bookworm", FakeSlave(behaviour=failing("build", complaint=output, code=98)))
        why = "The package could not be built: The build was ended: it wrote more than 5 MB."
        self.assertEqual(self.summary("building"), why)

    def test_ended_by_itself(self) -> None:
        """
        Where a build may have any exit code, what it prints last is no reason of the farm's.
        """
        output = "error: it broke\nThe build was ended: it wrote more than 5 MB."
        self.build("plain", FakeSlave(behaviour=failing("any", complaint=output, code=98)))
        self.assertEqual(self.summary("building"), "The package could not be built: it broke.")

    def test_words_of_packages(self) -> None:
        """
        What programs of packages print while they are installed is not taken for apt's own words.
        """
        lacks = " builddeps:./in/x.dsc : Depends: hello but it is not installable"
        output = f"The following packages have unmet dependencies:\n{lacks}\nE: postinst failed"
        self.build("bookworm", FakeSlave(behaviour=failing(INSTALL, complaint=output)))
        sentence = "What the package needs could not be installed: E: postinst failed."
        self.assertEqual(self.summary("prepping"), sentence)

    def test_failed_preparation(self) -> None:
        """
        The same when apt finds something missing.
        """
        self.check_failure("prepare", "What the package needs could not be installed: no namespaces here.")

    def test_missing_package(self) -> None:
        """
        Promise 9.6: a package that no repository has is named in the reason of the step and of the job.
        """
        lacks = " builddeps:./in/x.dsc : Depends: hello but it is not installable\n"
        output = f"The following packages have unmet dependencies:\n{lacks}E: Unable to correct problems."
        self.build("bookworm", FakeSlave(behaviour=failing("prepare", complaint=output)))
        why = "neither the distribution nor a repository of the farm has hello."
        self.assertEqual(self.summary("prepping"), f"What the package needs could not be installed: {why}")

    def check_failure(self, word: str, sentence: str) -> None:
        """
        Check what happens when commands with *word* fail.
        """
        slave = FakeSlave(behaviour=failing(word, complaint="no namespaces here."))
        results = self.build("bookworm", slave)
        wanted = {"downloading": Result.SUCCESS, "prepping": Result.FAILURE, "cleanup": Result.SUCCESS}
        self.assertEqual(results, wanted)
        self.assertEqual(overlays(slave)[-1], ("clear", "root", "files"))
        self.assertEqual(self.summary("prepping"), sentence)

    def test_kept(self) -> None:
        """
        Promise 9.4: if asked, the root of a build that failed is kept for so many hours; that of another one is not.
        """
        slave = FakeSlave(behaviour=failing("build", complaint="it broke"))
        self.build("kept", slave)
        (kept,) = [each for each in overlays(slave) if each[0] == "keep"]
        self.assertEqual(kept[1:], ("root", "files", "amd64", "../../roots/kept", "kept-amd64-1", "86400"))
        self.assertEqual(self.summary("building"), "The package could not be built: it broke.")
        self.assertIn("package shell 1 amd64; on that machine: ", self.remarks())
        self.assertIn("package shell kept-amd64 1 --slave DIRECTORY", self.remarks())
        (run,) = [each.spec for each in slave.commands if "keep" in getattr(each.spec, "argv", ())]
        assert isinstance(run, spec.Run)
        self.assertEqual((run.timeout, run.max_time), (3600.0, 86400.0))

    def remarks(self) -> str:
        """
        The remarks about build 1.
        """
        return "\n".join(each.text for each in self.harness.read(lambda connection: remarks.of_build(connection, 1)))

    def test_old_base(self) -> None:
        """
        Promise 9.4: a build whose root has an old base, because it could not be made again, says so.
        """
        self.build("kept", FakeSlave(behaviour=keeping("E: no mirror\nwarning: the base is old\n", "begin")))
        self.assertIn("the base is old", self.remarks().split("\n"))

    def test_warned(self) -> None:
        """
        Promise 9.4: only the line that says so means that the root is not kept; other programs may print warnings.
        """
        self.build("kept", FakeSlave(behaviour=keeping("WARNING: a file of mock's is old\n")))
        self.assertIn("the root is kept on bot1", self.remarks())

    def test_refused(self) -> None:
        """
        Promise 9.4: where the root is not kept, the build says why.
        """
        self.build("kept", FakeSlave(behaviour=keeping("WARNING: old\nnot kept: none was made\n")))
        self.assertIn("the root is not kept: none was made", self.remarks())

    def test_not_kept(self) -> None:
        """
        The root of a successful build is not kept.
        """
        slave = FakeSlave(behaviour=failing())
        self.build("kept", slave)
        self.assertNotIn("keep", [each[0] for each in overlays(slave)])

    def test_leftovers(self) -> None:
        """
        Files of an earlier build are removed before the next build begins.
        """
        results = self.build("bookworm", FakeSlave(behaviour=failing("claim", "clear", complaint="Permission denied")))
        self.assertEqual(results, {"downloading": Result.FAILURE, "cleanup": Result.FAILURE})
        self.assertIn("cannot remove what an earlier build left: Permission denied", self.summary("downloading"))

    def test_plain(self) -> None:
        """
        Without a root, everything runs in the directory of the build.
        """
        slave = FakeSlave(behaviour=failing())
        self.assertEqual(self.build("plain", slave), dict.fromkeys(NAMES, Result.SUCCESS))
        self.assertEqual(overlays(slave), [(verb, "root", "files") for verb in ("claim", "clear")])

    def test_other_architecture(self) -> None:
        """
        A system of another architecture than that of the build is refused, because what it makes would be wrong.
        """
        slave = FakeSlave(behaviour=failing())
        self.build("plain", slave)
        directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, directory)
        os.mkdir(os.path.join(directory, "files"))
        dpkg = os.path.join(directory, "dpkg")
        with open(dpkg, "w", encoding="ascii") as file:
            file.write("#!/bin/sh\necho s390x\n")
        os.chmod(dpkg, 0o755)
        (words,) = [each for each in commands(slave) if "dpkg-buildpackage" in " ".join(each)]
        environment = {"PATH": f"{directory}:/usr/bin:/bin"}
        ran = subprocess.run(words, cwd=directory, env=environment, capture_output=True, check=False, timeout=60)
        self.assertEqual(ran.returncode, 1)
        self.assertEqual(ran.stderr, b"this system is of s390x, so what it builds is not for amd64\n")

    def test_links_among_results(self) -> None:
        """
        Links that a build leaves among its results are not followed, nor is one in the place of their directory.
        """
        slave = FakeSlave(behaviour=failing())
        self.build("plain", slave)
        (words,) = [each for each in commands(slave) if "only-files" in each]
        directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, directory)
        others = os.path.join(directory, "others")
        os.makedirs(os.path.join(directory, "files", "out"))
        os.mkdir(others)
        for path in (f"{others}/x.deb", f"{directory}/files/out/y.deb"):
            with open(path, "wb"):
                os.chmod(path, 0o4755)
        os.symlink(f"{others}/x.deb", f"{directory}/files/out/x.deb")
        os.symlink(others, f"{directory}/files/out/z.deb")
        ran = subprocess.run(words, cwd=directory, check=False, timeout=60, capture_output=True)
        self.assertEqual((ran.returncode, ran.stderr), (0, b""))
        self.assertEqual(os.listdir(f"{directory}/files/out"), ["y.deb"])
        self.assertEqual(os.stat(f"{directory}/files/out/y.deb").st_mode & 0o7777, 0o755)
        shutil.rmtree(f"{directory}/files/out")
        os.symlink(others, f"{directory}/files/out")
        ran = subprocess.run(words, cwd=directory, check=False, timeout=60, capture_output=True)
        self.assertEqual((ran.returncode, os.listdir(others)), (1, ["x.deb"]))
        self.assertEqual(ran.stderr, b"the build has replaced the directory of its results\n")

    def test_restarts(self) -> None:
        """
        A master that dies during the build goes on where it was, and nothing runs twice.
        """
        slave = FakeSlave()
        self.harness.attach("bot1", slave)
        self.run_command("bookworm", archive(greet()))
        ended = 0
        while self.harness.request(1).result is None:
            self.assertLess(ended, 30)
            self.harness.restart()
            self.harness.attach("bot1", slave, held=slave.held()[ended:])
            slave.commands[ended].end(0)
            ended += 1
            self.harness.settle()
        self.assertEqual(self.harness.request(1).result, Result.SUCCESS)
        self.assertEqual(
            [each[0] for each in overlays(slave)], ["claim", "begin", "prepare", "prepare", "build", "clear"]
        )

    def summary(self, step: str) -> str:
        """
        The summary of the step in the first build.
        """
        rows = self.harness.read(lambda connection: steps.of_build(connection, 1))
        return next(str(row.summary) for row in rows if row.name == step)


@needs("dpkg-buildpackage")
class DebianScriptTests(SynchronousTestCase):
    """
    The scripts that run in a root of Debian.
    """

    def test_not_extracted(self) -> None:
        """
        Where dpkg-source cannot extract a package, its error is the last line, from which the reason of the job is
        taken; what it prints on standard output comes later.
        """
        with tempfile.TemporaryDirectory() as directory:
            for name in ("in", "out"):
                os.mkdir(os.path.join(directory, name))
            (contents,) = (data for name, data in greet().items() if name.endswith(".tar.xz"))
            listed = f"\n {hashlib.md5(contents, usedforsecurity=False).hexdigest()} {len(contents)} greet_1.0.tar.xz"
            for name, data in greet(Format="3.0 (native)", Source="greetings", Files=listed).items():
                with open(os.path.join(directory, "in", name), "wb") as file:
                    file.write(data)
            architecture = subprocess.run(
                ["dpkg", "--print-architecture"], check=True, capture_output=True, text=True
            ).stdout.strip()
            ran = subprocess.run(
                ["sh", "-euc", BUILD, "sh", "any", "", architecture],
                check=False,
                cwd=directory,
                stdout=subprocess.PIPE,
                stderr=subprocess.STDOUT,
                text=True,
                timeout=60,
            )
        self.assertNotEqual(ran.returncode, 0)
        self.assertRegex(ran.stdout.splitlines()[-1], "^dpkg-source: error: .*greet_1.0.tar.xz")


def commands(slave: FakeSlave) -> Sequence[tuple[str, ...]]:
    """
    The words of all commands.
    """
    return [tuple(each.spec.argv or ()) for each in slave.commands if isinstance(each.spec, spec.Run)]


def overlays(slave: FakeSlave) -> Sequence[tuple[str, ...]]:
    """
    The words of the calls of overlay.sh.
    """
    return [words[4:] for words in commands(slave) if words[3:4] == ("overlay",)]
