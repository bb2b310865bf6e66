"""
The stream of events of a real farm, over restarts of both processes.
"""

import http.client
import json
import random
import time
from typing import Any

from ..web.api.api_case import held_against
from ..web.pages_case import Received
from .farm import PATIENCE, Farm, until
from .web_case import WebCase

KILLS = 3


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
        if self._response.status != 200:
            raise ConnectionError(self._response.read())

    def read_until(self, build: int) -> None:
        """
        Read until the build *build* is finished.
        """
        while self.next() != ("build.finished", build):
            pass

    def next(self) -> tuple[str, int | None]:
        """
        Read one more event; return its kind and its build.  `ConnectionError` if the stream has ended.
        """
        fields: dict[str, Any] = {}
        deadline = time.monotonic() + PATIENCE
        while True:
            line = self._response.readline().decode()
            assert time.monotonic() < deadline, f"there is no event after {self.last}"
            if not line.endswith("\n"):
                raise ConnectionError("the stream has ended")
            name, _, value = line.rstrip("\n").partition(": ")
            if name:
                fields[name] = value
                continue
            event, fields = fields, {}
            if event.get("event") == "feed":
                self.last = int(event["id"])
                self.ids.append(self.last)
                document = json.loads(event["data"])
                return document["kind"], document["build"]

    def close(self) -> None:
        """
        Hang up.
        """
        self._response.close()
        self._connection.close()


class LastingReader:
    """
    A client that connects again, with the number of its last event, whenever its stream ends.
    """

    def __init__(self, port: int, last: int) -> None:
        self.last = last
        self.ids: list[int] = []
        self._port = port
        self._reader: EventReader | None = None

    def read(self, most: int, build: int | None = None) -> None:
        """
        Read at most *most* events, up to the end of the build *build*.
        """
        while most > 0:
            reader = self._reader or until(self._connected, "the web process sends events")
            assert reader is not None
            try:
                event = reader.next()
            except (OSError, http.client.HTTPException):
                self.close()
                continue
            self.last = reader.last
            self.ids.append(self.last)
            most -= 1
            if event == ("build.finished", build):
                return

    def _connected(self) -> EventReader | None:
        try:
            self._reader = EventReader(self._port, self.last)
        except (OSError, http.client.HTTPException):
            return None
        return self._reader

    def close(self) -> None:
        """
        Hang up.
        """
        reader, self._reader = self._reader, None
        if reader is not None:
            reader.close()


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
            *(f"{build}/details", f"{build}/logs/0/stdio/search?text=a", "/queue?builder=hello", "/kept", "/about"),
        ):
            status, text = self.get(f"/api/v1{address}")
            answer = Received(status, {"content-type": "application/json"}, text.encode())
            self.assertEqual((status, held_against(description, address, answer)[1]), (200, []), address)


class KilledEventsTests(WebCase):
    """
    A program that follows a farm whose processes are killed.
    """

    @classmethod
    def make(cls) -> Farm:
        """
        A farm whose builds have some events more, and can be forced.
        """
        forced = 'c["schedulers"] += [schedulers.ForceScheduler("force", builderNames=["hello"])]\n'
        return Farm("bot1").builder("hello", "echo a", "echo b", "echo c").config(forced)

    def test_killed(self) -> None:
        """
        Promise 10.5: whichever of the two processes is killed, and where in the stream a program is then, it gets every
        event once and in their order, when it connects again with the number of its last one.
        """
        self.start_web()
        (last,) = self.farm.rows("select max(seq) from feed")[0]
        first = self.builds()
        reader = LastingReader(self.port, last or 0)
        self.addCleanup(reader.close)
        seed = random.randrange(1 << 32)
        chance = random.Random(seed)
        for build in range(first + 1, first + 1 + KILLS):
            self.assertEqual(self.farm.command("force", str(self.farm.master_directory), "hello").code, 0)
            reader.read(chance.randint(1, 8), build)
            killed = chance.choice(("web", "master", "both"))
            if killed != "master":
                self.web.kill()
            if killed != "web":
                self.farm.master.kill()
                self.farm.start_master()
            if killed != "master":
                self.start_web()
            self.wait_for(build)
        (newest,) = self.farm.rows("select max(seq) from feed")[0]
        reader.read(newest - reader.last)
        self.assertEqual(reader.ids, list(range((last or 0) + 1, newest + 1)), f"seed {seed}")
        self.web.stop()

    def start_web(self) -> None:
        """
        Start the web process, if it does not run, and wait until it answers.
        """
        if not self.web.alive:
            self.web.spawn()
        until(lambda: self.get("/readyz")[0] == 200, "the web process is ready")

    def wait_for(self, builds: int) -> None:
        """
        Wait until so many builds have ended.
        """
        until(lambda: self.builds() >= builds, f"build {builds} has ended")

    def builds(self) -> int:
        """
        The number of builds that have ended.
        """
        return int(self.farm.rows("select count(*) from builds where finished is not null")[0][0])
