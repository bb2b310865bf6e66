"""
The API against its description, with requests that schemathesis makes of it: good ones and bad ones.
"""

import json
import os
from typing import Any
from urllib.parse import urlencode

import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, settings
from schemathesis import GenerationMode, Response
from schemathesis.checks import not_a_server_error
from schemathesis.core import NotSet
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_schema_conformance,
    status_code_conformance,
)
from twisted.internet.error import ConnectionDone
from twisted.python.failure import Failure

from buildbot_lite.web.api.openapi import document_of
from buildbot_lite.web.api.routes import ENDPOINTS

from .api_case import BASE, CONTROL, ApiCase

EXAMPLES = int(os.environ.get("API_EXAMPLES", "15"))
"""Requests to each endpoint in each mode."""
CHECKS = [not_a_server_error, status_code_conformance, content_type_conformance, response_schema_conformance]


class ContractTests(ApiCase):
    """
    What schemathesis finds.
    """

    def test_as_described(self) -> None:
        """
        Promise 10.5: no request leads to an answer that is not described, nor to a defect.
        """
        schema: Any = schemathesis.openapi.from_dict(dict(document_of(ENDPOINTS)))
        operations = [result.ok() for result in schema.get_all_operations()]
        self.assertEqual(len(operations), len(ENDPOINTS))
        for operation in operations:
            for mode in (GenerationMode.POSITIVE, GenerationMode.NEGATIVE):
                if mode is GenerationMode.POSITIVE or operation.body or next(iter(operation.query), None) is not None:
                    self.send_all(operation, mode)

    def send_all(self, operation: Any, mode: GenerationMode) -> None:
        """
        Send the requests to one endpoint.
        """

        @given(case=operation.as_strategy(generation_mode=mode))
        @settings(
            max_examples=EXAMPLES,
            deadline=None,
            database=None,
            derandomize=True,
            phases=[Phase.explicit, Phase.generate],
            suppress_health_check=list(HealthCheck),
        )
        def send(case: Any) -> None:
            self.clock.advance(2)
            query = urlencode(case.query or {}, doseq=True)
            address = case.formatted_path + (f"?{query}" if query else "")
            bearer = {"Authorization": f"Bearer {CONTROL}"}
            if case.method == "GET":
                answer = self.get(BASE + address, bearer)
            else:
                answer = self.post_json(address, _bytes_of(case.body), bearer)
            self.connections.pop().connectionLost(Failure(ConnectionDone()))
            request = requests.Request(case.method, f"http://localhost:8010{BASE}{address}").prepare()
            headers = {name: [value] for name, value in answer.headers.items()}
            case.validate_response(
                Response(answer.status, headers, answer.body, request, elapsed=0.1, verify=False), checks=CHECKS
            )

        send()


def _bytes_of(body: Any) -> bytes:
    if isinstance(body, bytes):
        return body
    return b"" if isinstance(body, NotSet) else json.dumps(body).encode()
