"""
What the forms of pages send, and where they lead.
"""

from collections.abc import Mapping
from http import HTTPStatus
from urllib.parse import parse_qsl

from ...errors import InputError
from ...model.input_kinds import LARGEST_TEXT
from ...model.whole_numbers import DIGITS, whole_number
from ..page_request import PageRequest
from ..view import FarmView, Reply

MOST_FIELDS = 5000
"""Values of a form, those that are chosen of one choice each for itself; so many need a MiB beside the body."""
TOO_LARGE = f"A value has at most {LARGEST_TEXT >> 10} KiB: submit a larger one with a string (schedulers.Submit)."


class FormFields:
    """
    The fields of a form, checked as they are read; `InputError` if one is missing or wrong.
    """

    def __init__(self, fields: Mapping[str, str]) -> None:
        self._fields = fields

    def text(self, name: str, default: str | None = None, *, longest: int = 1000) -> str:
        """
        The field *name*.
        """
        value = self._fields.get(name, default)
        if value is None or len(value) > longest:
            raise InputError(f"The form has no field {name!r} that can be used.")
        return value

    def number(self, name: str) -> int:
        """
        The whole number in the field *name*.
        """
        number = whole_number(self.text(name, longest=DIGITS))
        if number is None:
            raise InputError(f"{name!r} must be a number.")
        return number


def form_of(asked: PageRequest) -> Mapping[str, str]:
    """
    The fields of the form in the body; of several with one name, their values with commas between them.  Lines end with
    a line feed, whatever ended them in the form (HTML: all with CR LF).  `InputError` if it is none.
    """
    return _fields(_body(asked))


async def large_form_of(view: FarmView, asked: PageRequest) -> Mapping[str, str]:
    """
    The fields of a form that may be large: what has a million of percent signs takes a second.
    """
    body = _body(asked)
    fields: Mapping[str, str] = await view.logs.in_thread(lambda: _fields(body))
    return fields


def _body(asked: PageRequest) -> bytes:
    body: bytes | None = asked.http.whole_body()
    if body is None:
        raise InputError(f"This form has more than {asked.http.largest_body >> 10} KiB, as it is sent.  {TOO_LARGE}")
    return body


def _fields(body: bytes) -> Mapping[str, str]:
    if body.count(b"&") >= MOST_FIELDS:
        raise InputError(f"This form has more than {MOST_FIELDS} values: choose fewer where several may be chosen.")
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True)
    except ValueError:
        raise InputError("This is no form.") from None
    fields: dict[str, list[str]] = {}
    for name, sent in pairs:
        fields.setdefault(name, []).append(sent.replace("\r\n", "\n"))
    return {name: ",".join(values) for name, values in fields.items()}


def sent_to(address: str, headers: Mapping[str, str] | None = None) -> Reply:
    """
    An answer that has the browser fetch the page at *address*, relative to the present one.
    """
    return Reply(HTTPStatus.SEE_OTHER, b"", headers={"location": address, **(headers or {})})
