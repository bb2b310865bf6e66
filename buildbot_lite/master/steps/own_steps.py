"""
Checks of the step classes of a configuration when they are made.

Buildbot calls many methods of a step, and a step of the configuration's own may have been written for those.  Here
most are never called, so a class that relies on one would be accepted, and then fail each build, or succeed where it
should fail.
"""

import inspect

from ..config.buildbot_words import find
from ..config.mistakes import loading, text_here
from ..config.overrides import is_shipped, mistake
from ..config.placeholders import is_placeholder
from ..config.source_texts import attributes_of_self
from .old_style import OldStyle


def check_own_step(cls: type[OldStyle]) -> None:
    """
    Note which methods of the new class *cls* are never called, and what it uses of ``self`` that is not there.

    Without effect outside a load, in a stored generation, whose builds go on as they began, for a class with a base
    that is not here, because that was noted, and for a shipped step, whose module may be imported first during a load.
    """
    if not loading() or is_placeholder(cls) or is_shipped(cls):
        return
    text, line = text_here()
    used = attributes_of_self(text, cls.__name__, line)
    for name in sorted(used):
        if not hasattr(cls, name) and (word := find("BuildStep", name)):
            mistake(f"{cls.__name__} uses self.{name}, which is not here.  {word.advice}")
    if not cls.is_old_style():
        for name in sorted(used & {"finished", "failed"}):
            if getattr(cls, name) is getattr(OldStyle, name):
                advice = "It ends a step that has a method start; run returns the result, or raises the exception."
                mistake(f"{cls.__name__} calls self.{name}.  {advice}")
    if inspect.isgeneratorfunction(vars(cls).get("run")):
        sentence = f"{cls.__name__}.run is a generator: write async def run(self), or @defer.inlineCallbacks before it."
        mistake(sentence)
