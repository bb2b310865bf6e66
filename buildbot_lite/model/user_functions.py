"""
Calls of functions of a master.cfg: they are limited in time, and errors name the function.

The functions run in the thread in which the farm does everything else.  So a call may take at most `LONGEST_CALL`, and
a function that is slow repeatedly gets a smaller limit: in the long run, at most `SHARE` of the time.
`SHORTEST_LIMIT` is always allowed.

A coroutine function may take `LONGEST_CALL` from one wait to the next.  For a function that returns a Deferred, only
the call is limited.
"""

import inspect
import os
import time
from collections.abc import Awaitable, Callable
from functools import partial, wraps
from types import FunctionType, MethodType
from typing import Any
from weakref import WeakKeyDictionary

from ..errors import BuildbotLiteError, UserFunctionOverdueError
from .time_limit import OverdueError, call_within, in_turns
from .token_bucket import TokenBucket

LONGEST_CALL = 5.0
"""Seconds that one call may take."""
SHARE = 0.1
"""The share of the time that one function may take, after its first `LONGEST_CALL` seconds."""
SHORTEST_LIMIT = 0.1
"""Seconds that each call may take, however slow the function was before."""
_QUICK = 0.5
"""Seconds; shorter calls are not counted, because after a restart all builds render their arguments together."""

# Function → its bucket, if it was slow.  Global, because some functions are `limited` again for each call.
_buckets: WeakKeyDictionary[FunctionType, list[TokenBucket]] = WeakKeyDictionary()


def limited(function: Callable[..., Any], what: str) -> Callable[..., Any]:
    """
    Return *function* with a time limit on each call, which is exceeded with `UserFunctionOverdueError`.

    *what*: the place of the function in the configuration, like "nextBuild".  Exceptions of the function are raised
    unchanged, with a note for `error_text`.
    """
    if isinstance(function, MethodType):
        return MethodType(limited(function.__func__, what), function.__self__)
    buckets = _buckets.setdefault(function, []) if isinstance(function, FunctionType) else list[TokenBucket]()

    @wraps(function)
    def call(*args: Any, **kwargs: Any) -> Any:
        limit = max(SHORTEST_LIMIT, buckets[0].left) if buckets else LONGEST_CALL
        began = time.monotonic()
        try:
            result = call_within(limit, function, *args, **kwargs)
        except OverdueError as error:
            raise overdue(function, what, limit).with_traceback(error.__traceback__) from None
        except Exception as error:
            _note(error, function, what)
            raise
        finally:
            if (took := time.monotonic() - began) > _QUICK:
                buckets[:] = buckets or [TokenBucket(time.monotonic, LONGEST_CALL, SHARE)]
                buckets[0].spend(min(took, buckets[0].left))
        return _awaited(result, function, what, limit) if inspect.isawaitable(result) else result

    return call


async def _awaited(result: Awaitable[Any], function: Callable[..., Any], what: str, limit: float) -> Any:
    try:
        if inspect.iscoroutine(result):
            limit = LONGEST_CALL
            return await in_turns(result, partial(call_within, limit))
        return await result
    except OverdueError as error:
        # From a turn of the coroutine; or from a callback of a Deferred, in which Twisted made a failure of it.
        raise overdue(function, what, limit).with_traceback(error.__traceback__) from None
    except Exception as error:
        _note(error, function, what)
        raise


async def awaited(answer: Any) -> Any:
    """
    The value of *answer*, awaited if it is awaitable: a user's function may be a coroutine function.
    """
    return await answer if inspect.isawaitable(answer) else answer


def error_text(error: BaseException | None) -> str:
    """
    The *error* of a function, for people: its type and text, and the name and place of the function.
    """
    if isinstance(error, BuildbotLiteError):
        return str(error)
    notes = "".join(f", in {note:.200}" for note in getattr(error, "__notes__", ())[:1])
    return f"{type(error).__name__}: {error!s:.300}{notes}"


def _note(error: Exception, function: Callable[..., Any], what: str) -> None:
    if not hasattr(error, "__notes__"):
        error.add_note(_described(function, what))


def overdue(function: Callable[..., Any], what: str, limit: float) -> UserFunctionOverdueError:
    """
    The error about *function* of *what*, which took longer than *limit* seconds.
    """
    return UserFunctionOverdueError(
        f"{_described(function, what)} was ended, because it took longer than {limit:.1f} s.  The farm does nothing "
        "else while it runs: let it compute less, or, if it may be a coroutine function, use await for what takes long."
    )


def _described(function: Callable[..., Any], what: str) -> str:
    code = getattr(inspect.unwrap(function), "__code__", None)
    if code is None:
        return what
    return f"{what} ({code.co_name}, {os.path.basename(code.co_filename)} line {code.co_firstlineno})"
