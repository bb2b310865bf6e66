"""
Every page of a farm with hostile values, in a real browser.
"""

from collections.abc import Callable, Iterator
from typing import ClassVar

from ..needs import needs
from ..seeded.seeding import Seeding
from ..seeded.values import TITLE
from .browser_case import BrowserCase
from .crawling import Crawl, FoundPage, crawl, problems_of
from .screenshots import OF_ADMINS
from .shown_farm import ShownFarm

LIVE_FIELDS = ", ".join(f"[data-live] {each}" for each in ("input:not([type=hidden])", "select", "textarea"))


@needs("chromium", "chromedriver")
class PagesTests(BrowserCase):
    """
    All pages that links lead to, a few of each route.
    """

    found: ClassVar[Crawl]
    shown: ClassVar[ShownFarm]

    @classmethod
    def serve(cls) -> str:
        """
        Show a made-up farm.
        """
        shown = ShownFarm(Seeding(builds=320))
        cls.addClassCleanup(shown.close)
        cls.shown = shown.start()
        cls.found = crawl(shown.address)
        return shown.address

    def check(self, look: Callable[[FoundPage], Iterator[str]]) -> None:
        """
        Fail with all that *look* finds wrong on the pages.
        """
        if problems := problems_of(self.found.pages, look):
            self.fail(problems)

    def test_sound(self) -> None:
        """
        Promise 10.3: no page has a complaint in the console, an element or a title that a value of the farm made, a
        serious violation of accessibility, or a field in a part that is replaced when the farm changes.
        """
        seen: set[tuple[str, bool]] = set()

        def look(page: FoundPage) -> Iterator[str]:
            browser = self.browser.open(page.path)
            if browser.title == TITLE or not browser.title:
                yield f"its title is {browser.title!r}"
            yield from browser.complaints()
            yield from browser.injected()
            yield from (f"{each.get_attribute('name')} is in a live part" for each in browser.all(LIVE_FIELDS))
            if (kind := (page.rule, "%" in page.path)) not in seen:
                seen.add(kind)
                yield from browser.violations()

        self.check(look)

    def test_dark(self) -> None:
        """
        Promise 10.4: nor has a page in the dark scheme, where all colours are others.
        """
        seen: set[str] = set()

        def look(page: FoundPage) -> Iterator[str]:
            if page.rule not in seen:
                seen.add(page.rule)
                yield from self.browser.open(page.path).violations()

        self.browser.dark()
        self.check(look)

    def test_narrow(self) -> None:
        """
        Promise 10.4: no page scrolls sideways on a phone, whatever the names.
        """

        def look(page: FoundPage) -> Iterator[str]:
            yield from self.browser.open(page.path).overflow()

        self.browser.narrow()
        self.check(look)

    def test_present_page_in_sight(self) -> None:
        """
        On a phone, where the names of the pages are one line that is moved sideways, the present one is seen.
        """
        script = """
            const {left, right} = document.querySelector(".top nav [aria-current]").getBoundingClientRect();
            return 0 <= left && right <= innerWidth;
            """
        self.browser.narrow()
        for path in ("", "waterfall", "about"):
            self.browser.open(path).until(lambda: self.browser.run(script), f"the name of {path or 'the farm'} is seen")

    def test_without_scripts(self) -> None:
        """
        Promise 10.1: every page can be read without JavaScript: it has a heading, and the same words.
        """

        def look(page: FoundPage) -> Iterator[str]:
            browser = self.browser.open(page.path)
            if len(browser.all("h1")) != 1:
                yield f"it has {len(browser.all('h1'))} headings of the first level"
            if not browser.one("main").text.strip():
                yield "it is empty"

        self.browser.scripts(run=False)
        self.check(look)

    def test_of_admins(self) -> None:
        """
        Promise 10.3, promise 10.4: nor have the pages that only an admin sees, with forms and buttons, any of this; and
        they do not scroll sideways on a phone.
        """
        self.shown.enter(self.browser)
        for path in OF_ADMINS:
            browser = self.browser.open(path)
            browser.by_role("button", "Sign out")
            self.assert_sound()
            self.assertEqual(browser.narrow().open(path).overflow(), [], path)
            browser.wide()

    def test_keyboard(self) -> None:
        """
        Promise 10.4: the keyboard leads from the farm to a build, to its log, and to a filled form that forces a build;
        at each place it is seen where the focus is.
        """
        browser = self.browser
        self.shown.enter(browser)
        browser.open()
        browser.tab_to("a.skip", 1)
        browser.press("Enter")
        self.assertEqual(browser.run("return location.hash"), "#main")
        for selector, arrived in (
            ("a.cell", lambda: browser.all("#steps")),
            ("#steps a[href*='/logs/']", lambda: browser.all("#log")),
            (".crumbs a[href*='builders/']", lambda: browser.all("#builds")),
            ("a[href$='/force']", lambda: browser.all("form.force")),
        ):
            browser.tab_to(selector)
            browser.press("Enter")
            browser.until(arrived, f"{selector} leads to its page")
        browser.tab_to("[name='p.username']")
        browser.press("Ada")
        browser.tab_to("form.force button")
        self.assertEqual(browser.one("[name='p.username']").get_property("value"), "Ada")
        self.assert_sound()

    def test_artifact(self) -> None:
        """
        Promise 10.7: a report of HTML is shown, and no script in it runs.
        """
        browser = self.browser.open("builders/release/18")
        browser.click("link", "report.html")
        browser.until(lambda: browser.title == "report", "the report is shown")
        self.assertEqual(browser.one("h1").text, "Report")
        self.assertIn("sandboxed", " ".join(browser.complaints()))

    def test_links(self) -> None:
        """
        Promise 10.1: no link of a page leads nowhere, but to files of builds that were made up without files.
        """
        broken = [each for each in self.found.broken if "/artifacts/" not in each]
        self.assertEqual(broken, [])
