"""
The place of a target's repositories: its argument ``repository``.
"""

import itertools
from collections.abc import Iterable
from typing import Any

from ...errors import UnsafePathError
from ...master.config.arguments import ArgumentChecker
from ...model.names import relative_path
from ...storage.publishing import OWN_DIRECTORIES
from ..records.results import TREE


def checked_repository(arguments: ArgumentChecker, value: Any) -> str:
    """
    The directory, relative to the master's; "" if *value* is None, for no repository.  Mistakes are noted.
    """
    if value is None or not (text := arguments.text("repository", value)):
        return ""
    example = 'a directory in that of the master, like "repos/bookworm"'
    try:
        path = relative_path(text)
    except UnsafePathError:
        arguments.wrong("repository", value, example)
        return ""
    first = path.split("/")[0]
    if first.startswith(".") or first in OWN_DIRECTORIES or first == TREE:
        arguments.wrong("repository", value, f"{example}, which nothing else uses")
        return ""
    return path


def shared(places: Iterable[str]) -> tuple[str, str] | None:
    """
    Two of *places* that are the same, or of which one is inside the other; None when there are none.
    """
    ordered = sorted(f"{place}/" for place in places if place)
    for first, second in itertools.pairwise(ordered):
        if second.startswith(first):
            return first.rstrip("/"), second.rstrip("/")
    return None
