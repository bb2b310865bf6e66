"""
Steps that write to git repositories, and a row for each of their arguments.
"""

import os
import shutil
import tempfile
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import ConfigError
from buildbot_lite.model.rendering import Secret
from buildbot_lite.model.results import Result
from buildbot_lite.model.spec import Run
from buildbot_lite.plugins import steps
from buildbot_lite.testing import command, replay

from .git_repository import NO_SEARCH_ABOVE, PASSWORD, GitHttpServer, GitRepository
from .local_machine import LocalMachine

ME = {"user.name": "me", "user.email": "me@example.org"}


class GitWritingTests(SynchronousTestCase):
    """
    Promise 8.6: commits, tags and pushes.
    """

    def setUp(self) -> None:
        directory = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, directory, ignore_errors=True)
        self.directory = directory
        self.repository = GitRepository(os.path.join(directory, "origin"))
        self.first = self.repository.commit(hello="one\n")
        self.repository.git("checkout", "-q", "-b", "elsewhere")
        self.machine = LocalMachine(
            os.path.join(directory, "slave"), env=NO_SEARCH_ABOVE, secrets={"password": PASSWORD}
        )
        self.done(steps.Git(repourl=self.repository.path, branch="main"))

    def done(self, step: Any, result: Result = Result.SUCCESS) -> str:
        """
        Run a step, which must have that result; return its summary.
        """
        self.assertEqual(self.machine.run(step), result, [self.machine.remarks, self.machine.output])
        return str(step.summary)

    def git(self, *words: str) -> str:
        """
        What git prints in the build directory.
        """
        return self.repository.git("-C", self.machine.path("build"), *words)

    def put(self, name: str, text: str) -> None:
        """
        Write a file in the build directory.
        """
        with open(self.machine.path("build", name), "w") as file:
            file.write(text)

    def commit(self, result: Result = Result.SUCCESS, **more: Any) -> str:
        """
        Commit the file "hello".
        """
        given = {"workdir": "build", "paths": ["hello"], "messages": ["What", "Why"], "config": ME, **more}
        return self.done(steps.GitCommit(**given), result)

    def push(self, result: Result = Result.SUCCESS, **more: Any) -> str:
        """
        Push the branch "main".
        """
        given = {"workdir": "build", "repourl": self.repository.path, "branch": "main", **more}
        return self.done(steps.GitPush(**given), result)

    def test_commit_and_push(self) -> None:
        """
        What is committed is pushed; hooks and settings that a build left are not used for it.
        """
        self.put("hello", "two\n")
        self.put("other", "not added\n")
        touched = os.path.join(self.directory, "touched")
        self.put(".git/hooks-of-build", "")
        self.assertEqual(self.commit(), "committed")
        self.assertEqual(self.git("log", "-1", "--format=%an %B", "--name-only"), "me What\n\nWhy\n\n\nhello")
        os.makedirs(self.machine.path("build", ".git", "hooks"), exist_ok=True)
        self.put(".git/hooks/pre-push", f"#!/bin/sh\ntouch {touched}\n")
        os.chmod(self.machine.path("build", ".git", "hooks", "pre-push"), 0o755)
        self.git("config", f"url.{self.directory}/nowhere.insteadOf", self.repository.path)
        self.git("config", "core.sshCommand", f"touch {touched}")
        self.assertEqual(self.push(), "pushed main")
        self.assertEqual(self.repository.git("show", "main:hello"), "two")
        self.assertFalse(os.path.exists(touched))
        self.assertFalse(os.path.exists(self.machine.path("build", ".git~push")))

    def test_shallow(self) -> None:
        """
        A shallow checkout can be pushed, too.
        """
        self.repository.git("checkout", "-q", "main")
        self.repository.commit(hello="second\n")
        self.repository.git("checkout", "-q", "elsewhere")
        self.done(steps.Git(repourl=f"file://{self.repository.path}", branch="main", shallow=True, mode="clobber"))
        self.put("hello", "two\n")
        self.commit()
        self.push()
        self.assertEqual(self.repository.git("show", "main:hello"), "two")

    def test_empty_commits(self) -> None:
        """
        What to do when nothing changed.
        """
        self.assertEqual(self.commit(Result.FAILURE), "There is nothing to commit: the paths have not changed.")
        self.assertEqual(self.commit(emptyCommits="ignore"), "nothing to commit")
        self.assertEqual(self.git("rev-parse", "HEAD"), self.first)
        self.assertEqual(self.commit(emptyCommits="create-empty-commit"), "committed")
        self.assertEqual(self.git("rev-parse", "HEAD^"), self.first)

    def test_no_branch(self) -> None:
        """
        Without a branch there is nothing to commit to; the failure says what git said.
        """
        self.git("checkout", "-q", "--detach")
        self.assertEqual(self.commit(Result.FAILURE), "git could not add the files: no branch is checked out.")
        self.git("checkout", "-q", "main")
        self.assertRegex(self.commit(Result.FAILURE, paths=["none"]), "git could not add the files: pathspec 'none'")

    def test_force(self) -> None:
        """
        Without force, a branch is not overwritten.
        """
        self.repository.git("checkout", "-q", "main")
        self.repository.commit(hello="of another\n")
        self.repository.git("checkout", "-q", "elsewhere")
        self.put("hello", "two\n")
        self.commit()
        self.assertRegex(self.push(Result.FAILURE), "git could not push main to /.*: failed to push some refs")
        self.push(force=True)
        self.assertEqual(self.repository.git("show", "main:hello"), "two")
        self.assertRegex(self.push(Result.FAILURE, branch="none"), "there is no branch none in the directory")

    def test_tags(self) -> None:
        """
        Plain and annotated tags, and their replacement.
        """
        self.assertEqual(self.done(steps.GitTag(workdir="build", tagName="v1")), "tagged v1")
        self.assertEqual(self.git("cat-file", "-t", "v1"), "commit")
        self.assertRegex(
            self.done(steps.GitTag(workdir="build", tagName="v1"), Result.FAILURE), "make the tag v1: .*exists"
        )
        self.done(
            steps.GitTag(workdir="build", tagName="v1", annotated=True, messages=["a", "b"], force=True, config=ME)
        )
        self.assertEqual(self.git("tag", "-n9", "--format=%(contents)", "-l", "v1"), "a\n\nb")

    def test_password(self) -> None:
        """
        The password reaches the repository's own host, and is in no argument or output; a setting of the build does not
        lead it elsewhere.
        """
        server = GitHttpServer(self.directory)
        self.addCleanup(server.close)
        self.git("config", "url.http://127.0.0.1:1/.insteadOf", server.address)
        said = self.push(
            Result.FAILURE, repourl=f"{server.address}/origin/.git", auth_credentials=("me", Secret("password"))
        )
        # Its server cannot be pushed to, but was asked.
        self.assertNotRegex(said, "Authentication|127.0.0.1 port 1|could not read")
        shown = [each.argv for each in self.machine.specs if isinstance(each, Run)]
        self.assertNotIn(PASSWORD, repr(shown) + self.machine.output + said)

    def test_replayed(self) -> None:
        """
        Each step survives a crash at every moment.
        """
        commit = steps.GitCommit(workdir="w", paths=["a"], messages=["m"], env={"A": "1"}, timeout=9, logEnviron=False)
        ran = replay(commit, command("*git-add*a"), command("*git-diff*"), command("*git-commit*-m m"))
        spec: Any = ran.asked[2].spec
        self.assertEqual((ran.result, spec.env["A"], spec.timeout, spec.workdir[-2:]), (Result.SUCCESS, "1", 9.0, "/w"))
        ran = replay(steps.GitTag(workdir="w", tagName="v", timeout=None), command("*git-tag*-- v"))
        self.assertEqual(ran.result, Result.SUCCESS)
        push = steps.GitPush(workdir="w", repourl="git@h:x", branch="b", sshPrivateKey="key", sshHostKey="ssh-rsa A")
        ran = replay(push, command("*git-push*git@h:x b ''"))
        files: Any = ran.asked[0].spec
        self.assertEqual(files.files, {"BUILDBOT_LITE_SSH_KEY": "key\n", "BUILDBOT_LITE_KNOWN_HOSTS": "* ssh-rsa A\n"})

    def test_mistakes(self) -> None:
        """
        Arguments that are missing, or exclude each other.
        """
        push: dict[str, Any] = {"workdir": "w", "repourl": "git@h:x", "branch": "b"}
        rows: list[tuple[Any, dict[str, Any], str]] = [
            (steps.GitCommit, {"paths": ["a"], "messages": ["m"]}, "'workdir'"),
            (steps.GitCommit, {"workdir": "w", "messages": ["m"]}, "'paths'"),
            (steps.GitCommit, {"workdir": "w", "paths": ["m"]}, "'messages'"),
            (steps.GitCommit, {"workdir": "w", "paths": [], "messages": ["m"]}, "paths"),
            (steps.GitCommit, {"workdir": "w", "paths": ["a"], "messages": ["m"], "emptyCommits": "x"}, "emptyCommits"),
            (steps.GitTag, {"workdir": "w"}, "'tagName'"),
            (steps.GitTag, {"workdir": "w", "tagName": "--x"}, "tagName"),
            (steps.GitTag, {"workdir": "w", "tagName": "x", "annotated": True}, "needs messages"),
            (steps.GitTag, {"workdir": "w", "tagName": "x", "messages": ["m"]}, "only with annotated"),
            (steps.GitPush, {**push, "branch": "-b"}, "branch"),
            (steps.GitPush, {**push, "repourl": "--x"}, "repourl"),
            (steps.GitPush, {**push, "auth_credentials": ("a", "b")}, "https://"),
            (steps.GitPush, {**push, "repourl": "https://a:b@h/x", "auth_credentials": ("a", "b")}, "Give one of them"),
            (steps.GitPush, {**push, "sshHostKey": "a", "sshKnownHosts": "b"}, "exclude each other"),
        ]
        for cls, given, sentence in rows:
            with self.subTest(given), self.assertRaisesRegex(ConfigError, sentence):
                cls(**given)
