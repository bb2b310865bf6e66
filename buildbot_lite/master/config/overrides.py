"""
Checks of the methods of classes that a configuration derives from classes of buildbot_lite: a mistake is a method that
Buildbot calls and buildbot_lite does not, or one that overrides a method and takes other arguments.
"""

import inspect
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any

from .buildbot_words import Word, find
from .executed_line import text_here
from .mistakes import once_loaded
from .source_texts import attributes_of_self

_PACKAGE = __name__.partition(".")[0]


def is_shipped(code: Any) -> bool:
    """
    Whether *code*, a class or a function, is part of buildbot_lite.
    """
    return str(code.__module__).startswith(f"{_PACKAGE}.")


def never_called(cls: type, method: str) -> Word | None:
    """
    The entry in the table of Buildbot's words for a *method* of *cls* that nothing calls.
    """
    words = (find(base.__name__, method) for base in cls.__mro__[1:] if is_shipped(base))
    return next(filter(None, words), None)


def check_overrides(cls: type, namespace: Mapping[str, Any]) -> None:
    """
    Note a mistake for each method in *namespace* of the new class *cls* that nothing calls, or that cannot be called.

    A method that the class calls itself may have any name, unless it overrides a method of buildbot_lite.
    """
    text, line = text_here()
    used = attributes_of_self(text, cls.__name__, line)
    for name in sorted(namespace):
        if name.startswith("__") or not inspect.isroutine(namespace[name]):
            continue
        hidden = next((base for base in cls.__mro__[1:] if name in vars(base)), None)
        word = never_called(cls, name)
        is_ours = hidden is not None and find(hidden.__name__, name) is None
        if word is not None and not is_ours and name not in used:
            mistake(f"{cls.__name__}.{name} is never called here.  {word.advice}")
        elif hidden is not None and is_shipped(hidden) and not _is_called_alike(namespace[name], vars(hidden)[name]):
            mistake(
                f"{cls.__name__}.{name} overrides a method of {hidden.__name__} that takes other arguments.  "
                f"{word.advice if word else 'Give it another name.'}"
            )


def mistake(sentence: str) -> None:
    """
    Note *sentence* at this line when the configuration is loaded.  Without effect outside a load.
    """
    once_loaded(partial(_said, sentence))


def _said(sentence: str, config: object) -> str:
    return sentence


def _is_called_alike(own: Any, hidden: Any) -> bool:
    if not inspect.isfunction(own) or not inspect.isfunction(hidden):
        return True
    least, most = _positional(own)
    needed, taken = _positional(hidden)
    return least <= taken and needed <= most


def _positional(function: Callable[..., Any]) -> tuple[float, float]:
    """
    The least and the largest number of positional arguments that *function* can be called with.
    """
    parameters = inspect.signature(function).parameters.values()
    positional = [each for each in parameters if each.kind in (each.POSITIONAL_ONLY, each.POSITIONAL_OR_KEYWORD)]
    endless = any(each.kind is each.VAR_POSITIONAL for each in parameters)
    least = sum(each.default is each.empty for each in positional)
    return least, float("inf") if endless else len(positional)
