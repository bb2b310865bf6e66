"""
Following over lost links: each byte is printed once.
"""

import random
from collections.abc import Sequence

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.cli.asking import resuming
from buildbot_lite.cli.asking.resuming import KEEP_TRYING, resumed
from buildbot_lite.cli.output.printing import Document, TakeChunk
from buildbot_lite.errors import (
    BuildbotLiteError,
    LinkLostError,
    NoAnswerError,
    RevokedError,
)

Attempt = Sequence[bytes | BuildbotLiteError]
END: Document = {"exit_code": 1}


class ResumedFollowingTests(SynchronousTestCase):
    def setUp(self) -> None:
        """
        Collect the notes for a terminal.
        """
        self.notes: list[str] = []
        self.patch(resuming, "note", self.notes.append)
        self.printed: list[bytes] = []
        self.now = 0.0
        self.pauses: list[float] = []

    def take(self, chunk: bytes) -> None:
        """
        Print a chunk at once.
        """
        self.printed.append(chunk)

    async def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        self.now += seconds

    def follow(self, *attempts: Attempt, take: TakeChunk | None = None) -> "Deferred[Document]":
        """
        Follow.  Each attempt is a list of chunks, possibly with the error that ends it; the last attempt succeeds.
        """
        rest = list(attempts)

        async def attempt(taking: TakeChunk) -> Document:
            for each in rest.pop(0) if len(rest) > 1 or not isinstance(rest[0][0], NoAnswerError) else rest[0]:
                if isinstance(each, BuildbotLiteError):
                    raise each
                if (taken := taking(each)) is not None:
                    await taken
            return END

        return Deferred.fromCoroutine(
            resumed(attempt, take or self.take, pause=self.pause, advice="It goes on.", seconds=lambda: self.now)
        )

    def of(self, channel: bytes) -> bytes:
        """
        The bytes that were printed on *channel*.
        """
        return b"".join(chunk[1:] for chunk in self.printed if chunk[:1] == channel)

    def test_over_a_restart(self) -> None:
        """
        Promise 6.12: after a lost link, bytes that were printed are skipped, wherever the chunks are cut; so are
        remarks, in any order.
        """
        lost, away = LinkLostError(), NoAnswerError("No master.")
        following = self.follow(
            [b"2# one runs\n", b"1abc", b"1def", lost],
            [away],
            [away],
            [b"2# one runs\n", b"1abcdefg", b"2# early\n", lost],
            [b"2# early\n", b"2# one runs\n", b"1a", b"1bcdefghi", b"2# late\n"],
        )

        self.assertEqual(self.successResultOf(following), END)
        self.assertEqual(self.of(b"1"), b"abcdefghi")
        self.assertEqual(self.of(b"2"), b"# one runs\n# early\n# late\n")
        self.assertEqual(len(self.notes), 2)
        self.assertIn("for up to 30 minutes", self.notes[0])
        self.assertEqual(self.pauses, [1.0, 2.0, 4.0, 1.0])

    def test_any_cuts(self) -> None:
        """
        Promise 6.12: the output is exact for random bytes, cuts and losses.
        """
        for seed in range(200):
            chance = random.Random(seed)
            whole = chance.randbytes(chance.randrange(200))
            remarks = [b"2# %d\n" % chance.randrange(4) for _ in range(chance.randrange(6))]
            attempts: list[list[bytes | BuildbotLiteError]] = []
            for last in [False] * chance.randrange(5) + [True]:
                chunks: list[bytes] = []
                rest = whole
                while rest:
                    size = chance.randrange(1, 40)
                    chunks.append(b"1" + rest[:size])
                    rest = rest[size:]
                mixed = [*chunks]
                for remark in chance.sample(remarks, len(remarks)):
                    mixed.insert(chance.randrange(len(mixed) + 1), remark)
                told = len(mixed) if last else chance.randrange(len(mixed) + 1)
                attempts.append([*mixed[:told], *([] if last else [LinkLostError()])])
            self.printed.clear()
            self.successResultOf(self.follow(*attempts))

            self.assertEqual(self.of(b"1"), whole, seed)
            self.assertEqual(sorted(each for each in self.printed if each[:1] == b"2"), sorted(remarks), seed)

    def test_same_remark_twice(self) -> None:
        """
        A remark that the master sends twice is printed twice, also when the link is lost between the two.
        """
        following = self.follow([b"2# again\n", LinkLostError()], [b"2# again\n", b"2# again\n"])

        self.successResultOf(following)
        self.assertEqual(self.of(b"2"), b"# again\n# again\n")

    def test_many_remarks(self) -> None:
        """
        The number of remarks that are remembered is bounded; beyond it, they may be printed again, and none is lost.
        """
        self.patch(resuming, "MOST_REMARKS", 2)
        remarks = [b"2# %d\n" % number for number in range(4)]
        self.successResultOf(self.follow([*remarks, LinkLostError()], remarks))
        self.assertEqual(self.printed, [*remarks, *remarks[2:]])

    def test_no_answer_at_first(self) -> None:
        """
        If the master does not answer the first attempt, there is no other.
        """
        self.failureResultOf(self.follow([NoAnswerError("No master.")]), NoAnswerError)
        self.assertEqual((self.pauses, self.notes), ([], []))

    def test_time_out(self) -> None:
        """
        Promise 6.12: after 30 minutes without a master, the error says what to do.
        """
        error = self.failureResultOf(self.follow([LinkLostError()], [NoAnswerError("No master.")]), NoAnswerError)

        self.assertEqual(str(error.value), "No master answered for 30 minutes.  It goes on.")
        self.assertLess(self.now, KEEP_TRYING + 20)
        self.assertEqual(self.pauses[-1], 10.0)

    def test_refused_afterwards(self) -> None:
        """
        A refusal after a lost link is final.
        """
        self.failureResultOf(self.follow([b"1a", LinkLostError()], [RevokedError()]), RevokedError)

    def test_slow_reader(self) -> None:
        """
        A chunk that is being printed when the link is lost is completed, and not printed again.
        """
        slow: list[Deferred[None]] = []

        def take(chunk: bytes) -> "Deferred[None] | None":
            self.printed.append(chunk)
            if slow:
                return None
            slow.append(Deferred())
            return slow[0]

        lost = Deferred[None]()
        asked: list[TakeChunk] = []

        async def attempt(taking: TakeChunk) -> Document:
            asked.append(taking)
            if len(asked) == 1:
                _ = taking(b"1first")
                await lost
            taking(b"1first and second")
            return END

        following = Deferred.fromCoroutine(
            resumed(attempt, take, pause=self.pause, advice="", seconds=lambda: self.now)
        )
        lost.errback(LinkLostError())
        self.assertEqual(len(asked), 1)
        slow[0].callback(None)

        self.assertEqual(self.successResultOf(following), END)
        self.assertEqual(self.of(b"1"), b"first and second")
