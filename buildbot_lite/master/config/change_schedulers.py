"""
The schedulers that changes start.
"""

# ruff: noqa: N803 - arguments keep Buildbot's names

from collections.abc import Callable
from typing import Any

from .arguments import ArgumentChecker
from .change_filter import NOT_A_BRANCH, ChangeFilter
from .schedulers import BaseScheduler


class ChangeChoice:
    """
    The arguments of a scheduler that choose among changes.

    *filter*: the scheduler ignores changes that it does not take; None: it takes all.  *important*: a function that
    decides whether a change starts builds; None: each does.  *only_important*: whether the others are ignored.
    """

    def __init__(
        self, arguments: ArgumentChecker, change_filter: Any, file_is_important: Any, only_important: Any
    ) -> None:
        if change_filter is not None and not isinstance(change_filter, ChangeFilter):
            arguments.wrong("change_filter", change_filter, "a util.ChangeFilter")
            change_filter = None
        self.filter: ChangeFilter | None = change_filter
        self.important: Callable[..., Any] | None = (
            None if file_is_important is None else arguments.function("fileIsImportant", file_is_important)
        )
        self.only_important = arguments.flag("onlyImportant", only_important)


def chosen_filter(arguments: ArgumentChecker, change_filter: Any, branch: Any, categories: Any) -> Any:
    """
    *change_filter*, or a filter made from the older arguments *branch* (a branch or a list) and *categories*.
    """
    old = {"branch": branch, "category": categories}
    old_arguments = {name: value for name, value in old.items() if value is not NOT_A_BRANCH and value is not None}
    if branch is None:
        old_arguments["branch"] = None
    if change_filter is not None:
        if old_arguments:
            arguments.note("give either change_filter, or branch and categories; not both.")
        return change_filter
    return ChangeFilter(**old_arguments) if old_arguments else None


class SingleBranchScheduler(BaseScheduler):
    """
    Requests builds for changes.

    *treeStableTimer*: after so many seconds without a further change of the same repository, branch, project and
    codebase, all waiting changes are built together; None: each change is built immediately and separately.
    *change_filter*: a `util.ChangeFilter`.
    *fileIsImportant*: a function of a change.  Changes for which it returns a false value start no builds, and are
    built with the next important change; with *onlyImportant* they are ignored.
    *branch*, *categories*: older arguments for a change_filter.
    *createAbsoluteSourceStamps*: a codebase without a change is built at the revision that this scheduler saw last, not
    at the one that *codebases* gives.
    """

    def __init__(
        self,
        name: Any,
        builderNames: Any,
        *,
        treeStableTimer: Any = None,
        branch: Any = NOT_A_BRANCH,
        branches: Any = NOT_A_BRANCH,
        fileIsImportant: Any = None,
        categories: Any = None,
        change_filter: Any = None,
        onlyImportant: Any = False,
        createAbsoluteSourceStamps: Any = False,
        **common: Any,
    ) -> None:
        super().__init__(name, builderNames, **common)
        branches_filter = self._branch(branch, branches, change_filter)
        chosen = chosen_filter(self.arguments, change_filter, branches_filter, categories)
        self.choice = ChangeChoice(self.arguments, chosen, fileIsImportant, onlyImportant)
        self.tree_stable_timer = self.arguments.optional(self.arguments.seconds, "treeStableTimer", treeStableTimer)
        self.absolute = self.arguments.flag("createAbsoluteSourceStamps", createAbsoluteSourceStamps)

    def _branch(self, branch: Any, branches: Any, change_filter: Any) -> Any:
        if branches is not NOT_A_BRANCH:
            self.arguments.note("branches is an argument of AnyBranchScheduler; here it is branch or change_filter.")
        elif branch is NOT_A_BRANCH and change_filter is None:
            self.arguments.note("give the branch: change_filter=util.ChangeFilter(branch=…).")
        return branch


class AnyBranchScheduler(SingleBranchScheduler):
    """
    A `SingleBranchScheduler` for changes of any branch.  *branches*: an older argument for a change_filter: only
    changes of these branches.
    """

    def _branch(self, branch: Any, branches: Any, change_filter: Any) -> Any:
        if branch is not NOT_A_BRANCH:
            self.arguments.note("branch is an argument of SingleBranchScheduler; here it is branches or change_filter.")
        return branches


class Scheduler(SingleBranchScheduler):
    """
    The old name of `SingleBranchScheduler`, with its old order of arguments.
    """

    def __init__(
        self, name: Any, branch: Any = NOT_A_BRANCH, treeStableTimer: Any = None, builderNames: Any = (), **more: Any
    ) -> None:
        super().__init__(name, builderNames, branch=branch, treeStableTimer=treeStableTimer, **more)
