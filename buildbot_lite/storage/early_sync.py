"""
Brings long streams to the disk while they are received, so that the sync at their end takes less time.

::

    received   ████████████████████████████████████████
    synced     ░░░░ first ░░░░░░ second ░░░░░            the rest: when the stream is sealed

One stream at a time is synced, in a thread: streams together must not take all threads when the disk is slow.  A stream
that finds another one being synced tries again at its next bytes.
"""

from collections.abc import Callable
from typing import Any

from attrs import define, field
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from ..deferreds import background
from .streams import StreamFile

UNSYNCED = 16 << 20
"""Bytes of a stream after which it is synced.  Fewer cost more commits of the file system than they save time."""


@define
class EarlySync:
    """
    *in_thread*: runs work in a thread.
    """

    in_thread: Callable[[Callable[[], Any]], Deferred[Any]]
    _syncing: bool = field(default=False, init=False)

    _log = Logger()

    def grown(self, file: StreamFile) -> None:
        """
        Sync *file*, if much of it is not synced, and no other one is being synced.
        """
        if not self._syncing and file.unsynced >= UNSYNCED:
            self._syncing = True
            background(self._sync(file), self._log, f"syncing {file.path}")

    async def _sync(self, file: StreamFile) -> None:
        try:
            await self.in_thread(file.begin_sync())
        finally:
            self._syncing = False
