"""
The TCP ports at which a Tub listens, which can change while it runs.

::

    bind(endpoints) ──► PortChange ──commit()──► listens at exactly these endpoints
                           `────cancel()───► unchanged

A port is bound, and queues connections, before anything depends on it.  So a port that cannot be bound is found while
the configuration can still be rejected, and no FURL names a port that is not bound.  Binding needs no running Tub: a
master binds in the foreground, before twistd becomes a daemon (the sockets survive the fork).
"""

import errno
import socket
from collections.abc import Iterable, Mapping
from typing import Any

from attrs import frozen
from twisted.internet.defer import maybeDeferred
from twisted.internet.endpoints import AdoptedStreamServerEndpoint
from twisted.logger import Logger

from ..deferreds import background
from ..errors import PortError
from .endpoint import (
    Endpoint,
    disjoint,
    open_port,
)
from .tub import Tub, TubListener


class Ports:
    """
    The ports of *tub*, none at first.  They close when the Tub stops.
    """

    log = Logger()

    def __init__(self, tub: Tub, reactor: Any) -> None:
        self._tub = tub
        self._reactor = reactor
        self._listeners: dict[Endpoint, TubListener] = {}

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """
        The bound endpoints: the Tub listens at them, or will when it runs.
        """
        return tuple(self._listeners)

    def bind(self, endpoints: Iterable[Endpoint]) -> "PortChange":
        """
        Bind those of *endpoints* that are not bound yet; `PortError`, with nothing bound, if one fails.
        """
        distinct, opened = disjoint(endpoints), dict[Endpoint, socket.socket]()
        try:
            for endpoint in distinct:
                if endpoint not in self._listeners:
                    opened[endpoint] = self._open(endpoint)
        except BaseException:
            _close(opened)
            raise
        return PortChange(self, distinct, opened)

    def _open(self, endpoint: Endpoint) -> socket.socket:
        try:
            return open_port(endpoint)
        except PortError as error:
            own_listener = next((str(each) for each in self._listeners if each.port == endpoint.port), None)
            if own_listener is None or error.errno != errno.EADDRINUSE:
                raise
            raise PortError(
                f"The master listens at {own_listener} already, and can listen at {endpoint} only after a restart.",
                error.errno,
            ) from None

    def replace(self, wanted: tuple[Endpoint, ...], opened: Mapping[Endpoint, socket.socket]) -> None:
        """
        Listen at exactly *wanted*; *opened* has the sockets of the new ones.
        """
        before = self._listeners
        for endpoint in before.keys() - set(wanted):
            closing = maybeDeferred(self._tub.stopListeningOn, before[endpoint])
            background(closing, self.log, "closing a port")
        self._listeners = {
            endpoint: before[endpoint] if endpoint in before else self._listen(opened[endpoint]) for endpoint in wanted
        }

    def _listen(self, opened: socket.socket) -> TubListener:
        family = opened.family
        return self._tub.listen(AdoptedStreamServerEndpoint(self._reactor, opened.detach(), family))


@frozen(eq=False)
class PortChange:
    """
    A change that `Ports.bind` has prepared.  The caller must call one of its methods, once.
    """

    _ports: Ports
    _wanted: tuple[Endpoint, ...]
    _opened: Mapping[Endpoint, socket.socket]

    def commit(self) -> None:
        """
        Listen at exactly the new endpoints.  Existing connections of closed ports stay.
        """
        self._ports.replace(self._wanted, self._opened)

    def cancel(self) -> None:
        """
        Close the newly bound sockets.
        """
        _close(self._opened)


def _close(opened: Mapping[Endpoint, socket.socket]) -> None:
    for each in opened.values():
        each.close()
