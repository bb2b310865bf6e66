"""
What the strings of one holder have in common, however many they are.

A submission mints a string to watch it with.  If each of those had a purse and counts of its own, whoever may submit
could have as many as they like.  So each such string is on the account of the one that it was made with.

On the account are the time that is done for the holder (see `cpu_share`), the questions that are answered at a time,
and the clients that follow something.  A question is paid for wherever it is worked on: in the reactor, in the threads
that read the records, and while its answer is encoded.  While more was spent than there is, the next one waits.
"""

import time
from collections.abc import Callable, Coroutine, Generator, Iterator
from contextlib import contextmanager
from types import coroutine
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from ...errors import LimitError
from ...model.token_bucket import TokenBucket
from ..contract import (
    HOLDER_SAVED,
    HOLDER_SHARE,
    MOST_FOLLOWERS,
    MOST_QUESTIONS,
    QUESTIONS_AT_ONCE,
)
from .limited_log import LimitedLog

S = TypeVar("S")
T = TypeVar("T")


class Account:
    """
    One holder's.  *time* tells what the processor has done for the calling thread, in seconds.
    """

    def __init__(self, time: Callable[[], float] = time.thread_time) -> None:
        self._time = time
        self.log = LimitedLog(__name__)
        """For what the holder causes."""
        self._clock: IReactorTime | None = None
        self._purse: TokenBucket | None = None
        self._turns = DeferredSemaphore(QUESTIONS_AT_ONCE)
        self._questions = 0
        self._followers = 0

    def purse(self, clock: IReactorTime) -> TokenBucket:
        """
        The time that all links together get on which a string of the holder's was shown.
        """
        if self._purse is None:
            self._clock, self._purse = clock, TokenBucket(clock.seconds, HOLDER_SAVED, HOLDER_SHARE)
        return self._purse

    def check_following(self) -> None:
        """
        `LimitError` when as many clients are being told something as there may be.
        """
        if self._followers >= MOST_FOLLOWERS:
            raise LimitError(f"{self._followers} clients are being told something with this string already.")

    @contextmanager
    def following(self) -> Iterator[None]:
        """
        One more client is being told something; `LimitError` when there are as many as there may be.
        """
        self.check_following()
        self._followers += 1
        try:
            yield
        finally:
            self._followers -= 1

    async def question(self, ask: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """
        What *ask* answers, when it is this question's turn and the holder can pay; `LimitError` when too many wait.
        """
        if self._questions >= MOST_QUESTIONS:
            raise LimitError(
                f"{self._questions} questions with this string are not answered yet.  Ask fewer at a time."
            )
        self._questions += 1
        try:
            await self._turns.acquire()
            try:
                await self._even()
                return await self._metered(ask())
            finally:
                self._turns.release()
        finally:
            self._questions -= 1

    def charging(self, work: Callable[[S], T]) -> Callable[[S], T]:
        """
        *work*, for a thread, at the holder's expense.
        """

        def charged(given: S) -> T:
            begun = self._time()
            try:
                return work(given)
            finally:
                self._spend(self._time() - begun)

        return charged

    async def _even(self) -> None:
        while self._purse is not None and self._clock is not None and self._purse.left < 0:
            await deferLater(self._clock, self._purse.wait)

    @coroutine
    def _metered(self, working: Coroutine[Any, Any, T]) -> Generator[Deferred[Any], Any, T]:
        """
        Run *working* to its end, charging each of its turns.
        """
        given: Any = None
        failure: BaseException | None = None
        while True:
            begun = self._time()
            try:
                awaited = working.send(given) if failure is None else working.throw(failure)
            except StopIteration as ended:
                result: T = ended.value
                return result
            finally:
                self._spend(self._time() - begun)
            try:
                given, failure = (yield awaited), None
            except GeneratorExit:
                working.close()
                raise
            except BaseException as error:  # noqa: BLE001 - it is the coroutine's own
                given, failure = None, error

    def _spend(self, seconds: float) -> None:
        if self._purse is not None:
            self._purse.spend(seconds)
