"""
Services of ``c['services']`` that cancel requests: for outdated changes, and in buildsets of which a build failed.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any

from attrs import field, frozen

from ...model.suggestions import did_you_mean
from .arguments import ArgumentChecker
from .change_filter import ChangeFilter
from .mistakes import once_loaded
from .services import Service

_FIELDS = ("project", "codebase", "repository", "branch")
_FORMS = ("_eq", "_not_eq", "_re", "_not_re")
_GERRIT = re.compile(r"(refs/changes/\d+/\d+)/\d+\Z")


@frozen
class StampView:
    """
    A source stamp with the attributes that filters test.
    """

    project: Any = ""
    codebase: Any = ""
    repository: Any = ""
    branch: Any = None
    category: Any = None
    files: Sequence[str] = ()
    properties: Mapping[str, Any] = field(factory=dict)
    revision: Any = None

    def to_document(self) -> dict[str, Any]:
        """
        The dictionary for functions in master.cfg.
        """
        return {name: getattr(self, name) for name in (*_FIELDS, "revision")}


class StampDictionary(dict[str, Any]):
    """
    A source stamp as a dictionary, whose values are attributes, too, as they were before.
    """

    def __getattr__(self, name: str) -> Any:
        try:
            return self[name]
        except KeyError:
            raise AttributeError(name) from None


class SourceStampFilter(ChangeFilter):
    """
    Takes the source stamps that meet all conditions.

    For each of project, codebase, repository and branch: ``project_eq``, ``project_not_eq``, ``project_re`` and
    ``project_not_re``, a text or a list of texts; *filter_fn*: a function of a dictionary with project, codebase,
    repository, branch and revision.
    """

    def __init__(self, filter_fn: Any = None, **conditions: Any) -> None:
        arguments = ArgumentChecker("SourceStampFilter", self)
        names = {f"{name}{form}" for name in _FIELDS for form in _FORMS}
        for name in sorted(conditions.keys() - names):
            arguments.note(f"there is no argument {name!r}.{did_you_mean(name, names)}")
        filters = {name: value for name, value in conditions.items() if name in names}
        super().__init__(
            filter_fn,
            **{name.removesuffix("_eq") if not name.endswith("_not_eq") else name: filters[name] for name in filters},
        )

    def whole(self, change: Any) -> Any:
        return StampDictionary(change.to_document())

    def takes(self, stamp: StampView) -> bool:
        view: Any = stamp
        return self.why_not(view) is None


def default_branch_key(stamp: Mapping[str, Any]) -> Any:
    """
    The branch of *stamp*; for a change in Gerrit (``refs/changes/…``) without the number of the patch set.
    """
    branch = stamp["branch"]
    match = _GERRIT.match(branch) if isinstance(branch, str) else None
    return match[1] if match else branch


class OldBuildCanceller(Service):
    """
    Cancels the requests and builds of a branch when a newer change of the branch arrives.

    *filters*: pairs of a list of builders and a `SourceStampFilter`.  *branch_key*: a function of a dictionary with
    project, codebase, repository, branch and revision; changes for which it returns the same key are of the same
    branch.
    """

    def __init__(self, name: Any, filters: Any, branch_key: Any = None) -> None:
        super().__init__(name)
        self.filters = [(builders, stamp) for builders, stamp in _checked(self.arguments, filters, 2)]
        self.branch_key: Callable[[Mapping[str, Any]], Any] = default_branch_key
        if branch_key is not None:
            self.branch_key = self.arguments.function("branch_key", branch_key) or default_branch_key
        for builders, _ in self.filters:
            _must_exist(self, builders)

    def tracks(self, builder: str, stamp: StampView) -> bool:
        """
        Whether a build of *stamp* by *builder* is cancelled when a newer change arrives.
        """
        return any(builder in builders and each.takes(stamp) for builders, each in self.filters)


class FailingBuildsetCanceller(Service):
    """
    Cancels the other requests and builds of a buildset when one of its builds fails.

    *filters*: triples of a list of builders that may fail, a list of builders to cancel (None: all), and a
    `SourceStampFilter`.
    """

    def __init__(self, name: Any, filters: Any) -> None:
        super().__init__(name)
        self.filters = _checked(self.arguments, filters, 3)
        for failing, cancelled, _ in self.filters:
            _must_exist(self, [*failing, *(cancelled or ())])

    def cancelled_by(self, builder: str, stamps: Sequence[StampView]) -> Callable[[str], bool]:
        """
        Return a function that tells whether the failure of *builder* for *stamps* cancels builds of a given builder.
        """
        matching = [
            cancelled
            for failing, cancelled, each in self.filters
            if builder in failing and any(map(each.takes, stamps))
        ]
        return lambda other: any(cancelled is None or other in cancelled for cancelled in matching)


def _checked(arguments: ArgumentChecker, filters: Any, size: int) -> list[Any]:
    found = []
    for each in filters if isinstance(filters, (list, tuple)) else [filters]:
        if not isinstance(each, (list, tuple)) or len(each) != size:
            arguments.wrong("filters", each, f"a list of tuples of {size}")
            continue
        *lists, stamp = each
        if not isinstance(stamp, SourceStampFilter):
            arguments.wrong("filters", stamp, "a util.SourceStampFilter at the end of each tuple")
            continue
        first, *others = lists
        names: list[Any] = [arguments.texts("filters", [first] if isinstance(first, str) else first)]
        names += [None if more is None else arguments.texts("filters", more) for more in others]
        found.append((*names, stamp))
    return found


def _must_exist(service: Service, builders: Sequence[str]) -> None:
    for name in builders:
        once_loaded(partial(_unknown, service, name), of=service)


def _unknown(service: Service, name: str, config: Any) -> str | None:
    if name in config.builders:
        return None
    return f"{service!r} names the builder {name!r:.100}, which does not exist.{did_you_mean(name, config.builders)}"
