"""
The cookie of a browser's session, and its name.
"""

import re
from http.cookies import SimpleCookie

from buildbot_lite.web.dispatcher import Pages
from buildbot_lite.web.holders.session_cookie import COOKIE, DIGITS, SessionCookie
from buildbot_lite.web.root import SiteRoot
from buildbot_lite.web.routes import ROUTES
from buildbot_lite.web.serving.policy import WebPolicy
from buildbot_lite.web.serving.site import make_factory
from buildbot_lite.wire.certificate import fingerprint, new_certificate

from .pages_case import CONTROL, OWN
from .test_sessions import SessionCase

PROXY = {"X-Forwarded-For": "192.0.2.1", "X-Forwarded-Proto": "https"}
OURS = {"Origin": "https://farm.example"}
BY_TLS = {**PROXY, "Host": "farm.example"}


class SessionCookieTests(SessionCase):
    def served(self, url: str) -> None:
        """
        Serve the pages at *url*, behind a named proxy.
        """
        policy = WebPolicy.of({"url": url, "proxies": ["127.0.0.1"]}, "127.0.0.1")
        self.factory = make_factory(SiteRoot(Pages(self.view, ROUTES).resource(), None, lambda: policy), self.clock)
        self.factory.doStart()

    def cookie(self, headers: dict[str, str] | None = None) -> str:
        """
        The cookie of a new session, with its attributes.
        """
        answer = self.post("/enter", {"code": "a-code-of-the-admin"}, headers)
        self.assertEqual(answer.status, 303)
        return answer.headers["set-cookie"]

    def test_names(self) -> None:
        """
        Promise 10.7: over TLS, which a named proxy tells, the cookie is Secure, with a name that a browser takes from
        there alone; it is for the whole site where it is known that the pages are all of it.
        """
        self.sessions.cookie = SessionCookie("0123456789abcdef")
        name = f"{COOKIE}-{'0123456789abcdef'[:DIGITS]}"
        plain = r"[\w-]{43}; Max-Age=\d+; HttpOnly; SameSite=Strict"
        for url, headers, pattern in (
            ("https://farm.example/", BY_TLS, f"__Host-{name}={plain}; Path=/; Secure"),
            ("https://farm.example", BY_TLS, f"__Host-{name}={plain}; Path=/; Secure"),
            ("https://farm.example/ci/", BY_TLS, f"__Secure-{name}={plain}; Secure"),
            ("https://farm.example/", {**PROXY, "Host": "192.0.2.7"}, f"__Secure-{name}={plain}; Secure"),
            ("", {**PROXY, "Host": "192.0.2.7"}, f"__Secure-{name}={plain}; Secure"),
            # As nginx asks unless it is told to pass on the Host of its client.
            ("https://farm.example/", {**PROXY, "Host": "127.0.0.1:8010", **OURS}, f"__Secure-{name}={plain}; Secure"),
            ("https://farm.example/", {}, f"{name}={plain}"),
        ):
            with self.subTest(url=url, headers=headers):
                self.served(url)
                cookie = self.cookie(headers)
                self.assertIsNotNone(re.fullmatch(pattern, cookie), cookie)
                sent = {**headers, "Cookie": cookie.partition(";")[0]}
                self.assertEqual(self.cancelled(sent).status, 303)
                left = self.post("/leave", {}, sent).headers["set-cookie"]
                attributes = [each.partition("; Max-Age=")[2].partition("; ")[2] for each in (left, cookie)]
                self.assertEqual(left.partition("=")[0], cookie.partition("=")[0])
                self.assertEqual(attributes[0], attributes[1])
                self.assertIn("; Max-Age=0;", left)
                self.assertEqual(self.cancelled(sent).status, 401)

    def test_many(self) -> None:
        """
        Promise 10.7: no number of other cookies of its name hides a session.
        """
        cookie = self.cookie().partition(";")[0]
        others = "; ".join(f"{COOKIE}={number:043}" for number in range(200))
        self.assertEqual(self.cancelled({"Cookie": f"{others}; {cookie}"}).status, 303)

    def test_of_several(self) -> None:
        """
        Promise 10.7: a browser with sessions of several holders, of which another site may have added one, acts as none
        of them, until it signs in again; two sessions of one holder do not matter.
        """
        other = CONTROL.replace("control", "other")
        self.holders.grants[other] = {**self.holders.grants[CONTROL], "label": "Mallory"}
        mine, again = (self.cookie().partition(";")[0] for _ in range(2))
        self.assertEqual(self.cancelled({"Cookie": f"{again}; {mine}"}).status, 303)
        for code in ("a-code-of-the-admin", CONTROL):
            added = self.post("/enter", {"code": other}).headers["set-cookie"].partition(";")[0]
            for both in (f"{added}; {mine}", f"{mine}; {added}"):
                self.assertEqual(self.cancelled({"Cookie": both}).status, 401)
            answer = self.post("/enter", {"code": code}, {"Cookie": f"{added}; {mine}"})
            mine = answer.headers["set-cookie"].partition(";")[0]
            self.assertEqual(self.cancelled({"Cookie": f"{added}; {mine}"}).status, 303)

    def test_plain(self) -> None:
        """
        Promise 10.7: where others could read along, also behind a named proxy without TLS, there is no session.
        """
        self.served("http://farm.example/")
        answer = self.post("/enter", {"code": "a-code"}, {**BY_TLS, "X-Forwarded-Proto": "http"})
        self.assertEqual(answer.status, 403)
        self.assertIn("Over plain HTTP", answer.text)
        self.assertNotIn("redeem", self.master.asked)

    def test_two_farms(self) -> None:
        """
        Promise 10.7: two farms on one host, whose cookies are shared by all ports, keep both sessions of a browser; the
        name says nothing of a key, and that of an earlier version is no session.
        """
        certificates = [new_certificate(), new_certificate()]
        jar: SimpleCookie = SimpleCookie()
        both = []
        for certificate in certificates:
            self.assertRegex(fingerprint(certificate), r"\A[0-9a-f]{64}\Z")
            self.sessions.cookie = SessionCookie(fingerprint(certificate))
            jar.load(self.cookie().partition(";")[0])
            both.append(self.sessions.cookie)
        self.assertEqual(len(jar), 2)
        sent = {"Cookie": "; ".join(f"{name}={each.value}" for name, each in jar.items())}
        for each in both:
            self.sessions.cookie = each
            self.assertEqual(self.cancelled(sent).status, 303)
            self.assertEqual(self.post("/leave", {}, sent).status, 303)
            self.assertEqual(self.cancelled(sent).status, 401)
        self.assertEqual(self.cancelled({"Cookie": f"{COOKIE}={'a' * 43}"}).status, 401)
        self.assertNotIn(OWN, str(jar))
