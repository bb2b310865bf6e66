"""
Preferences: the order of builders, requests and slaves that functions of a master.cfg decide.

``prioritizeBuilders`` orders the builders, ``nextBuild`` chooses one of a builder's requests, ``nextSlave`` one of the
slaves that are free for it.
"""

import inspect
from collections.abc import Callable, Collection, Iterator, Sequence
from functools import partial
from itertools import chain
from typing import Any

from ...model import wait_reasons
from ...model.wait_reasons import WaitReason
from ..config.master_config import MasterConfig
from ..config.objects import BuilderConfig
from ..slaves.member import Member
from ..slaves.slots import Slots
from .builder_queue import BuilderQueue, WaitingRequest
from .turns import Turns
from .user_answers import FAILED, PENDING, UserAnswers
from .views import BuilderView, MasterView, RequestView, SlaveView


class Preferences:
    """
    Calls the functions.
    """

    def __init__(self, answers: UserAnswers, slots: Slots) -> None:
        self._answers = answers
        self._slots = slots
        self.turns = Turns()
        self._order: Sequence[str] = ()

    def in_order(self, lists: Sequence[BuilderQueue], config: MasterConfig) -> Iterator[WaitingRequest]:
        """
        The requests in *lists* in the order in which they are to be built; from each list only those before the first
        that cannot be built.  Lists that are left out get a reason.
        """
        requests = {each.builder: self._of(each, config.builders.get(each.builder)) for each in lists}
        if config.prioritize_builders is None:
            yield from self.turns.merged(chain.from_iterable(requests.values()))
            return
        order = self._builders([each for each in lists if each.builder in config.builders], config)
        for each in lists:
            if each.reason is None and each.builder not in order:
                each.reason = wait_reasons.left_out("prioritizeBuilders", each.builder)
        for builder in order:
            yield from self.turns.merged(requests[builder])

    def expected_order(self, lists: Sequence[BuilderQueue], config: MasterConfig) -> Iterator[WaitingRequest]:
        """
        All requests in *lists*, the one to build next first, as far as that is known without calling a function: that
        of ``prioritizeBuilders`` counts with its last answer, that of ``nextBuild`` does not.
        """
        if config.prioritize_builders is None:
            return self.turns.expected([lists])
        by_name = {each.builder: each for each in lists}
        order = _chosen([*self._order, *by_name], by_name)
        return self.turns.expected([[by_name[builder]] for builder in order])

    def slaves(
        self, builder: BuilderConfig, waiting: WaitingRequest, free: Sequence[Member]
    ) -> Sequence[Member] | WaitReason:
        """
        Those of *free*, which are in our own order, that may build *waiting*, in order of preference.
        """
        function = builder.next_slave
        if function is None or not free:
            return free
        views = [SlaveView(each.config) for each in free]
        arguments = (BuilderView(builder), views, RequestView(waiting.request, waiting.buildset))
        function_name = f"nextSlave of {builder.name}"
        chosen = self._answers.answer(function_name, lambda: _call(function, *arguments), waiting.request.id)
        about = f"request {waiting.request.id}"
        if isinstance(obstacle := _no_answer(chosen, function_name, about), WaitReason):
            return obstacle
        name = getattr(chosen, "name", chosen)
        return [each for each in free if each.name == name] or wait_reasons.left_out(
            function_name, "any slave that is free"
        )

    def _builders(self, lists: Sequence[BuilderQueue], config: MasterConfig) -> Sequence[str]:
        building = self._slots.by_builder()
        views = [
            BuilderView(
                config.builders[each.builder],
                [waiting.request for waiting in each.order],
                building.get(each.builder, ()),
            )
            for each in lists
        ]
        names = {each.config.name for each in views}
        answer = self._answers.answer(
            "prioritizeBuilders", lambda: config.prioritize_builders(MasterView(config), views), frozenset(names)
        )
        if isinstance(answer, (list, tuple)):
            self._order = _chosen([getattr(each, "name", each) for each in answer], names)
            return self._order
        # While the function has not answered, its last answer counts, and the other lists come after those in it.
        return _chosen([*self._order, *(each.config.name for each in views)], names)

    def _of(self, waiting: BuilderQueue, builder: BuilderConfig | None) -> list[Iterator[WaitingRequest]]:
        if builder is None or builder.next_build is None:
            return waiting.open()
        return [self._chosen_by(f"nextBuild of {builder.name}", builder.next_build, waiting, builder)]

    def _chosen_by(
        self, function_name: str, function: Callable[..., Any], waiting: BuilderQueue, builder: BuilderConfig
    ) -> Iterator[WaitingRequest]:
        while waiting.reason is None and waiting.order:
            open_requests = {each.request.id: each for each in waiting.order if each.open}
            views = [RequestView(each.request, each.buildset) for each in open_requests.values()]
            if not views:
                return
            chosen = self._answers.answer(
                function_name, partial(function, BuilderView(builder), views), frozenset(open_requests)
            )
            found = open_requests.get(getattr(chosen, "id", -1))
            if found is None:
                waiting.reason = _no_answer(chosen, function_name, "these requests") or wait_reasons.left_out(
                    function_name, "any of them"
                )
                return
            yield found
            if found in waiting.order and waiting.reason is None:
                waiting.reason = found.own


def _no_answer(answer: Any, function_name: str, of: str) -> WaitReason | None:
    if answer is PENDING:
        return wait_reasons.function_pending(function_name, of)
    return wait_reasons.function_failed(function_name, of) if answer is FAILED else None


def _chosen(names: Sequence[Any], known: Collection[str]) -> Sequence[str]:
    return [name for name in dict.fromkeys(names) if name in known]


def _call(function: Callable[..., Any], *arguments: Any) -> Any:
    """
    Call *function* with as many of the first *arguments* as it takes: before Buildbot 0.9 there was no request.
    """
    try:
        inspect.signature(function).bind(*arguments)
    except (TypeError, ValueError):
        return function(*arguments[:-1])
    return function(*arguments)
