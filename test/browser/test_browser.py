"""
The browser of the tests finds what it shall find.
"""

import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from tempfile import TemporaryDirectory

from ..needs import needs
from .browser import NARROW
from .browser_case import BrowserCase

STRICT = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'"
GOOD = """<!doctype html><html lang=en><title>Good</title><meta name=viewport content="width=device-width">
<main><h1>Good</h1><p id=seen>seen</p><button>Press</button><script src=/script.js></script></main>"""
SCRIPT = """
document.querySelector("#seen").textContent = matchMedia("(prefers-color-scheme: dark)").matches ? "dark" : "light";
document.querySelector("button").onclick = () => setTimeout(() => { document.title = "Pressed"; }, 50);
"""
PAGES = {
    "/": ("text/html", GOOD),
    "/wide": ("text/html", GOOD.replace("</h1>", f"{'x' * 400}</h1>")),
    "/injected": ("text/html", GOOD.replace("</h1>", " <b onclick='x()'>b</b><script>title=1</script></h1>")),
    "/silent": ("text/html", GOOD.replace("<button>Press</button>", "<button></button>")),
    "/script.js": ("text/javascript", SCRIPT),
    "/favicon.ico": ("image/svg+xml", "<svg xmlns='http://www.w3.org/2000/svg'/>"),
}


class _Pages(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        kind, body = PAGES.get(self.path, ("text/plain", ""))
        self.send_response(200 if body else 404)
        self.send_header("content-type", f"{kind}; charset=utf-8")
        self.send_header("content-security-policy", STRICT)
        self.end_headers()
        self.wfile.write(body.encode())

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the base names it
        pass


@needs("chromium", "chromedriver")
class BrowserTests(BrowserCase):
    """
    Pages with and without faults.
    """

    @classmethod
    def serve(cls) -> str:
        """
        Serve `PAGES`.
        """
        server = ThreadingHTTPServer(("127.0.0.1", 0), _Pages)
        cls.addClassCleanup(server.server_close)
        cls.addClassCleanup(server.shutdown)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        return f"http://127.0.0.1:{server.server_port}/"

    def test_good_page(self) -> None:
        """
        A page without faults passes every check, also under a strict policy; elements are found by role and name, and
        what a script changes later is waited for.
        """
        browser = self.browser.open()
        self.assert_sound()
        self.assertEqual(browser.overflow(), [])
        browser.click("button", "Press")
        browser.until(lambda: browser.title == "Pressed", "the button is pressed")

    def test_faults(self) -> None:
        """
        Each fault is found: a refused script, foreign markup, a button without a name, a page that scrolls sideways.
        """
        browser = self.browser.open("injected")
        self.assertIn("Content Security Policy", " ".join(browser.complaints()))
        self.assertEqual([each.split()[0].split(">")[0] for each in browser.injected()], ["<b", "<script"])
        browser.open("silent")
        self.assertIn("button-name (critical)", browser.violations()[0])
        browser.narrow().open("wide")
        self.assertEqual([each.split(":")[0] for each in browser.overflow()], ["the page", "main.", "h1."])
        browser.open("missing")
        self.assertIn("404", browser.complaints()[0])

    def test_emulation(self) -> None:
        """
        The dark scheme, no scripts, and the screen of a phone are shown from one page to the next, until the reset.
        """
        browser = self.browser.dark().open()
        self.assertEqual(browser.one("#seen").text, "dark")
        browser.scripts(run=False).open()
        self.assertEqual(browser.one("#seen").text, "seen")
        browser.narrow().open()
        self.assertEqual(browser.run("return innerWidth"), NARROW[0])
        browser.reset()
        browser.open()
        self.assertEqual((browser.one("#seen").text, browser.run("return innerWidth") > NARROW[0]), ("light", True))

    def test_photograph(self) -> None:
        """
        A photograph is a PNG of the page.
        """
        with TemporaryDirectory() as directory:
            path = self.browser.open().photograph(Path(directory) / "shots" / "good.png")
            self.assertEqual(path.read_bytes()[:8], b"\x89PNG\r\n\x1a\n")
