"""
What an endpoint of the API is: one definition, from which its route, its checks and its description are made.
"""

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol
from urllib.parse import parse_qsl

from attrs import field, frozen

from ...errors import MessageError
from ...model.suggestions import there_is_no
from ...model.whole_numbers import DIGITS, whole_number
from ..page_request import LONGEST_ADDRESS, MOST_FIELDS, PageRequest
from ..view import FarmView, Reply, Streamed
from .body import fields_of
from .cursors import LONGEST
from .schemas import Schema

BASE = "/api/v1"
MOST_LIMIT = 200


class ParameterKind(Protocol):
    """
    A type of parameters.
    """

    @property
    def schema(self) -> Schema:
        """
        The values that are taken, as they stand in an address.
        """

    def parse(self, text: str) -> Any:
        """
        The value of *text*; a `ValueError`, which says what is expected, if it has none.
        """


@frozen
class TextKind:
    """
    A text of 1 to *longest* characters.
    """

    longest: int = 200

    @property
    def schema(self) -> Schema:
        return {"type": "string", "minLength": 1, "maxLength": self.longest}

    def parse(self, text: str) -> str:
        if not 1 <= len(text) <= self.longest:
            raise ValueError(f"a text of 1 to {self.longest} characters")
        return text


@frozen
class LineKind:
    """
    A text of 1 to *longest* characters, in one line.
    """

    longest: int = 200

    @property
    def schema(self) -> Schema:
        return {"type": "string", "minLength": 1, "maxLength": self.longest, "pattern": "^[^\\n]+$"}

    def parse(self, text: str) -> str:
        if not 1 <= len(text) <= self.longest or "\n" in text:
            raise ValueError(f"a text of 1 to {self.longest} characters, in one line")
        return text


@frozen
class WholeKind:
    """
    A whole number from *least* to *most*.
    """

    least: int = 0
    most: int = 10**DIGITS - 1

    @property
    def schema(self) -> Schema:
        return {"type": "integer", "minimum": self.least, "maximum": self.most}

    def parse(self, text: str) -> int:
        found = whole_number(text)
        if found is None or not self.least <= found <= self.most:
            raise ValueError(f"a whole number from {self.least} to {self.most}")
        return found


@frozen
class ChoiceKind:
    """
    One of *words*.
    """

    words: Sequence[str]

    @property
    def schema(self) -> Schema:
        return {"type": "string", "enum": list(self.words)}

    def parse(self, text: str) -> str:
        if text not in self.words:
            raise ValueError(f"one of {', '.join(self.words)}")
        return text


@frozen
class PropertyKind:
    """
    A property and the value that it has, as NAME=VALUE.
    """

    longest: int = 1000

    @property
    def schema(self) -> Schema:
        return {"type": "string", "pattern": "^[^=]+=", "maxLength": self.longest}

    def parse(self, text: str) -> tuple[str, str]:
        name, equals, value = text.partition("=")
        if not (name and equals and len(text) <= self.longest):
            raise ValueError(f"NAME=VALUE, of at most {self.longest} characters")
        return name, value


@frozen
class Parameter:
    """
    A parameter in the query, or, with *in_path*, in the path.  *many*: it may be given that many times, and its value
    is a list.  *is_needed*: it must be given, also in the query.
    """

    name: str
    kind: ParameterKind
    about: str
    many: int = 1
    in_path: bool = False
    is_needed: bool = False


@frozen
class ApiRequest:
    """
    A request whose parameters are checked.  *given*: the values of those that were given, by name.
    """

    view: FarmView
    asked: PageRequest
    given: Mapping[str, Any]

    @property
    def limit(self) -> int:
        """
        The number of entries of a page.
        """
        return int(self.given.get("limit", DEFAULT_LIMIT))

    @property
    def cursor(self) -> str | None:
        """
        Where the page begins; None: with the first entry.
        """
        return self.given.get("cursor")


DEFAULT_LIMIT = 50
PAGE = (
    Parameter("limit", WholeKind(1, MOST_LIMIT), f"Entries of a page; {DEFAULT_LIMIT} if it is not given."),
    Parameter("cursor", TextKind(LONGEST), "Where the page begins: `next` of the page before."),
)

Answering = Callable[[ApiRequest], Awaitable[Any]]


@frozen
class ApiEndpoint:
    """
    An endpoint at *path* below `BASE`, whose parameters stand in braces.  *answer*: the component that *respond*
    returns; None: bytes of another *media* type, with what else their answers may be: *statuses*.
    """

    path: str
    about: str
    respond: Answering
    answer: str | None = None
    parameters: Sequence[Parameter] = ()
    media: str = "application/json"
    statuses: Mapping[int, str] = field(factory=dict)
    kept: float = 1.0
    method: str = "GET"
    body: Mapping[str, Schema] = field(factory=dict)

    @property
    def rule(self) -> str:
        """
        The path as a route has it.
        """
        return BASE + self.path.replace("{", "<").replace("}", ">").replace("<name>", "<path:name>")

    def given(self, asked: PageRequest, names: Mapping[str, str]) -> Mapping[str, Any]:
        """
        The parameters of a request.  `MessageError`: one is unknown, is not of its kind, or stands there too often.
        """
        known = {each.name: each for each in self.parameters}
        given: dict[str, list[Any]] = {}
        for name, value in [*names.items(), *_fields(asked.address)]:
            parameter = known.get(name)
            if parameter is None or (parameter.in_path and name in given):
                in_query = [each.name for each in self.parameters if not each.in_path]
                raise MessageError(there_is_no("parameter", name[:100], in_query))
            given.setdefault(name, []).append(_parsed(parameter, value))
            if len(given[name]) > parameter.many:
                times = "once" if parameter.many == 1 else f"{parameter.many} times"
                raise MessageError(f"The parameter {name} may be given {times}.")
        for each in self.parameters:
            if each.is_needed and each.name not in given:
                raise MessageError(f"The parameter {each.name} is missing: {each.about}")
        checked = {name: values if known[name].many > 1 else values[0] for name, values in given.items()}
        return checked if self.method == "GET" else {**fields_of(asked.http, self.body), **checked}


def _parsed(parameter: Parameter, text: str) -> Any:
    try:
        return parameter.kind.parse(text)
    except ValueError as error:
        raise MessageError(f"{parameter.name}={text[:100]!r} is not {error}.") from None


def _fields(address: str) -> Sequence[tuple[str, str]]:
    query = address.partition("?")[2]
    if len(address) >= LONGEST_ADDRESS or query.count("&") >= MOST_FIELDS:
        raise MessageError(f"An address has at most {LONGEST_ADDRESS} bytes and {MOST_FIELDS} parameters.")
    return parse_qsl(query, keep_blank_values=True, errors="replace")


def path_parameter(name: str, kind: ParameterKind, about: str) -> Parameter:
    """
    A parameter in the path.
    """
    return Parameter(name, kind, about, in_path=True)


def is_whole(answer: object) -> bool:
    """
    Whether an endpoint's function returned an answer, and not a document.
    """
    return isinstance(answer, Reply | Streamed)
