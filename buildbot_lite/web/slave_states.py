"""
The slaves in the master's status, each with its state.
"""

from typing import Any

from .live import Document


def slaves_in(status: Document) -> list[dict[str, Any]]:
    """
    The slaves in *status*, each with the field "state".
    """
    return [{**each, "state": _state_of(each)} for each in status.get("slaves", ())]


def _state_of(slave: Document) -> str:
    """
    The state of *slave* as one word; of an older master's answer, what its other fields say.
    """
    if slave.get("state"):
        return str(slave["state"])
    if not slave["connected"]:
        return "away" if slave.get("since") else "never seen"
    return next((state.replace("_", " ") for state in ("paused", "draining", "low_space") if slave.get(state)), "here")
