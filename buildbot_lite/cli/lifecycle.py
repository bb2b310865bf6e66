"""
Check and apply configurations; start and stop masters, slaves and web processes.
"""

import os
import signal
import time

import click

from ..errors import (
    BuildbotLiteError,
    ConfigError,
    FurlError,
    NoAnswerError,
    NotRunningError,
)
from ..slave import connection_state
from . import processes
from .commands import Commands, directory_argument
from .connecting import wait_until_connected
from .connection import (
    FarmClient,
    FarmCommand,
    MasterLink,
    connect,
)
from .output import ProgressLine, note
from .processes import Kind, Process

commands = Commands()

LOOK = 1.0
"""Seconds between two checks of a process that should end."""
LOOK_WHETHER_READY = 0.2

patience_option = click.option(
    "--patience",
    type=click.FloatRange(1),
    metavar="SECONDS",
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
    from ..master.trial_load import TrialLoad

    processes.need_a_master(directory)
    found = TrialLoad(directory).run()
    counts = [(found.slaves, "slave"), (found.builders, "builder"), (found.schedulers, "scheduler")]
    for remark in found.remarks:
        click.echo(remark)
    text = ", ".join(f"{count} {noun}{'' if count == 1 else 's'}" for count, noun in counts)
    click.echo(f"{os.path.join(directory, 'master.cfg')} is good: {text}.")


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
    click.echo("The configuration was applied" + (f" ({'; '.join(changes)})." if changes else "."))
    for remark in answer.get("remarks", ()):
        note(str(remark))


@commands.command()
@directory_argument
@patience_option
def start(directory: str, patience: float) -> None:
    """
    Start a master, slave or web process in the background.

    The process is started with "twistd -y" and its tac file.  For a master, the command waits until it answers.  For
    a slave, the command waits until the slave is connected, or says why it is not: no master answers (exit code 69) or
    the master refuses it (70).  Such a slave keeps running, and keeps trying.

    If one runs already, nothing is done.
    """
    kind = processes.kind_of(directory)
    try:
        processes.running_in(directory).close()
    except NotRunningError:
        _start(directory, kind, patience)
    else:
        # Not an error: scripts may start what already runs.
        note(f"The {kind.noun} in {directory} runs already.")


@commands.command()
@directory_argument
@click.option("--when-idle", is_flag=True, help="Take no new builds, and stop when the last running one has ended.")
@click.option("--kill", is_flag=True, help="For a slave: also kill its commands.  Without this they keep running.")
@patience_option
def stop(directory: str, when_idle: bool, kill: bool, patience: float) -> None:
    """
    Stop the master, slave or web process in DIR.

    Running builds continue when it is started again.
    """
    kind = processes.kind_of(directory)
    if kill and kind is Kind.MASTER:
        raise click.UsageError("--kill is for slaves: a master runs nothing that could be killed.  See: cancel")
    if kind is Kind.WEB and (kill or when_idle):
        raise click.UsageError("--kill and --when-idle are not for a web process: it has no builds.")
    if kill and when_idle:
        raise click.UsageError("Give --when-idle or --kill, not both.")
    try:
        _stop(directory, kind, when_idle=when_idle, kill=kill, patience=patience)
    except NotRunningError:
        if not kill or not processes.kill_left_behind(directory, patience):
            raise
        click.echo(f"No slave runs in {directory}.  Commands that an earlier one left running were killed.")
    else:
        if kill:
            # The signal kills a slave that has no handler yet; its keeper then still runs.
            processes.kill_left_behind(directory, patience)
        click.echo(f"The {kind.noun} in {directory} has stopped.")


@commands.command()
@directory_argument
@click.option("--when-idle", is_flag=True, help="Take no new builds, and restart when the last running one has ended.")
@patience_option
def restart(directory: str, when_idle: bool, patience: float) -> None:
    """
    Stop the process in DIR if it runs, and start it.

    A master is stopped only if its master.cfg has no mistakes and its ports are free.  The command waits until the new
    process answers.
    """
    kind = processes.kind_of(directory)
    if kind is Kind.WEB and when_idle:
        raise click.UsageError("--when-idle is not for a web process: it has no builds.")
    if kind is Kind.MASTER:
        _refuse_mistakes(directory)
    try:
        _stop(directory, kind, when_idle=when_idle, kill=False, patience=patience)
    except NotRunningError as error:
        note(str(error))
    _start(directory, kind, patience)


def _start(directory: str, kind: Kind, patience: float) -> None:
    if kind is Kind.SLAVE:
        connection_state.forget(os.path.join(directory, "private"))
    processes.start(directory)
    if kind is Kind.MASTER:
        _wait_until_ready(directory, patience)
        click.echo(f"The master in {directory} was started.")
    elif kind is Kind.WEB:
        # It listens before it becomes a daemon.
        click.echo(f"The web process in {directory} was started.")
    else:
        wait_until_connected(directory, patience)
        click.echo(f"The slave in {directory} was started, and is connected to its master.")


def _refuse_mistakes(directory: str) -> None:
    from ..master.trial_load import TrialLoad

    try:
        processes.running_in(directory).close()
        ports = "ours"
    except NotRunningError:
        ports = "free"
    try:
        TrialLoad(directory, ports=ports).run()
    except ConfigError as error:
        raise ConfigError(f"{error}\nNothing was stopped or started.") from None


def _stop(directory: str, kind: Kind, *, when_idle: bool, kill: bool, patience: float) -> None:
    process = processes.running_in(directory)
    try:
        if when_idle and kind is Kind.MASTER:
            _wait_until_idle(directory)
        process.send(_signal(kind, when_idle=when_idle, kill=kill))
        # A draining slave ends with its last build: no time limit.
        _wait_for_end(process, None if when_idle and kind is Kind.SLAVE else patience)
    finally:
        process.close()


def _signal(kind: Kind, *, when_idle: bool, kill: bool) -> signal.Signals:
    if kind is Kind.SLAVE and kill:
        return signal.SIGUSR1
    if kind is Kind.SLAVE and when_idle:
        return signal.SIGUSR2
    return signal.SIGTERM


def _wait_until_idle(directory: str) -> None:
    note("Waiting for running builds; no new ones start.  Ctrl-C calls this off.")
    furlfile = os.path.join(directory, "private", "admin.furl")
    FarmClient(directory, furlfile, connect).call(lambda link: link.follow_to_output({"follow": "idle"}))


def _wait_for_end(process: Process, patience: float | None) -> None:
    waited = 0.0
    with ProgressLine() as progress:
        while not process.ended(LOOK):
            waited += LOOK
            progress.say(f"waiting for process {process.pid} to end: {waited:.0f} s")
            if patience is not None and waited >= patience:
                raise BuildbotLiteError(
                    f"Process {process.pid} has not ended after {patience:.0f} s.  Its twistd.log may say why."
                )


def _wait_until_ready(directory: str, patience: float) -> None:
    """
    Return once the master answers.
    """
    end = time.monotonic() + patience
    furlfile = os.path.join(directory, "private", "admin.furl")
    while not os.path.exists(furlfile):
        # The first start of this master.
        _still_starting(directory, end)
        time.sleep(LOOK_WHETHER_READY)

    from ..wire.furl import read_furl

    async def asking(link: MasterLink) -> None:
        while True:
            try:
                # Its port may have changed; then it writes a new FURL.
                await link.at(read_furl(furlfile)).ask({"ask": "queue"})
            except (NoAnswerError, FurlError):
                _still_starting(directory, end)
                await link.pause(LOOK_WHETHER_READY)
            else:
                return

    FarmClient(directory, furlfile, connect).call(asking)


def _still_starting(directory: str, end: float) -> None:
    log = os.path.join(directory, "twistd.log")
    try:
        processes.running_in(directory).close()
    except NotRunningError:
        raise NotRunningError(f"The master in {directory} started, and ended.  The reason is in {log}.") from None
    if time.monotonic() > end:
        raise NoAnswerError(f"The master in {directory} does not answer yet.  {log} may say why.")
