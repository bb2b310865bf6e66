"""
Entering with a one-time code or a string, and leaving.
"""

from http import HTTPStatus
from typing import Any

from ...errors import InputError, RefusedError
from ..farm.live import is_private
from ..holders.sessions import FURL
from ..page_request import Holder, PageRequest
from ..view import FarmView, Reply, Route, Streamed
from .forms import form_of, sent_to

LONGEST_CODE = 200
_PLAIN = (
    "Over plain HTTP anybody between could read your session.  Open the pages by https:// (docs/deployment.md), or on "
    "the machine itself."
)
_USED = "This code was used.  For another one: buildbot-lite grant control --web"
_TO_THE_FARM = {"location": "./", "content-length": "0", "cache-control": "no-cache"}


async def enter(view: FarmView, asked: PageRequest) -> Reply | Streamed:
    """
    ``/enter``: GET shows a button, POST exchanges the code, or a string of the farm, for a cookie.
    """
    if asked.method != "POST":
        www = await view.told(asked, "www")
        code = asked.query.get("code", "")[:LONGEST_CODE]
        return await view.page(asked, "enter.html", code=code, private=is_private(www))
    if not asked.visitor.secure:
        raise RefusedError(_PLAIN)
    code = form_of(asked).get("code", "").strip()
    _, scheme, of_string = code.partition(FURL)
    if not scheme:
        return await _exchanged(view, asked, code)
    # Somebody who pastes a file of ours pastes its comment, too.
    value, holder = await _opened(view, asked, f"{scheme}{of_string}")
    # One that stays beside the new one, with another path, would make it void.
    view.sessions.replace(asked)
    return sent_to("./", {"set-cookie": view.sessions.cookie.set(asked, value, view.sessions.left(holder))})


async def _opened(view: FarmView, asked: PageRequest, furl: str) -> tuple[str, Holder]:
    return await asked.outside_turn(view.sessions.open(furl, asked.visitor.address))


async def _exchanged(view: FarmView, asked: PageRequest, code: str) -> Streamed:
    """
    The answer with the session that *code* becomes, which is used when it is written.
    """
    if not code or len(code) > LONGEST_CODE:
        raise InputError("Give the code of buildbot-lite grant control --web DIR, or a string of the farm.")
    exchanges, sessions = view.sessions.exchanges, view.sessions
    question = {"ask": "redeem", "code": code, "from": asked.visitor.address}
    furl = await asked.outside_turn(exchanges.furl(code, asked.visitor.address, lambda: view.live.link.ask(question)))
    value, holder = await _opened(view, asked, furl)

    def close() -> None:
        if exchanges.is_left(code):
            sessions.forget(value)

    if not exchanges.is_left(code):
        # Somebody else who brought it at the same time has got the session.
        sessions.forget(value)
        raise RefusedError(_USED)

    async def write(http: Any) -> None:
        http.finish()
        exchanges.written(code)
        sessions.replace(asked)

    headers = {"set-cookie": sessions.cookie.set(asked, value, sessions.left(holder)), **_TO_THE_FARM}
    return Streamed(write, HTTPStatus.SEE_OTHER, headers=headers, close=close)


async def leave(view: FarmView, asked: PageRequest) -> Reply:
    """
    ``/leave``: ends the session.
    """
    await asked.outside_turn(view.sessions.close(asked))
    return sent_to("./", {"set-cookie": view.sessions.cookie.set(asked, "", 0)})


ROUTES = (
    Route("/enter", enter, ("GET", "HEAD", "POST"), kept=0, is_open=True),
    Route("/leave", leave, ("POST",), kept=0, is_open=True),
)
