"""
The end of a step whose code took too long: what is recorded about it, and how a replay repeats it.
"""

from typing import Any

from ...model.properties import Properties
from .abandon import abandon_entries, cancel_children
from .build_context import BuildContext
from .step_effects import StepEffects
from .step_logs import StepLogs
from .step_time import OVERDUE_ORDINAL

_REASON = "its step took too long"


async def end_overdue(build: BuildContext, effects: StepEffects, logs: StepLogs, sentence: str) -> None:
    """
    End the step of *effects*, whose code was ended with *sentence*.  Returns when that is recorded.
    """
    journal, step = build.journal, effects.step
    effects.close()
    build.added.clear()
    mark = journal.mark(step, OVERDUE_ORDINAL)
    if mark is None:
        logs.build_remark(sentence)
        intent: dict[str, Any] = {
            **effects.time.place,
            "sentence": sentence,
            "properties": {name: list(pair) for name, pair in build.recorded_properties().items()},
            "revealed": sorted(build.revealed),
            "logs": logs.places(),
            "used": sorted(build.used),
        }
        await journal.set_mark(step, OVERDUE_ORDINAL, intent)
        return
    build.view.properties.replace(Properties.from_document(mark["properties"]))
    build.revealed.update(mark["revealed"])
    build.used.update(mark["used"])
    logs.restore(mark["logs"])
    # What the ended code had begun is not continued.
    begun = journal.drop(step)
    await abandon_entries(build, begun)
    await cancel_children(build, _REASON, begun)


async def let_go(build: BuildContext) -> None:
    """
    Let the reactor do other work; then interrupt the commands that the current step of *build* waits for, wait until
    they have ended, and cancel the builds that it waits for.
    """
    await build.others_turn()
    for buildset in tuple(build.live.buildsets):
        await build.triggers.cancel(buildset, _REASON)
    await build.live.drained(_REASON)
    # What ends with them has ended before the step's code is cancelled.
    await build.others_turn()
