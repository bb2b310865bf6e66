"""
Lock needs: the locks that the build of a request needs on each slave.

Locks that a builder renders are rendered once for each request and slave, and again after a reconfiguration.  One
decision of the queue renders at most `MOST_RENDERED` times; it continues in the next iteration of the reactor, so that
thousands of new requests do not block the master.
"""

from collections.abc import Hashable, Mapping, Sequence
from typing import Any
from weakref import WeakValueDictionary

from attrs import define

from ...errors import BuildbotLiteError
from ...model import wait_reasons
from ...model.locks import LockUse
from ...model.rendering import View, is_renderable, render_now
from ...model.source_stamps import stamps_of
from ...model.wait_reasons import WaitReason
from ...storage.records.builds import Build
from ..config.arguments import ArgumentChecker
from ..config.generations import Generations
from ..config.loading import Generation
from ..config.locks import checked_accesses, uses_on
from ..config.objects import BuilderConfig
from .builder_queue import WaitingRequest
from .preparation import properties_of

MOST_RENDERED = 50
"""Locks that one decision renders."""


@define(eq=False)
class LockNeeds:
    """
    The locks that a build needs *on* each slave of its builder, or why they are not known.  Requests of a builder with
    the same needs share one object.
    """

    on: Mapping[str, Sequence[LockUse] | WaitReason]
    generation: Generation


class LockNeedsTable:
    """
    The needs of waiting requests.  *unfinished*: whether this decision has rendered as many as it may, and the next one
    has to continue.
    """

    def __init__(self, generations: Generations) -> None:
        self._generations = generations
        self._known: WeakValueDictionary[Hashable, LockNeeds] = WeakValueDictionary()
        self._of_builders: dict[str, LockNeeds] = {}
        self._uses: dict[tuple[LockUse, ...], tuple[LockUse, ...]] = {}
        self._for = generations.current
        self._left = MOST_RENDERED
        self.unfinished = False

    def begin(self) -> None:
        """
        Begin a decision.
        """
        self._left, self.unfinished = MOST_RENDERED, False
        if self._for is not self._generations.current:
            self._for = self._generations.current
            self._of_builders.clear()
            self._uses.clear()

    def of(self, waiting: WaitingRequest, builder: BuilderConfig) -> LockNeeds | None:
        """
        The needs of *waiting*; None when this decision may not render any more.
        """
        if (written := self._of_builders.get(builder.name)) is not None:
            return written
        if not is_renderable(builder.locks):
            written = self._of_builders[builder.name] = LockNeeds(self._written(builder), self._for)
            return written
        known = waiting.needs
        if not isinstance(known, LockNeeds) or known.generation is not self._for:
            self.unfinished = self._left <= 0
            if self.unfinished:
                return None
            known = self._made(builder, self._rendered(waiting, builder))
            waiting.know(known)
        return known

    def _made(self, builder: BuilderConfig, on: Mapping[str, Sequence[LockUse] | WaitReason]) -> LockNeeds:
        key = (id(self._for), builder.name, tuple(on.items()))
        return self._known.setdefault(key, LockNeeds(on, self._for))

    def _written(self, builder: BuilderConfig) -> Mapping[str, Sequence[LockUse]]:
        slaves = self._for.config.slaves
        return {
            name: self._shared(uses_on(name, builder.locks, slaves[name].locks))
            for name in builder.slavenames
            if name in slaves
        }

    def _shared(self, uses: tuple[LockUse, ...]) -> tuple[LockUse, ...]:
        """
        The first recorded object that is equal to *uses*: identical objects compare quickly.
        """
        return self._uses.setdefault(uses, uses)

    def _rendered(
        self, waiting: WaitingRequest, builder: BuilderConfig
    ) -> Mapping[str, Sequence[LockUse] | WaitReason]:
        slaves = self._for.config.slaves
        found: dict[str, Sequence[LockUse] | WaitReason] = {}
        for name in builder.slavenames:
            if name in slaves and (waiting.only is None or name in waiting.only):
                self._left -= 1
                accesses = self._rendered_on(waiting, builder, name)
                known = isinstance(accesses, WaitReason)
                found[name] = accesses if known else uses_on(name, accesses, slaves[name].locks)
        return found

    def _rendered_on(self, waiting: WaitingRequest, builder: BuilderConfig, slave: str) -> Any:
        row = Build(0, waiting.request.id, builder.name, 0, slave, "", "", "", 0.0, None, None, "", {})
        properties = properties_of(self._for.config, row, waiting.buildset)
        view = View(properties, sources=stamps_of(waiting.buildset.source), slave={"name": slave})
        try:
            rendered = render_now(builder.locks, view)
            return checked_accesses(ArgumentChecker(f"The builder {builder.name!r}"), "locks", rendered or ())
        except BuildbotLiteError as error:
            return wait_reasons.locks_unknown(builder.name, str(error))
