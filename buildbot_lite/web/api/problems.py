"""
Refusals of the API: ``application/problem+json`` (RFC 9457), whose *detail* is a sentence for people.
"""

from collections.abc import Mapping
from http import HTTPStatus

from ...model.json_reader import encode_in_utf8
from ..view import Reply

PROBLEM = "application/problem+json"


def problem(status: int, sentence: str, headers: Mapping[str, str] | None = None) -> Reply:
    """
    The answer *status* with the reason *sentence*.
    """
    document = {"status": status, "title": HTTPStatus(status).phrase, "detail": sentence}
    return Reply(status, encode_in_utf8(document), PROBLEM, headers or {})
