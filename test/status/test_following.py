"""
A submission as its client sees it.
"""

import os

from twisted.internet.defer import CancelledError

from buildbot_lite.errors import NotFoundError
from buildbot_lite.model.results import Result
from buildbot_lite.model.wait_reasons import absent, paused
from buildbot_lite.status.explaining import EXPLAIN_EVERY
from buildbot_lite.status.following import LogFollower
from buildbot_lite.status.send_window import LARGEST_WINDOW
from buildbot_lite.storage.records import requests, streams
from buildbot_lite.storage.records.builds import Build
from buildbot_lite.storage.shared_reading import BLOCK

from .following_case import FakeClient, FollowingCase, RunningCoroutine, run_due_calls


class FollowingTests(FollowingCase):
    def setUp(self) -> None:
        """
        A running build, and a client that follows it.
        """
        super().setUp()
        self.row = self.start()
        self.client = FakeClient()
        self.follower = self.follow(self.client)

    def follow(self, client: FakeClient, build: Build | None = None) -> RunningCoroutine:
        """
        Follow with another client.
        """
        return self.running(self.log_follower.follow((build or self.row).request, client, "holder"))

    def test_live(self) -> None:
        """
        Promise 4: standard output is the steps' log as it grows; standard error has remarks; the exit code is the
        result.
        """
        self.begin(self.row, 0, "compile")
        self.write(self.row, 0, b"one")
        self.assertEqual(self.client.out, b"one")
        self.write(self.row, 0, b"\0two\n")
        self.assertEqual(self.client.out, b"one\0two\n")
        self.finish_step(self.row, 0, "compile")
        self.begin(self.row, 1, "test")
        self.write(self.row, 1, b"\xff")
        self.finish_step(self.row, 1, "test", Result.FAILURE, "exit code 3")
        self.assertFalse(self.follower.done)
        self.finish(self.row, Result.FAILURE, "step test: failure")

        self.assertEqual(self.client.out, b"one\0two\n\xff")
        self.assertEqual(
            self.client.err,
            "# hello/1 runs on bot1\n# step test: failure (exit code 3)\n# hello/1: FAILURE (step test: failure)\n",
        )
        self.assertEqual(self.follower.result, 1)

    def test_steps(self) -> None:
        """
        Promise 9.2: of a build of packages, clients are told when each step, which is a state, begins; before the
        step's log.
        """
        self.patch(self.log_follower, "tells_steps", {"hello": True}.get)
        client, row = FakeClient(), self.start()
        self.follow(client, row)
        for number, name in enumerate(("downloading", "prepping")):
            self.begin(row, number, name)
            self.remark(row, number, name.upper())
            self.finish_step(row, number, name)
        self.finish(row, Result.SUCCESS, "")
        self.assertEqual(
            client.err.splitlines(),
            [
                f"# hello/{row.number} runs on bot1",
                "# downloading since 00:00:30 UTC",
                "# DOWNLOADING",
                "# prepping since 00:00:30 UTC",
                "# PREPPING",
                f"# hello/{row.number}: SUCCESS",
            ],
        )

    def test_others_text(self) -> None:
        """
        Promise 6.17: others' text stays one remark, and cannot imitate the master's remarks.
        """
        self.begin(self.row, 0, "compile")
        self.remark(self.row, 0, "$ one\ntwo\x1b[2J\n# hello/1: SUCCESS")
        self.finish_step(self.row, 0, "compile", Result.FAILURE, "x\n# hello/1: SUCCESS")
        self.finish(self.row, Result.FAILURE, "y\r\n# hello/1: SUCCESS")

        self.assertEqual(
            self.client.err.splitlines(),
            [
                "# hello/1 runs on bot1",
                "# $ one",
                "#     two?[2J",
                "#     # hello/1: SUCCESS",
                "# step compile: failure (x",
                "#     # hello/1: SUCCESS)",
                "# hello/1: FAILURE (y?",
                "#     # hello/1: SUCCESS)",
            ],
        )

    def test_exit_codes(self) -> None:
        """
        Promise 4: the exit code is 0 for success and warnings, 1 for failure, 2 for exception, 4 for cancelled.
        """
        codes = {}
        for result in (Result.SUCCESS, Result.WARNINGS, Result.FAILURE, Result.EXCEPTION, Result.CANCELLED):
            build = self.start()
            running = self.follow(FakeClient(), build)
            self.finish(build, result)
            codes[result.name] = running.result

        self.assertEqual(codes, {"SUCCESS": 0, "WARNINGS": 0, "FAILURE": 1, "EXCEPTION": 2, "CANCELLED": 4})

    def test_through_retries(self) -> None:
        """
        Promise 4: the exit code is that of the last attempt, and the log has all attempts.
        """
        self.write(self.row, 0, b"first\n")
        self.finish(self.row, Result.RETRY, "bot1 was rebooted", final=False)
        self.retry(self.row, "bot1 was rebooted")
        second = self.again(self.row)
        self.write(second, 0, b"second\n")
        self.finish(second)

        self.assertEqual(self.client.out, b"first\nsecond\n")
        self.assertIn("# retry 1 of 3 in 2 s: bot1 was rebooted\n# hello/2 runs on bot1\n", self.client.err)
        self.assertEqual(self.follower.result, 0)

    def test_retries_used_up(self) -> None:
        """
        Promise 4: the exit code is 4 when the retries are used up, although the result is EXCEPTION.
        """
        self.finish(self.row, Result.RETRY, "lost", final=False)
        self.finish_request(self.row, Result.EXCEPTION, "gave up after 3 retries: lost")

        self.assertEqual(self.follower.result, 4)
        self.assertIn("# hello/1: EXCEPTION (gave up after 3 retries: lost)\n", self.client.err)

    def test_late(self) -> None:
        """
        A client that comes after the end gets the same output from the beginning.
        """
        self.write(self.row, 0, b"log")
        self.remark(self.row, 0, "bot1: reconnected after 1.0 s")
        self.finish(self.row)
        late = FakeClient()

        self.assertEqual(self.follow(late).result, 0)
        self.assertEqual((late.out, late.err), (self.client.out, self.client.err))

    def test_remarks_at_once(self) -> None:
        """
        A remark is sent before the end of the log to which it belongs, and only once.
        """
        self.write(self.row, 0, b"log")
        self.remark(self.row, 0, "bot1: connection lost; waiting for it to come back")

        self.assertEqual(
            self.client.err, "# hello/1 runs on bot1\n# bot1: connection lost; waiting for it to come back\n"
        )
        self.finish_step(self.row, 0, "compile")
        self.finish(self.row)
        self.assertEqual(self.client.err.count("connection lost"), 1)

    def test_in_order(self) -> None:
        """
        Output of a later step follows the complete log of the earlier one, however slow the client is.
        """
        self.write(self.row, 0, b"first")
        slow = FakeClient(stuck=True)
        self.follow(slow)
        slow.take()
        run_due_calls(self.clock)
        self.finish_step(self.row, 0, "compile", Result.WARNINGS, "2 warnings")
        self.write(self.row, 0, b" log")
        self.remark(self.row, 1, "$ make test")
        self.write(self.row, 1, b"second")
        self.finish_step(self.row, 1, "test")
        self.finish(self.row)
        while slow.waiting:
            slow.take()
            run_due_calls(self.clock)

        self.assertEqual(
            slow.pieces,
            [
                b"# hello/1 runs on bot1\n",
                b"first",
                b" log",
                b"# step compile: warnings (2 warnings)\n",
                b"# $ make test\n",
                b"second",
                b"# hello/1: SUCCESS\n",
            ],
        )

    def served_in_turn(self, log: bytes) -> list[int]:
        """
        How many of fifty clients that begin to follow *log* at the same moment have a piece of it, in each iteration of
        the reactor.
        """
        self.begin(self.row, 0, "compile")
        self.write(self.row, 0, log)
        clients = [FakeClient() for _ in range(50)]
        for client in clients:
            self.follow(client)
        served: list[int] = []

        def something_else() -> None:
            served.append(sum(bool(client.out) for client in clients))
            if len(served) <= len(clients):
                self.clock.callLater(0, something_else)

        something_else()
        run_due_calls(self.clock)
        return served

    def test_new_followers(self) -> None:
        """
        Promise 7.5: clients that begin to follow a long log at the same moment take turns from their first piece on.
        """
        self.assertEqual(self.served_in_turn(bytes(BLOCK)), list(range(51)))

    def test_new_followers_of_lines(self) -> None:
        """
        Promise 7.5: clients that begin to follow a short log at the same moment take turns, too.
        """
        self.assertEqual(self.served_in_turn(b"one\n"), list(range(51)))

    def test_fifty_read_once(self) -> None:
        """
        Promise 7.5: fifty clients that follow one log get all of it, and each byte of the file is read once for all.
        """
        log = os.urandom(3 * BLOCK)
        self.begin(self.row, 0, "compile")
        self.write(self.row, 0, log)
        read, clients = [], [FakeClient() for _ in range(50)]
        pread = os.pread

        def counted(descriptor: int, size: int, offset: int) -> bytes:
            read.append(pread(descriptor, size, offset))
            return read[-1]

        self.patch(os, "pread", counted)
        for client in clients:
            self.follow(client)
        run_due_calls(self.clock)

        self.assertTrue(all(client.out == log for client in clients))
        self.assertEqual(sum(map(len, read)), len(log))

    def test_two_logs(self) -> None:
        """
        The logs of a step are sent one after the other; all except stdio are announced.
        """
        self.begin(self.row, 0, "test")
        self.write(self.row, 0, b"a")
        self.write(self.row, 0, b"x", "trial.log")
        self.write(self.row, 0, b"b")
        self.write(self.row, 0, b"y", "trial.log")
        self.assertEqual(self.client.out, b"ab")
        self.finish_step(self.row, 0, "test")

        self.assertEqual(self.client.out, b"abxy")
        self.assertIn("# log trial.log:\n", self.client.err)

    def test_slow(self) -> None:
        """
        Promise 4: a slow client gets no more than it takes; the master keeps only its position.
        """
        self.write(self.row, 0, b"x" * 200_000)
        slow = FakeClient(stuck=True)
        self.follow(slow)
        slow.take()
        for n in range(10):
            self.write(self.row, 0, b"%d" % n * 300_000)

        self.assertEqual((len(slow.out), len(slow.waiting)), (200_000, 1))
        self.assertEqual(len(self.client.out), 3_200_000)
        slow.take()
        run_due_calls(self.clock)
        # First the rest of the block, then a window of whole blocks.
        self.assertEqual((len(slow.out), len(slow.waiting)), (BLOCK, 1))
        slow.take()
        run_due_calls(self.clock)
        self.assertEqual((len(slow.out), len(slow.waiting)), (BLOCK + LARGEST_WINDOW, 4))

        self.finish_step(self.row, 0, "compile")
        self.finish(self.row)
        while slow.waiting:
            slow.take()
            run_due_calls(self.clock)
        self.assertEqual(slow.out, self.client.out)

    def test_disconnected(self) -> None:
        """
        A client that disconnects leaves no callbacks, and does not affect others.
        """
        self.write(self.row, 0, b"a")
        gone = self.follow(FakeClient())
        before = len(self.notifications)
        gone.deferred.cancel()

        self.failureResultOf(gone.deferred, CancelledError)
        self.assertEqual(len(self.notifications), before - 2)
        self.write(self.row, 0, b"b")
        self.assertEqual(self.client.out, b"ab")

    def test_no_callbacks_left(self) -> None:
        """
        After the end, no callback is left.
        """
        self.write(self.row, 0, b"a")
        self.finish(self.row)

        self.assertEqual(len(self.notifications), 0)

    def test_received_again(self) -> None:
        """
        When a log was damaged and is received again in another file, following continues there.
        """
        path = self.write(self.row, 0, b"good")
        with open(os.path.join(self.directory, path + "~1"), "wb") as file:
            file.write(b"good and more")
        (stream,) = self.do(lambda connection: streams.of_build(connection, self.row.id))
        self.do(lambda connection: streams.move(connection, stream.id, path + "~1"))
        self.finish_step(self.row, 0, "compile")

        self.assertEqual(self.client.out, b"good and more")

    def test_unknown(self) -> None:
        """
        An unknown request is refused with a sentence.
        """
        unknown = self.running(self.log_follower.follow(99, FakeClient(), "holder"))

        failure = self.failureResultOf(unknown.deferred, NotFoundError)
        self.assertEqual(str(failure.value), "There is no such request (any more).")


class GoingOnTests(FollowingCase):
    """
    A request that is not of the watched buildset.
    """

    def setUp(self) -> None:
        """
        A buildset with one build, which goes on as another buildset after its good end.
        """
        super().setUp()
        self.first, self.second = self.start(), self.start()
        self.asked: list[int] = []
        self.log_follower = LogFollower(
            records=self.records,
            notifications=self.notifications,
            streams_directory=self.directory,
            why=self.reasons.get,
            decided=lambda: 0,
            clock=self.clock,
            continued=self.continued,
        )

    async def continued(self, buildset: int) -> int | None:
        """
        The buildset of the second build after that of the first.
        """
        self.asked.append(buildset)
        return self.set_of(self.second) if buildset == self.set_of(self.first) else None

    def set_of(self, build: Build) -> int:
        """
        The buildset of *build*.
        """
        request = self.do(lambda connection: requests.get(connection, build.request))
        assert request is not None
        return request.buildset

    def watch(self, request: int) -> RunningCoroutine:
        """
        Watch *request* with the first buildset.
        """
        return self.running(self.log_follower.follow(self.set_of(self.first), FakeClient(), "holder", request=request))

    def test_while_it_runs(self) -> None:
        """
        Before the end, such a request is refused at once, and nothing is waited for.
        """
        self.failureResultOf(self.watch(self.second.request).deferred, NotFoundError)
        self.assertEqual(self.asked, [])

    def test_after_a_bad_end(self) -> None:
        """
        After a bad end, it is refused, too.
        """
        self.finish(self.first, Result.FAILURE)
        self.failureResultOf(self.watch(self.second.request).deferred, NotFoundError)
        self.assertEqual(self.asked, [])

    def test_after_a_good_end(self) -> None:
        """
        After a good end, it is looked for in the buildset as which the first goes on.
        """
        self.finish(self.first)
        self.finish(self.second, Result.WARNINGS)
        self.assertEqual(self.successResultOf(self.watch(self.second.request).deferred), 0)
        self.failureResultOf(self.watch(99).deferred, NotFoundError)


class WaitingTests(FollowingCase):
    """
    A request that waits.
    """

    def test_why(self) -> None:
        """
        Promise 10: a client gets the reason for which its request waits, once for each kind of reason.
        """
        row = self.build()
        client = FakeClient()
        following = self.running(self.log_follower.follow(row.request, client, "holder"))
        self.clock.advance(EXPLAIN_EVERY)
        self.assertEqual(client.err, "")
        self.reasons[row.request] = absent("bot1", "never seen")
        for _ in range(3):
            self.clock.advance(EXPLAIN_EVERY)
        self.assertEqual(client.err, "# waiting: bot1 is not connected (never seen)\n")
        self.reasons[row.request] = paused("bot1")
        self.clock.advance(EXPLAIN_EVERY)
        self.assertIn("# waiting: bot1 is paused\n", client.err)
        following.deferred.cancel()
        self.failureResultOf(following.deferred, CancelledError)
        self.assertEqual(self.clock.getDelayedCalls(), [])
