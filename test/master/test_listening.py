"""
The choice of a free port.
"""

import random
import socket

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import BuildbotLiteError
from buildbot_lite.master.grants import listening


class FreePortTests(SynchronousTestCase):
    def ephemeral_ports(self, text: str) -> None:
        """
        The file with the kernel's range of ephemeral ports has *text*.
        """
        path = self.mktemp()
        with open(path, "w") as file:
            file.write(text)
        self.patch(listening, "_EPHEMERAL_PORTS", path)

    def test_not_ephemeral(self) -> None:
        """
        The chosen port is outside the kernel's range of ephemeral ports.
        """
        first, last = listening.ephemeral_ports()
        for _ in range(20):
            port = listening.free_port()
            self.assertGreaterEqual(port, listening.LOWEST)
            self.assertFalse(first <= port <= last, port)

    def test_taken(self) -> None:
        """
        A port on which another program listens is not chosen.
        """
        with socket.create_server(("", listening.free_port())) as taken:
            port = taken.getsockname()[1]
            self.patch(random, "sample", lambda ports, most: [port, port + 1, port - 1])
            self.assertNotEqual(listening.free_port(), port)

    def test_all_ephemeral(self) -> None:
        """
        If all ports are ephemeral, one of them is chosen.
        """
        self.ephemeral_ports("1024\t65535\n")
        self.assertGreater(listening.free_port(), 1023)

    def test_unknown(self) -> None:
        """
        If the kernel does not tell its range, the upper half of all ports is avoided.
        """
        self.ephemeral_ports("what?")
        self.assertLess(listening.free_port(), 1 << 15)

    def test_none(self) -> None:
        """
        If no port is free, an error says what to do.
        """
        self.patch(socket.socket, "bind", lambda *words: self.fail_to_bind())
        self.assertIn("c['port']", str(self.assertRaises(BuildbotLiteError, listening.free_port)))

    def fail_to_bind(self) -> None:
        raise OSError
