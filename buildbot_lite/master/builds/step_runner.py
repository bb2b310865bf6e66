"""
Running the code of one step, and what its exceptions become.
"""

import traceback

from attrs import frozen
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger

from ...errors import BuildbotLiteError, FileError, RecordsClosedError, ReplayError
from ...model.results import Result
from ...model.user_functions import awaited
from ..config.locks import uses_on
from ..steps.step import BuildStep, BuildStepFailed
from .redaction import Redaction
from .step_commands import SlaveLostError
from .step_context import JournaledContext
from .step_time import StepOverdueError

LONGEST_HIDING = 60.0
"""Seconds that a ``hideStepIf`` may take; after that, the step is shown."""


@frozen
class StepRunner:
    """
    Runs *step* in *context*.

    *redaction*: hides secrets in texts.  *build*: the label of the build, for the master's log.
    """

    step: BuildStep
    context: JournaledContext
    redaction: Redaction
    build: str
    _log = Logger()

    async def run(self) -> tuple[Result, str]:
        """
        Run the step; return its result and its summary.

        An exception of the step ends it with EXCEPTION.  `SlaveLostError`, `ReplayError` and `RecordsClosedError` end
        the build, and are raised.
        """
        try:
            return await self.context.time.run(self._run())
        except (SlaveLostError, ReplayError, RecordsClosedError):
            raise
        except StepOverdueError as error:
            await self.context.end_overdue()
            return Result.EXCEPTION, self.redaction.text(str(error))
        except CancelledError:
            return Result.CANCELLED, "cancelled"
        except BuildbotLiteError as error:
            sentence = str(error)
        except Exception as error:  # noqa: BLE001 - the user's code: a bad step must not end the farm
            # The text of an exception may quote a secret.
            sentence = self.redaction.text(f"{type(error).__name__}: {error}")[:500]
            self._write_traceback(error)
        sentence = self.redaction.text(sentence)
        self.context.remark(sentence)
        return Result.EXCEPTION, sentence

    async def is_hidden(self, result: Result, clock: IReactorTime) -> bool:
        """
        Whether lists omit the step, which ended with *result*.  They show it if its ``hideStepIf`` fails or takes too
        long; and if its code was ended by its time limit, because ``hideStepIf`` could find its attributes in another
        state in a replay, which ends the code earlier.
        """
        if self.context.time.is_over:
            return False
        asking = Deferred.fromCoroutine(self._ask_whether_hidden(result))
        return await asking.addTimeout(LONGEST_HIDING, clock, lambda result, timeout: False)

    async def _run(self) -> tuple[Result, str]:
        step, summary = self.step, ""
        try:
            if not await step.prepare(self.context):
                return Result.SKIPPED, "skipped"
            if uses := uses_on(step.slave_name, step.locks):
                await self.context.lock(uses)
            result = Result(await awaited(step.run()))
        except BuildStepFailed as failed:
            result, summary = Result.FAILURE, str(failed)
        await self.context.logs.settled()
        if not summary:
            summary = await step.summary_of(result)
        return result, self.redaction.text(summary)

    async def _ask_whether_hidden(self, result: Result) -> bool:
        if not hasattr(self.step, "bench"):
            return False
        try:
            return await self.step.hidden(result)
        except Exception:  # noqa: BLE001 - the user's function
            return False

    def _write_traceback(self, error: Exception) -> None:
        text = "".join(traceback.format_exception(error))
        masked = self.redaction.text(text)
        if masked == text:
            self._log.failure("{step} of {build} failed", step=self.step.name, build=self.build)
        else:
            self._log.error("{step} of {build} failed:\n{text}", step=self.step.name, build=self.build, text=masked)
        try:
            self.context.write("traceback", masked)
        except FileError as unwritten:
            self._log.warn("the traceback of {build} is not in its log: {why}", build=self.build, why=str(unwritten))
