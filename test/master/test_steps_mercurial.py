"""
The Mercurial step on real repositories, and a row for each of its arguments.
"""

import base64
import os
import shutil
import subprocess
import tempfile
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any, ClassVar

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import ConfigError
from buildbot_lite.master.steps.mercurial import Mercurial, quoted
from buildbot_lite.model.rendering import Secret
from buildbot_lite.model.results import Result
from buildbot_lite.model.source_stamps import PatchPlace, with_patch
from buildbot_lite.model.spec import Run
from buildbot_lite.testing import command, replay, run

from ..needs import needs
from .local_machine import LocalMachine

PASSWORD = "hunter22"
NODE = "a" * 40


@needs("hg")
class MercurialTests(SynchronousTestCase):
    """
    Promise 8.6: sources from Mercurial.
    """

    def setUp(self) -> None:
        self.directory = tempfile.mkdtemp(prefix="hg-")
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)
        self.origin = os.path.join(self.directory, "origin")
        os.mkdir(self.origin)
        self.hg("init")
        self.first = self.commit(hello="one\n", gone="x\n")
        self.machine = LocalMachine(os.path.join(self.directory, "slave"), secrets={"password": PASSWORD})

    def hg(self, *words: str) -> str:
        """
        What hg prints in the original repository.
        """
        env = {**os.environ, "HOME": self.directory, "HGPLAIN": "1", "HGENCODING": "UTF-8"}
        done = subprocess.run(["hg", *words], cwd=self.origin, env=env, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def commit(self, **files: str) -> str:
        """
        Commit *files*; return the hash.
        """
        for name, text in files.items():
            with open(os.path.join(self.origin, name.replace("_", ".")), "w") as file:
                file.write(text)
        self.hg("commit", "-A", "-q", "-u", "me", "-m", "change")
        return self.hg("log", "-r", ".", "-T", "{node}")

    def check_out(self, **arguments: Any) -> Mercurial:
        """
        Run a step, which must succeed.
        """
        step = Mercurial(**{"repourl": self.origin, **arguments})
        self.assertEqual(self.machine.run(step), Result.SUCCESS, [self.machine.remarks, self.machine.output])
        return step

    def failure(self, **arguments: Any) -> str:
        """
        Run a step, which must fail; return its summary.
        """
        step = Mercurial(**{"repourl": self.origin, **arguments})
        self.assertEqual(self.machine.run(step), Result.FAILURE)
        return step.summary

    def files(self, directory: str = "build") -> list[str]:
        """
        What is in the build directory, without the repository.
        """
        return sorted(set(os.listdir(self.machine.path(directory))) - {".hg"})

    def put(self, name: str, text: str = "mess") -> None:
        """
        Write a file in the build directory.
        """
        with open(self.machine.path("build", name), "w") as file:
            file.write(text)

    @property
    def revision(self) -> Any:
        """
        The property got_revision.
        """
        return self.machine.view.getProperty("got_revision")

    def removals(self) -> int:
        """
        How often the directory was removed so far.
        """
        return len([each for each in self.machine.specs if each.kind == "rmdir"])

    def test_incremental(self) -> None:
        """
        A second checkout updates the first, and undoes what builds changed, but keeps what they made.
        """
        self.check_out()
        self.assertEqual((self.machine.text("build", "hello"), self.revision), ("one\n", self.first))
        self.put("made")
        self.put("hello", "changed")
        os.unlink(self.machine.path("build", "gone"))
        second = self.commit(hello="two\n", made_later="x")
        self.put("made.later", "in the way")
        self.check_out()
        self.assertEqual((self.machine.text("build", "hello"), self.revision), ("two\n", second))
        self.assertEqual(self.machine.text("build", "made.later"), "x")
        self.assertEqual(self.files(), ["gone", "hello", "made", "made.later"])
        self.assertEqual(self.removals(), 0)

    def test_methods(self) -> None:
        """
        What each mode and method leaves of the files that a build made.
        """
        self.commit(_hgignore="syntax: glob\nignored\n")
        rows: list[tuple[dict[str, Any], list[str]]] = [
            ({}, ["ignored", "made"]),
            ({"mode": "full", "method": "clean"}, ["ignored"]),
            ({"mode": "full"}, []),
            ({"mode": "full", "method": "fresh"}, []),
            ({"mode": "full", "method": "clobber"}, []),
            ({"mode": "clobber"}, []),
        ]
        for arguments, left in rows:
            with self.subTest(arguments):
                self.check_out()
                self.put("made")
                self.put("ignored")
                self.check_out(**arguments)
                self.assertEqual(self.files(), sorted([".hgignore", "gone", "hello", *left]))
                self.check_out(mode="full", method="clobber")

    def test_branches_inside(self) -> None:
        """
        Named branches, bookmarks and tags; another branch is checked out from nothing, unless that is not wanted.
        """
        self.hg("branch", "-q", "stable")
        stable = self.commit(hello="stable\n")
        self.hg("tag", "-q", "-u", "me", "v1")
        self.hg("update", "-q", "default")
        self.check_out(branchType="inrepo")
        self.assertEqual((self.revision, self.removals()), (self.first, 0))
        self.check_out(branchType="inrepo", defaultBranch="stable")
        self.assertEqual((self.machine.text("build", "hello"), self.removals()), ("stable\n", 1))
        self.put("made")
        self.check_out(branchType="inrepo", defaultBranch="default", clobberOnBranchChange=False)
        self.assertEqual((self.files(), self.removals()), (["gone", "hello", "made"], 1))
        properties = self.machine.view.properties
        properties.set("branch", "stable")
        self.check_out(branchType="inrepo", defaultBranch="default")
        self.assertNotEqual(self.revision, self.first)
        self.check_out(branchType="inrepo", defaultBranch="default", alwaysUseLatest=True)
        self.assertEqual(self.revision, self.first)
        for asked in (stable, stable[:12], "v1"):
            properties.set("revision", asked)
            self.check_out(branchType="inrepo")
            self.assertEqual(self.revision, stable)

    def test_branches_beside(self) -> None:
        """
        The branch is appended to the address.
        """
        shutil.copytree(self.origin, f"{self.origin}-two")
        self.commit(hello="two\n")
        self.machine.view.properties.set("branch", "origin-two")
        self.check_out(repourl=f"{self.directory}/")
        self.assertEqual(self.machine.text("build", "hello"), "one\n")
        self.check_out(repourl=f"{self.directory}/", defaultBranch="origin", alwaysUseLatest=True)
        self.assertEqual(self.machine.text("build", "hello"), "two\n")

    def test_hostile_requests(self) -> None:
        """
        A branch or revision that could be an option or an expression is refused; a name is never an expression.
        """
        properties = self.machine.view.properties
        for name in ("-r", "--config=x", "all()|x y", "..", "a::b"):
            properties.set("revision", name)
            self.assertIn("which is not a valid name", self.failure())
        properties.set("revision", "all()")
        self.assertRegex(self.failure(), r"hg could not update to all\(\): unknown revision 'all\(\)'")
        self.assertEqual(quoted('a"b\\'), '"a\\"b\\\\"')

    def test_leftovers(self) -> None:
        """
        Settings, hooks and locks that a build left are removed; a damaged or foreign repository is made anew.
        """
        self.check_out()
        hooked = os.path.join(self.directory, "hooked")
        for name in ("hgrc", "hgrc-not-shared"):
            self.put(f".hg/{name}", f"[hooks]\nupdate = touch {hooked}\nincoming = touch {hooked}\n")
        for name in ("wlock", "store/lock"):
            os.symlink("elsewhere:1", self.machine.path("build", ".hg", name))
        self.commit(hello="two\n")
        self.check_out()
        self.assertEqual((self.machine.text("build", "hello"), self.removals()), ("two\n", 0))
        self.assertFalse(os.path.exists(hooked))
        self.put(".hg/dirstate", "damaged")
        self.put(".hg/requires", "something-unknown\n")
        self.check_out()
        shutil.move(self.machine.path("build", ".hg"), os.path.join(self.directory, "moved"))
        os.symlink(os.path.join(self.directory, "moved"), self.machine.path("build", ".hg"))
        self.check_out()
        self.assertFalse(os.path.islink(self.machine.path("build", ".hg")))
        self.hg("init", os.path.join(self.directory, "other"))
        self.origin = os.path.join(self.directory, "other")
        other = self.commit(other="1")
        self.check_out()
        self.assertEqual((self.revision, self.files()), (other, ["other"]))

    def test_patch(self) -> None:
        """
        A patch is applied, and is undone by the next checkout.
        """
        with open(os.path.join(self.origin, "hello"), "w") as file:
            file.write("patched\n")
        with open(os.path.join(self.origin, "added"), "wb") as binary:
            binary.write(bytes(range(256)))
        self.hg("add", "added")
        self.machine._inputs = {"patch": self.hg("diff", "--git").encode() + b"\n"}
        step = self.check_out()
        self.assertEqual(step.summary, f"revision {self.first[:12]} with the submitted patch")
        self.assertEqual((self.machine.text("build", "hello"), self.files()), ("patched\n", ["added", "gone", "hello"]))
        self.machine._inputs = {}
        self.check_out()
        self.assertEqual((self.machine.text("build", "hello"), self.files()), ("one\n", ["gone", "hello"]))
        self.machine._inputs = {"patch": b"--- a/b/f\n+++ a/b/f\n@@ -0,0 +1 @@\n+x\n"}
        self.machine.view.sources[""] = dict(with_patch({}, PatchPlace(2, "lib")))
        self.check_out()
        self.assertEqual(self.machine.text("build", "lib", "f"), "x\n")
        self.machine.view.sources.clear()
        for patch, sentence in [
            (b"", "The submitted patch is empty.  Send the output of: hg diff --git"),
            (b"rubbish", f"The submitted patch does not apply to revision {self.first[:12]}: "),
        ]:
            self.machine._inputs = {"patch": patch}
            self.assertIn(sentence, self.failure())

    def test_no_repository(self) -> None:
        """
        The failure says what hg said; retry tries again.
        """
        said = self.failure(repourl=f"{self.origin}-not", retry=(0, 1))
        self.assertRegex(said, r"hg could not pull from /.*origin-not: repository .* not found\.")
        self.assertEqual(len([each for each in self.machine.remarks if "Trying again in 0 s." in each]), 1)

    def test_password(self) -> None:
        """
        A password reaches the repository's own host, and is in no argument, environment or output, and nowhere on the
        slave.
        """
        server = AskingServer()
        self.addCleanup(server.close)
        for arguments in (
            {"repourl": f"{server.address}/x", "auth_credentials": ("me", Secret("password"))},
            {"repourl": f"http://me:{PASSWORD}@{server.address.partition('//')[2]}/x"},
        ):
            with self.subTest(arguments):
                server.seen.clear()
                self.machine.run(Mercurial(**arguments))
                self.assertIn("Basic " + base64.b64encode(f"me:{PASSWORD}".encode()).decode(), server.seen)
                server.seen.clear()
                shown = [(each.argv, each.env) for each in self.machine.specs if isinstance(each, Run)]
                self.assertNotIn(PASSWORD, repr(shown) + self.machine.output + repr(self.machine.remarks))
                found = subprocess.run(["grep", "-rl", PASSWORD, self.machine.root], capture_output=True, check=False)
                self.assertEqual(found.stdout, b"")


class MercurialArgumentTests(SynchronousTestCase):
    """
    Promise 8.6: each argument of Mercurial.
    """

    def test_replayed(self) -> None:
        """
        The step survives a crash at every moment, also when it begins from nothing.
        """
        ran = replay(
            Mercurial(repourl="https://h/r", branchType="inrepo", defaultBranch="b", mode="full"),
            command("*hg branch*").exits(0, "default\n"),
            command("rmdir build"),
            command("*hg branch*").exits(0, "default\n"),
            command("*hg pull*https://h/r").exits(0, "added\n"),
            command("*hg update*fresh").exits(0, f"0 files updated\n{NODE}\n"),
            command("*hg import*"),
            inputs={"patch": b"diff --git a/a b/a\n"},
        )
        self.assertEqual((ran.result, ran.properties["got_revision"]), (Result.SUCCESS, NODE))

    def test_branch_on_another_host(self) -> None:
        """
        A branch cannot make the address one of another host, which would get the password.
        """
        for branch in (".evil.example/x", "@evil.example/x"):
            ran = run(Mercurial(repourl="https://h", auth_credentials=("me", "pw")), properties={"branch": branch})
            self.assertEqual((ran.result, ran.commands), (Result.FAILURE, []))
            self.assertEqual(ran.summary, "No branch can be appended to https://h: end it with a slash.")

    def test_words(self) -> None:
        """
        What each argument makes of the commands.
        """
        plain: dict[str, Any] = {"repourl": "https://h/r/"}
        rows: list[tuple[dict[str, Any], str, str, Any]] = [
            (plain, "pull", "argv", ("hg-get", "https://h/r/")),
            ({**plain, "defaultBranch": "b"}, "pull", "argv", ("hg-get", "https://h/r/b")),
            ({**plain, "defaultBranch": "b"}, "update", "argv", ("hg-get", '"default"', "incremental")),
            ({**plain, "defaultBranch": "b", "branchType": "inrepo"}, "pull", "argv", ("hg-get", "https://h/r/")),
            ({**plain, "defaultBranch": "b", "branchType": "inrepo"}, "update", "argv", ('"b"', "incremental")),
            ({**plain, "mode": "full"}, "update", "argv", ('"default"', "fresh")),
            ({**plain, "mode": "full", "method": "clean"}, "update", "argv", ('"default"', "clean")),
            ({**plain, "timeout": None}, "pull", "timeout", None),
            ({**plain, "logEnviron": False, "lazylogfiles": True}, "pull", "timeout", 1200.0),
            ({"repourl": "https://tok@h/r"}, "pull", "argv", ("hg-get", "https://h/r")),
            ({**plain, "auth_credentials": ("me", "pw")}, "branch", "files", {}),
            ({**plain, "auth_credentials": ("me", "pw")}, "pull", "files",
             {"BUILDBOT_LITE_HGRC": "[auth]\nit.prefix = https://h\nit.username = me\nit.password = pw\n"}),
        ]  # fmt: skip
        for arguments, part, field, value in rows:
            with self.subTest(arguments):
                ran = run(Mercurial(**arguments))
                spec: Any = next((each.spec for each in ran.asked if f"hg {part}" in each.text), None)
                if spec is None:
                    # Without output the step ends early: hg printed no branch, or no commit.
                    self.fail(f"no {part} in {ran.commands}")
                found = getattr(spec, field)
                self.assertEqual(found[-len(value) :] if field == "argv" else found, value)

    def test_mistakes(self) -> None:
        """
        Arguments that exclude each other, or that show a password.
        """
        rows: list[tuple[dict[str, Any], str]] = [
            ({}, "repourl"),
            ({"repourl": "--x"}, "address of a repository"),
            ({"repourl": "ssh://h/r", "auth_credentials": ("a", "swordfish")}, "for a repository at https://"),
            ({"repourl": "https://a:swordfish@h/r", "auth_credentials": ("a", "b")}, "Give one of them"),
            ({"repourl": "x", "auth_credentials": "swordfish"}, "must be a pair"),
            ({"repourl": "https://a:swordfish%0A[hooks]%0Ax=y@h/r"}, "a line break"),
            ({"repourl": "https://swordfish%0D@h/r"}, "a line break"),
            ({"repourl": "https://h/r", "auth_credentials": ("a", "swordfish\n[hooks]")}, "a line break"),
            ({"repourl": "https://h/r", "auth_credentials": ("swordfish\n", "a")}, "a line break"),
            ({"repourl": "x", "branchType": "else"}, "branchType"),
            ({"repourl": "x", "mode": "full", "method": "copy"}, "method"),
            ({"repourl": "x", "clobberOnBranchChange": "no"}, "clobberOnBranchChange"),
        ]
        for arguments, sentence in rows:
            with self.subTest(arguments):
                error = self.assertRaises(ConfigError, Mercurial, **arguments)
                self.assertIn(sentence, str(error))
                self.assertNotIn("swordfish", str(error))


class _AskingHandler(BaseHTTPRequestHandler):
    """
    Asks for a password, and finds nothing.
    """

    seen: ClassVar[list[str]]

    def do_GET(self) -> None:
        if said := self.headers.get("Authorization"):
            self.seen.append(said)
        self.send_response(404 if said else 401)
        self.send_header("WWW-Authenticate", 'Basic realm="test"')
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        pass


class AskingServer:
    """
    An HTTP server that asks for a password; ``seen``: the headers with which it was answered.
    """

    def __init__(self) -> None:
        self.seen: list[str] = []
        handler = type("Handler", (_AskingHandler,), {"seen": self.seen})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._thread = Thread(target=self._server.serve_forever, daemon=True)
        self._thread.start()
        self.address = f"http://127.0.0.1:{self._server.server_port}"

    def close(self) -> None:
        """
        Stop the server.
        """
        self._server.shutdown()
        self._server.server_close()
        self._thread.join()
