"""
One connection: its bounds, its garbage, its end.

Foolscap calls the end of a connection a broker.  Ours differs from the stock one in this:

* One exact timer tells whether the peer is still there (`keepalive`).
* A call's arguments are let go when the call was made.  The stock readers stay linked in a cycle, and each holds its
  chunk until the collector runs: a hundred chunks and more.
* Everything that a peer can make grow is bounded: what it may send before it has shown a valid string, the calls that
  wait for our answer, the answers that it does not read (`send_backlog`).
* Whoever has shown a valid string gets its share of our time (`cpu_share`).
* A failure leaves as its sentence (`failures`), and is logged here when it is a defect.
* A connection that is given up is cut, instead of waiting for the peer to take what was still to be sent.

`BrokerLink` is what the rest of the program sees of it.
"""

import socket
from collections.abc import Callable
from typing import Any

from foolscap import broker as stock
from foolscap.banana import b1282int, int2b128
from foolscap.call import InboundDelivery
from foolscap.eventual import eventually
from foolscap.ipb import DeadReferenceError
from foolscap.stringchain import StringChain
from foolscap.tokens import STRING, BananaError, Violation
from twisted.internet import error
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..deferreds import background
from ..errors import BuildbotLiteError, MessageError
from ..model.display import printable
from .contract import (
    LINGER,
    LONGEST_REASON,
    MOST_BYTES_IN_CALLS,
    MOST_CALLS,
    SILENCE,
    UNAUTHENTICATED_CALLS,
    AnyReference,
    RIBoundedBroker,
)
from .failures import (
    NotOfferedError,
    SentenceErrorSlicer,
    is_foreseen,
)
from .keepalive import Keepalive
from .limits.cpu_share import CpuShare
from .limits.send_backlog import SendBacklog
from .limits.unauthenticated import UnauthenticatedPeer
from .limits.unslicing import BoundedRoot
from .roles import Link

# Calls that bring bytes of a stream, which are paid for by the byte.
_STREAM_CALLS = {"append", "feed_stdin"}
# What a small message costs in a buffer, whatever is in it.
_MESSAGE_OVERHEAD = 200
# Bytes of a string's middle that cost next to nothing; who sends less at a time pays for the trouble.
_SHORTEST_PIECE = 256
# Bytes of a token before its body, in Foolscap's words.
_LONGEST_HEAD = 65
# Bytes of a string that may be in Foolscap's vocabulary, and some.
_LONGEST_WORD = 100
# Seconds of silence until the peer's system is asked whether it is there, between two such questions, and their number.
_KERNEL_KEEPALIVE = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 6}


class BrokerLink:
    """
    One connection, as the rest of the program sees it: `roles.Link`.
    """

    def __init__(self, broker: "Broker") -> None:
        self._broker = broker

    @property
    def key(self) -> str:
        return str(self._broker.remote_tubref.getTubID())

    @property
    def lost(self) -> bool:
        return bool(self._broker.disconnected)

    def silence(self) -> float:
        return self._broker.keepalive.silence

    def drop(self, reason: str) -> None:
        self._broker.drop(reason)

    def when_lost(self, callback: Callable[[], None]) -> None:
        self._broker.when_lost(callback)


class Broker(stock.Broker):
    """
    Foolscap's end of one connection, bounded.  Made by a negotiation, for the Tub that `tub.make_tub` made.
    """

    log = Logger()
    unslicerClass = BoundedRoot
    requireSchema = True
    # From when the connection is made: Foolscap makes a broker before.
    keepalive: Keepalive
    backlog: SendBacklog

    def __init__(
        self,
        remote_tubref,
        params,
        keepaliveTimeout=None,
        disconnectTimeout=None,
        connectionInfo=None,
        unauthenticated: UnauthenticatedPeer | None = None,
    ) -> None:
        self.disconnected: bool
        # The stock timers stay off.
        super().__init__(remote_tubref, params, None, None, connectionInfo)
        self.link: Link = BrokerLink(self)
        self._unauthenticated = unauthenticated
        self._rights: set[Any] = set()
        self._calls = 0
        self._bytes_in_calls = 0
        # Bytes of a string that was let in and is not complete yet.
        self._missing = 0
        self._cutting: IDelayedCall | None = None
        self._when_lost: list[Callable[[], None]] = []
        self._cpu_share: CpuShare | None = None

    # A link's life

    def connectionMade(self) -> None:
        self.backlog = SendBacklog(self.transport)
        self.keepalive = Keepalive(
            self.tub.clock, ping=self._ping, silent=self._peer_silent, paused_until=self._paused_until
        )
        super().connectionMade()

    def getDataLastReceivedAt(self):
        return self.keepalive.heard_at

    def when_lost(self, callback: Callable[[], None]) -> None:
        """
        See `roles.Link.when_lost`.
        """
        if self.disconnected:
            eventually(callback)
        else:
            self._when_lost.append(callback)

    def tolerate_silence(self) -> None:
        """
        From now on silence is no reason to give up: the peer may stand still.  Its system must answer, though.
        """
        self.keepalive.tolerate_silence()
        self.transport.setTcpKeepAlive(True)
        for name, value in _KERNEL_KEEPALIVE.items():
            if hasattr(socket, name):  # not every system has all of them
                self.transport.socket.setsockopt(socket.IPPROTO_TCP, getattr(socket, name), value)

    def drop(self, reason: str) -> None:
        """
        Cut the connection; *reason* goes into our log.
        """
        if self.disconnected:
            return
        if self.tub.log_lines.take():
            self.log.info(
                "closing the connection to {peer}: {reason}",
                peer=self._peer(),
                reason=printable(reason, longest=LONGEST_REASON),
            )
        self._cut()

    def shutdown(self, why: Failure, fireDisconnectWatchers: bool = True) -> None:
        """
        Foolscap's way of closing: send what is left, but not for ever.
        """
        if self._cutting is None and not self.disconnected:
            self._cutting = self.tub.clock.callLater(LINGER, self._abort)
        self.backlog.unregister()
        super().shutdown(why, fireDisconnectWatchers)

    def finish(self, why: Failure) -> None:
        first = not self.disconnected
        super().finish(why)
        self.keepalive.stop()
        if first:
            callbacks, self._when_lost = self._when_lost, []
            for callback in callbacks:
                eventually(callback)

    def connectionLost(self, why: Failure) -> None:
        if self._cpu_share is not None:
            self._cpu_share.stop()
        if self._cutting is not None:
            self._cutting.cancel()
            self._cutting = None
        if self._unauthenticated is not None:
            self._unauthenticated.release()
            self.tub.forget_peer(self.remote_tubref)
        super().connectionLost(why)
        if self.tub.brokers.get(self.remote_tubref) is self:
            # It ended with the last words of its negotiation, and the Tub was told of it only then.
            self.tub.brokerDetached(self, why)
        # The readers of a message that was cut in the middle refer to each other, and to its bytes.
        self.receiveStack = [self.rootUnslicer]
        self.buffer.clear()
        self._missing = 0
        self.inboundDeliveryQueue.clear()

    def _cut(self) -> None:
        self.finish(Failure(error.ConnectionLost("dropped")))
        self._abort()

    def _abort(self) -> None:
        self._cutting = None
        self.backlog.unregister()
        self.connectionAbandoned = True
        getattr(self.transport, "abortConnection", self.transport.loseConnection)()

    def _peer(self) -> str:
        return str(self.remote_tubref.getShortTubID()) if self.remote_tubref else "?"

    def _ping(self) -> None:
        if not self.backlog.full:
            self.sendPING()

    def _peer_silent(self) -> None:
        self.drop(f"nothing was heard for {SILENCE:.0f} seconds")

    def _paused_until(self) -> float:
        return self._cpu_share.paused_until if self._cpu_share is not None else 0.0

    # What goes out

    def sendToken(self, obj):
        # Foolscap asks of everything whether it is in the vocabulary: of a chunk of a log, the answer is a hash of it.
        if isinstance(obj, bytes) and len(obj) > _LONGEST_WORD:
            int2b128(len(obj), self.transport.write)
            self.transport.write(STRING)
            self.transport.write(obj)
        else:
            super().sendToken(obj)

    def count_stream_bytes(self, size: int) -> None:
        """
        *size* bytes of a log or a file go out to a peer that follows it.
        """
        if self._cpu_share is not None:
            self._cpu_share.refund(size)

    # What comes in

    def dataReceived(self, chunk: bytes) -> None:
        self.keepalive.heard()
        if _SHORTEST_PIECE <= len(chunk) < self._missing and not self.connectionAbandoned:
            # TLS brings 16 KiB at a time; Foolscap would look at the string's beginning again for each of them.
            self._missing -= len(chunk)
            self.buffer.append(chunk)
            return
        if self._cpu_share is None:
            super().dataReceived(chunk)
        else:
            with self._cpu_share.metered():
                super().dataReceived(chunk)
        self._missing = _missing(self.buffer)

    def call_begins(self, number: int) -> None:
        """
        A reader says that call *number* has begun to come in.
        """
        self._calls += 1
        if self._unauthenticated is not None and self._calls > UNAUTHENTICATED_CALLS:
            raise BananaError("that was enough")
        if len(self.activeLocalCalls) >= MOST_CALLS or len(self.inboundDeliveryQueue) >= MOST_CALLS:
            raise BananaError("too many calls at once")
        if number in self.activeLocalCalls:
            raise BananaError("a call's number is in use")

    def scheduleCall(self, delivery, ready_deferred):
        delivery.size = _size(delivery)
        self._bytes_in_calls += delivery.size
        if self._bytes_in_calls > MOST_BYTES_IN_CALLS:
            raise BananaError("too many bytes at once")
        super().scheduleCall(delivery, ready_deferred)

    def _doCall(self, delivery):
        if self._cpu_share is None:
            return self._do_call(delivery)
        if delivery.methodname in _STREAM_CALLS:
            self._cpu_share.refund(delivery.size)
        with self._cpu_share.metered():
            return self._do_call(delivery)

    def _do_call(self, delivery: InboundDelivery) -> Any:
        try:
            return super()._doCall(delivery)
        finally:
            # Breaks the cycle of CallUnslicer, ArgumentUnslicer and parent where it is heavy.
            delivery.allargs.args.clear()
            delivery.allargs.kwargs.clear()
            if delivery.reqID == 0:
                self._bytes_in_calls -= delivery.size

    def _callFinished(self, res, delivery):
        size = len(res) if isinstance(res, bytes) else 0
        if self._cpu_share is not None and delivery.methodname == "read":
            self._cpu_share.refund(size)
        self._answered(delivery, _MESSAGE_OVERHEAD + size)
        super()._callFinished(res, delivery)

    def callFailed(self, f: Failure, reqID: int, delivery: InboundDelivery | None = None) -> None:
        if not is_foreseen(f):
            self.log.failure("a call by {peer} failed; all it was told is that it did", failure=f, peer=self._peer())
        if reqID in self.activeLocalCalls and reqID != 0:
            self._answered(delivery, _MESSAGE_OVERHEAD)
            background(self.send(SentenceErrorSlicer(reqID, f)), self.log, "refusing a call")
            del self.activeLocalCalls[reqID]
        if isinstance(f.value, MessageError | Violation) and not isinstance(f.value, NotOfferedError):
            self._breached(str(f.value))

    def _breached(self, sentence: str) -> None:
        """
        The peer did what the contract does not allow: whoever gave it its strings decides.
        """
        if not self.disconnected and any(right.breach(sentence[:LONGEST_REASON]) for right in self._rights):
            self.shutdown(Failure(error.ConnectionLost("contract broken")))

    def _slowed(self, sentence: str) -> None:
        """
        It takes more than its share of our time.
        """
        self.log.warn("{peer}: {why}", peer=self._peer(), why=sentence)
        for right in self._rights:
            right.slowed(sentence)

    def _answered(self, delivery: InboundDelivery | None, size: int) -> None:
        if delivery is not None and delivery.reqID != 0:
            self._bytes_in_calls -= delivery.size
            delivery.size = 0
        if self.backlog.add(size):
            self.drop("it does not read what it asked for")

    def handleError(self, msg: bytes) -> None:
        """
        The peer says that we broke the contract, in words of its own.  Whatever it sends then is not looked at.
        """
        if self._unauthenticated is None:
            self.drop("it says that we broke the contract")
        else:
            self._cut()

    def sendPONG(self, number: int) -> None:
        if self.backlog.full:
            return  # it will hear of us when it reads what it has
        super().sendPONG(number)

    def reportReceiveError(self, f: Failure) -> None:
        """
        The peer does not speak our language, and was told so; the connection ends.
        """
        if self._unauthenticated is None:
            if self.tub.log_lines.take():
                self.log.warn(
                    "{peer} broke the contract, so its link is cut: {why}",
                    peer=self._peer(),
                    why=printable(str(f.value), longest=LONGEST_REASON),
                )
            for right in self._rights:
                right.breach(str(f.value)[:LONGEST_REASON])
        self.backlog.unregister()
        self.finish(Failure(error.ConnectionLost("contract broken")))
        if self._unauthenticated is not None:
            self._abort()
        elif self._cutting is None:
            self._cutting = self.tub.clock.callLater(LINGER, self._abort)

    # What goes out

    def send(self, obj: object) -> Deferred[None]:
        if self.disconnected:
            return succeed(None)
        return super().send(obj)

    def sendError(self, msg: str) -> None:
        self.backlog.unregister()
        super().sendError("The contract was broken.")  # *msg* would tell of our objects

    def sendFailed(self, f: Failure) -> None:
        if not self.disconnected:
            self.log.failure("a message to {peer} could not be sent", failure=f, peer=self._peer())
            self._cut()

    # Object 0

    def getInterface(self):
        return RIBoundedBroker

    def getYourReferenceByName(self, name: str) -> Deferred[Any]:
        found: Deferred[Any] = self.remote_broker.callRemote(
            "getReferenceByName", name=name.encode("ascii"), _resultConstraint=AnyReference
        )
        return found

    def remote_decref(self, clid: int, count: int) -> None:
        if clid <= 0 or count <= 0:
            raise MessageError("That is no reference.")
        tracker = self.myReferenceByCLID.get(clid)
        if tracker is not None:
            super().remote_decref(clid, min(count, tracker.refcount))

    def freeYourReference(self, tracker: Any, count: int) -> None:
        if self.disconnected:
            return

        def refused(failure: Failure) -> None:
            if failure.check(DeadReferenceError, error.ConnectionLost, error.ConnectionDone) is None:
                self.drop("it would not take a reference back")

        freeing = self.remote_broker.callRemote("decref", clid=tracker.clid, count=count).addErrback(refused)
        background(freeing.addCallback(self.freeYourReferenceTracker, tracker), self.log, "giving a reference back")

    def remote_getReferenceByName(self, name: bytes) -> Any:
        try:
            found = self.tub.getReferenceForName(name.decode("ascii", "replace"))
            found.revocable.check()
            found.revocable.check_key(self.link.key)
        except BuildbotLiteError as refusal:
            self.tub.unauthenticated.log_refusal(getattr(self.transport.getPeer(), "host", ""), str(refusal))
            raise
        if self._unauthenticated is not None:
            unauthenticated, self._unauthenticated = self._unauthenticated, None
            unauthenticated.release()
            # What it came with is what it lives on.
            bucket = found.revocable.cpu_bucket(self.tub.clock)
            self._cpu_share = CpuShare(self.tub.clock, bucket, self.transport, self.tub.processor_time, self._slowed)
            self.log = found.revocable.account.log
        found.revocable.used_by(self.link, getattr(self.transport.getHost(), "port", 0))
        self._rights.add(found.revocable)
        return found


def _size(delivery: InboundDelivery) -> int:
    arguments = [*delivery.allargs.args, *delivery.allargs.kwargs.values()]
    return _MESSAGE_OVERHEAD + sum(len(value) for value in arguments if isinstance(value, bytes))


def _missing(buffer: StringChain) -> int:
    """
    How many more bytes the string needs with which *buffer* begins; 0: it has no string at its beginning.
    """
    if len(buffer) <= _LONGEST_HEAD:
        return 0  # it is looked at soon enough
    head = buffer.popleft(_LONGEST_HEAD)
    buffer.appendleft(head)
    digits = head.partition(STRING)[0]
    return len(digits) + 1 + b1282int(digits) - len(buffer) if digits.isascii() else 0
