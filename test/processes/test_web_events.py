"""
The stream of events of a real farm, over restarts of both processes.
"""

import http.client
import json
from typing import Any

from ..web.api.api_case import held_against
from ..web.pages_case import Received
from .farm import until
from .web_case import WebCase


class EventReader:
    """
    A client that reads a stream of events, from the one after *last*.
    """

    def __init__(self, port: int, last: int) -> None:
        self.last = last
        self.ids: list[int] = []
        self._connection = http.client.HTTPConnection("127.0.0.1", port, timeout=60)
        self._connection.request("GET", "/api/v1/events", headers={"Last-Event-ID": str(last)})
        self._response = self._connection.getresponse()
        assert self._response.status == 200, self._response.read()

    def read_until(self, build: int) -> None:
        """
        Read until the build *build* is finished.
        """
        fields: dict[str, Any] = {}
        while True:
            line = self._response.readline().decode()
            assert line, "the stream has ended"
            name, _, value = line.rstrip("\n").partition(": ")
            if name:
                fields[name] = value
                continue
            event, fields = fields, {}
            if event.get("event") == "feed":
                self.last = int(event["id"])
                self.ids.append(self.last)
                document = json.loads(event["data"])
                if document["kind"] == "build.finished" and document["build"] == build:
                    return

    def close(self) -> None:
        """
        Hang up.
        """
        self._response.close()
        self._connection.close()


class WebEventsTests(WebCase):
    """
    A program that follows the farm.
    """

    def test_restarts(self) -> None:
        """
        Promise 10.5: over a restart of the web process, and one of the master, a program gets every event once.
        """
        self.assertEqual(self.farm.submit("hello").code, 0)
        before = EventReader(self.port, 0)
        before.read_until(1)
        before.close()

        self.web.stop()
        self.assertEqual(self.farm.submit("hello").code, 0)
        self.web.spawn()
        until(lambda: self.get("/readyz")[0] == 200, "the web process is ready again")
        after = EventReader(self.port, before.last)
        self.addCleanup(after.close)
        after.read_until(2)

        self.farm.master.stop()
        until(lambda: self.get("/readyz")[0] == 503, "the web process says that the master is away")
        self.farm.start_master()
        self.assertEqual(self.farm.submit("hello").code, 0)
        after.read_until(3)
        ids = [*before.ids, *after.ids]
        self.assertEqual(ids, list(range(1, ids[-1] + 1)))
        self.check_documents()
        self.web.stop()

    def check_documents(self) -> None:
        """
        What a real master says of itself is as the description of the API says, field by field.
        """
        until(lambda: self.get("/readyz")[0] == 200, "the web process is ready")
        build = "/builds/hello/3"
        description = json.loads(self.get("/api/v1/openapi.json")[1])
        for address in (
            *("/farm", "/builders", "/builders/hello", "/builds", "/queue", "/slaves", "/slaves/bot1", "/schedulers"),
            *("/requests", "/requests/3", "/changes", "/reporters", "/packages/targets", "/packages/jobs", build),
            *(f"{build}/properties", f"{build}/logs", f"{build}/logs/0/stdio/lines", f"{build}/artifacts"),
        ):
            status, text = self.get(f"/api/v1{address}")
            answer = Received(status, {"content-type": "application/json"}, text.encode())
            self.assertEqual((status, held_against(description, address, answer)[1]), (200, []), address)
