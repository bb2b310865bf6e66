"""
Stopping the process of one directory, and waiting for its end.
"""

import os
import signal

from ..errors import BuildbotLiteError
from . import processes
from .connection import FarmClient, connect
from .output import ProgressLine, note
from .processes import Kind, Process

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
