"""
Giving a build properties.
"""

# ruff: noqa: RUF012 - what a class declares is never changed

from typing import Any

from ...model.results import Result
from ..config.mistakes import MISSING
from . import argument_checks
from .step import BuildStep

__all__ = ["SetProperties", "SetProperty"]


class SetProperty(BuildStep):
    """
    Set one property.

    *property*: its name.  *value*: text, a number, True, False, None, or a list or dictionary of them; may be rendered
    from others.
    """

    name = "SetProperty"
    positional = ("property", "value")
    arguments = {"property": argument_checks.word, "value": argument_checks.anything}
    nullable = ("value",)
    property: Any = MISSING
    value: Any = MISSING

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
    positional = ("properties",)
    arguments = {"properties": argument_checks.properties}
    properties: Any = MISSING

    async def run(self) -> Result:
        """
        Set them.
        """
        for name, value in self.properties.items():
            self.setProperty(name, value)
        self.summary = f"{len(self.properties)} {'property' if len(self.properties) == 1 else 'properties'} set"
        return Result.SUCCESS
