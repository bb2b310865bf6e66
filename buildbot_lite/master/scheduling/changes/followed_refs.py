"""
The references of a git repository that a poller follows, and those that it has seen.
"""

from collections.abc import Collection, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from attrs import field, frozen

from ....model.git_refs import HEADS, TAGS, ref_of
from .commits import RemoteRefs


@frozen
class FollowedRefs:
    """
    Which references a poller follows.

    *branches*: None: HEAD; True: all branches; a function of the full name; or names and patterns, as in fnmatch(3),
    of branches, or of full names that begin with "refs/".  *only_tags*: all tags instead.
    """

    branches: Any = None
    only_tags: bool = False

    @property
    def patterns(self) -> Sequence[str]:
        """
        Patterns for ``git ls-remote`` that match all references that may be followed.
        """
        if self.only_tags:
            return [f"{TAGS}*"]
        if callable(self.branches):
            return []
        full = [each for each in self.branches if each.startswith("refs/")] if self._are_named else []
        return [f"{HEADS}*", *full, *([] if self._are_named or self.branches else ["HEAD"])]

    def among(self, refs: RemoteRefs) -> dict[str, str]:
        """
        Those of *refs* that are followed, with their commits.
        """
        if self.branches is None and not self.only_tags:
            return {} if refs.head is None else {refs.head: refs.commits[refs.head]}
        return {ref: commit for ref, commit in refs.commits.items() if self._has(ref)}

    @property
    def _are_named(self) -> bool:
        return isinstance(self.branches, tuple)

    def _has(self, ref: str) -> bool:
        if self.only_tags:
            return ref.startswith(TAGS)
        if callable(self.branches):
            return bool(self.branches(ref))
        if self.branches is True:
            return ref.startswith(HEADS)
        return any(fnmatchcase(ref, ref_of(pattern)) for pattern in self.branches)


@frozen
class SeenRefs:
    """
    The state of a poller: *refs*, followed reference → object, and the names of the *others*.  *commitless*: followed
    references that lead to no commit, for example tags of files.

    A reference that is followed from now on, because master.cfg changed, and was there before, is not new.
    """

    refs: Mapping[str, str] = field(factory=dict)
    others: Collection[str] = frozenset()
    commitless: Collection[str] = frozenset()

    @classmethod
    def from_document(cls, document: Any, url: str) -> "SeenRefs | None":
        """
        The state in *document*; None if it is not of the repository at *url*.
        """
        if not isinstance(document, Mapping) or document.get("url") != url:
            return None
        commitless = frozenset(document.get("commitless", ()))
        return cls(dict(document["refs"]), frozenset(document["others"]), commitless)

    def document(self, url: str) -> dict[str, Any]:
        """
        The state to record.
        """
        names = {"others": sorted(self.others), "commitless": sorted(self.commitless)}
        return {"url": url, "refs": dict(self.refs), **names}
