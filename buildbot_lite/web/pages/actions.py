"""
The few things that a holder of a grant does on the pages: the buttons, beside the forms that force builds.

Everything that changes something is a POST from a page of ours, and is asked of the master with the holder's own FURL.
"""

from collections.abc import Callable
from typing import Any

from attrs import frozen

from ...errors import NotFoundError
from ...model.holder_name import holder_name
from ..farm.live import Document
from ..html.rendering import page_of_build, page_of_builder, segment
from ..page_request import PageRequest
from ..view import FarmView, Reply, Route
from .forms import FormFields, form_of, sent_to


@frozen
class PageAction:
    """
    A question to the master.  *question*: from the fields of the form and the name of the holder.  *back*: the page
    that shows what came of it, relative to the farm's first page.
    """

    ask: str
    question: Callable[[FormFields, str], Document]
    back: Callable[[FormFields], str]


def _build(fields: FormFields) -> dict[str, Any]:
    return {"builder": fields.text("builder", longest=200), "number": fields.number("number")}


def _page_of_build(fields: FormFields) -> str:
    return page_of_build(fields.text("builder"), fields.number("number"))


def _page_of_builder(fields: FormFields) -> str:
    return page_of_builder(fields.text("builder"))


def _page_of_slave(fields: FormFields) -> str:
    return f"slaves/{segment(fields.text('slave'))}"


def _page_it_came_from(fields: FormFields) -> str:
    """
    The field "back", if it is the address of a page of ours, as our own forms write it.
    """
    back = fields.text("back", "queue")
    is_ours = back.startswith(("builders/", "queue")) and not set(back) & set("\\\r\n") and ".." not in back
    return back if is_ours else "queue"


def _cancelled(fields: FormFields, holder: str) -> Document:
    return {"request": fields.number("request"), "reason": f"cancelled by {holder_name(holder)}"}


ACTIONS = {
    "cancel": PageAction("cancel", _cancelled, _page_it_came_from),
    "rebuild": PageAction("rebuild", lambda fields, holder: _build(fields), _page_of_builder),
    "keep": PageAction(
        "keep", lambda fields, holder: {**_build(fields), "because": fields.text("because", "")}, _page_of_build
    ),
    "unkeep": PageAction("unkeep", lambda fields, holder: _build(fields), _page_of_build),
    "pause": PageAction(
        "pause",
        lambda fields, holder: {"slave": fields.text("slave", longest=200), "paused": fields.text("paused") == "1"},
        _page_of_slave,
    ),
    "drain": PageAction("drain", lambda fields, holder: {"slave": fields.text("slave", longest=200)}, _page_of_slave),
}
"""What buttons on the pages do, by the last segment of ``/do/…``."""


async def act(view: FarmView, asked: PageRequest, action: str) -> Reply:
    """
    ``/do/ACTION``.
    """
    wanted = ACTIONS.get(action)
    if wanted is None:
        raise NotFoundError("There is nothing at this address.")
    holder = asked.permitted(wanted.ask)
    fields = FormFields(form_of(asked))
    question = {"ask": wanted.ask, **wanted.question(fields, holder.label)}
    await view.ask(asked, holder, question)
    view.live.expire()
    return sent_to("../" + wanted.back(fields))


ROUTES = (Route("/do/<action>", act, ("POST",), kept=0),)
