"""
One connection: bounds on what the peer sends, and release of memory.

A broker is Foolscap's object for one end of a connection.  This one differs from the stock one:

* One exact timer detects a dead peer (`keepalive`), and a connection that is given up is cut, without waiting until the
  peer has read the rest (`link_broker`).
* The arguments of a call are released as soon as it was made.  The stock unslicers form a reference cycle, and each
  keeps its chunk until the garbage collector runs: a hundred chunks and more.
* Everything that a peer can make grow is bounded: the bytes of an unauthenticated peer, the unanswered calls, the
  unread answers (`send_backlog`).
* The CPU time for an authenticated peer is bounded (`cpu_share`).
* A failure is sent as a sentence (`failures`), and logged here if it is a defect.
* The peer's counts of references are checked (`reference_broker`).
* Tokens are read and written in fewer steps (`token_broker`).
"""

from typing import Any

from foolscap.call import InboundDelivery
from foolscap.tokens import BananaError, Violation
from twisted.internet import error
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..deferreds import background
from ..errors import BuildbotLiteError, MessageError
from ..model.display import printable
from .contract import (
    LONGEST_REASON,
)
from .failures import (
    NotOfferedError,
    SentenceErrorSlicer,
    is_expected,
)
from .limits.call_bounds import MESSAGE_OVERHEAD, CallBounds
from .limits.cpu_share import CpuShare
from .limits.unauthenticated import UnauthenticatedPeer
from .limits.unslicing import BoundedRoot
from .link_broker import LinkBroker

# Calls whose argument is bytes of a stream: their CPU time is refunded.
_STREAM_CALLS = {"append", "feed_stdin"}


class Broker(LinkBroker):
    """
    One end of a connection, bounded.  The negotiation of a Tub from `tub.make_tub` makes it.

    *unauthenticated*: the record of the peer on the end that listens; None on the end that connected.
    """

    log = Logger()
    unslicerClass = BoundedRoot
    requireSchema = True

    def __init__(
        self,
        remote_tubref,
        params,
        keepaliveTimeout=None,
        disconnectTimeout=None,
        connectionInfo=None,
        unauthenticated: UnauthenticatedPeer | None = None,
    ) -> None:
        super().__init__(remote_tubref, params, connectionInfo)
        self._unauthenticated = unauthenticated
        self._rights: set[Any] = set()
        self._calls = CallBounds()
        self._cpu_share: CpuShare | None = None

    def connectionMade(self) -> None:
        if self._unauthenticated is None:
            self.read_more()
        super().connectionMade()

    def connectionLost(self, why: Failure) -> None:
        if self._cpu_share is not None:
            self._cpu_share.stop()
        if self._unauthenticated is not None:
            self._unauthenticated.release()
            self.tub.forget_peer(self.remote_tubref)
        super().connectionLost(why)

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
        else:
            self._cut_after_linger()

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
