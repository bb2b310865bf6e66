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

    @property
    def is_multiple(self) -> bool:
        """
        Whether several of its choices may be chosen.
        """
        return _is_multiple(self.field)

    @property
    def chosen(self) -> Sequence[str]:
        """
        The choices that are chosen, in their order.
        """
        return _shown_choices(self.field, self.value)

    @property
    def text(self) -> str:
        """
        The value as it is written in a field.
        """
        return _written(self.field, self.value)

    @property
    def says_none(self) -> bool:
        """
        Whether a hidden field tells a form in which nothing is chosen from one without the choice.  It must not where
        nothing may be chosen because the defaults cannot be shown: then they hold.
        """
        field = self.field
        if not _is_multiple(field) or field["open"] or field["problem"]:
            return False
        return set(_words(field["default"])) <= {str(each) for each in field["choices"]}


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


def sent_value(field: Document, given: Mapping[str, str]) -> str | list[str]:
    """
    The value of *field* in what was sent, *given*: "" if there is none, [] if none of several was chosen.  A default
    that was left as the page showed it is the default itself, though a browser sends it otherwise: without the choices
    that could not be shown, in the order of the choices, or with other ends of lines.
    """
    name = field["name"]
    value = given.get(f"{OF_PARAMETER}{name}")
    if value is None:
        says_none = f"{OF_CHOICE}{name}" in given and ShownField(field, "", "").says_none
        return [] if says_none and _words(field["default"]) and not field["required"] else ""
    if value != "" and not field["required"] and value == _sent_default(field):
        return _written(field, field["default"])
    return value


def _sent_default(field: Document) -> str:
    """
    What a browser sends of *field* if nothing is changed.
    """
    default = field["default"]
    if field["kind"] in ("choice", "slave") and not field["open"]:
        return _with_line_feeds(",".join(_shown_choices(field, default)))
    text = _with_line_feeds(_written(field, default))
    return text if field["kind"] in ("lines", "file") else text.replace("\n", "")


def _with_line_feeds(text: str) -> str:
    return text.replace("\r\n", "\n").replace("\r", "\n")


def _is_multiple(field: Document) -> bool:
    return field["kind"] == "choice" and bool(field["multiple"])


def _words(value: Any) -> list[str]:
    if isinstance(value, str):
        return value.split(",") if value else []
    return [str(each) for each in value] if isinstance(value, list | tuple) else [str(value)]


def _shown_choices(field: Document, value: Any) -> list[str]:
    words = _words(value) if _is_multiple(field) else [str(value)]
    return [each for each in map(str, field["choices"]) if each in words]


def _written(field: Document, value: Any) -> str:
    return ",".join(_words(value)) if _is_multiple(field) else str(value)


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
