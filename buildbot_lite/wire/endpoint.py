"""
TCP endpoints in Twisted's notation, and sockets bound to them.

A socket is bound and listens before anything depends on it.  So a busy or forbidden port is found while the
configuration can still be rejected.
"""

import errno
import re
import socket
from collections.abc import Iterable

from attrs import evolve, frozen

from ..errors import PortError

BACKLOG = 4096
LARGEST_PORT = (1 << 16) - 1
LARGEST_BACKLOG = 1 << 16
_PATTERN = re.compile(r"tcp(?P<six>6?):(?P<port>[0-9]{1,5})(?P<options>(?::(?:interface|backlog)=(?:\\:|[^:=\s])+)*)\Z")
_OPTION = re.compile(r":(interface|backlog)=((?:\\:|[^:=\s])+)")
_REMEDIES = {
    errno.EADDRINUSE: "Stop the program that listens there, or choose another port with c['port'] in master.cfg.",
    errno.EACCES: "Only root may use ports below 1024: choose another one with c['port'] in master.cfg.",
    errno.EADDRNOTAVAIL: "Give an address of this machine as its interface, in c['port'] of master.cfg.",
}


@frozen
class Endpoint:
    """
    An address to listen at.  *interface*: the local address to bind; empty: all addresses of *family*.  *backlog*:
    connections that may wait to be accepted.

    An IPv6 endpoint without an interface accepts IPv4 connections too, unless it is *ipv6_only* (ipv6(7)).
    """

    port: int
    family: socket.AddressFamily = socket.AF_INET
    interface: str = ""
    backlog: int = BACKLOG
    ipv6_only: bool = False

    @classmethod
    def parse(cls, text: str) -> "Endpoint | None":
        """
        The endpoint that *text* describes in Twisted's notation, as ``tcp:9989:interface=127.0.0.1``; None if invalid.
        """
        match = _PATTERN.match(text)
        if match is None or not 0 < int(match["port"]) <= LARGEST_PORT:
            return None
        options = {name: value.replace("\\:", ":") for name, value in _OPTION.findall(match["options"])}
        backlog = options.get("backlog", str(BACKLOG))
        if not backlog.isdecimal() or not 0 < int(backlog) <= LARGEST_BACKLOG:
            return None
        interface = options.get("interface", "")
        six = bool(match["six"]) or ":" in interface
        return cls(int(match["port"]), socket.AF_INET6 if six else socket.AF_INET, interface, int(backlog))

    def __str__(self) -> str:
        scheme = "tcp6" if self.family is socket.AF_INET6 else "tcp"
        escaped = self.interface.replace(":", "\\:")
        return f"{scheme}:{self.port}" + (f":interface={escaped}" if escaped else "")

    @property
    def local_host(self) -> str:
        """
        The host by which programs on this machine reach this endpoint, in the notation of FURLs.
        """
        if self.interface not in ("", "0.0.0.0", "::"):  # noqa: S104 - compared, not bound
            return f"[{self.interface}]" if ":" in self.interface else self.interface
        return "[::1]" if self.ipv6_only else "127.0.0.1"


def disjoint(endpoints: Iterable[Endpoint]) -> tuple[Endpoint, ...]:
    """
    *endpoints* without duplicates; an IPv6 one is *ipv6_only* if there is an IPv4 one with the same port.
    """
    unique = tuple(dict.fromkeys(endpoints))
    ipv4 = {each.port for each in unique if each.family is socket.AF_INET}
    return tuple(evolve(each, ipv6_only=each.family is socket.AF_INET6 and each.port in ipv4) for each in unique)


def open_port(endpoint: Endpoint, *, port: int | None = None) -> socket.socket:
    """
    A listening socket bound to *endpoint*; `PortError`, with a remedy, if that fails.

    *port*: the port to use instead of the endpoint's; 0: any free port.
    """
    opened = None
    try:
        opened = socket.socket(endpoint.family)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if endpoint.family is socket.AF_INET6:
            opened.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, endpoint.ipv6_only)
        opened.bind((endpoint.interface, endpoint.port if port is None else port))
        opened.listen(endpoint.backlog)
    except OSError as error:
        if opened is not None:
            opened.close()
        remedy = _REMEDIES.get(error.errno or 0, "Change c['port'] in master.cfg.")
        raise PortError(f"The master cannot listen at {endpoint}: {error.strerror}.  {remedy}", error.errno) from None
    return opened
