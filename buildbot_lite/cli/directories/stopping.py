"""
Stopping the process of one directory, and waiting for its end.
"""

import os
import shlex
import signal

from ...errors import BuildbotLiteError
from ...keeper.running_commands import running_commands
from ...model.lease import keeper_deadline
from ...storage.lock import is_locked
from .. import processes
from ..asking.connection import connect
from ..asking.farm_command import FarmClient
from ..output.cells import duration
from ..output.printing import ProgressLine, note
from ..processes import Kind, Process

LOOK = 1.0
"""Seconds between two checks of a process that should end."""


def stop_running(directory: str, *, when_idle: bool, kill: bool, patience: float) -> None:
    """
    Stop the process of *directory*, and wait for its end, at most *patience* seconds after it was told to stop.
    `NotRunningError` if there is none.
    """
    kind = processes.kind_of(directory)
    process = processes.running_in(directory)
    try:
        if when_idle and kind is Kind.MASTER:
            _wait_until_idle(directory)
        process.send(_signal(kind, when_idle=when_idle, kill=kill))
        # A draining slave ends with its last build: no time limit.
        _wait_for_end(process, None if when_idle and kind is Kind.SLAVE else patience)
    finally:
        process.close()


def left_running(directory: str) -> str:
    """
    That commands go on under the keeper of a slave that has stopped, for how long, and how to end them; "" if none do.
    """
    keeper = os.path.join(directory, "keeper")
    # The records of a keeper that was killed have commands that nobody runs.
    commands = running_commands(keeper) if is_locked(os.path.join(keeper, "lock")) else []
    if not commands:
        return ""
    one = len(commands) == 1
    deadlines = [keeper_deadline(each.grace) for each in commands if each.grace is not None]
    limit = f" to {'its' if one else 'their'} end"
    if len(deadlines) == len(commands):
        limit = f", for at most {duration(0.0, max(deadlines))}"
    what = "A command of its builds goes" if one else f"{len(commands)} commands of its builds go"
    return (
        f"{what} on without it{limit}; the slave reports the outcome when it is started again.  To kill what goes on: "
        f"buildbot-lite stop --kill {shlex.quote(directory)}"
    )


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
