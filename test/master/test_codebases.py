"""
Codebases of changes: what c['codebaseGenerator'] returns, and what happens when it fails.
"""

from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import BuildbotLiteError
from buildbot_lite.master.config.change_fields import change_of
from buildbot_lite.master.scheduling.changes.codebases import with_codebase
from buildbot_lite.model.change import Change
from buildbot_lite.storage.records import changes

from .configurations import sentences_in
from .harness import MasterHarness
from .scheduled import ScheduledFarm
from .test_git_poller import INTERVAL, PollerCase

GENERATOR = """
names = {"https://example.org/app.git": "app", "https://example.org/lib.git": "lib"}
c["codebaseGenerator"] = lambda chdict: names[chdict["repository"]]
"""
APP, LIB = "https://example.org/app.git", "https://example.org/lib.git"
BOTH = """schedulers.AnyBranchScheduler("all", ["b"], codebases={
    "app": {"repository": "https://example.org/app.git", "branch": "main"},
    "lib": {"repository": "https://example.org/lib.git", "branch": "stable"},
})"""


class GeneratorTests(SynchronousTestCase):
    """
    A function that gets the dictionary of a change, and returns its codebase.
    """

    def codebases(self, farm: MasterHarness) -> list[str]:
        """
        Those of the recorded changes.
        """
        return [each.change.codebase for each in farm.read(lambda connection: changes.after(connection, 0))]

    def test_other_codebase(self) -> None:
        """
        Promise 8.2: ``codebases`` of a scheduler leave out the changes of others without a word; a scheduler without
        them says in status that a change has a codebase.
        """
        for codebases, sentence in (("codebases=['app']", None), ("", "change 1 is of the codebase 'lib'")):
            farm = ScheduledFarm(f"schedulers.AnyBranchScheduler('s', ['b'], {codebases})", before=GENERATOR)
            farm.change(repository=LIB)
            error = farm.described("s")["error"]
            self.assertEqual(farm.built, [])
            if sentence is None:
                self.assertIsNone(error)
            else:
                self.assertIn(sentence, error[1])

    def test_schedulers(self) -> None:
        """
        Promise 8.2: a change gets its codebase by the generator, before schedulers decide by it.
        """
        farm = ScheduledFarm(BOTH, before=GENERATOR)
        farm.change(repository=APP)
        farm.change(repository=LIB, branch="stable")
        farm.change(repository=LIB, branch="stable", revision="r2")

        self.assertEqual(self.codebases(farm), ["app", "lib"])
        self.assertEqual(
            [each.source["codebases"] for each in farm.submitted()],
            [
                {
                    "app": {"repository": APP, "branch": "main", "revision": "r1", "project": ""},
                    "lib": {"repository": LIB, "branch": "stable"},
                },
                {
                    "app": {"repository": APP, "branch": "main"},
                    "lib": {"repository": LIB, "branch": "stable", "revision": "r2", "project": ""},
                },
            ],
        )

    def test_dictionary(self) -> None:
        """
        The generator gets a dictionary with Buildbot's names; the change has no number yet.
        """
        change = change_of(
            {
                "author": "A", "committer": "C", "files": ["f"], "comments": "text", "revision": "r", "branch": "b",
                "when_timestamp": 5, "category": "c", "revlink": "l", "project": "p", "repository": "R",
                "properties": {"x": 1},
            },
            "s",
        )  # fmt: skip
        asked: list[dict[str, Any]] = []

        def generator(chdict: dict[str, Any]) -> str:
            asked.append(chdict)
            return "app"

        self.assertEqual(with_codebase(change, generator, 9.0), evolve(change, codebase="app"))
        wanted = {
            "changeid": None, "author": "A", "committer": "C", "files": ["f"], "comments": "text", "revision": "r",
            "branch": "b", "when_timestamp": 5.0, "category": "c", "revlink": "l", "project": "p", "repository": "R",
            "properties": {"x": [1, "Change"]}, "codebase": "",
        }  # fmt: skip
        self.assertEqual({name: asked[0][name] for name in wanted}, wanted)

    def test_named_by_the_source(self) -> None:
        """
        A change whose source names its codebase keeps it; the generator is not asked.
        """
        farm = MasterHarness('c["codebaseGenerator"] = lambda chdict: 1 / 0')
        farm.done(farm.farm.changes.add([Change(author="a", source="s", codebase="own")]))
        self.assertEqual(self.codebases(farm), ["own"])

    def test_failures(self) -> None:
        """
        When the generator fails or returns no text, nothing is recorded, and a sentence says why.
        """
        answers = {
            'names["nothing"]': "KeyError: 'nothing'",
            "None": "returned None, which is no text",
            "5": "returned 5, which is no text",
            'b"app"': "which is no text",
            '"x" * 201': "may have at most 200 characters",
        }
        for answer, reason in answers.items():
            farm = MasterHarness(f'names = {{}}\nc["codebaseGenerator"] = lambda chdict: {answer}')
            change = Change(author="a", source="s", repository=APP, branch="main")
            failure = self.failureResultOf(Deferred.fromCoroutine(farm.farm.changes.add([change])), BuildbotLiteError)
            self.assertIn(reason, str(failure.value))
            self.assertEqual(self.codebases(farm), [], answer)
            self.assertEqual(len(self.flushLoggedErrors(KeyError)), int("KeyError" in reason))

    def test_no_function(self) -> None:
        """
        A codebaseGenerator that is no function is a mistake.
        """
        (sentence,) = sentences_in('c["codebaseGenerator"] = {"https://example.org/app.git": "app"}')
        self.assertIn("codebaseGenerator", sentence)
        self.assertIn("function", sentence)


class PolledTests(PollerCase):
    """
    A generator and a poller.
    """

    def test_mended(self) -> None:
        """
        While the generator fails, the poller says so and records nothing; once it is mended, nothing was missed.
        """
        failing = 'c["codebaseGenerator"] = lambda chdict: {}[chdict["repository"]]'
        stage = self.farm(before=failing)
        self.assertEqual(self.polled(stage), [])
        self.origin.commit(a="2")
        self.origin.commit(a="3")
        stage.settle(INTERVAL)
        self.assertIn("c['codebaseGenerator'] in master.cfg failed: KeyError", self.error(stage))
        self.assertEqual(len(self.flushLoggedErrors(KeyError)), 1)

        stage.configure(self.text("", 'c["codebaseGenerator"] = lambda chdict: "app"'))
        stage.done(stage.farm.reconfiguration.apply())
        self.assertEqual([each.codebase for each in self.polled(stage)], ["app", "app"])
