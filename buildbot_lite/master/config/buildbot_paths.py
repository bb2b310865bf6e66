"""
Buildbot's import paths, old and new, as aliases of the words of ``buildbot_lite.plugins``.

In a master.cfg, ``from buildbot.plugins import *``, ``from buildbot.steps.shell import ShellCommand`` and the same with
``buildbot_lite`` find these words, so that a configuration written for Buildbot runs unchanged.  The first part of a
path decides the namespace; the rest is ignored, because Buildbot moved its modules often.

Only code of a configuration sees these modules (`modules`).  They take the place of an installed Buildbot, whose
objects could not work in this master.
"""

from collections.abc import Mapping, Sequence
from importlib import import_module
from importlib.util import find_spec
from types import MappingProxyType, ModuleType
from typing import Any

from .buildbot_words import WORDS
from .placeholders import missing_module, missing_word, placeholder

_ALL = "plugins"
_HEADS: Mapping[str, str] = MappingProxyType(
    {
        "buildslave": "slave",
        "changes": "changes",
        "ec2buildslave": "slave",
        "libvirtbuildslave": "slave",
        "plugins": _ALL,
        "reporters": "reporters",
        "scheduler": "schedulers",
        "schedulers": "schedulers",
        "secrets": "secrets",
        "status": "status",
        "steps": "steps",
        "worker": "slave",
        **dict.fromkeys(
            [
                "config",
                "configurators",
                "data",
                "db",
                "errors",
                "interfaces",
                "locks",
                "manhole",
                "master",
                "mq",
                "process",
                "revlinks",
                "sourcestamp",
                "util",
                "wamp",
                "www",
            ],
            "util",
        ),
    }
)
"""The part of a path after ``buildbot.`` → the namespace in which its words are searched first."""
_RESULTS = "SUCCESS WARNINGS FAILURE SKIPPED EXCEPTION RETRY CANCELLED Results worst_status"
_ELSEWHERE: Mapping[str, str] = MappingProxyType(
    {
        "changes.filter": "ChangeFilter",
        "process.buildstep": "BuildStep",
        "schedulers.filter": "ChangeFilter",
        "schedulers.forcesched": (
            "AnyPropertyParameter BaseParameter BooleanParameter BuildslaveChoiceParameter ChoiceStringParameter"
            " CodebaseParameter FileParameter FixedParameter InheritBuildParameter IntParameter NestedParameter"
            " PatchParameter StringParameter TextParameter UserNameParameter WorkerChoiceParameter"
        ),
        "status.builder": _RESULTS,
        "status.results": _RESULTS,
    }
)
"""A module of Buildbot → its words that are in another namespace than its other words, for ``import *``."""
# A name and not an import, because that module is in a higher layer.
_PLUGINS = "buildbot_lite.plugins"
_OURS = _PLUGINS.partition(".")[0]


def alias_of(name: str, words: Sequence[str] = ()) -> str:
    """
    The module that code of a configuration gets for *name*: ``buildbot.steps.shell`` for ``buildbot_lite.steps.shell``.

    For existing modules of buildbot_lite, it is *name* itself, except for paths that Buildbot has as well (``status``).
    *words*: what is imported from the module.
    """
    top, _, remainder = name.partition(".")
    head = remainder.partition(".")[0]
    if name == _OURS and any(word in _HEADS and word != _ALL for word in words):
        return "buildbot"
    if top != _OURS or head in ("", _ALL):
        return name
    if head in _HEADS or find_spec(f"{top}.{head}") is None:
        return f"buildbot.{remainder}"
    return name


def is_alias(name: str) -> bool:
    """
    Whether the module *name* is one of these aliases.
    """
    top, *path = name.split(".")
    if top != "buildbot" or len(path) < 2:
        return top == "buildbot"
    # After ``from buildbot.steps.shell import Foo`` Python also looks for a module Foo.
    where = _HEADS.get(path[0])
    return where != _ALL and path[-1][:1].islower() and (where, path[-1]) not in WORDS


class AliasModule(ModuleType):
    """
    An alias for a module of Buildbot, with the words of ``buildbot_lite.plugins``.
    """

    def __init__(self, name: str) -> None:
        super().__init__(name)
        head = name.split(".")[1:2]
        if head and head[0] not in _HEADS:
            missing_module(f"buildbot.{head[0]}")
        self._where = _HEADS.get(head[0]) if head else _ALL

    def __dir__(self) -> list[str]:
        return _known(self._where)

    def __getattr__(self, word: str) -> Any:
        if word == "__all__":
            return [*_known(self._where), *_ELSEWHERE.get(self.__name__.partition(".")[2], "").split()]
        if word.startswith("_"):
            raise AttributeError(word)
        plugins = import_module(_PLUGINS)
        if self._where is None:
            return placeholder(word)  # the missing module was noted already
        if self._where == _ALL and word in plugins.__all__ and self.__name__.endswith(_ALL):
            return getattr(plugins, word)
        # Buildbot's paths do not always follow the namespaces: buildbot.status.builder has the results.
        order = dict.fromkeys(name for name in (self._where, *plugins.__all__) if name != _ALL)
        for namespace in order:
            if word in dir(getattr(plugins, namespace)):
                return getattr(getattr(plugins, namespace), word)
        for namespace in order:
            if (namespace, word) in WORDS:
                return missing_word(namespace, word, [])
        if word[0].islower() and (self._where != _ALL or word in _HEADS):
            return AliasModule(f"{self.__name__}.{word}")
        return missing_word(self._where, word, _known(self._where))

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        # The name looked like that of a module, but it is called, so it is a function.
        word = self.__name__.rpartition(".")[2]
        return missing_word(str(self._where), word, _known(self._where))(*args, **kwargs)


def _known(where: str | None) -> list[str]:
    plugins = import_module(_PLUGINS)
    if where is None:
        return []
    return list(plugins.__all__ if where == _ALL else dir(getattr(plugins, where)))
