"""
The stream sender: every byte arrives once, whatever the link and the master do.
"""

import hashlib
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import DiskFullError, LinkLostError
from buildbot_lite.model.outcome import (
    Ending,
    Outcome,
    Seal,
)
from buildbot_lite.slave.stream_sender import (
    StreamSender,
    latest_generations,
    next_generation,
)
from buildbot_lite.wire.flow_control import (
    LARGEST_CHUNK,
    LARGEST_WINDOW,
    SMALLEST_CHUNK,
    FlowControl,
)

from .fakes import FakeCommand, sealed


class FakeSource:
    """
    Streams in memory.
    """

    def __init__(self, **streams: bytes) -> None:
        self.streams = dict(streams)
        self.outcome: Outcome | None = None
        self.asked_again: list[str] = []
        self.confirms = True
        self.at_confirm: list[bytes] = []

    def end(self) -> Outcome:
        """
        The command exits.
        """
        self.outcome = Outcome(Ending.EXITED, exit_code=0, streams=sealed(**self.streams))
        return self.outcome

    def lengths(self) -> dict[str, int]:
        return {name: len(data) for name, data in self.streams.items()}

    def read(self, stream: str, offset: int, size: int) -> bytes:
        return self.streams[stream][offset : offset + size]

    def resend(self, stream: str) -> None:
        self.asked_again.append(stream)
        self.streams = {next_generation(stream) if name == stream else name: d for name, d in self.streams.items()}
        self.end()

    def confirm(self) -> bool:
        if self.at_confirm:
            self.streams["stdio"] = self.at_confirm.pop()
            self.end()
            return False
        return True


class StreamSenderTests(SynchronousTestCase):
    def setUp(self) -> None:
        """
        A working master and a fake clock.
        """
        self.clock = Clock()
        self.flow_control = FlowControl(self.clock)
        self.source = FakeSource()
        self.command = FakeCommand()

    def start(self, **have: int) -> Deferred[None]:
        """
        Start the sender of this test.
        """
        self.sender = StreamSender(
            "7f", self.source, self.command, have=have, flow_control=self.flow_control, clock=self.clock
        )
        return self.sender.start()

    def test_all_of_it(self) -> None:
        """
        Several streams arrive whole, and then the outcome.
        """
        self.source.streams = {"stdio": bytes(range(256)) * 9000, "stderr": b"oops\n", "empty": b""}
        outcome = self.source.end()
        self.successResultOf(self.start())
        self.assertEqual(self.command.streams["stdio"], self.source.streams["stdio"])
        self.assertEqual(self.command.streams["stderr"], b"oops\n")
        self.assertNotIn("empty", self.command.streams)
        self.assertEqual(self.command.outcomes, [outcome])

    def test_deep(self) -> None:
        """
        Synchronous answers of the master do not deepen the stack.
        """
        self.source.streams = {"stdio": b"x" * (SMALLEST_CHUNK * 3000)}
        self.source.end()
        self.successResultOf(self.start())
        self.assertEqual(len(self.command.streams["stdio"]), SMALLEST_CHUNK * 3000)

    def test_first_chunk(self) -> None:
        """
        The first chunk is small and sent alone; after a quick answer, four large ones follow.
        """
        self.command.slow = True
        self.source.streams = {"stdio": b"x" * (4 << 20)}
        self.going = self.start()
        self.assertEqual(self.command.calls, [("stdio", 0, SMALLEST_CHUNK)])
        self.clock.advance(0.001)
        self.command.answer()
        sizes = [size for _, _, size in self.command.calls[1:]]
        self.assertEqual(sizes, [LARGEST_CHUNK] * 4)

    def test_slow_line(self) -> None:
        """
        On a link of 8 KiB/s at most about 5 seconds' worth of bytes is in flight.
        """
        self.command.slow = True
        self.source.streams = {"stdio": b"x" * (1 << 20)}
        self.going = self.start()
        most = 0
        for _ in range(20):
            flying = sum(size for _, _, size in self.command.calls[-len(self.command.waiting) :])
            most = max(most, flying)
            size = self.command.calls[-len(self.command.waiting)][2]
            self.clock.advance(size / 8192)
            self.command.answer()
        self.assertLessEqual(most, 5 * 8192 + SMALLEST_CHUNK)

    def test_small_writes_gather(self) -> None:
        """
        Small writes during an unanswered call are sent together.
        """
        self.command.slow = True
        self.source.streams = {"stdio": b"1"}
        self.going = self.start()
        for _ in range(9):
            self.source.streams["stdio"] += b"2"
            self.sender.streams_changed()
        self.assertEqual(self.command.calls, [("stdio", 0, 1)])
        self.command.answer()
        self.assertEqual(self.command.calls, [("stdio", 0, 1), ("stdio", 1, 9)])

    def test_tail_does_not_wait(self) -> None:
        """
        When the command has ended, its last bytes are sent at once.
        """
        self.command.slow = True
        self.clock.advance(1)
        self.source.streams = {"stdio": b"1"}
        self.going = self.start()
        self.command.answer()
        self.source.streams["stdio"] += b"2"
        self.sender.streams_changed()
        self.source.streams["stdio"] += b"3"
        self.source.end()
        self.sender.streams_changed()
        self.assertEqual(self.command.calls[-1], ("stdio", 2, 1))

    def test_later(self) -> None:
        """
        After LATER the sender tries again after 1, 2, 4 … 30 seconds, and every byte arrives in the end.
        """
        self.command.room = 0
        self.source.streams = {"stdio": b"x" * 100_000}
        self.source.end()
        over = self.start()
        for wait in (1, 2, 4, 8, 16, 30, 30):
            before = len(self.command.calls)
            self.clock.advance(wait - 0.01)
            self.assertEqual(len(self.command.calls), before)
            self.clock.advance(0.02)
            self.assertEqual(len(self.command.calls), before + 1)
        self.command.room = None
        self.clock.advance(30)
        self.successResultOf(over)
        self.assertEqual(self.command.streams["stdio"], b"x" * 100_000)

    def test_gap(self) -> None:
        """
        When the master has less than the sender assumed, sending continues at the master's length.
        """
        self.source.streams = {"stdio": b"0123456789"}
        self.source.end()
        self.command.streams["stdio"] = bytearray(b"0123")
        self.successResultOf(self.start(stdio=7))
        self.assertEqual(self.command.calls, [("stdio", 7, 3), ("stdio", 4, 6)])
        self.assertEqual(self.command.streams["stdio"], b"0123456789")

    def test_lost_chunk(self) -> None:
        """
        When one of several chunks in flight is lost, the data after it is sent once more, and not once for each answer.
        """
        self.command.slow = True
        data = b"x" * (SMALLEST_CHUNK + 4 * LARGEST_CHUNK)
        self.source.streams = {"stdio": data}
        self.source.end()
        over = self.start()
        self.clock.advance(0.001)
        self.command.answer()
        self.assertEqual(len(self.command.waiting), 4)
        # The master drops the first of the four, and answers each with its length.
        self.command.lost = 1
        while self.command.waiting:
            self.command.answer()
        self.successResultOf(over)
        self.assertEqual(self.command.streams["stdio"], data)
        self.assertEqual(len(self.command.calls), 1 + 4 + 4)

    def test_overlap(self) -> None:
        """
        When the master has more than the sender assumed, sending continues at the master's length.
        """
        data = b"x" * 10 * SMALLEST_CHUNK
        self.source.streams = {"stdio": data}
        self.source.end()
        self.command.streams["stdio"] = bytearray(data[:-5])
        self.successResultOf(self.start())
        self.assertEqual(self.command.calls[-1], ("stdio", len(data) - 5, 5))
        self.assertEqual(len(self.command.calls), 2)

    def test_resend(self) -> None:
        """
        A stream with another checksum on the master is sent again whole, as its next generation, and its seal has that
        generation's name.
        """
        self.source.streams = {"stdio": b"damaged", "stderr": b"fine"}
        self.source.end()
        self.command.wrong = ["stdio"]
        self.successResultOf(self.start())
        self.assertEqual(self.source.asked_again, ["stdio"])
        self.assertEqual(self.command.streams["stdio~1"], b"damaged")
        self.assertEqual(set(self.command.outcomes[-1].streams), {"stdio~1", "stderr"})
        self.assertEqual(self.command.calls.count(("stderr", 0, 4)), 1)

    def test_changed_at_the_end(self) -> None:
        """
        When the source has changed by `confirm`, its streams are sent on before the outcome.
        """
        self.source.streams = {"stdio": b"abc"}
        self.source.end()
        self.source.at_confirm = [b"abcdef"]
        self.successResultOf(self.start())
        self.assertEqual(self.command.streams["stdio"], b"abcdef")
        self.assertEqual(len(self.command.outcomes), 1)

    def test_ailing_master(self) -> None:
        """
        After any other error of the master, sending is repeated until the master accepts it.
        """
        self.source.streams = {"stdio": b"abc"}
        self.source.end()
        self.command.broken = DiskFullError()
        over = self.start()
        self.clock.advance(1)
        self.clock.advance(2)
        self.assertNoResult(over)
        self.command.broken = None
        self.clock.advance(4)
        self.successResultOf(over)
        self.assertEqual(len(self.command.outcomes), 1)

    def test_ailing_at_the_end(self) -> None:
        """
        The outcome is sent again until the master accepts it.
        """
        self.source.end()
        self.command.broken = DiskFullError()
        over = self.start()
        self.clock.advance(1)
        self.command.broken = None
        self.clock.advance(2)
        self.successResultOf(over)
        self.assertEqual(len(self.command.outcomes), 3)

    def test_stopped(self) -> None:
        """
        A stopped sender sends nothing more, and frees its part of the link's window.
        """
        self.command.slow = True
        self.source.streams = {"stdio": b"x" * (1 << 20)}
        over = self.start()
        waiting, asked = self.command.waiting, len(self.command.calls)
        self.sender.stop()
        self.failureResultOf(over)
        waiting[0]()
        self.sender.streams_changed()
        self.assertEqual(len(self.command.calls), asked)
        self.assertTrue(self.flow_control.room)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stopped_while_waiting(self) -> None:
        """
        A sender that is stopped after LATER leaves no timer behind.
        """
        self.command.broken = LinkLostError()
        self.source.streams = {"stdio": b"x"}
        over = self.start()
        self.sender.stop()
        self.failureResultOf(over)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_stopped_in_the_midst(self) -> None:
        """
        A sender that is stopped while it looks at its source, or by a call of the master, sends nothing more.
        """
        self.source.streams = {"stdio": b"x" * (1 << 20), "stderr": b"y"}
        for culprit, name, answer in ((self.source, "read", b""), (self.command, "append", Deferred[int]())):
            calls: list[object] = []

            def stop(*args: object, calls: list[object] = calls, answer: object = answer) -> object:
                calls.append(args)
                self.sender.stop()
                return answer

            with mock.patch.object(culprit, name, stop):
                self.source.streams["stdio"] += b"x"
                self.flow_control = FlowControl(self.clock)
                with mock.patch.object(FakeSource, "lengths", lambda source: {}):
                    over = self.start()
                self.sender.streams_changed()
                self.failureResultOf(over, CancelledError)
                self.sender.streams_changed()
                self.clock.advance(60)
            self.assertEqual(len(calls), 1, name)
            self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_shared_line(self) -> None:
        """
        Several commands share the window of their link, and each makes progress.
        """
        self.command.slow = True
        senders = []
        for number in range(40):
            source = FakeSource(stdio=bytes([number]) * (1 << 20))
            source.end()
            command = FakeCommand()
            command.slow = True
            sender = StreamSender(
                str(number), source, command, have={}, flow_control=self.flow_control, clock=self.clock
            )
            over = sender.start()
            senders.append((command, over))
        most = 0
        while any(command.waiting for command, _ in senders):
            flying = sum(
                size
                for command, _ in senders
                for _, _, size in command.calls[len(command.calls) - len(command.waiting) :]
            )
            most = max(most, flying)
            self.clock.advance(0.0001)
            for command, _ in senders:
                command.answer(min(1, len(command.waiting)))
        for command, over in senders:
            self.successResultOf(over)
            self.assertEqual(len(command.streams["stdio"]), 1 << 20)
        self.assertLessEqual(most, LARGEST_WINDOW)


class GenerationTests(SynchronousTestCase):
    def test_names(self) -> None:
        """
        Generations count up; the latest is found in any order.
        """
        self.assertEqual(next_generation("stdio"), "stdio~1")
        self.assertEqual(next_generation("stdio~9"), "stdio~10")
        self.assertEqual(latest_generations(["a~10", "a", "a~2", "b", "c~1"]), {"a": "a~10", "b": "b", "c": "c~1"})


class UnreliableMaster(FakeCommand):
    """
    A master that drops chunks, answers LATER, or fails, in the order of *moods*; after that it works.
    """

    def __init__(self, moods: list[str]) -> None:
        super().__init__()
        self.moods = moods

    def append(self, stream: str, offset: int, data: bytes) -> Deferred[int]:
        mood = self.moods.pop() if self.moods else "well"
        if mood == "loses":
            kept = self.streams.setdefault(stream, bytearray())
            return succeed(len(kept))
        self.room = 0 if mood == "full" else None
        self.broken = DiskFullError() if mood == "broken" else None
        return super().append(stream, offset, data)


class AnyMasterTests(SynchronousTestCase):
    @settings(max_examples=60, deadline=None)
    @given(
        data=st.binary(max_size=200_000),
        start=st.integers(0, 200_000),
        moods=st.lists(st.sampled_from(["well", "loses", "full", "broken"]), max_size=20),
    )
    def test_any(self, data: bytes, start: int, moods: list[str]) -> None:
        """
        Invariant I2: whatever the master answers meanwhile, in the end it has every byte, and then the outcome.
        """
        clock = Clock()
        source = FakeSource(stdio=data)
        source.end()
        command = UnreliableMaster(list(moods))
        command.streams["stdio"] = bytearray(data[:start])
        sender = StreamSender(
            "7f", source, command, have={"stdio": min(start, len(data))}, flow_control=FlowControl(clock), clock=clock
        )
        over = sender.start()
        for _ in range(len(moods) + 2):
            clock.advance(30)
        self.successResultOf(over)
        digest = hashlib.sha256(command.streams["stdio"]).hexdigest()
        self.assertEqual(command.outcomes[-1].streams["stdio"], Seal(len(data), digest))
