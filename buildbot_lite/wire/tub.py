"""
A Tub: Foolscap's end point, with every option set explicitly.

Foolscap's defaults date from 2005 and assume a trusted network.  The differences:

* Failures are sent as sentences (`failures`), never as tracebacks.  Gifts, by which a peer makes us connect to a third
  party, are refused.  Objects passed by reference get no FURL of their own (`getOrCreateURLForReference`).
* Our own function looks up a swissnum and may refuse it with a sentence, which does not contain it.
* A listener has a backlog of 4096 (with 50, a third of 500 slaves never connects) and bounds unauthenticated peers.
* Connecting may take 15 seconds and negotiating 20, not 120; a silent link is pinged after 10 and cut after 25
  (`broker`).  A slave that returns after a silent loss replaces its old link.
* One TLS context serves all connections of a Tub.
* Foolscap keeps a log of its own in memory, which contains received bytes and FURLs.  We write nothing to it.
"""

import resource
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from foolscap import pb
from foolscap.crypto import FoolscapContextFactory
from foolscap.info import ConnectionInfo
from foolscap.logging.log import UNUSUAL
from foolscap.negotiate import ENCRYPTED, PLAINTEXT, Negotiation
from foolscap.referenceable import Referenceable, TubRef
from twisted.application import service
from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime, IStreamServerEndpoint
from twisted.python.failure import Failure

from ..errors import UnknownStringError
from ..model.token_bucket import TokenBucket
from .broker import Broker
from .contract import (
    CONNECT,
    LOG_LINES_BURST,
    LOG_LINES_PER_SECOND,
    MOST_PEERS,
    NEGOTIATION,
    SILENCE,
)
from .endpoint import BACKLOG
from .limits.preauth import Preauth, plaintext_request
from .limits.unauthenticated import UnauthenticatedPeer, UnauthenticatedPeers
from .traffic import Traffic

Lookup = Callable[[str], Referenceable | None]
"""
Finds the object that a swissnum designates (`exposed`, `flapp`, `control`).  None: there is none.  May raise a
`RefusedError`.
"""


class _SharedContext(FoolscapContextFactory):
    """
    One context for all connections.  Foolscap's own class configures the context anew for each connection, which
    OpenSSL refuses while the context is in use.
    """

    def __init__(self, **options: object) -> None:
        super().__init__(**options)
        self._ready = super().getContext()

    def getContext(self) -> Any:
        return self._ready


class _RecentPeers(dict[str, int]):
    """
    The number of connections of each peer, by TubID, for the last `MOST_PEERS` peers.  It is bounded because each run
    of a stock client is a new peer.

    Foolscap gives each connection this number, to tell a new connection from the existing one.  When a peer has been
    dropped here, its connections count from 1 again.
    """

    def __setitem__(self, peer: str, count: int) -> None:
        self.pop(peer, None)
        super().__setitem__(peer, count)
        if len(self) > MOST_PEERS:
            del self[next(iter(self))]


class BoundedNegotiation(Negotiation):
    """
    The negotiation at the beginning of a connection.
    """

    SERVER_TIMEOUT = NEGOTIATION
    unauthenticated: UnauthenticatedPeer | None = None
    brokerClass: Callable[..., Broker]
    failureReason: Failure | None

    def log(self, *args, **kwargs):
        """
        Log only defects: other messages contain bytes from unauthenticated peers.
        """
        if kwargs.get("level") == UNUSUAL and "failure" in kwargs and self.unauthenticated is not None:
            self.unauthenticated.log_defect(kwargs["failure"])

    def sendPlaintextClient(self):
        self.transport.write(plaintext_request(self.target.tubID, self.targetHost, self.tub.preauth_token))
        self.send_phase = ENCRYPTED

    def handlePLAINTEXTServer(self, header):
        if self.unauthenticated is not None and self.listener.preauth.admits(header):
            self.unauthenticated.skip_queue()
        super().handlePLAINTEXTServer(header)

    def startTLS(self, cert):
        self.transport.startTLS(self.tub.tls)
        if self.unauthenticated is not None:
            # From here on, the transport's protocol is the TLS layer.
            self.unauthenticated.meter(self.transport.protocol, self.transport)

    def dataReceived(self, chunk):
        if self.unauthenticated is None:
            super().dataReceived(chunk)
        elif self.receive_phase != PLAINTEXT:
            self.unauthenticated.tls_established()
            super().dataReceived(chunk)
        elif self.unauthenticated.received(len(chunk)):
            self.unauthenticated.metered_plaintext(lambda: Negotiation.dataReceived(self, chunk))

    def acceptDecision(self, decision):
        params = super().acceptDecision(decision)
        if not self.isClient:
            # Foolscap would use the connection's name to connect to that peer again; we never do.
            self.tub.slave_table.pop(self.theirTubRef.getTubID(), None)
        return params

    def switchToBanana(self, params):
        if self.unauthenticated is not None:
            if not self.unauthenticated.tracked:
                return  # it was cut during this call
            self.brokerClass = partial(self.brokerClass, unauthenticated=self.unauthenticated)
        super().switchToBanana(params)

    def connectionLost(self, reason):
        if self.unauthenticated is not None:
            self.unauthenticated.release()
        super().connectionLost(reason)

    def negotiationFailed(self):
        if not isinstance(self.failureReason, Failure):
            self.failureReason = Failure(ConnectionError("the negotiation failed"))
        super().negotiationFailed()

    def cut(self) -> None:
        """
        End the connection, whichever protocol handles it now.
        """
        self.transport.abortConnection()


class TubListener(pb.Listener):
    """
    One listening port.  *ready* fires when it listens, or fails.
    """

    noisy = False
    ready: "Deferred[Any]"

    @property
    def preauth(self) -> Preauth:
        """
        The pre-authentication tokens that are accepted here.
        """
        return self._tub.preauth

    def startService(self):
        service.Service.startService(self)
        self.ready = self._ep.listen(self).addCallback(self._listening)

    def _listening(self, port: Any) -> Any:
        self._lp = port
        return port

    @property
    def port(self) -> int:
        """
        The number of the TCP port, while it listens.
        """
        return int(self._lp.getHost().port)

    def buildProtocol(self, addr):
        protocol = self._negotiationClass()
        info = ConnectionInfo()
        info._set_listener_description("listener")  # noqa: SLF001 - Foolscap has no other name for it
        info._set_listener_status("negotiating")  # noqa: SLF001 - Foolscap has no other name for it
        protocol.initServer(self, info)
        protocol.factory = self
        protocol.unauthenticated = self._tub.unauthenticated.accept(getattr(addr, "host", ""), protocol.cut)
        return protocol


class Tub(pb.Tub):
    """
    A Foolscap Tub.  *clock*: the reactor.  *certificate*: key and certificate as PEM.  *lookup*: finds the object of a
    swissnum.
    """

    unsafeTracebacks = False
    negotiationClass = BoundedNegotiation
    brokerClass = Broker
    keepaliveTimeout = None

    def __init__(self, clock: IReactorTime, certificate: bytes, lookup: Lookup) -> None:
        super().__init__(certData=certificate, _test_options={"connect_timeout": CONNECT})
        self.setOption("expose-remote-exception-types", False)
        self.setOption("accept-gifts", False)
        self.setOption("handle-old-duplicate-connections", int(SILENCE))
        self.clock = clock
        self.log_lines = TokenBucket(clock.seconds, LOG_LINES_BURST, LOG_LINES_PER_SECOND)
        """Limits our log lines about connections that were cut."""
        self.processor_time: Callable[[], float] = time.thread_time
        self.unauthenticated = UnauthenticatedPeers(clock)
        self.traffic = Traffic()
        """The bytes of all connections."""
        self.tls = _SharedContext(
            privateKey=self.myCertificate.privateKey.original, certificate=self.myCertificate.original
        )
        self.master_table = _RecentPeers()
        self._lookup = lookup
        self.preauth = Preauth(self.tub_id, clock.seconds)
        """The pre-authentication tokens that our listeners accept."""
        self.preauth_token = ""
        """The pre-authentication token that we send when we connect; "" for none."""

    @property
    def tub_id(self) -> str:
        """
        The fingerprint of this Tub's certificate: the first part of each of its FURLs.
        """
        return str(self.tubID)

    def listen(self, endpoint: str | IStreamServerEndpoint) -> TubListener:
        """
        Listen at *endpoint*, such as ``tcp:9989``, while the Tub runs.
        """
        if isinstance(endpoint, str) and endpoint.startswith("tcp") and ":backlog=" not in endpoint:
            endpoint = f"{endpoint}:backlog={BACKLOG}"
        return self.listenOn(endpoint)

    def listenOn(self, what: str | IStreamServerEndpoint, _test_options: object = None) -> TubListener:
        listener = TubListener(self, what, {}, self.negotiationClass)
        self.listeners.append(listener)
        listener.setServiceParent(self)
        return listener

    def forget_peer(self, peer: TubRef | None) -> None:
        """
        Forget the number of connections of *peer*, which was never authenticated.
        """
        if peer is not None:
            self.master_table.pop(peer.getTubID(), None)

    def getReferenceForName(self, name):
        target = self._lookup(name)
        if target is None:
            raise UnknownStringError
        return target

    def getOrCreateURLForReference(self, ref):
        """
        Return None: an object passed by reference can only be called on that connection.  (`master.grants` makes the
        FURLs.)
        """

    def connectTo(self, _furl, _cb, *args, **kwargs):
        raise NotImplementedError("Only wire.reconnecting keeps a connection.")


def make_tub(clock: IReactorTime, certificate: bytes, lookup: Lookup | None = None) -> Tub:
    """
    A Tub, which is a Twisted service: it can be started and stopped once.

    *clock*: the reactor.  *certificate*: PEM, as from `certificate.load_or_create`.  *lookup*: finds the object of a
    swissnum; None for the Tub of a slave or client, which has no objects with a FURL.
    """
    return Tub(clock, certificate, lookup or _nothing)


def raise_file_limit() -> int:
    """
    Raise the soft limit of open files to the hard one; returns the resulting limit.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (ValueError, OSError):
            return soft  # the system refuses it
    return hard


def _nothing(swissnum: str) -> Any:
    return None
