"""
The base classes of change sources: `ChangeSource` and `PollingChangeSource`.

A source in master.cfg is a value whose constructor checks its arguments.  While the master runs, a `RunningSource`
(`master.scheduling.changes.running_source`) sets *context*, calls `ChangeSource.activate`, then
`PollingChangeSource.poll` repeatedly, and at the end `ChangeSource.deactivate`.  The names of methods are Buildbot's.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Protocol, Self, TypeVar

from twisted.internet.defer import Deferred

from ...errors import ConfigError
from ...model.change import Change
from ...model.urls import without_passwords
from ...storage.records.changes import RecordedChange
from .argument_fit import NotingType
from .arguments import ArgumentChecker
from .change_fields import LONGEST_NAME, change_of
from .executed_line import current_line

T = TypeVar("T")

UNCHANGED: Any = object()
"""The value of *state* that leaves the recorded state unchanged."""
DEFAULT_INTERVAL = 600.0


class SourceContext(Protocol):
    """
    The parts of the farm that a running change source may use.

    *basedir*: the master's directory.  *wall*: the time in seconds since 1970.
    """

    @property
    def basedir(self) -> str: ...

    def wall(self) -> float: ...

    async def record(self, changes: Sequence[Change], state: Any = UNCHANGED) -> list[RecordedChange]:
        """
        Record *changes*, and in the same transaction *state*, a JSON value.  Return the changes that were not recorded
        before.
        """

    async def state(self) -> Any:
        """
        The recorded state of the source; None if there is none.
        """

    async def secret(self, name: str) -> str:
        """
        The value of the secret *name*; `ConfigError` if it is not available.
        """

    def in_thread(self, work: Callable[[], T]) -> Deferred[T]:
        """
        Call *work* in a thread, as soon as one of the threads for change sources is free; fires with its result.
        """

    def poll_soon(self) -> None:
        """
        Poll again immediately after this poll.
        """

    def remark(self, sentence: str) -> None:
        """
        Show *sentence* in ``buildbot-lite status`` until the next poll.  It is also logged, unless the previous poll
        ended with the same sentence.
        """


class ChangeSource(metaclass=NotingType):
    """
    A source of changes.  Subclass it for a source that does not poll, and call `addChange` for each change.

    *name*: identifies the source and its recorded state; 1 to 150 printable characters.
    """

    context: SourceContext
    """Set before `activate` is called."""
    recipe: tuple[tuple[Any, ...], dict[str, Any]]

    def __new__(cls, *args: Any, **kwargs: Any) -> Self:
        """
        Make a source, and keep the arguments of the constructor.
        """
        source = super().__new__(cls)
        source.recipe = (args, kwargs)
        return source

    def __init__(self, name: Any = None) -> None:
        self.place = current_line(self)
        self.given_name = name
        self.arguments = ArgumentChecker(f"{type(self).__name__} {without_passwords(str(name or ''))!r:.100}", self)
        self.name = self._checked_name(type(self).__name__ if name is None else name)

    def _checked_name(self, name: Any) -> str:
        if isinstance(name, str) and 0 < len(name) <= LONGEST_NAME and name.isprintable():
            return name
        self.arguments.wrong("name", name, f"1 to {LONGEST_NAME} printable characters")
        return ""

    def is_like(self, other: "ChangeSource") -> bool:
        """
        Whether *other* is of the same class and was made with equal arguments.

        Each load of master.cfg makes its classes and functions anew, so sources that use one are never alike.
        """
        return type(self) is type(other) and self.recipe == other.recipe

    # Called by its `RunningSource`.

    def describe(self) -> str:
        """
        The watched repository, for people: its address, or its name.
        """
        return self.name

    def activate(self) -> Any:
        """
        Start the source.  May return an awaitable.
        """

    def deactivate(self) -> Any:
        """
        Stop the source.  May return an awaitable.
        """

    # For subclasses.

    @property
    def master(self) -> "MasterFacade":
        """
        The part of Buildbot's master that sources for Buildbot use: ``self.master.data.updates.addChange(…)``.
        """
        return MasterFacade(self)

    def addChange(self, **fields: Any) -> Deferred[int | None]:
        """
        Record a change.  The Deferred fires with its number, or with None if it was recorded before.

        *fields*: author (or who), committer, files, comments, revision, when_timestamp (or when), branch, category (or
        a function of the other fields), revlink, properties, repository, codebase, project, src (without effect).
        """
        return Deferred.fromCoroutine(self._add_change(fields))

    def getState(self, name: str, default: Any = None) -> Deferred[Any]:
        """
        The value that `setState` recorded for *name*, or *default*.
        """
        return Deferred.fromCoroutine(self._get_state(name, default))

    def setState(self, name: str, value: Any) -> Deferred[None]:
        """
        Record *value*, a JSON value, for *name*.  It is kept over restarts.
        """
        return Deferred.fromCoroutine(self._set_state(name, value))

    async def _add_change(self, fields: Mapping[str, Any]) -> int | None:
        recorded = await self.context.record([change_of(fields, self.name)])
        return recorded[0].id if recorded else None

    async def _get_state(self, name: str, default: Any) -> Any:
        return (await self.context.state() or {}).get(name, default)

    async def _set_state(self, name: str, value: Any) -> None:
        state = await self.context.state() or {}
        await self.context.record([], {**state, name: value})

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.name!r})"


class PollingChangeSource(ChangeSource):
    """
    A source that polls for changes.  Subclass it and define ``poll``.

    *pollInterval*: seconds between the end of a poll and the next one, default 600; 0: it does not poll on its own.
    *pollAtLaunch*: also poll when the master starts; default False.
    *pollRandomDelayMin*, *pollRandomDelayMax*: a random number of seconds between these passes before each poll, also
    the one at the launch; it must be less than *pollInterval*.
    """

    pollInterval: float = DEFAULT_INTERVAL
    pollAtLaunch: bool = False
    pollRandomDelayMin: float = 0.0
    pollRandomDelayMax: float = 0.0

    def __init__(
        self,
        name: Any = None,
        pollInterval: Any = None,
        pollAtLaunch: Any = None,
        pollRandomDelayMin: Any = None,
        pollRandomDelayMax: Any = None,
        *,
        pollinterval: Any = None,
    ) -> None:
        super().__init__(name)
        if pollinterval is not None and pollInterval is not None:
            self.arguments.note("pollinterval is the old name of pollInterval.  Give one of them.")
        interval = pollInterval if pollinterval is None else pollinterval
        intervals = {
            "pollInterval": interval,
            "pollRandomDelayMin": pollRandomDelayMin,
            "pollRandomDelayMax": pollRandomDelayMax,
        }
        for argument, value in intervals.items():
            if value is not None:
                setattr(self, argument, self.arguments.seconds(argument, value))
        if pollAtLaunch is not None:
            self.pollAtLaunch = self.arguments.flag("pollAtLaunch", pollAtLaunch)
        if self.pollRandomDelayMin > self.pollRandomDelayMax:
            self.arguments.note("pollRandomDelayMin must not be above pollRandomDelayMax.")
        if self.pollRandomDelayMax and self.pollRandomDelayMax >= self.pollInterval:
            self.arguments.note("pollRandomDelayMax must be less than pollInterval.")

    @property
    def repository(self) -> str:
        """
        The repository of its changes, with which a hook finds the source; "" if there is none.
        """
        return ""

    def poll(self) -> Any:
        """
        Find and record new changes; subclasses define this.  May return an awaitable, and is not called again before
        that is done.
        """
        raise ConfigError(f"The class {type(self).__name__} has no method poll.")


class MasterFacade:
    """
    The part of Buildbot's master that change sources use: ``master.data.updates.addChange`` calls *source*.
    """

    def __init__(self, source: ChangeSource) -> None:
        self.addChange = source.addChange

    @property
    def data(self) -> Self:
        return self

    @property
    def updates(self) -> Self:
        return self
