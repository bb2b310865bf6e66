"""
Artifacts of other builds as the input of a build.
"""

import hashlib
import os
from collections.abc import Mapping
from typing import Any

from sqlalchemy import Connection
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import ConfigError, LinkLostError
from buildbot_lite.master.builds.other_artifacts import find
from buildbot_lite.master.config.artifacts import WantedArtifact
from buildbot_lite.master.config.mistakes import MistakesError
from buildbot_lite.model.results import Result
from buildbot_lite.model.spec import Download, Upload
from buildbot_lite.plugins import util
from buildbot_lite.storage.records import builds, journal, remarks, requests, streams

from .configurations import builder_config, master_cfg
from .harness import FakeSlave, MasterHarness, StartedCommand, succeeding

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
        self,
        harness: MasterHarness,
        checksum: str,
        *,
        result: Result = Result.SUCCESS,
        source: Mapping[str, Any] = {},
        **properties: str,
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
                properties={name: [value, "test"] for name, value in properties.items()},
            )
            path = f"make/{build.number}/app"
            stream = streams.note(connection, build.id, 0, 0, name="artifact", kind="artifact", path=path)
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
        self.assertIn("has code from a fork", self.found(harness, by_number)["problem"])
        self.assertEqual(self.found(harness, by_number, untrusted=True)["label"], "make/4")
        for wanted, said in {
            WantedArtifact("x", "make", "last good"): "no good build of 'make' has it",
            WantedArtifact("app", "make", 9): "build make/9 does not have it",
            WantedArtifact("app", None, "trigger"): "no Trigger of another build started this build",
        }.items():
            with self.subTest(said):
                self.assertIn(said, self.found(harness, wanted)["problem"])

    def test_branch(self) -> None:
        """
        With a branch, the last good build is the newest of this branch, by the property "branch" or else as submitted;
        None are builds without a branch.
        """
        harness = self.farm()
        self.made(harness, "1", source={"branch": "main"})
        self.made(harness, "2")
        self.made(harness, "3", source={"branch": "main"}, branch="v1")
        self.made(harness, "4", source={"branch": "main"}, result=Result.FAILURE)
        self.made(harness, "5", source={"branch": "other"})
        for branch, label in {"main": "make/1", None: "make/2", "v1": "make/3", "*": "make/5"}.items():
            with self.subTest(branch):
                wanted = WantedArtifact("app", "make", "last good", branch)
                self.assertEqual(self.found(harness, wanted)["label"], label)
        for branch, said in {"v2": "of branch 'v2' has it", "": "of branch '' has it"}.items():
            with self.subTest(branch):
                wanted = WantedArtifact("app", "make", "last good", branch)
                self.assertIn(said, self.found(harness, wanted)["problem"])

    def test_rendered_branch(self) -> None:
        """
        A build takes the last good artifact of its own branch.
        """
        harness = self.farm('builder="make", branch=util.Property("branch")')
        self.made(harness, "1", source={"branch": "main"})
        self.made(harness, "2", source={"branch": "other"})
        slave = harness.attach()
        harness.submit(source={"branch": "main"})
        harness.settle()
        spec = slave.commands[-1].spec
        assert isinstance(spec, Download)
        self.assertEqual(spec.sha256, "1" * 64)

    def test_chosen_once(self) -> None:
        """
        A build whose master dies after the choice of an artifact and before the slave has got the download takes the
        same artifact, although a newer good build exists by then.
        """
        harness = self.farm()
        self.made(harness, "1")
        slave = FakeSlave(refusal=LinkLostError())
        harness.attach(slave=slave)
        request = harness.submit()
        harness.settle()
        self.assertEqual(slave.commands, [])
        self.made(harness, "2")
        harness.restart()
        harness.attach(slave=(second := FakeSlave(behaviour=succeeding)))
        harness.settle()
        self.assertIs(harness.request(request).result, Result.SUCCESS)
        spec = second.commands[-1].spec
        assert isinstance(spec, Download)
        self.assertEqual((len(harness.builds(request)), spec.sha256), (1, "1" * 64))
        (build,) = harness.builds(request)
        choice = harness.read(lambda connection: journal.of_build(connection, build.id))[0]
        # As a version that knew no branches recorded it: its builds go on.
        self.assertEqual(choice.intent, {"name": "app", "builder": "make", "build": "last good"})

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

    def test_uploaded(self) -> None:
        """
        Each upload is found by the name that it was given, with the builder's name as it is in the directory of
        artifacts.
        """
        uploads = [f"steps.FileUpload('{name}', '{name}')" for name in ("app", "dist/app")]
        harness = MasterHarness(
            master_cfg(
                builders=[builder_config("make it", slaves=["bot1"], steps=uploads)],
                schedulers=['schedulers.Submit("go", ["make it"])'],
            )
        )
        contents = {"make_it/build/app": b"first", "make_it/build/dist/app": b"second"}

        def upload(started: StartedCommand) -> None:
            assert isinstance(started.spec, Upload)
            content = contents[started.spec.path]
            started.write(content, "artifact")
            started.end(0, streams={"artifact": content})

        harness.attach(slave=FakeSlave(behaviour=upload))
        request = harness.submit()
        harness.settle()
        self.assertIs(harness.request(request).result, Result.SUCCESS)
        for name, content in {"app": b"first", "dist/app": b"second"}.items():
            found = self.found(harness, WantedArtifact(name, "make it", "last good"))
            self.assertEqual(found["sha256"], hashlib.sha256(content).hexdigest())
            with open(os.path.join(harness.basedir, "artifacts", found["path"]), "rb") as file:
                self.assertEqual(file.read(), content)

    def test_missing(self) -> None:
        """
        A missing artifact fails the build.
        """
        harness = self.farm()
        harness.attach()
        request = harness.submit()
        harness.settle()
        self.assertIs(harness.request(request).result, Result.FAILURE)

    def test_unknown_builder(self) -> None:
        """
        A builder that is not configured is a mistake of its line, with a builder of a similar name.
        """
        with self.assertRaises(MistakesError) as caught:
            self.farm('builder="mkae"')
        (mistake,) = caught.exception.mistakes
        self.assertEqual(mistake.sentence, "Artifact: there is no builder 'mkae'.  Did you mean 'make'?")
        self.assertIsNotNone(mistake.place.line)

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
            '"../app", "make"': "name of an artifact",
            '"app", "make", branch=""': "name of a branch",
            '"app", "make", 3, branch="main"': "branch may be given only with",
        }.items():
            with self.subTest(arguments):
                with self.assertRaises(ConfigError) as caught:
                    exec(f"util.Artifact({arguments})", {"util": util})
                self.assertIn(said, str(caught.exception))
