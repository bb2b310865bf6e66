"""
Line numbers and offsets.
"""

import os
from collections.abc import Callable, Sequence
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.storage import compressed_streams
from buildbot_lite.storage.compressed_streams import StreamReader, compress, open_stream
from buildbot_lite.web.logs import line_index
from buildbot_lite.web.logs.line_index import LineIndexes
from buildbot_lite.web.logs.line_numbers import LineNumbers
from buildbot_lite.web.logs.log_reader import LogPart, LogReader


def at_once(function: Callable[[], Any]) -> Deferred[Any]:
    """
    Runs *function* without a thread.
    """
    return succeed(function())


class Later:
    """
    Runs functions when the test wants them to run.
    """

    def __init__(self) -> None:
        self.waiting: list[tuple[Callable[[], Any], Deferred[Any]]] = []

    def __call__(self, function: Callable[[], Any]) -> Deferred[Any]:
        result: Deferred[Any] = Deferred()
        self.waiting.append((function, result))
        return result

    def run(self) -> None:
        """
        Run the next function.
        """
        function, result = self.waiting.pop(0)
        result.callback(function())


class LineNumbersTests(SynchronousTestCase):
    def setUp(self) -> None:
        # Small blocks, so that small files have many.
        self.patch(line_index, "BLOCK", 16)
        self.patch(line_index, "PIECE", 64)

    def parts(self, *contents: bytes) -> list[LogPart]:
        """
        Stream files with these *contents*, every second one compressed.
        """
        self.patch(compressed_streams, "SMALLEST_COMPRESSED", 0)
        directory = self.mktemp()
        os.makedirs(directory)
        parts = []
        for number, content in enumerate(contents):
            path = os.path.join(directory, str(number))
            with open(path, "wb") as file:
                file.write(content)
            if number % 2:
                compress(path, frame=32)
            parts.append(LogPart(path, len(content)))
        return parts

    def log(self, parts: Sequence[LogPart]) -> LogReader:
        """
        The log of *parts*, which is closed after the test.
        """
        log = LogReader(parts)
        self.addCleanup(log.close)
        return log

    @given(
        st.lists(st.lists(st.sampled_from([b"\n", b"line\n", b"x" * 40, b"y" * 15 + b"\n"])).map(b"".join), max_size=4)
    )
    def test_numbers_and_offsets(self, contents: list[bytes]) -> None:
        """
        Every line is found by its number, and every byte is in the line with its number, over all parts of a log.
        """
        text = b"".join(contents)
        log = self.log(self.parts(*contents))
        numbers = LineNumbers(LineIndexes(at_once))
        self.assertEqual(log.read(0, len(text) + 1), text)
        starts = [0, *(index + 1 for index, byte in enumerate(text) if byte == ord("\n"))]
        for number, start in enumerate(starts, 1):
            found = self.successResultOf(Deferred.fromCoroutine(numbers.offset_of_line(log, number)))
            self.assertEqual(found, start if start < len(text) or number == 1 else None)
        for offset in range(len(text)):
            self.assertEqual(numbers.line_at(log, offset), text.count(b"\n", 0, offset) + 1)
        self.assertIsNone(self.successResultOf(Deferred.fromCoroutine(numbers.offset_of_line(log, len(starts) + 1))))

    def test_many_parts(self) -> None:
        """
        Of a log with many parts that are counted, at most the one with the byte is opened.
        """
        parts = self.parts(*[b"one\ntwo\n"] * 20)
        numbers = LineNumbers(LineIndexes(at_once))
        opened = []

        def open_noted(path: str) -> StreamReader:
            opened.append(path)
            return open_stream(path)

        self.assertEqual(numbers.line_at(LogReader(parts, open_noted), 8 * 20 - 1), 40)
        self.assertLessEqual(set(opened), {parts[-1].path})

    def test_growing(self) -> None:
        """
        When a file has grown, only its new bytes are counted.
        """
        [part] = self.parts(b"one\ntwo\n" * 10)
        numbers = LineNumbers(LineIndexes(at_once))
        self.assertEqual(numbers.line_at(self.log([part]), 79), 20)
        with open(part.path, "r+b") as file:
            file.write(b"-")  # a second look would see that
            file.seek(0, os.SEEK_END)
            file.write(b"three\n" * 10)
        log = self.log([LogPart(part.path, part.length + 60)])
        self.assertEqual(numbers.line_at(log, 139), 30)
        self.assertEqual(self.successResultOf(Deferred.fromCoroutine(numbers.offset_of_line(log, 21))), 80)

    def test_while_it_is_counted(self) -> None:
        """
        What is counted has numbers while the rest is counted in pieces; readers of the rest wait, and share the count.
        """
        later = Later()
        log = self.log(self.parts(b"line\n" * 40))
        numbers = LineNumbers(LineIndexes(later))
        self.assertEqual((numbers.counted(log), numbers.line_at(log, 60)), (0, None))
        waiting = [Deferred.fromCoroutine(numbers.offset_of_line(log, 20)) for _ in range(2)]
        later.run()
        later.run()
        self.assertEqual((numbers.counted(log), numbers.line_at(log, 60)), (64, 13))
        for each in waiting:
            self.assertNoResult(each)
        later.run()
        for each in waiting:
            self.assertEqual(self.successResultOf(each), 95)
        self.assertEqual(len(later.waiting), 1)

    def test_removed(self) -> None:
        """
        A log whose file was removed while it was counted is not waited for.
        """
        later = Later()
        [part] = self.parts(b"line\n" * 40)
        numbers = LineNumbers(LineIndexes(later))
        log = self.log([part])
        waiting = Deferred.fromCoroutine(numbers.line_at_when_counted(log, 199))
        os.unlink(part.path)
        later.run()
        later.run()
        self.assertIsNone(self.successResultOf(waiting))

    def test_bounded_memory(self) -> None:
        """
        The tables of the files that were not used for the longest time are dropped.
        """
        parts = self.parts(*[b"line\n" * 40] * 6)
        indexes = LineIndexes(at_once, most_bytes=2000)
        tables = [indexes.of(part.path, part.length) for part in parts]
        self.assertTrue(all(table.counted == 200 for table in tables))
        self.assertIs(indexes.of(parts[-1].path, 200), tables[-1])
        self.assertIsNot(indexes.of(parts[0].path, 200), tables[0])
