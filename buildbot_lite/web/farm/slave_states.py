"""
The slaves in the master's status, each with its state.
"""

from collections.abc import Iterable
from typing import Any

from .live import Document

_WORDS = {"low-space": "below minspace"}


def with_states(slaves: Iterable[Document], now: float) -> list[dict[str, Any]]:
    """
    *slaves*, each with the fields "state", "words" (the state for people), "says" (the reason for it, without the
    slave's name, or None), and "until": the time, in seconds since 1970 as *now*, until which its builds wait for it,
    or None.
    """
    return [_with_state(each, now) for each in slaves]


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
