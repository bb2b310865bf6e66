"""
The jobs that holders of FURLs may see and change.
"""

from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from buildbot_lite.control.questions import QuestionDesk
from buildbot_lite.errors import BuildbotLiteError, NotFoundError, RefusedError
from buildbot_lite.master.grants.verbs import ADMIN, CONTROL, SUBMIT, WATCH
from buildbot_lite.packages.control.job_questions import JOBS_VERB
from buildbot_lite.packages.records.job_states import ArchState, JobState
from buildbot_lite.storage.records.grants import Grant

from .test_job_service import JobCase

Answer = Mapping[str, Any]


class QuestionCase(JobCase):
    """
    A farm, and questions to it.
    """

    def grant(self, verb: str, of: str, label: str = "me") -> Grant:
        """
        A new grant.
        """
        made: Grant = self.harness.done(self.farm.grants.hand_out(verb, of, name=of, label=label))
        return made

    def ask(self, name: str, grant: Grant | None = None, **more: Any) -> Answer:
        """
        The answer for the holder of *grant*, or for an admin.
        """
        desk = QuestionDesk(self.farm, grant or Grant(0, "farm", ADMIN, "farm", "", None, 0.0, label="root"))
        answers: list[Any] = []
        _ = desk.ask({"ask": f"package-{name}", **more}).addBoth(answers.append)
        self.harness.settle()
        (answer,) = answers
        if hasattr(answer, "raiseException"):
            answer.raiseException()
        return dict(answer)

    def refused(self, error: type[BuildbotLiteError], ask: Callable[[], object], part: str) -> None:
        """
        Check that *ask* fails with a sentence that has *part*.
        """
        self.assertIn(part, str(self.assertRaises(error, ask)))


class AliasesTests(QuestionCase):
    """
    A target with a second name.
    """

    def configuration(self) -> str:
        return (
            f"{super().configuration()}c['targets'][0] = DebTarget('bookworm', ['amd64'], Plain(), aliases=['b12'])\n"
        )

    def test_aliases(self) -> None:
        """
        Promise 9.8: a list of targets has all names under which packages are submitted to each.
        """
        (target,) = self.ask("targets")["targets"]
        self.assertEqual((target["target"], target["aliases"]), ("bookworm", ["b12"]))


class JobQuestionsTests(QuestionCase):
    """
    Lists of jobs, and the rights to see them.
    """

    def test_list(self) -> None:
        """
        Promise 9.8: a list has each job with its architectures; those that wait say what for.
        """
        self.submit()
        (job,) = self.ask("list")["jobs"]
        self.assertEqual((job["job"], job["name"], job["version"], job["state"]), (1, "greet", "1.0", "waiting"))
        waiting, _, skipped = job["arches"]
        self.assertEqual((waiting["architecture"], waiting["state"]), ("amd64", "waiting"))
        self.assertIn("bot1", waiting["reason"])
        self.assertEqual(skipped["state"], "skipped")
        for wanted, found in (
            ({"target": "bookworm"}, 1),
            ({"state": "failed"}, 0),
            ({"submitter": "nobody"}, 0),
            ({"before": 1}, 0),
        ):
            self.assertEqual(len(self.ask("list", **wanted)["jobs"]), found, wanted)

    def test_own_jobs(self) -> None:
        """
        Promise 9.8: whoever submits sees and kills only jobs that were submitted with the same string; a string for all
        jobs of the target sees all.
        """
        self.submit()
        own = self.farm.grants.of(SUBMIT, "bookworm")
        other, all_of_it = self.grant(SUBMIT, "bookworm"), self.grant(JOBS_VERB, "bookworm")
        self.assertEqual(len(self.ask("list", own)["jobs"]), 1)
        self.assertEqual(len(self.ask("list", other)["jobs"]), 0)
        self.assertEqual(len(self.ask("list", all_of_it)["jobs"]), 1)
        for name in ("show", "kill", "requeue"):
            self.refused(NotFoundError, partial(self.ask, name, other, job=1), "There is no job 1")
        self.assertEqual(self.job().state, JobState.WAITING)
        self.assertEqual(self.ask("kill", own, job=1)["state"], "killed")

    def test_another_target(self) -> None:
        """
        Promise 9.8: with a string of one target, a list of the jobs of another one is empty.
        """
        self.submit()
        for verb, of in ((JOBS_VERB, "bookworm"), (SUBMIT, "bookworm"), (WATCH, "farm")):
            grant = self.farm.grants.of(SUBMIT, of) if verb == SUBMIT else self.grant(verb, of)
            self.assertEqual(len(self.ask("list", grant, target="bookworm")["jobs"]), 1, verb)
            self.assertEqual(self.ask("list", grant, target="f4"), {"jobs": [], "before": None}, verb)

    def test_verbs(self) -> None:
        """
        Promise 9.8: a string to watch changes nothing; one to submit does not pause its target.
        """
        self.submit()
        watching = self.grant(WATCH, "farm")
        self.assertEqual(self.ask("show", watching, job=1)["job"]["state"], "waiting")
        for name in ("kill", "requeue", "finish"):
            self.refused(RefusedError, partial(self.ask, name, watching, job=1), "does not permit")
        submitting = self.farm.grants.of(SUBMIT, "bookworm")
        self.refused(RefusedError, lambda: self.ask("pause", submitting, target="bookworm"), "does not permit")
        self.assertEqual(self.ask("pause", self.grant(CONTROL, "farm"), target="bookworm"), {"target": "bookworm"})

    def test_unknown(self) -> None:
        """
        A job or target that does not exist gives one sentence.
        """
        for ask in (
            lambda: self.ask("show", job=7),
            lambda: self.ask("kill", job=7),
            lambda: self.ask("pause", target="none"),
        ):
            self.refused(NotFoundError, ask, "There is no ")


class JobActionsTests(QuestionCase):
    """
    Kill, requeue, finish, pause.
    """

    def test_kill(self) -> None:
        """
        Promise 9.8: killing a job ends its builds, which run or wait; doing it again changes nothing.
        """
        self.building.held.add("dpkg-buildpackage")
        self.submit()
        self.attach()
        self.assertEqual(self.ask("kill", job=1)["state"], "killed")
        self.assertEqual(self.slave.interrupted != [], True)
        self.building.release()
        self.harness.settle()
        job = self.job()
        self.assertEqual([each.state for each in job.built], [ArchState.KILLED] * 2)
        self.assertEqual(job.reason, "killed by root")
        self.assertEqual(self.ask("kill", job=1)["state"], "killed")
        self.assertEqual(self.job(), job)
        self.assertEqual(self.requests(), [])
        self.assertEqual(self.tree(), [])

    def test_kill_half_done(self) -> None:
        """
        Promise 9.8: a master that dies when a job is recorded as killed, and before its builds are, kills them when it
        starts again.
        """
        self.submit()
        self.patch(self.farm.canceller, "cancel_unfinished", _dying)
        self.assertRaises(RuntimeError, self.ask, "kill", job=1)
        self.assertEqual(len(self.requests()), 2)
        self.harness.restart()
        self.assertEqual(self.requests(), [])
        self.assertEqual([each.state for each in self.job().built], [ArchState.KILLED] * 2)

    def test_requeue(self) -> None:
        """
        Promise 9.8: after a failure only the architecture that failed is built again, of the same source.
        """
        self.building.failing.add("any +farm1 i386")
        self.submit()
        self.attach()
        self.assertEqual([each.state for each in self.job().built], [ArchState.DONE, ArchState.FAILED])
        self.building.failing.clear()
        answer = self.ask("requeue", job=1)
        self.assertEqual((answer["state"], answer["architectures"]), ("waiting", ["i386"]))
        self.harness.settle()
        job = self.job()
        self.assertEqual(job.state, JobState.FINISHED)
        self.assertEqual([state for state, _ in job.history].count("building"), 2)
        self.refused(RefusedError, lambda: self.ask("requeue", job=1), "is finished")
        self.assertEqual(self.tree("bookworm", "greet", "1.0+farm1"), ["amd64", "i386"])

    def test_requeue_of_nothing_failed(self) -> None:
        """
        A job that goes on is not requeued.
        """
        self.submit()
        self.refused(RefusedError, lambda: self.ask("requeue", job=1), "nothing of it has failed")

    def test_finish(self) -> None:
        """
        Only a job that waits for a signature is finished by hand.
        """
        self.submit()
        self.refused(RefusedError, lambda: self.ask("finish", job=1), "only one in needsign")

    def test_pause(self) -> None:
        """
        Promise 9.8: while a target is paused, its jobs wait with the reason, also after a restart; then they are built.
        """
        self.ask("pause", target="bookworm", reason="new compiler")
        self.submit()
        self.attach()
        why = "the target bookworm is paused by root: new compiler"
        self.assertEqual(self._waits(), why)
        (target,) = self.ask("targets")["targets"]
        self.assertEqual((target["paused"]["reason"], target["jobs"]), ("new compiler", {"waiting": 1}))
        self.harness.restart()
        self.farm = self.harness.farm
        self.harness.attach("bot1", self.slave, platform={"machine": "x86_64"})
        self.assertEqual(self._waits(), why)
        self.ask("unpause", target="bookworm")
        self.harness.settle()
        self.assertEqual(self.job().state, JobState.FINISHED)

    def _waits(self) -> str:
        why = self.farm.dispatcher.why(1)
        assert why is not None
        return why.sentence


async def _dying(*arguments: object) -> None:
    raise RuntimeError("the master dies")
