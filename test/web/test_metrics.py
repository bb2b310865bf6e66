"""
Metrics, and the pages that say whether the farm is well.
"""

import os
import re
import subprocess
from typing import Any

from sqlalchemy import delete

from buildbot_lite.errors import StorageError
from buildbot_lite.model.results import Result
from buildbot_lite.storage import schema
from buildbot_lite.storage.records import feed
from buildbot_lite.web.farm.counted_builds import MOST_BUILDERS, OTHERS, CountedBuilds, counts_of
from buildbot_lite.web.farm.exposition import MASTER_NUMBERS
from buildbot_lite.web.farm.metrics import FRESH
from test.needs import needs

from .pages_case import NOW, PagesCase
from .test_pages import HOSTILE, a_build

WAITING = {"builder": "linux", "submitted": NOW - 7.0, "why": {"kind": "no-slave", "sentence": "None is free."}}


class MetricsTests(PagesCase):
    """
    ``/metrics``.
    """

    def ended(self, builder: str, number: int, result: Result = Result.SUCCESS, **more: Any) -> None:
        """
        A build that lasted 30 s ends.
        """

        def change(connection: Any) -> None:
            build = a_build(builder, number, result, **more)(connection)
            feed.publish(connection, "build.finished", now=NOW, request=1, build=build)

        self.successResultOf(self.records.write(change))

    def text(self) -> str:
        """
        The metrics of now.
        """
        self.clock.advance(FRESH)
        answer = self.get("/metrics")
        self.assertEqual((answer.status, answer.headers["content-type"][:25]), (200, "text/plain; version=0.0.4"))
        return answer.text

    def value(self, series: str, text: str | None = None) -> float | None:
        """
        The value of one series.
        """
        found = re.search(rf"^{re.escape(series)} (\S+)$", text or self.text(), re.MULTILINE)
        return None if found is None else float(found[1])

    def test_builds(self) -> None:
        """
        Promise 10.6: builds are counted by builder and result, their durations and the waits of their requests by
        builder; a build counts once, however often is asked.
        """
        self.ended("linux", 1)
        self.ended("linux", 2, Result.FAILURE)
        for _ in range(2):
            text = self.text()
            self.assertEqual(self.value('buildbot_lite_builds_total{builder="linux",result="success"}', text), 1)
            self.assertEqual(self.value('buildbot_lite_builds_total{builder="linux",result="failure"}', text), 1)
            bucket = 'buildbot_lite_build_duration_seconds_bucket{builder="linux",le="%s"}'
            self.assertEqual([self.value(bucket % le, text) for le in ("15.0", "30.0", "+Inf")], [0, 2, 2])
            self.assertEqual(self.value('buildbot_lite_build_duration_seconds_sum{builder="linux"}', text), 60)
            self.assertEqual(self.value('buildbot_lite_request_wait_seconds_sum{builder="linux"}', text), 20)

    def test_over_a_restart(self) -> None:
        """
        Counters go on over a restart of the web process, and do not sink when retention removes builds.
        """
        path = os.path.join(self.mktemp(), "metrics.json")
        os.makedirs(os.path.dirname(path))
        series = 'buildbot_lite_builds_total{builder="linux",result="success"}'
        for number in (1, 2):
            object.__setattr__(self.view, "metrics", self.metrics(path))
            self.ended("linux", number)
            self.assertEqual(self.value(series), number)
        self.successResultOf(self.records.write(lambda connection: connection.execute(delete(schema.builds))))
        object.__setattr__(self.view, "metrics", self.metrics(path))
        self.assertEqual(self.value(series), 2)
        self.assertEqual(counts_of({"seq": 7}), CountedBuilds())

    def test_queue_and_slaves(self) -> None:
        """
        What waits by builder and reason, what runs, and slaves by state; while the master is away, none of this.
        """
        slaves = [{"slave": "a", "state": "here"}, {"slave": "b", "state": "away"}]
        status = {"waiting": [WAITING, {**WAITING, "submitted": NOW}], "waiting_total": 5, "slaves": slaves}
        self.master.answers["status"] = {"status": status, **status, "running": [{"builder": "linux"}]}
        self.master.answers["metrics"] = {
            "reactor_lag_seconds": 0.25,
            "later": 1,
            "links": "x",
            "queue": {"linux": {"length": 2000, "oldest_wait": 7.0}, "mac": {"length": 0, "oldest_wait": None}},
            "record_write_buckets": [[0.5, 3], [None, 4]],
            "record_write_seconds_total": 2.5,
        }
        text = self.text()
        for series, expected in (
            ('buildbot_lite_requests_waiting{builder="linux"}', 2000.0),
            ('buildbot_lite_requests_waiting{builder="(others)"}', None),
            ('buildbot_lite_master_record_batch_duration_seconds_bucket{le="0.5"}', 3.0),
            ("buildbot_lite_master_record_batch_duration_seconds_count", 4.0),
            ('buildbot_lite_requests_waiting_by_reason{reason="no-slave"}', 2.0),
            ('buildbot_lite_oldest_waiting_request_timestamp_seconds{builder="linux"}', NOW - 7.0),
            ('buildbot_lite_builds_running{builder="linux"}', 1.0),
            ('buildbot_lite_slaves{state="away"}', 1.0),
            ("buildbot_lite_master_reactor_lag_seconds", 0.25),
            ("buildbot_lite_master_links", None),
            ("buildbot_lite_master_up", 1.0),
        ):
            self.assertEqual(self.value(series, text), expected, series)
        self.live.is_away()
        self.master.away = True
        text = self.text()
        self.assertEqual(self.value("buildbot_lite_master_up", text), 0.0)
        self.assertNotIn("buildbot_lite_slaves{", text)

    def test_once(self) -> None:
        """
        However many ask, the metrics are made once in some seconds.
        """
        first = self.get("/metrics").text
        self.ended("linux", 1)
        self.assertEqual(self.get("/metrics").text, first)
        self.assertEqual(self.master.asked.count("status"), 1)

    def test_bounded(self) -> None:
        """
        Builders without end share one name.
        """
        counted = CountedBuilds()
        build: Any = type("Build", (), {"result": Result.SUCCESS, "lasted": 1.0, "waited": None})
        for number in range(MOST_BUILDERS + 5):
            build.builder = f"b{number}"
            counted.add([build], number)
        self.assertEqual(len(counted.results), MOST_BUILDERS + 1)
        self.assertEqual(counted.results[OTHERS, "success"], 5)
        self.assertEqual(counts_of(counted.document()), counted)

    @needs("promtool")
    def test_promtool(self) -> None:
        """
        ``promtool check metrics`` has nothing to say against them, whatever builders are called.
        """
        self.ended(HOSTILE, 1)
        self.ended('x"} 1\n', 1)
        slaves = [{"slave": "a", "state": "here"}]
        self.master.answers["status"] = {"waiting": [WAITING], "waiting_total": 1, "slaves": slaves, "running": []}
        self.master.answers["metrics"] = {"metrics": {each.name: 1.5 for each in MASTER_NUMBERS}}
        text = self.text()
        for each in MASTER_NUMBERS:
            self.assertIn(f"\nbuildbot_lite_master_{each.name} ", text)
        checked = subprocess.run(
            ["promtool", "check", "metrics"], input=text.encode(), capture_output=True, check=False, timeout=60
        )
        self.assertEqual((checked.returncode, checked.stdout, checked.stderr), (0, b"", b""))


class HealthTests(PagesCase):
    """
    ``/healthz`` and ``/readyz``.
    """

    def test_ready(self) -> None:
        """
        While the master is away the process is alive and not ready, and says since when.
        """
        self.assertEqual((self.get("/healthz").status, self.get("/readyz").status), (200, 200))
        self.live.is_away()
        self.live.away_since = NOW - 30
        self.master.away = True
        answer = self.get("/readyz")
        self.assertEqual(answer.status, 503)
        self.assertEqual(answer.text, "The master has not answered for 30 s.  Pages show what is stored.\n")
        self.assertEqual(self.get("/healthz").status, 200)

    def test_no_records(self) -> None:
        """
        Without readable records it is not ready.
        """

        class Unreadable:
            def read(self, query: Any) -> Any:
                raise StorageError("There is no database.")

        object.__setattr__(self.view, "records", Unreadable())
        answer = self.get("/readyz")
        self.assertEqual((answer.status, answer.text), (503, "There is no database.\n"))

    def test_private(self) -> None:
        """
        On a private farm the answer, which is open to everybody, has neither paths nor times.
        """
        self.master.answers["www"] = {**self.master.answers["www"], "private": True}
        self.get("/")
        self.master.away = True
        self.live.is_away()
        self.clock.advance(10)
        self.assertEqual(self.get("/readyz").text, "The master does not answer.\n")

        class Unreadable:
            def read(self, query: Any) -> Any:
                raise StorageError("There is no database /srv/farm/records.")

        object.__setattr__(self.view, "records", Unreadable())
        answer = self.get("/readyz")
        self.assertEqual((answer.status, answer.text), (503, "The records cannot be read.\n"))
