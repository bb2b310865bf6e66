"""
Checks whether a certain Tub listens at an address.  Needs no FURL.

The probe sends the first lines of Foolscap's negotiation, ``GET /id/TUBID HTTP/1.1``.  A listener with that Tub answers
``HTTP/1.1 101``, after which TLS would begin; the probe disconnects instead.
"""

from typing import Any

from twisted.internet import defer
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.protocol import Factory, Protocol, connectionDone
from twisted.python.failure import Failure

from ..deferreds import OneShot
from .failures import why_unreachable
from .limits.preauth import plaintext_request

_EXPECTED = b"HTTP/1.1 101 "


class _Probe(Protocol):
    """
    *answered* fires with the beginning of the answer, or with what had arrived when the connection ended.
    """

    def __init__(self, opening: bytes) -> None:
        self._opening = opening
        self._received = b""
        self.answered: OneShot[bytes] = OneShot()

    def connectionMade(self) -> None:
        assert self.transport is not None
        self.transport.write(self._opening)

    def dataReceived(self, data: bytes) -> None:
        self._received += data
        if len(self._received) >= len(_EXPECTED):
            self._answer()

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._answer()

    def _answer(self) -> None:
        self.answered.fire(self._received)


async def why_not_reached(reactor: Any, tub_id: str, hint: str, *, within: float) -> str:
    """
    The reason why the Tub *tub_id* is not reached at *hint* (``tcp:HOST:PORT``); "" when it is.

    *within*: seconds for connecting, and again for the answer.
    """
    host, _, port = hint.removeprefix("tcp:").rpartition(":")
    bare = host.strip("[]")
    probe = _Probe(plaintext_request(tub_id, bare, ""))
    try:
        factory = Factory.forProtocol(lambda: probe)
        factory.noisy = False  # `connectProtocol` cannot set it
        await HostnameEndpoint(reactor, bare, int(port), within).connect(factory)
        answer = await probe.answered.wait().addTimeout(within, reactor)
    except defer.TimeoutError:
        return f"no answer within {within:.0f} s"
    except Exception as raised:  # noqa: BLE001 - a failed connection may raise any class
        return why_unreachable(raised)
    finally:
        if probe.transport is not None:
            probe.transport.abortConnection()  # type: ignore[attr-defined]  # a TCP transport has it
    return "" if answer.startswith(_EXPECTED) else "another program answers there"
