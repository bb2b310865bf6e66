"""
Steps that run a program on the slave, or on the master.
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

    *command*: a list of words, which the program gets unchanged; or one string, for ``/bin/sh -c``.
    *workdir*: the working directory, relative to the builder's directory; default "build".  It is made if it does not
    exist.  A path that begins with ``../`` leads to another directory in the slave's ``work``; an absolute one, or one
    that begins with ``~/``, to any directory of the slave's machine.
    *env*: variable → text to add to the slave's environment; None removes it, a list is joined with colons, and
    ``${NAME}`` stands for the slave's own value, ``$${NAME}`` for the text ``${NAME}``.
    *stdin* (or *initialStdin*): text for its standard input; default: empty.
    *timeout*: seconds without output after which it is killed, default 1200; None: never.
    *maxTime*: seconds after which it is killed in any case; default None: never.
    *interruptSignal*: the signal that it gets first when it is killed, default "TERM"; *sigtermTime*: seconds until
    SIGKILL follows, default 10.
    *logfiles*: log → path of a file, relative to *workdir*, which is copied to that log while it grows.
    *logMaxSize*: bytes of output, of all logs together, after which it is killed; default None: no limit.
    *usePTY*: run it in a pseudo-terminal; default False.
    *separateStderr*: standard error becomes the log "stderr"; default False: both outputs are in "stdio".
    *decodeRC*: exit code → result, default ``{0: SUCCESS}``.
    *leaveRunning*: do not kill processes that it left behind; default False.
    *want_stdout*, *want_stderr*: False discards that output; default True.

    Without effect: *lazylogfiles* (a log appears with its first byte in any case), *logEnviron* (environments are not
    logged), *collectStdout* and *collectStderr* (the output can always be read).
    """

    name = "shell"

    command = argument(checks.command)

    def check(self, checker: ArgumentChecker) -> None:
        """
        Refuse *logfiles* with an absolute *workdir*, and *usePTY* with *separateStderr*.
        """
        if self.logfiles and isinstance(self.workdir, str) and is_absolute(self.workdir):
            checker.note("with logfiles, workdir must not be absolute.")
        if self.usePTY is True and self.separateStderr is True:
            checker.note("usePTY and separateStderr exclude each other: a terminal has one output.")

    async def run(self) -> Result:
        return await self.conclude(await self.do(self.spec()))

    async def conclude(self, ran: CommandResult) -> Result:
        """
        Pass the output to the observers, call the methods that steps for Buildbot override, and return the result.
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
        Called when the *command* has ended; subclasses override this.
        """

    def createSummary(self, log: OutputLog) -> Any:
        """
        Called with the output of the command; subclasses override this.
        """

    def evaluateCommand(self, command: RemoteShell) -> Any:
        """
        The result of the step.  A subclass may decide it by ``command.rc`` or by the output.
        """
        return command.results()

    def setCommand(self, command: Any) -> None:
        """
        Replace the command that the step will run.
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
    Run a program, and set properties from its output.

    The arguments are those of `ShellCommand`, and one of these two:
    *property*: the name of a property, which gets the standard output if the command succeeds; without the white space
    around it, unless *strip* is False.
    *extract_fn*: a function of exit code, standard output and standard error, which returns a dictionary of properties.
    It is called for any exit code, and may be a coroutine function.

    *includeStdout* (default True), *includeStderr* (default False): whether *extract_fn* gets that output, or "".
    Standard error is a separate log.  The first MiB of each output is used.
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
        Require either *property* or *extract_fn*.
        """
        super().check(checker)
        if (self.property is None) is (self.extract_fn is None):
            checker.note("give either property, a name, or extract_fn, a function.")

    async def run(self) -> Result:
        ran = await self.do(self.spec())
        result = await self.conclude(ran)
        if self.extract_fn is not None and ran.outcome.exit_code is not None:
            out = ran.output() if self.includeStdout else ""
            err = ran.output("stderr") if self.includeStderr and self.separateStderr else ""
            found = await awaited(self.extract_fn(ran.outcome.exit_code, out, err))
            if not isinstance(found, Mapping):
                return self.fail(f"extract_fn returned {found!r:.60}, which is not a dictionary of properties.")
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

    The arguments are those of `ShellCommand`.  *workdir* is relative to a directory on the master that belongs to the
    builder; default: that directory.  It may be another one: absolute, or beginning with ``~/``, or with ``../``, and
    then relative to the master's directory.  The property ``artifactsdir`` has the directory of the build's artifacts.
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
        The absolute working directory, if it is outside the builder's directory on the master; otherwise None.
        """
        return absolute(self.workdir, self.bench.master_directory) if leads_outside(self.workdir) else None

    async def run(self) -> Result:
        return await self.conclude(await self.do(self.spec(), on_master=True))


def _counted(properties: int) -> str:
    return f"{properties} {'property' if properties == 1 else 'properties'} set"
