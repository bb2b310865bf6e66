"""
From the definitions of endpoints to routes.
"""

from collections.abc import Sequence
from functools import partial
from typing import Any

from ...model.json_reader import encode
from ..page_request import PageRequest
from ..view import JSON, FarmView, Reply, Route, Streamed
from . import (
    endpoints_builds,
    endpoints_control,
    endpoints_details,
    endpoints_farm,
    endpoints_history,
    endpoints_repositories,
    endpoints_search,
    events,
)
from .definitions import BASE, ApiEndpoint, ApiRequest, is_whole
from .openapi import document_of

ENDPOINTS: Sequence[ApiEndpoint] = (
    *endpoints_farm.ENDPOINTS,
    *endpoints_builds.ENDPOINTS,
    *endpoints_search.ENDPOINTS,
    *endpoints_details.ENDPOINTS,
    *endpoints_history.ENDPOINTS,
    *endpoints_repositories.ENDPOINTS,
    *endpoints_control.ENDPOINTS,
    *events.ENDPOINTS,
)


async def answer(endpoint: ApiEndpoint, view: FarmView, asked: PageRequest, **names: str) -> Reply | Streamed:
    """
    The answer of *endpoint*.
    """
    found: Any = await endpoint.respond(ApiRequest(view, asked, endpoint.given(asked, names)))
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
