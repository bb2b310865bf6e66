"""
What is stored of the farm, which this process reads by itself: records, and directories of files.
"""

from collections.abc import Callable, Mapping
from typing import Protocol, TypeVar

from attrs import field, frozen
from sqlalchemy import Connection
from twisted.internet.defer import Deferred

T = TypeVar("T")


class Reading(Protocol):
    """
    Access to the farm's records: `storage.reading.ReadOnlyRecords`.
    """

    def read(self, query: Callable[[Connection], T]) -> Deferred[T]:
        """
        Fires with the result of *query*, which runs in another thread on one snapshot.
        """


@frozen
class Places:
    """
    Directories of the farm: of logs, of artifacts, and by target those of the *repositories*; and the public *keys* by
    target, in ASCII armor.
    """

    streams: str
    artifacts: str
    repositories: Mapping[str, str] = field(factory=dict)
    keys: Mapping[str, str] = field(factory=dict)
