"""
The TCP ports at which a Tub listens, and how they change while it runs.

::

    bind(endpoints) ──► PortChange ──commit()──► it listens at exactly these endpoints
                           `────cancel()───► everything is as it was

A port is bound, and connections to it are queued, before anything depends on it.  So what cannot be bound is found
while it can still be refused, and a string names no port that is not bound.  Binding needs no running Tub: a master
does it in the foreground, before twistd becomes a daemon (the sockets survive the fork).
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
    The ports of *tub*, none at first.  They close when it stops.
    """

    log = Logger()

    def __init__(self, tub: Tub, reactor: Any) -> None:
        self._tub = tub
        self._reactor = reactor
        self._listeners: dict[Endpoint, TubListener] = {}

    @property
    def endpoints(self) -> tuple[Endpoint, ...]:
        """
        Where it listens, or will when the Tub runs: all of them are bound.
        """
        return tuple(self._listeners)

    def bind(self, endpoints: Iterable[Endpoint]) -> "PortChange":
        """
        Bind those of *endpoints* that are not bound yet; `PortError` when one cannot be, and then none is.
        """
        wanted, opened = disjoint(endpoints), dict[Endpoint, socket.socket]()
        try:
            for endpoint in wanted:
                if endpoint not in self._listeners:
                    opened[endpoint] = self._open(endpoint)
        except BaseException:
            _close(opened)
            raise
        return PortChange(self, wanted, opened)

    def _open(self, endpoint: Endpoint) -> socket.socket:
        try:
            return open_port(endpoint)
        except PortError as error:
            ours = next((str(each) for each in self._listeners if each.port == endpoint.port), None)
            if ours is None or error.errno != errno.EADDRINUSE:
                raise
            raise PortError(
                f"The master listens at {ours} already, and can listen at {endpoint} only after a restart.",
                error.errno,
            ) from None

    def replace(self, wanted: tuple[Endpoint, ...], opened: Mapping[Endpoint, socket.socket]) -> None:
        """
        Listen at *wanted*, of which *opened* are new.
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
    What `Ports.bind` has prepared.
    """

    _ports: Ports
    _wanted: tuple[Endpoint, ...]
    _opened: Mapping[Endpoint, socket.socket]

    def commit(self) -> None:
        """
        Listen there, and nowhere else.  Connections that came in by a port that is closed stay.
        """
        self._ports.replace(self._wanted, self._opened)

    def cancel(self) -> None:
        """
        Let go of the new ones.
        """
        _close(self._opened)


def _close(opened: Mapping[Endpoint, socket.socket]) -> None:
    for each in opened.values():
        each.close()
