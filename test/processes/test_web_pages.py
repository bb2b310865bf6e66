"""
A real web process that shows a real farm.
"""

import re

from .farm import until
from .web_case import WebCase


class WebPagesTests(WebCase):
    """
    What others read of the farm.
    """

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
        until(lambda: self.get("/readyz")[0] == 200, "the web process is ready")
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
