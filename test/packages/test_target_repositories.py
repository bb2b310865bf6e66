"""
Jobs and the repositories of their targets, in a running master.
"""

import os
import shutil
from collections.abc import Mapping
from pathlib import Path
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.child_programs import ProgramError
from buildbot_lite.packages.job_states import JobState
from buildbot_lite.packages.repositories import debian_metadata
from buildbot_lite.packages.repositories.repository_place import shared

from ..needs import needs
from .archives import archive, control_list, deb, greet
from .test_job_service import JobCase

LISTED = "\n greet deb misc optional arch=any"


def built(version: str = "1.0+farm1", name: str = "greet", text: str = "x") -> Mapping[str, bytes]:
    """
    What a build of greet 1.0 for amd64 leaves.
    """
    fields = {"Package": name, "Version": version, "Architecture": "amd64", "Source": "greet"}
    package = deb({**fields, "Maintainer": "Farm <farm@example.org>", "Description": text})
    files = {f"{name}_{version}_amd64.deb": package}
    listed = {kind: control_list(files, Version=version) for kind in ("buildinfo", "changes")}
    return {**files, **{f"greet_{version}_amd64.{kind}": text for kind, text in listed.items()}, "installed.txt": b""}


@needs("apt-ftparchive")
class JobsInRepositoriesTests(JobCase):
    """
    From results to both repositories.
    """

    def setUp(self) -> None:
        super().setUp()
        self.building.files = dict(built())
        self.place = Path(self.harness.basedir) / "repos" / "bookworm"

    def configuration(self) -> str:
        return (
            "from buildbot_lite.packages import DebTarget, Plain\n"
            'c["slaves"] = [slave.BuildSlave("bot1", max_builds=3)]\n'
            'c["targets"] = [DebTarget("bookworm", arches=["amd64"], root=Plain(), version_suffix="+farm1", '
            'repository="repos/bookworm")]\n'
        )

    def build(self) -> None:
        self.run_command("bookworm", archive(greet(Package_List=LISTED)))
        self.attach()

    def pool(self, kind: str) -> list[str]:
        pool = self.place / kind / "pool"
        return sorted(os.listdir(pool)) if pool.exists() else []

    def test_entered(self) -> None:
        """
        Promise 9.6: the packages of a job enter the repository for builds, and without a signature also the public one;
        then the job is finished.
        """
        self.build()
        self.assertEqual((self.job().state, self.job().reason), (JobState.FINISHED, ""))
        self.assertEqual((self.pool("build"), self.pool("public")), (["greet_1.0+farm1_amd64.deb"],) * 2)
        states = [state for state, _ in self.job().history]
        self.assertEqual(states[-4:], ["repowait", "needsign", "pushed", "finished"])

    def test_another_name(self) -> None:
        """
        Promise 9.9: a slave that sends a package of another name fails the job, and no repository has it.
        """
        self.building.files = dict(built(name="bash"))
        self.build()
        self.assertEqual(self.job().state, JobState.FAILED)
        self.assertIn("bash_1.0+farm1_amd64.deb is no package that greet 1.0 makes", self.job().reason)
        self.assertEqual(self.pool("build"), [])

    def test_other_bytes(self) -> None:
        """
        Promise 9.6: a version that is in the repository is not replaced, although its results are gone.
        """
        self.build()
        shutil.rmtree(Path(self.harness.basedir) / "packages" / "bookworm")
        self.building.files = dict(built(text="other"))
        self.run_command("bookworm", archive(greet(Package_List=LISTED)))
        self.harness.settle()
        self.assertEqual(self.job(2).state, JobState.FAILED)
        self.assertIn("in the repository already, with other contents", self.job(2).reason)

    def test_trouble(self) -> None:
        """
        Promise 9.9: while a program does not work, the job waits with the reason; after the next start it goes on.
        """
        with mock.patch.object(debian_metadata, "output_of_tool", side_effect=ProgramError("It broke.")):
            self.build()
        self.flushLoggedErrors(ProgramError)
        self.assertEqual((self.job().state, self.job().reason), (JobState.REPOWAIT, "It broke."))
        self.assertEqual(self.pool("build"), [])
        self.harness.restart()
        self.harness.settle()
        self.assertEqual(self.job().state, JobState.FINISHED)
        self.assertEqual(self.pool("public"), ["greet_1.0+farm1_amd64.deb"])


class RepositoryPlaceTests(SynchronousTestCase):
    """
    The places of repositories.
    """

    def test_shared(self) -> None:
        """
        Two targets share nothing, neither the same directory nor one inside another's.
        """
        self.assertIsNone(shared(["a", "a-b", "ab", "", ""]))
        self.assertEqual(shared(["a/b", "c", "a"]), ("a", "a/b"))
        self.assertEqual(shared(["a", "a-b", "a"]), ("a", "a"))
