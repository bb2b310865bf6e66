"""
Giving a build properties.
"""

from typing import Any

from ...model.results import Result
from . import argument_checks as checks
from .argument import argument
from .shell import SetPropertyFromCommand
from .step import BuildStep

__all__ = ["SetProperties", "SetProperty"]


class SetProperty(BuildStep):
    """
    Set one property.

    *property*: its name.  *value*: text, a number, True, False, None, or a list or dictionary of them; may be rendered
    from others.

    With a *command*, as Buildbot 0.8 had it, it is a `SetPropertyFromCommand`.
    """

    name = "SetProperty"
    property = argument(checks.word, positional=True)
    value = argument(checks.anything, nullable=True, positional=True)

    def __new__(cls, *args: Any, **kwargs: Any) -> Any:
        """
        A step of the kind that the arguments are for.
        """
        if cls is SetProperty and "command" in kwargs:
            return SetPropertyFromCommand(*args, **kwargs)
        return super().__new__(cls, *args, **kwargs)

    async def run(self) -> Result:
        """
        Set it.
        """
        self.setProperty(self.property, self.value)
        self.summary = f"property {self.property!r} set"
        return Result.SUCCESS


class SetProperties(BuildStep):
    """
    Set several properties.

    *properties*: a dictionary of names and values, or something that is rendered to one.
    """

    name = "SetProperties"
    properties = argument(checks.properties, positional=True)

    async def run(self) -> Result:
        """
        Set them.
        """
        for name, value in self.properties.items():
            self.setProperty(name, value)
        self.summary = f"{len(self.properties)} {'property' if len(self.properties) == 1 else 'properties'} set"
        return Result.SUCCESS
