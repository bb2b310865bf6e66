"""
Blocks of one column side by side, so that none hides another: builds that ran at the same time, or shortly after one
another, where a block must not be so small that nobody can point at it.

::

    │ 1 │ 2 │ 3 │     lanes of blocks that overlap, directly or through others
    │   │ 2 │         a block alone has the whole width
    │ 4             │
"""

from collections.abc import Iterable, Sequence
from operator import attrgetter
from typing import Generic, NamedTuple, TypeVar

from attrs import frozen

T = TypeVar("T")

MOST_LANES = 4
"""Blocks side by side; of more, the last lane says how many others there are."""


class Extent(NamedTuple, Generic[T]):
    """
    From *top* down to *bottom* in a column: what is drawn there.
    """

    what: T
    top: int
    bottom: int


class Lane(NamedTuple, Generic[T]):
    """
    Where an extent is drawn: in the lane *number* of *lanes*.
    """

    extent: Extent[T]
    number: int
    lanes: int


@frozen
class Crowd:
    """
    *count* blocks that have no lane of their own, between *top* and *bottom*.
    """

    count: int
    top: int
    bottom: int


def laid_out(extents: Iterable[Extent[T]]) -> tuple[list[Lane[T]], list[Crowd]]:
    """
    *extents* of one column in lanes, from the top; and those for which there is none.
    """
    lanes: list[Lane[T]] = []
    crowds: list[Crowd] = []
    for group in _groups(extents):
        if len(group) == 1:
            lanes.append(Lane(group[0], 0, 1))
            continue
        numbers = _numbers(group)
        most = max(numbers) + 1
        shown = MOST_LANES - 1 if most > MOST_LANES else most
        lanes += [
            Lane(each, number, min(most, MOST_LANES))
            for each, number in zip(group, numbers, strict=True)
            if number < shown
        ]
        if hidden := [each for each, number in zip(group, numbers, strict=True) if number >= shown]:
            crowds.append(Crowd(len(hidden), hidden[0].top, max(each.bottom for each in hidden)))
    return lanes, crowds


def _groups(extents: Iterable[Extent[T]]) -> list[list[Extent[T]]]:
    """
    Groups of the extents that overlap, directly or through others.
    """
    groups: list[list[Extent[T]]] = []
    bottom: int | None = None
    for each in sorted(extents, key=attrgetter("top")):
        if bottom is None or each.top >= bottom:
            groups.append([each])
            bottom = each.bottom
        else:
            groups[-1].append(each)
            bottom = max(bottom, each.bottom)
    return groups


def _numbers(group: Sequence[Extent[T]]) -> list[int]:
    """
    The first free lane of each of *group*, which is sorted by its tops.
    """
    bottoms: list[int] = []
    numbers = []
    for each in group:
        free = next((number for number, bottom in enumerate(bottoms) if bottom <= each.top), len(bottoms))
        bottoms[free : free + 1] = [each.bottom]
        numbers.append(free)
    return numbers
