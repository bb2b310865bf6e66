"""
Cases that are hard to cause with a keeper process: disks that become full at any moment, clients that violate the
protocol.  The keeper runs in this process, turn by turn; no command is spawned.
"""

import errno
import json
import os
import shutil
import socket
import tempfile
import time
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.keeper import command_store
from buildbot_lite.keeper.command_store import (
    CommandStore,
    FinishedCommand,
    safe_name,
    spool_path,
)
from buildbot_lite.keeper.context import WaitLimits
from buildbot_lite.keeper.keeper import Keeper, Settings
from buildbot_lite.keeper.loop import READ, Loop
from buildbot_lite.keeper.output import Output, OutputCallbacks
from buildbot_lite.keeper.server import LONGEST_LINE
from buildbot_lite.keeper.spool import Spool

ELSEWHERE = {"spec": {"argv": ["true"]}, "workdir": "relative, hence refused", "fingerprint": "f"}
MEANS = ("subreaper", "inotify")
SHORT_WAITS = WaitLimits(disk=0.2, retry=0.01)


def nothing() -> None:
    """
    A callback that does nothing.
    """


def full(*arguments: object) -> None:
    """
    Fail as a full disk does.
    """
    raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))


class InProcessKeeperTests(SynchronousTestCase):
    def setUp(self) -> None:
        """
        A keeper in a directory of its own, and a connection to it.
        """
        self.directory = os.path.realpath(tempfile.mkdtemp(prefix="keeper-"))
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)
        self.addCleanup(os.chdir, os.getcwd())
        os.chdir(self.directory)
        self.loop = Loop()
        self.addCleanup(self.loop.close)
        self.keeper = Keeper(self.directory, self.loop, Settings(without=MEANS, wait_limits=WaitLimits(retry=0.01)))
        self.closed = False
        self.addCleanup(self.close)
        self.client = self.connect()

    def close(self) -> None:
        """
        Close the keeper, once.
        """
        if not self.closed:
            self.closed = True
            self.keeper.close()

    def connect(self) -> socket.socket:
        """
        Return a connection that has said hello.
        """
        client = socket.socket(socket.AF_UNIX)
        self.addCleanup(client.close)
        client.connect("socket")
        client.setblocking(False)
        self.lines = b""
        self.send(client, op="hello")
        return client

    def send(self, client: socket.socket, **message: Any) -> None:
        """
        Send a request.
        """
        client.sendall(json.dumps(message).encode() + b"\n")

    def until(self, event: str) -> dict[str, Any]:
        """
        Turn the loop until *event* arrives.
        """
        deadline = time.monotonic() + 60
        while True:
            self.assertLess(time.monotonic(), deadline, f"there was no {event}")
            while b"\n" in self.lines:
                line, _newline, self.lines = self.lines.partition(b"\n")
                message: dict[str, Any] = json.loads(line)
                if message["event"] == event:
                    return message
            self.loop.soon(lambda: None)
            self.loop.turn()
            try:
                data = self.client.recv(1 << 20)
            except BlockingIOError:
                continue
            self.assertTrue(data, f"the keeper closed the connection before {event}")
            self.lines += data

    def test_no_room_for_a_claim(self) -> None:
        """
        Without space for its claim a start waits; when there is space, the command is claimed once.
        """
        claim = CommandStore.claim
        claims: list[str] = []

        def sometimes(store: CommandStore, id: str, *claimed: Any) -> None:
            claims.append(id)
            if len(claims) < 3:
                full()
            claim(store, id, *claimed)

        self.patch(CommandStore, "claim", sometimes)
        self.send(self.client, op="start", id="a-1", **ELSEWHERE)
        self.send(self.client, op="start", id="a-1", **ELSEWHERE)
        self.until("claimed")
        self.assertEqual(self.until("ended")["outcome"]["ending"], "failed")
        self.assertEqual(claims, ["a-1"] * 3)

    def test_disk_stays_full(self) -> None:
        """
        A start that waits for too long is refused, and the id may be started again.
        """
        self.patch(self.keeper, "_settings", Settings(wait_limits=SHORT_WAITS))
        patched = self.patch(CommandStore, "claim", full)
        self.send(self.client, op="start", id="a-1", **ELSEWHERE)
        self.assertEqual(self.until("refused")["sentence"], "disk full")
        patched.restore()
        self.send(self.client, op="start", id="a-1", **ELSEWHERE)
        self.until("claimed")

    def patient(self, seconds: float) -> None:
        """
        Set the *seconds* after which the keeper syncs an outcome that the master has not taken.
        """
        self.patch(self.keeper, "_settings", Settings(wait_limits=WaitLimits(take=seconds)))

    def synced(self) -> bool:
        """
        Whether an outcome was synced.
        """
        return '"record":"synced"' in Path("claims").read_text()

    def test_taken(self) -> None:
        """
        Promise 7.6: an outcome is told without a sync, and is never synced if the master takes it.
        """
        self.patient(1000.0)
        self.send(self.client, op="start", id="a-1", **ELSEWHERE)
        self.until("ended")
        self.send(self.client, op="forget", id="a-1")
        self.until("forgotten")
        self.close()
        self.assertFalse(self.synced())

    def test_not_taken(self) -> None:
        """
        Promise 7.6: an outcome that the master does not take is synced, once.
        """
        self.patient(0.01)
        self.send(self.client, op="start", id="a-1", **ELSEWHERE)
        self.until("ended")
        deadline = time.monotonic() + 60
        while not self.synced():
            self.assertLess(time.monotonic(), deadline, "the outcome was not synced")
            self.loop.soon(lambda: None)
            self.loop.turn()
        self.send(self.client, op="forget", id="a-1")
        self.until("forgotten")

    def test_closed_before_it_is_taken(self) -> None:
        """
        Promise 7.6: a keeper that ends syncs the outcomes that were not taken.
        """
        self.patient(1000.0)
        self.send(self.client, op="start", id="a-1", **ELSEWHERE)
        self.until("ended")
        self.close()
        self.assertTrue(self.synced())

    def test_cannot_be_synced(self) -> None:
        """
        A disk that fails at the sync does not end the keeper.
        """
        self.patient(0.01)
        self.patch(CommandStore, "sync", full)
        self.send(self.client, op="start", id="a-1", **ELSEWHERE)
        self.until("ended")
        self.close()

    def test_forgotten_while_waiting(self) -> None:
        """
        A start that waits for space can be disowned; then the command is never started.
        """
        self.patch(CommandStore, "claim", full)
        self.send(self.client, op="start", id="a-1", **ELSEWHERE)
        self.send(self.client, op="forget", id="a-1")
        self.until("forgotten")
        self.send(self.client, op="start", id="a-1", **ELSEWHERE)
        self.assertIn("not started twice", self.until("refused")["sentence"])

    def test_interrupted_while_waiting(self) -> None:
        """
        A start that waits for space can be interrupted, and does not begin when there is space.
        """
        patched = self.patch(CommandStore, "claim", full)
        self.send(self.client, op="start", id="a-1", **ELSEWHERE)
        self.send(self.client, op="interrupt", id="a-1", reason="Somebody said so.")
        self.assertIn("before it began: Somebody said so.", self.until("refused")["sentence"])
        patched.restore()
        self.send(self.client, op="start", id="b-1", **ELSEWHERE)
        self.assertEqual(self.until("claimed")["id"], "b-1")

    def test_lease_ends_while_waiting(self) -> None:
        """
        A start that waits for space until its lease ends is refused: another slave may run it (Invariant I8).
        """
        patched = self.patch(CommandStore, "claim", full)
        boottime = self.loop.boottime
        spec = {"argv": ["touch", os.path.join(self.directory, "ran")], "grace": 120.0}
        order = {"spec": spec, "workdir": self.directory, "fingerprint": "f", "env": {"PATH": os.environ["PATH"]}}
        self.send(self.client, op="start", id="a-1", **order)
        self.send(self.client, op="forget", id="b-1")
        self.until("forgotten")
        self.loop.boottime = lambda: boottime() + 91.0  # type: ignore[method-assign]  # without a connection meanwhile
        patched.restore()
        self.assertIn("lease expired", self.until("refused")["sentence"])
        self.assertEqual(os.listdir("commands"), [])

    def with_a_file(self, **more: Any) -> None:
        """
        Start a command that has a private file and cannot be spawned.
        """
        spec = {"argv": ["/no/such/program"], "files": {"KEY": "contents"}, **more}
        self.send(self.client, op="start", id="a-1", spec=spec, workdir=self.directory, fingerprint="f", env={})

    def test_no_room_for_a_file(self) -> None:
        """
        Without space for its private files a command waits; when there is space, it begins.
        """
        write = CommandStore.write_private
        written: list[str] = []

        def sometimes(store: CommandStore, *what: Any) -> str:
            written.append(write(store, *what))
            if len(written) < 3:
                full()
            return written[-1]

        self.patch(CommandStore, "write_private", sometimes)
        self.with_a_file()
        self.assertIn("No such program", self.until("ended")["outcome"]["sentence"])
        self.assertEqual(len(written), 3)

    def test_no_descriptor_is_left_of_a_failure(self) -> None:
        """
        When the command could not be spawned, its followed log file is closed.
        """
        log = os.path.join(self.directory, "test.log")
        with open(log, "w") as yesterday:
            yesterday.write("the tests of yesterday")
        self.with_a_file(logfiles={"test": "test.log"})
        self.assertIn("No such program", self.until("ended")["outcome"]["sentence"])
        # The descriptor of the listing itself is closed when its link is read.
        links = [f"/proc/self/fd/{fd}" for fd in os.listdir("/proc/self/fd")]
        self.assertNotIn(log, [os.readlink(link) for link in links if os.path.lexists(link)])

    def test_never_room_for_a_file(self) -> None:
        """
        When there is no space for too long, the command ends as "disk full".
        """
        self.patch(self.keeper, "_context", self.keeper._context._replace(wait_limits=SHORT_WAITS))
        self.patch(CommandStore, "write_private", full)
        self.with_a_file()
        outcome = self.until("ended")["outcome"]
        self.assertEqual((outcome["ending"], outcome["sentence"]), ("failed", "disk full"))

    def test_interrupted_without_room_for_a_file(self) -> None:
        """
        A command that waits for space can be interrupted, and is not tried again.
        """
        attempts: list[str] = []

        def noted(store: CommandStore, id: str, *what: object) -> None:
            attempts.append(id)
            full()

        self.patch(CommandStore, "write_private", noted)
        self.with_a_file()
        self.send(self.client, op="interrupt", id="a-1", reason="Enough.")
        outcome = self.until("ended")["outcome"]
        self.assertEqual((outcome["ending"], outcome["sentence"]), ("killed", "Enough."))
        self.assertEqual(set(attempts), {"a-1"})
        attempts.clear()
        # Later than every attempt that may still be scheduled.
        self.loop.later(0.02, self.loop.stop)
        self.loop.run()
        self.assertEqual(attempts, [])

    def test_no_room_for_an_outcome(self) -> None:
        """
        An outcome is sent even without space for it, and written when there is space again.
        """
        patched = self.patch(CommandStore, "end", full)
        self.send(self.client, op="start", id="a-1", **ELSEWHERE)
        self.until("ended")
        records = Path(self.directory, "claims")
        self.assertNotIn("ended", records.read_text())
        patched.restore()
        while "ended" not in records.read_text():
            self.loop.turn()

    def test_nonsense(self) -> None:
        """
        A client that sends invalid JSON, or an endless line, is disconnected; unknown messages are ignored.
        """
        self.until("hello")
        self.send(self.client, op="dance")
        self.send(self.client, op="start", id="")
        self.send(self.client, op="start", id="x" * 1000)
        self.send(self.client, op="word", age="long")
        self.send(self.client, op="forget", id="unknown")
        self.until("forgotten")
        for nonsense in (b"{]\n", b"[]\n", b"x" * (LONGEST_LINE + (1 << 20))):
            client = self.connect()
            self.loop.turn()
            rest = nonsense
            while rest:
                try:
                    rest = rest[client.send(rest) :]
                except BlockingIOError:
                    self.loop.turn()
                except BrokenPipeError:
                    break
            with self.assertRaises((ConnectionError, EOFError)):
                while True:
                    self.loop.soon(lambda: None)
                    self.loop.turn()
                    try:
                        if not client.recv(1 << 20):
                            raise EOFError
                    except BlockingIOError:
                        continue

    def test_deaf_client(self) -> None:
        """
        A client that sends requests and reads no answers is not read from: memory stays bounded.
        """
        question = json.dumps({"op": "hello"}).encode() + b"\n"
        sent = idle = 0
        while idle < 50:
            try:
                sent += self.client.send(question * 1000)
                idle = 0
            except BlockingIOError:
                idle += 1
                self.loop.soon(lambda: None)
                self.loop.turn()
        self.assertLess(sent, 4 << 20)
        self.assertLess(len(self.keeper._server._out), 4 << 20)


class LoopTests(SynchronousTestCase):
    def setUp(self) -> None:
        """
        A loop.
        """
        self.loop = Loop()
        self.addCleanup(self.loop.close)
        self.complaints: list[object] = []
        self.patch(__import__("sys"), "excepthook", lambda *what: self.complaints.append(what[1]))

    def test_order(self) -> None:
        """
        Timers fire in the order of their times, cancelled ones never; `soon` calls come last.
        """
        done: list[str] = []

        def first() -> None:
            done.append("first")
            self.loop.soon(lambda: done.append("soon"))

        self.loop.later(60.0, lambda: done.append("never"))
        self.loop.later(0.0, first)
        self.loop.later(0.0, lambda: done.append("never")).cancel()
        self.loop.later(0.0, lambda: done.append("second"))
        self.loop.later(0.0, self.loop.stop)
        self.loop.run()
        self.assertEqual(done, ["first", "second", "soon"])

    def test_defect(self) -> None:
        """
        A callback that raises is reported, its descriptor is no longer watched, and the loop continues.
        """
        read, write = os.pipe()
        self.addCleanup(os.close, read)
        self.addCleanup(os.close, write)
        os.write(write, b"x")
        self.loop.watch(read, lambda: 1 / 0, READ)
        self.loop.later(0.01, self.loop.stop)
        self.loop.run()
        self.assertEqual([type(complaint) for complaint in self.complaints], [ZeroDivisionError])

    def test_too_many_defects(self) -> None:
        """
        A callback that fails without end ends the loop.
        """

        def fail() -> None:
            self.loop.soon(fail)
            raise ZeroDivisionError

        self.loop.soon(fail)
        self.assertRaises(ZeroDivisionError, self.loop.run)
        self.assertEqual(len(self.complaints), 99)

    def test_closed_in_the_same_turn(self) -> None:
        """
        A descriptor that an earlier callback of the same turn stopped watching is not called.
        """
        first, second = os.pipe(), os.pipe()
        called: list[int] = []

        def give_up() -> None:
            called.append(1)
            self.loop.unwatch(first[0])
            self.loop.unwatch(second[0])

        for read, write in (first, second):
            self.addCleanup(os.close, read)
            self.addCleanup(os.close, write)
            os.write(write, b"x")
            self.loop.watch(read, give_up)
        self.loop.turn()
        self.assertEqual(called, [1])


class CommandStoreTests(SynchronousTestCase):
    def setUp(self) -> None:
        """
        An empty store.
        """
        self.directory = tempfile.mkdtemp(prefix="store-")
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)
        self.records = Path(self.directory, "claims")
        self.store = self.again()

    def again(self) -> CommandStore:
        """
        Return the store of the next keeper.
        """
        store = CommandStore(self.directory)
        self.addCleanup(store.close)
        return store

    def test_names(self) -> None:
        """
        Every stream name has its own file name: short enough, not hidden, and inside the directory.
        """
        names = ["a", "A/b", "..", ".", "%2E", ".x", "ä", "x" * 300, "x" * 301, "\ud800", "a b", "a%20b"]
        found = [safe_name(name) for name in names]
        self.assertEqual(len(set(found)), len(names))
        for name in found:
            self.assertNotIn("/", name)
            self.assertFalse(name.startswith("."))
            self.assertLess(len(name), 250)

    def test_torn_claim(self) -> None:
        """
        A command without a complete claim was never claimed: its id may be used, and its files are removed.
        """
        os.mkdir(self.store.directory("a-1"))
        with self.records.open("a") as lines:
            lines.write('{"record":"claim","id":"a-2","fingerprint":"f"')
        self.assertEqual(list(self.again().found()), [])
        self.assertEqual(os.listdir(os.path.join(self.directory, "commands")), [])

    def test_after_a_torn_record(self) -> None:
        """
        A record that a power failure has torn does not damage the next one, even when the disk is full at the start
        (Invariant I1).
        """
        self.store.claim("a-1", "f", [])
        with self.records.open("a") as lines:
            lines.write('{"record":"claim","id":"a-2","fingerprint":"f"')
        patched = self.patch(os, "rename", full)
        self.again().claim("a-3", "f", [])
        patched.restore()
        self.assertEqual([id for id, *_ in self.again().found()], ["a-1", "a-3"])

    def test_torn_claim_of_an_earlier_version(self) -> None:
        """
        In the files of version 0.1.0, too, a command without a complete claim was never claimed: its id may be used,
        and its files are removed.
        """
        os.mkdir(self.store.directory("a-1"))
        os.mkdir(self.store.directory("a-2"))
        Path(self.store.directory("a-2"), "claim").write_text('{"id": "a-')
        self.assertEqual(list(self.again().found()), [])
        self.assertEqual(os.listdir(os.path.join(self.directory, "commands")), [])

    def test_earlier_version(self) -> None:
        """
        The records of a keeper of version 0.1.0 are taken over: claims, outcomes, and the ids that may not start again;
        also when the disk is full at that time (Invariant I1).
        """
        for id in ("a-1", "a-2", "a-3"):
            os.mkdir(self.store.directory(id))
            claim = {"id": id, "fingerprint": "f", "streams": ["stdio"]}
            Path(self.store.directory(id), "claim").write_text(json.dumps(claim))
            Path(self.store.directory(id), "outcome.json").touch()
        os.symlink("7 8 this one", os.path.join(self.store.directory("a-2"), "spawned"))
        Path(self.store.directory("a-3"), "outcome.json").write_text(
            '{"life": "ended", "outcome": {"ending": "exited"}}'
        )
        Path(self.directory, "forgotten").write_text('"b-1"\n\n"b-2"\n"b-3')
        patched = self.patch(os, "rename", full)
        for _ in range(2):
            store = self.again()
            found = {id: (ended and ended["outcome"], spawned) for id, _mark, ended, spawned in store.found()}
            self.assertEqual(found, {"a-1": (None, False), "a-2": (None, True), "a-3": ({"ending": "exited"}, False)})
            self.assertEqual(store.main_of("a-2", "this one"), (7, 8))
            self.assertEqual([store.forgot(id) for id in ("b-1", "b-2", "b-3")], [True, True, False])
            patched.restore()
        self.assertFalse(os.path.exists(os.path.join(self.directory, "forgotten")))
        self.assertEqual(os.listdir(store.directory("a-3")), [])
        store.forget("a-3")
        self.assertEqual([id for id, *_ in self.again().found()], ["a-1", "a-2"])

    def test_no_room(self) -> None:
        """
        Nothing is left of a claim that finds no space.
        """
        patched = self.patch(os, "fdatasync", full)
        self.assertRaises(OSError, self.store.claim, "a-1", "f", [])
        self.assertEqual(self.records.read_text(), "")
        patched.restore()
        self.store.claim("a-2", "f", [])
        self.assertEqual([id for id, *_ in self.again().found()], ["a-2"])

    def test_found(self) -> None:
        """
        The next keeper finds the claimed, spawned and ended commands, and the spools of those that did not end.
        """
        for id in ("a-1", "a-2", "a-3"):
            self.store.claim(id, "f", ["stdio", "a/log"])
        self.store.spawned("a-2", 1, 2, "this one")
        self.store.end(FinishedCommand("a-3", "f", "ended", {"ending": "exited"}))
        spool = Spool(spool_path(self.directory, "a-2", "a/log"))
        spool.append(b"words")

        # Incomplete, as after a power failure: equivalent to a missing one.
        with self.records.open("a") as lines:
            lines.write('{"record":"ended","id":"a-1","life":"ended","outc')

        found = {id: (ended is not None, spawned) for id, _mark, ended, spawned in self.again().found()}
        self.assertEqual(found, {"a-1": (False, False), "a-2": (False, True), "a-3": (True, False)})
        self.assertEqual(self.store.seals("a-2"), {"a/log": spool.seal()})
        self.assertEqual([self.store.main_of("a-2", boot) for boot in ("this one", "another")], [(1, 2), ()])
        self.assertEqual(self.store.main_of("a-1", "this one"), ())

    def ended(self, text: bytes = b"words") -> FinishedCommand:
        """
        A command that wrote *text* and ended; its outcome is in the records, and nothing was synced.
        """
        self.store.claim("a-1", "f", ["stdio", "log"])
        spool = Spool(self.path)
        spool.append(text)
        finished = FinishedCommand("a-1", "f", "ended", {"ending": "exited", "streams": {"stdio": spool.seal()}})
        self.store.end(finished)
        return finished

    @property
    def path(self) -> str:
        """
        The spool of `ended`.
        """
        return spool_path(self.directory, "a-1", "stdio")

    def has_ended(self) -> bool:
        """
        Whether the command counts as ended for the next keeper.
        """
        [(_id, _fingerprint, ending, _spawned)] = self.again().found()
        return ending is not None

    def test_keeper_killed_before_the_sync(self) -> None:
        """
        Promise 7.6: an outcome survives its keeper before it is synced.
        """
        self.ended()
        self.assertTrue(self.has_ended())

    def test_machine_died_before_the_sync(self) -> None:
        """
        Promise 7.6: an outcome that reached the disk before its streams, when the machine died, does not count: the
        streams are shorter, missing, or contain other bytes.
        """
        for left in (b"wor", b"", b"\0\0\0\0\0", None):
            with self.subTest(left=left):
                self.ended()
                if left is None:
                    os.unlink(self.path)
                else:
                    Path(self.path).write_bytes(left)
                self.assertFalse(self.has_ended())
                self.store.forget("a-1")
                self.records.unlink()
                self.store = self.again()

    def test_synced(self) -> None:
        """
        Promise 7.6: the streams, and the entries of their directories, are on the disk before the record says so; from
        then on the outcome counts.
        """
        synced: list[tuple[str, int]] = []

        def sync(fd: int) -> None:
            synced.append(
                (os.path.basename(os.readlink(f"/proc/self/fd/{fd}")), self.records.read_text().count("synced"))
            )

        self.ended()
        for name in ("fsync", "fdatasync"):
            self.patch(os, name, sync)
        self.store.sync("a-1")
        self.store.sync("a-1")
        directory = os.path.basename(os.path.dirname(self.path))
        self.assertEqual(synced, [("stdio", 0), (directory, 0), ("commands", 0), ("claims", 1)])
        self.patch(CommandStore, "seals", lambda store, id: self.fail("a synced stream is not read"))
        self.assertTrue(self.has_ended())

    def test_nothing_to_sync(self) -> None:
        """
        A command without an outcome, and an unknown one, need no sync.
        """
        self.store.claim("a-1", "f", ["stdio"])
        before = self.records.read_text()
        self.store.sync("a-1")
        self.store.sync("a-2")
        self.assertEqual(self.records.read_text(), before)

    def test_failing_disk(self) -> None:
        """
        When a stream cannot be synced, no record says that it was.
        """

        def failing(fd: int) -> None:
            raise OSError(errno.EIO, os.strerror(errno.EIO))

        self.ended()
        self.patch(os, "fsync", failing)
        self.assertRaises(OSError, self.store.sync, "a-1")
        self.assertNotIn("synced", self.records.read_text())

    def test_forgotten_is_bounded(self) -> None:
        """
        The list of forgotten ids is bounded, in memory and on disk, and keeps the latest.
        """
        self.patch(command_store, "MOST_FORGOTTEN", 10)
        for number in range(100):
            self.store.forget(f"a-{number}")
        self.assertLess(len(self.records.read_text().splitlines()), 25)
        again = self.again()
        self.assertTrue(all(again.forgot(f"a-{number}") for number in range(90, 100)))
        self.assertFalse(again.forgot("a-1"))

    def test_records_are_bounded(self) -> None:
        """
        Records of commands that are forgotten are dropped in time; those of the others are kept.
        """
        self.patch(command_store, "_GROWTH", 1000)
        self.store = self.again()
        self.store.claim("b", "f", [])
        for number in range(100):
            self.store.claim(f"a-{number}", "f" * 100, [])
            self.store.forget(f"a-{number}")
        self.assertNotIn("f" * 100, self.records.read_text().splitlines()[0])
        self.assertLess(self.records.stat().st_size, 100 * 50 + 2 * 1000)
        again = self.again()
        self.assertEqual([id for id, *_ in again.found()], ["b"])
        self.assertTrue(all(again.forgot(f"a-{number}") for number in range(100)))

    def test_torn_list_of_the_forgotten(self) -> None:
        """
        An incomplete line in the list of forgotten ids, after a full disk or a power failure, affects no other id
        (Invariant I1).
        """
        self.store.forget("a-1")
        with self.records.open("a") as lines:
            lines.write('{"record":"forgotten","id":"a-2')
        self.store.forget("a-3")
        again = self.again()
        self.assertEqual([again.forgot(id) for id in ("a-1", "a-2", "a-3")], [True, False, True])

    def test_directories_are_synced(self) -> None:
        """
        A claim is synced with the directory of its file, also the first claim (Invariant I1).
        """
        synced: list[str] = []
        for name in ("fsync", "fdatasync"):
            self.patch(os, name, lambda fd: synced.append(os.readlink(f"/proc/self/fd/{fd}")))
        home = os.path.join(os.path.realpath(self.directory), "new")
        os.mkdir(home)
        store = CommandStore(home)
        self.addCleanup(store.close)
        store.claim("a-1", "f", [])
        claims = os.path.join(home, "claims")
        self.assertEqual(synced, [home, f"{claims}.new", home, claims])

    def test_unreadable_spool(self) -> None:
        """
        An unreadable spool does not keep the next keeper from starting.
        """
        self.store.claim("a-1", "f", ["stdio"])
        os.makedirs(spool_path(self.directory, "a-1", "stdio"))
        self.assertEqual(self.store.seals("a-1"), {})


class OutputTests(SynchronousTestCase):
    """
    Spools with as much space as the test sets.
    """

    def setUp(self) -> None:
        """
        An output of two streams.
        """
        self.room = 1000
        self.written: dict[str, bytes] = {"stdio": b"", "log": b""}
        self.events: list[str] = []

    def output(self, cap: int | None = None, secrets: list[bytes] | None = None) -> Output:
        """
        Return an output.
        """
        return Output(
            list(self.written),
            secrets=secrets or [],
            cap=cap,
            open_spool=lambda stream: _LimitedSpool(self, stream),
            callbacks=OutputCallbacks(
                grew=lambda: self.events.append("grew"),
                capped=lambda: self.events.append("capped"),
                stalled=lambda: self.events.append("stalled"),
                failed=self.events.append,
            ),
        )

    def test_full_for_a_while(self) -> None:
        """
        Bytes that found no space are written later, in order, and no byte twice.
        """
        output = self.output()
        self.room = 3
        output.accept("stdio", b"abcdef")
        self.assertTrue(output.stalled())
        self.assertFalse(output.retry())
        self.room = 1000
        self.assertTrue(output.retry())
        output.accept("stdio", b"ghi")
        self.assertEqual(self.written["stdio"], b"abcdefghi")
        self.assertEqual(self.events, ["grew", "stalled", "stalled", "grew", "grew"])

    def test_cap(self) -> None:
        """
        The cap applies to all streams together and is exact; bytes that the masker holds back count.
        """
        output = self.output(cap=10, secrets=[b"secret1"])
        output.accept("stdio", b"12345")
        output.accept("log", b"12secret1")
        output.accept("stdio", b"more")
        output.flush()
        self.assertEqual(self.written, {"stdio": b"12345", "log": b"12sec"})
        self.assertEqual(self.events.count("capped"), 1)

    def test_exactly_the_cap(self) -> None:
        """
        Output of exactly the cap is allowed.
        """
        output = self.output(cap=5)
        output.accept("stdio", b"12345")
        self.assertNotIn("capped", self.events)

    def test_full_at_the_end(self) -> None:
        """
        Bytes that the masker held back may find no space, either; the retry writes them.
        """
        output = self.output(secrets=[b"secret1"])
        output.accept("stdio", b"12sec")
        self.room = 0
        output.flush()
        self.assertTrue(output.stalled())
        self.room = 10
        self.assertTrue(output.retry())
        self.assertEqual(self.written["stdio"], b"12sec")


class _LimitedSpool:
    """
    A spool with limited space.
    """

    def __init__(self, test: OutputTests, stream: str) -> None:
        self._test = test
        self._stream = stream
        self.length = 0

    def append(self, data: bytes) -> tuple[int, OSError | None]:
        """
        Write as much as fits.
        """
        fits = data[: self._test.room]
        self._test.room -= len(fits)
        self._test.written[self._stream] += fits
        self.length += len(fits)
        return len(fits), None if len(fits) == len(data) else OSError(errno.ENOSPC, "full")

    def seal(self) -> dict[str, object]:
        return {"length": self.length, "sha256": ""}
