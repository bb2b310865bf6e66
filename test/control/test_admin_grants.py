"""
Strings as an admin handles them: handed out with limits, listed, taken back, replaced; and slaves that go.
"""

import io
import os
from typing import Any
from unittest import mock

from attrs import evolve
from twisted.internet.defer import Deferred, fail, succeed

from buildbot_lite.control.admin import AdminDesk
from buildbot_lite.control.intake import PATIENCE
from buildbot_lite.control.submissions import SubmitTarget
from buildbot_lite.control.verbs import MAY_CONTROL, MAY_LOOK
from buildbot_lite.errors import (
    DatabaseFullError,
    InputError,
    LimitError,
    RevokedError,
    StorageError,
)
from buildbot_lite.master.grants import verbs
from buildbot_lite.master.scheduling.submit_limits import MOST_AT_ONCE
from buildbot_lite.model.results import Result
from buildbot_lite.model.wait_reasons import WaitKind
from buildbot_lite.status.following import Following
from buildbot_lite.storage.retrying import LONGEST_PAUSE
from buildbot_lite.wire.exposed import Exposed
from buildbot_lite.wire.loopback import LoopbackLink
from test.master.stage import (
    ONE,
    FakeSlave,
    succeeding,
)

from .test_admin import ControlCase
from .test_submissions import FakeWatcher

TWO = (
    ONE.replace('[slave.BuildSlave("bot1")]', '[slave.BuildSlave("bot1"), slave.BuildSlave("bot2")]')
    .replace('"b", ["bot1"]', '"b", ["bot1", "bot2"]')
    .replace(
        '[schedulers.Submit("go", ["b"])]',
        '[schedulers.Submit("go", ["b"]), schedulers.Submit("file", ["b"], file="file"), '
        'schedulers.Submit("words", ["b"], stdin="properties"), schedulers.ForceScheduler("force", ["b"])]',
    )
)


class HoldersCase(ControlCase):
    config = TWO

    def setUp(self) -> None:
        """
        A farm with two slaves that are not there.
        """
        super().setUp()
        self.stage.configure(self.config)
        self.stage.done(self.stage.farm.reconfiguration.apply())

    def following(self) -> Following:
        """
        For those who watch.
        """
        return self.desk.following

    def grant(self, object: str = "go", **limits: Any) -> int:
        """
        The number of a new string to submit.
        """
        return int(self.ask("grant", to="submit", object=object, **limits)["grant"]["grant"])

    def submitting(self, grant: int) -> SubmitTarget:
        """
        What that string leads to.
        """
        farm = self.stage.farm
        return SubmitTarget(grant=grant, submissions=farm.submissions, store=farm.inputs, following=self.following())

    def submit(self, grant: int) -> FakeWatcher:
        """
        ``flappclient run-command`` with that string.
        """
        watcher = FakeWatcher()
        self.successResultOf(self.submitting(grant).execute(watcher))
        self.stage.settle()
        return watcher

    def upload(self, grant: int, data: bytes) -> Deferred[None]:
        """
        ``flappclient upload-file`` with that string.
        """
        source = io.BytesIO(data)
        return self.submitting(grant).put(b"f", lambda size: succeed(source.read(size)))

    def text(self, name: str) -> str:
        """
        A file of the farm.
        """
        with open(os.path.join(self.stage.basedir, name), encoding="utf-8") as file:
            return file.read()


class LimitsTests(HoldersCase):
    """
    Promise 15: a submitter runs its builder within its grant.
    """

    def test_uses(self) -> None:
        """
        Promise 15: so many uses, and not one more; also after a restart of the master.
        """
        grant = self.grant(uses=2)
        self.assertIn("# request 1:", self.submit(grant).err)
        self.stage.restart()
        self.assertEqual(self.stage.farm.grants.in_force(grant).uses, 1)
        self.desk = AdminDesk(self.stage.farm, self.following())
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
        Promise 15: hundreds may submit with one string at the same moment, but not without end.
        """
        grant, admissions = self.grant(), self.stage.farm.submit_limits
        coming = [admissions.admit(grant, 1, with_input=False) for _ in range(MOST_AT_ONCE)]
        self.assertGreaterEqual(len(coming), 500)
        self.assertRaisesRegex(LimitError, "are coming in already", admissions.admit, grant, 1, with_input=False)
        with coming[0]:
            pass
        admissions.admit(grant, 1, with_input=False)

    def test_expires(self) -> None:
        """
        Promise 15: after its time the string is refused, also on a link on which it was shown before.
        """
        grant = self.stage.farm.grants.in_force(self.grant(lasts=60.0))
        before = self.submitting(grant.id)
        self.stage.settle(60.0)

        self.assertRaises(RevokedError, self.stage.farm.grants.in_force, grant.id)
        self.assertRaises(RevokedError, self.stage.farm.grants.lookup, self.stage.farm.grants.swissnum(grant))
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
        Promise 6.18: when its time is over, the connections are cut on which the string was shown, and what is followed
        there ends; not before, and not those of others.
        """
        grants = self.stage.farm.grants
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
        self.stage.settle(59.0)
        self.assertEqual(
            {name: link.lost for name, link in links.items()}, {"long": False, "short": False, "revoked": True}
        )
        self.stage.settle(2.0)

        self.assertEqual([links["long"].lost, links["short"].lost], [False, True])

    def test_rate(self) -> None:
        """
        Promise 15: so many in any hour, also across a restart of the master; the refusal says when to try again.
        """
        grant = self.grant(per_hour=2)
        self.submit(grant)
        self.stage.settle(1200.0)
        self.submit(grant)
        self.stage.restart()
        self.stage.settle(1200.0)
        self.assertEqual(
            self.submit(grant).err, "This string is good for 2 submissions an hour.  Try again in 20 min.\n"
        )
        self.stage.settle(1201.0)
        self.assertIn("# request 3:", self.submit(grant).err)

    def test_size(self) -> None:
        """
        Promise 15: input that is larger than allowed is refused while it comes in, and nothing of it stays.
        """
        grant = self.grant("file", largest=10)
        self.successResultOf(self.upload(grant, b"0123456789"))
        failure = self.failureResultOf(self.upload(grant, b"0123456789a"), InputError)

        self.assertIn("larger than the 10 bytes", str(failure.value))
        self.assertEqual(len(os.listdir(os.path.join(self.stage.basedir, "inputs"))), 1)
        feed = self.successResultOf(self.submitting(self.grant("words", largest=10)).execute(FakeWatcher()))
        assert feed is not None
        feed.feed(b"a=" + b"x" * 9)
        feed.close()
        self.assertEqual(len(self.ask("queue")["queue"]), 1)

    def test_waiting(self) -> None:
        """
        Promise 15: so many may wait; when one has begun, another may be asked for.
        """
        grant = self.grant(most_waiting=1)
        self.submit(grant)
        self.assertIn("At most 1 requests of this string may wait, and 1 do.", self.submit(grant).err)
        self.stage.attach()
        self.assertIn("# request 2:", self.submit(grant).err)

    def test_all_at_once(self) -> None:
        """
        Promise 15: submissions that begin together are counted together, before their input is there; one that breaks
        off gives its place back.
        """
        grant = self.grant("words", uses=1)
        first, second = FakeWatcher(), FakeWatcher()
        feed = self.successResultOf(self.submitting(grant).execute(first))
        assert feed is not None
        self.assertIsNone(self.successResultOf(self.submitting(grant).execute(second)))
        self.assertIn("is used up", second.err)
        first.go_away()
        self.assertIsNotNone(self.successResultOf(self.submitting(grant).execute(FakeWatcher())))

    def test_half_open(self) -> None:
        """
        Promise 15: a string without limits cannot begin any number of submissions that never come to an end.
        """
        grant = self.grant("words")
        feeds = [self.successResultOf(self.submitting(grant).execute(FakeWatcher())) for _ in range(30)]

        self.assertEqual(len([feed for feed in feeds if feed is not None]), 20)

    def test_hung_up_in_mid_transaction(self) -> None:
        """
        Promise 6.4: a client that hangs up while its submission is being recorded has used its string; no limit lets it
        begin another meanwhile.
        """
        full, write = [True], self.stage.records.write
        self.patch(self.stage.records, "write", lambda change: fail(DatabaseFullError()) if full else write(change))
        for limit in ("uses", "per_hour", "most_waiting"):
            full.clear()
            grant, before = self.grant("words", **{limit: 1}), len(self.ask("queue")["queue"])
            full.append(True)
            for _ in range(3):
                watcher = FakeWatcher()
                feed = self.successResultOf(self.submitting(grant).execute(watcher))
                if feed is not None:
                    feed.feed(b"a=b")
                    feed.close()
                watcher.go_away()
                self.stage.settle()
            full.clear()
            self.stage.settle(LONGEST_PAUSE)

            self.assertEqual(len(self.ask("queue")["queue"]) - before, 1, limit)
            self.assertIn("# request", self.submit(self.grant("go", **{limit: 1})).err)
            self.assertNotIn("# request", self.submit(grant).err)

    def test_given_back(self) -> None:
        """
        Promise 6.4: what was not recorded, for whatever reason, is no use.
        """
        grant = self.grant("words", uses=1)
        for spoil in ("nonsense", "stands still", "not recorded", "hangs up"):
            watcher = FakeWatcher()
            feed = self.successResultOf(self.submitting(grant).execute(watcher))
            assert feed is not None, watcher.err
            feed.feed(b"nonsense" if spoil == "nonsense" else b"a=b")
            if spoil == "stands still":
                self.stage.settle(PATIENCE)
            elif spoil == "hangs up":
                watcher.go_away()
            with mock.patch.object(self.stage.records, "write", side_effect=StorageError):
                feed.close()
                self.stage.settle()
            self.assertEqual(watcher.codes, [] if spoil == "hangs up" else [2])
        feed = self.successResultOf(self.submitting(grant).execute(FakeWatcher()))

        self.assertIsNotNone(feed)

    def test_refused_before_it_is_taken(self) -> None:
        """
        Promise 15: who may not submit is told so before a byte of the input is asked for.
        """
        grant = self.grant("file", uses=1)
        self.successResultOf(self.upload(grant, b"x"))
        failure = self.failureResultOf(
            self.submitting(grant).put(b"f", lambda size: self.fail("it was asked")), LimitError
        )

        self.assertIn("used up", str(failure.value))


class HandingOutTests(HoldersCase):
    """
    New strings.
    """

    def test_told_once(self) -> None:
        """
        Promise 17: the string is in the answer to whoever asked, in no list and in no file of the farm.
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
        for directory, _, names in os.walk(self.stage.basedir):
            for name in names:
                with open(os.path.join(directory, name), "rb") as file:
                    everything.append(file.read().decode("utf-8", "replace"))
        for text in everything:
            self.assertNotIn(swissnum, text)
        for grant in self.stage.farm.grants.everything():
            self.assertNotIn(self.stage.farm.grants.swissnum(grant), everything[0] + everything[1])

    def test_by_builder(self) -> None:
        """
        The Submit scheduler is found by its builder when it is the only one for it; otherwise the sentence names them.
        """
        self.assertIn("Several Submit schedulers ask for b", self.refused("grant", to="submit", object="b"))
        self.assertIn("There are: go, file, words", self.refused("grant", to="submit", object="x"))
        self.stage.configure(ONE)
        self.stage.done(self.stage.farm.reconfiguration.apply())
        self.assertEqual(self.ask("grant", to="submit", object="b")["grant"]["name"], "go")

    def test_limits_of_others(self) -> None:
        """
        Uses, rates and sizes are for submissions; a limit must be one.
        """
        self.assertIn("no limit but --expires", self.refused("grant", to="admin", uses=1))
        self.assertIn("uses is not a whole number from 1", self.refused("grant", to="submit", object="go", uses=0))
        self.assertIn("expired before", self.refused("grant", to="submit", object="go", lasts=-1.0))
        self.assertIn("There is no string to 'slave'", self.refused("grant", to="slave"))

    def test_watch(self) -> None:
        """
        A string for one request, until a week after its end; and one for the whole farm.
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
        Whoever may look may not touch; whoever may control hands out no strings.
        """
        everything = self.desk
        self.desk = AdminDesk(everything.farm, everything.following, MAY_LOOK)
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
        self.desk = AdminDesk(everything.farm, everything.following, MAY_CONTROL)
        self.ask("force", builder="b", reason="test")
        self.ask("pause", slave="bot1", paused=True)
        for question in ("reconfig", "grant", "grants", "revoke", "rotate", "unpin", "lost"):
            self.assertIn(f"does not permit '{question}'", self.refused(question))


class RevokingTests(HoldersCase):
    """
    Promise 17: taking strings back.
    """

    def link(self, verb: str, name: str) -> LoopbackLink:
        """
        A live link on which the string was shown.
        """
        grant = self.stage.farm.grants.of(verb, name)
        assert grant is not None
        link = LoopbackLink()
        shown = self.stage.farm.grants.lookup(self.stage.farm.grants.swissnum(grant))
        assert shown is not None
        shown.revocable.used_by(link)
        return link

    def running(self) -> tuple[FakeSlave, int]:
        """
        A build on bot1, in its first command.
        """
        slave = self.stage.attach("bot1")
        return slave, self.stage.submit()

    def test_rotation_that_was_cut_short(self) -> None:
        """
        A master that ends while the admin's string is rotated leaves the new one in force, and not the old one.
        """
        grants = self.stage.farm.grants
        old = grants.of(verbs.ADMIN, "farm")
        assert old is not None
        new = self.stage.done(grants.hand_out(verbs.ADMIN, "farm", name="farm"))
        self.stage.restart()
        self.assertEqual([each.id for each in self.stage.farm.grants.all_of(verbs.ADMIN, "farm")], [new.id])
        self.assertNotEqual(old.id, new.id)

    def test_slave(self) -> None:
        """
        Promise 9: the builds of a revoked slave end with RETRY and the reason, and are tried elsewhere; its string is
        void, its link is cut, and it is in no file.
        """
        link = self.link(verbs.SLAVE, "bot1")
        slave, request = self.running()
        answer = self.ask("revoke", which="bot1")

        self.assertEqual(answer["ended"], ["b/1"])
        self.assertTrue(link.lost)
        self.assertTrue(slave.dropped)
        (build,) = self.stage.builds(request)
        self.assertEqual((build.result, build.reason), (Result.RETRY, "the string of bot1 was revoked"))
        self.assertNotIn("bot1", self.text("buildslave.furls").replace("buildslave", ""))
        self.assertFalse(os.path.exists(os.path.join(self.stage.basedir, "furls", "bot1.furl")))
        self.stage.attach("bot2", FakeSlave(behaviour=succeeding))
        self.stage.settle(5)
        self.assertEqual([each.slave for each in self.stage.builds(request)], ["bot1", "bot2"])
        self.assertEqual(self.stage.request(request).result, Result.SUCCESS)

    def test_stays_revoked(self) -> None:
        """
        Promise 17: neither a restart nor a reconfig gives a revoked slave a new string; requests wait and say why.
        """
        self.ask("revoke", which="bot1")
        self.stage.configure(ONE)
        self.stage.done(self.stage.farm.reconfiguration.apply())
        self.stage.restart()
        self.assertNotIn("bot1 pb", self.text("buildslave.furls"))
        request = self.stage.submit()
        reason = self.stage.farm.dispatcher.why(request)

        assert reason is not None
        self.assertEqual(reason.kind, WaitKind.REVOKED)
        self.assertIn("buildbot-lite rotate bot1", reason.sentence)

    def test_revoked_in_a_restart(self) -> None:
        """
        Promise 9: a build that was on a slave whose string is void when the master starts is not waited for.
        """
        _, request = self.running()
        grant = self.stage.farm.grants.of(verbs.SLAVE, "bot1")
        assert grant is not None
        self.stage.done(self.stage.farm.grants.revoke(grant))  # and then the master died
        self.stage.restart()

        self.assertEqual([each.result for each in self.stage.builds(request)], [Result.RETRY])

    def test_cancel(self) -> None:
        """
        Promise 17: with --cancel its builds end as CANCELLED, and are not tried again.
        """
        _, request = self.running()
        self.ask("revoke", which="bot1", cancel=True)

        self.assertEqual([each.result for each in self.stage.builds(request)], [Result.CANCELLED])
        self.assertEqual(self.stage.request(request).result, Result.CANCELLED)

    def test_kill(self) -> None:
        """
        Promise 17: with --kill commands are interrupted first; the link is cut when they have ended.
        """
        link = self.link(verbs.SLAVE, "bot1")
        slave, request = self.running()
        answer: list[Any] = []
        _ = self.desk.ask({"ask": "revoke", "which": "bot1", "kill": True}).addCallback(answer.append)
        self.stage.settle()
        (given,) = slave.given
        self.assertEqual(slave.interrupted, [(given.id, "the string of bot1 was revoked")])
        self.assertEqual((link.lost, answer), (False, []))
        given.end(143)
        self.stage.settle()
        slave.given[-1].end(0)  # the step that always runs
        self.stage.settle()

        self.assertTrue(link.lost)
        self.assertEqual(answer[0]["ended"], ["b/1"])
        self.assertEqual([each.result for each in self.stage.builds(request)], [Result.RETRY])

    def test_kill_in_vain(self) -> None:
        """
        Promise 17: a slave that does not end its commands is cut off after 10 s all the same.
        """
        link = self.link(verbs.SLAVE, "bot1")
        slave, request = self.running()
        asking = self.desk.ask({"ask": "revoke", "which": "bot1", "kill": True, "cancel": True})
        self.stage.settle(9.0)
        self.assertFalse(link.lost)
        self.assertEqual(len(slave.given), 1)
        self.stage.settle(1.0)

        self.assertTrue(link.lost)
        self.successResultOf(asking)
        self.assertEqual([each.result for each in self.stage.builds(request)], [Result.CANCELLED])

    def test_nothing_begins_meanwhile(self) -> None:
        """
        Promise 17: a slave whose commands are being killed gets no new build.
        """
        slave, _ = self.running()
        _ = self.desk.ask({"ask": "revoke", "which": "bot1", "kill": True})
        self.stage.submit()

        self.assertEqual(len(slave.given), 1)
        self.stage.settle(10.0)

    def test_rotate(self) -> None:
        """
        Promise 17: a new string is in the files, the old one is void, and the slave comes back with the new one.
        """
        self.running()
        old = self.stage.farm.grants.of(verbs.SLAVE, "bot1")
        before = self.text("furls/bot1.furl")
        self.assertEqual(self.ask("rotate", name="bot1")["ended"], ["b/1"])
        new = self.stage.farm.grants.of(verbs.SLAVE, "bot1")

        assert old is not None and new is not None
        self.assertNotEqual(self.stage.farm.grants.swissnum(old), self.stage.farm.grants.swissnum(new))
        self.assertRaises(RevokedError, self.stage.farm.grants.lookup, self.stage.farm.grants.swissnum(old))
        self.assertIn(self.stage.farm.grants.swissnum(new), self.text("furls/bot1.furl"))
        self.assertIn(
            f"bot1 pb://tub@tcp:here:1/{self.stage.farm.grants.swissnum(new)}\n", self.text("buildslave.furls")
        )
        self.assertNotEqual(before, self.text("furls/bot1.furl"))
        slave = self.stage.attach("bot1")
        self.stage.settle(5)
        self.assertEqual(len(slave.given), 1)

    def test_rotate_revoked(self) -> None:
        """
        Promise 17: that is how a revoked slave gets a string again.
        """
        self.ask("revoke", which="bot1")
        self.ask("rotate", name="bot1")

        self.assertIn("bot1 pb://", self.text("buildslave.furls"))
        (bot1, _) = self.ask("slaves")["slaves"]
        self.assertFalse(bot1["revoked"])

    def test_rotate_submission(self) -> None:
        """
        Promise 17: the same for a submission; what an admin handed out for it stays good.
        """
        given = self.grant(label="mine")
        old = self.stage.farm.grants.of(verbs.SUBMIT, "go")
        self.ask("rotate", name="go")
        assert old is not None

        self.assertRaises(RevokedError, self.stage.farm.grants.in_force, old.id)
        self.assertNotIn(self.stage.farm.grants.swissnum(old), self.text("submit.furls"))
        self.stage.farm.grants.in_force(given)

    def test_rotate_admin(self) -> None:
        """
        The admin's own string is replaced; the old one is good for as long as the answer needs.
        """
        old = self.stage.farm.grants.of(verbs.ADMIN, "farm")
        self.ask("rotate", name="admin")
        new = self.stage.farm.grants.of(verbs.ADMIN, "farm")

        assert old is not None and new is not None
        self.assertIn(self.stage.farm.grants.swissnum(new), self.text("private/admin.furl"))
        self.stage.farm.grants.in_force(old.id)
        self.stage.settle(1.0)
        self.assertRaises(RevokedError, self.stage.farm.grants.in_force, old.id)
        self.assertIn("rotate admin", self.refused("revoke", which="admin"))

    def test_submission(self) -> None:
        """
        Promise 17: a submission's string is void; its requests go on, or end as CANCELLED.
        """
        first, second = self.grant(label="first"), self.grant(label="second")
        self.submit(first)
        self.submit(second)
        self.assertEqual(self.ask("revoke", which="first")["ended"], [])
        self.assertEqual(self.ask("revoke", which=f"#{second}", cancel=True)["ended"], ["request 2"])

        self.assertEqual([self.stage.request(number).result for number in (1, 2)], [None, Result.CANCELLED])
        self.assertIn("no longer valid", self.submit(first).err)
        self.assertIn("--kill is for slaves", self.refused("revoke", which="go", kill=True))

    def test_which(self) -> None:
        """
        A string is meant by a name, a number or a label; what is not there is named.
        """
        self.grant(label="twice")
        self.grant(label="twice")

        self.assertIn("Several strings are called 'twice'", self.refused("revoke", which="twice"))
        self.assertIn("No string in force is called 'bot9'", self.refused("revoke", which="bot9"))
        self.ask("revoke", which="bot1")
        self.assertIn("No string in force is called 'bot1'", self.refused("revoke", which="bot1"))
        self.assertIn("There are: bot1, bot2, go, file, words, admin", self.refused("rotate", name="bot9"))


class LeavingTests(HoldersCase):
    """
    Slaves that go.
    """

    def test_lost(self) -> None:
        """
        Promise 8: what runs on a slave that an admin calls lost is tried again at once, with the reason.
        """
        slave = self.stage.attach("bot1")
        request = self.stage.submit()
        slave.lose()
        self.stage.settle()
        answer = self.ask("lost", slave="bot1")

        self.assertEqual((answer["lost"], answer["connected"]), (["b/1"], False))
        (build,) = self.stage.builds(request)
        self.assertEqual((build.result, build.reason), (Result.RETRY, "an admin says that bot1 is lost"))

    def test_lost_after_it_was_removed(self) -> None:
        """
        Promise 8: also a slave that is not in master.cfg any more, while a build waits for it.
        """
        slave = self.stage.attach("bot1")
        request = self.stage.submit()
        slave.lose()
        self.stage.configure(TWO.replace('slave.BuildSlave("bot1"), ', "").replace('"bot1", ', ""))
        self.stage.done(self.stage.farm.reconfiguration.apply())
        self.assertEqual(self.ask("lost", slave="bot1")["lost"], ["b/1"])
        self.assertEqual([each.result for each in self.stage.builds(request)], [Result.RETRY])

    def test_lost_and_back(self) -> None:
        """
        Promise 8: a slave that was not lost after all is told to forget what it ran, and is used again.
        """
        slave = self.stage.attach("bot1")
        request = self.stage.submit()
        held = slave.held()
        self.ask("lost", slave="bot1")
        self.assertTrue(slave.dropped)
        back = self.stage.attach("bot1", FakeSlave(behaviour=succeeding), held=held)
        self.assertEqual(back.disowned, [held[0].id])
        self.stage.settle(5)

        self.assertEqual([each.result for each in self.stage.builds(request)], [Result.RETRY, Result.SUCCESS])

    def test_drain(self) -> None:
        """
        A slave that is drained gets no more builds, is told to leave in its next welcome, and takes builds when it is
        started again.
        """
        slave = self.stage.attach("bot1")
        answer = self.ask("drain", slave="bot1")
        self.assertEqual(answer["running"], [])
        self.assertTrue(slave.dropped)
        self.assertTrue(self.stage.farm.slaves.is_to_leave("bot1"))
        self.stage.attach("bot1")
        request = self.stage.submit()
        reason = self.stage.farm.dispatcher.why(request)
        assert reason is not None
        self.stage.attach("bot1", draining=True)
        self.assertEqual(self.stage.builds(request), [])
        self.stage.attach("bot1", incarnation="another")
        self.assertFalse(self.stage.farm.slaves.is_to_leave("bot1"))

        self.assertEqual(len(self.stage.builds(request)), 1)

    def test_not_there(self) -> None:
        """
        Who is not connected cannot be told to leave; who does not exist is named.
        """
        self.assertIn("bot1 is not connected", self.refused("drain", slave="bot1"))
        for question in ("drain", "lost"):
            self.assertIn("There are: bot1, bot2", self.refused(question, slave="bot9"))


class CancelledAndLostTests(HoldersCase):
    def test_cancelled_then_lost(self) -> None:
        """
        A build that was cancelled while its slave was away is not tried again when the slave is lost.
        """
        slave = self.stage.attach("bot1")
        request = self.stage.submit()
        slave.lose()
        self.stage.settle()
        self.ask("cancel", request=request)
        self.ask("lost", slave="bot1")

        self.assertEqual(self.stage.request(request).result, Result.CANCELLED)
