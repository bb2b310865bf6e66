"""
Memory for the bodies of requests.
"""

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.web.serving.body_room import BodyRoom, HeldBody
from buildbot_lite.web.serving.fair_places import UNKNOWN, Occupant

FLOODER, OTHER = Occupant.at("192.0.2.9"), Occupant.at("192.0.2.1")


class BodyRoomTests(SynchronousTestCase):
    """
    Bodies have bounded memory, and who sends slowly does not keep the others out.
    """

    def setUp(self) -> None:
        self.room = BodyRoom.of(100)
        self.cut: list[str] = []

    def body(self, name: str, size: int = 0, occupant: Occupant = UNKNOWN) -> HeldBody:
        """
        A body of *occupant* that comes in, with *size* bytes.
        """
        body = HeldBody(lambda: self.cut.append(name), occupant)
        self.room.begin(body)
        self.assertTrue(self.room.grow(body, size))
        return body

    def test_displaced(self) -> None:
        """
        The oldest that hold something are displaced, and no more of them than are in the way.
        """
        self.body("empty")
        self.body("old", 60)
        self.body("younger", 40)
        self.assertTrue(self.room.grow(self.body("new"), 50))
        self.assertEqual((self.cut, self.room.held), (["old"], 90))

    def test_full(self) -> None:
        """
        Where no room can be made, nobody is displaced: the room is full of bodies that are being answered.
        """
        for _ in range(9):
            self.room.complete(self.body("complete", 10), self.fail)
        self.body("old", 10)
        new = self.body("new")
        self.assertFalse(self.room.grow(new, 11))
        self.assertEqual((self.cut, self.room.held), ([], 100))
        self.assertTrue(self.room.grow(new, 10))
        self.assertEqual(self.cut, ["old"])

    def test_flood(self) -> None:
        """
        A flood displaces its own bodies, however old those of others are; a newcomer gets in.
        """
        self.body("other", 20, OTHER)
        for _ in range(50):
            self.body("flood", 15, FLOODER)
        self.body("newcomer", 60, Occupant.at("192.0.2.2"))
        self.assertEqual(set(self.cut), {"flood"})
        self.assertLessEqual(self.room.held, 100)

    def test_flood_of_complete(self) -> None:
        """
        Whoever holds the most, and has nothing that could be displaced, gets no more at the cost of others.
        """
        self.body("other", 20, OTHER)
        for _ in range(4):
            self.room.complete(self.body("flood", 20, FLOODER), self.fail)
        self.assertFalse(self.room.grow(self.body("more", 0, FLOODER), 10))
        self.assertTrue(self.room.grow(self.body("newcomer", 0, Occupant.at("192.0.2.2")), 10))
        self.assertEqual(self.cut, ["other"])

    def test_one_each(self) -> None:
        """
        Where one of each is answered at a time, the next ones wait, in turn; they give way to others as those do that
        come in, and whoever gives up waits no more.
        """
        self.room.one_each = True
        turns: list[str] = []

        def complete(body: HeldBody, name: str) -> bool:
            return self.room.complete(body, lambda: turns.append(name))

        bodies = [self.body(name, 20, FLOODER) for name in ("first", "second", "third", "fourth", "fifth")]
        self.assertEqual([complete(body, str(n)) for n, body in enumerate(bodies)], [True, *[False] * 4])
        self.assertTrue(complete(self.body("other", 20, OTHER), "other"))
        self.assertEqual((self.cut, self.room.held), (["second"], 100))
        self.room.release(bodies[2])
        self.assertEqual(turns, [])
        self.room.release(bodies[0])
        self.assertEqual(turns, ["3"])
        self.room.release(bodies[3])
        self.room.release(bodies[4])
        self.assertEqual((turns, self.room.held, self.room.coming), (["3", "4"], 20, 0))
        self.assertTrue(complete(self.body("sixth", 20, FLOODER), "sixth"))

    def test_holders(self) -> None:
        """
        Holders of strings keep up to half of the room whatever strangers send, and the other way round.
        """
        self.body("holder", 50, Occupant.holding(1))
        for number in range(50):
            self.body("stranger", 10, Occupant.at(f"192.0.2.{number}"))
        self.assertEqual(set(self.cut), {"stranger"})
        self.cut.clear()
        for number in range(2, 50):
            self.body("holder", 10, Occupant.holding(number))
        self.assertEqual(set(self.cut), {"holder"})
