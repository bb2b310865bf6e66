"""
Sessions end with the process that keeps them.

The string of a browser's session is in this process's memory only, so when it has ended, nobody knows the string.  The
master revokes the strings of all sessions when this process says so: at its end, and, for a process that was killed, at
the beginning of the next.
"""

from contextlib import suppress

from twisted.internet.defer import TimeoutError as TimedOutError
from twisted.internet.interfaces import IReactorTime

from ...deferreds import OneShot
from ...errors import BuildbotLiteError, LinkLostError, NoAnswerError
from ..farm.live import Live

LONGEST = 2.0
"""Seconds for which a process that ends waits for the master."""
_END = {"ask": "end-sessions"}


async def end_former_sessions(live: Live) -> None:
    """
    Have the master end the sessions of an earlier process, as soon as it answers.  Nothing is asked on the link before,
    so no session of this process is among them.
    """
    while True:
        linked: OneShot[None] = OneShot()
        forget = live.on_link(linked.fire)
        try:
            await linked.wait()
        finally:
            forget()
        try:
            await live.link.ask(_END)
        except (NoAnswerError, LinkLostError):
            continue
        except BuildbotLiteError:
            pass  # of an earlier version, which lets them expire
        return


async def end_sessions(live: Live, clock: IReactorTime) -> None:
    """
    Have the master end all sessions, if it is there.
    """
    with suppress(BuildbotLiteError, TimedOutError):
        await live.link.ask(_END).addTimeout(LONGEST, clock)
