"""
Keeping a slave connected: the only code that dials again.

It is Foolscap's Reconnector, with our delays: half a second after a link was lost, then longer, never more than half a
minute, each a little different, so that a thousand slaves do not come back in the same moment.  A refusal is another
matter: time alone will not change it, so it is reported, once per sentence, and asked again after a minute; or after
an hour, if the string was revoked.

::

    dialling --connected--> linked --lost--> waiting (0.5 s) --> connection
       |  `--failed--> waiting (longer, at most 30 s) ------------^
       `--refused--> reported, waiting (a minute; revoked: an hour) --> connection
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
    RIDesk,
)
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
OnRefused = Callable[[BuildbotLiteError], None]
OnUnreachable = Callable[[str], None]


def _logged_only(reason: str) -> None:
    """
    It is in the log.
    """


def retry_delay(error: BuildbotLiteError) -> float:
    """
    Seconds, give or take `JITTER`, after which a slave that was refused with *error* asks again.
    """
    return REVOKED_DELAY if isinstance(error, RevokedError) else REFUSED_DELAY


class DeskConnection:
    """
    One FURL that is kept connected.  Made by `dial`.
    """

    def __init__(
        self,
        tub: Tub,
        furl: str,
        on_desk: OnDesk,
        on_refused: OnRefused,
        on_unreachable: OnUnreachable,
    ) -> None:
        self._tub = tub
        self._furl = furl
        self._on_desk = on_desk
        self._on_refused = on_refused
        self._on_unreachable = on_unreachable
        self._link: Link | None = None
        parts = parse(furl)
        tub.preauth_token = preauth_token(parts.swissnum, parts.tub_id)
        self._reconnector = _Reconnector(self, furl)
        if tub.running:
            self._reconnector.startConnecting(tub)
        tub.reconnectors.append(self._reconnector)

    def stop(self) -> None:
        """
        Dial no more.  A link that is there stays.
        """
        self._reconnector.stop()

    def add_hints(self, hints: Iterable[str]) -> None:
        """
        From the next attempt on, look for the master also at *hints* (from its welcome).
        """
        self._furl = with_hints(self._furl, hints)
        self._reconnector.redirect(self._furl)

    def refused(self, error: BuildbotLiteError) -> None:
        """
        The desk was there, and would not have us: cut the link, report *error*, and dial again after a while.
        """
        self._reconnector.refused(error)
        if self._link is not None:
            self._link.drop("it refused us")

    def _connected(self, reference: Any) -> None:
        self._link = link = reference.tracker.broker.link
        if reference.tracker.interfaceName != RIDesk.__remote_name__:
            # The master's admin is to read of it, too.
            telling = defer.maybeDeferred(reference.callRemote, "not_a_desk")
            telling.addBoth(lambda _: self.refused(WrongVerbError()))  # type: ignore[unused-awaitable]  # cannot fail
            return
        self._on_desk(RemoteDesk(reference, _expose), link)


def dial(
    tub: Tub,
    furl: str,
    hints: Iterable[str],
    on_desk: OnDesk,
    on_refused: OnRefused,
    on_unreachable: OnUnreachable = _logged_only,
) -> DeskConnection:
    """
    Connect *tub*, which serves nothing else, to the desk that *furl* designates, and again whenever the link is lost.

    *hints* are further places to look (those of an earlier welcome).  Each time that it is connected, *on_desk* gets
    the desk and the new link.  *on_refused* gets a `RefusedError`, or a `FurlError` when what answers is not the
    FURL's master: once per sentence, although it is asked again.  *on_unreachable* gets "PLACES: REASON", once per
    reason, when no master can be reached.  A *furl* that is none raises `FurlError` at once.
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

    def __init__(self, connection: DeskConnection, furl: str) -> None:
        super().__init__(furl, connection._connected, (), {})  # noqa: SLF001 - the other half of it
        self._on_refused = connection._on_refused  # noqa: SLF001 - the other half of it
        self._on_unreachable = connection._on_unreachable  # noqa: SLF001 - the other half of it
        self._said = ""
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
        Say so, and let the next pause be a long one.
        """
        self._pause = retry_delay(error)
        if str(error) != self._said:
            self._said = str(error)
            self._on_refused(error)

    def _connected(self, rref: Any) -> None:
        if not self._active:
            return
        self._said = "" if self._pause is None else self._said
        rref.tracker.broker.link.when_lost(self._disconnected)
        callback, arguments, _ = self._observer
        callback(rref, *arguments)

    def _failed(self, f: Failure) -> None:
        # Not Foolscap's own, which writes the FURL into the log.
        if not self._active:
            return
        error = our_error(f.value)
        if isinstance(error, RefusedError):
            self.refused(error)
            self._hang_up()
        elif wrong_master(f.value):
            places = ", ".join(parse(self._url).hints)
            self.refused(
                FurlError(
                    f"What answers at {places} is not the master of this string: the string was mistyped, or that "
                    "master has a new key.  Copy the string again from its buildslave.furls."
                )
            )
        elif not isinstance(error, LinkLostError | MessageError) or str(error) != self._said:
            self._say(why_unreachable(f.value))
        self._retry()
        self._delay = min(self._delay * self.factor, self.maxDelay)

    def _disconnected(self) -> None:
        self._delay = self.initialDelay
        self._retry()

    def _hang_up(self) -> None:
        # To the master, a link on which nothing was shown is a stranger's.
        broker = self._tub.brokers.get(SturdyRef(self._url).getTubRef()) if self._tub is not None else None
        if broker is not None:
            broker.link.drop("the master rejected our string")

    def _say(self, reason: str) -> None:
        if reason != self._said:
            self._said = reason
            places = ", ".join(parse(self._url).hints)
            self.log.info("cannot connect to {places}: {reason}; trying again", places=places, reason=reason)
            self._on_unreachable(f"{places}: {reason}")

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
