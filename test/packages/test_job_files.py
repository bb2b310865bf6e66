"""
The files of jobs, for holders of FURLs.
"""

import hashlib
from functools import partial
from typing import Any

from buildbot_lite.control.questions import QuestionDesk
from buildbot_lite.errors import NotFoundError, RefusedError
from buildbot_lite.master.grants.verbs import CONTROL, SUBMIT, WATCH
from buildbot_lite.packages.control.job_questions import JOBS_VERB, SHELL_VERB
from buildbot_lite.storage.records.grants import Grant
from buildbot_lite.wire.limits.account import Account
from test.control.test_admin import FakeFollower

from .package_slave import DEB
from .test_job_questions import QuestionCase


class JobFilesTests(QuestionCase):
    def setUp(self) -> None:
        """
        A job that was built.
        """
        super().setUp()
        self.submit()
        self.attach()

    def fetch(self, grant: Grant, name: str = DEB, architecture: str = "amd64", job: int = 1) -> bytes:
        """
        The contents of a file of the job, for the holder of *grant*.
        """
        desk, client = QuestionDesk(self.farm, grant, Account(), self.follower), FakeFollower()
        ends: list[Any] = []
        question = {"follow": "package-file", "job": job, "architecture": architecture, "name": name}
        _ = desk.follow(question, client).addBoth(ends.append)
        self.harness.settle()
        (end,) = ends
        if hasattr(end, "raiseException"):
            end.raiseException()
        self.assertEqual((end["length"], end["sha256"]), (len(client.out), hashlib.sha256(client.out).hexdigest()))
        return client.out

    def listed(self, grant: Grant) -> list[tuple[Any, Any]]:
        """
        Architecture and name of each file.
        """
        return [(each["architecture"], each["name"]) for each in self.ask("files", grant, job=1)["files"]]

    def test_submitter(self) -> None:
        """
        Promise 9.8: with the string with which a job was submitted, its files are listed and fetched, each with its
        digest.
        """
        own = self.farm.grants.of(SUBMIT, "bookworm")
        assert own is not None
        files = [DEB, "greet_1.0.buildinfo", "installed.txt"]
        self.assertEqual(self.listed(own), [(arch, name) for arch in ("amd64", "i386") for name in files])
        self.assertEqual(self.ask("files", own, job=1)["state"], "finished")
        self.assertEqual(self.fetch(own), b"deb")
        self.assertEqual(self.fetch(own, "installed.txt", "i386"), b"")
        for name, architecture, part in (
            ("../master.cfg", "amd64", "has no file "),
            ("none", "amd64", "has no file "),
            (DEB, "arm64", "has no files for 'arm64'"),
            (DEB, "all", "has no files for 'all'"),
        ):
            self.refused(NotFoundError, partial(self.fetch, own, name, architecture), part)

    def test_others(self) -> None:
        """
        Promise 9.8: another submitter's string fetches nothing of the job; one for the jobs of the target does, and
        one to watch or control the farm; one for shells does not.
        """
        other = self.grant(SUBMIT, "bookworm")
        self.refused(NotFoundError, partial(self.fetch, other), "There is no job 1")
        self.refused(NotFoundError, partial(self.listed, other), "There is no job 1")
        for verb, of in ((JOBS_VERB, "bookworm"), (WATCH, "farm"), (CONTROL, "farm")):
            self.assertEqual(self.fetch(self.grant(verb, of)), b"deb", verb)
        shell = self.grant(SHELL_VERB, "bookworm")
        self.refused(RefusedError, partial(self.fetch, shell), "does not permit 'package-file'")
        self.refused(RefusedError, partial(self.listed, shell), "does not permit 'package-files'")

    def log(self, grant: Grant, architecture: str = "amd64", **more: Any) -> bytes:
        """
        The logs of the job's build for *architecture*, for the holder of *grant*.
        """
        desk, client = QuestionDesk(self.farm, grant, Account(), self.follower), FakeFollower()
        ends: list[Any] = []
        question = {"follow": "package-log", "job": 1, "architecture": architecture, **more}
        _ = desk.follow(question, client).addBoth(ends.append)
        self.harness.settle()
        (end,) = ends
        if hasattr(end, "raiseException"):
            end.raiseException()
        return client.out

    def test_logs(self) -> None:
        """
        Promise 9.8: with the string with which a job was submitted, the logs of its builds are read, also when they
        have ended; an architecture that was not built is refused with the reason.
        """
        own = self.farm.grants.of(SUBMIT, "bookworm")
        assert own is not None
        for to_the_end in (False, True):
            logs = self.log(own, to_the_end=to_the_end)
            self.assertIn(b"=== prepping\n", logs)
            self.assertIn(b"--- SUCCESS", logs)
        self.assertNotIn(b"===", self.log(own, step="building"))
        self.refused(NotFoundError, partial(self.log, own, step="none"), "has no step 'none'")
        self.refused(NotFoundError, partial(self.log, own, "arm64"), "is not for 'arm64', but for amd64, i386, all.")
        self.refused(NotFoundError, partial(self.log, own, "all"), "has no build for all, which is skipped: ")

    def test_log_of_another_build(self) -> None:
        """
        Promise 9.8: who was cut off while the log of one build came does not get the rest of another build's.
        """
        own = self.farm.grants.of(SUBMIT, "bookworm")
        assert own is not None
        self.assertIn(b"=== prepping\n", self.log(own, number=1))
        self.refused(NotFoundError, partial(self.log, own, number=2), "That of bookworm-amd64/1 is another; ask")

    def test_logs_of_others(self) -> None:
        """
        Promise 9.8: another submitter's string reads no log of the job; one for the jobs of the target does, and one
        to watch or control the farm; one for shells does not.
        """
        self.refused(NotFoundError, partial(self.log, self.grant(SUBMIT, "bookworm")), "There is no job 1")
        for verb, of in ((JOBS_VERB, "bookworm"), (WATCH, "farm"), (CONTROL, "farm")):
            self.assertIn(b"=== prepping\n", self.log(self.grant(verb, of)), verb)
        self.refused(
            RefusedError, partial(self.log, self.grant(SHELL_VERB, "bookworm")), "does not permit 'package-log'"
        )

    def test_nothing_else(self) -> None:
        """
        A submit string follows nothing but the files and logs of its jobs.
        """
        own = self.farm.grants.of(SUBMIT, "bookworm")
        assert own is not None
        desk = QuestionDesk(self.farm, own, Account(), self.follower)
        for what in ("log", "artifact", "farm", "idle", "none"):
            ends: list[Any] = []
            _ = desk.follow({"follow": what, "builder": "bookworm-amd64", "number": 1}, FakeFollower()).addErrback(
                ends.append
            )
            self.harness.settle()
            self.assertIn(f"does not permit '{what}'", str(ends[0].value))
