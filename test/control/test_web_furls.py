"""
The strings of the web process beside the master.
"""

import os
import stat
from typing import Any

from sqlalchemy import update
from twisted.logger import capturedLogs, formatEvent

from buildbot_lite.cli.directories.create import sample
from buildbot_lite.control.admin import AdminDesk
from buildbot_lite.control.rights import MAY_LOOK
from buildbot_lite.errors import FileError, RevokedError
from buildbot_lite.master.grants import web_furls
from buildbot_lite.storage import schema
from buildbot_lite.storage.records import ended_grants, restored_grants
from buildbot_lite.storage.records.grants import BESIDE_MASTER, WEB_PAGES
from buildbot_lite.wire.furl import read_furl

from .test_admin import AdminDeskCase

TAC = sample("web.tac.sample")
IMPORT = "from buildbot_lite.web_tap import application_for\n"


class WebFurlsTests(AdminDeskCase):
    def make_web(self, tac: str = TAC) -> None:
        """
        Make the web process's directory, and restart the master.
        """
        os.makedirs(self.path(), exist_ok=True)
        with open(self.path("web.tac"), "w", encoding="utf-8") as file:
            file.write(tac)
        self.restart()

    def restart(self) -> None:
        """
        Restart the master.
        """
        self.harness.restart()
        self.desk = AdminDesk(self.harness.farm, self.desk.follower)

    def path(self, *names: str) -> str:
        """
        A path in the web process's directory.
        """
        return os.path.join(self.harness.basedir, "web", *names)

    def furls(self) -> dict[str, str]:
        """
        The strings in its files.
        """
        names = ("watch", "webhooks")
        paths = {name: self.path("private", f"{name}.furl") for name in names}
        return {name: read_furl(path) for name, path in paths.items() if os.path.exists(path)}

    def granted(self) -> list[dict[str, object]]:
        """
        The grants in force with the label of the pages.
        """
        return [each for each in self.ask("grants")["grants"] if each["label"] == WEB_PAGES]

    def test_made_once(self) -> None:
        """
        Promise 10.1: where web/web.tac is, a starting master writes two strings into private files, and keeps them over
        restarts.
        """
        self.make_web()
        furls = self.furls()
        self.assertEqual(list(furls), ["watch", "webhooks"])
        self.assertEqual(
            [(each["verb"], each["name"]) for each in self.granted()],
            [("watch", BESIDE_MASTER), ("change", BESIDE_MASTER)],
        )
        for name in ("private", "private/watch.furl", "private/webhooks.furl"):
            self.assertEqual(stat.S_IMODE(os.stat(self.path(name)).st_mode) & 0o077, 0)
        status = os.stat(self.path("private", "watch.furl"))
        self.restart()
        self.ask("reconfig")
        self.assertEqual(self.furls(), furls)
        self.assertEqual(os.stat(self.path("private", "watch.furl")).st_ino, status.st_ino)
        self.assertEqual(len(self.granted()), 2)

    def test_no_web(self) -> None:
        """
        Promise 10.1: without a web process there are no strings for it, and nothing to replace.
        """
        self.restart()
        self.assertEqual((self.granted(), os.path.exists(self.path())), ([], False))
        self.assertIn("no web/web.tac", self.refused("rotate", name=WEB_PAGES))

    def test_given(self) -> None:
        """
        Promise 10.1: a web process whose web.tac gives the string for webhooks, as those of the first versions do, gets
        none, and shows nothing.
        """
        given = TAC.replace("# webhooks=", "webhooks=")
        self.assertNotEqual(given, TAC)
        for tac in (
            given,
            f"{IMPORT}application = application_for('pb://x')\n",
            f"{IMPORT}application = application_for(port=8010, webhooks = FURL)\n",
            f"{IMPORT}application = application_for(**given)\n",
            "",
        ):
            self.make_web(tac)
            self.assertEqual((self.granted(), os.listdir(self.path())), ([], ["web.tac"]), tac)
        self.assertIn("gives a string itself", self.refused("rotate", name=WEB_PAGES))
        os.remove(self.path("web.tac"))
        os.mkfifo(self.path("web.tac"))
        self.restart()
        self.assertEqual(self.granted(), [])
        os.remove(self.path("web.tac"))
        for arguments in ("port='tcp:8010'", "webhooks='pb://x', farm='..'"):
            self.make_web(f"{IMPORT}application = application_for({arguments})\n")
            self.assertEqual(list(self.furls()), ["watch", "webhooks"], arguments)
            for name in self.furls():
                os.remove(self.path("private", f"{name}.furl"))

    def test_revoked(self) -> None:
        """
        Promise 10.7: the file of a revoked string goes at once; no restart, and no clean-up of old rows, makes another.
        """
        self.make_web()
        watch = self.granted()[0]["grant"]
        self.ask("revoke", which=f"#{watch}")
        self.assertEqual(list(self.furls()), ["webhooks"])
        _ = self.harness.records.write(lambda c: ended_grants.prune(c, self.harness.clock.seconds() + 1e9, 100))
        self.restart()
        self.assertEqual(list(self.furls()), ["webhooks"])

    def test_revoked_elsewhere(self) -> None:
        """
        Promise 10.7: that the string of a web process elsewhere was revoked says nothing of the one beside the master.
        """
        self.ask("revoke", which=f"#{self.ask('grant', to='watch', web=True)['grant']['grant']}")
        self.make_web()
        self.assertEqual(list(self.furls()), ["watch", "webhooks"])

    def test_rotated(self) -> None:
        """
        Promise 10.7: `rotate "web pages"` writes new strings, and revokes the old ones.
        """
        self.make_web()
        old, numbers = self.furls(), [each["grant"] for each in self.granted()]
        self.ask("revoke", which=f"#{numbers[0]}")
        self.ask("rotate", name=WEB_PAGES)
        new = self.furls()
        self.assertEqual(list(new), ["watch", "webhooks"])
        self.assertFalse(set(new.values()) & set(old.values()))
        self.assertFalse({each["grant"] for each in self.granted()} & set(numbers))
        self.restart()
        self.assertEqual(self.furls(), new)

    def test_sessions_go_on(self) -> None:
        """
        Promise 10.7: after `rotate "web pages"` the sessions of the web process go on, also over a restart, and no
        other web process ends them; it ends them itself.
        """
        self.make_web()
        code = self.ask("web-code")["code"]
        session = self.asked_by(self.own_grant(), "redeem", code=code)["grant"]
        self.ask("rotate", name=WEB_PAGES)
        for _ in range(2):
            other = self.ask("grant", to="watch", web=True)["grant"]["grant"]
            self.assertEqual(self.asked_by(other, "end-sessions"), {"ended": 0})
            self.harness.farm.grants.in_force(session)
            self.restart()
        self.assertEqual(self.asked_by(self.own_grant(), "end-sessions"), {"ended": 1})
        self.assertRaises(RevokedError, self.harness.farm.grants.in_force, session)

    def test_sessions_go_on_after_an_interrupted_call(self) -> None:
        """
        Promise 10.7: a master that was killed during `rotate "web pages"`, after it had written the file, has two
        strings; the next `rotate` keeps the sessions of both.
        """
        self.make_web()
        for _ in range(2):
            code = self.ask("web-code")["code"]
            newest = max(each.id for each in self.harness.farm.grants.all_of("watch", "farm"))
            self.asked_by(newest, "redeem", code=code)
            grants = self.harness.farm.grants
            self.harness.done(grants.hand_out("watch", "farm", name=BESIDE_MASTER, label=WEB_PAGES))
            self.restart()
        self.ask("rotate", name=WEB_PAGES)
        for _ in range(2):
            other = self.ask("grant", to="watch", web=True)["grant"]["grant"]
            self.assertEqual(self.asked_by(other, "end-sessions"), {"ended": 0})
            self.restart()
        self.assertEqual(self.asked_by(self.own_grant(), "end-sessions"), {"ended": 2})

    def own_grant(self) -> int:
        """
        The number of the watch grant of the web process beside the master.
        """
        (found,) = (each.id for each in self.harness.farm.grants.all_of("watch", "farm") if each.name == BESIDE_MASTER)
        return found

    def asked_by(self, grant: int, what: str, **question: str) -> dict[str, Any]:
        """
        The answer to a web process with *grant*.
        """
        admin = self.desk
        self.desk = AdminDesk(self.harness.farm, admin.follower, MAY_LOOK, by_grant=grant, codes=admin.codes)
        try:
            return dict(self.ask(what, **question))
        finally:
            self.desk = admin

    def test_restored(self) -> None:
        """
        Promise 10.7: strings that a restore made void are replaced by the next start, also where the admin had replaced
        some before.
        """
        self.make_web()
        self.ask("rotate", name=WEB_PAGES)
        old = self.furls()
        _ = self.harness.records.write(lambda c: restored_grants.void_strings(c, self.harness.clock.seconds()))
        self.restart()
        self.assertEqual(list(self.furls()), list(old))
        self.assertFalse(set(self.furls().values()) & set(old.values()))

    def test_unwritable(self) -> None:
        """
        Promise 10.1: a file that cannot be written stops neither the master nor a reconfiguration.
        """
        self.patch(web_furls, "replace_changed", self.fail_to_write)
        self.make_web()
        self.assertEqual(self.furls(), {})
        self.assertTrue(self.ask("reconfig")["applied"])
        before = self.granted()
        self.assertEqual(len(before), 2)
        self.assertIn("no", self.refused("rotate", name=WEB_PAGES))
        self.assertEqual([each["grant"] for each in self.granted()], [each["grant"] for each in before])

    def test_hostile(self) -> None:
        """
        Promise 10.7: a web process that puts something else where the master writes its strings neither stops the
        master nor makes it write elsewhere.
        """
        self.make_web()
        furls, elsewhere = self.furls(), self.mktemp()
        os.mkdir(elsewhere)
        os.remove(self.path("private", "watch.furl"))
        os.mkfifo(self.path("private", "watch.furl"))
        os.rename(self.path("private", "webhooks.furl"), os.path.join(elsewhere, "webhooks.furl"))
        os.symlink(os.path.abspath(os.path.join(elsewhere, "webhooks.furl")), self.path("private", "webhooks.furl"))
        os.mkfifo(self.path("address"))
        self.restart()
        self.assertEqual(self.furls(), furls)
        self.assertFalse(os.path.islink(self.path("private", "webhooks.furl")))
        self.assertIn("127.0.0.1", self.ask("web-code")["address"])
        os.rename(self.path("private"), self.path("moved"))
        os.symlink(os.path.abspath(elsewhere), self.path("private"))
        self.ask("reconfig")
        self.assertEqual(os.listdir(elsewhere), ["webhooks.furl"])
        self.assertIn("is a link", self.refused("rotate", name=WEB_PAGES))

    def test_of_another_machine(self) -> None:
        """
        Promise 10.7: a string for a web process on another machine, which has the label too, does not become that of
        the one beside the master, whichever was made first; nor when the master's own are of the first version.
        """
        theirs = self.ask("grant", to="watch", web=True)["furl"]
        self.make_web()
        furls = self.furls()
        self.assertEqual(list(furls), ["watch", "webhooks"])
        later = self.ask("grant", to="watch", web=True)["furl"]
        self.assertFalse({theirs, later} & {*furls.values()})
        self.restart()
        self.assertEqual(self.furls(), furls)
        as_before = update(schema.grants).where(schema.grants.c.name == BESIDE_MASTER).values(name="farm")
        changed = self.harness.records.write(lambda connection: connection.execute(as_before).rowcount)
        self.assertEqual(self.successResultOf(changed), 2)
        self.restart()
        self.assertEqual(self.furls(), furls)
        self.assertEqual(len(self.granted()), 4)

    def test_others(self) -> None:
        """
        Promise 10.7: strings with the label that were handed out are revoked by `rotate`, too, which says so; while
        there are several, the log says it.
        """
        self.make_web()
        self.ask("grant", to="watch", web=True)
        numbers = {each["grant"] for each in self.granted()}
        self.assertEqual(len(numbers), 3)
        with capturedLogs() as logged:
            self.restart()
        self.assertIn("can be used", "\n".join(str(formatEvent(each)) for each in logged))
        self.assertEqual(set(self.ask("rotate", name=WEB_PAGES)["revoked"]), numbers)

    def fail_to_write(self, path: str, text: str) -> None:
        """
        The disk.
        """
        raise FileError("no")
