"""
Checks of the step classes that a configuration defines.

Buildbot calls many methods of a step, and a class may have been written for those.  Most are not called here.  Without
this check, a class that relies on one would be accepted, and its builds would fail, or succeed where they should fail.
"""

import inspect

from ..config.buildbot_words import find
from ..config.executed_line import text_here
from ..config.mistakes import loading
from ..config.overrides import is_shipped, mistake
from ..config.placeholders import is_placeholder
from ..config.source_texts import attributes_of_self
from .buildbot_style import BuildOfStep
from .old_style import OldStyle

_OF_A_BUILD = "What a step may ask of its build is in docs/own-steps.md; branch and revision are properties."


def check_own_step(cls: type[OldStyle]) -> None:
    """
    Note the attributes of ``self`` that the new class *cls* uses and that do not exist here.

    It has no effect outside a load; in a stored generation, whose builds continue unchanged; for a class with an
    unknown base, which was noted already; and for a shipped step, whose module may be first imported during a load.
    """
    if not loading() or is_placeholder(cls) or is_shipped(cls):
        return
    text, line = text_here()
    used = attributes_of_self(text, cls.__name__, line)
    for name in sorted(used):
        if not hasattr(cls, name) and (word := find("BuildStep", name)):
            mistake(f"{cls.__name__} uses self.{name}, which does not exist here.  {word.advice}")
    for name in sorted(attributes_of_self(text, cls.__name__, line, "self.build")):
        if not hasattr(BuildOfStep, name):
            mistake(f"{cls.__name__} uses self.build.{name}, which does not exist here.  {_OF_A_BUILD}")
    if not cls.is_old_style():
        for name in sorted(used & {"finished", "failed"}):
            if getattr(cls, name) is getattr(OldStyle, name):
                advice = "It ends a step that has a method start; run returns the result, or raises the exception."
                mistake(f"{cls.__name__} calls self.{name}.  {advice}")
    if inspect.isgeneratorfunction(vars(cls).get("run")):
        sentence = f"{cls.__name__}.run is a generator: write async def run(self), or @defer.inlineCallbacks before it."
        mistake(sentence)
