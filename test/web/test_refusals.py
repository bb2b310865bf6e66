"""
Refusals of pages and of the API.
"""

from functools import partial
from http import HTTPStatus
from typing import Any

from buildbot_lite.errors import (
    BuildbotLiteError,
    DefectError,
    LimitError,
    LinkLostError,
    MessageError,
    NeedsHolderError,
    NoAnswerError,
    NotFoundError,
    ReadTooLongError,
    RecordsFailingError,
    RefusedError,
    RevokedError,
    TooManyRowsError,
)
from buildbot_lite.web.dispatcher import Pages
from buildbot_lite.web.root import SiteRoot
from buildbot_lite.web.serving.site import make_factory
from buildbot_lite.web.view import Route

from .pages_case import PagesCase

STATUSES: dict[type[BuildbotLiteError], HTTPStatus] = {
    DefectError: HTTPStatus.SERVICE_UNAVAILABLE,
    LimitError: HTTPStatus.SERVICE_UNAVAILABLE,
    LinkLostError: HTTPStatus.SERVICE_UNAVAILABLE,
    MessageError: HTTPStatus.BAD_REQUEST,
    NeedsHolderError: HTTPStatus.UNAUTHORIZED,
    NoAnswerError: HTTPStatus.SERVICE_UNAVAILABLE,
    NotFoundError: HTTPStatus.NOT_FOUND,
    ReadTooLongError: HTTPStatus.SERVICE_UNAVAILABLE,
    RecordsFailingError: HTTPStatus.SERVICE_UNAVAILABLE,
    RefusedError: HTTPStatus.FORBIDDEN,
    RevokedError: HTTPStatus.FORBIDDEN,
    TooManyRowsError: HTTPStatus.BAD_REQUEST,
}
ASKED_AGAIN: dict[type[BuildbotLiteError], str] = {
    LimitError: "5",
    LinkLostError: "5",
    NoAnswerError: "5",
    ReadTooLongError: "60",
    RecordsFailingError: "5",
}
"""
Seconds after which a browser asks again by itself, and a program may; not for other refusals: they would ask for ever.
"""


class RefusalsTests(PagesCase):
    def test_statuses(self) -> None:
        """
        A page and the API refuse the same thing with the same status; programs learn what to do from the headers.
        """

        async def fail(kind: type[BuildbotLiteError], *more: Any) -> Any:
            raise kind

        routes = [
            Route(f"{below}/{kind.__name__}", partial(fail, kind)) for kind in STATUSES for below in ("", "/api/v1")
        ]
        self.factory = make_factory(SiteRoot(Pages(self.view, routes).resource(), None), self.clock)
        for kind, status in STATUSES.items():
            page = self.get(f"/{kind.__name__}")
            again = ASKED_AGAIN.get(kind)
            self.assertEqual((page.status, page.headers.get("refresh")), (status, again), kind)
            answer = self.get(f"/api/v1/{kind.__name__}")
            self.assertEqual((answer.status, answer.headers["content-type"]), (status, "application/problem+json"))
            if again is not None:
                self.assertEqual({each.headers["retry-after"] for each in (page, answer)}, {again}, kind)
            if status == HTTPStatus.UNAUTHORIZED:
                self.assertEqual(answer.headers["www-authenticate"], "Bearer", kind)
