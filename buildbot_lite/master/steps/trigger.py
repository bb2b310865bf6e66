"""
A step that starts builds of other builders, and may wait for them.
"""

import re
from collections.abc import Mapping
from functools import partial
from typing import Any

from ...model.results import Result, worst
from ...model.source_stamps import source_of
from ...model.suggestions import did_you_mean
from ..config.arguments import ArgumentChecker
from ..config.matrix import labelled
from ..config.mistakes import (
    missing_names,
    once_loaded,
)
from ..config.schedulers import LARGEST_PRIORITY
from . import argument_checks as checks
from .argument import argument
from .step import BuildStep

__all__ = ["Trigger"]

_NUMBER = re.compile(r"-?[0-9]{1,9}")


def _priority(checker: ArgumentChecker, name: str, value: Any) -> int | None:
    if value is None:
        return None
    if isinstance(value, str) and _NUMBER.fullmatch(value):
        value = int(value)  # an Interpolate makes a text of it
    return checker.whole(name, value, least=-LARGEST_PRIORITY, most=LARGEST_PRIORITY)


class Trigger(BuildStep):
    """
    Start the builds of Triggerable schedulers, once.

    *schedulerNames*: the schedulers.
    *waitForFinish*: wait for the builds; the result of the step is the worst of their results.  Default False: continue
    immediately, with SUCCESS.
    *unimportantSchedulerNames*: those of *schedulerNames* whose results are ignored.
    *set_properties*: a dictionary of properties for the builds.
    *copy_properties*: names of properties of this build that the builds get, too; missing ones are left out.
    *matrix*: a `Matrix`; each scheduler is started once for each combination, whose values are properties, too.
    *priority*: of the requests, a whole number; default: as each Triggerable says.

    The builds get the patch or file that was submitted for this build, and pass it on to builds that they trigger.
    They are of the same branch, repository and project as this build, and of a revision that these arguments choose:
    *updateSourceStamp*: the commit of this build (its "got_revision"); default True.  False: the revision of this
    build's request, if it has one.
    *alwaysUseLatest*: the newest commit; default False.

    *sourceStamp*: a dictionary of branch, revision, repository and project that replaces all of these; *sourceStamps*:
    a list of such dictionaries for several codebases, each with its "codebase".  The properties "branch", "revision",
    "repository" and "project" in *set_properties* take precedence over either.
    """

    name = "trigger"
    schedulerNames = argument(checks.names, positional=True)
    waitForFinish = argument(checks.flag, default=False)
    set_properties = argument(checks.properties, default=None)
    copy_properties = argument(checks.texts, default=())
    matrix = argument(checks.matrix, default=())
    unimportantSchedulerNames = argument(checks.texts, default=())
    priority = argument(_priority, default=None, nullable=True)
    updateSourceStamp = argument(checks.flag, default=True)
    alwaysUseLatest = argument(checks.flag, default=False)
    sourceStamp = argument(checks.source_stamp, default=None)
    sourceStamps = argument(checks.source_stamps, default=())

    def check(self, checker: ArgumentChecker) -> None:
        """
        Refuse arguments that exclude each other, and names that no Triggerable scheduler has.
        """
        given = (self.alwaysUseLatest is True, bool(self.sourceStamp), bool(self.sourceStamps))
        if sum(given) > 1:
            checker.note("give one of alwaysUseLatest, sourceStamp and sourceStamps.")
        if isinstance(self.schedulerNames, list):
            for name in filter(_is_text, self.schedulerNames):
                once_loaded(partial(_unknown, name), of=self)
            if isinstance(self.unimportantSchedulerNames, list):
                for name in filter(_is_text, self.unimportantSchedulerNames):
                    if all(map(_is_text, self.schedulerNames)) and name not in self.schedulerNames:
                        checker.note(f"unimportantSchedulerNames has {name!r:.60}, which is not in schedulerNames.")

    async def run(self) -> Result:
        properties = {name: self.getProperty(name) for name in self.copy_properties if self.hasProperty(name)}
        properties |= self.set_properties or {}
        by_label = labelled(self.schedulerNames, self.matrix)
        results = await self.bench.trigger(
            self.schedulerNames,
            properties,
            wait=self.waitForFinish,
            source=self._source(),
            log="stdio",
            matrix=self.matrix,
            priority=self.priority,
        )
        if not self.waitForFinish:
            self.summary = f"triggered {', '.join(results)}"
            return Result.SUCCESS
        self.summary = ", ".join(f"{name}: {_word(result)}" for name, result in results.items())
        counting = [
            # RETRY as the result of this step would repeat this build, not the triggered one.
            Result.EXCEPTION if result is Result.RETRY else result
            for name, result in results.items()
            if result is not None and by_label[name][0] not in self.unimportantSchedulerNames
        ]
        return worst(counting)

    def _source(self) -> dict[str, Any]:
        given = [self.sourceStamp] if self.sourceStamp else self.sourceStamps
        if given:
            return source_of({stamp.get("codebase", ""): _without_codebase(stamp) for stamp in given})
        stamps = {codebase: dict(stamp) for codebase, stamp in self.bench.view.sources.items()}
        got = self.getProperty("got_revision")
        revisions = got if isinstance(got, dict) else dict.fromkeys(stamps, got) if len(stamps) == 1 else {}
        for codebase, stamp in stamps.items():
            if self.alwaysUseLatest:
                stamp["revision"] = None
            elif self.updateSourceStamp and isinstance(revisions.get(codebase), str):
                stamp["revision"] = revisions[codebase]
        return source_of(stamps)


def _is_text(name: object) -> bool:
    return isinstance(name, str)


def _without_codebase(stamp: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in stamp.items() if name != "codebase"}


def _word(result: Result | None) -> str:
    return "not known" if result is None else result.name.lower()


def _unknown(name: str, config: Any) -> str | None:
    triggerables = config.triggerables
    if name in triggerables or name in missing_names():
        return None
    return f"Trigger: there is no Triggerable scheduler {name!r:.60}.{did_you_mean(name, triggerables)}"
