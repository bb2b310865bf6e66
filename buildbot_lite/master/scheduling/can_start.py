"""
Answers of ``canStartBuild``: the user's function that decides whether a request may be built on a slave.

A slow one delays only the requests of its own builder.
"""

import inspect
from collections.abc import Awaitable
from typing import Any

from ...storage.records.requests import Request
from ..config.objects import BuilderConfig, BuildSlave
from .builder_queue import WaitingRequest
from .user_answers import PENDING, UserAnswers
from .views import BuilderView, RequestView, SlaveView


class CanStartAnswers:
    """
    The answers by request and slave.
    """

    def __init__(self, answers: UserAnswers) -> None:
        self._answers = answers

    def allowed(self, builder: BuilderConfig, slave: BuildSlave, waiting: WaitingRequest) -> bool | None:
        """
        Whether *waiting* may be built on *slave*; None while the answer is pending, or too many others are.
        """
        function, request = builder.can_start_build, waiting.request
        if function is None:
            return True
        arguments = (BuilderView(builder), SlaveView(slave), RequestView(request, waiting.buildset))
        answer = self._answers.answer(_what(request), lambda: _truth(function(*arguments)), request.id, slave.name)
        return None if answer is PENDING else answer is True

    def knows(self, request: Request) -> bool:
        """
        Whether an answer about *request* is kept.
        """
        return self._answers.knows(_what(request), request.id)


def _what(request: Request) -> str:
    return f"canStartBuild of {request.builder}"


def _truth(answer: Any) -> bool | Awaitable[bool]:
    return _truth_of(answer) if inspect.isawaitable(answer) else bool(answer)


async def _truth_of(answer: Awaitable[Any]) -> bool:
    return bool(await answer)
