"""
Grants, and the files with their FURLs.
"""

import os
import stat
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.task import Clock
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import (
    BuildbotLiteError,
    LostStringError,
    NotFoundError,
    PinnedError,
    RevokedError,
)
from buildbot_lite.master.grants import verbs
from buildbot_lite.master.grants.registry import GrantRegistry
from buildbot_lite.model.registry import Registry
from buildbot_lite.storage.records import grants as records
from buildbot_lite.storage.swissnums import Swissnums, digest_of
from buildbot_lite.wire.exposed import Exposed, Revocable
from buildbot_lite.wire.limits.preauth import (
    Preauth,
    plaintext_request,
    preauth_token,
)
from test.storage.inline import InlineWriter

from .configurations import ONE, TWO_SLAVES, builder_config, four_steps, master_cfg
from .harness import (
    MasterHarness,
    hello,
)


class GrantTests(SynchronousTestCase):
    """
    The registry of all grants.
    """

    def setUp(self) -> None:
        self.records = InlineWriter()
        self.time = 1000.0
        self.clock = Clock()
        self.grants = self.another()

    def wait(self, seconds: float) -> None:
        """
        Let *seconds* pass, by both clocks.
        """
        self.time += seconds
        self.clock.advance(seconds)

    def another(self) -> GrantRegistry:
        """
        The registry of a master that starts now.
        """
        self.preauth = Preauth("tub", lambda: self.time)
        known = [
            verbs.Verb(verbs.SLAVE, self.expose, preauth=True),
            verbs.Verb(verbs.SUBMIT, self.expose),
            verbs.Verb(verbs.WATCH, self.expose, counts_lookups=True),
            verbs.Verb(verbs.CONTROL, self.expose, preauth=True, counts_lookups=True),
            verbs.Verb(verbs.ADMIN, self.expose, preauth=True, counts_lookups=True),
        ]
        grants = GrantRegistry(
            records=self.records,
            swissnums=Swissnums(b"key"),
            clock=self.clock,
            wall=lambda: self.time,
            verbs=Registry("verb", known),
            preauth=self.preauth,
        )
        grants.remember(self.successResultOf(self.records.read(records.get_all)))
        return grants

    def expose(self, grant: records.Grant, revocable: Revocable) -> Exposed:
        """
        The object that a FURL leads to.
        """
        return Exposed(revocable)

    def ensure(self, **more: Any) -> records.Grant:
        """
        The grant of the slave bot1.
        """
        return self.successResultOf(
            Deferred.fromCoroutine(self.grants.ensure(verbs.SLAVE, "bot1", name="bot1", **more))
        )

    def lookup(self, grant: records.Grant) -> Exposed | None:
        """
        Look up the FURL of *grant*.
        """
        return self.grants.lookup(self.grants.swissnum(grant))

    def test_kept(self) -> None:
        """
        Promise 2: a FURL is the same after a restart.
        """
        grant = self.ensure()
        self.assertEqual(self.ensure(), grant)
        again = self.another()
        self.assertEqual(again.of(verbs.SLAVE, "bot1"), grant)
        self.assertIsNotNone(again.lookup(again.swissnum(grant)))

    def recorded(self, grant: records.Grant) -> tuple[float | None, int]:
        """
        The recorded time of the last use, and the recorded number of uses.
        """
        row = self.successResultOf(self.records.read(lambda connection: records.get(connection, grant.id)))
        assert row is not None
        return row.used, row.uses

    def test_verb_of_a_package_that_is_gone(self) -> None:
        """
        A grant for a verb that no package adds any more leads nowhere, and does not prevent the master's start.
        """
        grant = self.successResultOf(Deferred.fromCoroutine(self.grants.hand_out("steer", "farm", name="farm")))
        self.assertIsNone(self.lookup(grant))
        self.grants = self.another()
        self.assertIsNone(self.lookup(grant))

    def test_uses(self) -> None:
        """
        Promise 6.12: each lookup of an admin, control or watch FURL is a use, also after a restart; uses are recorded
        at most once a minute.
        """
        for verb in (verbs.ADMIN, verbs.CONTROL, verbs.WATCH):
            grant = self.successResultOf(
                Deferred.fromCoroutine(self.grants.hand_out(verb, "farm", name="farm", label="x"))
            )
            self.wait(100)
            first = self.time
            self.lookup(grant)
            for _ in range(3):
                self.wait(10)
                self.lookup(grant)
            used = self.grants.in_force(grant.id)
            self.assertEqual((used.used, used.uses), (self.time, 4))
            self.assertEqual(self.recorded(grant), (first, 1))
            self.wait(60)
            self.lookup(grant)
            again = self.another().in_force(grant.id)
            self.assertEqual((again.used, again.uses), (self.time, 5))

    def test_uses_before_a_stop(self) -> None:
        """
        Promise 6.12: a master that is stopped has recorded all uses.
        """
        grant = self.successResultOf(Deferred.fromCoroutine(self.grants.hand_out(verbs.WATCH, "farm", name="farm")))
        for _ in range(3):
            self.wait(1)
            self.lookup(grant)
        self.grants.stop()
        self.assertEqual(self.recorded(grant), (self.time, 3))

    def test_no_use(self) -> None:
        """
        The lookup of an expired FURL is no use; a slave's FURL is used when the slave attaches, not by a lookup.
        """
        grant = self.ensure()
        self.lookup(grant)
        self.assertEqual(self.grants.in_force(grant.id).uses, 0)
        watch = self.successResultOf(
            Deferred.fromCoroutine(self.grants.ensure(verbs.WATCH, "1", name="request-1", expires=self.time + 1))
        )
        self.time += 2
        self.assertRaises(RevokedError, self.lookup, watch)
        self.assertEqual(self.recorded(watch), (None, 0))

    def test_account(self) -> None:
        """
        Promise 6.15: watch grants of submissions share the CPU account of the grant that submitted them.
        """
        submit = self.successResultOf(Deferred.fromCoroutine(self.grants.ensure(verbs.SUBMIT, "go", name="go")))
        watches = [
            self.successResultOf(
                Deferred.fromCoroutine(
                    self.grants.ensure(verbs.WATCH, str(buildset), name="request-1", made_with=submit.id)
                )
            )
            for buildset in (1, 2)
        ]
        other = self.successResultOf(Deferred.fromCoroutine(self.grants.ensure(verbs.WATCH, "3", name="request-3")))
        accounts = []
        for grant in (*watches, submit, other):
            exposed = self.lookup(grant)
            assert exposed is not None
            accounts.append(exposed.revocable.account)
        self.assertEqual([account is accounts[0] for account in accounts], [True, True, True, False])

    def test_unknown(self) -> None:
        """
        An unknown FURL leads nowhere.
        """
        self.assertIsNone(self.grants.lookup("nonsense"))

    def test_revoked(self) -> None:
        """
        A revoked FURL is refused, also by the next master, and the object that it led to refuses too.
        """
        grant = self.ensure()
        exposed = self.lookup(grant)
        assert exposed is not None
        self.successResultOf(Deferred.fromCoroutine(self.grants.revoke(grant)))
        self.assertRaises(RevokedError, self.lookup, grant)
        self.assertRaises(RevokedError, exposed.revocable.check)
        self.assertRaises(RevokedError, self.another().lookup, self.grants.swissnum(grant))

    def test_preauth(self) -> None:
        """
        Promise 3.12: holders of a slave's FURL in force pass pre-authentication, also at the next master; other holders
        do not.
        """
        grant = self.ensure()
        watch = self.successResultOf(Deferred.fromCoroutine(self.grants.ensure(verbs.WATCH, "1", name="request-1")))

        def expected(grant: records.Grant) -> bool:
            return self.preauth.admits(
                plaintext_request("tub", "farm", preauth_token(self.grants.swissnum(grant), "tub"))
            )

        self.assertEqual((expected(grant), expected(watch)), (True, False))
        self.grants = self.another()
        self.assertEqual((expected(grant), expected(watch)), (True, False))
        self.successResultOf(Deferred.fromCoroutine(self.grants.revoke(grant)))
        self.assertEqual(expected(grant), False)
        self.another()
        self.assertEqual(expected(grant), False)

    def test_expired(self) -> None:
        """
        A FURL is refused after its expiry.
        """
        grant = self.ensure(expires=2000.0)
        self.assertIsNotNone(self.lookup(grant))
        self.time = 2000.0
        self.assertRaises(RevokedError, self.lookup, grant)

    def test_watches_forgotten(self) -> None:
        """
        An expired watch grant is deleted later; a slave's grant is not.
        """
        slave = self.ensure(expires=2000.0)
        watch = self.successResultOf(
            Deferred.fromCoroutine(self.grants.ensure(verbs.WATCH, "1", name="request-1", expires=2000.0))
        )
        self.time = 3000.0
        self.grants.forget_watches(2000.0)
        self.assertRaises(RevokedError, self.lookup, watch)
        self.grants.forget_watches(2001.0)
        self.assertIsNone(self.lookup(watch))
        self.assertRaises(RevokedError, self.lookup, slave)

    def test_pinned(self) -> None:
        """
        Promise 3: the first key that uses a slave's FURL pins it; another key is refused with the remedy, until
        `unpin`.
        """
        grant = self.ensure()
        self.grants.pins.pin(grant, "key-1")
        self.grants.pins.pin(grant, "key-1")
        error = self.assertRaises(PinnedError, self.grants.pins.pin, grant, "key-2")
        self.assertIn("buildbot-lite unpin bot1", str(error))
        self.assertRaises(PinnedError, self.another().pins.pin, grant, "key-2")
        self.successResultOf(Deferred.fromCoroutine(self.grants.pins.unpin("bot1")))
        self.another().pins.pin(grant, "key-2")

    def test_unpin_nobody(self) -> None:
        """
        `unpin` of an unknown slave is refused.
        """
        self.failureResultOf(Deferred.fromCoroutine(self.grants.pins.unpin("bot9")), NotFoundError)


class LostKeyTests(SynchronousTestCase):
    """
    A farm whose files in ``private/`` are not those with which its FURLs were made.
    """

    def setUp(self) -> None:
        self.harness = MasterHarness(ONE)

    def restart(self, swissnums: Swissnums) -> None:
        """
        Restart the master with *swissnums*.
        """
        self.harness.swissnums = swissnums
        self.harness.restart()

    def texts(self) -> dict[str, str]:
        """
        The files with the FURLs of a slave, a Submit scheduler and the admin.
        """
        found = {}
        for name in ("furls/bot1.furl", "furls/go.furl", "private/admin.furl"):
            with open(os.path.join(self.harness.basedir, name), encoding="utf-8") as file:
                found[name] = file.read()
        return found

    def test_other_key(self) -> None:
        """
        Promise 6.19: with another key, all FURLs are void, also labelled ones; the files have new ones, and another
        restart changes nothing.
        """
        grants, before = self.harness.farm.grants, self.texts()
        given = self.harness.done(grants.hand_out(verbs.CONTROL, "farm", name="farm", label="on call"))
        old = [grants.swissnum(grant) for grant in grants.everything()]
        self.assertIn(grants.swissnum(given), old)
        self.restart(Swissnums(b"another key"))

        for swissnum in old:
            self.assertRaises(RevokedError, self.harness.farm.grants.lookup, swissnum)
        after = self.texts()
        for name, text in after.items():
            self.assertNotEqual(text, before[name])
        self.restart(Swissnums(b"another key"))
        self.assertEqual(self.texts(), after)

    def test_lost_file_of_0_1_0(self) -> None:
        """
        FURLs of 0.1.0 whose file was lost still work, but are not shown until they are replaced; the admin's is
        replaced at once.
        """
        old = {verb: f"random-{verb}" for verb in ("slave", "submit", "admin")}
        rows = [(digest_of(swissnum), verb) for verb, swissnum in old.items()]
        sql = "UPDATE grants SET salt = NULL, digest = ? WHERE verb = ?"
        _ = self.harness.records.write(lambda connection: connection.exec_driver_sql(sql, rows))
        kept = Swissnums(b"key", {digest_of(swissnum): swissnum for swissnum in old.values()})
        self.restart(kept)
        self.assertEqual([text.strip().rpartition("/")[2] for text in self.texts().values()], list(old.values()))
        self.restart(Swissnums(b"key"))

        grants = self.harness.farm.grants
        self.assertIsNotNone(grants.lookup(old["slave"]))
        self.assertRaises(RevokedError, grants.lookup, old["admin"])
        self.assertFalse(os.path.exists(os.path.join(self.harness.basedir, "furls", "bot1.furl")))
        slave = grants.of(verbs.SLAVE, "bot1")
        assert slave is not None
        self.assertIn("buildbot-lite rotate bot1", str(self.assertRaises(LostStringError, grants.swissnum, slave)))
        self.harness.done(self.harness.farm.revocation.rotate(verbs.SLAVE, "bot1"))
        self.assertTrue(os.path.exists(os.path.join(self.harness.basedir, "furls", "bot1.furl")))


class FurlFileTests(SynchronousTestCase):
    """
    Promise 2: the files in which FURLs are found.
    """

    def setUp(self) -> None:
        self.harness = MasterHarness(ONE)

    def text(self, name: str) -> str:
        """
        The contents of a file of the farm.
        """
        with open(os.path.join(self.harness.basedir, name), encoding="utf-8") as file:
            return file.read()

    def lines(self, name: str) -> dict[str, str]:
        """
        The FURLs in a file, by name.
        """
        return dict(line.split() for line in self.text(name).splitlines() if not line.startswith("#"))

    def test_files(self) -> None:
        """
        Promise 2: the files have one line for each slave and each Submit scheduler; a file of its own has the same
        FURL.  All files are private.
        """
        self.assertEqual(list(self.lines("buildslave.furls")), ["bot1"])
        self.assertEqual(list(self.lines("submit.furls")), ["go"])
        self.assertIn(self.lines("buildslave.furls")["bot1"], self.text("furls/bot1.furl"))
        for name in ("buildslave.furls", "submit.furls", "furls/bot1.furl", "furls/go.furl", "private/admin.furl"):
            mode = os.stat(os.path.join(self.harness.basedir, name)).st_mode
            self.assertEqual(stat.S_IMODE(mode), 0o600, name)

    def test_reconfig(self) -> None:
        """
        Promise 2: adding or removing a slave changes only its line and its file.
        """
        before = self.lines("buildslave.furls")
        untouched = os.stat(os.path.join(self.harness.basedir, "furls/bot1.furl")).st_ino
        self.harness.configure(TWO_SLAVES)
        self.harness.done(self.harness.farm.reconfiguration.apply())
        after = self.lines("buildslave.furls")
        self.assertEqual(list(after), ["bot1", "bot2"])
        self.assertEqual(after["bot1"], before["bot1"])
        self.assertEqual(os.stat(os.path.join(self.harness.basedir, "furls/bot1.furl")).st_ino, untouched)
        self.harness.configure(ONE)
        self.harness.done(self.harness.farm.reconfiguration.apply())
        self.assertEqual(self.lines("buildslave.furls"), before)
        self.assertFalse(os.path.exists(os.path.join(self.harness.basedir, "furls/bot2.furl")))

    def test_all_or_nothing(self) -> None:
        """
        Promise 11: a master.cfg with a mistake changes nothing.
        """
        before = self.text("buildslave.furls"), self.harness.farm.config
        self.harness.configure(
            master_cfg(slaves={"bot1": "max_builds=-1"}, builders=[builder_config(slaves=["bot7"], steps=four_steps())])
        )
        failure = self.failureResultOf(
            Deferred.fromCoroutine(self.harness.farm.reconfiguration.apply()), BuildbotLiteError
        )
        self.assertIn("bot7", str(failure.value))
        self.assertEqual((self.text("buildslave.furls"), self.harness.farm.config), before)

    def test_desk_of_a_removed_slave(self) -> None:
        """
        Promise 3: the FURL of a slave that was removed from master.cfg is refused with a sentence.
        """
        swissnum = self.lines("buildslave.furls")["bot1"].rsplit("/", 1)[1]
        desk = self.harness.farm.grants.lookup(swissnum)
        self.harness.configure(master_cfg(slaves={"bot2": ""}))
        self.harness.done(self.harness.farm.reconfiguration.apply())
        attaching = desk._desk.attach(None, hello(), "key")  # type: ignore[union-attr]  # an ExposedDesk
        self.assertIn("not in master.cfg any more", str(self.failureResultOf(attaching).value))
