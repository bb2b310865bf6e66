"""
The slaves in the master's status, each with its state, and what the records have of others.
"""

from collections.abc import Iterable, Sequence
from typing import Any

from ...storage.records.slaves import Slave
from .live import Document

UNKNOWN = "unknown"
"""The state of a slave while the master has never answered."""
NOT_CONFIGURED = "not-configured"
"""The state of a slave that the records have, and master.cfg has not any more."""

_WORDS = {"low-space": "below minspace"}


def with_states(slaves: Iterable[Document], now: float) -> list[dict[str, Any]]:
    """
    *slaves*, each with the fields "state", "words" (the state for people), "says" (the reason for it, without the
    slave's name, or None), and "until": the time, in seconds since 1970 as *now*, until which its builds wait for it,
    or None.
    """
    return [_with_state(each, now) for each in slaves]


def stored_slave(row: Slave, state: str) -> dict[str, Any]:
    """
    The slave of *row*, of which the master tells nothing, in that *state*: as the master's document of a slave, with
    the time at which it was here last.
    """
    return {
        "slave": row.name,
        "state": state,
        "why": None,
        "grace_left": None,
        "connected": False,
        "since": row.lost,
        "attached": row.attached,
        "paused": row.paused,
        "draining": False,
        "revoked": False,
        "refused": None,
        "breach": None,
        "obstacle": None,
        "running": [],
        "max_builds": None,
        "builders": [],
        "version": row.version,
        "space": None,
        "low_space": False,
        "removed": [],
        "platform": dict(row.platform) or None,
    }


def one_slave(told: Sequence[Document] | None, name: str, row: Slave | None) -> dict[str, Any] | None:
    """
    The slave *name* among those that the master has *told*, None: it never did, with what its *row* of the records
    adds; None if it is in neither.
    """
    live = next((each for each in told or () if each["slave"] == name), None)
    if live is None:
        return None if row is None else stored_slave(row, UNKNOWN if told is None else NOT_CONFIGURED)
    if row is None:
        return {**live, "attached": None}
    return {
        **live,
        "attached": row.attached,
        "version": live.get("version") or row.version,
        "platform": live.get("platform") or dict(row.platform) or None,
    }


def _with_state(slave: Document, now: float) -> dict[str, Any]:
    state, left = state_of(slave), slave.get("grace_left")
    return {
        **slave,
        "state": state,
        "words": words_of(state),
        "says": None if state == "here" else _reason(slave, words_of(state)),
        "until": None if left is None else now + left,
    }


def _reason(slave: Document, words: str) -> str | None:
    """
    Why *slave* builds nothing, without its name, beside which this stands; None if that is its state, *words*.
    """
    name, says = str(slave.get("slave")), slave.get("why") or slave.get("obstacle")
    if says in {f"{name} is {words}", f"{name} is not connected ({words})"}:
        return None
    return None if says is None else str(says).removeprefix(f"{name} ")


def words_of(state: str) -> str:
    """
    The *state* of a slave as people read it.
    """
    return _WORDS.get(state.replace(" ", "-"), state.replace("-", " "))


def state_of(slave: Document) -> str:
    """
    The state of *slave* as one word; of an older master's answer, what its other fields say.
    """
    if slave.get("state"):
        return str(slave["state"])
    if not slave["connected"]:
        return "away" if slave.get("since") else "never seen"
    return next((state.replace("_", " ") for state in ("paused", "draining", "low_space") if slave.get(state)), "here")
