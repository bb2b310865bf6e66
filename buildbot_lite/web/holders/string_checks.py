"""
Questions to the master that any visitor can cause: about the strings and the one-time codes that visitors bring.

::

    string ──► refused lately ─────────► RefusedError
           ──► known to be good ───────► asked at once
           ──► made up by anybody ─────► FairTurns ──► asked
    code ──────────────────────────────►

Each question about a string is a connection to the master.  Strings that are made up cost it a few connections a
second, however many visitors send them, and holders of a good string do not wait for those.
"""

import hashlib
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from typing import NoReturn, TypeVar

from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.internet.interfaces import IReactorTime

from ...deferreds import SharedWork, shielded
from ...errors import BuildbotLiteError, DefectError, NoAnswerError, RefusedError
from ...wire.furl import Furl
from ..farm.live import Document
from ..serving.fair_places import Occupant
from ..serving.fair_turns import FairTurns

T = TypeVar("T")

Ask = Callable[[str, Document], Awaitable[Document]]
"""Asks the master a question over a FURL: `wire.client.ask`."""

REFUSED_FOR = 10.0
"""Seconds for which a string that the master has refused is not asked about again."""
MOST_KNOWN = 500
"""Strings that the master knew, and as many that it refused."""
AT_ONCE = 8
"""Strings that are asked about at a time, and as many that were known before."""
IN_A_ROW = 40
PER_SECOND = 10.0
"""Strings of which nobody knows anything, asked about in a second."""
MOST_WAITING = 200
_TOO_MANY = "Too many strings and codes are checked at this moment.  Try again in a second."
LONGEST = 30.0
"""Seconds for which the master may take to answer."""


class StringChecks:
    """
    What the master says about strings: its answers to ``me``.  *now*: monotonic seconds.
    """

    def __init__(self, ask: Ask, now: Callable[[], float], clock: IReactorTime) -> None:
        self._ask = ask
        self._now = now
        self._clock = clock
        self._turns = FairTurns(now, clock, AT_ONCE, IN_A_ROW, PER_SECOND, MOST_WAITING, _TOO_MANY)
        self._turns_of_known = DeferredSemaphore(AT_ONCE)
        # By digest, so that none is found by comparing it byte by byte.
        self._known: OrderedDict[bytes, None] = OrderedDict()
        self._refused: OrderedDict[bytes, tuple[float, BuildbotLiteError]] = OrderedDict()
        self._checking: SharedWork[bytes, Document] = SharedWork()

    async def answer(self, furl: Furl, address: str) -> Document:
        """
        The master's answer about *furl*, which comes from *address*: one for all who ask at the same time.
        `RefusedError` if the master refuses it, `NoAnswerError` if it does not answer, or too many strings wait.
        """
        key = digest(str(furl))
        until, error = self._refused.get(key, (0.0, None))
        if error is not None and self._now() < until:
            raise type(error)(*error.args)
        # Not ended when its client hangs up: the master is being asked.
        return await self._checking.begun(key, lambda: self._check(key, furl, Occupant.at(address))).wait()

    def in_turn(self, address: str, ask: Callable[[], Deferred[T]]) -> Deferred[T]:
        """
        The answer to what *ask* asks, in the turn of visitors from *address*: for one-time codes, which anybody may
        make up.  `NoAnswerError` as for `answer`.  A visitor who hangs up in their turn keeps it until the answer is
        there.
        """
        return Deferred.fromCoroutine(self._in_turn(Occupant.at(address), lambda: self._bounded(ask())))

    async def again(self, furl: Furl, is_wanted: Callable[[], bool]) -> Document | None:
        """
        Check again a string that was good before; None if the answer is not wanted any more (*is_wanted*) when its turn
        comes.
        """

        async def ask() -> Document | None:
            return await self._asked(furl) if is_wanted() else None

        return await self._turns_of_known.run(ask)

    async def _check(self, key: bytes, furl: Furl, occupant: Occupant) -> Document:
        try:
            if key in self._known:
                answer = await self._turns_of_known.run(self._asked, furl)
            else:
                answer = await self._in_turn(occupant, lambda: self._asked(furl))
        except DefectError:
            raise  # of the master's, which says nothing of the string
        except RefusedError as error:
            _keep(self._refused, key, (self._now() + REFUSED_FOR, error))
            self._known.pop(key, None)
            raise
        self._refused.pop(key, None)
        _keep(self._known, key, None)
        return answer

    async def _in_turn(self, occupant: Occupant, ask: Callable[[], Deferred[T]]) -> T:
        await self._turns.begin(occupant)
        # Not ended when its client hangs up: the master is being asked.
        return await shielded(self._in_begun(occupant, ask))

    async def _in_begun(self, occupant: Occupant, ask: Callable[[], Deferred[T]]) -> T:
        try:
            return await ask()
        finally:
            self._turns.end(occupant)

    def _asked(self, furl: Furl) -> Deferred[Document]:
        async def ask() -> Document:
            return await self._ask(str(furl), {"ask": "me"})

        return self._bounded(Deferred.fromCoroutine(ask()))

    def _bounded(self, asking: Deferred[T]) -> Deferred[T]:
        def give_up(result: object, timeout: float) -> NoReturn:
            raise NoAnswerError("The master does not answer.  Try again later.")

        return asking.addTimeout(LONGEST, self._clock, give_up)


def digest(text: str) -> bytes:
    """
    What is kept of the secret *text*.
    """
    return hashlib.sha256(text.encode("utf-8", "replace")).digest()


def _keep(kept: OrderedDict[bytes, T], key: bytes, value: T) -> None:
    kept[key] = value
    kept.move_to_end(key)
    if len(kept) > MOST_KNOWN:
        kept.popitem(last=False)
