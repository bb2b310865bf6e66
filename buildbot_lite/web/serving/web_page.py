"""
Pages as Twisted's resources, and the sentences with which requests are refused.
"""

from http import HTTPStatus
from typing import Any

from twisted.web.http import RESPONSES
from twisted.web.http_headers import Headers
from twisted.web.resource import IResource, Resource
from twisted.web.server import Request

from .policy import FORWARDED, PAGE_HEADERS, WebPolicy, WebVisitor
from .refusal_body import refusal_body


def answered(request: Any, status: int, sentence: str) -> bytes:
    """
    Set the *status* of the response to *request*, and return its body, which says *sentence*.
    """
    body = refusal_body(status, sentence, of_api=request.is_of_api)
    request.setResponseCode(status, RESPONSES.get(status) or HTTPStatus(status).phrase.encode())
    request.setHeader(b"content-type", body.media.encode())
    request.setHeader(b"content-length", b"%d" % len(body.data))
    for name, value in PAGE_HEADERS.items():
        request.setHeader(name.encode(), value.encode())
    return body.data


class WebPage(Resource):
    """
    A page.  Unknown addresses below it are answered with 404.
    """

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # Twisted's

    def visitor(self, peer: Any, headers: Headers) -> WebVisitor:
        """
        Who sends a request with *headers* over the connection from the address *peer*.
        """
        return visitor_of(WebPolicy(), peer, headers)

    def takes_large_form(self, request: Any, path: bytes) -> bool:
        """
        Whether the body of *request* to *path*, which has not come yet, may have `LARGEST_FORCED` bytes.
        """
        return False

    def getChild(self, path: bytes, request: Request) -> IResource:
        return Nothing()

    def render(self, request: Any) -> Any:
        return answered(request, 404, "There is nothing at this address.")


class Nothing(WebPage):
    """
    No page, at any address below.
    """

    isLeaf = True


def visitor_of(policy: WebPolicy, peer: Any, headers: Headers) -> WebVisitor:
    """
    The same by *policy*.
    """
    # As bytes: Twisted decodes them as UTF-8, which they need not be.
    raw = {name: headers.getRawHeaders(name.encode()) for name in ("host", *FORWARDED)}
    given = {name: b",".join(values).decode("latin-1") for name, values in raw.items() if values}
    return policy.visitor(str(getattr(peer, "host", "")), given)
