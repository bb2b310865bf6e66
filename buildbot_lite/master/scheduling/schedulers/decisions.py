"""
The decisions of schedulers, which are recorded in one transaction.
"""

from collections.abc import Iterable
from typing import Any

from attrs import define, field
from sqlalchemy import Connection

from ....storage.records import pending_changes, states
from .submitting import Firing

ENGINE = "schedulers"
"""The owner of the engine's own state: the number of the last change that it considered."""
OWNED = "scheduler:"
"""The beginning of the owner of a scheduler's state."""


@define(eq=False)
class Decisions:
    """
    The decisions of all schedulers for one transaction.  *now*: seconds since 1970.
    """

    now: float
    firings: list[Firing] = field(factory=list)
    _added: list[tuple[str, int, bool]] = field(factory=list)
    _dropped: list[tuple[str, tuple[int, ...]]] = field(factory=list)
    _states: dict[str, Any] = field(factory=dict)

    def fire(self, firing: Firing) -> None:
        """
        Submit *firing*.
        """
        self.firings.append(firing)

    def wait(self, scheduler: str, change: int, *, important: bool) -> None:
        """
        Keep *change* for the next builds of *scheduler*.
        """
        self._added.append((scheduler, change, important))

    def drop(self, scheduler: str, changes: Iterable[int]) -> None:
        """
        *changes* changes wait no longer for *scheduler*.
        """
        self._dropped.append((scheduler, tuple(changes)))

    def keep_state(self, scheduler: str, value: Any) -> None:
        """
        Record *value* as the state of *scheduler*.
        """
        self._states[f"{OWNED}{scheduler}"] = value

    def considered(self, change: int) -> None:
        """
        All changes up to the number *change* were considered.
        """
        self._states[ENGINE] = {"considered": change}

    def __len__(self) -> int:
        return len(self.firings) + len(self._added) + len(self._dropped) + len(self._states)

    def record(self, connection: Connection) -> None:
        """
        Record all but the firings, which `Requests.submit_all` does in the same transaction.
        """
        for scheduler, change, important in self._added:
            pending_changes.add(connection, scheduler, change, important=important, now=self.now)
        for scheduler, which in self._dropped:
            pending_changes.drop(connection, scheduler, which)
        for owner, value in self._states.items():
            states.put(connection, owner, value, self.now)
