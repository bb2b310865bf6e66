"""
Whether a word of Buildbot's is taken, found out by loading a small configuration that uses it.

A word is given by its kind and name, as a list of words that were counted in real configurations has them::

    name          util.BuilderConfig                 kwarg         steps.ShellCommand(command=)
    key           c['workers']                       subclass      steps.BuildStep
    interpolate   %(prop:…)s                         step method   getResultSummary
"""

import re
from collections.abc import Callable, Mapping
from enum import Enum
from types import MappingProxyType

from buildbot_lite.errors import ConfigError
from buildbot_lite.master.config.keys import OWN_KEYS
from buildbot_lite.master.config.loading import load

WORDS = "from buildbot.plugins import *\nc = BuildmasterConfig = {}\n"


class Answer(Enum):
    """
    What becomes of a word.
    """

    TAKEN = "taken"
    REMARK = "taken with a remark"
    REFUSED = "refused"


def probe(kind: str, name: str) -> Answer | None:
    """
    What becomes of the word *name*; None for a *kind* that is not known, or a name that is none.
    """
    text = _PROBES[kind](name) if kind in _PROBES else None
    return None if text is None else _answer(text, name)


def _answer(text: str, name: str) -> Answer:
    try:
        generation = load("/nowhere", WORDS + text)
    except ConfigError as error:
        # A call of the class with this argument alone lacks others, and its value is wrong; that is not asked here.
        sentences = str(error).splitlines()
        return Answer.REFUSED if any(_about(name)(sentence) for sentence in sentences) else Answer.TAKEN
    return Answer.REMARK if generation.remarks else Answer.TAKEN


def _about(name: str) -> Callable[[str], bool]:
    argument = re.search(r"\((\w+)=\)$", name)
    if argument is None:
        return bool
    owner = name.partition("(")[0].partition(".")[2]
    missing = (f"has no argument {argument[1]!r}", f"({argument[1]}=)", f".{owner} ", f"has no {owner!r}")
    return lambda sentence: any(each in sentence for each in missing)


def _of_key(name: str) -> str | None:
    match = re.fullmatch(r"c\['(.+)'\]", name)
    if match is None:
        return None
    known = {each for key in OWN_KEYS.values() for each in (key.name, *key.aliases)}
    return "" if match[1] in known else f"c[{match[1]!r}] = {{'some': 'value'}}\n"


def _of_argument(name: str) -> str | None:
    match = re.fullmatch(r"(\w+\.\w+)\((\w+)=\)", name)
    if match is None:
        return None
    text = "'x %(kw:" + match[2] + ")s', " if match[1] == "util.Interpolate" else ""
    return f"{match[1]}({text}{match[2]}=None)\n"


def _of_interpolation(name: str) -> str | None:
    match = re.fullmatch(r"%\((\w+):…\)s", name)
    if match is None:
        return None
    what = "codebase:branch" if match[1] == "src" else "name"
    more = ", name=1" if match[1] == "kw" else ""
    return f"x = util.Interpolate('%({match[1]}:{what}:-x)s'{more})\n" if match[1] != "secret" else ""


def _of_method(name: str) -> str | None:
    head = "async def run(self)" if name == "run" else f"def {name}(self, *args, **kwargs)"
    return f"class Own(steps.ShellCommand):\n    {head}:\n        pass\n" if name.isidentifier() else None


_PROBES: Mapping[str, Callable[[str], str | None]] = MappingProxyType(
    {
        "name": lambda name: f"x = {name}\n",
        "subclass": lambda name: f"class Own({name}):\n    pass\n",
        "key": _of_key,
        "kwarg": _of_argument,
        "interpolate": _of_interpolation,
        "step method": _of_method,
    }
)
