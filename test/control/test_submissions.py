"""
The holders of submit and watch FURLs.
"""

import io
import json
import os
import shutil
import tarfile
import tempfile
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast
from unittest import mock

from attrs import define, field
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.control.input_receiver import (
    SLOWEST,
    STALL_TIMEOUT,
    InputReceiver,
    StoredSink,
    properties_from,
)
from buildbot_lite.control.submissions import SubmitTarget
from buildbot_lite.control.watched_requests import WatchTarget
from buildbot_lite.errors import (
    DiskFullError,
    InputError,
    LimitError,
    RefusedError,
    RevokedError,
    WrongVerbError,
)
from buildbot_lite.extensions import configuration_keys
from buildbot_lite.master.config.loading import load
from buildbot_lite.master.grants import verbs
from buildbot_lite.master.scheduling.continuation import continued
from buildbot_lite.model.input_kinds import check_input
from buildbot_lite.model.patch_base import PatchBase
from buildbot_lite.model.results import Result
from buildbot_lite.status.following import LogFollower, notify_followers
from buildbot_lite.storage.inputs import InputStore
from buildbot_lite.storage.records import buildsets, inputs, requests
from buildbot_lite.storage.records.grants import Grant
from buildbot_lite.wire.contract import MOST_FOLLOWERS
from buildbot_lite.wire.exposed import Exposed, Revocable
from buildbot_lite.wire.flapp import FlappService
from buildbot_lite.wire.flapp_roles import StdinFeed
from buildbot_lite.wire.limits.account import Account
from test.master.configurations import builder_config, master_cfg, run_step
from test.master.harness import (
    FakeSlave,
    MasterHarness,
    succeeding,
)

STEP = run_step("one")
FILENAME_STEP = 'steps.ShellCommand(command=["run", util.Property("filename")])'
SCHEDULERS: Mapping[str, str] = {
    "plain": 'schedulers.Submit("plain", ["b"])',
    "both": 'schedulers.Submit("both", ["b", "b2"], cancelOnDisconnect=True)',
    "try": 'schedulers.Submit("try", ["b"], stdin="patch")',
    "with": 'schedulers.Submit("with", ["b"], stdin="properties")',
    "archive": 'schedulers.Submit("archive", ["b"], file="tar")',
}


def config(
    *, steps: Sequence[str] = (STEP,), of_slave: str = "", of_builders: str = "", more: Mapping[str, str] | None = None
) -> str:
    """
    A configuration of two builders with these *steps*.  *more*: schedulers instead of those of `SCHEDULERS`; an empty
    text removes one.
    """
    return master_cfg(
        slaves={"bot1": of_slave},
        builders=[builder_config(name, slaves=["bot1"], steps=steps, arguments=of_builders) for name in ("b", "b2")],
        schedulers=[each for each in {**SCHEDULERS, **(more or {})}.values() if each],
    )


PATCH = b"diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n"


@define(eq=False)
class FakeWatcher:
    """
    A client.  *deaf*: it never takes what is sent to its standard error.
    """

    out: bytes = b""
    err: str = ""
    codes: list[int] = field(factory=list)
    lost: list[Callable[[], None]] = field(factory=list)
    deaf: bool = False
    answers: list[Deferred[None]] = field(factory=list)

    def stdout(self, data: bytes) -> Deferred[None]:
        self.out += data
        return succeed(None)

    def stderr(self, data: bytes) -> Deferred[None]:
        self.err += data.decode()
        answer: Deferred[None] = Deferred()
        self.answers.append(answer)  # a link keeps unanswered calls too
        if not self.deaf:
            answer.callback(None)
        return answer

    def when_writable(self) -> Deferred[None]:
        return succeed(None)

    def done(self, exit_code: int) -> Deferred[None]:
        self.codes.append(exit_code)
        return succeed(None)

    def when_lost(self, callback: Callable[[], None]) -> None:
        self.lost.append(callback)

    def disconnect(self) -> None:
        """
        Disconnect, as after Ctrl-C.
        """
        for callback in self.lost:
            callback()


def argv(slave: FakeSlave) -> Any:
    """
    The argv of the last command.
    """
    spec: Any = slave.commands[-1].spec
    return spec.argv


def tarball() -> bytes:
    """
    A small tar archive.
    """
    text = io.BytesIO()
    with tarfile.open(fileobj=text, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("x"))
    return text.getvalue()


class SubmissionCase(SynchronousTestCase):
    def configuration(self) -> str:
        """
        The configuration of the farm.
        """
        return config()

    def setUp(self) -> None:
        """
        A farm whose slave is not attached.
        """
        self.harness = MasterHarness(self.configuration(), lambda farm: [verbs.Verb(verbs.SUBMIT, self.expose)])
        self.farm = self.harness.farm
        self.addCleanup(shutil.rmtree, self.harness.basedir)
        self.addCleanup(notify_followers(self.farm.records, self.farm.notifications))
        self.follower = LogFollower(
            records=self.farm.records,
            notifications=self.farm.notifications,
            streams_directory=self.farm.stream_storage.streams,
            why=self.farm.dispatcher.why,
            decided=lambda: self.farm.choice.decided,
            clock=self.farm.clock,
            continued=lambda buildset: continued(self.farm.continuations.values(), buildset),
        )

    def target(self, name: str) -> SubmitTarget:
        """
        The target of the FURL of *name*.
        """
        grant = self.farm.grants.of(verbs.SUBMIT, name)
        assert grant is not None
        return self.target_of_grant(grant.id)

    def target_of_grant(self, grant: int) -> SubmitTarget:
        """
        The target of the grant's FURL.
        """
        return SubmitTarget(
            grant=grant, submissions=self.farm.submissions, store=self.farm.inputs, follower=self.follower
        )

    def expose(self, grant: Grant, revocable: Revocable) -> Exposed:
        """
        The object for a lookup of the FURL.
        """
        return FlappService(self.target_of_grant(grant.id), revocable)

    def run_command(self, name: str, stdin: bytes | None = None) -> FakeWatcher:
        """
        Run ``flappclient run-command`` with *stdin* as far as it goes without a slave.
        """
        watcher = FakeWatcher()
        feed = self.execute(name, watcher)
        if stdin is not None and feed is not None:
            for start in range(0, len(stdin), 10):
                feed.feed(stdin[start : start + 10])
            feed.close()
        self.harness.settle()
        return watcher

    def execute(self, name: str, watcher: FakeWatcher) -> StdinFeed | None:
        """
        Start ``flappclient run-command``, without its standard input.
        """
        return self.successResultOf(self.target(name).execute(watcher))

    def requests(self) -> list[requests.Request]:
        """
        All unfinished requests.
        """
        found: list[requests.Request] = self.harness.read(requests.unfinished)
        return found


class SubmitPatchTests(SubmissionCase):
    """
    What ``buildbot-lite try`` calls.
    """

    BASE = PatchBase("a" * 40, "topic")

    def submit_patch(self, name: str, patch: bytes = PATCH, base: PatchBase = BASE) -> FakeWatcher:
        """
        Submit *patch*.
        """
        watcher = FakeWatcher()
        feed = self.successResultOf(self.target(name).submit_patch(watcher, base))
        assert feed is not None
        feed.feed(patch)
        feed.close()
        self.harness.settle()
        return watcher

    def source(self) -> Mapping[str, Any]:
        """
        The sources of the first buildset.
        """
        found = self.harness.read(lambda connection: buildsets.get(connection, 1))
        assert found is not None
        source: Mapping[str, Any] = found.source
        return source

    def test_submitted(self) -> None:
        """
        Promise 8.3: the base of the patch becomes branch and revision of the request; the client gets numbers, builders
        and a FURL to watch, and the log is not sent on this connection.
        """
        self.harness.attach("bot1", FakeSlave(behaviour=succeeding))
        watcher = self.submit_patch("try")
        answer = json.loads(watcher.out)
        self.assertEqual((answer["requests"], answer["builders"]), ([1], ["b"]))
        self.assertTrue(answer["watch"].startswith("pb://"))
        self.assertEqual((watcher.codes, watcher.err), ([0], ""))
        self.assertEqual((self.source()["revision"], self.source()["branch"]), ("a" * 40, "topic"))

    def test_branch_of_the_farm(self) -> None:
        """
        A branch that master.cfg sets stays; a revision that it sets refuses the patch, which is for another.
        """
        fixed = {
            "branch": 'schedulers.Submit("try", ["b"], stdin="patch", properties={"branch": "main"})',
            "revision": 'schedulers.Submit("try", ["b"], stdin="patch", properties={"revision": "r1"})',
        }
        self.reconfigure(fixed["revision"])
        refused = self.submit_patch("try")
        self.assertEqual((refused.codes, refused.out), ([2], b""))
        self.assertIn("The property revision is set by the farm", refused.err)
        self.reconfigure(fixed["branch"])
        self.assertEqual(self.submit_patch("try").codes, [0])
        self.assertEqual((self.source()["revision"], self.source()["branch"]), ("a" * 40, "main"))

    def reconfigure(self, submit: str) -> None:
        """
        Put another scheduler into force.
        """
        self.harness.configure(config(more={"try": submit}))
        self.farm.generations.current = load(self.harness.basedir, keys=configuration_keys())

    def test_other_strings(self) -> None:
        """
        Promise 8.3: a string that takes no patch refuses it before anything is built.
        """
        for name in ("plain", "with", "archive"):
            self.failureResultOf(self.target(name).submit_patch(FakeWatcher(), self.BASE), WrongVerbError)
        self.assertEqual(self.requests(), [])

    def test_no_patch(self) -> None:
        """
        What is no patch is refused with a sentence.
        """
        watcher = self.submit_patch("try", b"hello")
        self.assertEqual((watcher.codes, watcher.out), ([2], b""))
        self.assertIn("not a patch", watcher.err)

    def test_cancelled(self) -> None:
        """
        With cancelOnDisconnect, the builds end with the client, also of a patch.
        """
        self.reconfigure('schedulers.Submit("try", ["b"], stdin="patch", cancelOnDisconnect=True)')
        watcher = self.submit_patch("try")
        self.assertEqual(len(self.requests()), 1)
        watcher.disconnect()
        self.harness.settle()
        self.assertEqual(self.requests(), [])
        found = self.harness.read(lambda connection: requests.get(connection, 1))
        assert found is not None
        self.assertEqual(found.result, Result.CANCELLED)

    def test_one_request(self) -> None:
        """
        Promise 8.3: one request of several can be watched alone; one of another submission cannot.
        """
        self.run_command("both")
        watcher, other = FakeWatcher(), FakeWatcher()
        target = WatchTarget(self.follower, 1)
        target.watch(watcher, 2)
        target.watch(other, 3)
        self.harness.attach("bot1", FakeSlave(behaviour=succeeding))
        self.assertEqual(watcher.codes, [0])
        self.assertIn("# b2/1: SUCCESS\n", watcher.err)
        self.assertNotIn("b/1", watcher.err)
        self.assertEqual((other.codes, other.err), ([2], "There is no such request (any more).\n"))

    def test_bases(self) -> None:
        """
        A base comes from outside: only full revisions and names that git allows are taken.
        """
        for base in (PatchBase(), PatchBase("b" * 64, "rel/1"), PatchBase("1234"), self.BASE):
            self.assertEqual(PatchBase.from_bytes(base.to_bytes()), base)
        for bad in (
            PatchBase("HEAD"),
            PatchBase("--upload-pack=x"),
            PatchBase(branch="--x"),
            PatchBase(branch="a..b"),
            PatchBase(branch="a b"),
            PatchBase(branch="x\x1b"),
        ):
            with self.assertRaises(InputError, msg=bad):
                PatchBase.from_bytes(bad.to_bytes())


class RunCommandTests(SubmissionCase):
    def test_first_line(self) -> None:
        """
        Promise 4: the first line on standard error has the request's number and a FURL with which to watch it.
        """
        watcher = self.run_command("plain")
        grant = self.farm.grants.of(verbs.WATCH, "1")

        assert grant is not None
        self.assertEqual(
            watcher.err, f"# request 1: watch with pb://tub@tcp:here:1/{self.farm.grants.swissnum(grant)}\n"
        )
        self.assertEqual(watcher.codes, [])

    def test_to_the_end(self) -> None:
        """
        Promise 4: the client ends with its build, with the exit code of the result.
        """
        watcher = self.run_command("plain")
        self.harness.attach("bot1", FakeSlave(behaviour=succeeding))

        self.assertEqual(watcher.codes, [0])
        self.assertIn("# b/1: SUCCESS\n", watcher.err)

    def test_watch_string(self) -> None:
        """
        Promise 4: a watch FURL sends everything again.
        """
        self.harness.attach("bot1", FakeSlave(behaviour=succeeding))
        first = self.run_command("plain")
        again = FakeWatcher()
        self.successResultOf(WatchTarget(self.follower, 1).execute(again))

        self.assertEqual(again.codes, [0])
        self.assertEqual(again.err, "".join(first.err.splitlines(keepends=True)[1:]))

    def test_one_holder(self) -> None:
        """
        Promise 7.5: the clients of a submit FURL and those of its watch FURLs share the turns of one holder.
        """
        grant, account = self.farm.grants.of(verbs.SUBMIT, "plain"), Account()
        assert grant is not None
        submitting = SubmitTarget(
            grant=grant.id,
            submissions=self.farm.submissions,
            store=self.farm.inputs,
            follower=self.follower,
            account=account,
        )
        with mock.patch.object(self.follower, "output_to", wraps=self.follower.output_to) as output_to:
            self.successResultOf(submitting.execute(FakeWatcher()))
            self.harness.settle()
            self.successResultOf(WatchTarget(self.follower, 1, account).execute(FakeWatcher()))

        self.assertEqual([call.args[1] for call in output_to.call_args_list], [account, account])

    def test_too_many_watchers(self) -> None:
        """
        Promise 14: the number of clients that follow with one watch FURL is bounded; when one disconnects, another may
        follow.
        """
        self.run_command("plain")
        watching = WatchTarget(self.follower, 1)
        watchers = [FakeWatcher() for _ in range(MOST_FOLLOWERS)]
        for watcher in watchers:
            self.successResultOf(watching.execute(watcher))
        self.failureResultOf(watching.execute(FakeWatcher()), LimitError)
        watchers[0].disconnect()
        self.harness.settle()

        self.successResultOf(watching.execute(FakeWatcher()))

    def test_refused_clients_that_do_not_read(self) -> None:
        """
        Promise 15: clients of a revoked FURL that do not read their refusals are bounded too.
        """
        grant = self.farm.grants.of(verbs.SUBMIT, "plain")
        assert grant is not None
        self.harness.done(self.farm.grants.revoke(grant))
        submitting = self.target_of_grant(grant.id)
        watchers = [FakeWatcher(deaf=True) for _ in range(MOST_FOLLOWERS)]
        for watcher in watchers:
            self.successResultOf(submitting.execute(watcher))

        self.failureResultOf(submitting.execute(FakeWatcher(deaf=True)), LimitError)

    def test_disconnected(self) -> None:
        """
        Promise 4: Ctrl-C on the client does not stop the build.
        """
        self.run_command("plain").disconnect()
        self.harness.settle()

        self.assertEqual([request.builder for request in self.requests()], ["b"])

    def test_cancel_on_disconnect(self) -> None:
        """
        Promise 4: with cancelOnDisconnect, all requests of the submission are cancelled, waiting and running.
        """
        watcher = self.run_command("both")
        self.harness.done(self.farm.canceller.cancel(1, "by an admin"))
        slave = self.harness.attach("bot1")
        self.assertEqual(len(slave.commands), 1)
        watcher.disconnect()
        self.harness.settle()
        self.assertEqual(slave.interrupted, [(slave.commands[0].id, "the client went away")])
        slave.commands[0].end(1)
        self.harness.settle()

        self.assertEqual([self.harness.request(n).result for n in (1, 2)], [Result.CANCELLED, Result.CANCELLED])

    def test_disconnected_after_the_end(self) -> None:
        """
        A client that disconnects after its end cancels nothing.
        """
        self.harness.attach("bot1", FakeSlave(behaviour=succeeding))
        watcher = self.run_command("both")
        self.assertEqual(watcher.codes, [0])
        watcher.disconnect()
        self.harness.settle()

        self.assertEqual(self.harness.request(1).result, 0)

    def test_patch(self) -> None:
        """
        A patch on standard input is stored byte for byte as the build's input.
        """
        self.run_command("try", PATCH)
        row = self.harness.read(lambda connection: inputs.get(connection, 1))

        self.assertEqual((row.kind, row.length), ("patch", len(PATCH)))
        self.assertEqual(self.farm.inputs.read(row.sha256, 0, 1000), PATCH)

    def test_unpatched(self) -> None:
        """
        Promise 6.9: if the builder checks out sources and the scheduler takes no patch, the submitter is told that its
        standard input is ignored.
        """
        self.assertNotIn("without your changes", self.run_command("plain").err)
        self.harness.configure(config(steps=['steps.Git("/r")', STEP]))
        self.harness.done(self.farm.reconfiguration.apply())
        watcher = self.run_command("plain")
        self.assertRegex(watcher.err, r"\A# request 2: watch with .*\n# this string ignores standard input: .*\n\Z")
        self.assertNotIn("without your changes", self.run_command("try", PATCH).err)

    def test_no_patch(self) -> None:
        """
        An input that is no patch is refused with a sentence, and nothing is submitted.
        """
        for stdin, sentence in ((b"", "The patch is empty"), (b"hello\n", "is not a patch")):
            watcher = self.run_command("try", stdin)

            self.assertEqual(watcher.codes, [2])
            self.assertIn(sentence, watcher.err)
        self.assertEqual(self.requests(), [])

    def test_properties(self) -> None:
        """
        With stdin="properties", each line of standard input is a property.
        """
        self.run_command("with", b"# a comment\nbranch=main\n\nnote = a=b \n")
        (waiting,) = self.farm.queue.waiting()

        self.assertEqual(waiting.buildset.properties, {"branch": ("main", "Submit"), "note": ("a=b", "Submit")})

    def test_properties_of_the_farm(self) -> None:
        """
        Promise 6.17: a submission cannot set a property that master.cfg sets.
        """
        self.harness.configure(
            config(
                steps=(),
                of_slave='properties={"os": "x"}',
                of_builders='properties={"target": "all"}',
                more={"with": 'schedulers.Submit("with", ["b"], stdin="properties", properties={"deploy": False})'},
            )
        )
        self.harness.done(self.farm.reconfiguration.apply())
        for name in ("os", "target", "deploy", "buildername", "slavename"):
            watcher = self.run_command("with", f"colour=blue\n{name}=evil\n".encode())
            self.assertEqual(watcher.codes, [2])
            self.assertEqual(watcher.err, f"The property {name} is set by the farm; a submission cannot set it.\n")
        self.assertEqual(self.requests(), [])

    def test_wrong_properties(self) -> None:
        """
        A line that is not a property is quoted in the refusal.
        """
        watcher = self.run_command("with", b"branch=main\nnonsense\n")

        self.assertEqual(watcher.codes, [2])
        self.assertEqual(watcher.err, "Line 2 of the properties is not name=value: 'nonsense'\n")

    def test_aborted(self) -> None:
        """
        When a client disconnects during its input, nothing is kept, and later input is ignored.
        """
        watcher = FakeWatcher()
        feed = self.execute("try", watcher)
        assert feed is not None
        feed.feed(PATCH[:20])
        watcher.disconnect()
        feed.feed(PATCH[20:])
        feed.close()
        self.harness.settle()

        self.assertEqual(self.requests(), [])
        self.assertEqual(os.listdir(os.path.join(self.harness.basedir, "inputs")), [])

    def test_defect(self) -> None:
        """
        After an unexpected error in the master, the client gets an exit code.
        """
        with mock.patch.object(self.farm.submissions, "watch_furl", side_effect=ZeroDivisionError):
            watcher = self.run_command("plain")

        self.assertEqual(watcher.codes, [2])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_closed_terminal(self) -> None:
        """
        A client whose standard error is closed gets an exit code.
        """
        watcher = FakeWatcher()
        with mock.patch.object(FakeWatcher, "stderr", lambda _, data: fail(RefusedError("EIO"))):
            self.execute("plain", watcher)
            self.harness.settle()

        self.assertEqual(watcher.codes, [2])


class ReconfigurationTests(SubmissionCase):
    """
    Promise 6.5: the present configuration decides what a FURL permits.
    """

    def reconfigure(self, **schedulers: str) -> None:
        """
        Apply the configuration with these *schedulers* instead of those of their names; an empty text removes one.
        """
        self.harness.configure(config(more=schedulers))
        self.harness.done(self.farm.reconfiguration.apply())

    def shown(self, name: str) -> SubmitTarget:
        """
        The target that a client gets for the FURL of *name*.
        """
        grant = self.farm.grants.of(verbs.SUBMIT, name)
        assert grant is not None
        service = self.farm.grants.lookup(self.farm.grants.swissnum(grant))
        assert isinstance(service, FlappService)
        local: Any = service._local
        return cast("SubmitTarget", local)

    def test_removed(self) -> None:
        """
        Promise 6.5: when a Submit scheduler is removed from master.cfg, its FURL leads nowhere, and clients that hold
        its target cannot submit; when it is added again, both work.
        """
        held, watcher = self.shown("plain"), FakeWatcher()
        self.reconfigure(plain="")
        self.successResultOf(held.execute(watcher))

        self.assertEqual((watcher.codes, self.requests()), ([2], []))
        self.assertIn("plain is not in master.cfg any more", watcher.err)
        with self.assertRaisesRegex(RevokedError, "plain is not in master.cfg any more"):
            self.shown("plain")
        self.reconfigure()
        self.assertIs(self.shown("plain"), held)
        self.successResultOf(held.execute(FakeWatcher()))
        self.harness.settle()
        self.assertEqual(len(self.requests()), 1)

    def test_removed_meanwhile(self) -> None:
        """
        Promise 6.5: a submission is refused if its scheduler is removed while the input arrives.
        """
        watcher = FakeWatcher()
        feed = self.execute("try", watcher)
        assert feed is not None
        self.reconfigure(**{"try": ""})
        feed.feed(PATCH)
        feed.close()
        self.harness.settle()

        self.assertEqual((watcher.codes, self.requests()), ([2], []))
        self.assertIn("try is not in master.cfg any more", watcher.err)

    def test_other_builders(self) -> None:
        """
        Promise 6.5: builders and kind of input are those of the present configuration.
        """
        held = self.shown("plain")
        self.reconfigure(plain='schedulers.Submit("plain", ["b2"])')
        self.successResultOf(held.execute(FakeWatcher()))
        self.harness.settle()
        self.assertEqual([request.builder for request in self.requests()], ["b2"])
        self.reconfigure(plain='schedulers.Submit("plain", ["b"], file="file")')

        self.failureResultOf(held.execute(FakeWatcher()), WrongVerbError)
        self.successResultOf(held.put(b"x", lambda size: succeed(b"")))
        self.assertEqual([request.builder for request in self.requests()], ["b2", "b"])

    def test_other_kind_meanwhile(self) -> None:
        """
        Promise 6.5: an input that was checked as one kind is not used as another.
        """
        watcher = FakeWatcher()
        feed = self.execute("try", watcher)
        assert feed is not None
        feed.feed(PATCH)
        self.reconfigure(**{"try": 'schedulers.Submit("try", ["b"], stdin="tar")'})
        feed.close()
        self.harness.settle()

        self.assertEqual((watcher.codes, self.requests()), ([2], []))
        self.assertIn("The settings of try changed during this submission.  Submit again.", watcher.err)


class UploadTests(SubmissionCase):
    def upload(self, data: bytes, name: bytes = b"hello-2.10.tar") -> Deferred[None]:
        """
        Run ``flappclient upload-file``.
        """
        source = io.BytesIO(data)
        return self.target("archive").put(name, lambda size: succeed(source.read(size)))

    def test_stored(self) -> None:
        """
        Promise 5: the answer comes after the file is stored and the request is queued.
        """
        data = tarball()
        self.successResultOf(self.upload(data))
        row = self.harness.read(lambda connection: inputs.get(connection, 1))
        (request,) = self.requests()

        self.assertEqual((row.name, row.kind, row.length), ("hello-2.10.tar", "tar", len(data)))
        self.assertEqual(self.farm.inputs.read(row.sha256, 0, 1 << 20), data)
        self.assertEqual(request.builder, "b")

    def test_filename(self) -> None:
        """
        Promise 6.17: a file's name is sanitised to one plain name, and overrides no property of master.cfg.
        """
        self.harness.configure(config(steps=[FILENAME_STEP]))
        self.harness.done(self.farm.reconfiguration.apply())
        slave = self.harness.attach("bot1")
        self.successResultOf(self.upload(tarball(), b"../x\n# b/1: SUCCESS\x1b[2J\xff"))
        self.harness.settle()
        name = "_x?# b_1: SUCCESS?[2J\N{REPLACEMENT CHARACTER}"
        buildset = self.harness.read(lambda connection: buildsets.get(connection, 1))

        self.assertEqual(argv(slave), ("run", name))
        self.assertEqual(buildset.reason, f"submitted through archive: {name}")
        self.assertEqual(self.harness.read(lambda connection: inputs.get(connection, 1)).name, name)

        for of in (
            {"of_builders": "properties={'filename': 'app'}"},
            {"more": {"archive": 'schedulers.Submit("archive", ["b"], file="tar", properties={"filename": "app"})'}},
        ):
            slave.commands[-1].end(0)
            self.harness.settle()
            self.harness.configure(config(steps=[FILENAME_STEP], **of))
            self.harness.done(self.farm.reconfiguration.apply())
            self.successResultOf(self.upload(tarball(), b"evil"))
            self.harness.settle()
            self.assertEqual(argv(slave), ("run", "app"))

    def test_no_archive(self) -> None:
        """
        A file that is no archive is refused, and nothing is submitted.
        """
        failure = self.failureResultOf(self.upload(b"hello" * 1000), InputError)

        self.assertIn("is not a tar archive", str(failure.value))
        self.assertEqual(self.requests(), [])

    def test_aborted(self) -> None:
        """
        An aborted upload leaves nothing.
        """
        pieces: list[Deferred[bytes]] = [succeed(tarball()[:100]), Deferred()]
        uploading = self.target("archive").put(b"x", lambda size: pieces.pop(0))
        pieces_left = len(pieces)
        uploading.cancel()

        self.failureResultOf(uploading)
        self.assertEqual(pieces_left, 0)
        self.assertEqual(os.listdir(os.path.join(self.harness.basedir, "inputs")), [])


class InputReceiverTests(SynchronousTestCase):
    def setUp(self) -> None:
        """
        An input that is being received.
        """
        self.directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.directory)
        self.clock = Clock()
        self.incoming = InputStore(self.directory, largest=10 << 20).receive(10)
        self.receiver = InputReceiver(StoredSink(self.incoming, "file", "f"), self.clock)

    def check_aborted(self, error: type[Exception]) -> str:
        """
        The input has failed, and nothing is kept.  Return the sentence.
        """
        self.receiver.feed(b"more")
        self.receiver.close()
        self.receiver.lost()
        self.assertEqual((os.listdir(self.directory), self.clock.getDelayedCalls()), ([], []))
        return str(self.failureResultOf(self.receiver.given, error).value)

    def test_given(self) -> None:
        """
        A complete input is passed on once; a disconnection after that has no effect.
        """
        self.receiver.feed(b"12345")
        self.receiver.close()
        self.receiver.close()
        self.receiver.lost()
        given = self.successResultOf(self.receiver.given)

        assert given.kept is not None
        self.assertEqual((given.kind, given.name, given.kept.length), ("file", "f", 5))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_too_large(self) -> None:
        """
        An input that is too large is refused once, and the rest is ignored.
        """
        for _ in range(3):
            self.receiver.feed(b"12345678")

        self.assertIn("larger than the 10 bytes", self.check_aborted(InputError))

    def test_disk_full(self) -> None:
        """
        An input that could not be written completely is refused, even if there is room again.
        """
        self.receiver.feed(b"123")
        with mock.patch.object(self.incoming, "_open", side_effect=OSError(28, "No space left on device")):
            self.receiver.feed(b"456")

        self.check_aborted(DiskFullError)

    def test_stands_still(self) -> None:
        """
        Promise 6.15: an input that stands still is aborted, and its submitter gets the reason.
        """
        self.receiver.feed(b"123")
        self.clock.advance(STALL_TIMEOUT - 1)
        self.assertNoResult(self.receiver.given)
        self.clock.advance(2)

        self.assertIn("stalled for 5 min and was dropped", self.check_aborted(InputError))

    def test_too_slow(self) -> None:
        """
        Promise 6.15: an input slower than the minimum rate is aborted.
        """
        for _ in range(9):
            self.receiver.feed(b"x")
            self.clock.advance(STALL_TIMEOUT / 8)

        self.check_aborted(InputError)

    def test_large_and_slow(self) -> None:
        """
        Promise 6.15: an input at the minimum rate may take any time.
        """
        receiver = InputReceiver(StoredSink(InputStore(self.directory).receive(), "file", "f"), self.clock)
        for _ in range(20):
            self.clock.advance(STALL_TIMEOUT - 1)
            receiver.feed(b"x" * int(STALL_TIMEOUT * SLOWEST))
        receiver.close()

        self.assertEqual(self.successResultOf(receiver.given).name, "f")
        self.failureResultOf(self.receiver.given, InputError)


class InputCheckTests(SynchronousTestCase):
    def check(self, kind: str, data: bytes) -> Any:
        """
        The sentence with which *data* is refused, or None.
        """
        try:
            check_input(kind, data)
        except InputError as error:
            return str(error)
        return None

    def test_patches(self) -> None:
        """
        Patches of git, diff, svn and mail are recognised, also with undecodable bytes.
        """
        for patch in (PATCH, b"\xff\n--- a\n+++ b\n", b"Index: x\n", b"From 1234 Mon Sep\n", b"diff -u a b\n"):
            self.assertIsNone(self.check("patch", patch))

    def test_archives(self) -> None:
        """
        Archives are recognised by their first bytes.
        """
        for archive in (tarball(), b"\x1f\x8bxxx", b"BZh9xxx", b"\xfd7zXZ\x00xxx"):
            self.assertIsNone(self.check("tar", archive))
        self.assertIsNone(self.check("file", b""))

    def test_too_many_properties(self) -> None:
        """
        Properties are bounded, and must be UTF-8.
        """
        for text, sentence in (
            (b"a=" + b"x" * (256 << 10), "have more than"),
            (b"a=\xff", "are not UTF-8 text.  Save them"),
            ("a=b\n".encode("utf-16"), "are not UTF-8 text (but UTF-16)."),
        ):
            self.assertIn(sentence, str(self.assertRaises(InputError, properties_from, text)))

    def test_properties_line_by_line(self) -> None:
        """
        Promise 6.17: a value ends with its line feed, not at other characters that Python takes for line ends.
        """
        value = "a\x0bb\x0cc\x1cd\x85e\u2028# f\u2029g=h"
        found = properties_from(f"target={value}\nb=2".encode())
        self.assertEqual((found["target"], found["b"]), (value, "2"))

    def test_properties_from_windows(self) -> None:
        """
        Promise 6.23: a byte order mark and CRLF line ends, as editors on Windows write them, are not part of names and
        values.
        """
        found = properties_from(b"\xef\xbb\xbfbranch=main\r\n# no\r\nb=2\r\n")
        self.assertEqual((found["branch"], found["b"]), ("main", "2"))
        self.assertEqual(properties_from(b"\xef\xbb\xbf# no\n").get("# no"), None)
