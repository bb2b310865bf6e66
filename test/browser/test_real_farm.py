"""
A real farm in a real browser: what happens is on the page, without a reload.
"""

import socket
from typing import ClassVar

from ..needs import needs
from ..processes.farm import Daemon, Farm
from .browser_case import BrowserCase

TAC = "from buildbot_lite.web_tap import application_for\napplication = application_for(port='{port}')\n"
SCRIPT = (
    "echo first line; until [ -e \"$WITNESS/go\" ]; do sleep 0.05; done; echo '<b>second</b> line'; "
    'until [ -e "$WITNESS/end" ]; do sleep 0.05; done; echo last line'
)


def web_process_of(farm: Farm) -> tuple[Daemon, str]:
    """
    A web process in the directory of *farm*'s master, which is not started yet; and its address.
    """
    directory = farm.master_directory / "web"
    directory.mkdir()
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
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
        cls.farm = Farm("bot1").builder("slow", SCRIPT)
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
        browser.by_role("link", "stdio").click()
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
        browser.until(lambda: "master does not answer" in browser.text, "the page says that the master is away")
        self.assertIn("succeeded", browser.text)
        farm.start_master()
        browser.until(lambda: "master does not answer" not in browser.text, "the page says that the master is back")
        self.assertTrue(browser.run("return window.unchanged"))
        self.assert_sound()
