"""
A round of signatures, from the jobs that wait to a signed snapshot: the signer's program and the farm's side, joined.
"""

import hashlib
import json
import os
import shutil
import tempfile
from collections.abc import Awaitable, Callable, Collection, Mapping, Sequence
from functools import partial
from pathlib import Path
from threading import Event
from typing import Any, NoReturn, cast
from unittest import mock

from attrs import asdict, define, evolve, field
from sqlalchemy import Connection
from twisted.internet.defer import Deferred

from buildbot_lite.child_programs import ProgramError
from buildbot_lite.control.questions import QuestionDesk
from buildbot_lite.errors import DiskFullError, InputError, MessageError, NotFoundError, RefusedError
from buildbot_lite.model.json_reader import JsonReader
from buildbot_lite.packages.building.steps import SINGLE_FILE
from buildbot_lite.packages.keys.openpgp import Signature
from buildbot_lite.packages.keys.verification import TargetKey
from buildbot_lite.packages.keys.wanted_file import WantedFile
from buildbot_lite.packages.records import job_records
from buildbot_lite.packages.records.job_states import JobState
from buildbot_lite.packages.records.jobs import Job, NewJob, Origin
from buildbot_lite.packages.records.results import JobResults, ResultFile
from buildbot_lite.packages.signer.gnupg import Gnupg
from buildbot_lite.packages.signer.offered import OfferedOrigin, Offers
from buildbot_lite.packages.signer.signer import Signer, SigningSummary
from buildbot_lite.packages.signing import rpm_signature
from buildbot_lite.packages.signing.signed_files import PUBLIC, SignedFiles
from buildbot_lite.packages.signing.signed_snapshot import SignedSnapshot
from buildbot_lite.packages.signing.signing_desk import PUSH, SIGN, SignedTarget, SigningDesk
from buildbot_lite.packages.signing.signing_round import SigningRound
from buildbot_lite.storage import schema
from buildbot_lite.storage.records import inputs, requests
from buildbot_lite.wire.limits.account import Account
from test.master.harness import MasterHarness

from ..needs import needs
from .archives import TINY_SRPM
from .built_packages import rpm
from .keys import GnupgHome, KeyCase

REPOMD = '<?xml version="1.0"?>\n<repomd xmlns="http://linux.duke.edu/metadata/repo">{}</repomd>\n'
RELEASE = "Suite: bookworm\nDate: today\nSHA256:\n{}"


@define
class FakeRepository:
    """
    The role `signed_files.Snapshots`: its *index* lists the digests of its files.
    """

    index: str
    snapshot: str = ""
    contents: bytes = b""
    made: int = 0
    public: dict[str, Mapping[str, bytes]] = field(factory=dict)

    def prepare(self, kind: str, files: Collection[str]) -> str:
        assert kind == PUBLIC
        self.made += 1
        self.snapshot = f"public-{self.made}"
        lines = []
        for path in files:
            with open(path, "rb") as file:
                lines.append(f" {hashlib.sha256(file.read()).hexdigest()} 1 {os.path.basename(path)}\n")
        form = RELEASE if self.index == "Release" else REPOMD
        self.contents = form.format("".join(lines) or f" {'0' * 64} 0 nothing\n").encode()
        return self.snapshot

    def to_sign(self, name: str) -> Mapping[str, bytes]:
        if name != self.snapshot:
            raise InputError("Another snapshot took its place.")
        return {self.index: self.contents}

    def publish(self, name: str, signatures: Mapping[str, bytes] | None = None) -> None:
        self.to_sign(name)
        self.public[name] = dict(signatures or {})


@define
class FakeSurroundings:
    """
    The role `signing_jobs.Surroundings`.
    """

    harness: MasterHarness
    results: dict[int, JobResults] = field(factory=dict)

    async def read(self, query: Callable[[Connection], Any]) -> Any:
        return await self.harness.farm.records.read(query)

    async def write(self, change: Callable[[Connection], Any]) -> Any:
        return await self.harness.farm.records.write(change)

    async def in_thread(self, work: Callable[[], Any]) -> Any:
        return work()

    async def in_turn(self, work: Callable[[], Awaitable[Any]]) -> Any:
        return await work()

    async def results_of(self, job: Job) -> JobResults:
        return self.results[job.id]

    def wall(self) -> float:
        return 0.0


class FakeQuestions:
    """
    The questions that strings to sign or to push do not permit.
    """

    async def answer(self, question: JsonReader) -> NoReturn:
        """
        No answer.
        """
        raise RefusedError("Another string permits that.")


@define
class FakeDisplay:
    """
    A signer who agrees or refuses.  *alone*: whether the signer refuses an index with other jobs.
    """

    agrees: bool = True
    shown: list[str] = field(factory=list)
    alone: bool = False

    def offered(self, offers: Offers) -> None:
        self.shown += [f"job {job.job}" for job in offers.jobs]

    def to_sign(self, file: WantedFile, what: str) -> None:
        self.shown.append(f"{file.name}: {what}")

    def also(self, jobs: Sequence[int]) -> None:
        self.shown.append(f"also {jobs}")
        self.agrees = self.agrees and not self.alone

    def agreed(self) -> bool:
        return self.agrees


class GoneError(Exception):
    """
    The signer went away.
    """


@needs("gpg", "gpgv", "rpmkeys")
class RoundCase(KeyCase):
    """
    A target f4 with jobs, each of one package.  *index*: of its repository.
    """

    index = "repomd.xml"

    def setUp(self) -> None:
        super().setUp()
        self.harness = MasterHarness("")
        self.harness.start()
        self.addCleanup(lambda: Deferred.fromCoroutine(self.harness.farm.stop()))
        self.directory = tempfile.mkdtemp(prefix="signing-")
        self.addCleanup(shutil.rmtree, self.directory)
        path = os.path.join(self.directory, "farm.asc")
        with open(path, "wb") as file:
            file.write(self.key.public())
        self.repository = self.make_repository()
        self.farm = FakeSurroundings(self.harness)
        self.stopping = Event()
        self.files = SignedFiles(
            os.path.join(self.directory, "signing"),
            key=lambda: TargetKey(path, "keys/farm.asc", self.stopping),
            snapshots=lambda: self.repository,
        )
        self.new_round()

    def make_repository(self) -> Any:
        """
        The role `signed_files.Snapshots`.
        """
        return FakeRepository(self.index)

    def new_round(self) -> None:
        """
        The farm's side, as after a start of the master.
        """
        self.round = SigningRound("f4", self.files, self.farm)
        self.proceeding: list[int] = []

    def job(self, name: str = "tiny-1.0-3.src.rpm", contents: bytes = TINY_SRPM, target: str = "f4") -> int:
        """
        A new job in needsign; its number.
        """
        (number,) = self.jobs(1, submitter="alice", target=target)
        self.build(number, name, contents)
        return number

    def jobs(self, count: int, *, submitter: str, target: str = "f4") -> list[int]:
        """
        Record that many jobs of *submitter* in needsign, without packages; returns their numbers.
        """
        new = NewJob(
            target=target,
            name="tiny",
            version="1.0-3",
            submitter=submitter,
            by_grant=None,
            buildset=1,
            builders={"x86_64": ("f4-x86_64", 1)},
        )

        def add(connection: Connection) -> list[int]:
            added = []
            for _ in range(count):
                job = job_records.add(connection, new, 0.0)
                for state in (JobState.BUILDING, JobState.REPOWAIT, JobState.NEEDSIGN):
                    job = job_records.go(connection, job, state, 0.0)
                added.append(job.id)
            return added

        numbers: list[int] = self.harness.done(self.farm.write(add))
        for number in numbers:
            self.farm.results[number] = JobResults(os.path.join(self.directory, "results", str(number)), ())
        return numbers

    def build(self, number: int, name: str, contents: bytes, *, arch: str = "x86_64", beside: bool = False) -> None:
        """
        Replace the results of a job; *beside*: add to them.
        """
        place = os.path.join(self.directory, "results", str(number))
        os.makedirs(os.path.join(place, arch), exist_ok=True)
        with open(os.path.join(place, arch, name), "wb") as file:
            file.write(contents)
        digest = hashlib.sha256(contents).hexdigest()
        others = self.farm.results.get(number, JobResults(place, ())).files if beside else ()
        self.farm.results[number] = JobResults(place, (*others, ResultFile(arch, name, digest)))

    def go(self, number: int, state: JobState) -> None:
        """
        Another state of a job.
        """

        def change(connection: Connection) -> None:
            job = job_records.get(connection, number)
            assert job is not None
            job_records.go(connection, job, state, 0.0)

        self.harness.done(self.farm.write(change))

    def desk(self, verb: str = SIGN, *, automatic: bool = False) -> SigningDesk:
        target = SignedTarget("f4", automatic, self.round, self.proceeding.append)
        others = cast("QuestionDesk", FakeQuestions())
        return SigningDesk(verb, lambda: target, others, Account())

    def signer(
        self,
        *,
        key: GnupgHome | None = None,
        after: str = "",
        display: FakeDisplay | None = None,
        automatic: bool = False,
    ) -> Signer:
        """
        A signer, who goes away after the question *after*.
        """
        desk = self.desk(automatic=automatic)
        home = key or self.key

        async def ask(question: Mapping[str, Any]) -> Mapping[str, Any]:
            answer = await desk.ask(question)
            if question["ask"] == after:
                raise GoneError
            return answer

        async def sign(data: bytes, text: bool) -> Signature:
            with mock.patch.dict(os.environ, home.environment):
                return Gnupg(home.fingerprint).sign(data, text=text)

        return Signer(ask, sign, display or FakeDisplay())

    def sign(self, jobs: list[int] | None = None, **more: Any) -> SigningSummary:
        """
        A whole round.
        """
        return self.harness.done(self.signing(jobs, **more))  # type: ignore[no-any-return]  # of any coroutine

    async def signing(self, jobs: list[int] | None = None, **more: Any) -> SigningSummary:
        signer = self.signer(**more)
        return await signer.run(await signer.offers(jobs))

    def refused(self, kind: type[Exception], coroutine: Any) -> str:
        return str(self.failureResultOf(Deferred.fromCoroutine(coroutine), kind).value)

    def signed(self) -> SignedSnapshot | None:
        found: SignedSnapshot | None = self.harness.read(lambda connection: SignedSnapshot.of(connection, "f4"))
        return found

    def push(self, jobs: list[int] | None = None) -> list[int]:
        question = {"ask": "push", **({} if jobs is None else {"jobs": [str(job) for job in jobs]})}
        answer: Any = self.successResultOf(self.desk(PUSH).ask(question))
        return list(answer["jobs"])


class RpmRoundTests(RoundCase):
    """
    Packages and repomd.xml.
    """

    def test_round(self) -> None:
        """
        Promise 9.7: headers go out and signatures come back, then the index of a snapshot with the signed packages;
        what the signer sees before comes from the bytes; nothing is public before the push, and the push is idempotent.
        """
        number = self.job()
        display = FakeDisplay()
        outcome = self.sign(display=display)
        self.assertEqual(
            display.shown,
            [
                f"job {number}",
                "tiny-1.0-3.src.rpm: package tiny 2:1.0-3 src",
                "repomd.xml: repomd.xml, the index of an RPM repository",
            ],
        )
        self.assertEqual((outcome.jobs, outcome.pushed), ([number], False))
        self.assertEqual(outcome.size, len(TINY_SRPM) + len(self.repository.contents))
        self.assertLess(outcome.fetched, 2500)
        self.assertNotIn(hashlib.sha256(TINY_SRPM).hexdigest().encode(), self.repository.contents)
        self.assertEqual(self.repository.public, {})
        self.assertEqual(self.push([number]), [number])
        self.assertEqual(self.proceeding, [number])
        signed = self.signed()
        assert signed is not None
        self.assertTrue(signed.pushed)
        self.files.publish(signed.snapshot)
        self.assertEqual(list(self.repository.public["public-1"]), ["repomd.xml.asc"])
        self.files.forget(number)
        self.assertEqual(os.listdir(os.path.join(self.directory, "signing", "signatures")), [])
        self.go(number, JobState.PUSHED)
        self.assertEqual(self.push([number]), [])
        self.assertEqual(self.push(), [])

    def test_noarch(self) -> None:
        """
        Promise 9.7: a noarch package that comes from each build is signed and published once.
        """
        number = self.job()
        self.build(number, "tiny-1.0-3.src.rpm", TINY_SRPM, arch="i686", beside=True)
        display = FakeDisplay()
        self.assertEqual(self.sign(display=display).jobs, [number])
        self.assertEqual(len([line for line in display.shown if line.startswith("tiny")]), 1)
        self.assertEqual(self.repository.contents.count(b"tiny-1.0-3.src.rpm"), 1)

    def test_goes_away(self) -> None:
        """
        Promise 9.7: a signer who goes away after any of the exchanges leaves nothing public; the next round goes on
        with the signatures that have arrived, also after a restart of the master.
        """
        number = self.job()
        for after in ("sign-offer", "sign-contents", "sign-give", "sign-prepare"):
            self.refused(GoneError, self.signing(after=after))
            self.assertIsNone(self.signed())
        display = FakeDisplay()
        self.new_round()
        self.assertEqual(self.sign(display=display).jobs, [number])
        # The package is signed already.
        self.assertEqual(display.shown[1:], ["repomd.xml: repomd.xml, the index of an RPM repository"])

    def test_two_signers(self) -> None:
        """
        Promise 9.7: of two signers at once, both may sign the same; the second finds that it is done, or that the index
        is another one.
        """
        first = self.job()
        one, two = self.signer(), self.signer()
        offers = self.harness.done(one.offers(None))
        also = self.harness.done(two.offers(None))
        self.assertEqual(self.harness.done(one.run(offers)).jobs, [first])
        self.assertEqual(self.harness.done(two.run(also)).jobs, [first])
        self.assertEqual(self.repository.made, 1)

    @needs("rpmbuild")
    def test_two_signers_of_two_jobs(self) -> None:
        """
        Promise 9.7: two signers may sign different jobs at once.
        """
        other = rpm(Path(self.directory, "rpms"), "other")
        first, second = self.job(), self.job(other.name, other.read_bytes())
        one, two = self.signer(), self.signer()
        offers = self.harness.done(one.offers([first]))
        also = self.harness.done(two.offers([second]))
        self.assertEqual(self.harness.done(one.run(offers)).jobs, [first])
        self.assertEqual(self.harness.done(two.run(also)).jobs, [first, second])

    def test_tidy(self) -> None:
        """
        The files for a job that was killed are removed.
        """
        first = self.job()
        self.sign()
        signing = Path(self.directory, "signing")
        self.assertEqual(len(list((signing / "signatures").iterdir())), 1)
        self.go(first, JobState.KILLED)
        self.harness.done(self.signer().offers(None))
        self.assertEqual(list((signing / "signatures").iterdir()), [])
        self.assertEqual(list((signing / "signed").iterdir()), [])

    def test_overtaken(self) -> None:
        """
        Promise 9.7: the signature of an index that was made again for another signer is refused.
        """
        first = self.job()
        signing = self.signer(after="sign-prepare")
        self.refused(GoneError, self.signing([first], after="sign-prepare"))
        second = self.job("other-1-1.src.rpm")
        self.assertEqual(self.sign().jobs, [first, second])
        index = {"ask": "sign-finish", "signatures": {"0" * 64 + "-bytes": ""}}
        self.assertIn("The index changed meanwhile", self.refused(RefusedError, signing.ask(index)))

    def test_changed(self) -> None:
        """
        Promise 9.7: a job that was killed or built again meanwhile is not signed.
        """
        number = self.job()
        changes: list[tuple[Callable[[], None], str]] = [
            (lambda: self.build(number, "tiny-1.0-4.src.rpm", TINY_SRPM), "built again meanwhile"),
            (lambda: self.go(number, JobState.KILLED), f"Job {number} waits for no signature: it is killed."),
        ]
        for change, sentence in changes:
            signer = self.signer()
            offers = self.harness.done(signer.offers([number]))
            finish = signer.ask

            async def ask(question: Mapping[str, Any], change: Callable[[], None] = change) -> Mapping[str, Any]:
                if question["ask"] == "sign-finish":
                    change()
                return await finish(question)  # noqa: B023 - called before the next one

            late = evolve(signer, ask=ask)
            self.assertIn(sentence, self.refused(RefusedError, late.run(offers)))
            self.assertIsNone(self.signed())

    def test_killed_after(self) -> None:
        """
        Promise 9.7: a snapshot with a job that was killed after it was signed is not published.
        """
        first, second = self.job(), self.job("other-1-1.src.rpm")
        self.sign()
        self.go(second, JobState.KILLED)
        said = str(self.failureResultOf(self.desk(PUSH).ask({"ask": "push"}), RefusedError).value)
        self.assertIn(f"The signed snapshot has job {second}, which is killed now.", said)
        self.assertEqual(self.sign().jobs, [first])
        self.assertEqual(self.push(), [first])

    def test_queued_again(self) -> None:
        """
        Promise 9.7: a job that was signed, killed, and queued again without being built again needs no other signature;
        who signs it is told so, and it says how it is published.
        """
        number = self.job()
        self.sign()
        signed = self.reason(number)
        self.assertIn("to publish it: buildbot-lite package push", signed)
        for state in (JobState.KILLED, JobState.BUILDING, JobState.REPOWAIT, JobState.NEEDSIGN):
            self.go(number, state)
        self.assertEqual(self.reason(number), "")
        summary = self.sign()
        self.assertEqual((summary.jobs, summary.fetched, self.reason(number)), ([number], 0, signed))
        self.assertEqual(self.push(), [number])

    def reason(self, number: int) -> str:
        """
        What the job with that *number* waits for.
        """
        found = self.harness.done(self.farm.read(partial(job_records.get, id=number)))
        return cast("Job", found).reason

    def test_finished_after(self) -> None:
        """
        Promise 9.7: a snapshot with a job that was finished without being published is not published, neither by a push
        of another job nor of all; one with a job that is public, and finished, is.
        """
        first, second = self.job(), self.job("other-1-1.src.rpm")
        self.sign()
        self.go(first, JobState.FINISHED)
        for question in ({"ask": "push", "jobs": [str(second)]}, {"ask": "push"}):
            said = str(self.failureResultOf(self.desk(PUSH).ask(question), RefusedError).value)
            self.assertIn(f"The signed snapshot has job {first}, which is finished without being published", said)
        said = str(self.failureResultOf(self.desk(PUSH).ask({"ask": "push", "jobs": [str(first)]}), RefusedError).value)
        self.assertIn(f"Job {first} cannot be pushed: it is finished without being published", said)
        self.assertEqual(self.proceeding, [])
        third = self.job("third-1-1.src.rpm")
        self.assertEqual(self.sign().jobs, [second, third])
        for state in (JobState.PUSHED, JobState.FINISHED):
            self.go(second, state)
        self.assertEqual(self.push([second, third]), [third])

    def test_left_out(self) -> None:
        """
        Promise 9.7: a job whose package cannot be signed, or which rpm refuses, gets the reason as its remark; the
        others are signed without it, and it is offered no more until somebody names it.
        """
        broken = self.job("broken-1-1.src.rpm", b"nothing")
        refused = self.job("refused-1-1.src.rpm", TINY_SRPM[:-1] + bytes([TINY_SRPM[-1] ^ 1]))
        good = self.job()
        self.assertEqual(self.sign().jobs, [good])
        for number in (broken, refused):
            found: Any = self.harness.read(partial(job_records.get, id=number))
            self.assertNotIn(found.reason, ("", "signed"))
        self.assertEqual([job.job for job in self.harness.done(self.signer().offers(None)).jobs], [good])
        self.refused(InputError, self.signing([broken]))

    def test_flood(self) -> None:
        """
        Promise 9.7: of more jobs or packages than a round has, the oldest are offered, and then the next.
        """
        first, second = self.job(), self.job("other-1-1.src.rpm")
        for bound in ("signing_jobs.MOST_JOBS", "offers.MOST_PACKAGES"):
            with mock.patch(f"buildbot_lite.packages.signing.{bound}", 1):
                offers = self.harness.done(self.signer().offers(None))
            self.assertEqual([job.job for job in offers.jobs], [first])
        with mock.patch("buildbot_lite.packages.signing.signing_jobs.MOST_JOBS", 1):
            self.assertEqual(self.sign().jobs, [first])
            self.assertEqual(self.sign().jobs, [first, second])

    def test_pages(self) -> None:
        """
        Promise 9.7: a watch finds a new job behind a thousand old ones that no rule takes; each page has 200 at most.
        """
        numbers = self.jobs(1100, submitter="bob")
        new = self.job()
        signer = self.signer(automatic=True)
        pages: list[int] = []

        async def ask(question: Mapping[str, Any]) -> Mapping[str, Any]:
            answer = await signer.ask(question)
            pages.append(len(answer["jobs"]))
            return answer

        found = self.harness.done(evolve(signer, ask=ask).fitting(lambda job: job.submitter == "alice"))
        self.assertEqual([job.job for job in found.jobs], [new])
        self.assertEqual(pages, [200] * 5 + [101, 1])
        self.assertEqual(self.harness.done(signer.run(found)).jobs, [new])
        self.assertEqual(self.proceeding, [new])
        # A signer of an earlier version asks for no pages, and one that takes everything has a full round.
        self.assertEqual([job.job for job in self.harness.done(signer.offers(None)).jobs], numbers[:1000])
        self.assertEqual(len(self.harness.done(signer.fitting(lambda job: True)).jobs), 1000)

    def test_pages_of_packages(self) -> None:
        """
        Promise 9.7: a page ends before it has too many packages, and the next one begins there; a master that offers no
        pages, or the same one again, is asked once.
        """
        numbers = [self.job() for _ in range(3)]
        with mock.patch("buildbot_lite.packages.signing.offers.MOST_PACKAGES", 1):
            found = self.harness.done(self.signer().fitting(lambda job: True))
        self.assertEqual([job.job for job in found.jobs], numbers)
        for after in ({}, {"after": 0}):
            asked: list[Mapping[str, Any]] = []

            async def ask(
                question: Mapping[str, Any], asked: list[Any] = asked, after: Mapping[str, int] = after
            ) -> Mapping[str, Any]:
                asked.append(question)
                return {"target": "f4", "auto": True, "jobs": [], **after}

            self.harness.done(evolve(self.signer(), ask=ask).fitting(lambda job: True))
            self.assertEqual(asked, [{"ask": "sign-offer", "after": 0}])

    @needs("rpmbuild")
    def test_described(self) -> None:
        """
        Promise 9.7: the signer sees of which source each package was built, as its own header says; and what was
        submitted, as the farm says.
        """
        made = rpm(Path(self.directory, "rpms"), "greet")
        number = self.job(made.name, made.read_bytes())
        self.harness.done(self.farm.write(partial(self.submitted, number)))
        display = FakeDisplay()
        (offered,) = self.harness.done(self.signer().offers([number])).jobs
        self.sign([number], display=display)
        self.assertRegex(display.shown[1], r": package greet 1.0-1 \w+, built of greet-1.0-1.src.rpm$")
        assert offered.source is not None
        self.assertEqual((offered.source.name, offered.source.size), ("greet.src.rpm", 7))

    def test_source_from_stdin(self) -> None:
        """
        Promise 9.7: what came on standard input has the name of the source package that it was found to be: the source
        RPM's, or that of an archive of the package.
        """
        rpms, archive = self.job(), self.job()
        single = {SINGLE_FILE: ("tiny-1.0-3.src.rpm", "PackageScheduler")}
        for number, properties in ((rpms, single), (archive, {})):
            record = partial(self.submitted, number, name="stdin.file", properties=properties)
            self.harness.done(self.farm.write(record))
        offers = self.harness.done(self.signer().offers([rpms, archive])).jobs
        names = [offer.source.name for offer in offers if offer.source is not None]
        self.assertEqual(names, ["tiny-1.0-3.src.rpm", "tiny_1.0-3.tar"])

    def submitted(
        self, number: int, connection: Connection, *, name: str = "greet.src.rpm", properties: Any = None
    ) -> None:
        """
        Record a file as the submitted one of a job.
        """
        file = inputs.add(connection, name=name, kind="file", length=7, sha256="1" * 64, now=0.0)
        job = job_records.get(connection, number)
        assert job is not None
        made = requests.submit(
            connection, scheduler="f4", builders=["b"], reason="", now=0.0, input=file.id, properties=properties or {}
        )
        change = schema.package_jobs.update().where(schema.package_jobs.c.id == number)
        connection.execute(change.values(buildset=made.buildset.id))

    def test_made_from_git(self) -> None:
        """
        Promise 9.7: the signer sees of which commit and repository the farm made the source package; of a submitted one
        there is no such thing.
        """
        made, submitted = self.job(), self.job()
        commit = "0123456789abcdef" * 2 + "01234567"
        origin = Origin("https://git.example.org/tiny.git", "v1.0", commit)
        change = schema.package_jobs.update().where(schema.package_jobs.c.id == made)
        change = change.values(origin=json.dumps(asdict(origin)))
        self.harness.done(self.farm.write(lambda connection: connection.execute(change)))
        offered = {job.job: job.origin for job in self.harness.done(self.signer().offers([made, submitted])).jobs}
        expected = OfferedOrigin(origin.repository, origin.revision, origin.commit)
        self.assertEqual(offered, {made: expected, submitted: None})

    def test_index_only(self) -> None:
        """
        Promise 9.7: after the signer agreed, nothing but an index is signed.
        """
        self.job()
        honest = self.signer()
        offers = self.harness.done(honest.offers(None))
        headers: dict[str, str] = {}

        async def lie(question: Mapping[str, Any]) -> Mapping[str, Any]:
            answer = await honest.ask(question)
            if question["ask"] == "sign-contents":
                headers.update(answer["contents"])
            if question["ask"] == "sign-prepare":
                ((id, text),) = headers.items()
                file = {"name": "x.rpm", "size": 9, "sha256": "0", "length": 9, "text": False}
                return {"files": [{**file, "id": id, "contents": text}]}
            return answer

        error = self.refused(InputError, evolve(honest, ask=lie).run(offers))
        self.assertIn("something else than the index", error)

    def test_bad_signatures(self) -> None:
        """
        Promise 9.7: a signature that the key of today refuses is forgotten, and asked for again.
        """
        number = self.job()
        self.refused(GoneError, self.signing(after="sign-give"))
        new = GnupgHome(name="New")
        self.addCleanup(new.remove)
        Path(self.directory, "farm.asc").write_bytes(new.public())
        self.assertIn("is not good any more", self.refused(RefusedError, self.signing(key=new)))
        self.assertEqual(self.sign(key=new).jobs, [number])

    def test_machine_at_fault(self) -> None:
        """
        Promise 9.9: a master that stops while it applies signatures, and one whose disk is full then, keep them, and
        offer the job again; what is missing is the index alone.
        """
        number = self.job()
        self.refused(GoneError, self.signing(after="sign-give"))
        self.stopping.set()
        self.assertIn("the master stops", self.refused(ProgramError, self.signing()))
        self.stopping.clear()
        full = OSError(28, "No space left on device")
        for name in ("tempfile.mkdtemp", f"{rpm_signature.__name__}.shutil.copyfileobj"):
            with mock.patch(name, side_effect=full):
                self.assertIn("disk is full", self.refused(DiskFullError, self.signing()))
        display = FakeDisplay()
        self.assertEqual(self.sign(display=display).jobs, [number])
        self.assertEqual(display.shown[1:], ["repomd.xml: repomd.xml, the index of an RPM repository"])

    def test_kind(self) -> None:
        """
        Promise 9.7: a signature of text is not kept for a package.
        """
        self.job()
        signer = self.signer()

        async def sign(data: bytes, text: bool) -> Signature:
            return await self.signer().sign(data, True)

        offers = self.harness.done(signer.offers(None))
        self.assertIn("of the wrong kind", self.refused(InputError, evolve(signer, sign=sign).run(offers)))

    def test_lost_index(self) -> None:
        """
        Promise 9.7: a snapshot whose signatures were lost is not published without them; it is signed again.
        """
        number = self.job()
        self.sign(automatic=True)
        shutil.rmtree(os.path.join(self.directory, "signing", "index"))
        signed = self.signed()
        assert signed is not None
        with self.assertRaises(InputError):
            self.files.publish(signed.snapshot)
        self.assertEqual(self.repository.public, {})
        self.assertEqual(self.sign(automatic=True).jobs, [number])
        self.files.publish(self.repository.snapshot)
        self.assertEqual(len(self.repository.public), 1)

    def test_pushed_waits(self) -> None:
        """
        Promise 9.7: no other snapshot takes the place of one that was pushed and is not public yet.
        """
        first = self.job()
        self.sign(automatic=True)
        second = self.job("other-1-1.src.rpm")
        self.assertIn("becomes public just now", self.refused(RefusedError, self.signing([second])))
        self.files.publish(self.repository.snapshot)
        self.go(first, JobState.PUSHED)
        self.assertEqual(self.sign([second]).jobs, [second])

    def test_wrong_key(self) -> None:
        """
        Promise 9.7: signatures by another key are refused, and none is kept.
        """
        self.job()
        other = GnupgHome(name="Other")
        self.addCleanup(other.remove)
        self.assertIn("which is not in keys/farm.asc", self.refused(InputError, self.signing(key=other)))
        self.assertFalse(os.path.exists(os.path.join(self.directory, "signing", "signatures")))

    def test_later(self) -> None:
        """
        Promise 9.7: jobs that were signed and not pushed yet are in the next snapshot, too.
        """
        first = self.job()
        self.sign()
        second = self.job("other-1-1.src.rpm")
        display = FakeDisplay(alone=True)
        self.assertTrue(self.sign([second], display=display).refused)
        self.assertEqual(display.shown[-1], f"also [{first}]")
        self.assertEqual(self.sign([second]).jobs, [first, second])
        self.assertEqual(self.push([second]), [first, second])

    def test_not_signed(self) -> None:
        """
        Promise 9.7: a push of what is not signed, and of jobs of other targets, is refused.
        """
        number, other = self.job(), self.job(target="el9")
        for jobs, kind, sentence in [
            ([number], RefusedError, f"Sign it: buildbot-lite package sign {number}"),
            ([other], NotFoundError, f"f4 has no job {other}."),
            ([99], NotFoundError, "f4 has no job 99."),
        ]:
            asked = self.desk(PUSH).ask({"ask": "push", "jobs": [str(job) for job in jobs]})
            self.assertIn(sentence, str(self.failureResultOf(asked, kind).value))
            self.assertIn(
                sentence[-8:], self.refused(Exception, self.signing(jobs)) if number not in jobs else sentence
            )

    def test_automatic(self) -> None:
        """
        Promise 9.7: packages that are signed for an automatic target are published without a push.
        """
        number = self.job()
        self.assertTrue(self.sign(automatic=True).pushed)
        self.assertEqual(self.proceeding, [number])

    def test_disagrees(self) -> None:
        """
        Promise 9.7: nothing is signed when the signer does not agree.
        """
        self.job()
        self.assertTrue(self.sign(display=FakeDisplay(agrees=False)).refused)
        self.assertFalse(os.path.exists(os.path.join(self.directory, "signing")))

    def test_hostile_questions(self) -> None:
        """
        Promise 9.7: a string permits its own questions only; what is not offered, no number or no signature is refused.
        """
        number = self.job()
        wrong: list[tuple[str, dict[str, Any], type[Exception]]] = [
            (SIGN, {"ask": "push"}, RefusedError),
            (PUSH, {"ask": "sign-offer"}, RefusedError),
            (SIGN, {"ask": "status"}, RefusedError),
            (SIGN, {}, MessageError),
            (SIGN, {"ask": "sign-offer", "jobs": ["x"]}, MessageError),
            (SIGN, {"ask": "sign-offer", "jobs": [str(number)] * 1001}, MessageError),
            (SIGN, {"ask": "sign-contents", "ids": ["../../private/tub.pem"]}, RefusedError),
            (SIGN, {"ask": "sign-give", "signatures": {"../x": "AAAA"}}, RefusedError),
            (SIGN, {"ask": "sign-give", "signatures": {"x": "é"}}, MessageError),
            (SIGN, {"ask": "sign-give", "signatures": {"x": 5}}, MessageError),
            (SIGN, {"ask": "sign-give", "signatures": {"x": "A" * 8000}}, MessageError),
            (SIGN, {"ask": "sign-finish", "signatures": {}}, RefusedError),
            (SIGN, {"ask": "sign-prepare", "jobs": [str(number)]}, RefusedError),
        ]
        for verb, question, kind in wrong:
            self.failureResultOf(self.desk(verb).ask(question), kind)

    def test_hostile_farm(self) -> None:
        """
        Promise 9.7: a signer's program signs nothing but packages and indexes, and no other bytes than it was told.
        """
        self.job()
        honest = self.signer()
        offers = self.harness.done(honest.offers(None))
        for text in ("SSBvd2UgeW91", "", "?"):

            async def ask(question: Mapping[str, Any], text: str = text) -> Mapping[str, Any]:
                return {"contents": dict.fromkeys(question["ids"], text)}

            error = self.refused(Exception, evolve(honest, ask=ask).run(offers))
            self.assertTrue("other bytes than it said" in error or "base64" in error, error)

        async def lie(question: Mapping[str, Any]) -> Mapping[str, Any]:
            if question["ask"] == "sign-prepare":
                name = hashlib.sha256(b"I owe you").hexdigest()
                file = {"name": "Release", "size": 9, "sha256": name, "length": 9, "text": False}
                return {"files": [{**file, "id": f"{name}-bytes", "contents": "SSBvd2UgeW91"}]}
            return await honest.ask(question)

        error = self.refused(InputError, evolve(honest, ask=lie).run(offers))
        self.assertIn("something that is no package and no index", error)


class DebianRoundTests(RoundCase):
    """
    A Release, with the packages listed in it.
    """

    index = "Release"

    def test_round(self) -> None:
        """
        Promise 9.7: for packages of Debian only the Release is signed, in two ways.
        """
        number = self.job("greet_1.0_amd64.deb", b"deb" * 10_000)
        display = FakeDisplay()
        outcome = self.sign(display=display)
        self.assertEqual(outcome.jobs, [number])
        self.assertLess(outcome.fetched, 400)
        self.assertEqual(outcome.size, 30_000 + len(self.repository.contents))
        self.assertEqual(self.push(), [number])
        self.files.publish("public-1")
        public = self.repository.public["public-1"]
        self.assertEqual(sorted(public), ["InRelease", "Release.gpg"])
        self.assertIn(self.repository.contents, public["InRelease"])
