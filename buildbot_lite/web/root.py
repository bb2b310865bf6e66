"""
The root of the site: webhooks below ``/change_hook``, pages at every other address.
"""

from typing import Any
from urllib.parse import unquote_to_bytes

from twisted.web.resource import IResource

from .hooks import ChangeHooks, Handover
from .site import WebPage


class SiteRoot(WebPage):
    """
    The resource at the root.  *pages*: `Pages.resource`, or None in a process that only takes webhooks.  *handover*:
    takes the webhooks; None: there are none.
    """

    def __init__(self, pages: IResource | None, handover: Handover | None) -> None:
        super().__init__()
        self._pages = pages
        if handover is not None:
            self.putChild(b"change_hook", ChangeHooks(handover))

    def getChild(self, path: bytes, request: Any) -> IResource:
        if self._pages is None or not _is_text(request.path):
            return super().getChild(path, request)
        request.postpath.insert(0, request.prepath.pop())
        return self._pages

    def render(self, request: Any) -> Any:
        return super().render(request) if self._pages is None else self._pages.render(request)


def _is_text(path: bytes) -> bool:
    try:
        unquote_to_bytes(path).decode()
    except UnicodeDecodeError:
        return False
    return True
