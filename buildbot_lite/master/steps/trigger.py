"""
A step that starts builds of other builders, and may wait for them.
"""

import re
from collections import Counter
from collections.abc import Mapping
from functools import partial
from typing import Any

from attrs import frozen

from ...errors import ConfigError
from ...model.properties import Json, checked_property_name, checked_value
from ...model.results import Result, worst
from ...model.source_stamps import source_of
from ...model.suggestions import did_you_mean
from ...model.user_functions import awaited
from ..config.arguments import ArgumentChecker
from ..config.matrix import MOST_COMBINATIONS, labelled
from ..config.mistakes import missing_names, once_loaded
from ..config.schedulers import LARGEST_PRIORITY
from . import argument_checks as checks
from .argument import argument
from .step import BuildStep

__all__ = ["Trigger"]

_NUMBER = re.compile(r"-?[0-9]{1,9}")


@frozen
class _Chosen:
    """
    A scheduler to start, under Buildbot's names.
    """

    sched_name: str
    props_to_set: Mapping[str, Json]
    unimportant: bool


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

    def getSchedulersAndProperties(self) -> Any:
        """
        The schedulers to start, as a list of dictionaries: "sched_name", "props_to_set" (its properties) and
        "unimportant" (whether its result is ignored).  A subclass may compute them, also in a coroutine; it may start a
        scheduler several times, and at most 256 in all.
        """
        properties = {name: self.getProperty(name) for name in self.copy_properties if self.hasProperty(name)}
        properties |= self.set_properties or {}
        return [
            {
                "sched_name": name,
                "props_to_set": {**properties, **combination},
                "unimportant": name in self.unimportantSchedulerNames,
            }
            for name, combination in labelled(self.schedulerNames, self.matrix).values()
        ]

    async def run(self) -> Result:
        found = await awaited(self.getSchedulersAndProperties())
        if type(self).getSchedulersAndProperties is Trigger.getSchedulersAndProperties:
            labels = labelled(self.schedulerNames, self.matrix)
            chosen = {label: _Chosen(**each) for label, each in zip(labels, found, strict=True)}
        else:
            chosen = _checked(found)
        results = await self.bench.trigger_each(
            {label: (each.sched_name, each.props_to_set) for label, each in chosen.items()},
            wait=self.waitForFinish,
            source=self._source(),
            log="stdio",
            priority=self.priority,
        )
        if not self.waitForFinish:
            self.summary = f"triggered {', '.join(results)}"
            return Result.SUCCESS
        self.summary = ", ".join(f"{name}: {_word(result)}" for name, result in results.items())
        counting = [
            # RETRY as the result of this step would repeat this build, not the triggered one.
            Result.EXCEPTION if result is Result.RETRY else result
            for label, result in results.items()
            if result is not None and not chosen[label].unimportant
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


def _checked(found: Any) -> dict[str, _Chosen]:
    """
    Label → scheduler, for the answer *found* of a class; `ConfigError` or `PropertyError` if it is wrong.  A name that
    comes again gets a number.
    """
    subject = "getSchedulersAndProperties returned"
    if not isinstance(found, (list, tuple)) or not 0 < len(found) <= MOST_COMBINATIONS:
        raise ConfigError(f"{subject} {found!r:.80}, which is not a list of 1 to {MOST_COMBINATIONS} dictionaries.")
    chosen: dict[str, _Chosen] = {}
    seen: Counter[str] = Counter()
    for each in found:
        given = each if isinstance(each, Mapping) else {}
        name, properties = given.get("sched_name"), given.get("props_to_set") or {}
        if not isinstance(name, str) or not isinstance(properties, Mapping):
            raise ConfigError(f"{subject} {each!r:.80}: write a dictionary with sched_name and props_to_set.")
        seen[name] += 1
        label = name if seen[name] == 1 else f"{name} ({seen[name]})"
        checked = {checked_property_name(key): checked_value(key, value) for key, value in properties.items()}
        chosen[label] = _Chosen(name, checked, bool(given.get("unimportant")))
    return chosen


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
