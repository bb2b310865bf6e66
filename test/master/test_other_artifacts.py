"""
Artifacts of other builds as the input of a build.
"""

from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import ConfigError
from buildbot_lite.master.builds.other_artifacts import find
from buildbot_lite.master.config.artifacts import WantedArtifact
from buildbot_lite.model.results import Result
from buildbot_lite.model.spec import Download
from buildbot_lite.plugins import util
from buildbot_lite.storage.records import builds, journal, remarks, requests, streams

from .configurations import builder_config, master_cfg
from .harness import MasterHarness

USE = 'steps.FileDownload(mastersrc=util.Artifact("app", {}), slavedest="app")'


class OtherArtifactTests(SynchronousTestCase):
    """
    Promise 8.7: artifacts of one build are the input of another.
    """

    def farm(self, artifact: str = 'builder="make"') -> MasterHarness:
        """
        A farm whose builder "use" downloads the *artifact*.
        """
        return MasterHarness(
            master_cfg(
                builders=[
                    builder_config("make", slaves=["bot1"], steps=[]),
                    builder_config("use", slaves=["bot1"], steps=[USE.format(artifact)]),
                ],
                schedulers=['schedulers.Submit("go", ["use"])'],
            )
        )

    def made(
        self, harness: MasterHarness, checksum: str, *, result: Result = Result.SUCCESS, source: Mapping[str, bool] = {}
    ) -> int:
        """
        A finished build of "make" with an artifact of 3 bytes; its row.
        """

        def change(connection: Connection) -> int:
            submitted = requests.submit(
                connection, scheduler="s", builders=["make"], reason="", now=1.0, source=dict(source)
            )
            build = builds.start(
                connection,
                request=submitted.requests[0].id,
                builder="make",
                slave="bot1",
                nonce="0" * 32,
                generation=harness.farm.generations.current.hash,
                now=1.0,
            )
            path = f"make/{build.number}/app"
            stream = streams.note(connection, build.id, 0, 0, name="app", kind="artifact", path=path)
            streams.seal(connection, stream.id, 3, checksum * 64)
            builds.finish(connection, build.id, result, 2.0)
            requests.finish(connection, submitted.requests[0].id, result, 2.0)
            return build.id

        found: list[int] = []
        _ = harness.records.write(change).addCallback(found.append)
        return found[0]

    def found(
        self, harness: MasterHarness, wanted: WantedArtifact, *, untrusted: bool = False, parent: int | None = None
    ) -> Any:
        """
        What `find` answers.
        """
        return harness.read(lambda connection: find(connection, wanted, parent=parent, untrusted=untrusted))

    def test_choices(self) -> None:
        """
        The last good build is no failed one and of no fork; a number and the triggering build name one; what is missing
        is said.
        """
        harness = self.farm()
        first = self.made(harness, "1")
        self.made(harness, "2", result=Result.WARNINGS)
        self.made(harness, "3", result=Result.FAILURE)
        self.made(harness, "4", source={"untrusted": True})
        last = WantedArtifact("app", "make", "last good")
        self.assertEqual(self.found(harness, last)["label"], "make/2")
        self.assertEqual(self.found(harness, last, untrusted=True)["label"], "make/2")
        self.assertEqual(self.found(harness, WantedArtifact("app", "make", 3))["sha256"], "3" * 64)
        self.assertEqual(self.found(harness, WantedArtifact("app", None, "trigger"), parent=first)["label"], "make/1")
        by_number = WantedArtifact("app", "make", 4)
        self.assertIn("is of a fork", self.found(harness, by_number)["problem"])
        self.assertEqual(self.found(harness, by_number, untrusted=True)["label"], "make/4")
        for wanted, said in {
            WantedArtifact("x", "make", "last good"): "no good build of 'make' has it",
            WantedArtifact("app", "make", 9): "build make/9 does not have it",
            WantedArtifact("app", None, "trigger"): "no Trigger of another build started this build",
        }.items():
            with self.subTest(said):
                self.assertIn(said, self.found(harness, wanted)["problem"])

    def test_many_of_forks(self) -> None:
        """
        Many newer builds of forks do not hide the last good build.
        """
        harness = self.farm()
        self.made(harness, "1", source={"untrusted": False})
        for _ in range(201):
            self.made(harness, "2", source={"untrusted": True})
        self.assertEqual(self.found(harness, WantedArtifact("app", "make", "last good"))["label"], "make/1")

    def test_huge_number(self) -> None:
        """
        A number that no build can have is refused with a sentence.
        """
        for number in (1 << 70, str(1 << 70), "9" * 5000):
            with self.assertRaisesRegex(ConfigError, "build must be a number"):
                util.Artifact("app", "make", number)

    def test_download(self) -> None:
        """
        The slave gets the artifact with its recorded size and checksum, the choice is in the journal, a remark says it.
        """
        harness = self.farm()
        made = self.made(harness, "1")
        slave = harness.attach()
        harness.submit()
        harness.settle()
        spec = slave.commands[-1].spec
        assert isinstance(spec, Download)
        self.assertEqual((spec.size, spec.sha256), (3, "1" * 64))
        build = harness.read(lambda connection: builds.by_number(connection, "use", 1))
        entries = harness.read(lambda connection: journal.of_build(connection, build.id))
        chosen = [each.outcome for each in entries if each.kind == "artifact"]
        self.assertEqual([each["build"] for each in chosen], [made])
        said = harness.read(lambda connection: remarks.of_build(connection, build.id))
        self.assertIn("app of make/1", [each.text for each in said])

    def test_missing(self) -> None:
        """
        A missing artifact fails the build.
        """
        harness = self.farm()
        harness.attach()
        request = harness.submit()
        harness.settle()
        self.assertIs(harness.request(request).result, Result.FAILURE)

    def test_mistakes(self) -> None:
        """
        What names no build is a mistake.
        """
        for arguments, said in {
            '"app"': "give the builder",
            '"app", "make", "trigger"': "give the builder",
            '"app", "make", "latest"': '"last good"',
            '"app", "make", 0': "a number",
            '"", "make"': "name of an artifact",
        }.items():
            with self.subTest(arguments):
                with self.assertRaises(ConfigError) as caught:
                    exec(f"util.Artifact({arguments})", {"util": util})
                self.assertIn(said, str(caught.exception))
