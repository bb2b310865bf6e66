"""
A broker that ends its connection: at once, when the peer is silent, or in Foolscap's way with a bound.

The rest of the program sees a `BrokerLink`.
"""

import socket
from collections.abc import Callable

from foolscap.eventual import eventually
from twisted.internet import error
from twisted.internet.defer import Deferred, succeed
from twisted.internet.interfaces import IDelayedCall
from twisted.python.failure import Failure

from ..model.display import printable
from .contract import LINGER, LONGEST_REASON, SILENCE
from .keepalive import Keepalive
from .limits.send_backlog import SendBacklog
from .reference_broker import ReferenceBroker
from .roles import Link

# tcp(7): seconds of silence before the first probe, seconds between probes, number of probes.
_KERNEL_KEEPALIVE = {"TCP_KEEPIDLE": 60, "TCP_KEEPINTVL": 15, "TCP_KEEPCNT": 6}


class BrokerLink:
    """
    The `roles.Link` of one broker.
    """

    def __init__(self, broker: "LinkBroker") -> None:
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


class LinkBroker(ReferenceBroker):
    """
    One end of a connection, from its beginning to its end.
    """

    # Set in `connectionMade`: Foolscap makes the broker earlier.
    keepalive: Keepalive
    backlog: SendBacklog

    def __init__(self, remote_tubref, params, connectionInfo) -> None:
        self.disconnected: bool
        super().__init__(remote_tubref, params, connectionInfo)
        self.link: Link = BrokerLink(self)
        self._cutting: IDelayedCall | None = None
        self._when_lost: list[Callable[[], None]] = []

    def _paused_until(self) -> float:
        """
        Until when the connection is not read from, in seconds of the Tub's clock.
        """
        return 0.0

    def connectionMade(self) -> None:
        self.traffic = self.tub.traffic
        self.traffic.links += 1
        self.backlog = SendBacklog(self.transport)
        self.keepalive = Keepalive(
            self.tub.clock, ping=self._ping, silent=self._peer_silent, paused_until=self._paused_until
        )
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
        if not self.disconnected:
            self._cut_after_linger()
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
        if self._cutting is not None:
            self._cutting.cancel()
            self._cutting = None
        super().connectionLost(why)
        if self.tub.brokers.get(self.remote_tubref) is self:
            # The link ended together with its negotiation; the Tub got the broker only afterwards.
            self.tub.brokerDetached(self, why)
        self.discard_received()
        self.inboundDeliveryQueue.clear()

    def _cut_after_linger(self) -> None:
        """
        Cut the connection after `LINGER` seconds, unless it has ended, or a cut was arranged before.
        """
        if self._cutting is None:
            self._cutting = self.tub.clock.callLater(LINGER, self._abort)

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

    def sendPONG(self, number: int) -> None:
        if self.backlog.full:
            return  # a peer that reads receives the answers in the buffer, so it needs no pong
        super().sendPONG(number)

    # Sending

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
