"""
What a master.cfg imports: ``from buildbot_lite.plugins import steps, schedulers, util, slave, secrets``.

Names and spelling are Buildbot's.  ``changes`` and ``reporters`` are empty so far.
"""

from collections.abc import Iterable
from types import ModuleType
from typing import Any

from .master import steps as _steps
from .master.config import objects as _objects
from .master.config.mistakes import MISSING as _MISSING
from .master.config.mistakes import did_you_mean
from .master.config.secret_files import SecretInAFile as _SecretInAFile
from .master.config.secret_stores import SecretInEnvironment as _SecretInEnvironment
from .master.config.secret_stores import SecretInPass as _SecretInPass
from .master.steps import argument_checks as _checks
from .master.steps.argument import argument as _argument
from .model.rendering import renderer as _renderer
from .model.results import Result as _Result


class Namespace:
    """
    Classes, functions and values as attributes.  An unknown name gets the error that suggests the nearest one.
    """

    def __init__(self, name: str, members: dict[str, Any]) -> None:
        self._name = name
        vars(self).update(members)

    def __getattr__(self, word: str) -> Any:
        raise AttributeError(f"{self._name} has no {word!r}.{did_you_mean(word, self.__dir__())}")

    def __dir__(self) -> Iterable[str]:
        return [word for word in vars(self) if not word.startswith("_")]


def _exported(module: ModuleType) -> dict[str, Any]:
    return {word: getattr(module, word) for word in module.__all__}


steps = Namespace("steps", _exported(_steps))
schedulers = Namespace(
    "schedulers", {cls.__name__: cls for cls in (_objects.Submit, _objects.ForceScheduler, _objects.Triggerable)}
)
util = Namespace(
    "util",
    {
        cls.__name__: cls
        for cls in (_objects.BuilderConfig, _objects.BuildFactory, _objects.Property, _objects.Interpolate)
    }
    | {"Secret": _objects.Secret, "renderer": _renderer}
    | {"argument": _argument, "checks": Namespace("util.checks", _exported(_checks)), "MISSING": _MISSING}
    | {result.name: result for result in _Result},
)
slave = Namespace("slave", {"BuildSlave": _objects.BuildSlave})
secrets = Namespace(
    "secrets",
    {"SecretInAFile": _SecretInAFile, "SecretInEnvironment": _SecretInEnvironment, "SecretInPass": _SecretInPass},
)
changes = Namespace("changes", {})
reporters = Namespace("reporters", {})

__all__ = ["changes", "reporters", "schedulers", "secrets", "slave", "steps", "util"]
