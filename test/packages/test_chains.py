"""
Jobs that are built one after the other.
"""

from functools import partial
from typing import Any, cast
from unittest import mock
from unittest.mock import AsyncMock

from sqlalchemy import Connection
from twisted.internet.defer import Deferred, maybeDeferred

from buildbot_lite.errors import FileError, InputError
from buildbot_lite.packages.building import farm_repository
from buildbot_lite.packages.control.package_jobs import PackageJobs
from buildbot_lite.packages.records import chain_records
from buildbot_lite.packages.records.job_options import MOST_MEMBERS
from buildbot_lite.packages.records.job_states import ArchState, JobState
from buildbot_lite.packages.service import chains
from buildbot_lite.packages.service.chains import Chains
from buildbot_lite.packages.service.job_service import JobService
from buildbot_lite.storage.records import buildsets
from test.control.test_submissions import FakeWatcher

from .archives import archive, greet
from .test_job_questions import QuestionCase
from .test_job_repositories import FakeRepository

TARGET = 'DebTarget("bookworm", ["amd64", "i386"], Overlay("bookworm"), repository="repos/b", version_suffix="+farm1")'
OTHERS = (
    'DebTarget("plain", ["amd64"], Plain(), repository="repos/p"),'
    ' DebTarget("alone", ["amd64"], Overlay("bookworm"), repository="repos/a", roots_from=None),'
    ' DebTarget("without", ["amd64"], Overlay("bookworm"))'
)


class ChainCase(QuestionCase):
    """
    A target whose jobs enter a repository, and a slave that is attached.
    """

    def setUp(self) -> None:
        super().setUp()
        self.patch(farm_repository, "deferToThread", maybeDeferred)
        self.repository = FakeRepository()
        self.use_repository()

    def configuration(self) -> str:
        return (
            "from buildbot_lite.packages import DebTarget, Overlay, Plain\n"
            'c["slaves"] = [slave.BuildSlave("bot1", max_builds=9)]\n'
            f'c["targets"] = [{TARGET}, {OTHERS}]\n'
        )

    def use_repository(self) -> None:
        """
        Let the master's targets have the repository.
        """
        jobs = cast("PackageJobs", self.farm.extensions["jobs of packages"])
        jobs.service.served.repository_of = lambda target: self.repository
        jobs.chains.repository_of = lambda target: self.repository

    def chain(self, count: int) -> None:
        """
        Submit as many packages, each after the one before it.
        """
        for number in range(count):
            name = "abcdefgh"[number] * 2
            self.after(number or None, Source=name, Binary=name)

    def after(self, job: int | None, target: str = "bookworm", **fields: Any) -> FakeWatcher:
        """
        Submit a package that is built after *job*; returns what the submitter reads.
        """
        watcher = FakeWatcher()
        options: dict[str, Any] = {key: fields.pop(key) for key in ("scratch", "sources") if key in fields}
        asked = {} if job is None else {"after": job}
        feed = self.successResultOf(self.target(target).submit_file(watcher, {**asked, **options}))
        if feed is not None:
            feed.feed(archive(greet(**fields)))
            feed.close()
        self.harness.settle()
        return watcher

    def restart(self) -> None:
        """
        The master dies; the next one has the same repository, and the slave attaches to it.
        """
        self.farm = self.harness.replace()
        self.use_repository()
        self.harness.start()
        self.harness.attach("bot1", self.slave, platform={"machine": "x86_64"}, held=self.slave.held())
        self.harness.settle()

    def states(self, count: int) -> list[str]:
        """
        The states of the first jobs.
        """
        return [self.job(number).state.value for number in range(1, count + 1)]

    def reasons(self, job: int) -> set[str]:
        """
        Why the architectures of *job* wait.
        """
        found: set[str] = {each["reason"] for each in self.ask("show", job=job)["job"]["arches"]}
        return found

    def finish(self, job: int) -> None:
        """
        Finish *job* without publishing it.
        """
        self.ask("finish", job=job)
        self.harness.settle()


class ChainTests(ChainCase):
    """
    Chained jobs wait for the job before them.
    """

    def test_in_order(self) -> None:
        """
        Promise 9.6: each job begins, on all its architectures, when the packages of the one before it are in the
        repository for builds, and not when only its builds are over; until then it says what it waits for.
        """
        self.repository.signed = False
        self.building.held.add("dpkg-buildpackage")
        self.chain(3)
        self.attach()
        self.assertEqual(self.states(3), ["building", "waiting", "waiting"])
        self.assertEqual(self.reasons(2), {"it is built after job 1: aa 1.0, which is in the state building"})
        self.assertEqual(self.reasons(3), {"it is built after job 2: bb 1.0, which is in the state waiting"})
        self.repository.held.add("enter")
        self.building.release()
        self.harness.settle()
        self.assertEqual(self.states(3), ["repowait", "waiting", "waiting"])
        self.assertEqual(self.reasons(2), {"it is built after job 1: aa 1.0, which is in the state repowait"})
        self.repository.held.clear()
        self.restart()
        self.assertEqual(self.states(3), ["needsign"] * 3)
        self.assertEqual(self.repository.calls, ["enter"] * 4)
        self.assertEqual(self.ask("show", job=3)["job"]["after"], 2)

    def test_from_public(self) -> None:
        """
        Promise 9.6: a job in needsign whose packages are not in the repository from which roots are fed lets none begin
        after it; once it is published, and they are there, it does.
        """
        self.repository.signed = self.repository.shown = False
        self.chain(2)
        self.attach()
        self.assertEqual(self.states(2), ["needsign", "waiting"])
        self.repository.signed = self.repository.shown = True
        cast("PackageJobs", self.farm.extensions["jobs of packages"]).service.proceed(1)
        self.harness.settle()
        self.assertEqual(self.states(2), ["finished", "finished"])

    def test_others_go_on(self) -> None:
        """
        A job that waits for another does not keep others of its target from being built.
        """
        self.repository.held.add("enter")
        self.attach()
        self.chain(2)
        self.building.held.add("dpkg-buildpackage")
        self.submit(Version="2.0")
        self.assertEqual(self.states(3), ["repowait", "waiting", "building"])

    def test_pins(self) -> None:
        """
        Promise 9.6: builds know the source packages before theirs, whose packages win in their roots; what a submitter
        says about that counts for nothing.
        """
        self.chain(2)
        self.after(2, sources=["gcc-12"])
        self.after(None, sources=["gcc-12"])
        self.attach()
        sources = [self.buildset_properties(number).get("built_after") for number in (1, 3, 4)]
        self.assertEqual(sources, [None, ["bb", "aa"], None])

    def buildset_properties(self, job: int) -> dict[str, Any]:
        """
        The properties of the builds of *job*.
        """
        buildset = self.job(job).buildset
        found: Any = self.harness.read(lambda connection: buildsets.get(connection, buildset))
        return {name: value for name, (value, _) in found.properties.items()}


class RefusedChainTests(ChainCase):
    """
    Submissions that cannot be built after another job.
    """

    def assert_refused(self, said: FakeWatcher, sentence: str) -> None:
        """
        Check that the submission ended with the *sentence*, and made no job.
        """
        self.assertIn(sentence, said.err)
        self.assertEqual(said.codes, [2])

    def test_no_such_job(self) -> None:
        """
        Promise 9.6: nothing is built after a job that the same string did not submit, or that is of another target.
        """
        self.chain(1)
        none = "that was submitted to bookworm with this string."
        self.assert_refused(self.after(7), f"There is no job 7 {none}")
        with mock.patch.object(chain_records, "before", partial(_for_another, chain_records.before)):
            self.assert_refused(self.after(1), f"There is no job 1 {none}")
        self.assert_refused(self.after(0), "is not a whole number from 1")

    def test_no_packages(self) -> None:
        """
        Promise 9.6: nothing is built after a scratch build or one that failed, nor at a target whose builds get no
        packages of the farm.
        """
        self.after(None, scratch=True)
        self.assert_refused(self.after(1), "Job 1: greet 1.0 is a scratch build")
        self.after(None)
        self.ask("kill", job=2)
        self.assert_refused(self.after(2), "Job 2: greet 1.0 was killed, so nothing is built after it.")
        for target in ("alone", "without"):
            self.assert_refused(self.after(1, target), f"The builds of {target} get no packages of the farm")
        self.assert_refused(self.after(1, "plain"), "The builds of plain are in Plain(), where nothing is installed")

    def test_finished_without_publishing(self) -> None:
        """
        Promise 9.6: no job is built after one that was finished without being published; but one is built after a
        published job.
        """
        self.repository.signed = False
        self.chain(1)
        self.attach()
        self.finish(1)
        self.assert_refused(self.after(1, Source="bb"), "was finished without being published, so nothing is built")

    def test_most(self) -> None:
        """
        Promise 9.6: a chain has at most 100 jobs.
        """
        self.assertEqual(MOST_MEMBERS, 100)
        self.patch(chain_records, "MOST_MEMBERS", 3)
        self.chain(3)
        self.assert_refused(self.after(3), "The chain of job 3: cc 1.0 has 3 jobs; at most 3 are allowed.")
        self.assertEqual(self.after(2).codes, [0])


def _for_another(before: Any, connection: Connection, number: int, target: str, grant: int) -> Any:
    return before(connection, number, target, grant + 1)


class BrokenChainTests(ChainCase):
    """
    Jobs that wait are killed when the job before them is not built.
    """

    def ended(self, job: int) -> tuple[str, str, set[str]]:
        """
        The state of *job*, its reason, and the states of its architectures.
        """
        found = self.job(job)
        return found.state.value, found.reason, {each.state.value for each in found.built}

    def test_failed(self) -> None:
        """
        Promise 9.6: a job that fails ends all after it, with a sentence that names it; their builds never began.
        """
        self.building.failing.add("dpkg-buildpackage")
        self.chain(3)
        self.attach()
        for number in (2, 3):
            why = "job 1: aa 1.0 failed, and this job is built after it"
            self.assertEqual(self.ended(number), ("killed", why, {"killed"}))
            for arch in self.job(number).arches:
                self.assertEqual(self.harness.builds(arch.request or 0), [])
        self.assertEqual(self.requests(), [])

    def test_killed(self) -> None:
        """
        Promise 9.6: a job that is killed ends all after it, too.
        """
        self.chain(3)
        self.ask("kill", job=2)
        self.harness.settle()
        self.assertEqual(self.states(3), ["waiting", "killed", "killed"])
        self.assertEqual(self.job(3).reason, "job 2: bb 1.0 was killed, and this job is built after it")

    def test_refused(self) -> None:
        """
        Promise 9.6: a job that the repository refuses ends all after it, too.
        """
        self.repository.errors["enter"] = InputError("another package has that name.")
        self.chain(2)
        self.attach()
        self.assertEqual(self.states(2), ["failed", "killed"])

    def test_taken_out(self) -> None:
        """
        Promise 9.6: a job whose packages leave the repository again ends what has not begun after it, also what was let
        go already; a job that is being built goes on.
        """
        self.repository.signed = False
        self.chain(1)
        self.attach()
        self.slave.lose()
        self.after(1, Source="bb")
        self.after(2, Source="cc")
        self.assertIn("bot1", next(iter(self.reasons(2))))
        self.finish(1)
        why = "job 1: aa 1.0+farm1 was finished without being published, and this job is built after it"
        self.assertEqual(self.ended(2), ("killed", why, {"killed"}))
        self.assertEqual(self.ended(3), ("killed", why, {"killed"}))

    def test_running(self) -> None:
        """
        A job that has its root is not ended by what happens to the one before it.
        """
        self.repository.signed = False
        self.chain(1)
        self.attach()
        self.building.held.add("dpkg-buildpackage")
        self.after(1, Source="bb")
        self.assertEqual({each.state for each in self.job(2).built}, {ArchState.BUILDING})
        self.finish(1)
        self.building.release()
        self.harness.settle()
        self.assertEqual(self.job(2).state, JobState.NEEDSIGN)

    def test_lost_slave(self) -> None:
        """
        Promise 9.6: when the slave of a job that has its root is lost after the packages of the one before it have left
        the repository, the job ends, and does not wait for these for ever.
        """
        self.outlive()
        self.slave.lose()
        self.harness.settle(3600)
        why = "job 1: aa 1.0+farm1 was finished without being published, and this job is built after it"
        self.assertEqual(self.ended(2), ("killed", why, {"killed"}))
        self.assertEqual(self.requests(), [])

    def test_lost_unseen(self) -> None:
        """
        Promise 9.6: so does one at whose builds nobody has looked since.
        """
        self.outlive()
        self.slave.lose()
        with mock.patch.object(JobService, "_look_at", AsyncMock()):
            self.harness.settle(3600)
        self.assertEqual(self.job(2).state, JobState.KILLED)

    def outlive(self) -> None:
        """
        Let job 2 have its root, and the packages of job 1 leave the repository then.
        """
        self.repository.signed = False
        self.chain(1)
        self.attach()
        self.building.held.add("dpkg-buildpackage")
        self.after(1, Source="bb")
        self.finish(1)
        self.assertEqual({each.state for each in self.job(2).built}, {ArchState.BUILDING})

    def test_not_in_the_repository(self) -> None:
        """
        Promise 9.6: a published job whose packages were removed from the repository for builds lets no job begin after
        it.
        """
        self.chain(1)
        self.attach()
        self.repository.shown = False
        self.after(1, Source="bb")
        why = "job 1: aa 1.0+farm1 is not in the repository for builds any more, and this job is built after it"
        self.assertEqual(self.ended(2), ("killed", why, {"killed"}))

    def test_requeue(self) -> None:
        """
        Promise 9.6: members that were ended are jobs of their own: built again, they wait for the one before them,
        which has to be requeued first.
        """
        self.building.failing.add("dpkg-buildpackage")
        self.chain(2)
        self.attach()
        self.refused(InputError, lambda: self.ask("requeue", job=2), "First: buildbot-lite package requeue 1")
        self.building.failing.clear()
        self.building.held.add("dpkg-buildpackage")
        self.ask("requeue", job=1)
        self.ask("requeue", job=2)
        self.harness.settle()
        self.assertEqual(self.states(2), ["building", "waiting"])
        self.building.release()
        self.harness.settle()
        self.assertEqual(self.states(2), ["finished", "finished"])

    def test_unreadable(self) -> None:
        """
        Promise 9.9: while the repository cannot be read, no chained job begins; the repository is read again later.
        """
        self.chain(1)
        self.attach()
        self.repository.errors["shows"] = FileError("the disk is gone.")
        self.after(1, Source="bb")
        self.assertEqual(self.job(2).state, JobState.WAITING)
        self.flushLoggedErrors(FileError)
        self.repository.errors.clear()
        self.harness.settle(chains.LOOK_AGAIN)
        self.assertEqual(self.job(2).state, JobState.FINISHED)


class KilledMasterTests(ChainCase):
    """
    A master that dies, at each step of a chain.
    """

    def test_each_step(self) -> None:
        """
        Promise 9.2, 9.6: a master that dies while the first job waits, is built, enters the repository or waits for its
        signature lets the second begin neither too early nor twice.
        """
        self.repository.signed = False
        self.chain(2)
        self.building.held.add("dpkg-buildpackage")
        self.restart()
        self.assertEqual(self.states(2), ["building", "waiting"])
        self.restart()
        self.assertEqual(self.states(2), ["building", "waiting"])
        self.assertEqual(self.reasons(2), {"it is built after job 1: aa 1.0, which is in the state building"})
        self.repository.held.add("enter")
        self.building.release()
        self.harness.settle()
        self.restart()
        self.assertEqual(self.states(2), ["repowait", "waiting"])
        self.repository.held.clear()
        self.building.held.add("dpkg-buildpackage")
        self.restart()
        self.assertEqual(self.states(2), ["needsign", "building"])
        self.restart()
        self.building.release()
        self.harness.settle()
        self.assertEqual(self.states(2), ["needsign", "needsign"])
        for arch in self.job(2).arches:
            self.assertEqual(len(self.harness.builds(arch.request or 0)), 1)

    def test_half_ended(self) -> None:
        """
        Promise 9.2, 9.6: a master that dies when the first job is recorded as failed, and before those after it are
        ended, ends them when it starts again; and so does one that dies before their builds are cancelled.
        """
        self.chain(3)
        with mock.patch.object(Chains, "_look_soon"):
            self.ask("kill", job=1)
        self.assertEqual(self.states(3), ["killed", "waiting", "waiting"])
        never: Deferred[None] = Deferred()
        with mock.patch.object(JobService, "cancel_builds", lambda service, job: never):
            self.restart()
        self.assertEqual(self.states(3), ["killed"] * 3)
        self.assertEqual(len(self.requests()), 4)
        self.restart()
        self.assertEqual(self.requests(), [])
        self.assertEqual([len(self.harness.builds(number)) for number in range(3, 7)], [0] * 4)
