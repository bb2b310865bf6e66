"""
The scheduler for builds that admins force.
"""

# ruff: noqa: N803 - arguments keep Buildbot's names

from collections.abc import Collection, Mapping
from typing import Any

from attrs import field, frozen

from ...errors import InputError
from ...model.properties import OF_THE_BUILD, Json
from ...model.source_stamps import FIELDS
from ...model.suggestions import did_you_mean, nearest
from .arguments import as_list
from .force_groups import CodebaseParameter, ForcedPatch, checked_values, leaves, parameter_list
from .force_parameters import (
    ANY_SLAVE,
    AnyPropertyParameter,
    BaseParameter,
    FixedParameter,
    InheritBuildParameter,
    StringParameter,
    UserNameParameter,
    WorkerChoiceParameter,
)
from .forced_values import MOST_UNKNOWN, OF_REASON, ForcedValues
from .schedulers import BaseScheduler

REASON = "force build"


@frozen
class ForcedInput:
    """
    The checked values that were given with a forced build.

    *stamps*: codebase → the given branch, revision, repository and project.  *slave*: the only slave that may run it;
    None: any.  *inherit*: builds, as "builder/number", whose forced properties it gets, too, by the names of their
    parameters.  *patch*: None: none.
    """

    properties: Mapping[str, Json]
    stamps: Mapping[str, Mapping[str, Json]]
    reason: str
    slave: str | None = None
    inherit: Mapping[str, str] = field(factory=dict)
    patch: ForcedPatch | None = None


class ForceScheduler(BaseScheduler):
    """
    Requests builds when somebody runs ``buildbot-lite force``.

    *properties*: a list of parameters that may be given.  If it is a dictionary of fixed properties, or missing, any
    property may be given.
    *codebases*: a list of names and `CodebaseParameter`.  *reason*, *username*: a parameter, or a fixed text.
    *reasonString*: the reason of the builds, with ``%(owner)s`` and ``%(reason)s``.  *label*, *buttonName*: for people.
    *branch*, *revision*, *repository*, *project*: older arguments for those of the only codebase.
    """

    def __init__(
        self,
        name: Any,
        builderNames: Any,
        *,
        properties: Any = None,
        codebases: Any = None,
        reason: Any = None,
        reasonString: Any = "%(reason)s",
        username: Any = None,
        label: Any = None,
        buttonName: Any = None,
        priority: Any = 0,
        **old: Any,
    ) -> None:
        stamp = {word: old.pop(word) for word in FIELDS if word in old}
        fixed = properties if isinstance(properties, Mapping) else None
        super().__init__(name, builderNames, properties=fixed, priority=priority, **old)
        if self.builders_to_render is not None:
            self.arguments.wrong("builderNames", self.builders_to_render, "a list of texts")
        self.parameters = self._given_parameters(properties)
        self.codebase_parameters = self._codebases(codebases, stamp)
        self.reason_parameter = self._parameter("reason", reason, StringParameter("reason", default=REASON))
        self.username_parameter = self._parameter("username", username, UserNameParameter())
        self.reason_string = self.arguments.text("reasonString", reasonString)
        self.label = self.name if label is None else self.arguments.text("label", label)
        self.button_name = self.name if buttonName is None else self.arguments.text("buttonName", buttonName)
        try:
            self._reason_of("", "")
        except InputError as error:
            self.arguments.note(str(error))

    @property
    def slave_choices(self) -> frozenset[str]:
        """
        The names of the parameters that choose a slave.
        """
        return frozenset(self._names_of(WorkerChoiceParameter))

    def _names_of(self, kind: type[BaseParameter]) -> list[str]:
        """
        The names of the parameters of *kind*, which are in no group.
        """
        return [path[0] for path, each in leaves(self.parameters or ()) if len(path) == 1 and isinstance(each, kind)]

    def check(
        self, given: Mapping[str, Json], reason: str | None, builder: str = "", slaves: Collection[str] | None = None
    ) -> ForcedInput:
        """
        Check what is *given* with a forced build of *builder*: properties, "username", "branch", "revision",
        "repository" and "project" (with several codebases "CODEBASE.branch"), and "patch.body" etc.  *slaves*: those of
        the builder; None: any.  `WrongValuesError` with all that is wrong or missing.
        """
        values = ForcedValues(self._populated(given), builder)
        for name in sorted((OF_THE_BUILD & given.keys()) - self.slave_choices):
            values.note(name, f"The build itself sets {name}: leave out that property.")
            del values.remaining[name]
        of_codebases = {each.codebase: each.given(values) for each in self.codebase_parameters}
        patches = [patch for _, patch in of_codebases.values() if patch is not None]
        for further in patches[1:]:
            values.note(further.full_name, "A build takes one patch: give that of one codebase.")
        owner = str(values.take(self.username_parameter, self.username_parameter.name))
        # It may also be given like any other parameter.
        why = values.remaining.pop(self.reason_parameter.name, None) if reason is None else reason
        reason_text = str(values.checked(OF_REASON, lambda: self.reason_parameter.value(why, builder, OF_REASON)))
        properties = values.remaining if self.parameters is None else checked_values(self.parameters, values)
        chosen = {name: str(properties.pop(name)) for name in sorted(self.slave_choices)}
        for name, slave in chosen.items():
            if slaves is not None and slave not in {ANY_SLAVE, *slaves}:
                values.note(name, f"{slave!r:.80} is no slave of {builder}.{did_you_mean(slave, slaves)}")
        values.raise_any()
        if owner:
            properties["owner"] = owner
        inherit = {name: properties.pop(name) for name in self._names_of(InheritBuildParameter)}
        return ForcedInput(
            properties,
            {codebase: stamp for codebase, (stamp, _) in of_codebases.items()},
            self._reason_of(owner, reason_text),
            next((each for each in chosen.values() if each != ANY_SLAVE), None),
            {name: str(build) for name, build in inherit.items() if build},
            patches[0] if patches else None,
        )

    def remarks_on(self, given: Collection[str]) -> list[str]:
        """
        A sentence for each of the names *given* that no parameter has; of many, how many more there are.
        """
        known = {*self._parameters_by_name(), OF_REASON}
        further = [name for name in given if name not in known and name != self.reason_parameter.name]
        close = {name: nearest(name, known) for name in further[:MOST_UNKNOWN]}
        remarks = [
            f"{self.name} has no parameter {name!r:.100}: it became a property of the build."
            + ("" if word is None else f"  Did you mean {word!r}?")
            for name, word in close.items()
        ]
        if others := len(further) - len(close):
            remarks.append(f"{others} more became properties of the build, too.")
        return remarks

    def _populated(self, given: Mapping[str, Json]) -> dict[str, Json]:
        """
        The *given* values, with those that they determine for other parameters (``autopopulate``).
        """
        parameters = self._parameters_by_name()
        values, waiting = dict(given), list(given)
        for name in waiting:
            new = parameters[name].populates(values[name]) if name in parameters else {}
            waiting += new.keys() - values.keys()
            values = {**new, **values}
        return values

    def _parameters_by_name(self) -> dict[str, BaseParameter]:
        """
        All parameters but that of the reason, by the names under which they are given.
        """
        of_codebases = {
            name: parameter for each in self.codebase_parameters for name, parameter in each.parameters.items()
        }
        of_properties = {".".join(path): parameter for path, parameter in leaves(self.parameters or ())}
        return {**of_codebases, **of_properties, self.username_parameter.name: self.username_parameter}

    def _reason_of(self, owner: str, reason: str) -> str:
        try:
            return self.reason_string % {"owner": owner, "reason": reason}
        except (KeyError, ValueError, TypeError):
            raise InputError("reasonString may have %(owner)s and %(reason)s, and %% for a percent sign.") from None

    def _given_parameters(self, value: Any) -> list[BaseParameter] | None:
        if value is None or isinstance(value, Mapping):
            return None
        parameters = parameter_list(self.arguments, "properties", value)
        named = [(path, each) for path, each in leaves(parameters) if not isinstance(each, AnyPropertyParameter)]
        names = [".".join(path) for path, _ in named if path]
        for twice in sorted({each for each in names if names.count(each) > 1}):
            self.arguments.note(f"properties has the parameter {twice!r} twice.")
        for path, each in named:
            if not path:
                self.arguments.note(f"properties has a {type(each).__name__} without a name.")
            elif any(other[: len(path)] == path != other for other, _ in named):
                self.arguments.note(f"properties has {'.'.join(path)!r} as a parameter and as one with fields.")
            elif len(path) > 1 and isinstance(each, (WorkerChoiceParameter, InheritBuildParameter)):
                self.arguments.note(f"{'.'.join(path)!r} cannot be in a NestedParameter with a name.")
        return parameters

    def _codebases(self, value: Any, stamp: Mapping[str, Any]) -> list[CodebaseParameter]:
        if value is None:
            return [CodebaseParameter("", **stamp)]
        if stamp:
            self.arguments.note("with codebases, give branch, revision, repository and project in CodebaseParameters.")
        # Buildbot goes through what it is given, and so through the names of a dictionary.
        value = list(value) if isinstance(value, Mapping) else as_list(value)
        parameters = []
        for each in value if isinstance(value, (list, tuple)) else ():
            if isinstance(each, str):
                parameters.append(CodebaseParameter(each))
            elif isinstance(each, CodebaseParameter):
                parameters.append(each)
            else:
                self.arguments.wrong("codebases", each, "a list of names and CodebaseParameters")
        if not isinstance(value, (list, tuple)):
            self.arguments.wrong("codebases", value, "a list of names and CodebaseParameters")
        return parameters or [CodebaseParameter("")]

    def _parameter(self, name: str, value: Any, default: BaseParameter) -> BaseParameter:
        if value is None:
            return default
        if isinstance(value, str):
            return FixedParameter(name, default=value)
        if not isinstance(value, BaseParameter):
            self.arguments.wrong(name, value, "a parameter")
            return default
        return value
