"""
The search in a log, and what serves the farm, in the API.
"""

import os
from importlib.metadata import version
from typing import Any
from urllib.parse import quote

from buildbot_lite import __version__
from buildbot_lite.web.api.cursors import cursor_of_name
from buildbot_lite.web.farm.stored_farm import Places
from buildbot_lite.web.html.rendering import segment
from buildbot_lite.web.logs import farm_logs

from .api_case import ApiCase


class SearchTests(ApiCase):
    """
    The search in a log of the made-up farm.
    """

    def setUp(self) -> None:
        super().setUp()
        builds = self.call("/builds?limit=20")["builds"]
        one = next(each for each in builds if each["result"] is not None)
        of_build = f"/builds/{segment(one['builder'])}/{one['number']}"
        log = max(self.call(f"{of_build}/logs")["logs"], key=lambda each: each["length"] or 0)
        self.address = f"{of_build}/{log['raw']}"
        self.lines = self.call(self.address).decode("utf-8", "replace").removesuffix("\n").split("\n")

    def all_found(self, query: str) -> list[dict[str, Any]]:
        """
        The lines of all pages of a search.
        """
        page = self.call(f"{self.address}/search?{query}")
        found = list(page["found"])
        while page["next"] is not None:
            page = self.call(f"{self.address}/search?{query}&cursor={page['next']}")
            found += page["found"]
        return found

    def test_whole(self) -> None:
        """
        Promise 10.5: all lines with a text are found, in pages, from the beginning or back from the end.
        """
        self.patch(farm_logs, "MOST_FOUND", 3)
        text = max("etaoin", key=lambda each: sum(each in line for line in self.lines))
        wanted = [number for number, line in enumerate(self.lines, 1) if text in line]
        self.assertGreater(len(wanted), 3)
        for back in (0, 1):
            found = self.all_found(f"text={quote(text)}&case=1&back={back}")
            self.assertEqual([each["line"] for each in found], wanted[::-1] if back else wanted)
            self.assertEqual({each["text"] for each in found}, {text})
        later = self.all_found(f"text={quote(text)}&case=1&first={wanted[1]}")
        self.assertEqual([each["line"] for each in later], wanted[1:])
        self.assertEqual(self.all_found("text=there+is+no+such+line"), [])

    def test_refused(self) -> None:
        """
        A search without a text, for several lines, or with a cursor of another list is refused.
        """
        for query, said in (
            ("", "The parameter text is missing"),
            ("text=", "1 to 200 characters"),
            ("text=a%0Ab", "in one line"),
            ("text=a&cursor=eA", "This cursor is of no page"),
            ("text=a&case=2", "case"),
        ):
            self.assertIn(said, self.call(f"{self.address}/search?{query}", 400)["detail"])
        self.call(f"{self.address}x/search?text=a", 404)

    def test_gone(self) -> None:
        """
        The search in a log whose file is gone is refused, from either end, and does not find nothing.
        """
        places = Places(os.path.join(self.directory, "none"), "")
        # The view is frozen, and its routes have it already.
        object.__setattr__(self.view, "places", lambda: places)
        for back in (0, 1):
            found = self.call(f"{self.address}/search?text=a&back={back}&cursor={self.cursor(back)}", 404)
            self.assertIn("is not there any more", found["detail"])

    def cursor(self, back: int) -> str:
        """
        The cursor of a search that goes on at the second byte.
        """
        found = cursor_of_name("search-back" if back else "search", "1.1.0")
        assert found is not None
        return found


class AboutTests(ApiCase):
    """
    ``/about``.
    """

    def test_about(self) -> None:
        """
        Promise 10.5: the versions, licences and dates of the page are in its document.
        """
        found = self.call("/about")
        self.assertEqual((found["version"], found["master"], found["private"]), (__version__, "0.1.0", False))
        (twisted,) = [each for each in found["packages"] if each["name"] == "Twisted"]
        self.assertEqual((twisted["version"], twisted["licence"]), (version("twisted"), "MIT"))
        self.assertIsNotNone(found["reach"]["builds_since"])
        page = self.get("/about").text
        for each in found["packages"]:
            self.assertIn(f">{each['name']}</th>", page)
