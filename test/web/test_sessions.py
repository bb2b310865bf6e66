"""
Who may do what on the pages.
"""

import gc
import re
from collections.abc import Awaitable, Mapping
from typing import Any
from urllib.parse import urlencode

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.testing import StringTransport
from twisted.python.failure import Failure

from buildbot_lite.errors import (
    BuildbotLiteError,
    InputError,
    NoAnswerError,
    NotFoundError,
    PropertyError,
    RefusedError,
    RevokedError,
)
from buildbot_lite.model.input_kinds import LARGEST_TEXT
from buildbot_lite.web.dispatcher import Pages
from buildbot_lite.web.farm.live import Document
from buildbot_lite.web.farm.master_watch import FarmChange
from buildbot_lite.web.holders import sessions, string_checks
from buildbot_lite.web.holders.session_cookie import COOKIE
from buildbot_lite.web.holders.sessions import CHECKED_FOR, LONGEST, MOST_OF_ONE
from buildbot_lite.web.holders.string_checks import AT_ONCE, IN_A_ROW, MOST_WAITING, PER_SECOND, REFUSED_FOR
from buildbot_lite.web.pages.forms import MOST_FIELDS
from buildbot_lite.web.root import SiteRoot
from buildbot_lite.web.routes import ROUTES
from buildbot_lite.web.serving.bounded_request import LONGEST_WAIT
from buildbot_lite.web.serving.policy import WebPolicy
from buildbot_lite.web.serving.rooms import LARGEST_FORM
from buildbot_lite.web.serving.site import make_factory

from .pages_case import CONTROL, OWN, TUB, PagesCase, Received, received

ENTERING = (
    "POST /enter HTTP/1.1\r\nHost: localhost:8010\r\nContent-Length: 9\r\n"
    "Content-Type: application/x-www-form-urlencoded\r\n\r\ncode={:04}"
)
MAY = ["cancel", "rebuild", "pause", "status", "me"]


class SessionCase(PagesCase):
    def setUp(self) -> None:
        super().setUp()
        self.master.answers["redeem"] = {"furl": CONTROL}
        self.holders.grants[CONTROL] = {"grant": 7, "label": "Ada", "may": MAY}

    def tearDown(self) -> None:
        """
        Nobody waits for the master or for a turn any more: the garbage collector would resume them in another test.
        """
        for _ in range(MOST_WAITING):
            self.clock.advance(string_checks.LONGEST)
        gc.collect()
        super().tearDown()

    def entered(self) -> dict[str, str]:
        """
        The headers of a browser that has exchanged a code.
        """
        answer = self.post("/enter", {"code": "a-code-of-the-admin"})
        self.assertEqual(answer.status, 303)
        return {"Cookie": answer.headers["set-cookie"].partition(";")[0]}

    def cancelled(self, headers: dict[str, str]) -> Received:
        """
        The answer to a request to cancel.
        """
        return self.post("/do/cancel", {"request": "12"}, headers)


class BrowserTests(SessionCase):
    """
    Sessions of browsers.
    """

    def test_code(self) -> None:
        """
        GET shows a button and redeems nothing; POST exchanges the code for a cookie that no script reads and that no
        other site's page sends.
        """
        self.assertEqual(self.get("/enter?code=abcdefghijk").status, 200)
        self.assertNotIn("redeem", self.master.asked)
        cookie = self.post("/enter", {"code": "abcdefghijk"}).headers["set-cookie"]
        self.assertIn("HttpOnly; SameSite=Strict", cookie)
        self.assertNotIn("secret", cookie)

    def test_acts(self) -> None:
        """
        What the holder does is asked of the master with the holder's own FURL.
        """
        answer = self.cancelled(self.entered())
        self.assertEqual((answer.status, answer.headers["location"]), (303, "../queue"))
        question = {"ask": "cancel", "request": 12, "reason": "cancelled by Ada"}
        self.assertEqual(self.holders.asked, [(CONTROL, question)])

    def test_kept(self) -> None:
        """
        The same page is made once a second for the same holder, and for others of the same name with the same rights:
        never for strangers, nor for holders who may do something else.
        """
        made: list[object] = []
        render = self.view.templates.render

        def seen(template: str, context: Mapping[str, Any]) -> bytes:
            made.append(context["holder"])
            return render(template, context)

        self.patch(self.view.templates, "render", seen)
        ada, again = self.entered(), self.entered()
        self.assertEqual(self.get("/queue", ada).body, self.get("/queue", again).body)
        self.assertEqual(len(made), 1)
        for label, may in (("Ada", [*MAY, "force"]), ("Grace", MAY)):
            self.holders.grants[CONTROL] = {"grant": 8, "label": label, "may": may}
            self.assertIn(label, self.get("/queue", self.entered()).text)
        self.assertIn("Sign in", self.get("/queue").text)
        self.assertEqual(len(made), 4)
        self.assertIn("Sign out", self.get("/queue", ada).text)
        self.assertEqual(len(made), 4)

    def test_nobody(self) -> None:
        """
        Without a session, or by GET, nothing is done.
        """
        self.assertEqual(self.cancelled({}).status, 401)
        self.assertEqual(self.cancelled({"Cookie": f"{COOKIE}=made-up-by-somebody"}).status, 401)
        self.assertEqual(self.get("/do/cancel?request=12", self.entered()).status, 405)
        self.assertEqual(self.holders.asked, [])

    def test_way_back(self) -> None:
        """
        A refusal leads back to the page of ours from which somebody came, and to no other site.
        """
        came_from = {"Referer": "http://localhost:8010/ci/builders/x/1"}
        self.assertIn('href="/ci/builders/x/1"', self.post("/do/cancel", {"request": "1"}, came_from).text)
        others = ("https://evil.example/x", "http://localhost:8010//evil.example/x", "javascript:alert(1)", "http://[")
        for other in others:
            answer = self.post("/do/cancel", {"request": "1"}, {"Referer": other})
            self.assertEqual(answer.status, 401)
            page = answer.text
            self.assertNotIn('href="//', page)
            self.assertNotIn("https://evil", page)
            self.assertNotIn("javascript", page)

    def test_names(self) -> None:
        """
        Pages and records name the holder, and not from where and when the session began.
        """
        self.holders.grants[CONTROL] = {"grant": 7, "label": "web session of Ann (from 10.1.2.3, today)", "may": MAY}
        cookie = self.entered()
        self.cancelled(cookie)
        self.assertEqual(self.holders.asked[-1][1]["reason"], "cancelled by Ann")
        self.assertNotIn("10.1.2.3", self.get("/", cookie).text)

    def test_not_permitted(self) -> None:
        """
        A holder does only what the grant permits.
        """
        self.holders.grants[CONTROL] = {"grant": 7, "label": "Ada", "may": ["status"]}
        self.assertEqual(self.cancelled(self.entered()).status, 403)
        self.assertEqual(self.holders.asked, [])

    def test_other_site(self) -> None:
        """
        A page of another site cannot use the session, nor one at another port of our host.
        """
        cookie = self.entered()
        for header in ({"Origin": "https://evil.example"}, {"Sec-Fetch-Site": "cross-site"}, {"Origin": "null"}):
            self.assertEqual(self.cancelled({**cookie, **header}).status, 403)
        other_port = {"Origin": "http://localhost:8011", "X-Forwarded-Host": "localhost:8011"}
        self.assertEqual(self.cancelled({**cookie, **other_port}).status, 403)
        self.assertEqual(self.cancelled({**cookie, "Origin": "http://localhost:8010"}).status, 303)

    def test_other_cookies(self) -> None:
        """
        Cookies of other programs on the same host, of any form, and of another farm there, end no session.
        """
        cookie = self.entered()["Cookie"]
        other = f"{COOKIE}=of-another-farm"
        for sent in (
            f'a={{"b": [1]}}; {cookie}',
            f"{other}; {cookie}",
            f"{cookie}; {other}",
            f"x={'y' * 5000};{cookie}",
        ):
            self.assertEqual(self.cancelled({"Cookie": sent}).status, 303, sent)
        self.post("/leave", {}, {"Cookie": f"{cookie}; {other}"})
        self.assertEqual(self.cancelled({"Cookie": cookie}).status, 401)

    def test_revoked(self) -> None:
        """
        A revoked grant ends the session at once.
        """
        cookie = self.entered()
        self.news.tell(FarmChange(1, frozenset(), frozenset({7}), ""))
        self.assertEqual(self.cancelled(cookie).status, 401)

    def test_all_end(self) -> None:
        """
        Promise 10.7: when the string of the pages is revoked, all sessions end: what they still receive is cut, that of
        others is not, and none begins.
        """
        cut: list[object] = []

        def abort(transport: StringTransport) -> None:
            cut.append(transport)

        self.patch(StringTransport, "abortConnection", abort)
        ask = "GET /api/v1/events HTTP/1.1\r\nHost: localhost:8010\r\n{}\r\n"
        cookie = self.entered()
        self.send(ask.format("").encode())
        for header in (f"Cookie: {cookie['Cookie']}", f"Authorization: Bearer {CONTROL}"):
            stream = self.send(ask.format(f"{header}\r\n").encode())
            self.assertIn(b"200 OK", stream.value())
            self.assertEqual(cut, [])
            self.sessions.end_all()
            self.assertEqual(cut, [stream])
            cut.clear()
            self.connections[-1].connectionLost(Failure(ConnectionDone()))
        self.assertEqual(self.cancelled(cookie).status, 401)
        self.own = None
        answer = self.post("/enter", {"code": CONTROL})
        # No browser sends a form again by itself.
        self.assertEqual((answer.status, answer.headers["retry-after"]), (503, "5"))
        self.assertNotIn("refresh", answer.headers)

    def test_all_end_meanwhile(self) -> None:
        """
        No session begins with what the master said of a string before all sessions ended: nobody would end it.
        """
        self.holders.slow = []
        sent = (
            f"POST /enter HTTP/1.1\r\nHost: localhost:8010\r\nContent-Length: {5 + len(CONTROL)}\r\n\r\ncode={CONTROL}"
        )
        asked = f"GET /api/v1/builds HTTP/1.1\r\nHost: localhost:8010\r\nAuthorization: Bearer {CONTROL}\r\n\r\n"
        for request in (sent, asked):
            answer = self.send(request.encode())
            self.sessions.end_all()
            self.holders.slow.pop().callback(self.holders.grants[CONTROL])
            self.assertEqual(received(answer.value()).status, 503)

    def test_perhaps_revoked(self) -> None:
        """
        When nobody knows which grants were revoked, sessions of those that were end, and the others stay.
        """
        cookie = self.entered()
        self.news.tell(FarmChange(1, None, None, ""))
        self.assertEqual(self.cancelled(cookie).status, 303)
        del self.holders.grants[CONTROL]
        self.news.tell(FarmChange(2, None, None, ""))
        self.assertEqual(self.cancelled(cookie).status, 401)

    def test_entered_anew(self) -> None:
        """
        Promise 10.7: who signs in anew ends the session before, and its string at once; not one that another browser
        still has a session with, which an admin handed out.
        """
        first = self.entered()
        second = f"{CONTROL}2"
        self.holders.grants[second] = {"grant": 9, "label": "Ada", "may": MAY}
        self.master.answers["redeem"] = {"furl": second}
        again = self.post("/enter", {"code": "another-code"}, first)
        self.assertEqual(again.status, 303)
        self.assertEqual(self.holders.asked, [(CONTROL, {"ask": "sign-out"})])
        self.assertEqual(self.cancelled(first).status, 401)
        cookie = {"Cookie": again.headers["set-cookie"].partition(";")[0]}
        self.assertEqual(self.cancelled(cookie).status, 303)

        self.holders.asked.clear()
        self.assertEqual(self.post("/enter", {"code": second}).status, 303)
        self.assertEqual(self.post("/enter", {"code": second}, cookie).status, 303)
        self.assertEqual(self.post("/enter", {"code": CONTROL}, cookie).status, 303)
        self.assertEqual(self.holders.asked, [])

    def test_ends(self) -> None:
        """
        A session ends after a time, and when the holder leaves.
        """
        cookie = self.entered()
        self.clock.advance(LONGEST)
        self.assertEqual(self.cancelled(cookie).status, 401)
        cookie = self.entered()
        self.assertEqual(self.post("/leave", {}, cookie).status, 303)
        self.assertEqual(self.cancelled(cookie).status, 401)

    def test_expires(self) -> None:
        """
        A session ends with the string that it is of, and so does the cookie.
        """
        self.holders.grants[CONTROL] = {"grant": 7, "label": "Ada", "may": MAY, "expires": self.wall() + 90.0}
        self.assertIn("Max-Age=90;", self.post("/enter", {"code": "a-code-of-the-admin"}).headers["set-cookie"])
        cookie, bearer = self.entered(), {"Authorization": f"Bearer {CONTROL}"}
        self.clock.advance(60.0)
        self.assertEqual([self.cancelled(each).status for each in (cookie, bearer)], [303, 303])
        del self.holders.grants[CONTROL]
        self.clock.advance(30.0)
        self.assertEqual(self.cancelled(cookie).status, 401)
        self.assertNotEqual(self.cancelled(bearer).status, 303)

    def test_back(self) -> None:
        """
        The way back leads to a page of ours only.
        """
        cookie = self.entered()
        for back in ("https://evil.example", "//evil.example", "builders/../../evil", "builders/x\r\nSet-Cookie: a=b"):
            answer = self.post("/do/cancel", {"request": "1", "back": back}, cookie)
            self.assertEqual(answer.headers["location"], "../queue", back)


class GrantsTests(SessionCase):
    """
    What was handed out, for admins.
    """

    def test_admin(self) -> None:
        """
        Promise 10.4: an admin enters with the admin's string, and sees the grants; nobody else does.
        """
        grant = {"grant": 3, "verb": "slave", "name": "<b>bot1</b>", "label": "", "state": "valid", "created": 1.0}
        self.holders.answers["grants"] = {"grants": [grant]}
        for headers, status in (({}, 401), (self.entered(), 403)):
            refused = self.get("/grants", headers)
            self.assertEqual(refused.status, status)
            self.assertIn("the string of an admin", refused.text)
        admin = CONTROL.replace("control", "admins")
        self.holders.grants[admin] = {"grant": 1, "label": "", "may": None}
        answer = self.post("/enter", {"code": f"  {admin}\n"})
        self.assertEqual(self.master.asked.count("redeem"), 1)
        page = self.get("/grants", {"Cookie": answer.headers["set-cookie"].partition(";")[0]})
        self.assertEqual(page.status, 200)
        self.assertIn("&lt;b&gt;bot1", page.text)
        self.assertNotIn("secret", page.text)

    def test_wrong_string(self) -> None:
        """
        A string that the master does not know opens no session.
        """
        answer = self.post("/enter", {"code": CONTROL.replace("control", "unknown")})
        self.assertEqual(answer.status, 403)
        self.assertNotIn("set-cookie", answer.headers)


class ForceTests(SessionCase):
    """
    Forms of ForceSchedulers.
    """

    FIELDS = (
        {"name": "reason", "label": "Why", "kind": "text", "default": "force build", "choices": []},
        {"name": "kind", "label": "<b>Kind</b>", "kind": "choice", "default": "b", "choices": ["a", "b"]},
        {"name": "clean", "label": "Clean", "kind": "flag", "default": True, "choices": []},
        {"name": "several", "label": "Several", "kind": "choice", "default": ["x"], "choices": ["x", "y"]},
        {"name": "jobs", "label": "Jobs", "kind": "choice", "default": 5, "choices": ["1", "5"], "open": True},
        {"name": "text", "label": "Text", "kind": "lines", "default": "</textarea><script>", "choices": []},
        {"name": "body", "label": "Body", "kind": "file", "default": "", "choices": [], "group": "<b>Patch"},
        {"name": "n", "label": "Number", "kind": "number", "default": 3, "choices": []},
        {"name": "where", "label": "Slave", "kind": "slave", "default": "any", "choices": ["any", "bot1"]},
        {"name": "from", "label": "Build", "kind": "build", "default": "", "choices": []},
    )

    def setUp(self) -> None:
        super().setUp()
        self.holders.grants[CONTROL] = {"grant": 7, "label": "Ada", "may": [*MAY, "force"]}
        more = {"required": False, "open": False, "problem": "", "group": "", "demand": "Whatever."}
        fields = [{**more, "multiple": each["name"] == "several", **each} for each in self.FIELDS]
        form = {"scheduler": "force", "label": "Force", "button": "Go", "fields": fields, "any": True}
        self.holders.answers["force-forms"] = {"forms": [form, {**form, "scheduler": "second"}]}
        self.cookie = self.entered()

    def test_form(self) -> None:
        """
        Each parameter has its field with its default, and nothing of it is markup; it is named with its group.
        """
        page = self.get("/builders/linux/force", self.cookie)
        self.assertEqual(page.status, 200)
        for field in self.FIELDS:
            self.assertIn(f'name="p.{field["name"]}"', page.text)
        self.assertIn('<option value="b" selected>b</option>', page.text)
        self.assertRegex(page.text, 'name="p.jobs" [^>]*value="5"')
        self.assertRegex(page.text, r"<legend>&lt;b&gt;Patch</legend>\s*<div class=\"field\">\s*<label[^>]*>Body<")
        self.assertEqual(page.text.count("<fieldset>"), page.text.count('</fieldset>\n<div class="field">'))
        self.assertNotIn("<script>", page.text)
        self.assertNotIn("<b>Kind", page.text)
        self.assertNotIn("<b>Patch", page.text)

    def test_ids(self) -> None:
        """
        Of several forms on one page, each label is that of a field of its own form.
        """
        text = self.get("/builders/linux/force", self.cookie).text
        ids, labelled = re.findall(r' id="([^"]+)"', text), re.findall(r' for="([^"]+)"', text)
        self.assertEqual(len(ids), len(set(ids)))
        self.assertEqual((len(labelled), len(set(labelled) - set(ids))), (2 * len(self.FIELDS) + 2, 0))

    def test_described(self) -> None:
        """
        Promise 10.9: a field of any kind is described by the sentence about its values, for those who do not see it.
        """
        text = self.get("/builders/linux/force", self.cookie).text
        described = re.findall(r'<(?:input|select|textarea) id="([^"]+)"[^>]* aria-describedby="([^"]+)"', text)
        places = range(1, len(self.FIELDS) + 1)
        wanted = [each for form in (1, 2) for each in (*(f"form-{form}-{place}" for place in places), f"more-{form}")]
        self.assertEqual(described, [(each, f"{each}-demand") for each in wanted])

    def test_force(self) -> None:
        """
        Promise 10.9: the values go to the master as those of the command do; what is left empty is not given.
        """
        fields = {"scheduler": "force", "p.reason": "try", "p.kind": "a", "p.from": "", "more": "x = 1\r\n\r\ny=2=3"}
        answer = self.post("/builders/a%252Fb/force", fields, self.cookie)
        self.assertEqual((answer.status, answer.headers["location"]), (303, "../a%252Fb"))
        _, question = self.holders.asked[-1]
        values = {"kind": "a", "x": "1", "y": "2=3"}
        wanted = {"ask": "force", "builder": "a/b", "scheduler": "force", "properties": values, "reason": "try"}
        self.assertEqual(question, {**wanted, "problems": True})

    def test_nothing_chosen(self) -> None:
        """
        Promise 10.9: where several values may be chosen, none may be, too; a form that did not show the choice does not
        say so, and the choice stays empty when the form is shown again.
        """
        for fields, values in (
            ({"m.several": "1"}, {"several": []}),
            ({"m.several": "1", "p.several": "y"}, {"several": "y"}),
            ({}, {}),
        ):
            self.post("/builders/linux/force", {"scheduler": "force", **fields}, self.cookie)
            self.assertEqual(self.holders.asked[-1][1]["properties"], values)
        fields = {"scheduler": "force", "m.several": "1", "more": "wrong"}
        again = self.post("/builders/linux/force", fields, self.cookie).text.partition('id="form-2"')[0]
        self.assertIn('<option value="x">x</option><option value="y">y</option>', again)

    def test_many_chosen(self) -> None:
        """
        Promise 10.9: of many choices several may be chosen; what is more than a page takes is refused with what helps.
        """
        chosen = "&".join("p.several=x" for _ in range(MOST_FIELDS - 2))
        head = "".join(f"{name}: {value}\r\n" for name, value in self.cookie.items())
        head = f"POST /builders/linux/force HTTP/1.1\r\nHost: localhost:8010\r\n{head}"
        head += "Content-Type: application/x-www-form-urlencoded\r\n"
        for body, status in ((chosen, 303), (f"{chosen}&p.several=x", 400)):
            whole = f"scheduler=force&m.several=1&{body}"
            sent = self.send(f"{head}Content-Length: {len(whole)}\r\n\r\n{whole}".encode())
            self.assertEqual(received(sent.value()).status, status)
        self.assertEqual(self.holders.asked[-2][1]["properties"], {"several": ",".join("x" * (MOST_FIELDS - 2))})
        self.assertIn(f"has more than {MOST_FIELDS} values: choose fewer", received(sent.value()).text)

    def test_beside_the_fields(self) -> None:
        """
        Promise 10.9: each value that is wrong is said beside its field, with the field's label, and above the form with
        a link to the field; the cursor stands in the first one.  What no field is for is said above.
        """
        told = {"n": "n must be a whole number, not 'x'.", "body": "The patch is <empty>.", "where": "'a' is no slave."}
        problems = [{"name": name, "sentence": sentence} for name, sentence in {**told, "zz": "No zz."}.items()]
        self.holders.answers["force"] = {"problems": problems}
        answer = self.post(
            "/builders/linux/force", {"scheduler": "second", "p.n": "x", "p.reason": "kept"}, self.cookie
        )
        self.assertEqual(answer.status, 400)
        first, second = answer.text.partition('id="form-2"')[::2]
        self.assertNotIn("aria-invalid", first)
        for place, sentence in (
            (7, "The patch is &lt;empty&gt;."), (8, "Number must be a whole number, not &#39;x&#39;."),
            (9, "&#39;a&#39; is no slave."),
        ):  # fmt: skip
            self.assertIn(f'<p class="wrong" id="form-2-{place}-wrong">{sentence}</p>', second)
            described = f'aria-describedby="form-2-{place}-wrong form-2-{place}-demand" aria-invalid="true"'
            self.assertRegex(second, f'id="form-2-{place}" [^>]*{described}{" autofocus" if place == 7 else "[ >]"}')
        summary = re.findall(r"<li>(?:<a href=\"([^\"]*)\">)?([^<]*)", second)
        wanted = ["#form-2-7", "#form-2-8", "#form-2-9", "#more-2"]
        self.assertEqual([address for address, _ in summary], wanted)
        self.assertEqual(summary[0][1], "&lt;b&gt;Patch: The patch is &lt;empty&gt;.")
        self.assertEqual(second.count("autofocus"), 1)
        self.assertIn('value="kept"', second)
        self.assertIn("<title>Not started: Force linux", first)

    def test_wrong(self) -> None:
        """
        What is wrong already in the form is said, and the form keeps what was typed.
        """
        for more, scheduler in (("no equals sign", "force"), ("", "another")):
            fields = {"scheduler": scheduler, "p.reason": "typed before", "more": more}
            answer = self.post("/builders/linux/force", fields, self.cookie)
            self.assertEqual(answer.status, 400)
            self.assertIn('role="alert"', answer.text)
            self.assertEqual("typed before" in answer.text, scheduler == "force")
        self.assertNotIn("force", [question["ask"] for _, question in self.holders.asked])

    def test_refused(self) -> None:
        """
        What the master refuses is said above the form, which keeps what was typed, to the last tab.
        """
        patch = "\n--- a\n+++ b\n-\tx\n+\ty\u202e\n"
        for error in (NotFoundError("No build 9."), PropertyError("Leave out x."), InputError("No number.")):
            self.holders.refusals["force"] = error
            fields = {"scheduler": "second", "p.reason": "a\tb", "p.body": patch.replace("\n", "\r\n"), "more": "x=\t1"}
            answer = self.post("/builders/linux/force", fields, self.cookie)
            self.assertEqual(answer.status, 400)
            self.assertIn(str(error), answer.text)
            # The first line feed in a textarea is not part of its text (HTML, 13.1.2.6).
            for kept in (f">\n{patch}</textarea>", 'value="a\tb"', ">\nx=\t1</textarea>"):
                self.assertEqual(answer.text.count(kept), 1, repr(kept))

    def test_large(self) -> None:
        """
        Promise 10.9: a value may be as large as the command's, however a browser has to write it, from who may force
        builds; what is larger, or all together, is refused with the limit, and kept in the form if it is one.
        """
        text = "д" * (LARGEST_TEXT // 2)
        fields = {"scheduler": "force", "p.text": text, "p.reason": "try"}
        answer = self.post("/builders/linux/force", fields, self.cookie)
        self.assertEqual(answer.status, 303)
        self.assertEqual(self.holders.asked[-1][1]["properties"], {"text": text})
        answer = self.post("/builders/linux/force", {**fields, "p.text": f"{text}x"}, self.cookie)
        self.assertEqual(answer.status, 400)
        # The form with the whole value is sent bit by bit.
        self.assertIn(b"Text is too long.  A value has at most 768 KiB", answer.body[:10_000])
        answer = self.post("/builders/linux/force", {**fields, "p.text": text * 2}, self.cookie)
        self.assertEqual(answer.status, 400)
        self.assertIn("This form has more than 2368 KiB, as it is sent.  A value has at most 768 KiB", answer.text)
        for each in self.connections:
            each.connectionLost(Failure(ConnectionDone()))
        self.assertEqual([room.held for room in (self.factory.rooms.large_forms, self.factory.rooms.forms)], [0, 0])

    def test_large_of_one(self) -> None:
        """
        Promise 10.9: of the large forms of one visitor one is answered at a time, and the next waits for its turn, so
        long as there is room, at most a minute; meanwhile others force builds, with small forms and large ones.
        """
        waiting: list[Deferred[Document]] = []
        ask = self.sessions._ask

        def slow(furl: str, question: Document) -> Awaitable[Document]:
            if len(waiting) < 2 and question["ask"] == "force-forms":
                waiting.append(Deferred())
                return waiting[-1]
            return ask(furl, question)

        self.patch(self.sessions, "_ask", slow)
        policy = WebPolicy.of({"url": "https://farm.example/", "proxies": ["127.0.0.1"]}, "127.0.0.1")
        pages = Pages(self.view, ROUTES)
        root = SiteRoot(pages.resource(), None, lambda: policy, pages.takes_large_form)
        self.factory = make_factory(root, self.clock)
        self.factory.doStart()
        entered = received(self._sent("/enter", urlencode({"code": "a-code"}), "192.0.2.1").value())
        self.cookie = {"Cookie": entered.headers["set-cookie"].partition(";")[0]}
        large = urlencode({"scheduler": "force", "p.text": "x" * LARGEST_TEXT, "p.reason": "д" * 200})
        small = urlencode({"scheduler": "force", "p.text": "x", "p.reason": "try"})
        answers = [self._sent("/builders/linux/force", body, "192.0.2.1") for body in (large, small, large)]
        self.assertEqual([len(each.value()) for each in answers], [0, 0, 0])
        for body in (small, large):
            self.assertEqual(received(self._sent("/builders/linux/force", body, "192.0.2.2").value()).status, 303)
        self.assertLessEqual(self.factory.rooms.forms.held, LARGEST_FORM)
        self.assertLess(self.factory.rooms.large_forms.held, 3 * LARGEST_TEXT)
        for each in waiting:
            each.errback(NoAnswerError("The master does not answer."))
        self.assertEqual([received(each.value()).status for each in answers[:2]], [503, 503])
        self.assertEqual(len(answers[2].value()), 0)
        self.clock.advance(0)
        self.assertEqual(received(answers[2].value()).status, 303)

        waiting.clear()
        answers = [self._sent("/builders/linux/force", large, "192.0.2.1") for _ in range(2)]
        self.connections[-1].connectionLost(Failure(ConnectionDone()))
        answers.append(self._sent("/builders/linux/force", large, "192.0.2.1"))
        self.clock.advance(LONGEST_WAIT)
        self.assertEqual(received(answers[2].value()).status, 503)
        waiting.pop().errback(NoAnswerError("The master does not answer."))
        self.clock.advance(0)
        self.assertEqual(len(answers[1].value()), 0)
        self.assertEqual([room.held for room in (self.factory.rooms.large_forms, self.factory.rooms.forms)], [0, 0])

    def _sent(self, path: str, body: str, address: str) -> StringTransport:
        """
        The connection of a browser at *address* that sends the form *body* to *path*.
        """
        sent = {
            "Host": "farm.example",
            "X-Forwarded-For": address,
            "X-Forwarded-Proto": "https",
            "Content-Length": str(len(body)),
            **self.cookie,
        }
        head = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
        return self.send(f"POST {path} HTTP/1.1\r\n{head}\r\n{body}".encode())

    def test_large_of_others(self) -> None:
        """
        Promise 10.7: large forms of those who may not force builds, and at other addresses, are discarded as they come.
        """
        body = urlencode({"scheduler": "force", "p.text": "x" * LARGEST_FORM})
        for path, headers, may in (
            ("/builders/linux/force", {"Cookie": ""}, "force"),
            ("/builders/linux/force", {"Cookie": f"{COOKIE}=made-up-by-somebody"}, "force"),
            ("/builders/linux/force", {}, "status"),
            ("/builders/linux/1/force", {}, "force"),
            ("/builders/linux/force", {"X-Forwarded-For": "192.0.2.1"}, "force"),
            ("/do/cancel", {}, "force"),
        ):
            with self.subTest(path=path, headers=headers, may=may):
                self.holders.grants[CONTROL] = {"grant": 7, "label": "Ada", "may": [may, "cancel"]}
                sent = {"Host": "localhost", "Content-Length": str(len(body) + 1), **self.entered(), **headers}
                head = "".join(f"{name}: {value}\r\n" for name, value in sent.items())
                transport = self.send(f"POST {path} HTTP/1.1\r\n{head}\r\n{body}".encode())
                self.assertEqual((self.factory.rooms.large_forms.held, self.factory.rooms.forms.held), (0, 0))
                self.connections[-1].dataReceived(b"x")
                answer = received(transport.value())
                self.assertIn(answer.status, {400, 401, 403, 404})
                self.assertEqual(path == "/do/cancel", "This form has more than 64 KiB" in answer.text)

    def test_nobody(self) -> None:
        """
        Without a string there is no form.
        """
        self.assertEqual(self.get("/builders/linux/force").status, 401)


class BearerTests(SessionCase):
    """
    Programs with a string.
    """

    def bearer(self, furl: str) -> Received:
        """
        The answer to a request to cancel with *furl*.
        """
        return self.cancelled({"Authorization": f"Bearer {furl}"})

    def test_acts(self) -> None:
        """
        A program may do what its string permits.
        """
        self.assertEqual(self.bearer(CONTROL).status, 303)

    def test_addresses(self) -> None:
        """
        The addresses in a caller's string are not used, and a string of another farm is refused without asking anybody.
        """
        self.assertEqual(self.bearer(f"pb://{TUB}@evil.example:1/control-secret").status, 303)
        self.assertEqual({furl for furl, _ in self.holders.asked}, {CONTROL})
        self.assertEqual(self.bearer(CONTROL.replace("a" * 32, "b" * 32)).status, 403)
        self.assertEqual(self.bearer("no string").status, 403)

    def test_checked(self) -> None:
        """
        A string that the master does not know any more is refused soon.
        """
        self.assertEqual(self.bearer(CONTROL).status, 303)
        del self.holders.grants[CONTROL]
        self.clock.advance(CHECKED_FOR)
        self.assertEqual(self.bearer(CONTROL).status, 403)

    def test_plain(self) -> None:
        """
        Where others can read along, no string is taken, also not for a page that everybody may see.
        """
        header = {"Authorization": f"Bearer {CONTROL}", "X-Forwarded-For": "192.0.2.1"}
        self.assertEqual(self.get("/", header).status, 403)
        self.assertEqual(self.holders.checked, [])

    def test_open(self) -> None:
        """
        What everybody may see costs no question about a string.
        """
        self.assertEqual(self.get("/healthz", {"Authorization": f"Bearer {CONTROL}"}).status, 200)
        self.assertEqual(self.holders.checked, [])

    def test_refused(self) -> None:
        """
        A string that was refused is not asked about again for some seconds.
        """
        wrong = CONTROL.replace("control", "wrong")
        self.assertEqual([self.bearer(wrong).status for _ in range(3)], [403] * 3)
        self.assertEqual(self.holders.checked, [wrong])
        self.clock.advance(REFUSED_FOR)
        self.holders.grants[wrong] = self.holders.grants[CONTROL]
        self.assertEqual(self.bearer(wrong).status, 303)

    def test_many_checks(self) -> None:
        """
        Who makes up strings does not keep the others out, and many requests with one string are one question.
        """
        self.holders.slow = []
        for number in range(AT_ONCE):
            _ = self.begin(CONTROL.replace("control", f"wrong{number}"), f"192.0.2.{number}")
        more = [self.begin(CONTROL.replace("control", f"more{number}"), "192.0.2.1") for number in range(50)]
        mine = [self.begin(CONTROL, "198.51.100.1") for _ in range(5)]
        self.assertEqual(len(self.holders.slow), AT_ONCE)
        for number in range(2):
            self.holders.slow[number].errback(RevokedError())
        # One of those that wait for longer, and then whoever comes from another address.
        self.assertEqual(self.holders.checked[AT_ONCE:], [CONTROL.replace("control", "more0"), CONTROL])
        self.holders.slow[-1].callback(self.holders.grants[CONTROL])
        for each in mine:
            self.assertEqual(self.successResultOf(each), "Ada")
        for each in more:
            self.assertNoResult(each)

    def test_flood_of_strings(self) -> None:
        """
        What is made up costs the master some questions a second, whoever makes it up, and those who wait for their
        turn are bounded: of too many, those of the same address are refused.
        """
        for number in range(IN_A_ROW):
            _ = self.begin(CONTROL.replace("control", f"first{number}"), f"192.0.2.{number}")
        self.assertEqual(len(self.holders.checked), IN_A_ROW)
        mine = self.begin(CONTROL, "198.51.100.1")
        begun = [
            self.begin(CONTROL.replace("control", f"wrong{number}"), "192.0.2.1") for number in range(2 * MOST_WAITING)
        ]
        self.assertEqual(len(self.holders.checked), IN_A_ROW)
        self.assertEqual(sum(each.called for each in begun), MOST_WAITING + 1)
        self.clock.pump([0.1] * 10)
        self.assertTrue(0 < len(self.holders.checked) - IN_A_ROW <= PER_SECOND)
        self.assertEqual(self.successResultOf(mine), "Ada")

    def test_flood_of_codes(self) -> None:
        """
        Promise 10.7: made-up codes cost the master some questions a second, and the same turns as made-up strings, half
        of them; who comes from elsewhere has another one, and who hangs up none.
        """
        asking: list[Deferred[Any]] = []
        other = self.master.ask

        def ask(question: Mapping[str, Any]) -> Deferred[Any]:
            if question["ask"] != "redeem":
                return other(question)
            self.master.asked.append(question["ask"])
            asking.append(Deferred())
            return asking[-1]

        self.patch(self.master, "ask", ask)
        half = AT_ONCE // 2
        flood = [self.send(ENTERING.format(each).encode()) for each in range(half + MOST_WAITING + 5)]
        self.assertEqual(self.master.asked.count("redeem"), half)
        self.assertTrue(any(b"Too many strings and codes" in each.value() for each in flood))
        self.assertEqual(self.successResultOf(self.begin(CONTROL, "198.51.100.1")), "Ada")
        for each in self.connections[half : half + MOST_WAITING]:
            each.connectionLost(Failure(ConnectionDone()))
        asking[0].errback(RefusedError("wrong"))
        self.assertEqual(self.master.asked.count("redeem"), half)
        self.clock.pump([1.0] * int(string_checks.LONGEST + 1))
        self.assertIn(b"does not answer", flood[1].value())

    def test_codes_of_gone(self) -> None:
        """
        Promise 10.7: who brings made-up codes and hangs up, again and again, has no more of them asked about at a time.
        """
        asking: list[Deferred[Any]] = []
        other = self.master.ask

        def ask(question: Mapping[str, Any]) -> Deferred[Any]:
            if question["ask"] != "redeem":
                return other(question)
            asking.append(Deferred())
            return asking[-1]

        self.patch(self.master, "ask", ask)
        for number in range(AT_ONCE):
            self.send(ENTERING.format(number).encode())
            self.connections[-1].connectionLost(Failure(ConnectionDone()))
        self.assertEqual(len(asking), AT_ONCE // 2)
        asking[0].errback(RefusedError("wrong"))
        self.send(ENTERING.format(AT_ONCE).encode())
        self.assertEqual(len(asking), AT_ONCE // 2 + 1)

    def test_known_first(self) -> None:
        """
        The holder of a string that was good does not wait for those that are made up, for as long as the master takes;
        and a master that does not answer is not waited for without end.
        """
        self.assertEqual(self.bearer(CONTROL).status, 303)
        self.holders.slow = []
        waiting = [
            self.begin(CONTROL.replace("control", f"wrong{number}"), f"192.0.2.{number}") for number in range(99)
        ]
        self.clock.advance(CHECKED_FOR)
        mine = self.begin(CONTROL, "192.0.2.1")
        self.assertEqual(self.holders.checked[-1], CONTROL)
        self.holders.slow[-1].callback(self.holders.grants[CONTROL])
        self.assertEqual(self.successResultOf(mine), "Ada")
        for _ in range(99 // AT_ONCE + 1):
            self.clock.pump([1.0] * int(string_checks.LONGEST + 1))
        self.assertEqual([self.successResultOf(each) for each in waiting], [""] * 99)

    def begin(self, furl: str, address: str) -> Deferred[str]:
        """
        Open a session with *furl* from the IP address *address*: whose it is, or "" when it is refused.
        """

        async def opened() -> str:
            try:
                _, holder = await self.sessions.open(furl, address)
            except BuildbotLiteError:
                return ""
            return holder.label

        return Deferred.fromCoroutine(opened())

    def test_spellings(self) -> None:
        """
        One string is one bearer however it is spelled, and bearers end no session.
        """
        cookie = self.entered()
        before = len(self.holders.checked)
        for number in range(5):
            self.assertEqual(self.bearer(f"pb://{TUB}@h{number}.example:1/control-secret").status, 303)
        self.assertEqual(len(self.holders.checked), before + 1)
        self.patch(sessions, "MOST", 2)
        for number in range(4):
            other = CONTROL.replace("control", f"other{number}")
            self.holders.grants[other] = self.holders.grants[CONTROL]
            self.assertEqual(self.bearer(other).status, 303)
        self.assertEqual(self.cancelled(cookie).status, 303)

    def test_many_sessions(self) -> None:
        """
        Of one string's sessions the oldest ends, not those of others.
        """
        first, mine = self.begin(CONTROL, ""), self.entered()
        self.successResultOf(first)
        other = CONTROL.replace("control", "other")
        self.holders.grants[other] = self.holders.grants[CONTROL]
        for _ in range(MOST_OF_ONE + 5):
            self.successResultOf(self.begin(other, ""))
        self.assertEqual(self.cancelled(mine).status, 303)
        for _ in range(MOST_OF_ONE):
            self.successResultOf(self.begin(CONTROL, ""))
        self.assertEqual(self.cancelled(mine).status, 401)

    def test_checked_in_turn(self) -> None:
        """
        When nobody knows which grants were revoked, a master that has just started is asked about a few at a time.
        """
        for number in range(AT_ONCE + 4):
            other = CONTROL.replace("control", f"other{number}")
            self.holders.grants[other] = self.holders.grants[CONTROL]
            self.successResultOf(self.begin(other, ""))
        self.holders.slow = []
        self.news.tell(FarmChange(1, None, None, ""))
        self.news.tell(FarmChange(2, None, None, ""))
        self.assertEqual(len(self.holders.slow), AT_ONCE)
        self.holders.slow[0].callback({})
        self.assertEqual(len(self.holders.slow), AT_ONCE + 1)


class PrivateTests(SessionCase):
    """
    A private farm.
    """

    def setUp(self) -> None:
        super().setUp()
        self.master.answers["www"] = {"title": "Hidden", "private": True, "builders": []}

    def test_hidden(self) -> None:
        """
        Nobody without a grant reads anything of a private farm, also not what was just shown to a holder.
        """
        cookie = self.entered()
        self.assertEqual(self.get("/", cookie).status, 200)
        for path in ("/", "/builds", "/builders/x/1", "/api/v1/events", "/slaves"):
            self.assertEqual(self.get(path).status, 401, path)
        self.assertEqual(self.get("/enter").status, 200)
        self.assertEqual(self.get("/static/farm.css").status, 200)

    def test_bearer(self) -> None:
        """
        A program reads with a string, and what it was shown is shown to nobody else.
        """
        self.assertEqual(self.get("/", {"Authorization": f"Bearer {CONTROL}"}).status, 200)
        self.assertEqual(self.get("/").status, 401)

    def test_unknown(self) -> None:
        """
        While nobody knows whether the farm is private, it is.
        """
        self.master.away = True
        self.assertEqual(self.get("/").status, 401)
        self.assertNotIn(OWN, self.get("/").text)
