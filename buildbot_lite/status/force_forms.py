"""
The forms of ForceSchedulers, as documents: what a page asks of somebody who forces a build.

The values go back as ``buildbot-lite force -p NAME=VALUE`` sends them, and are checked by the scheduler as those are.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from ..master.config.force_groups import NestedParameter, leaves
from ..master.config.force_parameters import (
    AnyPropertyParameter,
    BaseParameter,
    BooleanParameter,
    ChoiceStringParameter,
    FileParameter,
    FixedParameter,
    InheritBuildParameter,
    IntParameter,
    TextParameter,
    WorkerChoiceParameter,
)
from ..master.config.force_scheduler import ForceScheduler
from ..master.config.forced_values import OF_REASON
from ..master.farm import Farm
from ..model.display import printable
from ..model.user_functions import error_text, limited

Document = dict[str, Any]

MOST_FIELDS = 200
MOST_CHOICES = 1000
LONGEST_DEMAND = 300

_KINDS: Sequence[tuple[type[BaseParameter], str]] = (
    (BooleanParameter, "flag"),
    (IntParameter, "number"),
    (ChoiceStringParameter, "choice"),
    (WorkerChoiceParameter, "slave"),
    (InheritBuildParameter, "build"),
    (FileParameter, "file"),
    (TextParameter, "lines"),
)


def forms_of(farm: Farm, builder: str) -> list[Document]:
    """
    A document for each ForceScheduler of *builder*, in the order of master.cfg.

    "any": whether further properties may be given.  Of a field: "kind" (text, lines, file, number, flag, choice,
    slave, build), "group" (the label of the group to which it belongs, or ""), "default", "required", "demand" (its
    tooltip, and a sentence about its values), and with "choices" whether several are taken ("multiple") and others, too
    ("open").
    """
    return [
        {
            "scheduler": scheduler.name,
            "label": scheduler.label,
            "button": scheduler.button_name,
            "fields": [each for _, each in zip(range(MOST_FIELDS), _fields(farm, scheduler, builder), strict=False)],
            "any": scheduler.parameters is None
            or any(isinstance(each, AnyPropertyParameter) for _, each in leaves(scheduler.parameters)),
        }
        for scheduler in farm.config.schedulers.values()
        if isinstance(scheduler, ForceScheduler) and builder in scheduler.builder_names
    ]


def _fields(farm: Farm, scheduler: ForceScheduler, builder: str) -> Iterator[Document]:
    for name, parameter, group in _named(scheduler):
        if name and not parameter.hide and not isinstance(parameter, (FixedParameter, AnyPropertyParameter)):
            yield _field(farm, name, parameter, builder, group)


def _named(scheduler: ForceScheduler) -> Iterator[tuple[str, BaseParameter, str]]:
    """
    All parameters of *scheduler*, each with its name and the label of its group.
    """
    yield scheduler.username_parameter.name, scheduler.username_parameter, ""
    yield OF_REASON, scheduler.reason_parameter, ""
    for each in scheduler.codebase_parameters:
        if each.hide:
            continue
        codebase = each.label or each.codebase
        patch = [] if each.patch is None or each.patch.hide else list(each.patch.parts.values())
        title = _joined(codebase, each.patch.label if each.patch and each.patch.label else "Patch")
        for name, parameter in each.parameters.items():
            if parameter in each.fields.values():
                yield name, parameter, codebase
            elif parameter in patch:
                yield name, parameter, title
    for path, parameter, group in _in_groups(scheduler.parameters or (), (), ""):
        yield ".".join(path), parameter, group


def _in_groups(
    parameters: Sequence[BaseParameter], path: Sequence[str], group: str
) -> Iterator[tuple[Sequence[str], BaseParameter, str]]:
    for each in parameters:
        longer = (*path, each.name) if each.name else path
        if not isinstance(each, NestedParameter):
            yield longer, each, group
        elif not each.hide:
            yield from _in_groups(each.fields, longer, _joined(group, each.label))


def _joined(outer: str, inner: str) -> str:
    return ": ".join(filter(None, (outer, inner)))


def _field(farm: Farm, name: str, parameter: BaseParameter, builder: str, group: str) -> Document:
    kind = next((word for of, word in _KINDS if isinstance(parameter, of)), "text")
    choices: Sequence[str] = ()
    problem = ""
    if kind == "slave":
        configured = farm.config.builders.get(builder)
        choices = ["any", *(configured.slavenames if configured else ())]
    elif kind == "choice":
        compute = limited(parameter.getChoices, f"getChoices of {name}")
        try:
            choices = [str(each) for each in compute(None, None, builder)]
        except Exception as error:  # noqa: BLE001 - the method of a class in master.cfg
            problem = f"The choices could not be computed: {error_text(error)}."
    return {
        "name": name,
        "label": parameter.label or name,
        "group": group,
        "kind": kind,
        "default": _shown_default(parameter),
        "required": parameter.required,
        "multiple": parameter.multiple and kind == "choice",
        "open": isinstance(parameter, ChoiceStringParameter) and not parameter.strict,
        "choices": choices[:MOST_CHOICES],
        "demand": printable("  ".join(filter(None, (parameter.tooltip, parameter.demand))), longest=LONGEST_DEMAND),
        "problem": problem,
    }


def _shown_default(parameter: BaseParameter) -> Any:
    """
    The default, or its text if it would be another one after it was sent.
    """
    default: Any = parameter.default
    return default if isinstance(default, str | int | float | list) else parameter.written_default
