"""
Stretches of a long list: pages that show some of its rows, with links to the rows before and after.
"""

from collections.abc import Sequence
from typing import Generic, TypeVar
from urllib.parse import urlencode

from attrs import frozen

from ...model.whole_numbers import whole_number
from ..page_request import PageRequest

T = TypeVar("T")
_LONGEST = 6


@frozen
class Stretch(Generic[T]):
    """
    The *rows* that are shown.  *newer*, *older*: queries of the pages before and after; None: there is none.
    """

    rows: Sequence[T]
    newer: str | None
    older: str | None


def stretch(asked: PageRequest, everything: Sequence[T], most: int) -> Stretch[T]:
    """
    At most *most* of *everything*, from the row that the field ``from`` of the address names; without one, or with one
    that is no row, from the first.
    """
    first = whole_number(asked.query.get("from", ""), _LONGEST) or 0
    if first >= len(everything):
        first = 0
    others = {name: value for name, value in asked.query.items() if name != "from"}

    def query(start: int) -> str:
        return urlencode({**others, "from": start} if start else others)

    return Stretch(
        everything[first : first + most],
        query(max(0, first - most)) if first else None,
        query(first + most) if first + most < len(everything) else None,
    )
