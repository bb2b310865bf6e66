"""
Limits on the time that the code of a step takes in the reactor's thread.

::

    step's code ──turn──► waits for an effect ──answer──► turn ──► …         each turn may take `LONGEST_CALL`,
                                                                             and waits until its builder has time again
    in a replay: ──turn──► recorded answer ──► recorded answer ──► …         `LONGEST_REPLAY` each, no waiting; then
                                                     ├──► the code is dropped here, if the journal says so
                                                     └──► the journal has no more: limited from here on

The end of a step by its limit is an outcome: it is recorded in the journal before the step ends, with the effect whose
answer the code had got last.  A replay does not give that answer, and ends the step, whatever the order in which it has
the answers.  Answers that the code did not get before its end, it does not get in the replay either.

A replay has a limit, too: code that takes longer than any live code is another code, or gets answers in another order.
Then the build starts again.

Only code that this program calls is limited in this way: constructors, coroutines, methods that they call, and
callbacks of the Deferreds that methods of steps return.  A callback of a Deferred that the code makes itself, with
``deferLater`` for example, is called by the reactor: `turn_watch` interrupts it, much later.
"""

import os
import traceback
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import partial
from typing import Any, Protocol, TypeVar

from twisted.internet.defer import CancelledError, Deferred
from twisted.logger import Logger

from ...errors import BuildbotLiteError, ReplayError
from ...model import user_functions
from ...model.code_owner import is_users_file
from ...model.time_limit import (
    OverdueError,
    call_within,
    in_turns,
    interruptions,
    limit_from_now,
    limited_time,
    unlimited,
    within_only,
)
from .journal import Journal

T = TypeVar("T")

OVERDUE_ORDINAL = -2
"""The ordinal of the mark that the step was ended by its time limit."""
LONGEST_REPLAY = 60.0
"""Seconds that code may take from one recorded answer to the next: many times what it may take live, because the limit
must not end a replay only because the machine is slow."""


class StepOverdueError(BuildbotLiteError):
    """
    The code of the step was ended by its time limit.
    """


class CodeBudget(Protocol):
    """
    The time that the code of one builder's steps may take.
    """

    def pause(self) -> Awaitable[None] | None:
        """
        The Deferred for which the code waits before its next turn; None if it has time left.
        """

    def spend(self, seconds: float) -> None:
        """
        A turn took *seconds*.
        """


class NoBudget:
    """
    The `CodeBudget` without bounds.
    """

    def pause(self) -> Awaitable[None] | None:
        return None

    def spend(self, seconds: float) -> None:
        pass


class StepTime:
    """
    Runs the code of step number *step*, whose effects are recorded in *journal*.

    *let_go*: called when the limit is exceeded, with the error: lets the reactor do other work, records the end, and
    then ends the commands and builds that the step waits for.
    """

    _log = Logger()

    def __init__(
        self,
        journal: Journal,
        step: int,
        *,
        budget: CodeBudget,
        let_go: Callable[[BuildbotLiteError], Coroutine[Any, Any, None]],
    ) -> None:
        self._journal = journal
        self._step = step
        self._budget = budget
        self._let_go = let_go
        self._mark: Mapping[str, Any] | None = journal.mark(step, OVERDUE_ORDINAL)
        self._running: Deferred[Any] | None = None
        self._waking: Deferred[None] | None = None
        self._over: BuildbotLiteError | None = None
        self._depth = 0
        self._before = 0
        self._began = 0.0
        # The effect whose answer the code got last, and those that it waits for: as they are at the end by the limit.
        self._after: int | None = None
        self._open: set[int] = set()

    @property
    def place(self) -> dict[str, Any]:
        """
        Where the code was ended, for the mark.
        """
        return {"after": self._after, "open": sorted(self._open)}

    async def run(self, work: Coroutine[Deferred[Any], Any, T]) -> T:
        """
        The result of the coroutine *work*; `StepOverdueError` if its code took too long, in this run or in the recorded
        one.
        """
        if self._mark is not None and self._mark["after"] is None:
            work.close()
            raise StepOverdueError(str(self._mark["sentence"]))
        self._running = Deferred.fromCoroutine(in_turns(work, self.turn, self._pause))
        try:
            result: T = await self._running
        except GeneratorExit:
            # The garbage collector closes what nothing refers to any more, and that waits for nothing.
            raise
        except BaseException as error:
            if not self.is_over and not isinstance(error, OverdueError):
                if not isinstance(error, CancelledError):
                    self._check_marks()
                raise
            # The turn that was interrupted may not have returned yet, and then has not noticed it.  Or it was a
            # callback that the reactor called (`turn_watch`).
            self._interrupted(error)
        if self.is_over:
            self._interrupted(None)
        if self._over is not None:
            if self._waking is not None:
                await self._waking
            self._close(work)
            raise self._over
        self._check_marks()
        return result

    @property
    def is_over(self) -> bool:
        """
        Whether the code was interrupted, so that it can have no more effects.
        """
        return self._over is not None or (self._depth > 0 and interruptions() != self._before)

    def turn(self, function: Callable[..., Any], *args: Any) -> Any:
        """
        Call *function*, which is code of the step or continues it, within the limit.
        """
        self._check()
        before = interruptions()
        if not self._depth:
            self._before, self._began = before, limited_time()
        if self._journal.replaying:
            call = partial(within_only, LONGEST_REPLAY)
        else:
            call = partial(call_within, user_functions.LONGEST_CALL)
        self._depth += 1
        try:
            result = call(function, *args)
        except BaseException as error:
            if interruptions() != before:
                self._interrupted(error)
            raise
        finally:
            self._depth -= 1
            if not self._depth and not self._journal.replaying:
                self._budget.spend(limited_time() - self._began)
        if interruptions() != before:
            # The code caught the interruption.
            self._interrupted(None)
        self._check()
        return result

    def deferred(self, work: Coroutine[Deferred[Any], Any, T]) -> Deferred[T]:
        """
        The result of the coroutine *work*, as a Deferred whose callbacks are limited, too.
        """
        running = Deferred.fromCoroutine(in_turns(work, self.turn, self._pause))
        answer: Deferred[T] = Deferred(lambda _: running.cancel())

        def fire(result: Any) -> None:
            if not answer.called and self._over is None:
                self.turn(answer.callback, result)

        running.addBoth(fire).addErrback(lambda _: None)  # type: ignore[unused-awaitable]  # `run` has noticed it
        return answer

    async def asked(self, ordinal: int, *, is_recorded: bool) -> None:
        """
        The code waits for the effect *ordinal*.  Never returns if the code did not get its answer before its recorded
        end.
        """
        self._open.add(ordinal)
        if self._mark is None:
            return
        if ordinal == self._mark["after"]:
            self._end(StepOverdueError(str(self._mark["sentence"])))
        elif ordinal not in self._mark["open"]:
            if not is_recorded:
                raise _earlier_end()
            return
        await Deferred()

    async def answered(self, ordinal: int) -> None:
        """
        The effect *ordinal* has an answer, which the code gets next.  Never returns if the code was ended meanwhile.
        """
        if self._over is not None:
            await Deferred()
        self._open.discard(ordinal)
        self._after = ordinal

    def unlimited(self, function: Callable[..., T], *args: Any) -> T:
        """
        Call *function*, which is the program's own work for the code, without a limit.  The code is limited after it,
        if that was the end of the replay.
        """
        replaying, after = self._journal.replaying, self._after
        try:
            return unlimited(partial(function, *args))
        finally:
            if self._over is not None:
                # The code does not wait for the answer that it does not get.
                limit_from_now(user_functions.SHORTEST_LIMIT)
            elif not self._journal.replaying:
                if replaying:
                    self._began = limited_time()
                limit_from_now(user_functions.LONGEST_CALL)
            elif self._after != after:
                limit_from_now(LONGEST_REPLAY, only=True)

    def look(self, seconds: float, function: Callable[..., T], *args: Any) -> T:
        """
        Call *function*, for at most *seconds*, and no longer than `LONGEST_CALL`.  `OverdueError`, with which the
        caller ends the function only, and not the step.
        """
        return unlimited(partial(self._look, seconds, function, *args))

    def _look(self, seconds: float, function: Callable[..., T], *args: Any) -> T:
        began = limited_time()
        try:
            return call_within(min(seconds, user_functions.LONGEST_CALL), function, *args)
        finally:
            self._budget.spend(limited_time() - began)

    def _pause(self) -> Awaitable[None] | None:
        return None if self._journal.replaying or self._over is not None else self._budget.pause()

    def _check(self) -> None:
        if self._over is not None:
            raise OverdueError

    def _check_marks(self) -> None:
        if self._journal.has_marks(self._step):
            raise _earlier_end()

    def _interrupted(self, error: BaseException | None) -> None:
        """
        The code was interrupted with *error*; None: it caught that.
        """
        self._end(endless_replay() if self._journal.replaying else StepOverdueError(_sentence(error)))

    def _end(self, over: StepOverdueError | ReplayError) -> None:
        """
        Let the code get no further turn.
        """
        if self._over is None:
            self._over = over
            # It may wait for something that the ended code would have done.
            self._waking = unlimited(Deferred.fromCoroutine, self._wake(over))

    async def _wake(self, over: BuildbotLiteError) -> None:
        try:
            await self._let_go(over)
        except BuildbotLiteError as error:
            # The end is not recorded, so it is not that of the step.
            self._over = error
        except Exception:  # noqa: BLE001 - the step must end all the same
            self._log.failure("ending what a step waits for")
        # Not in a "finally": when the garbage collector closes this, what runs is closed, too.
        if self._running is not None:
            self._running.cancel()

    @staticmethod
    def _close(work: Coroutine[Any, Any, Any]) -> None:
        # The user's code may run while it is closed, within the limit.
        try:
            call_within(user_functions.SHORTEST_LIMIT, work.close)
        except (Exception, OverdueError):  # noqa: BLE001 - the step's code
            return


def _earlier_end() -> ReplayError:
    return ReplayError(
        "its journal says that code of a step was ended by its time limit, and the step's program now ends earlier or "
        "does something else.  It starts again from the beginning."
    )


def endless_replay() -> ReplayError:
    """
    The error of code that took longer than `LONGEST_REPLAY` in a replay.
    """
    return ReplayError(
        f"a step's program took longer than {LONGEST_REPLAY:g} s to repeat what its journal says.  It starts again "
        "from the beginning."
    )


def _sentence(error: BaseException | None) -> str:
    """
    The sentence about code that was interrupted with *error*.
    """
    if isinstance(error, BuildbotLiteError):
        return str(error)
    frames = traceback.extract_tb(error.__traceback__) if isinstance(error, OverdueError) else []
    places = [
        f"{frame.name}, {os.path.basename(frame.filename)} line {frame.lineno}"
        for frame in frames
        if is_users_file(frame.filename)
    ]
    return (
        f"The code of this step{f' ({places[-1]})' if places else ''} was ended, because it took longer than "
        f"{user_functions.LONGEST_CALL:g} s without waiting for anything.  The master does nothing else while it runs: "
        "let it compute less, or let a command do it."
    )
