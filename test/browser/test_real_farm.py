"""
A real farm in a real browser: what happens is on the page, without a reload.
"""

import json
import re
from typing import ClassVar

from ..needs import needs
from ..ports import free_port
from ..processes.farm import Daemon, Farm
from .browser_case import BrowserCase

TAC = "from buildbot_lite.web_tap import application_for\napplication = application_for(port='{port}')\n"
SCRIPT = (
    "echo first line; until [ -e \"$WITNESS/go\" ]; do sleep 0.05; done; echo '<b>second</b> line'; "
    'until [ -e "$WITNESS/end" ]; do sleep 0.05; done; echo last line'
)
FORCED = "steps.ShellCommand(command=['sh', '-c', 'seq 60; echo \"$1\"; exit 1', 'sh', util.Property('text')])"
SCHEDULERS = """
c["schedulers"] += [
    schedulers.ForceScheduler("plain", builderNames=["forced"]),
    schedulers.ForceScheduler("text", builderNames=["forced"], buttonName="Go", codebases=[util.CodebaseParameter(
        "", patch=util.PatchParameter())], properties=[util.FileParameter("text", label="Text")]),
]
"""
END_IS_SEEN = """
const [frame, text] = [".tail", ".tail code"].map((each) => document.querySelector(each).getBoundingClientRect());
return frame.height < text.height && text.bottom <= frame.bottom;
"""
FORGED = """
const [path, fields] = arguments;
return fetch(new URL(path, new URL(document.documentElement.dataset.root, location)),
    {method: "POST", body: new URLSearchParams(fields)}).then((answer) => answer.status);
"""


def web_process_of(farm: Farm) -> tuple[Daemon, str]:
    """
    A web process in the directory of *farm*'s master, which is not started yet; and its address.
    """
    directory = farm.master_directory / "web"
    directory.mkdir()
    port = free_port()
    (directory / "web.tac").write_text(TAC.format(port=port))
    return Daemon("web", directory, farm.env, "web.tac", "listening at"), f"http://127.0.0.1:{port}/"


@needs("chromium", "chromedriver")
class RealFarmTests(BrowserCase):
    """
    A master, a slave and a web process.
    """

    farm: ClassVar[Farm]
    web: ClassVar[Daemon]

    @classmethod
    def serve(cls) -> str:
        """
        Start the farm.
        """
        cls.farm = Farm("bot1").builder("slow", SCRIPT).builder("endless", "sleep 1000")
        cls.farm.builder("forced", FORCED).config(SCHEDULERS)
        cls.addClassCleanup(cls.farm.close)
        cls.web, address = web_process_of(cls.farm)
        cls.farm.start()
        cls.web.start()
        return address

    def test_followed(self) -> None:
        """
        Promise 10.1: a submitted build, its log and its end appear on pages that were open before, without a reload;
        the pages say when the master is away, and when it is back.
        """
        farm, browser = self.farm, self.browser
        browser.open()
        browser.run("window.unchanged = true")
        browser.until(lambda: "bot1" in browser.text, "the page knows the slave")
        client = farm.submitting("slow")
        browser.until(lambda: browser.all(".result.running"), "the build is on the farm's page")

        browser.open("builders/slow/1")
        browser.run("window.unchanged = true")
        browser.click("link", "stdio")
        browser.until(lambda: "first line" in browser.text, "the log is shown")
        browser.run("window.unchanged = true")
        (farm.witness / "go").touch()
        browser.until(lambda: "<b>second</b> line" in browser.text, "the log grows")
        self.assertTrue(browser.run("return window.unchanged"))

        browser.open("builders/slow/1")
        browser.run("window.unchanged = true")
        (farm.witness / "end").touch()
        self.assertEqual(client.wait().code, 0)
        browser.until(lambda: "succeeded" in browser.text, "the build has ended")
        self.assertTrue(browser.run("return window.unchanged"))

        farm.master.stop()
        browser.until(lambda: "master has not answered" in browser.text, "the page says that the master is away")
        self.assertIn("succeeded", browser.text)
        farm.start_master()
        browser.until(lambda: "master has not answered" not in browser.text, "the page says that the master is back")
        self.assertTrue(browser.run("return window.unchanged"))
        self.assert_sound()

    def test_forced(self) -> None:
        """
        Promise 10.9: of several forms on a page each label leads to its own field; a file becomes the value of its
        parameter.  Promise 10.2: the build that failed is open at the end of its log.
        """
        farm, browser = self.farm, self.browser
        browser.open("enter")
        # Without a line feed at its end, which would be the key Enter.
        admin = (farm.master_directory / "private" / "admin.furl").read_text().replace("\n", "")
        browser.one("input[name=code]").send_keys(admin)
        browser.click("button", "Sign in")
        browser.by_role("button", "Sign out")
        browser.open("builders/forced/force")
        self.assert_sound()
        (farm.witness / "text").write_text("\n<b>\ttext</b>")
        browser.one("input[aria-label='Choose a file for Text']").send_keys(str(farm.witness / "text"))
        browser.until(lambda: "text</b>" in str(browser.one("textarea[data-file*=Text]").get_property("value")), "read")
        browser.click("button", "Go")
        browser.by_role("button", "Sign out")
        browser.open("builders/forced/1")
        browser.until(lambda: "text</b>" in browser.text, "the end of the log is shown")
        browser.until(lambda: browser.run(END_IS_SEEN), "the end of the log is seen")
        self.assert_sound()

    def test_cancelled(self) -> None:
        """
        Promise 10.7: without a grant there is no button, and a forged request is refused; with the code of ``grant
        control --web`` a build is cancelled; when the grant is revoked, the browser is a visitor again at once.
        """
        farm, browser = self.farm, self.browser
        client = farm.submitting("endless")
        browser.open()
        browser.until(lambda: browser.all("a[href='builders/endless/1']"), "the build is on the farm's page")
        browser.open("builders/endless/1")
        self.assertEqual(browser.with_role("button", "Cancel"), [])
        self.assertEqual(browser.run(FORGED, "do/cancel", "request=1"), 401)
        browser.complaints()  # the refusal

        granted = farm.command("grant", "control", "--web", "--label", "Ada's browser", str(farm.master_directory))
        address = re.search(r"http://\S+", granted.out.decode())
        assert address is not None, granted
        browser.open(address[0])
        browser.click("button", "Sign in")
        browser.by_role("button", "Sign out")
        self.assertIn("Ada's browser", browser.text)
        self.assert_sound()
        browser.open("builders/endless/1")
        browser.click("button", "Cancel")
        browser.until(lambda: "was cancelled" in browser.text, "the build is cancelled")
        self.assertEqual(client.wait().code, 4)
        self.assert_sound()

        listed = json.loads(farm.command("grants", "--json", str(farm.master_directory)).out)
        (session,) = [each for each in listed if "Ada's browser" in (each["label"] or "")]
        revoked = farm.command("revoke", str(farm.master_directory), f"#{session['grant']}")
        self.assertEqual(revoked.code, 0, revoked)
        browser.open()
        browser.by_role("link", "Sign in")
