"""
From the definitions of endpoints to routes, with their refusals.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

from twisted.internet.defer import CancelledError

from ...errors import (
    BuildbotLiteError,
    LimitError,
    LinkLostError,
    NeedsHolderError,
    NoAnswerError,
    NotFoundError,
    RefusedError,
    StorageError,
)
from ...model.json_reader import encode
from ...wire.limits.limited_log import LimitedLog
from ..page_request import PageRequest
from ..view import JSON, FarmView, Reply, Route, Streamed
from . import endpoints_builds, endpoints_control, endpoints_farm, endpoints_history, events
from .definitions import BASE, ApiEndpoint, ApiRequest, is_whole
from .openapi import document_of
from .problems import problem

ENDPOINTS: Sequence[ApiEndpoint] = (
    *endpoints_farm.ENDPOINTS,
    *endpoints_builds.ENDPOINTS,
    *endpoints_history.ENDPOINTS,
    *endpoints_control.ENDPOINTS,
    *events.ENDPOINTS,
)
_LATER = {"retry-after": "5"}
_log = LimitedLog(__name__)


async def answer(endpoint: ApiEndpoint, view: FarmView, asked: PageRequest, **names: str) -> Reply | Streamed:
    """
    The answer of *endpoint*, or the refusal.
    """
    try:
        found: Any = await endpoint.respond(ApiRequest(view, asked, endpoint.given(asked, names)))
    except NotFoundError as error:
        return problem(404, str(error))
    except NeedsHolderError as error:
        return problem(401, str(error), {"www-authenticate": "Bearer"})
    except (LimitError, StorageError, NoAnswerError, LinkLostError) as error:
        return problem(503, str(error), _LATER)
    except RefusedError as error:
        return problem(403, str(error))
    except BuildbotLiteError as error:
        return problem(400, str(error))
    except CancelledError:
        raise
    except Exception:  # noqa: BLE001 - a defect in one endpoint
        _log.failure("the endpoint {path} failed", path=endpoint.path)
        return problem(500, "This cannot be answered.  The log of the web process says why.")
    return found if is_whole(found) else Reply(200, encode(found), JSON)


async def description(view: FarmView, asked: PageRequest) -> Reply:
    """
    ``/openapi.json``.
    """
    return Reply(200, encode(document_of(ENDPOINTS)), JSON)


async def overview(view: FarmView, asked: PageRequest) -> Reply:
    """
    The endpoints for people.
    """
    return await view.page(asked, "api.html", endpoints=ENDPOINTS, base=BASE, example=_example)


def _example(endpoint: ApiEndpoint) -> str | None:
    """
    An address to look at; None if it would need a name.
    """
    return None if "{" in endpoint.path or endpoint.method != "GET" else endpoint.path.removeprefix("/")


def route_of(endpoint: ApiEndpoint) -> Route:
    """
    The route of *endpoint*.
    """
    methods = ("GET", "HEAD") if endpoint.method == "GET" else (endpoint.method,)
    return Route(endpoint.rule, partial(answer, endpoint), methods, endpoint.kept)


ROUTES: Sequence[Route] = (
    Route(f"{BASE}/", overview),
    Route(f"{BASE}/openapi.json", description, kept=60.0),
    *(route_of(endpoint) for endpoint in ENDPOINTS),
)
