"""
Limits on the time that the code of a step takes in the reactor's thread.

::

    step's code ──turn──► waits for an effect ──answer──► turn ──► …         each turn may take `LONGEST_CALL`,
                                                                             and waits until its builder has time again
    in a replay: ──turn──► recorded answer 1 ──► recorded answer 2 ──► …     no limits, no waiting; then
                                                       ├──► the code is dropped here, if the journal says so
                                                       └──► the journal has no more: limited from here on

The end of a step by its limit is an outcome: it is recorded in the journal before the step ends, and a replay ends the
step at the same answer, however long the code takes there.

Only code that this program calls is limited: coroutines, methods that they call, and callbacks of the Deferreds that
methods of steps return.  A callback of a Deferred that the code makes itself, with ``deferLater`` for example, is not.
"""

import os
import sys
import traceback
from collections.abc import Awaitable, Callable, Coroutine, Mapping
from functools import partial
from typing import Any, Protocol, TypeVar

from twisted.internet.defer import Deferred

from ...errors import BuildbotLiteError, ReplayError
from ...model import user_functions
from ...model.time_limit import (
    OverdueError,
    call_within,
    in_turns,
    interruptions,
    limit_from_now,
    limited_time,
    unlimited,
    without_limits,
)
from .journal import Journal

T = TypeVar("T")

OVERDUE_ORDINAL = -2
"""The ordinal of the mark that the step was ended by its time limit."""

_OURS = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
_NOT_THE_USERS = (os.path.join(_OURS, ""), *(os.path.join(each, "") for each in {sys.prefix, sys.base_prefix}))


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
        What the code waits for before its next turn; None if it has time left.
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

    *others_turn*: lets the reactor do other work.
    """

    def __init__(
        self, journal: Journal, step: int, *, budget: CodeBudget, others_turn: Callable[[], Awaitable[None]]
    ) -> None:
        self._journal = journal
        self._budget = budget
        self._others_turn = others_turn
        self._mark: Mapping[str, Any] | None = journal.mark(step, OVERDUE_ORDINAL)
        self._running: Deferred[Any] | None = None
        self._overdue: str | None = None
        self._depth = 0
        self._before = 0
        self.answers = 0

    async def run(self, work: Coroutine[Deferred[Any], Any, T]) -> T:
        """
        The result of the coroutine *work*; `StepOverdueError` if its code took too long, in this run or in the recorded
        one.
        """
        if self._mark is not None and self._mark["answers"] == 0:
            work.close()
            raise StepOverdueError(str(self._mark["sentence"]))
        self._running = Deferred.fromCoroutine(in_turns(work, self.turn, self._pause))
        try:
            result: T = await self._running
        except BaseException:
            if self._overdue is None:
                raise
        if self._overdue is not None:
            self._close(work)
            raise StepOverdueError(self._overdue)
        if self._mark is not None:
            raise ReplayError(
                "its journal says that a step was ended by its time limit, and the step's program now ends earlier.  "
                "It starts again from the beginning."
            )
        return result

    @property
    def is_over(self) -> bool:
        """
        Whether the code was interrupted, so that it can have no more effects.
        """
        return self._overdue is not None or (self._depth > 0 and interruptions() != self._before)

    def turn(self, function: Callable[..., Any], *args: Any) -> Any:
        """
        Call *function*, which is code of the step or continues it, within the limit.
        """
        self._check()
        replaying, before, began = self._journal.replaying, interruptions(), limited_time()
        if not self._depth:
            self._before = before
        call = without_limits if replaying else partial(call_within, user_functions.LONGEST_CALL)
        self._depth += 1
        try:
            result = call(function, *args)
        except BaseException as error:
            if interruptions() != before:
                self._end(_sentence(error))
            raise
        finally:
            self._depth -= 1
            if not self._depth and not replaying:
                self._budget.spend(limited_time() - began)
        if interruptions() != before:
            # The code caught the interruption.
            self._end(_sentence(None))
        self._check()
        return result

    def deferred(self, work: Coroutine[Deferred[Any], Any, T]) -> Deferred[T]:
        """
        The result of the coroutine *work*, as a Deferred whose callbacks are limited, too.
        """
        running = Deferred.fromCoroutine(in_turns(work, self.turn, self._pause))
        answer: Deferred[T] = Deferred(lambda _: running.cancel())

        def fire(result: Any) -> None:
            if not answer.called and self._overdue is None:
                self.turn(answer.callback, result)

        running.addBoth(fire).addErrback(lambda _: None)  # type: ignore[unused-awaitable]  # `run` has noticed it
        return answer

    async def answered(self) -> None:
        """
        An effect has an answer, which the code gets next; unless a replay has reached the recorded end of the code.
        """
        self.answers += 1
        if self._mark is not None and self.answers >= self._mark["answers"]:
            self._end(str(self._mark["sentence"]))
            await Deferred()

    def unlimited(self, function: Callable[..., T], *args: Any) -> T:
        """
        Call *function*, which is the program's own work for the code, without a limit.  The code is limited after it,
        if that was the end of the replay.
        """
        try:
            return unlimited(partial(function, *args))
        finally:
            if self._overdue is not None:
                # The code does not wait for the answer that it does not get.
                limit_from_now(user_functions.SHORTEST_LIMIT)
            elif not self._journal.replaying:
                limit_from_now(user_functions.LONGEST_CALL)

    def look(self, seconds: float, function: Callable[..., T], *args: Any) -> T:
        """
        Call *function*, for at most *seconds*.  `OverdueError`, with which the caller ends the function only, and not
        the step.
        """
        return unlimited(partial(self._look, seconds, function, *args))

    def _look(self, seconds: float, function: Callable[..., T], *args: Any) -> T:
        began = limited_time()
        try:
            return call_within(seconds, function, *args)
        finally:
            self._budget.spend(limited_time() - began)

    def _pause(self) -> Awaitable[None] | None:
        return None if self._journal.replaying or self._overdue is not None else self._budget.pause()

    def _check(self) -> None:
        if self._overdue is not None:
            raise OverdueError

    def _end(self, sentence: str) -> None:
        """
        Let the code get no further turn.
        """
        if self._overdue is None:
            self._overdue = sentence
            # It may wait for something that the ended code would have done.
            unlimited(self._wake_soon)

    def _wake_soon(self) -> None:
        soon = Deferred.fromCoroutine(_awaited(self._others_turn()))
        soon.addCallback(lambda _: self._running.cancel() if self._running is not None else None)  # type: ignore[unused-awaitable]

    @staticmethod
    def _close(work: Coroutine[Any, Any, Any]) -> None:
        # What it does on its end is its own affair, but not for ever.
        try:
            call_within(user_functions.SHORTEST_LIMIT, work.close)
        except (Exception, OverdueError):  # noqa: BLE001 - the step's code
            return


async def _awaited(awaitable: Awaitable[T]) -> T:
    return await awaitable


def _sentence(error: BaseException | None) -> str:
    """
    What is said about code that was interrupted with *error*.
    """
    if isinstance(error, BuildbotLiteError):
        return str(error)
    frames = traceback.extract_tb(error.__traceback__) if isinstance(error, OverdueError) else []
    places = [
        f"{frame.name}, {os.path.basename(frame.filename)} line {frame.lineno}"
        for frame in frames
        if not frame.filename.startswith((*_NOT_THE_USERS, "<"))
    ]
    return (
        f"The code of this step{f' ({places[-1]})' if places else ''} was ended, because it took longer than "
        f"{user_functions.LONGEST_CALL:g} s without waiting for anything.  The master does nothing else while it runs: "
        "let it compute less, or let a command do it."
    )
