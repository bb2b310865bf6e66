"""
Retention: which records and files are removed, and which stay.
"""

import os
import shutil
from collections.abc import Callable
from typing import Any, TypeVar
from unittest import mock

from attrs import frozen
from sqlalchemy import Connection
from twisted.internet.defer import Deferred, fail, maybeDeferred
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import StorageError
from buildbot_lite.master import retention
from buildbot_lite.master.builds.streams import StreamStorage
from buildbot_lite.master.config.retention import DAY, Retention, RetentionPolicies
from buildbot_lite.model.registry import Registry
from buildbot_lite.model.results import Result
from buildbot_lite.storage.database import open_database
from buildbot_lite.storage.inputs import InputStore
from buildbot_lite.storage.notifications import Notifications
from buildbot_lite.storage.records import (
    artifacts,
    builds,
    buildsets,
    generations,
    inputs,
    journal,
    marks,
    remarks,
    removal,
    requests,
    steps,
    streams,
)
from buildbot_lite.storage.records import retention as records_of_retention
from buildbot_lite.storage.records.retention import RetentionHolder
from test.storage.inline import InlineWriter

T = TypeVar("T")
NOW = 1000 * DAY


@frozen
class RecordedSubmission:
    """
    The numbers of a build and its buildset.
    """

    build: int
    buildset: int


class RetentionTests(SynchronousTestCase):
    """
    A farm's records and files, made by hand.
    """

    def setUp(self) -> None:
        self.basedir = self.mktemp()
        os.makedirs(self.basedir)
        self.records = InlineWriter(open_database(os.path.join(self.basedir, "farm.sqlite")))
        self.addCleanup(self.records.close)
        self.in_thread: Callable[[Callable[[], Any]], Deferred[Any]] = maybeDeferred
        self.inputs = InputStore(os.path.join(self.basedir, "inputs"))
        self.holders: Registry[RetentionHolder] = Registry("holder of builds", [artifacts.INPUTS_OF_BUILDS])
        self.do(lambda c: generations.keep(c, "9" * 64, 1.0))

    def do(self, change: Callable[[Connection], T]) -> T:
        """
        The result of *change*.
        """
        result: T = self.successResultOf(self.records.write(change))
        return result

    def build(self, age: float, builder: str = "b", *, running: bool = False, **more: Any) -> RecordedSubmission:
        """
        A build that finished *age* days ago, with a log of 10 bytes and an artifact.
        """
        at = NOW - age * DAY

        def change(connection: Connection) -> RecordedSubmission:
            submitted = requests.submit(connection, scheduler="s", builders=[builder], reason="", now=at, **more)
            build = builds.start(
                connection,
                request=submitted.requests[0].id,
                builder=builder,
                slave="bot1",
                nonce="0" * 32,
                generation="9" * 64,
                now=at,
            )
            steps.start(connection, build.id, 0, "compile", at)
            journal.begin(connection, build.id, 0, 0, kind="command", fingerprint="f", intent={}, now=at)
            remarks.add(connection, build.id, 0, log="stdio", offset=0, text="link lost", now=at)
            for kind, path in (("log", self.log(build.id)), ("artifact", f"{builder}/{build.number}/a.tar")):
                stream = streams.note(connection, build.id, 0, 0, name=kind, kind=kind, path=path)
                streams.seal(connection, stream.id, 10, "5" * 64)
            if not running:
                builds.finish(connection, build.id, Result.SUCCESS, at)
                requests.finish(connection, submitted.requests[0].id, Result.SUCCESS, at)
            return RecordedSubmission(build.id, submitted.buildset.id)

        made = self.do(change)
        for path in self.files(made.build):
            os.makedirs(os.path.dirname(path), exist_ok=True)
            with open(path, "w", encoding="ascii") as file:
                file.write("0123456789")
        return made

    def log(self, build: int) -> str:
        """
        The path of a log, below streams.
        """
        return f"{build // 1000}/{build}/0-0-stdio"

    def files(self, build: int) -> tuple[str, str]:
        """
        The paths of the log and the artifact of a build.
        """
        row = self.do(lambda c: builds.get(c, build))
        assert row is not None
        return (
            os.path.join(self.basedir, "streams", self.log(build)),
            os.path.join(self.basedir, "artifacts", row.builder, str(row.number), "a.tar"),
        )

    def apply(self, *policies: Retention) -> None:
        """
        Apply *policies*.
        """
        run = retention.RetentionRun(
            RetentionPolicies(policies),
            records=self.records,
            stream_storage=StreamStorage(self.basedir, Notifications(), self.in_thread),
            inputs=self.inputs,
            holders=self.holders.values(),
            now=NOW,
        )
        self.successResultOf(Deferred.fromCoroutine(run.run()))

    def test_used_artifact(self) -> None:
        """
        Promise 8.7: what an unfinished build has chosen as its input stays until that build has ended.
        """
        made, other = self.build(90), self.build(90)
        self.build(90)  # the newest stays in any case
        user = self.build(1, "user", running=True)

        def choose(connection: Connection) -> None:
            journal.begin(connection, user.build, 0, 1, kind="artifact", fingerprint="f", intent={}, now=NOW)
            journal.end(connection, user.build, 0, 1, outcome={"build": made.build}, now=NOW)

        self.do(choose)
        policy = Retention(logDays=30, artifactDays=30, buildDays=30)
        self.apply(policy)
        self.assertIn(made.build, self.left("artifact"))
        self.assertNotIn(other.build, self.left("artifact"))
        self.do(lambda c: builds.finish(c, user.build, Result.SUCCESS, NOW))
        self.apply(policy)
        self.assertNotIn(made.build, self.left("artifact"))

    def left(self, kind: str) -> list[int]:
        """
        The builds with a file of a *kind*; each file is there if and only if it is recorded.
        """
        found = []
        for build in self.do(lambda c: builds.newest(c, "b", most=100)):
            recorded = any(each.kind == kind for each in self.do(lambda c, b=build: streams.of_build(c, b.id)))  # type: ignore[misc]  # lambda
            path = self.files(build.id)[0 if kind == "log" else 1]
            self.assertEqual(os.path.exists(path), recorded, path)
            found += [build.number] if recorded else []
        return sorted(found)

    def numbers(self, builder: str = "b") -> list[int]:
        """
        The numbers of the builds that are recorded.
        """
        return sorted(build.number for build in self.do(lambda c: builds.newest(c, builder, most=100)))

    def test_age_of_logs(self) -> None:
        """
        Promise 8.9: logs older than logDays are removed, artifacts and records stay; those of a build with a mark or
        without an end stay.
        """
        ages = [50.0, 40.0, 31.0, 29.0]
        made = [self.build(age, running=age == 31.0) for age in ages]
        self.do(lambda c: marks.keep(c, made[1].build, "released"))
        self.apply()

        self.assertEqual(self.left("log"), [2, 3, 4])
        self.assertEqual(self.left("artifact"), [1, 2, 3, 4])
        removed = [self.do(lambda c, m=each: records_of_retention.logs_removed(c, m.build)) for each in made]  # type: ignore[misc]  # lambda
        self.assertEqual(removed, [True, False, False, False])

    def test_holders(self) -> None:
        """
        Promise 7.1: a build that a registered holder needs keeps its files and records; the others of the same slice
        are removed.
        """
        made = [self.build(age) for age in (500.0, 450.0, 400.0, 1.0)]
        self.holders.add(RetentionHolder("images", lambda connection, ids: {made[1].build} & set(ids)))
        self.apply()

        self.assertEqual(self.left("log"), [2, 4])
        self.assertEqual(self.numbers(), [2, 4])

    def test_clock_behind(self) -> None:
        """
        Promise 8.9: builds that ended while the clock was years behind are as old as the builds before them, and one
        that ended while it was ahead makes no later build younger.
        """
        self.build(age=50)
        ahead = self.build(age=-3000)
        old = self.build(age=40)
        self.build(age=20)
        behind = self.build(age=9000)
        self.build(age=1)
        self.apply(Retention(logDays=30, buildDays=30))
        self.assertIn(behind.build, self.left("log"))
        self.assertIn(ahead.build, self.left("log"))
        self.assertNotIn(old.build, self.left("log"))

    def test_bytes_of_logs(self) -> None:
        """
        The oldest logs are removed until the rest, of all builders of the policy, is within logBytes.
        """
        for age in range(6, 0, -1):
            self.build(age)
        self.build(5.5, "other")
        self.apply(Retention(logBytes=35))

        self.assertEqual(self.left("log"), [5, 6])

    def test_policies(self) -> None:
        """
        The first policy that matches a builder applies to it, and None is no bound.
        """
        self.build(50.0)
        self.build(50.0, "nightly-1")
        self.apply(Retention("nightly-*", artifactDays=1), Retention(logDays=None))

        self.assertEqual(self.left("log"), [1])
        self.assertEqual(os.listdir(os.path.join(self.basedir, "artifacts", "nightly-1")), [])

    def test_builds(self) -> None:
        """
        Old builds are forgotten, with their files and buildsets; the newest of a builder stays, so that no number is
        used twice, and so does a build with a mark.
        """
        made = [self.build(age) for age in (500.0, 450.0, 400.0)]
        self.do(lambda c: marks.keep(c, made[0].build, "released"))
        self.apply()

        self.assertEqual(self.numbers(), [1, 3])
        self.assertEqual(sorted(os.listdir(os.path.join(self.basedir, "artifacts", "b"))), ["1", "3"])
        rows = [self.do(lambda c, m=each: buildsets.get(c, m.buildset)) is not None for each in made]  # type: ignore[misc]  # lambda
        self.assertEqual(rows, [True, False, True])

    def test_number_of_builds(self) -> None:
        """
        Beyond mostBuilds the oldest builds of a builder are forgotten.
        """
        for age in range(6, 0, -1):
            self.build(age)
        self.apply(Retention(mostBuilds=2))

        self.assertEqual(self.numbers(), [5, 6])

    def test_children_of_a_running_build(self) -> None:
        """
        What an unfinished build waits for stays, however old it is.
        """
        parent = self.build(500.0, "parent", running=True)
        self.build(450.0, parent="entry", parent_build=parent.build)
        self.build(10.0)
        self.apply()

        self.assertEqual(self.numbers(), [1, 2])

    def test_buildset_without_a_build(self) -> None:
        """
        A request that was cancelled in the queue is forgotten as a build is.
        """
        at = NOW - 500 * DAY
        gone = self.do(lambda c: requests.submit(c, scheduler="s", builders=["b"], reason="", now=at))
        self.do(lambda c: requests.cancel(c, gone.requests[0].id, at, "cancelled"))
        waiting = self.do(lambda c: requests.submit(c, scheduler="s", builders=["b"], reason="", now=at))
        self.apply()

        self.assertIsNone(self.do(lambda c: buildsets.get(c, gone.buildset.id)))
        self.assertIsNotNone(self.do(lambda c: buildsets.get(c, waiting.buildset.id)))

    def test_inputs(self) -> None:
        """
        An input is removed with the last buildset that has it.
        """
        sums = []
        for age in (500.0, 10.0):
            arriving = self.inputs.receive()
            arriving.write(str(age).encode())
            stored = arriving.keep()
            os.utime(self.inputs.path(stored.sha256), (NOW - age * DAY,) * 2)
            sums.append(stored.sha256)
            row = self.do(
                lambda c, s=stored, a=age: inputs.add(  # type: ignore[misc]  # lambda
                    c, name="p", kind="patch", length=1, sha256=s.sha256, now=NOW - a * DAY
                )
            )
            self.build(age, input=row.id)
        self.apply()

        self.assertEqual(os.listdir(os.path.join(self.basedir, "inputs")), sums[1:])

    def test_interrupted(self) -> None:
        """
        Files whose removal failed after their rows were removed are removed by the next run.
        """
        self.build(40.0)
        self.build(1.0)
        self.in_thread = lambda work: fail(StorageError("odd"))
        with self.assertRaises(self.failureException):
            self.apply()
        self.assertEqual([each.kind for each in self.do(lambda c: streams.of_build(c, 1))], ["artifact"])
        self.assertTrue(os.path.exists(self.files(1)[0]))
        self.in_thread = maybeDeferred
        self.apply()

        self.assertEqual(self.left("log"), [2])

    def test_small_transactions(self) -> None:
        """
        A transaction removes the rows of few builds.
        """
        for _ in range(30):
            self.build(40.0)
        self.build(1.0)
        seen: list[int] = []
        with (
            mock.patch.object(retention, "ROWS_AT_ONCE", 10),
            mock.patch.object(removal, "drop_files", side_effect=lambda c, build, kind: seen.append(id(c) and build)),
            mock.patch.object(self.records, "write", wraps=self.records.write) as writing,
        ):
            self.apply()
        self.assertEqual(seen, list(range(1, 31)))
        self.assertGreater(writing.call_count, 2 * 3)

    def test_mark_meanwhile(self) -> None:
        """
        Promise 8.9: a build that gets a mark while a run is on its way to it keeps its files.
        """
        for _ in range(3):
            self.build(40.0)

        def in_thread(work: Callable[[], Any]) -> Deferred[Any]:
            self.do(lambda c: marks.keep(c, 2, "a release"))
            return maybeDeferred(work)

        self.in_thread = in_thread
        with mock.patch.object(retention, "ROWS_AT_ONCE", 1):
            self.apply()
        self.assertEqual(self.left("log"), [2])
        self.assertTrue(os.path.exists(self.files(2)[0]))

    def test_directory_that_stays(self) -> None:
        """
        Promise 8.9: a directory that cannot be removed keeps no other, and is tried again; a link is removed, and what
        it leads to stays.
        """
        for _ in range(3):
            self.build(40.0)
        elsewhere = os.path.join(self.basedir, "elsewhere")
        linked, stubborn, other = (os.path.dirname(self.files(number)[0]) for number in (1, 2, 3))
        os.rename(linked, elsewhere)
        os.symlink(os.path.abspath(elsewhere), linked)
        rmtree = shutil.rmtree

        def failing(path: str, **more: Any) -> None:
            if path == stubborn:
                raise PermissionError(1, "Operation not permitted", path)
            rmtree(path, **more)

        with mock.patch.object(shutil, "rmtree", failing):
            self.apply()
        there = [os.path.lexists(path) for path in (linked, elsewhere, stubborn, other)]
        self.assertEqual(there, [False, True, True, False])
        self.apply()
        self.assertEqual(self.left("log"), [])
        self.assertFalse(os.path.exists(stubborn))

    def test_many_directories_that_stay(self) -> None:
        """
        When many directories cannot be removed, rows of further builds stay, too.
        """
        for _ in range(4):
            self.build(40.0)
        failing = mock.patch.object(shutil, "rmtree", side_effect=PermissionError(1, "no"))
        small = mock.patch.multiple(retention, MOST_LEFT=1, ROWS_AT_ONCE=1)
        with failing, small, self.assertRaises(self.failureException):
            self.apply()
        rows = self.do(lambda c: [row for id in range(1, 5) for row in streams.of_build(c, id)])
        logs = [row.build for row in rows if row.kind == "log"]
        self.assertEqual(logs, [3, 4])

    def test_file_that_vanishes(self) -> None:
        """
        A file that vanishes while its directory is removed leaves nothing of the directory.
        """
        self.build(40.0)
        directory = os.path.dirname(self.files(1)[0])
        for number in range(5):
            with open(os.path.join(directory, str(number)), "w", encoding="ascii"):
                pass
        unlink = os.unlink

        def vanishing(name: Any, **more: Any) -> None:
            unlink(name, **more)
            raise FileNotFoundError(2, "No such file", name)

        with mock.patch.object(os, "unlink", vanishing):
            self.apply()
        self.assertFalse(os.path.exists(directory))

    def test_large_build(self) -> None:
        """
        Promise 8.9: no transaction removes more than a bounded part of a build: of its journal, remarks and steps.
        """
        made = self.build(500.0)
        self.build(1.0)

        def change(connection: Connection) -> None:
            for ordinal in range(1, 50):
                journal.begin(connection, made.build, 0, ordinal, kind="command", fingerprint="f", intent={}, now=1.0)
                steps.start(connection, made.build, ordinal, "step", 1.0)

        self.do(change)
        seen: list[int] = []
        dropped = removal.drop_rows

        def dropping(connection: Connection, build: int, most: int) -> int:
            seen.append(dropped(connection, build, most))
            return seen[-1]

        with (
            mock.patch.object(retention, "ROWS_AT_ONCE", 20),
            mock.patch.object(removal, "drop_rows", dropping),
        ):
            self.apply()
        self.assertEqual(seen, [20, 20, 20, 20, 20, 1])
        self.assertIsNone(self.do(lambda c: builds.get(c, made.build)))

    def test_space_given_back(self) -> None:
        """
        The database's file becomes smaller when records were removed.
        """
        text = {"x": ["y" * 3000, "Submit"]}
        for _ in range(100):
            self.build(500.0, properties=text)
        self.build(1.0)
        path = os.path.join(self.basedir, "farm.sqlite")

        def size() -> int:
            (pages,) = self.do(lambda c: c.connection.cursor().execute("PRAGMA page_count").fetchone())
            return int(pages)

        before = size()
        self.apply()
        self.assertLess(size(), before / 2, path)
