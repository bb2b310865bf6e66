"""
When a page is on the screen of Chromium, and what was loaded until then (Debian: apt install chromium chromium-driver).

A page counts as shown in the first frame in which something is there that only its whole content has: so many elements
of a CSS selector, or a text.  The browser looks for it every few milliseconds by itself; nothing is asked of it
meanwhile.
"""

import json
import shutil
import tempfile
import time

import proc
from attrs import frozen
from selenium.webdriver import Chrome, ChromeOptions
from selenium.webdriver.chrome.service import Service

PATIENCE = 60
_ARGUMENTS = (
    "--headless=new", "--no-sandbox", "--disable-dev-shm-usage", "--disable-gpu", "--disable-background-networking",
    "--disable-component-update", "--no-first-run", "--window-size=1280,900",
    # Buildbot's page of changes asks for pictures of another host.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)  # fmt: skip


@frozen
class Content:
    """
    What only the whole page has: *most* or more elements of *selector*, or, without one, *text*.
    """

    selector: str = ""
    count: int = 1
    text: str = ""


@frozen
class Loaded:
    """
    *ms* until the page was shown; what was loaded until then, as it was sent.
    """

    ms: float
    requests: int
    kb: float


class NotShownError(Exception):
    """
    The page was not shown in time; the text of what was.
    """


class Screen:
    """
    A running Chromium.  Before a page is loaded or turned, the processes of *pids* must have nothing to do: the page
    before may have been shown while its program still answered what it asked for besides.
    """

    def __init__(self, *pids):
        self._pids = pids

    def __enter__(self):
        self._profile = tempfile.mkdtemp(prefix="screen-")
        options = ChromeOptions()
        options.binary_location = shutil.which("chromium") or "chromium"
        for each in (*_ARGUMENTS, f"--user-data-dir={self._profile}"):
            options.add_argument(each)
        options.set_capability("goog:loggingPrefs", {"performance": "ALL"})
        self._driver = Chrome(options=options, service=Service(shutil.which("chromedriver") or "chromedriver"))
        self._driver.set_page_load_timeout(PATIENCE)
        self._driver.set_script_timeout(PATIENCE)
        return self

    def __exit__(self, *_):
        self._driver.quit()
        shutil.rmtree(self._profile, ignore_errors=True)

    def load(self, address, content, *, cold=False):
        """
        Load a page; *cold*: nothing of it is in the browser's cache.
        """
        self._driver.get("about:blank")
        if cold:
            self._driver.execute_cdp_cmd("Network.clearBrowserCache", {})
        watch = f"{_LOOK}; window.shown = look({json.dumps(_as_json(content))}, 0);"
        added = self._driver.execute_cdp_cmd("Page.addScriptToEvaluateOnNewDocument", {"source": watch})
        self._rest()
        self._driver.get(address)
        ms = self._driver.execute_async_script("window.shown.then(arguments[0])")
        self._driver.execute_cdp_cmd("Page.removeScriptToEvaluateOnNewDocument", added)
        return self._loaded(ms, address)

    def turn(self, fragment, content):
        """
        Go to another view of the page that is there, which has its code and changes with the fragment of its address.
        """
        self._rest()
        ms = self._driver.execute_async_script(
            f"{_LOOK}; const [fragment, content, done] = arguments; const began = performance.now();"
            "location.hash = fragment; look(content, began).then(done);",
            fragment,
            _as_json(content),
        )
        return self._loaded(ms, fragment)

    def _rest(self):
        """
        Wait until the processes have nothing to do, within `PATIENCE`; forget what was loaded before.
        """
        until = time.monotonic() + PATIENCE
        while time.monotonic() < until:
            before = sum(map(proc.cpu, self._pids))
            time.sleep(0.1)
            if sum(map(proc.cpu, self._pids)) - before < 0.02:
                break
        self._loads()

    def _loaded(self, ms, address):
        if ms is None:
            body = self._driver.find_element("css selector", "body").text
            raise NotShownError(f"{address} was not shown within {PATIENCE // 2} s:\n{body[:1000]}")
        # What was under way when it was shown, such as its icon, may count or not.
        loads = self._loads()
        return Loaded(ms, len(loads), sum(loads) / 1000)

    def _loads(self):
        """
        The bytes of each load since the last call.
        """
        time.sleep(0.1)  # the log is written by another process
        sizes, addresses = [], {}
        for entry in self._driver.get_log("performance"):
            message = json.loads(entry["message"])["message"]
            told = message["params"]
            if message["method"] == "Network.requestWillBeSent":
                addresses[told["requestId"]] = told["request"]["url"]
            elif message["method"] == "Network.loadingFinished" and (
                addresses.get(told["requestId"], "").startswith("http") and told["encodedDataLength"]
            ):
                sizes.append(told["encodedDataLength"])
        return sizes


def _as_json(content):
    return {"selector": content.selector, "count": content.count, "text": content.text}


_LOOK = f"""
const look = (content, began) => new Promise((resolve) => {{
    const there = () => content.selector
        ? document.querySelectorAll(content.selector).length >= content.count
        : document.body !== null && document.body.textContent.includes(content.text);
    const again = () => {{
        if (performance.now() - began > {PATIENCE * 500}) resolve(null);
        else if (there()) requestAnimationFrame(() => resolve(performance.now() - began));
        else setTimeout(again, 5);
    }};
    setTimeout(again, 0);
}})"""
