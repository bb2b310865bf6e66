"""
One build: a coroutine that runs its steps, and can be run again from its journal.

::

    steps of the factory ──► prepare (render, doStepIf) ──► run ──► result ──► next, or the end
                                                            │
                                         context ◄──────────┘  (side effects: step_context.py, journal.py)

Three things end a build early: a failed step with *haltOnFailure* (later steps with *alwaysRun* still run); a stop by
an admin or by *maxTime*, which is recorded in the journal at the step that it met, so that a replay stops there too;
and a lost slave (RETRY: no step can run there any more).
"""

import traceback
from collections.abc import Callable, Sequence

from attrs import define, field, frozen
from twisted.internet.defer import CancelledError, Deferred, DeferredLock
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure

from ...deferreds import background, shielded
from ...errors import (
    BuildbotLiteError,
    FileError,
    RecordsClosedError,
    ReplayError,
)
from ...model.results import Result, worst
from ...model.wait_reasons import WaitReason
from ..config.locks import uses_on
from ..steps.recipe import Recipe
from ..steps.step import BuildStep, BuildStepFailed
from .abandon import abandon, cancel_children
from .build_context import MOST_STEPS, BuildContext
from .journal import (
    Done,
    Journal,
    JournalEntry,
    JournalStore,
    fingerprint,
)
from .step_code import StepCode
from .step_context import JournaledContext, SlaveLostError

# The journal keeps a stop beside the effects of the step that it met.
STOP_ORDINAL = -1
STOP = "stop"


LONGEST_HIDING = 60.0
"""Seconds that a ``hideStepIf`` may take; after that, the step is shown."""
MOST_REMARKS = 5000
"""The number of remarks from outside its steps that one build may get."""


@frozen
class Stop:
    """
    The build was stopped in *step*, with *result*, because of *reason*.
    """

    step: int
    result: Result
    reason: str


@frozen
class Ended:
    """
    The end of a build; *reason* is for people, and empty when the results of the steps suffice.
    """

    result: Result
    reason: str = ""


@define
class BuildProgress:
    """
    How far a build has come.

    *step*: the number of the present step.  *results*: those of the steps so far.  *halted*: only steps with
    *alwaysRun* are left to run.  *stops*: one for each step in which the build was stopped, because a stopped build
    still runs steps with *alwaysRun*, and they can be stopped too.
    """

    step: int = 0
    results: list[Result] = field(factory=list)
    halted: bool = False
    stops: list[Stop] = field(factory=list)
    reason: str = ""

    @property
    def stop(self) -> Stop | None:
        """
        The first stop, which decides the build's result.
        """
        return self.stops[0] if self.stops else None

    def stopped_in(self, step: int) -> Stop | None:
        """
        The stop that met *step*.
        """
        return next((stop for stop in self.stops if stop.step == step), None)


class Build:
    """
    One attempt at a request.

    *label*: "builder/number".  *context*: makes what the steps share.  *max_time*: the longest duration in seconds, or
    None.  *started*: when the build first began, in seconds since 1970.  *recorded*: the journal of an earlier run of
    the same build.  *went_live*: called when the replay of that journal ends; from then on the build's commands are
    known to its sessions.  *cannot*: why the build cannot be continued; it then runs no step, and ends when none of its
    commands can run any more.
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
        self._store = store
        self._clock = clock
        self._deadline = None if max_time is None else started + max_time
        self._max_time = max_time
        self._stops = {entry.step: _stop(entry) for entry in recorded if entry.kind == STOP}
        self._progress = BuildProgress()
        self._code: StepCode[tuple[Result, str]] | None = None
        self._cannot = cannot
        self._stopping = DeferredLock()
        self._remarks = 0
        self._went_live = went_live
        effects = [entry for entry in recorded if entry.kind != STOP]
        journal = Journal(id, store, recorded=effects, went_live=went_live)
        self._context = context(self, journal)

    @property
    def step(self) -> int:
        """
        The number of the present step.
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
        The lock that the present step waits for, if any.
        """
        return self._context.locks.reason(self._progress.step)

    @property
    def wanted_stop(self) -> Stop | None:
        """
        The stop of the build, also while it is being recorded (it is recorded before the end of the build is).
        """
        return self._progress.stop or self._stops.get(self._progress.step)

    def remark(self, text: str) -> None:
        """
        Record *text* beside the log of the present step.  Dropped after `MOST_REMARKS`, because slaves cause as
        many remarks as they like.
        """
        self._remarks += 1
        if self._remarks > MOST_REMARKS:
            return
        JournaledContext(self._context, self._progress.step).remark(text)

    async def run(self) -> Ended:
        """
        Run the build from the beginning, or from where its journal ends.
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
        The end of the build, after its unfinished commands can run no more (`abandon`).

        A build that is stopped does not wait: it is not tried again.
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
            return Ended(stop.result, stop.reason)
        return ended

    async def stop(self, reason: str, result: Result = Result.CANCELLED) -> None:
        """
        Interrupt the present step, and run only those later ones that have *alwaysRun*.  Done when the stop is
        recorded.
        """
        await shielded(self._stop_in_turn(reason, result))

    async def _stop_in_turn(self, reason: str, result: Result) -> None:
        await self._stopping.run(lambda: Deferred.fromCoroutine(self._record_stop(reason, result)))

    async def _record_stop(self, reason: str, result: Result) -> None:
        step = self._progress.step
        if step in self._stops:
            return
        self._stops[step] = stop = Stop(step, result, reason)
        intent = {"result": int(result), "reason": reason}
        entry = JournalEntry(step, STOP_ORDINAL, STOP, fingerprint(intent), intent)
        try:
            await self._store.begin(self.id, entry)
        except BaseException:
            # The build is not stopped: the next `stop` must record it.
            del self._stops[step]
            raise
        # A replay obeys an entry that has begun; its outcome only completes the record.
        background(self._store.end(self.id, entry, Done({}), {}), self._log, "recording that a stop was obeyed")
        if self._progress.step == step:
            self._halt(stop)
        else:
            # The build reached the next step while the stop was being recorded: stop that step as well.
            self._stops.pop(step)
            await self._record_stop(reason, result)

    async def _run(self) -> Ended:
        if self._cannot:
            return Ended(Result.RETRY, self._cannot)
        try:
            await self._run_steps()
        except SlaveLostError as error:
            if stop := self.wanted_stop:
                # A stopped build is not tried again.
                return Ended(stop.result, stop.reason)
            return Ended(Result.RETRY, str(error))
        except ReplayError as error:
            self._log.warn("{build} cannot be continued: {why}", build=self.label, why=str(error))
            return Ended(Result.RETRY, str(error))
        if self._progress.stop is not None:
            return Ended(self._progress.stop.result, self._progress.stop.reason)
        return Ended(worst(self._progress.results), self._progress.reason)

    async def _run_steps(self) -> None:
        """
        Run the steps, and those that steps add; a replay adds the same at the same places.
        """
        steps, number, seen = [recipe.make() for recipe in self._recipes], 0, dict[str, int]()
        while number < len(steps):
            self._progress.step = number
            _name(steps[number], seen)
            await self._do(number, steps[number])
            number += 1
            if len(steps) + sum(len(recipes) for _, recipes in self._context.added) > MOST_STEPS:
                raise BuildbotLiteError(f"Steps have added more than {MOST_STEPS} steps to this build.")
            for place, recipes in self._context.added:
                at = number if place == "next" else len(steps)
                steps[at:at] = [recipe.make() for recipe in recipes]
            self._context.added.clear()

    def _with_unused_inputs(self, ended: Ended) -> Ended:
        """
        *ended*, or a failure if no step applied the submitted patch, because the patch was not tested.  A patch that
        was inherited from a parent build only causes a remark: not every triggered build has sources.
        """
        unused = [name for name in self._context.inputs if name not in self._context.used]
        if not unused or ended.result > Result.WARNINGS or self._progress.stop is not None:
            return ended
        JournaledContext(self._context, self._progress.step).remark(
            f"No step of this build used the submitted {unused[0]}."
        )
        if "patch" not in unused or self._context.inherited:
            return ended
        return Ended(
            Result.FAILURE,
            "no step applied the submitted patch, so the patch was not tested: give the builder a Git step, "
            'or take stdin="patch" out of the Submit scheduler',
        )

    async def _do(self, number: int, step: BuildStep) -> None:
        progress, context = self._progress, self._context
        if stop := self._stops.get(number):
            self._halt(stop)
        if progress.halted and not step.alwaysRun and not progress.stopped_in(number):
            return
        step_context = JournaledContext(context, number)
        context.recorder.step_started(number, step.name)
        self._code = StepCode(
            self._result_of(step, step_context), clock=self._clock, busy=lambda: bool(context.live.ids)
        )
        if progress.stopped_in(number):
            self._code.stop()
        try:
            result, summary = await self._code.when_ended()
        except CancelledError:
            # The step's code did not end, and is abandoned: nothing that it does from now on may reach a slave.
            step_context.close()
            result, summary = Result.CANCELLED, "cancelled"
        except SlaveLostError as error:
            await self._finish(number, step, step_context, *self._unless_stopped(number, Result.RETRY, str(error)))
            raise
        await context.live.drained("its step has ended")
        context.locks.leave(number)
        result, summary = self._unless_stopped(number, result, summary)
        if progress.stopped_in(number):
            context.live.relent()
        self._count(step, result)
        await self._finish(number, step, step_context, result, summary)

    def _unless_stopped(self, number: int, result: Result, summary: str) -> tuple[Result, str]:
        stop = self._progress.stopped_in(number)
        return (result, summary) if stop is None else (max(stop.result, Result.FAILURE), stop.reason)

    async def _finish(
        self, number: int, step: BuildStep, step_context: JournaledContext, result: Result, summary: str
    ) -> None:
        hidden = await Deferred.fromCoroutine(_quietly_hidden(step, result)).addTimeout(
            LONGEST_HIDING, self._clock, lambda result, timeout: False
        )
        self._context.recorder.step_finished(
            number,
            step.name,
            result,
            summary,
            hidden=hidden,
            properties=self._context.recorded_properties(),
            texts=await step_context.logs.sealed(),
        )

    async def _result_of(self, step: BuildStep, step_context: JournaledContext) -> tuple[Result, str]:
        try:
            return await self._run_step(step, step_context)
        except (SlaveLostError, ReplayError, RecordsClosedError):
            raise
        except CancelledError:
            return Result.CANCELLED, "cancelled"
        except BuildbotLiteError as error:
            sentence = str(error)
        except Exception as error:  # noqa: BLE001 - the user's code: a bad step must not end the farm
            # A traceback's text may quote values; its frames do not.
            sentence = self._context.redaction.text(f"{type(error).__name__}: {error}")[:500]
            self._write_traceback(step, step_context, error)
        sentence = self._context.redaction.text(sentence)
        step_context.remark(sentence)
        return Result.EXCEPTION, sentence

    async def _run_step(self, step: BuildStep, step_context: JournaledContext) -> tuple[Result, str]:
        summary = ""
        try:
            if not await self._context.code_time.run("rendering the arguments", step.prepare, step_context):
                return Result.SKIPPED, "skipped"
            if uses := uses_on(step.slave_name, step.locks):
                await step_context.lock(uses)
            result = Result(await self._context.code_time.run("run", step.run))
        except BuildStepFailed as failed:
            result, summary = Result.FAILURE, str(failed)
        await step_context.logs.settled()
        return result, self._context.redaction.text(summary or await self._summary_of(step, result))

    async def _summary_of(self, step: BuildStep, result: Result) -> str:
        return str(await self._context.code_time.run("getResultSummary", step.summary_of, result))

    def _write_traceback(self, step: BuildStep, step_context: JournaledContext, error: Exception) -> None:
        text = "".join(traceback.format_exception(error))
        masked = self._context.redaction.text(text)
        if masked == text:
            self._log.failure("{step} of {build} failed", step=step.name, build=self.label)
        else:
            self._log.error("{step} of {build} failed:\n{text}", step=step.name, build=self.label, text=masked)
        try:
            step_context.write("traceback", masked)
        except FileError as unwritten:
            self._log.warn("the traceback of {build} is not in its log: {why}", build=self.label, why=str(unwritten))

    def _count(self, step: BuildStep, result: Result) -> None:
        """
        Add the step's *result* to those of the build, and halt the build if need be.
        """
        progress = self._progress
        counted = result
        if result is Result.FAILURE and not step.flunkOnFailure:
            counted = Result.WARNINGS if step.warnOnFailure else Result.SUCCESS
        elif result is Result.WARNINGS:
            if step.flunkOnWarnings:
                counted = Result.FAILURE
            elif not step.warnOnWarnings:
                counted = Result.SUCCESS
        progress.results.append(counted)
        if counted > Result.WARNINGS and counted is not Result.SKIPPED and not progress.reason:
            progress.reason = f"step {step.name}: {result.name.lower()}"
        bad = result in {Result.FAILURE, Result.EXCEPTION, Result.RETRY, Result.CANCELLED}
        if bad and (step.haltOnFailure or result is not Result.FAILURE):
            progress.halted = True

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


def _stop(entry: JournalEntry) -> Stop:
    return Stop(entry.step, Result(entry.intent["result"]), str(entry.intent["reason"]))


def _name(step: BuildStep, seen: dict[str, int]) -> None:
    """
    Make the name of *step* unique among those *seen*: ``shell``, ``shell_1``, ``shell_2``.
    """
    count = seen.get(step.name, 0)
    seen[step.name] = count + 1
    step.name = f"{step.name}_{count}" if count else step.name


async def _quietly_hidden(step: BuildStep, result: Result) -> bool:
    if not hasattr(step, "bench"):
        return False
    try:
        return await step.hidden(result)
    except Exception:  # noqa: BLE001 - the user's function; what cannot be asked is shown
        return False
