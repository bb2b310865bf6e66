"""
The admin's grants: made with limits, listed, revoked, rotated; and slaves that leave.
"""

import io
import os
from typing import Any
from unittest import mock

from attrs import evolve
from twisted.internet.defer import Deferred, fail, succeed

from buildbot_lite.control.admin import AdminDesk
from buildbot_lite.control.input_receiver import STALL_TIMEOUT
from buildbot_lite.control.rights import MAY_CONTROL, MAY_LOOK
from buildbot_lite.control.submissions import SubmitTarget
from buildbot_lite.errors import (
    DatabaseFullError,
    InputError,
    LimitError,
    RefusedError,
    RevokedError,
    StorageError,
)
from buildbot_lite.master.grants import verbs
from buildbot_lite.master.scheduling.submit_limits import MOST_AT_ONCE
from buildbot_lite.model.results import Result
from buildbot_lite.model.wait_reasons import WaitKind
from buildbot_lite.status.following import LogFollower
from buildbot_lite.storage.retrying import LONGEST_PAUSE
from buildbot_lite.wire.exposed import Exposed
from buildbot_lite.wire.loopback import LoopbackLink
from test.master.configurations import GO, ONE, master_cfg
from test.master.harness import (
    FakeSlave,
    succeeding,
)

from .test_admin import AdminDeskCase
from .test_submissions import FakeWatcher

SCHEDULERS = (
    GO,
    'schedulers.Submit("file", ["b"], file="file")',
    'schedulers.Submit("words", ["b"], stdin="properties")',
    'schedulers.ForceScheduler("force", ["b"])',
)
TWO = master_cfg(slaves={"bot1": "", "bot2": ""}, schedulers=SCHEDULERS)


class AdminGrantCase(AdminDeskCase):
    config = TWO

    def setUp(self) -> None:
        """
        A farm whose two slaves are not attached.
        """
        super().setUp()
        self.harness.configure(self.config)
        self.harness.done(self.harness.farm.reconfiguration.apply())

    def follower(self) -> LogFollower:
        """
        The `LogFollower` of the desk.
        """
        return self.desk.follower

    def grant(self, object: str = "go", **limits: Any) -> int:
        """
        The number of a new submit grant.
        """
        return int(self.ask("grant", to="submit", object=object, **limits)["grant"]["grant"])

    def target(self, grant: int) -> SubmitTarget:
        """
        The object that the grant's FURL leads to.
        """
        farm = self.harness.farm
        return SubmitTarget(grant=grant, submissions=farm.submissions, store=farm.inputs, follower=self.follower())

    def submit(self, grant: int) -> FakeWatcher:
        """
        Run ``flappclient run-command`` with the grant's FURL.
        """
        watcher = FakeWatcher()
        self.successResultOf(self.target(grant).execute(watcher))
        self.harness.settle()
        return watcher

    def upload(self, grant: int, data: bytes) -> Deferred[None]:
        """
        Run ``flappclient upload-file`` with the grant's FURL.
        """
        source = io.BytesIO(data)
        return self.target(grant).put(b"f", lambda size: succeed(source.read(size)))

    def text(self, name: str) -> str:
        """
        The contents of a file of the farm.
        """
        with open(os.path.join(self.harness.basedir, name), encoding="utf-8") as file:
            return file.read()


class GrantLimitTests(AdminGrantCase):
    """
    Promise 15: a submitter stays within the limits of its grant.
    """

    def test_uses(self) -> None:
        """
        Promise 15: a grant admits exactly its number of uses, also over a restart of the master.
        """
        grant = self.grant(uses=2)
        self.assertIn("# request 1:", self.submit(grant).err)
        self.harness.restart()
        self.assertEqual(self.harness.farm.grants.in_force(grant).uses, 1)
        self.desk = AdminDesk(self.harness.farm, self.follower())
        self.assertIn("# request 2:", self.submit(grant).err)
        refused = self.submit(grant)

        self.assertEqual(refused.codes, [2])
        self.assertEqual(
            refused.err, "This string was good for 2 submissions, and is used up.  Ask the farm's admin for another.\n"
        )
        (listed,) = [each for each in self.ask("grants")["grants"] if each["grant"] == grant]
        self.assertEqual((listed["uses"], listed["state"]), (2, "used up"))

    def test_at_once(self) -> None:
        """
        Promise 15: hundreds of clients may submit with one FURL at the same time, up to a bound.
        """
        grant, admissions = self.grant(), self.harness.farm.submit_limits
        coming = [admissions.admit(grant, 1, with_input=False) for _ in range(MOST_AT_ONCE)]
        self.assertGreaterEqual(len(coming), 500)
        self.assertRaisesRegex(LimitError, "are coming in already", admissions.admit, grant, 1, with_input=False)
        with coming[0]:
            pass
        admissions.admit(grant, 1, with_input=False)

    def test_expires(self) -> None:
        """
        Promise 15: an expired FURL is refused, also on a link on which it was shown before.
        """
        grant = self.harness.farm.grants.in_force(self.grant(lasts=60.0))
        before = self.target(grant.id)
        self.harness.settle(60.0)

        self.assertRaises(RevokedError, self.harness.farm.grants.in_force, grant.id)
        self.assertRaises(RevokedError, self.harness.farm.grants.lookup, self.harness.farm.grants.swissnum(grant))
        watcher = FakeWatcher()
        self.successResultOf(before.execute(watcher))
        self.assertIn("has expired", watcher.err)
        listed = [each["grant"] for each in self.ask("grants")["grants"]]
        every = {each["grant"]: each["state"] for each in self.ask("grants", all=True)["grants"]}
        self.assertNotIn(grant.id, listed)
        self.assertEqual(every[grant.id], "expired")
        self.assertEqual(self.ask("queue")["queue"], [])

    def test_expires_while_followed(self) -> None:
        """
        Promise 6.18: when a FURL expires, the links on which it was shown are closed; no others, and not earlier.
        """
        grants = self.harness.farm.grants
        submit = evolve(grants.verbs[verbs.SUBMIT], expose=lambda grant, revocable: Exposed(revocable))
        self.patch(grants, "verbs", {**grants.verbs, verbs.SUBMIT: submit})
        links = {}
        for name, more in (("long", {}), ("short", {"lasts": 60.0}), ("revoked", {"lasts": 60.0})):
            answer = self.ask("grant", to="submit", object="go", label=name, **more)
            shown = grants.lookup(answer["furl"].rpartition("/")[2])
            assert shown is not None
            links[name] = LoopbackLink()
            shown.revocable.used_by(links[name])
        self.ask("revoke", which="revoked")
        self.harness.settle(59.0)
        self.assertEqual(
            {name: link.lost for name, link in links.items()}, {"long": False, "short": False, "revoked": True}
        )
        self.harness.settle(2.0)

        self.assertEqual([links["long"].lost, links["short"].lost], [False, True])

    def test_rate(self) -> None:
        """
        Promise 15: per_hour limits any hour, also over a restart of the master; the refusal says when to try again.
        """
        grant = self.grant(per_hour=2)
        self.submit(grant)
        self.harness.settle(1200.0)
        self.submit(grant)
        self.harness.restart()
        self.harness.settle(1200.0)
        self.assertEqual(
            self.submit(grant).err, "This string is good for 2 submissions an hour.  Try again in 20 min.\n"
        )
        self.harness.settle(1201.0)
        self.assertIn("# request 3:", self.submit(grant).err)

    def test_size(self) -> None:
        """
        Promise 15: an input larger than the limit is refused while it arrives, and not kept.
        """
        grant = self.grant("file", largest=10)
        self.successResultOf(self.upload(grant, b"0123456789"))
        failure = self.failureResultOf(self.upload(grant, b"0123456789a"), InputError)

        self.assertIn("larger than the 10 bytes", str(failure.value))
        self.assertEqual(len(os.listdir(os.path.join(self.harness.basedir, "inputs"))), 1)
        feed = self.successResultOf(self.target(self.grant("words", largest=10)).execute(FakeWatcher()))
        assert feed is not None
        feed.feed(b"a=" + b"x" * 9)
        feed.close()
        self.assertEqual(len(self.ask("queue")["queue"]), 1)

    def test_waiting(self) -> None:
        """
        Promise 15: most_waiting limits the requests in the queue; when one starts, another may be submitted.
        """
        grant = self.grant(most_waiting=1)
        self.submit(grant)
        self.assertIn("At most 1 requests of this string may wait, and 1 do.", self.submit(grant).err)
        self.harness.attach()
        self.assertIn("# request 2:", self.submit(grant).err)

    def test_priority(self) -> None:
        """
        Promise 9.8: a bound of priorities is for targets of packages alone, whose submitters choose one.
        """
        asked = self.desk.ask({"ask": "grant", "to": "submit", "object": "go", "most_priority": 5})
        error = self.failureResultOf(asked, RefusedError)
        self.assertIn("--priority is for strings of targets of packages", str(error.value))

    def test_all_at_once(self) -> None:
        """
        Promise 15: submissions count from their beginning, before their input has arrived; an aborted one does not
        count.
        """
        grant = self.grant("words", uses=1)
        first, second = FakeWatcher(), FakeWatcher()
        feed = self.successResultOf(self.target(grant).execute(first))
        assert feed is not None
        self.assertIsNone(self.successResultOf(self.target(grant).execute(second)))
        self.assertIn("is used up", second.err)
        first.disconnect()
        self.assertIsNotNone(self.successResultOf(self.target(grant).execute(FakeWatcher())))

    def test_incomplete_submissions(self) -> None:
        """
        Promise 15: a grant without limits cannot begin more than 20 incomplete submissions.
        """
        grant = self.grant("words")
        feeds = [self.successResultOf(self.target(grant).execute(FakeWatcher())) for _ in range(30)]

        self.assertEqual(len([feed for feed in feeds if feed is not None]), 20)

    def test_disconnected_during_the_transaction(self) -> None:
        """
        Promise 6.4: a client that disconnects while its submission is being recorded has used its grant; it cannot
        begin another within the limit.
        """
        full, write = [True], self.harness.records.write
        self.patch(self.harness.records, "write", lambda change: fail(DatabaseFullError()) if full else write(change))
        for limit in ("uses", "per_hour", "most_waiting"):
            full.clear()
            grant, before = self.grant("words", **{limit: 1}), len(self.ask("queue")["queue"])
            full.append(True)
            for _ in range(3):
                watcher = FakeWatcher()
                feed = self.successResultOf(self.target(grant).execute(watcher))
                if feed is not None:
                    feed.feed(b"a=b")
                    feed.close()
                watcher.disconnect()
                self.harness.settle()
            full.clear()
            self.harness.settle(LONGEST_PAUSE)

            self.assertEqual(len(self.ask("queue")["queue"]) - before, 1, limit)
            self.assertIn("# request", self.submit(self.grant("go", **{limit: 1})).err)
            self.assertNotIn("# request", self.submit(grant).err)

    def test_failed_submissions_do_not_count(self) -> None:
        """
        Promise 6.4: a submission that was not recorded, for any reason, is no use of the grant.
        """
        grant = self.grant("words", uses=1)
        for spoil in ("nonsense", "stands still", "not recorded", "hangs up"):
            watcher = FakeWatcher()
            feed = self.successResultOf(self.target(grant).execute(watcher))
            assert feed is not None, watcher.err
            feed.feed(b"nonsense" if spoil == "nonsense" else b"a=b")
            if spoil == "stands still":
                self.harness.settle(STALL_TIMEOUT)
            elif spoil == "hangs up":
                watcher.disconnect()
            with mock.patch.object(self.harness.records, "write", side_effect=StorageError):
                feed.close()
                self.harness.settle()
            self.assertEqual(watcher.codes, [] if spoil == "hangs up" else [2])
        feed = self.successResultOf(self.target(grant).execute(FakeWatcher()))

        self.assertIsNotNone(feed)

    def test_refused_before_the_input(self) -> None:
        """
        Promise 15: a client that may not submit is refused before it sends any input.
        """
        grant = self.grant("file", uses=1)
        self.successResultOf(self.upload(grant, b"x"))
        failure = self.failureResultOf(self.target(grant).put(b"f", lambda size: self.fail("it was asked")), LimitError)

        self.assertIn("used up", str(failure.value))


class NewGrantTests(AdminGrantCase):
    """
    New grants.
    """

    def test_furl_only_in_the_answer(self) -> None:
        """
        Promise 17: a new FURL is only in the answer; no list and no file of the farm has it.
        """
        answer = self.ask("grant", to="submit", object="go", uses=5, lasts=7 * 86400.0, label="release script")
        swissnum = answer["furl"].rpartition("/")[2]

        self.assertEqual(len(swissnum), 32)
        listed = self.ask("grants")["grants"]
        self.assertEqual(
            [each["verb"] for each in listed], ["slave", "submit", "admin", "slave", "submit", "submit", "submit"]
        )
        self.assertEqual((listed[-1]["label"], listed[-1]["uses_allowed"]), ("release script", 5))
        everything = [str(listed), str(self.ask("grants", all=True))]
        for directory, _, names in os.walk(self.harness.basedir):
            for name in names:
                with open(os.path.join(directory, name), "rb") as file:
                    everything.append(file.read().decode("utf-8", "replace"))
        for text in everything:
            self.assertNotIn(swissnum, text)
        for grant in self.harness.farm.grants.everything():
            self.assertNotIn(self.harness.farm.grants.swissnum(grant), everything[0] + everything[1])

    def test_by_builder(self) -> None:
        """
        A Submit scheduler may be named by its builder if it is the builder's only one; otherwise the error lists them.
        """
        self.assertIn("Several Submit schedulers build b", self.refused("grant", to="submit", object="b"))
        self.assertIn("There are: go, file, words", self.refused("grant", to="submit", object="x"))
        self.harness.configure(ONE)
        self.harness.done(self.harness.farm.reconfiguration.apply())
        self.assertEqual(self.ask("grant", to="submit", object="b")["grant"]["name"], "go")

    def test_limits_of_others(self) -> None:
        """
        uses, per_hour and largest are limits of submit grants only; impossible limits are refused.
        """
        self.assertIn("no limit but --expires", self.refused("grant", to="admin", uses=1))
        self.assertIn(
            "uses of the question is not a whole number from 1", self.refused("grant", to="submit", object="go", uses=0)
        )
        self.assertIn("in the past", self.refused("grant", to="submit", object="go", lasts=-1.0))
        self.assertIn("There is no string to 'slave'", self.refused("grant", to="slave"))

    def test_watch(self) -> None:
        """
        A watch grant is for one request, until a week after its end, or for the whole farm.
        """
        self.built()
        request = self.ask("builds")["builds"][0]["request"]
        given = self.ask("grant", to="watch", object=str(request), label="a colleague")["grant"]

        self.assertEqual(given["name"], f"request-{request}")
        self.assertEqual(given["expires"] - given["created"], 7 * 86400)
        self.assertEqual(self.ask("grant", to="watch")["grant"]["expires"], None)
        self.assertIn("There is no request 99", self.refused("grant", to="watch", object="99"))
        self.assertIn("not the number", self.refused("grant", to="watch", object="x"))

    def test_rights(self) -> None:
        """
        A watch grant permits no changes, and a control grant no changes of grants.
        """
        everything = self.desk
        self.desk = AdminDesk(everything.farm, everything.follower, MAY_LOOK)
        self.ask("status")
        for question in (
            "force",
            "cancel",
            "pause",
            "reconfig",
            "grant",
            "grants",
            "revoke",
            "rotate",
            "unpin",
            "lost",
        ):
            self.assertIn(f"does not permit '{question}'", self.refused(question))
        self.assertIn("does not permit 'idle'", self.refused("idle", "follow"))
        self.desk = AdminDesk(everything.farm, everything.follower, MAY_CONTROL)
        self.ask("force", builder="b", reason="test")
        self.ask("pause", slave="bot1", paused=True)
        for question in ("reconfig", "grant", "grants", "revoke", "rotate", "unpin", "lost"):
            self.assertIn(f"does not permit '{question}'", self.refused(question))


class RevocationTests(AdminGrantCase):
    """
    Promise 17: grants are revoked and rotated.
    """

    def link(self, verb: str, name: str) -> LoopbackLink:
        """
        A live link on which the FURL was shown.
        """
        grant = self.harness.farm.grants.of(verb, name)
        assert grant is not None
        link = LoopbackLink()
        shown = self.harness.farm.grants.lookup(self.harness.farm.grants.swissnum(grant))
        assert shown is not None
        shown.revocable.used_by(link)
        return link

    def running(self) -> tuple[FakeSlave, int]:
        """
        A build on bot1 in its first command.
        """
        slave = self.harness.attach("bot1")
        return slave, self.harness.submit()

    def test_interrupted_rotation(self) -> None:
        """
        If the master dies during the rotation of the admin's FURL, the new one is in force and the old one is not.
        """
        grants = self.harness.farm.grants
        old = grants.of(verbs.ADMIN, "farm")
        assert old is not None
        new = self.harness.done(grants.hand_out(verbs.ADMIN, "farm", name="farm"))
        self.harness.restart()
        self.assertEqual([each.id for each in self.harness.farm.grants.all_of(verbs.ADMIN, "farm")], [new.id])
        self.assertNotEqual(old.id, new.id)

    def test_slave(self) -> None:
        """
        Promise 9: the builds of a revoked slave end with RETRY and the reason, and are retried on other slaves.  Its
        FURL is void and in no file, and its link is closed.
        """
        link = self.link(verbs.SLAVE, "bot1")
        slave, request = self.running()
        answer = self.ask("revoke", which="bot1")

        self.assertEqual(answer["ended"], ["b/1"])
        self.assertTrue(link.lost)
        self.assertTrue(slave.dropped)
        (build,) = self.harness.builds(request)
        self.assertEqual((build.result, build.reason), (Result.RETRY, "the string of bot1 was revoked"))
        self.assertNotIn("bot1", self.text("buildslave.furls").replace("buildslave", ""))
        self.assertFalse(os.path.exists(os.path.join(self.harness.basedir, "furls", "bot1.furl")))
        self.harness.attach("bot2", FakeSlave(behaviour=succeeding))
        self.harness.settle(5)
        self.assertEqual([each.slave for each in self.harness.builds(request)], ["bot1", "bot2"])
        self.assertEqual(self.harness.request(request).result, Result.SUCCESS)

    def test_stays_revoked(self) -> None:
        """
        Promise 17: a restart or `reconfig` gives a revoked slave no new FURL; its requests wait with that reason.
        """
        self.ask("revoke", which="bot1")
        self.harness.configure(ONE)
        self.harness.done(self.harness.farm.reconfiguration.apply())
        self.harness.restart()
        self.assertNotIn("bot1 pb", self.text("buildslave.furls"))
        request = self.harness.submit()
        reason = self.harness.farm.dispatcher.why(request)

        assert reason is not None
        self.assertEqual(reason.kind, WaitKind.REVOKED)
        self.assertIn("buildbot-lite rotate bot1", reason.sentence)

    def test_revoked_in_a_restart(self) -> None:
        """
        Promise 9: when a master starts, a build on a slave whose FURL was revoked is retried at once.
        """
        _, request = self.running()
        grant = self.harness.farm.grants.of(verbs.SLAVE, "bot1")
        assert grant is not None
        self.harness.done(self.harness.farm.grants.revoke(grant))  # and then the master died
        self.harness.restart()

        self.assertEqual([each.result for each in self.harness.builds(request)], [Result.RETRY])

    def test_cancel(self) -> None:
        """
        Promise 17: with --cancel, the builds of a revoked slave end with CANCELLED.
        """
        _, request = self.running()
        self.ask("revoke", which="bot1", cancel=True)

        self.assertEqual([each.result for each in self.harness.builds(request)], [Result.CANCELLED])
        self.assertEqual(self.harness.request(request).result, Result.CANCELLED)

    def test_kill(self) -> None:
        """
        Promise 17: with --kill, commands are interrupted first, and the link is closed after their end.
        """
        link = self.link(verbs.SLAVE, "bot1")
        slave, request = self.running()
        answer: list[Any] = []
        _ = self.desk.ask({"ask": "revoke", "which": "bot1", "kill": True}).addCallback(answer.append)
        self.harness.settle()
        (started,) = slave.commands
        self.assertEqual(slave.interrupted, [(started.id, "the string of bot1 was revoked")])
        self.assertEqual((link.lost, answer), (False, []))
        started.end(143)
        self.harness.settle()
        slave.commands[-1].end(0)  # the step that always runs
        self.harness.settle()

        self.assertTrue(link.lost)
        self.assertEqual(answer[0]["ended"], ["b/1"])
        self.assertEqual([each.result for each in self.harness.builds(request)], [Result.RETRY])

    def test_kill_time_out(self) -> None:
        """
        Promise 17: with --kill, the link is closed after 10 s even if the commands have not ended.
        """
        link = self.link(verbs.SLAVE, "bot1")
        slave, request = self.running()
        asking = self.desk.ask({"ask": "revoke", "which": "bot1", "kill": True, "cancel": True})
        self.harness.settle(9.0)
        self.assertFalse(link.lost)
        self.assertEqual(len(slave.commands), 1)
        self.harness.settle(1.0)

        self.assertTrue(link.lost)
        self.successResultOf(asking)
        self.assertEqual([each.result for each in self.harness.builds(request)], [Result.CANCELLED])

    def test_no_new_build_during_kill(self) -> None:
        """
        Promise 17: while a slave's commands are being killed, it gets no new build.
        """
        slave, _ = self.running()
        _ = self.desk.ask({"ask": "revoke", "which": "bot1", "kill": True})
        self.harness.submit()

        self.assertEqual(len(slave.commands), 1)
        self.harness.settle(10.0)

    def test_rotate(self) -> None:
        """
        Promise 17: `rotate` writes a new FURL to the files and voids the old one; the slave can attach with the new
        one.
        """
        self.running()
        old = self.harness.farm.grants.of(verbs.SLAVE, "bot1")
        before = self.text("furls/bot1.furl")
        self.assertEqual(self.ask("rotate", name="bot1")["ended"], ["b/1"])
        new = self.harness.farm.grants.of(verbs.SLAVE, "bot1")

        assert old is not None and new is not None
        self.assertNotEqual(self.harness.farm.grants.swissnum(old), self.harness.farm.grants.swissnum(new))
        self.assertRaises(RevokedError, self.harness.farm.grants.lookup, self.harness.farm.grants.swissnum(old))
        self.assertIn(self.harness.farm.grants.swissnum(new), self.text("furls/bot1.furl"))
        self.assertIn(
            f"bot1 pb://tub@tcp:here:1/{self.harness.farm.grants.swissnum(new)}\n", self.text("buildslave.furls")
        )
        self.assertNotEqual(before, self.text("furls/bot1.furl"))
        slave = self.harness.attach("bot1")
        self.harness.settle(5)
        self.assertEqual(len(slave.commands), 1)

    def test_rotate_revoked(self) -> None:
        """
        Promise 17: `rotate` gives a revoked slave a FURL again.
        """
        self.ask("revoke", which="bot1")
        self.ask("rotate", name="bot1")

        self.assertIn("bot1 pb://", self.text("buildslave.furls"))
        (bot1, _) = self.ask("slaves")["slaves"]
        self.assertFalse(bot1["revoked"])

    def test_rotate_submission(self) -> None:
        """
        Promise 17: `rotate` of a submission replaces the FURL in the files; other grants of the scheduler stay valid.
        """
        given = self.grant(label="mine")
        old = self.harness.farm.grants.of(verbs.SUBMIT, "go")
        self.ask("rotate", name="go")
        assert old is not None

        self.assertRaises(RevokedError, self.harness.farm.grants.in_force, old.id)
        self.assertNotIn(self.harness.farm.grants.swissnum(old), self.text("submit.furls"))
        self.harness.farm.grants.in_force(given)

    def test_rotate_admin(self) -> None:
        """
        `rotate` replaces the admin's own FURL; the old one stays valid until the answer has been sent.
        """
        old = self.harness.farm.grants.of(verbs.ADMIN, "farm")
        self.ask("rotate", name="admin")
        new = self.harness.farm.grants.of(verbs.ADMIN, "farm")

        assert old is not None and new is not None
        self.assertIn(self.harness.farm.grants.swissnum(new), self.text("private/admin.furl"))
        self.harness.farm.grants.in_force(old.id)
        self.harness.settle(1.0)
        self.assertRaises(RevokedError, self.harness.farm.grants.in_force, old.id)
        self.assertIn("rotate admin", self.refused("revoke", which="admin"))

    def test_submission(self) -> None:
        """
        Promise 17: after `revoke` of a submit grant, its requests continue, or with --cancel end with CANCELLED.
        """
        first, second = self.grant(label="first"), self.grant(label="second")
        self.submit(first)
        self.submit(second)
        self.assertEqual(self.ask("revoke", which="first")["ended"], [])
        self.assertEqual(self.ask("revoke", which=f"#{second}", cancel=True)["ended"], ["request 2"])

        self.assertEqual([self.harness.request(number).result for number in (1, 2)], [None, Result.CANCELLED])
        self.assertIn("no longer valid", self.submit(first).err)
        self.assertIn("--kill is for slaves", self.refused("revoke", which="go", kill=True))

    def test_names_of_grants(self) -> None:
        """
        A grant is named by its object, number or label; an unknown or ambiguous name is refused.
        """
        self.grant(label="twice")
        self.grant(label="twice")

        self.assertIn("Several strings are called 'twice'", self.refused("revoke", which="twice"))
        self.assertIn("No string in force is called 'bot9'", self.refused("revoke", which="bot9"))
        self.ask("revoke", which="bot1")
        self.assertIn("No string in force is called 'bot1'", self.refused("revoke", which="bot1"))
        self.assertIn("There are: bot1, bot2, go, file, words, admin", self.refused("rotate", name="bot9"))


class LeavingSlaveTests(AdminGrantCase):
    """
    Slaves that leave the farm.
    """

    def test_lost(self) -> None:
        """
        Promise 8: builds on a slave that an admin declares lost are retried at once, with the reason.
        """
        slave = self.harness.attach("bot1")
        request = self.harness.submit()
        slave.lose()
        self.harness.settle()
        answer = self.ask("lost", slave="bot1")

        self.assertEqual((answer["lost"], answer["connected"]), (["b/1"], False))
        (build,) = self.harness.builds(request)
        self.assertEqual((build.result, build.reason), (Result.RETRY, "an admin says that bot1 is lost"))

    def test_lost_after_it_was_removed(self) -> None:
        """
        Promise 8: a slave that was removed from master.cfg, and on which a build waits, can be declared lost.
        """
        slave = self.harness.attach("bot1")
        request = self.harness.submit()
        slave.lose()
        self.harness.configure(master_cfg(slaves={"bot2": ""}, schedulers=SCHEDULERS))
        self.harness.done(self.harness.farm.reconfiguration.apply())
        self.assertEqual(self.ask("lost", slave="bot1")["lost"], ["b/1"])
        self.assertEqual([each.result for each in self.harness.builds(request)], [Result.RETRY])

    def test_lost_and_back(self) -> None:
        """
        Promise 8: a slave that was declared lost and reattaches is told to disown its commands, and is used again.
        """
        slave = self.harness.attach("bot1")
        request = self.harness.submit()
        held = slave.held()
        self.ask("lost", slave="bot1")
        self.assertTrue(slave.dropped)
        back = self.harness.attach("bot1", FakeSlave(behaviour=succeeding), held=held)
        self.assertEqual(back.disowned, [held[0].id])
        self.harness.settle(5)

        self.assertEqual([each.result for each in self.harness.builds(request)], [Result.RETRY, Result.SUCCESS])

    def test_drain(self) -> None:
        """
        A drained slave gets no more builds and is told to leave when it attaches; after its next start it gets builds.
        """
        slave = self.harness.attach("bot1")
        answer = self.ask("drain", slave="bot1")
        self.assertEqual(answer["running"], [])
        self.assertTrue(slave.dropped)
        self.assertTrue(self.harness.farm.slaves.is_to_leave("bot1"))
        self.harness.attach("bot1")
        request = self.harness.submit()
        reason = self.harness.farm.dispatcher.why(request)
        assert reason is not None
        self.harness.attach("bot1", draining=True)
        self.assertEqual(self.harness.builds(request), [])
        self.harness.attach("bot1", incarnation="another")
        self.assertFalse(self.harness.farm.slaves.is_to_leave("bot1"))

        self.assertEqual(len(self.harness.builds(request)), 1)

    def test_not_attached(self) -> None:
        """
        `drain` of a slave that is not attached, and an unknown slave, are refused.
        """
        self.assertIn("bot1 is not connected", self.refused("drain", slave="bot1"))
        answer = self.ask("pause", slave="bot1", paused=True)
        self.assertEqual(
            (answer["connected"], answer["obstacle"]), (False, "bot1 is not connected (never seen) and paused")
        )
        for question in ("drain", "lost"):
            self.assertIn("There are: bot1, bot2", self.refused(question, slave="bot9"))


class CancelledAndLostTests(AdminGrantCase):
    def test_cancelled_then_lost(self) -> None:
        """
        A build that was cancelled while its slave was away is not retried when the slave is declared lost.
        """
        slave = self.harness.attach("bot1")
        request = self.harness.submit()
        slave.lose()
        self.harness.settle()
        self.ask("cancel", request=request)
        self.ask("lost", slave="bot1")

        self.assertEqual(self.harness.request(request).result, Result.CANCELLED)
