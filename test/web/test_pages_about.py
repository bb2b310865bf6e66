"""
The page about the farm.
"""

import twisted
from buildbot_lite import __version__
from buildbot_lite.model.results import Result
from buildbot_lite.web.pages.about import PACKAGES, used_package

from .pages_case import PagesCase
from .test_pages import HOSTILE, a_build


class AboutPageTests(PagesCase):
    def test_page(self) -> None:
        """
        Promise 10.4: the page names versions, how far the records go back, licences, and the addresses for programs.
        """
        self.successResultOf(self.records.write(a_build("linux", 1, Result.SUCCESS)))
        self.master.answers["status"] = {"version": HOSTILE}
        page = self.get("/about").text
        self.assertIn(f"buildbot_lite {__version__}", page)
        self.assertIn("2027-01-15 07:58:30 UTC", page)
        version = rf'<td data-head="version">{twisted.__version__}</td>'
        self.assertRegex(page, rf'<th scope="row">Twisted</th>{version}<td>[^<]*MIT')
        self.assertIn('href="./api/v1/"', page)
        self.assertNotIn("<script>alert", page)

    def test_licences(self) -> None:
        """
        Each package is named with a licence that is short enough to be read; what is not installed is left out.
        """
        for name in PACKAGES:
            found = used_package(name)
            self.assertTrue(found is None or 0 < len(found.licence) < 200, found)
        self.assertIsNone(used_package("no-such-package-x"))
