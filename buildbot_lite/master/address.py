"""
Where a master listens, and which places go into its strings.

Both are chosen once and kept, so that strings stay good: the port in ``private/port``, the host in
``private/location``.  What master.cfg says (``c['port']``, ``c['location']``) is not kept: it is said there.
"""

import os
import random
import re
import socket
from contextlib import suppress

from attrs import frozen

from ..errors import BuildbotLiteError
from ..storage.files import read_or_make, write_whole
from .config import MasterConfig

PORT = "port"
LOCATION = "location"
LOOPBACK = "127.0.0.1"
PATIENCE = 3.0
LOWEST = 10_000
"""The lowest port that is chosen: below it services are at home."""
TRIES = 100
_GIVEN_OUT = "/proc/sys/net/ipv4/ip_local_port_range"


@frozen
class Tested:
    """
    A *host* for the strings, and what came of connecting to it: *problem* is empty when that worked.
    """

    host: str
    problem: str = ""


def endpoint(config: MasterConfig, private: str) -> str:
    """
    The endpoint to listen at: what master.cfg says, or a free port that is chosen once.
    """
    return config.port or f"tcp:{kept_port(private)}"


def kept_port(private: str) -> int:
    """
    The port in ``private/port``; a free one is chosen and kept if there is none yet.
    """
    text = read_or_make(os.path.join(private, PORT), _chosen_port)
    try:
        return int(text)
    except ValueError:
        raise BuildbotLiteError(f"{os.path.join(private, PORT)} has no port number in it; remove it.") from None


def hints(config: MasterConfig, private: str) -> tuple[str, ...]:
    """
    The places that go into strings, such as ``tcp:farm.example:9989``.
    """
    port = port_of(endpoint(config, private))
    if config.location:
        return config.hints(port)
    kept = read_or_make(os.path.join(private, LOCATION), _chosen_host)
    return tuple(f"tcp:{host}:{port}" for host in kept.decode().split())


def nearby(config: MasterConfig, private: str) -> tuple[str, ...]:
    """
    Where the master is found on its own machine; empty when what it listens at does not tell.
    """
    port = port_of(endpoint(config, private))
    return (f"tcp:{LOOPBACK}:{port}",) if port else ()


def keep_host(private: str, host: str) -> None:
    """
    From now on *host* goes into strings.
    """
    write_whole(os.path.join(private, LOCATION), f"{host}\n".encode())


def port_of(endpoint: str) -> int:
    """
    The number of the port in a TCP endpoint; 0 when it has none.
    """
    match = re.match(r"(?:tcp6?|ssl):(?:port=)?([0-9]+)", endpoint) or re.match(r"([0-9]+)\Z", endpoint)
    return int(match[1]) if match else 0


def free_port() -> int:
    """
    A TCP port that is free now, and that the system gives to nobody who does not ask for just that one.

    One of those that it gives out by itself could go to any connection between now and the master's start, and
    whenever the master is down for a moment.
    """
    first, last = given_out()
    others = [port for port in range(LOWEST, 1 << 16) if not first <= port <= last]
    for port in (*random.sample(others, min(TRIES, len(others))), 0):
        with suppress(OSError), socket.socket() as listening:
            listening.bind(("", port))
            return int(listening.getsockname()[1])
    raise BuildbotLiteError("No TCP port is free.  Choose one with c['port'] in master.cfg.")


def given_out() -> tuple[int, int]:
    """
    The first and the last of the ports that the system gives out by itself.
    """
    try:
        with open(_GIVEN_OUT, encoding="ascii") as source:
            first, last = map(int, source.read().split())
    except (OSError, ValueError):
        return 1 << 15, (1 << 16) - 1  # not Linux: a guess
    return first, last


def choose_host() -> Tested:
    """
    The best name of this machine that leads back to it; 127.0.0.1, with what is wrong, when none does.
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
    return Tested(LOOPBACK, problem)


def test_host(host: str) -> Tested:
    """
    Whether a connection to *host* comes back to this machine.
    """
    with socket.socket() as listening:
        listening.bind(("", 0))
        listening.listen(1)
        port = int(listening.getsockname()[1])
        try:
            with socket.create_connection((host, port), timeout=PATIENCE):
                return Tested(host)
        except OSError as error:
            return Tested(host, f"{host} does not lead to this machine ({error.strerror or error})")


def _chosen_port() -> bytes:
    return f"{free_port()}\n".encode()


def _chosen_host() -> bytes:
    return f"{choose_host().host}\n".encode()
