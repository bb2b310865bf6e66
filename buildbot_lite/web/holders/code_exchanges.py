"""
One-time codes that become sessions.  The master redeems a code once; here it is used when the answer with the cookie
has been written.

::

    code ──► in its turn ──► the master's `redeem` ──► FURL ──► session ──► answer written ──► forgotten
                                                         └── its client hung up ──► who brings the code again gets it,
                                                             until the time of the code is over

So a second click on the button, or a link that is lost at that moment, costs nobody their code.  Whoever can use that
knows the code, and could have used it in the first place.
"""

from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReactorTime

from ...deferreds import SharedWork
from ...model.json_reader import JsonReader
from ..farm.live import Document
from .string_checks import StringChecks, digest

LEAST = 60.0
"""Seconds for which an exchange may go on at least, because its code was brought in time."""
MOST_LEFT = 100
"""FURLs whose answers have not been written: of more, the oldest are given up.  (The master has as many codes.)"""


class CodeExchanges:
    """
    *checks*: in whose turns codes are redeemed.  *give_up*: called with each FURL whose answer nobody has got in time.
    """

    def __init__(self, checks: StringChecks, clock: IReactorTime, give_up: Callable[[str], object]) -> None:
        self._checks = checks
        self._clock = clock
        self._give_up = give_up
        # By the digest of the code, so that none is found by comparing it byte by byte.
        self._redeeming: SharedWork[bytes, str] = SharedWork()
        self._left: dict[bytes, str] = {}

    async def furl(self, code: str, address: str, redeem: Callable[[], Deferred[Document]]) -> str:
        """
        The FURL that *code* becomes, which comes from *address*; *redeem* asks the master.  `RefusedError` if it is
        wrong or was used, `NoAnswerError` if the master does not answer, or too many codes wait.
        """
        key = _key(code)
        if (left := self._left.get(key)) is not None:
            return left
        # Whoever hangs up while it is their turn leaves the question to the next who brings the code.
        return await self._checks.in_turn(
            address, lambda: self._redeeming.begun(key, lambda: self._redeemed(key, redeem)).wait()
        )

    def is_left(self, code: str) -> bool:
        """
        Whether no answer with the session of *code* was written yet.
        """
        return _key(code) in self._left

    def written(self, code: str) -> None:
        """
        An answer with the session of *code* was written: it is used.
        """
        self._left.pop(_key(code), None)

    async def _redeemed(self, key: bytes, redeem: Callable[[], Deferred[Document]]) -> str:
        if (left := self._left.get(key)) is not None:
            return left  # another with the code had it redeemed, while this one waited for a turn
        answer = JsonReader(dict(await redeem()), "the answer")
        furl = answer.text("furl")
        if len(self._left) >= MOST_LEFT:
            self._end(next(iter(self._left)))
        self._left[key] = furl
        # Masters of earlier versions do not tell it.
        _ = self._clock.callLater(max(LEAST, answer.number("code_valid", 0.0)), self._end, key)
        return furl

    def _end(self, key: bytes) -> None:
        if (furl := self._left.pop(key, None)) is not None:
            self._give_up(furl)


def _key(code: str) -> bytes:
    # As the master compares codes.
    return digest(code.strip().lower())
