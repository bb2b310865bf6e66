"""
The renderables of a master.cfg that refer to properties and secrets, with their arguments checked.
"""

from typing import Any

from ...errors import ConfigError
from ...model import interpolation, rendering
from .argument_fit import NotingType
from .arguments import ArgumentChecker
from .mistakes import once_loaded, uses_property


class Property(rendering.Property, metaclass=NotingType):
    """
    The value of the property *key* of the build.

    *default* is for when there is none, and, unless *defaultWhenFalse* is False, for when it is empty, zero or False.
    """

    def __init__(self, key: Any, default: Any = rendering.NO_DEFAULT, defaultWhenFalse: Any = True) -> None:
        try:
            super().__init__(key, default, defaultWhenFalse)
        except ConfigError as error:
            ArgumentChecker("Property", self).unless_missing(error, key)
            super().__init__("none")
        else:
            if default is rendering.NO_DEFAULT:
                uses_property(key, of=self)


class Interpolate(interpolation.Interpolate, metaclass=NotingType):
    """
    Text with values of the build in it: ``Interpolate("%(prop:branch:-main)s of %(src::repository)s")``.
    """

    def __init__(self, fmtstring: Any, *args: Any, **kwargs: Any) -> None:
        try:
            super().__init__(fmtstring, *args, **kwargs)
        except ConfigError as error:
            ArgumentChecker("Interpolate", self).unless_missing(error, fmtstring)
            super().__init__("")
        for secret in self.secrets:
            _must_exist(secret, self)
        for name in self.needed:
            uses_property(name, of=self)


class Secret(rendering.Secret, metaclass=NotingType):
    """
    The secret called *name*, wherever an argument of a step may be rendered.
    """

    def __init__(self, name: Any) -> None:
        try:
            super().__init__(name)
        except ConfigError as error:
            ArgumentChecker("Secret", self).unless_missing(error, name)
            super().__init__("none")
        else:
            _must_exist(name, self)


def _must_exist(secret: str, of: object) -> None:
    # Checked once the whole configuration is known.  A secret that vanishes later fails the build.
    once_loaded(lambda config: config.why_no_secret(secret), of=of)
