"""
Results that are removed, and results that never are.
"""

import os
import shutil
import tempfile
from functools import partial
from typing import Any, NamedTuple
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import DiskFullError, InputError
from buildbot_lite.packages.records import results
from buildbot_lite.packages.records.job_states import JobState
from buildbot_lite.packages.service import job_advance
from buildbot_lite.packages.service.job_advance import JobAdvance
from buildbot_lite.packages.service.result_retention import (
    LOOKED_EVERY,
    UNPUBLISHED_KEPT,
    ResultNeed,
    needs_of,
    remove_unpublished,
    unneeded,
)
from buildbot_lite.storage.records import marks

from .package_slave import DEB
from .test_job_repositories import RepositoryCase

NOW = 1e9
NAMES = ("a", "b")
VERSIONS = ("1.0", "1:2.0")


class PastJob(NamedTuple):
    """
    A job of a random history.  *age*: days since its end; None: the job has not ended.
    """

    name: str
    version: str
    age: float | None
    lasting: bool

    @property
    def place(self) -> tuple[str, str]:
        """
        The directory of its results.
        """
        return self.name, f"{self.version}+farm1".replace(":", "%3a")

    @property
    def package(self) -> str:
        """
        The name of the job's package.
        """
        return f"{self.name}_{self.version.partition(':')[2] or self.version}+farm1_amd64.deb"


JOBS = st.builds(
    PastJob, st.sampled_from(NAMES), st.sampled_from(VERSIONS), st.none() | st.floats(0, 40), st.booleans()
)
ALL_PACKAGES = sorted({PastJob(name, version, None, False).package for name in NAMES for version in VERSIONS})


class RandomHistoriesTests(SynchronousTestCase):
    def setUp(self) -> None:
        super().setUp()
        self.base = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.base)

    @settings(max_examples=150, deadline=None)
    @given(st.lists(JOBS, max_size=12), st.sets(st.sampled_from(ALL_PACKAGES)), st.booleans())
    def test_never_needed(self, jobs: list[PastJob], published: set[str], dies: bool) -> None:
        """
        Promise 9.9: whatever happened, results stay that a job which goes on, a mark or a repository needs, or that are
        all that a job was for, or that are younger than two weeks, or of which nothing is remembered; all others go,
        and a master that dies in the middle leaves none in part.
        """
        top = os.path.join(self.base, "packages", "t")
        shutil.rmtree(top, ignore_errors=True)
        everywhere = [PastJob(name, version, None, False) for name in NAMES for version in VERSIONS]
        for each in everywhere:
            os.makedirs(os.path.join(top, *each.place, "amd64"))
            for name in (each.package, "SHA256SUMS"):
                open(os.path.join(top, *each.place, "amd64", name), "w").close()
        for name in (".signing", "+scratch"):
            os.makedirs(os.path.join(top, name, "1"))
        needs = [
            ResultNeed(1, each.name, each.version, None if each.age is None else NOW - 86400 * each.age, each.lasting)
            for each in jobs
        ]
        places = unneeded(needs, lambda version: f"{version}+farm1", NOW)
        if dies:
            with mock.patch("shutil.rmtree"):
                remove_unpublished(self.base, "t", places, published)
        remove_unpublished(self.base, "t", places, published)
        for each in everywhere:
            its = [job for job in jobs if job.place == each.place]
            needed = not its or each.package in published
            needed = needed or any(job.age is None or job.lasting or job.age < 14 for job in its)
            path = os.path.join(top, *each.place, "amd64")
            self.assertEqual(sorted(os.listdir(path)) if needed else os.path.exists(path), self._whole(each, needed))
        left = [name for name, _, _ in os.walk(top) if ".gone" in name]
        self.assertEqual((left, sorted(os.listdir(top))[:2]), ([], ["+scratch", ".signing"]))

    def test_built_version(self) -> None:
        """
        Promise 9.9: results belong to the jobs that built their version, whatever was submitted.
        """
        old = ResultNeed(1, "a", "1.0-1.fc40", 0.0, False, "1.0-1.f4")
        self.assertEqual(unneeded([old], str, NOW), {("a", "1.0-1.f4")})
        new = ResultNeed(1, "a", "1.0-1.fc41", None, False, "1.0-1.f4")
        self.assertEqual(unneeded([old, new], str, NOW), set())

    def test_strange_files(self) -> None:
        """
        Promise 9.9: files and links that somebody has put beside the results stay, and keep none from being removed.
        """
        top = os.path.join(self.base, "packages", "t")
        os.makedirs(os.path.join(top, "b", "1.0+farm1", "amd64"))
        for name in ("README", "b/NOTES"):
            open(os.path.join(top, name), "w").close()
        os.symlink(self.base, os.path.join(top, "link"))
        place = ("b", "1.0+farm1")
        self.assertEqual(remove_unpublished(self.base, "t", {place, ("b", "NOTES")}, ()), [place])
        self.assertEqual(sorted(os.listdir(top)), ["README", "b", "link"])
        self.assertEqual(os.listdir(os.path.join(top, "b")), ["NOTES"])

    def _whole(self, job: PastJob, needed: bool) -> Any:
        return ["SHA256SUMS", job.package] if needed else False


class ResultRetentionTests(RepositoryCase):
    """
    In a running master.
    """

    def later(self) -> None:
        """
        Let two weeks pass and a scratch build end.
        """
        self.harness.settle(UNPUBLISHED_KEPT + LOOKED_EVERY)
        self.submit_with(scratch=True)
        self.harness.settle()

    def test_failed(self) -> None:
        """
        Promise 9.9: results of a job that failed on its way into the repository are kept for two weeks, and removed
        then; the job can still be built again.
        """
        self.repository.errors["enter"] = InputError("Not this one.")
        self.build()
        self.assertEqual(self.job().state, JobState.FAILED)
        self.harness.settle(UNPUBLISHED_KEPT - 2 * LOOKED_EVERY)
        self.submit_with(scratch=True)
        self.harness.settle()
        self.assertEqual(self.tree("bookworm", "greet"), ["1.0+farm1"])
        self.later()
        self.assertEqual(self.tree("bookworm"), ["+scratch"])
        self.repository.errors.clear()
        self.ask("requeue", job=1)
        self.harness.settle()
        self.assertEqual(self.job().state, JobState.FINISHED)
        self.assertEqual(self.tree("bookworm", "greet"), ["1.0+farm1"])

    def test_refused(self) -> None:
        """
        Promise 9.9: a job that was refused before its packages were stored has no results, so it does not decide about
        those of another job of its version.
        """
        self.build()
        self.building.files = dict.fromkeys(self.building.files, b"other")
        self.submit()
        self.harness.settle()
        self.assertEqual([self.job(number).state for number in (1, 2)], [JobState.FINISHED, JobState.FAILED])
        self.assertEqual(len(self.harness.read(partial(needs_of, target="bookworm"))), 1)

    def test_waiting(self) -> None:
        """
        Promise 9.9: what waits for its signature stays, and so do results of which a repository has a package.
        """
        self.repository.signed = False
        self.build()
        self.later()
        self.assertEqual(self.tree("bookworm", "greet"), ["1.0+farm1"])
        self.repository.names = frozenset({DEB})
        self.ask("kill", job=1)
        self.later()
        self.assertEqual(self.tree("bookworm", "greet"), ["1.0+farm1"])
        self.repository.names = frozenset()
        self.later()
        self.assertEqual(self.tree("bookworm", "greet"), [])

    def test_needs(self) -> None:
        """
        Promise 9.9: a build with a mark, and a job that was finished without a repository, need their results.
        """
        self.repository.signed = False
        self.build()
        self.ask("kill", job=1)
        (need,) = self.harness.read(lambda connection: needs_of(connection, "bookworm"))
        self.assertEqual((need.name, need.version, need.built, need.lasting), ("greet", "1.0", "1.0+farm1", False))
        build = self.job().arches[0].build
        assert build is not None
        marked: Deferred[Any] = self.farm.records.write(lambda connection: marks.keep(connection, build, "look"))
        self.successResultOf(marked)
        (need,) = self.harness.read(lambda connection: needs_of(connection, "bookworm"))
        self.assertTrue(need.lasting)

    def test_refused_after_a_kill(self) -> None:
        """
        Promise 9.9: results that a master had stored when it was killed, of a job that the next one refuses, are kept
        for two weeks like others that were not published, and removed then; the job can still be built again.
        """
        never: Deferred[bool] = Deferred()
        with mock.patch.object(JobAdvance, "_go", lambda *_: never):
            self.build()
        self.assertEqual(self.job().state, JobState.BUILDING)
        self.farm = self.harness.replace()
        self.use_repository()
        refusal = InputError("The source package is not stored any more.")
        with mock.patch.object(job_advance, "submitted_file", side_effect=refusal):
            self.harness.start()
        self.assertEqual((self.job().state, self.job().reason), (JobState.FAILED, str(refusal)))
        self.assertEqual(self.tree("bookworm", "greet"), ["1.0+farm1"])
        self.attach()
        self.later()
        self.assertEqual(self.tree("bookworm"), ["+scratch"])
        self.ask("requeue", job=1)
        self.harness.settle()
        self.assertEqual(self.job().state, JobState.FINISHED)
        self.assertEqual(self.tree("bookworm", "greet"), ["1.0+farm1"])

    def test_refused_beside_another(self) -> None:
        """
        Promise 9.9: a job that a master was killed with and the next one refuses, and of which no results are there,
        does not decide about those of another job of its version.
        """
        self.build()
        with mock.patch.object(results, "store", side_effect=DiskFullError("the disk is full.")):
            self.submit()
            self.harness.settle()
        self.assertEqual((self.job(2).state, self.job(2).built_version), (JobState.BUILDING, "1.0+farm1"))
        self.farm = self.harness.replace()
        self.use_repository()
        with mock.patch.object(job_advance, "submitted_file", side_effect=InputError("It is gone.")):
            self.harness.start()
        self.assertEqual((self.job(2).state, self.job(2).built_version), (JobState.FAILED, None))
        self.assertEqual(len(self.harness.read(partial(needs_of, target="bookworm"))), 1)
