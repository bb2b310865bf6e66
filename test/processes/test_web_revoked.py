"""
Readers of a private farm, whose string is revoked while they read.
"""

import socket
from collections.abc import Mapping

from .farm import PATIENCE, Farm
from .web_case import WebCase

LOG = "/builders/b/1/steps/log/logs/stdio/raw"
STREAMS: Mapping[str, str] = {
    "a log": f"GET {LOG}",
    "a log, compressed": f"GET {LOG} HTTP/1.1\r\nAccept-Encoding: gzip",
    "a part of a log": f"GET {LOG} HTTP/1.1\r\nRange: bytes=1000-",
    "an artifact": "GET /builders/b/1/artifacts/out.txt",
    "an artifact of the API": "GET /api/v1/builds/b/1/artifacts/out.txt",
    "events": "GET /api/v1/events",
}
_SMALL = 1 << 16
"""Bytes that the client's system takes before the client reads."""


class RevokedReadersTests(WebCase):
    @classmethod
    def make(cls) -> Farm:
        """
        A private farm, whose builder makes a log and an artifact that fit in no buffer.
        """
        farm = Farm("bot1").config("c['www'] = {'private': True}\n")
        return farm.builder(
            "b",
            "steps.ShellCommand(name='log', command='head -c 9000000 /dev/urandom | base64 | tee out.txt')",
            "steps.FileUpload(name='up', slavesrc='out.txt', masterdest='out.txt')",
        )

    def asked(self, request: str, furl: str) -> tuple[socket.socket, bytes]:
        """
        A connection with the answer to *request*, and what came of it first.
        """
        connection = socket.socket()
        self.addCleanup(connection.close)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, _SMALL)
        connection.settimeout(PATIENCE)
        connection.connect(("127.0.0.1", self.port))
        line, _, headers = request.partition(" HTTP/1.1\r\n")
        head = f"{line} HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer {furl}\r\n{headers}".rstrip()
        connection.sendall(f"{head}\r\n\r\n".encode())
        return connection, connection.recv(4096)

    def test_cut(self) -> None:
        """
        Promise 10.7: when a string is revoked, everything that its holder is being sent ends at once, and goes on for
        the holder of another; without one nothing begins.
        """
        self.assertEqual(self.farm.submit("b").code, 0)
        directory = str(self.farm.master_directory)
        furls = {}
        for label in ("gone", "stays"):
            granted = self.farm.command("grant", "watch", directory, "--label", label)
            self.assertEqual(granted.code, 0, granted)
            furls[label] = granted.out.decode().strip()
        opened = {
            (what, label): self.asked(request, furl)
            for what, request in STREAMS.items()
            for label, furl in furls.items()
        }
        for which, (_, first) in opened.items():
            self.assertRegex(first, rb"^HTTP/1.1 20[06] ", which)
        for request in STREAMS.values():
            self.assertEqual(self.get(request.split()[1])[0], 401)
        self.assertEqual(self.farm.command("revoke", directory, "gone").code, 0)
        for (what, label), (connection, _) in opened.items():
            if label == "gone":
                self.assertLess(self.rest(connection), 9_000_000, what)
            elif what != "events":
                self.assertGreater(self.rest(connection), 9_000_000, what)
        opened["events", "stays"][0].settimeout(0)
        self.assertRaises(BlockingIOError, self.rest, opened["events", "stays"][0])

    def rest(self, connection: socket.socket) -> int:
        """
        How many bytes come until *connection* ends, or everything is here.
        """
        count = 0
        while count <= 9_000_000:
            try:
                data = connection.recv(1 << 16)
            except ConnectionError:
                break
            if not data:
                break
            count += len(data)
        return count
