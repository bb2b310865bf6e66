"""
The SVN step on real repositories, and a row for each of its arguments.
"""

import os
import shutil
import socket
import subprocess
import tempfile
import time
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import ConfigError
from buildbot_lite.master.steps.svn import SVN, is_on_host
from buildbot_lite.model.names import directory_name
from buildbot_lite.model.rendering import Secret
from buildbot_lite.model.results import Result
from buildbot_lite.model.source_stamps import PatchPlace, with_patch
from buildbot_lite.model.spec import Run
from buildbot_lite.testing import command, replay, run

from ..needs import needs
from ..ports import free_port
from .local_machine import LocalMachine

PASSWORD = "hunter22"
_HOST = ("--listen-host", "127.0.0.1")


@needs("svn", "svnadmin")
class SvnCase(SynchronousTestCase):
    """
    A repository with a trunk, and a slave.
    """

    def setUp(self) -> None:
        self.directory = tempfile.mkdtemp(prefix="svn-")
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)
        self.program("svnadmin", "create", "repo")
        self.root = f"file://{self.directory}/repo"
        self.url = f"{self.root}/trunk"
        self.svn("mkdir", "-q", "-m", "layout", self.url, f"{self.root}/branches")
        self.svn("checkout", "-q", self.url, "work")
        self.work = os.path.join(self.directory, "work")
        self.commit(hello="one\n", gone="x\n")
        self.machine = LocalMachine(os.path.join(self.directory, "slave"))

    def program(self, *words: str, where: str | None = None) -> str:
        """
        What a program prints.
        """
        env = {**os.environ, "HOME": self.directory, "LC_ALL": "C.UTF-8"}
        return subprocess.run(
            words, cwd=where or self.directory, env=env, check=True, capture_output=True, text=True
        ).stdout

    def svn(self, *words: str, where: str | None = None) -> str:
        """
        Run svn.
        """
        return self.program("svn", *words, where=where)

    def commit(self, **files: str) -> str:
        """
        Commit *files* to the trunk; return the number of the revision.
        """
        for name, text in files.items():
            with open(os.path.join(self.work, name), "w") as file:
                file.write(text)
        self.svn("add", "-q", "--force", ".", where=self.work)
        self.svn("commit", "-q", "-m", "change", where=self.work)
        self.svn("update", "-q", where=self.work)
        return self.svn("info", "--show-item", "revision", where=self.work).strip()

    def check_out(self, **arguments: Any) -> SVN:
        """
        Run a step, which must succeed.
        """
        step = SVN(**{**({} if "baseURL" in arguments else {"repourl": self.url}), **arguments})
        self.assertEqual(self.machine.run(step), Result.SUCCESS, [self.machine.remarks, self.machine.output])
        return step

    def failure(self, **arguments: Any) -> str:
        """
        Run a step, which must fail; return its summary.
        """
        step = SVN(**{"repourl": self.url, **arguments})
        self.assertEqual(self.machine.run(step), Result.FAILURE)
        return step.summary

    def files(self, directory: str = "build") -> list[str]:
        """
        What is in a directory of the builder.
        """
        return sorted(os.listdir(self.machine.path(directory)))

    def put(self, name: str, text: str = "mess") -> None:
        """
        Write a file in the build directory.
        """
        with open(self.machine.path("build", name), "w") as file:
            file.write(text)

    def checkouts(self) -> int:
        """
        How often a directory was removed so far: each checkout from nothing begins so.
        """
        return len([each for each in self.machine.specs if each.kind == "rmdir"])

    @property
    def revision(self) -> Any:
        """
        The property got_revision.
        """
        return self.machine.view.getProperty("got_revision")


class SvnTests(SvnCase):
    """
    Promise 8.6: sources from Subversion.
    """

    def test_incremental(self) -> None:
        """
        A second checkout updates the first, and undoes what builds changed, but keeps what they made.
        """
        self.check_out()
        self.assertEqual((self.machine.text("build", "hello"), self.revision), ("one\n", "2"))
        self.put("made")
        self.put("hello", "changed")
        os.unlink(self.machine.path("build", "gone"))
        self.commit(hello="two\n")
        before = self.checkouts()
        self.check_out()
        self.assertEqual((self.machine.text("build", "hello"), self.revision), ("two\n", "3"))
        self.assertEqual(self.files(), [".svn", "gone", "hello", "made"])
        self.assertEqual(self.checkouts(), before)

    def test_in_the_way(self) -> None:
        """
        A file that a build made, and that the repository has later, gets the contents of the repository.
        """
        self.check_out()
        self.put("new", "of the build")
        self.commit(new="of the repository")
        self.check_out()
        self.assertEqual(self.machine.text("build", "new"), "of the repository")

    def test_methods(self) -> None:
        """
        What each mode and method leaves of the files that a build made.
        """
        self.svn("propset", "-q", "svn:ignore", "ignored\nalso", ".", where=self.work)
        self.commit()
        rows: list[tuple[dict[str, Any], list[str]]] = [
            ({"mode": "update"}, ["also", "ignored", "kept", "made"]),
            ({"mode": "full", "method": "clean"}, ["also", "ignored"]),
            ({"mode": "full", "method": "clean", "keep_on_purge": ["kept/"]}, ["also", "ignored", "kept"]),
            ({"mode": "full"}, []),
            ({"mode": "full", "method": "fresh", "keep_on_purge": ["also", "kept"]}, ["also", "kept"]),
            ({"mode": "full", "method": "clobber"}, []),
            ({"mode": "clobber"}, []),
            ({"mode": "full", "method": "copy"}, []),
            ({"mode": "copy"}, []),
        ]
        for arguments, left in rows:
            with self.subTest(arguments):
                self.check_out()
                os.makedirs(self.machine.path("build", "kept"), exist_ok=True)
                self.put("kept/file")
                for each in ("made", "ignored", "also"):
                    self.put(each)
                self.check_out(**arguments)
                self.assertEqual(self.files(), sorted([".svn", "gone", "hello", *left]))
                self.check_out(mode="clobber")

    def test_export(self) -> None:
        """
        An export has no .svn, and is made of a copy that is kept; a patch is in it.
        """
        for arguments in ({"mode": "full", "method": "export"}, {"mode": "export"}):
            self.check_out(**arguments)
            self.assertEqual(self.files(), ["gone", "hello"])
        self.assertIn(".svn", self.files("source"))
        with open(os.path.join(self.work, "hello"), "w") as file:
            file.write("patched\n")
        patch = self.svn("diff", "--git", where=self.work).encode()
        self.machine._inputs = {"patch": patch}
        self.check_out(mode="export")
        self.assertEqual((self.machine.text("build", "hello"), self.files()), ("patched\n", ["gone", "hello"]))

    def test_revision(self) -> None:
        """
        The request's revision counts, also of a directory that is gone by now; with alwaysUseLatest it does not.
        """
        self.commit(hello="two\n")
        properties = self.machine.view.properties
        for asked in ("2", "r2"):
            properties.set("revision", asked)
            self.check_out()
            self.assertEqual((self.machine.text("build", "hello"), self.revision), ("one\n", "2"))
        self.check_out(alwaysUseLatest=True)
        self.assertEqual(self.machine.text("build", "hello"), "two\n")
        self.svn("move", "-q", "-m", "away", self.url, f"{self.root}/branches/old")
        self.check_out(mode="clobber")
        self.assertEqual(self.revision, "2")
        properties.set("revision", "-r 3")
        self.assertIn("which is not a valid name", self.failure())
        properties.set("revision", "99")
        self.assertRegex(self.failure(), "svn could not check out file://.*/trunk at 99: .*No such revision 99")

    def test_last_changed(self) -> None:
        """
        With preferLastChangedRev the property is the last revision that changed something there.
        """
        self.svn("mkdir", "-q", "-m", "elsewhere", f"{self.root}/branches/x")
        self.check_out()
        self.assertEqual(self.revision, "3")
        self.check_out(preferLastChangedRev=True)
        self.assertEqual(self.revision, "2")

    def test_codebase(self) -> None:
        """
        The property has the revision of each codebase; the branch is appended to baseURL.
        """
        self.svn("copy", "-q", "-m", "branch", self.url, f"{self.root}/branches/one")
        self.machine.view.sources = {"lib": {"branch": "branches/one", "revision": None}}
        self.check_out(baseURL=f"{self.root}/", defaultBranch="trunk", codebase="lib")
        self.assertEqual(self.revision, {"lib": "3"})
        url = self.svn("info", "--show-item", "url", where=self.machine.path("build")).strip()
        self.assertEqual(url, f"{self.root}/branches/one")
        self.check_out(baseURL=f"{self.root}/", defaultBranch="trunk", workdir="other")
        self.assertIn("hello", self.files("other"))

    def test_depth(self) -> None:
        """
        A sparse checkout; further words for svn checkout.
        """
        self.svn("mkdir", "-q", "-m", "more", f"{self.url}/sub")
        self.check_out(mode="clobber", depth="files")
        self.assertEqual(self.files(), [".svn", "gone", "hello"])
        self.check_out(mode="clobber", extra_args=["--depth", "empty"])
        self.assertEqual(self.files(), [".svn"])

    def test_other_directories(self) -> None:
        """
        A directory that is none of that address, is damaged, locked or a link, is made anew or repaired.
        """
        self.svn("copy", "-q", "-m", "branch", self.url, f"{self.root}/branches/one")
        build = self.machine.path("build")
        os.makedirs(build)
        self.put("rubbish")
        self.check_out()
        self.assertEqual(self.files(), [".svn", "gone", "hello"])
        self.check_out(repourl=f"{self.root}/branches/one/")
        self.assertEqual(self.svn("info", "--show-item", "relative-url", where=build).strip(), "^/branches/one")
        self.check_out()
        with open(os.path.join(build, ".svn", "wc.db"), "w") as file:
            file.write("damaged")
        self.check_out()
        shutil.move(os.path.join(build, ".svn"), os.path.join(self.directory, "elsewhere"))
        os.symlink(os.path.join(self.directory, "elsewhere"), os.path.join(build, ".svn"))
        self.check_out()
        self.assertFalse(os.path.islink(os.path.join(build, ".svn")))
        shutil.rmtree(os.path.join(build, ".svn"))
        self.check_out()
        self.assertEqual(self.machine.text("build", "hello"), "one\n")

    def test_patch(self) -> None:
        """
        A patch is applied, whichever program made it, and is undone by the next checkout.
        """
        with open(os.path.join(self.work, "hello"), "w") as file:
            file.write("patched\n")
        with open(os.path.join(self.work, "added"), "w") as file:
            file.write("new\n")
        self.svn("add", "-q", "added", where=self.work)
        for words in (["diff", "--git", "--internal-diff"], ["diff"]):
            with self.subTest(words):
                self.machine._inputs = {"patch": self.svn(*words, where=self.work).encode()}
                step = self.check_out()
                self.assertEqual(step.summary, "revision 2 with the submitted patch")
                self.assertEqual(self.machine.text("build", "hello"), "patched\n")
                self.assertEqual(self.machine.text("build", "added"), "new\n")
                self.machine._inputs = {}
                self.check_out()
                self.assertEqual(self.files(), [".svn", "gone", "hello"])
                self.assertEqual(self.machine.text("build", "hello"), "one\n")
        deeper = b"--- a/b/hello\n+++ a/b/hello\n@@ -1 +1 @@\n-one\n+patched\n"
        self.machine._inputs = {"patch": deeper}
        self.assertRegex(self.failure(), "parts of it were rejected")
        self.machine.view.sources[""] = dict(with_patch({}, PatchPlace(2)))
        self.check_out()
        self.assertEqual(self.machine.text("build", "hello"), "patched\n")
        self.machine.view.sources.clear()
        rows = [
            (b"", "The submitted patch is empty"),
            (b"rubbish", "does not apply to revision 2: it is not a patch"),
            (b"--- hello\n+++ hello\n@@ -1 +1 @@\n-other\n+text\n", "2: parts of it were rejected.  Send .* svn diff"),
        ]
        for patch, sentence in rows:
            with self.subTest(patch):
                self.machine._inputs = {"patch": patch}
                self.assertRegex(self.failure(), sentence)

    def test_patch_of_a_directory(self) -> None:
        """
        Promise 8.2: a patch is applied below its directory, whatever the directory's name looks like.
        """
        names = ("lib", "-x", "--config-dir=y", "a@b", "a@1")
        for name in names:
            os.mkdir(os.path.join(self.work, name))
            with open(os.path.join(self.work, name, "f"), "w") as file:
                file.write("one\n")
            self.svn("add", "-q", f"./{name}@", where=self.work)
        self.svn("commit", "-q", "-m", "directories", where=self.work)
        self.machine._inputs = {"patch": b"--- f\n+++ f\n@@ -1 +1 @@\n-one\n+patched\n"}
        for name in names:
            with self.subTest(name):
                self.machine.view.sources[""] = dict(with_patch({}, PatchPlace(0, name)))
                self.check_out()
                self.assertEqual(self.machine.text("build", name, "f"), "patched\n")

    def test_no_repository(self) -> None:
        """
        The failure says what svn said; retry tries again.
        """
        self.assertRegex(self.failure(repourl=f"{self.root}-not", retry=(0, 1)), "svn could not check out .*: .+")
        self.assertEqual(len([each for each in self.machine.remarks if "Trying again in 0 s." in each]), 1)

    def test_names(self) -> None:
        """
        File names in any script, also where the slave has no locale.
        """
        self.commit(grüße="x")
        self.machine = LocalMachine(os.path.join(self.directory, "plain"), env={"LC_ALL": "C"})
        self.check_out()
        self.assertEqual(self.machine.text("build", "grüße"), "x")


@needs("svn", "svnadmin", "svnserve")
class SvnCredentialsTests(SvnCase):
    """
    Promise 8.6: passwords for Subversion.
    """

    def setUp(self) -> None:
        super().setUp()
        conf = os.path.join(self.directory, "repo", "conf")
        with open(os.path.join(conf, "svnserve.conf"), "w") as file:
            file.write("[general]\nanon-access = none\nauth-access = read\npassword-db = passwd\n")
        with open(os.path.join(conf, "passwd"), "w") as file:
            file.write(f"[users]\nme = {PASSWORD}\n")
        self.machine = LocalMachine(os.path.join(self.directory, "slave"), secrets={"password": PASSWORD})

    def serve(self) -> str:
        """
        Serve the repositories; return the address.
        """
        port = free_port()
        words = ["svnserve", "-d", "--foreground", "-r", self.directory, f"--listen-port={port}", *_HOST]
        server = subprocess.Popen(words, stderr=subprocess.DEVNULL)
        self.addCleanup(server.wait)
        self.addCleanup(server.kill)
        self.assertTrue(answers(port, server), "svnserve does not start")
        return f"svn://127.0.0.1:{port}/repo"

    def test_password(self) -> None:
        """
        A password works, and is in no argument, environment or output, and nowhere on the slave.
        """
        url = f"{self.serve()}/trunk"
        arguments: dict[str, Any] = {"repourl": url, "username": "me", "password": Secret("password")}
        self.check_out(**arguments)
        self.commit(hello="two\n")
        self.check_out(**arguments)
        self.assertEqual(self.machine.text("build", "hello"), "two\n")
        for each in self.machine.specs:
            if isinstance(each, Run):
                self.assertNotIn(PASSWORD, repr((each.argv, each.env)))
        self.assertNotIn(PASSWORD, self.machine.output + repr(self.machine.remarks))
        found = subprocess.run(["grep", "-rl", PASSWORD, self.machine.root], capture_output=True, check=False)
        self.assertEqual(found.stdout, b"")
        wrong = SVN(repourl=url, username="me", password="wrong", mode="clobber")
        self.assertEqual(self.machine.run(wrong), Result.FAILURE)
        self.assertIn("Authentication", wrong.summary)

    def test_externals(self) -> None:
        """
        Externals on the same host get the password; with one elsewhere, none does.
        """
        root = self.serve()
        arguments: dict[str, Any] = {"repourl": f"{root}/trunk", "username": "me", "password": Secret("password")}
        self.svn("copy", "-q", "-m", "lib", self.url, f"{self.root}/lib")
        self.svn("propset", "-q", "svn:externals", "^/lib lib", ".", where=self.work)
        self.commit()
        self.check_out(**arguments)
        self.assertEqual(self.machine.text("build", "lib", "hello"), "one\n")
        self.svn("propset", "-q", "svn:externals", f"{self.root}/lib lib", ".", where=self.work)
        self.commit()
        self.machine.specs.clear()
        step = SVN(**arguments)
        self.machine.run(step)
        (update,) = [each for each in self.machine.specs if isinstance(each, Run) and "update" in each.argv]
        self.assertEqual((update.stdin, [word for word in update.argv if "user" in word or "pass" in word]), (None, []))
        self.check_out(**arguments, mode="clobber", extra_args=["--ignore-externals"])

    def test_hosts(self) -> None:
        """
        Which words of definitions are addresses on the repository's own host.
        """
        url = "https://a.example:8443/x"
        for word, own in [
            ("lib", True), ("-r12", True), ("^/lib@3", True), ("../lib", True), ("/svn/lib", True),
            ("https://a.example:8443/y", True), ("//a.example:8443/y", True), ("https://a.example/y", False),
            ("http://a.example:8443/y", False), ("//b/y", False), ("https://a.example:8443@b/y", False),
        ]:  # fmt: skip
            self.assertEqual(is_on_host(word, url), own, word)


class SvnArgumentTests(SynchronousTestCase):
    """
    Promise 8.6: each argument of SVN.
    """

    def test_replayed(self) -> None:
        """
        The step survives a crash at every moment.
        """
        status = '<status><target path="."><entry path="a b"><wc-status item="ignored"/></entry></target></status>'
        ran = replay(
            SVN(repourl="svn://h/r/trunk", mode="full"),
            command("*svn info*").exits(0, "svn://h/r/trunk\n"),
            command("*svn status*").exits(0, status),
            command("svn revert*"),
            command("rm -rf -- 'a b'"),
            command("*svn checkout*@7 .").exits(0, "U a\n"),
            command("svn info*revision .").exits(0, "7\n"),
            command("*svn-patch *"),
            inputs={"patch": b"Index: a\n"},
            properties={"revision": "7"},
        )
        self.assertEqual((ran.result, ran.properties["got_revision"]), (Result.SUCCESS, "7"))
        self.assertEqual(ran.summary, "revision 7 with the submitted patch")

    def test_branch_on_another_host(self) -> None:
        """
        A branch cannot make the address one of another host, which would get the password.
        """
        for branch in (".evil.example/x", "@evil.example/x"):
            ran = run(SVN(baseURL="https://h", username="me", password="pw"), properties={"branch": branch})
            self.assertEqual((ran.result, ran.commands), (Result.FAILURE, []))
            self.assertEqual(ran.summary, "No branch can be appended to https://h: end it with a slash.")

    def test_words(self) -> None:
        """
        What each argument adds to the checkout.
        """
        plain: dict[str, Any] = {"repourl": "https://h/r"}
        rows: list[tuple[dict[str, Any], dict[str, Any]]] = [
            (plain, {"argv": ("-r", "HEAD", "--no-auth-cache", "https://h/r@HEAD", ".")}),
            ({"svnurl": "https://h/r/"}, {"argv": ("-r", "HEAD", "--no-auth-cache", "https://h/r@HEAD", ".")}),
            ({"baseURL": "https://h/", "defaultBranch": "trunk"}, {"argv": ("https://h/trunk@HEAD", ".")}),
            ({**plain, "username": "me"}, {"argv": ("--no-auth-cache", "--username=me", "https://h/r@HEAD", ".")}),
            ({**plain, "extra_args": ["--x", "y"]}, {"argv": ("--x", "y", "--no-auth-cache", "https://h/r@HEAD", ".")}),
            ({**plain, "depth": "files"}, {"argv": ("--depth=files", "--no-auth-cache", "https://h/r@HEAD", ".")}),
            ({**plain, "env": {"A": "1"}}, {"env": {"LC_ALL": "C.UTF-8", "LANGUAGE": None, "A": "1"}}),
            ({**plain, "env": {"LC_ALL": "de"}}, {"env": {"LC_ALL": "de", "LANGUAGE": None}}),
            ({**plain, "timeout": 60}, {"timeout": 60.0}),
            ({**plain, "timeout": None}, {"timeout": None}),
            ({**plain, "workdir": "w"}, {"workdir": f"{directory_name('test')}/w"}),
            ({**plain, "mode": "copy", "workdir": "w"}, {"workdir": f"{directory_name('test')}/source"}),
            ({**plain, "logEnviron": False}, {"stdin": None}),
            ({**plain, "username": "me", "password": "pw"}, {"stdin": "pw\n"}),
        ]
        for arguments, expected in rows:
            with self.subTest(arguments):
                ran = run(SVN(**arguments))
                spec: Any = next(each.spec for each in ran.asked if "svn-checkout" in each.text)
                for name, value in expected.items():
                    found = getattr(spec, name)
                    self.assertEqual(found[-len(value) :] if name == "argv" else found, value)

    def test_mistakes(self) -> None:
        """
        Arguments that exclude each other, or that show a password.
        """
        plain: dict[str, Any] = {"repourl": "https://h/r"}
        rows: list[tuple[dict[str, Any], str]] = [
            ({}, "either repourl or baseURL"),
            ({**plain, "baseURL": "https://h/"}, "either repourl or baseURL"),
            ({"repourl": "--x://"}, "dash"),
            ({"repourl": "/a/path"}, "an address like"),
            ({"repourl": "https://me:swordfish@h/r"}, "without a password"),
            ({**plain, "password": "swordfish"}, "password needs a username"),
            ({**plain, "mode": "copy", "method": "clean"}, 'method is for mode="full"'),
            ({**plain, "mode": "full", "method": "fast"}, "method"),
            ({**plain, "depth": "2"}, "depth"),
        ]
        for arguments, sentence in rows:
            with self.subTest(arguments):
                error = self.assertRaises(ConfigError, SVN, **arguments)
                self.assertIn(sentence, str(error))
                self.assertNotIn("swordfish", str(error))
        ran = run(SVN(repourl="https://h/r", username=Secret("user")), secrets={"user": "swordfish"})
        self.assertIn("username has a secret in it", ran.summary)


def answers(port: int, server: "subprocess.Popen[bytes]") -> bool:
    """
    Whether *server* listens on *port*, at last.
    """
    deadline = time.monotonic() + 60
    while server.poll() is None and time.monotonic() < deadline:
        with socket.socket() as client:
            client.settimeout(1)
            if client.connect_ex(("127.0.0.1", port)) == 0:
                return True
    return False
