"""
The removal of what builds that are over have left: those whose keeper, slave or machine was killed, and that the master
gave up before the slave came back.

::

    found ──► hello ──► welcome: which builds go on ──► the others: a program removes what they left
                                                              │
                                                              └── fails ──► again after a minute, a few times

What is found before the hello is of a build that the master knew when it answered, so if the master does not name its
directory, it is over.  A build that begins there meanwhile has another mark, and the program lets its files alone.

How it is found, and by which program it is removed, is the composition root's matter (`slave_tap`).
"""

from collections.abc import Callable, Collection, Mapping, Sequence
from contextlib import suppress
from threading import Event

from attrs import frozen
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from ..deferreds import background
from .removal import Removal

AGAIN_AFTER = 60.0
"""Seconds after a failure: the processes of a build that the master has just given up may still write."""
MOST_ATTEMPTS = 5
"""Attempts; what is left then is found again when the slave attaches again."""


@frozen
class LeftoverKind:
    """
    *found*: returns what builds have left, by directory in ``work`` a mark of the build; it is called in a thread.
    *words*: of the program that removes such a part of it, in ``work``.
    """

    found: Callable[[], Mapping[str, str]]
    words: Callable[[Mapping[str, str]], Sequence[str]]


class Leftovers:
    """
    Leftovers of *kind*, removed by *removal*, one program at a time.
    """

    _log = Logger()

    def __init__(self, kind: LeftoverKind, removal: Removal, clock: IReactorTime) -> None:
        self._kind = kind
        self._removal = removal
        self._clock = clock
        self._unwanted = Event()
        self._removing: Deferred[None] | None = None

    async def find(self) -> Mapping[str, str]:
        """
        What is there now, by directory.
        """
        try:
            found: Mapping[str, str] = await self._removal.in_thread(self._kind.found)
        except CancelledError:
            raise
        except Exception:  # noqa: BLE001 - whatever it is, the slave can build
            self._log.failure("looking for what builds have left; it is removed when the slave attaches again")
            return {}
        return found

    def remove(self, found: Mapping[str, str], building: Collection[str]) -> None:
        """
        Remove what was *found*, except in the directories *building* and below, in which builds go on.
        """
        left = {
            directory: mark
            for directory, mark in found.items()
            if not any(f"{directory}/".startswith(f"{each}/") for each in building)
        }
        self.stop()
        if left:
            self._unwanted = Event()
            self._removing = Deferred.fromCoroutine(self._remove(left, self._unwanted))
            background(_unless_cancelled(self._removing), self._log, "removing what builds have left")

    def stop(self) -> None:
        """
        End the program if it runs.
        """
        self._unwanted.set()
        if self._removing is not None:
            self._removing.cancel()

    async def _remove(self, left: Mapping[str, str], unwanted: Event) -> None:
        names = ", ".join(sorted(left))
        self._log.info("removing what builds that are over have left in work: {names}", names=names)
        for _attempt in range(MOST_ATTEMPTS):
            why = await self._removal.run(self._kind.words(left), unwanted)
            if not why:
                return
            self._log.warn("what builds have left is not removed; trying again later: {why}", why=why)
            await deferLater(self._clock, AGAIN_AFTER)


async def _unless_cancelled(removing: Deferred[None]) -> None:
    with suppress(CancelledError):  # stopped
        await removing
