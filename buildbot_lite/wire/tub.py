"""
A Tub with every option set on purpose.

Foolscap's defaults are those of 2005 and of a friendly network.  What is different here, and why:

* Failures cross as sentences (`failures`), tracebacks never; gifts, with which a peer makes us dial a third party, are
  refused; what we pass by reference gets no address of its own (`getOrCreateURLForReference`).
* A string is looked up by our own function, which may refuse with its own sentence.  The answer says nothing of it.
* Whoever listens has a backlog of 4096 (with 50, a third of 500 slaves never gets through) and counts strangers.
* Connecting has 15 seconds and negotiating 20, not 120; a silent link is tested after 10 and cut after 25 (`broker`).
  A slave that comes back after a silent loss replaces its old link.
* One TLS context serves all connections of a Tub.
* Foolscap keeps its own log in memory, with bytes and FURLs in it.  What belongs to us is kept out of it.
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

Lookup = Callable[[str], Referenceable | None]
"""
What a swissnum designates: an exposed object (`exposed`, `flapp`, `control`); None when nothing; or a `RefusedError`.
"""


class _SharedContext(FoolscapContextFactory):
    """
    Foolscap sets its context up anew for each connection, which OpenSSL refuses once the context is in use.
    """

    def __init__(self, **options: object) -> None:
        super().__init__(**options)
        self._ready = super().getContext()

    def getContext(self) -> Any:
        return self._ready


class _RecentPeers(dict[str, int]):
    """
    How often each peer connected, by TubID: of the last `MOST_PEERS` of them, because every run of a stock client is
    another peer.  (When one is forgotten, its connections are counted from 1 again; the count is there to tell a new
    connection from the one that there is, which knows its own number.)
    """

    def __setitem__(self, peer: str, count: int) -> None:
        self.pop(peer, None)
        super().__setitem__(peer, count)
        if len(self) > MOST_PEERS:
            del self[next(iter(self))]


class BoundedNegotiation(Negotiation):
    """
    The first few lines of a connection, before both ends speak Foolscap.
    """

    SERVER_TIMEOUT = NEGOTIATION
    unauthenticated: UnauthenticatedPeer | None = None
    brokerClass: Callable[..., Broker]
    failureReason: Failure | None

    def log(self, *args, **kwargs):
        """
        Nothing, because what is said here holds what strangers sent; but a defect is not kept quiet.
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
            # What is between the network and TLS by now.
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
            # What it calls this connection is for those who dial it again; we never do.
            self.tub.slave_table.pop(self.theirTubRef.getTubID(), None)
        return params

    def switchToBanana(self, params):
        if self.unauthenticated is not None:
            if not self.unauthenticated.tracked:
                return  # it was cut a moment ago
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
        End the connection, whatever protocol has it by now.
        """
        self.transport.abortConnection()


class TubListener(pb.Listener):
    """
    A port of ours, and the strangers at it.  *ready* fires when it listens, or fails because it cannot.
    """

    noisy = False
    ready: "Deferred[Any]"

    @property
    def preauth(self) -> Preauth:
        """
        Those that are expected here.
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
    See the module.  *clock* is the reactor; *certificate* is PEM; *lookup* finds what a string designates.
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
        """Of our log, about connections that were cut."""
        self.processor_time: Callable[[], float] = time.thread_time
        self.unauthenticated = UnauthenticatedPeers(clock)
        self.tls = _SharedContext(
            privateKey=self.myCertificate.privateKey.original, certificate=self.myCertificate.original
        )
        self.master_table = _RecentPeers()
        self._lookup = lookup
        self.preauth = Preauth(self.tub_id, clock.seconds)
        """Those that are expected, where we listen."""
        self.preauth_token = ""
        """What we say where we are expected."""

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
        *peer* has shown nothing: do not even remember how often it connected.
        """
        if peer is not None:
            self.master_table.pop(peer.getTubID(), None)

    def getReferenceForName(self, name):
        found = self._lookup(name)
        if found is None:
            raise UnknownStringError
        return found

    def getOrCreateURLForReference(self, ref):
        """
        None: what is passed by reference is for that one connection; and grants' FURLs are put together elsewhere.
        """

    def connectTo(self, _furl, _cb, *args, **kwargs):
        raise NotImplementedError("Only dialling.dial keeps a connection.")


def make_tub(clock: IReactorTime, certificate: bytes, lookup: Lookup | None = None) -> Tub:
    """
    A Tub, which is a service: it works from ``startService()`` to ``stopService()``, once.

    *clock* is the reactor; *certificate* comes from `certificate.load_or_create`.  Without *lookup* it designates
    nothing: a slave's or a client's.
    """
    return Tub(clock, certificate, lookup or _nothing)


def raise_file_limit() -> int:
    """
    Allow this process as many open files as the system lets it have, and answer how many.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if soft != hard:
        try:
            resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
        except (ValueError, OSError):
            return soft  # the system has its own idea
    return hard


def _nothing(swissnum: str) -> Any:
    return None
