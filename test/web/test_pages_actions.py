"""
Buttons on the pages.
"""

from buildbot_lite.model.results import Result
from buildbot_lite.storage.records import marks

from .pages_case import CONTROL
from .test_pages import a_build
from .test_sessions import MAY, SessionCase


class KeepTests(SessionCase):
    """
    Builds that retention must not remove.
    """

    def test_kept(self) -> None:
        """
        The page of a build says whether and why it is kept, and offers the opposite to who may do it.
        """
        self.holders.grants[CONTROL] = {"grant": 7, "label": "Ada", "may": [*MAY, "keep", "unkeep"]}
        cookie = self.entered()
        build = self.successResultOf(self.records.write(a_build("linux", 1, Result.SUCCESS)))
        page = self.get("/builders/linux/1", cookie).text
        self.assertIn('action="../../do/keep"', page)
        self.assertNotIn("do/unkeep", page)
        self.successResultOf(self.records.write(lambda connection: marks.keep(connection, build, "for <Bob>")))
        self.clock.advance(10)
        page = self.get("/builders/linux/1", cookie).text
        self.assertIn("<dt>Kept</dt><dd>for &lt;Bob&gt;</dd>", page)
        self.assertIn('action="../../do/unkeep"', page)
        self.assertNotIn('do/keep"', page)
        self.clock.advance(10)
        page = self.get("/builders/linux/1").text
        self.assertIn("<dt>Kept</dt>", page)
        self.assertNotIn("do/unkeep", page)
        answer = self.post("/do/unkeep", {"builder": "linux", "number": "1"}, cookie)
        self.assertEqual((answer.status, answer.headers["location"]), (303, "../builders/linux/1"))
        self.assertEqual(self.holders.asked[-1][1], {"ask": "unkeep", "builder": "linux", "number": 1})
