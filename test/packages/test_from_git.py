"""
Jobs whose source packages are made from git repositories.
"""

import io
from functools import partial
from typing import Any, cast
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import ConfigError, DiskFullError, LimitError
from buildbot_lite.extensions import configuration_keys
from buildbot_lite.master.config.loading import load
from buildbot_lite.master.grants.verbs import SUBMIT
from buildbot_lite.master.scheduling.new_buildset import NewBuildset
from buildbot_lite.model.hello import HeldCommand
from buildbot_lite.model.results import Result
from buildbot_lite.model.source_stamps import source_of
from buildbot_lite.packages.building.git_sources import GitSources
from buildbot_lite.packages.control import job_actions
from buildbot_lite.packages.control.package_jobs import PackageJobs
from buildbot_lite.packages.formats.git_request import GitRequest, read_request, request_text
from buildbot_lite.packages.records import job_records
from buildbot_lite.packages.records.job_states import ArchState, JobState
from buildbot_lite.packages.records.jobs import Job, Origin
from buildbot_lite.packages.service import job_advance
from buildbot_lite.packages.service.result_retention import needs_of
from buildbot_lite.packages.service.served_targets import ServedTargets
from buildbot_lite.packages.service.target_troubles import FIRST_PAUSE
from buildbot_lite.storage.records import steps
from buildbot_lite.storage.records.grants import Grant, GrantLimits
from test.control.test_submissions import FakeWatcher

from .archives import archive, greet
from .test_chains import ChainCase
from .test_job_questions import QuestionCase

COMMIT = "0123456789abcdef" * 2 + "01234567"
GOT = f"==> commit {COMMIT}\n"
SOURCES = '["https://git.example.org/{name}.git", "https://other.example.org/one"]'
BEFORE = (JobState.INITIALIZE, JobState.CHECKOUT, JobState.MAKE_SRPM)


class FromGitCase(QuestionCase):
    """
    A farm with a target that takes sources from git.
    """

    def setUp(self) -> None:
        super().setUp()
        self.building.said["git-get"] = GOT
        self.building.source = archive(greet())

    def configuration(self) -> str:
        return super().configuration().replace("root=Plain()", f"root=Plain(), sources={SOURCES}")

    def ask_for(self, text: bytes = request_text("greet", "v1.0")) -> FakeWatcher:
        """
        Submit the request *text*.
        """
        return self.run_command("bookworm", text)

    def attach(self) -> None:
        super().attach()
        self.harness.settle()

    def states(self) -> list[str]:
        """
        The states that the first job had.
        """
        return [state for state, _ in self.job().history]


class RecognizingTests(SynchronousTestCase):
    """
    Which files are requests for a revision.
    """

    def test_comments(self) -> None:
        """
        Empty lines and comments may be before the first property.
        """
        text = b"\n# one\r\n   \n#\n" + request_text("greet", "v1.0")
        self.assertEqual(read_request(io.BytesIO(text)), GitRequest("greet", "", "v1.0"))

    def test_others(self) -> None:
        """
        Other files are no requests, however many beginnings of comments they have, and recognizing this takes no longer
        than reading them.
        """
        for text in (
            b"# " * 2048,
            b"#\n" * 2048,
            b"#\t\n " * 1024,
            b" " * 4096,
            b"",
            b"=",
            b"# package=a",
            b"packages=a",
        ):
            file = io.BytesIO(text)
            self.assertIsNone(read_request(file), text[:20])
            self.assertEqual(file.tell(), 0)


class MakingTests(FromGitCase):
    """
    From a request to the builds.
    """

    def test_no_progress(self) -> None:
        """
        Git is not asked for reports of its progress, which would be most of the log that a submitter follows.
        """
        self.building.held |= {"git-get"}
        self.ask_for()
        self.attach()
        (getting,) = self.building.waiting
        self.assertNotIn("--progress", cast("Any", getting.spec).argv)

    def test_built(self) -> None:
        """
        Promise 9.1, 9.2: the submitter of a name and a revision reads the number of the job, sees the source package
        made and then its packages built; the job has the states for that with their times, and the commit.
        """
        watcher = self.ask_for()
        title = "# job 1: greet at v1.0 for bookworm, from https://git.example.org/greet.git"
        self.assertEqual(watcher.err.splitlines()[0], title)
        self.assertEqual(self.job().state, JobState.INITIALIZE)
        self.building.held |= {"git-get"}
        self.attach()
        self.assertEqual(self.job().state, JobState.CHECKOUT)
        self.building.held = {"dpkg-source --build"}
        self.building.finish(self.building.waiting.pop())
        self.harness.settle()
        self.assertEqual(self.job().state, JobState.MAKE_SRPM)
        self.building.release()
        self.harness.settle()
        job = self.job()
        self.assertEqual((job.state, job.reason), (JobState.FINISHED, ""))
        expected = ["initialize", "checkout", "make_srpm", "prep", "waiting", "building", "finished"]
        self.assertEqual(self.states(), expected)
        self.assertEqual((job.name, job.version), ("greet", "1.0"))
        self.assertEqual(job.origin, Origin("https://git.example.org/greet.git", "v1.0", COMMIT))
        self.assertEqual(
            [(each.architecture, each.state) for each in job.arches],
            [("source", "done"), ("amd64", "done"), ("i386", "done"), ("all", "skipped")],
        )
        self.assertIn("bookworm-i386/1: SUCCESS", watcher.err)
        self.assertEqual(watcher.codes, [0])
        self.assertEqual(self.tree("bookworm", "greet", "1.0+farm1"), ["amd64", "i386"])

    def test_address(self) -> None:
        """
        Promise 9.1: an address that master.cfg lists may be given; a package in it may have another name.
        """
        self.ask_for(request_text("https://other.example.org/one", "main"))
        self.attach()
        job = self.job()
        self.assertEqual((job.state, job.name), (JobState.FINISHED, "greet"))

    def test_refused(self) -> None:
        """
        Promise 9.1: a request that names no revision, a word that git could read as an option, an odd name, or an
        address that is not listed is one sentence, and nothing is queued.
        """
        for text, sentence in {
            "package=greet": "Give the revision to be built",
            "revision=v1": "Give the name of a package or the address of its repository, too",
            "package=greet\nrevision=--upload-pack=touch /tmp/x": "is not the name of a tag, branch or commit",
            "package=greet\nrevision=v1..v2": "is not the name of a tag, branch or commit",
            "package=../../etc\nrevision=v1": "no name of a source package",
            "package=-x\nrevision=v1": "no name of a source package",
            "package=greet\nrevision=v1\nsubmodules=yes": "Line 3 of the request",
            "package=greet\npackage=greet\nrevision=v1": "twice",
            "package=a\nrepository=https://git.example.org/a.git\nrevision=v1": "Give the name of a package",
            "repository=https://evil.example.org/greet.git\nrevision=v1": "takes nothing from",
            "repository=https://git.example.org/a/b.git\nrevision=v1": "takes nothing from",
            "repository=https://git.example.org/greet.git?x=\nrevision=v1": "takes nothing from",
            "repository=ext::sh -c true\nrevision=v1": "takes nothing from",
            "repository=file:///etc\nrevision=v1": "takes nothing from",
            f"package=greet\nrevision={'v' * 200}": "is not the name",
            "package=greet\nrevision=refs/pull/5/head": "is a full ref",
            "package=greet\nrevision=v1\u202e0": "is not the name",
            "package=greet\nrevision=v1\u009b31m": "is not the name",
        }.items():
            watcher = self.ask_for(text.encode())
            self.assertIn(sentence, watcher.err, text)
            self.assertEqual(watcher.codes, [2])
        self.assertIsNone(self.harness.read(lambda connection: job_records.get(connection, 1)))

    def test_name_in_address(self) -> None:
        """
        The name in an address is the shortest that one of the listed addresses says, in any order.
        """
        both = ("https://git.example.org/{name}", "https://git.example.org/{name}.git")
        for addresses in (both, both[::-1]):
            sources = GitSources(addresses)
            self.assertEqual(sources.name_in("https://git.example.org/hello.git"), "hello")
            self.assertEqual(sources.name_in("https://git.example.org/hello"), "hello")
            self.assertEqual(sources.name_in("https://other.example.org/hello"), "")

    def test_other_way(self) -> None:
        """
        Promise 9.1: a build of the builder that makes sources, however it was asked for, fetches from no address that
        the target does not list.
        """
        address = "https://evil.example.org/greet.git"
        source = source_of({"": {"repository": address, "revision": "v1.0"}})
        properties = {"repository": (address, "test")}
        new = NewBuildset(
            scheduler="other", builders=["bookworm-source"], reason="", source=source, properties=properties
        )
        self.harness.done(self.farm.requests.submit(new))
        self.attach()
        self.assertEqual(self.harness.steps(1)[0], ("checkout", Result.FAILURE))
        checkout = self.harness.read(partial(steps.of_build, build=1))[0]
        self.assertIn("is not among the sources of the target", checkout.summary)
        words = [" ".join(getattr(each.spec, "argv", None) or ()) for each in self.slave.commands]
        self.assertFalse([each for each in words if "evil" in each or "git-get" in each])

    def test_fails(self) -> None:
        """
        Promise 9.1: a checkout that fails, or a source package that cannot be made, fails the job with the reason, and
        the submitter's exit code says so.
        """
        for number, word in enumerate(["git-get", "git-source", "dpkg-source --build"], 1):
            self.building.failing = {word}
            watcher = self.ask_for()
            if number == 1:
                self.attach()
            job = self.job(number)
            self.assertEqual(job.state, JobState.FAILED)
            self.assertIn("source: ", job.reason)
            self.assertEqual(job.built, ())
            self.assertEqual(watcher.codes, [1])

    def test_other_package(self) -> None:
        """
        Promise 9.1: what was made is examined like a submitted package: nonsense, and a package of another name than
        the repository's, fail the job with a sentence, which the submitter reads.
        """
        for number, (source, sentence) in enumerate(
            [
                (b"nonsense" * 1000, "That is no tar archive"),
                (archive(greet(Source="hello")), "The repository greet makes the source package hello"),
                (archive({**greet(), "greet_1.0.tar.xz": b"other"}), "greet_1.0.tar.xz has 5 bytes"),
                (archive(greet(Architecture="riscv64")), "riscv64"),
            ],
            1,
        ):
            self.building.source = source
            watcher = self.ask_for()
            if number == 1:
                self.attach()
            job = self.job(number)
            self.assertEqual(job.state, JobState.FAILED, job)
            self.assertIn(sentence, job.reason)
            self.assertIn(sentence, watcher.err)
            self.assertEqual(watcher.codes, [2])

    def test_revision_like_a_version(self) -> None:
        """
        Promise 9.9: while the source of a job is not made, its revision is not taken for the version of results that
        are there.
        """

        def needed() -> list[tuple[str, str]]:
            found = self.harness.read(partial(needs_of, target="bookworm"))
            return [(each.name, each.version) for each in found]

        self.ask_for(request_text("greet", "1.0"))
        self.assertEqual(needed(), [("greet", "at 1.0")])
        self.attach()
        self.assertEqual(needed(), [("greet", "1.0")])

    def test_twice(self) -> None:
        """
        Promise 9.5: the same version with other bytes is refused, also when it was made from git.
        """
        self.ask_for()
        self.attach()
        self.building.files = dict.fromkeys(self.building.files, b"other")
        self.ask_for()
        self.assertEqual(self.job(2).state, JobState.FAILED)
        self.assertIn("is there already, with other bytes", self.job(2).reason)


class SurvivingTests(FromGitCase):
    """
    Kill, requeue, and a master that dies.
    """

    def test_killed_master(self) -> None:
        """
        Promise 9.2: a master that dies in each state of a job from git goes on there, and repeats nothing.
        """
        self.ask_for()
        self.restart()
        self.assertEqual(self.job().state, JobState.INITIALIZE)
        platform = {"machine": "x86_64"}
        self.building.held |= {"git-get", "dpkg-source --build", "dpkg-buildpackage"}
        self.attach()
        for state in (JobState.CHECKOUT, JobState.MAKE_SRPM, JobState.BUILDING):
            self.assertEqual(self.job().state, state)
            self.restart()
            self.assertEqual(self.job().state, state)
            self.harness.attach("bot1", self.slave, platform=platform, held=self.still_running())
            waiting, self.building.waiting = self.building.waiting, []
            for each in waiting:
                self.building.finish(each)
            self.harness.settle()
        self.assertEqual(self.job().state, JobState.FINISHED)
        expected = ["initialize", "checkout", "make_srpm", "prep", "waiting", "building", "finished"]
        self.assertEqual(self.states(), expected)
        commands = [" ".join(getattr(each.spec, "argv", None) or ()) for each in self.slave.commands]
        for word, times in {"git-get": 1, "dpkg-source --build": 1, "dpkg-buildpackage": 2}.items():
            self.assertEqual(sum(word in each for each in commands), times, word)

    def restart(self) -> None:
        """
        The master dies, and the next one starts.
        """
        self.harness.restart()

    def still_running(self) -> tuple[HeldCommand, ...]:
        """
        The commands that the slave holds, without those that have ended.
        """
        running = {each.id for each in self.building.waiting}
        return tuple(each for each in self.slave.held() if each.id in running)

    def test_dies_examining(self) -> None:
        """
        Promise 9.2: a master that dies before it has examined the source package that was made does so at its start,
        and submits it once.
        """
        service: Any = cast("PackageJobs", self.farm.extensions["jobs of packages"]).service
        self.patch(service, "proceed", lambda job: None)
        self.ask_for()
        self.attach()
        self.assertEqual(self.job().state, JobState.PREP)
        self.restart()
        self.assertIn(self.job().state, (JobState.WAITING, JobState.BUILDING))
        self.restart()
        self.attach()
        self.harness.settle()
        self.assertEqual(self.job().state, JobState.FINISHED)
        self.assertEqual(self.states().count("prep"), 1)

    def test_disk_full(self) -> None:
        """
        Promise 9.9: a full disk keeps a source package that was made waiting, with the sentence; it goes on by itself
        when there is room.
        """
        self.ask_for()
        with mock.patch.object(job_advance, "examine_made", side_effect=DiskFullError("the disk is full.")):
            self.attach()
            self.harness.settle(FIRST_PAUSE)
            self.assertEqual((self.job().state, self.job().reason), (JobState.PREP, "the disk is full."))
        self.harness.settle(2 * FIRST_PAUSE)
        self.assertEqual((self.job().state, self.job().reason), (JobState.FINISHED, ""))

    def test_target_comes_back(self) -> None:
        """
        A job whose target is not in master.cfg when its source is made goes on when the target is there again.
        """
        self.ask_for()
        with mock.patch.object(ServedTargets, "by_name", {}):
            self.attach()
        self.assertEqual(self.job().state, JobState.PREP)
        self.harness.done(self.harness.farm.reconfiguration.apply())
        self.harness.settle()
        self.assertEqual(self.job().state, JobState.FINISHED)

    def test_killed(self) -> None:
        """
        Promise 9.8: a job that is killed while its source is made ends that build; `requeue` makes it again.
        """
        self.building.held |= {"git-get"}
        self.ask_for()
        self.attach()
        self.ask("kill", job=1)
        self.assertEqual(self.job().state, JobState.KILLED)
        (waiting,) = self.building.waiting
        self.assertIn(waiting.id, [id for id, _ in self.slave.interrupted])
        waiting.end(1)
        self.harness.settle()
        self.assertEqual([each.state for each in self.job().ordered], [ArchState.KILLED])
        self.building.held.clear()
        again = self.ask("requeue", job=1)["architectures"]
        self.harness.settle()
        self.assertEqual(again, ["source"])
        self.assertEqual(self.job().state, JobState.FINISHED, self.job())

    def test_killed_examining(self) -> None:
        """
        Promise 9.8: a job that is killed while the source that was made is examined is not built; `requeue` goes on
        with the source that is there.
        """
        service: Any = cast("PackageJobs", self.farm.extensions["jobs of packages"]).service
        proceed = service.proceed
        service.proceed = lambda job: None
        self.ask_for()
        self.attach()
        self.ask("kill", job=1)
        proceed(1)
        self.harness.settle()
        self.assertEqual((self.job().state, self.job().built), (JobState.KILLED, ()))
        service.proceed = proceed
        again = self.ask("requeue", job=1)["architectures"]
        self.harness.settle()
        self.assertEqual((list(again), self.job().state), ([], JobState.FINISHED))
        commands = [" ".join(getattr(each.spec, "argv", None) or ()) for each in self.slave.commands]
        self.assertEqual(sum("git-get" in each for each in commands), 1)

    def test_requeued(self) -> None:
        """
        Promise 9.8: a failed checkout is made again by `requeue`; a failed build is built again of the source that is
        stored, without a checkout.
        """
        self.building.failing = {"git-get"}
        self.ask_for()
        self.attach()
        self.building.failing = {"dpkg-buildpackage"}
        self.ask("requeue", job=1)
        self.harness.settle()
        job = self.job()
        self.assertEqual([each.state for each in job.ordered], [ArchState.DONE, ArchState.FAILED, ArchState.FAILED])
        self.building.failing = {"git-get"}
        again = self.ask("requeue", job=1)["architectures"]
        self.harness.settle()
        self.assertEqual((list(again), self.job().state), (["amd64", "i386"], JobState.FINISHED))

    def test_retention(self) -> None:
        """
        Promise 9.9: the build that made the source is kept until the job has ended.
        """
        self.building.held.add("dpkg-buildpackage")
        self.ask_for()
        self.attach()
        job: Job = self.job()
        assert job.source is not None
        holder = self.farm.retention_holders[job_records.BUILDS_OF_JOBS.name]
        builds = [job.source.build or 0]
        self.assertEqual(self.harness.read(lambda connection: holder.held(connection, builds)), set(builds))


class WaitingLimitTests(FromGitCase):
    """
    The limit of waiting requests of a string.
    """

    def configuration(self) -> str:
        # As many builds at a time as the packages of one job.
        return super().configuration().replace("max_builds=3", "max_builds=2")

    def limited(self, most: int) -> Grant:
        """
        A new string, of whose requests *most* may wait.
        """
        limits = GrantLimits(most_waiting=most)
        made: Grant = self.harness.done(self.farm.grants.hand_out(SUBMIT, "bookworm", name="bookworm", limits=limits))
        return made

    def ask_with(self, grant: Grant) -> FakeWatcher:
        """
        Submit a request for a revision with *grant*.
        """
        watcher = FakeWatcher()
        feed = self.successResultOf(self.target_of_grant(grant.id).submit_file(watcher))
        if feed is not None:
            feed.feed(request_text("greet", "v1.0"))
            feed.close()
        self.harness.settle()
        return watcher

    def test_limit(self) -> None:
        """
        Promise 15: a job counts as the builds of all architectures while its source package waits, is made and is
        examined, also after a restart of the master and when its source is made again.
        """
        grant = self.limited(4)
        refusal = "At most 4 requests of this string may wait, and 3 do, counting what earlier submissions will become."
        self.ask_with(grant)
        self.assertIn(refusal, self.ask_with(grant).err)
        self.harness.restart()
        self.farm = self.harness.farm
        self.assertIn(refusal, self.ask_with(grant).err)
        self.building.held |= {"git-get"}
        self.attach()
        self.assertEqual(self.job().state, JobState.CHECKOUT)
        self.assertIn(refusal, self.ask_with(grant).err)
        self.ask("kill", job=1)
        self.building.release()
        self.harness.settle()
        self.building.held |= {"git-get"}
        self.ask("requeue", grant, job=1)
        self.assertIn(refusal, self.ask_with(grant).err)
        self.building.failing |= {"git-get"}
        self.building.release()
        self.harness.settle()
        self.assertEqual(self.job().state, JobState.FAILED)
        self.assertIn(b"job 2", self.ask_with(grant).out)

    def test_made(self) -> None:
        """
        Promise 15: when the source package is made, the requests for its packages count, and nothing counts twice.
        """
        grant = self.limited(6)
        self.building.held |= {"dpkg-buildpackage"}
        self.ask_with(grant)
        self.ask_with(grant)
        self.attach()
        self.assertEqual(self.farm.queue.count_of_grant(grant.id), 2)
        self.assertIn(b"job 3", self.ask_with(grant).out)
        # Two packages wait, and the third job counts as three until its source is examined.
        self.assertIn("and 5 do,", self.ask_with(grant).err)

    def test_examined(self) -> None:
        """
        Promise 15: a job whose source package is examined again after a `requeue` counts as its builds.
        """
        service: Any = cast("PackageJobs", self.farm.extensions["jobs of packages"]).service
        grant = self.limited(4)
        self.patch(service, "proceed", lambda job: None)
        self.ask_with(grant)
        self.attach()
        self.ask("kill", job=1)
        self.ask("requeue", grant, job=1)
        self.assertEqual(self.job().state, JobState.PREP)
        self.assertIn("and 3 do, counting", self.ask_with(grant).err)

    def test_examined_later(self) -> None:
        """
        Promise 15: the `requeue` of a job whose source package is still to be examined is refused like a submission
        of its builds, and counts as a use when it is permitted.
        """
        service: Any = cast("PackageJobs", self.farm.extensions["jobs of packages"]).service
        grant = self.limited(4)
        self.patch(service, "proceed", lambda job: None)
        self.patch(service._advance, "proceed", lambda job: None)
        self.attach()
        for number in (1, 2):
            self.ask_with(grant)
            self.ask("kill", grant, job=number)
        uses = self.farm.grants.in_force(grant.id).uses
        self.ask("requeue", grant, job=1)
        self.refused(LimitError, lambda: self.ask("requeue", grant, job=2), "and 3 do, counting")
        self.assertEqual([self.job(number).state for number in (1, 2)], [JobState.PREP, JobState.KILLED])
        self.assertEqual(self.farm.grants.in_force(grant.id).uses, uses + 1)

    def test_killed_at_once(self) -> None:
        """
        A job that is requeued and killed in one transaction counts as no requests.
        """
        service: Any = cast("PackageJobs", self.farm.extensions["jobs of packages"]).service
        grant = self.limited(3)
        self.patch(service._advance, "proceed", lambda job: None)
        self.attach()
        self.ask_with(grant)
        self.ask("kill", grant, job=1)
        records = self.farm.records
        written = [
            records.write(partial(job_actions._resume, number=1, now=1.0)),
            records.write(partial(job_actions._kill, number=1, by="me", now=1.0)),
        ]
        _ = written[0].addCallback(service.expect_requests)
        self.harness.settle()
        self.assertEqual(self.job().state, JobState.KILLED)
        self.assertIn(b"job 2", self.ask_with(grant).out)

    def test_packages(self) -> None:
        """
        A submitted package counts as its builds only: none makes its source.
        """
        self.assertEqual(len(self.farm.config.submits["bookworm"].builder_names), 4)
        grant, watcher = self.limited(3), FakeWatcher()
        feed = self.successResultOf(self.target_of_grant(grant.id).submit_file(watcher))
        assert feed is not None, watcher.err
        feed.feed(archive(greet()))
        feed.close()
        self.harness.settle()
        self.assertEqual(self.job().state, JobState.WAITING)


class ChainedTests(ChainCase):
    """
    Jobs from git that are built after others.
    """

    def configuration(self) -> str:
        return super().configuration().replace("version_suffix=", f"sources={SOURCES}, version_suffix=", 1)

    def test_after(self) -> None:
        """
        Promise 9.6: the source of a job in a chain is made at once, and its packages are built when those of the job
        before it are in the repository; when that one fails, they are not built.
        """
        self.building.said["git-get"] = GOT
        self.building.source = archive(greet())
        for number, failing in ((1, set[str]()), (3, {"dpkg-buildpackage"})):
            self.building.held = {"dpkg-buildpackage"}
            self.after(None, Source="first", Binary="first")
            watcher = FakeWatcher()
            feed = self.successResultOf(self.target("bookworm").submit_file(watcher, {"after": number}))
            assert feed is not None
            feed.feed(request_text("greet", "v1.0"))
            feed.close()
            self.harness.settle()
            if number == 1:
                self.attach()
            self.harness.settle()
            self.assertEqual(self.job(number).state, JobState.BUILDING)
            self.assertEqual(self.job(number + 1).state, JobState.WAITING, self.job(number + 1))
            self.building.failing = failing
            self.building.release()
            self.harness.settle()
            after = self.job(number + 1)
            self.assertEqual(after.state, JobState.KILLED if failing else JobState.FINISHED, after)


class OnlyRepositoryTests(FromGitCase):
    """
    A target with one repository.
    """

    def configuration(self) -> str:
        return super().configuration().replace(SOURCES, '"https://other.example.org/one"')

    def test_revision_alone(self) -> None:
        """
        Promise 9.1: where a target has one repository, a revision alone is enough.
        """
        watcher = self.ask_for(request_text("", "v1.0"))
        self.assertIn("# job 1: one at v1.0 for bookworm, from https://other.example.org/one\n", watcher.err)
        self.attach()
        self.assertEqual((self.job().state, self.job().name), (JobState.FINISHED, "greet"))


class ConfigurationTests(QuestionCase):
    """
    ``sources`` and ``git`` in master.cfg.
    """

    def test_none(self) -> None:
        """
        Promise 9.1: a target without sources refuses a request for a revision with a sentence.
        """
        watcher = self.run_command("bookworm", request_text("greet", "v1.0"))
        self.assertIn("bookworm takes source packages only", watcher.err)

    def test_mistakes(self) -> None:
        """
        Promise 9.1: an address that is none, or is a file or a program of the slave, a password in it, credentials for
        two hosts, and unknown arguments of git are said when master.cfg is read.
        """
        for arguments, sentence in {
            'sources="file:///srv/{name}.git"': "sources must be addresses like",
            'sources="/srv/{name}.git"': "sources must be addresses like",
            'sources="ext::sh -c {name}"': "sources must be addresses like",
            'sources="--upload-pack=x"': "sources must be addresses like",
            'sources="https://{name}/x.git"': "sources must be addresses like",
            'sources="https://a.org/{name}/{name}"': "sources must be addresses like",
            'sources="https://me:secret@a.org/{name}"': "with a password or token",
            'sources="https://token@a.org/{name}"': "with a password or token",
            'sources=["https://a.org/{name}", "ssh://git@b.org/x"], git={"sshPrivateKey": "k"}': "several hosts",
            'sources="git@a.org:{name}", git={"auth_credentials": ("a", "b")}': "auth_credentials are for",
            'sources="https://a.org/{name}", git={"config": {}}': "git has 'config'",
            'sources="https://a.org/{name}", git="x"': "git must be a dictionary",
            'git={"submodules": True}': "git= is for a target with sources=",
            'sources="https://a.org/{name}", keyring="/k"': "keyring= asks for signed .dsc",
        }.items():
            self.assertIn(sentence, self.mistakes(arguments), arguments)
        self.assertIn(
            "Mock makes no source packages",
            self.mistakes("", 'RpmTarget("f", ["x86_64"], Mock("f"), sources="git://a/b")'),
        )
        for address in ("https://a.org/{name}.git", "git@a.org:x/{name}", "ssh://git@a.org:22/{name}", "git://a.org/x"):
            self.assertEqual(self.mistakes(f'sources="{address}"'), "")

    def mistakes(self, arguments: str, other: str = "") -> str:
        """
        The mistakes in a master.cfg whose target has these arguments, and which has the *other* one.
        """
        text = self.configuration().replace("root=Plain()", f"root=Plain(), {arguments}".removesuffix(", "))
        more = f"from buildbot_lite.packages import Mock, RpmTarget\nc['targets'].append({other})\n" if other else ""
        self.harness.configure(text + more)
        try:
            load(self.harness.basedir, keys=configuration_keys())
        except ConfigError as error:
            return str(error)
        return ""
