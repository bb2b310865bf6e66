"""
Memory for the bodies of requests.
"""

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.web.serving.body_room import BodyRoom, HeldBody


class BodyRoomTests(SynchronousTestCase):
    """
    Bodies have bounded memory, and who sends slowly does not keep the others out.
    """

    def setUp(self) -> None:
        self.room = BodyRoom(100)
        self.cut: list[str] = []

    def body(self, name: str, size: int = 0) -> HeldBody:
        """
        A body that comes in, with *size* bytes.
        """
        body = HeldBody(lambda: self.cut.append(name))
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
            self.room.complete(self.body("complete", 10))
        self.body("old", 10)
        new = self.body("new")
        self.assertFalse(self.room.grow(new, 11))
        self.assertEqual((self.cut, self.room.held), ([], 100))
        self.assertTrue(self.room.grow(new, 10))
        self.assertEqual(self.cut, ["old"])
