"""
An account: limits that all FURLs of one holder share.

Each submission makes a watch FURL.  If each of those had its own limits, the holder of a submit FURL could multiply
them.  So a watch FURL uses the account of the FURL that submitted.

An account bounds the CPU time spent for the holder (`cpu_share`), the questions that are answered at a time, and the
clients that follow something.  A question is charged for all work that is done for it: in the reactor, in the threads
that read the records, and in the encoding of its answer.  While the account is overdrawn, the next question waits.
"""

import time
from collections.abc import Callable, Coroutine, Generator, Iterator, Mapping
from contextlib import contextmanager
from types import coroutine
from typing import Any, TypeVar

from twisted.internet.defer import Deferred, DeferredSemaphore
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater

from ...errors import LimitError
from ...model.json_reader import JsonReader
from ...model.token_bucket import TokenBucket
from ..contract import (
    HOLDER_BURST,
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
    The account of one holder.  *time*: returns the CPU time of the calling thread in seconds.
    """

    def __init__(self, time: Callable[[], float] = time.thread_time) -> None:
        self._time = time
        self.log = LimitedLog(__name__)
        """For events that the holder causes."""
        self._clock: IReactorTime | None = None
        self._bucket: TokenBucket | None = None
        self._slots = DeferredSemaphore(QUESTIONS_AT_ONCE)
        self._questions = 0
        self._followers = 0

    def cpu_bucket(self, clock: IReactorTime) -> TokenBucket:
        """
        The CPU time, in seconds, that all links of the holder share.
        """
        if self._bucket is None:
            self._clock, self._bucket = clock, TokenBucket(clock.seconds, HOLDER_BURST, HOLDER_SHARE)
        return self._bucket

    def check_following(self) -> None:
        """
        Raise `LimitError` when `MOST_FOLLOWERS` clients follow something already.
        """
        if self._followers >= MOST_FOLLOWERS:
            raise LimitError(
                f"{self._followers} clients already follow builds with this string.  Stop one of them first."
            )

    @contextmanager
    def following(self) -> Iterator[None]:
        """
        Count one more follower during the block; `LimitError` as in `check_following`.
        """
        self.check_following()
        self._followers += 1
        try:
            yield
        finally:
            self._followers -= 1

    def answered(
        self, question: Mapping[str, Any], answer: Callable[[JsonReader], Coroutine[Any, Any, T]]
    ) -> Deferred[T]:
        """
        What *answer* returns for a *question* that has arrived, as for `question`.
        """
        reader = JsonReader(dict(question), "the question")
        return Deferred.fromCoroutine(self.question(lambda: answer(reader)))

    async def question(self, ask: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """
        The answer of *ask*, called when a slot is free and the account is not overdrawn; its time is charged.

        `LimitError` when `MOST_QUESTIONS` are unanswered.
        """
        if self._questions >= MOST_QUESTIONS:
            raise LimitError(
                f"{self._questions} questions with this string are not answered yet.  Send fewer at a time."
            )
        self._questions += 1
        try:
            await self._slots.acquire()
            try:
                await self._recovered()
                return await self._metered(ask())
            finally:
                self._slots.release()
        finally:
            self._questions -= 1

    def charged(self, work: Callable[[S], T]) -> Callable[[S], T]:
        """
        *work*, with its time charged to the account.  It may be called in any thread.
        """

        def charged(argument: S) -> T:
            begun = self._time()
            try:
                return work(argument)
            finally:
                self._spend(self._time() - begun)

        return charged

    async def _recovered(self) -> None:
        while self._bucket is not None and self._clock is not None and self._bucket.left < 0:
            await deferLater(self._clock, self._bucket.wait)

    @coroutine
    def _metered(self, working: Coroutine[Any, Any, T]) -> Generator[Deferred[Any], Any, T]:
        """
        Run *working* to its end, charging the time between its awaits.
        """
        value: Any = None
        failure: BaseException | None = None
        while True:
            begun = self._time()
            try:
                awaited = working.send(value) if failure is None else working.throw(failure)
            except StopIteration as ended:
                result: T = ended.value
                return result
            finally:
                self._spend(self._time() - begun)
            try:
                value, failure = (yield awaited), None
            except GeneratorExit:
                working.close()
                raise
            except BaseException as error:  # noqa: BLE001 - thrown into the coroutine
                value, failure = None, error

    def _spend(self, seconds: float) -> None:
        if self._bucket is not None:
            self._bucket.spend(seconds)
