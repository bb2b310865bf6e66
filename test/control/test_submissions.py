"""
What the holder of a submission's string can do.
"""

import io
import os
import shutil
import tarfile
import tempfile
from collections.abc import Callable
from typing import Any, cast
from unittest import mock

from attrs import define, field
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.control.intake import (
    PATIENCE,
    SLOWEST,
    Intake,
    StoredSink,
    check_input,
    properties_from,
)
from buildbot_lite.control.submissions import SubmitTarget, WatchTarget
from buildbot_lite.errors import (
    DiskFullError,
    InputError,
    LimitError,
    RefusedError,
    RevokedError,
    WrongVerbError,
)
from buildbot_lite.master.grants import verbs
from buildbot_lite.model.results import Result
from buildbot_lite.status.following import Following, notify_followers
from buildbot_lite.storage.inputs import InputStore
from buildbot_lite.storage.records import inputs, requests
from buildbot_lite.storage.records.grants import Grant
from buildbot_lite.wire.contract import MOST_FOLLOWERS
from buildbot_lite.wire.exposed import Exposed, Revocable
from buildbot_lite.wire.flapp import FlappService, StdinFeed
from buildbot_lite.wire.limits.account import Account
from test.master.stage import (
    FakeSlave,
    Stage,
    succeeding,
)

CONFIG = """
c["slaves"] = [slave.BuildSlave("bot1")]
c["builders"] = [util.BuilderConfig(name, ["bot1"], util.BuildFactory([
    steps.ShellCommand(name="one", command=["run", "one"]),
])) for name in ("b", "b2")]
c["schedulers"] = [
    schedulers.Submit("plain", ["b"]),
    schedulers.Submit("both", ["b", "b2"], cancelOnDisconnect=True),
    schedulers.Submit("try", ["b"], stdin="patch"),
    schedulers.Submit("with", ["b"], stdin="properties"),
    schedulers.Submit("archive", ["b"], file="tar"),
]
"""
PATCH = b"diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1 +1 @@\n-a\n+b\n"


@define(eq=False)
class FakeWatcher:
    """
    A client that takes everything; or, *deaf*, what is told to its standard error never.
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
        self.answers.append(answer)  # as a link keeps it
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

    def go_away(self) -> None:
        """
        Ctrl-C.
        """
        for callback in self.lost:
            callback()


def argv(slave: FakeSlave) -> Any:
    """
    What it was told to run last.
    """
    spec: Any = slave.given[-1].spec
    return spec.argv


def tarball() -> bytes:
    """
    A small archive.
    """
    text = io.BytesIO()
    with tarfile.open(fileobj=text, mode="w") as archive:
        archive.addfile(tarfile.TarInfo("x"))
    return text.getvalue()


class SubmittingCase(SynchronousTestCase):
    def setUp(self) -> None:
        """
        A farm whose slave is not there.
        """
        self.stage = Stage(CONFIG, lambda farm: [verbs.Verb(verbs.SUBMIT, self.expose)])
        self.farm = self.stage.farm
        self.addCleanup(shutil.rmtree, self.stage.basedir)
        self.addCleanup(notify_followers(self.farm.records, self.farm.notifications))
        self.following = Following(
            records=self.farm.records,
            notifications=self.farm.notifications,
            streams_directory=self.farm.stream_storage.streams,
            why=self.farm.dispatcher.why,
            decided=lambda: self.farm.queue.decided,
            clock=self.farm.clock,
        )

    def submitting(self, name: str) -> SubmitTarget:
        """
        What the string *name* leads to.
        """
        grant = self.farm.grants.of(verbs.SUBMIT, name)
        assert grant is not None
        return self.submitting_with(grant.id)

    def submitting_with(self, grant: int) -> SubmitTarget:
        """
        What the string of that grant leads to.
        """
        return SubmitTarget(
            grant=grant, submissions=self.farm.submissions, store=self.farm.inputs, following=self.following
        )

    def expose(self, grant: Grant, revocable: Revocable) -> Exposed:
        """
        The same, for whoever looks its string up.
        """
        return FlappService(self.submitting_with(grant.id), revocable)

    def run_command(self, name: str, stdin: bytes | None = None) -> FakeWatcher:
        """
        ``flappclient run-command``, as far as it comes.
        """
        watcher = FakeWatcher()
        feed = self.execute(name, watcher)
        if stdin is not None and feed is not None:
            for start in range(0, len(stdin), 10):
                feed.feed(stdin[start : start + 10])
            feed.close()
        self.stage.settle()
        return watcher

    def execute(self, name: str, watcher: FakeWatcher) -> StdinFeed | None:
        """
        The same, before its standard input.
        """
        return self.successResultOf(self.submitting(name).execute(watcher))

    def requests(self) -> list[requests.Request]:
        """
        All there are.
        """
        found: list[requests.Request] = self.stage.read(requests.unfinished)
        return found


class RunCommandTests(SubmittingCase):
    def test_told_first(self) -> None:
        """
        Promise 4: the first line on stderr is the request's number and a string to watch it with.
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
        Promise 4: the client ends when the build does, with its code.
        """
        watcher = self.run_command("plain")
        self.stage.attach("bot1", FakeSlave(behaviour=succeeding))

        self.assertEqual(watcher.codes, [0])
        self.assertIn("# b/1: SUCCESS\n", watcher.err)

    def test_watch_string(self) -> None:
        """
        Promise 4: a watch string tells all of it again.
        """
        self.stage.attach("bot1", FakeSlave(behaviour=succeeding))
        first = self.run_command("plain")
        again = FakeWatcher()
        self.successResultOf(WatchTarget(self.following, 1).execute(again))

        self.assertEqual(again.codes, [0])
        self.assertEqual(again.err, "".join(first.err.splitlines(keepends=True)[1:]))

    def test_one_holder(self) -> None:
        """
        Promise 7.5: the clients with a string and those with strings made with it take their turns as one holder.
        """
        grant, account = self.farm.grants.of(verbs.SUBMIT, "plain"), Account()
        assert grant is not None
        submitting = SubmitTarget(
            grant=grant.id,
            submissions=self.farm.submissions,
            store=self.farm.inputs,
            following=self.following,
            account=account,
        )
        with mock.patch.object(self.following, "output_to", wraps=self.following.output_to) as output_to:
            self.successResultOf(submitting.execute(FakeWatcher()))
            self.stage.settle()
            self.successResultOf(WatchTarget(self.following, 1, account).execute(FakeWatcher()))

        self.assertEqual([call.args[1] for call in output_to.call_args_list], [account, account])

    def test_too_many_watchers(self) -> None:
        """
        Promise 14: with one watch string so many follow at a time; more are refused, until one of them has left.
        """
        self.run_command("plain")
        watching = WatchTarget(self.following, 1)
        watchers = [FakeWatcher() for _ in range(MOST_FOLLOWERS)]
        for watcher in watchers:
            self.successResultOf(watching.execute(watcher))
        self.failureResultOf(watching.execute(FakeWatcher()), LimitError)
        watchers[0].go_away()
        self.stage.settle()

        self.successResultOf(watching.execute(FakeWatcher()))

    def test_refused_and_deaf(self) -> None:
        """
        Promise 15: a submitter that is refused over and over, and does not take the sentence, is counted, too.
        """
        grant = self.farm.grants.of(verbs.SUBMIT, "plain")
        assert grant is not None
        self.stage.done(self.farm.grants.revoke(grant))
        submitting = self.submitting_with(grant.id)
        watchers = [FakeWatcher(deaf=True) for _ in range(MOST_FOLLOWERS)]
        for watcher in watchers:
            self.successResultOf(submitting.execute(watcher))

        self.failureResultOf(submitting.execute(FakeWatcher(deaf=True)), LimitError)

    def test_goes_on(self) -> None:
        """
        Promise 4: Ctrl-C on the client leaves the build alone.
        """
        self.run_command("plain").go_away()
        self.stage.settle()

        self.assertEqual([request.builder for request in self.requests()], ["b"])

    def test_cancel_on_disconnect(self) -> None:
        """
        Promise 4: with cancelOnDisconnect, all of its requests end, those that wait and those that run.
        """
        watcher = self.run_command("both")
        self.stage.done(self.farm.submissions.cancel_request(1, "by an admin"))
        slave = self.stage.attach("bot1")
        self.assertEqual(len(slave.given), 1)
        watcher.go_away()
        self.stage.settle()
        self.assertEqual(slave.interrupted, [(slave.given[0].id, "the client went away")])
        slave.given[0].end(1)
        self.stage.settle()

        self.assertEqual([self.stage.request(n).result for n in (1, 2)], [Result.CANCELLED, Result.CANCELLED])

    def test_ended_and_gone(self) -> None:
        """
        A client that goes away after its end cancels nothing, and nobody is troubled.
        """
        self.stage.attach("bot1", FakeSlave(behaviour=succeeding))
        watcher = self.run_command("both")
        self.assertEqual(watcher.codes, [0])
        watcher.go_away()
        self.stage.settle()

        self.assertEqual(self.stage.request(1).result, 0)

    def test_patch(self) -> None:
        """
        What comes on standard input is stored, byte for byte, as the build's input.
        """
        self.run_command("try", PATCH)
        row = self.stage.read(lambda connection: inputs.get(connection, 1))

        self.assertEqual((row.kind, row.length), ("patch", len(PATCH)))
        self.assertEqual(self.farm.inputs.read(row.sha256, 0, 1000), PATCH)

    def test_unpatched(self) -> None:
        """
        Promise 6.9: where sources are checked out and no patch is taken, its submitter is told that none is applied.
        """
        self.assertNotIn("without your changes", self.run_command("plain").err)
        self.stage.configure(
            CONFIG.replace('steps.ShellCommand(name="one"', 'steps.Git("/r"), steps.ShellCommand(name="one"')
        )
        self.stage.done(self.farm.reconfiguration.apply())
        watcher = self.run_command("plain")
        self.assertRegex(
            watcher.err, r"\A# request 2: watch with .*\n# standard input is ignored by this string: .*\n\Z"
        )
        self.assertNotIn("without your changes", self.run_command("try", PATCH).err)

    def test_no_patch(self) -> None:
        """
        A patch that is none is refused in a sentence, and nothing is asked for.
        """
        for stdin, sentence in ((b"", "The patch is empty"), (b"hello\n", "is no patch")):
            watcher = self.run_command("try", stdin)

            self.assertEqual(watcher.codes, [2])
            self.assertIn(sentence, watcher.err)
        self.assertEqual(self.requests(), [])

    def test_properties(self) -> None:
        """
        Where it takes properties, each line is one.
        """
        self.run_command("with", b"# a comment\nbranch=main\n\nnote = a=b \n")
        (waiting,) = self.farm.queue.waiting()

        self.assertEqual(waiting.buildset.properties, {"branch": ("main", "Submit"), "note": ("a=b", "Submit")})

    def test_properties_of_the_farm(self) -> None:
        """
        Promise 6.17: what master.cfg says of a property is not for a submission to change.
        """
        self.stage.configure(
            CONFIG.replace('BuildSlave("bot1")', 'BuildSlave("bot1", properties={"os": "x"})')
            .replace(
                'steps.ShellCommand(name="one", command=["run", "one"]),\n])', "])\n, properties={'target': 'all'}"
            )
            .replace('"with", ["b"]', '"with", ["b"], properties={"deploy": False}')
        )
        self.stage.done(self.farm.reconfiguration.apply())
        for name in ("os", "target", "deploy", "buildername", "slavename"):
            watcher = self.run_command("with", f"colour=blue\n{name}=evil\n".encode())
            self.assertEqual(watcher.codes, [2])
            self.assertEqual(watcher.err, f"The property {name} is set by the farm; a submission cannot set it.\n")
        self.assertEqual(self.requests(), [])

    def test_wrong_properties(self) -> None:
        """
        A line that is no property is named.
        """
        watcher = self.run_command("with", b"branch=main\nnonsense\n")

        self.assertEqual(watcher.codes, [2])
        self.assertEqual(watcher.err, "Line 2 of the properties is not name=value: 'nonsense'\n")

    def test_breaks_off(self) -> None:
        """
        A client that goes away in the middle of its input leaves nothing; what it is still heard to say is ignored.
        """
        watcher = FakeWatcher()
        feed = self.execute("try", watcher)
        assert feed is not None
        feed.feed(PATCH[:20])
        watcher.go_away()
        feed.feed(PATCH[20:])
        feed.close()
        self.stage.settle()

        self.assertEqual(self.requests(), [])
        self.assertEqual(os.listdir(os.path.join(self.stage.basedir, "inputs")), [])

    def test_defect(self) -> None:
        """
        A client does not wait for ever when the master has a defect.
        """
        with mock.patch.object(self.farm.submissions, "watch_furl", side_effect=ZeroDivisionError):
            watcher = self.run_command("plain")

        self.assertEqual(watcher.codes, [2])
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_closed_terminal(self) -> None:
        """
        A client that cannot write any more, its terminal being closed, hears the end and does not hang.
        """
        watcher = FakeWatcher()
        with mock.patch.object(FakeWatcher, "stderr", lambda _, data: fail(RefusedError("EIO"))):
            self.execute("plain", watcher)
            self.stage.settle()

        self.assertEqual(watcher.codes, [2])


class ReconfiguredTests(SubmittingCase):
    """
    Promise 6.5: a string is a right to what master.cfg says now.
    """

    def reconfigure(self, old: str = "", new: str = "") -> None:
        """
        Apply the configuration, with *new* instead of *old*.
        """
        self.assertIn(old, CONFIG)
        self.stage.configure(CONFIG.replace(old, new))
        self.stage.done(self.farm.reconfiguration.apply())

    def shown(self, name: str) -> SubmitTarget:
        """
        What somebody holds who has shown the string *name*.
        """
        grant = self.farm.grants.of(verbs.SUBMIT, name)
        assert grant is not None
        service = self.farm.grants.lookup(self.farm.grants.swissnum(grant))
        assert isinstance(service, FlappService)
        local: Any = service._local
        return cast("SubmitTarget", local)

    def test_removed(self) -> None:
        """
        Promise 6.5: a Submit that was taken out of master.cfg submits no more, also for those who hold it already, and
        its string leads nowhere; put back, it does again.
        """
        held, watcher = self.shown("plain"), FakeWatcher()
        self.reconfigure('schedulers.Submit("plain", ["b"]),')
        self.successResultOf(held.execute(watcher))

        self.assertEqual((watcher.codes, self.requests()), ([2], []))
        self.assertIn("plain is not in master.cfg any more", watcher.err)
        with self.assertRaisesRegex(RevokedError, "plain is not in master.cfg any more"):
            self.shown("plain")
        self.reconfigure()
        self.assertIs(self.shown("plain"), held)
        self.successResultOf(held.execute(FakeWatcher()))
        self.stage.settle()
        self.assertEqual(len(self.requests()), 1)

    def test_removed_meanwhile(self) -> None:
        """
        Promise 6.5: the same when it is taken out while the input comes in.
        """
        watcher = FakeWatcher()
        feed = self.execute("try", watcher)
        assert feed is not None
        self.reconfigure('schedulers.Submit("try", ["b"], stdin="patch"),')
        feed.feed(PATCH)
        feed.close()
        self.stage.settle()

        self.assertEqual((watcher.codes, self.requests()), ([2], []))
        self.assertIn("try is not in master.cfg any more", watcher.err)

    def test_other_builders(self) -> None:
        """
        Promise 6.5: what it asks for, and what it takes, are the present configuration's.
        """
        held = self.shown("plain")
        self.reconfigure('Submit("plain", ["b"])', 'Submit("plain", ["b2"])')
        self.successResultOf(held.execute(FakeWatcher()))
        self.stage.settle()
        self.assertEqual([request.builder for request in self.requests()], ["b2"])
        self.reconfigure('Submit("plain", ["b"])', 'Submit("plain", ["b"], file="file")')

        self.failureResultOf(held.execute(FakeWatcher()), WrongVerbError)
        self.successResultOf(held.put(b"x", lambda size: succeed(b"")))
        self.assertEqual([request.builder for request in self.requests()], ["b2", "b"])

    def test_other_kind_meanwhile(self) -> None:
        """
        Promise 6.5: an input that was judged as one thing is not used as another.
        """
        watcher = FakeWatcher()
        feed = self.execute("try", watcher)
        assert feed is not None
        feed.feed(PATCH)
        self.reconfigure('stdin="patch"', 'stdin="tar"')
        feed.close()
        self.stage.settle()

        self.assertEqual((watcher.codes, self.requests()), ([2], []))
        self.assertIn("What try takes was changed while this came in.  Submit it again.", watcher.err)


class UploadTests(SubmittingCase):
    def upload(self, data: bytes, name: bytes = b"hello-2.10.tar") -> Deferred[None]:
        """
        ``flappclient upload-file``.
        """
        source = io.BytesIO(data)
        return self.submitting("archive").put(name, lambda size: succeed(source.read(size)))

    def test_stored(self) -> None:
        """
        Promise 5: it answers when the file is stored and the request is queued.
        """
        data = tarball()
        self.successResultOf(self.upload(data))
        row = self.stage.read(lambda connection: inputs.get(connection, 1))
        (request,) = self.requests()

        self.assertEqual((row.name, row.kind, row.length), ("hello-2.10.tar", "tar", len(data)))
        self.assertEqual(self.farm.inputs.read(row.sha256, 0, 1 << 20), data)
        self.assertEqual(request.builder, "b")

    def test_filename(self) -> None:
        """
        Promise 6.17: a file's name is one plain name wherever it is shown, and overrides no property of the farm's.
        """
        self.stage.configure(
            CONFIG.replace('name="one", command=["run", "one"]', 'command=["run", util.Property("filename")]')
        )
        self.stage.done(self.farm.reconfiguration.apply())
        slave = self.stage.attach("bot1")
        self.successResultOf(self.upload(tarball(), b"../x\n# b/1: SUCCESS\x1b[2J\xff"))
        self.stage.settle()
        name = "_x?# b_1: SUCCESS?[2J\N{REPLACEMENT CHARACTER}"
        buildset = self.stage.read(lambda connection: requests.buildset(connection, 1))

        self.assertEqual(argv(slave), ("run", name))
        self.assertEqual(buildset.reason, f"submitted through archive: {name}")
        self.assertEqual(self.stage.read(lambda connection: inputs.get(connection, 1)).name, name)

        for where, of in (
            ("])) for name", "]), properties={'filename': 'app'}) for name"),
            ('"archive", ["b"]', '"archive", ["b"], properties={"filename": "app"}'),
        ):
            slave.given[-1].end(0)
            self.stage.settle()
            config = CONFIG.replace('name="one", command=["run", "one"]', 'command=["run", util.Property("filename")]')
            self.stage.configure(config.replace(where, of))
            self.stage.done(self.farm.reconfiguration.apply())
            self.successResultOf(self.upload(tarball(), b"evil"))
            self.stage.settle()
            self.assertEqual(argv(slave), ("run", "app"))

    def test_no_archive(self) -> None:
        """
        A file that is no archive is refused, and nothing is asked for.
        """
        failure = self.failureResultOf(self.upload(b"hello" * 1000), InputError)

        self.assertIn("is no tar archive", str(failure.value))
        self.assertEqual(self.requests(), [])

    def test_breaks_off(self) -> None:
        """
        An upload that breaks off leaves nothing.
        """
        pieces: list[Deferred[bytes]] = [succeed(tarball()[:100]), Deferred()]
        uploading = self.submitting("archive").put(b"x", lambda size: pieces.pop(0))
        pieces_left = len(pieces)
        uploading.cancel()

        self.failureResultOf(uploading)
        self.assertEqual(pieces_left, 0)
        self.assertEqual(os.listdir(os.path.join(self.stage.basedir, "inputs")), [])


class IntakeTests(SynchronousTestCase):
    def setUp(self) -> None:
        """
        An input on its way.
        """
        self.directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.directory)
        self.clock = Clock()
        self.incoming = InputStore(self.directory, largest=10 << 20).receive(10)
        self.intake = Intake(StoredSink(self.incoming, "file", "f"), self.clock)

    def assertGivenUp(self, error: type[Exception]) -> str:
        """
        Nothing was taken in, and nothing is kept; answers the sentence.
        """
        self.intake.feed(b"more")
        self.intake.close()
        self.intake.lost()
        self.assertEqual((os.listdir(self.directory), self.clock.getDelayedCalls()), ([], []))
        return str(self.failureResultOf(self.intake.given, error).value)

    def test_given(self) -> None:
        """
        A complete input is given once; the client that hangs up afterwards takes nothing back.
        """
        self.intake.feed(b"12345")
        self.intake.close()
        self.intake.close()
        self.intake.lost()
        given = self.successResultOf(self.intake.given)

        assert given.kept is not None
        self.assertEqual((given.kind, given.name, given.kept.length), ("file", "f", 5))
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_too_large(self) -> None:
        """
        Too much is refused, once; the rest is not heard.
        """
        for _ in range(3):
            self.intake.feed(b"12345678")

        self.assertIn("larger than the 10 bytes", self.assertGivenUp(InputError))

    def test_disk_full(self) -> None:
        """
        What could not be written whole is not taken for whole when there is room again.
        """
        self.intake.feed(b"123")
        with mock.patch.object(self.incoming, "_open", side_effect=OSError(28, "No space left on device")):
            self.intake.feed(b"456")

        self.assertGivenUp(DiskFullError)

    def test_stands_still(self) -> None:
        """
        Promise 6.15: an input that stands still is given up, and its submitter is told why.
        """
        self.intake.feed(b"123")
        self.clock.advance(PATIENCE - 1)
        self.assertNoResult(self.intake.given)
        self.clock.advance(2)

        self.assertIn("stood still and was given up after 5 min", self.assertGivenUp(InputError))

    def test_trickles(self) -> None:
        """
        Promise 6.15: a byte now and then does not hold the place of an input for ever.
        """
        for _ in range(9):
            self.intake.feed(b"x")
            self.clock.advance(PATIENCE / 8)

        self.assertGivenUp(InputError)

    def test_large_and_slow(self) -> None:
        """
        Promise 6.15: an input that goes on at the least allowed rate may take as long as it likes.
        """
        intake = Intake(StoredSink(InputStore(self.directory).receive(), "file", "f"), self.clock)
        for _ in range(20):
            self.clock.advance(PATIENCE - 1)
            intake.feed(b"x" * int(PATIENCE * SLOWEST))
        intake.close()

        self.assertEqual(self.successResultOf(intake.given).name, "f")
        self.failureResultOf(self.intake.given, InputError)


class InputsTests(SynchronousTestCase):
    def check(self, kind: str, data: bytes) -> Any:
        """
        The sentence about *data*, or None.
        """
        try:
            check_input(kind, data)
        except InputError as error:
            return str(error)
        return None

    def test_patches(self) -> None:
        """
        Patches of git, diff, svn and mails are patches, also in undecodable bytes.
        """
        for patch in (PATCH, b"\xff\n--- a\n+++ b\n", b"Index: x\n", b"From 1234 Mon Sep\n", b"diff -u a b\n"):
            self.assertIsNone(self.check("patch", patch))

    def test_archives(self) -> None:
        """
        Archives are known by how they begin.
        """
        for archive in (tarball(), b"\x1f\x8bxxx", b"BZh9xxx", b"\xfd7zXZ\x00xxx"):
            self.assertIsNone(self.check("tar", archive))
        self.assertIsNone(self.check("file", b""))

    def test_too_many_properties(self) -> None:
        """
        Properties are bounded, and are text.
        """
        for text, sentence in (
            (b"a=" + b"x" * (256 << 10), "have more than"),
            (b"a=\xff", "are not UTF-8 text.  Save them"),
            ("a=b\n".encode("utf-16"), "are not UTF-8 text (but UTF-16)."),
        ):
            self.assertIn(sentence, str(self.assertRaises(InputError, properties_from, text)))

    def test_properties_line_by_line(self) -> None:
        """
        Promise 6.17: a value goes as far as its line, whatever else Python takes for the end of one.
        """
        value = "a\x0bb\x0cc\x1cd\x85e\u2028# f\u2029g=h"
        found = properties_from(f"target={value}\nb=2".encode())
        self.assertEqual((found["target"], found["b"]), (value, "2"))

    def test_properties_of_windows(self) -> None:
        """
        Promise 6.23: the mark with which editors on Windows begin a file, and their ends of lines, are no part of names
        and values.
        """
        found = properties_from(b"\xef\xbb\xbfbranch=main\r\n# no\r\nb=2\r\n")
        self.assertEqual((found["branch"], found["b"]), ("main", "2"))
        self.assertEqual(properties_from(b"\xef\xbb\xbf# no\n").get("# no"), None)
