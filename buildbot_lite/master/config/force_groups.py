"""
Parameters of a ForceScheduler that consist of other parameters, and the check of all given values.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from ...errors import InputError
from ...model.properties import Json
from ...model.source_stamps import FIELDS
from ...model.suggestions import there_is_no
from .arguments import ArgumentChecker, shown
from .force_parameters import AnyPropertyParameter, BaseParameter, FixedParameter, Leaf, StringParameter


class NestedParameter(BaseParameter):
    """
    A group of parameters, *fields*.  With a *name*, they are given as "name.field" and become one property, a
    dictionary; without, each becomes a separate property.
    """

    def __init__(self, name: Any = "", label: Any = None, *, fields: Any = (), **more: Any) -> None:
        super().__init__(name, label, **more)
        self.fields = parameter_list(self.arguments, "fields", fields)

    def known_arguments(self) -> Sequence[str]:
        return (*super().known_arguments(), "fields")


class CodebaseParameter(BaseParameter):
    """
    The source of one *codebase*.  *branch*, *revision*, *repository*, *project*: each a parameter, a fixed text, or
    None, which leaves it undecided; default: a `StringParameter`.
    """

    def __init__(
        self, codebase: Any = "", name: Any = None, label: Any = None, *, patch: Any = None, **fields: Any
    ) -> None:
        own = {field: fields.pop(field, StringParameter(field)) for field in FIELDS}
        super().__init__("" if name is None else name, label, **fields)
        self.codebase = self.arguments.text("codebase", codebase)
        if patch is not None:
            self.arguments.note('patches are submitted with a string: schedulers.Submit(name, […], stdin="patch").')
        self.fields: dict[str, BaseParameter] = {}
        for field, each in own.items():
            if isinstance(each, str):
                self.fields[field] = FixedParameter(field, default=each)
            elif isinstance(each, BaseParameter):
                self.fields[field] = each
            elif each is not None:
                self.arguments.wrong(field, each, "a parameter, a text, or None")

    def known_arguments(self) -> Sequence[str]:
        return (*super().known_arguments(), "codebase", "patch", *FIELDS)


def parameter_list(arguments: ArgumentChecker, name: str, value: Any) -> list[BaseParameter]:
    """
    The parameters in *value*; a mistake is noted for anything else in it.
    """
    if not isinstance(value, (list, tuple)):
        arguments.wrong(name, value, "a list of parameters")
        return []
    for each in value:
        if not isinstance(each, BaseParameter):
            arguments.note(f"{name} has {shown(each)} in it, which is not a parameter.")
    return [each for each in value if isinstance(each, BaseParameter)]


def leaves(parameters: Sequence[BaseParameter], path: tuple[str, ...] = ()) -> Iterator[Leaf]:
    """
    All parameters without the groups (`NestedParameter`), each with the path of names that leads to it.
    """
    for each in parameters:
        leaf_path = (*path, each.name) if each.name else path
        if isinstance(each, NestedParameter):
            yield from leaves(each.fields, leaf_path)
        else:
            yield leaf_path, each


def checked_values(parameters: Sequence[BaseParameter], given: Mapping[str, Json]) -> dict[str, Json]:
    """
    The properties for the *given* values, whose names have dots between their parts.  `InputError` if a value is wrong
    or missing.

    A value without a parameter becomes a property if there is an `AnyPropertyParameter`; otherwise it is wrong.
    """
    values: dict[str, Json] = {}
    remaining = dict(given)
    parameters_by_path = list(leaves(parameters))
    for path, each in parameters_by_path:
        if isinstance(each, AnyPropertyParameter):
            continue
        value = each.value(remaining.pop(".".join(path), None))
        at = values
        for name in path[:-1]:
            at = at.setdefault(name, {})
        at[path[-1]] = value
    for name in remaining.keys() & values.keys():
        raise InputError(f"{name} is a group of parameters: give each as {name}.NAME=VALUE.")
    if remaining and not any(isinstance(each, AnyPropertyParameter) for _, each in parameters_by_path):
        names = [".".join(path) for path, each in parameters_by_path if not isinstance(each, FixedParameter)]
        raise InputError(there_is_no("parameter", next(iter(remaining)), names))
    return values | remaining
