"""
Examples of ``docs/examples``, unchanged, on a farm of real processes.
"""

import json
import shutil
import subprocess
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any
from unittest import SkipTest

from twisted.trial.unittest import SynchronousTestCase

from ..master.webhook_payloads import github_push
from ..needs import NO_SOURCES, needs
from ..status.mail_server import mail_server
from .farm import Farm, until
from .web_process import post_of_github, started_web

EXAMPLES = Path(__file__).parents[2] / "docs" / "examples"
SECRET, TOKEN = "open sesame of the hook", "token-of-the-farm"
# With a state of its own, so that neither root nor a change of the machine is needed.
GET_HELLO = """
mkdir -p apt/parts apt/state/lists/partial apt/cache/archives/partial
for each in /etc/apt/sources.list /etc/apt/sources.list.d/*.list /etc/apt/sources.list.d/*.sources; do
    [ ! -f "$each" ] ||
    sed 's/^Types: deb$/Types: deb-src/; s/^deb /deb-src /' "$each" > "apt/parts/${each##*/}"
done
get() {
    apt-get -q -o Dir::Etc::SourceList=/dev/null -o Dir::Etc::SourceParts="$PWD/apt/parts" \\
        -o Dir::State="$PWD/apt/state" -o Dir::Cache="$PWD/apt/cache" "$@"
}
get update && get source --download-only hello && mv hello_*.orig.tar.gz hello.orig.tar.gz
"""
BREAKS = "echo it broke; exit 1"
COMMIT = "git -c user.name=me -c user.email=me@example.org commit -q -a -m change && git push -q origin main"


class FakeGitHub:
    """
    A server that records the commit statuses that it receives: path, authorization and document of each.
    """

    def __init__(self) -> None:
        received: list[tuple[str, str, dict[str, Any]]] = []

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"]))
                received.append((self.path, self.headers["Authorization"], json.loads(body)))
                self.send_response(201)
                self.send_header("Content-Length", "2")
                self.end_headers()
                self.wfile.write(b"{}")

            def log_message(self, *arguments: object) -> None:
                pass

        self.received = received
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = Thread(target=self._server.serve_forever)
        self._thread.start()
        self.address = f"http://127.0.0.1:{self._server.server_port}"

    def stop(self) -> None:
        """
        Close the server.
        """
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()


class ExamplesTests(SynchronousTestCase):
    """
    Promise 8.12: each example builds what its page says.
    """

    def farm(self, name: str, *slaves: str, env: dict[str, str | None] | None = None) -> Farm:
        """
        Return a farm with the master.cfg of the example *name*, not started.
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
        Return builder and result of each finished build, sorted.
        """
        listed: list[dict[str, Any]] = json.loads(farm.command("builds", str(farm.master_directory), "--json").out)
        return sorted((each["builder"], each["result"]) for each in listed if each["result"])

    def sendchange(self, farm: Farm, repository: str, *files: str) -> None:
        """
        Send a change of *files* at the newest commit.
        """
        where = str(farm.directory / "home" / repository)
        done = farm.command(
            "sendchange", "--who", "me", "--branch", "main", "--repository", where, str(farm.master_directory), *files
        )
        self.assertEqual(done.code, 0, done)

    def test_monorepo(self) -> None:
        """
        Promise 8.12: a change is built in those folders whose files it changed; a change of the shared folder is built
        in both.
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
        directory = str(farm.master_directory)
        # Changes are looked at in order, so what the document would have caused would be here by now.
        self.assertEqual(len(json.loads(farm.command("builds", directory, "--json").out)), 3)
        self.assertEqual(json.loads(farm.command("queue", directory, "--json").out), [])

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

    def test_github(self) -> None:
        """
        Promise 8.12: a signed webhook starts a build, and its beginning and result become statuses of the commit.
        """
        forge = FakeGitHub()
        self.addCleanup(forge.stop)
        farm = self.farm("github", "bot1", env={"GITHUB_API": forge.address})
        farm.secret("github-hook", SECRET)
        farm.secret("github-token", TOKEN)
        self.start(farm, "bot1")
        web, port = started_web(farm)
        self.addCleanup(farm.command, "stop", str(web))
        payload = github_push()
        self.assertEqual(post_of_github(port, payload, SECRET)[0], 200)
        paths = {f"/repos/{payload['repository']['full_name']}/statuses/{each['id']}" for each in payload["commits"]}

        def good() -> set[str]:
            return {path for path, _, status in list(forge.received) if status["state"] == "success"}

        until(lambda: good() == paths, "each commit has the status of its build")
        self.assertEqual(len(paths), 2)
        for path, authorization, status in forge.received:
            self.assertIn(path, paths)
            self.assertIn(TOKEN, authorization)
            self.assertIn("tests", status["context"])

    @needs("gcc")
    def test_hello(self) -> None:
        """
        Promise 8.12: Debian's source of GNU hello is configured, made and checked, and the artifact runs.
        """
        farm = self.farm("hello", "bot1")
        try:
            farm.run(GET_HELLO)
        except subprocess.CalledProcessError:
            raise SkipTest(NO_SOURCES) from None
        shutil.copy(farm.directory / "hello.orig.tar.gz", farm.master_directory)
        self.start(farm, "bot1")
        directory = str(farm.master_directory)
        # Its configure alone may take minutes on a machine with other work.
        done = farm.client("buildbot-lite", "force", directory, "hello", "--wait").wait(within=900)
        self.assertEqual(done.code, 0, done.out[-2000:])
        fetched = farm.command("artifacts", "fetch", directory, "hello", "1", "hello", "--to", str(farm.directory))
        self.assertEqual(fetched.code, 0, fetched)
        farm.run('chmod +x hello && test "$(./hello)" = "Hello, world!"')

    def test_nightly(self) -> None:
        """
        Promise 8.12: the first broken build is mailed, and the next broken one is not; the nightly build is scheduled.
        """
        mails, server = mail_server()
        self.addCleanup(server.stop)
        farm = self.farm("nightly", "bot1", env={"SMTP_PORT": str(server.port)})
        self.repository(farm, "project.git", {"check.sh": "false"})
        self.start(farm, "bot1")
        directory = str(farm.master_directory)
        self.assertIn(b"03:07", farm.command("schedulers", directory).out)
        for script, code in (("true", 0), (BREAKS, 1), (f"{BREAKS}  # still", 1), ("true  # again", 0), (BREAKS, 1)):
            self.push(farm, {"check.sh": script})
            self.assertEqual(farm.command("force", directory, "full", "--wait").code, code)
        # Mails leave in order, so one about the third build would be the second here.
        until(lambda: len(mails.mails) == 2, "the mails came")
        for (to, mail), build in zip(mails.mails, ("full/2", "full/5"), strict=True):
            self.assertEqual(to, ["team@example.org"])
            self.assertIn("it broke", str(mail.get_payload()))
            self.assertIn(build, str(mail))
