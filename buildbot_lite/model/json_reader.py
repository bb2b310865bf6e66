"""
Typed and bounded reading of untrusted JSON.

A `JsonReader` reads fields of one JSON object by name and type.  Unread fields are ignored, so a newer peer may send
more.  A field of the wrong type or size raises a `MessageError` with its name: many were typed by the person who reads
that sentence.
"""

import json
from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from ..errors import MessageError
from .display import printable

T = TypeVar("T")

LONGEST_TEXT = 1 << 20
MOST_ITEMS = 10_000
# `json.dumps` would make one for each document.
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=True)
_UTF_8_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)
_BEGINNINGS = (b"{", b"[", b",")
_NUMBER = (int, float)
_KINDS: Mapping[type | tuple[type, ...], str] = {
    str: "a text",
    int: "a whole number",
    _NUMBER: "a number",
    bool: "true or false",
    list: "a list",
    dict: "an object",
}


def encode(document: object) -> bytes:
    """
    The canonical JSON of *document*: sorted keys, no spaces, ASCII with escapes for all other characters.
    """
    return _ENCODER.encode(document).encode("ascii")


def encode_in_utf8(document: object) -> bytes:
    """
    The JSON of *document* without escapes for characters outside of ASCII, so that a text has about as many bytes as in
    a file.  `JsonReader.decode` reads it.  It is not canonical: fingerprints are those of `encode`.
    """
    return _UTF_8_ENCODER.encode(document).encode("utf-8", "surrogatepass")


class JsonReader:
    """
    The fields of one JSON object.  *what* names the object in errors, within a sentence: "the change".
    """

    def __init__(self, document: object, what: str) -> None:
        if not isinstance(document, dict):
            raise MessageError(f"{_begun(what)} is not a JSON object.")
        self._document = document
        self._what = what

    @classmethod
    def decode(cls, data: bytes, what: str, limit: int, *, most: int | None = None) -> "JsonReader":
        """
        The object in *data*, which may have *limit* bytes and about *most* values (commas inside strings count, too).

        The limit of values is needed because three bytes of JSON (``[],``) become an object of 64 bytes, so that a few
        MiB could take a hundred MiB of memory.
        """
        if len(data) > limit:
            raise MessageError(f"{_begun(what)} has {len(data)} bytes; at most {limit} are allowed.")
        if most is not None and sum(map(data.count, _BEGINNINGS)) > most:
            raise MessageError(f"{_begun(what)} has more than {most} values.")
        try:
            return cls(json.loads(data), what)
        except (ValueError, RecursionError):
            raise MessageError(f"{_begun(what)} is not JSON.") from None

    @property
    def document(self) -> dict[str, Any]:
        """
        The whole object, unchecked.
        """
        return self._document

    def has(self, name: str) -> bool:
        """
        Whether the field is present and not null.
        """
        return self._document.get(name) is not None

    def text(self, name: str, default: str | None = None, *, limit: int = LONGEST_TEXT) -> str:
        """
        A string of at most *limit* characters.
        """
        value: str = self._get(name, str, default)
        if len(value) > limit:
            raise self._wrong(name, f"has {len(value)} characters; give at most {limit}")
        return value

    def prose(self, name: str, default: str | None = None, *, limit: int, lines: bool = False) -> str:
        """
        A string of at most *limit* characters, for people and records: characters that cannot be printed, or encoded in
        UTF-8, become "?".  *lines*: whether line feeds are kept.
        """
        value = self.text(name, default, limit=limit)
        return printable(value, longest=limit, lines=lines)

    def integer(self, name: str, default: int | None = None, *, least: int = 0, most: int = 1 << 62) -> int:
        """
        A whole number between *least* and *most*.
        """
        value: int = self._get(name, int, default)
        if isinstance(value, bool) or not least <= value <= most:
            raise self._wrong(name, f"is not a whole number from {least} to {most}")
        return value

    def number(self, name: str, default: float | None = None) -> float:
        """
        A finite number.
        """
        value = self._get(name, _NUMBER, default)
        if isinstance(value, bool) or not abs(value) < 1e18:  # also refuses NaN
            raise self._wrong(name, "is not a number")
        return float(value)

    def flag(self, name: str, default: bool | None = None) -> bool:
        """
        True or false.
        """
        value: bool = self._get(name, bool, default)
        return value

    def texts(self, name: str, default: list[str] | None = None, *, most: int = MOST_ITEMS) -> list[str]:
        """
        A list of strings.
        """
        value = self._get(name, list, default)
        if len(value) > most or not all(isinstance(item, str) for item in value):
            raise self._wrong(name, f"is not a list of at most {most} texts")
        return list(value)

    def mapping(self, name: str, default: dict[str, Any] | None = None, *, most: int = MOST_ITEMS) -> dict[str, Any]:
        """
        An object of at most *most* entries; its values are unchecked.
        """
        value = self._get(name, dict, default)
        if len(value) > most:
            raise self._wrong(name, f"has {len(value)} entries; give at most {most}")
        return dict(value)

    def objects(self, name: str, read: Callable[["JsonReader"], T], *, most: int = MOST_ITEMS) -> list[T]:
        """
        A list of objects, each converted by *read*; an absent field is an empty list.
        """
        value = self._get(name, list, [])
        if len(value) > most:
            raise self._wrong(name, f"has {len(value)} entries; give at most {most}")
        return [read(JsonReader(item, f"an entry of {name} in {self._what}")) for item in value]

    def optional(self, name: str, take: Callable[[str], T]) -> T | None:
        """
        ``take(name)``, or None when the field is absent or null.
        """
        return take(name) if self.has(name) else None

    def _get(self, name: str, kind: type | tuple[type, ...], default: Any) -> Any:
        value = self._document.get(name)
        if value is None:
            value = default
        if value is None:
            raise self._wrong(name, "is missing")
        if not isinstance(value, kind):
            raise self._wrong(name, f"is not {_KINDS[kind]}")
        return value

    def _wrong(self, name: str, why: str) -> MessageError:
        return MessageError(f"The field {name} of {self._what} {why}.")


def _begun(what: str) -> str:
    """
    *what* at the beginning of a sentence.
    """
    return what[:1].upper() + what[1:]
