"""
Matrices: all combinations of some values, for builders and for builds that a `Trigger` starts.
"""

import math
import re
from collections.abc import Iterator, Mapping, Sequence
from itertools import product
from typing import Any

from ...errors import BuildbotLiteError
from ...model.properties import Json, checked_property_name, checked_value
from .argument_fit import NotingType
from .arguments import ArgumentChecker
from .executed_line import current_line

MOST_COMBINATIONS = 256
"""The most combinations of one matrix."""

_UNREADABLE = re.compile(r"[^A-Za-z0-9._+]+")


class Combination(dict[str, Json]):
    """
    One combination: the value of each axis, as properties.
    """

    @property
    def name(self) -> str:
        """
        The values in the order of the axes, joined with "-".  All characters except letters, digits, ".", "_" and "+"
        are replaced by "_".
        """
        return "-".join(_UNREADABLE.sub("_", str(value)) for value in self.values())


def labelled(names: Sequence[str], matrix: Sequence[Mapping[str, Json]]) -> dict[str, tuple[str, Mapping[str, Json]]]:
    """
    Label for people → scheduler and combination, for all schedulers *names* with all combinations of *matrix*.
    """
    if not matrix:
        return {name: (name, {}) for name in names}
    return {f"{name} ({Combination(each).name})": (name, each) for name in names for each in matrix}


class Matrix(Sequence[Combination], metaclass=NotingType):
    """
    All combinations of the values of some axes, each a keyword with a list: ``Matrix(python=["3.12", "3.13"])``.

    The first axis changes slowest.  *exclude*: a list of dictionaries; combinations that have all values of one of them
    are left out.  *include*: a list of dictionaries, which are added as further combinations and may have other axes.
    There may be at most `MOST_COMBINATIONS`, with different names.
    """

    def __init__(self, *, exclude: Any = (), include: Any = (), **axes: Any) -> None:
        self.place = current_line(self)
        self._checker = ArgumentChecker("Matrix", self)
        values = {name: self._axis(name, axis) for name, axis in axes.items()}
        excluded = self._dictionaries("exclude", exclude)
        for each in excluded:
            for name in each.keys() - values.keys():
                self._checker.note(f"exclude has {name!r:.60}, which is not an axis.")
        included = [Combination(each) for each in self._dictionaries("include", include)]
        size = math.prod(map(len, values.values())) if values else 0
        if size + len(included) > MOST_COMBINATIONS:
            self._checker.note(f"{size + len(included)} combinations; at most {MOST_COMBINATIONS} are allowed.")
            values, size, included = {}, 0, []
        all_combinations = (
            [Combination(zip(values, some, strict=True)) for some in product(*values.values())] if size else []
        )
        combinations = [each for each in all_combinations if not any(part.items() <= each.items() for part in excluded)]
        self._combinations = (*combinations, *included)
        self._check_names()
        # In other cases, the mistake because of which nothing is left is noted already.
        if not self._combinations and (all_combinations or not (axes or include)):
            self._checker.note("no combination is left.")

    def __getitem__(self, index: Any) -> Any:
        return self._combinations[index]

    def __len__(self) -> int:
        return len(self._combinations)

    def __iter__(self) -> Iterator[Combination]:
        return iter(self._combinations)

    def _axis(self, name: str, given: Any) -> list[Json]:
        if not isinstance(given, (list, tuple)) or not given:
            self._checker.wrong(name, given, "a list of at least one value")
            return []
        return [value for each in given for value in self._plain({name: each}).values()]

    def _dictionaries(self, name: str, value: Any) -> list[dict[str, Json]]:
        if not isinstance(value, (list, tuple)) or not all(isinstance(each, Mapping) and each for each in value):
            self._checker.wrong(name, value, "a list of dictionaries")
            return []
        return [self._plain(each) for each in value]

    def _plain(self, dictionary: Mapping[Any, Any]) -> dict[str, Json]:
        checked: dict[str, Json] = {}
        for name, value in dictionary.items():
            try:
                checked[checked_property_name(name)] = checked_value(name, value)
            except BuildbotLiteError as error:
                self._checker.note(str(error))
        return checked

    def _check_names(self) -> None:
        names = [each.name for each in self._combinations]
        for name in sorted({name for name in names if names.count(name) > 1}):
            self._checker.note(f"two combinations are called {name!r:.100}.")
