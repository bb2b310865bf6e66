"""
The journal of a build's effects.
"""

from collections.abc import Mapping
from typing import Any

from attrs import evolve
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import ReplayError, StorageError
from buildbot_lite.master.builds.journal import (
    Done,
    Journal,
    JournalEntry,
)


class MemoryStore:
    """
    A journal's store in memory that records the order of its calls.
    """

    def __init__(self) -> None:
        self.entries: dict[tuple[int, int], JournalEntry] = {}
        self.events: list[str] = []

    def begin(self, build: int, entry: JournalEntry) -> Deferred[None]:
        self.entries[entry.step, entry.ordinal] = entry
        self.events.append(f"begin {entry.kind}")
        return succeed(None)

    def end(self, build: int, entry: JournalEntry, done: Done, properties: Mapping[str, Any]) -> Deferred[None]:
        self.entries[entry.step, entry.ordinal] = evolve(entry, outcome=done.outcome)
        self.events.append(f"end {entry.kind}")
        return succeed(None)


class JournalTests(SynchronousTestCase):
    """
    Effects are recorded and replayed.
    """

    def setUp(self) -> None:
        self.store = MemoryStore()
        self.live: list[str] = []

    def journal(self, recorded: list[JournalEntry] | None = None) -> Journal:
        """
        The journal of build 1.
        """
        return Journal(1, self.store, recorded=recorded or [], went_live=lambda: self.live.append("live"))

    def effect(self, journal: Journal, kind: str, intent: object, answer: object, step: int = 0) -> JournalEntry:
        """
        An effect that ends at once with *answer*.
        """

        async def perform(entry: JournalEntry, resumed: bool) -> Done:
            self.store.events.append(f"perform {kind}{' again' if resumed else ''}")
            return Done(answer, after=lambda: self.store.events.append(f"after {kind}"))

        entry: JournalEntry = self.successResultOf(Deferred.fromCoroutine(journal.effect(step, kind, intent, perform)))
        return entry

    def test_order(self) -> None:
        """
        The intent is committed before the effect, the outcome after it; only then may the slave forget the effect.
        """
        entry = self.effect(self.journal(), "command", {"x": 1}, {"y": 2})
        self.assertEqual(entry.outcome, {"y": 2})
        self.assertEqual(self.store.events, ["begin command", "perform command", "end command", "after command"])
        self.assertEqual(self.live, ["live"])

    def test_replay(self) -> None:
        """
        A recorded outcome is returned at once, and the effect is not performed.
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
        An effect that was begun but not ended is resumed, without a second intent.
        """
        begun = JournalEntry(0, 0, "command", self.effect(self.journal(), "command", 1, "x").fingerprint, 1)
        self.store.events.clear()
        self.effect(self.journal([begun]), "command", 1, "done")
        self.assertEqual(self.store.events, ["perform command again", "end command", "after command"])

    def test_changed_program(self) -> None:
        """
        A program that asks for a different effect than the journal's entry raises ReplayError with the entry's name.
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
        Invariant I5: from any prefix of its journal, a program reaches the same outcomes and performs only the
        remaining effects.
        """
        self.setUp()
        program.sort(key=lambda each: each[0])
        journal = self.journal()
        outcomes = [
            self.effect(journal, kind, intent, index, step) for index, (step, kind, intent) in enumerate(program)
        ]
        count = data.draw(st.integers(0, len(program)))
        self.store.events.clear()
        again = self.journal(list(self.store.entries.values())[:count])
        repeated = [self.effect(again, kind, intent, index, step) for index, (step, kind, intent) in enumerate(program)]
        self.assertEqual(repeated, outcomes)
        performed = [event for event in self.store.events if event.startswith("perform")]
        self.assertEqual(len(performed), len(program) - count)


class DelayedStore(MemoryStore):
    """
    A store that commits outcomes when the test says so.
    """

    def __init__(self) -> None:
        super().__init__()
        self.late: list[Deferred[None]] = []

    def end(self, build: int, entry: JournalEntry, done: Done, properties: Mapping[str, Any]) -> Deferred[None]:
        self.late.append(super().end(build, entry, done, properties).addCallback(self._later))
        return self.late[-1]

    def _later(self, answer: None) -> Deferred[None]:
        self.last: Deferred[None] = Deferred()
        return self.last


class HeldOutcomeTests(SynchronousTestCase):
    """
    Outcomes that the slave keeps until they are committed.
    """

    def setUp(self) -> None:
        self.store = DelayedStore()
        self.journal = Journal(1, self.store, went_live=lambda: None)
        self.entry = self.successResultOf(self.effect("one", held=True))

    def effect(self, intent: str, *, held: bool) -> Deferred[JournalEntry]:
        async def perform(entry: JournalEntry, resumed: bool) -> Done:
            self.store.events.append(f"perform {intent}")
            return Done("x", after=lambda: self.store.events.append(f"after {intent}"), held=held)

        return Deferred.fromCoroutine(self.journal.effect(0, "command", intent, perform))

    def test_program_continues(self) -> None:
        """
        The program continues with a held outcome before its commit; the slave may forget the effect only after the
        commit.
        """
        self.assertEqual(self.entry.outcome, "x")
        self.assertNotIn("after one", self.store.events)
        self.store.last.callback(None)
        self.assertIn("after one", self.store.events)

    def test_next_effect(self) -> None:
        """
        Invariant I5: the next effect is performed only after the commit of the outcomes before it, although its intent
        is committed already.
        """
        second = self.effect("two", held=True)
        self.assertEqual(self.store.events[-1], "begin command")
        self.assertNoResult(second)
        self.store.last.callback(None)
        self.successResultOf(second)
        self.assertEqual(self.store.events[-3:], ["after one", "perform two", "end command"])

    def test_visible_after_the_commit(self) -> None:
        """
        Invariant I6: what users see of a step waits for the commit of the outcomes on which it depends.
        """
        self.journal.once_committed(lambda: self.store.events.append("seen"))
        all_committed = Deferred.fromCoroutine(self.journal.all_committed())
        self.assertNoResult(all_committed)
        self.assertNotIn("seen", self.store.events)
        self.store.last.callback(None)
        self.successResultOf(all_committed)
        self.assertIn("seen", self.store.events)

    def test_cannot_be_committed(self) -> None:
        """
        When an outcome cannot be committed, no further effect is performed and nothing becomes visible.
        """
        self.journal.once_committed(lambda: self.store.events.append("seen"))
        second = self.effect("two", held=True)
        self.store.last.errback(StorageError("broken"))
        self.failureResultOf(second, StorageError)
        self.failureResultOf(self.effect("three", held=True), StorageError)
        self.assertEqual(
            [event for event in self.store.events if event[:5] in {"perfo", "after", "seen"}], ["perform one"]
        )

    def test_not_held(self) -> None:
        """
        An outcome that no slave holds is committed before the program gets it.
        """
        self.store.last.callback(None)
        second = self.effect("two", held=False)
        self.assertNoResult(second)
        self.store.last.callback(None)
        self.successResultOf(second)


async def _never(entry: JournalEntry, resumed: bool) -> Done:
    raise AssertionError("it must not be performed")
