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
            "answers": effects.time.answers,
            "sentence": sentence,
            "properties": {name: list(pair) for name, pair in build.recorded_properties().items()},
            "revealed": sorted(build.revealed),
            "logs": logs.places(),
        }
        await journal.set_mark(step, OVERDUE_ORDINAL, intent)
        return
    build.view.properties.replace(Properties.from_document(mark["properties"]))
    build.revealed.update(mark["revealed"])
    logs.restore(mark["logs"])
    # What the ended code had begun is not continued.
    begun = journal.drop(step)
    await abandon_entries(build, begun)
    await cancel_children(build, "its step took too long", begun)
