"""
What the holder of a string for webhooks can do, and what master.cfg says about webhooks.
"""

import json
import os
from typing import Any
from unittest import mock

from buildbot_lite.extensions import configuration_keys
from buildbot_lite.master.config.loading import load
from buildbot_lite.master.config.mistakes import MistakesError
from buildbot_lite.master.scheduling.changes.webhooks.signatures import proof
from buildbot_lite.model.webhook import DIALECTS, Delivery, HookReply
from test.master.configurations import ONE
from test.master.webhook_payloads import (
    GITHUB_REPOSITORY,
    ZERO,
    A,
    B,
    C,
    bitbucket_pull_request,
    bitbucket_push,
    gitea_push,
    github_pull_request,
    github_push,
    gitlab_push,
)

from .test_changes import ChangeCase
from .test_submissions import FakeWatcher

SECRET = "open sesame"
WWW = """
c["secretsProviders"] = [secrets.SecretInAFile("hooks")]
c["www"] = {"change_hook_dialects": {"github": {"secret": util.Secret("forge")}}}
"""
POLLER = 'c["change_source"] = changes.GitPoller("https://github.example/o/r.git", name="poller")\n'


def pushed_at(second: int) -> dict[str, Any]:
    """
    GitHub's repository, of which the last push was in that *second*.
    """
    return {**GITHUB_REPOSITORY, "pushed_at": second}


PUSHED: dict[str, tuple[str, Any]] = {
    "github": ("push", lambda old, new: github_push(before=old, after=new, commits=[], head_commit={"id": new})),
    "gitlab": (
        "Push Hook",
        lambda old, new: gitlab_push(before=old, after=new, checkout_sha=new, commits=[], total_commits_count=0),
    ),
    "gitea": ("push", lambda old, new: gitea_push(before=old, after=new, commits=[], head_commit={"id": new})),
    "bitbucket": (
        "repo:push",
        lambda old, new: bitbucket_push(
            {
                "new": {"type": "branch", "name": "main", "target": {"hash": new}},
                "old": None if old == ZERO else {"type": "branch", "name": "main", "target": {"hash": old}},
            }
        ),
    ),
}
"""For each dialect a push that moves main from one commit to another, and names no commits."""


def with_secret(basedir: str) -> None:
    """
    Make the file with the secret.
    """
    os.makedirs(os.path.join(basedir, "hooks"), mode=0o700, exist_ok=True)
    path = os.path.join(basedir, "hooks", "forge")
    with open(path, "w", opener=lambda path, flags: os.open(path, flags, 0o600)) as file:
        file.write(SECRET)


class WebhookCase(ChangeCase):
    def setUp(self) -> None:
        super().setUp()
        self.headers: dict[str, str] = {}
        self.apply(WWW)
        self.grant = self.ask("grant", to="change", object="webhooks", per_hour=1000)

    def apply(self, more: str) -> None:
        """
        Let the configuration with *more* be in force.
        """
        with_secret(self.harness.basedir)
        self.harness.configure(ONE + more)
        farm = self.harness.farm
        farm.generations.current = load(self.harness.basedir, keys=configuration_keys())
        farm.change_sources.configure(farm.config.change_sources)

    def send(self, dialect: str, event: str, payload: Any, secret: str = SECRET, **of_address: str) -> HookReply:
        """
        Hand over a webhook; returns the reply.
        """
        body = json.dumps(payload).encode()
        event_header, proof_header, *_ = DIALECTS[dialect]
        headers = {event_header: event, proof_header: proof(dialect, body, secret), **self.headers}
        watcher = self.hand_over(Delivery(dialect, headers, body, **of_address).to_bytes())
        self.assertEqual((watcher.codes, watcher.err.count("Traceback")), ([0], 0), watcher.err)
        reply = HookReply.from_bytes(watcher.out)
        assert reply is not None
        return reply

    def hand_over(self, data: bytes) -> FakeWatcher:
        """
        Send *data* with the string.
        """
        exposed: Any = self.harness.farm.grants.lookup(self.grant["furl"].rpartition("/")[2])
        watcher = FakeWatcher()
        feed = self.successResultOf(exposed._local.execute(watcher))
        if feed is not None:
            feed.feed(data)
            feed.close()
        return watcher


class WebhookTests(WebhookCase):
    def test_push(self) -> None:
        """
        Promise 8.1: a signed push becomes changes; the same push again is recognised.
        """
        self.assertEqual(self.send("github", "push", github_push()), HookReply(200, "Recorded 2 changes."))
        _, second = self.changes()
        self.assertEqual((second.branch, second.comments), ("main", "second\n\nmore of it"))
        self.assertFalse(second.untrusted)

        reply = self.send("github", "push", github_push())
        self.assertEqual(reply, HookReply(200, "2 changes had been recorded before."))
        self.assertEqual(len(self.changes()), 2)

    def test_secret_from_elsewhere(self) -> None:
        """
        Promise 8.1: the secret may come from the environment.
        """
        with mock.patch.dict(os.environ, {"HOOK": SECRET}):
            self.apply(WWW.replace('util.Secret("forge")', '__import__("os").environ["HOOK"]'))
        self.assertEqual(self.send("github", "push", github_push()), HookReply(200, "Recorded 2 changes."))

    def test_pushed_back(self) -> None:
        """
        Promise 8.1: a branch that is pushed back to an older commit is a change, whichever the forge; no replay is one.
        """
        for dialect, (event, pushed) in PUSHED.items():
            with self.subTest(dialect=dialect):
                self.apply(WWW.replace("github", dialect))
                before = len(self.changes())
                moves = [pushed(*pair) for pair in ((ZERO, A), (A, B), (B, A), (A, C))]
                for payload in moves:
                    self.assertEqual(self.send(dialect, event, payload), HookReply(200, "Recorded 1 change."))
                for payload in [*moves, *moves[::-1]]:
                    reply = self.send(dialect, event, payload)
                    self.assertEqual(reply, HookReply(200, "1 change had been recorded before."))
                self.assertEqual([each.revision for each in self.changes()[before:]], [A, B, A, C])

    def test_pushed_back_again(self) -> None:
        """
        Promise 8.1: GitHub says when a push happened, so that the same move again is told from a replay.
        """
        moves = [
            github_push(before=old, after=new, commits=[], head_commit={"id": new}, repository=pushed_at(second))
            for second, (old, new) in enumerate([(A, B), (B, A), (A, B), (B, A)])
        ]
        for payload in [*moves, *moves]:
            self.send("github", "push", payload)
        self.assertEqual([each.revision for each in self.changes()], [B, A, B, A])

    def test_same_move_again(self) -> None:
        """
        Promise 8.1: the same move of a branch again is a change with each forge: GitHub and Gitea sign a time, GitLab
        numbers its events, and Bitbucket's moves begin where the branch is.  No replay is a change.
        """

        def stamped(dialect: str, second: int, old: str, new: str) -> Any:
            payload = PUSHED[dialect][1](old, new)
            if dialect == "github":
                payload["repository"] = pushed_at(second)
            if dialect == "gitea":
                payload["repository"] = {**payload["repository"], "updated_at": f"2026-11-20T09:00:0{second}Z"}
            return payload

        pairs = [(ZERO, A), (A, B), (B, A), (A, B), (B, A), (A, B)]
        for dialect, (event, _) in PUSHED.items():
            with self.subTest(dialect=dialect):
                self.apply(WWW.replace("github", dialect))
                before = len(self.changes())
                for second, pair in enumerate(pairs):
                    self.headers = {"idempotency-key": str(second)} if dialect == "gitlab" else {}
                    for answer in ("Recorded 1 change.", "1 change had been recorded before."):
                        reply = self.send(dialect, event, stamped(dialect, second, *pair))
                        self.assertEqual(reply, HookReply(200, answer), (dialect, pair))
                if dialect != "bitbucket":
                    for second, pair in [*enumerate(pairs)][::-1]:
                        self.headers = {"idempotency-key": str(second)} if dialect == "gitlab" else {}
                        self.send(dialect, event, stamped(dialect, second, *pair))
                self.assertEqual([each.revision for each in self.changes()[before:]], [A, B, A, B, A, B])

    def test_lost_and_late(self) -> None:
        """
        Promise 8.1: whatever becomes of deliveries on their way, each move that arrives is a change, and what is sent
        again is none.  The exceptions are Bitbucket's: after a lost push the same move again counts as a replay.
        """
        moves = {"0A": (ZERO, A), "AB": (A, B), "BA": (B, A), "BC": (B, C), "CA": (C, A), "0B": (ZERO, B)}
        cases = {
            "in order": ("0A AB BC CA", "ABCA", "ABCA"),
            "each twice": ("0A 0A AB AB BA BA", "ABA", "ABA"),
            # The push from B to C never arrives.
            "back after a lost push": ("0A AB CA", "ABA", "ABA"),
            # That from B to A; the branch is where the newest change is.
            "forth after a lost push": ("0A AB AB", "AB", "AB"),
            # That from C to A.
            "the same move after a lost push": ("0A AB BC AB", "ABCB", "ABC"),
            "late": ("0A AB CA BC", "ABAC", "ABAC"),
            "backwards": ("CA BC AB 0A", "ACBA", "ACBA"),
            "removed and made again elsewhere": ("0A AB BA 0B", "ABAB", "ABAB"),
            "removed and made again there": ("0A AB 0A", "ABA", "AB"),
        }
        for dialect in PUSHED:
            for what, (sent, of_others, of_bitbucket) in cases.items():
                with self.subTest(dialect=dialect, what=what):
                    self.apply(WWW.replace("github", dialect))
                    before, done = len(self.changes()), list[tuple[int, str]]()
                    for second, name in enumerate(sent.split()):
                        again = done and done[-1][1] == name and what == "each twice"
                        done.append((done[-1][0] if again else second, name))
                        self.push(dialect, what, *done[-1], *moves[name])
                    expected = of_bitbucket if dialect == "bitbucket" else of_others
                    self.assertEqual(self.letters(before), expected)
                    for second, name in done if dialect != "bitbucket" else done[:1]:
                        self.push(dialect, what, second, name, *moves[name])
                    self.assertEqual(self.letters(before), expected)

    def push(self, dialect: str, project: str, second: int, number: str, old: str, new: str) -> None:
        """
        Send a push, with the time and number that the forge gives it.
        """
        event, pushed = PUSHED[dialect]
        payload = pushed(old, new)
        if dialect == "github":
            payload["repository"] = pushed_at(second)
        if dialect == "gitea":
            payload["repository"] = {**payload["repository"], "updated_at": f"2026-11-20T09:00:0{second}Z"}
        self.headers = {"idempotency-key": f"{second} {number}"} if dialect == "gitlab" else {}
        self.assertEqual(self.send(dialect, event, payload, project=project).status, 200)

    def letters(self, before: int) -> str:
        """
        The first letters of the revisions of the changes after the first *before* ones.
        """
        return "".join((each.revision or "")[:1] for each in self.changes()[before:]).upper()

    def test_unstamped_replay(self) -> None:
        """
        Promise 8.1: a move without a time counts as a replay unless it begins where the records say that the branch is.
        """
        self.apply(WWW.replace("github", "bitbucket"))
        event, pushed = PUSHED["bitbucket"]
        for pair in ((ZERO, A), (A, B), (B, C)):
            self.send("bitbucket", event, pushed(*pair))
        for pair in ((ZERO, A), (A, B), (B, C)):
            reply = self.send("bitbucket", event, pushed(*pair))
            self.assertEqual(reply, HookReply(200, "1 change had been recorded before."), pair)

    def test_bitbucket_pull_request_back(self) -> None:
        """
        Promise 8.1: a pull request of Bitbucket that is pushed back to an older commit is a change, also beside the
        pushes to its branch; a new title is none, except the first after the
        opening, whose category is another; a replay is none.
        """
        self.apply(WWW.replace("github", "bitbucket"))

        def request(event: str, second: int, revision: str) -> tuple[str, Any]:
            payload = bitbucket_pull_request("o/r", updated_on=f"2026-11-20T09:00:0{second}+00:00")
            payload["pullrequest"]["source"]["commit"]["hash"] = revision[:12]
            return f"pullrequest:{event}", payload

        def push(old: str, new: str) -> tuple[str, Any]:
            payload = PUSHED["bitbucket"][1](old, new)
            for end in ("new", "old"):
                if payload["push"]["changes"][0][end]:
                    payload["push"]["changes"][0][end]["name"] = "mend"
            return "repo:push", payload

        events = [
            request("created", 0, A), push(ZERO, A), request("updated", 1, A),
            push(A, B), request("updated", 2, B), request("updated", 3, B),
            request("updated", 4, A), push(B, A), request("updated", 5, A),
            request("updated", 6, B),
        ]  # fmt: skip
        moves = [events[each] for each in (0, 4, 6, 9)]
        for event, payload in [*events, *moves, *moves]:
            self.send("bitbucket", event, payload)
        seen = [f"{each.category} {each.revision or '':.1}" for each in self.changes()]
        expected = (
            "pull-created a, push a, pull-updated a, push b, pull-updated b, pull-updated a, push a, pull-updated b"
        )
        self.assertEqual(", ".join(seen), expected)

    def test_pull_request_back(self) -> None:
        """
        Promise 8.1: a pull request that is pushed back to an older commit is a change; no replay is one.
        """

        def request(action: str, second: int, revision: str, before: str | None = None) -> dict[str, Any]:
            payload = github_pull_request("o/r", action=action)
            payload["pull_request"].update(updated_at=f"2026-11-20T09:00:0{second}Z")
            payload["pull_request"]["head"]["sha"] = revision
            return payload if before is None else {**payload, "before": before, "after": revision}

        events = [
            request("opened", 0, A),
            request("synchronize", 1, B, A),
            request("synchronize", 2, A, B),
            request("reopened", 3, A),
            request("synchronize", 4, B, A),
        ]
        for payload in [*events, *events, *events[::-1]]:
            self.send("github", "pull_request", payload)
        self.assertEqual([each.revision for each in self.changes()], [A, B, A, B])

    def test_of_address(self) -> None:
        """
        Promise 8.1: project and codebase in the address of a webhook are those of its changes.
        """
        self.apply(f'{WWW}c["schedulers"] = [schedulers.AnyBranchScheduler("all", ["b"], codebases=["c", "d"])]\n')
        cases: list[tuple[dict[str, str], tuple[str, str]]] = [
            ({}, ("o/r", "")),
            ({"project": "p"}, ("p", "")),
            ({"project": "p", "codebase": "c"}, ("p", "c")),
        ]
        for of_address, expected in cases:
            self.send("github", "push", github_push(), **of_address)
            self.assertEqual({(each.project, each.codebase) for each in self.changes()[-2:]}, {expected})
        self.assertEqual(len(self.changes()), 6)

        reply = self.send("github", "push", github_push(), codebase="cc")
        sentence = (
            "The address of the webhook names a codebase that is not there: no scheduler has 'cc' in its codebases."
        )
        self.assertEqual(reply, HookReply(400, f"{sentence}  There are: c, d."))
        self.assertEqual(len(self.changes()), 6)

    def test_fork(self) -> None:
        """
        Promise 8.1: a pull request from a fork is recorded as untrusted.
        """
        self.assertEqual(self.send("github", "pull_request", github_pull_request()).status, 200)
        self.assertEqual([(each.branch, each.untrusted) for each in self.changes()], [("refs/pull/7/merge", True)])

    def test_wrong_secret(self) -> None:
        """
        Promise 8.1: a delivery with a wrong signature is refused, records nothing, and uses up nothing.
        """
        self.grant = self.ask("grant", to="change", object="webhooks", per_hour=3)
        for _ in range(5):
            self.assertEqual(self.send("github", "push", github_push(), secret="guess").status, 403)
        self.assertEqual(self.changes(), [])
        self.assertEqual(self.send("github", "push", github_push()).status, 200)

    def test_other_dialect(self) -> None:
        """
        A dialect that master.cfg does not name is refused with 404.
        """
        reply = self.send("gitlab", "Push Hook", gitlab_push())
        self.assertEqual(reply.status, 404)
        self.assertIn("takes no webhooks of 'gitlab'", reply.sentence)

    def test_no_secret(self) -> None:
        """
        While the file with the secret is missing, the forge is told to come later.
        """
        os.unlink(os.path.join(self.harness.basedir, "hooks", "forge"))
        self.assertEqual(self.send("github", "push", github_push()).status, 503)

    def test_no_codebase(self) -> None:
        """
        While c['codebaseGenerator'] fails, nothing is recorded, and the forge is told to come later.
        """
        self.apply(WWW + 'c["codebaseGenerator"] = lambda chdict: None\n')
        reply = self.send("github", "push", github_push())
        self.assertEqual((reply.status, self.changes()), (503, []))
        self.assertIn("c['codebaseGenerator'] in master.cfg returned None", reply.sentence)

    def test_polled(self) -> None:
        """
        A push to a repository that is polled here makes its poller poll, and records nothing twice; pull requests,
        which a poller does not see, are recorded.
        """
        self.apply(WWW + POLLER)
        self.assertEqual(self.send("github", "push", github_push()), HookReply(200, "poller polls now."))
        self.assertEqual(self.changes(), [])
        self.assertEqual(self.send("github", "pull_request", github_pull_request()).status, 200)
        self.assertEqual(len(self.changes()), 1)
        self.harness.farm.change_sources.configure({})

    def test_no_delivery(self) -> None:
        """
        What is no delivery is refused with a sentence and the exit code 2.
        """
        watcher = self.hand_over(b"hello\n")
        self.assertEqual((watcher.codes, watcher.err), ([2], "The delivery is not JSON.\n"))

    def test_listed(self) -> None:
        """
        The string is listed as one for webhooks.
        """
        listed = [each for each in self.ask("grants")["grants"] if each["verb"] == "change"]
        self.assertEqual([each["name"] for each in listed], ["webhooks"])


class DialectTests(WebhookCase):
    """
    c['www']['change_hook_dialects'].
    """

    def dialects(self, text: str) -> Any:
        """
        The dialects in *text*, which is written after "change_hook_dialects".
        """
        head = WWW.partition('c["www"]')[0]
        self.harness.configure(f'{ONE}{head}c["www"] = {{"change_hook_dialects": {text}}}\n')
        loaded = load(self.harness.basedir, keys=configuration_keys())
        self.remarks = [each.sentence for each in loaded.remarks]
        return loaded.config.www.dialects

    def test_options(self) -> None:
        """
        Each documented option is taken.
        """
        table: tuple[tuple[str, str, str, Any], ...] = (
            ("github", '"codebase": "c"', "codebase", "c"),
            ("github", '"codebase": None', "codebase", ""),
            ("github", '"skips": [r"no build"]', "skips", ("no build",)),
            ("github", '"pullrequest_ref": "head"', "pull_request_ref", "head"),
            ("github", '"github_property_whitelist": ["github.*"]', "property_whitelist", ("github.*",)),
            ("github", '"strict": True', "name", "github"),
            ("gitlab", '"codebase": "c"', "codebase", "c"),
            ("gitea", '"onlyIncludePushCommit": True', "only_push_commit", True),
            ("forgejo", '"codebase": "c"', "name", "gitea"),
            ("bitbucket", '"bitbucket_property_whitelist": ["*"]', "property_whitelist", ("*",)),
            ("bitbucketcloud", '"codebase": "c"', "name", "bitbucket"),
        )
        for dialect, option, field, value in table:
            (found,) = self.dialects(f'{{"{dialect}": {{"secret": util.Secret("forge"), {option}}}}}').values()
            self.assertEqual((getattr(found, field), found.secret.name), (value, "forge"), option)

    def test_codebase_that_nothing_builds(self) -> None:
        """
        Promise 8.13: a codebase that no scheduler has in its codebases is a remark.
        """
        self.dialects('{"github": {"secret": util.Secret("forge"), "codebase": "c"}}')
        (remark,) = self.remarks
        self.assertIn("nothing builds its changes: no scheduler has 'c' in its codebases.", remark)

    def test_mistakes(self) -> None:
        """
        Promise 8.1: a dialect without a secret is a mistake of checkconfig, like unknown dialects and options.
        """
        for text, sentence in {
            '{"github": True}': "without it, anybody could send changes",
            '{"gitlab": {}}': "without it, anybody could send changes",
            '{"github": {"secret": "text"}}': "copies of master.cfg and its modules are kept",
            '{"github": {"secret": __import__("os").environ.get("NOT_SET", "")}}': "secret is empty",
            '{"github": {"secret": util.Secret("missing")}}': "There is no secret 'missing'",
            '{"base": True}': "not signed",
            '{"poller": True}': "grant change",
            '{"githob": {"secret": util.Secret("forge")}}': "Did you mean 'github'",
            '{"github": {"secret": util.Secret("forge"), "skip": []}}': "no option 'skip'.  Did you mean 'skips'",
            '{"github": {"secret": util.Secret("forge"), "skips": ["("]}}': "is not a regular expression",
            '{"gitlab": {"secret": util.Secret("forge"), "skips": []}}': "no option 'skips'",
            '{"github": {"secret": util.Secret("forge"), "class": object}}': "class: payloads are read by the farm's",
            '{"github": {"secret": util.Secret("forge"), "custom_class": object}}': "choose with skips, codebase",
            "[]": "a dictionary",
        }.items():
            with self.assertRaises(MistakesError, msg=text) as caught:
                self.dialects(text)
            self.assertIn(sentence, str(caught.exception), text)
            self.assertEqual(len(str(caught.exception).splitlines()), 1, caught.exception)

    def test_remarks(self) -> None:
        """
        What has no effect is said: plugins, and options of what is always so.
        """
        self.dialects('{"github": {"secret": util.Secret("forge"), "strict": False}}, "port": 8010, "plugins": {}')
        self.assertEqual(len(self.remarks), 2, self.remarks)
        self.assertIn("plugins'] has no effect", " ".join(self.remarks))
        self.assertIn("every request must prove the secret", " ".join(self.remarks))
