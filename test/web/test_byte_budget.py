"""
The bytes of strangers, in all.
"""

from functools import partial

from hypothesis import given
from hypothesis import strategies as some
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.web.serving.body_room import BodyRoom, HeldBody
from buildbot_lite.web.serving.byte_budget import ByteBudget
from buildbot_lite.web.serving.fair_places import Occupant
from buildbot_lite.web.serving.packing import PACKER, PackingPlaces
from buildbot_lite.web.serving.rooms import LARGEST_FORCED, LARGEST_FORM, MOST_IN_ALL, Rooms
from buildbot_lite.web.serving.site import make_factory

from .test_hooks import EndlessPage, HookCase

MOST = 100
SURE = (10, 20, 30)
_HISTORIES = some.lists(some.tuples(some.integers(0, 2), some.integers(0, 4), some.integers(0, 60)), max_size=60)


class ByteBudgetTests(SynchronousTestCase):
    @given(_HISTORIES)
    def test_shares(self, history: list[tuple[int, int, int]]) -> None:
        """
        Promise 10.10: whatever is taken and given back, all shares together have no more than the budget, and each
        gets its sure part whatever the others have; when all is given back, nothing is held.
        """
        budget = ByteBudget(MOST)
        shares = [budget.share(sure) for sure in SURE]
        for which, _, size in history:
            share = shares[which]
            count = size - 30
            if count <= 0:
                share.add(-min(share.held, -count))
            elif not share.lacking(count):
                share.add(count)
            self.assertLessEqual(sum(each.held for each in shares), MOST)
            for each, sure in zip(shares, SURE, strict=True):
                self.assertEqual(each.lacking(max(0, sure - each.held)), 0)
        for each in shares:
            each.add(-each.held)
        self.assertEqual((budget.lent, [each.lacking(MOST - sum(SURE) + each.sure) for each in shares]), (0, [0] * 3))

    @given(_HISTORIES)
    def test_rooms(self, history: list[tuple[int, int, int]]) -> None:
        """
        Promise 10.10: the same of bodies that come in, by whomever: one for which there is no room displaces only
        those of its own kind, and one that is within the sure part of that kind always gets in.
        """
        budget = ByteBudget(MOST)
        rooms = [BodyRoom(budget.share(sure)) for sure in SURE]
        bodies: list[tuple[BodyRoom, HeldBody]] = []
        cut: list[BodyRoom] = []
        for which, host, size in history:
            room = rooms[which]
            body = HeldBody(partial(cut.append, room), Occupant.at(f"192.0.2.{host}"))
            room.begin(body)
            cut.clear()
            if not room.grow(body, size):
                room.release(body)
                self.assertGreater(size, room.share.sure)
                self.assertEqual(cut, [])
            bodies.append((room, body))
            self.assertLessEqual({id(each) for each in cut}, {id(room)})
            self.assertLessEqual(sum(each.held for each in rooms), MOST)
        for room, body in bodies:
            # Those that were cut have been released: it makes no difference.
            room.release(body)
        self.assertEqual(([each.held for each in rooms], budget.lent), ([0] * 3, 0))

    def test_larger(self) -> None:
        """
        What must be sent though it is larger than the budget keeps nobody from their sure part.
        """
        budget = ByteBudget(MOST)
        large, other = budget.share(10), budget.share(20)
        large.add(MOST)
        self.assertEqual([other.lacking(count) for count in (20, 21, 30)], [0, 1, 10])

    def test_packing(self) -> None:
        """
        Promise 10.10: downloads are compressed while there is memory for it, which is given back afterwards.
        """
        places = PackingPlaces(ByteBudget(2 * PACKER).share(2 * PACKER))
        visitors = [Occupant.at(f"192.0.2.{number}") for number in range(3)]
        self.assertEqual([places.take(each) for each in visitors], [True, True, False])
        places.leave(visitors[0])
        self.assertTrue(places.take(visitors[2]))
        for each in visitors[1:]:
            places.leave(each)
        self.assertEqual((places.taken, places.share.held), (0, 0))


class RoomsTests(HookCase):
    def test_full(self) -> None:
        """
        Promise 10.10: when what others send or do not read fills everything, a form and a webhook still come in, and
        what is too much then is answered with 503 and a sentence; when the connections are lost, all is given back.
        """
        rooms = Rooms(most=32 * LARGEST_FORM)
        self.factory = make_factory(EndlessPage(), self.clock, rooms)
        self.factory.doStart()
        rooms.answers.add(rooms.budget.most - rooms.budget.promised + rooms.answers.sure)
        protocols = []
        for path, room in ((b"/enter", rooms.forms), (b"/change_hook/github", rooms.hooks)):
            head = b"POST %b HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (path, LARGEST_FORM)
            for _ in range(room.share.sure // LARGEST_FORM):
                protocol, transport = self.connect()
                protocol.dataReceived(head + b"x" * LARGEST_FORM)
                protocols.append(protocol)
                self.assertEqual(transport.value(), b"")
            self.assertEqual(room.held, room.share.sure)
            protocol, transport = self.connect()
            protocol.dataReceived(head + b"x" * LARGEST_FORM)
            status, sentence = self.answer(transport)
            self.assertEqual((status, sentence[:17]), (503, "There is no room "))
        for each in protocols:
            each.connectionLost(Failure(ConnectionDone()))
        rooms.answers.add(-rooms.answers.held)
        self.assertEqual((rooms.forms.held, rooms.hooks.held, rooms.budget.lent), (0, 0, 0))

    def test_sure(self) -> None:
        """
        What is there for sure is enough for a few of the largest that each kind may send, and leaves the most of the
        budget to whoever needs it.
        """
        rooms = Rooms()
        for room in (rooms.forms, rooms.hooks, rooms.heads):
            self.assertGreaterEqual(room.share.sure, 4 * LARGEST_FORM)
        self.assertGreaterEqual(rooms.large_forms.share.sure, 2 * LARGEST_FORCED)
        self.assertLessEqual(rooms.budget.promised, MOST_IN_ALL * 3 // 4)
