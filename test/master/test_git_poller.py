"""
`GitPoller` on real repositories.
"""

import os
import stat
import subprocess
import tempfile
from typing import Any
from unittest import mock

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.logger import capturedLogs
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite import child_programs
from buildbot_lite.errors import ConfigError, StorageError
from buildbot_lite.master.config.master_config import MasterConfig
from buildbot_lite.master.scheduling.changes import git_mirror, git_poller, programs, running_source
from buildbot_lite.master.scheduling.changes.commits import commit_in, files_of_commits, remote_refs
from buildbot_lite.master.scheduling.changes.followed_refs import FollowedRefs
from buildbot_lite.master.scheduling.changes.git_poller import GitPoller
from buildbot_lite.model.change import Change
from buildbot_lite.model.git_refs import is_ref
from buildbot_lite.status import documents
from buildbot_lite.storage.records import changes, states

from .git_repository import GitRepository
from .harness import MasterHarness

INTERVAL = 100


class PollerCase(SynchronousTestCase):
    """
    A repository with one commit on main, and a farm that polls it.
    """

    def setUp(self) -> None:
        self.patch(running_source, "JITTER", 0.0)
        self.patch(running_source, "LEAST_PAUSE", 0.0)
        self.origin = GitRepository(tempfile.mkdtemp(prefix="farm-") + "/origin")
        self.first = self.origin.commit(a="1")
        self.words: list[list[str]] = []
        real = child_programs.run_here

        def noted(program: child_programs.ChildProgram, unwanted: Any) -> child_programs.Ran:
            words = [each for each in program.argv[1:] if not each.startswith("--git-dir")]
            self.words.append([each for i, each in enumerate(words) if each != "-c" and words[i - 1] != "-c"])
            return real(program, unwanted)

        self.patch(programs, "run_here", noted)

    def farm(self, arguments: str = "", before: str = "") -> MasterHarness:
        """
        A farm with a poller with these *arguments*.
        """
        stage = MasterHarness(self.text(arguments, before))
        self.addCleanup(lambda: stage.done(stage.farm.change_sources.stop()))
        return stage

    def text(self, arguments: str, before: str = "") -> str:
        """
        The configuration.
        """
        return (
            f"{before}\nc['change_source'] = changes.GitPoller({self.origin.path!r}, "
            f"pollInterval={INTERVAL}, pollAtLaunch=True, {arguments})"
        )

    def polled(self, stage: MasterHarness) -> list[Change]:
        """
        The changes that one more poll adds.
        """
        before = stage.read(changes.last_id)
        stage.settle(INTERVAL)
        document = documents.of_farm(stage.farm)["change_sources"][0]
        self.assertIsNone(document["error"], document)
        return [each.change for each in stage.read(lambda connection: changes.after(connection, before))]

    def error(self, stage: MasterHarness) -> str:
        """
        Why the source cannot poll.
        """
        return str(documents.of_farm(stage.farm)["change_sources"][0]["error"])

    def seen(self, polled: list[Change]) -> list[tuple[str | None, str | None]]:
        """
        Branch and revision of each.
        """
        return [(each.branch, each.revision) for each in polled]

    def raw_commit(self, parent: str, person: bytes, extra: bytes, message: bytes) -> str:
        """
        A commit object that git would not make; answers its hash.
        """
        tree = self.origin.git("rev-parse", f"{self.first}^{{tree}}").encode()
        head = b"tree %b\nparent %b\nauthor %b\ncommitter %b\n%b" % (tree, parent.encode(), person, person, extra)
        done = subprocess.run(
            ["git", "hash-object", "-t", "commit", "--literally", "-w", "--stdin"],
            cwd=self.origin.path,
            input=head + b"\n" + message + b"\n",
            capture_output=True,
            check=True,
        )
        return done.stdout.decode().strip()


class PollingTests(PollerCase):
    """
    What is a change.
    """

    def test_new_commits(self) -> None:
        """
        Promise 8.1: the first poll says nothing; then each new commit is a change, oldest first, with its fields.
        """
        stage = self.farm("project='p', category='c', codebase='cb'")
        self.assertEqual(self.polled(stage), [])
        two = self.origin.commit(b="1", a="2")
        self.origin.git("-c", "user.name=Übel <x>", "commit", "-q", "--allow-empty", "-m", "three\n\nin detail\n")
        three = self.origin.git("rev-parse", "HEAD")
        first, second = self.polled(stage)

        self.assertEqual(self.seen([first, second]), [("main", two), ("main", three)])
        self.assertEqual((first.author, first.committer), ("A <a@example.org>", "A <a@example.org>"))
        self.assertEqual((first.files, second.files), (("a", "b"), ()))
        self.assertEqual((first.comments, second.comments), ("change", "three\n\nin detail"))
        self.assertEqual((first.project, first.category, first.codebase), ("p", "c", "cb"))
        self.assertEqual((first.repository, first.source), (self.origin.path, self.origin.path))
        self.assertEqual(first.happened, float(self.origin.git("log", "-1", "--format=%ct", two)))
        self.assertFalse(first.untrusted)
        self.assertEqual(self.polled(stage), [])

    def test_one_ls_remote(self) -> None:
        """
        Promise 8.1: where nothing moved, a poll is one ls-remote, however many branches there are.
        """
        for number in range(50):
            self.origin.git("branch", f"b{number}")
        stage = self.farm("branches=True")
        self.words.clear()
        self.polled(stage)

        self.assertEqual([words[0] for words in self.words], ["ls-remote"])

    def test_only_what_moved_is_fetched(self) -> None:
        """
        Promise 8.1: only references that moved are fetched, each by one form of refspec.
        """
        self.origin.git("branch", "other")
        stage = self.farm("branches=True")
        fetched: list[bytes] = []
        run = child_programs.run_here

        def noted(program: child_programs.ChildProgram, unwanted: Any) -> child_programs.Ran:
            if "fetch" in program.argv:
                fetched.append(program.stdin)
            return run(program, unwanted)

        self.patch(programs, "run_here", noted)
        self.origin.commit(b="1")
        self.polled(stage)

        (specs,) = fetched
        self.assertRegex(specs.decode(), r"^\+refs/heads/main:refs/polled/[0-9a-f]{40}\n$")

    def test_branches(self) -> None:
        """
        Promise 8.1: branches as a list, patterns, True or a function; branch; only_tags; the default is HEAD.
        """
        for name in ("dev", "rel/1", "rel/2"):
            self.origin.git("branch", name)
        self.origin.git("tag", "v1")
        cases = {
            "": ["main"],
            "branches=['dev', 'none']": ["dev"],
            "branches=['rel/*']": ["rel/1", "rel/2"],
            "branches='d*'": ["dev"],
            "branch='dev'": ["dev"],
            "branches=True": ["dev", "main", "rel/1", "rel/2"],
            "branches=lambda ref: ref.endswith('1')": ["rel/1", "refs/tags/v1"],
            "branches=['refs/tags/v*', 'dev']": ["dev", "refs/tags/v1"],
            "only_tags=True": ["refs/tags/v1"],
        }
        stages = {arguments: self.farm(arguments) for arguments in cases}
        new = self.origin.commit(b="1")
        for name in ("dev", "rel/1", "rel/2"):
            self.origin.git("branch", "-f", name, new)
        self.origin.git("tag", "-f", "v1", new)
        for arguments, expected in cases.items():
            with self.subTest(arguments=arguments):
                self.assertEqual(self.seen(self.polled(stages[arguments])), [(name, new) for name in expected])

    def test_new_branch(self) -> None:
        """
        Promise 8.1: a new branch without new commits is one change; with some, each of them is one.
        """
        stage = self.farm("branches=True")
        self.origin.git("branch", "same")
        self.assertEqual(self.seen(self.polled(stage)), [("same", self.first)])
        self.origin.git("checkout", "-q", "-b", "more")
        new = [self.origin.commit(b="1"), self.origin.commit(b="2")]

        self.assertEqual(self.seen(self.polled(stage)), [("more", each) for each in new])

    def test_pushes_with_no_commits(self) -> None:
        """
        With buildPushesWithNoCommits=False, only new commits are changes.
        """
        stage = self.farm("branches=True, buildPushesWithNoCommits=False")
        self.origin.git("branch", "same")
        self.assertEqual(self.polled(stage), [])
        self.origin.git("checkout", "-q", "same")
        new = self.origin.commit(b="1")
        self.assertEqual(self.seen(self.polled(stage)), [("same", new)])
        self.origin.git("branch", "-f", "main", new)

        self.assertEqual(self.polled(stage), [])

    def test_tags(self) -> None:
        """
        Promise 8.1: a new tag, annotated or not, and a moved one, is a change of its commit by its full name; a tag of
        what is no commit is none.
        """
        stage = self.farm("only_tags=True")
        self.origin.git("tag", "light")
        self.origin.git("tag", "-a", "-m", "x", "annotated")
        self.origin.git("tag", "-a", "-m", "x", "nested", "annotated")
        self.origin.git("tag", "blob", "HEAD:a")
        names = [f"refs/tags/{name}" for name in ("annotated", "light", "nested")]
        self.assertEqual(self.seen(self.polled(stage)), [(name, self.first) for name in names])
        new = self.origin.commit(b="1")
        self.origin.git("tag", "-f", "light", new)

        self.assertEqual(self.seen(self.polled(stage)), [("refs/tags/light", new)])

    def test_no_commit(self) -> None:
        """
        Promise 8.1: a followed tag of what is no commit is fetched once.  When it becomes a tag of a commit, the new
        commits are changes; when it becomes one of a file again, nothing is.
        """
        self.origin.git("tag", "before", "HEAD:a")
        stage = self.farm("only_tags=True")
        self.polled(stage)
        self.origin.git("tag", "later", "HEAD:a")
        self.origin.git("tag", "commit")
        self.polled(stage)
        for tag in ("before", "later"):
            self.words.clear()
            self.assertEqual(self.polled(stage), [])
            self.assertEqual([words[0] for words in self.words], ["ls-remote"])
            two = [self.origin.commit(b=f"{tag} {number}") for number in range(2)]
            self.origin.git("tag", "-f", tag)
            self.assertEqual(self.seen(self.polled(stage)), [(f"refs/tags/{tag}", each) for each in two])
        self.origin.git("tag", "-f", "later", "HEAD:a")
        for expected in (["ls-remote", "fetch"], ["ls-remote"]):
            self.words.clear()
            self.assertEqual(self.polled(stage), [])
            remote = [words[0] for words in self.words if words[0] in {"ls-remote", "fetch"}]
            self.assertEqual(remote, expected)

    def test_force_push(self) -> None:
        """
        Promise 8.1: after a force-push only the commits that were not seen before are changes; back to an older commit,
        it is one change, each time, whether that was a change before or not.
        """
        stage = self.farm()
        self.origin.commit(b="0")
        old = self.origin.commit(b="1")
        self.polled(stage)
        self.origin.git("reset", "-q", "--hard", self.first)
        new = [self.origin.commit(c="1"), self.origin.commit(c="2")]
        self.assertEqual(self.seen(self.polled(stage)), [("main", each) for each in new])
        self.origin.git("reset", "-q", "--hard", self.first)
        self.assertEqual(self.seen(self.polled(stage)), [("main", self.first)])
        for tip in (new[1], old, new[1], self.first, new[1]):
            self.origin.git("reset", "-q", "--hard", tip)
            self.assertEqual(self.seen(self.polled(stage)), [("main", tip)])
            self.assertEqual(self.polled(stage), [])

    def test_two_sources(self) -> None:
        """
        Promise 8.1: what another source recorded meanwhile is no change again.
        """
        stage = self.farm()
        self.polled(stage)
        new = [self.origin.commit(c=each) for each in "12"]
        for revision in new:
            said = Change(author="a", source="hook", repository=self.origin.path, branch="main", revision=revision)
            stage.done(stage.farm.changes.add([said]))

        self.assertEqual(self.polled(stage), [])

    def test_rewritten_and_forgotten(self) -> None:
        """
        A rewritten history of which the copy is lost, too, is one change of its newest commit, not the whole history.
        """
        stage = self.farm()
        self.polled(stage)
        self.remove_copy(stage)
        self.origin.git("checkout", "-q", "--orphan", "o")
        self.origin.commit(x="1")
        new = self.origin.commit(x="2")
        self.origin.git("branch", "-f", "main", new)
        self.origin.git("symbolic-ref", "HEAD", "refs/heads/main")
        self.origin.git("branch", "-D", "o")

        self.assertEqual(self.seen(self.polled(stage)), [("main", new)])

    def test_lost_copy(self) -> None:
        """
        Promise 8.1: a copy that was removed or damaged is made anew, and nothing is missed or said twice.
        """
        stage = self.farm("branches=True")
        self.origin.git("branch", "other")
        self.polled(stage)
        for damage in (self.remove_copy, self.damage_copy, self.lock_copy):
            with self.subTest(damage=damage.__name__):
                damage(stage)
                new = self.origin.commit(b=damage.__name__)
                self.assertEqual(self.seen(self.polled(stage)), [("main", new)])

    def copy(self, stage: MasterHarness) -> str:
        """
        The directory of its copy.
        """
        (name,) = os.listdir(os.path.join(stage.basedir, "gitpoller_work"))
        return os.path.join(stage.basedir, "gitpoller_work", name)

    def remove_copy(self, stage: MasterHarness) -> None:
        """
        It is gone.
        """
        subprocess.run(["rm", "-rf", self.copy(stage)], check=True)

    def damage_copy(self, stage: MasterHarness) -> None:
        """
        Its objects are gone.
        """
        subprocess.run(["rm", "-rf", self.copy(stage) + "/objects"], check=True)

    def lock_copy(self, stage: MasterHarness) -> None:
        """
        A git that was killed left locks.
        """
        refs = os.path.join(self.copy(stage), "refs", "polled")
        for name in [*os.listdir(refs), "../../packed-refs", "../../shallow", "../../config"]:
            with open(os.path.join(refs, f"{name}.lock"), "w"):
                pass

    def test_deleted_and_made_again(self) -> None:
        """
        A deleted branch is no change; one of the same name with other commits is; also "a/b" after "a".
        """
        stage = self.farm("branches=True")
        self.origin.git("branch", "a")
        self.polled(stage)
        self.origin.git("branch", "-D", "a")
        self.assertEqual(self.polled(stage), [])
        self.origin.git("branch", "a/b")

        self.assertEqual(self.seen(self.polled(stage)), [("a/b", self.first)])

    def test_merge(self) -> None:
        """
        A merge is a change with the files that differ from its first parent; the merged commits, of a branch that is
        not followed, are changes, too.
        """
        stage = self.farm()
        self.origin.git("checkout", "-q", "-b", "side")
        side = self.origin.commit(s="1")
        self.origin.git("checkout", "-q", "main")
        main = self.origin.commit(m="1")
        self.origin.git("merge", "-q", "--no-ff", "-m", "merge", "side")
        polled = self.polled(stage)

        self.assertEqual({each.revision for each in polled[:2]}, {side, main})
        self.assertEqual(polled[2].files, ("s",))

    def test_many(self) -> None:
        """
        Promise 8.1: of too many new commits of a branch the newest are changes, with a remark; too many changes are
        taken in several polls, of which none is missed.
        """
        self.patch(git_poller, "MOST_COMMITS", 3)
        self.patch(git_poller, "MOST_CHANGES", 4)
        stage = self.farm("branches=True")
        new = [self.origin.commit(b=str(number)) for number in range(5)]
        with capturedLogs() as logged:
            self.assertEqual(self.seen(self.polled(stage)), [("main", each) for each in new[2:]])
        self.assertIn("more new commits than 3", str([each.get("remark") for each in logged]))
        for name in "abcdefghij":
            self.origin.git("branch", name)

        self.assertEqual([each.branch for each in self.polled(stage)], list("abcdefghij"))

    def test_empty_repository(self) -> None:
        """
        Of a repository that was empty, all commits are changes.
        """
        self.origin = GitRepository(tempfile.mkdtemp(prefix="farm-") + "/empty")
        stage = self.farm()
        self.polled(stage)
        new = [self.origin.commit(a="1"), self.origin.commit(a="2")]

        self.assertEqual(self.seen(self.polled(stage)), [("main", each) for each in new])

    def test_all_gone(self) -> None:
        """
        A repository that suddenly has nothing is an error, and not forgotten.
        """
        stage = self.farm()
        self.polled(stage)
        os.rename(self.origin.path, self.origin.path + ".away")
        GitRepository(self.origin.path)
        stage.settle(INTERVAL)
        self.assertIn("has no branches or tags any more", self.error(stage))
        subprocess.run(["rm", "-rf", self.origin.path], check=True)
        os.rename(self.origin.path + ".away", self.origin.path)
        new = self.origin.commit(b="1")
        stage.settle(600)

        self.assertEqual(stage.read(lambda c: [each.change.revision for each in changes.after(c, 0)]), [new])


class OverTimeTests(PollerCase):
    """
    Restarts, reconfigurations, failures.
    """

    def test_restart(self) -> None:
        """
        Promise 8.1: what was pushed while the master was down is a change after it starts; nothing is one twice.
        """
        stage = self.farm("branches=True")
        one = self.origin.commit(b="1")
        self.polled(stage)
        stage.done(stage.farm.change_sources.stop())
        two = self.origin.commit(b="2")
        self.origin.git("branch", "new")
        stage.restart()
        stage.settle(1)
        found = stage.read(lambda c: [(each.change.branch, each.change.revision) for each in changes.after(c, 0)])

        self.assertEqual(found, [("main", one), ("main", two), ("new", two)])

    def test_back_over_a_crash(self) -> None:
        """
        Promise 8.1: a branch that came back to an older commit is one change, also when the master dies before or after
        it was recorded.
        """
        stage = self.farm()
        self.polled(stage)
        new = self.origin.commit(b="1")
        self.assertEqual(self.seen(self.polled(stage)), [("main", new)])
        tips = [self.first, new, self.first]
        for number, tip in enumerate(tips, 2):
            self.origin.git("reset", "-q", "--hard", tip)
            with mock.patch.object(stage.farm.records, "write", side_effect=StorageError("broken")):
                stage.settle(INTERVAL)
            for _ in range(2):
                stage.done(stage.farm.change_sources.stop())
                stage.restart()
                stage.settle(INTERVAL)
                self.assertEqual(stage.read(changes.last_id), number)
        found = [each.change.revision for each in stage.read(lambda connection: changes.after(connection, 1))]
        self.assertEqual(found, tips)

    def test_not_recorded(self) -> None:
        """
        Promise 8.1: changes and references are recorded together: when that fails, the next poll finds the same.
        """
        stage = self.farm()
        self.polled(stage)
        new = self.origin.commit(b="1")
        with mock.patch.object(states, "put", side_effect=ZeroDivisionError):
            stage.settle(INTERVAL)
        self.flushLoggedErrors(ZeroDivisionError)
        self.assertEqual(stage.read(changes.last_id), 0)
        stage.settle(INTERVAL)

        self.assertEqual(stage.read(lambda c: [each.change.revision for each in changes.after(c, 0)]), [new])

    def test_reconfiguration(self) -> None:
        """
        Promise 8.1: a branch that is followed from now on and was there before is not new; one that came meanwhile is;
        nothing is missed on the branches that were followed before.
        """
        self.origin.git("branch", "old")
        stage = self.farm("branches=['main']")
        self.polled(stage)
        self.origin.git("branch", "new")
        new = self.origin.commit(b="1")
        stage.configure(self.text("branches=True"))
        stage.done(stage.farm.reconfiguration.apply())
        stage.settle(1)
        found = stage.read(lambda c: [(each.change.branch, each.change.revision) for each in changes.after(c, 0)])
        self.assertEqual(found, [("main", new), ("new", self.first)])
        self.origin.git("branch", "-f", "old", new)

        self.assertEqual(self.seen(self.polled(stage)), [("old", new)])

    def test_another_repository(self) -> None:
        """
        A source of the same name for another repository begins anew.
        """
        stage = self.farm("name='n'")
        self.polled(stage)
        self.origin = GitRepository(tempfile.mkdtemp(prefix="farm-") + "/second")
        self.origin.commit(x="1")
        stage.configure(self.text("name='n'"))
        stage.done(stage.farm.reconfiguration.apply())
        stage.settle(1)
        self.assertEqual(stage.read(changes.last_id), 0)
        new = self.origin.commit(x="2")

        self.assertEqual(self.seen(self.polled(stage)), [("main", new)])

    def test_unreachable(self) -> None:
        """
        Promise 8.1: a repository that cannot be reached is said on status, and what was pushed meanwhile is not missed.
        """
        stage = self.farm()
        self.polled(stage)
        os.rename(self.origin.path, self.origin.path + ".away")
        stage.settle(INTERVAL)
        self.assertIn(f"git could not read {self.origin.path}: ", self.error(stage))
        os.rename(self.origin.path + ".away", self.origin.path)
        new = self.origin.commit(b="1")
        stage.settle(600)

        self.assertEqual(self.error(stage), "None")
        self.assertEqual(stage.read(lambda c: [each.change.revision for each in changes.after(c, 0)]), [new])

    def test_no_git(self) -> None:
        """
        A program that is not there is named.
        """
        stage = self.farm("gitbin='/nowhere/git'")

        self.assertIn("The program '/nowhere/git' cannot be run: No such file", self.error(stage))

    def test_push_wakes(self) -> None:
        """
        Promise 8.1: a poller of a repository is woken by its address, and by no other.
        """
        stage = self.farm()
        new = self.origin.commit(b="1")
        self.assertEqual(stage.farm.change_sources.poll_soon("https://elsewhere/"), [])
        self.assertEqual(stage.farm.change_sources.poll_soon(self.origin.path), [self.origin.path])
        stage.settle()

        self.assertEqual(stage.read(lambda c: [each.change.revision for each in changes.after(c, 0)]), [new])


class ArgumentsTests(PollerCase):
    """
    Every documented argument.
    """

    def test_each_argument(self) -> None:
        """
        Promise 8.1: each argument that Buildbot documents has its effect.
        """
        given: dict[str, tuple[dict[str, Any], str, Any]] = {
            "repourl": ({}, "repourl", "https://example.org/r"),
            "branches": ({"branches": ["a"]}, "followed", FollowedRefs(("a",))),
            "branches=True": ({"branches": True}, "followed", FollowedRefs(True)),
            "branch": ({"branch": "a"}, "followed", FollowedRefs(("a",))),
            "only_tags": ({"only_tags": True}, "followed", FollowedRefs(None, True)),
            "pollInterval": ({"pollInterval": 7}, "pollInterval", 7),
            "pollinterval": ({"pollinterval": 8}, "pollInterval", 8),
            "default interval": ({}, "pollInterval", 600),
            "pollAtLaunch": ({"pollAtLaunch": True}, "pollAtLaunch", True),
            "pollRandomDelayMin": (
                {"pollRandomDelayMin": 1, "pollRandomDelayMax": 2},
                "pollRandomDelayMin",
                1,
            ),
            "pollRandomDelayMax": ({"pollRandomDelayMax": 2}, "pollRandomDelayMax", 2),
            "buildPushesWithNoCommits": ({"buildPushesWithNoCommits": False}, "pushes_without_commits", False),
            "gitbin": ({"gitbin": "g"}, "gitbin", "g"),
            "category": ({"category": "c"}, "category", "c"),
            "project": ({"project": "p"}, "project", "p"),
            "codebase": ({"codebase": "p"}, "codebase", "p"),
            "usetimestamps": ({"usetimestamps": False}, "usetimestamps", False),
            "encoding": ({"encoding": "latin-1"}, "encoding", "latin-1"),
            "workdir": ({"workdir": "w"}, "workdir", "w"),
            "name": ({"name": "n"}, "name", "n"),
            "default name": ({}, "name", "https://example.org/r"),
            "sshPrivateKey": ({"sshPrivateKey": "k"}, "key", "k"),
            "sshHostKey": ({"sshHostKey": "k"}, "host_key", "k"),
            "sshKnownHosts": ({"sshKnownHosts": "k"}, "known_hosts", "k"),
            "auth_credentials": ({"auth_credentials": ("u", "p")}, "credentials", ("u", "p")),
        }
        for case, (arguments, attribute, value) in given.items():
            with self.subTest(case=case):
                poller = GitPoller("https://example.org/r", **arguments)
                self.assertEqual(getattr(poller, attribute), value)

    def test_mistakes(self) -> None:
        """
        Wrong arguments are mistakes with a sentence.
        """
        cases: list[tuple[str, dict[str, Any]]] = [
            ("repourl must be text", {"repourl": 5}),
            ("repourl must be the address", {"repourl": ""}),
            ("repourl must be the address", {"repourl": "--upload-pack=x"}),
            ("branch and branches exclude", {"branch": "a", "branches": ["b"]}),
            ("only_tags and branches exclude", {"only_tags": True, "branches": True}),
            ("branches must be a list of texts", {"branches": 5}),
            ("encoding must be the name of an encoding", {"encoding": "x"}),
            ("auth_credentials must be a pair", {"auth_credentials": "x"}),
            ("auth_credentials are for a repository at https://", {"repourl": "a:b", "auth_credentials": ("u", "p")}),
            ("sshHostKey and sshKnownHosts exclude", {"sshHostKey": "a", "sshKnownHosts": "b"}),
            ("usetimestamps must be True or False", {"usetimestamps": "x"}),
        ]
        for sentence, arguments in cases:
            with self.subTest(sentence=sentence), self.assertRaises(ConfigError) as caught:
                GitPoller(**{"repourl": "https://example.org/r", **arguments})
            self.assertIn(sentence, str(caught.exception))

    def test_functions(self) -> None:
        """
        Category as a function gets the change; usetimestamps=False leaves the time to the farm; workdir is used.
        """
        stage = self.farm(
            "category=lambda change: change['branch'] + '/' + change['comments'], usetimestamps=False, workdir='w/x'"
        )
        self.origin.commit(b="1")
        (change,) = self.polled(stage)

        self.assertEqual(change.category, "main/change")
        self.assertEqual(change.happened, stage.clock.seconds())
        self.assertTrue(os.listdir(os.path.join(stage.basedir, "w", "x")))

    def test_encoding(self) -> None:
        """
        Authors and comments are decoded with the encoding that the commit names, or else the poller's.
        """
        stage = self.farm("encoding='latin-1'")
        tip = self.raw_commit(self.first, b"\xfc-none <x> 1 +0000", b"", b"x")
        tip = self.raw_commit(tip, b"\xd0-named <x> 1 +0000", b"encoding iso-8859-5\n", b"x")
        self.origin.git("update-ref", "refs/heads/main", tip)
        none, named = self.polled(stage)

        self.assertEqual((none.author, named.author), ("ü-none <x>", "\N{CYRILLIC SMALL LETTER A}-named <x>"))

    def test_secrets(self) -> None:
        """
        Promise 8.1: keys are private files only while git runs; passwords are neither in arguments nor in errors.
        """
        stage = self.secret_farm()
        seen: list[tuple[child_programs.ChildProgram, dict[str, str]]] = []

        def fake(program: child_programs.ChildProgram, unwanted: Any) -> child_programs.Ran:
            files = {}
            for name, value in program.env.items():
                if name.startswith("BUILDBOT_LITE_") and value.startswith(stage.basedir):
                    self.assertEqual(stat.S_IMODE(os.stat(value).st_mode), 0o600)
                    with open(value) as file:
                        files[name] = file.read()
            seen.append((program, files))
            return child_programs.Ran(128, b"", b"fatal: no access with hunter2\n")

        self.patch(programs, "run_here", fake)
        for each in stage.farm.change_sources.everyone():
            each.poll_soon()
        stage.settle()
        by_name = {each["name"]: each for each in documents.of_farm(stage.farm)["change_sources"]}

        (ssh, files), (web, _) = seen
        self.assertEqual(files, {"BUILDBOT_LITE_SSH_KEY": "hunter2\n", "BUILDBOT_LITE_KNOWN_HOSTS": "* ssh-rsa AAAA\n"})
        self.assertIn('-i "$BUILDBOT_LITE_SSH_KEY"', ssh.env["GIT_SSH_COMMAND"])
        self.assertIn("BatchMode=yes", ssh.env["GIT_SSH_COMMAND"])
        self.assertEqual((web.env["BUILDBOT_LITE_USER"], web.env["BUILDBOT_LITE_PASSWORD"]), ("me", "hunter2"))
        self.assertNotIn("hunter2", " ".join([*ssh.argv, *web.argv, str(by_name)]))
        self.assertEqual(os.listdir(os.path.join(stage.basedir, "private", "pollers")), [])

    def secret_farm(self) -> MasterHarness:
        """
        A farm with two pollers that use a secret.
        """
        stage = MasterHarness("")
        os.mkdir(os.path.join(stage.basedir, "secrets"), 0o700)
        with open(os.open(os.path.join(stage.basedir, "secrets", "key"), os.O_CREAT | os.O_WRONLY, 0o600), "w") as file:
            file.write("hunter2")
        stage.configure(
            "c['secretsProviders'] = [secrets.SecretInAFile('secrets')]\n"
            "c['change_source'] = [changes.GitPoller('ssh://example.org/r', sshPrivateKey=util.Secret('key'), "
            "sshHostKey='ssh-rsa AAAA', pollInterval=0, name='ssh'), "
            "changes.GitPoller('https://example.org/r', auth_credentials=('me', util.Interpolate('%(secret:key)s')), "
            "pollInterval=0, name='web')]"
        )
        stage.done(stage.farm.reconfiguration.apply())
        stage.settle()
        self.assertIsInstance(stage.farm.config, MasterConfig)
        return stage

    def test_environment(self) -> None:
        """
        Promise 8.1: git asks nobody anything, runs no hooks, and speaks only known protocols, whatever the master's
        environment says.
        """
        seen: list[child_programs.ChildProgram] = []
        real = child_programs.run_here

        def noted(program: child_programs.ChildProgram, unwanted: Any) -> child_programs.Ran:
            seen.append(program)
            return real(program, unwanted)

        self.patch(programs, "run_here", noted)
        with mock.patch.dict(os.environ, {"GIT_DIR": "/nowhere", "GIT_ASKPASS": "/bin/false", "GIT_EXEC_PATH": "/x"}):
            stage = self.farm()
            self.origin.commit(b="1")
            self.assertEqual(len(self.polled(stage)), 1)
        for program in seen:
            self.assertEqual(program.env["GIT_TERMINAL_PROMPT"], "0")
            self.assertEqual(program.env["GIT_ALLOW_PROTOCOL"], "file:git:http:https:ssh")
            self.assertFalse({"GIT_DIR", "GIT_EXEC_PATH"} & set(program.env))
            self.assertIn("core.hooksPath=/dev/null", program.argv)
        for program in seen:
            if self.origin.path in program.argv:
                self.assertIn("--", program.argv[: program.argv.index(self.origin.path)])

    def test_ext(self) -> None:
        """
        An address that would run a program is refused by git.
        """
        witness = os.path.join(tempfile.mkdtemp(prefix="farm-"), "ran")
        self.origin.path = f"ext::sh -c touch% {witness}"
        stage = self.farm()

        self.assertIn("transport 'ext' not allowed", self.error(stage))
        self.assertFalse(os.path.exists(witness))


class HostileTests(PollerCase):
    """
    What those who push may write.
    """

    def test_names_of_files(self) -> None:
        """
        File names with line feeds, colons, hashes and bytes that are no text are one name each.
        """
        stage = self.farm()
        names = [b"line\nfeed", b":100644 100644 a b M", self.first.encode(), b"\xff\xfe", b"tab\there", b'"quoted"']
        for name in names:
            with open(os.path.join(os.fsencode(self.origin.path), name), "w"):
                pass
        self.origin.git("add", ".")
        self.origin.git("commit", "-q", "-m", f"x\n{self.first}\n:files\0"[:-1])
        (change,) = self.polled(stage)

        self.assertEqual(set(change.files), {name.decode("utf-8", "replace") for name in names})

    def test_commit_objects(self) -> None:
        """
        Commits with impossible times, no author, unknown encodings or of great size are changes all the same.
        """
        self.patch(git_mirror, "LARGEST_COMMIT", 100_000)
        stage = self.farm()
        tip = self.first
        person = "N <n@x> {} +0000"
        for author, extra, message in (
            (person.format(99999999999999999999), "", "x"),
            (person.format(-5), "", "x"),
            ("nobody", "", "x"),
            (person.format(1), "encoding no-such\n", "x"),
            (person.format(1), "encoding idna\n", "\xff" * 300),
            (person.format(1), "", "y" * 70_000),
            (person.format(1), "", "z" * 200_000),
        ):
            tip = self.raw_commit(tip, author.encode(), extra.encode(), message.encode())
        self.origin.git("update-ref", "refs/heads/main", tip)
        polled = self.polled(stage)

        self.assertEqual(len(polled), 7)
        self.assertEqual([each.happened for each in polled[:2]], [253402300799.0, 0.0])
        self.assertEqual(polled[2].author, "nobody")
        self.assertEqual((len(polled[5].comments), polled[6].author), (65536, "unknown"))

    def test_many_files(self) -> None:
        """
        Of a commit with more files than a change may have, the first are in it; output in several parts loses none.
        """
        ids = [f"{number:040x}" for number in (1, 2)]
        output = ids[0].encode() + b"\0" + b"".join(b":x\0%d\0" % number for number in range(6000)) + ids[1].encode()
        found = files_of_commits(output + b"\0:x\0a\0", ids)

        self.assertEqual((len(found[ids[0]]), found[ids[1]]), (5000, ("a",)))

    def test_other_refs(self) -> None:
        """
        Promise 8.1: a change of what is neither branch nor tag is untrusted.
        """
        stage = self.farm("branches=lambda ref: True")
        self.origin.git("update-ref", "refs/pull/1/head", self.first)
        (change,) = self.polled(stage)

        self.assertEqual((change.branch, change.untrusted), ("refs/pull/1/head", True))

    def test_listed_refs(self) -> None:
        """
        Names from a server that are no valid references are left out.
        """
        hash = "1" * 40
        bad = [
            "refs/heads/-x..y",
            "refs/heads/a b",
            "--upload-pack=x",
            "refs/heads/x:refs/heads/y",
            "refs/heads/\x1b[31m",
        ]
        lines = [f"{hash}\t{name}" for name in [*bad, "refs/heads/ok"]]
        refs = remote_refs("\n".join(["ref: refs/heads/ok\tHEAD", *lines, "garbage", "x\trefs/heads/z"]).encode())

        self.assertEqual((refs.commits, refs.head), ({"refs/heads/ok": hash}, "refs/heads/ok"))
        self.assertEqual(sorted(refs.unusable), sorted(bad))

    def test_unusable_names(self) -> None:
        """
        References whose names cannot be printed are left out; the status says it as long as there are some, the log
        once.
        """
        stage = self.farm("branches=True")
        self.polled(stage)
        with open(os.path.join(self.origin.path, ".git", "packed-refs"), "ab") as packed:
            packed.write(b"%s refs/heads/caf\xe9\n" % self.first.encode())
        with capturedLogs() as logged:
            self.assertEqual([*self.polled(stage), *self.polled(stage)], [])
            remark = documents.of_farm(stage.farm)["change_sources"][0]["remark"]
        self.assertIn("left out (1): 'refs/heads/caf\\udce9'", remark)
        self.assertEqual([each["remark"] for each in logged if "remark" in each], [remark])
        os.unlink(packed.name)
        self.polled(stage)
        self.assertIsNone(documents.of_farm(stage.farm)["change_sources"][0]["remark"])

    def test_head_of_old_servers(self) -> None:
        """
        Where a server does not say where HEAD points, it is the usual branch with the same commit.
        """
        lines = "{0}\tHEAD\n{0}\trefs/heads/a\n{0}\trefs/heads/master\n{1}\trefs/heads/main\n".format(
            "1" * 40, "2" * 40
        )

        self.assertEqual(remote_refs(lines.encode()).head, "refs/heads/master")

    def test_commit_text(self) -> None:
        """
        A signature in a commit is no field of it.
        """
        content = b"tree x\nauthor A <a> 5 +0000\ncommitter C <c> 6 +0000\ngpgsig x\n author E <e> 9 +0000\n\nhello\n\n"
        commit = commit_in("1", content, "utf-8")

        self.assertEqual((commit.author, commit.committer, commit.committed), ("A <a>", "C <c>", 6.0))
        self.assertEqual(commit.message, "hello")

    def test_commit_encodings(self) -> None:
        """
        A commit that names an encoding of Python's own, or one with lone surrogates, has texts that can be recorded.
        """
        head = b"tree x\nauthor +2AA- <a> 5 +0000\ncommitter C <c> 6 +0000\nencoding %b\n\n"
        for encoding in (b"unicode_escape", b"raw-unicode-escape", b"punycode", b"idna"):
            self.assertEqual(commit_in("1", head % encoding + b"a-\\ud800", "utf-8").message, "a-\\ud800", encoding)
        commit = commit_in("1", head % b"utf-7" + b"x+2AA-", "utf-8")
        self.assertEqual((commit.author, commit.message), ("? <a>", "x?"))

    @settings(max_examples=40, deadline=None)
    @given(st.text(alphabet="a./@{-~ :*lock\x7fü\\", min_size=1, max_size=12))
    def test_check_ref_format(self, name: str) -> None:
        """
        Promise 8.1: `is_ref` says what ``git check-ref-format`` says.
        """
        ref = f"refs/heads/{name}"
        done = subprocess.run(["git", "check-ref-format", ref], check=False)

        self.assertEqual(is_ref(ref), done.returncode == 0, ref)
