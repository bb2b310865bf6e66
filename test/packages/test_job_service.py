"""
Jobs in a running master.
"""

import json
import os
from collections.abc import Iterable
from functools import partial
from typing import Any

from twisted.internet.defer import fail

from buildbot_lite.errors import RecordsFailingError
from buildbot_lite.packages.records import job_records
from buildbot_lite.packages.records.job_progress import look_at_requests
from buildbot_lite.packages.records.job_states import ArchState, JobState
from buildbot_lite.packages.records.jobs import Job
from buildbot_lite.packages.service import job_advance, job_service
from buildbot_lite.storage.records.grants import GrantLimits
from test.control.test_submissions import FakeWatcher, SubmissionCase
from test.master.harness import FakeSlave

from .archives import TINY_SRPM, archive, greet
from .package_slave import DEB, PackageSlave

TARGETS = 'DebTarget("bookworm", arches=["amd64", "i386", "all"], root=Plain(), version_suffix="+farm1")'


class JobCase(SubmissionCase):
    """
    A farm with a target, and a slave that has not been attached.
    """

    def setUp(self) -> None:
        super().setUp()
        # The slave's files are no packages.
        self.patch(job_advance, "checked_builds", lambda *_: None)
        self.building = PackageSlave()
        self.slave = FakeSlave(behaviour=self.building)

    def configuration(self) -> str:
        return (
            "from buildbot_lite.packages import DebTarget, Plain\n"
            'c["slaves"] = [slave.BuildSlave("bot1", max_builds=3)]\n'
            f'c["targets"] = [{TARGETS}]\n'
        )

    def submit(self, **fields: str) -> FakeWatcher:
        """
        Submit a package for all architectures but "all".
        """
        return self.run_command("bookworm", archive(greet(**fields)))

    def submit_with(self, **options: Any) -> FakeWatcher:
        """
        Submit a package with these options.
        """
        watcher = FakeWatcher()
        feed = self.successResultOf(self.target("bookworm").submit_file(watcher, options))
        assert feed is not None
        feed.feed(archive(greet()))
        feed.close()
        self.harness.settle()
        return watcher

    def attach(self) -> None:
        """
        Attach the slave, and let it build what waits.
        """
        self.harness.attach("bot1", self.slave, platform={"machine": "x86_64"})

    def job(self, number: int = 1) -> Job:
        """
        The record of a job.
        """
        found: Any = self.harness.read(lambda connection: job_records.get(connection, number))
        assert isinstance(found, Job)
        return found

    def tree(self, *path: str) -> list[str]:
        """
        The names in a directory of the results.
        """
        place = os.path.join(self.harness.basedir, "packages", *path)
        return sorted(os.listdir(place)) if os.path.isdir(place) else []


class JobServiceTests(JobCase):
    """
    From a submission to the results.
    """

    def test_built(self) -> None:
        """
        Promise 9.2: the submitter reads the number of the job; it waits, builds and is finished, with a time for each
        state.
        """
        watcher = self.submit()
        self.assertEqual(watcher.err.splitlines()[0], "# job 1: greet 1.0 for bookworm (amd64, i386)")
        self.assertEqual(self.job().state, JobState.WAITING)
        self.assertEqual([each.state for each in self.job().arches], [ArchState.WAITING] * 2 + [ArchState.SKIPPED])
        self.attach()
        job = self.job()
        self.assertEqual((job.state, job.reason), (JobState.FINISHED, ""))
        self.assertEqual([state for state, _ in job.history], ["initialize", "waiting", "building", "finished"])
        self.assertEqual([each.state for each in job.built], [ArchState.DONE] * 2)
        self.assertEqual(watcher.codes, [0])

    def test_results(self) -> None:
        """
        Promise 9.5: each architecture has a directory with packages, logs, .buildinfo and the list of what was
        installed, each with its digest; the log of the job has the version that was built.
        """
        self.submit()
        self.attach()
        self.assertEqual(self.tree("bookworm", "greet"), ["1.0+farm1"])
        self.assertEqual(self.tree("bookworm", "greet", "1.0+farm1"), ["amd64", "i386"])
        names = ["SHA256SUMS", "build.log", DEB, "greet_1.0.buildinfo", "installed.txt", "job.log", "root.log"]
        self.assertEqual(self.tree("bookworm", "greet", "1.0+farm1", "i386"), sorted(names))
        story = os.path.join(self.harness.basedir, "packages", "bookworm", "greet", "1.0+farm1", "i386", "job.log")
        with open(story, encoding="utf-8") as file:
            self.assertEqual(file.readline(), "job 1: greet 1.0+farm1 for bookworm, i386\n")

    def test_running(self) -> None:
        """
        Promise 9.2: while it is built, each architecture has the state of the running step.
        """
        self.building.held.add("dpkg-buildpackage")
        self.submit()
        self.attach()
        self.assertEqual([each.state for each in self.job().built], [ArchState.BUILDING] * 2)
        self.assertEqual(self.job().state, JobState.BUILDING)
        self.building.release()
        self.harness.settle()
        self.assertEqual(self.job().state, JobState.FINISHED)

    def test_failed(self) -> None:
        """
        Promise 9.2: a job of which one architecture fails is failed, with the reason, and has no results.
        """
        self.building.failing.add("dpkg-buildpackage")
        self.submit()
        self.attach()
        job = self.job()
        self.assertEqual(job.state, JobState.FAILED)
        self.assertIn("amd64, i386: The package could not be built: ", job.reason)
        self.assertEqual(self.tree(), [])

    def test_retention(self) -> None:
        """
        Promise 9.9: retention takes no build of a job that has not ended; jobs that have ended are forgotten only when
        there are too many.
        """
        self.building.held.add("any +farm1 i386")
        self.submit()
        self.attach()
        built = self.job().arches[0].build
        assert built is not None
        holder = self.farm.retention_holders[job_records.BUILDS_OF_JOBS.name]
        self.assertEqual(self.harness.read(lambda connection: holder.held(connection, [built, 99])), {built})
        self.building.release()
        self.harness.settle()
        self.assertEqual(self.harness.read(lambda connection: holder.held(connection, [built])), set())
        self.submit_with(scratch=True)
        for kept, gone in ((2, 0), (1, 1)):
            forgotten = self.successResultOf(self.farm.records.write(partial(job_records.prune, kept=kept)))
            self.assertEqual(forgotten, gone)
        self.assertIsNone(self.harness.read(lambda connection: job_records.get(connection, 1)))

    def test_options(self) -> None:
        """
        Promise 9.8: a scratch build has a directory of its own, and leaves other builds of the version alone; a
        priority may be lower than the target's, and not higher.
        """
        self.submit_with(scratch=True, priority=-5)
        self.attach()
        job = self.job()
        self.assertEqual((job.state, job.scratch, job.priority), (JobState.FINISHED, True, -5))
        self.assertEqual(self.tree("bookworm"), ["+scratch"])
        self.assertEqual(self.tree("bookworm", "+scratch", "1"), ["amd64", "i386"])
        self.building.files = {DEB: b"other"}
        self.submit_with()
        self.submit_with(scratch=True)
        self.assertEqual([self.job(number).state for number in (2, 3)], [JobState.FINISHED] * 2)
        watcher = self.submit_with(priority=1)
        self.assertIn("The priority 1 is too high: this string permits 0 at most.", watcher.err)

    def test_refused(self) -> None:
        """
        Promise 6.13: the client of a package that is not for the target learns that it can never be built there; that
        of a string that is used up does not.
        """
        limits = GrantLimits(uses=1)
        grant = self.harness.done(self.farm.grants.hand_out("submit", "bookworm", name="bookworm", limits=limits))
        for data, out, sentence in (
            (TINY_SRPM, b'{"refused_input":true}', "is a source RPM, and bookworm builds packages of Debian."),
            (archive(greet()), None, ""),
            (archive(greet()), b"", "is used up"),
        ):
            watcher = FakeWatcher()
            feed = self.successResultOf(self.target_of_grant(grant.id).submit_file(watcher))
            if feed is not None:
                feed.feed(data)
                feed.close()
            self.harness.settle()
            self.assertIn(sentence, watcher.err)
            self.assertIn(out, (None, watcher.out))

    def test_granted_priority(self) -> None:
        """
        Promise 9.8: a string may permit a higher priority than the target's, or lower ones only; a submitter cannot
        raise it above that, and without a choice of theirs it is the target's if that is permitted.
        """
        for most, options, priority in (
            (10, {"priority": 10}, 10),
            (10, {"priority": -2}, -2),
            (10, {}, 0),
            (-5, {}, -5),
            (10, {"priority": 11}, None),
            (-5, {"priority": 0}, None),
            (10, {"priority": 11, "most_priority": 99}, None),
            (None, {"priority": 1, "most_priority": 99}, None),
        ):
            limits = GrantLimits(most_priority=most)
            grant = self.harness.done(self.farm.grants.hand_out("submit", "bookworm", name="bookworm", limits=limits))
            watcher = FakeWatcher()
            feed = self.successResultOf(
                self.target_of_grant(grant.id).submit_file(watcher, {"scratch": True, **options})
            )
            assert feed is not None
            feed.feed(archive(greet()))
            feed.close()
            self.harness.settle()
            if priority is None:
                self.assertIn(f"this string permits {most or 0} at most.", watcher.err)
            else:
                number = int(json.loads(watcher.out)["title"].removeprefix("job ").partition(":")[0])
                self.assertEqual(self.job(number).priority, priority, (most, options))

    def test_killed_master(self) -> None:
        """
        Promise 9.2: a master that dies at any time loses no job and repeats nothing: the next one finds where each is.
        """
        self.submit()
        self.harness.restart()
        self.assertEqual(self.job().state, JobState.WAITING)
        self.building.held.add("dpkg-buildpackage")
        self.attach()
        self.assertEqual(self.job().state, JobState.BUILDING)
        self.harness.restart()
        self.assertEqual(self.job().state, JobState.BUILDING)
        self.harness.attach("bot1", self.slave, platform={"machine": "x86_64"}, held=self.slave.held())
        self.building.release()
        self.harness.settle()
        self.assertEqual(self.job().state, JobState.FINISHED)
        before = self.job()
        self.harness.restart()
        self.assertEqual(self.job(), before)

    def test_refused_looks(self) -> None:
        """
        Promise 9.2: while the records take no change, no event of a build is lost; the job goes on when they do again.
        """
        self.building.held.add("dpkg-buildpackage")
        self.submit()
        self.attach()
        write, refused = self.farm.records.write, 0

        def refusing(change: Any) -> Any:
            nonlocal refused
            if getattr(change, "func", None) is look_at_requests and refused < 2:
                refused += 1
                return fail(RecordsFailingError("Too many changes wait."))
            return write(change)

        self.patch(self.farm.records, "write", refusing)
        self.building.release()
        self.harness.settle()
        self.assertEqual((self.job().state, refused), (JobState.BUILDING, 1))
        for _ in range(2):
            self.harness.settle(job_advance.LOOK_AGAIN)
        self.assertEqual((self.job().state, refused), (JobState.FINISHED, 2))

    def test_defective_look(self) -> None:
        """
        Promise 9.2: a request at which nobody can look is logged, and does not keep the jobs of others.
        """
        look, broken = look_at_requests, set[int]()

        def failing(connection: Any, numbers: Iterable[int], now: float) -> list[Job]:
            if broken & set(numbers):
                raise ValueError("no such state")
            return look(connection, numbers, now)

        self.patch(job_service, "look_at_requests", failing)
        self.building.held.add("dpkg-buildpackage")
        self.submit_with(scratch=True)
        self.submit_with(scratch=True)
        broken.add(self.job(1).arches[0].request or 0)
        self.attach()
        self.building.release()
        self.harness.settle()
        self.assertTrue(self.flushLoggedErrors(ValueError))
        self.assertEqual(self.job(2).state, JobState.FINISHED)
        broken.clear()
        self.harness.restart()
        self.assertEqual(self.job(1).state, JobState.FINISHED)
