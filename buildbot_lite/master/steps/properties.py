"""
Steps that set, check and show properties of a build.
"""

import re
from pprint import pformat
from typing import Any

from ...model.results import Result
from ..config.arguments import ArgumentChecker
from . import argument_checks as checks
from .argument import argument
from .outcomes import result_of
from .shell import SetPropertyFromCommand
from .step import BuildStep

__all__ = ["Assert", "LogRenderable", "SetProperties", "SetPropertiesFromEnv", "SetProperty"]

_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
# Prints the wanted variables only: the output is in the log, where everybody could read the others.
_PRINT = """\
for name; do
    eval "[ -z \\"\\${$name+x}\\" ] || printf '%s=%s\\\\000\\n' \\"$name\\" \\"\\$$name\\""
done
"""


def _variables(checker: ArgumentChecker, name: str, value: Any) -> list[str]:
    names = [value] if isinstance(value, str) else list(checker.several(name, value))
    for each in names:
        if not _VARIABLE.match(each):
            checker.note(f"{name}: {each!r:.60} cannot be the name of an environment variable.")
    return names


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
        Make a `SetPropertyFromCommand` if *command* is given.
        """
        if cls is SetProperty and "command" in kwargs:
            return SetPropertyFromCommand(*args, **kwargs)
        return super().__new__(cls, *args, **kwargs)

    async def run(self) -> Result:
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
        for name, value in self.properties.items():
            self.setProperty(name, value)
        self.summary = f"{len(self.properties)} {'property' if len(self.properties) == 1 else 'properties'} set"
        return Result.SUCCESS


class SetPropertiesFromEnv(BuildStep):
    """
    Set properties from environment variables of the slave.

    *variables*: a name, or a list of names; variables that are not set are left out.  *source*: the source of the
    properties, default "WorkerEnvironment".
    """

    name = "SetPropertiesFromEnv"
    variables = argument(_variables, positional=True)
    source = argument(checks.word, default="WorkerEnvironment")

    async def run(self) -> Result:
        ran = await self.execute(["/bin/sh", "-c", _PRINT, "print-variables", *self.variables])
        result, self.summary = result_of(ran.outcome, self.slave_name)
        found = [each.partition("=") for each in ran.output().split("\0\n") if "=" in each]
        for name, _, value in found:
            if name in self.variables:
                self.setProperty(name, value, self.source)
        self.summary = self.summary or f"{len(found)} {'property' if len(found) == 1 else 'properties'} set"
        return result


class Assert(BuildStep):
    """
    Fail unless *condition* (or *check*) is true; it is usually a comparison, like ``util.Property("arch") == "arm64"``.
    """

    name = "Assert"
    # `BuildStep.check` is a method, so Buildbot's argument "check" has another name here.
    condition = argument(checks.anything, nullable=True, positional=True, aliases=("check",))

    async def run(self) -> Result:
        return Result.SUCCESS if self.condition else self.fail("the assertion is false")


class LogRenderable(BuildStep):
    """
    Write the rendered value of *content* to the log "Output", in Python's notation.
    """

    name = "LogRenderable"
    content = argument(checks.anything, nullable=True, positional=True)

    async def run(self) -> Result:
        self.bench.write("Output", pformat(self.content) + "\n")
        return Result.SUCCESS
