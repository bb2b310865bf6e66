"""
A step that runs several programs.
"""

from typing import Any

from ...model.results import Result, counted
from ..config.argument_fit import NotingType
from ..config.arguments import ArgumentChecker
from . import argument_checks as checks
from .argument import argument
from .shell import ShellCommand

__all__ = ["ShellArg", "ShellSequence"]


class ShellArg(metaclass=NotingType):
    """
    One program of a `ShellSequence`.

    *command*: a list of words, or one string for the shell; may be rendered.  *logname* (in Buildbot *logfile*): a log
    to which the first MiB of the program's output is copied when it has ended.  *haltOnFailure*: a failure of the
    program ends the step.
    *flunkOnFailure* (default True), *warnOnFailure*, *flunkOnWarnings*, *warnOnWarnings*: how the result of the program
    affects that of the step, as these flags of a step do for the build.
    """

    def __init__(
        self,
        command: Any = None,
        logname: Any = None,
        *,
        logfile: Any = None,
        haltOnFailure: Any = False,
        flunkOnFailure: Any = True,
        warnOnFailure: Any = False,
        flunkOnWarnings: Any = False,
        warnOnWarnings: Any = False,
    ) -> None:
        checker = ArgumentChecker("ShellArg", self)
        if command is None:
            checker.note("it needs the argument 'command'.")
        self.command = command
        log = checker.one_of({"logname": logname, "logfile": logfile})
        self.logname = checker.optional(checker.label, "logname" if logfile is None else "logfile", log)
        self.haltOnFailure = checks.flag(checker, "haltOnFailure", haltOnFailure)
        self.flunkOnFailure = checks.flag(checker, "flunkOnFailure", flunkOnFailure)
        self.warnOnFailure = checks.flag(checker, "warnOnFailure", warnOnFailure)
        self.flunkOnWarnings = checks.flag(checker, "flunkOnWarnings", flunkOnWarnings)
        self.warnOnWarnings = checks.flag(checker, "warnOnWarnings", warnOnWarnings)


def _commands(checker: ArgumentChecker, name: str, value: Any) -> list[ShellArg]:
    if isinstance(value, (list, tuple)) and all(isinstance(each, ShellArg) for each in value):
        return list(value)
    checker.wrong(name, value, "a list of util.ShellArg(command=…)")
    return []


class ShellSequence(ShellCommand):
    """
    Run several programs, one after the other.  The result is the worst of their results, weighed by their flags.

    *commands*: a list of ``util.ShellArg(command=…)``.  All other arguments are those of `ShellCommand`, and apply to
    every program.  A subclass may override ``shouldRunTheCommand(command)``, which skips a program if it returns False,
    or call ``await self.runShellSequence(commands)`` with commands of its own.
    """

    name = "ShellSequence"
    command = argument(checks.anything, default=None, rendered=False)
    commands = argument(_commands, default=None, positional=True)

    def shouldRunTheCommand(self, command: Any) -> bool:
        """
        Whether to run *command*, which is rendered.  By default, an empty command is skipped.
        """
        return bool(command)

    async def run(self) -> Result:
        return await self.runShellSequence(self.commands or [])

    async def runShellSequence(self, commands: list[ShellArg]) -> Result:
        """
        Run *commands*; return the result.
        """
        whole, sentences = Result.SUCCESS, []
        for each in commands:
            command = await self.render(each.command)
            if not self.shouldRunTheCommand(command):
                continue
            self.command = checks.command(ArgumentChecker(self.name), "command", command)
            ran = await self.do(self.spec())
            if each.logname is not None:
                self.bench.write(each.logname, ran.output())
            await self.observe(ran)
            result = self.judge(ran)
            if self.summary:
                words = self.command if isinstance(self.command, str) else " ".join(self.command)
                sentences.append(f"{words:.60}: {self.summary}")
            whole, ends = counted(result, each, whole)
            if ends:
                break
        self.summary = "; ".join(sentences)
        return whole
