"""
The program: all commands, and how errors become sentences and exit codes.

Each error is one sentence on standard error and an exit code; ``--debug`` adds the traceback.

Exit codes 0, 1, 2 and 4 belong to builds, as with ``flappclient``: a script must be able to tell a failed build from
a request that failed.  The command's own are those of sysexits.h: `USAGE`,
`NO_ANSWER`, and `FAILED` for everything else.  docs/commands.md has the table.
"""

import errno
import os
import sys
from contextlib import suppress

import click

from .. import __version__, errors
from ..errors import (
    BuildbotLiteError,
    LinkLostError,
    NoAnswerError,
)
from ..model.display import printable
from ..model.suggestions import nearest
from . import CUT_OFF
from .asking.farm_command import FarmCommand
from .builds import builds, follow, history, trying
from .command_line.groups import DIRECTORY, MASTER_PACKAGES, Program
from .command_line.next_commands import said_here
from .directories import backup, create, furl, lifecycle
from .farm import changes, grant, grants, show, slaves
from .output.printing import LONGEST_SENTENCE
from .packages import commands as package
from .watch import command as watch

USAGE = 64
NO_ANSWER = 69
FAILED = 70
_KINDS = {
    "a valid integer range": "a whole number",
    "a valid integer": "a whole number",
    "a valid float range": "a number",
}
"""What click calls the kinds of numbers."""


@click.group(
    cls=Program,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="A new farm: buildbot-lite create-master farm, then what that prints.  Options and arguments of a command: "
    "buildbot-lite COMMAND --help",
)
@click.option("-C", "directory", metavar="DIR", help="The directory of the command, instead of the current one.")
@click.option("--debug", is_flag=True, help="Show tracebacks.")
@click.version_option(__version__, prog_name="buildbot-lite")
@click.pass_context
def program(ctx: click.Context, directory: str | None, debug: bool) -> None:
    """
    A build farm in which a slave is one string.

    DIR is the directory of a master, a slave or a web process.  Commands with [DIR] use the current directory, or the
    one of -C, or the one that is their first argument.
    """
    if directory is None:
        return
    if not directory:
        raise click.UsageError("-C needs a directory, and this is an empty word.", ctx)
    name = ctx.invoked_subcommand or ""
    if not _takes_directory(program.get_command(ctx, name)):
        raise click.UsageError(f"{name} takes no -C DIR.", ctx)
    ctx.meta[DIRECTORY] = directory


def _takes_directory(command: click.Command | None) -> bool:
    if isinstance(command, FarmCommand | click.Group):
        return True
    return command is not None and any(param.name == "directory" and not param.required for param in command.params)


for _heading, *_groups in (
    ("New directories", create.commands, furl.commands),
    ("Configuration and processes", lifecycle.commands),
    ("The farm now", show.commands, watch.commands),
    ("Builds", history.commands, builds.commands, trying.commands, follow.commands),
    ("Packages", package.commands),
    ("Changes", changes.commands),
    ("Slaves", slaves.commands),
    ("Strings", grant.commands, grants.commands),
    ("Backups", backup.commands),
):
    for _group in _groups:
        program.add_source(_group, _heading)


def main() -> None:
    """
    Run the command of this process, and exit.
    """
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        # None if the parent process had closed it (``>&-``): use /dev/null then.
        if getattr(sys, name) is None:
            setattr(sys, name, open(os.devnull, mode))  # noqa: SIM115 - until the end
    sys.exit(run(sys.argv[1:]))


def run(arguments: list[str], connect: object = None) -> int:
    """
    Run the command line *arguments*, and return the exit code.  *connect*: an `asking.connection.Connect` for tests.
    """
    try:
        code = program.main(arguments, prog_name="buildbot-lite", standalone_mode=False, obj=connect)
        sys.stdout.flush()
    except (BrokenPipeError, SystemExit):
        # The reader of the output is gone.  click would exit with 1, the code of a failed build.
        _let_go_of_output()
        return FAILED
    except (KeyboardInterrupt, click.Abort):
        return CUT_OFF
    except Exception as error:
        if "--debug" in arguments:
            raise
        _let_go_of_output()
        with suppress(OSError):  # nobody reads it
            click.echo(printable(sentence(error), longest=LONGEST_SENTENCE, lines=True, spaces=True), err=True)
        _let_go_of_output()
        return exit_code(error)
    return code if isinstance(code, int) else 0


def exit_code(error: Exception) -> int:
    """
    The code of a command that failed with *error*.
    """
    if isinstance(error, click.UsageError):
        return USAGE
    return NO_ANSWER if isinstance(error, NoAnswerError | LinkLostError) else FAILED


def _let_go_of_output() -> None:
    """
    Flush standard output and standard error or discard them, so that Python has no error to report at exit.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except OSError:
            os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


def _suggestion(error: click.NoSuchCommand | click.NoSuchOption) -> str | None:
    """
    The command or option of which the unknown one is probably a misspelling.
    """
    ctx = error.ctx
    if ctx is None:
        return None
    if isinstance(error, click.NoSuchOption):
        options = (param for param in ctx.command.get_params(ctx) if isinstance(param, click.Option))
        return nearest(error.option_name, (name for option in options for name in option.opts))
    group = ctx.command
    return nearest(error.command_name, group.list_commands(ctx)) if isinstance(group, click.Group) else None


def _is_of_command(error: click.NoSuchOption) -> bool:
    """
    Whether commands of the group that does not know the option of *error* have it.
    """
    ctx = error.ctx
    if ctx is None or not isinstance(ctx.command, click.Group):
        return False
    group = ctx.command
    commands = (group.get_command(ctx, name) for name in group.list_commands(ctx))
    return any(error.option_name in param.opts for each in commands if each is not None for param in each.params)


def _is_of_all(error: click.NoSuchOption) -> bool:
    """
    Whether the option of *error*, which was given to a command, is one of the whole program.
    """
    if error.ctx is None or error.ctx.parent is None:
        return False
    return any(error.option_name in param.opts for param in error.ctx.find_root().command.params)


def sentence(error: Exception) -> str:
    """
    The sentence for *error*.
    """
    if isinstance(error, click.exceptions.NoArgsIsHelpError):
        return error.format_message()
    if isinstance(error, click.NoSuchOption) and _is_of_command(error):
        return f"{error.message}  It is one of the command, and stands after its name."
    if isinstance(error, click.NoSuchOption) and _is_of_all(error):
        return f"{error.message}  It stands before the name of the command: buildbot-lite {error.option_name} …"
    if isinstance(error, click.NoSuchCommand | click.NoSuchOption) and (suggestion := _suggestion(error)):
        return f"{error.message}  Did you mean {suggestion!r}?"
    if isinstance(error, click.UsageError):
        path = error.ctx.command_path if error.ctx else "buildbot-lite"
        if isinstance(error, click.BadParameter) and isinstance(error.param, click.Argument) and error.ctx:
            # The name without the brackets of the usage line, which mark optional arguments.
            error.param_hint = repr(error.param.make_metavar(error.ctx).strip("[]."))
        said = error.format_message().removesuffix(".")
        for theirs, ours in _KINDS.items():
            said = said.replace(theirs, ours)
        if error.ctx is not None:
            with error.ctx.scope(cleanup=False):
                said = said_here(said)
        return f"{said}.  See: {path} --help"
    if isinstance(error, click.ClickException):
        return error.format_message()
    if isinstance(error, ModuleNotFoundError) and (error.name or "").partition(".")[0] in MASTER_PACKAGES:
        return "This command needs the master's packages.  Install them with: pip install 'buildbot-lite[master]'"
    if isinstance(error, OSError) and error.errno in (errno.ENOSPC, errno.EIO) and not error.filename:
        return f"Standard output: {errors.sentence(error)}"  # the only one that a command writes to without a name
    if isinstance(error, BuildbotLiteError) or (isinstance(error, OSError) and error.strerror):
        return errors.sentence(error)
    return (
        f"An error of buildbot-lite itself: {type(error).__name__}: {error}.  See where with: buildbot-lite --debug …"
    )
