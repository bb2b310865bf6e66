"""
Addresses above those of pages, and addresses with slashes that no page has.
"""

from buildbot_lite.model.results import Result
from buildbot_lite.web.routes import ROUTES

from .pages_case import PagesCase
from .test_pages import a_build

LEADS = {
    "/api": "/api/v1/",
    "/badges": "/about",
    "/builders": "/",
    "/builders/a%252Fb/builds": "/builders/a%252Fb",
    "/builders/a%252Fb/builds/7": "/builders/a%252Fb/7",
    "/builders/linux/7/artifacts": "/builders/linux/7",
    "/builders/linux/7/steps": "/builders/linux/7",
    "/builders/linux/7/steps/a%20b": "/builders/linux/7",
    "/builders/linux/7/steps/x/logs": "/builders/linux/7",
    "/builds/linux": "/builders/linux",
    "/builds/linux/7": "/builders/linux/7",
    "/packages/targets": "/packages",
    "/repositories": "/packages",
    "/requests": "/queue",
    "/schedulers": "/queue",
}


def resolved(path: str, location: str) -> str:
    """
    The path to which the relative *location* leads from *path*, whose empty segments count (RFC 3986, 5.2.4;
    `urllib.parse.urljoin` leaves them out).
    """
    segments = path.split("/")[:-1]
    for each in location.split("/"):
        if each == "..":
            segments.pop()
        elif each != ".":
            segments.append(each)
    return "/".join(segments)


class ParentsTests(PagesCase):
    def led(self, path: str, below: str = "") -> str:
        """
        The address to which that at *path* leads for good, for who sees the pages *below* a path of a proxy.
        """
        answer = self.get(path)
        self.assertEqual((answer.status, answer.body), (308, b""), path)
        return resolved(f"{below}{path}".partition("?")[0], answer.headers["location"])

    def test_parents(self) -> None:
        """
        Promise 10.4: who cuts the end of an address off gets to the page that lists what was there, below the path of a
        proxy, too, with and without a slash at the end.
        """
        for path, page in LEADS.items():
            for below in ("", "/ci"):
                for asked in (path, f"{path}/", f"{path}?a=b"):
                    query = "?a=b" if "?" in asked else ""
                    self.assertEqual(self.led(asked, below), f"{below}{page}{query}", asked)

    def test_all_parents(self) -> None:
        """
        Above each page there is another, or an address that leads to one.
        """
        self.successResultOf(self.records.write(a_build("linux", 7, Result.SUCCESS)))
        without = {"/do", "/change_hook"}
        for route in ROUTES:
            names = {"<builder>": "linux", "<int:number>": "7", "<step>": "1", "<log>": "stdio", "<target>": "d"}
            path = route.rule.split("/<path:")[0]
            for name, value in names.items():
                path = path.replace(name, value)
            above = path.rstrip("/").rpartition("/")[0]
            if "<" in above or above in without or above.startswith("/api/v1") or not above:
                continue
            status = self.get(above).status
            is_unknown = above.endswith(("/logs/stdio", "/targets/d", "/repositories/d", "/packages/7", "/changes/7"))
            self.assertIn(status, {200, 308, *([404] if is_unknown else [])}, above)

    def test_slashes(self) -> None:
        """
        A page has one address: with a slash at its end, or two together, it leads to the page, whose relative links
        hold there.
        """
        for path, page in {
            "/queue/": "/queue",
            "/queue/?builder=x": "/queue?builder=x",
            "/builders/linux//": "/builders/linux",
            "/builders//linux/7": "/builders/linux/7",
            "/builders/a%252Fb/": "/builders/a%252Fb",
            "//queue/": "/queue",
            "/builders//evil.example/": "/builders/evil.example",
            "/api/v1/builders/": "/api/v1/builders",
        }.items():
            self.assertEqual(self.led(path), page, path)
            self.assertEqual(self.led(path, "/ci"), f"/ci{page}", path)

    def test_slashes_of_names(self) -> None:
        """
        A slash that is written %2F is never left out: where it belongs to no name there is nothing, and not an address
        that leads to itself.
        """
        for path in ("/builders/%2Fx", "/builders/a%2F%2Fb", "/builders/%2F", "/builders/%2Fx?a=b"):
            self.assertEqual(self.get(path).status, 404, path)

    def test_unknown(self) -> None:
        """
        What is at no address is said, to a program with where to look.
        """
        for path in ("/nothing", "/builders/linux/7/nothing", "/favicon.ico"):
            self.assertEqual(self.get(path).status, 404, path)
        self.assertIn("/api/v1/ lists what there is", self.get("/api/v1/nothing").text)
        self.assertEqual(self.get("/do", method="POST").status, 404)
