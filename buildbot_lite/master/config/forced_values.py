"""
The values that are given with a forced build, while they are checked: all that is wrong with them is said at once.
"""

from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import TypeVar

from ...errors import InputError, UnsafePathError, WrongValuesError
from ...model.display import printable
from ...model.properties import Json
from ...model.suggestions import there_is_no
from .force_parameters import BaseParameter

T = TypeVar("T")

OF_REASON = "reason"
"""The name under which forms and the command give the reason, whatever its parameter is called."""
MOST_PROBLEMS = 50
"""Of more values that are wrong, the rest is only counted."""
MOST_UNKNOWN = 10
"""The same of values without a parameter: each suggestion compares names."""
LONGEST_PROBLEM = 1000


class ForcedValues:
    """
    The values *given* with a forced build of *builder*.  Each is taken once; *remaining*: those that are not taken yet.
    """

    def __init__(self, given: Mapping[str, Json], builder: str = "") -> None:
        self.remaining = dict(given)
        self.builder = builder
        self._problems: dict[str, str] = {}
        self._others = 0

    def take(self, parameter: BaseParameter, full_name: str) -> Json:
        """
        The value of *parameter*, which is given as *full_name*; None if it is wrong or missing, which is noted.
        """
        given = self.remaining.pop(full_name, None)
        return self.checked(full_name, lambda: parameter.value(given, self.builder, full_name))

    def checked(self, name: str, compute: Callable[[], T]) -> T | None:
        """
        What *compute* returns; None if something that was given is wrong, which is noted for the value called *name*.
        """
        try:
            return compute()
        except (InputError, UnsafePathError) as error:
            self.note(name, str(error))
            return None

    def note(self, name: str, sentence: str) -> None:
        """
        The value called *name* is wrong, as *sentence* says.
        """
        if name in self._problems:
            return
        if len(self._problems) < MOST_PROBLEMS:
            self._problems[name] = printable(sentence, longest=LONGEST_PROBLEM)
        else:
            self._others += 1

    def refuse_remaining(self, known: Iterable[str]) -> None:
        """
        What remains has no parameter: the *known* ones are suggested.
        """
        names = list(known)
        for name in islice(self.remaining, MOST_UNKNOWN):
            self.note(name, there_is_no("parameter", name, names))
        self._others += max(0, len(self.remaining) - MOST_UNKNOWN)

    def raise_any(self) -> None:
        """
        `WrongValuesError` if anything is wrong.
        """
        if not self._problems:
            return
        problems = list(self._problems.items())
        if self._others:
            problems.append(("", f"There are {self._others} more that are wrong."))
        raise WrongValuesError(problems=problems)
