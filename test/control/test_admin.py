"""
The admin's questions to a master.
"""

import hashlib
import os
import shutil
from collections.abc import Callable
from typing import Any
from unittest import mock

from attrs import define, field
from sqlalchemy import Connection
from twisted.internet.defer import Deferred, succeed
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.control.admin import STOPPED_WITHIN, AdminDesk
from buildbot_lite.errors import (
    BuildbotLiteError,
    LinkLostError,
    NotFoundError,
    PinnedError,
)
from buildbot_lite.master.slaves.desk import SlaveDesk
from buildbot_lite.model.change import Change
from buildbot_lite.model.properties import OF_THE_BUILD
from buildbot_lite.status.following import LogFollower, notify_followers
from buildbot_lite.status.slave_documents import of_slave
from buildbot_lite.storage.records import (
    builds,
    buildsets,
    inputs,
    requests,
    streams,
)
from buildbot_lite.wire.control import CHUNKS_IN_ORDER
from test.master.configurations import FORCE, GO, ONE, four_steps, master_cfg
from test.master.harness import (
    FakeSlave,
    MasterHarness,
    hello,
    scripted,
    succeeding,
)
from test.status.following_case import run_due_calls

FORCE_CONFIG = master_cfg(schedulers=[FORCE, GO])


@define(eq=False)
class FakeFollower:
    """
    A client that takes each chunk at once.
    """

    out: bytes = b""
    err: bytes = b""
    lost: list[Callable[[], None]] = field(factory=list)

    def chunk(self, data: bytes) -> Deferred[None]:
        if data[:1] == b"1":
            self.out += data[1:]
        else:
            self.err += data[1:]
        return succeed(None)

    def when_writable(self) -> Deferred[None]:
        return succeed(None)

    def when_lost(self, callback: Callable[[], None]) -> None:
        self.lost.append(callback)

    def disconnect(self) -> None:
        """
        Disconnect.
        """
        for callback in self.lost:
            callback()


@define(eq=False)
class SlowFollower(FakeFollower):
    """
    A client that takes a chunk when the test says so.
    """

    untaken: list[Deferred[None]] = field(factory=list)
    most_untaken: int = 0

    def chunk(self, data: bytes) -> Deferred[None]:
        self.out += data[1:]
        self.untaken.append(Deferred())
        self.most_untaken = max(self.most_untaken, len(self.untaken))
        return self.untaken[-1]

    def take_one(self) -> None:
        """
        Take the oldest chunk.
        """
        self.untaken.pop(0).callback(None)


class AdminDeskCase(SynchronousTestCase):
    def setUp(self) -> None:
        """
        A farm whose one slave is not attached.
        """
        self.harness = MasterHarness(FORCE_CONFIG)
        self.addCleanup(shutil.rmtree, self.harness.basedir)
        farm = self.harness.farm
        self.addCleanup(notify_followers(farm.records, farm.notifications))
        self.desk = AdminDesk(
            farm,
            LogFollower(
                records=farm.records,
                notifications=farm.notifications,
                streams_directory=farm.stream_storage.streams,
                why=farm.dispatcher.why,
                decided=lambda: farm.choice.decided,
                clock=farm.clock,
            ),
        )

    def ask(self, what: str, **of: Any) -> Any:
        """
        The answer to the question *what*.
        """
        answer = self.successResultOf(self.desk.ask({"ask": what, **of}))
        self.harness.settle()
        return answer

    def refused(self, what: str, verb: str = "ask", **of: Any) -> str:
        """
        The sentence with which the question is refused.
        """
        question = {verb: what, **of}
        asking = self.desk.ask(question) if verb == "ask" else self.desk.follow(question, FakeFollower())
        return str(self.failureResultOf(asking, BuildbotLiteError).value)

    def follow(self, what: str, **of: Any) -> tuple[Deferred[Any], FakeFollower]:
        """
        Start to follow.
        """
        follower = FakeFollower()
        return self.desk.follow({"follow": what, **of}, follower), follower

    def built(self, slave: Callable[[Any], None] = succeeding) -> None:
        """
        Run a build to its end.
        """
        self.harness.attach("bot1", FakeSlave(behaviour=slave))
        self.ask("force", builder="b", properties={}, reason="test")


class AdminAnswerTests(AdminDeskCase):
    def test_force_remarks(self) -> None:
        """
        Where any property may be given with a forced build, those that are none of the scheduler's parameters are
        named, because they may be misspelled ones.
        """
        given = {"branch": "main", "brnach": "main", "nope": "1", "username": "Ada <ada@example.org>", "reason": "test"}
        answer = self.ask("force", builder="b", properties=given, remarks=True)
        self.assertEqual(
            answer["remarks"],
            [
                "force has no parameter 'brnach': it became a property of the build.  Did you mean 'branch'?",
                "force has no parameter 'nope': it became a property of the build.",
            ],
        )
        self.assertEqual(self.ask("force", builder="b", properties={}, remarks=True)["remarks"], [])
        many = {f"p{number}": "" for number in range(20)}
        self.assertEqual(len(self.ask("force", builder="b", properties=many, remarks=True)["remarks"]), 11)
        self.assertNotIn("remarks", self.ask("force", builder="b", properties=given))

    def test_pages_of_the_queue(self) -> None:
        """
        Promise 6.15: a long queue is answered in pages; each says where the next one begins.
        """
        for _ in range(5):
            self.ask("force", builder="b", properties={}, reason="test")
        seen, pages = [], 0
        place: dict[str, Any] | None = {}
        while place is not None:
            answer = self.ask("queue", most=2, **({"after": place} if place else {}))
            self.assertEqual(answer["total"], 5)
            seen += [each["request"] for each in answer["queue"]]
            place, pages = answer["next"], pages + 1
        self.assertEqual((seen, pages), ([1, 2, 3, 4, 5], 3))
        self.assertEqual(self.ask("status")["status"]["waiting_total"], 5)

    def test_unknown(self) -> None:
        """
        An unknown question, from a newer command or a wrong one, is refused with a sentence.
        """
        self.assertIn("does not know that question", self.refused("dance"))
        self.assertIn("does not know that question", self.refused("dance", "follow"))
        self.assertEqual(self.refused("builds", most="many"), "The field most of the question is not a whole number.")

    def test_reason_to_wait(self) -> None:
        """
        Promise 10: `queue` and `status` say why a request waits.
        """
        asked = self.ask("force", builder="b", properties={}, reason="test")
        (waiting,) = self.ask("queue")["queue"]

        self.assertEqual(
            (waiting["request"], waiting["builder"], waiting["scheduler"]), (asked["request"], "b", "force")
        )
        self.assertEqual(waiting["why"], {"kind": "absent", "sentence": "bot1 is not connected (never seen)"})
        self.assertEqual(self.ask("status")["status"]["waiting"], [waiting])

    def test_schedulers(self) -> None:
        """
        Each scheduler says what it waits for, when it fires next, and what a function of master.cfg did wrong last.
        """
        self.harness.configure(
            master_cfg(
                schedulers=[
                    FORCE,
                    GO,
                    'schedulers.Triggerable("trigger", ["b"])',
                    'schedulers.Periodic("hourly", ["b"], periodicBuildTimer=3600)',
                    'schedulers.AnyBranchScheduler("rendered", util.renderer(lambda props: 1 / 0))',
                ]
            )
        )
        self.ask("reconfig")
        _ = Deferred.fromCoroutine(self.harness.farm.changes.add([Change(author="A", source="s")]))
        self.harness.settle()
        found = {each.pop("scheduler"): each for each in self.ask("schedulers")["schedulers"]}

        now = self.harness.clock.seconds()
        self.assertEqual(
            {name: (each["kind"], each["builders"], each["waits_for"]) for name, each in found.items()},
            {
                "force": ("ForceScheduler", ["b"], "buildbot-lite force"),
                "go": ("Submit", ["b"], "a submission"),
                "trigger": ("Triggerable", ["b"], "a Trigger step"),
                "hourly": ("Periodic", ["b"], "its time"),
                "rendered": ("AnyBranchScheduler", None, "a change"),
            },
        )
        self.assertEqual({name for name, each in found.items() if each["next"]}, {"hourly"})
        self.assertTrue(now < found["hourly"]["next"] <= now + 3600, found["hourly"])
        self.assertEqual({name for name, each in found.items() if each["error"]}, {"rendered"})
        self.assertIn("division by zero", found["rendered"]["error"]["sentence"])
        self.assertEqual(found["rendered"]["error"]["at"], now)

    def test_refused_slave(self) -> None:
        """
        Promise 6.12: a slave that was refused is shown with the reason, until it is admitted; a slave that is away has
        none.
        """
        slaves = self.harness.farm.slaves

        def pinned(key: str) -> None:
            raise PinnedError("bot1's string belongs to another machine.")

        desk = SlaveDesk("bot1", slaves, pinned, lambda: ())
        self.failureResultOf(desk.attach(FakeSlave(), hello(), "k"), PinnedError)
        (slave,) = self.ask("slaves")["slaves"]

        self.assertEqual(
            (slave["connected"], slave["refused"]["reason"]), (False, "bot1's string belongs to another machine.")
        )
        self.assertEqual(slave["refused"]["asks_again_by"] - slave["refused"]["at"], 78.0)
        self.harness.attach("bot1")
        (slave,) = self.ask("slaves")["slaves"]
        self.assertEqual((slave["connected"], slave["refused"]), (True, None))
        self.failureResultOf(desk.attach(FakeSlave(), hello(), "k"), PinnedError)
        (slave,) = self.ask("slaves")["slaves"]
        self.assertEqual((slave["connected"], slave["refused"]), (True, None))

    def test_refused_with_another_string(self) -> None:
        """
        Promise 6.12: the reason of a refusal is shown until the slave's FURL or its pin changes.
        """

        def pinned(key: str) -> None:
            raise PinnedError("Run on the master: buildbot-lite unpin bot1")

        desk = SlaveDesk("bot1", self.harness.farm.slaves, pinned, lambda: ())
        for question in (
            {"ask": "unpin", "slave": "bot1"},
            {"ask": "rotate", "name": "bot1"},
            {"ask": "revoke", "which": "bot1"},
        ):
            self.failureResultOf(desk.attach(FakeSlave(), hello(), "k"), PinnedError)
            (before,) = self.ask("slaves")["slaves"]
            self.ask(question.pop("ask"), **question)
            (after,) = self.ask("slaves")["slaves"]

            self.assertIn("unpin", before["refused"]["reason"])
            self.assertIsNone(after["refused"])

    def test_builds(self) -> None:
        """
        A build is answered with its steps and their results.
        """
        self.built(scripted({"three": 3}))
        (build,) = self.ask("builds")["builds"]

        self.assertEqual(
            {name: build[name] for name in ("builder", "number", "request", "result", "slave")},
            {"builder": "b", "number": 1, "request": 1, "result": "FAILURE", "slave": "bot1"},
        )
        self.assertIsInstance(build["started"], float)
        self.assertIsInstance(build["finished"], float)
        self.assertEqual(
            [(step["name"], step["result"]) for step in build["steps"]],
            [("one", "SUCCESS"), ("two", "SUCCESS"), ("three", "FAILURE"), ("last", "SUCCESS")],
        )

    def test_builds_of(self) -> None:
        """
        `builds` of one builder has the newest first, up to the given number; an unknown builder is refused.
        """
        self.built()
        for _ in range(2):
            self.ask("force", builder="b", properties={}, reason="test")

        self.assertEqual([build["number"] for build in self.ask("builds", builder="b", most=2)["builds"]], [3, 2])
        self.assertEqual(self.refused("builds", builder="x"), "There is no builder 'x'.  There are: b.")

    def test_builds_filtered(self) -> None:
        """
        Promise 6.14: `builds` has all documented filters; an unknown result is refused with the known ones.
        """
        self.built(scripted({"three": 3}))
        self.ask("force", builder="b", properties={"branch": "topic", "who": "me"}, reason="because")

        def numbers(**wanted: Any) -> list[int]:
            return [build["number"] for build in self.ask("builds", **wanted)["builds"]]

        self.assertEqual(numbers(branch="topic"), [2])
        self.assertEqual(numbers(properties={"who": "me"}), [2])
        self.assertEqual(numbers(properties={"who": "you"}), [])
        self.assertEqual(numbers(results=["FAILURE", "running"]), [2, 1])
        self.assertEqual(numbers(results=["SUCCESS"]), [])
        self.assertEqual(numbers(slave="bot1", since=0.0, before=2), [1])
        self.assertEqual(numbers(since=1e12), [])
        self.assertIn("There are: SUCCESS, WARNINGS", self.refused("builds", results=["GOOD"]))
        self.assertIn("is not a text", self.refused("builds", properties={"a": 1}))

    def test_one_build(self) -> None:
        """
        Promise 6.14: `build` says who submitted it and why, its sources and its properties.
        """
        self.built()
        self.ask("force", builder="b", properties={"branch": "main", "revision": "1f"}, reason="because")
        build = self.ask("build", builder="b", number=2)["build"]

        self.assertEqual((build["branch"], build["revision"]), ("main", "1f"))
        self.assertEqual(
            {name: build["asked"][name] for name in ("by", "scheduler", "reason")},
            {"by": None, "scheduler": "force", "reason": "because"},
        )
        self.assertEqual(build["properties"]["branch"], ["main", "Build"])
        self.assertEqual(self.ask("build", builder="b", number=1)["build"]["number"], 1)
        self.assertIn("the newest is b/2", self.refused("build", builder="b", number=3))

    def test_host_and_environment(self) -> None:
        """
        Promise 6.14: `build` names the host and the environment variables that its steps set, not those that they
        removed.
        """
        text = master_cfg(
            steps=four_steps(two='env={"COLOUR": "scarlet", "ARCH": "arm", "CC": None}'), schedulers=[FORCE, GO]
        )
        self.harness.configure(text)
        self.harness.done(self.harness.farm.reconfiguration.apply())
        self.harness.attach("bot1", FakeSlave(behaviour=succeeding), platform={"hostname": "build7"})
        self.ask("force", builder="b", properties={}, reason="test")
        build = self.ask("build", builder="b", number=1)["build"]
        self.assertEqual((build["host"], build["environment"]), ("build7", ["ARCH", "COLOUR"]))
        self.assertNotIn("scarlet", repr(build))

    def test_machine_of_absent_slave(self) -> None:
        """
        `slaves` says which machine a slave that is away had, also after a restart of the master.
        """
        slave = self.harness.attach("bot1", FakeSlave(behaviour=succeeding), platform={"hostname": "build7"})
        slave.lose()
        for restart in (False, True):
            with self.subTest(restart=restart):
                if restart:
                    self.harness.restart()
                found = of_slave(self.harness.farm, self.harness.farm.slaves["bot1"])
                self.assertEqual((found["connected"], found["platform"]), (False, {"hostname": "build7"}))
                self.assertTrue(found["version"])

    def test_rebuild(self) -> None:
        """
        Promise 6.14: `rebuild` submits the same builder, properties and input, at the revision that was built.
        """
        farm = self.harness.farm
        self.built()
        self.ask("force", builder="b", properties={"branch": "main", "deep": "x"}, reason="because")
        former = self.harness.read(lambda connection: builds.by_number(connection, "b", 2))
        assert former is not None
        row = self.harness.read(lambda c: requests.get(c, former.request))
        got = {**former.properties, "got_revision": ["2e", "Git"]}

        def change(connection: Connection) -> int:
            builds.save_properties(connection, former.id, got)
            given = inputs.add(connection, name="p", kind="patch", length=1, sha256="0" * 64, now=1.0).id
            connection.exec_driver_sql(f"update buildsets set input = {given} where id = {row.buildset}")
            return given

        given = self.successResultOf(self.harness.records.write(change))
        asked = self.ask("rebuild", builder="b", number=2)
        new, old = (
            self.harness.read(lambda c, id=id: buildsets.get(c, id)) for id in (asked["buildset"], row.buildset)
        )

        self.assertEqual((new.properties, new.input, new.scheduler), (old.properties, given, old.scheduler))
        self.assertEqual(new.source, {**old.source, "revision": "2e"})
        self.assertEqual(new.reason, "rebuild of b/2")
        self.assertEqual(self.harness.read(lambda c: requests.of_buildset(c, new.id))[0].builder, "b")
        with mock.patch.object(farm.forcing, "_generations", mock.Mock(config=mock.Mock(builders={}))):
            self.assertIn("not in master.cfg any more", self.refused("rebuild", builder="b", number=2))

    def test_running(self) -> None:
        """
        A running build has no result; the slave and the builder list it.
        """
        slave = self.harness.attach("bot1")
        self.ask("force", builder="b", properties={}, reason="test")
        (build,) = self.ask("builds")["builds"]
        (here,) = self.ask("slaves")["slaves"]
        (builder,) = self.ask("builders")["builders"]

        self.assertEqual(len(slave.commands), 1)
        self.assertEqual((build["result"], build["finished"], build["steps"][0]["result"]), (None, None, None))
        self.assertEqual((here["connected"], here["running"], here["builders"]), (True, ["b/1"], ["b"]))
        self.assertEqual((builder["running"], builder["waiting"], builder["last"]["number"]), ([1], 0, 1))
        self.assertEqual([each["number"] for each in self.ask("status")["status"]["running"]], [1])

    def test_force_refused(self) -> None:
        """
        A builder without a ForceScheduler is not forced.
        """
        self.harness.configure(ONE)
        self.ask("reconfig")

        self.assertIn("may not be forced", self.refused("force", builder="b", properties={}))
        self.assertEqual(self.refused("force", builder="x", properties={}), "There is no builder 'x'.  There are: b.")

    def test_force_properties_of_each_build(self) -> None:
        """
        A property that each build sets itself is refused.
        """
        for name in sorted(OF_THE_BUILD):
            self.assertIn(f"The build itself sets {name}", self.refused("force", builder="b", properties={name: "7"}))

    def test_properties(self) -> None:
        """
        A forced build has the given properties.
        """
        self.ask("force", builder="b", properties={"branch": "main"}, reason="test")
        (waiting,) = self.harness.farm.queue.waiting()

        self.assertEqual(waiting.buildset.properties, {"branch": ("main", "Force")})

    def test_cancel(self) -> None:
        """
        A waiting request is cancelled; a request that has ended, or does not exist, is refused.
        """
        request = self.ask("force", builder="b", properties={}, reason="test")["request"]
        self.ask("cancel", request=request)

        self.assertEqual(self.ask("queue")["queue"], [])
        self.assertIn("no request 1 that waits or runs", self.refused("cancel", request=request))

    def test_pause(self) -> None:
        """
        Promise 10: a paused slave gets no builds, and the reason says so.
        """
        self.harness.attach("bot1", FakeSlave(behaviour=succeeding))
        self.ask("pause", slave="bot1", paused=True)
        self.ask("force", builder="b", properties={}, reason="test")
        self.assertEqual(self.ask("queue")["queue"][0]["why"]["sentence"], "bot1 is paused")
        answer = self.ask("pause", slave="bot1", paused=False)
        self.assertEqual((answer["connected"], answer["obstacle"]), (True, None))

        self.assertEqual(self.ask("queue")["queue"], [])
        self.assertIn("There is no slave 'x'", self.refused("pause", slave="x", paused=True))

    def test_unpin(self) -> None:
        """
        After `unpin`, another machine may use the slave's FURL.
        """
        grants = self.harness.farm.grants
        (grant,) = [each for each in grants.everything() if each.verb == "slave"]
        grants.pins.pin(grant, "first")
        self.ask("unpin", slave="bot1")
        (grant,) = [each for each in grants.everything() if each.verb == "slave"]
        grants.pins.pin(grant, "second")

        self.assertEqual(self.refused("unpin", slave="x"), "There is no slave 'x'.  There are: bot1.")

    def test_reconfig(self) -> None:
        """
        Promise 11: a new configuration is applied, and the answer lists the changes.
        """
        self.harness.configure(master_cfg(slaves={"bot1": "", "bot2": ""}, schedulers=[FORCE, GO]))
        answer = self.ask("reconfig")

        self.assertEqual(
            (answer["applied"], answer["slaves"]["added"], answer["slaves"]["removed"]), (True, ["bot2"], [])
        )
        self.assertEqual([slave["slave"] for slave in self.ask("slaves")["slaves"]], ["bot1", "bot2"])

    def test_mistakes(self) -> None:
        """
        Promise 11: all mistakes are answered with their lines, and nothing is applied.
        """
        self.harness.configure(FORCE_CONFIG + 'c["nonsense"] = 1\nslave.BuildSlave("a b")\n' * 20)
        answer = self.ask("reconfig")

        self.assertFalse(answer["applied"])
        self.assertGreater(len("".join(answer["mistakes"])), 1000)
        self.assertTrue(all(line.startswith("master.cfg:") for line in answer["mistakes"]), answer)
        self.assertEqual(len(self.ask("slaves")["slaves"]), 1)


class AdminFollowTests(AdminDeskCase):
    def test_request(self) -> None:
        """
        The client that forced a build can follow it up to its exit code.
        """
        buildset = self.ask("force", builder="b", properties={}, reason="test")["buildset"]
        following, follower = self.follow("request", buildset=buildset)
        self.assertNoResult(following)
        self.harness.attach("bot1", FakeSlave(behaviour=scripted({"three": 1})))

        self.assertEqual(self.successResultOf(following), {"exit_code": 1})
        self.assertIn(b"# b/1: FAILURE", follower.err)

    def test_log(self) -> None:
        """
        Promise 6: a step's log is sent byte for byte.
        """
        slave = self.harness.attach("bot1")
        self.ask("force", builder="b", properties={}, reason="test")
        slave.commands[0].write(bytes(range(256)))
        slave.commands[0].end(0, streams={"stdio": bytes(range(256))})
        self.harness.settle()
        telling, follower = self.follow("log", builder="b", number=1, step="one")
        run_due_calls(self.harness.clock)

        self.assertEqual(self.successResultOf(telling), {})
        self.assertEqual((follower.out, follower.err), (bytes(range(256)), b""))

    def test_tail(self) -> None:
        """
        The end of a growing log is answered without the rest of it, with the length of all; a step without a log has
        an empty one; what is not UTF-8 is replaced.
        """
        slave = self.harness.attach("bot1")
        self.ask("force", builder="b", properties={}, reason="test")
        of: dict[str, Any] = {"builder": "b", "number": 1, "step": "one"}
        nothing = {"step": 0, "log": None, "length": 0, "text": ""}
        self.assertEqual(self.ask("tail", **of)["tail"], nothing)
        slave.commands[0].write(b"x" * 1000 + b"\xff end\n")
        self.harness.write_noted()
        tail = {"step": 0, "log": "stdio", "length": 1006, "text": "x\ufffd end\n"}
        self.assertEqual(self.ask("tail", **of, bytes=7)["tail"], tail)
        self.assertEqual(self.ask("tail", **{**of, "step": "0"}, log="stdio", bytes=7)["tail"], tail)
        self.assertIn("has no log 'x'", self.refused("tail", **of, log="x"))
        self.assertIn("65536", self.refused("tail", **of, bytes=65537))

    def test_no_such_build(self) -> None:
        """
        A build that does not exist and a builder that does not exist have different errors.
        """
        self.assertEqual(
            self.refused("log", "follow", builder="b", number=1), "There is no build b/1: 'b' has not built anything."
        )
        self.assertEqual(
            self.refused("log", "follow", builder="x", number=1), "There is no builder 'x'.  There are: b."
        )
        self.built()
        self.assertEqual(
            self.refused("log", "follow", builder="b", number=7), "There is no build b/7; the newest is b/1."
        )

    def test_command_of_0_1_0(self) -> None:
        """
        A client of 0.1.0, which does not say that it keeps the order of chunks, gets one chunk at a time.
        """
        self.built()
        directory = os.path.join(self.harness.farm.stream_storage.artifacts, "b", "1")
        os.makedirs(directory)
        data = os.urandom(3 << 20)
        with open(os.path.join(directory, "a.bin"), "wb") as file:
            file.write(data)

        def note(connection: Connection) -> None:
            row = streams.note(connection, 1, 0, 7, name="artifact", kind="artifact", path="b/1/a.bin")
            streams.seal(connection, row.id, len(data), hashlib.sha256(data).hexdigest())

        self.successResultOf(self.harness.records.write(note))
        for more, most in (({}, 1), ({CHUNKS_IN_ORDER: True}, 4)):
            follower = SlowFollower()
            question = {"follow": "artifact", "builder": "b", "number": 1, "name": "a.bin", **more}
            fetching = self.desk.follow(question, follower)
            run_due_calls(self.harness.clock)
            while follower.untaken:
                follower.take_one()
                run_due_calls(self.harness.clock)
            self.successResultOf(fetching)
            self.assertEqual((follower.out, follower.most_untaken), (data, most))

    def test_artifacts(self) -> None:
        """
        Complete artifacts are listed, and sent byte for byte.
        """
        self.built()
        data = bytes(range(256)) * 5000
        directory = os.path.join(self.harness.farm.stream_storage.artifacts, "b", "1", "sub")
        os.makedirs(directory)
        for name in ("a.bin", "b.bin.partial"):
            with open(os.path.join(directory, name), "wb") as file:
                file.write(data)
        checksum = hashlib.sha256(data).hexdigest()

        def note(connection: Connection) -> None:
            for ordinal, name in enumerate(("a.bin", "b.bin")):
                path = f"b/1/sub/{name}"
                row = streams.note(connection, 1, 0, 7 + ordinal, name="artifact", kind="artifact", path=path)
                if name == "a.bin":
                    streams.seal(connection, row.id, len(data), checksum)

        self.successResultOf(self.harness.records.write(note))
        listed = self.ask("artifacts", builder="b", number=1)["artifacts"]
        fetching, follower = self.follow("artifact", builder="b", number=1, name="sub/a.bin")
        run_due_calls(self.harness.clock)

        self.assertEqual(listed, [{"name": "sub/a.bin", "length": len(data), "sha256": checksum, "step": 0}])
        self.assertEqual(self.successResultOf(fetching), {"length": len(data), "sha256": checksum})
        self.assertEqual(follower.out, data)
        for name in ("other", "../../x", "/etc/passwd"):
            self.assertIn("There are: sub/a.bin.", self.refused("artifact", "follow", builder="b", number=1, name=name))

    def test_idle(self) -> None:
        """
        Promise 10: a master that will stop when idle starts no builds, and answers when no build runs.
        """
        slave = self.harness.attach("bot1")
        self.ask("force", builder="b", properties={}, reason="test")
        idle, follower = self.follow("idle")
        self.ask("force", builder="b", properties={}, reason="test")
        self.assertEqual(self.ask("queue")["queue"][0]["why"]["kind"], "stopping")
        self.assertEqual(follower.err, b"# b/1 runs on bot1\n")
        self.assertNoResult(idle)
        slave.behaviour = succeeding
        slave.commands[0].end(0)
        self.harness.settle()

        self.assertEqual(self.successResultOf(idle), {})
        self.assertEqual(len(self.ask("queue")["queue"]), 1)

    def test_client_disconnects_before_idle(self) -> None:
        """
        When the client that waits for the idle master disconnects, builds start again.
        """
        slave = self.harness.attach("bot1")
        self.ask("force", builder="b", properties={}, reason="test")
        idle, follower = self.follow("idle")
        self.harness.settle()
        follower.disconnect()
        self.failureResultOf(idle, LinkLostError)
        slave.behaviour = succeeding
        slave.commands[0].end(0)
        self.harness.settle()
        self.ask("force", builder="b", properties={}, reason="test")

        self.assertEqual(self.ask("queue")["queue"], [])

    def test_two_clients_wait_for_idle(self) -> None:
        """
        Promise 6.13: when one of two clients that wait for the idle master disconnects, still no build starts.
        """
        self.harness.attach("bot1")
        self.ask("force", builder="b", properties={}, reason="test")
        (first, disconnecting), (second, other) = self.follow("idle"), self.follow("idle")
        disconnecting.disconnect()
        self.failureResultOf(first, LinkLostError)
        self.ask("force", builder="b", properties={}, reason="test")
        self.assertEqual(self.ask("queue")["queue"][0]["why"]["kind"], "stopping")
        other.disconnect()
        self.failureResultOf(second, LinkLostError)
        self.harness.settle()
        self.assertNotEqual(self.ask("queue")["queue"][0]["why"]["kind"], "stopping")

    def test_idle_and_not_stopped(self) -> None:
        """
        If the idle master is not stopped within a minute, builds start again.
        """
        self.harness.attach("bot1").behaviour = succeeding
        idle, _ = self.follow("idle")
        self.harness.settle()
        self.assertEqual(self.successResultOf(idle), {})
        self.ask("force", builder="b", properties={}, reason="test")
        self.assertEqual(self.ask("queue")["queue"][0]["why"]["kind"], "stopping")
        self.harness.clock.advance(STOPPED_WITHIN)
        self.harness.settle()
        self.assertEqual(self.ask("queue")["queue"], [])

    def test_not_found_is_a_sentence(self) -> None:
        """
        A refusal is an error of the project's own classes, so that its sentence reaches the client.
        """
        self.failureResultOf(self.desk.ask({"ask": "artifacts", "builder": "b", "number": 1}), NotFoundError)
