"""
The end of a step whose code exceeded its time limit: its record, and how a replay repeats it.

::

    the code is interrupted ──► mark, committed ──► its commands are interrupted ──► they have ended ──► the step ends

The mark comes first: a master that dies after it has interrupted a command must end the step in the replay, too.
Otherwise the code would continue with a command that only the farm had interrupted.
"""

from collections.abc import Awaitable, Mapping
from typing import Any

from twisted.internet.defer import CancelledError
from twisted.logger import Logger

from ...errors import BuildbotLiteError, RecordsClosedError
from ...model.properties import Properties
from .abandon import abandon_entries, cancel_children
from .build_context import BuildContext
from .step_effects import StepEffects
from .step_logs import StepLogs
from .step_time import OVERDUE_ORDINAL, StepOverdueError

_REASON = "its step took too long"


class OverdueEnd:
    """
    Ends the step of *effects* in *build*, when its time limit is exceeded.
    """

    _log = Logger()

    def __init__(self, build: BuildContext, effects: StepEffects, logs: StepLogs) -> None:
        self._build = build
        self._effects = effects
        self._logs = logs
        self._recorded: Mapping[str, Any] | None = None

    async def begin(self, over: BuildbotLiteError) -> None:
        """
        Let the reactor do other work, and record the end, unless *over* is the error of a replay.  Then interrupt the
        commands that the step waits for, wait until they have ended, and cancel the builds that it waits for.
        """
        build = self._build
        await build.others_turn()
        if isinstance(over, StepOverdueError) and build.journal.mark(self._effects.step, OVERDUE_ORDINAL) is None:
            await self._record(build.redaction.text(str(over)))
        for buildset in tuple(build.live.buildsets):
            await self._tried(build.triggers.cancel(buildset, _REASON))
        await self._tried(build.live.drained(_REASON))
        # What ends with them has ended before the step's code is cancelled.
        await build.others_turn()

    async def finish(self) -> None:
        """
        Leave what the recorded end says, after `begin`, or where a replay comes to it before the code begins.
        """
        build, journal, step = self._build, self._build.journal, self._effects.step
        self._effects.close()
        build.added.clear()
        mark = journal.mark(step, OVERDUE_ORDINAL)
        found = self._recorded if mark is None else mark
        if found is None:
            return  # the build was stopped before the end was recorded, or a defect of ours kept it from that
        # The code may have set others on its end.
        build.view.properties.replace(Properties.from_document(found["properties"]))
        if mark is None:
            return
        build.revealed.update(mark["revealed"])
        build.used.update(mark["used"])
        self._logs.restore(mark["logs"])
        # What the ended code had begun is not continued.
        begun = journal.drop(step)
        await abandon_entries(build, begun)
        await self._tried(cancel_children(build, _REASON, begun))

    async def _tried(self, work: Awaitable[object]) -> None:
        """
        Await *work*, whose failure is logged only: the end that is recorded is that of the step, as in a replay.
        """
        try:
            await work
        except (RecordsClosedError, CancelledError):
            raise
        except BuildbotLiteError as error:
            self._log.warn("ending what a step waits for: {why}", why=str(error))
        except Exception:  # noqa: BLE001 - the step must end all the same
            self._log.failure("ending what a step waits for")

    async def _record(self, sentence: str) -> None:
        build, effects, logs = self._build, self._effects, self._logs
        logs.build_remark(sentence)
        intent = {
            **effects.time.place,
            "sentence": sentence,
            "properties": {name: list(pair) for name, pair in build.recorded_properties().items()},
            "revealed": sorted(build.revealed),
            "logs": logs.places(),
            "used": sorted(build.used),
        }
        # Before it is committed: it may be, although the wait for that is cancelled.
        self._recorded = intent
        await build.journal.set_mark(effects.step, OVERDUE_ORDINAL, intent)
