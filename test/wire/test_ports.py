"""
The ports on which a Tub listens.
"""

import contextlib
import errno
import os
import socket
from typing import Any

from attrs import define, field
from twisted.internet.defer import succeed
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import PortError
from buildbot_lite.wire.endpoint import (
    Endpoint,
    disjoint,
    open_port,
)
from buildbot_lite.wire.ports import Ports
from test.ports import free_ports


@define
class FakeTub:
    """
    A Tub whose listeners are the adopted sockets.
    """

    listeners: list[socket.socket] = field(factory=list)

    def listen(self, endpoint: Any) -> socket.socket:
        """
        Listen on an adopted socket.
        """
        self.listeners.append(socket.socket(fileno=endpoint.fileno))
        return self.listeners[-1]

    def close(self) -> None:
        """
        Close all listeners.
        """
        for each in self.listeners:
            each.close()

    def stopListeningOn(self, listener: socket.socket) -> Any:
        """
        Close one listener.
        """
        self.listeners.remove(listener)
        listener.close()
        return succeed(None)


def local(port: int) -> Endpoint:
    """
    Return the endpoint of a port on the loopback interface.
    """
    return Endpoint(port, interface="127.0.0.1")


def answers(port: int) -> bool:
    """
    Return whether *port* accepts a connection.
    """
    with contextlib.suppress(ConnectionRefusedError), socket.create_connection(("127.0.0.1", port), timeout=10):
        return True
    return False


class EndpointTests(SynchronousTestCase):
    def test_parsed(self) -> None:
        """
        Endpoints are parsed and written in Twisted's syntax.
        """
        for text in ("tcp:9989", "tcp:9989:interface=127.0.0.1", "tcp6:9989", r"tcp6:1:interface=2001\:db8\:\:7"):
            self.assertEqual(str(Endpoint.parse(text)), text)
        long = Endpoint.parse(r"tcp:1:interface=\:\:1:backlog=7")
        self.assertEqual(long, Endpoint(1, socket.AF_INET6, "::1", 7))
        for wrong in ("", "tcp:", "tcp:0", "tcp:65536", "udp:1", "tcp:1:port=2", "tcp:1:backlog=0", "9989"):
            self.assertIsNone(Endpoint.parse(wrong), wrong)

    def test_both_families(self) -> None:
        """
        An IPv6 endpoint accepts IPv4 as well, unless an IPv4 endpoint has the same port.
        """
        both = disjoint([Endpoint(1), Endpoint(1, socket.AF_INET6), Endpoint(2, socket.AF_INET6), Endpoint(1)])
        self.assertEqual([each.ipv6_only for each in both], [False, True, False])

    def test_nearby(self) -> None:
        """
        Each endpoint has an address at which processes of the same machine reach it.
        """
        found = {
            "tcp:1": "127.0.0.1",
            "tcp6:1": "127.0.0.1",
            "tcp:1:interface=10.0.0.7": "10.0.0.7",
            r"tcp6:1:interface=\:\:1": "[::1]",
            "tcp:1:interface=0.0.0.0": "127.0.0.1",
        }
        for text, host in found.items():
            endpoint = Endpoint.parse(text)
            assert endpoint is not None
            self.assertEqual(endpoint.local_host, host)
        self.assertEqual(Endpoint(1, socket.AF_INET6, ipv6_only=True).local_host, "[::1]")


class OpenSocketTests(SynchronousTestCase):
    def sentence(self, number: int) -> str:
        """
        Return the error for the system's error *number*.
        """

        def refuse(*words: object) -> None:
            raise OSError(number, os.strerror(number))

        self.patch(socket.socket, "bind", refuse)
        return str(self.assertRaises(PortError, open_port, local(80)))

    def test_busy(self) -> None:
        """
        Promise 6.11: a port that another program uses is refused with a sentence.
        """
        with open_port(local(0)) as other:
            port = other.getsockname()[1]
            error = self.assertRaises(PortError, open_port, local(port))
        self.assertIn(f"cannot listen at tcp:{port}:interface=127.0.0.1: Address already in use.", str(error))
        self.assertEqual(error.errno, errno.EADDRINUSE)

    def test_forbidden(self) -> None:
        """
        Promise 6.11: a privileged port and an address of another machine are refused, each with the remedy.
        """
        self.assertIn("below 1024", self.sentence(errno.EACCES))
        self.assertIn("address of this machine", self.sentence(errno.EADDRNOTAVAIL))

    def test_queued(self) -> None:
        """
        An opened socket queues connections before anything accepts them.
        """
        with open_port(local(0)) as opened:
            self.assertTrue(answers(opened.getsockname()[1]))


class PortsTests(SynchronousTestCase):
    def setUp(self) -> None:
        """
        A Tub that listens nowhere.
        """
        self.tub = FakeTub()
        self.addCleanup(self.tub.close)
        self.ports = Ports(self.tub, None)  # type: ignore[arg-type]  # the fake has the methods that are called
        self.first, self.second, self.third = free_ports(3)

    def listen(self, *ports: int) -> None:
        """
        Listen on exactly these ports.
        """
        self.ports.bind(map(local, ports)).commit()

    def open(self) -> list[int]:
        """
        Return the ports that accept connections.
        """
        return [port for port in (self.first, self.second, self.third) if answers(port)]

    def test_added_and_removed(self) -> None:
        """
        Promise 6.11: ports are added and removed without touching the others.
        """
        self.listen(self.first, self.second)
        kept = self.tub.listeners[1]
        self.listen(self.second, self.third)

        self.assertEqual(self.open(), [self.second, self.third])
        self.assertIs(self.tub.listeners[0], kept)
        self.assertEqual([each.port for each in self.ports.endpoints], [self.second, self.third])

    def test_cancelled(self) -> None:
        """
        Cancelling a change closes its new sockets and leaves the old ones open.
        """
        self.listen(self.first)
        change = self.ports.bind(map(local, [self.second, self.third]))
        self.assertEqual(self.open(), [self.first, self.second, self.third])
        change.cancel()

        self.assertEqual(self.open(), [self.first])
        self.assertEqual(self.ports.endpoints, (local(self.first),))

    def test_refused_whole(self) -> None:
        """
        Promise 6.11: when one of several ports cannot be bound, no port is changed.
        """
        self.listen(self.first)
        with open_port(local(self.third)):
            self.assertRaises(PortError, self.ports.bind, map(local, [self.first, self.second, self.third]))
        self.assertEqual(self.open(), [self.first])

    def test_own_port(self) -> None:
        """
        Moving a port in use to another interface needs a restart; the error says so.
        """
        self.listen(self.first)
        error = self.assertRaises(PortError, self.ports.bind, [Endpoint(self.first)])
        self.assertIn("only after a restart", str(error))
