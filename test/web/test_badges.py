"""
Badges, the farm's icon, and feeds.
"""

import base64
from typing import Any
from xml.etree import ElementTree as ET

from buildbot_lite.model.results import Result
from buildbot_lite.web.html.rendering import segment
from buildbot_lite.web.pages.atom import NAMESPACE
from buildbot_lite.web.pages.badges import badge, text_width

from .pages_case import CONTROL, NOW, PagesCase
from .test_pages import HOSTILE, a_build

ATOM = f"{{{NAMESPACE}}}"
SVG = "{http://www.w3.org/2000/svg}"


class PicturesCase(PagesCase):
    def built(self, builder: str, number: int, result: Result | None, **more: Any) -> None:
        """
        A build is in the records.
        """
        self.successResultOf(self.records.write(a_build(builder, number, result, **more)))

    def told(self, *builders: str, **more: Any) -> None:
        """
        The master tells its builders.
        """
        named = [{"builder": each, "tags": [], "slaves": []} for each in builders]
        self.master.answers["www"] = {"title": "A farm", "url": None, "private": False, "builders": named, **more}
        self.live.changed()
        self.clock.advance(11)


class BadgeTests(PicturesCase):
    """
    ``/badges/BUILDER.svg``.
    """

    def test_result(self) -> None:
        """
        Promise 10.4: a badge says the result of the newest finished build; other sites may show it; who has it already
        gets it no second time.
        """
        self.told("linux", "new")
        self.built("linux", 1, Result.FAILURE)
        self.built("linux", 2, None)
        found = self.get("/badges/linux.svg")
        self.assertEqual((found.status, found.headers["content-type"]), (200, "image/svg+xml"))
        self.assertEqual(found.headers["cross-origin-resource-policy"], "cross-origin")
        self.assertEqual(ET.fromstring(found.text).findtext(f"{SVG}title"), "linux: failure")
        again = self.get("/badges/linux.svg", {"If-None-Match": found.headers["etag"]})
        self.assertEqual((again.status, again.body), (304, b""))
        self.assertIn("new: no build yet", self.get("/badges/new.svg").text)
        self.assertEqual(self.get("/badges/other.svg").status, 404)

    def test_widths(self) -> None:
        """
        Each text has the width that it is given, whatever the font is; the badge is as wide as both.
        """
        self.assertAlmostEqual(text_width("Wii", 1000), 944 + 2 * 222)
        picture = ET.fromstring(badge("linux", Result.SUCCESS))
        texts = [float(each.attrib["textLength"]) for each in picture.iter(f"{SVG}text")]
        self.assertEqual(texts, [round(text_width("linux"), 1), round(text_width("success"), 1)])
        self.assertAlmostEqual(float(picture.attrib["width"]), sum(texts) + 32, delta=0.2)

    def test_hostile(self) -> None:
        """
        No name of a builder can inject markup, and a name without end makes no picture without end.
        """
        self.told(HOSTILE)
        found = self.get(f"/badges/{segment(HOSTILE)}.svg")
        picture = ET.fromstring(found.text)
        self.assertEqual({each.tag for each in picture.iter()}, {f"{SVG}{tag}" for tag in TAGS})
        self.assertLess(float(ET.fromstring(badge("W" * 5000, None)).attrib["width"]), 1000)

    def test_private(self) -> None:
        """
        Of a private farm there is no badge, whether or not there is such a builder.
        """
        self.told("linux", private=True)
        self.assertEqual([self.get(f"/badges/{name}.svg").status for name in ("linux", "x")], [404, 404])


TAGS = ("svg", "title", "rect", "path", "g", "text")


class IconTests(PicturesCase):
    """
    ``/favicon.svg``.
    """

    def test_states(self) -> None:
        """
        The icon is another one for each state of the farm: nothing built, good, bad, running, master away.
        """
        self.told("linux")
        seen = [self.get("/favicon.svg").text]
        self.built("linux", 1, Result.SUCCESS)
        self.clock.advance(11)
        seen.append(self.get("/favicon.svg").text)
        self.built("linux", 2, Result.FAILURE)
        self.clock.advance(11)
        seen.append(self.get("/favicon.svg").text)
        self.built("linux", 3, None)
        self.clock.advance(11)
        seen.append(self.get("/favicon.svg").text)
        self.live.is_away()
        self.master.away = True
        seen.append(self.get("/favicon.svg").text)
        self.assertEqual(len(set(seen)), 5)
        for each in seen:
            ET.fromstring(each)


class FeedOfBuildsTests(PicturesCase):
    """
    ``/feed.atom``.
    """

    def feed(self, path: str = "/feed.atom") -> ET.Element:
        """
        The feed at *path*.
        """
        self.clock.advance(11)
        found = self.get(path)
        self.assertEqual((found.status, found.headers["content-type"][:20]), (200, "application/atom+xml"))
        return ET.fromstring(found.text)

    def test_entries(self) -> None:
        """
        Promise 10.4: ended builds are entries with what RFC 4287 requires; running ones are not; a feed of a builder
        has only its own.
        """
        self.told("linux", "mac", url="https://farm.example/ci/")
        self.built("linux", 1, Result.SUCCESS, nonce="1" * 32)
        self.built("linux", 2, None)
        self.built("mac", 1, Result.FAILURE, finished=NOW - 5, reason="the disk is full")
        feed = self.feed()
        for element in (feed, *feed.iter(f"{ATOM}entry")):
            for name in ("id", "title", "updated"):
                self.assertTrue(element.findtext(f"{ATOM}{name}"), name)
        self.assertEqual(feed.findtext(f"{ATOM}author/{ATOM}name"), "A farm")
        entries = feed.findall(f"{ATOM}entry")
        self.assertEqual([each.findtext(f"{ATOM}title") for each in entries], ["mac #1 failed", "linux #1 succeeded"])
        self.assertIn("the disk is full", str(entries[0].findtext(f"{ATOM}summary")))
        link = entries[0].find(f"{ATOM}link")
        assert link is not None
        self.assertEqual(link.attrib["href"], "https://farm.example/ci/builders/mac/1")
        self.assertEqual(len(self.feed("/builders/mac/feed.atom").findall(f"{ATOM}entry")), 1)
        self.assertEqual(self.get("/builders/none/feed.atom").status, 404)

    def test_password(self) -> None:
        """
        Promise 10.7: the feeds of a private farm are read with a string as the password, which readers of news are
        asked for; it is the password of no page.
        """
        self.told("linux", private=True)
        self.holders.grants[CONTROL] = {"grant": 7, "label": "reader", "may": ["status"], "expires": None}
        basic = base64.b64encode(f"reader:{CONTROL}".encode()).decode()
        for path in ("/feed.atom", "/builders/linux/feed.atom"):
            asked = self.get(path)
            self.assertEqual((asked.status, asked.headers["www-authenticate"][:5]), (401, "Basic"), path)
            self.assertEqual(self.get(path, {"Authorization": f"Basic {basic}"}).status, 200, path)
        self.assertEqual(self.get("/", {"Authorization": f"Basic {basic}"}).status, 401)

    def test_password_of_proxy(self) -> None:
        """
        The feeds of a farm for everybody are read with whatever password a proxy before it asks for, but not with a
        string that the master refuses; of a private farm, such a password is refused.
        """
        self.told("linux")
        refused = CONTROL.replace("control-secret", "other-secret")
        for path in ("/feed.atom", "/builders/linux/feed.atom"):
            for password, status in (("of the proxy", 200), ("", 200), (refused, 403)):
                basic = base64.b64encode(f"ann:{password}".encode()).decode()
                self.assertEqual(self.get(path, {"Authorization": f"Basic {basic}"}).status, status, path)
        self.told("linux", private=True)
        basic = base64.b64encode(b"ann:of the proxy").decode()
        self.assertEqual(self.get("/feed.atom", {"Authorization": f"Basic {basic}"}).status, 403)

    def test_ids(self) -> None:
        """
        The ids stay when the farm gets another title and address, and are different for each build.
        """
        self.told("linux")
        self.built("linux", 1, Result.SUCCESS, nonce="1" * 32)
        self.built("linux", 2, Result.SUCCESS, nonce="2" * 32)
        before = [each.findtext(f"{ATOM}id") for each in self.feed().iter(f"{ATOM}entry")]
        self.told("linux", title="Another", url="https://other.example/")
        after = [each.findtext(f"{ATOM}id") for each in self.feed().iter(f"{ATOM}entry")]
        self.assertEqual(before, after)
        self.assertEqual(len(set(before)), 2)
        self.assertNotIn("1" * 32, "".join(map(str, before)).replace("-", ""))

    def test_hostile(self) -> None:
        """
        What others wrote is text, and the feed is valid XML.
        """
        self.told(HOSTILE, title=f"{HOSTILE}\x00\x0b\ud800")
        self.built(HOSTILE, 1, Result.FAILURE, reason=f"{HOSTILE}\x1b[31m\ufffe", slave=HOSTILE)
        feed = self.feed()
        self.assertIn("<script>alert(1)</script>", str(feed.findtext(f"{ATOM}entry/{ATOM}summary")))
        self.assertEqual(len(list(feed)), 7)
