"""
The files of jobs' results.
"""

import contextlib
import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from hashlib import sha256
from typing import Any, cast
from unittest import mock

from attrs import evolve
from sqlalchemy import Connection
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import DiskFullError, FileError, InputError
from buildbot_lite.packages.control.job_actions import JobActions
from buildbot_lite.packages.control.package_jobs import PackageJobs
from buildbot_lite.packages.records import results
from buildbot_lite.packages.records.results import ArchOutput, JobResults, StoredFile, load, place_of, store
from buildbot_lite.packages.service import job_advance
from buildbot_lite.packages.service.checked_builds import checked_builds

from .rpm_files import rpm, srpm
from .test_job_service import JobCase

DEB = "greet_1.0_amd64.deb"
OLD, NEW = (sha256(data).hexdigest() for data in (b"old", b"new"))


class StoreTests(SynchronousTestCase):
    """
    From the files of builds to a directory.
    """

    def setUp(self) -> None:
        self.base = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.base)
        for name in ("artifacts", "streams"):
            os.mkdir(os.path.join(self.base, name))
        self.place = os.path.join(self.base, "packages", "bookworm", "greet", "1.0")
        self.checked: dict[str, list[str]] = {}
        self.refused = ""

    def output(self, arch: str = "amd64", name: str = DEB, data: bytes = b"deb", story: str = "") -> ArchOutput:
        """
        The output of a build: a package, and two parts of a log.
        """
        self.write(f"artifacts/{arch}-{name}", data)
        self.write("streams/1", b"one\n")
        self.write("streams/2", b"two\n")
        stored = StoredFile(name, f"{arch}-{name}", sha256(data).hexdigest())
        return ArchOutput(arch, (stored,), {"build.log": ("1", "2")}, story)

    def write(self, path: str, data: bytes) -> None:
        """
        A file of the farm.
        """
        whole = os.path.join(self.base, path)
        if os.path.exists(whole):
            os.unlink(whole)
        with open(whole, "wb") as file:
            file.write(data)

    def store(self, *outputs: ArchOutput) -> JobResults:
        """
        Store *outputs*.
        """
        farm = {name: os.path.join(self.base, name) for name in ("artifacts", "streams")}
        return store(self.place, outputs, **farm, check=self.check)

    def check(self, builds: Mapping[str, str]) -> None:
        """
        Note the files that are checked, and refuse them if the test says so.
        """
        self.checked = {arch: sorted(os.listdir(place)) for arch, place in builds.items()}
        if self.refused:
            raise InputError(self.refused)

    def names(self, arch: str = "") -> list[str]:
        """
        The names of the files in the directory.
        """
        return sorted(os.listdir(os.path.join(self.place, arch)))

    def test_stored(self) -> None:
        """
        Promise 9.5: packages are the artifacts themselves, logs are whole, and each file has its digest.
        """
        found = self.store(self.output(), self.output("i386"))
        self.assertEqual(self.names(), ["amd64", "i386"])
        self.assertEqual(self.names("amd64"), ["SHA256SUMS", "build.log", DEB, "job.log"])
        place = os.path.join(self.place, "amd64")
        self.assertTrue(os.path.samefile(os.path.join(place, DEB), os.path.join(self.base, f"artifacts/amd64-{DEB}")))
        with open(os.path.join(place, "build.log"), "rb") as log:
            self.assertEqual(log.read(), b"one\ntwo\n")
        self.assertEqual(load(self.place), found)
        for each in found.files:
            with open(found.path(each), "rb") as file:
                self.assertEqual(sha256(file.read()).hexdigest(), each.sha256)
        self.assertEqual([each.name for each in found.packages], [DEB] * 2)

    def test_strange_file(self) -> None:
        """
        A file that somebody has put beside the architectures belongs to no results.
        """
        found = self.store(self.output())
        with open(os.path.join(self.place, "NOTES"), "w", encoding="utf-8"):
            pass
        self.assertEqual(load(self.place), found)

    def test_other_bytes(self) -> None:
        """
        Promise 9.5: the same version with other bytes is refused with the package's name, before anything is changed;
        with the same bytes it is as it was.
        """
        self.store(self.output(story="first"))
        before = os.stat(os.path.join(self.place, "amd64"))
        self.store(self.output(story="second"))
        self.assertEqual(os.stat(os.path.join(self.place, "amd64")), before)
        for other in (self.output(data=b"other"), self.output(name="greet2_1.0_amd64.deb")):
            error = self.assertRaises(InputError, self.store, self.output("i386"), other)
            self.assertIn("is there already, with other bytes", str(error))
            self.assertEqual(self.names(), ["amd64"])

    def test_replaced(self) -> None:
        """
        Promise 9.5: results that give way go when the new ones are checked, by one rename; a master that dies at any
        step leaves the old ones, the new ones or none, and no architecture of both.
        """
        self.refused = "not these."
        self.store_old()
        self.assertRaises(InputError, self.replace)
        self.assertEqual(self.digests(), {"amd64": OLD, "i386": OLD})
        self.refused = ""
        seen = []
        for name in ("rename", "mkdir", "rmdir"):
            for calls in range(6):
                self.store_old()
                ends = [*[mock.DEFAULT] * calls, KeyboardInterrupt, *[mock.DEFAULT] * 6]
                call = mock.Mock(wraps=getattr(os, name), side_effect=ends)
                # What a killed master does not do: tidy up.
                tidying = mock.patch("shutil.rmtree")
                with mock.patch.object(os, name, call), tidying, contextlib.suppress(KeyboardInterrupt):
                    self.replace()
                seen.append(self.digests())
                self.assertIn(seen[-1], ({"amd64": OLD, "i386": OLD}, {}, {"amd64": NEW}))
                self.replace()
                self.assertEqual(self.digests(), {"amd64": NEW})
                self.assertFalse(os.path.exists(self.earlier))
        self.assertIn({}, seen)

    @property
    def earlier(self) -> str:
        """
        Another directory of results.
        """
        return os.path.join(os.path.dirname(self.place), "0.9")

    def store_old(self) -> None:
        """
        Let there be results that may be replaced, in both directories.
        """
        shutil.rmtree(os.path.dirname(self.place), ignore_errors=True)
        refused, self.refused = self.refused, ""
        self.store(self.output(data=b"old"), self.output("i386", data=b"old"))
        self.refused = refused
        shutil.copytree(self.place, self.earlier)

    def replace(self) -> None:
        """
        Replace all of these by the output of one architecture.
        """
        farm = {name: os.path.join(self.base, name) for name in ("artifacts", "streams")}
        replaced = [each for each in (self.place, self.earlier) if os.path.isdir(each)]
        store(self.place, [self.output(data=b"new")], **farm, check=self.check, replaced=replaced)

    def digests(self) -> dict[str, str]:
        """
        The digests of the packages that are there, by architecture.
        """
        found = load(self.place).packages if os.path.isdir(self.place) else ()
        return {each.architecture: each.sha256 for each in found}

    def test_died(self) -> None:
        """
        Promise 9.5: a master that dies while it stores leaves no architecture in part, and the next one stores it
        whole.
        """
        for dying in ("rename", "link", "mkdir"):
            with self.subTest(dying=dying):
                with mock.patch(f"{results.__name__}.os.{dying}", side_effect=KeyboardInterrupt):
                    self.assertRaises(KeyboardInterrupt, self.store, self.output(dying))
                self.assertFalse(os.path.exists(os.path.join(self.place, dying)))
                self.store(self.output(dying))
                self.assertIn(DEB, self.names(dying))
        self.assertEqual(self.names(), ["link", "mkdir", "rename"])

    def test_no_links(self) -> None:
        """
        Where hard links cannot be made, files are copied; one that is gone is one sentence.
        """
        with mock.patch(f"{results.__name__}.os.link", side_effect=OSError(18, "Invalid cross-device link")):
            found = self.store(self.output())
        with open(found.path(found.packages[0]), "rb") as file:
            self.assertEqual(file.read(), b"deb")
        gone = evolve(self.output("i386"), artifacts=(StoredFile(DEB, "none", "0" * 64),))
        self.assertIn("is not there any more", str(self.assertRaises(FileError, self.store, gone)))
        self.assertEqual(self.names(), ["amd64"])
        self.assertEqual(load(self.place), found)

    def test_of_a_job(self) -> None:
        """
        Promise 9.9: results of another job, and a directory that is not there, are not of a job; what a killed master
        had not shown yet decides nothing.
        """
        job = mock.Mock(id=1)
        self.assertFalse(results.are_of(self.place, job))
        self.store(self.output(story="job 1: greet 1.0 for bookworm, amd64\n"))
        os.mkdir(os.path.join(self.place, ".i386.new"))
        self.assertTrue(results.are_of(self.place, job))
        self.store(self.output("i386", story="job 11: greet 1.0 for bookworm, i386\n"))
        self.assertFalse(results.are_of(self.place, job))

    def test_full_disk(self) -> None:
        """
        Promise 9.9: on a full disk nothing is stored in part, and one sentence says so, whichever directory or file has
        no room; later everything is stored.
        """
        full = OSError(28, "No space left on device")
        for change in ("mkdir", "fsync", "rename"):
            with mock.patch(f"{results.__name__}.os.{change}", side_effect=full):
                error = self.assertRaises(DiskFullError, self.store, self.output())
            self.assertRegex(str(error), r"here is no room for the results (of greet 1\.0 for bookworm|for amd64)\.")
            self.assertFalse(os.path.exists(self.place))
        self.store(self.output())
        self.assertIn(DEB, self.names("amd64"))

    def test_no_paths(self) -> None:
        """
        Sentences about results, which submitters see, name target, package and version, not the master's directories.
        """
        for place, words in (
            ("bookworm/greet/1%3a1.0", "results of greet 1:1.0 for bookworm"),
            ("bookworm/+scratch/7", "results of scratch job 7 for bookworm"),
        ):
            self.place = os.path.join(self.base, "packages", place)
            missing = str(self.assertRaises(FileError, load, self.place))
            self.assertIn(f"The {words} cannot be read on the master: ", missing)
            with mock.patch(f"{results.__name__}.make_directories", side_effect=OSError(13, "Permission denied")):
                error: FileError = self.assertRaises(FileError, self.store, self.output())
            self.assertEqual(str(error), f"The {words} cannot be stored on the master: Permission denied.")
            self.assertNotIn(self.base, missing)

    def test_refused(self) -> None:
        """
        Promise 9.5: what the check refuses is not kept, so that the version may be built again; the check sees the
        files of all architectures, those that are there already among them.
        """
        self.refused = "Not this one."
        self.assertRaises(InputError, self.store, self.output(), self.output("i386"))
        self.assertEqual(self.checked["i386"], ["SHA256SUMS", "build.log", DEB, "job.log"])
        self.assertFalse(os.path.exists(self.place))
        self.refused = ""
        self.store(self.output())
        self.refused = "Not that one either."
        self.assertRaises(InputError, self.store, self.output(), self.output("i386", data=b"other"))
        self.assertEqual(list(self.checked), ["amd64", "i386"])
        self.assertEqual(self.names(), ["amd64"])

    def test_old_scratch(self) -> None:
        """
        Promise 9.9: results of scratch builds are removed after a time, and beyond a number the oldest ones.
        """
        self.patch(results, "MOST_SCRATCH", 2)
        top = os.path.join(self.base, "packages", "bookworm", "+scratch")
        results.remove_old_scratch(self.base, "bookworm", 0.0)
        for job in (7, 8, 9, 10):
            self.place = os.path.join(top, str(job))
            self.store(self.output())
            os.utime(self.place, (1000.0, 1000.0))
        results.remove_old_scratch(self.base, "bookworm", 1001.0)
        self.assertEqual(sorted(os.listdir(top)), ["10", "9"])
        os.utime(os.path.join(top, "10"), (2000.0, 2000.0))
        results.remove_old_scratch(self.base, "bookworm", 1001.0 + results.SCRATCH_KEPT)
        self.assertEqual(os.listdir(top), ["10"])

    def test_place(self) -> None:
        """
        The directory has no colon; each scratch build has its own.
        """
        job: Any = mock.Mock(target="t", id=7, scratch=False)
        job.name = "greet"
        self.assertEqual(place_of("/farm", job, "1:2-3"), "/farm/packages/t/greet/1%3a2-3")
        job.scratch = True
        self.assertEqual(place_of("/farm", job, "1:2-3"), "/farm/packages/t/+scratch/7")


class RefusedResultsTests(JobCase):
    """
    Results that are refused.
    """

    def test_names(self) -> None:
        """
        Promise 9.5: a file whose name files of packages do not have fails the job with one sentence, and nothing is
        stored.
        """
        for number, name in enumerate(("-rf.deb", "SHA256SUMS", "a b.deb", "build.log"), start=1):
            self.building.files = {name: b"x"}
            self.submit()
            if number == 1:
                self.attach()
            self.harness.settle()
            job = self.job(number)
            self.assertEqual(job.state, "failed", name)
            self.assertRegex(job.reason, "no name of a file|the farm's own")
            self.assertEqual(self.tree(), [])

    def test_other_packages(self) -> None:
        """
        Promise 9.9: what is no package of the submitted source fails the job with one sentence, and nothing is stored;
        requeue builds all of it again.
        """
        self.patch(job_advance, "checked_builds", checked_builds)
        self.submit()
        self.attach()
        job = self.job()
        self.assertEqual(job.state, "failed")
        self.assertIn("is no .deb", job.reason)
        self.assertEqual(self.tree("bookworm", "greet"), [])
        actions = JobActions(self.farm, cast("PackageJobs", self.farm.extensions["jobs of packages"]).service)
        _, again = self.harness.done(actions.requeue(1))
        self.assertEqual(again, ["amd64", "i386"])

    def test_again(self) -> None:
        """
        Promise 9.5: a second job of the same version with other bytes fails, and the first results stay.
        """
        self.submit()
        self.attach()
        self.building.files = dict.fromkeys(self.building.files, b"other")
        self.submit()
        self.harness.settle()
        self.assertEqual([self.job(number).state for number in (1, 2)], ["finished", "failed"])
        self.assertEqual(
            self.job(2).reason,
            "greet_1.0+farm1_any.deb is there already, with other bytes, of job 1, which is finished: give the package "
            "a higher version, or build it with --scratch.",
        )


class BuiltVersionTests(JobCase):
    """
    The results of source RPMs, whose release becomes another one where they are built.
    """

    def setUp(self) -> None:
        super().setUp()
        self.patch(job_advance, "checked_builds", checked_builds)
        self.building.files = {"hello-2.10-1.f4.x86_64.rpm": self.package("1.f4")}

    def configuration(self) -> str:
        return (
            "from buildbot_lite.packages import Plain, RpmTarget\n"
            'c["slaves"] = [slave.BuildSlave("bot1")]\n'
            'c["targets"] = [RpmTarget("f4", ["x86_64"], root=Plain(), dist=".f4")]\n'
        )

    def package(self, release: str, payload: bytes = b"files") -> bytes:
        """
        The package hello-2.10 with this release.
        """
        return rpm(payload, t1002=release, t1044=f"hello-2.10-{release}.src.rpm")

    def test_place(self) -> None:
        """
        Promise 9.5: results are under the version that was built, which is what people read from then on; the submitted
        one is kept beside it.
        """
        self.run_command("f4", srpm(t1002="1.fc40"))
        self.assertEqual((self.job().title, self.job().built_version), ("job 1: hello 2.10-1.fc40", None))
        self.attach()
        job = self.job()
        self.assertEqual((job.state, job.version, job.built_version), ("finished", "2.10-1.fc40", "2.10-1.f4"))
        self.assertEqual(job.title, "job 1: hello 2.10-1.f4")
        self.assertEqual(self.tree("f4", "hello"), ["2.10-1.f4"])

    def test_same_version(self) -> None:
        """
        Promise 9.5: other bytes of a version that was built are refused, though another version was submitted.
        """
        self.run_command("f4", srpm(t1002="1.fc40"))
        self.attach()
        self.building.files = {"hello-2.10-1.f4.x86_64.rpm": self.package("1.f4", b"other")}
        self.run_command("f4", srpm(t1002="1.fc41"))
        self.assertEqual([self.job(number).state for number in (1, 2)], ["finished", "failed"])
        self.assertIn("hello-2.10-1.f4.x86_64.rpm is there already, with other bytes", self.job(2).reason)
        self.assertEqual(self.tree("f4", "hello"), ["2.10-1.f4"])

    def test_epoch(self) -> None:
        """
        The epoch is that of the source package; what a package of another source says is not taken for the version.
        """
        self.run_command("f4", srpm(t1003=3))
        self.attach()
        self.assertEqual(self.tree("f4", "hello"), ["3%3a2.10-1.f4"])
        self.building.files = {"hello-2.10-9.x86_64.rpm": self.package("9")}
        self.run_command("f4", srpm(t1003=4))
        job = self.job(2)
        self.assertEqual((job.state, job.built_version), ("failed", None))
        self.assertIn("is of hello-2.10-9.src.rpm", job.reason)
        self.assertEqual(self.tree("f4", "hello"), ["3%3a2.10-1.f4"])

    def test_earlier_version(self) -> None:
        """
        Promise 13: results that a version of the program stored which did not record what was built stay where they
        are, and are found.
        """
        self.run_command("f4", srpm())
        self.attach()
        self.store_as_before()
        self.harness.restart()
        service = cast("PackageJobs", self.harness.farm.extensions["jobs of packages"]).service
        found = self.harness.done(service.results_of(self.job(), service.targets["f4"]))
        self.assertEqual([each.name for each in found.packages], ["hello-2.10-1.f4.x86_64.rpm"])
        self.assertEqual(self.tree("f4", "hello"), ["2.10-1"])

    def store_as_before(self, *states: str) -> None:
        """
        Let the results of job 1 be as the version before stored them, under the submitted version, and the job have
        been killed before *states*, its last ones, were recorded.
        """
        job = self.job()
        left = [[state, at] for state, at in job.history if state not in states]
        forget = "UPDATE package_jobs SET built_version = NULL, finished = NULL, state = ?, history = ?"
        values = (left[-1][0], json.dumps(left)) if states else (job.state.value, json.dumps(left))

        def change(connection: Connection) -> None:
            connection.exec_driver_sql(forget, values)
            if not states:
                connection.exec_driver_sql("UPDATE package_jobs SET finished = ?", (job.finished,))

        self.successResultOf(self.farm.records.write(change))
        top = os.path.join(self.harness.basedir, "packages", "f4", "hello")
        os.rename(os.path.join(top, "2.10-1.f4"), os.path.join(top, job.version))

    def test_same_version_as_earlier(self) -> None:
        """
        Promise 9.5: other bytes of a version are refused, too, where the version before stored it under the submitted
        one; the job that is refused has no version of packages.
        """
        self.run_command("f4", srpm(t1002="1.fc40"))
        self.attach()
        self.store_as_before()
        self.building.files = {"hello-2.10-1.f4.x86_64.rpm": self.package("1.f4", b"other")}
        self.run_command("f4", srpm(t1002="1.fc40"))
        job = self.job(2)
        self.assertEqual((job.state, job.built_version), ("failed", None))
        self.assertIn("hello-2.10-1.f4.x86_64.rpm is there already, with other bytes", job.reason)
        self.assertEqual(self.tree("f4", "hello"), ["2.10-1.fc40"])

    def test_stored_by_earlier(self) -> None:
        """
        Promise 13: results that the version before stored, of a job that it did not see go on, are not stored twice.
        """
        self.run_command("f4", srpm(t1002="1.fc40"))
        self.attach()
        self.store_as_before("finished")
        self.harness.restart()
        self.harness.settle()
        job = self.job()
        self.assertEqual((job.state, job.built_version), ("finished", "2.10-1.fc40"))
        self.assertEqual(self.tree("f4", "hello"), ["2.10-1.fc40"])
