"""
`ShellMixin` and `CommandMixin`: methods with which steps that were written for Buildbot run commands.

The methods return Deferreds, so that a step may ``yield`` them in ``@inlineCallbacks`` or ``await`` them.  They act
through the step's context only, which records each effect in the journal.
"""

from collections.abc import Mapping
from copy import copy
from functools import partial
from typing import TYPE_CHECKING, Any

from ...errors import ConfigError
from ...model import spec
from ...model.results import Result
from ...model.spec import DEFAULT_SIGTERM_TIME, DEFAULT_TIMEOUT, Run
from ..config.arguments import ArgumentChecker
from ..slaves.command_streams import STDIO
from . import argument_checks as checks
from .argument import argument, declaration, ignored
from .buildbot_style import deferring
from .context import CommandResult
from .master_paths import check_rendered, is_absolute
from .outcomes import SUCCEEDS_WITH_0, result_of
from .own_logs import OutputLog
from .step import BuildStep, BuildStepFailed

if TYPE_CHECKING:
    _Step = BuildStep
else:
    # A class may derive from these before or after BuildStep.
    _Step = object

_MOST_OUTPUT = 16 << 20


class RemoteShell:
    """
    A command of a step, before and after it ran.

    *spec*: what to run.  *decode*: exit code → result.  *log*: the log whose observers get the output; None: none do.
    *rc*: the exit code, or -1 after a signal; None before the end.  *logs*: name → log.  The first 16 MiB of each log
    can be read.
    """

    def __init__(self, what: Run, decode: Mapping[int, Result], log: str | None = STDIO) -> None:
        self.spec = what
        self.decode = decode
        self.log = log
        self.rc: int | None = None
        streams = {"stderr": "stderr"} if log is None else {log: STDIO, "stderr": "stderr"}
        self.logs = {name: OutputLog(name, partial(self._output, stream)) for name, stream in streams.items()}
        self._ran: CommandResult | None = None
        self._result = Result.EXCEPTION

    def ended(self, ran: CommandResult, result: Result) -> None:
        """
        Set the outcome of the command, and the *result* that the step made of it.
        """
        self._result = result
        # As in Buildbot, a command that a signal ended has the exit code -1.
        self.rc = -1 if ran.outcome.exit_code is None else ran.outcome.exit_code
        self._ran = ran

    @property
    def stdout(self) -> str:
        """
        The standard output; with the standard error in it, unless that is a separate log.
        """
        return self._output("stdio")

    @property
    def stderr(self) -> str:
        """
        The standard error, if it is a separate log; otherwise empty.
        """
        return self._output("stderr")

    def _output(self, log: str) -> str:
        return "" if self._ran is None else self._ran.output(log, limit=_MOST_OUTPUT)

    def results(self) -> Result:
        """
        The result that the step's *decodeRC*, or its method ``judge``, made of the outcome.
        """
        return self._result

    def didFail(self) -> bool:
        """
        Whether the result is neither SUCCESS nor WARNINGS.
        """
        return self._result not in {Result.SUCCESS, Result.WARNINGS}


# The keeper starts commands only in its own directories, so a shell changes to any other.
_ELSEWHERE = """\
case $1 in "~/"*) there=$HOME/${1#??} ;; *) there=$1 ;; esac
shift
mkdir -p -- "$there" && cd -- "$there" && exec "$@"
"""


class ShellMixin(_Step):
    """
    Arguments and methods for steps that run programs.  `ShellCommand` describes the arguments.
    """

    command = argument(checks.command, default=None)
    workdir = argument(checks.workdir, default=None)
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

    def spec(self) -> Run:
        """
        The command for the slave.
        """
        words, elsewhere = self._words(), self.elsewhere()
        if elsewhere is not None:
            program = words.get("argv") or ("/bin/sh", "-c", words["script"])
            words = {"argv": ("/bin/sh", "-c", _ELSEWHERE, "cd", elsewhere, *program)}
        return Run(
            **words,
            workdir=self.workdir_path(self.workdir if elsewhere is None else "."),
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

    def elsewhere(self) -> str | None:
        """
        The working directory, if it is outside the directories in which the keeper starts commands; otherwise None.
        """
        return self.workdir if self.workdir and is_absolute(self.workdir) else None

    def _words(self) -> dict[str, Any]:
        command = self.command
        nowhere = [f"{number}>/dev/null" for number, want in ((1, self.want_stdout), (2, self.want_stderr)) if not want]
        if isinstance(command, str):
            return {"script": f"exec {' '.join(nowhere)}\n{command}" if nowhere else command}
        if nowhere:
            return {"argv": ("/bin/sh", "-c", f'exec "$@" {" ".join(nowhere)}', *command[:1], *command)}
        return {"argv": tuple(command)}

    def setupShellMixin(self, constructorArgs: Mapping[str, Any], prohibitArgs: Any = ()) -> dict[str, Any]:
        """
        The arguments *constructorArgs*, for the base's constructor, without those in *prohibitArgs*, which are noted as
        mistakes.
        """
        for name in sorted(set(prohibitArgs or ()) & set(constructorArgs)):
            ArgumentChecker(type(self).__name__, self).note(f"it does not take the argument {name!r}.")
        return {name: each for name, each in constructorArgs.items() if name not in (prohibitArgs or ())}

    @deferring
    async def makeRemoteShellCommand(
        self,
        collectStdout: bool = False,
        collectStderr: bool = False,
        stdioLogName: str | None = STDIO,
        **overrides: Any,
    ) -> RemoteShell:
        """
        A command with the arguments of the step, of which *overrides* replaces some.

        *collectStdout*, *collectStderr*: either makes standard error a separate log.  *stdioLogName*: the log that gets
        the output, and whose observers get it; None: the log "stdio", and no observer gets the output.
        """
        like, declared = copy(self), declaration(type(self))
        checker = ArgumentChecker(self.name)
        for name, value in overrides.items():
            if name not in declared.names:
                raise ConfigError(f"{type(self).__name__}: makeRemoteShellCommand has no argument {name!r:.60}.")
            each = declared.arguments[declared.names[name]]
            rendered = await self.render(value)
            checked = None if rendered is None else check_rendered(checker, name, each.check, value, rendered)
            setattr(like, declared.names[name], checked)
        if like.command is None:
            raise ConfigError(f"{type(self).__name__}: makeRemoteShellCommand needs a command.")
        if (collectStdout or collectStderr) and not like.usePTY:
            like.separateStderr = True
        if stdioLogName not in (None, STDIO):
            checks.is_log_name(checker, "stdioLogName", stdioLogName)
            if stdioLogName in (like.logfiles or {}):
                raise ConfigError(f"{type(self).__name__}: stdioLogName {stdioLogName!r:.60} is also one of logfiles.")
        return RemoteShell(like.spec(), like.decodeRC, stdioLogName)

    @deferring
    async def runCommand(self, command: RemoteShell) -> RemoteShell:
        """
        Run *command*, and return it with its outcome.
        """
        ran = await self.do(command.spec, log=command.log or STDIO)
        result, self.summary = result_of(ran.outcome, self.slave_name, command.decode)
        command.ended(ran, result)
        await self.observe(ran, command.log)
        return command


class CommandMixin(_Step):
    """
    Methods for work with files and directories on the slave.  Paths are relative to the builder's directory.

    After a failure, the methods with *abandonOnFailure* raise `BuildStepFailed` if it is True, and otherwise return
    False or None.  *log* has no effect.
    """

    @deferring
    async def runMkdir(self, dir: str, log: Any = None, abandonOnFailure: bool = True) -> bool:  # noqa: A002
        """
        Make the directory *dir* and its missing parents.
        """
        return self._succeeded(await self.do(spec.MakeDirectory(self.workdir_path(dir))), abandonOnFailure)

    @deferring
    async def runRmdir(
        self,
        dir: str,  # noqa: A002
        log: Any = None,
        abandonOnFailure: bool = True,
        timeout: float | None = None,  # noqa: ASYNC109 - the slave's, not ours
    ) -> bool:
        """
        Remove the directory *dir* with its contents.  *timeout*: the longest duration in seconds; default 3600.
        """
        removal = spec.RemoveDirectory(self.workdir_path(dir), timeout or spec.DEFAULT_MAX_TIME)
        return self._succeeded(await self.do(removal), abandonOnFailure)

    @deferring
    async def runRmFile(self, path: str, log: Any = None, abandonOnFailure: bool = True) -> bool:
        """
        Remove the file *path*; a missing file is no error.
        """
        return self._succeeded(await self.execute(["rm", "-f", f"./{path}"], workdir="."), abandonOnFailure)

    @deferring
    async def pathExists(self, path: str, log: Any = None) -> bool:
        """
        Whether a file or directory exists at *path*.
        """
        return (await self.execute(["test", "-e", f"./{path}"], workdir=".")).outcome.succeeded

    @deferring
    async def runGlob(self, path: str, **options: Any) -> list[str]:
        """
        The existing paths that match the shell pattern *path*, sorted.
        """
        # An empty IFS: blanks do not divide the pattern.  The shell leaves a pattern that matches nothing unchanged.
        script = 'IFS=; for each in $1; do [ ! -e "$each" ] || printf "%s\\000\\n" "$each"; done'
        ran = await self.execute(["/bin/sh", "-c", script, "glob", path], workdir=".")
        self._succeeded(ran, abandon=True)
        return sorted(each for each in ran.output(limit=_MOST_OUTPUT).split("\0\n") if each)

    @deferring
    async def getFileContentFromWorker(self, filename: str, abandonOnFailure: bool = False) -> str | None:
        """
        The first 16 MiB of the file *filename*, which is relative to the step's *workdir*, as text.
        """
        ran = await self.execute(["cat", f"./{filename}"], workdir=getattr(self, "workdir", None))
        return ran.output(limit=_MOST_OUTPUT) if self._succeeded(ran, abandonOnFailure) else None

    def _succeeded(self, ran: CommandResult, abandon: bool) -> bool:
        if abandon and not ran.outcome.succeeded:
            raise BuildStepFailed(result_of(ran.outcome, self.slave_name)[1])
        return ran.outcome.succeeded
