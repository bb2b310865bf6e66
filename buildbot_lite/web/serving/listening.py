"""
The address at which the web process listens.

``port=`` in web.tac wins; else it is ``c['www']['port']``, as the master told it last; else the first free port from
`FIRST` on, at the loopback interface: a reverse proxy with TLS stands before it (docs/deployment.md).  A port that the
master tells later is moved to without a restart.

The address in use stands in the file ``address``, for commands to name.
"""

import errno
import os
import re
import socket
from contextlib import suppress
from typing import Any

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.logger import Logger

from ...deferreds import background
from ...errors import BuildbotLiteError, ConfigError, PortError
from ...storage.files import write_whole
from ...wire.endpoint import LARGEST_PORT, Endpoint, open_port

FIRST, LAST = 8010, 8030
"""Ports that are tried where none was chosen."""
LOOPBACK = "127.0.0.1"
ADDRESS = "address"
"""The file with the address in use: one line, a URL."""
_LONGEST_ADDRESS = 200
_EXAMPLE = f'port="tcp:{FIRST}:interface={LOOPBACK}"'
_NUMBER = re.compile(r"[0-9]{1,5}\Z")
_PORT = re.compile(r"http://[^/]+:([0-9]{1,5})/\n?\Z")


class Listening:
    """
    The listening socket of the web process in *directory*, open from now on.  *port*: the argument of web.tac.  *told*:
    the port that the master told last, if it told one.

    `ConfigError` if *port* is no port, `PortError` if the port cannot be used.
    """

    def __init__(self, directory: str, port: str | int | None, told: object, reactor: Any) -> None:
        self._directory = directory
        self._reactor = reactor
        self._chosen = port is not None
        self._log = Logger()
        self._factory: Any = None
        self._port: Any = None
        self._endpoint, self._socket = _told_or_free(directory, told) if port is None else _bound(endpoint_of(port))
        self._write_address()

    @property
    def endpoint(self) -> Endpoint:
        """
        Where it listens.
        """
        return self._endpoint

    def start(self, factory: Any) -> None:
        """
        Accept connections for *factory*.
        """
        self._factory = factory
        self._port = self._adopted()
        self._log.info("listening at {endpoint}", endpoint=str(self._endpoint))

    def told(self, port: str | int | None) -> None:
        """
        The master has told ``c['www']['port']``, None if it is not set: listen there from now on, or where a start
        would without it, unless web.tac says where.  If the port cannot be used, the former one stays, and the log says
        so.
        """
        if self._chosen or self._port is None or self._is_at(port):
            return
        try:
            self._endpoint, self._socket = _first_free(self._directory) if port is None else _bound(endpoint_of(port))
        except BuildbotLiteError as error:
            self._log.error(
                "{why}  It goes on at {endpoint}; a restart tries again.", why=str(error), endpoint=str(self._endpoint)
            )
            return
        background(maybeDeferred(self._port.stopListening), self._log, "leaving a port")
        self.start(self._factory)
        self._write_address()

    def stop(self) -> Deferred[None]:
        """
        Listen no more.
        """
        return maybeDeferred(self._port.stopListening if self._port is not None else self._socket.close)

    def _is_at(self, port: str | int | None) -> bool:
        """
        Whether *port* leads to where it listens now.
        """
        if port is None:
            return self._endpoint.interface == LOOPBACK and FIRST <= self._endpoint.port <= LAST
        with suppress(ConfigError):
            return endpoint_of(port) == self._endpoint
        return False

    def _adopted(self) -> Any:
        # The reactor accepts until the queue of connections is empty; the socket must not block then.
        self._socket.setblocking(False)
        port = self._reactor.adoptStreamPort(self._socket.fileno(), self._socket.family, self._factory)
        self._socket.close()
        return port

    def _write_address(self) -> None:
        url = f"http://{self._endpoint.local_host}:{self._endpoint.port}/\n"
        write_whole(os.path.join(self._directory, ADDRESS), url.encode(), mode=0o644)


def endpoint_of(port: object) -> Endpoint:
    """
    The endpoint of *port*: a number, alone or as text, is a port of the loopback interface; else an endpoint in
    Twisted's notation.  `ConfigError` if it is neither.
    """
    text = str(port)
    if _NUMBER.match(text) and 0 < int(text) <= LARGEST_PORT:
        return Endpoint(int(text), interface=LOOPBACK)
    endpoint = Endpoint.parse(port) if isinstance(port, str) else None
    if endpoint is None:
        raise ConfigError(f"{port!r:.100} is no port.  Write {_EXAMPLE} in web.tac.")
    return endpoint


def address_in(directory: str) -> str:
    """
    The address at which the web process of *directory* listens, or listened last; "" if it never did.
    """
    with suppress(OSError), open(os.path.join(directory, ADDRESS), encoding="ascii", errors="replace") as file:
        return file.read(_LONGEST_ADDRESS).strip()
    return ""


def _told_or_free(directory: str, told: object) -> tuple[Endpoint, socket.socket]:
    """
    The port that was *told*; the first free one if that is none.
    """
    try:
        endpoint = endpoint_of(told)
    except ConfigError:
        return _first_free(directory)
    return _bound(endpoint)


def _first_free(directory: str) -> tuple[Endpoint, socket.socket]:
    """
    The port of the last time, so that addresses in bookmarks stay right, or else the first free one.
    """
    last = _PORT.match(address_in(directory))
    ports = [*([int(last[1])] if last and FIRST <= int(last[1]) <= LAST else []), *range(FIRST, LAST + 1)]
    for port in ports:
        endpoint = Endpoint(port, interface=LOOPBACK)
        try:
            return endpoint, open_port(endpoint)
        except PortError as error:
            if error.errno != errno.EADDRINUSE:
                raise
    raise PortError(f"All ports from {FIRST} to {LAST} are in use.  Choose another one in web.tac: port=…")


def _bound(endpoint: Endpoint) -> tuple[Endpoint, socket.socket]:
    try:
        return endpoint, open_port(endpoint)
    except PortError as error:
        reason = os.strerror(error.errno or 0)
        raise PortError(
            f"The web process cannot listen at {endpoint}: {reason}.  Choose another port=… in web.tac, or another "
            "c['www']['port'] in master.cfg.",
            error.errno,
        ) from None
