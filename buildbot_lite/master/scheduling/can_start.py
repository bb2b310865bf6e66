"""
Answers of ``canStartBuild``: the user's function that decides whether a request may be built on a slave.

A slow one delays only the requests of its own builder.
"""

import inspect
from collections.abc import Awaitable, Callable
from typing import Any

from twisted.internet.interfaces import IReactorTime

from ...storage.records.requests import Request
from ..config.objects import BuilderConfig, BuildSlave
from .user_answers import PENDING, UserAnswers


class CanStartAnswers:
    """
    The answers by request and slave.  *clock*, *changed*: as for `UserAnswers`.
    """

    def __init__(self, *, clock: IReactorTime, changed: Callable[[], None]) -> None:
        self._answers = UserAnswers(clock=clock, changed=changed)

    def allowed(self, builder: BuilderConfig, slave: BuildSlave, request: Request) -> bool | None:
        """
        Whether *request* may be built on *slave*; None while the answer is pending, or too many others are.
        """
        function = builder.can_start_build
        if function is None:
            return True
        answer = self._answers.answer(
            _what(request), lambda: _truth(function(builder, slave, request)), request.id, slave.name
        )
        return None if answer is PENDING else answer is True

    def knows(self, request: Request) -> bool:
        """
        Whether an awaited answer about *request* has arrived.
        """
        return self._answers.knows(_what(request), request.id)

    def forget(self, request: Request) -> None:
        """
        Drop the answers about *request*, which has left the queue, and cancel its pending call.
        """
        self._answers.forget(_what(request), request.id)


def _what(request: Request) -> str:
    return f"canStartBuild of {request.builder}"


def _truth(answer: Any) -> bool | Awaitable[bool]:
    return _truth_of(answer) if inspect.isawaitable(answer) else bool(answer)


async def _truth_of(answer: Awaitable[Any]) -> bool:
    return bool(await answer)
