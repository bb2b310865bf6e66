"""
Masters in memory that are killed.
"""

from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.storage.roles import NOTED_WITHIN
from test.storage.inline import InlineWriter, database_in_memory

from .configurations import ONE
from .harness import MasterHarness
from .lifetime import Lifetime


class LifetimeTests(SynchronousTestCase):
    def test_killed(self) -> None:
        """
        A master that was replaced does nothing any more: nobody calls it, it records nothing, and gets no answers.
        """
        harness = MasterHarness(ONE)
        old, seen = harness.farm, list[Any]()
        call = old.clock.callLater(1, seen.append, "called")
        old.records.on_commit(seen.append)
        harness.restart()
        old.clock.callLater(1, seen.append, "called later")
        for asked in (old.records.read(lambda connection: 1), old.records.write(lambda connection: 1)):
            self.assertNoResult(asked)
        self.assertEqual(harness.read(lambda connection: 1), 1)
        harness.submit()
        harness.settle(10)
        call.cancel()
        self.assertEqual(seen, [])

    def test_killed_inside(self) -> None:
        """
        A master that dies in the middle of a change or a query gets no answer, and nobody is told of the commit; what
        it would have written after a noted change in which it dies is lost.
        """
        for ask in ("read", "write", "note", "write after"):
            self.dies_inside(ask)

    def dies_inside(self, ask: str) -> None:
        """
        Have a master die in what it is asked.
        """
        seen, records = list[str](), InlineWriter(database_in_memory())
        lifetime = Lifetime(records, Clock())
        mortal = lifetime.records

        def dying(connection: Connection) -> None:
            seen.append("died")
            lifetime.end()

        mortal.on_commit(lambda events: seen.append("told"))
        asked = {"read": mortal.read, "write": mortal.write}.get(ask, mortal.note)(dying)
        if ask == "write after":
            self.assertNoResult(mortal.write(lambda connection: seen.append("wrote")))
        mortal.commit_noted()
        self.assertNoResult(asked)
        self.assertEqual(seen, ["died"], ask)

    def test_noted(self) -> None:
        """
        What a master had noted is committed with its next change, in the order of the calls, or after a moment; a
        master that is killed before has lost it, and gets no answer.
        """
        harness, done = MasterHarness(ONE), list[str]()

        def change(name: str) -> Callable[[object], None]:
            return lambda connection: done.append(name)

        records = harness.farm.records
        lost = records.note(change("first"))
        self.assertNoResult(lost)
        self.successResultOf(records.write(change("second")))
        self.assertEqual(done, ["first", "second"])
        self.successResultOf(lost)
        after = records.note(change("third"))
        harness.settle(NOTED_WITHIN)
        self.successResultOf(after)
        lost = records.note(change("fourth"))
        harness.restart()
        harness.settle(10)
        self.assertNoResult(lost)
        self.assertNotIn("fourth", done)
