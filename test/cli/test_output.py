"""
The writer that copies what a client follows to standard output and standard error.
"""

import fcntl
import os
from collections.abc import Callable
from pathlib import Path
from queue import Queue
from typing import Any
from unittest import SkipTest

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorFromThreads
from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from buildbot_lite.cli.output.printing import ERR, OUT
from buildbot_lite.cli.output.writer import OutputWriter
from buildbot_lite.errors import BuildbotLiteError

PATIENCE = 60.0


@implementer(IReactorFromThreads)
class FakeReactor:
    """
    A reactor that makes calls from other threads when the test says so.
    """

    def __init__(self) -> None:
        self._calls: Queue[tuple[Callable[..., Any], Any]] = Queue()

    def callFromThread(self, callable: Callable[..., Any], *args: object, **kwargs: object) -> None:  # noqa: A002 - the interface's name
        self._calls.put((callable, args[0]))

    def make_calls(self, count: int) -> None:
        """
        Make the next *count* calls, as soon as they are there.
        """
        for _ in range(count):
            call, argument = self._calls.get(timeout=PATIENCE)
            call(argument)


class OutputWriterTests(SynchronousTestCase):
    def setUp(self) -> None:
        """
        Two pipes.
        """
        self.reactor = FakeReactor()
        self.out, out = os.pipe()
        self.err, err = os.pipe()
        self.descriptors = {OUT: out, ERR: err}
        self.writer = OutputWriter(self.descriptors)
        self.take = self.writer.by(self.reactor)
        for descriptor in (self.out, self.err, out, err):
            self.addCleanup(os.close, descriptor)

    def test_in_order(self) -> None:
        """
        Several chunks may be in flight; they are written in order, and each is acknowledged after its write.
        """
        chunks = [b"1" + os.urandom(100_000) for _ in range(5)]
        taken = [self.take(chunk) for chunk in chunks]
        remark = self.take(b"2# remark\n")
        read = b""
        while len(read) < 500_000:
            read += os.read(self.out, 1 << 16)
        self.reactor.make_calls(6)

        self.assertEqual(read, b"".join(chunk[1:] for chunk in chunks))
        self.assertEqual(os.read(self.err, 100), b"# remark\n")
        for each in (*taken, remark):
            assert isinstance(each, Deferred)
            self.assertIsNone(self.successResultOf(each))

    def test_waits(self) -> None:
        """
        A chunk that the reader has not taken is not acknowledged.
        """
        first, second = self.take(b"1a"), self.take(b"1" + bytes(1 << 20))
        self.reactor.make_calls(1)
        assert isinstance(first, Deferred)
        assert isinstance(second, Deferred)
        self.assertIsNone(self.successResultOf(first))
        self.assertNoResult(second)
        read = 0
        while read < (1 << 20) + 1:
            read += len(os.read(self.out, 1 << 16))
        self.reactor.make_calls(1)
        self.assertIsNone(self.successResultOf(second))

    def test_large_pipe(self) -> None:
        """
        Promise 7.5: a pipe holds all that the master has in flight, so that the writer waits for its reader seldom.
        """
        try:
            fcntl.fcntl(self.err, fcntl.F_SETPIPE_SZ, 1 << 20)
        except (AttributeError, OSError) as error:
            raise SkipTest("no such pipes here") from error
        self.take(b"1a")
        self.reactor.make_calls(1)
        self.assertEqual(fcntl.fcntl(self.out, fcntl.F_GETPIPE_SZ), 1 << 20)

    def test_no_pipe(self) -> None:
        """
        Standard output may be a file.
        """
        path = self.mktemp()
        with open(path, "wb") as file:
            taken = OutputWriter({OUT: file.fileno()}).by(self.reactor)(b"1words")
            self.reactor.make_calls(1)
        assert isinstance(taken, Deferred)
        self.assertIsNone(self.successResultOf(taken))
        self.assertEqual(Path(path).read_bytes(), b"words")

    def test_closed(self) -> None:
        """
        After the reader has closed the pipe, nothing more is written, and the master gets an error.
        """
        os.dup2(self.err, self.out)  # closes the last reader of the first pipe
        taken = [self.take(b"1a"), self.take(b"2b")]
        self.reactor.make_calls(2)
        for each in taken:
            assert isinstance(each, Deferred)
            self.failureResultOf(each, BuildbotLiteError)
        self.assertIsInstance(self.writer.refused, BrokenPipeError)
