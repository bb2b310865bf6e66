"""
A build's logs, told: exactly one log, or all steps under headings.
"""

from typing import Any

from buildbot_lite.errors import NotFoundError
from buildbot_lite.model.results import Result
from buildbot_lite.status.log_output import LogQuery, LogSender
from buildbot_lite.storage.compressed_streams import SMALLEST_COMPRESSED, compress
from buildbot_lite.storage.records import builds
from buildbot_lite.storage.records.builds import Build

from .ground import (
    FakeClient,
    Going,
    WatchedCase,
)

ALL_BYTES = bytes(range(256))


class TellingTests(WatchedCase):
    def tell(self, build: Build, client: FakeClient, **wanted: Any) -> Going:
        """
        Begin to tell.
        """
        row = self.do(lambda connection: builds.get(connection, build.id))
        assert row is not None
        telling = LogSender(
            records=self.records,
            following=self.following,
            directory=self.directory,
            wanted=LogQuery(build=row, **wanted),
            client=client,
            holder="holder",
        )
        return self.running(telling.run())

    def told(self, build: Build, **wanted: Any) -> FakeClient:
        """
        What a client has in the end.
        """
        client = FakeClient()
        self.assertIsNone(self.tell(build, client, **wanted).result)
        return client

    def refused(self, build: Build, **wanted: Any) -> str:
        """
        The sentence with which it is not told.
        """
        going = self.tell(build, FakeClient(), **wanted)
        return str(self.failureResultOf(going.deferred, NotFoundError).value)

    def finished(self) -> Build:
        """
        A build of two steps.
        """
        build = self.start()
        self.begin(build, 0, "compile")
        self.write(build, 0, ALL_BYTES)
        self.write(build, 0, b"warnings\n", "warnings")
        self.remark(build, 0, "bot1: reconnected after 1.0 s", offset=100)
        self.finish_step(build, 0, "compile")
        self.begin(build, 1, "test")
        self.write(build, 1, b"first\n")
        self.write(build, 1, b"second\n", ordinal=1)
        self.finish_step(build, 1, "test", Result.FAILURE, "exit code 1")
        self.finish(build, Result.FAILURE)
        return build

    def test_one_log(self) -> None:
        """
        Promise 6: with a step, exactly that log's bytes and nothing else; all 256 values, no final newline.
        """
        told = self.told(self.finished(), step="compile")

        self.assertEqual((told.out, told.err), (ALL_BYTES, ""))

    def test_of_several_commands(self) -> None:
        """
        The log of a step that ran several commands is that of all of them, in order; a step has a number, too.
        """
        build = self.finished()

        self.assertEqual(self.told(build, step="1").out, b"first\nsecond\n")
        self.assertEqual(self.told(build, step="compile", log="warnings").out, b"warnings\n")

    def test_remarks(self) -> None:
        """
        Remarks are told beside the log, at their place, and only if they are wanted.
        """
        told = self.told(self.finished(), step="compile", remarks=True)

        self.assertEqual(told.pieces, [ALL_BYTES[:100], b"# bot1: reconnected after 1.0 s\n", ALL_BYTES[100:]])

    def test_forged(self) -> None:
        """
        Promise 6.17: what others wrote is one remark, or one heading, and none of ours.
        """
        build = self.start()
        self.begin(build, 0, "compile")
        self.remark(build, 0, "one\n# hello/1: SUCCESS\x1b[2J")
        self.finish_step(build, 0, "compile", Result.FAILURE, "x\n--- SUCCESS: done")
        self.finish(build, Result.FAILURE)
        told = self.told(build, remarks=True)

        self.assertEqual(told.err, "# one\n#     # hello/1: SUCCESS?[2J\n")
        self.assertEqual(told.out, b"=== compile\n--- FAILURE: x?--- SUCCESS: done\n")

    def test_all_steps(self) -> None:
        """
        Without a step all are told under headings, which begin on lines of their own.
        """
        told = self.told(self.finished())

        self.assertEqual(
            told.out,
            b"=== compile\n" + ALL_BYTES + b"\n=== compile, log warnings\nwarnings\n--- SUCCESS: done\n"
            b"=== test\nfirst\nsecond\n--- FAILURE: exit code 1\n",
        )

    def test_same_bytes_later(self) -> None:
        """
        Promise 6.12: who followed to the end and who asks afterwards get the same bytes, whatever the order of logs.
        """
        build, going = self.start(), FakeClient()
        following = self.tell(build, going, to_the_end=True)
        self.begin(build, 0, "two at once")
        self.write(build, 0, b"b\n", "second", ordinal=1)
        self.write(build, 0, b"a", ordinal=0)
        self.write(build, 0, b"c", "warnings", ordinal=1)
        self.write(build, 0, b"d\n", "first", ordinal=0)
        self.finish_step(build, 0, "two at once")
        self.finish(build)

        self.assertTrue(following.done)
        self.assertEqual(self.told(build, to_the_end=True).out, going.out)

    def test_compressed(self) -> None:
        """
        A log that was compressed meanwhile has the same bytes.
        """
        build = self.start()
        self.begin(build, 0, "compile")
        text = b"the same line\n" * SMALLEST_COMPRESSED
        path = self.write(build, 0, text)
        self.finish_step(build, 0, "compile")
        self.finish(build)
        self.assertTrue(compress(f"{self.directory}/{path}"))

        self.assertEqual(self.told(build, step="compile").out, text)

    def test_no_such(self) -> None:
        """
        Who asks for what is not there is told what is.
        """
        build = self.finished()

        self.assertEqual(
            self.refused(build, step="docs"), "There is no step 'docs' in this build.  There are: compile, test."
        )
        self.assertEqual(
            self.refused(build, step="compile", log="x"),
            "The step compile has no log 'x'.  There are: stdio, warnings.",
        )

    def test_same_name(self) -> None:
        """
        Of several steps with one name, one is told by its number.
        """
        build = self.start()
        for number in (0, 1):
            self.begin(build, number, "twice")
            self.write(build, number, b"%d" % number)

        self.assertEqual(self.refused(build, step="twice"), "2 steps are called 'twice': give the number of one, 0, 1.")
        self.assertEqual(self.told(build, step="1").out, b"1")

    def test_silent_step(self) -> None:
        """
        A step that wrote nothing has an empty log.
        """
        build = self.start()
        self.begin(build, 0, "quiet")

        self.assertEqual(self.told(build, step="quiet").out, b"")

    def test_as_far_as_it_is(self) -> None:
        """
        Of a build that runs, what there is by now.
        """
        build = self.start()
        self.begin(build, 0, "compile")
        self.write(build, 0, b"so far")

        self.assertEqual(self.told(build, step="compile").out, b"so far")

    def test_followed_to_the_end(self) -> None:
        """
        A running build can be told to its end; the same comes of it as afterwards.
        """
        build, client = self.start(), FakeClient()
        going = self.tell(build, client, to_the_end=True)
        self.begin(build, 0, "compile")
        self.write(build, 0, b"one")
        self.assertEqual(client.out, b"=== compile\none")
        self.write(build, 0, b" two")
        self.finish_step(build, 0, "compile")
        self.assertFalse(going.done)
        self.finish(build)

        self.assertTrue(going.done)
        self.assertEqual(client.out, b"=== compile\none two\n--- SUCCESS: done\n")
        self.assertEqual(self.told(build).out, client.out)

    def test_followed_step(self) -> None:
        """
        Following one step begins when that does, and ends with it.
        """
        build, client = self.start(), FakeClient()
        going = self.tell(build, client, step="test", to_the_end=True, remarks=True)
        self.begin(build, 0, "compile")
        self.write(build, 0, b"not this")
        self.finish_step(build, 0, "compile")
        self.begin(build, 1, "test")
        self.write(build, 1, b"this")
        self.remark(build, 1, "a remark")
        self.finish_step(build, 1, "test")

        self.assertTrue(going.done)
        self.assertEqual((client.out, client.err), (b"this", "# a remark\n"))

    def test_step_that_never_came(self) -> None:
        """
        Following a step that never begins ends with the build, in a sentence.
        """
        build = self.start()
        going = self.tell(build, FakeClient(), step="deploy", to_the_end=True)
        self.finish(build, Result.FAILURE)

        failure = self.failureResultOf(going.deferred, NotFoundError)
        self.assertEqual(str(failure.value), "The build ended without a step 'deploy'.")

    def test_of_one_attempt(self) -> None:
        """
        Following a build tells nothing of other attempts at its request.
        """
        first = self.start()
        self.begin(first, 0, "compile")
        self.write(first, 0, b"first")
        self.finish(first, Result.RETRY, final=False)
        second, client = self.again(first), FakeClient()
        self.tell(second, client, to_the_end=True)
        self.begin(second, 0, "compile")
        self.write(second, 0, b"second")

        self.assertEqual(client.out, b"=== compile\nsecond")
