"""
Who asked for a build, and why, as a command and a page say it.
"""

import re
from collections.abc import Mapping
from typing import Any


def requester(asked: Mapping[str, Any]) -> str:
    """
    The requester and the reason in *asked*, the field of a build's document; the reason alone, if it names the
    requester, and the requester alone, if there is no reason.
    """
    who, why = asked["by"] or asked["scheduler"], asked["reason"]
    named = any(name in why for name in (f"({who})", repr(who))) or who in re.findall(r"[\w.-]+", why)
    if not why:
        return str(who)
    return str(why) if named else f"{who}: {why}"
