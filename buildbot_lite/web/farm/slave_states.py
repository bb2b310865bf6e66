"""
The slaves in the master's status, each with its state.
"""

from collections.abc import Iterable
from typing import Any

from .live import Document


def with_states(slaves: Iterable[Document]) -> list[dict[str, Any]]:
    """
    *slaves*, each with the field "state".
    """
    return [{**each, "state": state_of(each)} for each in slaves]


def state_of(slave: Document) -> str:
    """
    The state of *slave* as one word; of an older master's answer, what its other fields say.
    """
    if slave.get("state"):
        return str(slave["state"])
    if not slave["connected"]:
        return "away" if slave.get("since") else "never seen"
    return next((state.replace("_", " ") for state in ("paused", "draining", "low_space") if slave.get(state)), "here")
