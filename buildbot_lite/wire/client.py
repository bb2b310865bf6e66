"""
The command's side of a control FURL: connect, ask, hang up.
"""

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from ..errors import FurlError, NoAnswerError, RefusedError, WrongVerbError
from .certificate import new_certificate
from .contract import RIControl
from .control import Document, RemoteControl
from .furl import Furl, parse
from .knock import knock_of
from .refusal import error_of, why_unreachable, wrong_master
from .tub import Tub, make_tub


async def ask(reactor: IReactorTime, furl: str, question: Document) -> Document:
    """
    What the master answers to *question*.

    Raises `NoAnswerError` when nobody listens where *furl* says, `FurlError` when it is none or another master
    answers there, `LinkLostError` when the connection breaks, and whatever the master refuses with.
    """
    return await _visit(reactor, furl, lambda control: control.ask(question))


async def follow(
    reactor: IReactorTime, furl: str, question: Document, take: Callable[[bytes], Deferred[None] | None]
) -> Document:
    """
    Like `ask`, for something that grows: *take* gets its bytes, in order, until there are no more.
    """
    return await _visit(reactor, furl, lambda control: control.follow(question, take))


async def _visit(reactor: IReactorTime, furl: str, work: Callable[[RemoteControl], Deferred[Document]]) -> Document:
    parts = parse(furl)
    tub = make_tub(reactor, new_certificate())
    tub.knock = knock_of(parts.swissnum, parts.tub_id)
    tub.startService()
    try:
        return await work(await _control(tub, parts))
    finally:
        await tub.stopService()


async def _control(tub: Tub, parts: Furl) -> RemoteControl:
    found: Deferred[Any] = tub.getReference(str(parts))
    try:
        reference = await found
    except Exception as raised:  # noqa: BLE001 - of any network, any kind
        error, places = error_of(raised), ", ".join(parts.hints)
        if isinstance(error, RefusedError):
            raise error from None
        if wrong_master(raised):
            raise FurlError(f"What answers at {places} is not the master of this string.") from None
        raise NoAnswerError(
            f"No master answers at {places}: {why_unreachable(raised)}.  Start it with: twistd -y master.tac"
        ) from None
    if reference.tracker.interfaceName != RIControl.__remote_name__:
        raise WrongVerbError(
            "This string is not for the buildbot-lite command, which takes private/admin.furl of a master's directory."
        )
    return RemoteControl(reference)
