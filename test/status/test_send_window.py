"""
Several pieces in flight to one client.
"""

from collections.abc import Callable
from functools import partial

from attrs import define, field
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import LinkLostError
from buildbot_lite.status.ingestion_first import IngestionFirst
from buildbot_lite.status.send_window import LARGEST_WINDOW, SendWindow
from buildbot_lite.storage.notifications import Notifications
from buildbot_lite.wire.flow_control import LARGEST_CHUNK, SMALLEST_CHUNK

from .following_case import run_due_calls


@define
class FakeLink:
    """
    A client behind a link: the pieces in flight, oldest first, and the pieces that have arrived.
    """

    clock: Clock
    in_flight: list[tuple[bytes, Deferred[None]]] = field(factory=list)
    arrived: list[bytes] = field(factory=list)
    writable: Deferred[None] | None = None

    def stdout(self, data: bytes) -> Deferred[None]:
        self.in_flight.append((data, Deferred()))
        return self.in_flight[-1][1]

    stderr = stdout

    def when_writable(self) -> Deferred[None]:
        return self.writable or succeed(None)

    @property
    def bytes_in_flight(self) -> int:
        return sum(len(data) for data, _ in self.in_flight)

    def deliver(self) -> None:
        """
        Deliver the oldest piece.
        """
        data, answer = self.in_flight.pop(0)
        self.arrived.append(data)
        answer.callback(None)
        run_due_calls(self.clock)


class SendWindowTests(SynchronousTestCase):
    def setUp(self) -> None:
        """
        A window, and no log.
        """
        self.clock = Clock()
        self.link = FakeLink(self.clock)
        self.window = SendWindow(
            self.link, self.clock, partial(IngestionFirst(Notifications(), self.clock).turn, "holder")
        )
        self.offset = 0
        self.copying: Deferred[None] = succeed(None)

    def copy(self, log: bytes | bytearray, read: Callable[[int], None] = lambda size: None) -> None:
        """
        Copy a log as a follower does, as far as possible.
        """

        async def copying() -> None:
            while size := min(self.window.chunk, len(log) - self.offset):
                await self.window.turn(size)
                data = log[self.offset : self.offset + size]
                read(len(data))
                self.offset += len(data)
                await self.window.stdout(bytes(data))
            await self.window.drained()

        self.copying = Deferred.fromCoroutine(copying())
        run_due_calls(self.clock)

    def teach_fast(self) -> None:
        """
        Teach the window that the link is fast.
        """
        self.copy(bytes(SMALLEST_CHUNK))
        self.clock.advance(0.001)
        self.link.deliver()
        self.successResultOf(self.copying)
        self.link.arrived.clear()
        self.offset = 0

    def test_first(self) -> None:
        """
        The first piece of a log is sent in the next turn and is small, because nothing is known about the link.
        """
        self.copy(bytes(1 << 20))

        self.assertEqual([len(data) for data, _ in self.link.in_flight], [SMALLEST_CHUNK])
        self.assertNoResult(self.copying)

    def test_several(self) -> None:
        """
        Promise 7.5: a fast link has several chunks in flight, and gets another for each that was taken.
        """
        self.teach_fast()
        self.copy(bytes(10 << 20))
        self.assertEqual([len(data) for data, _ in self.link.in_flight], [LARGEST_CHUNK] * 4)
        self.link.deliver()
        self.assertEqual(len(self.link.in_flight), 4)

    def test_remark_meanwhile(self) -> None:
        """
        A remark from another coroutine, while the log waits for room, delays both and stops neither.
        """
        self.copy(bytes(SMALLEST_CHUNK + 1))
        remark = Deferred.fromCoroutine(self.window.stderr(b"# waiting\n"))
        while self.link.in_flight:
            self.link.deliver()
        self.successResultOf(self.copying)
        self.successResultOf(remark)

    def test_lines_sent_together(self) -> None:
        """
        Lines that arrive while one is in flight are sent together after it was taken.
        """
        self.teach_fast()
        log = bytearray(b"one\n")
        self.copy(log)
        log += b"two\n"
        log += b"three\n"
        self.assertEqual([data for data, _ in self.link.in_flight], [b"one\n"])
        self.link.deliver()
        self.assertEqual([data for data, _ in self.link.in_flight], [b"two\nthree\n"])

    def test_does_not_read(self) -> None:
        """
        Promise 7.5: while the client's transport has not taken its bytes, nothing more is read.
        """
        self.teach_fast()
        self.link.writable = Deferred()
        sizes: list[int] = []
        self.copy(bytes(10 << 20), sizes.append)
        self.assertEqual(sizes, [LARGEST_CHUNK])
        writable, self.link.writable = self.link.writable, None
        writable.callback(None)
        run_due_calls(self.clock)
        self.assertEqual(sizes, [LARGEST_CHUNK] * 4)

    def test_lost(self) -> None:
        """
        The error of one piece is raised once, and no other piece is sent.
        """
        self.teach_fast()
        self.copy(bytes(10 << 20))
        lost, self.link.in_flight = self.link.in_flight, []
        for _, answer in lost:
            answer.errback(LinkLostError())

        self.failureResultOf(self.copying, LinkLostError)
        self.assertEqual(self.link.in_flight, [])
        self.failureResultOf(Deferred.fromCoroutine(self.window.stderr(b"# more\n")), LinkLostError)

    def test_remark(self) -> None:
        """
        A remark is sent in its place, after everything before it.
        """
        self.teach_fast()
        self.copy(bytes(LARGEST_CHUNK))
        remark = Deferred.fromCoroutine(self.window.stderr(b"# remark\n"))
        self.link.deliver()
        self.assertNoResult(remark)
        self.link.deliver()
        self.successResultOf(remark)
        self.assertEqual(self.link.arrived, [bytes(LARGEST_CHUNK), b"# remark\n"])

    @given(log=st.integers(0, 6 << 20), waits=st.lists(st.floats(0.0, 20.0), max_size=40))
    def test_any_link(self, log: int, waits: list[float]) -> None:
        """
        Promise 7.5: over links of any speed, each byte arrives once and in order, and at most a window is in flight.
        """
        self.setUp()
        text = bytes(n % 251 for n in range(997)) * (log // 997 + 1)
        self.copy(text[:log])
        most = 0
        while self.link.in_flight:
            most = max(most, self.link.bytes_in_flight)
            self.clock.advance(waits.pop() if waits else 0.01)
            self.link.deliver()

        self.successResultOf(self.copying)
        self.assertEqual(b"".join(self.link.arrived), text[:log])
        self.assertLessEqual(most, LARGEST_WINDOW)
