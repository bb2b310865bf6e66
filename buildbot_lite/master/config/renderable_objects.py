"""
The renderables for properties and secrets, with checks of their arguments.
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

    *default*: the value if the property does not exist; also if it is empty, zero or False, unless *defaultWhenFalse*
    is False.
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
    Text into which values of the build are inserted: ``Interpolate("%(prop:branch:-main)s of %(src::repository)s")``.
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
    The value of the secret *name*, in any argument that is rendered.
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
    # Checked when the whole configuration is known.  If the secret is removed later, builds that need it fail.
    once_loaded(lambda config: config.why_no_secret(secret), of=of)
