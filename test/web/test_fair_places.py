"""
Who loses a place when all are taken, and whose turn it is.
"""

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.defer import CancelledError
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import NoAnswerError
from buildbot_lite.web.serving.fair_places import FairPlace, FairPlaces, Occupant
from buildbot_lite.web.serving.fair_turns import FairTurns

MOST = 8


class FairPlacesTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.places = FairPlaces(MOST)
        self.lost: list[str] = []

    def take(self, address: str, count: int = 1) -> list[FairPlace]:
        """
        Take places for who comes from *address*, or with a string if it begins with "#".
        """
        occupant = Occupant.holding(int(address[1:])) if address.startswith("#") else Occupant.at(address)
        return [self.places.take(occupant, lambda: self.lost.append(address)) for _ in range(count)]

    def test_one_alone(self) -> None:
        """
        One visitor may have all places, as an office behind one address needs; of more, its oldest goes.
        """
        first, *_ = self.take("192.0.2.1", MOST)
        self.assertEqual(self.lost, [])
        self.take("192.0.2.1")
        self.assertEqual((self.lost, len(self.places)), (["192.0.2.1"], MOST))
        first.leave()
        self.assertEqual(len(self.places), MOST)

    def test_room(self) -> None:
        """
        When all places are taken there is room for who has none, or two fewer than who would lose one; so equals do not
        displace each other in turn.  Holders have room until they have half.
        """
        one, other, holder = Occupant.at("192.0.2.1"), Occupant.at("192.0.2.2"), Occupant.holding(1)
        self.take("192.0.2.1", MOST - 1)
        self.assertTrue(self.places.has_room(one))
        self.take("192.0.2.1")
        self.assertEqual((self.places.has_room(one), self.places.has_room(other)), (False, True))
        while self.places.has_room(other):
            self.take("192.0.2.2")
        self.assertEqual(self.lost, ["192.0.2.1"] * (MOST // 2))
        self.assertFalse(self.places.has_room(one))
        while self.places.has_room(holder):
            self.take("#1")
        self.assertEqual((len(self.lost), "#1" in self.lost), (MOST, False))

    def test_flood(self) -> None:
        """
        A flood displaces itself: those with fewer places keep them, and newcomers get some.
        """
        self.take("192.0.2.1", 2)
        self.take("192.0.2.9", 50)
        self.take("192.0.2.2", 2)
        self.assertEqual(set(self.lost), {"192.0.2.9"})
        self.assertEqual(len(self.places), MOST)

    def test_holders(self) -> None:
        """
        Holders of strings keep up to half of the places whatever strangers do, and the other way round.
        """
        self.take("#1", MOST // 2)
        for number in range(50):
            self.take(f"192.0.2.{number}")
        self.assertNotIn("#1", self.lost)
        self.lost.clear()
        for number in range(2, 50):
            self.take(f"#{number}", 3)
        self.assertEqual([each for each in self.lost if not each.startswith("#")], [])
        self.assertEqual(len(self.places), MOST)

    def test_belongs(self) -> None:
        """
        A place counts for whoever it belongs to now, as the newest of theirs; one that was lost belongs to nobody.
        """
        (first,) = self.take("127.0.0.1")
        self.take("192.0.2.1", 3)
        first.belongs_to(Occupant.at("192.0.2.1"))
        self.take("127.0.0.1", 5)
        self.assertEqual(self.lost, ["192.0.2.1"])
        self.take("192.0.2.2", 3)
        self.assertEqual(self.lost[1:], ["127.0.0.1", "127.0.0.1", "192.0.2.1"])
        first.leave()
        first.belongs_to(Occupant.at("192.0.2.3"))
        self.assertEqual(len(self.places), MOST - 1)

    def test_subnets(self) -> None:
        """
        All addresses of one site are one visitor, and an IPv4 address is one however it is written.
        """
        for one, other, same in (
            ("2001:db8::1", "2001:db8::ffff:1", True),
            ("2001:db8::1", "2001:db8:0:ffff::1", True),
            ("2001:db8::1", "2001:db8:1::1", False),
            ("192.0.2.1", "::ffff:192.0.2.1", True),
            ("192.0.2.1", "192.0.2.2", False),
            ("nonsense", "", True),
        ):
            self.assertEqual(Occupant.at(one) == Occupant.at(other), same, (one, other))

    @given(st.lists(st.tuples(st.integers(0, 4), st.integers(0, 9)), max_size=80))
    @settings(max_examples=60, deadline=None)
    def test_any_order(self, steps: list[tuple[int, int]]) -> None:
        """
        Whatever visitors do, there are never too many places, and nobody loses one while another stranger has more.
        """
        places, held = FairPlaces(MOST), {number: list[FairPlace]() for number in range(5)}

        def take(number: int) -> None:
            def displaced() -> None:
                counts = {each: len(taken) for each, taken in held.items()}
                self.assertEqual(counts[number], max(counts.values()))
                held[number].remove(place)

            place = places.take(Occupant.at(f"192.0.2.{number}"), displaced)
            held[number].append(place)

        for number, action in steps:
            if action < 8:
                take(number)
            elif held[number]:
                held[number].pop().leave()
            self.assertEqual(len(places), sum(map(len, held.values())))
            self.assertLessEqual(len(places), MOST)


class FairTurnsTests(SynchronousTestCase):
    def setUp(self) -> None:
        self.clock = Clock()
        self.turns = FairTurns(self.clock.seconds, self.clock, 2, 3, 1.0, 4, "Too many.")
        self.begun: list[str] = []
        self.refused: list[str] = []

    def begin(self, address: str) -> None:
        """
        Wait for the turn of *address*.
        """
        self.turns.begin(Occupant.at(address)).addCallbacks(  # type: ignore[unused-awaitable]  # its results are kept
            lambda _: self.begun.append(address),
            lambda failure: self.refused.append(address) if failure.check(NoAnswerError) else failure,
        )

    def end(self, address: str) -> None:
        """
        A turn of *address* is over.
        """
        self.turns.end(Occupant.at(address))

    def test_in_turn(self) -> None:
        """
        Promise 10.10: visitors have their turns one after the other, whoever of them waits for several, and nobody has
        more than half of them at a time.
        """
        for address in (*("192.0.2.1",) * 4, "192.0.2.2", "192.0.2.3"):
            self.begin(address)
        self.assertEqual(self.begun, ["192.0.2.1", "192.0.2.2"])
        self.end("192.0.2.2")
        self.assertEqual(self.begun[2:], ["192.0.2.3"])
        self.end("192.0.2.1")
        self.assertEqual(self.begun[3:], [])
        self.clock.advance(1.1)
        self.assertEqual(self.begun[3:], ["192.0.2.1"])
        self.end("192.0.2.3")
        self.clock.advance(1.1)
        self.assertEqual(self.begun[4:], [])
        self.end("192.0.2.1")
        self.assertEqual(self.begun[4:], ["192.0.2.1"])

    def test_too_many(self) -> None:
        """
        Of too many who wait, the newest of whoever has the most is refused.
        """
        for address in ("192.0.2.7", "192.0.2.8", *("192.0.2.1",) * 3, "192.0.2.2", "192.0.2.3", "192.0.2.1"):
            self.begin(address)
        self.assertEqual(self.refused, ["192.0.2.1"] * 2)

    def test_latecomers(self) -> None:
        """
        Of many visitors with one turn each, the latest are refused, and not the one who has waited longest.
        """
        for number in range(2, 10):
            self.begin(f"192.0.2.{number}")
        self.assertEqual(self.begun, ["192.0.2.2", "192.0.2.3"])
        self.assertEqual(self.refused, ["192.0.2.8", "192.0.2.9"])

    def test_gone(self) -> None:
        """
        Who does not wait any more has no turn, and costs the others none.
        """
        for address in ("192.0.2.1", "192.0.2.6"):
            self.begin(address)
        gone = [self.turns.begin(Occupant.at(each)) for each in ("192.0.2.2", "192.0.2.2", "192.0.2.3")]
        for each in gone:
            each.cancel()
            self.failureResultOf(each, CancelledError)
        self.begin("192.0.2.4")
        self.end("192.0.2.1")
        self.assertEqual(self.begun, ["192.0.2.1", "192.0.2.6", "192.0.2.4"])
        self.end("192.0.2.4")
        self.begin("192.0.2.5")
        self.clock.advance(1.1)
        self.assertEqual(self.begun[3:], ["192.0.2.5"])

    def test_site(self) -> None:
        """
        A site with many networks waits as one visitor.
        """
        for number in range(8):
            self.begin(f"2001:db8:0:{number}::1")
        self.begin("192.0.2.1")
        self.assertEqual(self.begun, ["2001:db8:0:0::1", "192.0.2.1"])
        self.assertEqual(len(self.refused), 3)
