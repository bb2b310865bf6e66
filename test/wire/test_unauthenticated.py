"""
Connections that have not presented a valid FURL.
"""

from functools import partial

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import capturedLogs, formatEvent
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.wire.contract import MOST_HANDSHAKES
from buildbot_lite.wire.limits.unauthenticated import UnauthenticatedPeer, UnauthenticatedPeers


def hello(length: int, record: int = 0) -> bytes:
    """
    Return a TLS ClientHello, all zeros, in a record that declares *record* bytes.
    """
    size = (record or min(length + 4, 1 << 14)).to_bytes(2, "big")
    return b"\x16\x03\x01" + size + b"\x01" + length.to_bytes(3, "big") + bytes(length)


class UnauthenticatedPeersTest(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.peers = UnauthenticatedPeers(self.clock, most=4, seconds=20.0, now=self.clock.seconds)
        self.cut: list[str] = []

    def accept(self, name: str) -> UnauthenticatedPeer:
        """
        Accept a connection from the address that is the first letter of *name*.
        """
        return self.peers.accept(name[0], lambda: self.cut.append(name))

    def test_time(self) -> None:
        """
        An unauthenticated connection is cut after 20 seconds.
        """
        self.accept("a1")
        self.clock.advance(10)
        self.accept("b1")

        self.clock.advance(9.9)
        self.assertEqual(self.cut, [])
        self.clock.advance(0.1)
        self.assertEqual(self.cut, ["a1"])
        self.clock.advance(10)
        self.assertEqual(self.cut, ["a1", "b1"])
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def test_authenticated(self) -> None:
        """
        A connection that has presented a valid FURL is not cut, and no timer runs any more.
        """
        peer = self.accept("a1")

        peer.release()
        peer.release()

        self.assertEqual(len(self.peers), 0)
        self.assertEqual(self.clock.getDelayedCalls(), [])

    def tls(self, peer: UnauthenticatedPeer) -> tuple[Protocol, list[int]]:
        """
        Return a fake TLS layer for *peer*, and the list of the lengths of the data that it got.
        """
        heard: list[int] = []

        class Layer(Protocol):
            def dataReceived(self, data: bytes) -> None:
                heard.append(len(data))

        layer = Layer()
        peer.meter(layer, StringTransport())
        return layer, heard

    def test_bytes(self) -> None:
        """
        Promise 3.11: a connection is cut after 64 KiB, counted as received from the network; no more is processed.
        """
        peer = self.accept("a1")
        layer, heard = self.tls(peer)
        layer.dataReceived(hello(100))
        peer.tls_established()

        for size in ((64 << 10) - 110, 1, 1):
            layer.dataReceived(bytes(size))

        self.assertEqual((sum(heard), self.cut), (64 << 10, ["a1"]))
        self.assertEqual(len(self.peers), 0)

    def test_bytes_after_authentication(self) -> None:
        """
        The bytes of an authenticated connection are neither limited nor counted.
        """
        peer = self.accept("a1")
        layer, heard = self.tls(peer)
        layer.dataReceived(hello(100))
        peer.tls_established()
        peer.release()

        layer.dataReceived(bytes(1 << 20))
        self.assertEqual((heard[-1], self.cut), (1 << 20, []))
        self.assertNotIn("dataReceived", vars(layer))

    def test_giant_handshake(self) -> None:
        """
        Promise 3.11: a ClientHello that declares more than 8 KiB, or is malformed, is not passed to OpenSSL, which
        would allocate memory for the declared length; also if it arrives in small pieces.
        """
        for name, message in (("a", hello(8193)), ("b", hello(1 << 17)), ("c", b"GET / HTTP/1.1"), ("d", hello(9, 3))):
            layer, heard = self.tls(self.accept(name))
            for at in range(9):
                layer.dataReceived(message[at : at + 1])
            self.assertEqual((sum(heard), self.cut.pop()), (8, name))
        layer, heard = self.tls(self.accept("e"))
        layer.dataReceived(hello(100) + b"more")  # no client sends more before the server's answer
        self.assertEqual((heard, self.cut.pop()), ([], "e"))
        layer, heard = self.tls(self.accept("e"))
        layer.dataReceived(hello(8192))
        self.assertEqual((sum(heard), self.cut), (8201, []))

    def test_unfinished_handshakes(self) -> None:
        """
        Promise 3.11: the number of handshakes that are unfinished after the ClientHello is bounded; those that wait for
        the master, and finished ones, do not count.
        """
        peers = UnauthenticatedPeers(self.clock, most=1000, seconds=20.0, now=self.clock.seconds)
        layers = []
        for number in range(MOST_HANDSHAKES + 20):
            peer = peers.accept("a", partial(self.cut.append, str(number)))
            layer, _ = self.tls(peer)
            layer.dataReceived(hello(100))
            layers.append((peer, layer))
        self.assertEqual(self.cut, [])
        for peer, layer in layers[:10]:
            layer.dataReceived(b"certificate")
            peer.tls_established()
            layer.dataReceived(b"my-tub-id")

        for _, layer in layers[10:]:
            layer.dataReceived(b"certifi")
            layer.dataReceived(b"ca")

        self.assertEqual(self.cut, [str(number) for number in range(10, 20)])

    def test_handshake_is_queued(self) -> None:
        """
        Promise 3.12: when unauthenticated peers have used their share, a handshake waits; meanwhile its connection is
        not read, and a peer that is cut gets no answer.
        """
        self.peers.handshakes.metered(lambda: setattr(self.clock, "rightNow", self.clock.rightNow + 1.5))
        peer, transport = self.accept("a1"), StringTransport()
        heard: list[bytes] = []
        layer = Protocol()
        layer.dataReceived = heard.append  # type: ignore[method-assign,assignment]  # a stand-in
        peer.meter(layer, transport)
        gone = self.accept("b1")
        forgotten, nothing = self.tls(gone)

        layer.dataReceived(hello(100))
        forgotten.dataReceived(hello(100))
        self.assertEqual((heard, transport.producerState), ([], "paused"))
        gone.release()
        self.clock.advance(4.0)

        self.assertEqual((heard, nothing, transport.producerState), ([hello(100)], [], "producing"))

    def test_preauthenticated(self) -> None:
        """
        Promise 3.12: a pre-authenticated connection does not wait in the queue.
        """
        self.peers.handshakes.metered(lambda: setattr(self.clock, "rightNow", self.clock.rightNow + 10))
        slave, others = self.accept("a1"), self.accept("a2")
        slave.skip_queue()
        (layer, heard), (layer_of_others, heard_of_others) = self.tls(slave), self.tls(others)
        layer_of_others.dataReceived(hello(100))
        layer.dataReceived(hello(100))

        self.assertEqual((len(heard), len(heard_of_others)), (1, 0))

    def test_eviction(self) -> None:
        """
        With too many connections, the oldest of the address with the most is cut.
        """
        for name in ("a1", "b1", "b2", "b3", "c1"):
            self.accept(name)
        self.assertEqual(self.cut, ["b1"])

        self.accept("b4")
        self.assertEqual(self.cut, ["b1", "b2"])
        self.assertEqual(len(self.peers), 4)

    def test_refusals_are_logged(self) -> None:
        """
        Promise 3: refusals are logged for each address, once a minute; a flood cannot fill the log.
        """
        with capturedLogs() as events:
            for _ in range(3):
                self.peers.log_refusal("a", "The farm does not know this string.")
            self.peers.log_refusal("a", "Revoked.")
            self.peers.log_refusal("b", "The farm does not know this string.")
            self.assertEqual(len(events), 3)
            self.assertEqual(
                formatEvent(events[0]), "refused a string presented by a: The farm does not know this string."
            )
            for number in range(1000):
                self.peers.log_refusal(str(number), "Unknown.")
            self.assertEqual(len(events), 100)
            self.clock.advance(60)
            self.peers.log_refusal("a", "Revoked.")
            self.assertEqual(len(events), 101)

    def test_one_connection_stays(self) -> None:
        """
        While one old connection stays, memory for any number of others stays bounded.
        """
        peers = UnauthenticatedPeers(self.clock, most=100, seconds=20.0)
        peers.accept("a", lambda: None)
        for _ in range(10_000):
            peers.accept("b", lambda: None).release()

        self.assertLessEqual(len(peers._ages), 201)


class Eviction(RuleBasedStateMachine):
    """
    Compares `UnauthenticatedPeers` with a model that searches a list.
    """

    def __init__(self) -> None:
        super().__init__()
        self.clock = Clock()
        self.peers = UnauthenticatedPeers(self.clock, most=5, seconds=20.0)
        self.model: list[tuple[str, float, UnauthenticatedPeer]] = []
        self.cut: list[UnauthenticatedPeer] = []

    def drop(self, peer: UnauthenticatedPeer) -> None:
        self.model = [one for one in self.model if one[2] is not peer]

    @rule(address=st.sampled_from("abc"))
    def accept(self, address: str) -> None:
        held: list[UnauthenticatedPeer] = []
        if len(self.model) >= 5:
            counts = {name: sum(one[0] == name for one in self.model) for name in "abc"}
            candidates = [one[2] for one in self.model if counts[one[0]] == max(counts.values())]
        else:
            candidates = []
        peer = self.peers.accept(address, lambda: self.cut.append(held[0]))
        held.append(peer)
        self.model.append((address, self.clock.seconds(), peer))
        assert len(self.cut) == bool(candidates)
        for one in self.cut:
            assert one in candidates
            assert one is next(s for a, _, s in self.model if a == one.address)
            self.drop(one)
        self.cut.clear()

    @rule(data=st.data())
    def gone(self, data: st.DataObject) -> None:
        if self.model:
            _, _, peer = data.draw(st.sampled_from(self.model))
            peer.release()
            self.drop(peer)

    @rule(seconds=st.integers(1, 15))
    def wait(self, seconds: int) -> None:
        self.clock.advance(seconds)
        late = [peer for _, since, peer in self.model if self.clock.seconds() - since >= 20]
        assert late == self.cut
        for one in late:
            self.drop(one)
        self.cut.clear()

    @invariant()
    def same(self) -> None:
        assert len(self.peers) == len(self.model) <= 5
        assert bool(self.clock.getDelayedCalls()) == bool(self.model)


EvictionTest = Eviction.TestCase
EvictionTest.settings = settings(max_examples=60, deadline=None)
