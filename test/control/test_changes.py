"""
What the holder of a change FURL can submit, and what an admin can ask about changes.
"""

import json
import shutil
from typing import Any, ClassVar

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.control.admin import AdminDesk
from buildbot_lite.control.change_lines import MOST_CHANGES, Allowed, read_lines
from buildbot_lite.control.changes import LARGEST, Binding
from buildbot_lite.control.rights import MAY_CONTROL, MAY_LOOK
from buildbot_lite.errors import BuildbotLiteError, InputError, RevokedError, WrongVerbError
from buildbot_lite.model.change import Change
from buildbot_lite.status.following import LogFollower, notify_followers
from buildbot_lite.storage.records import changes, listed_builds
from buildbot_lite.wire.flapp import FlappService
from test.master.configurations import ONE, master_cfg
from test.master.harness import MasterHarness

from .test_submissions import FakeWatcher

OLD, NEW, ZERO = "1" * 40, "2" * 40, "0" * 40


class ChangeCase(SynchronousTestCase):
    def setUp(self) -> None:
        self.harness = MasterHarness(ONE)
        farm = self.harness.farm
        self.addCleanup(shutil.rmtree, self.harness.basedir)
        self.addCleanup(notify_followers(farm.records, farm.notifications))

    def desk(self, may: Any = None) -> AdminDesk:
        """
        The desk of an admin, or of a holder with the rights *may*.
        """
        farm = self.harness.farm
        follower = LogFollower(
            records=farm.records,
            notifications=farm.notifications,
            streams_directory=farm.stream_storage.streams,
            why=farm.dispatcher.why,
            decided=lambda: 0,
            clock=self.harness.clock,
        )
        return AdminDesk(farm, follower, may)

    def ask(self, ask: str, may: Any = None, **question: Any) -> Any:
        """
        The desk's answer.
        """
        return self.successResultOf(self.desk(may).ask({"ask": ask, **question}))

    def refusal(self, ask: str, may: Any = None, **question: Any) -> str:
        """
        The sentence with which the desk refuses.
        """
        failure = self.failureResultOf(self.desk(may).ask({"ask": ask, **question}))
        self.assertTrue(issubclass(failure.type or object, BuildbotLiteError), failure)
        return str(failure.value)

    def changes(self) -> list[Change]:
        """
        All recorded changes.
        """
        return [each.change for each in self.harness.read(lambda connection: changes.after(connection, 0))]


class ChangeGrantCase(ChangeCase):
    BINDING: ClassVar[dict[str, Any]] = {
        "repository": "https://example.org/r.git",
        "project": "p",
        "branches": ["main", "rel/*"],
    }

    def setUp(self) -> None:
        super().setUp()
        self.grant = self.hand_out()

    def hand_out(self, **limits: Any) -> dict[str, Any]:
        """
        A grant to submit changes.
        """
        binding = json.dumps({**self.BINDING, **limits.pop("binding", {})})
        answer = self.ask("grant", to="change", object=binding, label="hook", **limits)
        return dict(answer)

    def send(self, text: str, grant: dict[str, Any] | None = None) -> FakeWatcher:
        """
        Send *text* to the standard input of a ``flappclient`` with the grant's FURL.
        """
        furl = (grant or self.grant)["furl"]
        exposed = self.harness.farm.grants.lookup(furl.rpartition("/")[2])
        assert isinstance(exposed, FlappService)
        watcher = FakeWatcher()
        feed = self.successResultOf(exposed._local.execute(watcher))
        if feed is not None:
            for start in range(0, len(text.encode()), 1000):
                feed.feed(text.encode()[start : start + 1000])
            feed.close()
        return watcher


class PushTests(ChangeGrantCase):
    """
    The lines that git gives to a post-receive hook.
    """

    def test_push(self) -> None:
        """
        Promise 8.1: each pushed branch becomes a change with the grant's repository, project and label.
        """
        watcher = self.send(f"{OLD} {NEW} refs/heads/main\n{ZERO} {OLD} refs/heads/rel/1\n")

        self.assertEqual(watcher.codes, [0], watcher.err)
        self.assertEqual(
            [(each.branch, each.revision, each.repository, each.project, each.source) for each in self.changes()],
            [
                ("main", NEW, self.BINDING["repository"], "p", "hook"),
                ("rel/1", OLD, self.BINDING["repository"], "p", "hook"),
            ],
        )
        self.assertIn(f"# change 1: main {NEW}\n", watcher.err)

    def test_twice(self) -> None:
        """
        Promise 8.1: the same push twice is one change, and the client is told so.
        """
        self.send(f"{OLD} {NEW} refs/heads/main\n")
        again = self.send(f"{OLD} {NEW} refs/heads/main\n")

        self.assertEqual(again.codes, [0])
        self.assertIn("# there is nothing new in this", again.err)
        self.assertEqual(len(self.changes()), 1)

    def test_back(self) -> None:
        """
        Promise 8.1: a branch that is pushed back to an older commit is a change each time.
        """
        for old, new in ((ZERO, OLD), (OLD, NEW), (NEW, OLD), (OLD, NEW)):
            self.send(f"{old} {new} refs/heads/main\n")
            self.harness.clock.advance(1)

        self.assertEqual([each.revision for each in self.changes()], [OLD, NEW, OLD, NEW])

    def test_ignored(self) -> None:
        """
        Promise 8.1: other branches, deletions and refs that are no branches are ignored with a remark, because a hook
        sends all refs.
        """
        watcher = self.send(
            f"{OLD} {NEW} refs/heads/secret\n{OLD} {ZERO} refs/heads/main\n{ZERO} {NEW} refs/pull/1/head\n"
            f"{ZERO} {NEW} refs/tags/v1\n"
        )

        self.assertEqual(watcher.codes, [0])
        self.assertEqual(self.changes(), [])
        for remark in (
            "this string is not for secret, which is left out",
            "main was deleted, which is no change",
            "refs/pull/1/head is neither a branch nor a tag",
            "this string is not for refs/tags/v1",
        ):
            self.assertIn(remark, watcher.err)

    def test_all_or_nothing(self) -> None:
        """
        Promise 8.1: an input with one wrong line records nothing, and the refusal names the line.
        """
        good = f"{OLD} {NEW} refs/heads/main\n"
        for bad, sentence in (
            ("hello", "Line 2 is neither OLD NEW REF"),
            (f"{OLD} {NEW} refs/heads/a..b", "Line 2 is neither"),
            (f"{OLD} {NEW} refs/heads/\x1b[31m", "Line 2 is neither"),
            (f"{OLD} {NEW} --upload-pack=x", "Line 2 is neither"),
            (f"{OLD[1:]} {NEW} refs/heads/main", "Line 2 is neither"),
            ('{"who": 5}', "Line 2: "),
            ('{"whom": "a"}', "Line 2: A change has no 'whom'."),
            ('{"who": "a", "when": 1e15}', "when is no time"),
            ('{"who": "a", "branch": "secret"}', "Line 2: this string does not permit changes of the branch 'secret'."),
            ('{"who": "a"}', "this string does not permit changes without a branch"),
            (
                '{"who": "a", "branch": "main", "repository": "https://evil/"}',
                "Line 2: this string is for the repository",
            ),
            ('{"who": "a", "branch": "main", "project": "q"}', "for the project 'p', not 'q'"),
            ("{", "Line 2: The line is not JSON."),
        ):
            with self.subTest(bad=bad):
                watcher = self.send(good + bad + "\n")
                self.assertEqual(watcher.codes, [2])
                self.assertIn(sentence, watcher.err)
                self.assertNotIn("\x1b", watcher.err)
        self.assertEqual(self.changes(), [])


class JsonTests(ChangeGrantCase):
    """
    Changes as JSON, one in each line.
    """

    def test_all_fields(self) -> None:
        """
        Promise 8.1: a JSON object has the same fields as sendchange.
        """
        said = {
            "who": "A <a@example.org>",
            "committer": "C",
            "branch": "main",
            "revision": "r1",
            "comments": "two\nlines",
            "files": ["a", "b"],
            "when": 1234.5,
            "revlink": "https://example.org/r1",
            "properties": {"x": [1]},
            "category": "push",
            "codebase": "",
        }
        watcher = self.send(
            json.dumps(said) + "\n\n" + json.dumps({"author": "B", "branch": "rel/2", "revision": None})
        )
        self.assertEqual(watcher.codes, [0], watcher.err)
        first, second = self.changes()

        self.assertEqual(
            (first.author, first.committer, first.comments, first.files, first.happened, first.revlink, first.category),
            ("A <a@example.org>", "C", "two\nlines", ("a", "b"), 1234.5, "https://example.org/r1", "push"),
        )
        self.assertEqual(first.properties, {"x": [[1], "Change"]})
        self.assertEqual((second.author, second.revision, second.project), ("B", None, "p"))

    def test_references_of_others(self) -> None:
        """
        Promise 8.1: a change of a reference that is neither a branch nor a tag is untrusted, because anybody may have
        made it.
        """
        grant = self.hand_out(binding={"branches": ["*"]})
        for branch in ("refs/pull/1/head", "refs/tags/v1", "refs/heads/main", "main"):
            self.send(json.dumps({"who": "a", "branch": branch, "revision": "1"}), grant)
        self.assertEqual([each.untrusted for each in self.changes()], [True, False, False, False])

    def test_branch_like_a_reference(self) -> None:
        """
        Promise 8.1: a string for tags does not take a branch that is called like one.
        """
        grant = self.hand_out(binding={"branches": ["refs/tags/*"]})
        watcher = self.send(f"{OLD} {NEW} refs/heads/refs/tags/v1\n", grant)
        self.assertIn("this string is not for refs/heads/refs/tags/v1", watcher.err)
        self.assertEqual(self.changes(), [])

    def test_fixed_category(self) -> None:
        """
        The category of a grant is the category of all its changes.
        """
        grant = self.hand_out(binding={"category": "nightly"})
        self.send('{"who": "a", "branch": "main", "revision": "1"}', grant)
        refused = self.send('{"who": "a", "branch": "main", "revision": "2", "category": "x"}', grant)

        self.assertEqual([each.category for each in self.changes()], ["nightly"])
        self.assertEqual(refused.codes, [2])


class BoundsTests(ChangeGrantCase):
    """
    The limits of a grant.
    """

    def test_size(self) -> None:
        """
        An input of more than a megabyte, or than the string's own limit, is refused.
        """
        self.assertIn("that this string permits", self.send("x" * (LARGEST + 1)).err)
        self.assertEqual(self.send("x" * 200, self.hand_out(largest=100)).codes, [2])

    def test_number(self) -> None:
        """
        More than a thousand changes in one input are refused.
        """
        allowed = Allowed("r")
        lines = "".join(f"{OLD} {number:040x} refs/heads/main\n" for number in range(1, MOST_CHANGES + 2)).encode()

        self.assertRaises(InputError, read_lines, lines, allowed, "s")
        self.assertEqual(len(read_lines(lines[:-1].rpartition(b"\n")[0], allowed, "s").pushed), MOST_CHANGES)

    def test_uses_and_rate(self) -> None:
        """
        Promise 8.1: uses and rate are limited as for submissions; what is refused does not count.
        """
        grant = self.hand_out(uses=2, per_hour=1)
        self.assertEqual(self.send("nonsense", grant).codes, [2])
        self.assertEqual(self.send(f"{OLD} {NEW} refs/heads/main", grant).codes, [0])
        self.assertIn("good for 1 submission an hour", self.send(f"{OLD} {NEW} refs/heads/main", grant).err)
        self.harness.settle(3601)
        self.assertEqual(self.send(f"{OLD} {OLD} refs/heads/main", grant).codes, [0])
        self.assertIn("is used up", self.send("x", grant).err)
        self.assertEqual(len(self.changes()), 2)

    def test_revoked(self) -> None:
        """
        A revoked FURL is refused.
        """
        self.ask("revoke", which="hook")
        self.assertRaises(RevokedError, self.send, "x")

    def test_restart(self) -> None:
        """
        A grant and its binding are kept over a restart of the master.
        """
        self.harness.restart()
        self.assertEqual(self.send(f"{OLD} {NEW} refs/heads/main").codes, [0])
        self.assertIn("not for other", self.send(f"{OLD} {NEW} refs/heads/other").err)

    def test_client_disconnects(self) -> None:
        """
        Promise 8.1: a client that disconnects in the middle of its input submits nothing.
        """
        exposed = self.harness.farm.grants.lookup(self.grant["furl"].rpartition("/")[2])
        assert isinstance(exposed, FlappService)
        watcher = FakeWatcher()
        feed = self.successResultOf(exposed._local.execute(watcher))
        assert feed is not None
        feed.feed(f"{OLD} {NEW} refs/heads/main\n".encode())
        watcher.disconnect()
        feed.close()

        self.assertEqual(self.changes(), [])

    def test_file(self) -> None:
        """
        `upload-file` is refused, and the error names the right command.
        """
        exposed = self.harness.farm.grants.lookup(self.grant["furl"].rpartition("/")[2])
        assert isinstance(exposed, FlappService)
        self.failureResultOf(exposed._local.put(b"x", lambda size: self.fail("it reads")), WrongVerbError)

    def test_listed(self) -> None:
        """
        The list of grants shows the repository and the branches.
        """
        (listed,) = [each for each in self.ask("grants")["grants"] if each["verb"] == "change"]
        self.assertEqual(listed["name"], "https://example.org/r.git main,rel/*")

    def test_bindings(self) -> None:
        """
        A binding without a repository, with too many or too long patterns, or that is not JSON, is refused.
        """
        for text in ("", "{}", '{"repository": ""}', '{"repository": "r", "branches": [""]}', "[]"):
            with self.subTest(text=text):
                self.assertRaises(BuildbotLiteError, Binding.from_text, text)
        self.assertRaises(BuildbotLiteError, Binding.from_text, json.dumps({"repository": "r", "branches": ["x"] * 51}))
        for field, value in (("repository", "\ud800"), ("branches", ["\ud800"]), ("project", "\ud800")):
            text = json.dumps({"repository": "r", field: value})
            self.assertIn("UTF-8", str(self.assertRaises(BuildbotLiteError, Binding.from_text, text)))
        self.assertLessEqual(len(Binding.from_text(json.dumps({"repository": "r" * 500})).name), 80)


class AdminTests(ChangeCase):
    """
    sendchange and the list of changes.
    """

    def test_sendchange(self) -> None:
        """
        Promise 8.1: sendchange records a change once, and changes lists it.
        """
        change = {"who": "a", "branch": "b", "revision": "r", "files": ["f"], "properties": {"p": "v"}}
        self.assertEqual(self.ask("sendchange", change=change, may=MAY_CONTROL), {"change": 1, "remarks": []})
        self.assertEqual(self.ask("sendchange", change=change), {"change": None, "remarks": []})
        answer = self.ask("sendchange", change={**change, "codebase": "c"}, may=MAY_CONTROL)
        self.assertEqual(answer["remarks"], ["Nothing is built: no scheduler has 'c' in its codebases."])
        _, listed = self.ask("changes", may=MAY_LOOK)["changes"]

        self.assertEqual((listed["author"], listed["source"], listed["requests"]), ("a", "sendchange", []))
        self.assertIn("does not permit", self.refusal("sendchange", may=MAY_LOOK, change=change))

    def test_refused(self) -> None:
        """
        A change that cannot be recorded is refused with a sentence.
        """
        self.assertIn("no 'file'", self.refusal("sendchange", change={"who": "a", "file": "x"}))
        self.assertIn("5000", self.refusal("sendchange", change={"who": "a", "files": ["f"] * 5001}))
        self.assertIn("NUL", self.refusal("sendchange", change={"who": "a\0"}))

    def test_lone_surrogates(self) -> None:
        """
        A text that UTF-8 cannot encode is refused with a sentence that names its field, whichever field it is.
        """
        for field in ("who", "committer", "branch", "repository", "revlink", "revision", "project", "codebase"):
            self.assertIn("UTF-8", self.refusal("sendchange", change={"who": "a", field: "x\ud800"}), field)
        for field in ("category", "comments"):
            self.assertIn(field, self.refusal("sendchange", change={"who": "a", field: "x\ud800"}))
        self.assertIn("file of", self.refusal("sendchange", change={"who": "a", "files": ["x\udcff"]}))

    def test_pages(self) -> None:
        """
        A long list says where older changes begin.
        """
        for number in range(5):
            self.ask("sendchange", change={"who": "a", "revision": str(number)})
        page = self.ask("changes", most=2)
        self.assertEqual([each["change"] for each in page["changes"]], [5, 4])
        rest = self.ask("changes", most=10, before=page["before"])

        self.assertEqual([each["change"] for each in rest["changes"]], [3, 2, 1])
        self.assertEqual(self.ask("changes", most=10_000)["before"], None)
        self.assertIsNone(rest["before"])

    def test_bound_of_requests(self) -> None:
        """
        Where there are more requests than a list takes, the newest changes keep theirs.
        """
        self.harness.configure(master_cfg(schedulers=('schedulers.AnyBranchScheduler("any", builderNames=["b"])',)))
        self.ask("reconfig")
        for number in range(3):
            self.ask("sendchange", change={"who": "a", "branch": "b", "files": ["f"], "revision": str(number)})
            self.harness.settle(1)
        self.patch(listed_builds, "MOST_CAUSED", 2)
        listed = self.ask("changes")["changes"]
        self.assertEqual([(each["change"], len(each["requests"])) for each in listed], [(3, 1), (2, 1), (1, 0)])
