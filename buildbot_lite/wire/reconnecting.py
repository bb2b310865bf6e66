"""
Keeps slaves, and programs that watch a farm, connected.  No other module reconnects.

This is Foolscap's Reconnector with our delays: 0.5 s after a link is lost, then longer, at most 30 s, with random
variation so that a thousand slaves do not return at the same moment.  A refusal usually lasts until an admin acts, so
it is reported once per sentence, and the next attempt is after a minute, or after an hour if the FURL was revoked.

::

    connecting --connected--> linked --lost--> waiting (0.5 s) --> connecting
       |  `--failed--> waiting (longer, at most 30 s) --------------^
       `--refused--> reported, waiting (a minute; revoked: an hour) --> connecting
"""

import random
from collections.abc import Callable, Iterable
from typing import Any

from foolscap.reconnector import Reconnector
from foolscap.referenceable import SturdyRef
from twisted.internet import defer
from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger
from twisted.python.failure import Failure

from ..errors import (
    BuildbotLiteError,
    FurlError,
    LinkLostError,
    MessageError,
    RefusedError,
    RevokedError,
    WrongVerbError,
)
from .contract import (
    DELAY_FACTOR,
    FIRST_DELAY,
    JITTER,
    LONGEST_DELAY,
    REFUSED_DELAY,
    REVOKED_DELAY,
    RIControl,
    RIDesk,
    RISubmission,
)
from .control import RemoteControl
from .exposed import ExposedSlave, Revocable
from .failures import (
    our_error,
    why_unreachable,
    wrong_master,
)
from .furl import parse, with_hints
from .limits.preauth import preauth_token
from .proxies import RemoteDesk
from .roles import (
    Desk,
    Link,
    Slave,
)
from .tub import Tub

OnDesk = Callable[[Desk, Link], None]
OnControl = Callable[[RemoteControl, Link], None]
OnRefused = Callable[[BuildbotLiteError], None]
OnUnreachable = Callable[[str], None]


def _ignore(reason: str) -> None:
    pass


def retry_delay(error: BuildbotLiteError) -> float:
    """
    Seconds, varied by `JITTER`, until a slave that was refused with *error* connects again.
    """
    return REVOKED_DELAY if isinstance(error, RevokedError) else REFUSED_DELAY


class RenewedConnection:
    """
    A connection to the object of one FURL, renewed whenever it is lost.  *tub* is used for nothing else.

    *on_refused*: called with a `RefusedError`, or a `FurlError` when another master answers; *on_unreachable*: called
    with "ADDRESSES: REASON".  Neither is called twice in succession with the same sentence.
    """

    def __init__(self, tub: Tub, furl: str, on_refused: OnRefused, on_unreachable: OnUnreachable) -> None:
        self._tub = tub
        self._furl = furl
        self.on_refused = on_refused
        self.on_unreachable = on_unreachable
        parts = parse(furl)
        tub.preauth_token = preauth_token(parts.swissnum, parts.tub_id)
        self._reconnector = _Reconnector(self, furl)
        if tub.running:
            self._reconnector.startConnecting(tub)
        tub.reconnectors.append(self._reconnector)

    def stop(self) -> None:
        """
        Stop connecting.  An existing link is not cut.
        """
        self._reconnector.stop()

    def add_hints(self, hints: Iterable[str]) -> None:
        """
        From the next attempt on, try *hints* too (those of the master's welcome).
        """
        self._furl = with_hints(self._furl, hints)
        self._reconnector.redirect(self._furl)

    def connected(self, reference: Any) -> None:
        """
        There is a new link; *reference* is the object.
        """
        raise NotImplementedError

    def refuse(self, link: Link, error: BuildbotLiteError) -> None:
        """
        Report *error*, cut *link*, and connect again after `retry_delay`.
        """
        self._reconnector.refused(error)
        link.drop("the master refused us")


class DeskConnection(RenewedConnection):
    """
    A connection to the desk of one FURL, renewed whenever it is lost.  Made by `connect`.
    """

    def __init__(
        self,
        tub: Tub,
        furl: str,
        on_desk: OnDesk,
        on_refused: OnRefused,
        on_unreachable: OnUnreachable,
    ) -> None:
        self._on_desk = on_desk
        self._link: Link | None = None
        super().__init__(tub, furl, on_refused, on_unreachable)

    def refused(self, error: BuildbotLiteError) -> None:
        """
        The desk refused us with *error*: report it, cut the link, and connect again after `retry_delay`.
        """
        if self._link is not None:
            self.refuse(self._link, error)

    def connected(self, reference: Any) -> None:
        self._link = link = reference.tracker.broker.link
        if reference.tracker.interfaceName != RIDesk.__remote_name__:
            # The call has no effect but a line in the master's log.
            notice = defer.maybeDeferred(reference.callRemote, "not_a_desk")
            notice.addBoth(lambda _: self.refused(WrongVerbError()))  # type: ignore[unused-awaitable]  # cannot fail
            return
        self._on_desk(RemoteDesk(reference, _expose), link)


class ControlConnection(RenewedConnection):
    """
    A connection to the object of a FURL of an admin, or to watch or control the farm, renewed whenever it is lost.

    *on_control*: called with the object and the new link after each connection.  *submissions*: whether the FURL may
    also be that of a submission, which answers fewer questions.
    """

    def __init__(
        self,
        tub: Tub,
        furl: str,
        on_control: OnControl,
        on_refused: OnRefused,
        on_unreachable: OnUnreachable = _ignore,
        *,
        submissions: bool = False,
    ) -> None:
        self._on_control = on_control
        self._interfaces = {RIControl.__remote_name__, *([RISubmission.__remote_name__] if submissions else [])}
        super().__init__(tub, furl, on_refused, on_unreachable)

    def connected(self, reference: Any) -> None:
        link = reference.tracker.broker.link
        if reference.tracker.interfaceName not in self._interfaces:
            self.refuse(link, WrongVerbError("This string does not permit watching the farm."))
            return
        self._on_control(RemoteControl(reference), link)


def connect(
    tub: Tub,
    furl: str,
    hints: Iterable[str],
    on_desk: OnDesk,
    on_refused: OnRefused,
    on_unreachable: OnUnreachable = _ignore,
) -> DeskConnection:
    """
    Connect *tub*, which is used for nothing else, to the desk of *furl*, and again whenever the link is lost.

    - *hints*: more addresses to try (those of an earlier welcome).
    - *on_desk*: called with the desk and the new link after each connection.
    - *on_refused*: called with a `RefusedError`, or a `FurlError` when another master answers, unless its sentence is
      the one reported last.
    - *on_unreachable*: called with "ADDRESSES: REASON", unless the reason is the one reported last.

    An invalid *furl* raises `FurlError`.
    """
    return DeskConnection(tub, with_hints(furl, hints), on_desk, on_refused, on_unreachable)


def _expose(slave: Slave) -> ExposedSlave:
    return ExposedSlave(slave, Revocable())


class _Reconnector(Reconnector):
    log = Logger()
    initialDelay = FIRST_DELAY
    factor = DELAY_FACTOR
    maxDelay = LONGEST_DELAY
    _active: bool
    _delay: float

    def __init__(self, connection: RenewedConnection, furl: str) -> None:
        super().__init__(furl, connection.connected, (), {})
        self._on_refused = connection.on_refused
        self._on_unreachable = connection.on_unreachable
        self._last_reason = ""
        self._timer: IDelayedCall | None = None
        self._pause: float | None = None

    def redirect(self, furl: str) -> None:
        self._url = furl

    def stop(self) -> None:
        if self._active or self._tub is None:
            self._active = False
            self._cancel()
            if self._tub is not None:
                self._tub.reconnectors.remove(self)

    def stopConnecting(self) -> None:
        self._active = False
        self._cancel()

    def refused(self, error: BuildbotLiteError) -> None:
        """
        Report *error*, unless it was reported last, and make the next pause long.
        """
        self._pause = retry_delay(error)
        if str(error) != self._last_reason:
            self._last_reason = str(error)
            self._on_refused(error)

    def _connected(self, rref: Any) -> None:
        if not self._active:
            return
        self._last_reason = "" if self._pause is None else self._last_reason
        rref.tracker.broker.link.when_lost(self._disconnected)
        callback, arguments, _ = self._observer
        callback(rref, *arguments)

    def _failed(self, f: Failure) -> None:
        # Foolscap's own method writes the FURL into the log.
        if not self._active:
            return
        error = our_error(f.value)
        if isinstance(error, RefusedError):
            self.refused(error)
            self._hang_up()
        elif wrong_master(f.value):
            addresses = ", ".join(parse(self._url).hints)
            self.refused(
                FurlError(
                    f"The master that answers at {addresses} is not the one of this string: the string was mistyped, "
                    "or the master has a new key.  Copy the string again from its buildslave.furls."
                )
            )
        elif not isinstance(error, LinkLostError | MessageError) or str(error) != self._last_reason:
            self._report_unreachable(why_unreachable(f.value))
        self._retry()
        self._delay = min(self._delay * self.factor, self.maxDelay)

    def _disconnected(self) -> None:
        self._delay = self.initialDelay
        self._retry()

    def _hang_up(self) -> None:
        # The link is unauthenticated, so the master would cut it soon.
        broker = self._tub.brokers.get(SturdyRef(self._url).getTubRef()) if self._tub is not None else None
        if broker is not None:
            broker.link.drop("the master rejected our string")

    def _report_unreachable(self, reason: str) -> None:
        if reason != self._last_reason:
            self._last_reason = reason
            addresses = ", ".join(parse(self._url).hints)
            self.log.info("cannot connect to {addresses}: {reason}; trying again", addresses=addresses, reason=reason)
            self._on_unreachable(f"{addresses}: {reason}")

    def _retry(self) -> None:
        if not self._active or self._tub is None:
            return
        pause, self._pause = self._pause, None
        delay = (self._delay if pause is None else pause) * random.uniform(1 - JITTER, 1 + JITTER)  # noqa: S311
        if pause is None:
            delay = min(delay, self.maxDelay)
        self._cancel()
        self._timer = self._tub.clock.callLater(delay, self._timer_expired)

    def _cancel(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
