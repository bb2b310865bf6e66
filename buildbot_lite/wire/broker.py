"""
One connection: bounds on what the peer sends, release of memory, closing.

A broker is Foolscap's object for one end of a connection.  This one differs from the stock one:

* One exact timer detects a dead peer (`keepalive`).
* The arguments of a call are released as soon as it was made.  The stock unslicers form a reference cycle, and each
  keeps its chunk until the garbage collector runs: a hundred chunks and more.
* Everything that a peer can make grow is bounded: the bytes of an unauthenticated peer, the unanswered calls, the
  unread answers (`send_backlog`).
* The CPU time for an authenticated peer is bounded (`cpu_share`).
* A failure is sent as a sentence (`failures`), and logged here if it is a defect.
* A connection that is given up is cut, without waiting until the peer has read the rest.
* The peer's counts of references are checked (`reference_broker`).
* Tokens are read and written in fewer steps (`token_broker`).

The rest of the program sees a `BrokerLink`.
"""

import socket
from collections.abc import Callable
from typing import Any

from foolscap.call import InboundDelivery
from foolscap.eventual import eventually
from foolscap.tokens import BananaError, Violation
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
    SILENCE,
)
from .failures import (
    NotOfferedError,
    SentenceErrorSlicer,
    is_expected,
)
from .keepalive import Keepalive
from .limits.call_bounds import MESSAGE_OVERHEAD, CallBounds
from .limits.cpu_share import CpuShare
from .limits.send_backlog import SendBacklog
from .limits.unauthenticated import UnauthenticatedPeer
from .limits.unslicing import BoundedRoot
from .reference_broker import ReferenceBroker
from .roles import Link

# Calls whose argument is bytes of a stream: their CPU time is refunded.
_STREAM_CALLS = {"append", "feed_stdin"}
# tcp(7): seconds of silence before the first probe, seconds between probes, number of probes.
_KERNEL_KEEPALIVE = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 6}


class BrokerLink:
    """
    The `roles.Link` of one broker.
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


class Broker(ReferenceBroker):
    """
    One end of a connection, bounded.  The negotiation of a Tub from `tub.make_tub` makes it.

    *unauthenticated*: the record of the peer on the end that listens; None on the end that connected.
    """

    log = Logger()
    unslicerClass = BoundedRoot
    requireSchema = True
    # Set in `connectionMade`: Foolscap makes the broker earlier.
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
        super().__init__(remote_tubref, params, connectionInfo)
        self.link: Link = BrokerLink(self)
        self._unauthenticated = unauthenticated
        self._rights: set[Any] = set()
        self._calls = CallBounds()
        self._cutting: IDelayedCall | None = None
        self._when_lost: list[Callable[[], None]] = []
        self._cpu_share: CpuShare | None = None

    # Opening and closing

    def connectionMade(self) -> None:
        self.traffic = self.tub.traffic
        self.traffic.links += 1
        self.backlog = SendBacklog(self.transport)
        self.keepalive = Keepalive(
            self.tub.clock, ping=self._ping, silent=self._peer_silent, paused_until=self._paused_until
        )
        if self._unauthenticated is None:
            self.read_more()
        super().connectionMade()

    def getDataLastReceivedAt(self):
        return self.keepalive.heard_at

    def when_lost(self, callback: Callable[[], None]) -> None:
        """
        Call *callback* once, soon after the link is lost; also if it is lost already.
        """
        if self.disconnected:
            eventually(callback)
        else:
            self._when_lost.append(callback)

    def tolerate_silence(self) -> None:
        """
        Do not give the link up for silence: the peer may be blocked.  The kernel's keepalive still detects a dead host.
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
        Close in Foolscap's way: send the rest first, for at most `LINGER` seconds.
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
        self.traffic.links -= 1
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
            # The link ended together with its negotiation; the Tub got the broker only afterwards.
            self.tub.brokerDetached(self, why)
        self.discard_received()
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
        self.drop(f"no data arrived for {SILENCE:.0f} seconds")

    def _paused_until(self) -> float:
        return self._cpu_share.paused_until if self._cpu_share is not None else 0.0

    # Sending

    def count_stream_bytes(self, size: int) -> None:
        """
        Refund the CPU time for the acknowledgements of *size* bytes of a stream that are being sent.
        """
        if self._cpu_share is not None:
            self._cpu_share.refund_sent(size)

    # Receiving

    def dataReceived(self, chunk: bytes) -> None:
        self.keepalive.heard()
        self.traffic.received += len(chunk)
        if self.takes_middle(chunk):
            return
        if self._cpu_share is None:
            super().dataReceived(chunk)
        else:
            with self._cpu_share.metered():
                super().dataReceived(chunk)

    def call_begins(self, number: int) -> None:
        """
        Count the call *number*, whose first token was read; `BananaError` if that makes too many calls.
        """
        waiting = max(len(self.activeLocalCalls), len(self.inboundDeliveryQueue))
        self._calls.begins(waiting=waiting, authenticated=self._unauthenticated is None)
        if number in self.activeLocalCalls:
            raise BananaError("the number of an unanswered call was used again")

    def scheduleCall(self, delivery, ready_deferred):
        self._calls.received(delivery)
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
            # The reference cycle of CallUnslicer, ArgumentUnslicer and parent remains, but without the data.
            delivery.allargs.args.clear()
            delivery.allargs.kwargs.clear()
            if delivery.reqID == 0:
                self._calls.over(delivery)

    def _callFinished(self, res, delivery):
        size = len(res) if isinstance(res, bytes) else 0
        if self._cpu_share is not None and delivery.methodname == "read":
            self._cpu_share.refund(size)
        self._answered(delivery, MESSAGE_OVERHEAD + size)
        super()._callFinished(res, delivery)

    def callFailed(self, f: Failure, reqID: int, delivery: InboundDelivery | None = None) -> None:
        if not is_expected(f):
            self.log.failure("a call by {peer} failed; the peer is sent no details", failure=f, peer=self._peer())
        if reqID in self.activeLocalCalls and reqID != 0:
            self._answered(delivery, MESSAGE_OVERHEAD)
            background(self.send(SentenceErrorSlicer(reqID, f)), self.log, "refusing a call")
            del self.activeLocalCalls[reqID]
        if isinstance(f.value, MessageError | Violation) and not isinstance(f.value, NotOfferedError):
            self._breached(str(f.value))

    def _breached(self, sentence: str) -> None:
        """
        The peer broke the contract: the grants of the FURLs that it presented decide whether to cut the link.
        """
        if not self.disconnected and any(right.on_breach(sentence[:LONGEST_REASON]) for right in self._rights):
            self.shutdown(Failure(error.ConnectionLost("contract broken")))

    def _slowed(self, sentence: str) -> None:
        """
        Report that the link was paused for using too much CPU time.
        """
        self.log.warn("{peer}: {why}", peer=self._peer(), why=sentence)
        for right in self._rights:
            right.on_slowed(sentence)

    def _answered(self, delivery: InboundDelivery | None, size: int) -> None:
        if delivery is not None and delivery.reqID != 0:
            self._calls.over(delivery)
        if self.backlog.add(size):
            self.drop("the peer does not read its answers")

    def handleError(self, msg: bytes) -> None:
        """
        The peer reports that we broke the contract.  Its text is not logged, and nothing more is read from it.
        """
        if self._unauthenticated is None:
            self.drop("the peer reported a breach of the contract")
        else:
            self._cut()

    def sendPONG(self, number: int) -> None:
        if self.backlog.full:
            return  # a peer that reads receives the answers in the buffer, so it needs no pong
        super().sendPONG(number)

    def reportReceiveError(self, f: Failure) -> None:
        """
        Close the connection to a peer that violated the protocol, and was sent an error message.
        """
        if self._unauthenticated is None:
            if self.tub.log_lines.take():
                self.log.warn(
                    "{peer} broke the contract, so its link is cut: {why}",
                    peer=self._peer(),
                    why=printable(str(f.value), longest=LONGEST_REASON),
                )
            for right in self._rights:
                right.on_breach(str(f.value)[:LONGEST_REASON])
        self.backlog.unregister()
        self.finish(Failure(error.ConnectionLost("contract broken")))
        if self._unauthenticated is not None:
            self._abort()
        elif self._cutting is None:
            self._cutting = self.tub.clock.callLater(LINGER, self._abort)

    # Sending messages

    def send(self, obj: object) -> Deferred[None]:
        if self.disconnected:
            return succeed(None)
        return super().send(obj)

    def sendError(self, msg: str) -> None:
        self.backlog.unregister()
        super().sendError("The contract was broken.")  # *msg* describes our objects

    def sendFailed(self, f: Failure) -> None:
        if not self.disconnected:
            self.log.failure("a message to {peer} could not be sent", failure=f, peer=self._peer())
            self._cut()

    # The first FURL that a peer presents

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
            self.read_more()
            # The first FURL that the peer presents determines the account.
            bucket = found.revocable.cpu_bucket(self.tub.clock)
            self._cpu_share = CpuShare(self.tub.clock, bucket, self.transport, self.tub.processor_time, self._slowed)
            self.log = found.revocable.account.log
        found.revocable.used_by(self.link, getattr(self.transport.getHost(), "port", 0))
        self._rights.add(found.revocable)
        return found
