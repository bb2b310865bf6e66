"""
The journal of a build: the recorded side effects of its coroutine.

Whatever the coroutine causes or observes outside its own variables is an effect in the journal::

    step code            journal                     world
       |-- effect ------->|-- intent, committed       |
       |                  |-- perform --------------->|
       |                  |<------------- outcome ----|
       |                  |-- outcome, committed      |
       |<------ outcome --|-- after(): may be forgotten ->|

A slave keeps the outcome of a command until the master reports that it is committed.  So the coroutine does not wait
for that commit: the outcome is committed together with the next intent, or with the end of the build.  Until then,
nothing that depends on the outcome may become visible outside: the next effect is performed only when all earlier
outcomes are committed, and other work waits in `Journal.once_committed`.  After a crash the slave still has the
outcome.

After a crash the same coroutine runs again from its beginning.  An effect whose outcome is recorded returns it
immediately.  An effect of which only the intent is recorded is performed with ``resumed=True``: a command on a slave is
then resumed, not started again.  There is no other recovery.

An effect is identified by its step and its *ordinal*, which counts the step's effects from 0.  If the coroutine asks
for a different effect at the same place than in the earlier run, or ends a step before it has asked for all, its code
has changed and the build cannot be continued: `ReplayError` names the entry.  The same happens to unchanged code whose
next effect depends on which of several concurrent effects ends first: the order of their ends is not recorded, and a
replay gives the recorded outcomes in the order in which they are asked for.

A *mark* is an entry that is no effect: it records that something ended because of its time limit, which a replay must
repeat however long it takes there.  Its ordinal is negative, and its outcome says nothing.
"""

import hashlib
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

from attrs import evolve, field, frozen
from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from ...deferreds import OneShot
from ...errors import ReplayError
from ...model.json_reader import encode
from ...model.outcome import Remark, Seal


@frozen
class JournalEntry:
    """
    One effect.

    *ordinal*: counts the effects of the step from 0.  *kind*: what it is, like "command".  *fingerprint*: of the
    intent.  *intent*, *outcome*: JSON values; *outcome* is None until it is known.
    """

    step: int
    ordinal: int
    kind: str
    fingerprint: str
    intent: Any
    outcome: Any | None = None


@frozen
class Done:
    """
    The result of performing an effect.

    *outcome*: a JSON value, never None.  *seals*: name → seal of the streams that are complete now.  *remarks*: are
    recorded beside the logs.  *after*: called when the outcome is committed.  *held*: whether a slave keeps the outcome
    until then, and returns it again if the effect is resumed.
    """

    outcome: Any
    seals: Mapping[str, Seal] = field(factory=dict)
    remarks: Sequence[Remark] = ()
    after: Callable[[], None] = lambda: None
    held: bool = False


class JournalStore(Protocol):
    """
    The storage of a journal.  The Deferreds of both methods fire when the change is committed.
    """

    def begin(self, build: int, entry: JournalEntry) -> Deferred[None]:
        """
        Record the intent of *entry*.
        """

    def end(self, build: int, entry: JournalEntry, done: Done, properties: Mapping[str, Any]) -> Deferred[None]:
        """
        Record the outcome of *entry*, its seals, its remarks and the build's *properties* in one transaction.  If the
        outcome is held, that may be the transaction of a later change.
        """


def fingerprint(intent: object) -> str:
    """
    The SHA-256 of *intent*, in hexadecimal.
    """
    return hashlib.sha256(encode(intent)).hexdigest()


OVERDUE = "overdue"
"""The kind of the marks: something was ended by its time limit."""


class Journal:
    """
    The effects of one build, in the order in which its coroutine requests them.

    *recorded*: the entries of an earlier run of the same build.  *went_live*: called when the replay ends, which is at
    the first effect without a recorded outcome; it may be called several times.  It is available as `live`.
    """

    def __init__(
        self, build: int, store: JournalStore, *, recorded: Sequence[JournalEntry] = (), went_live: Callable[[], None]
    ) -> None:
        self._build = build
        self._store = store
        self._recorded = {(entry.step, entry.ordinal): entry for entry in recorded if entry.kind != OVERDUE}
        self._marks = {(entry.step, entry.ordinal): entry.intent for entry in recorded if entry.kind == OVERDUE}
        self._next: dict[int, int] = {}
        # The number of outcomes that are not committed yet, the work and the callers that wait for them, and the error
        # of a commit that failed.
        self._uncommitted = 0
        self._waiting: list[Callable[[], None]] = []
        self._settled: OneShot[None] = OneShot()
        self._failed: BaseException | None = None
        self.live = went_live

    @property
    def replaying(self) -> bool:
        """
        Whether there are recorded entries that the coroutine has not reached yet.
        """
        return bool(self._recorded or self._marks)

    def mark(self, step: int, ordinal: int) -> Any | None:
        """
        The recorded intent of a mark that the replay has not reached.
        """
        return self._marks.get((step, ordinal))

    def has_marks(self, step: int) -> bool:
        """
        Whether there are marks of *step* that the replay has not reached.
        """
        return any(key[0] == step for key in self._marks)

    def reach(self, step: int, ordinal: int) -> None:
        """
        The replay has repeated what the mark says.
        """
        del self._marks[step, ordinal]

    async def set_mark(self, step: int, ordinal: int, intent: object) -> None:
        """
        Record a mark.  Returns when it is committed, with all earlier outcomes.
        """
        # Text that waits for earlier outcomes is stored first, because a replay does not write it again.
        await self.all_committed()
        entry = JournalEntry(step, ordinal, OVERDUE, fingerprint(intent), intent)
        await self._store.begin(self._build, entry)
        await self._store.end(self._build, entry, Done({}), {})

    def drop(self, step: int) -> Sequence[JournalEntry]:
        """
        Remove the recorded entries of *step* that the coroutine will not reach, and return its effects among them.
        """
        self._marks = {key: intent for key, intent in self._marks.items() if key[0] != step}
        dropped = [entry for entry in self._recorded.values() if entry.step == step]
        for entry in dropped:
            del self._recorded[entry.step, entry.ordinal]
        return dropped

    def check_reached(self, step: int | None = None) -> None:
        """
        `ReplayError` if the coroutine has not asked for all recorded effects of *step* (None: of all steps), which has
        ended.  Not for a step that was stopped: it may end at any place.
        """
        left = [entry for entry in self._recorded.values() if step in (None, entry.step)]
        if left:
            first = min(left, key=lambda entry: (entry.step, entry.ordinal))
            raise ReplayError(
                f"entry {first.step}.{first.ordinal} of its journal is a {first.kind}, and a replay "
                f"{'ends that step' if step is not None else 'ends'} without it.  It starts again from the beginning."
            )

    def unfinished(self) -> Sequence[JournalEntry]:
        """
        The recorded entries without an outcome that the coroutine has not reached.
        """
        return [entry for entry in self._recorded.values() if entry.outcome is None]

    def next_ordinal(self, step: int) -> int:
        """
        The ordinal that the next effect of *step* gets.
        """
        return self._next.get(step, 0)

    def allocate(self, step: int) -> int:
        """
        Take the next ordinal of *step*.  Called from outside only for a log that the step writes: it has an ordinal and
        no entry.
        """
        ordinal = self.next_ordinal(step)
        self._next[step] = ordinal + 1
        return ordinal

    async def effect(
        self,
        step: int,
        kind: str,
        intent: object,
        perform: Callable[[JournalEntry, bool], Awaitable[Done]],
        *,
        properties: Callable[[], Mapping[str, Any]] = dict,
        live_at_once: bool = True,
        asked: Callable[[bool], Awaitable[None]] | None = None,
    ) -> JournalEntry:
        """
        Return the entry of an effect with its outcome, which is the recorded one, or that of ``perform(entry,
        resumed)``.

        *properties*: returns the build's properties after the effect, which are recorded for display only (a replay
        sets them again).  *live_at_once*: False if *perform* calls `live` itself, when the master can answer a slave
        that asks about the effect.  *asked*: awaited first, with whether the effect is recorded; while it waits, the
        coroutine has not reached the entry.  `ReplayError` if another effect is recorded at this place.
        """
        entry = JournalEntry(step, self.allocate(step), kind, fingerprint(intent), intent)
        recorded = self._recorded.get((entry.step, entry.ordinal))
        if recorded is not None and (recorded.kind, recorded.fingerprint) != (entry.kind, entry.fingerprint):
            raise ReplayError(
                f"entry {step}.{entry.ordinal} of its journal is a {recorded.kind}, and a replay asks "
                f"for {'another ' if recorded.kind == kind else 'a '}{kind} there.  It starts again from the beginning."
            )
        if asked is not None:
            await asked(recorded is not None)
        self._recorded.pop((entry.step, entry.ordinal), None)
        if recorded is None:
            await self._store.begin(self._build, entry)
        elif recorded.outcome is not None:
            return recorded
        # Usually there is nothing to wait for: the transaction of the intent has committed earlier outcomes, too.
        await self.all_committed()
        performing = Deferred.fromCoroutine(_awaited(perform(entry, recorded is not None)))
        if live_at_once:
            self.live()
        done = await performing
        ended = self._store.end(self._build, entry, done, properties()).addCallback(lambda _: done.after())
        if done.held:
            self._await_commit(ended)
        else:
            await ended
        return evolve(entry, outcome=done.outcome)

    def once_committed(self, work: Callable[[], None]) -> None:
        """
        Call *work*, which depends on the outcomes so far and must not raise, as soon as they are committed; never, if
        the commit fails.
        """
        if self._uncommitted:
            self._waiting.append(work)
        else:
            work()

    async def all_committed(self) -> None:
        """
        Wait until every outcome so far is committed, and the work of `once_committed` was called.  Raises the error of
        a commit that failed.
        """
        if self._uncommitted:
            await self._settled.wait()
        if self._failed is not None:
            raise self._failed

    def _await_commit(self, ended: Deferred[None]) -> None:
        self._uncommitted += 1

        def failed(failure: Failure) -> None:
            self._failed = failure.value

        def over(result: object) -> None:
            self._uncommitted -= 1
            if self._uncommitted:
                return
            waiting, self._waiting = self._waiting, []
            for work in waiting if self._failed is None else ():
                work()
            settled, self._settled = self._settled, OneShot()
            settled.fire(None)

        ended.addErrback(failed).addCallback(over)  # type: ignore[unused-awaitable]  # `all_committed` waits for it
        if self._failed is not None:
            raise self._failed


async def _awaited(awaitable: Awaitable[Done]) -> Done:
    return await awaitable
