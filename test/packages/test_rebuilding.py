"""
A job built again, and compared.
"""

from functools import partial
from typing import Any

from sqlalchemy import Connection
from twisted.logger import Logger
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.cli.package_rebuild import summary_of
from buildbot_lite.deferreds import background
from buildbot_lite.errors import LimitError, NotFoundError, RefusedError
from buildbot_lite.master.grants.verbs import SUBMIT
from buildbot_lite.packages.job_states import JobState
from buildbot_lite.storage.records.grants import Grant, GrantLimits

from .package_slave import DEB
from .test_job_questions import QuestionCase


class RebuildingTests(QuestionCase):
    """
    What the comparison says.
    """

    def setUp(self) -> None:
        super().setUp()
        self.building.files["installed.txt"] = b"gcc 12\nmake 4\n"
        self.submit()
        self.attach()

    def compared(self) -> list[Any]:
        """
        Build job 1 again, and compare.
        """
        rebuilt = self.ask("rebuild", job=1)["rebuild"]
        self.harness.settle()
        arches: list[Any] = self.ask("compare", job=1, rebuild=rebuilt)["arches"]
        return arches

    def test_limits(self) -> None:
        """
        Promise 9.8: the holder of a string to submit rebuilds and requeues within the limits of that string; the admin,
        without.
        """
        limits = GrantLimits(uses=2)
        grant = self.harness.done(self.farm.grants.hand_out(SUBMIT, "bookworm", name="b", label="me", limits=limits))
        self.give_to(grant)
        for _ in range(2):
            self.ask("rebuild", grant, job=1)
        self.refused(LimitError, lambda: self.ask("rebuild", grant, job=1), "is used up")
        self.ask("rebuild", job=1)
        self.building.failing.add("dpkg-buildpackage")
        self.submit()
        self.harness.settle()
        self.give_to(grant)
        self.refused(LimitError, lambda: self.ask("requeue", grant, job=5), "is used up")
        self.assertEqual(self.job(5).state, JobState.FAILED)

    def give_to(self, grant: Grant) -> None:
        """
        Let all jobs be submitted with *grant*.
        """
        give = partial(Connection.exec_driver_sql, statement="UPDATE package_jobs SET by_grant = ?")
        background(self.farm.records.write(partial(give, parameters=(grant.id,))), Logger(), "giving the jobs away")
        self.harness.settle()

    def test_same(self) -> None:
        """
        Promise 9.5: the same source makes the same packages; the rebuild is a scratch job of its own, and changes
        nothing of the first.
        """
        arches = self.compared()
        self.assertEqual([each["architecture"] for each in arches], ["amd64", "i386"])
        for each in arches:
            self.assertEqual((each["verdict"], each["files"], each["installed"]), ("same", [], []))
        self.assertTrue(self.job(2).scratch)
        self.assertEqual(self.job(2).state, JobState.FINISHED)
        self.assertEqual(self.tree("bookworm", "greet"), ["1.0+farm1"])

    def test_different(self) -> None:
        """
        Promise 9.5: packages that differ are named, and so is what else was installed; other files may differ.
        """
        self.building.files.update(
            {DEB: b"other", "greet_1.0.buildinfo": b"later", "installed.txt": b"gcc 13\nmake 4\n"}
        )
        for each in self.compared():
            self.assertEqual((each["verdict"], each["files"]), ("different", [DEB]))
            self.assertEqual(each["installed"], ["-gcc 12", "+gcc 13"])

    def test_missing_package(self) -> None:
        """
        A package that only one of them has is a difference.
        """
        self.building.files["extra_1.0_all.deb"] = b"more"
        self.assertEqual({each["verdict"] for each in self.compared()}, {"different"})

    def test_failed(self) -> None:
        """
        Promise 9.5: a build that failed is not different, and what was built beside it is compared.
        """
        self.building.failing.add("any +farm1 i386")
        self.assertEqual([each["verdict"] for each in self.compared()], ["same", "failed"])

    def test_running(self) -> None:
        """
        While it is built, it says so.
        """
        self.building.held.add("dpkg-buildpackage")
        self.assertEqual([each["verdict"] for each in self.compared()], ["running"] * 2)

    def test_refused(self) -> None:
        """
        What has not been built cannot be rebuilt, and only a job and its rebuild can be compared.
        """
        self.building.failing.add("dpkg-buildpackage")
        self.submit(Version="2.0")
        self.harness.settle()
        self.refused(RefusedError, lambda: self.ask("rebuild", job=2), "only what was built can be rebuilt")
        self.refused(RefusedError, lambda: self.ask("compare", job=1, rebuild=2), "greet 2.0")
        self.refused(NotFoundError, lambda: self.ask("rebuild", job=9), "There is no job 9")


class SummaryTests(SynchronousTestCase):
    """
    What people read.
    """

    def test_sentences(self) -> None:
        """
        "Failed" is not "different", and a difference says whether the roots were equal.
        """
        cases = [
            ("same", [], [], "i386: the same, bit for bit, in equal roots."),
            ("same", [], ["+gcc 13"], "i386: the same, bit for bit, with other packages installed."),
            ("different", ["x.deb"], None, "i386: different: x.deb"),
            ("failed", [], None, "i386: the build failed, so there is nothing to compare."),
            ("running", [], None, "i386: it is still being built."),
        ]
        for verdict, files, installed, sentence in cases:
            arch = {"architecture": "i386", "verdict": verdict, "files": files, "installed": installed}
            self.assertEqual(summary_of(arch), sentence)
