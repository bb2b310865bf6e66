"""
Parameters of a ForceScheduler that consist of other parameters, and the check of all given values.
"""

from collections.abc import Iterator, Sequence
from typing import Any

from attrs import frozen

from ...model.input_kinds import check_input
from ...model.names import relative_path
from ...model.properties import Json
from ...model.source_stamps import FIELDS, PatchPlace
from .arguments import ArgumentChecker, shown
from .force_parameters import (
    AnyPropertyParameter,
    BaseParameter,
    FileParameter,
    FixedParameter,
    IntParameter,
    Leaf,
    StringParameter,
)
from .forced_values import ForcedValues

MOST_LEVELS = 99
"""Parts of paths that a patch may leave out."""


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


@frozen
class ForcedPatch:
    """
    A patch that was given with a forced build, for *codebase*.
    """

    codebase: str
    body: bytes
    place: PatchPlace
    author: str = ""
    comment: str = ""

    @property
    def full_name(self) -> str:
        """
        The name under which its body is given.
        """
        return f"{_prefix(self.codebase)}patch.body"


def _prefix(codebase: str) -> str:
    """
    What the names of the values of *codebase* begin with.
    """
    return f"{codebase}." if codebase else ""


class PatchParameter(NestedParameter):
    """
    A patch for a codebase.  Each argument replaces the parameter of that name: *body*, the patch; *level*, how many
    parts of the paths in it are left out (1); *author*, *comment*: texts; *subdir*: the directory of the checkout to
    which it applies (".").  They are given as "CODEBASE.patch.body" etc.; without a body, there is no patch.
    """

    def __init__(self, name: Any = "", label: Any = None, **more: Any) -> None:
        parts = {each.name: more.pop(each.name, each) for each in _parts_of_a_patch()}
        super().__init__(name, label, fields=list(parts.values()), **more)
        self.parts = {part: each for part, each in parts.items() if each in self.fields}

    def known_arguments(self) -> Sequence[str]:
        return (*super().known_arguments(), *(each.name for each in _parts_of_a_patch()))

    def patch(self, codebase: str, given: ForcedValues) -> ForcedPatch | None:
        """
        The patch for *codebase* in what is *given*; None if there is no body, or if something is wrong, which is noted.
        """
        prefix = f"{_prefix(codebase)}patch."
        values = {part: given.take(each, f"{prefix}{part}") for part, each in self.parts.items()}
        body = str(values.get("body") or "").encode("utf-8", "surrogateescape")
        if not body:
            return None
        given.checked(f"{prefix}body", lambda: check_input("patch", body))
        subdir = given.checked(f"{prefix}subdir", lambda: relative_path(str(values.get("subdir") or ".")))
        level = values.get("level")
        if not isinstance(level, int) or not 0 <= level <= MOST_LEVELS:
            given.note(f"{prefix}level", f"The level of a patch must be a number from 0 to {MOST_LEVELS}.")
            return None
        author, comment = (str(values.get(part) or "") for part in ("author", "comment"))
        return ForcedPatch(codebase, body, PatchPlace(level, subdir or "."), author, comment)


def _parts_of_a_patch() -> list[BaseParameter]:
    return [
        FileParameter("body"),
        IntParameter("level", default=1),
        StringParameter("author"),
        StringParameter("comment"),
        StringParameter("subdir", default="."),
    ]


class CodebaseParameter(BaseParameter):
    """
    The source of one *codebase*.  *branch*, *revision*, *repository*, *project*: each a parameter, a fixed text, or
    None, which leaves it undecided; default: a `StringParameter`.  *patch*: a `PatchParameter`; None: no patch can be
    given.
    """

    def __init__(
        self, codebase: Any = "", name: Any = None, label: Any = None, *, patch: Any = None, **fields: Any
    ) -> None:
        own = {field: fields.pop(field, StringParameter(field)) for field in FIELDS}
        super().__init__("" if name is None else name, label, **fields)
        self.codebase = self.arguments.text("codebase", codebase)
        if patch is not None and not isinstance(patch, PatchParameter):
            self.arguments.wrong("patch", patch, "a PatchParameter")
        self.patch = patch if isinstance(patch, PatchParameter) else None
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

    @property
    def parameters(self) -> dict[str, BaseParameter]:
        """
        The parameters of its fields and of its patch, by the names under which they are given.
        """
        parts = {} if self.patch is None else self.patch.parts
        prefix = _prefix(self.codebase)
        return {
            **{f"{prefix}{name}": each for name, each in self.fields.items()},
            **{f"{prefix}patch.{name}": each for name, each in parts.items()},
        }

    def given(self, given: ForcedValues) -> tuple[dict[str, Json], ForcedPatch | None]:
        """
        Take the values of its parameters from what is *given*; return the stamp and the patch in them.
        """
        prefix = _prefix(self.codebase)
        values = {name: given.take(each, f"{prefix}{name}") for name, each in self.fields.items()}
        stamp = {name: value for name, value in values.items() if value not in (None, "")}
        return stamp, None if self.patch is None else self.patch.patch(self.codebase, given)


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


def checked_values(parameters: Sequence[BaseParameter], given: ForcedValues) -> dict[str, Json]:
    """
    The properties for the values *given*, whose names have dots between their parts; what is wrong with them is noted.

    A value without a parameter becomes a property if there is an `AnyPropertyParameter`; otherwise it is wrong.
    """
    values: dict[str, Json] = {}
    parameters_by_path = list(leaves(parameters))
    for path, each in parameters_by_path:
        if isinstance(each, AnyPropertyParameter):
            continue
        at = values
        for name in path[:-1]:
            at = at.setdefault(name, {})
        at[path[-1]] = given.take(each, ".".join(path))
    for name in given.remaining.keys() & values.keys():
        given.note(name, f"{name} is a group of parameters: give each as {name}.NAME=VALUE.")
        del given.remaining[name]
    if not any(isinstance(each, AnyPropertyParameter) for _, each in parameters_by_path):
        given.refuse_remaining(
            ".".join(path) for path, each in parameters_by_path if not isinstance(each, FixedParameter)
        )
    return values | given.remaining
