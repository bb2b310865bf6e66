"""
A job built again, and compared.
"""

import hashlib
from functools import partial
from pathlib import Path
from typing import Any

from sqlalchemy import Connection
from twisted.internet.defer import maybeDeferred
from twisted.logger import Logger
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.cli.packages.rebuild import summary_of
from buildbot_lite.deferreds import background
from buildbot_lite.errors import LimitError, NotFoundError, RefusedError
from buildbot_lite.master.grants.verbs import SUBMIT
from buildbot_lite.model.spec import Download
from buildbot_lite.packages.building import same_packages
from buildbot_lite.packages.records.job_states import JobState
from buildbot_lite.storage.records import builds, buildsets
from buildbot_lite.storage.records.grants import Grant, GrantLimits

from .package_slave import DEB
from .test_job_questions import QuestionCase


class RebuildingTests(QuestionCase):
    """
    The results of the comparison.
    """

    def setUp(self) -> None:
        super().setUp()
        self.patch(same_packages, "deferToThread", maybeDeferred)
        self.building.files["installed.txt"] = b"gcc 12\nmake 4\n"
        self.submit()
        self.attach()

    def compared(self) -> list[Any]:
        """
        Build job 1 again, with the same packages, and compare.
        """
        rebuilt = self.ask("rebuild", job=1, same=True)["rebuild"]
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
        for job in (self.job(1), self.job(2)):
            buildset = self.harness.read(partial(buildsets.get, id=job.buildset))
            self.assertEqual(buildset.properties["package_job"], [job.id, "Package"])
        self.assertEqual(self.job(2).state, JobState.FINISHED)
        self.assertEqual(self.tree("bookworm", "greet"), ["1.0+farm1"])

    def test_one_build(self) -> None:
        """
        A single build that is made again belongs to no job, and so has not the number of the first one's.
        """
        build = self.harness.read(partial(builds.by_number, builder="bookworm-amd64", number=1))
        again = self.harness.done(self.farm.forcing.rebuild(build))
        buildset = self.harness.read(partial(buildsets.get, id=self.job(1).buildset))
        expected = {name: tuple(pair) for name, pair in buildset.properties.items() if name != "package_job"}
        self.assertIn("package_job", buildset.properties)
        self.assertEqual(again.buildset.properties, expected)

    def test_different(self) -> None:
        """
        Promise 9.5: packages that differ in equal roots are named; other files may differ.
        """
        self.building.files.update({DEB: b"other", "greet_1.0.buildinfo": b"later"})
        for each in self.compared():
            self.assertEqual((each["verdict"], each["files"], each["installed"]), ("different", [DEB], []))

    def test_nothing_is_opened(self) -> None:
        """
        Promise 9.5: no package is opened to be compared, so that none can harm the master.
        """
        self.building.files.update({DEB: b"other"})
        rebuilt = self.ask("rebuild", job=1, same=True)["rebuild"]
        self.harness.settle()
        for path in Path(self.harness.basedir).rglob("*.deb"):
            path.unlink()
        arches = self.ask("compare", job=1, rebuild=rebuilt)["arches"]
        self.assertEqual([(each["verdict"], each["files"]) for each in arches], [("different", [DEB])] * 2)

    def test_other_roots(self) -> None:
        """
        Promise 9.5: packages that differ in roots that differ are not called different, and what else was installed is
        named; packages that are the same are the same.
        """
        self.building.files.update({"installed.txt": b"gcc 13\nmake 4\n"})
        for each in self.compared():
            self.assertEqual((each["verdict"], each["installed"]), ("same", ["-gcc 12", "+gcc 13"]))
        self.building.files.update({DEB: b"other"})
        for each in self.compared():
            self.assertEqual((each["verdict"], each["files"]), ("incomparable", [DEB]))
            self.assertEqual(each["installed"], ["-gcc 12", "+gcc 13"])
            self.assertIn("the packages that were installed in the roots", each["reason"])

    def test_packages_of_the_first(self) -> None:
        """
        Promise 9.5: the build to be compared gets the list of the packages of the first one, also over a restart; one
        that is not to be compared gets none.
        """
        self.ask("rebuild", job=1)
        self.harness.settle()
        self.assertEqual(self.lists(), [])
        self.building.held.add("dpkg-query")
        rebuilt = self.ask("rebuild", job=1, same=True)["rebuild"]
        self.harness.settle()
        digest = hashlib.sha256(b"gcc 12\nmake 4\n").hexdigest()
        self.assertEqual(self.lists(), [(14, digest)] * 2)
        self.harness.restart()
        self.harness.attach("bot1", self.slave, platform={"machine": "x86_64"}, held=self.slave.held())
        self.building.release()
        self.harness.settle()
        self.assertEqual(self.job(rebuilt).state, JobState.FINISHED)
        self.assertEqual(self.lists(), [(14, digest)] * 2)

    def lists(self) -> list[tuple[int, str]]:
        """
        The lists that were sent to the slave: their sizes and digests.
        """
        sent = [each.spec for each in self.slave.commands if isinstance(each.spec, Download)]
        return [(each.size, each.sha256) for each in sent if each.path.endswith("/files/wanted.txt")]

    def test_root_of_the_first(self) -> None:
        """
        Promise 9.5: what is the same on every architecture is built again in a root of the same architecture, because
        others have other packages; on a slave that does not run that one, it cannot be compared, and the reason says
        so.
        """
        self.building.said["uname"] = "i686\n"
        self.submit(Architecture="all", Version="2.0")
        self.harness.settle()
        for machine, verdict in (("x86_64", "same"), ("aarch64", "incomparable")):
            self.building.said["uname"] = f"{machine}\n"
            rebuilt = self.ask("rebuild", job=2, same=True)["rebuild"]
            self.harness.settle()
            (compared,) = self.ask("compare", job=2, rebuild=rebuilt)["arches"]
            self.assertEqual(compared["verdict"], verdict, compared)
        sentence = (
            "bot1 runs programs of aarch64, arm64, and the first build had a root of i386: if another slave runs that, "
            "pause bot1 (buildbot-lite pause bot1) and rebuild once more."
        )
        self.assertIn(sentence, compared["reason"])
        build = self.harness.read(partial(builds.by_number, builder="bookworm-all", number=2))
        self.assertEqual(build.properties["root_architecture"][0], "i386")

    def test_no_slave_for_the_root(self) -> None:
        """
        Promise 9.5: a rebuild to be compared is refused when no slave of the builder runs the root of the first build;
        a slave that was never seen may run it, and what is not to be compared needs no such slave.
        """
        self.building.said["uname"] = "i686\n"
        self.submit(Architecture="all", Version="2.0")
        self.harness.settle()
        member = self.farm.slaves.get("bot1")
        assert member is not None
        member.platform = {"machine": "aarch64"}
        sentence = (
            "Job 2 cannot be compared: the root of its first build was one of i386, and no slave of bookworm-all runs "
            "programs of that; add one that does, or rebuild it without --compare."
        )
        self.refused(RefusedError, lambda: self.ask("rebuild", job=2, same=True), sentence)
        self.assertEqual(self.ask("rebuild", job=2)["rebuild"], 3)
        member.platform = {}
        self.assertEqual(self.ask("rebuild", job=2, same=True)["rebuild"], 4)

    def test_list_is_gone(self) -> None:
        """
        Promise 9.5: if the list is missing, no package is built or called different.
        """
        for path in Path(self.harness.basedir, "packages").rglob("installed.txt"):
            path.unlink()
        for each in self.compared():
            self.assertEqual(each["verdict"], "incomparable")
            self.assertIn("is not kept any more", each["reason"])

    def test_not_to_be_had(self) -> None:
        """
        Promise 9.5: when the root of the first build cannot be made again, the result is that, with the reason.
        """
        self.building.failing.add("dpkg-query")
        self.building.said["dpkg-query"] = "error: these packages of the first build cannot be had any more: gcc 12\n"
        for each in self.compared():
            self.assertEqual((each["verdict"], each["files"]), ("incomparable", []))
            self.assertIn("cannot be had any more: gcc 12", each["reason"])

    def test_missing_package(self) -> None:
        """
        A package that only one of them has is a difference.
        """
        self.building.files["extra_1.0_all.deb"] = b"more"
        self.assertEqual({each["verdict"] for each in self.compared()}, {"different"})

    def test_failed(self) -> None:
        """
        Promise 9.5: a build that failed is not called different, and the other builds are compared.
        """
        self.building.failing.add("any +farm1 i386")
        self.assertEqual([each["verdict"] for each in self.compared()], ["same", "failed"])

    def test_running(self) -> None:
        """
        While a rebuild runs, the result says so.
        """
        self.building.held.add("dpkg-buildpackage")
        self.assertEqual([each["verdict"] for each in self.compared()], ["running"] * 2)

    def test_refused(self) -> None:
        """
        A job that has not been built cannot be rebuilt, and only a job and its rebuild can be compared.
        """
        self.building.failing.add("dpkg-buildpackage")
        self.submit(Version="2.0")
        self.harness.settle()
        self.refused(RefusedError, lambda: self.ask("rebuild", job=2), "only what was built can be rebuilt")
        self.refused(RefusedError, lambda: self.ask("compare", job=1, rebuild=2), "greet 2.0")
        self.refused(NotFoundError, lambda: self.ask("rebuild", job=9), "There is no job 9")


class SummaryTests(SynchronousTestCase):
    """
    The sentences for people.
    """

    def test_sentences(self) -> None:
        """
        "Failed" is not "different", and a difference says whether the roots were equal.
        """
        cases = [
            ("same", [], [], "i386: the same, bit for bit, in equal roots."),
            ("same", [], ["+gcc 13"], "i386: the same, bit for bit, with other packages installed."),
            ("different", ["x.deb"], None, "i386: different: x.deb"),
            ("incomparable", ["x.deb"], [], "i386: cannot be compared: gcc 12 is gone."),
            ("failed", [], None, "i386: the build failed, so there is nothing to compare."),
            ("running", [], None, "i386: it is still being built."),
        ]
        for verdict, files, installed, sentence in cases:
            arch = {"architecture": "i386", "verdict": verdict, "files": files, "installed": installed}
            arch["reason"] = "gcc 12 is gone."
            self.assertEqual(summary_of(arch), sentence)
