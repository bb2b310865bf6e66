"""
Several programs in one step.
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

    *command*: a list of words, or one string for the shell; may be rendered.  *logname* (in Buildbot *logfile*): its
    output becomes a log of this name as well, when it has ended (its first MiB).  *haltOnFailure*: its failure ends the
    step.
    *flunkOnFailure* (default True), *warnOnFailure*, *flunkOnWarnings*, *warnOnWarnings*: what its result makes of the
    step's, as a step's makes of the build's.
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
    Run several programs, one after the other.  The result is the worst of theirs, as the flags of each say.

    *commands*: a list of ``util.ShellArg(command=…)``.  All other arguments are those of `ShellCommand`, and are for
    every program.  A subclass may have ``shouldRunTheCommand(command)``, which leaves a program out by answering False,
    or call ``await self.runShellSequence(commands)`` with commands of its own.
    """

    name = "ShellSequence"
    command = argument(checks.anything, default=None, rendered=False)
    commands = argument(_commands, default=None, positional=True)

    def shouldRunTheCommand(self, command: Any) -> bool:
        """
        Whether *command* is run; one that is empty is not.
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
