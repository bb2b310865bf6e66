"""
Services: objects of ``c['services']`` that accompany the farm, like reporters and cancellers.
"""

from typing import Any

from .argument_fit import NotingType
from .arguments import ArgumentChecker
from .executed_line import current_line


class Service(metaclass=NotingType):
    """
    One service.  *name*: identifies it over reconfigurations; default: the name of its class.
    """

    def __init__(self, name: Any = None) -> None:
        self.place = current_line(self)
        self.arguments = ArgumentChecker(type(self).__name__, self)
        self.given_name = type(self).__name__ if name is None else name
        self.name = self.arguments.label("name", self.given_name)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"
