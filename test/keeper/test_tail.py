"""
Followed log files: copied while a command writes them.
"""

import os
import time
from itertools import pairwise

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.keeper.tail import LogTail
from buildbot_lite.model.outcome import Outcome
from buildbot_lite.model.spec import Run, secret_reference

from ..growing_limits import within_limits
from .keeper_harness import KeeperHarness


class LogTailTests(SynchronousTestCase):
    def setUp(self) -> None:
        """
        A path to follow, in a directory of its own.
        """
        self.path = os.path.join(self.mktemp(), "test.log")
        os.makedirs(os.path.dirname(self.path))
        self.taken = b""
        self.remarks: list[tuple[int, str]] = []
        self.room = True

    def log_tail(self) -> LogTail:
        """
        Return a `LogTail` of the file.
        """

        def accept(stream: str, data: bytes) -> bool:
            self.taken += data
            return self.room

        return LogTail(
            "log", self.path, accept=accept, remark=lambda _stream, at, text: self.remarks.append((at, text))
        )

    def write(self, data: bytes, mode: str = "ab") -> None:
        """
        Write to the file.
        """
        with open(self.path, mode) as log:
            log.write(data)

    def finish(self, log_tail: LogTail) -> None:
        """
        Read the file to its end.
        """
        while log_tail.finish():
            pass

    def test_appended(self) -> None:
        """
        Appended bytes are copied once.
        """
        log_tail = self.log_tail()
        for word in (b"one\n", b"two\n"):
            self.write(word)
            while log_tail.poll():
                pass
        self.finish(log_tail)
        self.finish(log_tail)
        self.assertEqual(self.taken, b"one\ntwo\n")
        self.assertEqual(self.remarks, [(0, "test.log appeared.")])

    def test_written_anew(self) -> None:
        """
        A file that was truncated and grew beyond its former length between two reads is read from its beginning, each
        time.
        """
        self.write(b"the tests of yesterday\n")
        log_tail = self.log_tail()
        for today in (b"the tests of today, which are more than those were\n", b"and once more, " * 20):
            self.write(today, "wb")
            while log_tail.poll():
                pass
            self.assertTrue(self.taken.endswith(today))
        self.finish(log_tail)
        self.assertEqual(self.taken.count(b"tests"), 1)
        self.assertIn("was overwritten", self.remarks[-1][1])

    def test_there_before(self) -> None:
        """
        The bytes from before the command's start are skipped, and a remark says so.
        """
        self.write(b"of yesterday\n")
        log_tail = self.log_tail()
        self.write(b"new\n")
        self.finish(log_tail)
        self.assertEqual(self.taken, b"new\n")
        self.assertEqual(self.remarks, [(0, "test.log existed before; its first 13 bytes are not shown.")])

    def test_rotated(self) -> None:
        """
        When the file is rotated, the rest of the old file is copied before the new one.
        """
        log_tail = self.log_tail()
        self.write(b"one\n")
        while log_tail.poll():
            pass
        self.write(b"two\n")
        os.rename(self.path, self.path + ".1")
        self.write(b"three\n")
        self.finish(log_tail)
        self.assertEqual(self.taken, b"one\ntwo\nthree\n")
        self.assertEqual(
            self.remarks[1], (8, "test.log was replaced by another file, which is read from its beginning.")
        )

    def test_truncated(self) -> None:
        """
        A truncated file is read from its beginning again.
        """
        log_tail = self.log_tail()
        self.write(b"one two three\n")
        while log_tail.poll():
            pass
        self.write(b"four\n", "wb")
        self.finish(log_tail)
        self.assertEqual(self.taken, b"one two three\nfour\n")
        self.assertEqual(self.remarks[1], (14, "test.log was truncated; it is read from its beginning again."))

    def test_no_room(self) -> None:
        """
        Without space for more output the tail stops, and continues at the same place.
        """
        log_tail = self.log_tail()
        self.write(b"x" * 600_000)
        self.room = False
        self.assertFalse(log_tail.poll())
        self.assertLess(len(self.taken), 600_000)
        self.room = True
        self.finish(log_tail)
        self.assertEqual(len(self.taken), 600_000)

    def test_never_written(self) -> None:
        """
        A remark tells of a file that never appeared.
        """
        self.finish(self.log_tail())
        self.assertEqual(self.remarks, [(0, "test.log was never written.")])

    def test_not_regular(self) -> None:
        """
        A file that is not regular is not read, and does not block.
        """
        os.mkfifo(self.path)
        self.finish(self.log_tail())
        self.assertEqual(self.remarks, [(0, "test.log is not a regular file; it is not followed.")])


class FollowedLogTests(SynchronousTestCase):
    arguments: tuple[str, ...] = ()

    def setUp(self) -> None:
        """
        A keeper and a client.
        """
        self.harness = KeeperHarness(*self.arguments)
        self.addCleanup(self.harness.close)
        self.harness.start_keeper()
        self.client = self.harness.client()

    def test_followed(self) -> None:
        """
        A followed log is a stream of its own, available while the command runs.
        """
        run = Run(
            script="mkdir -p out; echo one > out/test.log; read x; echo two >> out/test.log",
            logfiles={"tests/all": "out/test.log"},
            stdin=None,
        )
        fifo = os.path.join(self.harness.directory, "fifo")
        os.mkfifo(fifo)
        self.client.start("a-1", Run(script=f"exec <{fifo}; {run.script}", logfiles=run.logfiles))
        with open(fifo, "w") as door:
            self.client.wait_for_output("a-1", b"one\n", "tests/all")
            door.write("go\n")
        outcome: Outcome = self.client.ended("a-1")
        self.assertEqual(self.harness.spool("a-1", "tests/all"), b"one\ntwo\n")
        self.assertEqual([remark.stream for remark in outcome.remarks], ["tests/all"])

    def test_masked_and_capped(self) -> None:
        """
        Secrets in a followed log are masked, and its bytes count towards the cap.
        """
        run = Run(
            script='echo "$T" > test.log; head -c 100000 /dev/zero >> test.log; sleep 600',
            env={"T": secret_reference("token")},
            logfiles={"log": "test.log"},
            cap=50_000,
        )
        outcome = self.client.run("a-1", run, {"token": "hush-hush"})
        self.assertEqual(outcome.streams["log"].length, 50_000)
        self.assertTrue(self.harness.spool("a-1", "log").startswith(b"*********\n\0\0"))

    def test_counts_as_output(self) -> None:
        """
        Output to the followed log alone keeps the command's timeout from expiring.
        """

        def attempt(seconds: float) -> Outcome | None:
            id = f"a-{seconds:g}"
            # The lines have their times, in hundredths of a second since the machine was started (proc_uptime(5)).
            script = f"for i in $(seq 12); do read up _ </proc/uptime; echo $up >>{id}.log; sleep {seconds / 8}; done"
            began = time.clock_gettime(time.CLOCK_BOOTTIME)
            outcome = self.client.run(id, Run(script=script, logfiles={"log": f"{id}.log"}, timeout=seconds))
            ended = time.clock_gettime(time.CLOCK_BOOTTIME)
            times = [began, *map(float, self.harness.spool(id, "log").split()), ended]
            longest = max(after - before for before, after in pairwise(times))
            return outcome if outcome.succeeded or longest < seconds / 2 else None

        self.assertTrue(within_limits(attempt).succeeded)


class PolledLogTests(FollowedLogTests):
    """
    The tests above, without inotify.
    """

    arguments = ("--without=inotify",)
