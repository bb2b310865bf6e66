"""
Checks of the arguments of constructors in master.cfg.

A check always returns a value of the right type: the given one, or, after it noted a mistake with the line of the call,
a harmless one.  So a constructor needs no branches for mistakes, and continues with its next argument.
"""

import math
from collections.abc import Callable, Collection, ItemsView, Iterator, KeysView, Mapping, ValuesView
from typing import Any, TypeVar

from ...errors import BuildbotLiteError
from ...model.names import checked_name
from ...model.properties import Properties, checked_property_name, checked_value
from ...model.rendering import Renderable, Secret, is_renderable
from ...model.suggestions import did_you_mean
from ...model.user_functions import limited
from .executed_line import SourceLine, is_in_sources
from .function_words import DECIDING, missing_words
from .mistakes import MISSING, note, remark
from .placeholders import holds_placeholder, is_placeholder

T = TypeVar("T")

LONGEST_LABEL = 80
LONGEST_TEXT = 100_000
LONGEST_TIME = 10 * 365 * 86400.0


def as_list(value: Any) -> Any:
    """
    *value*; as a list, if it is a view of a dictionary, or an iterator like those of ``map`` and ``filter``.
    """
    return (
        list(value)
        if isinstance(value, (KeysView, ValuesView, ItemsView, Iterator)) and not is_placeholder(value)
        else value
    )


class ArgumentChecker:
    """
    The checks for one constructor call.

    *owner*: the subject of the sentences.  *place*: the line of the call; or *of*: the object under construction, from
    which the line is found.
    """

    def __init__(self, owner: str, of: object = None, *, place: SourceLine | None = None) -> None:
        self.owner = owner
        self.place = place
        self._of = of

    def note(self, sentence: str) -> None:
        """
        Note a mistake with *sentence*, after the owner's name.
        """
        note(f"{self.owner}: {sentence}", self.place, of=self._of)

    def remark(self, sentence: str) -> None:
        """
        Note a remark with *sentence*, after the owner's name.
        """
        remark(f"{self.owner}: {sentence}", self.place, of=self._of)

    def wrong(self, name: str, value: object, wanted: str) -> None:
        """
        Note that the argument *name* must be *wanted*, and not *value*.  Nothing is noted for `MISSING` and
        placeholders, because these mistakes are noted already.
        """
        if not _noted_already(value):
            self.note(f"{name} must be {wanted}, not {shown(value)}.")

    def unless_missing(self, error: Exception, value: object) -> None:
        """
        Note *error*, unless *value* is `MISSING` or a placeholder, because that mistake is noted already.
        """
        if not _noted_already(value):
            note(str(error), of=self._of)

    def name(self, name: str, value: Any, what: str) -> str:
        """
        A name that may become the name of a file: 1 to 80 letters, digits and ``. _ + -``.  *what*: whose name it is.
        """
        if _noted_already(value):
            return ""
        try:
            return checked_name(value, what)
        except BuildbotLiteError as error:
            note(str(error), of=self._of)
            return ""

    def label(self, name: str, value: Any) -> str:
        """
        A name for people: 1 to 80 printable characters, without spaces at either end.
        """
        if (
            isinstance(value, str)
            and 0 < len(value) <= LONGEST_LABEL
            and value.isprintable()
            and value == value.strip()
        ):
            return value
        self.wrong(name, value, "1 to 80 printable characters")
        return ""

    def text(self, name: str, value: Any) -> str:
        """
        Text without NUL, of at most 100 000 characters; it may be empty.
        """
        if isinstance(value, str) and len(value) <= LONGEST_TEXT and "\0" not in value:
            return value
        self.wrong(name, value, "text")
        return ""

    def flag(self, name: str, value: Any) -> bool:
        """
        True or False.
        """
        if isinstance(value, bool):
            return value
        self.wrong(name, value, "True or False")
        return False

    def whole(self, name: str, value: Any, *, least: int = 0, most: int = 1 << 62) -> int:
        """
        A whole number from *least* to *most*.
        """
        if isinstance(value, int) and not isinstance(value, bool) and least <= value <= most:
            return value
        self.wrong(
            name, value, f"a whole number from {least} to {most}" if most < 1 << 62 else f"a whole number ≥ {least}"
        )
        return least

    def seconds(self, name: str, value: Any, *, least: float = 0.0) -> float:
        """
        A duration in seconds, from *least* to ten years.
        """
        number = isinstance(value, (int, float)) and not isinstance(value, bool) and math.isfinite(value)
        if number and least <= value <= LONGEST_TIME:
            return float(value)
        self.wrong(name, value, f"a time in seconds, {least:g} or more")
        return least

    def choice(self, name: str, value: Any, choices: Collection[str]) -> str:
        """
        One of *choices*; the first of them after a mistake.
        """
        if isinstance(value, str) and value in choices:
            return value
        listed = ", ".join(map(repr, choices))
        suggestion = did_you_mean(value, choices) if isinstance(value, str) and len(choices) > 8 else ""
        self.wrong(name, value, f"one of {listed}{suggestion}")
        return next(iter(choices))

    def optional(self, check: Callable[[str, Any], T], name: str, value: Any) -> T | None:
        """
        None if *value* is None; otherwise the result of *check*.
        """
        return None if value is None else check(name, value)

    def one_of(self, values: Mapping[str, Any]) -> Any:
        """
        The value of the one argument that is given, of several that mean the same; None if none is given.
        """
        given_names = [name for name, value in values.items() if value is not None]
        if len(given_names) > 1:
            self.note(f"{' and '.join(given_names)} mean the same argument; give one of them.")
        return values[given_names[0]] if given_names else None

    def function(self, name: str, value: Any) -> Callable[..., Any] | None:
        """
        A function, whose calls are `limited` in time; None after a mistake.
        """
        if callable(value) and not isinstance(value, Renderable):
            for word in missing_words(value) if name in DECIDING else ():
                # Perhaps it belongs to another object, or the function is prepared for its absence.
                self.remark(f"{name} uses .{word.name}, which does not exist here.  {word.advice}")
            return limited(value, name)
        self.wrong(name, value, "a function")
        return None

    def texts(self, name: str, value: Any) -> tuple[str, ...]:
        """
        A list, tuple or set of texts, or what `as_list` takes.  A set is sorted.
        """
        value = as_list(value)
        if isinstance(value, (set, frozenset)) and all(isinstance(item, str) for item in value):
            return tuple(sorted(value))
        if isinstance(value, (list, tuple)) and all(isinstance(item, str) for item in value):
            return tuple(value)
        extra = f"; write [{value!r:.60}]" if isinstance(value, str) else ""
        self.wrong(name, value, f"a list of texts{extra}")
        return ()

    def several(self, name: str, value: Any) -> tuple[str, ...]:
        """
        A list of at least one name; repeated names are dropped.
        """
        value = as_list(value)
        names = self.texts(name, value)
        if not names and isinstance(value, (list, tuple, set, frozenset)) and not value:
            self.note(f"{name} is empty, and must name at least one.")
        return tuple(dict.fromkeys(names))

    def properties(self, name: str, value: Any) -> dict[str, Any]:
        """
        A dictionary of property names and JSON values, or `Properties`.  The values are not rendered.
        """
        if isinstance(value, Properties):
            value = value.values()
        if not isinstance(value, Mapping):
            self.wrong(name, value, "a dictionary")
            return {}
        checked = {}
        for key, item in value.items():
            if holds_placeholder(item) or is_placeholder(key):
                continue
            try:
                checked[checked_property_name(key)] = checked_value(key, item)
            except BuildbotLiteError as error:
                self.note(f"{name}: {error}")
        return checked

    def secret(self, name: str, value: Any) -> Any:
        """
        A `Secret`, or a text that is in none of the configuration's files, and so came from the environment or from
        another file.  (The configuration's files are kept with each build.)
        """
        if isinstance(value, Secret) or is_placeholder(value):
            return value
        if isinstance(value, str) and value and not is_in_sources(value):
            return value
        if value in ("", None):
            self.note(f'{name} is empty; give a util.Secret("…"), or a text from the environment.')
        else:
            self.note(
                f'{name} must be a util.Secret("…"), or come from the environment or from a file that is not a module: '
                "copies of master.cfg and its modules are kept with each build."
            )
        return ""

    def environment(self, name: str, value: Any) -> dict[str, Any]:
        """
        A dictionary: environment variable → text, something renderable, a list of these, which are joined with colons,
        or None, which removes the variable.
        """
        if not isinstance(value, Mapping):
            self.wrong(name, value, "a dictionary")
            return {}
        checked = {}
        for key, item in value.items():
            if is_placeholder(key):
                continue
            if not isinstance(key, str) or not key or "=" in key or "\0" in key:
                self.note(f"{name}: {shown(key)} cannot be the name of an environment variable.")
            elif item is None or _is_text(item):
                checked[key] = item
            elif isinstance(item, (list, tuple)) and all(map(_is_text, item)):
                checked[key] = list(item)
            else:
                self.wrong(f"{name}[{key!r}]", item, "text, a list of texts, or None to remove the variable")
        return checked


def _is_text(value: object) -> bool:
    return (isinstance(value, str) and "\0" not in value) or (
        is_renderable(value) and not isinstance(value, (list, tuple, Mapping))
    )


def _noted_already(value: object) -> bool:
    return value is MISSING or holds_placeholder(value)


def shown(value: object) -> str:
    """
    *value* for a sentence: its repr, cut to 60 characters; for a class, how to write an object of it.
    """
    if isinstance(value, type):
        return f"the class {value.__name__} (write {value.__name__}(…))"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "…"
