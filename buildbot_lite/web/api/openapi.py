"""
The description of the API in OpenAPI 3.1, from the definitions of its endpoints.
"""

from collections.abc import Iterable, Mapping
from typing import Any

from ... import __version__
from .definitions import ApiEndpoint, Parameter
from .problems import PROBLEM
from .schemas import COMPONENTS, ref

_ABOUT = (
    "What the pages of the farm show, as documents.  Times are seconds since 1970, sizes are bytes; fields are added, "
    "never renamed.  Lists have pages: give `next` as `cursor`.  Answers have an ETag.  There is no CORS: browsers of "
    "other sites cannot read this."
)
_REFUSALS = {
    400: "The request is malformed, a parameter is unknown or cannot be used, or the answer is made of more than "
    "100,000 rows of the records.",
    401: "Reading this farm needs a string, as a bearer token.",
    403: "This is not permitted.",
    404: "There is nothing of that name.",
    413: "The body has more bytes than any may have.",
    414: "The address is longer than 16 KiB.",
    416: "The range has no bytes.",
    421: "This farm has another name.",
    431: "The head of the request is too large.",
    500: "A defect of the farm; its log says which.",
    501: "There is no such method.",
    503: "Not now: the master or its records do not answer, or too many ask.",
}


def document_of(endpoints: Iterable[ApiEndpoint]) -> Mapping[str, Any]:
    """
    The document about *endpoints*.
    """
    return {
        "openapi": "3.1.0",
        "info": {"title": "buildbot_lite", "version": __version__, "description": _ABOUT, "license": {"name": "MIT"}},
        "servers": [{"url": "."}],
        "paths": {endpoint.path: {endpoint.method.lower(): _operation(endpoint)} for endpoint in endpoints},
        "components": {
            "schemas": dict(COMPONENTS),
            "securitySchemes": {"string": {"type": "http", "scheme": "bearer", "description": "a FURL: pb://…"}},
        },
    }


def _operation(endpoint: ApiEndpoint) -> Mapping[str, Any]:
    body = {"type": "object", "properties": dict(endpoint.body), "additionalProperties": False}
    needed: Mapping[str, Any] = {
        "security": [{"string": []}],
        "requestBody": {"required": False, "content": {"application/json": {"schema": body}}},
    }
    words = [word.strip("{}") for word in endpoint.path.split("/") if word]
    return {
        "operationId": "_".join(words),
        "summary": endpoint.about,
        **(needed if endpoint.method == "POST" else {}),
        "parameters": [_parameter(each) for each in endpoint.parameters],
        "responses": {
            "200": {"description": "The answer.", "content": {endpoint.media: _content(endpoint)}},
            "304": {"description": "The client has it."},
            **{
                str(status): {"description": about, "content": {endpoint.media: {}}}
                for status, about in endpoint.statuses.items()
            },
            **{
                str(status): {"description": about, "content": {PROBLEM: {"schema": ref("Problem")}}}
                for status, about in _REFUSALS.items()
            },
        },
    }


def _content(endpoint: ApiEndpoint) -> Mapping[str, Any]:
    return {} if endpoint.answer is None else {"schema": ref(endpoint.answer)}


def _parameter(parameter: Parameter) -> Mapping[str, Any]:
    schema = parameter.kind.schema
    if parameter.many > 1:
        schema = {"type": "array", "items": schema, "maxItems": parameter.many}
    return {
        "name": parameter.name,
        "in": "path" if parameter.in_path else "query",
        "required": parameter.in_path or parameter.is_needed,
        "description": parameter.about,
        "schema": schema,
    }
