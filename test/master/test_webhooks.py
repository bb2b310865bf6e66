"""
What webhooks of forges say, and who may say it.
"""

import json
from typing import Any, ClassVar
from urllib.parse import urlencode

from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import WebhookError
from buildbot_lite.master.config.webhooks import HookDialect
from buildbot_lite.master.scheduling.changes.webhooks.payload import MOST_COMMITS, HookReport
from buildbot_lite.master.scheduling.changes.webhooks.reading import read_delivery
from buildbot_lite.master.scheduling.changes.webhooks.signatures import proof
from buildbot_lite.model.change import LONGEST_FILES, MOST_FILES
from buildbot_lite.model.git_refs import ref_of
from buildbot_lite.model.webhook import DIALECTS, Delivery, HookReply

from .webhook_payloads import (
    ZERO,
    A,
    B,
    bitbucket_pull_request,
    bitbucket_push,
    gitea_pull_request,
    gitea_push,
    github_pull_request,
    github_push,
    gitlab_merge_request,
    gitlab_push,
)

SECRET = "open sesame"
PUSHES: dict[str, tuple[str, Any]] = {
    "github": ("push", github_push),
    "gitlab": ("Push Hook", gitlab_push),
    "gitea": ("push", gitea_push),
    "bitbucket": ("repo:push", bitbucket_push),
}
REQUESTS: dict[str, tuple[str, Any]] = {
    "github": ("pull_request", github_pull_request),
    "gitlab": ("Merge Request Hook", gitlab_merge_request),
    "gitea": ("pull_request", gitea_pull_request),
    "bitbucket": ("pullrequest:created", bitbucket_pull_request),
}


def delivery(dialect: str, event: str, payload: Any, **headers: str) -> Delivery:
    """
    What the forge of *dialect* sends, signed with `SECRET`.
    """
    body = payload if isinstance(payload, bytes) else json.dumps(payload).encode()
    event_header, proof_header, *_ = DIALECTS[dialect]
    return Delivery(dialect, {event_header: event, proof_header: proof(dialect, body, SECRET), **headers}, body)


def read(dialect: str, event: str, payload: Any, **options: Any) -> HookReport:
    """
    What *payload* says.
    """
    return read_delivery(delivery(dialect, event, payload), HookDialect(name=dialect, secret="s", **options), SECRET)


class PushTests(SynchronousTestCase):
    ADDRESSES: ClassVar[dict[str, str]] = {
        "github": "https://github.example/o/r",
        "gitlab": "git@gitlab.example:o/r.git",
        "gitea": "https://gitea.example/o/r.git",
        "bitbucket": "https://bitbucket.example/o/r",
    }
    CATEGORIES: ClassVar[dict[str, str]] = {"bitbucket": "push"}

    def test_each_commit(self) -> None:
        """
        Promise 8.1: each commit of a push is a change, oldest first, with author, message, time, branch and page.
        """
        for dialect, (event, payload) in PUSHES.items():
            report = read(dialect, event, payload())
            first, second = report.changes
            self.assertEqual((first.revision, second.revision), (A, B), dialect)
            self.assertEqual(second.author, "Ann Lee <ann@example.org>", dialect)
            self.assertTrue(second.comments.startswith("second"), dialect)
            self.assertEqual(
                (second.branch, second.project, second.category), ("main", "o/r", self.CATEGORIES.get(dialect))
            )
            self.assertEqual(second.repository, self.ADDRESSES[dialect])
            self.assertIn(B, second.revlink)
            self.assertFalse(second.untrusted)
            self.assertIn(self.ADDRESSES[dialect], report.addresses)

    def test_files_and_time(self) -> None:
        """
        The files are those that a commit adds, modifies and removes; the time is the forge's, with its zone.
        """
        change = read("github", "push", github_push()).changes[0]
        self.assertEqual(change.files, ("new.c", "old.c"))
        self.assertEqual(change.happened, 1795165200.0)
        self.assertEqual(change.committer, "Web <web@example.org>")
        self.assertEqual(change.properties["github_distinct"], [True, "Change"])
        self.assertEqual(change.properties["event"], ["push", "Change"])

    def test_long_files(self) -> None:
        """
        A commit with more text in its files than a change may have is a change with the first of them.
        """
        payload = github_push()
        payload["commits"][0]["added"] = [f"{number:04}" + "x" * 996 for number in range(3000)]
        change = read("github", "push", payload).changes[0]

        self.assertEqual(len(change.files), LONGEST_FILES // 1000)

    def test_tag(self) -> None:
        """
        Promise 8.1: a tag is one change of the category "tag" (at Bitbucket "push"), whose branch is its full name.
        """
        tag = "refs/tags/v1"
        tagged: dict[str, Any] = {
            "new": {"type": "tag", "name": "v1", "target": {"hash": B}},
            "old": None,
            "commits": [],
        }
        cases = {
            "github": ("push", github_push(ref=tag, after=A, commits=[])),  # annotated: after is the tag's object
            "gitlab": ("Tag Push Hook", gitlab_push(object_kind="tag_push", ref=tag, after=A, commits=[])),
            "gitea": ("push", gitea_push(ref=tag, after=A, commits=[])),
            "bitbucket": ("repo:push", bitbucket_push(tagged)),
        }
        for dialect, (event, payload) in cases.items():
            (change,) = read(dialect, event, payload).changes
            self.assertEqual(
                (change.branch, change.revision, change.category), (tag, B, self.CATEGORIES.get(dialect, "tag"))
            )

    def test_deleted(self) -> None:
        """
        A deleted branch is no change, which is said.
        """
        closed: dict[str, Any] = {
            "new": None,
            "old": {"type": "branch", "name": "main", "target": {"hash": B}},
            "commits": [],
        }
        cases = {
            "github": ("push", github_push(after=ZERO, deleted=True, commits=[], head_commit=None)),
            "gitlab": ("Push Hook", gitlab_push(after=ZERO, checkout_sha=None, commits=[])),
            "gitea": ("push", gitea_push(after=ZERO, commits=[], head_commit=None)),
            "bitbucket": ("repo:push", bitbucket_push(closed)),
        }
        for dialect, (event, payload) in cases.items():
            report = read(dialect, event, payload)
            self.assertEqual((list(report.changes), report.remark), ([], "main was deleted, which is no change."))

    def test_new_branch(self) -> None:
        """
        Promise 8.1: a new branch without new commits is a change.
        """
        cases = {
            "github": ("push", github_push(ref="refs/heads/new", before=ZERO, commits=[])),
            "gitlab": ("Push Hook", gitlab_push(ref="refs/heads/new", before=ZERO, commits=[])),
            "gitea": ("push", gitea_push(ref="refs/heads/new", before=ZERO, commits=[], head_commit=None)),
            "bitbucket": (
                "repo:push",
                bitbucket_push({"new": {"type": "branch", "name": "new", "target": {"hash": B}}, "commits": []}),
            ),
        }
        for dialect, (event, payload) in cases.items():
            (change,) = read(dialect, event, payload).changes
            self.assertEqual((change.branch, change.revision), ("new", B), dialect)

    def test_many_commits(self) -> None:
        """
        Of too many commits the newest are changes, and the others are counted.
        """
        commits = [{"id": f"{number:040x}", "message": "m"} for number in range(1, MOST_COMMITS + 11)]
        report = read("github", "push", github_push(commits=commits, head_commit=None, after=commits[-1]["id"]))
        self.assertEqual(len(report.changes), MOST_COMMITS)
        self.assertEqual(report.changes[-1].revision, commits[-1]["id"])
        self.assertEqual(report.remark, "10 older commits of this push were left out.")

    def test_unnamed_commits(self) -> None:
        """
        Commits of a push that the forge does not name are counted as left out.
        """
        remark = read("gitlab", "Push Hook", gitlab_push(total_commits_count=25)).remark
        self.assertEqual(remark, "23 older commits of this push were left out.")
        self.assertEqual(
            read("gitea", "push", gitea_push(total_commits=3)).remark, "1 older commit of this push was left out."
        )
        self.assertEqual(read("gitea", "push", gitea_push(total_commits=3), only_push_commit=True).remark, "")
        payload = bitbucket_push()
        payload["push"]["changes"][0]["truncated"] = True
        self.assertIn("does not name them", read("bitbucket", "repo:push", payload).remark)

    def test_branch_like_a_reference(self) -> None:
        """
        Promise 8.1: a branch that is called refs/pull/7/merge is not taken for the reference of that name.
        """
        for ref in ("refs/heads/refs/pull/7/merge", "refs/heads/refs/heads/main", "refs/heads/refs/tags/v1"):
            change = read("github", "push", github_push(ref=ref)).changes[-1]
            self.assertEqual((change.branch, ref_of(change.branch or "")), (ref, ref))

    def test_one_bad_name(self) -> None:
        """
        A reference whose name cannot be used loses none of the others of the same push.
        """
        usual = bitbucket_push()["push"]["changes"][0]
        bad = {"new": {"type": "branch", "name": "zero\u200bwidth", "target": {"hash": A}}, "commits": []}
        report = read("bitbucket", "repo:push", bitbucket_push(bad, usual))
        self.assertEqual([each.revision for each in report.changes], [A, B])
        self.assertIn("not the name of a git reference", report.remark)
        with self.assertRaises(WebhookError):
            read("bitbucket", "repo:push", bitbucket_push(bad))

    def test_pusher(self) -> None:
        """
        The author of a push without commits is its pusher, with name and address.
        """
        payload = gitea_push(commits=[], head_commit=None)
        self.assertEqual(read("gitea", "push", payload).changes[0].author, "Ann Lee <ann@example.org>")

    def test_long_texts(self) -> None:
        """
        Texts of any length, NUL and lone surrogates are cut or replaced, and lose no push.
        """
        commit = {
            "id": B,
            "message": "x" * 100_000 + "\0",
            "author": {"name": "\ud800\0" * 2000, "email": "e" * 2000},
            "added": [f"{number}" for number in range(MOST_FILES + 5)] + ["n" * 10_000, "\udfff"],
            "timestamp": "yesterday",
        }
        (change,) = read("github", "push", github_push(commits=[commit], head_commit=commit)).changes
        self.assertEqual(len(change.comments), 65536)
        self.assertEqual(len(change.files), MOST_FILES)
        self.assertIsNone(change.happened)
        change.author.encode()

    def test_skips(self) -> None:
        """
        A push whose newest message matches one of skips is no change; [ci skip] and [skip ci] are the default.
        """
        for message in ("x [ci skip]", "x [Skip CI] y", "[ skip  ci ]"):
            payload = github_push(head_commit={"id": B, "message": message})
            self.assertEqual(list(read("github", "push", payload).changes), [], message)
            self.assertEqual(len(read("github", "push", payload, skips=("nothing",)).changes), 2)

    def test_only_push_commit(self) -> None:
        """
        onlyIncludePushCommit: the newest commit alone is a change.
        """
        (change,) = read("gitea", "push", gitea_push(), only_push_commit=True).changes
        self.assertEqual(change.revision, B)

    def test_codebase(self) -> None:
        """
        Codebase is a text, or a function of the payload; its failure is said without its text.
        """
        self.assertEqual(read("github", "push", github_push(), codebase="c").changes[0].codebase, "c")
        found = read("github", "push", github_push(), codebase=lambda payload: payload["repository"]["name"])
        self.assertEqual(found.changes[0].codebase, "r")
        for function in (lambda payload: payload["nothing"], lambda payload: 3):
            with self.assertRaisesRegex(WebhookError, "codebase function"):
                read("github", "push", github_push(), codebase=function)
            # A payload that is no change has not all that the function looks at.
            self.assertEqual(read("github", "ping", {"zen": "x"}, codebase=function).remark, "The webhook works.")

    def test_form(self) -> None:
        """
        A payload in a form, GitHub's other content type, is the same.
        """
        body = urlencode({"payload": json.dumps(github_push())}).encode()
        sent = delivery("github", "push", body, **{"content-type": "Application/X-WWW-Form-urlencoded; charset=utf-8"})
        self.assertEqual(len(read_delivery(sent, HookDialect(name="github", secret="s"), SECRET).changes), 2)


class PullRequestTests(SynchronousTestCase):
    FROM_A_FORK: ClassVar[dict[str, str]] = {
        "github": "refs/pull/7/merge",
        "gitlab": "refs/merge-requests/7/head",
        "gitea": "refs/pull/7/head",
        "bitbucket": "refs/pull-requests/7/from",
    }

    def test_fork(self) -> None:
        """
        Promise 8.1: a pull request from a fork is an untrusted change of the repository that it is for, whose branch is
        a reference that nobody but the forge makes.
        """
        for dialect, (event, payload) in REQUESTS.items():
            report = read(dialect, event, payload())
            (change,) = report.changes
            self.assertTrue(change.untrusted, dialect)
            self.assertEqual(change.branch, self.FROM_A_FORK[dialect])
            self.assertEqual(change.revision, B[:12] if dialect == "bitbucket" else B)
            self.assertEqual((change.repository, change.project), (PushTests.ADDRESSES[dialect], "o/r"))
            self.assertEqual(change.category, "pull-created" if dialect == "bitbucket" else "pull")
            self.assertIn("Mend it", change.comments)
            # A poller of the repository does not see it.
            self.assertEqual(list(report.addresses), [])

    def test_own_branch(self) -> None:
        """
        A pull request from a branch of the repository itself needed the right to push, and is trusted.
        """
        same: dict[str, Any] = {"github": "o/r", "gitlab": 15, "gitea": "o/r", "bitbucket": "o/r"}
        for dialect, (event, payload) in REQUESTS.items():
            (change,) = read(dialect, event, payload(same[dialect])).changes
            self.assertFalse(change.untrusted, dialect)

    def test_deleted_fork(self) -> None:
        """
        A pull request whose repository was deleted is untrusted.
        """
        self.assertTrue(read("github", "pull_request", github_pull_request(None)).changes[0].untrusted)
        self.assertTrue(read("gitea", "pull_request", gitea_pull_request(None)).changes[0].untrusted)
        self.assertTrue(read("gitlab", "Merge Request Hook", gitlab_merge_request(None)).changes[0].untrusted)
        nowhere = bitbucket_pull_request()
        nowhere["pullrequest"]["source"]["repository"] = None
        self.assertTrue(read("bitbucket", "pullrequest:created", nowhere).changes[0].untrusted)

    def test_no_branch(self) -> None:
        """
        Promise 8.1: a pull request that was pushed to refs/for/main of Gitea or Forgejo ("AGit") needs no right but to
        read: it is untrusted, although its head is in the repository itself.
        """
        payload = gitea_pull_request("o/r")
        payload["pull_request"]["head"] |= {"label": "", "ref": "refs/pull/7/head"}
        for head in ({}, {"label": "mend"}, {"label": "", "ref": "mend"}):
            payload["pull_request"]["head"] |= head
            (change,) = read("gitea", "pull_request", payload).changes
            self.assertTrue(change.untrusted, head)

    def test_head(self) -> None:
        """
        pullrequest_ref="head" builds the head of a pull request instead of its merge.
        """
        (change,) = read("github", "pull_request", github_pull_request(), pull_request_ref="head").changes
        self.assertEqual(change.branch, "refs/pull/7/head")

    def test_whitelist(self) -> None:
        """
        github_property_whitelist: the matching values of the pull request become properties.
        """
        payload = github_pull_request()
        (change,) = read(
            "github", "pull_request", payload, property_whitelist=("github.head.*", "github.number")
        ).changes
        self.assertEqual(change.properties["github.number"], [7, "Change"])
        self.assertEqual(change.properties["github.head.ref"], ["mend", "Change"])
        self.assertNotIn("github.title", change.properties)

    def test_no_news(self) -> None:
        """
        What happens to a pull request without new commits is no change, which is said.
        """
        cases: tuple[tuple[str, str, Any], ...] = (
            ("github", "pull_request", github_pull_request(action="labeled")),
            ("gitea", "pull_request", gitea_pull_request(action="closed")),
            ("gitlab", "Merge Request Hook", gitlab_merge_request(action="update")),
            ("gitlab", "Merge Request Hook", gitlab_merge_request(action="merge")),
            ("bitbucket", "pullrequest:fulfilled", bitbucket_pull_request()),
            ("github", "ping", {"zen": "x"}),
            ("github", "star", {}),
        )
        for dialect, event, payload in cases:
            report = read(dialect, event, payload)
            self.assertEqual(list(report.changes), [], event)
            self.assertTrue(report.remark, event)
        pushed = gitlab_merge_request(action="update", oldrev=A)
        self.assertEqual(len(read("gitlab", "Merge Request Hook", pushed).changes), 1)


class ProofTests(SynchronousTestCase):
    def test_known_signature(self) -> None:
        """
        The signature is the one of GitHub's documentation: HMAC-SHA256 of "Hello, World!".
        """
        signed = proof("github", b"Hello, World!", "It's a Secret to Everybody")
        self.assertEqual(signed, "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17")

    def test_wrong(self) -> None:
        """
        Promise 8.1: a delivery with a wrong signature, or without one, is refused with 403 before it is parsed.
        """
        for dialect in DIALECTS:
            good = delivery(dialect, "push", b"this is not JSON")
            for wrong in ("sha256=" + "0" * 64, "x", "sha1=" + good.proof, "\xe9"):
                bad = Delivery(dialect, {**good.headers, good.proof_header: wrong}, good.body)
                self.refuse(bad, 403, "does not match")
            bare = Delivery(dialect, {}, good.body)
            self.refuse(bare, 403, "has no header")

    def test_token_in_any_language(self) -> None:
        """
        GitLab sends its token in UTF-8, whose bytes a header's value has as Latin-1.
        """
        body = json.dumps(gitlab_push()).encode()
        for secret, arrives in (("Geheimnis-ü€", True), ("Geheimnis-?", False)):
            sent = Delivery("gitlab", {"x-gitlab-token": "Geheimnis-ü€".encode().decode("latin-1")}, body)
            if arrives:
                read_delivery(sent, HookDialect(name="gitlab", secret="s"), secret)
            else:
                with self.assertRaises(WebhookError):
                    read_delivery(sent, HookDialect(name="gitlab", secret="s"), secret)

    def test_other_body(self) -> None:
        """
        A signature is that of one body.
        """
        good = delivery("github", "push", github_push())
        self.refuse(Delivery("github", good.headers, good.body + b" "), 403, "does not match")

    def test_no_payload(self) -> None:
        """
        A signed body that is no payload is refused with 400.
        """
        for body in (b"", b"[]", b"not json", b"[" * 100_000, b"{}", b'{"ref": 3}', b'{"ref": "refs/heads/a b"}'):
            self.refuse(delivery("github", "push", body), 400, "")

    def test_bad_names(self) -> None:
        """
        Promise 8.1: names of branches that git does not allow are refused.
        """
        for name in (
            "refs/heads/../x",
            "refs/heads/a..b",
            "refs/heads/-\x1b[2J",
            "refs/heads/x.lock",
            "main",
            "--x/y:z",
        ):
            self.refuse(delivery("github", "push", github_push(ref=name)), 400, "not the name of a git reference")
        for name in ("--upload-pack=x", "HEAD", "a" * 41 + "g"):
            self.refuse(delivery("gitlab", "", gitlab_push(checkout_sha=name)), 400, "not the name of a commit")

    def refuse(self, sent: Delivery, status: int, words: str) -> None:
        """
        Check that *sent* is refused.
        """
        with self.assertRaisesRegex(WebhookError, words) as caught:
            read_delivery(sent, HookDialect(name=sent.dialect, secret="s"), SECRET)
        self.assertEqual(caught.exception.status, status)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=10,
)


@st.composite
def bent_payloads(draw: st.DrawFn) -> tuple[str, str, Any]:
    """
    A payload of some forge with a value somewhere replaced by any other.
    """
    dialect = draw(st.sampled_from(sorted(DIALECTS)))
    event, make = draw(st.sampled_from([PUSHES[dialect], REQUESTS[dialect]]))
    payload = json.loads(json.dumps(make()))
    place = payload
    while True:
        name = draw(st.sampled_from(sorted(place) if isinstance(place, dict) else range(len(place))))
        inner = place[name]
        if not isinstance(inner, dict | list) or not inner or draw(st.booleans()):
            place[name] = draw(JSON)
            return dialect, event, payload
        place = inner


class AnythingTests(SynchronousTestCase):
    @settings(deadline=None, max_examples=300)
    @given(bent_payloads())
    def test_bent_payload(self, bent: tuple[str, str, Any]) -> None:
        """
        Promise 8.1: whatever a signed payload contains, it is changes that can be recorded, or a sentence.
        """
        self.check(*bent)

    @settings(deadline=None, max_examples=100)
    @given(st.sampled_from(sorted(DIALECTS)), JSON)
    def test_any_json(self, dialect: str, payload: Any) -> None:
        """
        Any JSON is changes or a sentence.
        """
        for event in (PUSHES[dialect][0], REQUESTS[dialect][0]):
            self.check(dialect, event, payload)

    def check(self, dialect: str, event: str, payload: Any) -> None:
        """
        Read *payload*, and record what it says as text.
        """
        try:
            report = read(dialect, event, payload)
        except WebhookError as error:
            self.assertTrue(str(error).endswith("."), str(error))
        else:
            for change in report.changes:
                repr(change.checked()).encode()
                _ = change.digest, (change.author + change.comments + "".join(change.files)).encode()

    @settings(deadline=None)
    @given(st.binary(max_size=200))
    def test_frames(self, body: bytes) -> None:
        """
        A delivery arrives as it was sent, whatever its body is; a reply is one line.
        """
        sent = Delivery("github", {"x-github-event": "push", "content-type": "é"}, body)
        self.assertEqual(Delivery.from_bytes(sent.to_bytes()), sent)
        self.assertEqual(HookReply.from_bytes(HookReply(403, "a\nb").to_bytes()), HookReply(403, "a?b"))
        HookReply.from_bytes(body)
