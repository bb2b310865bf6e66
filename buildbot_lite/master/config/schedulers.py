"""
The base class of schedulers, and the schedulers that a step or another scheduler starts.

A scheduler here is a value, which says what to request and when.  ``master.scheduling.schedulers`` acts on it.
"""

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from ...model.rendering import is_renderable
from ...model.source_stamps import FIELDS as STAMP_FIELDS
from ...model.suggestions import did_you_mean, nearest
from .argument_fit import NotingType, argument_names, note_unknown
from .arguments import LONGEST_TEXT, ArgumentChecker, as_list, shown
from .executed_line import current_line
from .mistakes import once_loaded, remark

LARGEST_PRIORITY = 1_000_000


class BaseScheduler(metaclass=NotingType):
    """
    A source of build requests.

    *builderNames*: a list of builders, which get one request each.  It may be rendered: a renderer gets the properties,
    and ``changes``, ``files`` and ``sourcestamps`` of the submission.
    *properties*: properties of all its builds.
    *priority*: requests with a higher priority are built first; default 0.  A number, something that is rendered to a
    number as *builderNames* is, or a function of the names of the builders and a dictionary: codebase → change.
    *codebases*: a list of the codebases that it builds, or a dictionary: codebase → a dictionary with the default
    repository, branch, revision and project.
    *reason*: why the builds are made, for people.
    *forks*: whether it accepts code from forks, which anybody may have written; default False.  True: such builds get
    no `Secret`; a list of slaves: they also run on these slaves only.

    Until master.cfg is loaded, it may append to the list that it gave as *builderNames*, or to the attribute.
    """

    def __init__(
        self,
        name: Any,
        builderNames: Any,
        *,
        properties: Any = None,
        priority: Any = 0,
        codebases: Any = None,
        reason: Any = None,
        forks: Any = False,
        **unknown: Any,
    ) -> None:
        note_unknown(type(self).__name__, unknown, argument_names(type(self)), of=self)
        self.place = current_line(self)
        self.arguments = ArgumentChecker(f"{type(self).__name__} {name!r:.100}", self)
        self.name = self.checked_name(name)
        self.builderNames: list[Any] = _builders(self.arguments, builderNames)
        self.builders_to_render = builderNames if is_renderable(builderNames) else None
        once_loaded(self._why_no_builder_names, of=self)
        self.properties = self.arguments.properties("properties", {} if properties is None else properties)
        self.priority: Any = _priority(self.arguments, priority)
        self.has_codebases = codebases is not None
        self.codebases = _codebases(self.arguments, codebases)
        self.reason = self._reason(reason)
        self.forks, self.fork_slaves = _forks(self.arguments, forks)
        for slave in self.fork_slaves or ():
            once_loaded(partial(self._why_no_slave, slave), of=self)

    @property
    def builder_names(self) -> tuple[str, ...]:
        """
        The names of its builders, without repetitions and without those that are rendered for a submission.
        """
        return tuple(dict.fromkeys(each for each in self.builderNames if isinstance(each, str)))

    @property
    def kind(self) -> str:
        """
        The name of its class, for people.
        """
        return type(self).__name__

    def checked_name(self, name: Any) -> str:
        """
        Check the name; subclasses may allow other names.
        """
        return self.arguments.label("name", name)

    def _reason(self, reason: Any) -> str | None:
        return self.arguments.optional(self.arguments.text, "reason", reason)

    def _why_no_builder_names(self, config: Any) -> str | None:
        if self.builders_to_render is None and not all(isinstance(each, str) for each in self.builderNames):
            return f"{self.arguments.owner}: builderNames must be a list of texts, not {shown(self.builderNames)}."
        return None

    def _why_no_slave(self, slave: str, config: Any) -> str | None:
        if slave in config.slaves:
            return None
        known = config.slaves
        return f"{self.arguments.owner}: forks has {slave!r} in it, which is not a slave.{did_you_mean(slave, known)}"

    def __repr__(self) -> str:
        return f"{self.kind}({self.name!r})"


class Triggerable(BaseScheduler):
    """
    Requests builds when a `Trigger` step of another build names it.
    """


class Dependent(BaseScheduler):
    """
    Requests builds when a buildset of the scheduler *upstream* has ended with SUCCESS or WARNINGS.  They have the same
    source, the same changes and the same submitted file.  *upstream*: the scheduler, or its name.
    """

    def __init__(self, name: Any, upstream: Any, builderNames: Any, **common: Any) -> None:
        super().__init__(name, builderNames, **common)
        self.upstream = ""
        if isinstance(upstream, BaseScheduler):
            self.upstream = upstream.name
        elif isinstance(upstream, str):
            self.upstream = upstream
        else:
            self.arguments.wrong("upstream", upstream, "a scheduler or its name")
        if self.upstream:
            once_loaded(self._why_no_upstream, of=self)

    def _why_no_upstream(self, config: Any) -> str | None:
        if self.upstream == self.name:
            return f"{self.arguments.owner}: it is its own upstream."
        if self.upstream not in config.schedulers:
            near = did_you_mean(self.upstream, config.schedulers)
            return f"{self.arguments.owner}: its upstream {self.upstream!r} is not in c['schedulers'].{near}"
        seen, at = {self.name}, config.schedulers[self.upstream]
        while isinstance(at, Dependent):
            if at.name in seen:
                return f"{self.arguments.owner}: its upstreams depend on each other in a circle."
            seen.add(at.name)
            at = config.schedulers.get(at.upstream)
        return None


def _builders(arguments: ArgumentChecker, value: Any) -> list[Any]:
    """
    The names of builders in *value*, and the objects that are rendered to names.  A list is returned itself, not a
    copy, because master.cfg may still append to it.
    """
    if is_renderable(value):
        return value if isinstance(value, list) else [*value] if isinstance(value, (tuple, set, frozenset)) else []
    names = arguments.texts("builderNames", value)
    for twice in sorted({each for each in names if names.count(each) > 1}):
        remark(f"{arguments.owner}: builderNames has {twice!r} twice, which counts once.")
    return value if isinstance(value, list) else list(names)


def _priority(arguments: ArgumentChecker, value: Any) -> Any:
    """
    Check a priority: a number, a function, or something that is rendered to a number.
    """
    if is_renderable(value) and not isinstance(value, (list, tuple, set, frozenset, Mapping)):
        return value
    if callable(value):
        return arguments.function("priority", value) or 0
    return 0 if value is None else arguments.whole("priority", value, least=-LARGEST_PRIORITY, most=LARGEST_PRIORITY)


def _codebases(arguments: ArgumentChecker, value: Any) -> dict[str, dict[str, Any]]:
    if value is None:
        return {"": {}}
    if isinstance(value, Mapping):
        return {name: _stamp(arguments, name, stamp) for name, stamp in value.items() if _is_name(arguments, name)} or {
            "": {}
        }
    value = as_list(value)
    if isinstance(value, (list, tuple)):
        return {name: {} for name in value if _is_name(arguments, name)} or {"": {}}
    arguments.wrong("codebases", value, "a list of names, or a dictionary of dictionaries")
    return {"": {}}


def _is_name(arguments: ArgumentChecker, name: Any) -> bool:
    if isinstance(name, str) and len(name) <= 200:
        return True
    arguments.note(f"codebases: {shown(name)} is not the name of a codebase.")
    return False


def _stamp(arguments: ArgumentChecker, name: str, value: Any) -> dict[str, Any]:
    if not isinstance(value, Mapping):
        arguments.wrong(f"codebases[{name!r}]", value, "a dictionary")
        return {}
    stamp = {}
    for key, each in value.items():
        if key not in STAMP_FIELDS:
            fields = ", ".join(STAMP_FIELDS)
            if nearest(str(key), STAMP_FIELDS) is None:
                remark(f"{arguments.owner}: {shown(key)} in codebases[{name!r}] has no effect; use {fields}.")
            else:
                arguments.note(f"codebases[{name!r}] has {shown(key)}; its keys may be {fields}.")
        elif each is not None and not (isinstance(each, str) and len(each) <= LONGEST_TEXT):
            arguments.wrong(f"codebases[{name!r}][{key!r}]", each, "text or None")
        else:
            stamp[key] = each
    return stamp


def _forks(arguments: ArgumentChecker, value: Any) -> tuple[bool, Sequence[str] | None]:
    if isinstance(value, (list, tuple)):
        slaves = arguments.several("forks", value)
        return bool(slaves), slaves
    return arguments.flag("forks", value), None
