"""
Endpoints that change something, and what only holders of grants may read: each is asked of the master with the
holder's own FURL.
"""

from collections.abc import Callable, Mapping
from typing import Any

from attrs import frozen

from ...errors import WrongValuesError
from .body import BODY_TEXT, BODY_VALUES
from .definitions import ApiEndpoint, ApiRequest, TextKind, WholeKind, path_parameter
from .schemas import Schema

_BUILDER = path_parameter("builder", TextKind(), "The builder's name; a slash in it is written %252F.")
_OF_BUILD = (_BUILDER, path_parameter("number", WholeKind(1), "The build's number."))
_OF_REQUEST = (path_parameter("number", WholeKind(1), "The request's number."),)
_OF_SLAVE = (path_parameter("slave", TextKind(), "The slave's name."),)


@frozen
class AskMaster:
    """
    What an endpoint does: the question *ask*, with the *fields* that are made of the parameters.  *changes*: whether
    the farm is another one afterwards.
    """

    ask: str
    fields: Callable[[Mapping[str, Any]], Mapping[str, Any]]
    changes: bool = True

    async def __call__(self, request: ApiRequest) -> Mapping[str, Any]:
        """
        The master's answer; `WrongValuesError` if it says what is wrong with the values.
        """
        view, holder = request.view, request.asked.permitted(self.ask)
        answer = await view.ask(request.asked, holder, {"ask": self.ask, **self.fields(request.given)})
        if wrong := answer.get("problems"):
            raise WrongValuesError(problems=[(each["name"], each["sentence"]) for each in wrong])
        if self.changes:
            view.live.expire()
        return answer


def _build(given: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"builder": given["builder"], "number": given["number"]}


def _cancel(given: Mapping[str, Any]) -> Mapping[str, Any]:
    return {"request": given["number"], "reason": given.get("reason", "cancelled over the API")}


def _post(
    path: str,
    about: str,
    do: AskMaster,
    parameters: tuple[Any, ...],
    answer: str = "Done",
    body: Mapping[str, Schema] | None = None,
) -> ApiEndpoint:
    return ApiEndpoint(path, about, do, answer, parameters, method="POST", body=body or {}, kept=0)


ENDPOINTS = (
    _post(
        "/builders/{builder}/force",
        "Request a build.  The scheduler may be left out if one can force this builder.",
        AskMaster("force", lambda given: {**given, "problems": True}),
        (_BUILDER,),
        "Submitted",
        {"reason": BODY_TEXT, "scheduler": BODY_TEXT, "properties": BODY_VALUES},
    ),
    _post(
        "/builds/{builder}/{number}/rebuild", "Request it again.", AskMaster("rebuild", _build), _OF_BUILD, "Submitted"
    ),
    _post(
        "/builds/{builder}/{number}/keep",
        "Keep it: retention does not remove it.",
        AskMaster("keep", lambda given: {**_build(given), "because": given.get("because", "")}),
        _OF_BUILD,
        body={"because": BODY_TEXT},
    ),
    _post("/builds/{builder}/{number}/unkeep", "Let retention remove it.", AskMaster("unkeep", _build), _OF_BUILD),
    _post(
        "/requests/{number}/cancel",
        "Cancel a request, and its build.",
        AskMaster("cancel", _cancel),
        _OF_REQUEST,
        body={"reason": BODY_TEXT},
    ),
    _post(
        "/slaves/{slave}/pause",
        "Give it no more builds.",
        AskMaster("pause", lambda given: {**given, "paused": True}),
        _OF_SLAVE,
    ),
    _post(
        "/slaves/{slave}/unpause",
        "Give it builds again.",
        AskMaster("pause", lambda given: {**given, "paused": False}),
        _OF_SLAVE,
    ),
    _post(
        "/slaves/{slave}/drain",
        "End it when its builds have ended.",
        AskMaster("drain", lambda given: given),
        _OF_SLAVE,
    ),
    ApiEndpoint(
        "/grants",
        "The grants, without their strings; for admins.",
        AskMaster("grants", lambda given: given, changes=False),
        "Grants",
        kept=0,
    ),
)
