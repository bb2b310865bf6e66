"""
Check and apply configurations; start and stop masters, slaves and web processes.
"""

import os
from collections.abc import Callable
from functools import partial

import click

from ...errors import BuildbotLiteError, ConfigError, NotRunningError, sentence
from .. import processes
from ..asking.farm_command import FarmClient, FarmCommand
from ..command_line.groups import Commands, directory_argument
from ..command_line.quantities import SECONDS
from ..output.printing import note, tell
from ..processes import Kind
from .starting import start_unless_running
from .stopping import left_running, stop_running

commands = Commands()


patience_option = click.option(
    "--patience",
    type=SECONDS,
    default=60.0,
    show_default=True,
    help="How long to wait for the process.",
)


@commands.command(short_help="List the mistakes in master.cfg, with their lines.")
@directory_argument
def checkconfig(directory: str) -> None:
    """
    List the mistakes in master.cfg, with their lines.

    If there are none, the command says so.  It also prints remarks, for example about settings without effect.
    """
    from ...master.trial_load import TrialLoad

    processes.need_a_master(directory)
    found = TrialLoad(directory).run()
    counts = [(found.slaves, "slave"), (found.builders, "builder"), (found.schedulers, "scheduler")]
    for remark in found.remarks:
        tell(remark)
    text = ", ".join(f"{count} {noun}{'' if count == 1 else 's'}" for count, noun in counts)
    tell(f"{os.path.join(directory, 'master.cfg')} is good: {text}.")


@commands.command(cls=FarmCommand)
def reconfig(farm: FarmClient) -> None:
    """
    Have the running master apply master.cfg as it is now.

    If it has a mistake, nothing is applied.  Running builds keep the configuration that they began with.
    """
    answer = farm.ask({"ask": "reconfig"})
    if not answer["applied"]:
        raise ConfigError("\n".join([*answer["mistakes"], "Nothing was applied; the master goes on as before."]))
    changes = [
        f"{noun} {verb}: {', '.join(answer[noun][verb])}"
        for noun in ("slaves", "builders", "schedulers")
        for verb in ("added", "removed")
        if answer[noun][verb]
    ]
    tell("The configuration was applied" + (f" ({'; '.join(changes)})." if changes else "."))
    for remark in answer.get("remarks", ()):
        note(str(remark))


@commands.command()
@directory_argument
@patience_option
def start(directory: str, patience: float) -> None:
    """
    Start a master, slave or web process in the background.

    The process is started with "twistd -y" and its tac file.  For a master, the command waits until it answers, and
    starts the web process in DIR/web, if there is one.  For a slave, the command waits until the slave is connected, or
    says why it is not: no master answers (exit code 69) or the master refuses it (70).  Such a slave keeps running, and
    keeps trying.

    If one runs already, nothing is done.
    """
    in_turn(*(partial(start_unless_running, each, patience) for each in processes.directories_of(directory)))


@commands.command()
@directory_argument
@click.option("--when-idle", is_flag=True, help="Take no new builds, and stop when the last running one has ended.")
@click.option("--kill", is_flag=True, help="For a slave: also kill its commands.  Without this they keep running.")
@patience_option
def stop(directory: str, when_idle: bool, kill: bool, patience: float) -> None:
    """
    Stop the master, slave or web process in DIR.

    With a master, the web process in DIR/web is stopped, too, if there is one.

    Running builds continue when it is started again.  The commands of a slave's builds go on meanwhile, at most for
    the grace of their builds; --kill ends them.
    """
    kind = processes.kind_of(directory)
    if kill and kind is Kind.MASTER:
        raise click.UsageError("--kill is for slaves: a master runs nothing that could be killed.  See: cancel")
    if kind is Kind.WEB and (kill or when_idle):
        raise click.UsageError("--kill and --when-idle are not for a web process: it has no builds.")
    if kill and when_idle:
        raise click.UsageError("Give --when-idle or --kill, not both.")
    first, *web = processes.directories_of(directory)
    stopping = partial(_stop, first, kind, when_idle=when_idle, kill=kill, patience=patience)
    stopping_web = [partial(_stop_web, each, patience) for each in web]
    # While a master waits for its builds, people look at them; else nobody shall see pages of a stopped master.
    in_turn(*((stopping, *stopping_web) if when_idle else (*stopping_web, stopping)))


@commands.command()
@directory_argument
@click.option("--when-idle", is_flag=True, help="Take no new builds, and restart when the last running one has ended.")
@patience_option
def restart(directory: str, when_idle: bool, patience: float) -> None:
    """
    Stop the process in DIR if it runs, and start it.

    With a master, the web process in DIR/web is restarted, too, if there is one.

    A master is stopped only if its master.cfg has no mistakes and its ports are free.  The command waits until the new
    process answers.
    """
    kind = processes.kind_of(directory)
    if kind is Kind.WEB and when_idle:
        raise click.UsageError("--when-idle is not for a web process: it has no builds.")
    if kind is Kind.MASTER:
        _refuse_mistakes(directory)
    first, *web = processes.directories_of(directory)
    restarting = partial(_restart, first, when_idle=when_idle, patience=patience)
    stopping = [partial(_stop_if_running, each, when_idle=False, patience=patience) for each in web]
    starting = [partial(start_unless_running, each, patience) for each in web]
    in_turn(*((restarting, *stopping) if when_idle else (*stopping, restarting)), *starting)


def in_turn(*works: Callable[[], object]) -> None:
    """
    Call each of *works*, also after one that failed.  The first error is raised at the end, the others are printed.
    """
    errors: list[BuildbotLiteError | OSError] = []
    for work in works:
        try:
            work()
        except (BuildbotLiteError, OSError) as error:
            errors.append(error)
    for other in errors[1:]:
        note(sentence(other))
    if errors:
        raise errors[0]


def _stop(directory: str, kind: Kind, *, when_idle: bool, kill: bool, patience: float) -> None:
    try:
        stop_running(directory, when_idle=when_idle, kill=kill, patience=patience)
    except NotRunningError:
        if not kill or not processes.kill_left_behind(directory, patience):
            raise
        tell(f"No slave runs in {directory}.  Commands that an earlier one left running were killed.")
    else:
        if kill:
            # The signal kills a slave that has no handler yet; its keeper then still runs.
            processes.kill_left_behind(directory, patience)
        tell(f"The {kind.noun} in {directory} has stopped.")
        if kind is Kind.SLAVE and not kill and (sentence := left_running(directory)):
            note(sentence)


def _stop_web(directory: str, patience: float) -> None:
    """
    Stop the web process beside a master, which need not run.
    """
    try:
        _stop(directory, Kind.WEB, when_idle=False, kill=False, patience=patience)
    except NotRunningError as error:
        note(str(error))


def _restart(directory: str, *, when_idle: bool, patience: float) -> None:
    _stop_if_running(directory, when_idle=when_idle, patience=patience)
    start_unless_running(directory, patience)


def _stop_if_running(directory: str, *, when_idle: bool, patience: float) -> None:
    try:
        stop_running(directory, when_idle=when_idle, kill=False, patience=patience)
    except NotRunningError as error:
        note(str(error))


def _refuse_mistakes(directory: str) -> None:
    from ...master.trial_load import TrialLoad

    try:
        processes.running_in(directory).close()
        ports = "ours"
    except NotRunningError:
        ports = "free"
    try:
        TrialLoad(directory, ports=ports).run()
    except ConfigError as error:
        raise ConfigError(f"{error}\nNothing was stopped or started.") from None
