"""
Waiting: an event or a work that many callers wait for; work in the background, once or again and again; work that
outlives its caller; threads for which a process does not wait at its end.
"""

from collections.abc import Callable, Coroutine
from functools import partial
from threading import Thread
from types import TracebackType
from typing import Any, Generic, Literal, ParamSpec, TypeVar

from twisted.internet.defer import Deferred, DeferredLock, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.logger import Logger
from twisted.python.failure import Failure
from twisted.python.threadpool import ThreadPool

from .errors import (
    BuildbotLiteError,
    LinkLostError,
    RecordsClosedError,
)
from .model.display import printable

T = TypeVar("T")
K = TypeVar("K")
P = ParamSpec("P")


class OneShot(Generic[T]):
    """
    An event that happens once, with a result or a failure for every waiter, also for later ones.

    *unawaited*: called when the last waiter was cancelled before the event.
    """

    def __init__(self, unawaited: Callable[[], object] = lambda: None) -> None:
        self._unawaited = unawaited
        self._result: tuple[T | Failure] | None = None
        self._waiters: list[Deferred[T]] = []

    @property
    def fired(self) -> bool:
        """
        Whether it has happened.
        """
        return self._result is not None

    @property
    def waiting(self) -> int:
        """
        The number of waiters.
        """
        return len(self._waiters)

    def wait(self) -> Deferred[T]:
        """
        Fires with the result; cancelling it affects no other waiter.
        """
        waiter: Deferred[T] = Deferred(self._cancelled)
        if self._result is None:
            self._waiters.append(waiter)
        else:
            waiter.callback(*self._result)
        return waiter

    def fire(self, result: T | Failure) -> None:
        """
        Let the event happen.  Only the first result counts.

        Callbacks may start new waits: these get the result at once.
        """
        if self._result is None:
            self._result = (result,)
            # It may know this event, and would keep its result until the garbage collector comes.
            self._unawaited = lambda: None
            waiters, self._waiters = self._waiters, []
            for waiter in waiters:
                # Not cancelled by a callback of an earlier one.
                if not waiter.called:
                    waiter.callback(result)

    def _cancelled(self, waiter: Deferred[T]) -> None:
        if waiter in self._waiters:
            self._waiters.remove(waiter)
            if not self._waiters:
                self._unawaited()


class SharedWork(Generic[K, T]):
    """
    Work that several callers may want at the same time: of each key, one is done for all who ask while it runs.
    """

    def __init__(self) -> None:
        self._running: dict[K, OneShot[T]] = {}

    def begun(self, key: K, begin: Callable[[], Coroutine[Deferred[Any], Any, T]]) -> OneShot[T]:
        """
        The end of the work of *key* that runs; of what *begin* returns, if none does.  The work runs on if nobody waits
        for its end, or no more.
        """
        if (running := self._running.get(key)) is not None:
            return running
        ended: OneShot[T] = OneShot()
        self._running[key] = ended

        def end(result: T | Failure) -> None:
            # First, so that a caller who asks again because of the result begins anew.
            del self._running[key]
            ended.fire(result)

        Deferred.fromCoroutine(begin()).addBoth(end)  # type: ignore[unused-awaitable]  # *ended* tells of it
        return ended


class RepeatedWork:
    """
    Work in the background that is asked for whenever there may be something to do: at most one run of *work* at a time,
    and one more after it for all that came meanwhile.

    A run that fails is logged, in a line that begins with *what*; it is repeated if it was asked for meanwhile.
    """

    def __init__(self, work: Callable[[], Coroutine[Deferred[Any], Any, object]], log: Logger, what: str) -> None:
        self._work = work
        self._log = log
        self._what = what
        self._due: Literal["nothing", "the end of a run", "another run"] = "nothing"

    def ask(self) -> None:
        """
        Begin a run now, or when the one that runs has ended.
        """
        if self._due == "nothing":
            background(self._run(), self._log, self._what)
        else:
            self._due = "another run"

    async def _run(self) -> None:
        self._due = "another run"
        try:
            while self._due == "another run":
                self._due = "the end of a run"
                await self._work()
        finally:
            failed_before_another, self._due = self._due == "another run", "nothing"
            if failed_before_another:
                self.ask()


class Listeners(Generic[T]):
    """
    Callbacks for later events.  *what*: begins the line in the log when one fails.
    """

    _log = Logger()

    def __init__(self, what: str) -> None:
        self._what = what
        self._callbacks: list[Callable[[T], object]] = []

    def add(self, callback: Callable[[T], object]) -> Callable[[], None]:
        """
        Call *callback* with each later event.  Returns a function that ends this.
        """
        self._callbacks.append(callback)

        def remove() -> None:
            if callback in self._callbacks:
                self._callbacks.remove(callback)

        return remove

    def tell(self, event: T) -> None:
        """
        Call all callbacks with *event*.  An exception of one is logged; the others are called anyway.
        """
        for callback in tuple(self._callbacks):
            try:
                callback(event)
            except Exception:  # noqa: BLE001 - the callback's mistake
                self._log.failure("{what} failed", what=self._what)


class CoroutineLock(DeferredLock):
    """
    A lock for ``async with``.

    A coroutine that the garbage collector closes does not release it: what holds the lock and those that wait for it
    are gone together, with their farm.  `DeferredLock` would go on with one of them, which may be closed already.
    """

    def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> Deferred[Literal[False]]:
        return succeed(False) if kind is GeneratorExit else super().__aexit__(kind, error, traceback)


class DaemonThreads(ThreadPool):
    """
    A pool of threads for work that may hang, such as a handshake: the process may end without them.  It is started and
    never stopped, as `ThreadPool.stop` waits for the threads; so does the end of a process for those of the reactor's
    own pool.
    """

    threadFactory = partial(Thread, daemon=True)  # type: ignore[assignment]  # noqa: N815 - Twisted's; it is called


def background(work: Deferred[Any] | Coroutine[Deferred[Any], Any, Any], log: Logger, what: str) -> None:
    """
    Start *work* and return; a failure goes to *log*, whose line begins with *what*.

    A lost link is not logged, nor are records that are closed because the master stops.  An error of ours is one line;
    anything else is a defect and gets its traceback.
    """
    running = work if isinstance(work, Deferred) else Deferred.fromCoroutine(work)

    def failed(failure: Failure) -> None:
        if failure.check(LinkLostError, RecordsClosedError):
            return
        if failure.check(BuildbotLiteError):
            log.warn("{what}: {why}", what=what, why=printable(str(failure.value)))
        else:
            log.failure("{what} failed", failure=failure, what=what)

    running.addErrback(failed)  # type: ignore[unused-awaitable]  # runs in the background


def next_turn(clock: IReactorTime) -> Deferred[None]:
    """
    Fires in the next iteration of the reactor, so that several events of this one lead to one reaction.
    """
    turn: Deferred[None] = Deferred()
    clock.callLater(0, turn.callback, None)
    return turn


def shielded(work: Deferred[T] | Coroutine[Deferred[Any], Any, T]) -> Deferred[T]:
    """
    The result of *work*, as `asyncio.shield` gives it: cancelling the wait leaves *work* running.
    """
    running = work if isinstance(work, Deferred) else Deferred.fromCoroutine(work)
    ended: OneShot[T] = OneShot()
    running.addBoth(ended.fire)  # type: ignore[unused-awaitable]  # the caller awaits *ended*
    return ended.wait()
