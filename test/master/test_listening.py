"""
Where a master listens.
"""

import random
import socket

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import BuildbotLiteError
from buildbot_lite.master.grants import listening


class FreePortTests(SynchronousTestCase):
    def ephemeral_ports(self, text: str) -> None:
        """
        What the system says that it gives out.
        """
        path = self.mktemp()
        with open(path, "w") as file:
            file.write(text)
        self.patch(listening, "_EPHEMERAL_PORTS", path)

    def test_not_given_out(self) -> None:
        """
        The port that is chosen is none of those that the system may give to any connection meanwhile.
        """
        first, last = listening.ephemeral_ports()
        for _ in range(20):
            port = listening.free_port()
            self.assertGreaterEqual(port, listening.LOWEST)
            self.assertFalse(first <= port <= last, port)

    def test_taken(self) -> None:
        """
        One at which somebody listens is not chosen.
        """
        with socket.create_server(("", listening.free_port())) as taken:
            port = taken.getsockname()[1]
            self.patch(random, "sample", lambda ports, most: [port, port + 1, port - 1])
            self.assertNotEqual(listening.free_port(), port)

    def test_all_given_out(self) -> None:
        """
        Where the system gives out all of them, one of those has to do.
        """
        self.ephemeral_ports("1024\t65535\n")
        self.assertGreater(listening.free_port(), 1023)

    def test_unknown(self) -> None:
        """
        Where the system does not say which it gives out, the upper half is avoided.
        """
        self.ephemeral_ports("what?")
        self.assertLess(listening.free_port(), 1 << 15)

    def test_none(self) -> None:
        """
        When there is none, a sentence says what to do.
        """
        self.patch(socket.socket, "bind", lambda *words: self.fail_to_bind())
        self.assertIn("c['port']", str(self.assertRaises(BuildbotLiteError, listening.free_port)))

    def fail_to_bind(self) -> None:
        """
        Somebody has it.
        """
        raise OSError
