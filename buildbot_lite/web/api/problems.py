"""
Refusals of the API: ``application/problem+json`` (RFC 9457), whose *detail* is a sentence for people.
"""

from collections.abc import Mapping, Sequence
from http import HTTPStatus

from ...model.json_reader import encode_in_utf8
from ..view import Reply

PROBLEM = "application/problem+json"
MOST_VALUES = 100
"""Values that are wrong; a master names fewer."""
_HEADERS: Mapping[int, Mapping[str, str]] = {
    HTTPStatus.UNAUTHORIZED: {"www-authenticate": "Bearer"},
    HTTPStatus.SERVICE_UNAVAILABLE: {"retry-after": "5"},
}


def problem(
    status: int, sentence: str, headers: Mapping[str, str] | None = None, values: Sequence[tuple[str, str]] = ()
) -> Reply:
    """
    The answer *status* with the reason *sentence*.  *headers*: beside those that belong to the status.  *values*: the
    names of those that are wrong, each with the sentence about it.
    """
    problems = [{"name": name, "problem": about} for name, about in values[:MOST_VALUES]]
    document = {
        "status": status,
        "title": HTTPStatus(status).phrase,
        "detail": sentence,
        **({"problems": problems} if problems else {}),
    }
    return Reply(status, encode_in_utf8(document), PROBLEM, {**_HEADERS.get(status, {}), **(headers or {})})
