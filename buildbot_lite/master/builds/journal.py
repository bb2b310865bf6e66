"""
The recorded effects of one build.

A build is a coroutine, and everything that it asks of the world outside its own variables goes through here::

    step code            journal                     world
       |-- effect ------->|-- intent, committed       |
       |                  |-- perform --------------->|
       |                  |<------------- outcome ----|
       |                  |-- outcome, committed      |
       |<------ outcome --|-- after(): may be forgotten ->|

The outcome of a command is *held* by its slave until we say that it is committed.  So nobody waits for that: it is
committed with the program's next intent, or with the build's end, and the program goes on meanwhile.  What it does
meanwhile is nobody else's to see: the next effect is performed only when all outcomes before it are committed, and
whatever else it leaves behind waits in `Journal.once_kept`.  After a crash the slave still has the outcome.

After a crash the same coroutine runs again from its beginning.  An effect whose outcome is recorded answers at once;
one whose intent alone is recorded is performed with ``resumed=True``, which for a command on a slave means finding it
again instead of starting it.  There is no other recovery: starting *is* recovering.

Effects are told apart by step and ordinal, the how-manieth effect of the step it is.  A program that asks for something
else at the same place than it did before has changed, and cannot be continued: `ReplayError` names the entry.
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
    One effect: *ordinal* counts within the step from 0; *intent* and *outcome* are JSON values; *outcome* is None until
    it is known.
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
    What performing an effect gave.

    *outcome*: a JSON value, never None.  *seals*: by name, the streams that are complete now.  *remarks*: to keep
    beside the logs.  *after*: called once the outcome is committed.  *held*: until then somebody else has it, who gives
    the same answer when the effect is resumed.
    """

    outcome: Any
    seals: Mapping[str, Seal] = field(factory=dict)
    remarks: Sequence[Remark] = ()
    after: Callable[[], None] = lambda: None
    held: bool = False


class JournalStore(Protocol):
    """
    Where a journal is kept.  Both methods answer when it is committed.
    """

    def begin(self, build: int, entry: JournalEntry) -> Deferred[None]:
        """
        Keep the intent.
        """

    def end(self, build: int, entry: JournalEntry, done: Done, properties: Mapping[str, Any]) -> Deferred[None]:
        """
        Keep the outcome and what belongs to it, in one transaction; of what is *held*, in that of the next intent.
        """


def fingerprint(intent: object) -> str:
    """
    64 hexadecimal digits that tell two intents apart.
    """
    return hashlib.sha256(encode(intent)).hexdigest()


class Journal:
    """
    The effects of one build, in the order in which its program asks for them.

    *recorded* is what an earlier run of the same build left; *went_live* is called once, when the program first asks
    for something whose outcome is not recorded: from there on it is no replay.  `live` is that same function.
    """

    def __init__(
        self, build: int, store: JournalStore, *, recorded: Sequence[JournalEntry] = (), went_live: Callable[[], None]
    ) -> None:
        self._build = build
        self._store = store
        self._recorded = {(entry.step, entry.ordinal): entry for entry in recorded}
        self._next: dict[int, int] = {}
        # Outcomes on their way to the disk, what waits for them, who waits for them, and why they will not get there.
        self._unkept = 0
        self._waiting: list[Callable[[], None]] = []
        self._all_kept: OneShot[None] = OneShot()
        self._failed: BaseException | None = None
        self.live = went_live

    @property
    def replaying(self) -> bool:
        """
        Whether entries are left that the program has not come to yet.
        """
        return bool(self._recorded)

    def unfinished(self) -> Sequence[JournalEntry]:
        """
        The entries that were begun, and that the program has not come to (any more).
        """
        return [entry for entry in self._recorded.values() if entry.outcome is None]

    def allocate(self, step: int) -> int:
        """
        The next ordinal of *step*.  For text that the step writes itself, which needs a place but no entry.
        """
        ordinal = self._next.get(step, 0)
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
    ) -> JournalEntry:
        """
        An effect with its outcome: recorded, resumed or performed now.

        ``perform(entry, resumed)`` does it.  *properties*: what the build's properties are when it is done; kept with
        the entry for people to see (a replay sets them again by itself).  *live_at_once*: False if *perform* calls
        `live` itself, when a slave that asks about the effect would be answered.
        """
        entry = JournalEntry(step, self.allocate(step), kind, fingerprint(intent), intent)
        recorded = self._recorded.get((entry.step, entry.ordinal))
        if recorded is not None and (recorded.kind, recorded.fingerprint) != (entry.kind, entry.fingerprint):
            raise ReplayError(
                f"entry {step}.{entry.ordinal} of its journal is a {recorded.kind}, and the build's program now asks "
                f"for {'another ' if recorded.kind == kind else 'a '}{kind} there.  It starts again from the beginning."
            )
        self._recorded.pop((entry.step, entry.ordinal), None)
        if recorded is None:
            await self._store.begin(self._build, entry)
        elif recorded.outcome is not None:
            return recorded
        # As a rule they were in the transaction of the intent, or in an earlier one.
        await self.kept()
        performing = Deferred.fromCoroutine(_awaited(perform(entry, recorded is not None)))
        if live_at_once:
            self.live()
        done = await performing
        ended = self._store.end(self._build, entry, done, properties()).addCallback(lambda _: done.after())
        if done.held:
            self._keep(ended)
        else:
            await ended
        return evolve(entry, outcome=done.outcome)

    def once_kept(self, work: Callable[[], None]) -> None:
        """
        Do *work*, which depends on the outcomes so far and does not raise: now if they are committed, else as soon as
        they are, and never if they cannot be.
        """
        if self._unkept:
            self._waiting.append(work)
        else:
            work()

    async def kept(self) -> None:
        """
        Wait until every outcome so far is committed, and what waited for that is done.
        """
        if self._unkept:
            await self._all_kept.wait()
        if self._failed is not None:
            raise self._failed

    def _keep(self, ended: Deferred[None]) -> None:
        self._unkept += 1

        def failed(failure: Failure) -> None:
            self._failed = failure.value

        def over(result: object) -> None:
            self._unkept -= 1
            if self._unkept:
                return
            waiting, self._waiting = self._waiting, []
            for work in waiting if self._failed is None else ():
                work()
            kept, self._all_kept = self._all_kept, OneShot()
            kept.fire(None)

        ended.addErrback(failed).addCallback(over)  # type: ignore[unused-awaitable]  # `kept` waits for it
        if self._failed is not None:
            raise self._failed


async def _awaited(awaitable: Awaitable[Done]) -> Done:
    return await awaitable
