"""
What triggered builds inherit, what their parent tells of them, and how they end with it.
"""

import hashlib
import os
from collections.abc import Callable
from typing import Any
from unittest import mock

from sqlalchemy import Connection
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.master.builds.live_commands import LiveCommands
from buildbot_lite.master.builds.step_code import PATIENCE
from buildbot_lite.master.builds.triggered import (
    MOST_CHILDREN,
    TAIL_LINES,
    Child,
)
from buildbot_lite.model.results import Result
from buildbot_lite.model.spec import Run
from buildbot_lite.status import documents
from buildbot_lite.storage.records import (
    builds,
    inputs,
    remarks,
    requests,
    streams,
)
from buildbot_lite.storage.records.requests import Buildset

from .stage import (
    FakeSlave,
    Given,
    SlowRecords,
    Stage,
    scripted,
    succeeding,
)

FAN = """
class Sources(steps.BuildStep):
    name = "sources"
    async def run(self):
        self.setProperty("got_revision", "c0ffee")
        self.bench.input("patch")
        return util.SUCCESS

def trigger(*names, **more):
    return steps.Trigger(schedulerNames=list(names), waitForFinish=True, **more)

c["slaves"] = [slave.BuildSlave("bot1", max_builds=10)]
c["builders"] = [
    util.BuilderConfig("fan", ["bot1"], util.BuildFactory([Sources(), trigger("middle", "other")])),
    util.BuilderConfig("middle", ["bot1"], util.BuildFactory([trigger("leaf")])),
    util.BuilderConfig("leaf", ["bot1"], util.BuildFactory([steps.ShellCommand(command=["run", "leaf"])])),
    util.BuilderConfig("other", ["bot1"], util.BuildFactory([steps.ShellCommand(command=["run", "other"])])),
]
c["schedulers"] = [
    schedulers.Submit("go", ["fan"], stdin="patch"),
    *(schedulers.Triggerable(name, [name]) for name in ("middle", "leaf", "other")),
]
"""

PATCH = b"diff --git a/x b/x\n"


def words(given: Given) -> tuple[str, ...]:
    """
    The command that a slave was given.
    """
    assert isinstance(given.spec, Run)
    return tuple(given.spec.argv)


class TriggeredTests(SynchronousTestCase):
    """
    A tree of builds: fan asks for middle, which asks for leaf, and for other.
    """

    def start(self, text: str = FAN, behaviour: Callable[..., Any] | None = succeeding, **more: Any) -> None:
        self.stage = Stage(text)
        slave = FakeSlave() if behaviour is None else FakeSlave(behaviour=behaviour)
        self.slave = self.stage.attach(slave=slave)
        incoming = self.stage.farm.inputs.receive()
        incoming.write(PATCH)
        kept = incoming.keep()

        def note(connection: Connection) -> int:
            return inputs.add(connection, name="p", kind="patch", length=kept.length, sha256=kept.sha256, now=1.0).id

        self.request = self.stage.submit(input=note, source={"branch": "main", "project": "p"}, **more)
        self.stage.settle()

    def built(self, builder: str) -> tuple[builds.Build, Buildset]:
        """
        The first build of *builder*, and what asked for it.
        """
        build = self.stage.read(lambda connection: builds.by_number(connection, builder, 1))
        request = self.stage.request(build.request)
        return build, self.stage.read(lambda connection: requests.buildset(connection, request.buildset))

    def said(self, builder: str) -> list[str]:
        """
        The remarks of the first build of *builder*.
        """
        build, _ = self.built(builder)
        return [each.text for each in self.stage.read(lambda connection: remarks.of_build(connection, build.id))]

    def log(self, builder: str) -> str:
        """
        The log of the first build of *builder*.
        """
        build, _ = self.built(builder)
        (stream,) = self.stage.read(lambda connection: streams.of_build(connection, build.id))
        with open(os.path.join(self.stage.basedir, "streams", stream.path)) as file:
            return file.read()

    def test_inherit(self) -> None:
        """
        Promise 6.9: children get the parent's sources, its commit and what was submitted, through every level.
        """
        self.start()
        self.assertEqual(self.stage.request(self.request).result, Result.SUCCESS)
        for builder in ("middle", "leaf", "other"):
            build, buildset = self.built(builder)
            with self.subTest(builder):
                self.assertEqual(dict(buildset.source), {"branch": "main", "project": "p", "revision": "c0ffee"})
                found = self.stage.read(lambda c, of=buildset: inputs.get(c, of.input))
                self.assertEqual((found.kind, found.sha256), ("patch", hashlib.sha256(PATCH).hexdigest()))
                self.assertEqual(self.stage.request(build.request).result, Result.SUCCESS)

    def test_other_sources(self) -> None:
        """
        Which revision children build can be said: the asked one, the newest, or any.
        """
        for argument, revision in (
            ("updateSourceStamp=False", "asked"),
            ("alwaysUseLatest=True", None),
            ("set_properties={'revision': 'v1'}", "v1"),
        ):
            with self.subTest(argument):
                self.start(FAN.replace('trigger("middle", "other")', f'trigger("middle", {argument})'))
                source = {"branch": "main", "revision": "asked"}
                self.stage.submit(source=source)
                self.stage.settle()
                build = self.stage.read(lambda connection: builds.by_number(connection, "middle", 2))
                request = self.stage.request(build.request)
                of = self.stage.read(lambda c, id=request.buildset: requests.buildset(c, id))
                self.assertEqual(dict(of.source), {"branch": "main", "revision": revision})

    def test_explained(self) -> None:
        """
        Promise 6.10: the parent says of each child what became of it, and why, in remarks and in its step's log.
        """

        def failing(given: Any) -> None:
            if words(given) == ("run", "leaf"):
                given.write(b"one\n\ntwo\nthree\nfour\nfive\nsix\n")
                given.end(1)
            else:
                given.end(0)

        self.start(behaviour=failing)
        self.assertEqual(self.stage.request(self.request).result, Result.FAILURE)
        leaf = [
            "leaf: leaf/1: FAILURE, step shell (exit code 1)",
            *(f"leaf:     {line}" for line in ("two", "three", "four", "five", "six")),
        ]
        self.assertEqual(self.said("middle")[-6:], leaf)
        self.assertEqual(self.log("middle"), "".join(f"{line}\n" for line in leaf))
        log = self.log("fan").splitlines()
        self.assertEqual(log[0], "middle: middle/1: FAILURE, step trigger (leaf: failure)")
        self.assertEqual(log[-1], "other: other/1: SUCCESS")
        # What the child's log says of its own child is seen here, too.
        self.assertIn("middle:     leaf:     six", log)
        self.assertEqual(sorted(self.said("fan")[-len(log) :]), sorted(log))

    def test_told_at_once(self) -> None:
        """
        A child that is red is told of while others still run.
        """
        self.start(behaviour=None)
        other = next(given for given in self.slave.given if words(given) == ("run", "other"))
        other.end(1)
        self.stage.settle()
        self.assertIn("other: other/1: FAILURE, step shell (exit code 1)", self.said("fan"))
        self.assertIsNone(self.stage.request(self.request).result)

    def test_linked(self) -> None:
        """
        Promise 6.10: a build says which builds it triggered, and which one triggered it.
        """
        self.start(behaviour=scripted({"leaf": 1}))
        found = {
            builder: self.stage.read(lambda c, of=builder: documents.of_one_build(c, self.built(of)[0]))
            for builder in ("fan", "middle", "leaf")
        }
        self.assertEqual(
            [(each["builder"], each["number"], each["result"]) for each in found["fan"]["triggered"]],
            [("middle", 1, "FAILURE"), ("other", 1, "SUCCESS")],
        )
        self.assertIsNone(found["fan"]["triggered_by"])
        self.assertEqual(found["middle"]["triggered_by"], {"builder": "fan", "number": 1})
        self.assertEqual(found["leaf"]["triggered_by"], {"builder": "middle", "number": 1})
        self.assertEqual(found["leaf"]["triggered"], [])

    def test_cancelled(self) -> None:
        """
        Promise 6.10: with a parent end the builds that it waits for, through every level, and the parent says so.
        """
        self.start(behaviour=None)
        door = self.stage.farm.submissions
        also = self.stage.done(door.waited_for_by(self.request))
        self.assertEqual([child.label for child in also], ["middle/1", "other/1", "leaf/1"])
        self.stage.done(door.cancel_request(self.request, "enough"))
        self.stage.settle()
        self.assertEqual(sorted(id for id, _ in self.slave.interrupted), sorted(given.id for given in self.slave.given))
        for given in self.slave.given:
            given.end(1)
        self.stage.settle()
        for builder in ("fan", "middle", "leaf", "other"):
            with self.subTest(builder):
                self.assertEqual(self.stage.request(self.built(builder)[0].request).result, Result.CANCELLED)
        self.assertIn("middle: cancelled as well: middle/1", self.said("fan"))
        self.assertIn("other: cancelled as well: other/1", self.said("fan"))

    def test_not_waited_for(self) -> None:
        """
        Builds that nobody waits for go on when their parent is cancelled.
        """
        self.start(
            FAN.replace("waitForFinish=True", "waitForFinish=False").replace(
                'trigger("middle", "other")]', 'trigger("other"), steps.ShellCommand(command=["run", "long"])]'
            ),
            behaviour=None,
        )
        self.assertEqual(self.stage.done(self.stage.farm.submissions.waited_for_by(self.request)), [])
        self.stage.done(self.stage.farm.submissions.cancel_request(self.request, "enough"))
        for given in self.slave.given:
            given.end(0)
        self.stage.settle()
        self.assertEqual(self.stage.request(self.request).result, Result.CANCELLED)
        self.assertEqual(self.stage.request(self.built("other")[0].request).result, Result.SUCCESS)
        self.assertTrue(self.log("fan").startswith("other: request "))

    def test_restart_while_cancelled(self) -> None:
        """
        A master that dies after the stop was recorded, before the children were told, ends them when it is back.
        """
        self.start(behaviour=None)
        live = self.stage.farm.running.live()[self.request].build
        with mock.patch.object(LiveCommands, "interrupt"):  # nobody is told: the master dies here
            self.stage.done(live.stop("enough"))
        self.stage.restart()
        again = self.stage.attach(held=self.slave.held())
        self.stage.settle()
        self.assertEqual(again.given, [])
        for given in self.slave.given:
            given.command = self.stage.farm.slaves.session("bot1")._core.commands[given.id]
            given.end(1)
        self.stage.settle()
        self.assertEqual(self.stage.request(self.request).result, Result.CANCELLED)
        self.assertEqual(self.stage.request(self.built("other")[0].request).result, Result.CANCELLED)

    def test_given_up_while_it_cancels(self) -> None:
        """
        Promise 6.10: all children of a parent that is cancelled end, also when the parent's step is given up while the
        first of them is still being told.
        """
        self.start(behaviour=None)
        with SlowRecords(self.stage.records, "read"):
            self.stage.done(self.stage.farm.submissions.cancel_request(self.request, "enough"))
            self.stage.settle(PATIENCE)  # its code is cancelled
            self.stage.settle(PATIENCE)  # and left alone
        self.stage.settle()
        self.assertEqual(sorted(id for id, _ in self.slave.interrupted), sorted(given.id for given in self.slave.given))
        for given in self.slave.given:
            given.end(1)
        self.stage.settle()
        for builder in ("fan", "middle", "leaf", "other"):
            with self.subTest(builder):
                self.assertEqual(self.stage.request(self.built(builder)[0].request).result, Result.CANCELLED)

    def test_restart_before_waiting_children_are_told(self) -> None:
        """
        A master that dies before it ended the children that wait in the queue ends them when it is back, and does not
        build them.
        """
        text = FAN.replace("max_builds=10)", 'max_builds=10), slave.BuildSlave("bot2")').replace(
            '"other", ["bot1"]', '"other", ["bot2"]'
        )
        self.start(text, behaviour=None)
        (waiting,) = (each.request.id for each in self.stage.farm.queue.waiting())
        live = self.stage.farm.running.live()[self.request].build
        with mock.patch.object(LiveCommands, "interrupt"):  # nobody is told: the master dies here
            self.stage.done(live.stop("enough"))
        self.stage.restart()
        self.assertEqual(self.stage.request(waiting).result, Result.CANCELLED)
        self.assertEqual(list(self.stage.farm.queue.waiting()), [])
        self.assertEqual(self.stage.attach("bot2").given, [])

    def test_unused_patch(self) -> None:
        """
        Promise 6.9: a build that never applied the patch that was submitted for it is no success.
        """
        self.start(
            FAN.replace(
                'BuildFactory([Sources(), trigger("middle", "other")])', 'BuildFactory([steps.SetProperty("a", 1)])'
            )
        )
        ended = self.stage.request(self.request)
        self.assertEqual(ended.result, Result.FAILURE)
        self.assertIn("no step applied the submitted patch", ended.reason)

    def test_unused_inherited_patch(self) -> None:
        """
        A triggered build without sources only remarks that the patch is of no use to it.
        """
        self.start()
        self.assertIn("No step of this build used the submitted patch.", self.said("other"))
        self.assertEqual(self.said("fan")[-1].partition(":")[0], "middle")


class ChildTests(SynchronousTestCase):
    """
    What is said of one child.
    """

    def test_document(self) -> None:
        """
        It can be kept in a journal.
        """
        for child in (
            Child(1, "b"),
            Child(1, "b", 3, Result.FAILURE, "why", "test", "2 failed", tuple("x" * TAIL_LINES)),
        ):
            self.assertEqual(Child.from_document(child.to_document()), child)

    def test_lines(self) -> None:
        """
        It is called by its build, or by its request while there is none, and says as much as is known.
        """
        self.assertEqual(Child(7, "b").lines, ["request 7 (b): not finished"])
        self.assertEqual(
            Child(7, "b", None, Result.CANCELLED, "not wanted").lines, ["request 7 (b): CANCELLED, not wanted"]
        )
        self.assertEqual(Child(7, "b", 2, Result.WARNINGS).lines, ["b/2: WARNINGS"])
        self.assertGreater(MOST_CHILDREN, 1)
