"""
What a master.cfg imports: ``from buildbot_lite.plugins import steps, schedulers, util, slave, secrets``.

Buildbot's vocabulary, under Buildbot's names.  ``changes`` and ``reporters`` are empty until there are any.
"""

from collections.abc import Iterable
from types import ModuleType
from typing import Any

from .master import steps as _steps
from .master.config import objects as _words
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
    Some words of the vocabulary, as attributes.
    """

    def __init__(self, name: str, words: dict[str, Any]) -> None:
        self._name = name
        vars(self).update(words)

    def __getattr__(self, word: str) -> Any:
        raise AttributeError(f"{self._name} has no {word!r}.{did_you_mean(word, self.__dir__())}")

    def __dir__(self) -> Iterable[str]:
        return [word for word in vars(self) if not word.startswith("_")]


def _exported(module: ModuleType) -> dict[str, Any]:
    return {word: getattr(module, word) for word in module.__all__}


steps = Namespace("steps", _exported(_steps))
schedulers = Namespace(
    "schedulers", {cls.__name__: cls for cls in (_words.Submit, _words.ForceScheduler, _words.Triggerable)}
)
util = Namespace(
    "util",
    {cls.__name__: cls for cls in (_words.BuilderConfig, _words.BuildFactory, _words.Property, _words.Interpolate)}
    | {"Secret": _words.Secret, "renderer": _renderer}
    | {"argument": _argument, "checks": Namespace("util.checks", _exported(_checks)), "MISSING": _MISSING}
    | {result.name: result for result in _Result},
)
slave = Namespace("slave", {"BuildSlave": _words.BuildSlave})
secrets = Namespace(
    "secrets",
    {"SecretInAFile": _SecretInAFile, "SecretInEnvironment": _SecretInEnvironment, "SecretInPass": _SecretInPass},
)
changes = Namespace("changes", {})
reporters = Namespace("reporters", {})

__all__ = ["changes", "reporters", "schedulers", "secrets", "slave", "steps", "util"]
