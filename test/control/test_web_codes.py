"""
One-time codes for browsers.
"""

import os
from typing import Any
from unittest import mock

from buildbot_lite.cli.directories.create import sample
from buildbot_lite.control.admin import AdminDesk
from buildbot_lite.control.rights import MAY_CONTROL, MAY_LOOK
from buildbot_lite.control.web_codes import MOST_CODES, SESSION, VALID_FOR, WRONG_AT_ONCE, WRONG_PER_SECOND, WebCodes
from buildbot_lite.control.web_sessions import WEB_SESSION
from buildbot_lite.errors import BuildbotLiteError, DatabaseFullError, LimitError, RefusedError
from buildbot_lite.master.revocation import AFTER_THE_ANSWER
from buildbot_lite.storage.records.grants import WEB_PAGES, GrantLimits
from test.master.configurations import ONE

from .test_admin import AdminDeskCase


class WebCodesTests(AdminDeskCase):
    def setUp(self) -> None:
        """
        A farm with a web process, whose desk is `pages`.
        """
        super().setUp()
        self.admin = self.desk
        watch = self.ask("grant", to="watch", web=True)["grant"]["grant"]
        self.pages = self.desk_of(watch, MAY_LOOK)

    def desk_of(self, grant: int, may: Any) -> AdminDesk:
        """
        The desk of a grant, which shares the codes of the admin's.
        """
        return AdminDesk(
            self.harness.farm, self.admin.follower, may, by_grant=grant, codes=self.admin.codes, news=self.admin.news
        )

    def code(self, **of: Any) -> str:
        """
        A new code.
        """
        self.desk = self.admin
        return str(self.ask("web-code", **of)["code"])

    def redeem(self, code: str, **of: Any) -> Any:
        """
        What the web process gets for *code*.
        """
        self.desk = self.pages
        return self.ask("redeem", code=code, **of)

    def wrong(self, code: str) -> str:
        """
        The sentence with which the web process is refused.
        """
        self.desk = self.pages
        return self.refused("redeem", code=code)

    def test_once(self) -> None:
        """
        Promise 10.7: a code becomes a new control string, once; its label says from whom, and it ends after 12 hours.
        """
        code = self.code(label="Ann")
        self.assertRegex(code, r"\A[a-z2-7]{26}\Z")
        got = self.redeem(f" {code.upper()}\n", **{"from": "10.1.2.3"})
        self.assertRegex(got["furl"], r"\Apb://.*/")
        now = self.harness.farm.wall()
        self.assertEqual(got["expires"], now + SESSION)
        self.assertRegex(got["label"], r"\Aweb session of Ann \(from 10\.1\.2\.3, \d{4}-\d\d-\d\d ")
        grant = self.harness.farm.grants.in_force(got["grant"])
        self.assertEqual((grant.verb, grant.object, grant.expires), ("control", "farm", now + SESSION))
        self.assertIn("was used", self.wrong(code))
        self.assertIn("from 10.1.2.3", repr(self.harness.farm.grants.everything()))

    def test_old(self) -> None:
        """
        Promise 10.7: after ten minutes a code is void; the admin may choose a shorter session.
        """
        old = self.code()
        self.harness.settle(VALID_FOR - 1)
        young = self.code(lasts=60.0)
        self.harness.settle(1)
        self.assertIn("older than 10 minutes", self.wrong(old))
        self.assertEqual(self.redeem(young)["expires"], self.harness.farm.wall() + 60)
        self.desk = self.admin
        self.assertIn("in the past", self.refused("web-code", lasts=-1.0))
        self.assertIn("at most 12 hours", self.refused("web-code", lasts=SESSION + 1))

    def test_who_may(self) -> None:
        """
        Promise 10.7: only admins make codes, and only the web process redeems them.
        """
        code = self.code()
        for label, to, may in (("other", "watch", MAY_LOOK), (WEB_PAGES, "control", MAY_CONTROL)):
            self.desk = self.admin
            grant = self.ask("grant", to=to, label=label)["grant"]["grant"]
            self.desk = self.desk_of(grant, may)
            self.assertIn("Only the web process redeems", self.refused("redeem", code=code))
            self.assertIn("does not permit 'web-code'", self.refused("web-code"))
        self.assertIn("grant", self.redeem(code))
        self.desk = self.admin
        said = self.refused("grant", to="watch", label=WEB_PAGES)
        self.assertRegex(said, "grant watch --web .*older than the master")
        self.assertIn("leave 'Ann' out", self.refused("grant", to="watch", web=True, label="Ann"))
        self.assertIn("leave --web out", self.refused("grant", to="control", web=True))

    def test_web_process_of_earlier_version(self) -> None:
        """
        Promise 10.7: the string of a web process that an earlier version handed out goes on redeeming codes.
        """
        code, grants = self.code(), self.harness.farm.grants
        grant = self.harness.done(grants.hand_out("watch", "farm", name="farm", label=WEB_PAGES))
        self.pages = self.desk_of(grant.id, MAY_LOOK)
        self.assertIn("grant", self.redeem(code))

    def test_sessions_end(self) -> None:
        """
        Promise 10.7: only the web process ends its sessions, all of them and nothing else; no other label can look like
        one of theirs.
        """
        sessions = [self.redeem(self.code(label=each))["grant"] for each in ("Ann", "")]
        self.desk = self.admin
        others = [self.ask("grant", to="control", label=each)["grant"]["grant"] for each in ("a web session", "")]
        self.assertIn("choose another", self.refused("grant", to="control", label="web session of Bob"))
        self.desk = self.desk_of(others[0], MAY_CONTROL)
        self.assertIn("Only the web process ends", self.refused("end-sessions"))
        self.desk = self.pages
        self.assertEqual([self.ask("end-sessions")["ended"] for _ in range(2)], [2, 0])
        self.assertEqual(self.in_force({*sessions, *others}), set(others))

    def test_sessions_of_others(self) -> None:
        """
        Promise 10.7: a web process ends its own sessions alone, and those of one whose string is void.
        """
        own = self.redeem(self.code())["grant"]
        self.desk = self.admin
        other = self.ask("grant", to="watch", web=True)["grant"]["grant"]
        first, self.pages = self.pages, self.desk_of(other, MAY_LOOK)
        of_other = self.redeem(self.code())["grant"]
        self.assertEqual(self.ask("end-sessions")["ended"], 1)
        self.assertEqual(self.in_force({own, of_other}), {own})
        of_other = self.redeem(self.code())["grant"]
        self.desk = first
        self.assertEqual(self.ask("end-sessions")["ended"], 1)
        self.assertEqual(self.in_force({own, of_other}), {of_other})

    def test_sessions_of_revoked(self) -> None:
        """
        Promise 10.7: with the string of a web process, the strings of its sessions are revoked at once, and no others;
        so they are by `rotate "web pages"` where the web process is elsewhere, whose string that revokes.
        """
        for is_rotated in (False, True):
            self.desk = self.admin
            other = self.ask("grant", to="watch", web=True)["grant"]["grant"]
            watch = self.ask("grant", to="watch", web=True)["grant"]["grant"]
            self.pages = self.desk_of(watch, MAY_LOOK)
            own = self.redeem(self.code())["grant"]
            self.pages = self.desk_of(other, MAY_LOOK)
            of_other = [self.redeem(self.code())["grant"] for _ in range(2)]
            self.desk = self.admin
            handed_out = self.ask("grant", to="control", label="a person")["grant"]["grant"]
            if is_rotated:
                os.mkdir(os.path.join(self.harness.basedir, "web"))
                with open(os.path.join(self.harness.basedir, "web", "web.tac"), "w", encoding="utf-8") as file:
                    file.write(sample("web.tac.sample"))
                revoked = self.ask("rotate", name=WEB_PAGES)["revoked"]
                self.assertLessEqual({own, *of_other, other}, set(revoked))
            else:
                self.ask("revoke", which=f"#{other}")
            left = {handed_out} if is_rotated else {own, handed_out}
            self.assertEqual(self.in_force({own, handed_out, *of_other}), left)

    def test_labels_of_users(self) -> None:
        """
        Promise 10.7: a string whose label looks like that of a session, which earlier versions permitted, is none.
        """
        label = f"{WEB_SESSION} of Bob (from 10.1.2.3, 2026-11-30 07:00:00)"
        grants, limits = self.harness.farm.grants, GrantLimits(expires=self.harness.farm.wall() + 2 * SESSION)
        grant = self.harness.done(grants.hand_out("control", "farm", name="farm", label=label, limits=limits))
        self.desk = self.pages
        self.assertEqual(self.ask("end-sessions")["ended"], 0)
        self.desk = self.desk_of(grant.id, MAY_CONTROL)
        self.assertIn("buildbot-lite revoke", self.refused("sign-out"))
        self.assertEqual(self.in_force({grant.id}), {grant.id})

    def test_earlier_sessions(self) -> None:
        """
        Promise 10.7: the session of an earlier version, which has no name of its own, can still be left.
        """
        now = self.harness.farm.wall()
        label = f"{WEB_SESSION} of Ann (from 10.1.2.3, 2026-11-30 07:00:00, code of #1)"
        grants, limits = self.harness.farm.grants, GrantLimits(expires=now + SESSION)
        grant = self.harness.done(grants.hand_out("control", "farm", name="farm", label=label, limits=limits))
        self.desk = self.desk_of(grant.id, MAY_CONTROL)
        self.ask("sign-out")
        self.harness.settle(AFTER_THE_ANSWER)
        self.assertEqual(self.in_force({grant.id}), set())

    def in_force(self, grants: set[int]) -> set[int]:
        """
        Those of *grants* that are in force.
        """
        return grants & {each.id for each in self.harness.farm.grants.all_of("control", "farm")}

    def test_wrong_codes(self) -> None:
        """
        Promise 10.7: wrong codes are limited; a right one is taken all the same, so that nobody can keep others out.
        """
        code = self.code()
        for _ in range(WRONG_AT_ONCE):
            self.assertIn("This code is wrong", self.wrong("a" * 26))
        self.assertIn("Too many wrong codes", self.wrong("a" * 26))
        self.harness.settle(1 / WRONG_PER_SECOND)
        self.assertIn("This code is wrong", self.wrong("é" * 26))
        self.assertIn("Too many wrong codes", self.wrong("é" * 26))
        self.assertIn("furl", self.redeem(code))
        self.assertIn("Too many wrong codes", self.wrong(code))
        with self.assertRaisesRegex(BuildbotLiteError, "code"):
            raise self.failureResultOf(self.pages.ask({"ask": "redeem", "code": "a" * 1000})).value

    def test_bound(self) -> None:
        """
        Promise 10.7: at most a hundred codes wait; old ones make room.
        """
        now = 0.0
        codes = WebCodes(lambda: now)
        made = {codes.issue(label="", lasts=1.0, by=None) for _ in range(MOST_CODES)}
        self.assertEqual(len(made), MOST_CODES)
        self.assertRaisesRegex(LimitError, "100 codes", codes.issue, label="", lasts=1.0, by=None)
        now = VALID_FOR
        codes.issue(label="", lasts=1.0, by=None)

    def test_failing_records(self) -> None:
        """
        Promise 10.7: a code whose string could not be recorded can be redeemed again.
        """
        code = self.code()
        with mock.patch.object(self.harness.farm.grants, "hand_out", side_effect=DatabaseFullError()):
            self.assertTrue(self.wrong(code))
        self.assertIn("furl", self.redeem(code))

    def test_address(self) -> None:
        """
        Promise 10.7: the address is the configured one, or else that at which the web process listens.
        """
        self.assertEqual(self.ask("web-code")["address"], "http://127.0.0.1:8010/")
        for text, address in {
            "c['www'] = {'port': 8033}": "http://127.0.0.1:8033/",
            "c['www'] = {'port': 'tcp:80:interface=10.0.0.1'}": "http://10.0.0.1:80/",
            "c['www'] = {'port': 8033}; c['buildbotURL'] = 'https://f.example/ci'": "https://f.example/ci/",
        }.items():
            self.harness.configure(f"{ONE}{text}\n")
            self.harness.done(self.harness.farm.reconfiguration.apply())
            self.assertEqual(self.ask("web-code")["address"], address)
        self.harness.configure(ONE)
        self.harness.done(self.harness.farm.reconfiguration.apply())
        os.mkdir(os.path.join(self.harness.basedir, "web"))
        for written, address in {
            "http://127.0.0.1:8011/\n": "http://127.0.0.1:8011/",
            "https://evil.example/\n": "http://127.0.0.1:8010/",
            "http://[::1]:8012/\nx": "http://127.0.0.1:8010/",
        }.items():
            with open(os.path.join(self.harness.basedir, "web", "address"), "w", encoding="utf-8") as file:
                file.write(written)
            self.assertEqual(self.ask("web-code")["address"], address)

    def test_sign_out(self) -> None:
        """
        Promise 10.7: a session's string ends itself; other strings do not.
        """
        got = self.redeem(self.code())
        self.assertTrue(got["label"].startswith(WEB_SESSION))
        self.desk = self.desk_of(got["grant"], MAY_CONTROL)
        waiting = len(self.harness.clock.getDelayedCalls())
        for _ in range(3):
            self.assertEqual(self.ask("sign-out"), {"grant": got["grant"]})
        self.assertEqual(len(self.harness.clock.getDelayedCalls()), waiting + 1)
        self.harness.settle(AFTER_THE_ANSWER)
        self.assertRaises(RefusedError, self.harness.farm.grants.in_force, got["grant"])
        self.desk = self.admin
        other = self.ask("grant", to="control", label="a person")["grant"]["grant"]
        self.desk = self.desk_of(other, MAY_CONTROL)
        self.assertIn("buildbot-lite revoke", self.refused("sign-out"))
