"""
The fields of a change, as change sources give them to addChange.
"""

import hashlib
from collections.abc import Mapping
from typing import Any

from ...errors import ConfigError
from ...model.change import LAST_TIME, Change
from ...model.display import printable
from ...model.properties import checked_property_name, checked_value
from ...model.urls import without_passwords
from ...model.user_functions import limited
from .arguments import ArgumentChecker
from .executed_line import current_line
from .mistakes import once_loaded, remark

LONGEST_NAME = 150


def repository_address(checker: ArgumentChecker, value: Any) -> str:
    """
    The argument *repourl*, checked: an address or a path, which a program cannot take for an option.
    """
    text = checker.text("repourl", value)
    if value == "" or text.startswith("-") or not text.isprintable():
        checker.wrong("repourl", value, "the address of a repository")
    return text


def named(name: Any, address: Any) -> Any:
    """
    *name*; if it is None, a name made from *address*, without passwords and of at most `LONGEST_NAME` characters.
    """
    if name is not None or not isinstance(address, str) or not address:
        return name
    text = printable(without_passwords(address))
    if len(text) <= LONGEST_NAME:
        return text
    return f"{text[: LONGEST_NAME - 17]}…{hashlib.sha256(address.encode()).hexdigest()[:16]}"


def category_of(checker: ArgumentChecker, value: Any) -> Any:
    """
    The argument *category*: a text, a function of a dictionary of the change, or None.
    """
    if callable(value):
        return checker.function("category", value)
    return checker.optional(checker.label, "category", value)


def change_of(fields: Mapping[str, Any], source: str) -> Change:
    """
    The change with these *fields* of `ChangeSource.addChange`; `ConfigError` if one of them does not exist.
    *source*: the name of the change source.
    """
    values = dict(fields)
    author, happened = values.pop("who", None), values.pop("when", None)
    author, happened = values.pop("author", author), values.pop("when_timestamp", happened)
    values.pop("src", None)
    names = {"committer", "comments", "revision", "branch", "repository", "project", "codebase", "category", "revlink"}
    if unknown := sorted(set(values) - names - {"files", "properties"}):
        raise ConfigError(f"addChange has no argument {unknown[0]!r:.100}.")
    category = values.pop("category", None)
    if callable(category):
        category = limited(category, "category")({"author": author, "when_timestamp": happened, **values})
    properties = {
        checked_property_name(name): [checked_value(name, value), "Change"]
        for name, value in (values.pop("properties", None) or {}).items()
    }
    texts: dict[str, Any] = {
        name: _text(value) for name, value in values.items() if name != "files" and value is not None
    }
    return Change(
        author=_text(author if author is not None else ""),
        source=source,
        happened=None if happened is None else min(max(0.0, _seconds(happened)), LAST_TIME),
        files=tuple(_text(file) for file in values.get("files") or ()),
        category=None if category is None else _text(category),
        properties=properties,
        **texts,
    )


def _text(value: Any) -> str:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _seconds(value: Any) -> float:
    return float(value.timestamp()) if hasattr(value, "timestamp") else float(value)


def remark_if_unbuilt(checker: ArgumentChecker, codebase: Any) -> None:
    """
    Remark, when master.cfg is loaded, that no scheduler builds changes of *codebase*, if so.
    """
    place = checker.place or current_line()

    def check(config: Any) -> None:
        why = config.why_no_codebase(codebase) if isinstance(codebase, str) else None
        if why is not None:
            remark(f"{checker.owner}: nothing builds its changes: {why}", place)

    once_loaded(check)
