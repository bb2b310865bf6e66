"""
A master's ports and hosts, and the connection hints in its FURLs.
"""

import os
import socket
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import BuildbotLiteError, PortError
from buildbot_lite.master.config.master_config import MasterConfig
from buildbot_lite.master.grants import listening
from buildbot_lite.master.grants.location import ClosedPorts, Location
from buildbot_lite.wire.endpoint import (
    Endpoint,
    disjoint,
    open_port,
)

from .configurations import configured

TUB = "a" * 32
SWISSNUM = "s" * 32


@define
class FakePorts:
    """
    Ports that are all free except *busy*.
    """

    endpoints: tuple[Endpoint, ...] = ()
    busy: set[int] = field(factory=set)
    wanted: tuple[Endpoint, ...] = ()

    def bind(self, endpoints: Any) -> "FakePorts":
        self.wanted = disjoint(endpoints)
        if any(each.port in self.busy for each in self.wanted):
            raise PortError
        return self

    def commit(self) -> None:
        self.endpoints = self.wanted


class LocationTests(SynchronousTestCase):
    def setUp(self) -> None:
        """
        A master's private directory.
        """
        self.private = self.mktemp()
        os.mkdir(self.private)
        self.now = 1000.0
        self.ports = FakePorts()
        self.location = self.new_location()
        self.lost: dict[str, str] = {}

    def new_location(self) -> Location:
        """
        The location of a master that starts.
        """
        return Location(
            tub_id=TUB,
            ports=self.ports,  # type: ignore[arg-type]  # as much of them as is needed
            private=self.private,
            config=configured(""),
            wall=lambda: self.now,
            why_not_reached=self.why_not_reached,
        )

    async def why_not_reached(self, hint: str) -> str:
        """
        Each host leads to this master unless it is in *lost*.
        """
        await succeed(None)
        return next((why for host, why in self.lost.items() if host in hint), "")

    def move(self, config: str) -> MasterConfig:
        """
        Apply a configuration.
        """
        made = configured(config)
        self.location.bind(made).commit()
        return made

    def write(self, name: str, text: str) -> None:
        """
        Write a file in the private directory.
        """
        with open(os.path.join(self.private, name), "w") as file:
            file.write(text)

    def test_every_port_in_furls(self) -> None:
        """
        Promise 6.11: a FURL names each host with each port; a host with its own port is named with that port.
        """
        self.move("c['port'] = [1, 2]; c['location'] = ['farm', '192.0.2.7:9']")
        self.assertEqual(self.location.hints(), ("tcp:farm:1", "tcp:farm:2", "tcp:192.0.2.7:9"))
        self.assertEqual(self.location.furl(SWISSNUM), f"pb://{TUB}@tcp:farm:1,tcp:farm:2,tcp:192.0.2.7:9/{SWISSNUM}")
        self.assertEqual(self.location.nearby(), ("tcp:127.0.0.1:1", "tcp:127.0.0.1:2"))

    def test_no_unbound_port(self) -> None:
        """
        Promise 6.11: FURLs do not name a port that is not bound yet, or that could not be bound.
        """
        self.move("c['port'] = 1; c['location'] = 'farm'")
        config = configured("c['port'] = [1, 2]; c['location'] = 'farm'")
        self.location.bind(config)
        self.assertEqual(self.location.hints(), ("tcp:farm:1",))
        self.ports.busy = {2}
        self.assertRaises(PortError, self.location.bind, config)
        self.assertEqual(self.location.hints(), ("tcp:farm:1",))

    def test_ports_that_were_closed(self) -> None:
        """
        Promise 6.11: a closed port is reported once, also if it was closed by a restart.
        """
        self.move("c['port'] = [1, 2]; c['location'] = 'farm'")
        self.assertEqual(self.location.moved(), ClosedPorts((), 1000.0))
        self.now = 2000.0
        self.move("c['port'] = [2, 3]; c['location'] = 'farm'")
        self.assertEqual(self.location.moved(), ClosedPorts((1,), 1000.0))
        self.assertEqual(self.location.moved(), ClosedPorts((), 1000.0))
        self.now = 3000.0
        self.location = self.new_location()
        self.move("c['port'] = 3; c['location'] = 'farm'")
        self.assertEqual(self.location.moved(), ClosedPorts((2,), 2000.0))

    def test_unreachable(self) -> None:
        """
        Promise 6.11: each connection hint that does not lead to this master is reported with the reason.
        """
        self.lost = {"farm": "its host name cannot be resolved"}
        asking = self.location.unreachable(["tcp:farm:1", "tcp:127.0.0.1:1"])
        self.assertEqual(
            self.successResultOf(Deferred.fromCoroutine(asking)), ["farm:1 (its host name cannot be resolved)"]
        )

    def test_ipv6(self) -> None:
        """
        If a host is an IPv6 address, a port that is open on all interfaces is also open for IPv6.
        """
        self.move("c['port'] = [1, 'tcp:2:interface=127.0.0.1', 3, 'tcp6:3']; c['location'] = '[2001:db8::7]'")
        six = Endpoint(1, socket.AF_INET6, ipv6_only=True)
        self.assertIn(six, self.ports.endpoints)
        self.assertEqual(sorted(each.port for each in self.ports.endpoints), [1, 1, 2, 3, 3])
        self.assertEqual(self.location.hints()[0], "tcp:[2001:db8::7]:1")

    def test_hosts_from_the_file(self) -> None:
        """
        Without a location in master.cfg, the hosts in the file `location` are used; a wrong file is refused.
        """
        self.write("port", "1\n")
        self.write("location", "[::1]:9\nfarm\n")
        self.move("")
        self.assertEqual(self.location.hints(), ("tcp:[::1]:9", "tcp:farm:1"))
        for wrong in ("", "::1\n", "http://farm\n"):
            self.write("location", wrong)
            self.assertIn("Remove it", str(self.assertRaises(BuildbotLiteError, self.location.hints)))


class CheckPortsTests(SynchronousTestCase):
    def setUp(self) -> None:
        """
        A port on which another socket listens.
        """
        self.private = self.mktemp()
        os.mkdir(self.private)
        opened = open_port(Endpoint(0))
        self.addCleanup(opened.close)
        self.port = opened.getsockname()[1]

    def check(self, *, running: bool, interface: str = "") -> None:
        """
        Check a configuration with this port.
        """
        option = f":interface={interface}" if interface else ""
        config = configured(f"c['port'] = 'tcp:{self.port}{option}'; c['location'] = 'farm'")
        listening.check_ports(config, self.private, running=running)

    def test_busy(self) -> None:
        """
        Promise 6.11: a port of another program is refused.
        """
        self.assertRaises(PortError, self.check, running=False)
        listening.keep_listening(self.private, {"tcp:1": 0.0})
        self.assertRaises(PortError, self.check, running=True)

    def test_master_of_0_1_0(self) -> None:
        """
        Promise 6.11: a running master of 0.1.0, which did not record its ports, can be restarted with this version.
        """
        self.check(running=True)

    def test_own(self) -> None:
        """
        A port of the running master itself is accepted; an interface that the machine does not have is refused.
        """
        listening.keep_listening(self.private, {f"tcp:{self.port}": 1.0})
        self.check(running=True)
        self.assertRaises(PortError, self.check, running=False)
        self.assertRaises(PortError, self.check, running=True, interface="192.0.2.7")


class HostAndPortTests(SynchronousTestCase):
    def test_addresses(self) -> None:
        """
        Hosts and addresses with or without a port are normalised to the form in FURLs; anything else is refused.
        """
        for text, written in {
            "::1": "[::1]",
            "2001:DB8:0::7": "[2001:db8::7]",
            "[::1]": "[::1]",
            "[::1]:9": "[::1]:9",
            "farm.example.org:9989": "farm.example.org:9989",
            "192.0.2.7": "192.0.2.7",
        }.items():
            self.assertEqual(listening.checked_address(text), written)
        for wrong in ("", "a b", "farm:", "farm:0", "farm:65536", "1:2:3", "fe80::1%eth0", "http://farm", "[::1"):
            self.assertIn(
                "no host name or address", str(self.assertRaises(BuildbotLiteError, listening.checked_address, wrong))
            )

    def test_ipv6_is_tested(self) -> None:
        """
        An IPv6 address is tested over IPv6.
        """
        self.assertEqual(listening.test_host("127.0.0.1").problem, "")
        try:
            open_port(Endpoint(0, socket.AF_INET6, "::1")).close()
        except PortError:
            self.assertIn("does not lead", listening.test_host("[::1]").problem)
        else:
            self.assertEqual(listening.test_host("[::1]").problem, "")
