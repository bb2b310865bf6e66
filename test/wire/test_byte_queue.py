"""
The queue of bytes that were received and not parsed yet.
"""

from foolscap.stringchain import StringChain
from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.wire.byte_queue import ByteQueue


class ByteQueueTests(SynchronousTestCase):
    def test_across_pieces(self) -> None:
        """
        Bytes are taken across the borders of pieces, and put back there.
        """
        queue = ByteQueue()
        for piece in (b"abc", b"", b"defg", b"hi"):
            queue.append(piece)
        self.assertEqual((queue.popleft(2), queue.popleft(4), len(queue)), (b"ab", b"cdef", 3))
        queue.appendleft(b"def")
        self.assertEqual((len(queue), queue.popleft(100), len(queue), queue.popleft(1)), (6, b"defghi", 0, b""))

    def test_put_back_without_a_copy(self) -> None:
        """
        Taking and putting back, as Foolscap does for each token, leaves a piece as it is.
        """
        queue, piece = ByteQueue(), bytes(1000)
        queue.append(piece)
        for _ in range(10):
            queue.popleft(65)
            queue.appendleft(bytes(60))
        queue.appendleft(bytes(50))

        self.assertIs(queue.popleft(1000), piece)

    def test_cleared(self) -> None:
        """
        A queue that was cleared is empty, also if a part of its first piece was taken.
        """
        queue = ByteQueue()
        queue.append(b"abc")
        queue.popleft(1)
        queue.clear()
        queue.append(b"x")

        self.assertEqual((len(queue), queue.popleft(5)), (1, b"x"))

    @given(
        st.lists(
            st.one_of(
                st.tuples(st.just("append"), st.integers(0, 40), st.just(0)),
                st.tuples(st.just("take"), st.integers(1, 50), st.integers(0, 50)),
            ),
            max_size=30,
        )
    )
    def test_as_foolscap(self, steps: list[tuple[str, int, int]]) -> None:
        """
        Any sequence of adding, taking and putting back, also in two parts, has the results of Foolscap's `StringChain`.
        """
        queue, chain, number = ByteQueue(), StringChain(), 0
        for what, size, kept in steps:
            if what == "append":
                data = bytes((number + at) % 256 for at in range(size))
                number += size
                queue.append(data)
                chain.append(data)
                continue
            taken = queue.popleft(size)
            self.assertEqual(taken, chain.popleft(size))
            for each in (taken[kept:], taken[kept // 2 : kept]):
                queue.appendleft(each)
                chain.appendleft(each)
            self.assertEqual(len(queue), len(chain))

        self.assertEqual(queue.popleft(1 << 20), chain.popleft(1 << 20))
