"""
Targets for source RPMs, and the steps of their builds.
"""

import subprocess
from collections.abc import Mapping, Sequence
from importlib import resources
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.master.config.mistakes import MistakesError
from buildbot_lite.model import spec
from buildbot_lite.model.results import Result
from buildbot_lite.storage.records import buildsets
from test.control.test_submissions import SubmissionCase
from test.master.harness import FakeSlave

from .archives import TINY_SRPM, archive, greet
from .rpm_files import srpm
from .test_package_steps import NAMES, failing, overlays
from .test_targets import config

TARGET = """\
RpmTarget("fedora-4-extras", base_arches=["x86_64", "i686"], optional_arches=["noarch", "s390x"],
    additional_arches={"kernel": ["i586"]}, root=Overlay("bookworm"), dist=".f4", aliases=["f4"])"""
WRONG = [
    # c["targets"], parts of the sentences
    ("[RpmTarget()]", "needs the argument 'name'"),
    ('[RpmTarget("x", root=Plain())]', "needs the argument 'base_arches'"),
    ('[RpmTarget("x", ["x86_64"])]', "needs the argument 'root'"),
    ('[RpmTarget("x", [], root=Plain())]', "base_arches is empty"),
    ('[RpmTarget("x", ["noarch"], root=Plain())]', "name at least one architecture"),
    ('[RpmTarget("x", ["x86_64 i686"], root=Plain())]', "architectures of RPM"),
    ('[RpmTarget("x", ["x86_64"], root=Plain(), optional_arches=["$(id)"])]', "architectures of RPM"),
    ('[RpmTarget("x", ["x86_64"], root=Plain(), additional_arches=["i586"])]', "a dictionary like"),
    ('[RpmTarget("x", ["x86_64"], root=Plain(), additional_arches={"kernel": []})]', "must name at least one"),
    ('[RpmTarget("x", ["x86_64"], root=Plain(), dist="f4")]', 'text like ".f4"'),
    ('[RpmTarget("x", ["x86_64"], root=Plain(), dist=".f4\\n%x")]', 'text like ".f4"'),
    ('[RpmTarget("x", ["x86_64"], root=Plain(), suffix=".f4")]', "no argument 'suffix'"),
    ('[RpmTarget("x", ["x86_64"], root=Plain(), aliases=["a b"])]', "letters, digits"),
    ('[RpmTarget("x", [f"a{n}" for n in range(30)], root=Plain())]', "at most 20 are allowed"),
    ('[RpmTarget("x", ["x86_64"], root=Plain(), slavenames=["nobody"])]', "nobody"),
]
HEAD = "from buildbot_lite.packages import RpmTarget\n"
PACKAGES = [
    # BuildArch, ExclusiveArch, ExcludeArch; builders, for which they build when that is not theirs
    ([], [], [], ["x86_64", "i686"], None),
    ([], ["x86_64", "aarch64"], [], ["x86_64"], None),
    ([], ["x86_64", "s390x"], [], ["x86_64", "s390x"], None),
    (["noarch"], [], [], ["noarch"], None),
    (["noarch"], [], ["x86_64"], ["i686"], "noarch"),
    (["noarch"], ["x86_64", "noarch"], [], ["x86_64"], "noarch"),
]


def package(build: Sequence[str] = (), exclusive: Sequence[str] = (), exclude: Sequence[str] = ()) -> bytes:
    """
    A source RPM with these values of BuildArch, ExclusiveArch and ExcludeArch.
    """
    tags = {"t1089": build, "t1061": exclusive, "t1059": exclude}
    return srpm(**{tag: values for tag, values in tags.items() if values})


class RpmTargetTests(SynchronousTestCase):
    """
    The builders and schedulers that a target stands for.
    """

    def test_contribution(self) -> None:
        """
        Promise 9.3: a target makes a builder for each of its architectures, and a scheduler for each of its names.
        """
        found = config(HEAD + f'c["targets"] = [{TARGET}]\n')
        names = [f"fedora-4-extras-{arch}" for arch in ("x86_64", "i686", "noarch", "s390x", "i586")]
        self.assertEqual(list(found.builders), names)
        self.assertEqual(set(found.submits), {"fedora-4-extras", "f4"})
        self.assertEqual(found.submits["f4"].builder_names, tuple(names))
        self.assertEqual(tuple(step.name for step in found.builders[names[0]].steps), NAMES)

    def test_mistakes(self) -> None:
        """
        Each mistake is one sentence with the line of the target.
        """
        for text, sentence in WRONG:
            with self.subTest(text=text):
                error = self.assertRaises(MistakesError, config, HEAD + f'c["targets"] = {text}')
                self.assertIn(sentence, str(error))
                self.assertIn("master.cfg:6: ", str(error))


class RpmBuildTests(SubmissionCase):
    """
    Submitting source RPMs, and what their builds run.
    """

    built = 0

    def configuration(self) -> str:
        return (
            "from buildbot_lite.packages import Overlay, Plain, RpmTarget\n"
            'c["slaves"] = [slave.BuildSlave("bot1", properties={"arch": ["x86_64", "i686", "i586", "s390x"]})]\n'
            f'c["targets"] = [{TARGET}, RpmTarget("plain", ["x86_64"], Plain())]\n'
        )

    def test_chosen(self) -> None:
        """
        Promise 9.3: the builds are those of the plan; a noarch package that excludes some machines of the target is
        built on one of the others.
        """
        for number, (build, exclusive, exclude, builders, built_for) in enumerate(PACKAGES, 1):
            with self.subTest(build=build, exclusive=exclusive, exclude=exclude):
                before = len(self.requests())
                self.run_command("f4", package(build, exclusive, exclude))
                found = [each.builder for each in self.requests()[before:]]
                self.assertEqual(found, [f"fedora-4-extras-{arch}" for arch in builders])
                self.assertEqual(self._properties(number).get("built_for"), built_for)

    def test_refused(self) -> None:
        """
        Promise 9.1: a source package of Debian, or one for other architectures, is refused with one sentence.
        """
        for data, sentence in (
            (archive(greet()), "greet 1.0 is a source package of Debian, and fedora-4-extras builds RPM packages."),
            (package(exclusive=["aarch64"]), "hello cannot be built at this target"),
            (TINY_SRPM[:-1], "damaged or truncated"),
        ):
            with self.subTest(sentence=sentence):
                watcher = self.run_command("fedora-4-extras", data)
                self.assertIn(sentence, watcher.err)
                self.assertEqual((watcher.codes, watcher.err.count("\n")), ([2], 1))
                self.assertEqual(self.requests(), [])

    def test_steps(self) -> None:
        """
        Promise 9.4: the root has RPM's tools, and nothing of the package runs with the network.
        """
        slave = FakeSlave(behaviour=failing())
        self.assertEqual(self.build("f4", slave, package(exclusive=["i686"])), dict.fromkeys(NAMES, Result.SUCCESS))
        words = [" ".join(each) for each in overlays(slave)]
        begun = next(each for each in words if "bookworm i386" in each)
        self.assertIn("debhelper,rpm,dnf,file", begun)
        runs = [each for each in overlays(slave) if "i686" in each and "sh" in each]
        self.assertEqual(
            [each[-4:] for each in runs],
            [("debian unpack needs installed", "i686", ".f4", "builder"), ("build", "i686", ".f4", "builder")],
        )
        self.assertEqual([each for each in runs if "yes" in each], [])

    def test_noarch(self) -> None:
        """
        A noarch package is built in the root of the target's first architecture, or of the one that it allows.
        """
        for data, on in ((package(["noarch"]), "x86_64"), (package(["noarch"], exclude=["x86_64"]), "i686")):
            slave = FakeSlave(behaviour=failing())
            self.build("f4", slave, data)
            built = [each for each in overlays(slave) if "noarch" in each][-1]
            self.assertIn(on, built)
            self.assertEqual(built[-4:], ("build", "noarch", ".f4", "builder"))
            slave.lose()

    def test_downloaded(self) -> None:
        """
        A source RPM comes to the slave as a file of its own, or in the archive in which it was submitted.
        """
        for data, path, unpack in (
            (package(), "files/in/hello-2.10-1.src.rpm", False),
            (archive({"x.src.rpm": package()}), "files/in", True),
        ):
            slave = FakeSlave(behaviour=failing())
            self.build("plain", slave, data)
            (download,) = [each.spec for each in slave.commands if isinstance(each.spec, spec.Download)]
            self.assertTrue(download.path.endswith(path), download.path)
            self.assertEqual(download.unpack, unpack)
            slave.lose()

    def build(self, target: str, slave: FakeSlave, data: bytes) -> Mapping[str, Result | None]:
        """
        The results of the steps of the last build when *data* is submitted to *target*.
        """
        self.harness.attach("bot1", slave)
        self.run_command(target, data)
        self.harness.settle()
        self.built += 1
        return dict(self.harness.steps(self.built))

    def _properties(self, number: int) -> Mapping[str, Any]:
        buildset = self.harness.read(lambda connection: buildsets.get(connection, number))
        assert buildset is not None
        return {name: value for name, (value, _) in buildset.properties.items()}


class RpmScriptTests(SynchronousTestCase):
    """
    The script that builds on the slave.
    """

    def test_needs_are_no_macros(self) -> None:
        """
        Promise 9.4: a requirement of a source with a percent sign, which RPM printed of two, is no macro for root.
        """
        script = resources.files("buildbot_lite.packages.building").joinpath("rpm.sh").read_text()
        with TemporaryDirectory() as work:
            Path(work, "needs").write_text("make\nfoo%(touch evil)\nrpmlib(X)\n")
            calls = 'empty_package() { cat >"$work/spec"; }; dnf() { :; }; work=$PWD; install_needs'
            argv = ["sh", "-euc", f"{script}\n{calls}", "sh", "", "x86_64", "", ""]
            subprocess.run(argv, cwd=work, check=True, timeout=60)
            self.assertEqual(Path(work, "spec").read_text(), "Requires: make\nRequires: foo%%(touch evil)\n")
