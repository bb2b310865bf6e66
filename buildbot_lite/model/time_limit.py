"""
Time limits for a user's Python code in this process.

SIGALRM interrupts the code.  Python handles signals only in the main thread, between byte code instructions and within
a search of `re`.  So there is no limit in other threads, and other calls into C libraries are not interrupted.

The handler is installed once, because to install it takes five times as long as to set the timer.

Limited code may call functions of this program, which must not be interrupted::

    call_within(5.0, user's) ──► user's code ──► unlimited(ours) ──► ours ──► call_within(5.0, another user's)
        limited: 5 s                             neither limited nor counted          limited again

A coroutine is limited from one wait to the next (`in_turns`), and a coroutine of ours that it awaits is not
(`never_interrupted`).

Code that repeats what it did before a restart must not end at another place than then because it is slower now.  So it
is called within one generous limit only (`within_only`), and limits in it have no effect; from the moment at which it
does something new, it is limited (`limit_from_now`).

Code of the user's that is called without a limit, by the reactor, can be interrupted by another thread
(`interrupt_unlimited`).
"""

import math
import signal
import threading
import time
from collections.abc import Awaitable, Callable, Coroutine, Generator
from functools import wraps
from types import FrameType, coroutine
from typing import Any, ParamSpec, TypeVar

from .code_owner import is_users

T = TypeVar("T")
P = ParamSpec("P")

_AGAIN = 1.0
"""Seconds after which code that caught `OverdueError` is interrupted again."""
_AT_ONCE = 1e-6
_SOON = 0.2
"""Seconds after the end of an inner limit in which code whose own limit is over, too, may say what was interrupted."""

# The ends of the limits in the main thread, outermost first, by `limited_time`.  An inner one is never later; except
# that infinity stands for unlimited code, which is independent of the limits around it, and that limits in code with an
# `_OnlyEnd` have no effect.
_ends: list[float] = []
_installed = False
# Seconds that unlimited code within limits has taken so far.
_unlimited_time = 0.0
# How often limited code was interrupted, except within unlimited code.
_interruptions = 0
# Whether another thread wants unlimited code to be interrupted.
_is_asked = False


class _OnlyEnd(float):
    """
    The end of the limit of code that was called `within_only`.
    """


class OverdueError(BaseException):
    """
    The code exceeded its time limit.  It is not a subclass of `Exception`, so that ``except Exception`` in the
    interrupted code does not catch it.
    """


def call_within(seconds: float | None, function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """
    Call *function* and return its result.  After *seconds*, `OverdueError` is raised in it; None: no limit.

    A limit inside another one is never longer than that.  If the outer limit is exceeded, too, the outer function is
    interrupted soon after the inner one has ended.
    """
    if seconds is None or not _in_main_thread() or _is_only():
        return function(*args, **kwargs)
    return _within(seconds, float, function, *args, **kwargs)


def unlimited(function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """
    Call *function* without a limit, also from limited code, and return its result.  Its time does not count.
    """
    global _unlimited_time, _interruptions
    if not _in_main_thread() or not _ends or _ends[-1] == math.inf:
        return function(*args, **kwargs)
    depth, before, interruptions = len(_ends), _unlimited_time, _interruptions
    _ends.append(math.inf)
    began = time.monotonic()
    try:
        return function(*args, **kwargs)
    finally:
        # That of unlimited code within it is part of its own.
        _unlimited_time = before + time.monotonic() - began
        _interruptions = interruptions
        _end(depth)


def within_only(seconds: float, function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    """
    Call *function* as `call_within` does, but limits within it have no effect before it calls `limit_from_now`, except
    those in `unlimited` code.
    """
    if not _in_main_thread():
        return function(*args, **kwargs)
    return _within(seconds, _OnlyEnd, function, *args, **kwargs)


def limit_from_now(seconds: float, *, only: bool = False) -> None:
    """
    Limit the rest of the code that was called `within_only` to *seconds*.  No effect in other code.  *only*: limits
    within it still have no effect.
    """
    if not _in_main_thread():
        return
    lifted = 0
    while _is_only():
        del _ends[-1]
        lifted += 1
    for _ in range(lifted):
        _begin(seconds, _OnlyEnd if only else float)


def interruptions() -> int:
    """
    How often limited code was interrupted so far, except within `unlimited` code.  It tells of an interruption that
    the code caught.
    """
    return _interruptions


def limited_time() -> float:
    """
    A monotonic clock, in seconds, that stands still while limited code waits for `unlimited` code.
    """
    return time.monotonic() - _unlimited_time


@coroutine
def in_turns(
    work: Generator[Any, Any, T] | Coroutine[Any, Any, T],
    call: Callable[..., Any],
    pause: Callable[[], Awaitable[None] | None] = lambda: None,
) -> Generator[Any, Any, T]:
    """
    The result of the coroutine *work*, each of whose turns, from one wait to the next, is run by *call*, a function
    such as `call_within` for one limit.  *pause*: what is awaited before each turn, if anything.
    """
    turn: Callable[[Any], Any]
    turn, value = work.send, None
    while True:
        try:
            if (waiting := pause()) is not None:
                yield from waiting.__await__()
        except BaseException as error:  # noqa: BLE001 - such as a cancellation, which *work* is to see
            turn, value = work.throw, error
        try:
            waits_for = call(turn, value)
        except StopIteration as ended:
            result: T = ended.value
            return result
        try:
            turn, value = work.send, (yield waits_for)
        except GeneratorExit:
            # Nothing refers to it any more.
            call_within(_AGAIN, work.close)
            raise
        except BaseException as error:  # noqa: BLE001 - of what it waits for
            turn, value = work.throw, error


def never_interrupted(function: Callable[P, Coroutine[Any, Any, T]]) -> Callable[P, Coroutine[Any, Any, T]]:
    """
    Let the coroutine function be `unlimited`, so that limited coroutines may await it.
    """

    @wraps(function)
    async def call(*args: P.args, **kwargs: P.kwargs) -> T:
        return await in_turns(function(*args, **kwargs), unlimited)

    return call


def interrupt_unlimited() -> None:
    """
    Raise `OverdueError` in the main thread, if it runs code of the user's (`code_owner.is_users`) that has no limit.
    For other threads, after `allow_interruptions`; no effect before.
    """
    global _is_asked
    if _installed and (ident := threading.main_thread().ident) is not None:
        _is_asked = True
        signal.pthread_kill(ident, signal.SIGALRM)


def allow_interruptions() -> None:
    """
    Install the handler of interruptions, which otherwise the first limit does.  No effect in other threads than the
    main thread.
    """
    global _installed
    if not _installed and _in_main_thread():
        signal.signal(signal.SIGALRM, _interrupt)
        _installed = True


def _in_main_thread() -> bool:
    return threading.current_thread() is threading.main_thread()


def _within(seconds: float, kind: type[float], function: Callable[..., T], *args: Any, **kwargs: Any) -> T:
    depth = len(_ends)
    try:
        try:
            _begin(seconds, kind)
            return function(*args, **kwargs)
        finally:
            _end(depth)
    except OverdueError:
        # It may have interrupted `_begin` or `_end`.
        _end(depth)
        raise


def _begin(seconds: float, kind: type[float]) -> None:
    """
    Begin a limit of a *kind*: `_OnlyEnd`, or any other.
    """
    allow_interruptions()
    end = limited_time() + seconds
    if _is_limited() and _ends[-1] < end:
        end = _ends[-1]
    else:
        signal.setitimer(signal.ITIMER_REAL, max(seconds, _AT_ONCE), _AGAIN)
    _ends.append(kind(end))


def _end(depth: int) -> None:
    """
    End the limits that are inside at least *depth* others.
    """
    del _ends[depth:]
    if _is_limited():
        signal.setitimer(signal.ITIMER_REAL, max(_ends[-1] - limited_time(), _SOON), _AGAIN)
    else:
        signal.setitimer(signal.ITIMER_REAL, 0.0)


def _interrupt(number: int, frame: FrameType | None) -> None:
    global _interruptions, _is_asked
    if _is_asked:
        _is_asked = False
        if not _is_limited() and is_users(frame):
            raise OverdueError
        return  # a limit that is over comes again
    # A signal just before the end of the last limit may be handled after it.  One during unlimited code is too late,
    # and comes again when that code has ended.
    if _is_limited():
        _interruptions += 1
        raise OverdueError


def _is_only() -> bool:
    return bool(_ends) and isinstance(_ends[-1], _OnlyEnd)


def _is_limited() -> bool:
    return bool(_ends) and math.isfinite(_ends[-1])
