"""
`HgPoller` and `SVNPoller` on real repositories, where the programs are there.
"""

import inspect
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from typing import Any, ClassVar
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite import child_programs
from buildbot_lite.errors import ConfigError
from buildbot_lite.master.scheduling.changes import hg_poller, programs, running_source, svn_poller
from buildbot_lite.master.scheduling.changes.hg_poller import HgPoller
from buildbot_lite.master.scheduling.changes.svn_poller import (
    SVNPoller,
    split_file_alwaystrunk,
    split_file_branches,
    split_file_projects_branches,
)
from buildbot_lite.model.change import Change
from buildbot_lite.status import documents
from buildbot_lite.storage.records import changes

from .harness import MasterHarness

PATH = f"{os.path.dirname(sys.executable)}:{os.environ['PATH']}"
HG, SVN, SVNADMIN = (shutil.which(name, path=PATH) for name in ("hg", "svn", "svnadmin"))


class OtherPollerCase(SynchronousTestCase):
    """
    A directory for repositories, and farms that poll.
    """

    def setUp(self) -> None:
        self.patch(running_source, "JITTER", 0.0)
        self.patch(running_source, "LEAST_PAUSE", 0.0)
        self.directory = tempfile.mkdtemp(prefix="farm-")
        self.addCleanup(shutil.rmtree, self.directory)
        patch = mock.patch.dict(os.environ, {"PATH": PATH, "HOME": self.directory, "HGRCPATH": ""})
        patch.start()
        self.addCleanup(patch.stop)

    def run_program(self, *words: str, where: str | None = None) -> str:
        """
        What a program prints.
        """
        done = subprocess.run(words, cwd=where or self.directory, check=True, capture_output=True, text=True)
        return done.stdout.strip()

    def farm(self, source: str) -> MasterHarness:
        """
        A farm with that source.
        """
        harness = MasterHarness(f"c['change_source'] = {source}")
        self.addCleanup(lambda: harness.done(harness.farm.change_sources.stop()))
        return harness

    def polled(self, harness: MasterHarness) -> Sequence[Change]:
        """
        The changes that one more poll adds.
        """
        before = harness.read(changes.last_id)
        harness.settle(600)
        (document,) = documents.of_farm(harness.farm)["change_sources"]
        self.assertIsNone(document["error"], document)
        return [each.change for each in harness.read(lambda connection: changes.after(connection, before))]

    def remark(self, harness: MasterHarness) -> str | None:
        """
        The remark of the last poll.
        """
        found: str | None = documents.of_farm(harness.farm)["change_sources"][0]["remark"]
        return found

    def error(self, harness: MasterHarness) -> str:
        """
        Why it cannot poll.
        """
        return str(documents.of_farm(harness.farm)["change_sources"][0]["error"])


class HgTests(OtherPollerCase):
    """
    Mercurial.
    """

    if HG is None:
        skip = "hg is not installed"

    def setUp(self) -> None:
        super().setUp()
        self.origin = os.path.join(self.directory, "origin")
        self.run_program("hg", "init", self.origin)
        self.commit("first")

    def commit(self, name: str, message: str = "add it") -> str:
        """
        Commit a file of that name; answers the revision.
        """
        with open(os.path.join(self.origin, name), "w") as file:
            file.write(name)
        self.run_program("hg", "commit", "-A", "-q", "-u", "Ä <a@x>", "-d", "5 0", "-m", message, where=self.origin)
        return self.run_program("hg", "log", "-r", ".", "-T", "{node}", where=self.origin)

    def hg_farm(self, arguments: str = "") -> MasterHarness:
        """
        A farm that polls it.
        """
        return self.farm(f"changes.HgPoller({self.origin!r}, pollAtLaunch=True, {arguments})")

    def test_new_revisions(self) -> None:
        """
        Promise 8.1: the first poll says nothing; then each new revision of the branch is a change, oldest first.
        """
        harness = self.hg_farm("project='p', category=lambda c: c['branch'], revlink=lambda b, r: b + '!' + r")
        self.assertEqual(self.polled(harness), [])
        new = [self.commit("b", "ü\nand more"), self.commit("c")]
        first, second = self.polled(harness)

        self.assertEqual([first.revision, second.revision], new)
        self.assertEqual((first.author, first.comments, first.files), ("Ä <a@x>", "ü\nand more", ("b",)))
        self.assertEqual(
            (first.branch, first.project, first.category, first.happened), ("default", "p", "default", 5.0)
        )
        self.assertEqual((first.repository, first.revlink), (self.origin, f"default!{new[0]}"))
        self.assertEqual(self.polled(harness), [])

    def test_many_heads(self) -> None:
        """
        Promise 8.1: a repository with more heads than hg could be asked about is an error that says so, and none of the
        master's memory; when they are merged, polling goes on.
        """
        self.patch(hg_poller, "MOST_HEADS", 1)
        harness = self.hg_farm()
        self.polled(harness)
        one = self.commit("one")
        self.run_program("hg", "update", "-q", "0", where=self.origin)
        two = self.commit("two")
        harness.settle(600)
        self.assertIn("has more than 1 heads", self.error(harness))
        self.run_program("hg", "merge", "-q", where=self.origin)
        three = self.commit("three")
        harness.settle(600)
        found = [each.change.revision for each in harness.read(lambda connection: changes.after(connection, 0))]
        self.assertEqual(found, [one, two, three])

    def test_branches_and_bookmarks(self) -> None:
        """
        Promise 8.1: only the branches and bookmarks that are named are followed; a branch with several heads has no
        changes until they are merged, and then all of them.
        """
        first = self.commit("x")
        self.run_program("hg", "bookmark", "mark", where=self.origin)
        harness = self.hg_farm("branches=['default', 'rel\"1'], bookmarks=['mark']")
        self.polled(harness)
        one = self.commit("on-mark")
        self.run_program("hg", "update", "-q", first, where=self.origin)
        two = self.commit("second-head")
        self.run_program("hg", "branch", "-q", 'rel"1', where=self.origin)
        three = self.commit("release")
        four = self.commit("release-2")
        self.run_program("hg", "branch", "-q", "other", where=self.origin)
        self.commit("unseen")

        self.assertEqual(
            [(str(each.branch), str(each.revision)) for each in self.polled(harness)],
            [('rel"1', three), ('rel"1', four), ("mark", one)],
        )
        self.assertIn("The branch default has several heads", self.remark(harness))
        self.assertEqual(self.polled(harness), [])

        self.run_program("hg", "update", "-q", two, where=self.origin)
        self.run_program("hg", "merge", "-q", "-r", one, where=self.origin)
        merged = self.commit("merged")
        self.assertEqual(
            [(each.branch, each.revision) for each in self.polled(harness)],
            [("default", one), ("default", two), ("default", merged)],
        )
        self.assertIsNone(self.remark(harness))

    def test_closed_head(self) -> None:
        """
        Promise 8.1: a head that was closed is none of several.
        """
        first = self.commit("x")
        harness = self.hg_farm()
        self.polled(harness)
        aside = self.commit("aside")
        self.run_program("hg", "commit", "-q", "--close-branch", "-u", "a", "-m", "close", where=self.origin)
        self.run_program("hg", "update", "-q", first, where=self.origin)
        new = self.commit("new")
        found = [each.revision for each in self.polled(harness)]
        self.assertEqual((found[0], found[-1], len(found)), (aside, new, 3))
        newest = self.commit("newest")
        self.assertEqual([each.revision for each in self.polled(harness)], [newest])

    def test_missing_bookmark(self) -> None:
        """
        Promise 8.1: a bookmark that the repository does not have, yet or any more, is a remark, and the others are
        polled.
        """
        harness = self.hg_farm("bookmarks=['ä', 'mark'], branch='default'")
        self.polled(harness)
        self.assertEqual(self.remark(harness), "The repository does not have the bookmark ä, mark.")
        new = self.commit("x")
        self.run_program("hg", "bookmark", "-r", new, "ä", where=self.origin)
        self.assertEqual(
            [(each.branch, each.revision) for each in self.polled(harness)], [("default", new), ("ä", new)]
        )
        self.assertEqual(self.remark(harness), "The repository does not have the bookmark mark.")
        self.run_program("hg", "bookmark", "-d", "ä", where=self.origin)
        self.assertEqual(self.polled(harness), [])
        self.assertIn("bookmark ä, mark", str(self.remark(harness)))

    def test_moved_bookmarks(self) -> None:
        """
        Promise 8.1: a bookmark that was moved without new revisions is one change of its revision, each time.
        """
        first = self.run_program("hg", "log", "-r", ".", "-T", "{node}", where=self.origin)
        second = self.commit("x")
        self.run_program("hg", "bookmark", "-r", first, "mark", where=self.origin)
        harness = self.hg_farm("bookmarks=['mark']")
        self.polled(harness)
        for tip in (second, first, second):
            self.run_program("hg", "bookmark", "-f", "-r", tip, "mark", where=self.origin)
            self.assertEqual([(each.branch, each.revision) for each in self.polled(harness)], [("mark", tip)])

    def test_restart_and_lost_copy(self) -> None:
        """
        Promise 8.1: nothing is missed over a restart, and a copy that was removed is made anew.
        """
        harness = self.hg_farm()
        self.polled(harness)
        harness.done(harness.farm.change_sources.stop())
        shutil.rmtree(os.path.join(harness.basedir, "hgpoller_work"))
        new = self.commit("b")
        harness.restart()
        harness.settle(1)

        self.assertEqual(harness.read(lambda c: [each.change.revision for each in changes.after(c, 0)]), [new])

    def test_many(self) -> None:
        """
        Of too many new revisions the newest are changes, with a remark.
        """
        self.patch(hg_poller, "MOST_REVISIONS", 2)
        harness = self.hg_farm()
        self.polled(harness)
        new = [self.commit(name) for name in "bcd"]

        self.assertEqual([each.revision for each in self.polled(harness)], new[1:])
        self.assertIn("more new revisions than 2", documents.of_farm(harness.farm)["change_sources"][0]["remark"])

    def test_unreachable(self) -> None:
        """
        A repository that is not there is an error in a sentence.
        """
        shutil.rmtree(self.origin)
        self.assertRegex(self.error(self.hg_farm()), "hg could not pull from .*: abort: .*not found")

    def copy(self, harness: MasterHarness) -> str:
        """
        The directory of the poller's copy.
        """
        work = os.path.join(harness.basedir, "hgpoller_work")
        (name,) = os.listdir(work)
        return os.path.join(work, name)

    def test_killed_pull(self) -> None:
        """
        Promise 8.1: a pull that was killed is undone, or its copy is made anew, and nothing is missed.
        """
        harness = self.hg_farm()
        self.polled(harness)
        for name, journal in (("b", ""), ("c", "no journal\n\0")):
            with open(os.path.join(self.copy(harness), ".hg", "store", "journal"), "w") as file:
                file.write(journal)
            new = self.commit(name)
            self.assertEqual([each.revision for each in self.polled(harness)], [new])

    def test_many_files(self) -> None:
        """
        Promise 8.1: a revision with more files than a poller reads is a change without files, and ends no poller.
        """
        harness = self.hg_farm()
        self.polled(harness)
        new = [self.commit("n" * 200, "first line\n" + "x" * 2000), self.commit("b")]
        with mock.patch.object(hg_poller, "LARGEST_LOG", 1500):
            found = self.polled(harness)
        self.assertEqual([each.revision for each in found], new)
        self.assertEqual((found[0].files, found[0].comments), ((), "first line"))
        self.assertIn("name none", documents.of_farm(harness.farm)["change_sources"][0]["remark"])


class HgArgumentsTests(SynchronousTestCase):
    """
    Arguments of `HgPoller`.
    """

    def test_each_argument(self) -> None:
        """
        Promise 8.1: each argument that Buildbot documents has its effect.
        """
        given: dict[str, tuple[dict[str, Any], str, Any]] = {
            "repourl": ({}, "repourl", "https://example.org/r"),
            "default branch": ({}, "branches", ("default",)),
            "branch": ({"branch": "a"}, "branches", ("a",)),
            "branches": ({"branches": ["a", "b"]}, "branches", ("a", "b")),
            "bookmarks": ({"bookmarks": ["a"]}, "bookmarks", ("a",)),
            "workdir": ({"workdir": "w"}, "workdir", "w"),
            "pollInterval": ({"pollInterval": 7}, "pollInterval", 7),
            "pollAtLaunch": ({"pollAtLaunch": True}, "pollAtLaunch", True),
            "pollRandomDelayMax": ({"pollRandomDelayMax": 2}, "pollRandomDelayMax", 2),
            "hgbin": ({"hgbin": "h"}, "hgbin", "h"),
            "usetimestamps": ({"usetimestamps": False}, "usetimestamps", False),
            "category": ({"category": "c"}, "category", "c"),
            "project": ({"project": "p"}, "project", "p"),
            "encoding": ({"encoding": "latin-1"}, "branches", ("default",)),
            "revlink": ({"revlink": str}, "revlink", str),
            "name": ({"name": "n"}, "name", "n"),
        }
        for case, (arguments, attribute, value) in given.items():
            with self.subTest(case=case):
                made = HgPoller("https://example.org/r", **arguments)
                self.assertEqual(inspect.unwrap(getattr(made, attribute)), value)

    def test_mistakes(self) -> None:
        """
        Wrong arguments are mistakes with a sentence.
        """
        cases: list[tuple[str, dict[str, Any]]] = [
            ("repourl must be the address", {"repourl": "--config=x"}),
            ("repourl has a password in it", {"repourl": "https://u:p@h/r"}),
            ("branch and branches exclude", {"branch": "a", "branches": ["b"]}),
            ("revlink must be a function", {"revlink": 5}),
        ]
        for sentence, arguments in cases:
            with self.subTest(sentence=sentence), self.assertRaises(ConfigError) as caught:
                HgPoller(**{"repourl": "https://example.org/r", **arguments})
            self.assertIn(sentence, str(caught.exception))


class SvnTests(OtherPollerCase):
    """
    Subversion.
    """

    if SVN is None or SVNADMIN is None:
        skip = "svn is not installed"

    def setUp(self) -> None:
        super().setUp()
        self.run_program("svnadmin", "create", "repo")
        self.url = f"file://{self.directory}/repo"
        self.run_program("svn", "mkdir", "-q", "-m", "layout", f"{self.url}/trunk", f"{self.url}/branches")

    def commit(self, path: str, message: str = "put") -> None:
        """
        Commit a file at *path*.
        """
        source = os.path.join(self.directory, "content")
        with open(source, "w") as file:
            file.write(path)
        self.run_program("svn", "import", "-q", "-m", message, source, f"{self.url}/{path}")

    def svn_farm(self, arguments: str = "", below: str = "") -> MasterHarness:
        """
        A farm that polls it.
        """
        return self.farm(f"changes.SVNPoller({self.url + below!r}, pollAtLaunch=True, {arguments})")

    def test_new_revisions(self) -> None:
        """
        Promise 8.1: the first poll says nothing; then each new revision is a change with what svn knows of it.
        """
        harness = self.svn_farm("project='p', category='c', revlinktmpl='https://x/%s'", "/trunk")
        self.assertEqual(self.polled(harness), [])
        self.commit("trunk/a b", "ü <x>\nmore")
        self.commit("branches/other")
        (change,) = self.polled(harness)

        self.assertEqual((change.revision, change.files, change.comments), ("2", ("a b",), "ü <x>\nmore"))
        self.assertEqual((change.branch, change.project, change.category), (None, "p", "c"))
        self.assertEqual((change.repository, change.revlink), (f"{self.url}/trunk", "https://x/2"))
        self.assertEqual(self.polled(harness), [])

    def test_branches(self) -> None:
        """
        Promise 8.1: split_file says of which branch a file is; a revision of two branches is two changes, and a branch
        that was removed is none.
        """
        harness = self.svn_farm("split_file=util.svn.split_file_branches")
        self.polled(harness)
        self.commit("trunk/a")
        self.run_program("svn", "copy", "-q", "-m", "branch", f"{self.url}/trunk", f"{self.url}/branches/one")
        self.commit("tags")
        self.run_program("svn", "rm", "-q", "-m", "away", f"{self.url}/branches/one")

        self.assertEqual(
            [(each.branch, each.revision, each.files) for each in self.polled(harness)],
            [(None, "2", ("a",)), ("branches/one", "3", ())],
        )

    def test_directories(self) -> None:
        """
        Promise 8.1: split_file gets directories with a slash at their ends, and may be a method of a subclass; the
        files of a change have none.
        """
        self.commit("trunk/a")
        harness = MasterHarness(
            "class Poller(changes.SVNPoller):\n"
            "    def split_file(self, path):\n"
            "        return ('x' if path.endswith('/') else 'y', path) if path else ('root', '')\n"
            f"c['change_source'] = Poller({self.url + '/trunk'!r}, pollAtLaunch=True)\n"
        )
        self.addCleanup(lambda: harness.done(harness.farm.change_sources.stop()))
        self.polled(harness)
        self.run_program("svn", "mkdir", "-q", "-m", "one", f"{self.url}/trunk/d", f"{self.url}/trunk2")
        self.run_program("svn", "checkout", "-q", f"{self.url}/trunk", "w")
        self.run_program("svn", "propset", "-q", "p", "v", "w", "w/d", "w/a")
        self.run_program("svn", "commit", "-q", "-m", "two", "w")
        self.assertEqual(
            [(each.revision, each.branch, each.files) for each in self.polled(harness)],
            [("3", "x", ("d",)), ("4", "root", ()), ("4", "y", ("a",)), ("4", "x", ("d",))],
        )

    def test_other_spelling(self) -> None:
        """
        Promise 8.1: an address that svn spells in another way finds the same changes.
        """
        there = self.url.removeprefix("file://")
        for number, url in enumerate((f"file://localhost{there}/trunk", f"file://{there}//%74runk")):
            harness = self.farm(f"changes.SVNPoller({url!r}, pollAtLaunch=True)")
            self.polled(harness)
            self.commit(f"trunk/{number}")
            (change,) = self.polled(harness)
            self.assertEqual((change.files, change.repository), ((str(number),), url))

    def test_many_files(self) -> None:
        """
        Promise 8.1: a revision with more files than a poller reads is left out with a remark; all others are changes.
        """
        harness = self.svn_farm()
        self.polled(harness)
        for name in ("a", "b", "n" * 200, "c"):
            self.commit(f"trunk/{name}")
        remarks: list[str] = []
        self.patch(running_source.RunningSource, "remark", lambda source, sentence: remarks.append(sentence))

        async def bounded(*given: Any, **more: Any) -> bytes:
            output = await programs.output_of(*given, **more)
            if b"nnn" in output:
                raise programs.TooMuchOutputError("svn printed too much.")
            return output

        with mock.patch.object(svn_poller, "output_of", bounded):
            found = self.polled(harness)
        self.assertEqual([each.revision for each in found], ["2", "3", "5"])
        self.assertEqual(remarks, ["Revision 4 has too many files to be read, and is no change."])

    def test_histmax(self) -> None:
        """
        Promise 8.1: a poll looks at histmax revisions, and the next ones follow at once, so that none is missed.
        """
        harness = self.svn_farm("histmax=2")
        self.polled(harness)
        for name in "abcde":
            self.commit(f"trunk/{name}")

        self.assertEqual([each.revision for each in self.polled(harness)], ["2", "3", "4", "5", "6"])

    def test_restart(self) -> None:
        """
        Promise 8.1: what was committed while the master was down is a change after it starts.
        """
        harness = self.svn_farm()
        self.polled(harness)
        harness.done(harness.farm.change_sources.stop())
        self.commit("trunk/a")
        harness.restart()
        harness.settle(1)

        self.assertEqual(harness.read(lambda c: [each.change.revision for each in changes.after(c, 0)]), ["2"])

    def test_unreachable(self) -> None:
        """
        A repository that is not there is an error in a sentence.
        """
        shutil.rmtree(os.path.join(self.directory, "repo"))
        self.assertRegex(self.error(self.svn_farm()), "svn could not look at file://.*: svn: E")


class SvnArgumentsTests(SynchronousTestCase):
    """
    Arguments of `SVNPoller`.
    """

    def test_each_argument(self) -> None:
        """
        Promise 8.1: each argument that Buildbot documents has its effect.
        """
        given: dict[str, tuple[dict[str, Any], str, Any]] = {
            "repourl": ({}, "repourl", "https://example.org/r"),
            "svnurl": ({"repourl": None, "svnurl": "svn://h/r/"}, "repourl", "svn://h/r"),
            "split_file": ({"split_file": str}, "split_file", str),
            "svnuser": ({"svnuser": "u"}, "user", "u"),
            "svnpasswd": ({"svnpasswd": "p"}, "password", "p"),
            "histmax": ({"histmax": 7}, "histmax", 7),
            "svnbin": ({"svnbin": "s"}, "svnbin", "s"),
            "revlinktmpl": ({"revlinktmpl": "r"}, "revlinktmpl", "r"),
            "category": ({"category": "c"}, "category", "c"),
            "project": ({"project": "p"}, "project", "p"),
            "cachepath": ({"cachepath": "p"}, "histmax", 100),
            "pollInterval": ({"pollInterval": 7}, "pollInterval", 7),
            "pollinterval": ({"pollinterval": 7}, "pollInterval", 7),
            "pollAtLaunch": ({"pollAtLaunch": True}, "pollAtLaunch", True),
            "pollRandomDelayMax": ({"pollRandomDelayMax": 2}, "pollRandomDelayMax", 2),
            "extra_args": ({"extra_args": ["--x"]}, "extra_args", ("--x",)),
            "name": ({"name": "n"}, "name", "n"),
        }
        for case, (arguments, attribute, value) in given.items():
            with self.subTest(case=case):
                made = SVNPoller(**{"repourl": "https://example.org/r", **arguments})
                self.assertEqual(inspect.unwrap(getattr(made, attribute)), value)

    def test_mistakes(self) -> None:
        """
        Wrong arguments are mistakes with a sentence.
        """
        for value in (None, "", "/path", "--x://"):
            with self.subTest(value=value), self.assertRaises(ConfigError) as caught:
                SVNPoller(value)
            self.assertIn("repourl must be", str(caught.exception))
        with self.assertRaisesRegex(ConfigError, "has a password in it"):
            SVNPoller("https://u:hunter2@h/r")

    CASES: ClassVar[dict[Any, dict[str, Any]]] = {
        split_file_alwaystrunk: {"trunk/a": {"path": "trunk/a"}},
        split_file_branches: {
            "trunk/a/b": {"path": "a/b"},
            "trunk": {"path": ""},
            "trunk/": {"path": ""},
            "branches/1.x/": {"branch": "branches/1.x", "path": ""},
            "branches/1.x/d/": {"branch": "branches/1.x", "path": "d/"},
            "branches/": None,
            "branches/1.x/a": {"branch": "branches/1.x", "path": "a"},
            "branches/1.x": {"branch": "branches/1.x", "path": ""},
            "branches": None,
            "tags/1": None,
        },
        split_file_projects_branches: {
            "p/trunk/a": {"project": "p", "path": "a"},
            "p/branches/b/a": {"project": "p", "branch": "branches/b", "path": "a"},
            "p": None,
            "p/tags/a": None,
        },
    }

    def test_split_files(self) -> None:
        """
        The functions of util.svn split paths as Buildbot documents them.
        """
        for function, cases in self.CASES.items():
            for path, expected in cases.items():
                with self.subTest(function=function.__name__, path=path):
                    self.assertEqual(function(path), expected)

    def test_password(self) -> None:
        """
        Promise 8.1: the password goes to svn's standard input, and is not in its arguments; the user may be a secret.
        """
        self.patch(running_source, "JITTER", 0.0)
        seen: list[child_programs.ChildProgram] = []

        def fake(program: child_programs.ChildProgram, unwanted: Any) -> child_programs.Ran:
            seen.append(program)
            return child_programs.Ran(1, b"", b"svn: E170001: no access for a-user with hunter2\n")

        self.patch(programs, "run_here", fake)
        harness = MasterHarness(
            "import os; os.environ['FARM_SECRET_who'] = 'a-user'\n"
            "c['secretsProviders'] = [secrets.SecretInEnvironment(prefix='FARM_SECRET_')]\n"
            "c['change_source'] = changes.SVNPoller('https://h/r', svnuser=util.Secret('who'), svnpasswd='hunter2', "
            "pollAtLaunch=True)"
        )
        self.addCleanup(lambda: harness.done(harness.farm.change_sources.stop()))

        self.assertEqual(seen[0].stdin, b"hunter2")
        self.assertNotIn("hunter2", " ".join(seen[0].argv))
        self.assertIn("--non-interactive", seen[0].argv)
        self.assertIn("--username=a-user", seen[0].argv)
        (document,) = documents.of_farm(harness.farm)["change_sources"]
        self.assertRegex(document["error"], r"no access for \*+ with \*+")
