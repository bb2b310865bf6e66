"""
Wait until a slave that was started is connected to its master, or until it is known why it is not.

A slave may be started while its master is away: it keeps trying.  So nothing here stops the slave.
"""

import os
import shlex
import time

from ...errors import (
    BuildbotLiteError,
    NoAnswerError,
    NotRunningError,
    RefusedError,
)
from ...slave import connection_state
from ...slave.connection_state import ConnectionState, State
from .. import processes

LOOK = 0.1
MASTER_AWAY = 5.0
"""Seconds until an unreachable master is reported: a restart takes less."""


def wait_until_connected(directory: str, patience: float) -> None:
    """
    Return once the slave in *directory*, which was just started, is connected to its master.

    `RefusedError` if the master refuses the slave; `NoAnswerError` if no master is reachable, or nothing is decided
    after *patience* seconds; `NotRunningError` if the slave ended.
    """
    begun = time.monotonic()
    while True:
        # Before the state is read: an ended slave cannot change it any more.
        runs = _runs(directory)
        found = connection_state.read(os.path.join(directory, "private"))
        waited = time.monotonic() - begun
        if found is not None and found.state is State.CONNECTED:
            return
        if not runs:
            log = os.path.join(directory, "twistd.log")
            raise NotRunningError(f"The slave in {directory} started, and ended.  The reason is in {log}.")
        if (error := _why_not(directory, found, waited, patience)) is not None:
            raise error
        time.sleep(LOOK)


def _why_not(directory: str, found: ConnectionState | None, waited: float, patience: float) -> BuildbotLiteError | None:
    """
    The reason for which the slave is not connected; None while undecided.
    """
    if found is not None and found.state is State.REFUSED:
        again = "every minute" if found.retry <= 60 else f"every {found.retry / 60:.0f} minutes"
        return RefusedError(
            f"The slave in {directory} runs, but the master refuses it: {found.reason}  The slave tries again "
            f"{again}.  To give it another string: buildbot-lite furl --replace {shlex.quote(directory)} -"
        )
    if found is not None and found.state is State.UNREACHABLE and waited >= min(MASTER_AWAY, patience):
        return NoAnswerError(
            f"The slave in {directory} runs, but no master answers at {found.reason}.  The slave keeps trying."
        )
    if waited >= patience:
        log = os.path.join(directory, "twistd.log")
        return NoAnswerError(
            f"The slave in {directory} runs, but is not connected to its master after {patience:.0f} s.  The slave "
            f"keeps trying.  The reason may be in {log}."
        )
    return None


def _runs(directory: str) -> bool:
    try:
        processes.running_in(directory).close()
    except NotRunningError:
        return False
    return True
