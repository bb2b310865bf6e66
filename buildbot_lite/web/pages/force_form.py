"""
The form of a ForceScheduler as a page shows it: its fields in groups, with what was typed, and what is wrong with it.
"""

from collections.abc import Mapping, Sequence
from itertools import groupby
from typing import Any

from attrs import evolve, frozen

from ..farm.live import Document

OF_PARAMETER = "p."
"""Begins the names of fields that are parameters."""
OF_CHOICE = "m."
"""Begins the names of hidden fields, one for each choice of several, of which a browser sends only what is chosen."""
MORE = "more"
"""The field of further properties."""
SCHEDULER = "scheduler"

ValueProblem = tuple[str, str]
"""The full name of a value, and the sentence that says what is wrong with it; of further properties, any other name."""


@frozen
class ShownField:
    """
    A field.  *field*: as the master describes it.  *id*: of its element.  *wrong*: the sentence about its value, or "".
    *is_first*: whether it is the first one that is wrong.
    """

    field: Document
    id: str
    value: Any
    wrong: str = ""
    is_first: bool = False


@frozen
class ShownGroup:
    """
    Fields that belong together.  *label*: "" for those of no group.
    """

    label: str
    fields: Sequence[ShownField]


@frozen
class ShownProblem:
    """
    A line above the form.  *id*: of the element to which it leads; "": of none.
    """

    sentence: str
    id: str


@frozen
class ShownForm:
    """
    A form.  *number*: from 1.  *more*: the field of further properties; None: they may not be given.
    """

    scheduler: str
    label: str
    button: str
    number: int
    groups: Sequence[ShownGroup]
    more: ShownField | None
    problems: Sequence[ShownProblem]


def shown_form(
    form: Document, number: int, given: Mapping[str, str] | None = None, problems: Sequence[ValueProblem] = ()
) -> ShownForm:
    """
    The *form*, the one with this *number* on its page.  *given*: what was sent with it; None: its defaults are shown.
    *problems*: what is wrong with that.
    """
    of_fields = {field["name"]: field for field in form["fields"]}
    wrong = {name: _worded(of_fields[name], sentence) for name, sentence in problems if name in of_fields}
    others = [sentence for name, sentence in problems if name not in of_fields]
    fields = [
        ShownField(field, f"form-{number}-{place}", _value(field, given), wrong.get(field["name"], ""))
        for place, field in enumerate(form["fields"], 1)
    ]
    more = None
    if form["any"]:
        more = ShownField({}, f"{MORE}-{number}", (given or {}).get(MORE, ""), "  ".join(others))
    first = next((each for each in [*fields, more] if each is not None and each.wrong), None)
    fields = [evolve(each, is_first=each is first) for each in fields]
    lines = [ShownProblem(_with_group(each), each.id) for each in fields if each.wrong]
    lines += [ShownProblem(sentence, "" if more is None else more.id) for sentence in others]
    return ShownForm(
        form["scheduler"],
        form["label"],
        form["button"],
        number,
        [ShownGroup(label, list(group)) for label, group in groupby(fields, _group)],
        None if more is None else evolve(more, is_first=more is first),
        lines,
    )


def _value(field: Document, given: Mapping[str, str] | None) -> Any:
    name = field["name"]
    if given is None:
        return field["default"]
    if f"{OF_CHOICE}{name}" in given:
        return given.get(f"{OF_PARAMETER}{name}", "")
    return given.get(f"{OF_PARAMETER}{name}", field["default"])


def _worded(field: Document, sentence: str) -> str:
    """
    *sentence*, which may begin with the full name of *field*, with its label instead: the page shows no other name.
    """
    name, label = field["name"], str(field["label"]).rstrip(": ")
    return f"{label}{sentence.removeprefix(name)}" if sentence.startswith(f"{name} ") else sentence


def _group(shown: ShownField) -> str:
    return str(shown.field.get("group") or "")


def _with_group(shown: ShownField) -> str:
    return ": ".join(filter(None, (_group(shown), shown.wrong)))
