"""
What of a shell may be on its way, at both ends, and its request.
"""

from functools import partial

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, fail, succeed
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import LinkLostError, MessageError, RefusedError
from buildbot_lite.model.shell_request import LARGEST_SHELL_REQUEST, ShellRequest, WindowSize
from buildbot_lite.slave.shells import MOST_SHELLS
from buildbot_lite.wire import contract
from buildbot_lite.wire.contract import LARGEST_SHELL_PIECE, LEAST_SHELL_CHARGE, MOST_SHELL_PIECES, SHELL_WINDOW
from buildbot_lite.wire.shell_window import CalledOnce, ShellSender, ShellWindow, SizeWindow

MOST_CALLS = SHELL_WINDOW // LEAST_SHELL_CHARGE
WORDS = st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=9), min_size=1)
SIZES = st.none() | st.builds(WindowSize, st.integers(1, 10_000), st.integers(1, 10_000))


class Receiver:
    """
    The other end, which acknowledges the oldest piece when told.
    """

    def __init__(self) -> None:
        self.got = b""
        self.waiting: list[tuple[int, Deferred[None]]] = []
        self.told: list[str] = []
        self.sender = ShellSender(
            full=lambda: self.told.append("full"),
            room=lambda: self.told.append("room"),
            failed=lambda failure: self.told.append(str(failure.value)),
        )

    def take(self, data: bytes) -> Deferred[None]:
        """
        Take a piece.
        """
        self.got += data
        answer: Deferred[None] = Deferred()
        self.waiting.append((len(data), answer))
        return answer

    @property
    def unacknowledged(self) -> int:
        """
        Bytes.
        """
        return sum(size for size, _ in self.waiting)


class ShellSenderTests(SynchronousTestCase):
    """
    The window.
    """

    @given(st.lists(st.integers(0, 3 * SHELL_WINDOW) | st.none(), max_size=30))
    def test_any(self, events: list[int | None]) -> None:
        """
        Whatever is sent and acknowledged, at most a window is unacknowledged, all bytes arrive once and in order, and
        the sender says when to stop and to go on.
        """
        there, sent = Receiver(), b""
        for number, size in enumerate([*events, *[None] * 500]):
            if size is not None:
                data = bytes([number]) * size
                sent += data
                there.sender.send(there.take, data)
            elif there.waiting:
                there.waiting.pop(0)[1].callback(None)
            self.assertLessEqual(there.unacknowledged, SHELL_WINDOW)
            self.assertTrue(all(0 < size <= LARGEST_SHELL_PIECE for size, _ in there.waiting))
            behind = len(there.got) < len(sent)
            self.assertEqual(bool(there.told) and there.told[-1] == "full", behind)
        while there.waiting:
            there.waiting.pop(0)[1].callback(None)
        self.assertEqual(there.got, sent)
        self.successResultOf(there.sender.when_flushed())

    def test_small(self) -> None:
        """
        Promise 9.4: of many single bytes, few calls are on their way, and those that wait are joined.
        """
        there = Receiver()
        for _ in range(10_000):
            there.sender.send(there.take, b"x")
        self.assertEqual(len(there.waiting), MOST_CALLS)
        there.sender.send(there.take, b"y")
        calls = len(there.waiting)
        while there.waiting:
            there.waiting.pop(0)[1].callback(None)
            calls += len(there.waiting) >= MOST_CALLS
            self.assertLessEqual(len(there.waiting), MOST_CALLS)
        self.assertEqual(there.got, b"x" * 10_000 + b"y")
        self.assertLess(calls, 2 * MOST_CALLS)

    def test_failure(self) -> None:
        """
        The first failure is told once, and ends the sender.
        """
        there = Receiver()
        there.sender.send(lambda data: fail(LinkLostError()), bytes(2 * SHELL_WINDOW))
        there.sender.send(there.take, b"x")
        self.assertEqual(there.told, [str(LinkLostError())])
        self.assertEqual(there.got, b"")
        self.successResultOf(there.sender.when_flushed())

    def test_flushed(self) -> None:
        """
        It is flushed when everything is acknowledged, or it was closed.
        """
        for end in ("acknowledged", "closed"):
            there = Receiver()
            there.sender.send(there.take, b"x")
            flushed = there.sender.when_flushed()
            self.assertNoResult(flushed)
            if end == "closed":
                there.sender.close()
            else:
                there.waiting.pop()[1].callback(None)
            self.successResultOf(flushed)


def _shown(got: list[tuple[str, bytes]], kind: str, data: bytes) -> Deferred[None]:
    got.append((kind, data))
    return succeed(None)


class ShellWindowTests(SynchronousTestCase):
    """
    The window of the receiving side.
    """

    @given(st.lists(st.integers(1, LARGEST_SHELL_PIECE) | st.integers(1, 3) | st.none(), max_size=300))
    def test_any(self, events: list[int | None]) -> None:
        """
        Whatever arrives within the window, all bytes are passed on once and in order, few calls at a time, and a piece
        is acknowledged when its bytes are.
        """
        window, there, sent, taken = ShellWindow(), Receiver(), b"", 0
        ends: list[tuple[int, Deferred[None]]] = []
        for number, size in enumerate([*events, *[None] * 300]):
            if size is None:
                if there.waiting:
                    length, answer = there.waiting.pop(0)
                    taken += length
                    answer.callback(None)
            elif len(sent) - taken + size <= SHELL_WINDOW and sum(end > taken for end, _ in ends) < MOST_SHELL_PIECES:
                data = bytes([number % 256]) * size
                sent += data
                ends.append((len(sent), window.through(data, there.take)))
            self.assertLessEqual(len(there.waiting), MOST_CALLS)
            self.assertEqual([end <= taken for end, _ in ends], [piece.called for _, piece in ends])
        self.assertEqual(there.got, sent)

    def test_of_earlier_versions(self) -> None:
        """
        Promise 9.4: an earlier version counts bytes alone.  Its single bytes are taken, and passed on in few calls, in
        order, also those of two outputs.
        """
        window, there, sent = ShellWindow(), Receiver(), b""
        outputs = (there.take, partial(there.take))
        pieces = []
        for number in range(MOST_SHELL_PIECES):
            data = bytes([number % 256])
            sent += data
            pieces.append(window.through(data, outputs[number // 20 % 2]))
        self.assertEqual(len(there.waiting), MOST_CALLS)
        self.assertRaises(MessageError, window.through, b"x", there.take)
        while there.waiting:
            there.waiting.pop(0)[1].callback(None)
        self.assertEqual(there.got, sent)
        for each in pieces:
            self.successResultOf(each)
        window.through(b"x", there.take)  # type: ignore[unused-awaitable]  # never acknowledged

    def test_acknowledged_at_once(self) -> None:
        """
        What waited is passed on in order, also if each piece is acknowledged at once.
        """
        window, first = ShellWindow(), Receiver()
        got: list[tuple[str, bytes]] = []
        _ = [window.through(b"x", first.take) for _ in range(MOST_CALLS)]
        takes = [partial(_shown, got, kind) for kind in "oe"]
        more = (MOST_SHELL_PIECES - MOST_CALLS) // 2
        pieces = [window.through(b"y", takes[number % 2]) for number in range(2 * more)]
        self.assertEqual(got, [])
        first.waiting.pop()[1].callback(None)
        self.assertEqual(got, [("o", b"y"), ("e", b"y")] * more)
        for each in pieces:
            self.successResultOf(each)

    def test_refused(self) -> None:
        """
        Promise 9.4: a piece without bytes is refused, and one of too many.  Those of all shells that a slave may have
        are fewer than the calls for which a link is cut.
        """
        window, there = ShellWindow(), Receiver()
        for _ in range(MOST_SHELL_PIECES):
            window.through(b"x", there.take)  # type: ignore[unused-awaitable]  # not acknowledged yet
        self.assertRaises(MessageError, window.through, b"x", there.take)
        for _, answer in there.waiting:
            answer.callback(None)
        self.assertRaises(MessageError, window.through, b"", there.take)
        self.assertGreater(MOST_SHELL_PIECES, MOST_CALLS)
        self.assertLess(MOST_SHELLS * MOST_SHELL_PIECES, contract.MOST_CALLS)

    def test_failure(self) -> None:
        """
        A piece that is not taken is no reason against the next one.
        """
        window, there = ShellWindow(), Receiver()
        self.failureResultOf(window.through(b"x", lambda data: fail(RefusedError("no"))), RefusedError)
        self.assertNoResult(window.through(b"x", there.take))


class SizeWindowTests(SynchronousTestCase):
    """
    Sizes, and what is said once.
    """

    def test_latest(self) -> None:
        """
        Promise 9.4: one size is on its way at a time, and of those that come meanwhile only the last one follows.
        """
        sent: list[tuple[int, int]] = []
        answers: list[Deferred[None]] = []

        def resize(rows: int, columns: int) -> Deferred[None]:
            sent.append((rows, columns))
            answers.append(Deferred())
            return answers[-1]

        window = SizeWindow(resize)
        first, *between, last = [window.through(1, columns) for columns in range(1, 6)]
        self.assertEqual(sent, [(1, 1)])
        for each in between:
            self.successResultOf(each)
        answers.pop().callback(None)
        self.successResultOf(first)
        self.assertEqual(sent, [(1, 1), (1, 5)])
        self.assertNoResult(last)
        answers.pop().errback(MessageError("too large"))
        self.failureResultOf(last, MessageError)
        self.assertNoResult(window.through(2, 2))
        self.assertEqual(sent[2:], [(2, 2)])

    def test_once(self) -> None:
        """
        What can be said once is passed on once, and all get its answer.
        """
        answers: list[Deferred[None]] = []

        def call() -> Deferred[None]:
            answers.append(Deferred())
            return answers[-1]

        once = CalledOnce(call)
        asked = [once() for _ in range(3)]
        (answer,) = answers
        answer.callback(None)
        for each in (*asked, once()):
            self.successResultOf(each)
        self.assertEqual(len(answers), 1)


class ShellRequestTests(SynchronousTestCase):
    """
    The request.
    """

    @given(WORDS, SIZES)
    def test_any(self, words: list[str], size: WindowSize | None) -> None:
        """
        A request arrives as it was.
        """
        request = ShellRequest(tuple(words), size)
        self.assertEqual(ShellRequest.from_bytes(request.to_bytes()), request)

    def test_bad(self) -> None:
        """
        A request without words, with impossible ones, with an impossible size or too many bytes is refused.
        """
        for bad in (
            b"{}",
            b'{"argv": []}',
            b'{"argv": ["a\\u0000"]}',
            b'{"argv": ["\\ud800"]}',
            b'{"argv": ["a"], "size": {"rows": 0, "columns": 80}}',
            b'{"argv": ["a"], "size": {"rows": 24, "columns": 10001}}',
            b'{"argv": ["a"], "size": 7}',
        ):
            self.assertRaises(MessageError, ShellRequest.from_bytes, bad)
        self.assertRaises(MessageError, ShellRequest(("x" * LARGEST_SHELL_REQUEST,)).to_bytes)
