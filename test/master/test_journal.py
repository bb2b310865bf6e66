"""
The recorded effects of one build.
"""

from collections.abc import Mapping
from typing import Any

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import ReplayError
from buildbot_lite.master.journal import Done, Entry, Journal


class Store:
    """
    A journal's store in memory, which writes down in which order it was used.
    """

    def __init__(self) -> None:
        self.entries: dict[tuple[int, int], Entry] = {}
        self.events: list[str] = []

    def begin(self, build: int, entry: Entry) -> Deferred[None]:
        self.entries[entry.step, entry.ordinal] = entry
        self.events.append(f"begin {entry.kind}")
        return succeed(None)

    def end(self, build: int, entry: Entry, done: Done, properties: Mapping[str, Any]) -> Deferred[None]:
        self.entries[entry.step, entry.ordinal] = evolve(entry, outcome=done.outcome)
        self.events.append(f"end {entry.kind}")
        return succeed(None)


class JournalTests(SynchronousTestCase):
    """
    Effects, recorded and replayed.
    """

    def setUp(self) -> None:
        self.store = Store()
        self.live: list[str] = []

    def journal(self, recorded: list[Entry] | None = None) -> Journal:
        """
        The journal of build 1.
        """
        return Journal(1, self.store, recorded=recorded or [], went_live=lambda: self.live.append("live"))

    def effect(self, journal: Journal, kind: str, intent: object, answer: object, step: int = 0) -> Entry:
        """
        An effect that answers at once.
        """

        async def perform(entry: Entry, resumed: bool) -> Done:
            self.store.events.append(f"perform {kind}{' again' if resumed else ''}")
            return Done(answer, after=lambda: self.store.events.append(f"after {kind}"))

        entry: Entry = self.successResultOf(Deferred.fromCoroutine(journal.effect(step, kind, intent, perform)))
        return entry

    def test_order(self) -> None:
        """
        The intent is committed before the effect, the outcome after it, and only then may the effect be forgotten.
        """
        entry = self.effect(self.journal(), "command", {"x": 1}, {"y": 2})
        self.assertEqual(entry.outcome, {"y": 2})
        self.assertEqual(self.store.events, ["begin command", "perform command", "end command", "after command"])
        self.assertEqual(self.live, ["live"])

    def test_replay(self) -> None:
        """
        A recorded outcome answers at once, and nothing is done.
        """
        self.effect(self.journal(), "command", 1, "first")
        self.store.events.clear()
        self.live.clear()
        again = self.journal(list(self.store.entries.values()))
        self.assertTrue(again.replaying)
        self.assertEqual(self.effect(again, "command", 1, "second").outcome, "first")
        self.assertEqual((self.store.events, self.live), ([], []))
        self.assertFalse(again.replaying)

    def test_resume(self) -> None:
        """
        An effect that was begun is performed as one that is resumed, without a second intent.
        """
        begun = Entry(0, 0, "command", self.effect(self.journal(), "command", 1, "x").fingerprint, 1)
        self.store.events.clear()
        self.effect(self.journal([begun]), "command", 1, "done")
        self.assertEqual(self.store.events, ["perform command again", "end command", "after command"])

    def test_changed_program(self) -> None:
        """
        A program that asks for something else cannot be continued; the sentence names the entry.
        """
        self.effect(self.journal(), "command", 1, "x", step=3)
        recorded = list(self.store.entries.values())
        for kind, intent in (("command", 2), ("now", 1)):
            effect = self.journal(recorded).effect(3, kind, intent, _never)
            error = self.failureResultOf(Deferred.fromCoroutine(effect), ReplayError)
            self.assertIn("entry 3.0", str(error.value))

    @given(st.lists(st.tuples(st.integers(0, 3), st.sampled_from(["a", "b"]), st.integers()), max_size=12), st.data())
    def test_any_prefix(self, program: list[tuple[int, str, int]], data: st.DataObject) -> None:
        """
        Invariant I5: from any prefix of its journal, a program goes on to the same outcomes, doing only what is left.
        """
        self.setUp()
        program.sort(key=lambda each: each[0])
        journal = self.journal()
        outcomes = [
            self.effect(journal, kind, intent, index, step) for index, (step, kind, intent) in enumerate(program)
        ]
        kept = data.draw(st.integers(0, len(program)))
        self.store.events.clear()
        again = self.journal(list(self.store.entries.values())[:kept])
        repeated = [self.effect(again, kind, intent, index, step) for index, (step, kind, intent) in enumerate(program)]
        self.assertEqual(repeated, outcomes)
        performed = [event for event in self.store.events if event.startswith("perform")]
        self.assertEqual(len(performed), len(program) - kept)


async def _never(entry: Entry, resumed: bool) -> Done:
    raise AssertionError("it must not be performed")
