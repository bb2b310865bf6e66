"""
The body of a request that changes something: a JSON object of few fields, or nothing.
"""

from collections.abc import Mapping
from typing import Any

from ...errors import MessageError
from ...model.json_reader import JsonReader
from ...model.suggestions import there_is_no
from .schemas import Schema

LARGEST = 64 << 10
LONGEST_TEXT = 1000
MOST_VALUES = 200
BODY_TEXT: Schema = {"type": "string", "maxLength": LONGEST_TEXT}
BODY_VALUES: Schema = {"type": "object", "maxProperties": MOST_VALUES}


def fields_of(http: Any, known: Mapping[str, Schema]) -> Mapping[str, Any]:
    """
    The fields in the body of *http* (Twisted's request), which are among *known*.  `MessageError` if it is none.

    A body must say that it is JSON: a form of another site's page cannot.
    """
    data: bytes | None = http.whole_body()
    if data == b"":
        return {}
    if data is None or len(data) > LARGEST:
        raise MessageError(f"The body has more than {LARGEST} bytes.")
    if (http.getHeader(b"content-type") or b"").split(b";")[0].strip().lower() != b"application/json":
        raise MessageError("The body is JSON.  Say so: Content-Type: application/json")
    fields = JsonReader.decode(data, "the body", LARGEST).document
    for name, value in fields.items():
        if name not in known:
            raise MessageError(there_is_no("field", name[:100], known))
        _check(name, value, known[name])
    return fields


def _check(name: str, value: object, schema: Schema) -> None:
    if schema["type"] == "string":
        if not isinstance(value, str) or len(value) > LONGEST_TEXT:
            raise MessageError(f"{name} is a text of at most {LONGEST_TEXT} characters.")
    elif not isinstance(value, dict) or len(value) > MOST_VALUES:
        raise MessageError(f"{name} is an object with at most {MOST_VALUES} fields.")
