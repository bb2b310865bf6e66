"""
The output of a build's logs: one log exactly, or all steps under headings.
"""

from typing import Any

from buildbot_lite.errors import NotFoundError
from buildbot_lite.model.results import Result
from buildbot_lite.status.log_output import LogQuery, LogSender
from buildbot_lite.storage.compressed_streams import SMALLEST_COMPRESSED, compress
from buildbot_lite.storage.records import builds
from buildbot_lite.storage.records.builds import Build

from .following_case import (
    FakeClient,
    FollowingCase,
    RunningCoroutine,
)

ALL_BYTES = bytes(range(256))


class LogSenderTests(FollowingCase):
    def send(self, build: Build, client: FakeClient, **wanted: Any) -> RunningCoroutine:
        """
        Start to send.
        """
        row = self.do(lambda connection: builds.get(connection, build.id))
        assert row is not None
        telling = LogSender(
            records=self.records,
            follower=self.log_follower,
            directory=self.directory,
            query=LogQuery(build=row, **wanted),
            client=client,
            holder="holder",
        )
        return self.running(telling.run())

    def output(self, build: Build, **wanted: Any) -> FakeClient:
        """
        A client after the complete output.
        """
        client = FakeClient()
        self.assertIsNone(self.send(build, client, **wanted).result)
        return client

    def refused(self, build: Build, **wanted: Any) -> str:
        """
        The sentence with which the query is refused.
        """
        running = self.send(build, FakeClient(), **wanted)
        return str(self.failureResultOf(running.deferred, NotFoundError).value)

    def finished(self) -> Build:
        """
        A finished build of two steps.
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
        Promise 6: with a step, the output is exactly that log's bytes, all 256 values, without an added newline.
        """
        client = self.output(self.finished(), step="compile")

        self.assertEqual((client.out, client.err), (ALL_BYTES, ""))

    def test_of_several_commands(self) -> None:
        """
        The log of a step with several commands is the concatenation of theirs; a step can be named by its number.
        """
        build = self.finished()

        self.assertEqual(self.output(build, step="1").out, b"first\nsecond\n")
        self.assertEqual(self.output(build, step="compile", log="warnings").out, b"warnings\n")

    def test_remarks(self) -> None:
        """
        With remarks=True, remarks are sent at their offsets.
        """
        client = self.output(self.finished(), step="compile", remarks=True)

        self.assertEqual(client.pieces, [ALL_BYTES[:100], b"# bot1: reconnected after 1.0 s\n", ALL_BYTES[100:]])

    def test_remarks_of_several_commands(self) -> None:
        """
        Offsets of remarks count over all commands of a step: those of a later one are sent within its output, and
        those behind the end of what is stored at the end of their log.
        """
        build = self.start()
        self.begin(build, 0, "compile")
        self.write(build, 0, b"first\n")
        self.write(build, 0, b"warning\n", "warnings")
        self.write(build, 0, b"second\n", ordinal=1)
        for text, offset in (("in the second", 9), ("between", 6), ("in the first", 2), ("lost", 100)):
            self.remark(build, 0, text, offset=offset)
        self.finish_step(build, 0, "compile")
        self.finish(build)
        client = self.output(build, step="compile", remarks=True)

        pieces = [
            b"fi",
            b"# in the first\n",
            b"rst\n",
            b"# between\n",
            b"sec",
            b"# in the second\n",
            b"ond\n",
            b"# lost\n",
        ]
        self.assertEqual(client.pieces, pieces)

    def test_others_text(self) -> None:
        """
        Promise 6.17: others' text stays one remark or one heading, and cannot imitate the master's.
        """
        build = self.start()
        self.begin(build, 0, "compile")
        self.remark(build, 0, "one\n# hello/1: SUCCESS\x1b[2J")
        self.finish_step(build, 0, "compile", Result.FAILURE, "x\n--- SUCCESS: done")
        self.finish(build, Result.FAILURE)
        client = self.output(build, remarks=True)

        self.assertEqual(client.err, "# one\n#     # hello/1: SUCCESS?[2J\n")
        self.assertEqual(client.out, b"=== compile\n--- FAILURE: x?--- SUCCESS: done\n")

    def test_all_steps(self) -> None:
        """
        Without a step, all steps are sent under headings, each on a new line.
        """
        client = self.output(self.finished())

        self.assertEqual(
            client.out,
            b"=== compile\n" + ALL_BYTES + b"\n=== compile, log warnings\nwarnings\n--- SUCCESS: done\n"
            b"=== test\nfirst\nsecond\n--- FAILURE: exit code 1\n",
        )

    def test_same_bytes_later(self) -> None:
        """
        Promise 6.12: following to the end, and reading afterwards, give the same bytes, whatever the order in which
        logs grew.
        """
        build, running = self.start(), FakeClient()
        following = self.send(build, running, to_the_end=True)
        self.begin(build, 0, "two at once")
        self.write(build, 0, b"b\n", "second", ordinal=1)
        self.write(build, 0, b"a", ordinal=0)
        self.write(build, 0, b"c", "warnings", ordinal=1)
        self.write(build, 0, b"d\n", "first", ordinal=0)
        self.finish_step(build, 0, "two at once")
        self.finish(build)

        self.assertTrue(following.done)
        self.assertEqual(self.output(build, to_the_end=True).out, running.out)

    def test_compressed(self) -> None:
        """
        A compressed log has the same bytes.
        """
        build = self.start()
        self.begin(build, 0, "compile")
        text = b"the same line\n" * SMALLEST_COMPRESSED
        path = self.write(build, 0, text)
        self.finish_step(build, 0, "compile")
        self.finish(build)
        self.assertTrue(compress(f"{self.directory}/{path}"))

        self.assertEqual(self.output(build, step="compile").out, text)

    def test_unknown_names(self) -> None:
        """
        An unknown step or log is refused with the existing names.
        """
        build = self.finished()

        self.assertEqual(self.refused(build, step="docs"), "This build has no step 'docs'.  There are: compile, test.")
        self.assertEqual(
            self.refused(build, step="compile", log="x"),
            "The step compile has no log 'x'.  There are: stdio, warnings.",
        )

    def test_same_name(self) -> None:
        """
        If several steps have one name, a step is chosen by its number.
        """
        build = self.start()
        for number in (0, 1):
            self.begin(build, number, "twice")
            self.write(build, number, b"%d" % number)

        self.assertEqual(self.refused(build, step="twice"), "2 steps are called 'twice': give the number of one, 0, 1.")
        self.assertEqual(self.output(build, step="1").out, b"1")

    def test_silent_step(self) -> None:
        """
        A step that wrote nothing has an empty log.
        """
        build = self.start()
        self.begin(build, 0, "quiet")

        self.assertEqual(self.output(build, step="quiet").out, b"")

    def test_running_build(self) -> None:
        """
        The log of a running build is sent as far as it has been written.
        """
        build = self.start()
        self.begin(build, 0, "compile")
        self.write(build, 0, b"so far")

        self.assertEqual(self.output(build, step="compile").out, b"so far")

    def test_followed_to_the_end(self) -> None:
        """
        A running build can be followed to its end, with the same output as afterwards.
        """
        build, client = self.start(), FakeClient()
        running = self.send(build, client, to_the_end=True)
        self.begin(build, 0, "compile")
        self.write(build, 0, b"one")
        self.assertEqual(client.out, b"=== compile\none")
        self.write(build, 0, b" two")
        self.finish_step(build, 0, "compile")
        self.assertFalse(running.done)
        self.finish(build)

        self.assertTrue(running.done)
        self.assertEqual(client.out, b"=== compile\none two\n--- SUCCESS: done\n")
        self.assertEqual(self.output(build).out, client.out)

    def test_followed_step(self) -> None:
        """
        Following one step begins and ends with that step.
        """
        build, client = self.start(), FakeClient()
        running = self.send(build, client, step="test", to_the_end=True, remarks=True)
        self.begin(build, 0, "compile")
        self.write(build, 0, b"not this")
        self.finish_step(build, 0, "compile")
        self.begin(build, 1, "test")
        self.write(build, 1, b"this")
        self.remark(build, 1, "a remark")
        self.finish_step(build, 1, "test")

        self.assertTrue(running.done)
        self.assertEqual((client.out, client.err), (b"this", "# a remark\n"))

    def test_step_that_never_came(self) -> None:
        """
        Following a step that never begins ends with the build, with a sentence.
        """
        build = self.start()
        running = self.send(build, FakeClient(), step="deploy", to_the_end=True)
        self.finish(build, Result.FAILURE)

        failure = self.failureResultOf(running.deferred, NotFoundError)
        self.assertEqual(str(failure.value), "The build ended without a step 'deploy'.")

    def test_of_one_attempt(self) -> None:
        """
        Following one build does not show other attempts at its request.
        """
        first = self.start()
        self.begin(first, 0, "compile")
        self.write(first, 0, b"first")
        self.finish(first, Result.RETRY, final=False)
        second, client = self.again(first), FakeClient()
        self.send(second, client, to_the_end=True)
        self.begin(second, 0, "compile")
        self.write(second, 0, b"second")

        self.assertEqual(client.out, b"=== compile\nsecond")
