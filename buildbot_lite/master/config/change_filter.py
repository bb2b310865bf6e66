"""
Filters of changes: which changes a scheduler takes.
"""

import re
from collections.abc import Callable, Iterable, Mapping
from typing import Any

from attrs import frozen

from ...model.change_view import ChangeView
from ...model.suggestions import did_you_mean
from ...model.user_functions import limited
from .argument_fit import NotingType
from .arguments import ArgumentChecker
from .executed_line import current_line


class NotABranchType:
    """
    The class of `NOT_A_BRANCH`.
    """

    def __repr__(self) -> str:
        return "NotABranch"


NOT_A_BRANCH: Any = NotABranchType()
"""The value of *branch* that means "any branch"; None means the default branch."""

ATTRIBUTES = ("project", "repository", "branch", "category", "codebase")
_FORMS = ("", "_not_eq", "_re", "_not_re", "_fn")
_PROPERTY_FORMS = ("property_eq", "property_not_eq", "property_re", "property_not_re")


@frozen
class _Check:
    """
    One condition.  *argument*: the name of its argument.  *value*: returns the value of a change that is tested.
    *test*: returns whether the value meets the condition.
    """

    argument: str
    value: Callable[[ChangeView], Any]
    test: Callable[[Any], Any]


class ChangeFilter(metaclass=NotingType):
    """
    Takes the changes that meet all conditions.

    For each of project, repository, branch, category and codebase, one may give ``project``: a value or a list, of
    which it must be one; ``project_not_eq``: of which it must be none; ``project_re``: a regular expression or a list,
    of which one must match at its beginning; ``project_not_re``: of which none may match; ``project_fn``: a function of
    the value, which must return a true value.  ``branch=None`` is the default branch.  ``files_re``, ``files_fn``: at
    least one file must match.  ``property_eq``, ``property_not_eq``, ``property_re``, ``property_not_re``:
    dictionaries: property → such a condition; a missing property is none of the values, and matches nothing.
    *filter_fn*: a function of the change, which must return a true value.
    """

    def __init__(self, filter_fn: Any = None, **conditions: Any) -> None:
        self.place = current_line(self)
        self._arguments = ArgumentChecker("ChangeFilter", self)
        self._checks: list[_Check] = []
        names = {f"{attribute}{form}" for attribute in (*ATTRIBUTES, "files") for form in _FORMS} | {*_PROPERTY_FORMS}
        for name, value in conditions.items():
            if name not in names:
                self._arguments.note(f"there is no argument {name!r}.{did_you_mean(name, names)}")
            elif name in _PROPERTY_FORMS:
                self._add_properties(name, value)
            elif value is not NOT_A_BRANCH and (value is not None or name in ("branch", "branch_not_eq")):
                self._add(name, value)
        if filter_fn is not None and (function := self._arguments.function("filter_fn", filter_fn)) is not None:
            self._checks.append(_Check("filter_fn", self.whole, function))

    def whole(self, change: Any) -> Any:
        """
        The argument of *filter_fn*.
        """
        return change

    def why_not(self, change: ChangeView) -> str | None:
        """
        The name of the first condition that *change* does not meet; None if it meets all.  The exceptions of functions
        in master.cfg are raised.
        """
        for check in self._checks:
            if not check.test(check.value(change)):
                return check.argument
        return None

    def filter_change(self, change: ChangeView) -> bool:
        """
        Whether the filter takes *change*.
        """
        return self.why_not(change) is None

    def _add(self, name: str, value: Any) -> None:
        attribute, _, form = name.partition("_")
        test = self._test(name, f"_{form}" if form else "", value)
        if test is None:
            return
        if attribute == "files":
            every = form.startswith("not")
            together: Callable[[Iterable[object]], bool] = all if every else any
            self._checks.append(_Check(name, lambda change: change.files, lambda files: together(map(test, files))))
        elif form in ("re", "not_re"):
            self._checks.append(_Check(name, lambda change: getattr(change, attribute) or "", test))
        else:
            self._checks.append(_Check(name, lambda change: getattr(change, attribute), test))

    def _add_properties(self, name: str, value: Any) -> None:
        if value is None:
            return
        if not isinstance(value, Mapping):
            self._arguments.wrong(name, value, "a dictionary with names of properties")
            return
        form = {"eq": "", "not_eq": "_not_eq", "re": "_re", "not_re": "_not_re"}[name.partition("_")[2]]
        for key, condition in value.items():
            test = self._test(f"{name}[{key!r}]", form, condition)
            if test is not None:
                self._checks.append(_Check(name, _property(str(key)), test))

    def _test(self, name: str, form: str, value: Any) -> Callable[[Any], Any] | None:
        if form == "_fn":
            return self._arguments.function(name, value)
        values = list(value) if isinstance(value, (list, tuple, set, frozenset)) else [value]
        if form in ("", "_not_eq"):
            if not all(each is None or isinstance(each, (str, int, bool)) for each in values):
                self._arguments.wrong(name, value, "a text or a list of texts")
                return None
            if form:
                return lambda actual: actual not in values
            return lambda actual: actual in values
        patterns = [self._pattern(name, each) for each in values]
        if None in patterns:
            return None
        expected = form == "_re"
        # Limited, because a change may have a text for which the search takes for ever, as (a+)+b for many a.
        return limited(lambda actual: _matches(patterns, actual) is expected, name)

    def _pattern(self, name: str, value: Any) -> re.Pattern[str] | None:
        if isinstance(value, re.Pattern) and isinstance(value.pattern, str):
            return value
        if not isinstance(value, str):
            self._arguments.wrong(name, value, "a regular expression or a list of them")
            return None
        try:
            return re.compile(value)
        except re.error as error:
            self._arguments.note(f"{name} {value!r:.60} is not a regular expression: {error}.")
            return None

    def __repr__(self) -> str:
        return f"ChangeFilter({', '.join(check.argument for check in self._checks)})"


def _matches(patterns: Iterable[Any], actual: object) -> bool:
    return actual is not None and any(pattern.match(str(actual)) for pattern in patterns)


def _property(name: str) -> Callable[[ChangeView], Any]:
    return lambda change: change.properties.get(name)
