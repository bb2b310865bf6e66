"""
Entering with a one-time code or a string, and leaving.
"""

from contextlib import suppress

from ...errors import BuildbotLiteError, InputError, RefusedError
from ..holders.sessions import FURL, cookie_header
from ..page_request import PageRequest
from ..serving.policy import is_loopback_name
from ..view import FarmView, Reply, Route
from .forms import form_of, sent_to

LONGEST_CODE = 200
_PLAIN = (
    "Over plain HTTP anybody between could read your session.  Open the pages by https:// (docs/deployment.md), or on "
    "the machine itself."
)


async def enter(view: FarmView, asked: PageRequest) -> Reply:
    """
    ``/enter``: GET shows a button, POST exchanges the code, or a string of the farm, for a cookie.
    """
    if asked.method != "POST":
        return await view.page(
            asked, "enter.html", code=asked.query.get("code", "")[:LONGEST_CODE], private=await view.live.is_private()
        )
    if not asked.visitor.secure:
        raise RefusedError(_PLAIN)
    code = form_of(asked).get("code", "").strip()
    _, scheme, of_string = code.partition(FURL)
    # Somebody who pastes a file of ours pastes its comment, too.
    furl = f"{scheme}{of_string}" if scheme else await _redeemed(view, asked, code)
    value, holder = await view.sessions.open(furl, asked.visitor.address)
    secure = not is_loopback_name(asked.visitor.host)
    return sent_to("./", {"set-cookie": cookie_header(value, secure=secure, seconds=view.sessions.left(holder))})


async def _redeemed(view: FarmView, asked: PageRequest, code: str) -> str:
    """
    The FURL that *code* becomes.
    """
    if not code or len(code) > LONGEST_CODE:
        raise InputError("Give the code of buildbot-lite grant control --web DIR, or a string of the farm.")
    question = {"ask": "redeem", "code": code, "from": asked.visitor.address}
    # In the turns of made-up strings: anybody can make up a code, and each is a question to the master.
    answer = await view.sessions.in_turn(asked.visitor.address, lambda: view.live.link.ask(question))
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


ROUTES = (
    Route("/enter", enter, ("GET", "HEAD", "POST"), kept=0, is_open=True),
    Route("/leave", leave, ("POST",), kept=0, is_open=True),
)
