"""
Jobs of targets that have repositories.
"""

from collections.abc import Collection
from functools import partial
from typing import Any, cast

from attrs import define, field
from twisted.internet.defer import Deferred

from buildbot_lite.child_programs import ProgramError
from buildbot_lite.errors import DiskFullError, InputError, RefusedError
from buildbot_lite.packages.control.job_actions import JobActions
from buildbot_lite.packages.control.package_jobs import PackageJobs
from buildbot_lite.packages.records import job_lists
from buildbot_lite.packages.records.job_states import JobState
from buildbot_lite.packages.records.jobs import Job
from buildbot_lite.packages.records.results import JobResults
from buildbot_lite.packages.service.target_troubles import FIRST_PAUSE, LONGEST_PAUSE

from .test_job_questions import QuestionCase

CALLS = ("enter", "publish", "announce")


@define
class FakeRepository:
    """
    A `TargetRepository`.  *errors*: by method, what it raises.  *held*: methods that do not return.
    """

    signed: bool = True
    errors: dict[str, Exception] = field(factory=dict)
    held: set[str] = field(factory=set)
    calls: list[str] = field(factory=list)
    waiting: frozenset[str] = frozenset()
    shown: bool = True
    names: frozenset[str] = frozenset()
    endless: list[Deferred[None]] = field(factory=list)

    async def enter(self, job: Job, results: JobResults) -> None:
        assert results.packages
        await self._called("enter")

    async def keep_only(self, waiting: Collection[str]) -> None:
        self.waiting = frozenset(waiting)

    async def shows(self, job: Job, results: JobResults) -> bool:
        if "shows" in self.errors:
            raise self.errors["shows"]
        return self.shown

    async def all_names(self) -> Collection[str]:
        return self.names

    async def needs_signature(self, job: Job) -> bool:
        return not self.signed

    async def publish(self, job: Job, results: JobResults) -> Collection[int]:
        await self._called("publish")
        return (job.id,)

    async def announce(self, job: Job) -> None:
        await self._called("announce")

    async def _called(self, name: str) -> None:
        self.calls.append(name)
        if name in self.held:
            # Kept, because a coroutine that is collected as garbage runs its "finally" at any moment.
            endless: Deferred[None] = Deferred()
            self.endless.append(endless)
            await endless
        if name in self.errors:
            raise self.errors[name]


class RepositoryCase(QuestionCase):
    """
    A target with a repository of this test's.
    """

    def setUp(self) -> None:
        super().setUp()
        self.repository = FakeRepository()
        self.use_repository()

    def use_repository(self) -> None:
        """
        Let the master's targets have the repository.
        """
        jobs = cast("PackageJobs", self.farm.extensions["jobs of packages"])
        jobs.service.served.repository_of = lambda target: self.repository

    def build(self) -> None:
        """
        Submit a package and build it.
        """
        self.submit()
        self.attach()
        self.harness.settle()


class RepositoriesTests(RepositoryCase):
    """
    From results to the public repository.
    """

    def restart(self) -> None:
        """
        The master dies, and the next one has the same repository.
        """
        self.farm = self.harness.replace()
        self.use_repository()
        self.harness.start()

    def proceed(self) -> None:
        """
        Let the signatures of the job arrive.
        """
        cast("PackageJobs", self.farm.extensions["jobs of packages"]).service.proceed(1)
        self.harness.settle()

    def states(self) -> list[str]:
        """
        The states that the job had after its builds.
        """
        return [state for state, _ in self.job().history][3:]

    def test_through(self) -> None:
        """
        Promise 9.2: a job enters the repository, waits for its signature as long as it takes, is published, announced
        and finished.
        """
        self.repository.signed = False
        self.build()
        self.assertEqual(self.states(), ["repowait", "needsign"])
        self.restart()
        self.harness.settle(10 * 86400.0)
        self.assertEqual((self.job().state, self.repository.calls), (JobState.NEEDSIGN, ["enter"]))
        self.repository.signed = True
        self.proceed()
        self.assertEqual(self.states(), ["repowait", "needsign", "pushed", "finished"])
        self.assertEqual(self.repository.calls, list(CALLS))

    def dies_in(self, name: str) -> None:
        """
        The master dies twice within the method *name* of the repository.
        """
        self.repository.held.add(name)
        self.build()
        self.assertEqual(self.repository.calls[-1], name)
        self.restart()
        self.repository.held.clear()
        self.restart()
        self.harness.settle()
        self.assertEqual(self.states(), ["repowait", "needsign", "pushed", "finished"])
        expected = [call for each in CALLS for call in ([each] * 3 if each == name else [each])]
        self.assertEqual(self.repository.calls, expected)

    def test_dies_entering(self) -> None:
        """
        Promise 9.2: a master that dies while a job enters the repository does that again, and nothing else twice.
        """
        self.dies_in("enter")

    def test_dies_publishing(self) -> None:
        """
        Promise 9.2: a master that dies while it publishes does that again, and nothing else twice.
        """
        self.dies_in("publish")

    def test_dies_announcing(self) -> None:
        """
        Promise 9.2: a master that dies while a published job is announced does that again, and nothing else twice.
        """
        self.dies_in("announce")

    def test_refused(self) -> None:
        """
        Promise 9.9: results that the repository refuses fail the job with the sentence; `requeue` tries again without a
        build.
        """
        self.repository.errors["enter"] = InputError("another package has that name.")
        self.build()
        self.assertEqual((self.job().state, self.job().reason), (JobState.FAILED, "another package has that name."))
        self.repository.errors.clear()
        self.assertEqual(self.ask("requeue", job=1)["architectures"], [])
        self.assertEqual(self.job().state, JobState.FINISHED)

    def test_disk_full(self) -> None:
        """
        Promise 9.9: what is the machine's fault fails no job: it stays where it is, with the sentence, and goes on with
        `requeue`.
        """
        self.repository.errors["publish"] = DiskFullError("the disk is full.")
        self.build()
        self.assertEqual((self.job().state, self.job().reason), (JobState.NEEDSIGN, "the disk is full."))
        self.repository.errors.clear()
        self.ask("requeue", job=1)
        self.assertEqual((self.job().state, self.job().reason), (JobState.FINISHED, ""))

    def test_goes_on(self) -> None:
        """
        Promise 9.9: after a full disk, whether the farm or the program that makes the index met it, a job goes on by
        itself when there is room.
        """
        for number, error in enumerate(
            (DiskFullError("the disk is full."), ProgramError("createrepo_c: gzclose()")), 1
        ):
            self.repository.errors["publish"] = error
            self.build()
            self.assertEqual((self.job(number).state, self.job(number).reason), (JobState.NEEDSIGN, str(error)))
            self.harness.settle(FIRST_PAUSE)
            self.repository.errors.clear()
            self.harness.settle(2 * FIRST_PAUSE)
            self.assertEqual((self.job(number).state, self.job(number).reason), (JobState.FINISHED, ""))
            self.assertIsNone(self.trouble())

    def test_pauses(self) -> None:
        """
        Promise 9.9: while a program is broken, the pauses between attempts grow up to their bound, and one job is tried
        at a time; the target says why, since when, and when the next attempt is.  When one job goes on, all do.
        """
        self.repository.errors["enter"] = ProgramError("createrepo_c failed.")
        self.attach()
        for _ in range(3):
            self.submit()
        self.harness.settle()
        attempts = len(self.repository.calls)
        self.assertEqual(attempts, 3)
        for pause in (30.0, 60.0, 120.0, 240.0, 480.0, LONGEST_PAUSE, LONGEST_PAUSE):
            trouble = self.trouble()
            self.assertEqual(trouble["reason"], "createrepo_c failed.")
            self.assertEqual(trouble["again"], self.farm.wall() + pause)
            self.harness.settle(pause - 1.0)
            self.assertEqual(len(self.repository.calls), attempts)
            self.harness.settle(1.0)
            attempts += 1
            self.assertEqual(len(self.repository.calls), attempts)
        self.repository.errors.clear()
        self.harness.settle(LONGEST_PAUSE)
        self.assertEqual([self.job(number).state for number in (1, 2, 3)], [JobState.FINISHED] * 3)
        self.assertIsNone(self.trouble())

    def test_pause_of_ended(self) -> None:
        """
        A killed job is not tried again, and is no trouble of its target's any more.
        """
        self.repository.errors["enter"] = DiskFullError("the disk is full.")
        self.build()
        self.ask("kill", job=1)
        self.harness.settle()
        self.assertIsNone(self.trouble())
        self.harness.settle(10 * LONGEST_PAUSE)
        self.assertEqual(self.repository.calls, ["enter"])

    def test_long_script(self) -> None:
        """
        Promise 9.9: of several jobs that a full disk held back, each goes on when there is room, while the program of a
        published one runs for an hour.
        """
        self.repository.errors["publish"] = DiskFullError("the disk is full.")
        self.attach()
        for _ in range(2):
            self.submit()
        self.harness.settle()
        self.repository.errors.clear()
        self.repository.held.add("announce")
        self.harness.settle(FIRST_PAUSE)
        self.assertEqual([self.job(number).state for number in (1, 2)], [JobState.PUSHED] * 2)
        self.assertIsNone(self.trouble())

    def test_long_script_of_a_stuck_job(self) -> None:
        """
        Promise 9.9: a job that was held back before its target's program holds back no other while that runs.
        """
        self.repository.errors["announce"] = DiskFullError("the disk is full.")
        self.build()
        self.repository.errors = {"publish": DiskFullError("the disk is full.")}
        self.submit()
        self.harness.settle()
        self.assertEqual([self.job(number).state for number in (1, 2)], [JobState.PUSHED, JobState.NEEDSIGN])
        self.repository.errors.clear()
        self.repository.held.add("announce")
        self.harness.settle(FIRST_PAUSE)
        self.assertEqual(self.repository.calls[-1], "announce")
        self.harness.settle(LONGEST_PAUSE)
        self.assertEqual(self.job(2).state, JobState.PUSHED)

    def test_pauses_and_new_jobs(self) -> None:
        """
        Promise 9.9: what a new job does before it meets the trouble, or without meeting it, makes no pause shorter.
        """
        self.repository.errors["publish"] = ProgramError("createrepo_c failed.")
        self.build()
        for pause in (30.0, 60.0, 120.0):
            self.harness.settle(pause)
        again = self.trouble()["again"]
        self.submit()
        self.harness.settle()
        self.assertEqual(self.repository.calls[-2:], ["enter", "publish"])
        self.assertEqual(self.trouble()["again"], again)
        self.repository.signed = False
        self.submit()
        self.harness.settle()
        self.assertEqual(self.job(3).state, JobState.NEEDSIGN)
        self.assertEqual(self.trouble()["again"], again)

    def trouble(self) -> Any:
        """
        What `package targets` says of the target's trouble.
        """
        (target,) = self.ask("targets")["targets"]
        return target["trouble"]

    def test_defect(self) -> None:
        """
        Promise 9.9: after an error of the farm's own the job says so, and goes on with `requeue`.
        """
        self.repository.errors["publish"] = ZeroDivisionError()
        self.build()
        self.assertEqual(self.job().state, JobState.NEEDSIGN)
        self.assertIn("an error of buildbot_lite itself", self.job().reason)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)
        self.repository.errors.clear()
        self.ask("requeue", job=1)
        self.assertEqual((self.job().state, self.job().reason), (JobState.FINISHED, ""))

    def test_announcing_fails(self) -> None:
        """
        A job is finished even if its target's program fails, with the sentence.
        """
        self.repository.errors["announce"] = InputError("push.sh ended with 3.")
        self.build()
        self.assertEqual((self.job().state, self.job().reason), (JobState.FINISHED, "push.sh ended with 3."))

    def test_finish_and_kill(self) -> None:
        """
        Promise 9.8: a job in needsign is finished without being published, or killed; a published one is not killed.
        """
        self.repository.signed = False
        self.build()
        self.assertEqual(self.ask("finish", job=1)["state"], "finished")
        self.assertEqual(self.ask("finish", job=1)["state"], "finished")
        self.assertEqual(self.repository.calls, ["enter"])
        self.refused(RefusedError, lambda: self.ask("kill", job=1), "cannot be killed any more")
        self.submit()
        self.harness.settle()
        self.assertEqual(self.ask("kill", job=2)["state"], "killed")
        self.proceed()
        self.assertEqual(self.repository.calls, ["enter", "enter"])

    def test_newest_published(self) -> None:
        """
        Of the jobs that are finished, the list of published ones has those that were published.
        """
        self.build()
        self.repository.signed = False
        self.submit()
        self.harness.settle()
        self.ask("finish", job=2)
        for pushed, number in ((True, 1), (False, 2)):
            newest = partial(job_lists.newest_finished, target="bookworm", most=9, pushed=pushed)
            self.assertEqual(self.harness.read(newest), [("greet", "1.0+farm1", number)])
            self.assertEqual(self.harness.read(partial(newest, after="greet")), [])

    def test_announcing_long(self) -> None:
        """
        Promise 9.8: while the program of a published job runs, other jobs of the target are killed and go on.
        """
        self.repository.held.add("announce")
        self.build()
        self.assertEqual((self.job().state, self.repository.calls[-1]), (JobState.PUSHED, "announce"))
        self.repository.signed = False
        for _ in range(2):
            self.submit()
            self.harness.settle()
        self.assertEqual(self.ask("kill", job=2)["state"], "killed")
        self.assertEqual(self.ask("finish", job=3)["state"], "finished")

    def test_not_in_the_middle(self) -> None:
        """
        Promise 9.8: whoever finishes or kills a job that is being published waits, and is refused.
        """
        self.repository.signed = False
        self.build()
        jobs = cast("PackageJobs", self.farm.extensions["jobs of packages"])
        turn = jobs.service.turn("bookworm")
        self.successResultOf(turn.acquire())
        self.repository.signed = True
        self.proceed()
        asked = [Deferred.fromCoroutine(act(1, "alice")) for act in (self.actions().finish, self.actions().kill)]
        turn.release()
        self.harness.settle()
        self.assertEqual(self.states()[:3], ["repowait", "needsign", "pushed"])
        for each, said in zip(asked, ("only one in needsign can be finished", "cannot be killed"), strict=True):
            self.assertIn(said, str(self.failureResultOf(each, RefusedError).value))

    def test_killed_in_the_queue(self) -> None:
        """
        Promise 9.8: a job that is killed while it waits for its turn changes no repository.
        """
        jobs = cast("PackageJobs", self.farm.extensions["jobs of packages"])
        turn = jobs.service.turn("bookworm")
        self.repository.signed = False
        self.build()
        self.successResultOf(turn.acquire())
        self.repository.signed = True
        killed = Deferred.fromCoroutine(self.actions().kill(1, "alice"))
        self.proceed()
        turn.release()
        self.harness.settle()
        self.assertEqual(self.successResultOf(killed).state, JobState.KILLED)
        self.assertEqual(self.repository.calls, ["enter"])

    def actions(self) -> JobActions:
        """
        The commands of people for jobs.
        """
        jobs = cast("PackageJobs", self.farm.extensions["jobs of packages"])
        return JobActions(self.farm, jobs.service)
