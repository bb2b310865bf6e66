"""
The bodies of refusals that no page makes: a sentence, and below the API a document (RFC 9457), as all of its refusals.
"""

import json
import re
from http import HTTPStatus

from attrs import frozen

# Its first segment in each way in which a client may write it (RFC 3986, 6.2.2.2).
_API = re.compile(rb"/(?:a|%61)(?:p|%70)(?:i|%69)/")
_PROBLEM = "application/problem+json"
_TEXT = "text/plain; charset=utf-8"


@frozen
class RefusalBody:
    """
    The body of a refusal, and its *media* type.
    """

    media: str
    data: bytes


def is_of_api(target: bytes) -> bool:
    """
    Whether a request for *target*, in its origin form, is one of a program.
    """
    return _API.match(target) is not None


def refusal_body(status: int, sentence: str, *, of_api: bool) -> RefusalBody:
    """
    The body of the answer *status*, which says *sentence*.
    """
    if not of_api:
        return RefusalBody(_TEXT, f"{sentence}\n".encode())
    document = {"status": int(status), "title": HTTPStatus(status).phrase, "detail": sentence}
    return RefusalBody(_PROBLEM, json.dumps(document).encode())
