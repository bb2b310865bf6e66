"""
``c["targets"]``, and the submission of source packages.
"""

import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.extensions import configuration_keys
from buildbot_lite.master.config.loading import load
from buildbot_lite.master.config.master_config import MasterConfig
from buildbot_lite.master.config.mistakes import MistakesError
from buildbot_lite.model.results import Result
from buildbot_lite.storage.records import buildsets
from test.control.test_submissions import SubmissionCase
from test.master.harness import FakeSlave, MasterHarness, succeeding

from ..needs import needs
from .archives import TINY_SRPM, archive, greet
from .keys import GnupgHome

HEAD = """\
from buildbot_lite.plugins import schedulers, slave, steps, util
from buildbot_lite.packages import DebTarget, Mock, Overlay, Plain, RpmTarget, Sbuild
c = BuildmasterConfig = {}
c["slaves"] = [slave.BuildSlave("bot1"), slave.BuildSlave("arm", properties={"arch": ["arm64", "armhf"]})]
"""
TARGET = 'DebTarget("bookworm", arches=["amd64", "i386", "all"], root=Overlay("bookworm"), version_suffix="+farm1")'
WRONG = [
    # c["targets"], parts of the sentences
    ("5", "a list of targets"),
    ("[5]", 'one like DebTarget("bookworm", …)'),
    (f"[{TARGET}, {TARGET}]", "There are two targets called"),
    ("[DebTarget()]", "needs the argument 'name'"),
    ('[DebTarget("x", arches=["amd64"])]', "needs the argument 'root'"),
    ('[DebTarget("x", root=Plain())]', "needs the argument 'arches'"),
    ('[DebTarget("a b", arches=["amd64"], root=Plain())]', "letters, digits"),
    ('[DebTarget("x", arches=["amd64"], root="bookworm")]', "a root, like Overlay"),
    ('[DebTarget("x", arches=[], root=Plain())]', "arches"),
    ('[DebTarget("x", arches=["any"], root=Plain())]', "name the architectures themselves"),
    ('[DebTarget("x", arches=["all"], root=Plain())]', "name at least one architecture"),
    ('[DebTarget("x", arches=["amd64 i386"], root=Plain())]', "letters, digits"),
    ('[DebTarget("x", arches=["amd64"], root=Plain(), version_suffix="$(id)")]', "small letters, digits"),
    ('[DebTarget("x", arches=["amd64"], root=Plain(), roots_from="results")]', "one of 'build', 'public'"),
    ('[DebTarget("x", arches=["amd64"], root=Plain(), replaces=["gcc\\nPin: *"])]', "names of packages, or patterns"),
    ('[DebTarget("x", arches=["amd64"], root=Plain(), sign="yes")]', '"manual", "auto" or None'),
    ('[DebTarget("x", arches=["amd64"], root=Plain(), sign="manual")]', "gpg --armor --export KEY > keys/farm.asc"),
    ('[DebTarget("x", arches=["amd64"], root=Plain(), sign="auto", sign_key=5)]', "sign_key"),
    ('[DebTarget("x", arches=["amd64"], root=Plain(), repo_script=["push.sh"])]', "repo_script"),
    ('[DebTarget("x", arches=["amd64"], root=Plain(), repo_script="push.sh")]', "need repository"),
    ('[DebTarget("x", arches=["amd64"], root=Plain(), repository="../x")]', "a directory in that of the master"),
    ('[DebTarget("x", arches=["amd64"], root=Plain(), repository="/srv/x")]', "a directory in that of the master"),
    ('[DebTarget("x", arches=["amd64"], root=Plain(), repository="artifacts/x")]', "which nothing else uses"),
    ('[DebTarget("x", arches=["amd64"], root=Plain(), repository=".")]', "a directory in that of the master"),
    (
        '[DebTarget(name, arches=["amd64"], root=Plain(), repository=r) for name, r in (("x", "r"), ("y", "r/y"))]',
        "Two targets have their repository",
    ),
    ('[DebTarget("x", arches=["amd64"], root=Plain(), suffix="+1")]', "no argument 'suffix'"),
    ('[DebTarget("x", arches=["amd64"], root=Overlay("bookworm", mirror="no address"))]', "an address like"),
    ('[DebTarget("x", arches=["amd64"], root=Overlay("bookworm", packages=["a;b"]))]', "letters, digits"),
    ('[DebTarget("x", arches=["amd64"], root=Overlay("book worm"))]', "letters, digits"),
    ('[DebTarget("x", arches=["amd64"], root=Sbuild())]', "needs the argument 'suite'"),
    ('[DebTarget("x", arches=["amd64"], root=Sbuild("book worm"))]', "letters, digits"),
    ('[DebTarget("x", arches=["amd64"], root=Sbuild("bookworm", mirror="no address"))]', "an address like"),
    ('[DebTarget("x", arches=["amd64"], root=Sbuild("bookworm", packages=["a;b"]))]', "letters, digits"),
    ('[DebTarget("x", arches=["amd64"], root=Sbuild("bookworm", refresh=1))]', "60"),
    ('[DebTarget("x", arches=["amd64"], root=Sbuild("bookworm", longest="long"))]', "longest"),
    ('[DebTarget("x", arches=["amd64"], root=Sbuild("bookworm", keep_failed=-1))]', "a number of hours, from 0"),
    ('[DebTarget("x", arches=["amd64"], root=Plain(keep_failed=1))]', "no argument 'keep_failed'"),
    ('[RpmTarget("x", ["x86_64"], root=Mock())]', "needs the argument 'config'"),
    ('[RpmTarget("x", ["x86_64"], root=Mock("../{arch}"))]', "the name of a configuration of mock"),
    ('[RpmTarget("x", ["x86_64"], root=Mock("f-{arch} --enable-network"))]', "the name of a configuration of mock"),
    ('[RpmTarget("x", ["x86_64"], root=Mock("f-{dist}"))]', "the name of a configuration of mock"),
    ('[RpmTarget("x", ["x86_64"], root=Mock("f-{arch}", longest=0))]', "longest"),
    ('[RpmTarget("x", ["x86_64"], root=Mock("f-{arch}", keep_failed="day"))]', "a number of hours, from 0 to 8760"),
    ('[DebTarget("x", arches=["amd64"], root=Mock("f-{arch}"))]', "Mock cannot build for DebTarget"),
    ('[RpmTarget("x", ["x86_64"], root=Sbuild("bookworm"))]', "Sbuild cannot build for RpmTarget"),
    ('[DebTarget("x", arches=["amd64"], root=Plain(), slavenames=["nobody"])]', "nobody"),
    ('[DebTarget("bot1", arches=["amd64"], root=Plain())]', "both called 'bot1'"),
]


def config(text: str) -> MasterConfig:
    """
    The configuration of a farm with two slaves and *text*.
    """
    directory = tempfile.mkdtemp(prefix="farm-")
    try:
        return load(directory, HEAD + text, keys=configuration_keys()).config
    finally:
        shutil.rmtree(directory)


class TargetsTests(SynchronousTestCase):
    """
    The builders and schedulers that targets stand for.
    """

    def test_contribution(self) -> None:
        """
        A target makes a builder for each architecture, and a scheduler; other objects may refer to them.
        """
        found = config(
            f'c["targets"] = [{TARGET}]\nc["schedulers"] = [schedulers.Dependent("then", "bookworm", ["bookworm-all"])]'
        )
        self.assertEqual(list(found.builders), ["bookworm-amd64", "bookworm-i386", "bookworm-all"])
        self.assertEqual(set(found.schedulers), {"then", "bookworm"})
        self.assertEqual(found.submits["bookworm"].builder_names, tuple(found.builders))
        self.assertEqual(
            [step.name for step in found.builders["bookworm-amd64"].steps],
            ["downloading", "prepping", "building", "uploading", "cleanup"],
        )

    def test_slaves(self) -> None:
        """
        A slave whose property names architectures builds for those; without it, the slave's machine decides.
        """
        found = config('c["targets"] = [DebTarget("x", arches=["amd64", "armhf"], root=Plain())]')
        self.assertEqual(found.builders["x-amd64"].slavenames, ("bot1",))
        self.assertEqual(found.builders["x-armhf"].slavenames, ("bot1", "arm"))

    def test_mistakes(self) -> None:
        """
        Each mistake is one sentence with the line of the target.
        """
        for text, sentence in WRONG:
            with self.subTest(text=text):
                error = self.assertRaises(MistakesError, config, f'c["targets"] = {text}')
                self.assertIn(sentence, str(error))
                self.assertIn("master.cfg:5: ", str(error))

    @needs("gpg")
    def test_keys(self) -> None:
        """
        Promise 9.7: a file of public keys that is missing, or holds a secret key, is a remark when master.cfg is
        loaded, with the line of the target and the remedy; a good one is none.
        """
        directory = Path(tempfile.mkdtemp(prefix="farm-"))
        self.addCleanup(shutil.rmtree, directory)
        key = GnupgHome()
        self.addCleanup(key.remove)
        text = (
            'c["targets"] = [DebTarget("x", arches=["amd64"], root=Plain(), repository="r", sign="manual", '
            f'sign_key="farm.asc", keyring="{directory}/developers.asc")]'
        )

        def remarks() -> list[str]:
            return [str(each) for each in load(str(directory), HEAD + text, keys=configuration_keys()).remarks]

        signers, developers = remarks()
        self.assertIn("master.cfg:5: DebTarget 'x': sign_key: The public key of the target cannot be read", signers)
        self.assertIn("Write it: gpg --armor --export KEY > farm.asc", signers)
        self.assertIn(f"keyring: The public key of the target cannot be read: {directory}/developers.asc", developers)
        (directory / "developers.asc").write_bytes(key.public())
        (directory / "farm.asc").write_text("nothing")
        (signers,) = remarks()
        self.assertIn("sign_key: ", signers)
        (directory / "farm.asc").write_bytes(key.public())
        self.assertEqual(remarks(), [])

    def test_repo_script(self) -> None:
        """
        Promise 9.7: a repo_script that is missing, or is no program, is a remark when master.cfg is loaded, long before
        something is published; a good one is none.
        """
        directory = Path(tempfile.mkdtemp(prefix="farm-"))
        self.addCleanup(shutil.rmtree, directory)
        script = directory / "push.sh"
        text = 'c["targets"] = [DebTarget("x", arches=["amd64"], root=Plain(), repository="r", repo_script="push.sh")]'

        def remarks() -> list[str]:
            return [str(each) for each in load(str(directory), HEAD + text, keys=configuration_keys()).remarks]

        (missing,) = remarks()
        self.assertIn("master.cfg:5: DebTarget 'x': repo_script: There is no program push.sh in the master's", missing)
        script.mkdir()
        (no_file,) = remarks()
        self.assertIn("There is no program push.sh", no_file)
        script.rmdir()
        script.write_text("#!/bin/sh\n")
        (forbidden,) = remarks()
        self.assertIn("repo_script: push.sh cannot be run.  Permit it: chmod +x push.sh", forbidden)
        script.chmod(0o755)
        self.assertEqual(remarks(), [])

    def test_names_that_are_taken(self) -> None:
        """
        A builder of another origin with the name of a target's is a mistake.
        """
        other = 'util.BuilderConfig("bookworm-all", ["bot1"], util.BuildFactory())'
        error = self.assertRaises(MistakesError, config, f'c["targets"] = [{TARGET}]\nc["builders"] = [{other}]')
        self.assertIn("There is a builder called 'bookworm-all' already", str(error))


class SubmittingTests(SubmissionCase):
    """
    Submitting source packages to a target.
    """

    def configuration(self) -> str:
        return (
            "from buildbot_lite.packages import DebTarget, Overlay\n"
            'c["slaves"] = [slave.BuildSlave("bot1")]\n'
            f'c["targets"] = [{TARGET}]\n'
        )

    def test_accepted(self) -> None:
        """
        Promise 9.1: the package is built for the architectures that apply, and its builds say what they build.
        """
        watcher = self.run_command("bookworm", archive(greet(Architecture="any all")))
        self.assertIn("requests 1, 2, 3: watch with pb://", watcher.err)
        found = self.requests()
        self.assertEqual([each.builder for each in found], ["bookworm-amd64", "bookworm-i386", "bookworm-all"])
        self.assertEqual(self._properties()["package"], "greet")
        self.assertEqual(self._properties()["package_version"], "1.0")

    def test_chosen(self) -> None:
        """
        Promise 9.3: other architectures are left out, with the reason as a property of the builds.
        """
        self.run_command("bookworm", archive(greet(Architecture="i386")))
        self.assertEqual([each.builder for each in self.requests()], ["bookworm-i386"])
        self.assertEqual(set(self._properties()["skipped"]), {"amd64", "all"})

    def test_refused(self) -> None:
        """
        Promise 9.1: a file that is no source package, or is for another target, gives one sentence; nothing is queued.
        """
        for data, sentence in (
            (archive({"x": b""}), "neither a .dsc nor a .src.rpm"),
            (archive(greet())[:1200], "only a part of one"),
            (archive(greet(Architecture="arm64")), "the package is for arm64 only"),
            (TINY_SRPM, "is a source RPM, and bookworm builds packages of Debian"),
            (b"", "no tar archive"),
        ):
            with self.subTest(sentence=sentence):
                watcher = self.run_command("bookworm", data)
                self.assertIn(sentence, watcher.err)
                self.assertEqual((watcher.codes, watcher.err.count("\n")), ([2], 1))
                self.assertEqual(self.requests(), [])

    def test_reconfigured_meanwhile(self) -> None:
        """
        A package that is examined while the target changes is examined again, for the builders that there are then;
        if the target is gone, the submitter reads that.
        """
        started: list[Callable[[], None]] = []
        submissions = self.farm.submissions
        self.patch(submissions, "_in_thread", lambda work: _held(started, work))
        watcher = self.run_command("bookworm", archive(greet(Architecture="any all")))
        text = self.configuration()
        self._reconfigure(text.replace('"amd64", ', ""))
        started.pop()()
        self.harness.settle()
        self.assertEqual(self.requests(), [])
        started.pop()()
        self.harness.settle()
        self.assertEqual([each.builder for each in self.requests()], ["bookworm-i386", "bookworm-all"])
        self.assertEqual(watcher.codes, [])

        gone = self.run_command("bookworm", archive(greet()))
        self._reconfigure(text.replace(f"[{TARGET}]", "[]"))
        started.pop()()
        self.harness.settle()
        self.assertEqual((gone.codes, started), ([2], []))
        self.assertIn("bookworm is not in master.cfg any more", gone.err)

    def _reconfigure(self, text: str) -> None:
        self.harness.configure(text)
        self.harness.done(self.farm.reconfiguration.apply())

    def _properties(self) -> Mapping[str, Any]:
        buildset = self.harness.read(lambda connection: buildsets.get(connection, 1))
        assert buildset is not None
        return {name: value for name, (value, _) in buildset.properties.items()}


def _held(started: list[Callable[[], None]], work: Callable[[], Any]) -> Deferred[Any]:
    """
    Hold *work* until the last of *started* is called.
    """
    held: Deferred[Any] = Deferred()
    started.append(lambda: held.callback(work()))
    return held


class MachinesTests(SynchronousTestCase):
    """
    ``requires={"arch": …}``.
    """

    def test_detected(self) -> None:
        """
        Promise 9.2: a slave whose machine is another gets no build, and the request says why; the right one gets it.
        """
        text = (
            'c["slaves"] = [slave.BuildSlave("bot1"), slave.BuildSlave("bot2")]\n'
            'f = util.BuildFactory([steps.ShellCommand(command=["run"])])\n'
            'c["builders"] = [util.BuilderConfig("b", factory=f, requires={"arch": "i386"})]\n'
            'c["schedulers"] = [schedulers.Submit("go", ["b"])]\n'
        )
        harness = MasterHarness(text)
        for name in ("bot1", "bot2"):
            harness.attach(name, FakeSlave(behaviour=succeeding), platform={"machine": "aarch64"})
        request = harness.submit()
        why = harness.farm.dispatcher.why(request)
        assert why is not None
        self.assertEqual(
            why.sentence,
            "bot1 is a machine of aarch64, and i386 is needed; bot2 is a machine of aarch64, and i386 is needed",
        )
        harness.attach("bot2", FakeSlave(behaviour=succeeding), platform={"machine": "x86_64"})
        self.assertEqual([each.slave for each in harness.builds(request)], ["bot2"])
        self.assertEqual(harness.request(request).result, Result.SUCCESS)
