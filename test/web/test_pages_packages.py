"""
The pages of packages.
"""

import html
import re
from typing import Any
from urllib.parse import quote

from sqlalchemy import text, update

from buildbot_lite.storage import schema
from buildbot_lite.web.pages import packages as pages_packages
from test.seeded.opened import in_memory
from test.seeded.seeding import Seeding
from test.storage.inline import InlineWriter

from .pages_case import PagesCase


class PackagePagesTests(PagesCase):
    """
    Jobs and repositories of a made-up farm, with hostile names.
    """

    def setUp(self) -> None:
        super().setUp()
        self.made_up = InlineWriter(in_memory(Seeding(builds=60, packages=30)))
        self.records.read = self.made_up.read  # type: ignore[method-assign]

    def test_jobs(self) -> None:
        """
        Promise 9.10: jobs by target and state, with the state of each architecture.
        """
        page = self.get("/packages")
        self.assertEqual(page.status, 200)
        self.assertIn('<a href="packages/', page.text)
        self.assertIn('class="job-state', page.text)
        self.assertNotIn("<script>", page.text)
        self.assertIn("No job passes this filter", self.get("/packages?name=nothing-of-this-name").text)

    def test_job(self) -> None:
        """
        Promise 9.10: one job has a row for each architecture, its states with their times, and its package's history.
        """
        page = self.get("/packages/1")
        self.assertEqual(page.status, 200)
        for part in ("Architectures", "History of", "States"):
            self.assertIn(part, page.text)
        self.assertEqual(self.get("/packages/999999").status, 404)

    def test_running(self) -> None:
        """
        Promise 9.10: how long an architecture has been building grows on the page, which is not made anew for that.
        """
        ages = re.compile(r'<td class="number"><span data-age="')
        self.assertFalse(ages.search(self.get("/packages/30").text))
        unfinished = update(schema.builds).values(finished=None, result=None)
        self.successResultOf(self.made_up.write(lambda connection: connection.execute(unfinished)))
        self.clock.advance(10)
        self.assertTrue(ages.search(self.get("/packages/30").text))

    def test_section(self) -> None:
        """
        A page below one of those that all pages name is marked as a part of it.
        """
        self.assertIn('<a href="../packages" aria-current="true">Packages</a>', self.get("/packages/1").text)
        self.assertIn('<a href="./packages" aria-current="page">Packages</a>', self.get("/packages").text)

    def test_repository(self) -> None:
        """
        Promise 9.10: a target's page says which source packages it has built.
        """
        self.master.answers["package-targets"] = {
            "targets": [{"target": "bookworm", "kind": "DebTarget", "arches": ["amd64"], "paused": None, "jobs": {}}]
        }
        self.assertEqual(self.get("/packages/targets/bookworm").status, 200)
        self.assertIn("by the records that are kept", self.get("/packages/targets/bookworm").text)
        self.assertEqual(self.get("/packages/targets/no-such-target").status, 404)

    def test_paused(self) -> None:
        """
        A target's page says why it is paused, and by whom.
        """
        paused = {"reason": "the mirror is broken", "by": "alice", "at": 1.0}
        self.master.answers["package-targets"] = {
            "targets": [{"target": "bookworm", "kind": "DebTarget", "arches": ["amd64"], "paused": paused, "jobs": {}}]
        }
        self.assertIn("the mirror is broken, by alice, ", self.get("/packages/targets/bookworm").text)

    def test_stuck(self) -> None:
        """
        Promise 9.9: a target's page says why its jobs are stuck, since when, and when the next one is tried.
        """
        trouble = {"reason": "createrepo_c failed: <no room>.", "since": 1.0, "again": 31.0}
        target: dict[str, Any] = {
            "target": "bookworm",
            "kind": "DebTarget",
            "arches": ["amd64"],
            "paused": None,
            "jobs": {},
        }
        self.master.answers["package-targets"] = {"targets": [{**target, "trouble": trouble}]}
        page = self.get("/packages/targets/bookworm").text
        self.assertIn("createrepo_c failed: &lt;no room&gt;. Since ", page)
        self.assertIn("1970-01-01 00:00:31", page)
        self.assertIn('<span class="slave-state refused">stuck</span>', self.get("/packages").text)

    def test_many_packages(self) -> None:
        """
        A target's page has some of its source packages at a time, and leads to the others.
        """
        row = re.compile(r'<tr><th scope="row"><a href="[^"]*">([^<]*)</a>')
        following = re.compile(r'<a href="[./]*(packages/targets/[^"]*)" rel="next">')
        target = self.made_up_target()
        whole = row.findall(self.get(f"/packages/targets/{target}").text)
        self.assertGreater(len(whole), 2)
        self.patch(pages_packages, "MOST_PACKAGES", 2)
        found, next_page = list[str](), re.match("(.*)", f"packages/targets/{target}")
        while next_page is not None:
            self.clock.advance(10)
            text = self.get("/" + html.unescape(next_page[1])).text
            found += row.findall(text)
            self.assertLessEqual(len(row.findall(text)), 2)
            next_page = following.search(text)
        self.assertEqual(found, whole)

    def made_up_target(self) -> str:
        """
        The name of a target with finished jobs.
        """
        query = text("select target from package_jobs where state = 'finished' and scratch = 0 group by target")
        read = self.made_up.read(lambda connection: str(connection.execute(query).scalars().first()))
        target: str = self.successResultOf(read)
        return quote(target, safe="")
