"""
Running programs on the slave.
"""

from collections.abc import Mapping
from typing import Any

from ...model.results import Result
from ...model.spec import (
    DEFAULT_SIGTERM_TIME,
    DEFAULT_TIMEOUT,
    Run,
)
from ..config.arguments import ArgumentChecker
from . import argument_checks as checks
from .argument import argument, ignored
from .outcomes import SUCCEEDS_WITH_0, result_of
from .step import (
    BuildStep,
    CommandResult,
    awaited,
)

__all__ = ["Configure", "MasterShellCommand", "SetPropertyFromCommand", "ShellCommand"]


class ShellCommand(BuildStep):
    """
    Run a program.  Exit code 0 is SUCCESS, any other FAILURE, unless *decodeRC* says otherwise.

    *command*: a list of words, which reach the program exactly so; or one string, for ``/bin/sh -c``.
    *workdir*: where, relative to the builder's directory; default "build".  It is made if it is not there.
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
    workdir = argument(checks.path, default=None)
    env = argument(checks.environment, default=None)
    stdin = argument(checks.text, default=None, aliases=("initialStdin",))
    timeout = argument(checks.seconds, default=DEFAULT_TIMEOUT, nullable=True)
    maxTime = argument(checks.seconds, default=None, nullable=True)
    interruptSignal = argument(checks.signal_name, default="TERM")
    sigtermTime = argument(checks.seconds, default=DEFAULT_SIGTERM_TIME)
    logfiles = argument(checks.logfiles, default=None)
    logMaxSize = argument(checks.whole, default=None, nullable=True)
    usePTY = argument(checks.flag, default=False)
    separateStderr = argument(checks.flag, default=False)
    decodeRC = argument(checks.decode_rc, default=SUCCEEDS_WITH_0)
    leaveRunning = argument(checks.flag, default=False)
    want_stdout = argument(checks.flag, default=True)
    want_stderr = argument(checks.flag, default=True)
    lazylogfiles = ignored()
    logEnviron = ignored()
    collectStdout = ignored()
    collectStderr = ignored()

    def check(self, checker: ArgumentChecker) -> None:
        """
        A terminal has one output.
        """
        if self.usePTY is True and self.separateStderr is True:
            checker.note("usePTY and separateStderr exclude each other: a terminal has one output.")

    def spec(self) -> Run:
        """
        The command for the slave.
        """
        return Run(
            **self._words(),
            workdir=self.workdir_path(self.workdir),
            env=self.env or {},
            stdin=self.stdin,
            timeout=self.timeout,
            max_time=self.maxTime,
            interrupt_signal=self.interruptSignal,
            sigterm_time=self.sigtermTime,
            logfiles=self.logfiles or {},
            cap=self.logMaxSize,
            pty=self.usePTY,
            separate_stderr=self.separateStderr,
            leave_running=self.leaveRunning,
        )

    def _words(self) -> dict[str, Any]:
        command = self.command
        nowhere = [f"{number}>/dev/null" for number, want in ((1, self.want_stdout), (2, self.want_stderr)) if not want]
        if isinstance(command, str):
            return {"script": f"exec {' '.join(nowhere)}\n{command}" if nowhere else command}
        if nowhere:
            return {"argv": ("/bin/sh", "-c", f'exec "$@" {" ".join(nowhere)}', *command[:1], *command)}
        return {"argv": tuple(command)}

    async def run(self) -> Result:
        """
        Run the program once.
        """
        ran = await self.do(self.spec())
        return self.judge(ran)

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
        result = self.judge(ran)
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
    such commands; default: that directory.  To work elsewhere, say so in the command.
    """

    name = "MasterShellCommand"
    haltOnFailure = True
    command = argument(checks.command, positional=True)
    workdir = "."

    async def run(self) -> Result:
        """
        Run the program once, under the master's own keeper.
        """
        ran = await self.do(self.spec(), on_master=True)
        return self.judge(ran)


def _counted(properties: int) -> str:
    return f"{properties} {'property' if properties == 1 else 'properties'} set"
