"""
The arguments of functions in a master.cfg: requests, builders and slaves, with Buildbot's names.

The functions are ``nextBuild``, ``nextSlave``, ``canStartBuild``, ``prioritizeBuilders`` and ``collapseRequests``.  Of
a request, they may read attributes, as in Buildbot 0.8, or keys, as since 0.9.  A builder and a slave equal the objects
of master.cfg that they stand for, so that a function may look for one of them in a tuple or a dictionary.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from attrs import field, frozen
from twisted.internet.defer import Deferred, fail, succeed

from ...errors import NotFoundError
from ...model.properties import Properties
from ...model.source_stamps import FIELDS, Stamp, stamps_of
from ...storage.records.buildsets import Buildset
from ...storage.records.requests import Request
from ..config.master_config import MasterConfig
from ..config.objects import BuilderConfig, BuildSlave
from ..slaves.slots import Slot


@frozen
class SourceView:
    """
    The sources of a request.  *patch*: the number of its submitted input, or None.
    """

    branch: Any
    revision: Any
    repository: Any
    project: Any
    codebase: Any = ""
    patch: Any = None
    _request: "RequestView | None" = field(default=None, eq=False, repr=False)

    def canBeMergedWith(self, other: "SourceView") -> bool:
        """
        `RequestView.canBeMergedWith` of the two requests.
        """
        mine, others = self._request, other._request  # noqa: SLF001 - of the same class
        return mine is not None and others is not None and mine.canBeMergedWith(others)


@frozen(eq=False)
class RequestView:
    """
    A request that waits.  *trust*: whether its changes are untrusted; empty: it has none; None: not known.  Other
    attributes are those of its row.  It equals every view of the same request.
    """

    _request: Request
    _buildset: Buildset
    _trust: frozenset[bool] | None = None

    @property
    def id(self) -> int:
        return self._request.id

    @property
    def priority(self) -> int:
        return self._request.priority

    @property
    def submitted(self) -> float:
        """
        When it was submitted, in seconds since 1970.
        """
        return self._request.submitted

    submittedAt = submitted  # noqa: N815 - Buildbot's

    @property
    def retries(self) -> int:
        """
        How often it was tried again.
        """
        return self._request.retries

    @property
    def reason(self) -> str:
        """
        Why it was submitted.
        """
        return self._buildset.reason

    @property
    def scheduler(self) -> str:
        """
        The name of its scheduler.
        """
        return self._buildset.scheduler

    @property
    def builder(self) -> str:
        """
        The name of its builder.
        """
        return self._request.builder

    buildername = builder

    @property
    def properties(self) -> Properties:
        """
        The properties with which it was submitted.
        """
        return Properties.from_document(self._buildset.properties)

    @property
    def source(self) -> SourceView:
        """
        Its source; of several codebases the first.
        """
        return next(iter(self.sources.values()))

    @property
    def sources(self) -> Mapping[str, SourceView]:
        """
        Its sources by codebase.
        """
        stamps = stamps_of(self._buildset.source) or {"": {}}
        return {codebase: self._of(codebase, stamp) for codebase, stamp in stamps.items()}

    @property
    def branch(self) -> Any:
        """
        The branch of its source.
        """
        return self.source.branch

    def getSubmitTime(self) -> float:
        return self.submitted

    def canBeMergedWith(self, other: "RequestView") -> bool:
        """
        Whether both are of the same branch, repository and project, neither has a submitted input, and either both are
        for changes, or neither is and their revisions are the same.
        """
        mine, others = self._buildset, other._buildset  # noqa: SLF001 - of the same class
        if not same_sources(mine, others) or self._trust != other._trust:  # noqa: SLF001 - of the same class
            return False
        return self._trust is None or bool(self._trust) or mine.source == others.source

    canBeCollapsed = canBeMergedWith

    def _of(self, codebase: str, stamp: Stamp) -> SourceView:
        fields = {name: stamp.get(name) for name in FIELDS}
        return SourceView(**fields, codebase=codebase, patch=self._buildset.input, request=self)

    def __eq__(self, other: object) -> bool:
        return self.id == other.id if isinstance(other, RequestView) else NotImplemented

    def __hash__(self) -> int:
        return hash(self.id)

    def __getattr__(self, name: str) -> Any:
        if name.startswith("_"):  # one of its own, which a copy may not have yet
            raise AttributeError(name)
        return getattr(self._request, name)

    def __getitem__(self, key: str) -> Any:
        found = {
            "buildrequestid": self._request.id,
            "buildsetid": self._buildset.id,
            "buildername": self._request.builder,
            "priority": self._request.priority,
            "submitted_at": datetime.fromtimestamp(self._request.submitted, UTC),
            "properties": dict(self._buildset.properties),
            "reason": self._buildset.reason,
            "source": dict(self._buildset.source),
        }
        return found[key]


class _SameConfig:
    """
    A view that equals its *config*, and every view of its class of the same one.
    """

    __slots__ = ()

    config: Any

    def __eq__(self, other: object) -> bool:
        return bool(self.config == (other.config if isinstance(other, type(self)) else other))

    def __hash__(self) -> int:
        return hash(self.config)


@frozen(eq=False)
class BuilderView(_SameConfig):
    """
    A builder with requests that wait.  *building*: the slots of its builds that run.  Other attributes are those of its
    *config*.
    """

    config: BuilderConfig
    _waiting: Sequence[Request] = ()
    building: Sequence[Slot] = ()
    old_building: Sequence[Slot] = ()

    def getOldestRequestTime(self) -> datetime | None:
        """
        When its oldest waiting request was submitted.
        """
        oldest = min((each.submitted for each in self._waiting), default=None)
        return None if oldest is None else datetime.fromtimestamp(oldest, UTC)

    def getHighestPriority(self) -> int | None:
        """
        The highest priority of its waiting requests.
        """
        return max((each.priority for each in self._waiting), default=None)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.config, name)

    def __getitem__(self, key: str) -> Any:
        return {"name": self.config.name, "tags": list(self.config.tags), "description": self.config.description}[key]


@frozen(eq=False)
class SlaveView(_SameConfig):
    """
    A slave that could build.  Other attributes are those of its *config*.
    """

    config: BuildSlave

    @property
    def name(self) -> str:
        return self.config.name

    slavename = workername = name

    @property
    def worker(self) -> "SlaveView":
        """
        The slave itself: Buildbot gives the pair of slave and builder.
        """
        return self

    slave = worker

    def __getattr__(self, name: str) -> Any:
        return getattr(self.config, name)


@frozen(eq=False)
class MasterView:
    """
    The master, with its configuration.  *buildsets*: those that ``master.data.get(("buildsets", id))`` knows, by id.
    """

    config: MasterConfig = field(repr=False)
    _buildsets: Mapping[int, Buildset] = field(factory=dict, repr=False)

    @property
    def data(self) -> "MasterView":
        """
        The object with the method `get`.
        """
        return self

    def get(self, path: Any, *unused: Any, **more: Any) -> Deferred[Mapping[str, Any]]:
        """
        The buildset of the *path* ``("buildsets", id)`` or ``"buildsets/id"``, as a dictionary; `NotFoundError` for any
        other path.  Further arguments have no effect.
        """
        words = path.strip("/").split("/") if isinstance(path, str) else list(path)
        number = str(words[1]) if len(words) == 2 and words[0] == "buildsets" else ""
        buildset = self._buildsets.get(int(number)) if number.isdecimal() else None
        if buildset is None:
            asked = f"master.data.get({path!r:.80})"
            return fail(NotFoundError(f"{asked} is not known here: ask for ('buildsets', id) of the two requests."))
        return succeed(_document(buildset))


def _document(buildset: Buildset) -> Mapping[str, Any]:
    stamps = stamps_of(buildset.source)
    return {
        "bsid": buildset.id,
        "reason": buildset.reason,
        "submitted_at": int(buildset.submitted),
        "parent_buildid": buildset.parent_build,
        "complete": buildset.finished is not None,
        "results": buildset.result,
        "sourcestamps": [
            {"codebase": codebase, **{name: stamp.get(name) for name in FIELDS}} for codebase, stamp in stamps.items()
        ],
    }


def same_sources(first: Buildset, second: Buildset) -> bool:
    """
    Whether both requests have the same sources, apart from the revision, and neither has a submitted input.
    """
    return (
        first.input is None
        and second.input is None
        and without_revision(first.source) == without_revision(second.source)
    )


def without_revision(source: Any) -> Any:
    """
    *source* without its revisions, in all codebases.
    """
    if isinstance(source, Mapping):
        return {key: without_revision(value) for key, value in source.items() if key not in {"revision", "changes"}}
    return source
