"""
Hold: the reason why no build starts on any slave, or none of some builders, while running builds continue.
"""

import shutil
from collections.abc import Mapping

from ...errors import DatabaseFullError, DatabaseLockedError
from ...model import wait_reasons
from ...model.wait_reasons import WaitReason
from ...storage.retrying import RetryingRecords
from .wakeup import Wakeup

LEAST_SPACE = 16 << 20
"""Bytes that must be free on the master's disk before a build starts."""


class Hold:
    """
    The obstacles to all builds: the master is about to stop, its database fails, or the disk of *basedir* is full.
    """

    def __init__(self, basedir: str, *, records: RetryingRecords, wakeup: Wakeup) -> None:
        self._basedir = basedir
        self._records = records
        self._wakeup = wakeup
        self._stopping = 0
        self._builders: Mapping[str, str] = {}

    def begin(self) -> None:
        """
        Start no more builds, because the master is about to stop.  If it does not stop, the caller calls `end`.
        """
        self._stopping += 1
        self._wakeup.set()

    def end(self) -> None:
        """
        Undo one `begin`; after the last one, builds start again.
        """
        self._stopping -= 1
        self._wakeup.set()

    def hold_builders(self, builders: Mapping[str, str]) -> None:
        """
        Start no build of *builders* from now on, each with a sentence that says why.  Builders that are not among them
        are free again.
        """
        self._builders = dict(builders)
        self._wakeup.set()

    def reason_of(self, builder: str) -> WaitReason | None:
        """
        Why no build of *builder* may start now, or None.
        """
        why = self._builders.get(builder)
        return None if why is None else wait_reasons.builder_held(why)

    def reason(self) -> WaitReason | None:
        """
        Why no build may start now, or None.
        """
        if self._stopping:
            return wait_reasons.stopping()
        obstacle = self._records.obstacle
        if isinstance(obstacle, DatabaseLockedError):
            return wait_reasons.locked()
        if isinstance(obstacle, DatabaseFullError):
            return wait_reasons.disk_full()
        if obstacle is not None:
            return wait_reasons.storage_failing(str(obstacle))
        try:
            free = shutil.disk_usage(self._basedir).free
        except OSError as error:
            return wait_reasons.storage_failing(f"the master's directory cannot be used: {error.strerror}")
        return wait_reasons.disk_full() if free < LEAST_SPACE else None
