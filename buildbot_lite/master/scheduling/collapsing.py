"""
Collapsing: of several requests of a builder that ask for the same sources, only the newest is built.

::

    a request comes ──► for each older one that waits: the same sources and properties? ──► may they be collapsed?
                                                                                                │
                          the older one is SKIPPED, and its changes are those of the newer one ◄┘

With changes the revisions do not matter; without changes they must be the same.  Requests for changes of a fork and
other requests are not collapsed into each other.

Requests that a person made (Submit, force, rebuild, try) and requests that a build waits for (Trigger) are not
collapsed, unless a function in ``collapseRequests`` says so.  Those of a scheduler without ``treeStableTimer`` are to
be one build for each change: they are collapsed only if master.cfg has a ``collapseRequests``.
"""

import inspect
from collections.abc import Callable, Sequence
from typing import Any

from twisted.logger import Logger

from ...storage.records import changes
from ...storage.records.buildsets import Buildset
from ...storage.roles import Records
from ..config.change_schedulers import SingleBranchScheduler
from ..config.force_scheduler import ForceScheduler
from ..config.generations import Generations
from ..config.master_config import MasterConfig
from ..config.objects import BuilderConfig
from ..config.schedulers import Triggerable
from ..config.submit_scheduler import Submit
from .builder_queue import WaitingRequest
from .queue import Queue
from .views import BuilderView, MasterView, RequestView

_ASKED_FOR = (Submit, ForceScheduler, Triggerable)


class CollapseRule:
    """
    Which requests in *queue* may be collapsed.
    """

    _log = Logger()

    def __init__(self, *, records: Records, queue: Queue, generations: Generations) -> None:
        self._records = records
        self._queue = queue
        self._generations = generations

    async def older(self, newer: WaitingRequest) -> Sequence[WaitingRequest]:
        """
        The waiting requests that may be collapsed into *newer*.
        """
        config = self._generations.config
        builder = config.builders.get(newer.request.builder)
        if builder is None or newer.withdrawn:
            return []
        rule = config.collapse_requests if builder.collapse_requests is None else builder.collapse_requests
        if rule is False or (not callable(rule) and self._on_its_own(newer.buildset, rule)):
            return []
        older = [
            each
            for each in self._queue.of_builder(builder.name)
            if each.request.id < newer.request.id and not each.withdrawn
        ]
        if not callable(rule):
            return await self._alike([each for each in older if not self._on_its_own(each.buildset, rule)], newer)
        trusts = await self._trusts([*older, newer]) if older else []
        views = [
            RequestView(each.request, each.buildset, trust)
            for each, trust in zip([*older, newer], trusts, strict=False)
        ]
        try:
            return [
                each
                for each, view in zip(older, views, strict=False)
                if await _says_so(rule, config, builder, view, views[-1], [each.buildset, newer.buildset])
            ]
        except Exception:  # noqa: BLE001 - the user's function
            self._log.failure("collapseRequests of {builder} failed; nothing is collapsed", builder=builder.name)
            return []

    async def _alike(self, older: Sequence[WaitingRequest], newer: WaitingRequest) -> Sequence[WaitingRequest]:
        alike = [each for each in older if each.alike == newer.alike]
        if not alike:
            return []
        changes_of = await self._trusts([*alike, newer])
        of_newer = changes_of[-1]
        return [
            each
            for each, trust in zip(alike, changes_of, strict=False)
            if trust == of_newer and (trust or each.buildset.source == newer.buildset.source)
        ]

    async def _trusts(self, waiting: Sequence[WaitingRequest]) -> Sequence[frozenset[bool]]:
        buildsets = [each.buildset.id for each in waiting]
        trusts = await self._records.read(lambda connection: changes.trusts_of(connection, buildsets))
        return [trusts[each] for each in buildsets]

    def _on_its_own(self, buildset: Buildset, rule: bool | None) -> bool:
        """
        Whether a person asked for *buildset*, or it is for exactly one change.
        """
        scheduler = self._generations.config.schedulers.get(buildset.scheduler)
        if scheduler is None or buildset.by_grant is not None or buildset.parent is not None:
            return True
        each_change = isinstance(scheduler, SingleBranchScheduler) and scheduler.tree_stable_timer is None
        return isinstance(scheduler, _ASKED_FOR) or (each_change and rule is None)


async def _says_so(
    rule: Callable[..., Any],
    config: MasterConfig,
    builder: BuilderConfig,
    older: RequestView,
    newer: RequestView,
    buildsets: Sequence[Buildset],
) -> bool:
    master = MasterView(config, {each.id: each for each in buildsets})
    answer = _call(rule, master, BuilderView(builder), older, newer)
    return bool(await answer if inspect.isawaitable(answer) else answer)


def _call(function: Callable[..., Any], *arguments: Any) -> Any:
    """
    Call *function* with as many of the last *arguments* as it takes: before Buildbot 0.9 it was not given the master.
    """
    try:
        inspect.signature(function).bind(*arguments)
    except (TypeError, ValueError):
        return function(*arguments[1:])
    return function(*arguments)
