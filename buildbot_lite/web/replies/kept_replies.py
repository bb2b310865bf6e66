"""
Answers that are given again, in the form in which they are sent.

::

    many who ask for the same page at the same time ──► one renders, the others wait ──► PreparedReply ──► each
                                                        its digest and its compressed form are made once
"""

import gzip
import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from functools import cached_property

from attrs import define, frozen

from ...deferreds import OneShot
from ..view import Reply, Streamed

LARGEST_KEPT = 2 << 20
"""Bytes of answers that are kept, to be given again."""
SMALLEST_COMPRESSED = 1000
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


class KeptReplies:
    """
    The answers of the last seconds, so that many who look at the same page cost as much as one; at most `LARGEST_KEPT`
    bytes.
    """

    def __init__(self) -> None:
        self._replies: OrderedDict[str, _KeptReply] = OrderedDict()
        self._making: dict[tuple[str, object], OneShot[None]] = {}
        self._size = 0

    def __len__(self) -> int:
        return len(self._replies)

    def get(self, address: str, version: object, now: float) -> PreparedReply | None:
        """
        The answer that was kept for *address*, if it is of this *version* of the farm.
        """
        kept = self._replies.get(address)
        return kept.prepared if kept is not None and kept.version == version and now < kept.until else None

    def keep(self, address: str, version: object, until: float, prepared: PreparedReply) -> None:
        """
        Keep *prepared* until *until*, monotonic seconds.
        """
        self._drop(address)
        self._replies[address] = _KeptReply(version, until, prepared)
        self._size += _size(address, prepared)
        while self._size > LARGEST_KEPT:
            self._drop(next(iter(self._replies)))

    def expire(self, now: float) -> None:
        """
        Drop what was kept until *now*, up to the first that is kept longer.
        """
        while self._replies:
            address, kept = next(iter(self._replies.items()))
            if kept.until > now:
                return
            self._drop(address)

    def _drop(self, address: str) -> None:
        if (old := self._replies.pop(address, None)) is not None:
            self._size -= _size(address, old.prepared)

    async def get_or_make(
        self,
        address: str,
        version: object,
        clock: Callable[[], float],
        seconds: float,
        make: Callable[[], Awaitable[Reply | Streamed]],
    ) -> PreparedReply | Streamed:
        """
        The kept answer, or that of *make*, which is kept for *seconds* if it is a whole page.  While one caller makes
        it, others of the same *version* wait, and make their own only if there is nothing to keep then.
        """
        key = (address, version)
        if (kept := self.get(address, version, clock())) is not None:
            return kept
        if (making := self._making.get(key)) is not None:
            await making.wait()
            if (kept := self.get(address, version, clock())) is not None:
                return kept
            return _prepared(await make())
        made = self._making[key] = OneShot()
        try:
            found = _prepared(await make())
            if isinstance(found, PreparedReply) and found.reply.status == 200:
                self.expire(clock())
                self.keep(address, version, clock() + seconds, found)
            return found
        finally:
            # Also when this caller hung up.
            del self._making[key]
            made.fire(None)


def _size(address: str, prepared: PreparedReply) -> int:
    return len(address) + _ENTRY + prepared.size


def _prepared(reply: Reply | Streamed) -> PreparedReply | Streamed:
    return PreparedReply(reply) if isinstance(reply, Reply) else reply
