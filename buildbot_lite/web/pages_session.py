"""
Entering with a one-time code, leaving, and the few things that a holder of a grant does on the pages.

Everything that changes something is a POST from a page of ours, and is asked of the master with the holder's own FURL.
"""

from collections.abc import Callable, Mapping
from contextlib import suppress
from http import HTTPStatus
from typing import Any
from urllib.parse import parse_qsl

from attrs import frozen

from ..errors import BuildbotLiteError, InputError, NotFoundError, RefusedError
from .live import Document
from .page_request import Holder, PageRequest
from .policy import is_loopback_name
from .rendering import holder_name, segment
from .sessions import cookie_header
from .view import FarmView, Reply, Route

MOST_FIELDS = 500
LONGEST_CODE = 200
FURL = "pb://"
_PLAIN = (
    "Over plain HTTP anybody between could read your session.  Open the pages by https:// (docs/deployment.md), or on "
    "the machine itself."
)


async def enter(view: FarmView, asked: PageRequest) -> Reply:
    """
    ``/enter``: GET shows a button, POST exchanges the code, or a string of the farm, for a cookie.
    """
    if asked.method != "POST":
        return await view.page(asked, "enter.html", code=asked.query.get("code", "")[:LONGEST_CODE])
    if not asked.visitor.secure:
        raise RefusedError(_PLAIN)
    code = form_of(asked).get("code", "").strip()
    furl = code if code.startswith(FURL) else await _redeemed(view, asked, code)
    value, holder = await view.sessions.open(furl, asked.visitor.address)
    secure = not is_loopback_name(asked.visitor.host)
    return sent_to("./", {"set-cookie": cookie_header(value, secure=secure, seconds=view.sessions.left(holder))})


async def _redeemed(view: FarmView, asked: PageRequest, code: str) -> str:
    """
    The FURL that *code* becomes.
    """
    if not code or len(code) > LONGEST_CODE:
        raise InputError("Give the code of buildbot-lite grant control --web DIR, or a string of the farm.")
    answer = await view.live.link.ask({"ask": "redeem", "code": code, "from": asked.visitor.address})
    return str(answer.get("furl"))


async def leave(view: FarmView, asked: PageRequest) -> Reply:
    """
    ``/leave``: ends the session.
    """
    view.sessions.close(asked)
    if asked.holder is not None:
        with suppress(BuildbotLiteError):  # a string that an admin handed out, or a master that is away: it expires
            await view.sessions.ask(asked.holder, {"ask": "sign-out"})
    return sent_to("./", {"set-cookie": cookie_header("", secure=False, seconds=0)})


@frozen
class PageAction:
    """
    A question to the master.  *question*: from the fields of the form and the name of the holder.  *back*: the page
    that shows what came of it, relative to the farm's first page.
    """

    ask: str
    question: Callable[["FormFields", str], Document]
    back: Callable[["FormFields", Document], str]


class FormFields:
    """
    The fields of a form, checked as they are read; `InputError` if one is missing or wrong.
    """

    def __init__(self, fields: Mapping[str, str]) -> None:
        self._fields = fields

    def text(self, name: str, default: str | None = None, *, longest: int = 1000) -> str:
        """
        The field *name*.
        """
        value = self._fields.get(name, default)
        if value is None or len(value) > longest:
            raise InputError(f"The form has no field {name!r} that can be used.")
        return value

    def number(self, name: str) -> int:
        """
        The whole number in the field *name*.
        """
        text = self.text(name, longest=15)
        if not text.isascii() or not text.isdigit():
            raise InputError(f"{name!r} must be a number.")
        return int(text)


def _build(fields: FormFields) -> dict[str, Any]:
    return {"builder": fields.text("builder", longest=200), "number": fields.number("number")}


def _page_of_build(fields: FormFields, answer: Document) -> str:
    return f"builders/{segment(fields.text('builder'))}/{fields.number('number')}"


def _page_of_builder(fields: FormFields, answer: Document) -> str:
    return f"builders/{segment(fields.text('builder'))}"


def _page_of_slave(fields: FormFields, answer: Document) -> str:
    return f"slaves/{segment(fields.text('slave'))}"


def _cancelled(fields: FormFields, holder: str) -> Document:
    return {"request": fields.number("request"), "reason": f"cancelled by {holder_name(holder)}"}


ACTIONS = {
    "cancel": PageAction(
        "cancel", _cancelled, lambda fields, answer: fields.text("back", "queue") if _is_ours(fields) else "queue"
    ),
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


def _is_ours(fields: FormFields) -> bool:
    """
    Whether the field "back" is the address of a page of ours, as our own forms write it.
    """
    back = fields.text("back", "queue")
    return back.startswith(("builders/", "queue")) and not set(back) & set("\\\r\n") and ".." not in back


async def act(view: FarmView, asked: PageRequest, action: str) -> Reply:
    """
    ``/do/ACTION``.
    """
    wanted = ACTIONS.get(action)
    if wanted is None:
        raise NotFoundError("There is nothing at this address.")
    holder = permitted(asked, wanted.ask)
    fields = FormFields(form_of(asked))
    question = {"ask": wanted.ask, **wanted.question(fields, holder.label)}
    answer = await view.sessions.ask(holder, question)
    view.live.expire()
    return sent_to("../" + wanted.back(fields, answer))


def permitted(asked: PageRequest, question: str) -> Holder:
    """
    The holder who asks; `RefusedError` if there is none, or if the grant does not permit *question*.
    """
    if asked.holder is None:
        raise RefusedError(
            "This needs a string to control the farm.  Get a code for this browser with: "
            "buildbot-lite grant control --web DIR"
        )
    if not asked.holder.permits(question):
        raise RefusedError("Your string permits to look only.")
    return asked.holder


def form_of(asked: PageRequest) -> Mapping[str, str]:
    """
    The fields of the form in the body; of several with one name, their values with commas between them.  `InputError`
    if it is none.
    """
    body = asked.http.whole_body()
    if body is None:
        raise InputError("This form is too large.")
    try:
        pairs = parse_qsl(body.decode(), keep_blank_values=True, max_num_fields=MOST_FIELDS)
    except ValueError:
        raise InputError("This is no form.") from None
    fields: dict[str, str] = {}
    for name, value in pairs:
        fields[name] = f"{fields[name]},{value}" if name in fields else value
    return fields


def sent_to(address: str, headers: Mapping[str, str] | None = None) -> Reply:
    """
    An answer that has the browser fetch the page at *address*, relative to the present one.
    """
    return Reply(HTTPStatus.SEE_OTHER, b"", headers={"location": address, **(headers or {})})


ROUTES = (
    Route("/enter", enter, ("GET", "HEAD", "POST"), kept=0, is_open=True),
    Route("/leave", leave, ("POST",), kept=0, is_open=True),
    Route("/do/<action>", act, ("POST",), kept=0),
)
