"""
How a step starts other builds, and waits for them.

For each scheduler there are two entries in the journal: "trigger" records the buildset, `TRIGGERED` its result and its
builds.
"""

from collections.abc import Mapping
from typing import Any

from twisted.internet.defer import Deferred, DeferredList

from ...deferreds import shielded
from ...model.properties import Json
from ...model.results import Result
from ...model.source_stamps import source_of
from ...storage.records.journal import TRIGGERED
from .build_context import BuildContext
from .journal import Done, JournalEntry
from .step_effects import StepEffects
from .step_logs import StepLogs
from .triggered import MOST_CHILDREN, Child


class StepTriggers:
    """
    Starts Triggerable schedulers for one step.
    """

    def __init__(self, build: BuildContext, effects: StepEffects, logs: StepLogs) -> None:
        self._build = build
        self._effects = effects
        self._logs = logs

    async def run(
        self,
        wanted: Mapping[str, tuple[str, Mapping[str, Json]]],
        *,
        wait: bool,
        source: Mapping[str, Json] | None,
        log: str | None,
        priority: int | None = None,
    ) -> dict[str, Result | None]:
        """
        Start schedulers, and with *wait* wait for their results, as described in `StepContext.trigger`.

        *wanted*: label → name of a scheduler and the properties that it gets.  Returns label → result.
        """
        # The inputs are passed on, which counts as a use.
        self._build.used.update(self._build.inputs)
        source = source_of(self._build.view.sources) if source is None else source
        answers = {label: await self._start(label, *each, source, priority) for label, each in wanted.items()}
        # A scheduler that builds later, at its own time, returns no buildset to wait for.
        buildsets = {name: int(outcome["buildset"]) for name, outcome in answers.items() if outcome["buildset"]}
        if not wait:
            if log is not None:
                self._logs.write(log, "".join(f"{name}: {_requests(outcome)}\n" for name, outcome in answers.items()))
            return dict.fromkeys(wanted)
        outcomes = await self._await_all(buildsets)
        if log is not None:
            lines = [f"{name}: {line}\n" for name, outcome in outcomes.items() for line in _lines(outcome)]
            self._logs.write(log, "".join(lines))
        return {name: Result(outcomes[name]["result"]) if name in outcomes else None for name in wanted}

    async def _start(
        self,
        label: str,
        name: str,
        properties: Mapping[str, Json],
        source: Mapping[str, Json],
        priority: int | None,
    ) -> Mapping[str, Any]:
        triggers = self._build.triggers

        async def perform(entry: JournalEntry, resumed: bool) -> Done:
            buildset = await triggers.trigger(name, self._build.command_id(entry), properties, source, priority)
            children = await triggers.children(buildset) if buildset else ()
            outcome = {"buildset": buildset, "requests": [(each.request, each.builder) for each in children]}
            self._logs.remark(f"{label}: {_requests(outcome)}")
            return Done(outcome)

        intent: dict[str, Json] = {"scheduler": name, "properties": dict(properties)}
        if priority is not None:  # so that the entries of earlier versions have no other fingerprint
            intent["priority"] = priority
        entry = await self._effects.perform("trigger", intent, perform)
        outcome: Mapping[str, Any] = entry.outcome or {"buildset": 0}
        return outcome

    async def _await_all(self, buildsets: Mapping[str, int]) -> Mapping[str, Mapping[str, Any]]:
        waits = [Deferred.fromCoroutine(self._await(name, buildset)) for name, buildset in buildsets.items()]
        ended: list[tuple[bool, Any]] = await DeferredList(waits, consumeErrors=True)
        for succeeded, failure in ended:
            if not succeeded:
                # Shielded: if the step is cancelled now, the rest must be cancelled all the same.
                await shielded(self._cancel(buildsets))
                raise failure.value
        return {name: outcome for name, (_, outcome) in zip(buildsets, ended, strict=True)}

    async def _await(self, name: str, buildset: int) -> Mapping[str, Any]:
        live, triggers = self._build.live, self._build.triggers

        async def perform(entry: JournalEntry, resumed: bool) -> Done:
            live.buildsets.add(buildset)
            self._build.locks.shared()
            try:
                result: Result = await live.waiting_for(triggers.when_finished(buildset))
            finally:
                live.buildsets.discard(buildset)
            children = await triggers.children(buildset)
            outcome = {
                "result": int(result),
                "builds": [each.to_document() for each in children[:MOST_CHILDREN]],
                "more": max(0, len(children) - MOST_CHILDREN),
            }
            for line in _lines(outcome):
                self._logs.remark(f"{name}: {line}")
            return Done(outcome)

        entry = await self._effects.perform(TRIGGERED, {"buildset": buildset}, perform)
        outcome: Mapping[str, Any] = entry.outcome or {"result": int(Result.EXCEPTION)}
        return outcome

    async def _cancel(self, buildsets: Mapping[str, int]) -> None:
        for name, buildset in buildsets.items():
            cancelled = await self._build.triggers.cancel(buildset, self._build.live.reason or "its step failed")
            if cancelled:
                labels = ", ".join(child.label for child in cancelled)
                self._logs.build_remark(f"{name}: cancelled as well: {labels}")


def _requests(outcome: Mapping[str, Any]) -> str:
    if not outcome["buildset"]:
        return "it will build this source later, at its own time"
    return ", ".join(f"request {id} ({builder})" for id, builder in outcome.get("requests", ()))


def _lines(outcome: Mapping[str, Any]) -> list[str]:
    """
    Lines, for people, about the builds of *outcome*; none for an entry of version 0.1.0, which has no "builds".
    """
    lines = [line for each in outcome.get("builds", ()) for line in Child.from_document(each).lines]
    more = outcome.get("more", 0)
    return [*lines, f"and {more} more"] if more else lines
