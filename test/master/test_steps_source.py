"""
The Git step on real repositories.
"""

import os
import re
import shutil
import subprocess
import tempfile
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import ConfigError
from buildbot_lite.master.steps import Gerrit, Git, GitHub, GitLab
from buildbot_lite.model.rendering import Property, Secret
from buildbot_lite.model.results import Result
from buildbot_lite.model.source_stamps import PatchPlace, with_patch
from buildbot_lite.model.spec import Run
from buildbot_lite.testing import (
    command,
    replay,
    run,
)

from ..needs import needs
from .git_repository import (
    NO_SEARCH_ABOVE,
    PASSWORD,
    GitHttpServer,
    GitRepository,
)
from .local_machine import LocalMachine


class GitTests(SynchronousTestCase):
    def setUp(self) -> None:
        directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, directory, ignore_errors=True)
        # The slave's directory is inside another checkout, as when somebody tries a farm in a working tree.
        self.outer = GitRepository(os.path.join(directory, "around"))
        self.outer.commit(precious="work\n")
        with open(os.path.join(self.outer.path, "precious"), "a") as file:
            file.write("in progress\n")
        self.outer_state_before = self.outer_state()
        self.addCleanup(self.check_outer_repository)
        self.repository = GitRepository(os.path.join(directory, "a repository"))
        self.first = self.repository.commit(hello="one\n", gone="x\n")
        self.machine = LocalMachine(os.path.join(self.outer.path, "a slave"), env=NO_SEARCH_ABOVE)

    def check_outer_repository(self) -> None:
        """
        The repository around the slave is unchanged.
        """
        self.assertEqual(self.outer_state(), self.outer_state_before)

    def outer_state(self) -> list[str]:
        """
        The refs, index, configuration and a changed file of the repository around the slave.
        """
        with open(os.path.join(self.outer.path, "precious")) as file:
            contents = file.read()
        said = [["for-each-ref"], ["rev-parse", "HEAD"], ["ls-files", "--stage"], ["config", "--list", "--local"]]
        return [contents, *(self.outer.git(*words) for words in said)]

    def step(self, **arguments: Any) -> Git:
        """
        A step for the repository, with these arguments.
        """
        return Git(**{"repourl": self.repository.path, **arguments})

    def another_machine(self, *, env: dict[str, str] | None = None, **more: Any) -> LocalMachine:
        """
        A slave in the same directory, with another environment.
        """
        return LocalMachine(self.machine.root, env={**NO_SEARCH_ABOVE, **(env or {})}, **more)

    def check_out(self, **arguments: Any) -> None:
        """
        Run the step, which must succeed.
        """
        self.assertEqual(
            self.machine.run(self.step(**arguments)),
            Result.SUCCESS,
            self.machine.remarks,
        )

    def failure(self, **arguments: Any) -> str:
        """
        Run the step, which must fail.  Return its summary.
        """
        step = self.step(**arguments)
        self.assertEqual(self.machine.run(step), Result.FAILURE)
        return step.summary

    def put(self, name: str, contents: str = "mess") -> None:
        """
        Write a file in the build directory.
        """
        with open(self.machine.path("build", name), "w") as file:
            file.write(contents)

    def files(self, directory: str = "build") -> list[str]:
        """
        The names in the build directory.
        """
        return sorted(set(os.listdir(self.machine.path(directory))) - {".git"})

    def revision(self) -> object:
        """
        The property got_revision.
        """
        return self.machine.view.getProperty("got_revision")

    def test_new(self) -> None:
        """
        The first checkout creates the directory and sets the full hash as a property.
        """
        self.check_out()
        self.assertEqual(self.machine.text("build", "hello"), "one\n")
        self.assertEqual(self.revision(), self.first)

    def test_url(self) -> None:
        """
        A file:// URL works, and is the remote "origin" for the build's commands.
        """
        url = "file://" + self.repository.path.replace(" ", "%20")
        os.symlink(self.repository.path, self.repository.path.replace(" ", "%20"))
        self.check_out(repourl=url)
        self.assertIn(url, self.machine.text("build", ".git", "config"))

    def test_incremental(self) -> None:
        """
        mode="incremental" gets new commits, restores changed files and keeps untracked files.
        """
        self.check_out()
        self.put("built.o")
        self.put("hello")
        self.repository.git("rm", "-q", "gone")
        second = self.repository.commit(new="2")
        self.check_out()
        self.assertEqual(self.files(), ["built.o", "hello", "new"])
        self.assertEqual(self.machine.text("build", "hello"), "one\n")
        self.assertEqual(self.revision(), second)

    def test_full(self) -> None:
        """
        mode="full" removes untracked files; only method="clean" keeps ignored ones.
        """
        self.repository.commit(**{".gitignore": "*.o\n"})
        for method, left in {
            "fresh": [],
            None: [],
            "clean": ["built.o"],
            "clobber": [],
            "copy": [],
        }.items():
            self.check_out()
            self.put("built.o")
            self.put("mess")
            os.makedirs(self.machine.path("build", "deep", ".git"))
            self.check_out(mode="full", method=method)
            self.assertEqual(self.files(), sorted([".gitignore", "gone", "hello", *left]), method)

    def test_modes_of_0_8(self) -> None:
        """
        Promise 8.6: the modes of Buildbot 0.8, and a method beside mode="incremental", which says nothing.
        """
        rows: list[tuple[dict[str, str], list[str]]] = [
            ({"mode": "update"}, ["built.o"]),
            ({"mode": "incremental", "method": "clean"}, ["built.o"]),
            ({"mode": "copy"}, []),
            ({"mode": "clobber"}, []),
        ]
        for arguments, left in rows:
            self.check_out()
            self.put("built.o")
            self.check_out(**arguments)
            self.assertEqual(self.files(), sorted(["gone", "hello", *left]), arguments)

    def test_description(self) -> None:
        """
        Promise 8.6: getDescription sets commit-description, with the options of ``git describe``; without a name there
        is none.  Also when the commit was fetched earlier.
        """

        def described(**arguments: Any) -> Any:
            self.machine.view.properties.set("commit-description", None)
            self.check_out(**arguments)
            return self.machine.view.getProperty("commit-description")

        self.assertIsNone(described(getDescription=True))
        self.assertEqual(described(getDescription={"always": True}), self.first[:7])
        self.repository.git("tag", "v1")
        self.repository.git("tag", "-a", "-m", "two", "release/2")
        second = self.repository.commit(hello="two\n")
        rows: list[tuple[Any, str | None]] = [
            (True, f"release/2-1-g{second[:7]}"),
            ({"tags": True, "match": "v*"}, f"v1-1-g{second[:7]}"),
            ({"abbrev": 10, "long": True}, f"release/2-1-g{second[:10]}"),
            ({"exact-match": True}, None),
            ({"dirty": "-changed", "tags": False}, f"release/2-1-g{second[:7]}"),
        ]
        for options, expected in rows:
            for revision in (None, second):
                with self.subTest(options=options, revision=revision):
                    self.assertEqual(described(getDescription=options, revision=revision), expected)

    def test_all_tags(self) -> None:
        """
        Promise 8.6: with tags=True, tags that are not in the history of the branch are there, too.
        """
        self.repository.git("checkout", "-q", "-b", "side")
        self.repository.commit(side="x")
        self.repository.git("tag", "side-1")
        self.repository.git("checkout", "-q", "-")
        self.check_out()
        self.assertNotIn("side-1", self.tags())
        self.check_out(tags=True, revision=self.first)
        self.assertIn("side-1", self.tags())

    def tags(self) -> str:
        """
        The names of the tags in the checkout.
        """
        words = ["git", f"--git-dir={self.machine.path('build', '.git')}", "tag"]
        return subprocess.run(words, check=True, capture_output=True, text=True).stdout

    def test_retry_fetch(self) -> None:
        """
        Promise 8.6: retryFetch tries once more.
        """
        for flag, runs in ((True, 2), (False, 1)):
            answers = [command("*git-get*").exits(1), command("sleep 0"), command("*git-get*").exits(1)]
            wanted = answers if flag else answers[:1]
            ran = run(Git(repourl="/r", retryFetch=flag), *wanted)
            self.assertEqual(
                (ran.result, len([each for each in ran.commands if "git-get" in each])), (Result.FAILURE, runs)
            )

    def test_github(self) -> None:
        """
        Promise 8.6: GitHub fetches the merge of a pull request as it is now; other branches as Git does.
        """
        self.repository.git("update-ref", "refs/pull/7/merge", self.first)
        second = self.repository.commit(hello="two\n")
        rows = [("refs/pull/7/merge", second, self.first), ("refs/pull/7/merge", "0" * 40, self.first)]
        for branch, revision, expected in rows:
            self.machine.view.properties.set("branch", branch)
            self.machine.view.properties.set("revision", revision)
            self.assertIs(self.machine.run(GitHub(repourl=self.repository.path)), Result.SUCCESS)
            self.assertEqual(self.revision(), expected)

    def test_gerrit(self) -> None:
        """
        Promise 8.6: Gerrit fetches the change that is under review, if it is of this project.
        """
        change = self.repository.commit(hello="changed\n")
        self.repository.git("update-ref", "refs/changes/42/1042/3", change)
        self.repository.git("reset", "-q", "--hard", self.first)
        rows: list[tuple[dict[str, str], str]] = [
            ({"gerrit_change": "1042/3"}, change),
            ({"event.patchSet.ref": "refs/changes/42/1042/3", "gerrit_change": ""}, change),
            ({"event.change.project": "other", "gerrit_change": "1042/3"}, self.first),
        ]
        for properties, expected in rows:
            machine = self.another_machine()
            machine.view.sources[""] = {"project": "mine"}
            for name, value in properties.items():
                machine.view.properties.set(name, value)
            self.assertIs(machine.run(Gerrit(repourl=self.repository.path)), Result.SUCCESS, properties)
            self.assertEqual(machine.view.getProperty("got_revision"), expected)
        machine.view.properties.set("event.change.project", "mine")
        machine.view.properties.set("gerrit_change", "")
        machine.view.properties.set("event.patchSet.ref", "refs/heads/main")
        self.assertIs(machine.run(Gerrit(repourl=self.repository.path)), Result.FAILURE)

    def test_copy(self) -> None:
        """
        method="copy" keeps a pristine checkout in its own directory.
        """
        self.check_out(mode="full", method="copy", workdir="deep/build")
        self.assertEqual(self.files("source"), ["gone", "hello"])
        self.assertEqual(self.files("deep/build"), ["gone", "hello"])

    def break_repository(self) -> None:
        """
        Make the build directory's .git unusable.
        """
        path = self.machine.path("build", ".git")
        if os.path.isdir(path):
            shutil.rmtree(path)
        self.put(".git", "nonsense")

    def test_clobber_on_failure(self) -> None:
        """
        With clobberOnFailure, a failure is followed by one more attempt in an empty directory.
        """
        self.check_out()
        self.put("built.o")
        step = self.step(branch="nope", clobberOnFailure=True)
        self.assertEqual(self.machine.run(step), Result.FAILURE)
        self.assertIn("Trying again with an empty directory", self.machine.remarks[0])
        self.assertEqual(self.files(), [])

    def test_broken_inside_another(self) -> None:
        """
        If the repository in the build directory is broken, git does not use the repository around it, in any mode.
        """
        self.check_out()
        for break_repository in (self.break_repository, self.break_head, self.remove_objects):
            for arguments in ({}, {"mode": "full"}, {"revision": self.first}, {"submodules": True}):
                break_repository()
                self.check_out(**arguments)
                self.assertEqual(self.outer_state(), self.outer_state_before)
                self.assertEqual(self.files(), ["gone", "hello"])

    def break_head(self) -> None:
        """
        Write nonsense to HEAD.
        """
        self.put(".git/HEAD", "nonsense")

    def remove_objects(self) -> None:
        """
        Remove all objects, and damage the configuration.
        """
        shutil.rmtree(self.machine.path("build", ".git"))
        os.makedirs(self.machine.path("build", ".git", "objects"))
        self.put(".git/config", "[core\n")

    def test_stale_lock(self) -> None:
        """
        Lock files of a killed git do not prevent a checkout.
        """
        self.check_out()
        self.put(".git/index.lock", "")
        self.check_out()

    def test_branch(self) -> None:
        """
        A branch is checked out under its name, also if another branch has the name of its directory.
        """
        self.repository.git("checkout", "-q", "-b", "feature")
        self.repository.commit(hello="feature\n")
        self.check_out(branch="feature")
        self.assertEqual(self.machine.text("build", "hello"), "feature\n")
        self.assertEqual(self.machine.text("build", ".git", "HEAD"), "ref: refs/heads/feature\n")
        self.repository.git("branch", "-m", "feature", "feature/x")
        self.check_out(branch="feature/x")
        self.assertEqual(self.machine.text("build", ".git", "HEAD"), "ref: refs/heads/feature/x\n")
        self.check_out(branch="refs/heads/main")
        self.assertEqual(self.revision(), self.first)

    def test_branch_and_tag(self) -> None:
        """
        Promise 6.22: if a branch and a tag have the same name, `branch` means the branch and `revision` the tag.
        """
        self.repository.git("tag", "1.0")
        self.repository.git("checkout", "-q", "-b", "1.0")
        second = self.repository.commit(hello="2")
        self.check_out(branch="1.0")
        self.assertEqual(self.revision(), second)
        self.assertEqual(self.machine.text("build", ".git", "HEAD"), "ref: refs/heads/1.0\n")
        self.check_out(revision="1.0")
        self.assertEqual(self.revision(), self.first)

    def test_full_refs(self) -> None:
        """
        Promise 6.20: a full ref of any kind can be the branch or the revision.
        """
        self.repository.git("tag", "-a", "-m", "tagged", "v1")
        self.repository.git("update-ref", "refs/pull/1/head", self.first)
        second = self.repository.commit(hello="2")
        for ref in ("refs/tags/v1", "refs/pull/1/head"):
            self.check_out()
            self.assertEqual(self.revision(), second)
            self.check_out(revision=ref)
            self.assertEqual(self.revision(), self.first)
            self.check_out(branch=ref)
            self.assertEqual(self.revision(), self.first)
        self.assertIn("git could not fetch refs/tags/v2", self.failure(revision="refs/tags/v2"))

    def test_standard_error(self) -> None:
        """
        Promise 6.22: messages on standard error do not get into the revision.
        """
        for arguments in ({}, {"revision": "main"}, {"revision": self.first}, {"mode": "full"}):
            self.check_out(env={"LD_PRELOAD": "libnosuch.so"}, **arguments)
            self.assertEqual(self.revision(), self.first)
        self.assertIn("libnosuch", self.machine.output)

    def test_config(self) -> None:
        """
        Promise 6.22: settings in `config`, with any characters, apply to all git commands, also when a patch is
        applied.
        """
        os.symlink("hello", os.path.join(self.repository.path, "link"))
        self.repository.commit()
        self.machine = self.another_machine(inputs={"patch": b"--- /dev/null\n+++ b/new\n@@ -0,0 +1 @@\n+x\n"})
        quoted = {
            "core.symlinks": "false",
            "test.quoted": 'it\'s $HOME "x"',
            "filter.f.smudge": "git config test.quoted",
        }
        self.repository.commit(**{".gitattributes": "hello filter=f\n"})
        self.check_out(config=quoted)
        self.assertFalse(os.path.islink(self.machine.path("build", "link")))
        self.assertEqual(self.machine.text("build", "hello"), 'it\'s $HOME "x"\n')
        self.assertEqual(self.machine.text("build", "new"), "x\n")

    def test_credentials_for_filters(self) -> None:
        """
        Promise 6.22: filters in the slave's git configuration can use the credentials, as git LFS does.
        """
        smudge = "printf 'protocol=https\\nhost=example.org\\n\\n' | git credential fill | grep password"
        self.repository.commit(**{".gitattributes": "hello filter=f\n"})
        os.makedirs(self.machine.root)
        with open(os.path.join(self.machine.root, ".gitconfig"), "w") as file:
            file.write(f'[url "{self.repository.path}"]\n insteadOf = https://example.org/x\n[filter "f"]\n')
        subprocess.run(
            ["git", "config", "-f", os.path.join(self.machine.root, ".gitconfig"), "filter.f.smudge", smudge],
            check=True,
        )
        self.machine = self.another_machine(secrets={"token": "hunter22"})
        self.check_out(repourl="https://example.org/x", auth_credentials=("me", Secret("token")))
        self.assertEqual(self.machine.text("build", "hello"), "password=hunter22\n")

    @needs("git-lfs")
    def test_forged_lfs(self) -> None:
        """
        Promise 6.16: an LFS object that a build forged with the right size is not checked out.
        """
        os.makedirs(self.machine.root)
        # The settings that ``git lfs install`` makes.
        lfs = {
            f"filter.lfs.{name}": f"git-lfs {name.replace('process', 'filter-process')}"
            for name in ("clean", "smudge", "process")
        }
        for home in (self.machine.root, self.repository.path):
            for name, words in lfs.items():
                subprocess.run(["git", "config", "-f", f"{home}/.gitconfig", name, words], check=True)
        origin = f"file://{self.repository.path}".replace(" ", "%20")
        self.repository.commit(**{".gitattributes": "*.bin filter=lfs\n", ".gitignore": ".gitconfig\n"})
        for number, arguments in enumerate(({"mode": "full"}, {"mode": "full", "method": "clean"}, {})):
            self.repository.commit(**{"a.bin": f"right {number}0", "b.bin": f"right {number}1"})
            self.check_out(repourl=origin, **arguments)
            self.forge(self.repository.git("show", "HEAD:a.bin"), b"wrong 00")
            os.unlink(self.machine.path("build", "a.bin"))
            # The next object is needed only by the next commit.
            self.repository.commit(**{"b.bin": f"right {number}2"})
            self.forge(self.repository.git("show", "HEAD:b.bin"), b"wrong 00")
            self.check_out(repourl=origin, **arguments)
            found = [self.machine.text("build", name) for name in ("a.bin", "b.bin")]
            self.assertEqual(found, [f"right {number}0", f"right {number}2"], arguments)

    def forge(self, pointer: str, contents: bytes) -> None:
        """
        Write *contents* to the place of the LFS object of *pointer*.
        """
        found = re.search("oid sha256:(..)(..)(.*)", pointer)
        assert found is not None
        above = self.machine.path("build", ".git", "lfs", "objects", found[1], found[2])
        os.makedirs(above, exist_ok=True)
        path = os.path.join(above, "".join(found.groups()))
        if os.path.exists(path):
            os.unlink(path)
        with open(path, "wb") as file:
            file.write(contents)

    def test_packed(self) -> None:
        """
        Promise 6.22: a repository with many packs is packed before the step ends.
        """
        settings = {"gc.autoPackLimit": "3", "fetch.unpackLimit": "1"}
        for number in range(8):
            self.repository.commit(hello=f"{number}\n")
            self.check_out(config=settings)
            packs = os.listdir(self.machine.path("build", ".git", "objects", "pack"))
            self.assertLessEqual(len([name for name in packs if name.endswith(".pack")]), 3)

    def test_merge_request_of_gitlab(self) -> None:
        """
        Promise 8.6: a merge request of GitLab is fetched from the target's repository, also when its revision was
        rewritten.
        """
        self.repository.git("checkout", "-q", "-b", "fork")
        commit = self.repository.commit(hello="of the fork\n")
        self.repository.git("update-ref", "refs/merge-requests/7/head", commit)
        self.repository.git("checkout", "-q", "main")
        self.repository.git("branch", "-q", "-D", "fork")
        self.machine.view.properties.set("branch", "refs/merge-requests/7/head")
        for revision in (None, commit):
            self.machine.view.properties.set("revision", revision)
            step = GitLab(repourl=self.repository.path, mode="full", method="clobber", config={"protocol.version": "0"})
            self.assertEqual((self.machine.run(step), step.name), (Result.SUCCESS, "gitlab"))
            self.assertEqual((self.revision(), self.machine.text("build", "hello")), (commit, "of the fork\n"))

    def test_rewritten_branch(self) -> None:
        """
        A branch whose history was rewritten is checked out as it is now.
        """
        self.check_out(branch="main")
        self.repository.git("commit", "-q", "--amend", "-m", "other")
        self.check_out(branch="main")
        self.assertEqual(self.revision(), self.repository.git("rev-parse", "main"))

    def test_request(self) -> None:
        """
        The branch and the revision of a request take precedence over those of the step.
        """
        self.repository.git("checkout", "-q", "-b", "other")
        other = self.repository.commit(hello="2")
        self.machine.view.properties.set("branch", "other")
        self.check_out(branch="main")
        self.assertEqual(self.revision(), other)
        self.machine.view.properties.set("revision", self.first)
        self.check_out(branch="main")
        self.assertEqual(self.revision(), self.first)
        self.check_out(branch="main", alwaysUseLatest=True)
        self.assertEqual(self.revision(), other)

    def test_no_options(self) -> None:
        """
        A branch that looks like an option, or contains forbidden characters, is refused before git runs.
        """
        for branch in (
            "--upload-pack=touch x",
            "a b",
            "-x",
            "a:b",
            "a..b",
            "/a",
            "a\0b",
            7,
        ):
            self.machine.view.properties._values["branch"] = (branch, "Submit")
            self.assertIn("is not a valid name", self.failure())
        self.assertEqual(self.machine.specs, [])

    def test_revision(self) -> None:
        """
        A revision is a full or abbreviated commit, or a tag; a commit that is present is not fetched.
        """
        self.repository.git("tag", "-a", "-m", "tagged", "v1")
        second = self.repository.commit(hello="2")
        for revision in (self.first, self.first[:10], "v1"):
            self.check_out()
            self.assertEqual(self.revision(), second)
            self.check_out(revision=revision)
            self.assertEqual(self.revision(), self.first)
        self.machine.output = ""
        self.check_out(revision=self.first)
        self.assertNotIn("fetch", self.machine.output)

    def test_revision_of_refusing_server(self) -> None:
        """
        If the server does not serve single commits, all is fetched and the commit is found.
        """
        self.repository.commit(hello="2")
        self.check_out(revision=self.first, config={"protocol.version": "0"})
        self.assertEqual(self.revision(), self.first)

    def test_no_revision(self) -> None:
        """
        The failure names a revision that does not exist.
        """
        for revision in ("1" * 40, "1" * 8, "v2"):
            self.assertIn(f"has no revision {revision!r}", self.failure(revision=revision))

    def test_no_branch(self) -> None:
        """
        The failure names a branch that does not exist.
        """
        self.assertIn("git could not fetch nope from", self.failure(branch="nope"))

    def test_no_repository(self) -> None:
        """
        A repository that does not exist is a failure in one sentence.
        """
        said = self.failure(repourl="/nowhere/at/all")
        self.assertTrue(said.startswith("git could not fetch HEAD from /nowhere/at/all: "), said)
        self.assertIn("does not appear to be a git repository", said)

    def test_shallow(self) -> None:
        """
        `shallow` fetches the given number of newest commits, or the wanted revision alone.
        """
        url = "file://" + self.repository.path
        self.repository.commit(hello="2")
        third = self.repository.commit(hello="3")
        self.check_out(repourl=url, shallow=True)
        self.assertEqual(self.history(), [third])
        self.check_out(repourl=url, shallow=2, mode="full", method="clobber")
        self.assertEqual(len(self.history()), 2)
        self.check_out(
            repourl=url,
            shallow=True,
            revision=self.first,
            mode="full",
            method="clobber",
        )
        self.assertEqual(self.history(), [self.first])

    def history(self) -> list[str]:
        """
        The commits in the build directory.
        """
        log = ["git", "log", "--format=%H"]
        return subprocess.run(
            log,
            cwd=self.machine.path("build"),
            env={"PATH": os.environ["PATH"], **NO_SEARCH_ABOVE},
            capture_output=True,
            text=True,
            check=True,
        ).stdout.split()

    def test_describe(self) -> None:
        """
        Tags of the checked-out history are fetched.
        """
        self.repository.git("tag", "-a", "-m", "tagged", "v1")
        self.repository.commit(hello="2")
        self.check_out()
        words = ["git", "describe"]
        done = subprocess.run(
            words,
            cwd=self.machine.path("build"),
            env={"PATH": os.environ["PATH"], **NO_SEARCH_ABOVE},
            capture_output=True,
            text=True,
            check=True,
        )
        self.assertTrue(done.stdout.startswith("v1-1-g"), done.stdout)

    def test_submodules(self) -> None:
        """
        Submodules are checked out with submodules=True, and cleaned like the rest.
        """
        config = {"protocol.file.allow": "always"}
        other = GitRepository(self.repository.path + " too")
        other.commit(inner="inner\n")
        self.repository.git(
            "-c",
            "protocol.file.allow=always",
            "submodule",
            "--quiet",
            "add",
            other.path,
            "sub",
        )
        self.repository.commit(hello="2")
        self.check_out(config=config)
        self.assertEqual(self.files("build/sub"), [])
        self.check_out(config=config, submodules=True)
        self.assertEqual(self.machine.text("build", "sub", "inner"), "inner\n")
        self.put("sub/mess")
        self.put("sub/inner")
        self.check_out(config=config, submodules=True, mode="full", method="fresh")
        self.assertEqual(self.files("build/sub"), ["inner"])
        self.assertEqual(self.machine.text("build", "sub", "inner"), "inner\n")

    def test_patch(self) -> None:
        """
        A submitted patch is applied; the next build does not have it, whether or not it cleans.
        """
        patch = self.submission()
        for arguments in ({}, {"mode": "full"}, {"mode": "full", "method": "copy"}):
            self.machine = self.another_machine(inputs={"patch": patch})
            self.check_out(**arguments)
            self.assertEqual(self.machine.text("build", "hello"), "patched\n")
            self.assertEqual(self.files(), ["added", "hello"])
            self.assertEqual(self.revision(), self.first)
            self.machine = self.another_machine()
            self.check_out(**arguments)
            self.assertEqual(self.files(), ["gone", "hello"])
            self.assertEqual(self.machine.text("build", "hello"), "one\n")

    def test_patch_of_a_codebase(self) -> None:
        """
        Promise 8.2: a patch that belongs to a codebase is applied to that one only, at its level, below its directory.
        """
        os.mkdir(os.path.join(self.repository.path, "lib"))
        self.repository.commit(**{"lib/f": "x\n"})
        patch = b"--- a/b/f\n+++ a/b/f\n@@ -1 +1 @@\n-x\n+y\n"
        stamp = dict(with_patch({}, PatchPlace(2, "lib")))
        for codebase, text in (("one", "y\n"), ("two", "x\n")):
            self.machine = self.another_machine(inputs={"patch": patch})
            self.machine.view.sources.update({"one": stamp, "two": {}})
            self.check_out(codebase=codebase)
            self.assertEqual(self.machine.text("build", "lib", "f"), text)

    def submission(self) -> bytes:
        """
        A patch that changes, adds and removes a file.
        """
        work = GitRepository(self.repository.path + " patched")
        work.git("pull", "-q", self.repository.path)
        work.git("rm", "-q", "gone")
        for name, text in {"hello": "patched\n", "added": "new\n"}.items():
            with open(os.path.join(work.path, name), "w") as file:
                file.write(text)
        work.git("add", ".")
        return (work.git("diff", "--cached") + "\n").encode()

    def test_patch_that_does_not_apply(self) -> None:
        """
        A patch that does not apply is a failure that names the file.
        """
        patch = self.submission()
        self.repository.commit(hello="quite different\n")
        self.machine = self.another_machine(inputs={"patch": patch})
        said = self.failure()
        self.assertIn("The submitted patch does not apply to revision", said)
        self.assertIn("hello", said)

    def test_no_patch(self) -> None:
        """
        An input that is empty or no patch is a failure that says so.
        """
        for data, words in {
            b"": "is empty",
            b"hello\n": "is not a patch",
            bytes(range(256)): "is not a patch",
        }.items():
            self.machine = self.another_machine(inputs={"patch": data})
            self.assertIn(words, self.failure())

    def test_binary_patch(self) -> None:
        """
        Promise 6.23: a patch with binary contents is applied; without them, the failure says how to make such a patch.
        """
        work = GitRepository(self.repository.path + " changed")
        work.git("pull", "-q", self.repository.path)
        with open(os.path.join(work.path, "picture"), "wb") as file:
            file.write(bytes(range(256)))
        work.git("add", ".")
        self.machine = self.another_machine(
            inputs={"patch": (work.git("diff", "--cached", "--binary") + "\n\n").encode()}
        )
        self.check_out()
        with open(self.machine.path("build", "picture"), "rb") as file:
            self.assertEqual(file.read(), bytes(range(256)))
        self.machine = self.another_machine(inputs={"patch": (work.git("diff", "--cached") + "\n").encode()})
        said = self.failure()
        self.assertIn("cannot apply binary patch to 'picture'", said)
        self.assertTrue(said.endswith("Send the output of: git diff --binary"), said)

    def test_password_in_the_url(self) -> None:
        """
        Promise 6.18: a password in the URL is used, but not shown, and not stored on the slave.
        """
        step = self.step(repourl="https://me:hunter22@git.example.org/x")
        self.machine = self.another_machine()
        os.makedirs(self.machine.root)
        with open(os.path.join(self.machine.root, ".gitconfig"), "w") as file:
            file.write(f'[url "{self.repository.path}"]\n insteadOf = https://git.example.org/x\n')
        self.assertEqual(self.machine.run(step), Result.SUCCESS, self.machine.output)
        [spec] = [spec for spec in self.machine.specs if isinstance(spec, Run)]
        self.assertEqual(spec.env["BUILDBOT_LITE_USER"], "me")
        self.assertEqual(spec.env["BUILDBOT_LITE_PASSWORD"], "hunter22")
        self.assertNotIn("hunter22", repr(spec.argv))
        config = self.machine.text("build", ".git", "config")
        self.assertIn("url = https://git.example.org/x", config)
        self.assertNotIn("hunter22", config)
        for broken in (
            {"repourl": "https://me:hunter22@127.0.0.1:1/x"},
            {"repourl": "ssh://me:hunter22@127.0.0.1:1/x"},
        ):
            self.assertIn("127.0.0.1", self.failure(**broken))
            self.assertNotIn("hunter22", self.machine.output + repr(self.machine.remarks))

    def test_token_in_the_url(self) -> None:
        """
        Promise 6.18: a token as the user name of a URL is not shown and not stored; the slave's own password for a user
        is used.
        """
        web = GitHttpServer(os.path.dirname(self.repository.path))
        self.addCleanup(web.close)
        self.repository.git("update-server-info")
        path = f"{web.host}/a%20repository/.git"
        os.makedirs(self.machine.root)
        for user, helper in ((PASSWORD, ""), ("me", "!f() { grep -q username=me && echo password=hunter22; }; f")):
            subprocess.run(
                ["git", "config", "-f", os.path.join(self.machine.root, ".gitconfig"), "credential.helper", helper],
                check=True,
            )
            self.check_out(repourl=f"http://{user}@{path}", mode="full", method="clobber")
            shown = repr([spec.argv for spec in self.machine.specs if isinstance(spec, Run)])
            self.assertNotIn(PASSWORD, shown + self.machine.text("build", ".git", "config") + self.machine.output)
        said = self.failure(repourl=f"http://not-the-token@{path}")
        self.assertIn("Authentication failed", said)
        self.assertNotIn("not-the-token", said + self.machine.output + repr(self.machine.remarks))

    def test_programs_as_urls(self) -> None:
        """
        Promise 6.16: no URL makes git run a program or read a file descriptor.
        """
        for address in ("fd::97", "fd::97,98/x", f"ext::touch {self.machine.path('ran')}"):
            self.assertRegex(self.failure(repourl=address), "transport '(fd|ext)' not allowed")
            said = self.failure(repourl=self.with_submodule("lib", address), submodules=True)
            self.assertRegex(said, "transport '(fd|ext)' not allowed")
        self.assertFalse(os.path.exists(self.machine.path("ran")))

    def test_submodule_with_a_line_break(self) -> None:
        """
        Promise 6.20: a submodule whose path contains a line break is a failure that says so.
        """
        said = self.failure(repourl=self.with_submodule("a\nlib", "/nowhere"), submodules=True)
        self.assertIn("the path of a submodule has a line break in it", said)

    def with_submodule(self, path: str, url: str) -> str:
        """
        Make a repository with a submodule at *path* from *url*.  Return its path.
        """
        made = tempfile.mkdtemp(dir=os.path.dirname(self.repository.path))
        other = GitRepository(os.path.join(made, "other"))
        other.git("config", "-f", ".gitmodules", "submodule.lib.path", path)
        other.git("config", "-f", ".gitmodules", "submodule.lib.url", url)
        other.git("update-index", "--add", "--cacheinfo", f"160000,{self.first},{path}")
        other.git("add", ".gitmodules")
        other.git("commit", "-q", "-m", "a submodule")
        return other.path

    def test_patch_outside_the_directory(self) -> None:
        """
        A patch cannot write outside the build directory.
        """
        patch = b"--- /dev/null\n+++ b/../../evil\n@@ -0,0 +1 @@\n+x\n"
        self.machine = self.another_machine(inputs={"patch": patch})
        self.assertIn("does not apply", self.failure())
        self.assertFalse(os.path.exists(self.machine.path("evil")))

    def test_codebase(self) -> None:
        """
        With a codebase, got_revision is a dictionary of revisions by codebase.
        """
        self.check_out(codebase="a")
        self.check_out(codebase="b", workdir="b")
        self.assertEqual(self.revision(), {"a": self.first, "b": self.first})

    def test_rendered(self) -> None:
        """
        The URL can be a property.
        """
        self.machine.view.properties.set("where", self.repository.path)
        self.check_out(repourl=Property("where"))

    def test_no_git(self) -> None:
        """
        A missing git is a failure in one sentence.
        """
        self.machine = self.another_machine(env={"PATH": "/nowhere"})
        self.assertIn("git could not prepare a repository: there is no program git", self.failure())

    def test_ssh_key(self) -> None:
        """
        The private key and the host key reach ssh as private files, only in the command that fetches.
        """
        ssh = os.path.join(self.machine.root, "bin", "ssh")
        os.makedirs(os.path.dirname(ssh))
        with open(ssh, "w") as file:
            file.write(_FAKE_SSH.format(out=self.machine.root, repository=self.repository.path))
        os.chmod(ssh, 0o755)
        path = f"{os.path.dirname(ssh)}:{os.environ['PATH']}"
        self.machine = LocalMachine(self.machine.root, secrets={"key": "-- the key --"}, env={"PATH": path})
        self.check_out(
            repourl="git@example.org:x.git",
            sshPrivateKey=Secret("key"),
            sshHostKey="ssh-rsa AAAA",
        )
        with open(os.path.join(self.machine.root, "seen")) as file:
            self.assertEqual(file.read(), "-- the key --\n* ssh-rsa AAAA\n")
        told = [spec for spec in self.machine.specs if isinstance(spec, Run) and spec.files]
        self.assertEqual([spec.argv[3] for spec in told], ["git-get"])
        self.assertNotIn("-- the key --", repr(self.machine.specs))
        self.assertEqual(os.listdir(self.machine.root).count("private files"), 0)

    def test_credentials(self) -> None:
        """
        User name and password are sent to the repository's own host only.
        """
        for address, host in (
            ("https://example.org:8443/x.git", "example.org:8443"),
            ("https://[fd00::1]:8443/x.git", "[fd00::1]:8443"),
        ):
            self.assertTrue(self.sends_password(host, by=address))
            self.assertFalse(self.sends_password("example.com", by=address))

    def sends_password(self, host: str, *, by: str) -> bool:
        """
        Whether git sends the password to *host* in a step for the repository at *by*.
        """
        step = self.step(
            repourl=by,
            auth_credentials=("me", Secret("token")),
        )
        ran = run(step, command("/bin/sh *").exits(128, "fatal: no\n"), secrets={"token": "hunter22"})
        spec = ran.asked[0].spec
        assert isinstance(spec, Run)
        self.assertNotIn("hunter22", repr(spec))
        env = {
            **{k: v for k, v in spec.env.items() if v is not None},
            "BUILDBOT_LITE_PASSWORD": "hunter22",
        }
        script = spec.argv[2].partition("mode=$1")[0] + "git credential fill"
        done = subprocess.run(
            ["/bin/sh", "-c", script, *spec.argv[3:]],
            input=f"protocol=https\nhost={host}\n\n",
            cwd=self.outer.path,
            env={"PATH": os.environ["PATH"], "HOME": self.machine.root, **env, **NO_SEARCH_ABOVE},
            capture_output=True,
            text=True,
            check=False,
        )
        return "hunter22" in done.stdout

    def test_retry(self) -> None:
        """
        With `retry`, the step waits and tries again the given number of times.
        """
        get = command("/bin/sh *git-get*").exits(128, "fatal: no route to host\n")
        pause = command("sleep 5")
        ran = run(self.step(retry=(5, 2)), get, pause, get, pause, get)
        self.assertEqual(ran.result, Result.FAILURE)
        self.assertIn("no route to host", ran.summary)

    def test_summary_of_a_failure(self) -> None:
        """
        The summary has git's first complaint, or ssh's message before it, or else the last line of output.
        """
        for output, said in (
            ("remote: hm\nfatal: no such ref\nerror: other\n", "no such ref"),
            (
                "ssh: connect to host x: Connection refused\nfatal: Could not read from remote repository.\n",
                "ssh: connect to host x: Connection refused",
            ),
            ("Counting: 1\rCounting: 2\r\nstrange\n", "strange"),
            ("", "exit code 128"),
        ):
            fetching = f"==> fetch HEAD from {self.repository.path}\n"
            ran = run(self.step(), command("/bin/sh *").exits(128, fetching + output))
            self.assertEqual(f"git could not fetch HEAD from {self.repository.path}: {said}.", ran.summary)

    def test_replay(self) -> None:
        """
        Promise 7: each command runs once, whenever the master crashes.
        """
        replay(
            self.step(mode="full", submodules=True),
            command("/bin/sh * git-get * fresh get *").exits(
                0, f"==> commit {'1' * 40}\n==> there is much to pack in .git\n"
            ),
            command("/bin/sh * git-pack *.git"),
            command("/bin/sh *git apply*"),
            inputs={"patch": b"--- a\n"},
        )

    def test_mistakes(self) -> None:
        """
        Promise 11: arguments that exclude each other, and wrong values, are mistakes.
        """
        for arguments, words in (
            ({"mode": "fast"}, "mode must be one of 'incremental', 'full', 'update', 'copy', 'clobber'"),
            ({"mode": "copy", "method": "clean"}, 'method is for mode="full"'),
            ({"getDescription": {"upload-pack": "x"}}, "is not a supported option of git describe"),
            ({"getDescription": "yes"}, "getDescription must be True or False"),
            ({"mode": "full", "method": "gentle"}, "method must be one of"),
            ({"shallow": "yes"}, "shallow must be a whole number"),
            ({"retry": 3}, "retry must be a pair"),
            ({"branch": "-x"}, "branch must be the name"),
            ({"sshHostKey": "a", "sshKnownHosts": "b"}, "exclude each other"),
            (
                {"auth_credentials": ("a", "b")},
                "auth_credentials are for a repository at https://",
            ),
            ({"auth_credentials": "swordfish"}, "auth_credentials must be a pair"),
            ({"repourl": "-x"}, "repourl must be the address"),
            ({"repourl": "https://a:swordfish@b/", "auth_credentials": ("a", "b")}, "Give one of them"),
            ({"repourl": "ssh://a:swordfish@b/", "auth_credentials": ("a", "b")}, "this one is 'ssh://a:*****@b/'"),
            (
                {"repourl": "https://\0token\0@example.org/"},
                "repourl has a secret in it",
            ),
        ):
            error = self.assertRaises(ConfigError, self.step, **arguments)
            self.assertIn(words, str(error))
            self.assertNotIn("swordfish", str(error))
        self.assertIn("needs the argument 'repourl'", str(self.assertRaises(ConfigError, Git)))


_FAKE_SSH = """\
#!/bin/sh
# A fake ssh that records its keys and connects to a local repository.
while [ $# -gt 2 ]; do
    case $1 in
        -i) key=$2; shift ;;
        -o) case $2 in UserKnownHostsFile=*) hosts=${{2#UserKnownHostsFile=}} ;; esac; shift ;;
    esac
    shift
done
hosts=${{hosts#?}}; hosts=${{hosts%?}}
cat "$key" "$hosts" > '{out}/seen'
exec git upload-pack '{repository}'
"""


assert shutil.which("git"), "these tests need git"
