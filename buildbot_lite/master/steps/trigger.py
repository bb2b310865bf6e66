"""
Starting other builds, and waiting for them.
"""

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
from . import argument_checks as checks
from .argument import argument
from .step import BuildStep

__all__ = ["Trigger"]


class Trigger(BuildStep):
    """
    Start the builds of Triggerable schedulers, once.

    *schedulerNames*: the schedulers.  *waitForFinish*: wait for the builds; the result is the worst of theirs.  Default
    False: continue at once, with SUCCESS.  *set_properties*: a dictionary of properties for those builds.
    *copy_properties*: names of properties of this build that they get, too; those that it does not have are left out.
    *matrix*: a `Matrix`; each scheduler is asked once for each of its combinations, whose values are properties, too.
    *unimportantSchedulerNames*: those of *schedulerNames* whose results do not count.

    The builds are of the same branch, repository and project as this one, get the patch or file that was submitted for
    it, and hand them on in turn.  *updateSourceStamp*: of the same commit, too, by "got_revision"; default True; False:
    of the revision that was asked for, if one was.  *alwaysUseLatest*: of the newest commit instead; default False.
    *sourceStamp*: instead of all that, a dictionary of branch, revision, repository, project.  *sourceStamps*: a list
    of such dictionaries for several codebases, each with its "codebase".  *set_properties* of "branch", "revision",
    "repository" and "project" count more.
    """

    name = "trigger"
    schedulerNames = argument(checks.names, positional=True)
    waitForFinish = argument(checks.flag, default=False)
    set_properties = argument(checks.properties, default=None)
    copy_properties = argument(checks.texts, default=())
    matrix = argument(checks.matrix, default=())
    unimportantSchedulerNames = argument(checks.texts, default=())
    updateSourceStamp = argument(checks.flag, default=True)
    alwaysUseLatest = argument(checks.flag, default=False)
    sourceStamp = argument(checks.source_stamp, default=None)
    sourceStamps = argument(checks.source_stamps, default=())

    def check(self, checker: ArgumentChecker) -> None:
        """
        Every name must be that of a Triggerable scheduler.
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
                        checker.note(f"unimportantSchedulerNames has {name!r:.60}, which schedulerNames has not.")

    async def run(self) -> Result:
        """
        Start the builds; with *waitForFinish*, wait for their results.
        """
        properties = {name: self.getProperty(name) for name in self.copy_properties if self.hasProperty(name)}
        properties |= self.set_properties or {}
        asks = labelled(self.schedulerNames, self.matrix)
        results = await self.bench.trigger(
            self.schedulerNames,
            properties,
            wait=self.waitForFinish,
            source=self._source(),
            log="stdio",
            matrix=self.matrix,
        )
        if not self.waitForFinish:
            self.summary = f"triggered {', '.join(results)}"
            return Result.SUCCESS
        self.summary = ", ".join(f"{name}: {_word(result)}" for name, result in results.items())
        counting = [
            # RETRY as the result of this step would repeat this build, not the triggered one.
            Result.EXCEPTION if result is Result.RETRY else result
            for name, result in results.items()
            if result is not None and asks[name][0] not in self.unimportantSchedulerNames
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
