"""
Checks of the functions of a master.cfg that decide about the queue: a remark tells a word of Buildbot's that they use,
and that their arguments do not have.

Such a function is first called when the farm runs.  There its exception would be a line of the log, and the farm would
decide as if there were no function.
"""

import dis
import inspect
from collections.abc import Callable, Iterator
from types import CodeType
from typing import Any

from .buildbot_words import Word, find

DECIDING = frozenset({"nextBuild", "nextSlave", "canStartBuild", "collapseRequests", "prioritizeBuilders"})
"""The arguments and keys that are such functions."""
WHERE = "Function"
"""Their place in the table of Buildbot's words."""
_OF_AN_OBJECT = frozenset({"LOAD_ATTR", "LOAD_METHOD", "STORE_ATTR"})


def missing_words(function: Callable[..., Any]) -> list[Word]:
    """
    The words that *function*, or a function inside of it, uses as attributes and that do not exist here.
    """
    code = getattr(inspect.unwrap(function), "__code__", None)
    names = sorted(set(_attributes(code))) if isinstance(code, CodeType) else []
    return [word for name in names if (word := find(WHERE, name)) is not None]


def _attributes(code: CodeType) -> Iterator[str]:
    for instruction in dis.get_instructions(code):
        if instruction.opname in _OF_AN_OBJECT:
            yield str(instruction.argval)
        elif isinstance(instruction.argval, CodeType):
            yield from _attributes(instruction.argval)
