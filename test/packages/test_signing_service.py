"""
Signatures in a running master: jobs that wait for signatures, the strings that permit signing, and publishing.
"""

import os
from collections.abc import Callable, Collection, Iterable, Mapping
from functools import partial
from itertools import count
from typing import Any, cast
from unittest import mock

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.logger import capturedLogs, formatEvent

from buildbot_lite.control.questions import QuestionDesk
from buildbot_lite.errors import InputError, NotFoundError, RefusedError
from buildbot_lite.master.farm import Farm
from buildbot_lite.master.grants.verbs import ADMIN, CONTROL
from buildbot_lite.model.extension import Extension
from buildbot_lite.packages.control.job_actions import JobActions
from buildbot_lite.packages.control.package_jobs import PackageJobs
from buildbot_lite.packages.keys.openpgp import Signature
from buildbot_lite.packages.records.job_states import JobState
from buildbot_lite.packages.records.jobs import Job
from buildbot_lite.packages.records.results import JobResults
from buildbot_lite.packages.service.job_service import JobService
from buildbot_lite.packages.signer.gnupg import Gnupg
from buildbot_lite.packages.signer.signer import Ask, Signer, SigningSummary
from buildbot_lite.packages.signing import signed_repository
from buildbot_lite.packages.signing.signing_service import SigningService
from buildbot_lite.storage.records.grants import Grant
from buildbot_lite.wire.control import ExposedControl
from buildbot_lite.wire.exposed import Exposed, Revocable

from ..needs import needs
from .keys import KeyCase
from .test_job_service import JobCase
from .test_signing_round import FakeDisplay, FakeRepository

TARGET = (
    'DebTarget("bookworm", arches=["amd64", "i386", "all"], root=Plain(), version_suffix="+farm1", '
    'sign="{}", sign_key="keys/farm.asc", repo_script="push.sh", repository="r")'
)


def _no_questions(grant: Grant, revocable: Revocable) -> Exposed:
    raise AssertionError("strings to sign and to push lead to desks of their own")


@define
class FakeTargetRepository:
    """
    The role `TargetRepository`, without signatures.
    """

    entered: list[int] = field(factory=list)
    announced: list[int] = field(factory=list)

    async def enter(self, job: Job, results: JobResults) -> None:
        self.entered.append(job.id)

    async def shows(self, job: Job, results: JobResults) -> bool:
        return True

    async def keep_only(self, waiting: Collection[str]) -> None:
        pass

    async def all_names(self) -> Collection[str]:
        return ()

    async def needs_signature(self, job: Job) -> bool:
        return False

    async def publish(self, job: Job, results: JobResults) -> Collection[int]:
        raise AssertionError("published without a signature")

    async def announce(self, job: Job) -> None:
        self.announced.append(job.id)


@needs("gpg", "gpgv")
class SigningServiceCase(KeyCase, JobCase):
    """
    A target whose repository is a fake one, and whose signatures are real.
    """

    sign = "manual"

    def setUp(self) -> None:
        self.repository = FakeRepository("Release")
        self.unsigned = FakeTargetRepository()
        self.versions = count()

        def services(farm: Farm) -> Iterable[Extension]:
            signing = SigningService(
                farm,
                jobs=lambda: jobs.service,
                unsigned_of=lambda target: self.unsigned,
                snapshots_of=lambda target: self.repository,
            )
            jobs = PackageJobs(farm, signing.repository_of)
            return [jobs, signing]

        patch = mock.patch("test.master.harness.services", services)
        patch.start()
        self.addCleanup(patch.stop)
        super().setUp()
        self.write("keys/farm.asc", self.key.public())
        self.script("echo $BUILDBOT_LITE_TARGET $BUILDBOT_LITE_JOB >> pushed")

    def configuration(self) -> str:
        return super().configuration().replace(super().configuration().splitlines()[-1], "") + (
            f'c["targets"] = [{TARGET.format(self.sign)}]\n'
        )

    def write(self, name: str, contents: bytes) -> None:
        path = os.path.join(self.harness.basedir, name)
        os.makedirs(os.path.dirname(path), exist_ok=True)
        with open(path, "wb") as file:
            file.write(contents)

    def script(self, text: str) -> None:
        """
        The target's repo_script.
        """
        self.write("push.sh", f"#!/bin/sh\n{text}\n".encode())
        os.chmod(os.path.join(self.harness.basedir, "push.sh"), 0o700)

    def pushed(self) -> str:
        """
        The lines that the script has written.
        """
        path = os.path.join(self.harness.basedir, "pushed")
        if not os.path.exists(path):
            return ""
        with open(path) as file:
            return file.read()

    def signing(self) -> SigningService:
        found = self.harness.farm.extensions["signatures of packages"]
        assert isinstance(found, SigningService)
        return found

    async def ask(self, verb: str, question: Mapping[str, Any]) -> Mapping[str, Any]:
        """
        Ask through a string for *verb*.
        """
        verbs = {each.name: each for each in self.signing().verbs(_no_questions)}
        designate = verbs[verb].designate
        assert designate is not None
        object_, name = await designate("bookworm")
        grant = await self.harness.farm.grants.hand_out(verb, object_, name=name)
        exposed = verbs[verb].expose(grant, Revocable())
        assert isinstance(exposed, ExposedControl)
        return await exposed._control.ask(question)

    async def ask_as(self, verb: str, question: Mapping[str, Any]) -> Mapping[str, Any]:
        """
        Ask through a string for *verb*, of the whole farm.
        """
        desk = QuestionDesk(self.harness.farm, Grant(0, "farm", verb, "farm", "", None, 0.0))
        return await desk.ask(question)

    async def sign_all(self, ask: Ask | None = None, target: str = "") -> SigningSummary:
        async def sign(data: bytes, text: bool) -> Signature:
            with mock.patch.dict(os.environ, self.key.environment):
                return Gnupg(self.key.fingerprint).sign(data, text=text)

        signer = Signer(ask or partial(self.ask, "sign"), sign, FakeDisplay(), target)
        return await signer.run(await signer.offers(None))


class SigningServiceTests(SigningServiceCase):
    """
    A target that people sign.
    """

    def test_whole_way(self) -> None:
        """
        Promise 9.7: what is built waits in needsign, over a restart; once signed it waits for the push, which makes it
        public; then the script runs once for all jobs that became public together.
        """
        self.submit()
        self.attach()
        self.assertEqual(self.job().state, JobState.NEEDSIGN)
        self.assertEqual(self.unsigned.entered, [1])
        self.submit(Source="other")
        self.harness.restart()
        self.attach()
        self.harness.settle()
        self.assertEqual([self.job(1).state, self.job(2).state], [JobState.NEEDSIGN] * 2)
        self.assertEqual(list(self.harness.done(self.sign_all()).jobs), [1, 2])
        self.harness.settle()
        self.assertEqual(self.job().state, JobState.NEEDSIGN)
        self.assertEqual(self.repository.public, {})
        self.harness.done(self.ask("push", {"ask": "push", "jobs": ["1"]}))
        self.harness.settle()
        self.assertEqual([self.job(1).state, self.job(2).state], [JobState.FINISHED] * 2)
        self.assertEqual(
            [state for state, _ in self.job().history][-4:], ["repowait", "needsign", "pushed", "finished"]
        )
        self.assertEqual(sorted(self.repository.public["public-1"]), ["InRelease", "Release.gpg"])
        self.assertEqual(self.pushed(), "bookworm 1\n")
        self.assertEqual(sorted(self.unsigned.announced), [1, 2])
        again = self.harness.done(self.ask("push", {"ask": "push", "jobs": ["1", "2"]}))
        self.assertEqual(again["jobs"], [])

    def test_admin(self) -> None:
        """
        Promise 9.7: an admin's string signs and pushes, too, for the target that it names or whose job it names; one to
        control the farm does neither.
        """
        self.submit()
        self.attach()
        asking = partial(self.ask_as, ADMIN)
        self.assertEqual(list(self.harness.done(self.sign_all(asking, "bookworm")).jobs), [1])
        self.assertEqual(self.harness.done(asking({"ask": "push", "jobs": ["1"]}))["jobs"], [1])
        for verb, question, kind, sentence in (
            (ADMIN, {"ask": "push"}, RefusedError, "say which one with --target TARGET"),
            (ADMIN, {"ask": "push", "jobs": ["9"]}, NotFoundError, "There is no job 9."),
            (ADMIN, {"ask": "push", "target": "bookwurm"}, NotFoundError, "bookwurm"),
            (
                CONTROL,
                {"ask": "push", "target": "bookworm"},
                RefusedError,
                "does not permit",
            ),
            (CONTROL, {"ask": "sign-offer", "target": "bookworm"}, RefusedError, "does not permit"),
        ):
            error = self.failureResultOf(Deferred.fromCoroutine(self.ask_as(verb, question)), kind)
            self.assertIn(sentence, str(error.value))

    def test_script_runs(self) -> None:
        """
        Promise 9.2: while the script runs, each job that became public says so; afterwards no more.
        """
        seen: list[list[tuple[JobState, str]]] = []

        def run(*words: object, **more: object) -> None:
            seen.append([(self.job(number).state, self.job(number).reason) for number in (1, 2)])

        self.patch(signed_repository, "run_repo_script", run)
        self.submit()
        self.submit(Source="other")
        self.attach()
        self.harness.done(self.sign_all())
        self.harness.done(self.ask("push", {"ask": "push"}))
        self.harness.settle()
        self.assertEqual(seen, [[(JobState.PUSHED, "the repo_script push.sh runs")] * 2])
        for number in (1, 2):
            self.assertEqual((self.job(number).state, self.job(number).reason), (JobState.FINISHED, ""))

    def test_script_fails(self) -> None:
        """
        Promise 9.7: when the script fails, the job is finished all the same, and says why; so does the master's log.
        """
        self.script("echo the server is down >&2; exit 3")
        self.submit()
        self.attach()
        self.harness.done(self.sign_all())
        with capturedLogs() as events:
            self.harness.done(self.ask("push", {"ask": "push"}))
            self.harness.settle()
        self.assertEqual(self.job().state, JobState.FINISHED)
        self.assertIn("the repo_script push.sh failed with exit code 3: the server is down.", self.job().reason)
        self.assertIn(f"bookworm: {self.job().reason}", [formatEvent(event) for event in events])

    def test_replaced(self) -> None:
        """
        Promise 9.7: when another snapshot took the place of the signed one, the job stays in needsign and says so; once
        signed again it is published.
        """
        self.submit()
        self.attach()
        self.harness.done(self.sign_all())
        self.repository.snapshot = "public-9"
        self.harness.done(self.ask("push", {"ask": "push"}))
        self.harness.settle()
        self.assertEqual((self.job().state, self.job().reason), (JobState.NEEDSIGN, "Another snapshot took its place."))
        self.assertEqual(list(self.harness.done(self.sign_all()).jobs), [1])
        self.harness.done(self.ask("push", {"ask": "push"}))
        self.harness.settle()
        self.assertEqual(self.job().state, JobState.FINISHED)

    def test_designated(self) -> None:
        """
        Promise 9.7: strings to sign and to push are for one target.
        """
        verbs = {each.name: each for each in self.signing().verbs(_no_questions)}
        for verb in ("sign", "push"):
            designate: Any = verbs[verb].designate
            unknown = self.failureResultOf(Deferred.fromCoroutine(designate("bookwurm")), NotFoundError)
            self.assertEqual(str(unknown.value), "There is no target 'bookwurm'.  Did you mean 'bookworm'?")

    def test_no_targets(self) -> None:
        """
        A farm without any target says where they are written.
        """
        with mock.patch.object(JobService, "targets", {}):
            designate: Any = next(each.designate for each in self.signing().verbs(_no_questions) if each.name == "sign")
            unknown = self.failureResultOf(Deferred.fromCoroutine(designate("nope")), NotFoundError)
        self.assertEqual(
            str(unknown.value),
            "There is no target 'nope', and no other.  Targets are written in c['targets'] of master.cfg; "
            "docs/packages.md has examples.",
        )

    def test_other_questions(self) -> None:
        """
        Promise 9.8: what a string to sign or to push does not permit is refused with the command that makes one which
        does.
        """
        for extension in (self.signing(), self.harness.farm.extensions["jobs of packages"]):
            for each in cast("SigningService", extension).verbs(_no_questions):
                self.harness.farm.verbs.add(each)
        for verb, question, wanted in (
            ("sign", {"ask": "push"}, "push TARGET"),
            ("push", {"ask": "sign-offer"}, "sign TARGET"),
            ("sign", {"ask": "package-list"}, "jobs TARGET"),
            ("sign", {"ask": "package-root", "job": 1, "architecture": "amd64"}, "shell TARGET"),
        ):
            asked = Deferred.fromCoroutine(self.ask(verb, question))
            said = str(self.failureResultOf(asked, RefusedError).value)
            self.assertTrue(
                said.endswith(f"Ask the farm's admin for one that does: buildbot-lite grant {wanted}"), said
            )

    def test_no_secret(self) -> None:
        """
        Promise 9.7: a secret key where the public one belongs is refused at the first signature.
        """
        self.write("keys/farm.asc", self.key.gpg("--armor", "--export-secret-keys"))
        self.submit()
        self.attach()
        error = self.failureResultOf(Deferred.fromCoroutine(self.sign_all()), InputError)
        self.assertIn("has a secret key, which must never be on the master", str(error.value))

    def test_killed(self) -> None:
        """
        Promise 9.7: a job that was killed is neither signed nor pushed.
        """
        self.submit()
        self.attach()
        self.harness.done(self.sign_all())
        self.harness.done(self.kill(1))
        error = self.failureResultOf(Deferred.fromCoroutine(self.ask("push", {"ask": "push"})), RefusedError)
        self.assertIn("The signed snapshot has job 1, which is killed now.", str(error.value))

    def test_killed_after_push(self) -> None:
        """
        Promise 9.7: when a job is killed or finished after the push, and before the others became public, none does,
        until they are signed without it.
        """
        for first, act in ((1, "kill"), (3, "finish")):
            second = first + 1
            self.two_pushed(partial(getattr(self.actions(), act), second, "alice"))
            self.assertEqual(self.job(first).state, JobState.NEEDSIGN)
            self.assertIn(f"The signed snapshot has job {second}, which is", self.job(first).reason)
            self.assertEqual(len(self.repository.public), int(first > 1))
            self.assertEqual(list(self.harness.done(self.sign_all()).jobs), [first])
            self.harness.done(self.ask("push", {"ask": "push"}))
            self.harness.settle()
            self.assertEqual(self.job(first).state, JobState.FINISHED)

    def test_killed_after_published(self) -> None:
        """
        Promise 9.8: a job that became public together with another is not killed or finished any more.
        """
        asked: list[Deferred[Job]] = []
        self.two_pushed(
            lambda: None,
            lambda: asked.extend(
                Deferred.fromCoroutine(act(2, "alice")) for act in (self.actions().kill, self.actions().finish)
            ),
        )
        for each in asked:
            self.failureResultOf(each, RefusedError)
        self.assertEqual([self.job(number).state for number in (1, 2)], [JobState.FINISHED] * 2)
        self.assertEqual(self.pushed(), "bookworm 1\n")

    def two_pushed(self, before: Callable[[], Any], after: Callable[[], Any] = lambda: None) -> None:
        """
        Sign and push two jobs while another caller has the turn.  *before*, *after*: requests of people before and
        after the push.
        """
        for name in ("greet", "other"):
            self.submit(Source=name, Version=f"1.{next(self.versions)}")
        self.attach()
        self.harness.settle()
        self.harness.done(self.sign_all())
        turn = self.jobs().turn("bookworm")
        self.successResultOf(turn.acquire())
        asked = before()
        begun = [] if asked is None else [Deferred.fromCoroutine(asked)]
        self.harness.done(self.ask("push", {"ask": "push"}))
        after()
        turn.release()
        self.harness.settle()
        for each in begun:
            self.successResultOf(each)

    def jobs(self) -> JobService:
        found = self.harness.farm.extensions["jobs of packages"]
        assert isinstance(found, PackageJobs)
        return found.service

    def actions(self) -> JobActions:
        """
        The commands of people for jobs.
        """
        return JobActions(self.harness.farm, self.jobs())

    async def kill(self, number: int) -> None:
        from buildbot_lite.packages.records import job_records

        def change(connection: Any) -> None:
            job = job_records.get(connection, number)
            assert job is not None
            job_records.go(connection, job, JobState.KILLED, 0.0)

        await self.harness.farm.records.write(change)


class AutomaticTests(SigningServiceCase):
    """
    A target with ``sign="auto"``.
    """

    sign = "auto"

    def test_pushed(self) -> None:
        """
        Promise 9.7: signed packages become public without a push.
        """
        self.submit()
        self.attach()
        self.assertEqual(self.job().state, JobState.NEEDSIGN)
        self.assertTrue(self.harness.done(self.sign_all()).pushed)
        self.harness.settle()
        self.assertEqual(self.job().state, JobState.FINISHED)
        self.assertEqual(self.pushed(), "bookworm 1\n")
