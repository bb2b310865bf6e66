"""
Where the web process listens.
"""

import json
import socket
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import ConfigError, PortError
from buildbot_lite.web.farm.www_file import www_told
from buildbot_lite.web.serving import listening
from buildbot_lite.web.serving.listening import Listening, address_in, endpoint_of
from test.ports import free_ports

TRIED = 10
"""Ports that are tried one after the other."""


class FakePort:
    """
    A port of the `FakeReactor`.
    """

    def __init__(self, reactor: "FakeReactor", address: Any) -> None:
        self.reactor = reactor
        self.address = address

    def stopListening(self) -> Deferred[None]:
        """
        The port is left.
        """
        self.reactor.events.append(("left", self.address[1]))
        return succeed(None)


class FakeReactor:
    """
    A reactor that notes from which ports connections are accepted.
    """

    def __init__(self) -> None:
        self.events: list[tuple[str, int]] = []

    def adoptStreamPort(self, number: int, family: int, factory: object) -> FakePort:
        """
        Take the listening socket *number* over.
        """
        with socket.socket(fileno=socket.dup(number)) as copy:
            address = copy.getsockname()
        self.events.append(("accepts", address[1]))
        return FakePort(self, address)


class ListeningTests(SynchronousTestCase):
    def setUp(self) -> None:
        """
        A directory, and three ports to try, apart from each other.
        """
        self.directory = Path(self.mktemp())
        self.directory.mkdir(parents=True)
        self.ports = free_ports(3 * TRIED)[::TRIED]
        self.patch(listening, "FIRST", self.ports[0])
        self.patch(listening, "LAST", self.ports[0])
        self.reactor = FakeReactor()

    def make(self, port: str | int | None = None) -> Listening:
        """
        Listen, and accept.
        """
        made = Listening(str(self.directory), port, www_told(str(self.directory)).get("port"), self.reactor)
        made.start(object())
        return made

    def tell(self, port: object) -> None:
        """
        Write what the master told.
        """
        (self.directory / "www.json").write_text(json.dumps({"title": "A farm", "port": port}))

    def used(self, port: int) -> None:
        """
        Let another program listen at *port*.
        """
        other = socket.create_server(("127.0.0.1", port))
        self.addCleanup(other.close)

    def test_order(self) -> None:
        """
        web.tac wins, then comes what the master told, then the first port that is tried; the address is in a file.
        """
        first, told, chosen = self.ports
        self.assertEqual(self.make().endpoint.port, first)
        self.assertEqual(address_in(str(self.directory)), f"http://127.0.0.1:{first}/")
        self.tell(told)
        self.assertEqual(self.make().endpoint.port, told)
        self.assertEqual(self.make(f"tcp:{chosen}").endpoint.port, chosen)
        path = self.directory / "address"
        self.assertEqual(path.read_text(), f"http://127.0.0.1:{chosen}/\n")
        self.assertEqual(path.stat().st_mode & 0o777, 0o644)

    def test_next_free(self) -> None:
        """
        A port in use is passed over; where none is free, a sentence says what to do.
        """
        first = self.ports[0]
        self.patch(listening, "LAST", first + TRIED - 1)
        self.used(first)
        port = self.make().endpoint.port
        self.assertTrue(first < port <= first + TRIED - 1, port)
        self.patch(listening, "LAST", first)
        self.assertIn("are in use.  Choose another one in web.tac", str(self.assertRaises(PortError, self.make)))

    def test_same_again(self) -> None:
        """
        The port of the last time is taken again, although a smaller one is free by now.
        """
        first = self.ports[0]
        self.patch(listening, "LAST", first + TRIED - 1)
        (self.directory / "address").write_text(f"http://127.0.0.1:{first + 1}/\n")
        self.assertEqual(self.make().endpoint.port, first + 1)

    def test_chosen_in_use(self) -> None:
        """
        A chosen port that is in use, or is no port, is an error with both remedies.
        """
        self.used(self.ports[1])
        sentence = str(self.assertRaises(PortError, self.make, self.ports[1]))
        self.assertIn(
            "Address already in use.  Choose another port=… in web.tac, or another c['www']['port']", sentence
        )
        for wrong in ("", "http://127.0.0.1/", "tcp:0", 0, 70000, "8010x"):
            self.assertRaises(ConfigError, endpoint_of, wrong)

    def test_numbers(self) -> None:
        """
        A number is a port of the loopback interface; all interfaces are chosen with a word.
        """
        for text in (9000, "9000"):
            self.assertEqual(str(endpoint_of(text)), "tcp:9000:interface=127.0.0.1")
        self.assertEqual(str(endpoint_of("tcp:9000")), "tcp:9000")

    def test_told_later(self) -> None:
        """
        A port that the master tells later is moved to without a restart, unless web.tac has one; one in use, or no port
        at all, changes nothing.
        """
        first, other, used = self.ports
        self.used(used)
        moving = self.make()
        for port in (None, first, other, other, used, "what?", 0):
            moving.told(port)
        self.assertEqual(self.reactor.events, [("accepts", first), ("left", first), ("accepts", other)])
        self.assertEqual(address_in(str(self.directory)), f"http://127.0.0.1:{other}/")
        self.successResultOf(moving.stop())
        self.assertEqual(self.reactor.events[-1], ("left", other))

    def test_told_no_more(self) -> None:
        """
        When the master tells no port any more, the web process moves to where a start without one would listen.
        """
        first, told, _ = self.ports
        self.tell(told)
        moving = self.make()
        for _ in range(2):
            moving.told(None)
        self.assertEqual(self.reactor.events, [("accepts", told), ("left", told), ("accepts", first)])
        self.assertEqual(address_in(str(self.directory)), f"http://127.0.0.1:{first}/")

    def test_chosen_stays(self) -> None:
        """
        With a port in web.tac, the master's word changes nothing.
        """
        self.make(self.ports[1]).told(self.ports[2])
        self.assertEqual(self.reactor.events, [("accepts", self.ports[1])])

    def test_damaged_words(self) -> None:
        """
        A file of what the master told that is damaged, of another form, or too large counts as absent.
        """
        path = self.directory / "www.json"
        for text in (
            "",
            "{",
            "[]",
            "7",
            '{"port": null}',
            '{"port": [1]}',
            '{"port": true}',
            '{"port": 0}',
            "[" * 70000,
        ):
            path.write_text(text)
            self.make()
            self.assertEqual(address_in(str(self.directory)), f"http://127.0.0.1:{self.ports[0]}/", text[:20])
