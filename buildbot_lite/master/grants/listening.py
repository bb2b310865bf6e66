"""
The ports at which a master listens, and the hosts in its FURLs.

Both are chosen once and stored, so that FURLs stay valid: the port in ``private/port``, the host in
``private/location``.  ``c['port']`` and ``c['location']`` in master.cfg override them.  ``private/listening`` records
the endpoints at which the master listened last, and since when.
"""

import os
import random
import re
import socket
from collections.abc import Iterable, Mapping
from contextlib import suppress
from ipaddress import IPv6Address

from attrs import frozen

from ...errors import BuildbotLiteError, PortError
from ...model.hello import MOST_HINTS
from ...storage.files import (
    make_directory,
    read_or_make,
    write_whole,
)
from ...wire.endpoint import (
    Endpoint,
    disjoint,
    open_port,
)
from ..config.master_config import HINT, MasterConfig

PORT = "port"
LOCATION = "location"
LISTENING = "listening"
LOOPBACK = "127.0.0.1"
CONNECT_TIMEOUT = 3.0
LOWEST = 10_000
"""The lowest port to choose: services have the lower ones."""
TRIES = 100
_EPHEMERAL_PORTS = "/proc/sys/net/ipv4/ip_local_port_range"


@frozen
class HostTest:
    """
    The result of connecting to *host*: *problem* is empty if the connection reached this machine.
    """

    host: str
    problem: str = ""


def listening(private: str) -> Mapping[str, float]:
    """
    The endpoints at which the master listens, or did when it last ran, and since when (seconds since 1970).
    """
    since_when = {}
    with suppress(FileNotFoundError), open(os.path.join(private, LISTENING), encoding="ascii", errors="replace") as at:
        for line in at:
            endpoint, _, since = line.rstrip().partition(" ")
            with suppress(ValueError):
                since_when[endpoint] = float(since)
    return since_when


def check_ports(config: MasterConfig, private: str, *, running: bool) -> None:
    """
    `PortError` when a master that starts now could not listen where *config* says.

    *running*: a master runs and will hand its ports to its successor; of these ports, only the interface is checked.
    """
    make_directory(private)
    configured = endpoints(config, private)
    own_ports: frozenset[int] = frozenset()
    if running:
        # Version 0.1.0 does not record its endpoints: assume the ports of the new configuration.
        own_ports = port_numbers(listening(private)) or frozenset(endpoint.port for endpoint in configured)
    for endpoint in configured:
        open_port(endpoint, port=0 if endpoint.port in own_ports else None).close()


def endpoints(config: MasterConfig, private: str) -> tuple[Endpoint, ...]:
    """
    The endpoints to listen at: those of master.cfg, or a free port that is chosen once.

    If one of the master's addresses is of IPv6, a port that is open on all interfaces is open on all IPv6
    interfaces, too.
    """
    parsed = [Endpoint.parse(text) for text in config.ports or (f"tcp:{kept_port(private)}",)]
    result = [each for each in parsed if each is not None]
    if any(_is_ipv6(host) for host in addresses(config, private)):
        ipv6_ports = {each.port for each in result if each.family is socket.AF_INET6}
        result += [
            Endpoint(each.port, socket.AF_INET6, backlog=each.backlog)
            for each in result
            if not each.interface and each.port not in ipv6_ports
        ]
    return disjoint(result)


def kept_port(private: str) -> int:
    """
    The port in ``private/port``; if there is no such file, choose a free port and store it.
    """
    text = read_or_make(os.path.join(private, PORT), _chosen_port)
    try:
        return int(text)
    except ValueError:
        raise BuildbotLiteError(f"{os.path.join(private, PORT)} has no port number in it.  Remove the file.") from None


def connection_hints(hosts: Iterable[str], endpoints: Iterable[Endpoint]) -> tuple[str, ...]:
    """
    The connection hints of Foolscap for *hosts*, at most `MOST_HINTS`.  One without a port gets a hint for each
    port of *endpoints*.
    """
    ports = tuple(dict.fromkeys(str(each.port) for each in endpoints))
    hints = []
    for host in hosts:
        match = HINT.match(host)
        if match is not None:
            hints += [f"tcp:{match['host']}:{port}" for port in ([match["port"]] if match["port"] else ports)]
    return tuple(dict.fromkeys(hints))[:MOST_HINTS]


def checked_address(text: str) -> str:
    """
    *text*, a host or an address with or without a port, in the form of `HINT`: IPv6 addresses in brackets.

    `BuildbotLiteError` if *text* is neither.
    """
    with suppress(ValueError):
        address = IPv6Address(text)
        if address.scope_id is None:
            return f"[{address.compressed}]"
    match = HINT.match(text)
    if match is None or not 0 < int(match["port"] or 1) < 1 << 16:
        raise BuildbotLiteError(
            f"{text!r:.100} is no host name or address.  Give one like farm.example.org, 192.0.2.7 or 2001:db8::7, "
            "with :PORT if slaves reach the master at another port than it listens at ([2001:db8::7]:PORT)."
        )
    return text


def addresses(config: MasterConfig, private: str) -> tuple[str, ...]:
    """
    The hosts at which slaves reach the master, each with a port if it differs from the one at which the master listens.
    """
    if config.location:
        return config.location
    stored = read_or_make(os.path.join(private, LOCATION), _chosen_host).decode("ascii", "replace").split()
    if not stored or not all(map(HINT.match, stored)):
        raise BuildbotLiteError(
            f"{os.path.join(private, LOCATION)} names no host.  Remove it: the master then finds out its host."
        )
    return tuple(stored)


def _is_ipv6(host: str) -> bool:
    match = HINT.match(host)
    return match is not None and match["host"].startswith("[")


def port_numbers(endpoints: Iterable[str]) -> frozenset[int]:
    """
    The ports of *endpoints*.
    """
    return frozenset(each.port for each in map(Endpoint.parse, endpoints) if each is not None)


def keep_listening(private: str, bound: Mapping[str, float]) -> None:
    """
    Record the endpoints at which the master listens, endpoint → since when.
    """
    text = "".join(f"{endpoint} {since!r}\n" for endpoint, since in bound.items())
    write_whole(os.path.join(private, LISTENING), text.encode())


def keep_host(private: str, host: str) -> None:
    """
    Store *host* for FURLs.
    """
    write_whole(os.path.join(private, LOCATION), f"{host}\n".encode())


def free_port() -> int:
    """
    A TCP port that is free now and, if possible, outside the ephemeral range.

    The kernel could give an ephemeral port to any connection until the master starts, and during each restart.
    """
    first, last = ephemeral_ports()
    others = [port for port in range(LOWEST, 1 << 16) if not first <= port <= last]
    for port in (*random.sample(others, min(TRIES, len(others))), 0):
        with suppress(OSError), socket.socket() as listening:
            listening.bind(("", port))
            return int(listening.getsockname()[1])
    raise BuildbotLiteError("No TCP port is free.  Choose one with c['port'] in master.cfg.")


def ephemeral_ports() -> tuple[int, int]:
    """
    The first and the last ephemeral port: ip_local_port_range in ip(7).
    """
    try:
        with open(_EPHEMERAL_PORTS, encoding="ascii") as source:
            first, last = map(int, source.read().split())
    except (OSError, ValueError):
        return 1 << 15, (1 << 16) - 1  # not Linux: a guess
    return first, last


def choose_host() -> HostTest:
    """
    The best name of this machine that leads back to it; if no name does, 127.0.0.1 and the problem.
    """
    problems = []
    for host in dict.fromkeys((socket.getfqdn(), socket.gethostname())):
        if host in {"", "localhost", "localhost.localdomain"} or not re.fullmatch(r"[A-Za-z0-9.-]+", host):
            continue
        tested = test_host(host)
        if not tested.problem:
            return tested
        problems.append(tested.problem)
    problem = "; ".join(problems) or "this machine has no name but localhost"
    return HostTest(LOOPBACK, problem)


def test_host(host: str) -> HostTest:
    """
    Whether a connection to *host* (a name, or an address; IPv6 in brackets) reaches this machine.
    """
    bare = host.strip("[]")
    try:
        with (
            open_port(Endpoint(0, socket.AF_INET6 if ":" in bare else socket.AF_INET)) as opened,
            socket.create_connection((bare, opened.getsockname()[1]), timeout=CONNECT_TIMEOUT),
        ):
            return HostTest(host)
    except (OSError, PortError) as error:
        return HostTest(host, f"{host} does not lead to this machine ({getattr(error, 'strerror', None) or error})")


def test_address(host: str) -> HostTest:
    """
    Whether *host*, a host with or without a port, leads to this machine.  The port is not checked.
    """
    match = HINT.match(host)
    assert match is not None, "checked_address() made it"
    return HostTest(host, test_host(match["host"]).problem)


def _chosen_port() -> bytes:
    return f"{free_port()}\n".encode()


def _chosen_host() -> bytes:
    return f"{choose_host().host}\n".encode()
