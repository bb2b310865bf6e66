"""
Import paths of Buildbot's, old and new, as thin aliases of the words of ``buildbot_lite.plugins``.

In a master.cfg ``from buildbot.plugins import *``, ``from buildbot.steps.shell import ShellCommand`` and the same with
``buildbot_lite`` find the words, so that a configuration that was written for Buildbot runs as it is.  The first part
of a path says which namespace is meant; what follows may be anything, because Buildbot moved its modules often.

Only code of a configuration sees these modules (`modules`).  There ``buildbot`` means them even where Buildbot is
installed: no object of its own could work in this master.
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
"""The part after ``buildbot.`` → the namespace in which its words are looked for first."""
_RESULTS = "SUCCESS WARNINGS FAILURE SKIPPED EXCEPTION RETRY CANCELLED Results worst_status"
_ELSEWHERE: Mapping[str, str] = MappingProxyType(
    {
        "changes.filter": "ChangeFilter",
        "process.buildstep": "BuildStep",
        "schedulers.filter": "ChangeFilter",
        "schedulers.forcesched": (
            "AnyPropertyParameter BaseParameter BooleanParameter BuildslaveChoiceParameter ChoiceStringParameter"
            " CodebaseParameter FileParameter FixedParameter InheritBuildParameter IntParameter NestedParameter"
            " StringParameter TextParameter UserNameParameter WorkerChoiceParameter"
        ),
        "status.builder": _RESULTS,
        "status.results": _RESULTS,
    }
)
"""A module of Buildbot's → its words that are in another namespace than the others; ``import *`` brings them, too."""
# Named and not imported, because it is above.
_PLUGINS = "buildbot_lite.plugins"
_OURS = _PLUGINS.partition(".")[0]


def alias_of(name: str, words: Sequence[str] = ()) -> str:
    """
    The path that code of a configuration means by *name*: ``buildbot_lite.steps.shell`` is ``buildbot.steps.shell``.

    Modules that buildbot_lite has stay themselves, except for a path that is Buildbot's as well (``status``).  *words*:
    what is imported from there.
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
    Whether the module *name* is an alias.
    """
    top, *path = name.split(".")
    if top != "buildbot" or len(path) < 2:
        return top == "buildbot"
    # After ``from buildbot.steps.shell import Foo`` Python also looks for a module Foo.
    where = _HEADS.get(path[0])
    return where != _ALL and path[-1][:1].islower() and (where, path[-1]) not in WORDS


class AliasModule(ModuleType):
    """
    A module of Buildbot's, whose words are those of ``buildbot_lite.plugins``.
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
            return placeholder(word)  # the module was noted
        if self._where == _ALL and word in plugins.__all__ and self.__name__.endswith(_ALL):
            return getattr(plugins, word)
        # Buildbot's own paths do not follow the namespaces: results are in buildbot.status.builder.
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
        # Its name has the form of a module's, and it was a function.
        word = self.__name__.rpartition(".")[2]
        return missing_word(str(self._where), word, _known(self._where))(*args, **kwargs)


def _known(where: str | None) -> list[str]:
    plugins = import_module(_PLUGINS)
    if where is None:
        return []
    return list(plugins.__all__ if where == _ALL else dir(getattr(plugins, where)))
