"""
What kind of refusal an error is, as the status of an answer (RFC 9110, 15): for pages and for the API alike.
"""

from collections.abc import Sequence
from http import HTTPStatus

from ..errors import (
    BuildbotLiteError,
    DefectError,
    LimitError,
    LinkLostError,
    NeedsHolderError,
    NoAnswerError,
    NotFoundError,
    ReadTooLongError,
    RefusedError,
    StorageError,
    TooManyRowsError,
)

# The first that fits counts: some of these errors are refusals of a certain kind.
_STATUSES: Sequence[tuple[type[BuildbotLiteError], HTTPStatus]] = (
    (NeedsHolderError, HTTPStatus.UNAUTHORIZED),
    (LimitError, HTTPStatus.SERVICE_UNAVAILABLE),
    (DefectError, HTTPStatus.SERVICE_UNAVAILABLE),
    (RefusedError, HTTPStatus.FORBIDDEN),
    (NotFoundError, HTTPStatus.NOT_FOUND),
    # Not 503, by which programs ask again: the answer would be the same.
    (TooManyRowsError, HTTPStatus.BAD_REQUEST),
    (StorageError, HTTPStatus.SERVICE_UNAVAILABLE),
    (NoAnswerError, HTTPStatus.SERVICE_UNAVAILABLE),
    (LinkLostError, HTTPStatus.SERVICE_UNAVAILABLE),
)


def status_of(error: BuildbotLiteError) -> HTTPStatus:
    """
    The status of the answer that says *error*; 400 (Bad Request) for an error in what was asked.
    """
    return next((status for kind, status in _STATUSES if isinstance(error, kind)), HTTPStatus.BAD_REQUEST)


_SOON = 5
_LATER = 60


def seconds_until_asked_again(error: BuildbotLiteError) -> int | None:
    """
    After how many seconds a browser asks again by itself for a page that was refused with *error*; None: it does not,
    because the answer would be the same.
    """
    if status_of(error) is not HTTPStatus.SERVICE_UNAVAILABLE or isinstance(error, DefectError):
        return None
    # That the machine is busy is one reason of two, and a forgotten window must not make it so.
    return _LATER if isinstance(error, ReadTooLongError) else _SOON
