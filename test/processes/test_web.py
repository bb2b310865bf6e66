"""
A real web process between a forge and a real master.
"""

import json
from pathlib import Path
from typing import Any, ClassVar

from ..master.webhook_payloads import github_pull_request, github_push
from .farm import Farm, until
from .farm_case import FarmCase
from .web_process import post_of_github, started_web

SECRET = "open sesame of the forge"


class WebTests(FarmCase):
    """
    A farm with a web process.
    """

    port: ClassVar[int]
    web: ClassVar[Path]

    @classmethod
    def make(cls) -> Farm:
        """
        A farm that takes webhooks of GitHub.
        """
        farm = Farm("bot1").builder("b", "true")
        farm.secret("hook", SECRET)
        farm.config(
            "c['secretsProviders'] = [secrets.SecretInAFile('secrets')]\n"
            "c['www'] = {'change_hook_dialects': {'github': {'secret': util.Secret('hook')}}}\n"
        )
        return farm

    @classmethod
    def begin(cls) -> None:
        """
        Start the master, and a web process with the commands that users give.
        """
        farm = cls.farm
        farm.write_config()
        farm.start_master()
        cls.web, cls.port = started_web(farm)

    def post(self, payload: Any, secret: str = SECRET, event: str = "push") -> tuple[int, str]:
        """
        Send a webhook as GitHub does; returns status and sentence.
        """
        return post_of_github(self.port, payload, secret, event)

    def test_webhooks(self) -> None:
        """
        Promise 8.1: a signed webhook becomes a change that the farm lists; a wrong signature is refused with the
        reason.  While the master is down the answer asks the forge to try later, and a restarted web process continues.
        """
        farm = self.farm
        self.assertEqual(self.post(github_push()), (200, "Recorded 2 changes.\n"))
        self.assertEqual(self.post(github_pull_request(), event="pull_request"), (200, "Recorded 1 change.\n"))
        status, sentence = self.post(github_push(), secret="a guess of somebody")
        self.assertEqual(status, 403)
        self.assertIn("another secret", sentence)

        listed = json.loads(farm.command("changes", str(farm.master_directory), "--json").out)
        self.assertEqual(
            [(each["branch"], each["untrusted"]) for each in listed],
            [("refs/pull/7/merge", True), ("main", False), ("main", False)],
        )

        farm.master.stop()
        self.assertEqual(self.post(github_push()), (503, "The master does not answer.  Send this again later.\n"))
        farm.start_master()
        self.assertEqual(self.post(github_push()), (200, "2 changes had been recorded before.\n"))

        again = farm.command("restart", str(self.web))
        self.assertEqual(again.code, 0, again)
        self.assertEqual(self.post(github_push())[0], 200)
        second = farm.command("start", str(self.web))
        self.assertIn("runs already", second.err)
        stopped = farm.command("stop", str(self.web))
        self.assertEqual((stopped.code, stopped.out.decode()), (0, f"The web process in {self.web} has stopped.\n"))
        until(lambda: "Server Shut Down" in (self.web / "twistd.log").read_text(), "the web process has stopped")
