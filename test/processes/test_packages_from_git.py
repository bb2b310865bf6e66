"""
Packages whose sources the farm makes from git repositories, for real.
"""

import json
import shutil
import tempfile
from pathlib import Path
from typing import Any

from ..needs import needs
from .farm import until
from .git_server import GitServer
from .test_packages import PackagesCase, native


class FromGitCase(PackagesCase):
    """
    A target with the repositories of a server on this machine.
    """

    def setUp(self) -> None:
        directory = tempfile.mkdtemp(prefix="farm-git-")
        self.addCleanup(shutil.rmtree, directory, ignore_errors=True)
        self.server = GitServer(Path(directory) / "repositories")
        self.addCleanup(self.server.close)
        self.target = self.target.replace("SERVER", self.server.address)
        super().setUp()
        self.farm.start()

    def job(self, number: int = 1) -> dict[str, Any]:
        """
        A job, as ``package show`` has it.
        """
        shown = self.farm.command("package", "show", str(self.farm.master_directory), str(number), "--json")
        found: dict[str, Any] = json.loads(shown.out) if shown.code == 0 else {"state": "", "arches": [], "history": []}
        return found


@needs("dpkg-buildpackage")
class DebianFromGitTests(FromGitCase):
    """
    Source packages of Debian, on the slave as it is.
    """

    target = (
        'DebTarget("t", arches=["ARCH", "all"], root=Plain(), version_suffix="+farm1", sources="SERVER/{name}.git")'
    )

    def test_native(self) -> None:
        """
        Promise 9.1, 9.2: flappclient submits a name and a tag; the source package is made of it and built, with one
        job, whose states and commit are recorded.
        """
        commit = self.server.commit("greet", native(), "v1.0")
        done = self.farm.submit("t", b"package=greet\nrevision=v1.0\n", within=120.0)
        self.assertEqual(done.code, 0, done)
        self.assertIn(f"# job 1: greet v1.0 for t, from {self.server.address}/greet.git", done.err)
        until(lambda: self.job()["state"] == "finished", "the job is finished")
        job = self.job()
        self.assertEqual((job["name"], job["version"], job["origin"]["commit"]), ("greet", "1.0", commit))
        states = [state for state, _ in job["history"]]
        self.assertEqual(states[-4:], ["prep", "waiting", "building", "finished"])
        results = Path(self.farm.master_directory) / "packages" / "t" / "greet" / "1.0+farm1"
        self.assertTrue(list((results / self.arch).glob("*.deb")))
        self.assertIn(commit, (results / "all" / "job.log").read_text())
        self.assertEqual(self.left_on_slave(), set())
