"""
How builds get their own steps.

master.cfg makes each step once; each build makes its own from the same arguments::

    factory.addStep(Compile(command=["make"]))     # keeps class, arguments and line: the recipe
        build 1:  recipe.make() ─► Compile         # a new object, to be bound to a context and rendered
        build 2:  recipe.make() ─► Compile

If the class has no constructor of its own, the new step is a copy of the one in master.cfg, whose arguments are
checked: to check them all again takes longer than the rest of preparing a small build.
"""

from collections.abc import Mapping
from copy import copy
from typing import Any, Generic, TypeVar

from attrs import define

from ..config.executed_line import SourceLine

Step = TypeVar("Step")


@define(eq=False)
class Recipe(Generic[Step]):
    """
    How to make a step.

    *cls*, *args*, *kwargs*: the class, and what its constructor gets, as in master.cfg.  *place*: the line there.
    *is_copied*: whether builds may get a copy of the step in master.cfg.  *attributes*: those of that step, as soon as
    its constructor has checked its arguments.
    """

    cls: type[Step]
    args: tuple[Any, ...]
    kwargs: Mapping[str, Any]
    place: SourceLine | None
    is_copied: bool
    attributes: Mapping[str, Any] | None = None

    def make(self) -> Step:
        """
        Make the step of a build.
        """
        if self.attributes is None or not self.is_copied:
            return self.cls(*self.args, **self.kwargs)
        step = object.__new__(self.cls)
        for name, value in self.attributes.items():
            # A build may change a list in place; with a constructor, it would have a list of its own, too.
            vars(step)[name] = copy(value) if isinstance(value, (list, dict, set)) else value
        return step
