"""
Running programs on the slave.
"""

from collections.abc import Mapping
from functools import partial
from typing import Any

from ...model.results import Result
from ...model.user_functions import awaited
from ..config.arguments import ArgumentChecker
from ..config.mistakes import once_loaded
from . import argument_checks as checks
from .argument import argument
from .artifact_uses import remark_on_uploads
from .context import CommandResult
from .master_paths import absolute, is_absolute, leads_outside
from .mixins import RemoteShell, ShellMixin
from .outcomes import result_of
from .own_logs import OutputLog
from .step import BuildStep

__all__ = ["Configure", "MasterShellCommand", "SetPropertyFromCommand", "ShellCommand"]


class ShellCommand(ShellMixin, BuildStep):
    """
    Run a program.  Exit code 0 is SUCCESS, any other FAILURE, unless *decodeRC* says otherwise.

    *command*: a list of words, which reach the program exactly so; or one string, for ``/bin/sh -c``.
    *workdir*: where, relative to the builder's directory; default "build".  It is made if it is not there.  It may lead
    to another directory: with ``../`` to one of the slave's ``work``, and absolute, or with ``~/``, anywhere.
    *env*: variable → text to add to the slave's environment; None removes it, a list is joined with colons, and
    ``${NAME}`` stands for the slave's own value, ``$${NAME}`` for the text ``${NAME}``.
    *stdin* (or *initialStdin*): text to feed; without it, standard input is empty.
    *timeout*: seconds without output after which it is killed, default 1200; None: never.
    *maxTime*: seconds in all after which it is killed; default None: never.
    *interruptSignal*: the first signal that it gets then, default "TERM"; *sigtermTime*: seconds after which SIGKILL
    follows, default 10.
    *logfiles*: log → path of a file, relative to *workdir*, whose contents become that log while the file grows.
    *logMaxSize*: bytes of output, of all logs together, after which it is killed; default None: no limit.
    *usePTY*: run it in a pseudo-terminal; default False.
    *separateStderr*: standard error becomes a log of its own, "stderr"; default False: both are "stdio", in order.
    *decodeRC*: exit code → result, default ``{0: SUCCESS}``.
    *leaveRunning*: processes that it left behind are not killed; default False.
    *want_stdout*, *want_stderr*: False: what it writes there goes nowhere; default True.

    Without effect: *lazylogfiles* (a log exists from its first byte on anyhow), *logEnviron* (environments are not
    logged), *collectStdout* and *collectStderr* (the output can always be read).
    """

    name = "shell"

    command = argument(checks.command)

    def check(self, checker: ArgumentChecker) -> None:
        """
        A terminal has one output; log files are followed by the keeper, in the slave's own directories.
        """
        if self.logfiles and isinstance(self.workdir, str) and is_absolute(self.workdir):
            checker.note("logfiles are relative to workdir, which must not be absolute then.")
        if self.usePTY is True and self.separateStderr is True:
            checker.note("usePTY and separateStderr exclude each other: a terminal has one output.")

    async def run(self) -> Result:
        return await self.conclude(await self.do(self.spec()))

    async def conclude(self, ran: CommandResult) -> Result:
        """
        Have observers, and the methods that Buildbot's steps may override, look at the output; return the result.
        """
        result = self.judge(ran)
        await self.observe(ran)
        command = RemoteShell(self.spec(), self.decodeRC)
        command.ended(ran, result)
        await awaited(self.commandComplete(command))
        await awaited(self.createSummary(command.logs["stdio"]))
        found = await awaited(self.evaluateCommand(command))
        return result if found is None else Result(found)

    def commandComplete(self, command: RemoteShell) -> Any:
        """
        Called when the *command* has ended; for subclasses.
        """

    def createSummary(self, log: OutputLog) -> Any:
        """
        Called with the output; for subclasses.
        """

    def evaluateCommand(self, command: RemoteShell) -> Any:
        """
        The result; a subclass may decide it by ``command.rc``, or by what it found in the output.
        """
        return command.results()

    def setCommand(self, command: Any) -> None:
        """
        Run another command.
        """
        self.command = command

    def judge(self, ran: CommandResult) -> Result:
        """
        The result for the outcome of *ran*; sets `summary`.
        """
        result, self.summary = result_of(ran.outcome, self.slave_name, self.decodeRC)
        return result


class Configure(ShellCommand):
    """
    A `ShellCommand` that runs ``./configure``; its failure ends the build.
    """

    name = "configure"
    haltOnFailure = True
    command = ("./configure",)


class SetPropertyFromCommand(ShellCommand):
    """
    Run a program, and make a property of what it writes.

    Everything that `ShellCommand` takes, and one of these two:
    *property*: the name of the property that gets the standard output, without the white space around it unless *strip*
    is False; it is set when the command succeeded.
    *extract_fn*: a function of exit code, standard output and standard error, which answers a dictionary of properties;
    it is called whatever the exit code, and may be a coroutine function.

    *includeStdout* (default True), *includeStderr* (default False): whether *extract_fn* gets them, or "".
    Standard error is a log of its own.  The first 1 MiB of each is looked at.
    """

    name = "setproperty"

    property = argument(checks.word, default=None)
    extract_fn = argument(checks.function, default=None)
    strip = argument(checks.flag, default=True)
    includeStdout = argument(checks.flag, default=True)
    includeStderr = argument(checks.flag, default=False)
    separateStderr = True

    def check(self, checker: ArgumentChecker) -> None:
        """
        One of *property* and *extract_fn*.
        """
        super().check(checker)
        if (self.property is None) is (self.extract_fn is None):
            checker.note("give either property, a name, or extract_fn, a function.")

    async def run(self) -> Result:
        """
        Run the program, and set properties from its output.
        """
        ran = await self.do(self.spec())
        result = await self.conclude(ran)
        if self.extract_fn is not None and ran.outcome.exit_code is not None:
            out = ran.output() if self.includeStdout else ""
            err = ran.output("stderr") if self.includeStderr and self.separateStderr else ""
            found = await awaited(self.extract_fn(ran.outcome.exit_code, out, err))
            if not isinstance(found, Mapping):
                return self.fail(f"extract_fn answered {found!r:.60}, which is no dictionary of properties.")
            for name, value in found.items():
                self.setProperty(name, value)
            self.summary = self.summary or _counted(len(found))
        elif self.property is not None and result in {Result.SUCCESS, Result.WARNINGS}:
            text = ran.output()
            value = text.strip() if self.strip else text
            self.setProperty(self.property, value.replace("\0", "\N{REPLACEMENT CHARACTER}"))
            self.summary = self.summary or f"property {self.property!r} set"
        return result


class MasterShellCommand(ShellCommand):
    """
    Run a program on the master's machine, as the master's user.

    Everything that `ShellCommand` takes.  *workdir* is relative to a directory of the builder's own that is kept for
    such commands; default: that directory.  It may be another one: absolute, or beginning with ``~/``, or with
    ``../`` and then relative to the master's directory.  The artifacts of the build are in the directory that the
    property ``artifactsdir`` names.
    """

    name = "MasterShellCommand"
    haltOnFailure = True
    command = argument(checks.command, positional=True)
    workdir = argument(checks.master_directory, default=".")

    def constructed(self) -> None:
        """
        Called when all constructors have returned.
        """
        super().constructed()
        once_loaded(partial(remark_on_uploads, self), of=self)

    def elsewhere(self) -> str | None:
        """
        The directory, if it is outside the one that is kept for such commands.
        """
        return absolute(self.workdir, self.bench.master_directory) if leads_outside(self.workdir) else None

    async def run(self) -> Result:
        """
        Run the program once, under the master's own keeper.
        """
        return await self.conclude(await self.do(self.spec(), on_master=True))


def _counted(properties: int) -> str:
    return f"{properties} {'property' if properties == 1 else 'properties'} set"
