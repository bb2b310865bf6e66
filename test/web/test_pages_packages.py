"""
The pages of packages.
"""

from buildbot_lite.storage.inline import InlineWriter
from test.seeded.opened import in_memory
from test.seeded.seeding import Seeding

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
        self.assertIn("There are no such jobs", self.get("/packages?name=nothing-of-this-name").text)

    def test_job(self) -> None:
        """
        Promise 9.10: one job has a row for each architecture, its states with their times, and its package's history.
        """
        page = self.get("/packages/1")
        self.assertEqual(page.status, 200)
        for part in ("Architectures", "History of", "States"):
            self.assertIn(part, page.text)
        self.assertEqual(self.get("/packages/999999").status, 404)

    def test_repository(self) -> None:
        """
        Promise 9.10: a target's page says which source packages it has built.
        """
        self.master.answers["package-targets"] = {
            "targets": [{"target": "bookworm", "kind": "DebTarget", "arches": ["amd64"], "paused": None, "jobs": {}}]
        }
        self.assertEqual(self.get("/packages/targets/bookworm").status, 200)
        self.assertEqual(self.get("/packages/targets/no-such-target").status, 404)
