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

from .ground import go_round


@define
class Line:
    """
    A client at the other end of a line: what is on its way, oldest first, and what has arrived.
    """

    clock: Clock
    flying: list[tuple[bytes, Deferred[None]]] = field(factory=list)
    arrived: list[bytes] = field(factory=list)
    writable: Deferred[None] | None = None

    def stdout(self, data: bytes) -> Deferred[None]:
        self.flying.append((data, Deferred()))
        return self.flying[-1][1]

    stderr = stdout

    def when_writable(self) -> Deferred[None]:
        return self.writable or succeed(None)

    @property
    def bytes_flying(self) -> int:
        return sum(len(data) for data, _ in self.flying)

    def land(self) -> None:
        """
        The oldest arrives.
        """
        data, answer = self.flying.pop(0)
        self.arrived.append(data)
        answer.callback(None)
        go_round(self.clock)


class SendWindowTests(SynchronousTestCase):
    def setUp(self) -> None:
        """
        A window, and a log of which *there* bytes are there.
        """
        self.clock = Clock()
        self.line = Line(self.clock)
        self.window = SendWindow(
            self.line, self.clock, partial(IngestionFirst(Notifications(), self.clock).turn, "holder")
        )
        self.offset = 0
        self.copying: Deferred[None] = succeed(None)

    def copy(self, log: bytes | bytearray, read: Callable[[int], None] = lambda size: None) -> None:
        """
        What a follower does, as far as that goes.
        """

        async def copying() -> None:
            while data := log[self.offset : self.offset + self.window.chunk]:
                read(len(data))
                self.offset += len(data)
                await self.window.stdout(bytes(data))
            await self.window.drained()

        self.copying = Deferred.fromCoroutine(copying())
        go_round(self.clock)

    def quick(self) -> None:
        """
        What is known of the line is that it is quick.
        """
        self.copy(bytes(SMALLEST_CHUNK))
        self.clock.advance(0.001)
        self.line.land()
        self.successResultOf(self.copying)
        self.line.arrived.clear()
        self.offset = 0

    def test_first_at_once(self) -> None:
        """
        The first line of a log is sent at once, and small: nothing is known of the line yet.
        """
        self.copy(bytes(1 << 20))

        self.assertEqual([len(data) for data, _ in self.line.flying], [SMALLEST_CHUNK])
        self.assertNoResult(self.copying)

    def test_several(self) -> None:
        """
        Promise 7.5: a quick line has several chunks in flight, and gets another for each that was taken.
        """
        self.quick()
        self.copy(bytes(10 << 20))
        self.assertEqual([len(data) for data, _ in self.line.flying], [LARGEST_CHUNK] * 4)
        self.line.land()
        self.assertEqual(len(self.line.flying), 4)

    def test_remark_meanwhile(self) -> None:
        """
        A remark that another coroutine sends while the log waits for room delays both, and stops neither.
        """
        self.copy(bytes(SMALLEST_CHUNK + 1))
        remark = Deferred.fromCoroutine(self.window.stderr(b"# waiting\n"))
        while self.line.flying:
            self.line.land()
        self.successResultOf(self.copying)
        self.successResultOf(remark)

    def test_lines_together(self) -> None:
        """
        Lines that come while one is on its way are sent together, when it was taken.
        """
        self.quick()
        log = bytearray(b"one\n")
        self.copy(log)
        log += b"two\n"
        log += b"three\n"
        self.assertEqual([data for data, _ in self.line.flying], [b"one\n"])
        self.line.land()
        self.assertEqual([data for data, _ in self.line.flying], [b"two\nthree\n"])

    def test_does_not_read(self) -> None:
        """
        Promise 7.5: for a client whose connection has not taken what it was given, nothing more is read.
        """
        self.quick()
        self.line.writable = Deferred()
        sizes: list[int] = []
        self.copy(bytes(10 << 20), sizes.append)
        self.assertEqual(sizes, [LARGEST_CHUNK])
        writable, self.line.writable = self.line.writable, None
        writable.callback(None)
        go_round(self.clock)
        self.assertEqual(sizes, [LARGEST_CHUNK] * 4)

    def test_lost(self) -> None:
        """
        What went wrong with one piece is raised, once, and no other piece is sent.
        """
        self.quick()
        self.copy(bytes(10 << 20))
        lost, self.line.flying = self.line.flying, []
        for _, answer in lost:
            answer.errback(LinkLostError())

        self.failureResultOf(self.copying, LinkLostError)
        self.assertEqual(self.line.flying, [])
        self.failureResultOf(Deferred.fromCoroutine(self.window.stderr(b"# more\n")), LinkLostError)

    def test_remark(self) -> None:
        """
        A remark stands where it was said: after what was sent before it.
        """
        self.quick()
        self.copy(bytes(LARGEST_CHUNK))
        remark = Deferred.fromCoroutine(self.window.stderr(b"# remark\n"))
        self.line.land()
        self.assertNoResult(remark)
        self.line.land()
        self.successResultOf(remark)
        self.assertEqual(self.line.arrived, [bytes(LARGEST_CHUNK), b"# remark\n"])

    @given(log=st.integers(0, 6 << 20), waits=st.lists(st.floats(0.0, 20.0), max_size=40))
    def test_any_line(self, log: int, waits: list[float]) -> None:
        """
        Promise 7.5: over lines of any speed every byte arrives once and in order, and never is more in flight than
        the window.
        """
        self.setUp()
        text = bytes(n % 251 for n in range(997)) * (log // 997 + 1)
        self.copy(text[:log])
        most = 0
        while self.line.flying:
            most = max(most, self.line.bytes_flying)
            self.clock.advance(waits.pop() if waits else 0.01)
            self.line.land()

        self.successResultOf(self.copying)
        self.assertEqual(b"".join(self.line.arrived), text[:log])
        self.assertLessEqual(most, LARGEST_WINDOW)
