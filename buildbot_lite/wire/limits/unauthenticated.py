"""
Connections that have not shown a valid string yet.

Anybody can connect to the master's port.  Until a connection has named something that exists, it may cost us little:
a bounded number of calls (`broker`), of bytes, a bounded time, and a bounded number of such connections in all.  When
they are too many, the oldest goes, of the address that holds most (`per_address`).  And all of them together get no
more than a third of our time (`handshakes`), but for those that are expected (`preauth`).

Bytes are counted as they come from the network, before TLS has unpacked them: half a handshake is kept in memory as
well, and so is whatever follows an offer that was refused.

::

    accepted --shows a valid string--> (forgotten: no stranger any more)
       |------ 20 s pass ------------> cut
       |------ 64 KiB came ----------> cut
       |------ too many -------------> cut
       `------ lost -----------------> (forgotten)
"""

import time
from collections import deque
from collections.abc import Callable

from twisted.internet.interfaces import IDelayedCall, IPushProducer, IReactorTime
from twisted.internet.protocol import Protocol
from twisted.logger import Logger
from twisted.python.failure import Failure

from ...model.token_bucket import once_every
from ..contract import (
    MOST_SHAKING_HANDS,
    MOST_STRANGERS,
    STRANGER_BYTES,
    STRANGER_HELLO,
    STRANGER_SECONDS,
)
from .handshakes import Begin, Turns
from .per_address import Crowd

_REPORT_EVERY = 60.0
_MOST_REPORTED = 100
# The head of a TLS record, and of the message in it.
_HEAD = 9
_HANDSHAKE = 22
_CLIENT_HELLO = 1
_LEAST_RECORD = 4
_PIECE = 2 << 10


class Stranger:
    """
    One connection that has shown nothing yet.  *cut* ends it.
    """

    def __init__(self, strangers: "Strangers", address: str, since: float, cut: Callable[[], None]) -> None:
        self.address = address
        self.since = since
        self.cut = cut
        self.known = True
        self._strangers = strangers
        self._received = 0
        self._hello: Hello | None = Hello()
        self._unmeter: Callable[[], object] = _nothing
        self._waiting: Begin | None = None
        self._begin: Callable[[Begin], None] = self._in_turn

    def received(self, size: int) -> bool:
        """
        It sent *size* bytes: whether they may be looked at.  When they are too many it is cut.
        """
        self._received += size
        if self.known and self._received > STRANGER_BYTES:
            self._strangers.drop(self)
        return self.known

    def hear(self, work: Callable[[], None]) -> None:
        """
        Do *work* for it before TLS.
        """
        self._strangers.turns.hear(work)

    def work(self, work: Callable[[], None]) -> None:
        """
        Do *work* for it: that is not for nothing.
        """
        self._strangers.turns.work(work)

    def is_expected(self) -> None:
        """
        It has knocked (`preauth`), so it does not wait for a turn.
        """
        self._begin = _at_once

    def meter(self, outermost: Protocol, transport: IPushProducer) -> None:
        """
        TLS begins: as long as it is a stranger, watch what *outermost*, the TLS layer of its connection, receives.
        *transport* can be paused.
        """
        take = outermost.dataReceived

        def take_some(data: bytes) -> None:
            if not self.received(len(data)):
                return
            hello = self._hello
            if hello is None or hello.answered:
                self.work(lambda: take_all(data))
            elif not hello.begins_well(data) or hello.over:
                # Nobody can go on before there was an answer.
                self._strangers.drop(self)
            elif not hello.complete:
                take(data)
            else:
                hello.answered = True
                transport.pauseProducing()
                self._waiting = lambda: self.work(lambda: answer(data))
                self._begin(self._waiting)

        def answer(data: bytes) -> None:
            if self.known:
                self._waiting = None
                take(data)
                transport.resumeProducing()

        def take_all(data: bytes) -> None:
            # In small pieces, because what takes one in OpenSSL keeps room for as large a one as it has ever taken.
            for start in range(0, len(data), _PIECE):
                take(data[start : start + _PIECE])
            if self.known and self._hello is not None:
                self._strangers.shakes_hands(self)

        # On the one instance, so that a link that has shown a string costs nothing more.
        outermost.dataReceived = take_some  # type: ignore[method-assign]  # that is the point
        self._unmeter = lambda: vars(outermost).pop("dataReceived", None)

    def shook_hands(self) -> None:
        """
        It has done so: its TLS is established.
        """
        self._hello = None
        self._strangers.shook_hands(self)

    def gone(self) -> None:
        """
        It is a stranger no longer: it has shown a valid string, or it is lost.
        """
        if self.known:
            self._strangers.forget(self)

    def forgotten(self) -> None:
        """
        It is counted no more.
        """
        self.known = False
        if self._waiting is not None:
            self._strangers.turns.leave(self.address, self._waiting)
            self._waiting = None
        unmeter, self._unmeter = self._unmeter, _nothing
        unmeter()

    def puzzled_by(self, failure: Failure) -> None:
        """
        Something here failed over what it sent.
        """
        self._strangers.puzzled_by(failure)

    def _in_turn(self, begin: Begin) -> None:
        self._strangers.turns.begin(self.address, begin)


class Hello:
    """
    The first message of a TLS handshake, as far as its length is concerned: OpenSSL takes memory for all that a peer
    declares, up to 128 KiB, as soon as it has declared it.

    ``complete``: all of it has come.  ``over``: something came after it.  ``answered``: OpenSSL has it, or will.
    """

    def __init__(self) -> None:
        self.answered = False
        self._head = b""
        self._left = 1

    @property
    def complete(self) -> bool:
        """
        Whether all of it has come.
        """
        return self._left <= 0

    @property
    def over(self) -> bool:
        """
        Whether more than it has come.
        """
        return self._left < 0

    def begins_well(self, data: bytes) -> bool:
        """
        Whether it may be going to be one, with *data* as its next bytes.
        """
        if len(self._head) == _HEAD:
            self._left -= len(data)
            return True
        taken = data[: _HEAD - len(self._head)]
        self._head += taken
        if len(self._head) < _HEAD:
            return True
        kind, _, _, *size, message = self._head[:6]
        length = int.from_bytes(self._head[6:])
        self._left = length - (len(data) - len(taken))
        return (
            kind == _HANDSHAKE
            and message == _CLIENT_HELLO
            and int.from_bytes(bytes(size)) >= _LEAST_RECORD
            and length <= STRANGER_HELLO
        )


class Strangers:
    """
    All of them, of one listening Tub.  *now* is a clock that can measure milliseconds.
    """

    log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        most: int = MOST_STRANGERS,
        seconds: float = STRANGER_SECONDS,
        now: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._clock = clock
        self._most = most
        self._seconds = seconds
        self.turns = Turns(clock, now)
        self._all: Crowd[Stranger] = Crowd()
        self._shaking: Crowd[Stranger] = Crowd()
        self._ages: deque[Stranger] = deque()
        self._timer: IDelayedCall | None = None
        self._cut = 0
        self._cut_lines, self._puzzled_lines = (once_every(_REPORT_EVERY, clock.seconds) for _ in range(2))
        self._refused: dict[tuple[str, str], float] = {}

    def __len__(self) -> int:
        return len(self._all)

    def accept(self, address: str, cut: Callable[[], None]) -> Stranger:
        """
        Another one has connected, from *address*; *cut* ends its connection.
        """
        while len(self._all) >= self._most:
            self.drop(self._all.first_to_go())
        stranger = Stranger(self, address, self._clock.seconds(), cut)
        self._all.add(stranger)
        self._ages.append(stranger)
        self._wait()
        return stranger

    def forget(self, stranger: Stranger) -> None:
        """
        *stranger* is one no longer.
        """
        stranger.forgotten()
        self._all.remove(stranger)
        self.shook_hands(stranger)
        while self._ages and not self._ages[0].known:
            self._ages.popleft()
        if not self._ages and self._timer is not None:
            self._timer.cancel()
            self._timer = None
        elif len(self._ages) > 2 * self._most:
            # Only the front is cleared as it goes; a patient one there must not make the rest pile up.
            self._ages = deque(one for one in self._ages if one.known)

    def shakes_hands(self, stranger: Stranger) -> None:
        """
        *stranger* has sent more than its hello, and its TLS is not established.

        Honest peers send the rest in one go, so they are that far for a moment only.  Meanwhile OpenSSL has memory for
        as long a certificate as was declared, so there may not be many of them; again the oldest goes, of the address
        that holds most.
        """
        if stranger in self._shaking:
            return
        while len(self._shaking) >= MOST_SHAKING_HANDS:
            self.drop(self._shaking.first_to_go())
        self._shaking.add(stranger)

    def shook_hands(self, stranger: Stranger) -> None:
        """
        The TLS of *stranger* is established, or it is a stranger no longer.
        """
        if stranger in self._shaking:
            self._shaking.remove(stranger)

    def drop(self, stranger: Stranger) -> None:
        """
        Cut *stranger*, which is one no longer.
        """
        self.forget(stranger)
        stranger.cut()
        self._cut += 1
        if self._cut_lines.take():
            self.log.info("{count} connections showed no valid string and were cut", count=self._cut)
            self._cut = 0

    def puzzled_by(self, failure: Failure) -> None:
        """
        Log *failure*, unless there was one in the last minute: strangers can cause as many as they like.
        """
        if self._puzzled_lines.take():
            self.log.warn("a connection could not be negotiated: {why}", why=repr(failure.value)[:500])

    def refused(self, address: str, sentence: str) -> None:
        """
        Log that somebody at *address* showed a string and was refused: once a minute for the same reason.
        """
        now = self._clock.seconds()
        self._refused = {key: at for key, at in self._refused.items() if now - at < _REPORT_EVERY}
        if (address, sentence) not in self._refused and len(self._refused) < _MOST_REPORTED:
            self._refused[address, sentence] = now
            self.log.warn("a string was refused to {address}: {why}", address=address, why=sentence)

    def _wait(self) -> None:
        if self._timer is None and self._ages:
            delay = max(0.0, self._ages[0].since + self._seconds - self._clock.seconds())
            self._timer = self._clock.callLater(delay, self._time_passed)

    def _time_passed(self) -> None:
        self._timer = None
        now = self._clock.seconds()
        while self._ages and (not self._ages[0].known or now >= self._ages[0].since + self._seconds):
            oldest = self._ages.popleft()
            if oldest.known:
                self.drop(oldest)
        self._wait()


def _nothing() -> None:
    """
    It was never metered.
    """


def _at_once(begin: Begin) -> None:
    begin()
