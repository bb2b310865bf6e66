"""
A client of a control or watch FURL that stays connected, for a process that asks all the time.
"""

from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import IReactorTime

from ..errors import BuildbotLiteError, NoAnswerError
from .certificate import new_certificate
from .control import Document, RemoteControl
from .reconnecting import ControlConnection
from .roles import Link
from .tub import make_tub


class ControlClient:
    """
    A client of the control, watch or admin FURL *furl*, connected from `start` to `stop`, and again whenever the link
    is lost.

    - *connected*, *lost*: called after each connection, and when the link is lost.  What was followed has ended then.
    - *refused*: called with the master's refusal, or with a `FurlError` when another master answers, once for each
      sentence.  A wrong or revoked FURL stays so: it is tried again after a minute or an hour.
    - *unreachable*: called with "ADDRESSES: REASON" when no master answers, once for each reason.
    - *certificate*: the client's own (PEM); None: a new one.

    `FurlError` when *furl* is invalid.
    """

    def __init__(
        self,
        reactor: IReactorTime,
        furl: str,
        *,
        connected: Callable[[], object],
        lost: Callable[[], object],
        refused: Callable[[BuildbotLiteError], None] = lambda error: None,
        unreachable: Callable[[str], None] = lambda reason: None,
        certificate: bytes | None = None,
    ) -> None:
        self._connected = connected
        self._lost = lost
        self._control: RemoteControl | None = None
        self._tub = make_tub(reactor, certificate or new_certificate())
        self._connection = ControlConnection(self._tub, furl, self._on_control, refused, unreachable)

    @property
    def is_connected(self) -> bool:
        """
        Whether there is a link.
        """
        return self._control is not None

    def start(self) -> None:
        """
        Connect.
        """
        self._tub.startService()

    def stop(self) -> Deferred[None]:
        """
        Cut the link, and connect no more.
        """
        self._connection.stop()
        return self._tub.stopService()

    def ask(self, question: Document) -> Deferred[Document]:
        """
        The master's answer.  Fails with `NoAnswerError` at once when there is no link, `LinkLostError` when it is lost
        meanwhile, and a `RefusedError` when the master refuses.
        """
        return _away() if self._control is None else self._control.ask(question)

    def follow(self, question: Document, take: Callable[[bytes], Deferred[None] | None]) -> Deferred[Document]:
        """
        Like `ask`, for an answer that grows: *take* gets its chunks in order, each with its first byte ("1": output,
        "2": a remark), as in `control.ExposedFollower`.
        """
        return _away() if self._control is None else self._control.follow(question, take)

    def _on_control(self, control: RemoteControl, link: Link) -> None:
        self._control = control
        link.when_lost(self._on_lost)
        self._connected()

    def _on_lost(self) -> None:
        self._control = None
        self._lost()


def _away() -> Deferred[Any]:
    return fail(NoAnswerError("The master is away.  The question can be asked again when it is back."))
