"""
The records of changes, states and the outbox.
"""

from collections.abc import Callable
from typing import TypeVar

from sqlalchemy import Connection, select, update
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.model.change import Change
from buildbot_lite.storage import schema
from buildbot_lite.storage.database import open_database
from buildbot_lite.storage.records import changes, outbox, pending_changes, requests, states

T = TypeVar("T")


def a_change(revision: str | None = "1" * 40, **more: object) -> Change:
    """
    A change with that revision.
    """
    return Change(author="A U Thor <a@example.org>", source="poller", revision=revision, **more)  # type: ignore[arg-type]  # of a test


class RecordsCase(SynchronousTestCase):
    """
    A database in a file.
    """

    def setUp(self) -> None:
        self.engine = open_database(self.mktemp())
        self.addCleanup(self.engine.dispose)

    def do(self, change: Callable[[Connection], T]) -> T:
        """
        The result of *change* in a transaction of its own.
        """
        with self.engine.begin() as connection:
            return change(connection)


class ChangesTests(RecordsCase):
    """
    Changes.
    """

    def test_same_change_twice(self) -> None:
        """
        Promise 8.1: the same change twice is one change; another branch, category or revision is another change.
        """
        one, fresh = self.do(lambda c: changes.add(c, a_change(), 1.0))
        same, again = self.do(lambda c: changes.add(c, a_change(comments="said otherwise"), 2.0))
        others = [a_change(branch="other"), a_change(category="push"), a_change("2" * 40), a_change(untrusted=True)]
        added = [self.do(lambda c, each=each: changes.add(c, each, 3.0)) for each in others]  # type: ignore[misc]  # lambda

        self.assertEqual((fresh, again, same), (True, False, one))
        self.assertEqual([new for _, new in added], [True] * 4)
        self.assertEqual(self.do(changes.last_id), 5)

    def test_moves(self) -> None:
        """
        Promise 8.1: a reference that comes back to a revision is a change each time; the same move again is none, nor
        is the same revision by another source while it is the newest, nor one without a move.
        """

        def new(revision: str, move: str | None, **more: object) -> bool:
            _, fresh = self.do(lambda c: changes.add(c, a_change(revision, branch="main", move=move, **more), 1.0))
            return fresh

        self.assertTrue(new("a", "0..a"))
        self.assertTrue(new("b", "a..b", category="by function"))
        self.assertTrue(new("a", "b..a"))
        self.assertTrue(new("b", "a..b later", category="by function"))
        for move in ("a..b", "a..b later", "another source saw it", None):
            self.assertFalse(new("b", move, category="by function"), move)
        for move in ("0..a", "b..a", None):
            self.assertFalse(new("a", move), move)
        self.assertTrue(new("a", "b..a later"))
        self.assertTrue(new("a", "0..a", project="p"))
        self.assertFalse(new("a", "elsewhere", project="p"), "only on another branch of development something happened")

    def test_moves_that_were_not_recorded(self) -> None:
        """
        Promise 8.1: earlier versions recorded no moves of a source that does not know when they happened: such a move
        to a revision that they recorded is a change only if it begins where the branch is.
        """

        def new(revision: str, before: str) -> bool:
            moved = a_change(revision, branch="main", move=f"{before}..{revision}", before=before, repeats=True)
            return self.do(lambda c: changes.add(c, moved, 2.0))[1]

        for revision in ("a", "b"):
            self.do(lambda c, r=revision: changes.add(c, a_change(r, branch="main"), 1.0))  # type: ignore[misc]  # lambda
        self.assertFalse(new("a", "0"), "delivered again")
        self.assertFalse(new("b", "a"), "it is the newest")
        self.assertTrue(new("a", "b"))
        self.assertTrue(new("b", "a"))
        self.assertTrue(new("a", "c"), "the newest row of a has a move, so a push to c was lost")

    def test_trusts(self) -> None:
        """
        Whether the changes of many buildsets are untrusted is read at once; a buildset may have both kinds, or none.
        """
        rows = [self.do(lambda c, u=u: changes.add(c, a_change(untrusted=u), 1.0))[0].id for u in (False, True)]  # type: ignore[misc]  # lambda
        made = [
            self.do(lambda c: requests.submit(c, scheduler="s", builders=["b"], reason="", now=1.0)).buildset.id
            for _ in range(5)
        ]
        for buildset, some in zip(made, (rows[:1], rows[1:], rows, []), strict=False):
            self.do(lambda c, b=buildset, s=some: changes.add_to_buildset(c, b, s))  # type: ignore[misc]  # lambda
        found = self.do(lambda c: changes.trusts_of(c, [*made[:4], made[0]]))
        kinds = [frozenset({False}), frozenset({True}), frozenset({False, True}), frozenset()]
        self.assertEqual(found, dict(zip(made, kinds, strict=False)))

    def test_round_trip(self) -> None:
        """
        A change is read as it was written.
        """
        change = a_change(files=("a", "b é"), properties={"x": [1, "Change"]}, happened=5.0, branch="main", move="m")

        recorded, _ = self.do(lambda c: changes.add(c, change, 9.0))

        self.assertEqual((recorded.change, recorded.received), (change, 9.0))
        self.assertEqual(self.do(lambda c: changes.after(c, 0)), [recorded])
        self.assertEqual(self.do(changes.newest), [recorded])

    def test_pending(self) -> None:
        """
        A change waits for each scheduler on its own, until it is dropped; a buildset names its changes.
        """
        recorded, _ = self.do(lambda c: changes.add(c, a_change(happened=1.0), 1.0))
        for scheduler in ("one", "two"):
            self.do(lambda c, s=scheduler: pending_changes.add(c, s, recorded.id, important=True, now=2.0))  # type: ignore[misc]  # lambda
        self.do(lambda c: pending_changes.drop(c, "one", [recorded.id]))
        submitted = self.do(lambda c: requests.submit(c, scheduler="one", builders=["b"], reason="", now=3.0))
        self.do(lambda c: changes.add_to_buildset(c, submitted.buildset.id, [recorded.id]))

        self.assertEqual(self.do(lambda c: pending_changes.of_scheduler(c, "one")), [])
        self.assertEqual(
            self.do(lambda c: pending_changes.of_scheduler(c, "two")),
            [pending_changes.PendingChange(recorded, important=True, added=2.0)],
        )
        self.assertEqual(self.do(lambda c: changes.of_buildset(c, submitted.buildset.id)), [recorded])


class PruningTests(RecordsCase):
    """
    Forgetting old changes.
    """

    def setUp(self) -> None:
        """
        Six changes, received at the times 1 to 6.
        """
        super().setUp()
        for number in range(1, 7):
            self.do(lambda c, n=number: changes.add(c, a_change(f"{n:040}"), float(n)))  # type: ignore[misc]  # lambda

    def left(self) -> list[int]:
        """
        The numbers of the changes that are left.
        """
        return [each.id for each in self.do(lambda c: changes.after(c, 0))]

    def test_by_age_and_number(self) -> None:
        """
        Promise 8.1: changes beyond an age or a number are forgotten, a few at a time, and never the newest.
        """
        self.assertEqual(self.do(lambda c: changes.prune(c, considered=6, before=3.0, most=1)), 1)
        self.assertEqual(self.left(), [2, 3, 4, 5, 6])
        self.do(lambda c: changes.prune(c, considered=6, before=0.0, horizon=3))
        self.assertEqual(self.left(), [4, 5, 6])
        self.do(lambda c: changes.prune(c, considered=6, before=100.0))
        self.assertEqual(self.left(), [6])

    def test_needed(self) -> None:
        """
        Promise 8.1: what a scheduler has not considered, what waits for one, and what an unfinished buildset builds,
        stays; what a finished one built is forgotten with the note of it.
        """
        self.do(lambda c: pending_changes.add(c, "s", 1, important=True, now=1.0))
        for number in (2, 3):
            submitted = self.do(lambda c: requests.submit(c, scheduler="s", builders=["b"], reason="", now=3.0))
            self.do(lambda c, s=submitted, n=number: changes.add_to_buildset(c, s.buildset.id, [n]))  # type: ignore[misc]  # lambda
        self.do(lambda c: c.execute(update(schema.buildsets).where(schema.buildsets.c.id == 1).values(finished=9.0)))
        self.do(lambda c: changes.prune(c, considered=4, before=100.0))

        self.assertEqual(self.left(), [1, 3, 5, 6])
        noted = select(schema.buildset_changes.c.buildset, schema.buildset_changes.c.change)
        self.assertEqual([tuple(row) for row in self.do(lambda c: c.execute(noted).all())], [(2, 3)])


class StatesTests(RecordsCase):
    """
    States.
    """

    def test_states(self) -> None:
        """
        A state is replaced, listed by its prefix, and forgotten.
        """
        for owner in ("scheduler:a", "scheduler:b", "source:a"):
            self.do(lambda c, o=owner: states.put(c, o, {"n": 1}, 1.0))  # type: ignore[misc]  # lambda
        self.do(lambda c: states.put(c, "scheduler:b", [2], 2.0))

        self.assertEqual(
            self.do(lambda c: states.with_prefix(c, "scheduler:")), {"scheduler:a": {"n": 1}, "scheduler:b": [2]}
        )
        self.do(lambda c: states.put(c, "source:a", None, 3.0))
        self.assertIsNone(self.do(lambda c: states.get(c, "source:a")))


class OutboxTests(RecordsCase):
    """
    The outbox.
    """

    def test_life_of_a_message(self) -> None:
        """
        A message is recorded once by its key, waits after a failure, and goes when it is sent.
        """
        added = [
            self.do(lambda c, k=key: outbox.add(c, reporter="mail", key=k, body={"n": 1}, now=1.0))  # type: ignore[misc]  # lambda
            for key in ("1", "2", "1")
        ]
        self.assertEqual(added, [True, True, False])
        first, second = self.do(lambda c: outbox.due(c, "mail", 1.0))
        self.do(lambda c: outbox.failed(c, first.id, "no connection", 60.0))
        self.do(lambda c: outbox.sent(c, second.id))

        self.assertEqual(self.do(lambda c: outbox.due(c, "mail", 59.0)), [])
        self.assertEqual(self.do(lambda c: outbox.next_due(c, "mail")), 60.0)
        (failing,) = self.do(lambda c: outbox.due(c, "mail", 60.0))
        self.assertEqual((failing.key, failing.attempts, failing.failure), ("1", 1, "no connection"))
        self.assertEqual(self.do(outbox.unsent), [outbox.Unsent("mail", 1, 1.0, 60.0, "no connection")])
        self.assertIsNone(self.do(lambda c: outbox.next_due(c, "other")))

    def test_subjects(self) -> None:
        """
        Promise 8.8: of the messages about one subject the oldest is due, and no message waits for one about another.
        """
        for key, subject in (("1", "a"), ("2", "a"), ("3", "b"), ("4", ""), ("5", "")):
            self.do(lambda c, k=key, s=subject: outbox.add(c, reporter="mail", key=k, subject=s, body=1, now=1.0))  # type: ignore[misc]  # lambda
        first = self.do(lambda c: outbox.due(c, "mail", 1.0))
        self.assertEqual([each.key for each in first], ["1", "3", "4", "5"])
        self.do(lambda c: outbox.failed(c, first[0].id, "no connection", 60.0))
        self.assertEqual([each.key for each in self.do(lambda c: outbox.due(c, "mail", 1.0))], ["3", "4", "5"])
        self.do(lambda c: outbox.sent(c, first[0].id))
        self.assertEqual([each.key for each in self.do(lambda c: outbox.due(c, "mail", 1.0))], ["2", "3", "4", "5"])

    def test_next_time(self) -> None:
        """
        The next time is that of a message which may be sent then, also when it is just past, and not of one behind it.
        """
        for key in ("1", "2"):
            self.do(lambda c, k=key: outbox.add(c, reporter="mail", key=k, subject="a", body=1, now=1.0))  # type: ignore[misc]  # lambda
        (message,) = self.do(lambda c: outbox.due(c, "mail", 1.0))
        self.do(lambda c: outbox.failed(c, message.id, "no connection", 60.0))
        self.assertEqual(self.do(lambda c: outbox.next_due(c, "mail")), 60.0)
        self.do(lambda c: outbox.sent(c, message.id))
        self.assertEqual(self.do(lambda c: outbox.next_due(c, "mail")), 0.0)

    def test_wrong_clock(self) -> None:
        """
        A message that was postponed while the clock was a year ahead is due when the clock is right again.
        """
        self.do(lambda c: outbox.add(c, reporter="mail", key="1", body=1, now=1.0))
        (message,) = self.do(lambda c: outbox.due(c, "mail", 1.0))
        self.do(lambda c: outbox.failed(c, message.id, "no connection", 3e7))
        self.assertEqual(len(self.do(lambda c: outbox.due(c, "mail", 100.0))), 1)
        self.assertEqual(self.do(lambda c: outbox.due(c, "mail", 3e7 - outbox.LONGEST_WAIT)), [])
