"""
Large answers: each connection holds a piece, and all that send the same answer share its body.

::

    PreparedReply ── body ──► of one connection, of another, … ── a piece ──► transport
                       └── all bodies together: what the budget permits (`serving.rooms`)

A client that does not read would otherwise have a copy of its own, and a thousand of them half a gigabyte.
"""

from collections.abc import Coroutine
from contextlib import suppress
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from ..serving.byte_budget import BudgetShare
from ..serving.fair_places import Occupant, most_expendable
from .downloads import FIRST_PIECE, ByteRange, writing

LARGEST_WHOLE = FIRST_PIECE
"""Bytes of an answer that is written at once."""


@define(eq=False)
class _ReplyBytes:
    """
    The role `StreamReader` for the bytes of an answer.
    """

    body: bytes

    @property
    def length(self) -> int:
        return len(self.body)

    def read(self, offset: int, size: int) -> bytes:
        return self.body[offset : offset + size]

    def close(self) -> None:
        self.body = b""


@define(eq=False)
class _Sent:
    """
    The bytes of *reader*, which are being sent to the client of *request*, and count for *occupant*.
    """

    reader: _ReplyBytes
    request: Any
    occupant: Occupant

    @property
    def body(self) -> bytes:
        return self.reader.body

    def cut(self) -> None:
        # Not when the connection is lost: until the reactor comes to that, a hundred others may be cut.
        self.reader.close()
        # A client that has gone has no channel any more.
        if self.request.channel is not None:
            self.request.channel.transport.abortConnection()


@define(eq=False)
class LargeReplies:
    """
    The large answers that are being sent.  *share*: what their bodies may have, each of which counts once.  Of too
    many, the connections that have been reading for longest are cut, of the visitor who has the most of them; the
    newest is sent in any case.
    """

    clock: IReactorTime
    share: BudgetShare
    _sent: dict[_Sent, None] = field(factory=dict)
    _readers: dict[int, int] = field(factory=dict)  # of each body, by its identity

    def send(self, request: Any, body: bytes) -> Coroutine[Deferred[Any], Any, None]:
        """
        Send *body* to the client of *request*, whose headers are set, as fast as it reads.  It is kept no longer than
        until the client is cut, unless the caller keeps it.
        """
        sent = _Sent(_ReplyBytes(body), request, request.occupant)
        self._begin(sent)
        return self._write(sent)

    async def _write(self, sent: _Sent) -> None:
        try:
            await writing(sent.reader, ByteRange(0, len(sent.body)), self.clock, packed=False)(sent.request)
        finally:
            self._end(sent)
            # What wrote it is known to its request, and both are left to the garbage collector.
            sent.reader.close()

    def _begin(self, sent: _Sent) -> None:
        readers = self._readers.get(id(sent.body), 0)
        self._readers[id(sent.body)] = readers + 1
        added = 0 if readers else len(sent.body)
        # What takes nothing more displaces nothing.
        while added and (lacking := self.share.lacking(added)) and self._sent:
            for each in self._most_expendable(sent, self.share.held + added - lacking):
                self._end(each)
                each.cut()
        self.share.add(added)
        self._sent[sent] = None

    def _most_expendable(self, newcomer: _Sent, most: int) -> list[_Sent]:
        held: dict[Occupant, int] = {}
        for each in self._sent:
            # Who reads what others read holds little of it.
            share = len(each.body) // self._readers[id(each.body)]
            held[each.occupant] = held.get(each.occupant, 0) + share
        occupant = most_expendable(held, newcomer.occupant, len(newcomer.body), most)
        # None if the newcomer's answer alone is more than its half, or than all.
        oldest = next(each for each in self._sent if occupant in {each.occupant, None})
        # To cut one of several that read the same would be for nothing.
        return [each for each in self._sent if each.occupant == oldest.occupant and each.body is oldest.body]

    def _end(self, sent: _Sent) -> None:
        with suppress(KeyError):  # it was cut
            del self._sent[sent]
            self._readers[id(sent.body)] -= 1
            if not self._readers[id(sent.body)]:
                del self._readers[id(sent.body)]
                self.share.add(-len(sent.body))
