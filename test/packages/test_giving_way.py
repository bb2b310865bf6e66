"""
Results that give way to others of their version, and results that do not.
"""

import os
from typing import Any
from unittest import mock

from attrs import evolve
from sqlalchemy import Connection
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import DiskFullError, InputError
from buildbot_lite.packages.records import results
from buildbot_lite.packages.records.job_records import MOST_STATES
from buildbot_lite.packages.records.job_states import JobState
from buildbot_lite.packages.records.jobs import Job
from buildbot_lite.packages.service import job_advance
from buildbot_lite.packages.service.giving_way import ResultHolder, why_holders_keep
from buildbot_lite.packages.service.job_advance import JobAdvance
from buildbot_lite.storage.records import marks

from .package_slave import DEB
from .test_job_repositories import RepositoryCase

HIGHER = "give the package a higher version, or build it with --scratch"


def job(number: int, *states: JobState) -> Job:
    """
    A job with these last states.
    """
    history = tuple((state.value, 0.0) for state in (JobState.INITIALIZE, JobState.WAITING, JobState.BUILDING, *states))
    return Job(
        id=number,
        target="bookworm",
        name="greet",
        version="1.0",
        submitter="me",
        by_grant=None,
        scratch=False,
        priority=0,
        buildset=1,
        state=JobState(history[-1][0]),
        reason="",
        created=0.0,
        changed=0.0,
        finished=None,
        history=history,
    )


class HoldersTests(SynchronousTestCase):
    """
    The jobs of a version.
    """

    def kept(self, *holders: Job, owners: set[int | None] | None = None, lasting: bool = False) -> str:
        """
        Why *holders* keep the results from job 9, with which they were stored by *owners*, or else by all of them.
        """
        found = [ResultHolder(each, lasting) for each in holders]
        return why_holders_keep(job(9), found, {each.id for each in holders} if owners is None else owners)

    def test_unseen(self) -> None:
        """
        Promise 9.5: results of jobs that ended before anybody could see them give way, whether of the same job or of
        others.
        """
        self.assertEqual(self.kept(job(9)), "")
        self.assertEqual(self.kept(job(9, JobState.FAILED, JobState.WAITING, JobState.BUILDING)), "")
        self.assertEqual(self.kept(job(3, JobState.KILLED), job(4, JobState.FAILED), job(9)), "")
        self.assertEqual(self.kept(owners=set()), "")

    def test_seen(self) -> None:
        """
        Promise 9.5: those of a job that came as far as ``repowait`` stay, whatever became of it.
        """
        repowait, needsign, killed = JobState.REPOWAIT, JobState.NEEDSIGN, JobState.KILLED
        for states, what in (
            ((JobState.FINISHED,), "which is finished"),
            ((repowait, JobState.FAILED), "which failed"),
            ((repowait, needsign, killed), "which was killed"),
            ((repowait, needsign), "which is in the state needsign"),
        ):
            self.assertEqual(self.kept(job(3, *states), job(9)), f"of job 3, {what}: {HIGHER}")
        seen = job(9, repowait, needsign, killed, JobState.BUILDING)
        self.assertEqual(self.kept(seen), f"of an earlier build of this job, which others may have seen: {HIGHER}")

    def test_shortened_history(self) -> None:
        """
        Promise 9.5: a history that may have lost states is taken for one of a job that others have seen.
        """
        again = (JobState.FAILED, JobState.WAITING, JobState.BUILDING)
        long = job(3, *again * MOST_STATES, JobState.FAILED)
        self.assertEqual(self.kept(evolve(long, history=long.history[: MOST_STATES - 1])), "")
        self.assertIn("of job 3, which failed: ", self.kept(evolve(long, history=long.history[:MOST_STATES])))

    def test_going_on(self) -> None:
        """
        Promise 9.5: another job that builds the version keeps its place, with the command that ends it.
        """
        self.assertEqual(
            self.kept(job(3), job(9), owners={9}),
            "and job 3 builds this version, too: kill that one (buildbot-lite package kill 3) and requeue this job, or "
            f"{HIGHER}",
        )

    def test_marked(self) -> None:
        """
        Promise 9.5: so does another job with a build that somebody keeps.
        """
        kept = self.kept(job(3, JobState.KILLED), lasting=True)
        self.assertEqual(
            kept, f"of job 3, which was killed and has a build that is kept (buildbot-lite kept): {HIGHER}"
        )

    def test_unknown(self) -> None:
        """
        Promise 9.5: results of a job that is not remembered stay, because it may have been published.
        """
        strange: tuple[set[int | None], ...] = ({3}, {None}, {9, None})
        for owners in strange:
            self.assertEqual(self.kept(job(9), owners=owners), f"of a job that is not remembered any more: {HIGHER}")


class GivingWayTests(RepositoryCase):
    """
    In a running master.
    """

    def setUp(self) -> None:
        super().setUp()
        # The master dies when it has stored the results, and the next one finds no source package any more.
        never: Deferred[bool] = Deferred()
        with mock.patch.object(JobAdvance, "_go", lambda *_: never):
            self.build()
        self.farm = self.harness.replace()
        self.use_repository()
        with mock.patch.object(job_advance, "submitted_file", side_effect=InputError("It is gone.")):
            self.harness.start()
        self.attach()
        self.assertEqual((self.job().state, self.job().reason), (JobState.FAILED, "It is gone."))
        self.assertEqual(self.stored(), {b"deb"})
        self.building.files = dict.fromkeys(self.building.files, b"other")

    def stored(self, *path: str) -> set[bytes]:
        """
        The packages that are there, of all architectures.
        """
        top = os.path.join(self.harness.basedir, "packages", "bookworm", *(path or ("greet", "1.0+farm1")))
        found = set()
        for arch in self.tree("bookworm", *(path or ("greet", "1.0+farm1"))):
            with open(os.path.join(top, arch, DEB), "rb") as file:
                found.add(file.read())
        return found

    def requeue(self) -> Job:
        """
        The job, after it was queued again and built with other bytes.
        """
        self.ask("requeue", job=1)
        self.harness.settle()
        return self.job()

    def test_requeued(self) -> None:
        """
        Promise 9.5: a job that is built again with other bytes replaces what it had stored when the master was killed.
        """
        job = self.requeue()
        self.assertEqual((job.state, job.reason), (JobState.FINISHED, ""))
        self.assertEqual(self.stored(), {b"other"})
        self.assertEqual(self.tree("bookworm", "greet"), ["1.0+farm1"])

    def test_refused_by_check(self) -> None:
        """
        Promise 9.5: packages that are refused replace nothing.
        """
        self.patch(job_advance, "checked_builds", mock.Mock(side_effect=InputError("No package of it.")))
        self.assertEqual(self.requeue().reason, "No package of it.")
        self.assertEqual(self.stored(), {b"deb"})

    def test_another_job(self) -> None:
        """
        Promise 9.5: another job of the version replaces them, too; then they are its own, and the first job is told so.
        """
        self.repository.signed = False
        self.submit()
        self.harness.settle()
        self.assertEqual((self.job(2).state, self.job(2).reason), (JobState.NEEDSIGN, ""))
        self.assertEqual(self.stored(), {b"other"})
        self.building.files = dict.fromkeys(self.building.files, b"third")
        self.assertIn("with other bytes, of job 2, which is in the state needsign: give", self.requeue().reason)
        self.assertEqual(self.stored(), {b"other"})

    def test_another_goes_on(self) -> None:
        """
        Promise 9.5: while another job of the version goes on, they stay; the sentence says which, and what to do, and
        that helps.
        """
        with mock.patch.object(results, "store", side_effect=DiskFullError("the disk is full.")):
            self.submit()
            self.harness.settle()
            self.assertEqual(self.job(2).state, JobState.BUILDING)
        self.building.files = dict.fromkeys(self.building.files, b"third")
        self.assertIn("and job 2 builds this version, too: kill that one", self.requeue().reason)
        self.assertEqual(self.stored(), {b"deb"})
        self.ask("kill", job=2)
        self.assertEqual(self.requeue().state, JobState.FINISHED)
        self.assertEqual(self.stored(), {b"third"})

    def test_published(self) -> None:
        """
        Promise 9.5: results of which a repository has a package stay, whatever the records say.
        """
        self.repository.names = frozenset({DEB})
        self.assertEqual(
            self.requeue().reason,
            f"{DEB} is there already, with other bytes, in the repository of bookworm: {HIGHER}.",
        )
        self.assertEqual(self.stored(), {b"deb"})

    def test_marked(self) -> None:
        """
        Promise 9.5: a mark on a build of another job keeps its results.
        """
        build = self.job().arches[0].build
        assert build is not None
        marked: Deferred[Any] = self.farm.records.write(lambda connection: marks.keep(connection, build, "look"))
        self.successResultOf(marked)
        self.submit()
        self.harness.settle()
        self.assertIn("of job 1, which failed and has a build that is kept", self.job(2).reason)

    def test_version_not_recorded(self) -> None:
        """
        Promise 9.5: results of a failed job give way also where only their job.log says whose they are, because the
        master was killed before it had recorded the version that the job made.
        """

        def forget_version(connection: Connection) -> None:
            connection.exec_driver_sql("UPDATE package_jobs SET built_version = NULL WHERE id = 1")

        self.successResultOf(self.farm.records.write(forget_version))
        self.submit()
        self.harness.settle()
        self.assertEqual((self.job(2).state, self.job(2).reason), (JobState.FINISHED, ""))
        self.assertEqual(self.stored(), {b"other"})

    def test_forgotten(self) -> None:
        """
        Promise 9.5: results of a job of which there is no record stay.
        """

        def forget(connection: Connection) -> None:
            connection.exec_driver_sql("DELETE FROM package_job_arches WHERE job = 1")
            connection.exec_driver_sql("DELETE FROM package_jobs WHERE id = 1")

        # The number of a job that was forgotten is not given again while later ones are remembered.
        self.submit_with(scratch=True)
        self.successResultOf(self.farm.records.write(forget))
        self.submit()
        self.harness.settle()
        self.assertIn("of a job that is not remembered any more", self.job(3).reason)


class ScratchTests(RepositoryCase):
    """
    Scratch builds, which have a directory for each job.
    """

    def test_requeued(self) -> None:
        """
        Promise 9.5: a scratch build that is built again replaces its own results; what a killed master left of them
        goes.
        """
        never: Deferred[bool] = Deferred()
        with mock.patch.object(JobAdvance, "_go", lambda *_: never):
            self.submit_with(scratch=True)
            self.attach()
        self.farm = self.harness.replace()
        self.use_repository()
        with mock.patch.object(job_advance, "submitted_file", side_effect=InputError("It is gone.")):
            self.harness.start()
        self.attach()
        self.building.files = dict.fromkeys(self.building.files, b"other")
        os.mkdir(os.path.join(self.harness.basedir, "packages", "bookworm", "+scratch", ".gone-7"))
        self.ask("requeue", job=1)
        self.harness.settle()
        self.assertEqual((self.job().state, self.job().reason), (JobState.FINISHED, ""))
        self.assertEqual(self.tree("bookworm", "+scratch"), ["1"])
