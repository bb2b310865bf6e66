"""
A real web process that shows a real farm.
"""

import contextlib
import re
import resource
import socket
from collections.abc import Mapping

from buildbot_lite.web.serving.site import MOST_CONNECTIONS
from buildbot_lite.wire.tub import raise_file_limit

from .farm import PATIENCE, until
from .web_case import WebCase

EVENTS = b"GET /api/v1/events HTTP/1.1\r\nHost: localhost\r\n\r\n"
FLOODS: Mapping[str, bytes] = {
    "silent": b"",
    "half a head": b"GET / HTTP/1.1\r\nHost: localhost\r\nX: ",
    "streams": EVENTS,
    "half a body": b"POST /enter HTTP/1.1\r\nHost: localhost\r\nContent-Length: 60000\r\n\r\n" + b"x" * 50000,
}
# What both processes log about the clock and their links, whoever else connects.
OF_ITS_OWN = re.compile(r"bot1: |the master (has done nothing else|works again|tells no news)")
GARBAGE = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"


class WebPagesTests(WebCase):
    """
    What others read of the farm.
    """

    @classmethod
    def begin(cls) -> None:
        """
        Start the processes with fewer open files than they need.
        """
        limits = resource.getrlimit(resource.RLIMIT_NOFILE)
        resource.setrlimit(resource.RLIMIT_NOFILE, (512, limits[1]))
        try:
            super().begin()
        finally:
            resource.setrlimit(resource.RLIMIT_NOFILE, limits)

    def connected(self, address: str, request: bytes) -> socket.socket:
        """
        A connection from *address*, of this machine, on which *request* was sent.
        """
        connection = socket.create_connection(("127.0.0.1", self.port), PATIENCE, (address, 0))
        self.addCleanup(connection.close)
        # The web process may have cut it.
        with contextlib.suppress(ConnectionError):
            connection.sendall(request)
        return connection

    def test_flood(self) -> None:
        """
        Promise 10.7: while somebody takes all connections of the web process, others keep theirs and get pages, and no
        log grows.
        """
        raise_file_limit()
        stream = self.connected("127.0.0.1", EVENTS)
        self.assertIn(b"200 OK", stream.recv(1 << 16))
        logs = self.web.log, self.farm.master.log
        for what, request in FLOODS.items():
            flood = [self.connected("127.0.0.9", request) for _ in range(MOST_CONNECTIONS + 100)]
            self.assertEqual(self.get("/")[0], 200, what)
            for each in flood:
                each.close()
        for _ in range(100):
            self.connected("127.0.0.9", GARBAGE).close()
        for before, after in zip(logs, (self.web.log, self.farm.master.log), strict=True):
            new = after.removeprefix(before).splitlines()
            self.assertEqual([line for line in new if not OF_ITS_OWN.search(line)], [])
        stream.settimeout(0)
        with contextlib.suppress(BlockingIOError):
            while True:
                self.assertNotEqual(stream.recv(1 << 16), b"", "the stream of somebody else was cut")

    def until_metric(self, series: str, value: float) -> str:
        """
        Wait until the metrics have *series* with *value*; return all of them.
        """
        line = re.compile(rf"^{re.escape(series)} {value}$", re.MULTILINE)

        def found() -> str:
            status, text = self.get("/metrics")
            return text if status == 200 and line.search(text) else ""

        return until(found, f"{series} is {value}")

    def test_metrics(self) -> None:
        """
        Promise 10.6: a build of a real farm is counted, also over a restart of the web process; the master's own
        numbers are there; while the master is away the web process says so, and goes on.
        """
        self.assertEqual(self.farm.submit("hello").code, 0)
        builds = 'buildbot_lite_builds_total{builder="hello",result="success"}'
        text = self.until_metric(builds, 1.0)
        for name in ("record_batches_total", "received_bytes_total", "sent_bytes_total", "disk_free_bytes"):
            self.assertRegex(text, rf"(?m)^buildbot_lite_master_{name} [1-9]")
        self.assertIn('buildbot_lite_slaves{state="here"} 1.0', text)
        self.assertIn("hello: success", self.get("/badges/hello.svg")[1])
        self.assertIn("hello #1 succeeded", self.get("/feed.atom")[1])

        self.web.stop()
        self.assertEqual(self.farm.submit("hello").code, 0)
        self.web.spawn()
        self.until_metric(builds, 2.0)

        self.farm.master.stop()
        until(lambda: self.get("/readyz")[0] == 503, "the web process says that the master is away")
        self.until_metric("buildbot_lite_master_up", 0.0)
        self.assertEqual((self.get("/healthz"), self.get("/")[0]), ((200, "ok\n"), 200))
        self.farm.start_master()
        until(lambda: self.get("/readyz")[0] == 200, "the web process is ready again")
        self.web.stop()
