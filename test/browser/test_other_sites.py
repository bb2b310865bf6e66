"""
What other sites can do to a farm through the browser of somebody who is signed in, and pages behind nginx.
"""

import re
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import ClassVar

from ..needs import needs
from ..ports import free_port
from ..processes.farm import Daemon, Farm
from ..processes.nginx import end, start_nginx
from .browser_case import BrowserCase
from .test_real_farm import web_process_of

OURS = "farm.example.localhost"
NEIGHBOUR = "other.example.localhost"
"""Another origin of the same site: the browser sends cookies of `OURS` to `OURS` from there."""
FOREIGN = "foreign.test"
BUILDER = "endless"
# A proxy that withholds Sec-Fetch-Site, as older browsers do, and is otherwise nginx as it is without settings: it asks
# by HTTP/1.0 and keeps an answer back until its buffer is full, unless the answer says not to.
NGINX = """
log_format seen '$request_method $uri $status $http_origin $http_cookie';
server {{ listen 127.0.0.1:{port}; access_log {log} seen;
    location / {{
        proxy_pass {web}; proxy_buffering on; proxy_set_header Host $http_host; proxy_set_header Sec-Fetch-Site "";
    }}
}}
"""
FORM = """
const form = document.createElement("form");
[form.method, form.action] = ["POST", arguments[0]];
form.innerHTML = `<input name="request" value="${arguments[1]}"><input name="back" value="queue">`;
document.body.append(form);
form.submit();
"""
FETCHED = """
const [address, mode] = arguments;
return fetch(address, {credentials: "include", mode}).then((answer) => answer.text(), (error) => error.name);
"""
HELD_BACK = "A page of another site sent this"


class _Empty(BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        body = b"<!doctype html><html lang=en><title>Another site</title><link rel=icon href='data:,'><body>Hello"
        self.send_response(200)
        self.send_header("content-type", "text/html")
        self.send_header("content-length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *arguments: object) -> None:  # noqa: A002 - the base names it
        pass


@needs("chromium", "chromedriver", "nginx")
class OtherSitesTests(BrowserCase):
    """
    A private farm, and the browser of a holder.
    """

    hosts = (FOREIGN,)
    farm: ClassVar[Farm]
    web: ClassVar[Daemon]
    direct: ClassVar[str]
    """The farm's address without nginx; `browser.address` is the one behind it."""
    sites: ClassVar[int]
    seen: ClassVar[Path]

    @classmethod
    def serve(cls) -> str:
        """
        Start the farm, nginx and the other sites.
        """
        cls.farm = Farm("bot1").builder(BUILDER, "sleep 1000").config("c['www'] = {'private': True}\n")
        cls.addClassCleanup(cls.farm.close)
        cls.web, address = web_process_of(cls.farm)
        cls.farm.start()
        cls.web.start()
        cls.direct = address.replace("127.0.0.1", OURS)
        server = ThreadingHTTPServer(("127.0.0.1", 0), _Empty)
        cls.addClassCleanup(server.server_close)
        cls.addClassCleanup(server.shutdown)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        cls.sites = server.server_port
        cls.seen = cls.farm.directory / "seen"
        front = free_port()
        http = NGINX.format(log=cls.seen, web=address, port=front)
        cls.addClassCleanup(end, start_nginx(cls.farm.directory / "nginx", cls.farm.env, http))
        return f"http://{OURS}:{front}/"

    def enter(self) -> None:
        """
        Sign in, which counts at all ports of the name.
        """
        granted = self.farm.command("grant", "control", "--web", str(self.farm.master_directory))
        address = re.search(r"http://\S+(/enter\?code=\S+)", granted.out.decode())
        assert address is not None, granted
        self.browser.open(address[1])
        self.browser.click("button", "Sign in")
        self.browser.by_role("button", "Sign out")

    def last_seen(self) -> list[str]:
        """
        Of the last request to nginx: method, path, status, Origin and cookies.
        """
        return self.browser.until(lambda: self.seen.read_text().splitlines()[-1:], "nginx has seen a request")[0].split(
            " ", 4
        )

    def test_session(self) -> None:
        """
        Promise 10.7: with a session, another site's form does nothing: the browser keeps the cookie back
        (SameSite=Strict), and where it does not, for a neighbour on the same site, the page is known by Origin alone as
        well as by Sec-Fetch-Site; nor can other sites read the private API, or its answers as something else.
        """
        browser, front = self.browser, self.browser.address
        self.enter()
        client = self.farm.submitting(BUILDER)
        browser.until(lambda: browser.all(".result.running"), "the build is on the farm's page")
        ((request, number),) = self.farm.rows("SELECT request, number FROM builds WHERE finished IS NULL")
        for site, with_cookie in ((FOREIGN, False), (NEIGHBOUR, True)):
            other = f"http://{site}:{self.sites}"
            for address in (front, self.direct):
                browser.open(f"{other}/")
                browser.run(FORM, f"{address}do/cancel", request)
                browser.until(lambda: HELD_BACK in browser.text, f"{site} is refused at {address}")
            *answered, cookie = next(each.split(" ", 4) for each in self.forms())
            self.assertEqual(answered, ["POST", "/do/cancel", "403", other])
            self.assertEqual("farm-session-" in cookie, with_cookie, cookie)
            browser.open(f"{other}/")
            for mode in ("cors", "no-cors"):
                for address in (front, self.direct):
                    self.assertEqual(browser.run(FETCHED, f"{address}api/v1/builders", mode), "TypeError")
            self.assertEqual("farm-session-" in self.last_seen()[4], with_cookie)
        browser.open()
        self.assertIn(BUILDER, browser.run(FETCHED, f"{front}api/v1/builders", "cors"))
        # The same form, sent by a page of ours, is obeyed: the session held all the time.
        browser.open(f"builders/{BUILDER}/{number}")
        browser.click("button", "Cancel")
        self.assertEqual(client.wait().code, 4)

    def forms(self) -> list[str]:
        """
        What nginx has seen of forms, the last one first.
        """
        return [each for each in self.seen.read_text().splitlines() if each.startswith("POST /do/")][::-1]

    def test_rebinding(self) -> None:
        """
        Promise 10.7: a site that makes its own name lead to our address is shown nothing, signed in or not.
        """
        self.enter()
        for address in (self.browser.address, self.direct):
            self.browser.open(address.replace(OURS, FOREIGN))
            self.assertIn(f"does not know itself by the name {FOREIGN}", self.browser.text)
            self.assertNotIn(BUILDER, self.browser.source)

    def test_buffered(self) -> None:
        """
        Promise 10.4: behind a proxy that buffers what it may, an open page shows at once that a build began.
        """
        self.enter()
        browser = self.browser
        browser.until(lambda: "bot1" in browser.text, "the page knows the slave")
        browser.run("window.unchanged = true")
        client = self.farm.submitting(BUILDER)
        browser.until(lambda: browser.all(".result.running"), "the build is on the page")
        self.assertTrue(browser.run("return window.unchanged"))
        ((request,),) = self.farm.rows("SELECT request FROM builds WHERE finished IS NULL")
        self.farm.command("cancel", str(self.farm.master_directory), str(request))
        client.wait()
