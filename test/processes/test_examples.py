"""
Examples of ``docs/examples``, unchanged, on a farm of real processes.
"""

import json
import shutil
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from ..status.mail_server import mail_server
from .farm import Farm, until

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
COMMIT = "git -c user.name=me -c user.email=me@example.org commit -q -a -m change && git push -q origin main"


class ExamplesTests(SynchronousTestCase):
    """
    Issue 8, promise 12.
    """

    def farm(self, name: str, *slaves: str, env: dict[str, str | None] | None = None) -> Farm:
        """
        A farm with the master.cfg of the example *name*; nothing is started.
        """
        farm = Farm(*slaves, env=env)
        self.addCleanup(farm.close)
        shutil.copy(EXAMPLES / name / "master.cfg", farm.master_directory)
        return farm

    def repository(self, farm: Farm, name: str, files: dict[str, str]) -> None:
        """
        Create the bare repository *name* in the home directory, with *files*, and a clone named ``work``.
        """
        home = farm.directory / "home"
        farm.run(
            f"git init -q --bare -b main {home}/{name} && git clone -q {home}/{name} work"
            " && git -C work switch -qc main"
        )
        self.push(farm, files)

    def push(self, farm: Farm, files: dict[str, str]) -> None:
        """
        Commit *files* in the clone, and push them.
        """
        for path, text in files.items():
            target = farm.directory / "work" / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)
        farm.run(f"cd work && git add . && {COMMIT}")

    def start(self, farm: Farm, *slaves: str) -> None:
        """
        Check the configuration, and start everything.
        """
        checked = farm.command("checkconfig", str(farm.master_directory))
        self.assertEqual((checked.code, checked.err), (0, ""), checked)
        farm.start_master()
        for name in slaves:
            farm.start_slave(name)

    def results(self, farm: Farm) -> list[tuple[str, str]]:
        """
        Builder and result of each build that ended, sorted.
        """
        listed: list[dict[str, Any]] = json.loads(farm.command("builds", str(farm.master_directory), "--json").out)
        return sorted((each["builder"], each["result"]) for each in listed if each["result"])

    def sendchange(self, farm: Farm, repository: str, *files: str) -> None:
        """
        Tell the farm about a change of *files* at the newest commit.
        """
        where = str(farm.directory / "home" / repository)
        done = farm.command(
            "sendchange", "--who", "me", "--branch", "main", "--repository", where, str(farm.master_directory), *files
        )
        self.assertEqual(done.code, 0, done)

    def test_monorepo(self) -> None:
        """
        Promise 8.12: only the folders whose files changed are built, and both when the shared one changed.
        """
        farm = self.farm("monorepo", "bot1")
        self.repository(farm, "monorepo.git", {"client/check.sh": "true", "server/check.sh": "true", "lib/x": "1"})
        self.start(farm, "bot1")
        self.sendchange(farm, "monorepo.git", "client/check.sh")
        until(lambda: self.results(farm) == [("client", "SUCCESS")], "the client was built")
        self.sendchange(farm, "monorepo.git", "doc/x")
        self.sendchange(farm, "monorepo.git", "lib/x")
        both = [("client", "SUCCESS"), ("client", "SUCCESS"), ("server", "SUCCESS")]
        until(lambda: self.results(farm) == both, "both were built")

    def test_python(self) -> None:
        """
        Promise 8.12: a change is tested on both slaves.
        """
        farm = self.farm("python", "bot1", "bot2")
        test = "import unittest\nclass T(unittest.TestCase):\n    def test(self):\n        pass\n"
        self.repository(farm, "project.git", {"test_it.py": test})
        self.start(farm, "bot1", "bot2")
        self.sendchange(farm, "project.git", "test_it.py")
        until(
            lambda: self.results(farm) == [("tests-bot1", "SUCCESS"), ("tests-bot2", "SUCCESS")],
            "both slaves tested it",
        )

    def test_nightly(self) -> None:
        """
        Promise 8.12: a build that breaks is mailed once, and not while it stays broken; the night is scheduled.
        """
        mails, server = mail_server()
        self.addCleanup(server.stop)
        farm = self.farm("nightly", "bot1", env={"SMTP_PORT": str(server.port)})
        self.repository(farm, "project.git", {"check.sh": "true"})
        self.start(farm, "bot1")
        directory = str(farm.master_directory)
        self.assertIn(b"03:07", farm.command("schedulers", directory).out)
        self.assertEqual(farm.command("force", directory, "full", "--wait").code, 0)
        self.push(farm, {"check.sh": "echo it broke; exit 1"})
        self.assertEqual(farm.command("force", directory, "full", "--wait").code, 1)
        until(lambda: len(mails.mails) == 1, "the mail came")
        self.assertEqual(farm.command("force", directory, "full", "--wait").code, 1)
        (to, mail) = mails.mails[0]
        self.assertEqual(to, ["team@example.org"])
        self.assertIn("it broke", str(mail.get_payload()))
