"""
The root of the site: webhooks below ``/change_hook``, pages at every other address.

A webhook is proved by its signature, and its answer tells nothing of the farm; so only pages are refused to visitors
who know this server by a wrong name (`policy`).
"""

from collections.abc import Callable
from http import HTTPStatus
from typing import Any
from urllib.parse import unquote_to_bytes

from twisted.web.http_headers import Headers
from twisted.web.resource import IResource

from .serving.policy import WebPolicy, WebVisitor
from .serving.web_page import WebPage, answered, visitor_of
from .webhooks.hooks import ChangeHooks, Handover


class SiteRoot(WebPage):
    """
    The resource at the root.  *pages*: `Pages.resource`, or None in a process that only takes webhooks.  *handover*:
    takes the webhooks; None: there are none.  *policy*: the policy of the moment.  *large_forms*: which requests may
    bring large forms, by their paths.
    """

    def __init__(
        self,
        pages: IResource | None,
        handover: Handover | None,
        policy: Callable[[], WebPolicy] = WebPolicy,
        large_forms: Callable[[Any, bytes], bool] = lambda request, path: False,
    ) -> None:
        super().__init__()
        self._pages = pages
        self._large_forms = large_forms
        self._policy = policy
        if handover is not None:
            self.putChild(b"change_hook", ChangeHooks(handover))

    def visitor(self, peer: Any, headers: Headers) -> WebVisitor:
        return visitor_of(self._policy(), peer, headers)

    def takes_large_form(self, request: Any, path: bytes) -> bool:
        return self._large_forms(request, path)

    def getChild(self, path: bytes, request: Any) -> IResource:
        if self._pages is None or not _is_text(request.path):
            return super().getChild(path, request)
        if sentence := self._why_refused(request):
            return _Refusal(HTTPStatus.MISDIRECTED_REQUEST, sentence)
        request.postpath.insert(0, request.prepath.pop())
        return self._pages

    def render(self, request: Any) -> Any:
        if self._pages is None:
            return super().render(request)
        if sentence := self._why_refused(request):
            return answered(request, HTTPStatus.MISDIRECTED_REQUEST, sentence)
        return self._pages.render(request)

    def _why_refused(self, request: Any) -> str | None:
        return self._policy().why_refused(request.visitor)


class _Refusal(WebPage):
    """
    The answer in place of a page: a refusal, with the *sentence*.
    """

    isLeaf = True

    def __init__(self, status: int, sentence: str) -> None:
        super().__init__()
        self._status = status
        self._sentence = sentence

    def render(self, request: Any) -> Any:
        return answered(request, self._status, self._sentence)


def _is_text(path: bytes) -> bool:
    try:
        unquote_to_bytes(path).decode()
    except UnicodeDecodeError:
        return False
    return True
