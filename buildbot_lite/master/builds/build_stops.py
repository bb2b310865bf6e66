"""
Stops of a build, which are entries of its journal: a replay stops at the same step.

::

    stop ──► recorded for the current step ──► the step is halted
                     '── the build reached the next step meanwhile: recorded for that one, too
"""

from collections.abc import Callable, Sequence

from twisted.internet.defer import Deferred, DeferredLock
from twisted.logger import Logger

from ...deferreds import background, shielded
from ...model.results import Result
from .build_progress import Stop
from .journal import Done, JournalEntry, JournalStore, fingerprint

STOP = "stop"
"""The kind of the entries."""
_ORDINAL = -1
"""Their place among the effects of the step during which they were recorded."""


class BuildStops:
    """
    The stops of the build with the row *build*, of which the journal has those *recorded*.  *current*: the number of
    the current step.  *halt*: called with each stop when it is recorded, before the build goes on.
    """

    _log = Logger()

    def __init__(
        self,
        build: int,
        store: JournalStore,
        recorded: Sequence[JournalEntry],
        current: Callable[[], int],
        halt: Callable[[Stop], None],
    ) -> None:
        self._build = build
        self._store = store
        self._current = current
        self._halt = halt
        self._stops = {entry.step: _stop(entry) for entry in recorded if entry.kind == STOP}
        self._turn = DeferredLock()

    def during(self, step: int) -> Stop | None:
        """
        The stop during *step*, also while it is being recorded.
        """
        return self._stops.get(step)

    async def record(self, result: Result, reason: str) -> None:
        """
        Stop the build with *result* because of *reason*; returns when that is recorded, also for the step that the
        build reached meanwhile.  A step that is stopped already stays as it is.
        """
        await shielded(self._turn.run(lambda: Deferred.fromCoroutine(self._record(result, reason))))

    async def _record(self, result: Result, reason: str) -> None:
        while (step := self._current()) not in self._stops:
            self._stops[step] = stop = Stop(step, result, reason)
            intent = {"result": int(result), "reason": reason}
            entry = JournalEntry(step, _ORDINAL, STOP, fingerprint(intent), intent)
            try:
                await self._store.begin(self._build, entry)
            except BaseException:
                # The build is not stopped: the next `record` must do it.
                del self._stops[step]
                raise
            # A replay stops at an entry without an outcome, too, so nothing waits for the outcome.
            background(self._store.end(self._build, entry, Done({}), {}), self._log, "recording the outcome of a stop")
            if self._current() == step:
                self._halt(stop)
            else:
                # The build reached the next step while the stop was being recorded: stop that step as well.
                del self._stops[step]


def _stop(entry: JournalEntry) -> Stop:
    return Stop(entry.step, Result(entry.intent["result"]), str(entry.intent["reason"]))
