"""
The arguments of functions in a master.cfg: requests, builders and slaves, with Buildbot's names.

The functions are ``nextBuild``, ``nextSlave``, ``prioritizeBuilders`` and ``collapseRequests``.  Of a request, they may
read attributes, as in Buildbot 0.8, or keys, as since 0.9.
"""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from attrs import field, frozen

from ...model.properties import Properties
from ...storage.records.requests import Buildset, Request
from ..config.master_config import MasterConfig
from ..config.objects import BuilderConfig, BuildSlave


@frozen
class SourceView:
    """
    The sources of a request.  *patch*: whether it has a submitted input.
    """

    branch: Any
    revision: Any
    repository: Any
    project: Any
    codebase: Any = ""
    patch: Any = None


@frozen(eq=False)
class RequestView:
    """
    A request that waits.
    """

    _request: Request
    _buildset: Buildset

    @property
    def id(self) -> int:
        """
        Its number.
        """
        return self._request.id

    @property
    def priority(self) -> int:
        """
        Its priority.
        """
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
        Its sources.
        """
        source = self._buildset.source
        return SourceView(
            branch=source.get("branch"),
            revision=source.get("revision"),
            repository=source.get("repository"),
            project=source.get("project"),
            patch=self._buildset.input,
        )

    @property
    def sources(self) -> Mapping[str, SourceView]:
        """
        Its sources by codebase.
        """
        return {"": self.source}

    def getSubmitTime(self) -> float:
        """
        As *submitted*.
        """
        return self.submitted

    def canBeMergedWith(self, other: "RequestView") -> bool:
        """
        Whether both are of the same branch, repository and project, and neither has a submitted input.
        """
        return same_sources(self._buildset, other._buildset)  # noqa: SLF001 - of the same class

    canBeCollapsed = canBeMergedWith

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


@frozen(eq=False)
class BuilderView:
    """
    A builder with requests that wait.  Other attributes are those of its *config*.
    """

    config: BuilderConfig
    _waiting: Sequence[Request] = ()

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
class SlaveView:
    """
    A slave that could build.  Other attributes are those of its *config*.
    """

    config: BuildSlave

    @property
    def name(self) -> str:
        """
        Its name.
        """
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
    The master, with its configuration.
    """

    config: MasterConfig = field(repr=False)


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
