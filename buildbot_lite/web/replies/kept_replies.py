"""
Answers that are given again, in the form in which they are sent.

::

    many requests for the same page ──► each waits for its own turn ──► the first one renders it ──► PreparedReply
                                                                        the others wait for that

A client that hangs up does not end the rendering, which holds its turn: a query that has begun is not taken back.  Only
what the rendering waits for outside of its turn is given up, once nobody wants the answer.
"""

import gzip
import hashlib
from collections import Counter, OrderedDict
from collections.abc import Awaitable, Callable, Coroutine
from functools import cached_property
from typing import Any

from attrs import define, frozen
from twisted.internet.defer import Deferred, DeferredList, FirstError
from twisted.python.failure import Failure

from ...deferreds import OneShot
from ..serving.fair_places import UNKNOWN, Occupant, most_expendable
from ..serving.fair_turns import FairTurns
from ..serving.held_turn import HeldTurn
from ..view import Reply, Streamed

Make = Callable[[HeldTurn], Awaitable[Reply | Streamed]]
_Key = tuple[str, object]
"""Of an answer: its address, and the version of the farm."""

LARGEST_KEPT = 2 << 20
"""Bytes of answers that are kept, to be given again."""
SMALLEST_COMPRESSED = 1000
_MOST_FAILED = 3
"""Makings that failed, after which each who waited makes their own."""
_ENTRY = 500
"""Bytes of an answer without its body and its address."""
_COMPRESSIBLE = ("text/", "application/json", "image/svg", "application/atom")


@define(eq=False, slots=False)
class PreparedReply:
    """
    *reply*, with what a client gets of it.
    """

    reply: Reply

    @cached_property
    def tag(self) -> str:
        """
        The ETag (RFC 9110, 8.8.3): a digest of the uncompressed body.
        """
        return f'"{hashlib.sha256(self.reply.body).hexdigest()[:20]}"'

    @cached_property
    def compressed(self) -> bytes | None:
        """
        The body in gzip's format; None if that is not worth it.
        """
        if len(self.reply.body) <= SMALLEST_COMPRESSED or not self.reply.kind.startswith(_COMPRESSIBLE):
            return None
        return gzip.compress(self.reply.body, 1, mtime=0)

    @property
    def size(self) -> int:
        """
        Bytes of both forms; of the compressed one, the most that it can have.
        """
        return 2 * len(self.reply.body) + SMALLEST_COMPRESSED


@frozen
class _KeptReply:
    version: object
    until: float
    prepared: PreparedReply
    occupant: Occupant


@frozen
class _Made:
    """
    How a making ended: with *prepared* for all who wait; None: with nothing that several may have.  *failed*: with an
    exception.
    """

    prepared: PreparedReply | None = None
    failed: bool = False


class KeptReplies:
    """
    The answers of the last seconds, so that many who look at the same page cost as much as one; at most `LARGEST_KEPT`
    bytes, of which whoever had the most made loses the oldest.  *clock*: monotonic seconds.  *turns*: in which answers
    are made.
    """

    def __init__(self, clock: Callable[[], float], turns: FairTurns) -> None:
        self._clock = clock
        self._turns = turns
        self._replies: OrderedDict[str, _KeptReply] = OrderedDict()
        # Of answers that nobody has a turn for yet: fires with the end of the making.
        self._wanted: dict[_Key, OneShot[OneShot[_Made]]] = {}
        self._making: dict[_Key, OneShot[_Made]] = {}
        self._sizes: Counter[Occupant] = Counter()

    def __len__(self) -> int:
        return len(self._replies)

    @property
    def wanted(self) -> int:
        """
        Answers that somebody waits for, and nobody makes yet.
        """
        return len(self._wanted)

    def get(self, address: str, version: object) -> PreparedReply | None:
        """
        The answer that was kept for *address*, if it is of this *version* of the farm.
        """
        kept = self._replies.get(address)
        is_right = kept is not None and kept.version == version and self._clock() < kept.until
        return kept.prepared if kept is not None and is_right else None

    def keep(
        self, address: str, version: object, until: float, prepared: PreparedReply, occupant: Occupant = UNKNOWN
    ) -> None:
        """
        Keep *prepared*, which was made for *occupant*, until *until*, monotonic seconds.
        """
        self._drop(address)
        self._replies[address] = _KeptReply(version, until, prepared, occupant)
        self._sizes[occupant] += _size(address, prepared)
        while self._sizes.total() > LARGEST_KEPT:
            of = most_expendable(self._sizes, occupant, 0, LARGEST_KEPT)
            self._drop(next(each for each, kept in self._replies.items() if kept.occupant == of))

    def expire(self) -> None:
        """
        Drop what was kept until now, up to the first that is kept longer.
        """
        now = self._clock()
        while self._replies:
            address, kept = next(iter(self._replies.items()))
            if kept.until > now:
                return
            self._drop(address)

    def _drop(self, address: str) -> None:
        if (old := self._replies.pop(address, None)) is not None:
            self._sizes[old.occupant] -= _size(address, old.prepared)
            if not self._sizes[old.occupant]:
                del self._sizes[old.occupant]

    async def get_or_make(
        self, address: str, version: object, seconds: float, occupant: Occupant, make: Make
    ) -> PreparedReply | Streamed:
        """
        The kept answer, or that of *make*, in a turn of *occupant*, which is kept for *seconds* if it is a whole page.
        Of several callers for the same *version*, the one whose turn comes first makes it, also if they hang up; the
        others make their own only if it is nothing to keep.
        """
        key = (address, version)
        for _ in range(_MOST_FAILED):
            if (kept := self.get(address, version)) is not None:
                return kept
            making = self._making.get(key) or await self._turn_or_made(key, occupant)
            if making is None:
                return await self._first_of_all(key, seconds, HeldTurn(self._turns, occupant), make)
            made = await making.wait()
            if made.prepared is not None:
                return made.prepared
            if not made.failed:
                break
        return await self.make_anew(occupant, make)

    async def make_anew(self, occupant: Occupant, make: Make) -> PreparedReply | Streamed:
        """
        The answer of *make* in a turn of *occupant*, for one caller alone, and not kept.
        """
        await self._turns.begin(occupant)
        turn = HeldTurn(self._turns, occupant)
        return await _made_for(OneShot(unawaited=turn.abandon), self._make_own(turn, make))

    async def make_at_once(self, making: Coroutine[Deferred[Any], Any, Reply | Streamed]) -> PreparedReply | Streamed:
        """
        The answer of *making*, which takes no turn; also it goes on if its caller does not.
        """

        async def make() -> PreparedReply | Streamed:
            return _prepared(await making)

        return await _made_for(OneShot(), make())

    async def _turn_or_made(self, key: _Key, occupant: Occupant) -> OneShot[_Made] | None:
        """
        Wait until it is the turn of *occupant*: None; or until somebody else makes the answer *key*: the end of that.
        """
        turn = self._turns.begin(occupant)
        if turn.called:
            await turn
            return None
        if (wanted := self._wanted.get(key)) is None:
            wanted = self._wanted[key] = OneShot(unawaited=lambda: self._wanted.pop(key, None))
        begun = wanted.wait()
        either: list[Deferred[Any]] = [turn, begun]
        try:
            made: OneShot[_Made] | None
            made, _ = await DeferredList(either, fireOnOneCallback=True, fireOnOneErrback=True, consumeErrors=True)
        except FirstError as error:
            begun.cancel()
            error.subFailure.raiseException()
        turn.cancel()
        begun.cancel()
        return made

    async def _first_of_all(self, key: _Key, seconds: float, turn: HeldTurn, make: Make) -> PreparedReply | Streamed:
        """
        The answer *key*, made in *turn* for its first caller, and for the others who come meanwhile.
        """

        def left() -> None:
            if not first.waiting and not making.waiting:
                turn.abandon()

        first: OneShot[PreparedReply | Streamed] = OneShot(unawaited=left)
        making: OneShot[_Made] = OneShot(unawaited=left)
        return await _made_for(first, self._make_for_all(key, seconds, turn, make, making))

    async def _make_for_all(
        self, key: _Key, seconds: float, turn: HeldTurn, make: Make, making: OneShot[_Made]
    ) -> PreparedReply | Streamed:
        """
        Make the answer *key*; *making* tells the others how that ended.
        """
        self._making[key] = making
        if (wanted := self._wanted.pop(key, None)) is not None:
            wanted.fire(making)
        made = _Made(failed=True)
        try:
            found = _prepared(await make(turn))
            made = _Made()
            if isinstance(found, PreparedReply) and found.reply.status == 200:
                made = _Made(found)
                self.expire()
                self.keep(*key, self._clock() + seconds, found, turn.occupant)
            return found
        finally:
            del self._making[key]
            making.fire(made)
            turn.end()

    async def _make_own(self, turn: HeldTurn, make: Make) -> PreparedReply | Streamed:
        try:
            return _prepared(await make(turn))
        finally:
            turn.end()


async def _made_for(
    ended: OneShot[PreparedReply | Streamed], making: Coroutine[Deferred[Any], Any, PreparedReply | Streamed]
) -> PreparedReply | Streamed:
    """
    What *making* makes, which runs to its end, as in `shielded`; *ended* fires with it.  If its caller is gone then,
    what streams is closed.
    """
    answer = ended.wait()

    def end(result: PreparedReply | Streamed | Failure) -> None:
        if isinstance(result, Streamed) and not ended.waiting:
            result.close()
        ended.fire(result)

    Deferred.fromCoroutine(making).addBoth(end)  # type: ignore[unused-awaitable]  # *answer* tells of it
    return await answer


def _size(address: str, prepared: PreparedReply) -> int:
    return len(address) + _ENTRY + prepared.size


def _prepared(reply: Reply | Streamed) -> PreparedReply | Streamed:
    return PreparedReply(reply) if isinstance(reply, Reply) else reply
