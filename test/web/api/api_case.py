"""
The API of a made-up farm, whose answers are held against their description.
"""

import json
import re
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import jsonschema_rs
from attrs import evolve
from twisted.internet.defer import Deferred, succeed

from buildbot_lite.storage.reading import open_for_reading
from buildbot_lite.web.api.openapi import document_of
from buildbot_lite.web.api.routes import ENDPOINTS
from buildbot_lite.web.dispatcher import Pages
from buildbot_lite.web.farm.feed_streams import FeedStreams
from buildbot_lite.web.farm.live import Document
from buildbot_lite.web.farm.stored_farm import Places
from buildbot_lite.web.root import SiteRoot
from buildbot_lite.web.routes import ROUTES
from buildbot_lite.web.serving.site import make_factory
from test.storage.inline import InlineWriter

from ...seeded.files import DATABASE, make_farm
from ...seeded.live_answers import LiveAnswers
from ...seeded.seeding import Seeding
from ..pages_case import TUB, FakeAnswers, PagesCase, Received, received

SEEDING = Seeding(builds=60, slaves=6, events=20)
BASE = "/api/v1"
CONTROL = f"pb://{TUB}@127.0.0.1:1/control-secret"


class SeededAnswers(FakeAnswers):
    """
    The master of the made-up farm; *answers*: to other questions, or instead of its own.
    """

    def ask(self, question: Document) -> Deferred[Document]:
        answer = LiveAnswers(SEEDING, {name: dict(each) for name, each in self.answers.items()}).to(question["ask"])
        if self.away or answer is None:
            return super().ask(question)
        self.asked.append(question["ask"])
        return succeed(answer)


class ApiCase(PagesCase):
    """
    A test with the API of a made-up farm.
    """

    document: Mapping[str, Any] = document_of(ENDPOINTS)
    farm: Path

    @classmethod
    def setUpClass(cls) -> None:
        super().setUpClass()
        cls.farm = Path(tempfile.mkdtemp(prefix="api-"))
        make_farm(cls.farm, SEEDING, logs=5)

    @classmethod
    def tearDownClass(cls) -> None:
        shutil.rmtree(cls.farm)
        super().tearDownClass()

    def setUp(self) -> None:
        super().setUp()
        self.master = self.live.link = SeededAnswers()
        records = InlineWriter(open_for_reading(str(self.farm / DATABASE)))
        self.view = evolve(
            self.view,
            records=records,
            places=lambda: Places(str(self.farm / "streams"), str(self.farm / "artifacts")),
            events=FeedStreams(records.read, self.news, self.live, self.clock),
        )
        self.factory = make_factory(SiteRoot(Pages(self.view, ROUTES).resource(), None), self.clock)
        self.factory.doStart()
        self.addCleanup(records.close)
        self.holders.grants[CONTROL] = {"grant": 7, "label": "me", "may": None}
        self.patch(self.sessions, "_ask", self.ask_as_holder)

    def ask_as_holder(self, furl: str, question: Document) -> Deferred[Document]:
        """
        The master's answers to holders.
        """
        submitted = {"request": 5, "buildset": 6}
        answers: dict[str, Document] = {"force": submitted, "rebuild": submitted, "grants": {"grants": [{"grant": 7}]}}
        answers["force-forms"] = {"forms": [{"scheduler": "force", "fields": []}]}
        answers |= self.holders.answers
        return self.holders.ask(furl, question).addCallback(lambda answer: answers.get(question["ask"], answer))

    def post_json(self, address: str, body: bytes, headers: Mapping[str, str]) -> Received:
        """
        The answer to a POST to *address* below `BASE`.
        """
        of_body = {"Host": "localhost", "Content-Length": str(len(body)), "Content-Type": "application/json"}
        lines = "".join(f"{name}: {value}\r\n" for name, value in {**of_body, **headers}.items())
        return received(self.send(f"POST {BASE}{address} HTTP/1.1\r\n{lines}\r\n".encode() + body).value())

    def call(self, address: str, status: int = 200, **headers: str) -> Any:
        """
        The document at *address* below `BASE`, whose answer has this *status* and is as it is described.
        """
        answer = self.get(BASE + address, {name.replace("_", "-"): value for name, value in headers.items()})
        self.assertEqual(answer.status, status, answer.body[:1000])
        return self.checked(address, answer)

    def checked(self, address: str, answer: Received) -> Any:
        """
        The document in *answer*, which is as it is described.
        """
        document, violations = held_against(self.document, address, answer)
        self.assertEqual(violations, [], address)
        return document


def held_against(description: Mapping[str, Any], address: str, answer: Received) -> tuple[Any, list[str]]:
    """
    The document in an *answer*, or its bytes; and what of it is not as the *description* of the API says.
    """
    status, kind = answer.status, answer.headers.get("content-type", "").partition(";")[0]
    described = _operation(description, urlsplit(address).path)["responses"].get(str(status))
    if described is None or (status != 304 and kind not in described["content"]):
        return None, [f"{status} with {kind} is not described"]
    schema = None if status == 304 else described["content"][kind].get("schema")
    if schema is None:
        return answer.body, []
    document = json.loads(answer.text)
    whole = {**_closed(schema), "components": _closed(description["components"])}
    errors = jsonschema_rs.iter_errors(whole, document)
    return document, [f"{error.message[:300]} at {list(error.instance_path)}" for error in errors]


def _operation(description: Mapping[str, Any], path: str) -> Any:
    for template, item in description["paths"].items():
        pattern = re.sub(r"\{name\}", ".+", template)
        if re.fullmatch(re.sub(r"\{\w+\}", "[^/]+", pattern), path):
            return next(iter(item.values()))
    raise AssertionError(f"{path} is not described.")


def _closed(schema: Any) -> Any:
    """
    *schema*, but without fields that are not described.
    """
    if isinstance(schema, list):
        return [_closed(each) for each in schema]
    if not isinstance(schema, Mapping):
        return schema
    inner = {name: _closed(each) for name, each in schema.items()}
    is_record = schema.get("properties") is not None and "required" in schema
    return {**inner, "additionalProperties": False} if is_record else inner
