"""
The buildset that a scheduler submits: builders, sources, properties, priority and reason.
"""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Self

from attrs import field, frozen
from twisted.internet.defer import Deferred, TimeoutError  # noqa: A004 - Twisted's
from twisted.internet.interfaces import IReactorTime

from ....errors import BuildbotLiteError, PropertyError
from ....model.change_view import ChangeView
from ....model.properties import Properties
from ....model.rendering import View, is_renderable, render
from ....model.source_stamps import Stamp, source_of
from ....model.user_functions import error_text
from ....storage.records.changes import RecordedChange
from ...config.master_config import MasterConfig
from ...config.schedulers import LARGEST_PRIORITY, BaseScheduler
from ..new_buildset import NewBuildset

LONGEST_RENDERING = 10.0
"""Seconds that rendering the builderNames or the priority of a scheduler may take."""
MOST_OWNERS = 100
CHANGE = "Change"
"""The source of the properties that changes have.  Those of a builder, a slave and a scheduler count more."""


@frozen
class BuildersFacade:
    """
    The part of Buildbot's master that renderers of builderNames use: ``props.master.data.get(("builders",))``.
    """

    _config: MasterConfig = field(repr=False)

    @property
    def data(self) -> Self:
        """
        The object with `get`.
        """
        return self

    def get(self, path: Sequence[str], **unused: Any) -> list[dict[str, Any]]:
        """
        The builders of master.cfg, each with "name", "tags" and "description".  `PropertyError` for another *path*.
        """
        if tuple(path) != ("builders",):
            raise PropertyError(f"only ('builders',) can be asked of props.master.data here, not {path!r:.80}")
        builders = self._config.builders.values()
        return [{"name": each.name, "tags": list(each.tags), "description": each.description} for each in builders]


class SchedulerView(View):
    """
    The view for renderers of builderNames and priority: the properties, the *changes*, their *files*, the source
    stamps, and by *master* the builders of *config*.
    """

    def __init__(
        self,
        properties: Properties,
        stamps: Mapping[str, Stamp],
        changes: Sequence[ChangeView],
        config: MasterConfig,
    ) -> None:
        self.master = BuildersFacade(config)
        super().__init__(properties, sources=stamps, changes=changes)
        self.files = self.allFiles()
        self.sourcestamps = [{"codebase": codebase, **stamp} for codebase, stamp in stamps.items()]


@frozen(kw_only=True)
class Firing:
    """
    A scheduler submits.  *stamps*: by codebase.  *changes*: those that are built, oldest first.  *reason*: why, unless
    the scheduler's own reason says it.  *slaves*: the only ones that may build it.  *input*: the row of a submitted
    input.  *properties*: name → (value, source).
    """

    scheduler: BaseScheduler
    stamps: Mapping[str, Stamp]
    reason: str
    changes: Sequence[RecordedChange] = ()
    untrusted: bool = False
    slaves: Sequence[str] | None = None
    input: int | None = None
    properties: Mapping[str, Any] | None = None


def seen(recorded: RecordedChange) -> ChangeView:
    """
    The change as an argument of the configuration's functions.
    """
    return ChangeView(recorded.change, recorded.id, recorded.received)


def stamps_for(
    scheduler: BaseScheduler, changes: Iterable[RecordedChange], last: Mapping[str, Stamp] | None = None
) -> dict[str, Stamp]:
    """
    The source stamps of *changes*: for each codebase of *scheduler* the last change's, or the *last* known one, or what
    ``codebases`` says.
    """
    stamps: dict[str, Stamp] = {
        codebase: {**stamp, **(last or {}).get(codebase, {})} for codebase, stamp in scheduler.codebases.items()
    }
    for recorded in changes:
        stamps[recorded.change.codebase] = stamp_of(recorded)
    return stamps


def stamp_of(recorded: RecordedChange) -> Stamp:
    """
    The source stamp of one change.
    """
    change = recorded.change
    return {
        "branch": change.branch,
        "revision": change.revision,
        "repository": change.repository,
        "project": change.project,
    }


async def new_buildset(firing: Firing, config: MasterConfig, clock: IReactorTime) -> tuple[NewBuildset, list[str]]:
    """
    The buildset of *firing*, and sentences about the parts of the configuration that failed.
    """
    scheduler, changes = firing.scheduler, [seen(each) for each in firing.changes]
    troubles: list[str] = []
    properties = properties_for(scheduler, changes, firing.properties, troubles)
    view = SchedulerView(properties, firing.stamps, changes, config)
    builders: Sequence[str] = ()
    try:
        builders = await builders_for(scheduler, config, view, clock)
    except BuildbotLiteError as error:
        troubles.append(str(error))
    priority = 0
    try:
        priority = await priority_for(scheduler, builders, view, clock)
    except BuildbotLiteError as error:
        troubles.append(str(error))
    buildset = NewBuildset(
        scheduler=scheduler.name,
        builders=builders,
        reason=scheduler.reason or firing.reason,
        source=source_of(firing.stamps, untrusted=firing.untrusted, slaves=_slaves(firing)),
        properties={name: (value, origin) for name, (value, origin) in properties.to_document().items()},
        input=firing.input,
        priority=priority,
        changes=[each.id for each in firing.changes],
    )
    return buildset, troubles


def _slaves(firing: Firing) -> Sequence[str] | None:
    own = firing.scheduler.fork_slaves
    return own if firing.untrusted and own is not None else firing.slaves


def properties_for(
    scheduler: BaseScheduler,
    changes: Sequence[ChangeView],
    more: Mapping[str, Any] | None = None,
    troubles: list[str] | None = None,
) -> Properties:
    """
    The properties of a buildset: of the changes, of *scheduler*, and *more*; later ones override earlier ones.  Values
    that cannot be properties are left out, and *troubles* gets a sentence about each.
    """
    properties = Properties()
    owners = list(dict.fromkeys(each.author for each in changes if each.author))
    given: dict[str, tuple[Any, str]] = {}
    for change in changes:
        given.update({name: (value, CHANGE) for name, value in change.properties.values().items()})
    if owners:
        given["owners"] = (owners[:MOST_OWNERS], CHANGE)
        if len(owners) == 1:
            given["owner"] = (owners[0], CHANGE)
    given.update({name: (value, "Scheduler") for name, value in scheduler.properties.items()})
    given.update({name: (value, origin) for name, (value, origin) in (more or {}).items()})
    for name, (value, origin) in given.items():
        try:
            properties.set(name, value, origin)
        except PropertyError as error:
            if troubles is not None:
                troubles.append(str(error))
    return properties


async def builders_for(
    scheduler: BaseScheduler, config: MasterConfig, view: SchedulerView, clock: IReactorTime
) -> list[str]:
    """
    The builders to which *scheduler* submits now; `PropertyError` when its builderNames cannot be rendered.
    """
    if scheduler.builders_to_render is None:
        return list(scheduler.builder_names)
    found = await _rendered("builderNames", scheduler.builders_to_render, view, clock)
    names = [found] if isinstance(found, str) else list(_flat(found))
    for name in names:
        if name not in config.builders:
            raise PropertyError(
                f"its builderNames were rendered to {found!r:.200}, and there is no builder {name!r:.80}"
            )
    return list(dict.fromkeys(names))


async def _rendered(argument: str, value: Any, view: SchedulerView, clock: IReactorTime) -> Any:
    rendering = Deferred.fromCoroutine(render(value, view))
    try:
        return await rendering.addTimeout(LONGEST_RENDERING, clock)
    except TimeoutError:
        raise PropertyError(f"its {argument} could not be rendered within {LONGEST_RENDERING:g} s") from None
    except BuildbotLiteError as error:
        raise PropertyError(f"its {argument} cannot be rendered: {error}") from None
    except Exception as error:
        raise PropertyError(f"its {argument} cannot be rendered: {error_text(error)}") from error


def _flat(found: Any) -> Iterable[Any]:
    if not isinstance(found, (list, tuple, set, frozenset)):
        raise PropertyError(f"its builderNames were rendered to {found!r:.200}, which is no list of names")
    for each in sorted(found, key=str) if isinstance(found, (set, frozenset)) else found:
        if isinstance(each, (list, tuple)):
            yield from each
        else:
            yield each


async def priority_for(
    scheduler: BaseScheduler, builders: Sequence[str], view: SchedulerView, clock: IReactorTime
) -> int:
    """
    The priority of what *scheduler* submits to *builders*; `PropertyError` when its function or renderer fails.
    """
    if isinstance(scheduler.priority, int):
        return scheduler.priority
    if is_renderable(scheduler.priority):
        return _priority("was rendered to", await _rendered("priority", scheduler.priority, view, clock))
    by_codebase: dict[str, list[ChangeView]] = {}
    for change in view.changes:
        by_codebase.setdefault(change.codebase, []).append(change)
    try:
        found = scheduler.priority(list(builders), by_codebase)
    except Exception as error:
        raise PropertyError(f"its priority function failed: {error_text(error)}") from error
    return _priority("function returned", found)


def _priority(origin: str, found: Any) -> int:
    try:
        # An `Interpolate` makes a text of the number.
        number = int(found) if isinstance(found, str) else found
        if isinstance(number, (int, float, type(None))) and not isinstance(number, bool):
            return max(-LARGEST_PRIORITY, min(LARGEST_PRIORITY, int(number or 0)))
    except (ValueError, OverflowError):
        pass
    raise PropertyError(f"its priority {origin} {found!r:.100}, which is no number")


def reason_for(scheduler: BaseScheduler, changes: Sequence[RecordedChange]) -> str:
    """
    Why builds of *changes* are made, for people.
    """
    last = changes[-1].change
    many = "1 change" if len(changes) == 1 else f"{len(changes)} changes"
    branch = f" of branch {last.branch:.200}" if last.branch else ""
    return f"{scheduler.kind} {scheduler.name!r}: {many}{branch}, the last by {last.author:.200}"
