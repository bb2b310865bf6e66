"""
Chromium without a window, for tests of pages::

    with Browser("http://127.0.0.1:8010/") as browser:
        browser.open("builders/foo/1")
        browser.click("button", "Cancel")
        browser.until(lambda: "cancelled" in browser.text, "the build is cancelled")
        assert not browser.complaints()

One browser serves the tests of a class: `reset` takes back what a test emulated.  No test sleeps: `until` polls a
condition, and fails after a bounded time.

The pages' Content-Security-Policy stays in force.  Scripts of the tests run through the DevTools protocol, to which it
does not apply.
"""

import base64
import shutil
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self, TypeVar
from urllib.parse import urljoin

from selenium.common.exceptions import StaleElementReferenceException, TimeoutException
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.action_chains import ActionChains
from selenium.webdriver.common.by import By
from selenium.webdriver.common.keys import Keys
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.wait import WebDriverWait

from ..asking_again import LONGEST
from . import accessibility

T = TypeVar("T")

PATIENCE = 120.0
WIDE = (1280, 900)
NARROW = (360, 740)
"""Pixels of a phone: width and height."""
_BUSY = 503
_STATUS = "return performance.getEntriesByType('navigation')[0]?.responseStatus"
_TALLEST = 8000
"""Pixels of a screenshot."""
_SELECTORS = {
    "button": "button, input[type=submit], [role=button], summary",
    "cell": "td, [role=cell]",
    "heading": "h1, h2, h3, h4, h5, h6, [role=heading]",
    "link": "a[href], [role=link]",
    "navigation": "nav, [role=navigation]",
    "row": "tr, [role=row]",
    "searchbox": "input[type=search], [role=searchbox]",
    "textbox": "input:not([type]), input[type=text], textarea, [role=textbox]",
}
_ARGUMENTS = (
    "--headless=new",
    # It opens only the pages under test; as root and in many containers its own sandbox does not work.
    "--no-sandbox",
    # /dev/shm is small in many containers.
    "--disable-dev-shm-usage",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--no-first-run",
    "--hide-scrollbars",
    "--force-color-profile=srgb",
    f"--window-size={WIDE[0]},{WIDE[1]}",
)


class Browser:
    """
    A running Chromium.  *address*: what the paths of `open` are relative to.  *hosts*: names that lead to this machine,
    beside those below ``localhost``.
    """

    def __init__(self, address: str, hosts: Sequence[str] = ()) -> None:
        self.address = address
        self._before: list[str] = []
        self._profile = tempfile.mkdtemp(prefix="browser-")
        options = ChromeOptions()
        options.binary_location = shutil.which("chromium") or "chromium"
        names = ", ".join(f"MAP {host} 127.0.0.1" for host in hosts)
        for argument in (*_ARGUMENTS, f"--user-data-dir={self._profile}", f"--host-resolver-rules={names}"):
            options.add_argument(argument)
        options.set_capability("goog:loggingPrefs", {"browser": "ALL"})
        try:
            # Named: otherwise selenium looks for a driver to download.
            self._driver = Chrome(options=options, service=Service(shutil.which("chromedriver") or "chromedriver"))
        except BaseException:
            shutil.rmtree(self._profile, ignore_errors=True)
            raise
        self._driver.set_page_load_timeout(PATIENCE)
        self._driver.set_script_timeout(PATIENCE)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, tb: TracebackType | None) -> None:
        self.close()

    def close(self) -> None:
        """
        End the browser, and remove its profile.
        """
        self._driver.quit()
        shutil.rmtree(self._profile, ignore_errors=True)

    # Going somewhere.

    def open(self, path: str = "") -> Self:
        """
        Open a page, and wait until it is loaded; again while the web process says that a reading takes too long, which
        is a busy machine's.
        """
        deadline = time.monotonic() + LONGEST
        self._driver.get(urljoin(self.address, path))
        while self._too_slow and time.monotonic() < deadline:
            self._before = [each for each in self.complaints() if "503" not in each]  # without the refusal
            time.sleep(1)
            self._driver.get(urljoin(self.address, path))
        return self

    @property
    def _too_slow(self) -> bool:
        return bool(self.run(_STATUS) == _BUSY and "takes longer than" in self.text)

    def reset(self) -> None:
        """
        Take back all emulation, and forget cookies and complaints.
        """
        self.scripts(run=True)
        self.dark(on=False)
        self._cdp("Emulation.clearDeviceMetricsOverride")
        self._cdp("Network.clearBrowserCookies")
        self._driver.get("about:blank")
        self.complaints()

    def narrow(self) -> Self:
        """
        Show pages on the screen of a phone, from now on.
        """
        return self._screen(*NARROW, phone=True)

    def wide(self) -> Self:
        """
        Show pages on a wide screen again.
        """
        self._cdp("Emulation.clearDeviceMetricsOverride")
        return self

    def _screen(self, width: int, height: int, *, phone: bool = False) -> Self:
        size = {"width": width, "height": height, "deviceScaleFactor": 2 if phone else 1, "mobile": phone}
        self._cdp("Emulation.setDeviceMetricsOverride", **size)
        return self

    def dark(self, *, on: bool = True) -> Self:
        """
        Prefer the dark scheme, or the light one, from now on.
        """
        scheme = {"name": "prefers-color-scheme", "value": "dark" if on else "light"}
        self._cdp("Emulation.setEmulatedMedia", features=[scheme])
        return self

    def scripts(self, *, run: bool) -> Self:
        """
        Run the scripts of pages that are opened from now on, or not.
        """
        self._cdp("Emulation.setScriptExecutionDisabled", value=not run)
        return self

    # What is there.

    @property
    def path(self) -> str:
        """
        The address of the page, after `address`.
        """
        return self._driver.current_url.removeprefix(self.address)

    @property
    def title(self) -> str:
        """
        The page's title.
        """
        return self._driver.title

    @property
    def text(self) -> str:
        """
        The text of the page that a person can see.
        """
        return self._driver.find_element(By.CSS_SELECTOR, "body").text

    @property
    def source(self) -> str:
        """
        The page's HTML as it is now.
        """
        return self._driver.page_source

    def all(self, selector: str) -> list[WebElement]:
        """
        The elements that a CSS selector finds.
        """
        return self._driver.find_elements(By.CSS_SELECTOR, selector)

    def one(self, selector: str) -> WebElement:
        """
        The first element that a CSS selector finds; waits for it.
        """
        return self.until(lambda: self.all(selector), f"{selector} is on the page")[0]

    def by_role(self, role: str, name: str | None = None) -> WebElement:
        """
        The first element that assistive programs are told by this role, and by this name if given; waits for it.
        """
        return self.until(lambda: self.with_role(role, name), f"{role} {name or ''} is on the page")[0]

    def with_role(self, role: str, name: str | None = None) -> list[WebElement]:
        """
        All elements of a role, with this name if given.
        """
        found = self.all(_SELECTORS.get(role, f"[role={role}]"))
        return [each for each in found if each.is_displayed() and name in {None, each.accessible_name}]

    def click(self, role: str, name: str) -> None:
        """
        Click the first element of a role with this name; waits for it.  One that the page replaces before the click is
        looked for again.
        """

        def clicked() -> bool:
            found = self.with_role(role, name)[:1]
            for each in found:
                each.click()
            return bool(found)

        self.until(clicked, f"{role} {name} is on the page, and is clicked")

    def press(self, key: str, *, shift: bool = False) -> None:
        """
        Press a key, by its name in `selenium.webdriver.common.keys` in mixed case or as a character.
        """
        names = {"Enter": Keys.ENTER, "Tab": Keys.TAB, "ArrowDown": Keys.ARROW_DOWN, "ArrowUp": Keys.ARROW_UP}
        chain = ActionChains(self._driver)
        if shift:
            chain.key_down(Keys.SHIFT)
        chain.send_keys(names.get(key, key))
        if shift:
            chain.key_up(Keys.SHIFT)
        chain.perform()

    def tab_to(self, selector: str, most: int = 200) -> None:
        """
        Press Tab, at most so often, until the element that a CSS selector finds has the focus, which must be seen.
        """
        for _ in range(most):
            self.press("Tab")
            if self.run("return document.activeElement.matches(arguments[0])", selector):
                assert self.run(_FOCUS_IS_SEEN), f"the focus is not seen on {selector} at {self.path}"
                return
        raise AssertionError(f"{selector} does not get the focus at {self.path}")

    def run(self, script: str, *arguments: Any) -> Any:
        """
        Run the body of a JavaScript function in the page; returns its value.
        """
        return self._driver.execute_script(script, *arguments)

    def until(self, condition: Callable[[], T], what: str, within: float = PATIENCE) -> T:
        """
        The first true result of *condition*.  An element that the page replaced meanwhile is looked for again.
        """

        def tried(_driver: Any) -> T:
            return condition()

        wait = WebDriverWait(
            self._driver, within, poll_frequency=0.05, ignored_exceptions=[StaleElementReferenceException]
        )
        try:
            return wait.until(tried)
        except TimeoutException:
            said = f"at {self.path} stands:\n{self.text[:2000]}\n{self.complaints()}"
            raise AssertionError(f"within {within:.0f} s it did not happen: {what}; {said}") from None

    # What is wrong.

    def complaints(self) -> list[str]:
        """
        The errors and warnings of the console since the last call: exceptions, refused scripts and styles, failed
        requests.
        """
        # A list, although selenium says that it is a dictionary.
        entries: Any = self._driver.get_log("browser")
        before, self._before = self._before, []
        return before + [each["message"] for each in entries if each["level"] in {"SEVERE", "WARNING"}]

    def overflow(self) -> list[str]:
        """
        Where the page is wider than the screen, so that it scrolls sideways: "the page", and the elements.
        """
        return list(self.run(_OVERFLOW))

    def violations(self) -> list[str]:
        """
        The serious and critical violations of accessibility that axe-core finds, one sentence each.
        """
        return accessibility.violations(self._driver)

    def injected(self) -> list[str]:
        """
        The elements and attributes that no page of ours has: such as come from a value shown without escaping.
        """
        return list(self.run(_INJECTED))

    def photograph(self, path: Path | str) -> Path:
        """
        Write a PNG of the whole page; of a very tall one, of what is on the screen.
        """
        width, height, tall, top = self.run(
            "const page = document.documentElement;"
            "return [window.innerWidth, window.innerHeight, page.scrollHeight, window.scrollY];"
        )
        fits = tall <= _TALLEST
        y, height = (0, max(height, tall)) if fits else (top, height)
        clip = {"x": 0, "y": y, "width": width, "height": height, "scale": 1}
        taken = self._cdp("Page.captureScreenshot", format="png", clip=clip, captureBeyondViewport=True)
        path = Path(path)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(base64.b64decode(taken["data"]))
        return path

    def _cdp(self, method: str, **arguments: Any) -> Any:
        return self._driver.execute_cdp_cmd(method, arguments)


_OVERFLOW = """
const width = document.documentElement.clientWidth;
if (document.scrollingElement.scrollWidth <= width) return [];
const scrolls = (element) => {
    for (let each = element; each && each !== document.body; each = each.parentElement)
        if (getComputedStyle(each).overflowX !== "visible") return true;
    return false;
};
const beyond = (each) => {
    const box = each.getBoundingClientRect();
    return Math.max(box.right, box.left + each.scrollWidth) > width + 1 && !scrolls(each);
};
const named = (each) => `${each.localName}.${each.className.baseVal ?? each.className}`;
const found = [...document.body.querySelectorAll("*")].filter(beyond).slice(0, 20);
return ["the page", ...found.map((each) => `${named(each)}: ${each.textContent.trim().slice(0, 60)}`)];
"""
"""Elements inside one that scrolls by itself do not count."""

_FOCUS_IS_SEEN = """
const box = document.activeElement.getBoundingClientRect();
const seen = box.width > 1 && box.bottom > 0 && box.top < innerHeight && box.right > 0 && box.left < innerWidth;
return seen && getComputedStyle(document.activeElement).outlineStyle !== "none";
"""

_INJECTED = """
const NEVER = ["style", "iframe", "object", "embed", "base", "marquee", "hostile"];
const elsewhere = (each, name) => {
    const address = each[name].baseVal ?? each[name];
    return each.hasAttribute(name) && new URL(address, location).origin !== location.origin;
};
return [...document.querySelectorAll("*")].filter((each) =>
    NEVER.includes(each.localName)
    || (each.localName === "script" && (!each.src || elsewhere(each, "src")))
    || (each.localName === "img" && elsewhere(each, "src"))
    || (each.localName === "meta" && /refresh/i.test(each.httpEquiv))
    || [...each.attributes].some(({name, value}) =>
        name.startsWith("on") || name === "style" || /^\\s*javascript:/i.test(value))
).map((each) => each.outerHTML.slice(0, 200));
"""
