"""
Triggered builds: what they inherit, how the parent reports them, and how they end with the parent.
"""

import hashlib
import os
from collections.abc import Callable, Sequence
from typing import Any
from unittest import mock

from sqlalchemy import Connection
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.master.builds.live_commands import LiveCommands
from buildbot_lite.master.builds.step_code import STAGE_TIMEOUT
from buildbot_lite.master.builds.triggered import (
    MOST_CHILDREN,
    TAIL_LINES,
    Child,
)
from buildbot_lite.model.results import Result
from buildbot_lite.model.source_stamps import PatchPlace, patch_place, stamps_of
from buildbot_lite.model.spec import Run
from buildbot_lite.status import build_documents
from buildbot_lite.storage.records import (
    builds,
    buildsets,
    inputs,
    remarks,
    streams,
)
from buildbot_lite.storage.records.buildsets import Buildset

from .configurations import builder_config, master_cfg
from .harness import (
    FakeSlave,
    MasterHarness,
    SlowRecords,
    StartedCommand,
    scripted,
    succeeding,
)

FAN_STEPS = """
class Sources(steps.BuildStep):
    name = "sources"
    async def run(self):
        self.setProperty("got_revision", "c0ffee")
        self.bench.input("patch")
        return util.SUCCESS

def trigger(*names, waitForFinish=True, **more):
    return steps.Trigger(schedulerNames=list(names), waitForFinish=waitForFinish, **more)

"""


def fan_config(
    *,
    fan: Sequence[str] = ("Sources()", 'trigger("middle", "other")'),
    slave_of_other: str = "bot1",
) -> str:
    """
    A configuration whose builder fan has the steps *fan*; they may trigger middle, which triggers leaf, and other.
    """
    return FAN_STEPS + master_cfg(
        slaves={"bot1": "max_builds=10", "bot2": ""},
        builders=[
            builder_config("fan", slaves=["bot1"], steps=fan),
            builder_config("middle", slaves=["bot1"], steps=['trigger("leaf")']),
            builder_config("leaf", slaves=["bot1"], steps=['steps.ShellCommand(command=["run", "leaf"])']),
            builder_config("other", slaves=[slave_of_other], steps=['steps.ShellCommand(command=["run", "other"])']),
        ],
        schedulers=[
            'schedulers.Submit("go", ["fan"], stdin="patch")',
            *(f'schedulers.Triggerable("{name}", ["{name}"])' for name in ("middle", "leaf", "other")),
        ],
    )


FAN_CONFIG = fan_config()
PATCH = b"diff --git a/x b/x\n"


def words(started: StartedCommand) -> tuple[str, ...]:
    """
    The command's argv.
    """
    assert isinstance(started.spec, Run)
    return tuple(started.spec.argv)


class TriggeredTests(SynchronousTestCase):
    """
    A tree of builds: fan triggers middle and other; middle triggers leaf.
    """

    def start(self, text: str = FAN_CONFIG, behaviour: Callable[..., Any] | None = succeeding, **more: Any) -> None:
        self.harness = MasterHarness(text)
        slave = FakeSlave() if behaviour is None else FakeSlave(behaviour=behaviour)
        self.slave = self.harness.attach(slave=slave)
        incoming = self.harness.farm.inputs.receive()
        incoming.write(PATCH)
        kept = incoming.keep()

        def note(connection: Connection) -> int:
            return inputs.add(connection, name="p", kind="patch", length=kept.length, sha256=kept.sha256, now=1.0).id

        self.request = self.harness.submit(input=note, source={"branch": "main", "project": "p"}, **more)
        self.harness.settle()

    def built(self, builder: str) -> tuple[builds.Build, Buildset]:
        """
        The first build of *builder*, and its buildset.
        """
        build = self.harness.read(lambda connection: builds.by_number(connection, builder, 1))
        request = self.harness.request(build.request)
        return build, self.harness.read(lambda connection: buildsets.get(connection, request.buildset))

    def said(self, builder: str) -> list[str]:
        """
        The remarks of the first build of *builder*.
        """
        build, _ = self.built(builder)
        return [each.text for each in self.harness.read(lambda connection: remarks.of_build(connection, build.id))]

    def log(self, builder: str) -> str:
        """
        The log of the first build of *builder*.
        """
        build, _ = self.built(builder)
        (stream,) = self.harness.read(lambda connection: streams.of_build(connection, build.id))
        with open(os.path.join(self.harness.basedir, "streams", stream.path)) as file:
            return file.read()

    def test_inherit(self) -> None:
        """
        Promise 6.9: triggered builds get the parent's sources, its commit and its submitted input, through all levels.
        """
        self.start()
        self.assertEqual(self.harness.request(self.request).result, Result.SUCCESS)
        for builder in ("middle", "leaf", "other"):
            build, buildset = self.built(builder)
            with self.subTest(builder):
                self.assertEqual(dict(buildset.source), {"branch": "main", "project": "p", "revision": "c0ffee"})
                found = self.harness.read(lambda c, of=buildset: inputs.get(c, of.input))
                self.assertEqual((found.kind, found.sha256), ("patch", hashlib.sha256(PATCH).hexdigest()))
                self.assertEqual(self.harness.request(build.request).result, Result.SUCCESS)

    def test_other_sources(self) -> None:
        """
        Arguments of Trigger choose the triggered revision: the submitted one, the newest, or another.
        """
        for argument, revision in (
            ("updateSourceStamp=False", "asked"),
            ("alwaysUseLatest=True", None),
            ("set_properties={'revision': 'v1'}", "v1"),
        ):
            with self.subTest(argument):
                self.start(fan_config(fan=["Sources()", f'trigger("middle", {argument})']))
                source = {"branch": "main", "revision": "asked"}
                self.harness.submit(source=source)
                self.harness.settle()
                build = self.harness.read(lambda connection: builds.by_number(connection, "middle", 2))
                request = self.harness.request(build.request)
                of = self.harness.read(lambda c, id=request.buildset: buildsets.get(c, id))
                self.assertEqual(dict(of.source), {"branch": "main", "revision": revision})

    def test_patch_of_a_codebase(self) -> None:
        """
        Promise 6.9: a patch that was forced for a codebase goes, with its place, to triggered builds that have this
        codebase, and not to others.
        """
        rows = (
            ("", "", True),
            ("", ', codebases=["b"]', False),
            ("", ', codebases=["a", "b"]', True),
            (", sourceStamp={'branch': 'x'}", "", False),
            (", sourceStamps=[{'codebase': 'b'}, {'codebase': 'a'}]", "", True),
        )
        forced = (
            'codebases=[util.CodebaseParameter("a", patch=util.PatchParameter()), "b"]',
            {"a.patch.body": PATCH.decode(), "a.patch.level": "0", "a.patch.subdir": "sub"},
        )
        for of_trigger, of_triggerable, inherits in rows:
            with self.subTest(of_trigger=of_trigger, of_triggerable=of_triggerable):
                self.harness = MasterHarness(
                    FAN_STEPS
                    + master_cfg(
                        slaves={"bot1": "max_builds=10"},
                        builders=[
                            builder_config("fan", slaves=["bot1"], steps=["Sources()", f'trigger("leaf"{of_trigger})']),
                            builder_config("leaf", slaves=["bot1"], steps=['steps.SetProperty("a", 1)']),
                        ],
                        schedulers=[
                            f'schedulers.ForceScheduler("force", ["fan"], {forced[0]})',
                            f'schedulers.Triggerable("leaf", ["leaf"]{of_triggerable})',
                        ],
                    )
                )
                self.harness.attach()
                self.harness.done(self.harness.farm.forcing.force("fan", forced[1]))
                self.harness.settle()
                _, buildset = self.built("leaf")
                self.assertEqual(buildset.input is not None, inherits)
                stamps = stamps_of(buildset.source)
                places = {codebase: patch_place(stamps, codebase) for codebase in stamps}
                if inherits:
                    self.assertEqual(places, {"a": PatchPlace(0, "sub"), "b": None})

    def test_reported(self) -> None:
        """
        Promise 6.10: for each triggered build, the parent's remarks and log say its result and the reason.
        """

        def failing(started: Any) -> None:
            if words(started) == ("run", "leaf"):
                started.write(b"one\n\ntwo\nthree\nfour\nfive\nsix\n")
                started.end(1)
            else:
                started.end(0)

        self.start(behaviour=failing)
        self.assertEqual(self.harness.request(self.request).result, Result.FAILURE)
        leaf = [
            "leaf: leaf/1: FAILURE, step shell (exit code 1)",
            *(f"leaf:     {line}" for line in ("two", "three", "four", "five", "six")),
        ]
        self.assertEqual(self.said("middle")[-6:], leaf)
        self.assertEqual(self.log("middle"), "".join(f"{line}\n" for line in leaf))
        log = self.log("fan").splitlines()
        self.assertEqual(log[0], "middle: middle/1: FAILURE, step trigger (leaf: failure)")
        self.assertEqual(log[-1], "other: other/1: SUCCESS")
        # Text that the child reported about its own child is included.
        self.assertIn("middle:     leaf:     six", log)
        self.assertEqual(sorted(self.said("fan")[-len(log) :]), sorted(log))

    def test_reported_at_once(self) -> None:
        """
        A failed child is reported while other children still run.
        """
        self.start(behaviour=None)
        other = next(started for started in self.slave.commands if words(started) == ("run", "other"))
        other.end(1)
        self.harness.settle()
        self.assertIn("other: other/1: FAILURE, step shell (exit code 1)", self.said("fan"))
        self.assertIsNone(self.harness.request(self.request).result)

    def test_linked(self) -> None:
        """
        Promise 6.10: a build's document names the builds that it triggered and the build that triggered it.
        """
        self.start(behaviour=scripted({"leaf": 1}))
        found = {
            builder: self.harness.read(lambda c, of=builder: build_documents.of_one_build(c, self.built(of)[0]))
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
        Promise 6.10: when a parent is cancelled, the builds that it waits for end too, through all levels, and the
        parent reports that.
        """
        self.start(behaviour=None)
        canceller = self.harness.farm.canceller
        also = self.harness.done(canceller.waited_for_by(self.request))
        self.assertEqual([child.label for child in also], ["middle/1", "other/1", "leaf/1"])
        self.harness.done(canceller.cancel(self.request, "enough"))
        self.harness.settle()
        self.assertEqual(
            sorted(id for id, _ in self.slave.interrupted), sorted(started.id for started in self.slave.commands)
        )
        for started in self.slave.commands:
            started.end(1)
        self.harness.settle()
        for builder in ("fan", "middle", "leaf", "other"):
            with self.subTest(builder):
                self.assertEqual(self.harness.request(self.built(builder)[0].request).result, Result.CANCELLED)
        self.assertIn("middle: cancelled as well: middle/1", self.said("fan"))
        self.assertIn("other: cancelled as well: other/1", self.said("fan"))

    def test_not_waited_for(self) -> None:
        """
        Builds that the parent does not wait for continue when the parent is cancelled.
        """
        self.start(
            fan_config(
                fan=[
                    "Sources()",
                    'trigger("other", waitForFinish=False)',
                    'steps.ShellCommand(command=["run", "long"])',
                ]
            ),
            behaviour=None,
        )
        self.assertEqual(self.harness.done(self.harness.farm.canceller.waited_for_by(self.request)), [])
        self.harness.done(self.harness.farm.canceller.cancel(self.request, "enough"))
        for started in self.slave.commands:
            started.end(0)
        self.harness.settle()
        self.assertEqual(self.harness.request(self.request).result, Result.CANCELLED)
        self.assertEqual(self.harness.request(self.built("other")[0].request).result, Result.SUCCESS)
        self.assertTrue(self.log("fan").startswith("other: request "))

    def test_restart_while_cancelled(self) -> None:
        """
        A master that dies after a stop was recorded, and before the children were stopped, stops them after its
        restart.
        """
        self.start(behaviour=None)
        live = self.harness.farm.running.live()[self.request].build
        with mock.patch.object(LiveCommands, "interrupt"):  # the master dies before it stops the children
            self.harness.done(live.stop("enough"))
        self.harness.restart()
        again = self.harness.attach(held=self.slave.held())
        self.harness.settle()
        self.assertEqual(again.commands, [])
        for started in self.slave.commands:
            started.command = self.harness.farm.slaves.session("bot1")._core.commands[started.id]
            started.end(1)
        self.harness.settle()
        self.assertEqual(self.harness.request(self.request).result, Result.CANCELLED)
        self.assertEqual(self.harness.request(self.built("other")[0].request).result, Result.CANCELLED)

    def test_step_abandoned_while_cancelling(self) -> None:
        """
        Promise 6.10: all children of a cancelled parent end, even if the parent's step is abandoned while the first
        child is being stopped.
        """
        self.start(behaviour=None)
        with SlowRecords(self.harness.records, "read"):
            self.harness.done(self.harness.farm.canceller.cancel(self.request, "enough"))
            self.harness.settle(STAGE_TIMEOUT)  # the step's code is cancelled
            self.harness.settle(STAGE_TIMEOUT)  # the code is abandoned
        self.harness.settle()
        self.assertEqual(
            sorted(id for id, _ in self.slave.interrupted), sorted(started.id for started in self.slave.commands)
        )
        for started in self.slave.commands:
            started.end(1)
        self.harness.settle()
        for builder in ("fan", "middle", "leaf", "other"):
            with self.subTest(builder):
                self.assertEqual(self.harness.request(self.built(builder)[0].request).result, Result.CANCELLED)

    def test_restart_with_waiting_children(self) -> None:
        """
        After a restart, a child that waited in the queue is cancelled with its parent and not built.
        """
        text = fan_config(slave_of_other="bot2")
        self.start(text, behaviour=None)
        (waiting,) = (each.request.id for each in self.harness.farm.queue.waiting())
        live = self.harness.farm.running.live()[self.request].build
        with mock.patch.object(LiveCommands, "interrupt"):  # the master dies before it stops the children
            self.harness.done(live.stop("enough"))
        self.harness.restart()
        self.assertEqual(self.harness.request(waiting).result, Result.CANCELLED)
        self.assertEqual(list(self.harness.farm.queue.waiting()), [])
        self.assertEqual(self.harness.attach("bot2").commands, [])

    def test_unused_patch(self) -> None:
        """
        Promise 6.9: a build that never applied its submitted patch fails.
        """
        self.start(fan_config(fan=['steps.SetProperty("a", 1)']))
        ended = self.harness.request(self.request)
        self.assertEqual(ended.result, Result.FAILURE)
        self.assertIn("no step applied the submitted patch", ended.reason)

    def test_unused_inherited_patch(self) -> None:
        """
        A triggered build without a source step only remarks that it did not use the patch.
        """
        self.start()
        self.assertIn("No step of this build used the submitted patch.", self.said("other"))
        self.assertEqual(self.said("fan")[-1].partition(":")[0], "middle")


class ChildReportTests(SynchronousTestCase):
    """
    The report of one child.
    """

    def test_document(self) -> None:
        """
        A report survives the conversion to JSON and back.
        """
        for child in (
            Child(1, "b"),
            Child(1, "b", 3, Result.FAILURE, "why", "test", "2 failed", tuple("x" * TAIL_LINES)),
        ):
            self.assertEqual(Child.from_document(child.to_document()), child)

    def test_lines(self) -> None:
        """
        A report names the build, or the request if there is no build, and the known results.
        """
        self.assertEqual(Child(7, "b").lines, ["request 7 (b): not finished"])
        self.assertEqual(
            Child(7, "b", None, Result.CANCELLED, "not wanted").lines, ["request 7 (b): CANCELLED, not wanted"]
        )
        self.assertEqual(Child(7, "b", 2, Result.WARNINGS).lines, ["b/2: WARNINGS"])
        self.assertGreater(MOST_CHILDREN, 1)
