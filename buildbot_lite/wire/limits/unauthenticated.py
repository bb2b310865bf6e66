"""
Connections that have not presented a valid FURL yet.

Any host can connect to the master's port.  Until a connection has presented the FURL of an existing object, its calls
(`broker`), its bytes and its time are bounded, and so is the number of such connections: when there are too many, the
oldest one of the address that has most is cut (`per_address`).  All of them together get a third of our CPU time
(`handshakes`), except pre-authenticated ones (`preauth`).

Bytes are counted as they come from the network, before TLS decrypts them, because an incomplete handshake takes memory,
too, and so does what a peer sends after its negotiation was refused.

::

    accepted --presents a valid FURL--> released
       |------ 20 s pass -------------> cut
       |------ 64 KiB received -------> cut
       |------ too many --------------> cut
       `------ lost ------------------> released
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
    MOST_HANDSHAKES,
    MOST_UNAUTHENTICATED,
    UNAUTHENTICATED_BYTES,
    UNAUTHENTICATED_SECONDS,
)
from .client_hello import ClientHello
from .handshakes import Begin, HandshakeQueue
from .per_address import PerAddress

_LOG_INTERVAL = 60.0
_MOST_LOGGED_REFUSALS = 100
# Bytes that OpenSSL gets at a time.
_PIECE = 2 << 10


class UnauthenticatedPeer:
    """
    One unauthenticated connection.  *since*: when it was accepted.  *cut*: ends it.
    """

    def __init__(self, peers: "UnauthenticatedPeers", address: str, since: float, cut: Callable[[], None]) -> None:
        self.address = address
        self.since = since
        self.cut = cut
        self.tracked = True
        """False once it was authenticated, lost or cut."""
        self._peers = peers
        self._received = 0
        self._hello: ClientHello | None = ClientHello()
        self._unmeter: Callable[[], object] = _nothing
        self._waiting: Begin | None = None
        self._begin: Callable[[Begin], None] = self._enqueue

    def received(self, size: int) -> bool:
        """
        Count *size* bytes from the network; return whether they may be processed.  If they are too many, the connection
        is cut.
        """
        self._received += size
        if self.tracked and self._received > UNAUTHENTICATED_BYTES:
            self._peers.drop(self)
        return self.tracked

    def metered_plaintext(self, work: Callable[[], None]) -> None:
        """
        Call *work*, which is done before TLS begins, and charge its time.
        """
        self._peers.handshakes.metered_plaintext(work)

    def metered(self, work: Callable[[], None]) -> None:
        """
        Call *work* and charge its time.
        """
        self._peers.handshakes.metered(work)

    def skip_queue(self) -> None:
        """
        Begin the handshake of this connection without waiting, because it is pre-authenticated.
        """
        self._begin = _at_once

    def meter(self, outermost: Protocol, transport: IPushProducer) -> None:
        """
        Bound what *outermost*, the TLS layer of the connection, receives until `release`.

        *transport*: that of the connection, paused while the handshake is queued.
        """
        take = outermost.dataReceived

        def take_some(data: bytes) -> None:
            if not self.received(len(data)):
                return
            hello = self._hello
            if hello is None or hello.answered:
                self.metered(lambda: take_all(data))
            elif not hello.is_prefix(data) or hello.exceeded:
                # After its ClientHello, a client sends nothing until it is answered (RFC 8446 §2).
                self._peers.drop(self)
            elif not hello.complete:
                take(data)
            else:
                hello.answered = True
                transport.pauseProducing()
                self._waiting = lambda: self.metered(lambda: answer(data))
                self._begin(self._waiting)

        def answer(data: bytes) -> None:
            if self.tracked:
                self._waiting = None
                take(data)
                transport.resumeProducing()

        def take_all(data: bytes) -> None:
            # In small pieces, because OpenSSL keeps a buffer as large as the largest piece that it got.
            for start in range(0, len(data), _PIECE):
                take(data[start : start + _PIECE])
            if self.tracked and self._hello is not None:
                self._peers.handshake_began(self)

        # Replaced on the instance, and restored by `untrack`: so an authenticated link has no additional cost.
        outermost.dataReceived = take_some  # type: ignore[method-assign]  # replaced on purpose
        self._unmeter = lambda: vars(outermost).pop("dataReceived", None)

    def tls_established(self) -> None:
        """
        Note that the handshake is complete.
        """
        self._hello = None
        self._peers.handshake_ended(self)

    def release(self) -> None:
        """
        Stop tracking the connection: it has presented a valid FURL, or it is lost.  May be repeated.
        """
        if self.tracked:
            self._peers.release(self)

    def untrack(self) -> None:
        """
        Remove the bounds.  Only `UnauthenticatedPeers` calls this.
        """
        self.tracked = False
        if self._waiting is not None:
            self._peers.handshakes.cancel(self.address, self._waiting)
            self._waiting = None
        unmeter, self._unmeter = self._unmeter, _nothing
        unmeter()

    def log_defect(self, failure: Failure) -> None:
        """
        Log *failure*, an exception in our code that the peer's bytes caused.
        """
        self._peers.log_defect(failure)

    def _enqueue(self, begin: Begin) -> None:
        self._peers.handshakes.enqueue(self.address, begin)


class UnauthenticatedPeers:
    """
    All unauthenticated connections of one listening Tub: *most* at a time, each for at most *seconds*.

    *now*: returns seconds with a resolution of a millisecond or better.
    """

    log = Logger()

    def __init__(
        self,
        clock: IReactorTime,
        most: int = MOST_UNAUTHENTICATED,
        seconds: float = UNAUTHENTICATED_SECONDS,
        now: Callable[[], float] = time.perf_counter,
    ) -> None:
        self._clock = clock
        self._most = most
        self._seconds = seconds
        self.handshakes = HandshakeQueue(clock, now)
        self._all: PerAddress[UnauthenticatedPeer] = PerAddress()
        self._in_handshake: PerAddress[UnauthenticatedPeer] = PerAddress()
        self._ages: deque[UnauthenticatedPeer] = deque()
        self._timer: IDelayedCall | None = None
        self._cut = 0
        self._cut_lines, self._defect_lines = (once_every(_LOG_INTERVAL, clock.seconds) for _ in range(2))
        self._refused: dict[tuple[str, str], float] = {}

    def __len__(self) -> int:
        return len(self._all)

    def accept(self, address: str, cut: Callable[[], None]) -> UnauthenticatedPeer:
        """
        Track a new connection from *address*; *cut* ends it.
        """
        while len(self._all) >= self._most:
            self.drop(self._all.eviction_candidate())
        peer = UnauthenticatedPeer(self, address, self._clock.seconds(), cut)
        self._all.add(peer)
        self._ages.append(peer)
        self._set_timer()
        return peer

    def release(self, peer: UnauthenticatedPeer) -> None:
        """
        Stop tracking *peer*.
        """
        peer.untrack()
        self._all.remove(peer)
        self.handshake_ended(peer)
        while self._ages and not self._ages[0].tracked:
            self._ages.popleft()
        if not self._ages and self._timer is not None:
            self._timer.cancel()
            self._timer = None
        elif len(self._ages) > 2 * self._most:
            # Released peers are removed only at the front, so later ones accumulate behind a peer that stays.
            self._ages = deque(one for one in self._ages if one.tracked)

    def handshake_began(self, peer: UnauthenticatedPeer) -> None:
        """
        Note that *peer* has sent more than its ClientHello, and its TLS is not established.

        A correct peer sends the rest at once, so this state is short.  In it, OpenSSL reserves memory for a certificate
        of the length that the peer declared.  So at most `MOST_HANDSHAKES` peers may be in this state; if there are
        more, one is cut as in `accept`.
        """
        if peer in self._in_handshake:
            return
        while len(self._in_handshake) >= MOST_HANDSHAKES:
            self.drop(self._in_handshake.eviction_candidate())
        self._in_handshake.add(peer)

    def handshake_ended(self, peer: UnauthenticatedPeer) -> None:
        """
        Note that the TLS of *peer* is established, or that it is not tracked any more.
        """
        if peer in self._in_handshake:
            self._in_handshake.remove(peer)

    def drop(self, peer: UnauthenticatedPeer) -> None:
        """
        Cut *peer* and stop tracking it.
        """
        self.release(peer)
        peer.cut()
        self._cut += 1
        if self._cut_lines.take():
            self.log.info("cut {count} connections that presented no valid string", count=self._cut)
            self._cut = 0

    def log_defect(self, failure: Failure) -> None:
        """
        Log *failure*, at most once a minute: a peer can cause any number.
        """
        if self._defect_lines.take():
            self.log.warn("a connection could not be negotiated: {why}", why=repr(failure.value)[:500])

    def log_refusal(self, address: str, sentence: str) -> None:
        """
        Log that a FURL presented by *address* was refused, at most once a minute for the same address and *sentence*.
        """
        now = self._clock.seconds()
        self._refused = {key: at for key, at in self._refused.items() if now - at < _LOG_INTERVAL}
        if (address, sentence) not in self._refused and len(self._refused) < _MOST_LOGGED_REFUSALS:
            self._refused[address, sentence] = now
            self.log.warn("refused a string presented by {address}: {why}", address=address, why=sentence)

    def _set_timer(self) -> None:
        if self._timer is None and self._ages:
            delay = max(0.0, self._ages[0].since + self._seconds - self._clock.seconds())
            self._timer = self._clock.callLater(delay, self._time_passed)

    def _time_passed(self) -> None:
        self._timer = None
        now = self._clock.seconds()
        while self._ages and (not self._ages[0].tracked or now >= self._ages[0].since + self._seconds):
            oldest = self._ages.popleft()
            if oldest.tracked:
                self.drop(oldest)
        self._set_timer()


def _nothing() -> None:
    pass


def _at_once(begin: Begin) -> None:
    begin()
