"""
The sending end of a shell, and its request, as values.
"""

from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, fail
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import LinkLostError, MessageError
from buildbot_lite.model.shell_request import LARGEST_SHELL_REQUEST, ShellRequest, WindowSize
from buildbot_lite.wire.contract import LARGEST_SHELL_PIECE, SHELL_WINDOW
from buildbot_lite.wire.shells import ShellSender

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
