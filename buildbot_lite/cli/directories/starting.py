"""
Starting the process of one directory, and waiting until it works.
"""

import os
import time

from ...errors import FurlError, NoAnswerError, NotRunningError
from ...model.display import printable
from ...slave import connection_state
from .. import processes
from ..asking.connection import MasterLink, connect
from ..asking.farm_command import FarmClient
from ..output.printing import note, tell
from ..processes import Kind
from .connecting import wait_until_connected

LOOK_WHETHER_READY = 0.2
"""Seconds between two checks of a process that should be ready."""
TOLD_WITHIN = 5.0
"""Seconds for the first word of a master to its web process."""


def start_unless_running(directory: str, patience: float) -> None:
    """
    Start the process of *directory*, and wait until it works, at most *patience* seconds.
    """
    kind = processes.kind_of(directory)
    try:
        processes.running_in(directory).close()
    except NotRunningError:
        _start(directory, kind, patience)
    else:
        # Not an error: scripts may start what already runs.
        note(f"The {kind.noun} in {directory} runs already{f', at {_address(directory)}' if kind is Kind.WEB else '.'}")


def _start(directory: str, kind: Kind, patience: float) -> None:
    if kind is Kind.SLAVE:
        connection_state.forget(os.path.join(directory, "private"))
    processes.start(directory)
    if kind is Kind.MASTER:
        _wait_until_ready(directory, patience)
        tell(f"The master in {directory} was started.")
    elif kind is Kind.WEB:
        # It listens before it becomes a daemon.
        _wait_until_told(directory)
        tell(f"The web process in {directory} was started, at {_address(directory)}")
    else:
        wait_until_connected(directory, patience)
        tell(f"The slave in {directory} was started, and is connected to its master.")


def _wait_until_told(directory: str) -> None:
    """
    Return once a web process beside its master, in its first life, was told where to listen; after `TOLD_WITHIN` in any
    case, because the master may be away.
    """
    from ...web.farm.strings import WATCH
    from ...web.farm.www_file import WWW

    if not os.path.exists(os.path.join(directory, "private", f"{WATCH}.furl")):
        return
    end = time.monotonic() + TOLD_WITHIN
    while not os.path.exists(os.path.join(directory, WWW)) and time.monotonic() < end:
        time.sleep(LOOK_WHETHER_READY)


def _address(directory: str) -> str:
    from ...web.serving.listening import address_in

    # Anything may be in the file.
    return printable(address_in(directory))


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

    from ...wire.furl import read_furl

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
