"""
HTTP requests of steps, and their answers, as the journal records them.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from attrs import asdict, field, frozen

METHODS = ("POST", "GET", "PUT", "DELETE", "HEAD", "OPTIONS")
IDEMPOTENT = frozenset({"GET", "PUT", "DELETE", "HEAD", "OPTIONS"})
"""Methods of requests that may be repeated (RFC 9110 §9.2.2)."""
HEADER_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,100}\Z")
"""The name of a header (RFC 9110 §5.1)."""


@frozen
class HttpRequest:
    """
    A request.  Its texts may contain references to secrets, which `filled` replaces.

    *params*: pairs for the query.  *form*: pairs of a form, or *body*: a text; at least one of them is None.  *auth*:
    user and password (RFC 7617).  *timeout*: seconds for the request with all redirections.  *follows*: whether
    redirections are followed.
    """

    method: str
    url: str
    params: Sequence[Sequence[str]] = ()
    headers: Mapping[str, str] = field(factory=dict)
    form: Sequence[Sequence[str]] | None = None
    body: str | None = None
    auth: Sequence[str] | None = None
    timeout: float = 60.0
    follows: bool = True

    def to_document(self) -> dict[str, Any]:
        """
        The value as a JSON object.
        """
        return asdict(self)

    def filled(self, fill: Callable[[str], str]) -> "HttpRequest":
        """
        A copy with *fill* applied to each text.
        """
        return HttpRequest(**{name: _filled(value, fill) for name, value in self.to_document().items()})


@frozen
class HttpAnswer:
    """
    An answer; or, in *error*, why there is none.  *headers*: pairs.  *body*: the beginning of the body, as text.
    """

    status: int = 0
    headers: Sequence[Sequence[str]] = ()
    body: str = ""
    error: str = ""

    def to_document(self) -> dict[str, Any]:
        """
        The value as a JSON object.
        """
        return asdict(self)

    def filled(self, fill: Callable[[str], str]) -> "HttpAnswer":
        """
        A copy with *fill* applied to each text.
        """
        return HttpAnswer(**{name: _filled(value, fill) for name, value in self.to_document().items()})


def _filled(value: Any, fill: Callable[[str], str]) -> Any:
    if isinstance(value, str):
        return fill(value)
    if isinstance(value, (list, tuple)):
        return [_filled(each, fill) for each in value]
    if isinstance(value, Mapping):
        return {key: _filled(each, fill) for key, each in value.items()}
    return value
