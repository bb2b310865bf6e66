"""
All pages of the web process, from its parts.
"""

from typing import Any

from attrs import frozen
from twisted.web.resource import Resource

from .hooks import ChangeHooks, Handover, Submit
from .listening import Listening
from .site import WebPage
from .strings import WebStrings


@frozen
class WebParts:
    """
    What pages are made from.  *directory*: of the web process.  *farm*: of its master, or of none.  *submit*: passes
    webhooks on.
    """

    reactor: Any
    directory: str
    farm: str
    strings: WebStrings
    listening: Listening
    submit: Submit


def make_root(parts: WebParts) -> Resource:
    """
    The page at ``/``, with all others below it.
    """
    root = WebPage()
    root.putChild(b"change_hook", ChangeHooks(Handover(parts.submit, parts.reactor)))
    return root
