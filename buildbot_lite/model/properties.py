"""
Properties of a build.

A value is JSON, so that it can be recorded, shown and replayed.  It is checked when it is set, before it reaches the
database.  No text in it may contain a NUL: references to secrets contain NULs (`spec.secret_reference`), and people who
submit builds choose properties, and could otherwise refer to any secret of the farm.
"""

import json
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

from ..errors import PropertyError
from .json_reader import encode_in_utf8

LARGEST_VALUE = 1 << 20
# A text of so many characters is never larger than LARGEST_VALUE: JSON has at most 6 bytes for each, and two quotes.
_SHORT = (LARGEST_VALUE - 2) // 6
LONGEST_NAME = 256
MOST_PROPERTIES = 1000
SUBMITTED = "Submit"
"""
The source of properties from a submitting client.  Properties of the configuration take precedence over them.
"""
OF_ONE_SUBMISSION = "Package"
"""
The source of properties that belong to one submission alone, like the number of its job.  A rebuild does not have them.
"""
OF_THE_BUILD = frozenset(
    {
        *("buildername", "buildnumber", "slavename", "workername", "scheduler", "requestid"),
        *("artifactsdir", "basedir", "builddir", "workdir"),
    }
)
"""Properties that every build has.  No other source can override them."""

Json: TypeAlias = Any
"""None, a bool, int, float or str, or a list or dictionary (with str keys) of them."""


class Properties:
    """
    Properties: name → value and source ("Builder", "Submit", the name of a step).

    *named*: further values, as in Buildbot's ``Properties(branch="main")``.
    """

    def __init__(self, values: Mapping[str, Json] | None = None, source: str = "", /, **named: Json) -> None:
        self._values: dict[str, tuple[Json, str]] = {}
        self.update({**(values or {}), **named}, source)

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> "Properties":
        """
        The properties in ``{"name": [value, source]}``; `PropertyError` if one is not valid.
        """
        properties = cls()
        for name, pair in document.items():
            if not isinstance(pair, (list, tuple)) or len(pair) != 2:
                raise PropertyError(f"The property {name!r:.100} is not recorded as a value and its source.")
            properties.set(name, pair[0], str(pair[1]))
        return properties

    def to_document(self) -> dict[str, list[Any]]:
        """
        The properties as ``{"name": [value, source]}``.
        """
        return {name: [value, source] for name, (value, source) in self._values.items()}

    def set(self, name: str, value: Json, source: str = "") -> None:
        """
        Set the property *name* to *value*.  `PropertyError` if the name or the value is not valid, or if there are
        `MOST_PROPERTIES` others.
        """
        checked_property_name(name)
        self._check_room(name)
        self._values[name] = (checked_value(name, value), source)

    def update(self, values: Mapping[str, Json], source: str = "") -> None:
        """
        Set all properties in *values*.
        """
        for name, value in values.items():
            self.set(name, value, source)

    def update_from(self, other: "Properties") -> None:
        """
        Set all properties of *other*, with their sources.
        """
        self._take(other)

    def replace(self, other: "Properties") -> None:
        """
        Take the properties of *other* instead of all of these.
        """
        self._values.clear()
        self._take(other)

    def get(self, name: str, default: Json = None) -> Json:
        """
        The value of the property *name*, or *default*.
        """
        return self._values[name][0] if name in self._values else default

    def source(self, name: str) -> str | None:
        """
        The source of the property *name*; None if there is no such property.
        """
        return self._values[name][1] if name in self._values else None

    def values(self) -> dict[str, Json]:
        """
        Name → value of all properties.
        """
        return {name: value for name, (value, _) in self._values.items()}

    def only(self, source: str) -> "Properties":
        """
        The properties from *source*.
        """
        return self._copy(lambda each: each == source)

    def without(self, source: str) -> "Properties":
        """
        The properties from other sources than *source*.
        """
        return self._copy(lambda each: each != source)

    def copy(self) -> "Properties":
        """
        An independent copy.
        """
        return self._copy(lambda each: True)

    def _copy(self, accepts: Callable[[str], bool]) -> "Properties":
        copy = Properties()
        copy._take(self, accepts)
        return copy

    def _take(self, other: "Properties", accepts: Callable[[str], bool] = lambda source: True) -> None:
        # Not checked again: they were checked when they were set in *other*.
        for name, (value, source) in other._values.items():  # noqa: SLF001 - same class
            if accepts(source):
                self._check_room(name)
                self._values[name] = (_copied(value), source)

    def _check_room(self, name: str) -> None:
        if name not in self._values and len(self._values) >= MOST_PROPERTIES:
            raise PropertyError(f"There are {MOST_PROPERTIES} properties, which is the most; {name!r} cannot be added.")

    def __contains__(self, name: object) -> bool:
        return name in self._values

    def __getitem__(self, name: str) -> Json:
        return self._values[name][0]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Properties) and other._values == self._values

    __hash__ = None  # type: ignore[assignment]  # mutable

    def __repr__(self) -> str:
        return f"Properties({self.values()!r})"

    # Buildbot's names for the same methods, which users' renderers and steps call.
    getProperty = get
    getPropertySource = source
    setProperty = set  # noqa: A003 - Properties.set, not the type
    asDict = to_document

    def hasProperty(self, name: str) -> bool:
        return name in self._values

    has = hasProperty


def checked_property_name(name: object) -> str:
    """
    Return *name* if it has 1 to 256 printable characters; otherwise raise `PropertyError`.
    """
    if not isinstance(name, str) or not 0 < len(name) <= LONGEST_NAME or not name.isprintable():
        raise PropertyError(f"{name!r:.100} cannot be the name of a property: use 1 to 256 printable characters.")
    return name


def checked_value(name: str, value: Json) -> Json:
    """
    Return a copy of *value* if it is valid for the property *name*: JSON without NUL, which in UTF-8 has at most
    `LARGEST_VALUE` bytes.  Otherwise raise `PropertyError`.
    """
    if value is None or isinstance(value, (bool, int)):
        return value
    if isinstance(value, str) and len(value) <= _SHORT and "\0" not in value:
        return value
    try:
        text = json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        raise PropertyError(
            f"The property {name!r} cannot be {value!r:.100}: a value is text, a number, true, false, None, or "
            "a list or dictionary of them."
        ) from None
    # The escapes for characters outside of ASCII are longer than the characters, and not counted.
    if len(text) > LARGEST_VALUE and (size := len(encode_in_utf8(json.loads(text)))) > LARGEST_VALUE:
        raise PropertyError(f"The property {name!r} has {size} bytes; at most {LARGEST_VALUE} are allowed.")
    if "\\u0000" in text and _has_nul(value):
        raise PropertyError(
            f"The property {name!r} has a NUL character in it, which no value may have.  "
            "(A secret cannot be kept in a property; use it where it is needed.)"
        )
    return value if isinstance(value, str) else json.loads(text)


def _copied(value: Json) -> Json:
    if isinstance(value, list):
        return [_copied(item) for item in value]
    if isinstance(value, dict):
        return {key: _copied(item) for key, item in value.items()}
    return value


def _has_nul(value: Json) -> bool:
    if isinstance(value, str):
        return "\0" in value
    if isinstance(value, Mapping):
        return any(_has_nul(key) or _has_nul(item) for key, item in value.items())
    return isinstance(value, (list, tuple)) and any(map(_has_nul, value))
