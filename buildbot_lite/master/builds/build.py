"""
One build: a coroutine that runs its steps, and can be run again from its journal.

::

    steps of the factory ──► prepare (render, doStepIf) ──► run ──► result ──► next, or the end
                                                            │
                                         context ◄──────────┘  (side effects: step_context.py, journal.py)

Three things end a build early: a failed step with *haltOnFailure* (later steps with *alwaysRun* still run); a stop by
an admin or by *maxTime*, which is recorded in the journal with the number of the current step, so that a replay stops
at the same step; and a lost slave (RETRY: no step can run there any more).
"""

from collections.abc import Callable, Sequence

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from ...errors import BuildbotLiteError, ReplayError
from ...model.results import Result
from ...model.wait_reasons import WaitReason
from ..steps.recipe import Recipe
from ..steps.step import BuildStep
from .abandon import abandon, cancel_children
from .build_context import MOST_STEPS, BuildContext
from .build_progress import BuildProgress, Ended, Stop
from .build_stops import STOP, BuildStops
from .journal import Journal, JournalEntry, JournalStore
from .made_steps import made_steps, name_uniquely
from .step_code import StepCode
from .step_commands import SlaveLostError
from .step_context import JournaledContext
from .step_logs import StepLogs
from .step_runner import StepRunner

MOST_REMARKS = 5000
"""The largest number of remarks that a build records apart from those of its steps."""


class Build:
    """
    One attempt at a request.

    *id*: the row of the build in the records.  *label*: "builder/number".  *recipes*: its steps.  *context*: makes the
    context that the steps share.  *store*: stores the journal.  *started*: when the build first began, in seconds since
    1970.  *max_time*: the longest duration in seconds, or None.  *recorded*: the journal of an earlier run of the same
    build.  *went_live*: called when the replay of that journal ends; from then on, the sessions know the commands of
    the build.  *cannot*: why the build cannot be continued, if it cannot; then no step runs, and the build ends as soon
    as none of its commands can run any more.
    """

    _log = Logger()

    def __init__(
        self,
        *,
        id: int,
        label: str,
        recipes: Sequence[Recipe[BuildStep]],
        context: Callable[["Build", Journal], BuildContext],
        store: JournalStore,
        clock: IReactorTime,
        started: float,
        max_time: float | None = None,
        recorded: Sequence[JournalEntry] = (),
        went_live: Callable[[], None] = lambda: None,
        cannot: str = "",
    ) -> None:
        self.id = id
        self.label = label
        self._recipes = recipes
        self._clock = clock
        self._deadline = None if max_time is None else started + max_time
        self._max_time = max_time
        self._progress = BuildProgress()
        self._stops = BuildStops(id, store, recorded, lambda: self._progress.step, self._halt)
        self._code: StepCode[tuple[Result, str]] | None = None
        self._cannot = cannot
        self._remarks = 0
        self._went_live = went_live
        effects = [entry for entry in recorded if entry.kind != STOP]
        journal = Journal(id, store, recorded=effects, went_live=went_live)
        self._context = context(self, journal)
        # Those of the step that began last, and its number.
        self._logs: tuple[int, StepLogs] = 0, JournaledContext(self._context, 0).logs
        self._context.view.results = self._progress.results

    @property
    def step(self) -> int:
        """
        The number of the current step, from 0.
        """
        return self._progress.step

    @property
    def waits_for(self) -> Sequence[int]:
        """
        The buildsets that the build waits for now.
        """
        return tuple(self._context.live.buildsets)

    @property
    def waits_for_lock(self) -> WaitReason | None:
        """
        The lock for which the current step waits, if any.
        """
        return self._context.locks.reason(self._progress.step)

    @property
    def wanted_stop(self) -> Stop | None:
        """
        The stop of the build, also while it is being recorded.  It is recorded before the end of the build is.
        """
        return self._progress.stop or self._stops.during(self._progress.step)

    def remark(self, text: str) -> None:
        """
        Record *text* beside the log of the current step.  After `MOST_REMARKS` it is dropped, because a slave could
        cause any number of remarks.
        """
        self._remarks += 1
        if self._remarks > MOST_REMARKS:
            return
        self._logs_of_step().build_remark(text)

    def _logs_of_step(self) -> StepLogs:
        """
        The logs of the current step, which has none of its own before it begins.
        """
        step = self._progress.step
        return self._logs[1] if self._logs[0] == step else JournaledContext(self._context, step).logs

    async def run(self) -> Ended:
        """
        Run the build, after a replay of its journal; return how it ended.
        """
        timer = None
        if self._deadline is not None:
            remaining = max(0.0, self._deadline - self._context.wall())
            timer = self._clock.callLater(remaining, self._ran_out_of_time)
        try:
            ended = self._with_unused_inputs(await self._run())
            ended = await self._abandoned(ended)
            await cancel_children(self._context, ended.reason)
            return ended
        finally:
            if timer is not None and timer.active():
                timer.cancel()
            self._went_live()

    async def _abandoned(self, ended: Ended) -> Ended:
        """
        Return the end of the build, as soon as none of its commands can run any more (`abandon`).

        A stopped build does not wait for that, because it is not tried again.
        """
        context, none_runs = self._context, Deferred[None]()
        Deferred.fromCoroutine(abandon(context)).addBoth(_unless_cancelled, none_runs)  # type: ignore[unused-awaitable]  # waited for below
        if self._progress.stop is not None:
            return ended
        try:
            await context.live.waiting_for(none_runs)
        except CancelledError:
            stop = self.wanted_stop
            assert stop is not None
            return Ended(stop.result, stop.reason, cut=True)
        return ended

    async def stop(self, reason: str, result: Result = Result.CANCELLED) -> None:
        """
        Interrupt the current step, and run only those later steps that have *alwaysRun*.  Returns when the stop is
        recorded.  *reason*: for people.  *result*: the result of the build.
        """
        await self._stops.record(result, reason)

    async def _run(self) -> Ended:
        if self._cannot:
            return Ended(Result.RETRY, self._cannot, counts=False, cut=True)
        try:
            await self._run_steps()
        except SlaveLostError as error:
            if stop := self.wanted_stop:
                # A stopped build is not tried again.
                return Ended(stop.result, stop.reason, cut=True)
            return Ended(Result.RETRY, str(error), cut=True)
        except ReplayError as error:
            await self._context.live.drained("its build starts again")
            self._log.warn("{build} cannot be continued: {why}", build=self.label, why=str(error))
            return Ended(Result.RETRY, str(error), counts=False, cut=True)
        return self._progress.ended()

    async def _run_steps(self) -> None:
        """
        Run the steps, and the steps that they add.
        """
        steps, number, seen = self._make(self._recipes), 0, dict[str, int]()
        while number < len(steps):
            self._progress.step = number
            name_uniquely(steps[number], seen)
            await self._do(number, steps[number])
            number += 1
            if len(steps) + sum(len(recipes) for _, recipes in self._context.added) > MOST_STEPS:
                raise BuildbotLiteError(f"Steps have added more than {MOST_STEPS} steps to this build.")
            added = self._make([recipe for _, recipes in self._context.added for recipe in recipes])
            for place, recipes in self._context.added:
                at = number if place == "next" else len(steps)
                steps[at:at] = added[: len(recipes)]
                del added[: len(recipes)]
            self._context.added.clear()
        if self._progress.stop is None:
            self._context.journal.check_reached()

    def _make(self, recipes: Sequence[Recipe[BuildStep]]) -> list[BuildStep]:
        return made_steps(recipes, self._context, self.label)

    def _with_unused_inputs(self, ended: Ended) -> Ended:
        """
        *ended*, or a failure if no step applied the submitted patch, because the patch was not tested.  A patch that
        was inherited from a parent build only causes a remark: not every triggered build has sources.
        """
        unused = [name for name in self._context.inputs if name not in self._context.used]
        if not unused or ended.result > Result.WARNINGS or self._progress.stop is not None:
            return ended
        self._logs_of_step().build_remark(f"No step of this build used the submitted {unused[0]}.")
        if "patch" not in unused or self._context.inherited:
            return ended
        return Ended(
            Result.FAILURE,
            "no step applied the submitted patch, so the patch was not tested: give the builder a Git step, "
            "or have its scheduler take no patches",
        )

    async def _do(self, number: int, step: BuildStep) -> None:
        progress, context = self._progress, self._context
        if stop := self._stops.during(number):
            self._halt(stop)
        if progress.halted and not step.alwaysRun and not progress.stopped_in(number):
            return
        step_context = JournaledContext(context, number)
        self._logs = number, step_context.logs
        runner = StepRunner(step, step_context, context.redaction, self.label)
        context.recorder.step_started(number, step.name)
        self._code = StepCode(runner.run(), clock=self._clock, busy=lambda: bool(context.live.ids))
        if progress.stopped_in(number):
            self._code.stop()
        try:
            result, summary = await self._code.when_ended()
        except CancelledError:
            # The step's code ignored its cancellation.  It must not cause any effect from now on.
            step_context.close()
            result, summary = Result.CANCELLED, "cancelled"
        except SlaveLostError as error:
            result, summary = self._unless_stopped(number, Result.RETRY, str(error))
            await self._finish(number, runner, result, summary, hidden=await runner.is_hidden(result, self._clock))
            raise
        await self._code_over(number)
        result, summary = self._unless_stopped(number, result, summary)
        progress.count(step, result)
        hidden = await runner.is_hidden(result, self._clock)
        # A hideStepIf may have had effects, and the build may have been stopped meanwhile.
        await self._code_over(number)
        if not progress.stopped_in(number):
            context.journal.check_reached(number)
        context.locks.leave(number)
        await self._finish(number, runner, result, summary, hidden=hidden)

    async def _code_over(self, number: int) -> None:
        """
        End the commands that code of step *number* left running, and allow others again if the step was stopped.
        """
        await self._context.live.drained("its step has ended")
        if self._progress.stopped_in(number):
            self._context.live.allow()

    def _unless_stopped(self, number: int, result: Result, summary: str) -> tuple[Result, str]:
        stop = self._progress.stopped_in(number)
        return (result, summary) if stop is None else (max(stop.result, Result.FAILURE), stop.reason)

    async def _finish(self, number: int, runner: StepRunner, result: Result, summary: str, *, hidden: bool) -> None:
        self._context.recorder.step_finished(
            number,
            runner.step.name,
            result,
            summary,
            hidden=hidden,
            properties=self._context.recorded_properties(),
            texts=await runner.context.logs.sealed(),
        )

    def _halt(self, stop: Stop) -> None:
        self._progress.stops.append(stop)
        self._progress.halted = True
        self._context.live.interrupt(stop.reason)
        if self._code is not None:
            self._code.stop()

    def _ran_out_of_time(self) -> None:
        reason = f"took longer than its maxTime of {self._max_time:.3g} s"
        Deferred.fromCoroutine(self.stop(reason, Result.FAILURE)).addErrback(  # type: ignore[unused-awaitable]  # logged
            lambda failure: self._log.failure("stopping {build}", failure=failure, build=self.label)
        )


def _unless_cancelled(result: Failure | None, waiting: Deferred[None]) -> None:
    if waiting.called:
        return
    if isinstance(result, Failure):
        waiting.errback(result)
    else:
        waiting.callback(None)
