"""
The record of a target's signed snapshot: which jobs are in it, and whether it may become public.
"""

from collections.abc import Mapping
from typing import Any

from attrs import field, frozen
from sqlalchemy import Connection

from ...storage.records import states


@frozen
class SignedSnapshot:
    """
    A *snapshot* of the public repository whose packages and index are signed.  *jobs*: those that it adds, each with a
    digest of its packages.  *pushed*: whether somebody who may has asked for it to become public.
    """

    snapshot: str
    jobs: Mapping[int, str] = field(factory=dict)
    pushed: bool = False

    def keep(self, connection: Connection, target: str, now: float) -> None:
        """
        Record that this is the signed snapshot of *target*.
        """
        document = {
            "snapshot": self.snapshot,
            "jobs": {str(job): digest for job, digest in self.jobs.items()},
            "pushed": self.pushed,
        }
        states.put(connection, _owner(target), document, now)

    @classmethod
    def of(cls, connection: Connection, target: str) -> "SignedSnapshot | None":
        """
        The recorded one of *target*.
        """
        document: dict[str, Any] | None = states.get(connection, _owner(target))
        if document is None:
            return None
        jobs = {int(job): digest for job, digest in document["jobs"].items()}
        return cls(document["snapshot"], jobs, document["pushed"])


def _owner(target: str) -> str:
    return f"signed snapshot:{target}"
