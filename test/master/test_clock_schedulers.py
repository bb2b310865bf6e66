"""
Schedulers that the clock, a finished buildset or a Trigger step start.
"""

from typing import Any, ClassVar
from unittest import mock

from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import StorageError
from buildbot_lite.master.scheduling.schedulers.engine import TRY_AGAIN
from buildbot_lite.model.results import Result
from buildbot_lite.storage.records import buildsets

from .configurations import remarks_in, sentences_in
from .harness import FakeSlave, scripted, succeeding
from .scheduled import HEAD, ScheduledFarm

DAY = 86400.0
NIGHTLY = 'schedulers.Nightly("night", ["b"], hour=3{more})'


class PeriodicTests(SynchronousTestCase):
    """
    Periodic.
    """

    def test_period(self) -> None:
        """
        Promise 8.2: the first build is at once, then one each period; a restart neither repeats nor skips one.
        """
        farm = ScheduledFarm('schedulers.Periodic("p", ["b"], periodicBuildTimer=3600)')
        self.assertEqual(len(farm.built), 1)
        farm.settle(3599)
        farm.restart()
        self.assertEqual(len(farm.built), 1)
        farm.settle(1)
        self.assertEqual(len(farm.built), 2)
        farm.restart()
        self.assertEqual(farm.described("p")["next"], farm.clock.seconds() + 3600)
        self.assertEqual(len(farm.built), 2)

    def test_if_changed(self) -> None:
        """
        With onlyIfChanged the first build is made without a change, the next only after an important one.
        """
        farm = ScheduledFarm(
            'schedulers.Periodic("p", ["b"], periodicBuildTimer=60, onlyIfChanged=True, '
            "fileIsImportant=lambda change: change.files == ['x'])"
        )
        farm.settle(60)
        farm.change(files=("y",))
        farm.settle(60)
        self.assertEqual(farm.built, [()])
        farm.change(files=("x",))
        farm.restart()
        farm.settle(60)
        self.assertEqual(farm.built, [(), ("r1", "r2")])
        self.assertEqual(farm.submitted()[1].source["revision"], "r2")


class NightlyTests(SynchronousTestCase):
    """
    Nightly.  The clock begins at 2001-09-09 01:46:40 UTC.
    """

    def setUp(self) -> None:
        self.patch(ScheduledFarm, "zone", "UTC")

    def test_night(self) -> None:
        """
        Promise 8.2: it builds at its time, once, over restarts; the clock is read at least every minute.
        """
        farm = ScheduledFarm(NIGHTLY.format(more=""))
        farm.settle(4399)
        self.assertEqual(farm.built, [])
        farm.restart()
        farm.settle(1)
        farm.restart()
        farm.settle(60)
        self.assertEqual(len(farm.built), 1)
        self.assertTrue(all(call.getTime() <= farm.clock.seconds() + 60 for call in farm.scheduler_calls()))

    def test_down(self) -> None:
        """
        Promise 8.2: what was missed while the master was down is built once at the start, and the log says so.
        """
        farm = ScheduledFarm(NIGHTLY.format(more=""))
        farm.farm.schedulers.stop()
        farm.settle(3 * DAY)
        with farm.log_lines() as lines:
            farm.restart()
        self.assertEqual(len(farm.built), 1)
        self.assertTrue(any("it was to start builds at" in line for line in lines), lines)
        farm.settle(DAY)
        self.assertEqual(len(farm.built), 2)

    def test_down_when_forced(self) -> None:
        """
        Promise 8.2: a time at which it was to build also without a change is not skipped because the master was down,
        although it is not the first time that was missed.
        """
        for hour, expected in ((3, 1), (20, 0)):
            farm = ScheduledFarm(
                f'schedulers.Nightly("night", ["b"], hour="*", onlyIfChanged=True, force_at_hour={hour})'
            )
            farm.settle(60)
            farm.farm.schedulers.stop()
            farm.settle(4 * 3600)
            farm.restart()
            self.assertEqual(len(farm.built), expected)

    def test_overlapping(self) -> None:
        """
        Promise 8.2: two that fire at the same time make a request each, and so does one whose last build still waits.
        """
        farm = ScheduledFarm(f"{NIGHTLY.format(more='')}, {NIGHTLY.format(more='').replace('night', 'other')}")
        for _ in range(2):
            farm.settle(DAY)
        self.assertEqual([each.scheduler for each in farm.submitted()], ["night", "other"] * 2)

    TABLE: ClassVar[list[tuple[str, str, dict[str, Any]]]] = [
        ("branch", 'branch="dev"', {"source": {"branch": "dev"}}),
        ("repository", 'repository="r", branch=None', {"source": {"repository": "r"}}),
        ("codebases", 'codebases={"": {"branch": "x", "revision": "y"}}', {"source": {"branch": "x", "revision": "y"}}),
        ("several", 'codebases=["a", "b"]', {"source": {"codebases": {"a": {}, "b": {}}}}),
        ("properties", 'properties={"x": 1}', {"properties": ("x", 1)}),
        ("reason", 'reason="night"', {"reason": "night"}),
        ("no reason", "", {"reason": "Nightly 'night': its time has come"}),
        ("priority", "priority=-3", {"priority": -3}),
        ("onlyIfChanged", "onlyIfChanged=True", {"none": True}),
        ("onlyIfChanged, changed", "onlyIfChanged=True", {"changed": {}, "changes": ("r1",)}),
        (
            "its revision",
            "onlyIfChanged=True",
            {"changed": {}, "source": {"branch": "main", "revision": "r1", "repository": "", "project": ""}},
        ),
        ("branch as filter", 'onlyIfChanged=True, branch="dev"', {"changed": {}, "none": True}),
        (
            "change_filter",
            'onlyIfChanged=True, change_filter=util.ChangeFilter(branch="dev")',
            {"changed": {}, "none": True},
        ),
        ("fileIsImportant", "onlyIfChanged=True, fileIsImportant=lambda change: False", {"changed": {}, "none": True}),
        ("forks", "onlyIfChanged=True", {"changed": {"untrusted": True}, "none": True}),
        ("forks=True", "onlyIfChanged=True, forks=True", {"changed": {"untrusted": True}, "changes": ("r1",)}),
        ("force_at", "onlyIfChanged=True, force_at_hour=3", {"changes": ()}),
        ("force_at other", "onlyIfChanged=True, force_at_hour=[3, 4], force_at_minute=[0, 30]", {"changes": ()}),
        ("force_at another", "onlyIfChanged=True, force_at_hour=[4, 5]", {"none": True}),
        ("force_at without effect", "force_at_hour=4", {"changes": ()}),
        ("another codebase", 'onlyIfChanged=True, codebases=["a"]', {"changed": {"codebase": "b"}, "none": True}),
        ("force_at_minute", "onlyIfChanged=True, force_at_minute=0", {"changes": ()}),
        ("force_at_day_of_month", "onlyIfChanged=True, force_at_day_of_month=9", {"changes": ()}),
        ("force_at_month", "onlyIfChanged=True, force_at_month=9", {"changes": ()}),
        ("force_at_day_of_week", "onlyIfChanged=True, force_at_day_of_week=6", {"changes": ()}),
    ]

    def test_table(self) -> None:
        """
        Promise 8.2: each argument has its documented meaning.
        """
        for what, arguments, expected in self.TABLE:
            with self.subTest(what):
                farm = ScheduledFarm(NIGHTLY.format(more=f", {arguments}" if arguments else ""))
                if "changed" in expected:
                    farm.change(**expected.pop("changed"))
                farm.settle(4400)
                found = farm.submitted()
                self.assertEqual(len(found), 0 if expected.pop("none", False) else 1)
                for name, value in expected.items():
                    if name == "properties":
                        self.assertEqual(found[0].properties.get(value[0]), value[1])
                    else:
                        self.assertEqual(getattr(found[0], name), value)

    def test_changes_wait(self) -> None:
        """
        Changes wait for the next time over a restart, and are built once.
        """
        farm = ScheduledFarm(NIGHTLY.format(more=", onlyIfChanged=True"))
        farm.change()
        farm.restart()
        farm.change()
        farm.settle(DAY)
        farm.settle(DAY)
        self.assertEqual(farm.built, [("r1", "r2")])

    def test_other_times(self) -> None:
        """
        A time of the new configuration that is past today was not missed.
        """
        farm = ScheduledFarm(NIGHTLY.format(more=""))
        farm.settle(12 * 3600)
        farm.reconfigure(NIGHTLY.format(more="").replace("hour=3", "hour=9"))
        self.assertEqual(len(farm.built), 1)
        farm.settle(DAY)
        self.assertEqual(len(farm.built), 2)

    def test_forced_remarks(self) -> None:
        """
        Promise 8.2: what force_at_… cannot do is a remark.
        """
        remarks = [
            ("force_at_hour=3", "has no effect without onlyIfChanged=True"),
            ("hour=3, onlyIfChanged=True, force_at_hour=4", "names none of its times"),
            ("minute=30, onlyIfChanged=True, force_at_hour=4", "names none of its times"),
            ("onlyIfChanged=True, dayOfMonth=1, force_at_day_of_month=2", "names none of its times"),
            ("onlyIfChanged=True, dayOfWeek=1, force_at_day_of_week=[2, 3]", "names none of its times"),
            ("onlyIfChanged=True, month=1, force_at_month='feb-mar'", "names none of its times"),
            ("onlyIfChanged=True, dayOfWeek='1#2', force_at_day_of_week=2", ""),
            ("onlyIfChanged=True, dayOfMonth=31, force_at_day_of_month='L'", ""),
            ("onlyIfChanged=True, dayOfMonth=1, dayOfWeek=1, force_at_day_of_month=2", ""),
            ("onlyIfChanged=True, dayOfWeek=0, force_at_day_of_month=2", ""),
            ("onlyIfChanged=True, minute='*/10', force_at_minute=30", ""),
        ]
        for arguments, sentence in remarks:
            with self.subTest(arguments):
                found = remarks_in(f"{HEAD}\nc['schedulers'] = [schedulers.Nightly('n', ['b'], {arguments})]\n")
                self.assertEqual([sentence in each for each in found], [True] if sentence else [], found)

    def test_mistakes(self) -> None:
        """
        Wrong times are mistakes with a sentence.
        """
        wrong = [
            ('schedulers.Nightly("n", ["b"], hour=25)', "hour must be a number from 0 to 23"),
            ('schedulers.Nightly("n", ["b"], dayOfWeek="1-5")', "Write names, like 'mon-fri'"),
            ('schedulers.Nightly("n", ["b"], hours=3)', "Did you mean 'hour'?"),
            (
                'schedulers.Periodic("n", ["b"], periodicBuildTimer=0)',
                "periodicBuildTimer must be a time in seconds, 1 or",
            ),
            ('schedulers.Periodic("n", ["b"])', "needs the argument 'periodicBuildTimer'"),
        ]
        for text, sentence in wrong:
            with self.subTest(text):
                found = sentences_in(f"{HEAD}\nc['schedulers'] = [{text}]\n")
                self.assertTrue(any(sentence in each for each in found), found)


class DependentTests(SynchronousTestCase):
    """
    Dependent.
    """

    BOTH = """
        schedulers.AnyBranchScheduler("up", ["b", "other"], forks=True),
        schedulers.Dependent("down", upstream="up", builderNames=["third"]{more}),
    """

    def test_good(self) -> None:
        """
        Promise 8.2: a good buildset starts one of the same source and changes; a bad one starts none.
        """
        for exit_code, expected in ((0, ["up", "down"]), (1, ["up"])):
            farm = ScheduledFarm(self.BOTH.format(more=""))
            farm.attach(slave=FakeSlave(behaviour=scripted({"other": exit_code})))
            farm.change(repository="r")
            self.assertEqual([each.scheduler for each in farm.submitted()], expected)
            self.assertEqual({str(each.source) for each in farm.submitted()}, {str(farm.submitted()[0].source)})
            self.assertEqual(set(farm.built), {("r1",)})

    def test_object(self) -> None:
        """
        Upstream is a scheduler, or its name; one Dependent may follow another.
        """
        farm = ScheduledFarm(
            'up, schedulers.Dependent("d", up, ["other"]), schedulers.Dependent("e", "d", ["third"])',
            'up = schedulers.AnyBranchScheduler("up", ["b"])',
        )
        farm.attach(slave=FakeSlave(behaviour=succeeding))
        farm.change()
        self.assertEqual([each.scheduler for each in farm.submitted()], ["up", "d", "e"])

    def test_restart(self) -> None:
        """
        Promise 8.2: a buildset that ended just before the master died starts the other after the restart, once.
        """
        farm = ScheduledFarm(self.BOTH.format(more=""))
        farm.change()
        farm.farm.schedulers.stop()
        slave = farm.attach(slave=FakeSlave(behaviour=succeeding))
        self.assertEqual(len(slave.commands), 2)
        self.assertEqual(len(farm.submitted()), 1)
        farm.restart()
        farm.restart()
        self.assertEqual([each.scheduler for each in farm.submitted()], ["up", "down"])

    def test_new(self) -> None:
        """
        A new one begins with the next buildset.
        """
        farm = ScheduledFarm('schedulers.AnyBranchScheduler("up", ["b"])')
        farm.attach(slave=FakeSlave(behaviour=succeeding))
        farm.change()
        farm.reconfigure('schedulers.AnyBranchScheduler("up", ["b"]), schedulers.Dependent("down", "up", ["third"])')
        self.assertEqual(len(farm.submitted()), 1)
        farm.change()
        self.assertEqual(farm.built, [("r1",), ("r2",), ("r2",)])

    def test_forks(self) -> None:
        """
        Code from forks goes on only with forks=True, and keeps its mark.
        """
        for more, expected in (("", 1), (", forks=True", 2)):
            farm = ScheduledFarm(self.BOTH.format(more=more))
            farm.attach(slave=FakeSlave(behaviour=succeeding))
            farm.change(untrusted=True)
            self.assertEqual(len(farm.submitted()), expected)
            self.assertTrue(farm.submitted()[-1].source["untrusted"])


class TriggerTests(SynchronousTestCase):
    """
    Triggerable and NightlyTriggerable, and what Trigger hands on.
    """

    ASKS = """
c["builders"].append(util.BuilderConfig("asks", ["bot1"], util.BuildFactory([
    steps.SetProperty(property="got_revision", value={got}),
    steps.Trigger(schedulerNames=["down"], waitForFinish=True{more}),
])))
"""
    TABLE: ClassVar[list[tuple[str, str, str, dict[str, Any]]]] = [
        ("updateSourceStamp", "", "", {"revision": "got"}),
        ("updateSourceStamp=False", ", updateSourceStamp=False", "", {"revision": "r1"}),
        ("alwaysUseLatest", ", alwaysUseLatest=True", "", {"revision": None}),
        ("sourceStamp", ', sourceStamp={"branch": "x", "revision": "y"}', "", {"branch": "x", "revision": "y"}),
        (
            "sourceStamps",
            ', sourceStamps=[{"codebase": "a", "branch": "x"}]',
            "",
            {"codebases": {"a": {"branch": "x"}}},
        ),
        ("rendered", ', sourceStamps=[{"branch": util.Interpolate("%(prop:branch)s-2")}]', "", {"branch": "main-2"}),
        ("codebases", "", ', codebases={"": {"project": "p", "branch": "z"}}', {"branch": "main", "project": ""}),
        ("other codebases", "", ', codebases={"a": {"branch": "z"}}', {"codebases": {"a": {"branch": "z"}}}),
    ]

    def test_sources(self) -> None:
        """
        Promise 8.2: each argument about sources has its documented meaning.
        """
        for what, more, triggerable, expected in self.TABLE:
            with self.subTest(what):
                farm = ScheduledFarm(
                    'schedulers.AnyBranchScheduler("up", ["asks"]), '
                    f'schedulers.Triggerable("down", ["b"]{triggerable})',
                    self.ASKS.format(more=more, got="'got'"),
                )
                farm.attach(slave=FakeSlave(behaviour=succeeding))
                farm.change()
                self.assertEqual([each.scheduler for each in farm.submitted()], ["up", "down"])
                source = farm.submitted()[1].source
                self.assertEqual({name: source.get(name) for name in expected}, expected)

    def test_codebases(self) -> None:
        """
        All codebases go on, each at the revision that was built.
        """
        farm = ScheduledFarm(
            'schedulers.AnyBranchScheduler("up", ["asks"], codebases=["a", "b"]), '
            'schedulers.Triggerable("down", ["b"])',
            self.ASKS.format(more="", got="{'a': 'one', 'b': 'two'}"),
        )
        farm.attach(slave=FakeSlave(behaviour=succeeding))
        farm.change(codebase="a")
        stamps = farm.submitted()[1].source["codebases"]
        self.assertEqual({name: stamp["revision"] for name, stamp in stamps.items()}, {"a": "one", "b": "two"})

    def test_priority(self) -> None:
        """
        Promise 8.2: the requests have the priority of the step, or else that of the Triggerable.
        """
        cases = {"": 4, ", priority=-7": -7, ", priority=util.Interpolate('1%(prop:got_revision)s')": 12}
        for more, expected in cases.items():
            farm = ScheduledFarm(
                'schedulers.AnyBranchScheduler("up", ["asks"]), schedulers.Triggerable("down", ["b"], priority=4)',
                self.ASKS.format(more=more, got="'2'"),
            )
            farm.attach(slave=FakeSlave(behaviour=succeeding))
            farm.change()
            self.assertEqual([each.priority for each in farm.submitted()], [0, expected])
        found = sentences_in(f"{HEAD}\nsteps.Trigger(schedulerNames=[], priority='high')\n")
        self.assertTrue(any("priority must be a whole number" in each for each in found), found)

    def test_rendered_names(self) -> None:
        """
        SchedulerNames may be rendered, whole and in part, and so may builderNames of a Triggerable.
        """
        for names in ('[util.Interpolate("do%(prop:x)s")]', '[util.Property("y")]', 'util.Property("z")'):
            farm = ScheduledFarm(
                'schedulers.AnyBranchScheduler("up", ["asks"], properties={"x": "wn", "y": "down", "z": ["down"]}), '
                'schedulers.Triggerable("down", [util.Interpolate("%(prop:to)s")])',
                f"""
c["builders"].append(util.BuilderConfig("asks", ["bot1"], util.BuildFactory([
    steps.Trigger(schedulerNames={names}, set_properties={{"to": "third"}}),
])))
""",
            )
            farm.attach(slave=FakeSlave(behaviour=succeeding))
            farm.change()
            self.assertEqual([each.builders for each in farm.submitted()], [("asks",), ("third",)])

    def test_at_night(self) -> None:
        """
        Promise 8.2: a NightlyTriggerable builds at its time what a Trigger step last called it with, over a restart,
        and nothing when none has called it since; a step does not wait for it.
        """
        self.patch(ScheduledFarm, "zone", "UTC")
        farm = ScheduledFarm(
            'schedulers.AnyBranchScheduler("up", ["asks"]), schedulers.NightlyTriggerable("down", ["b"], hour=3)',
            self.ASKS.format(more=', set_properties={"x": 5}', got="'got'"),
        )
        farm.attach(slave=FakeSlave(behaviour=succeeding))
        farm.change()
        farm.change()
        self.assertEqual([each.scheduler for each in farm.submitted()], ["up", "up"])
        results = [farm.read(lambda c, id=id: buildsets.get(c, id)).result for id in (1, 2)]
        self.assertEqual(results, [Result.SUCCESS] * 2)
        farm.restart()
        farm.settle(DAY)
        farm.settle(DAY)
        (built,) = [each for each in farm.submitted() if each.scheduler == "down"]
        self.assertEqual((built.source["revision"], built.properties.get("x")), ("got", 5))

    def test_call_not_recorded(self) -> None:
        """
        Promise 8.2: a call that could not be recorded has changed nothing: the same call again is recorded, and is
        built at its time although the master died in between.
        """
        self.patch(ScheduledFarm, "zone", "UTC")
        farm = ScheduledFarm('schedulers.NightlyTriggerable("down", ["b"], hour=3)')

        def call() -> Deferred[None]:
            return Deferred.fromCoroutine(farm.farm.schedulers.call("down", "1/trigger", {"revision": "x"}, {}, None))

        with mock.patch.object(farm.farm.requests, "submit_all", side_effect=StorageError("the disk is odd")):
            self.failureResultOf(call(), StorageError)
        self.successResultOf(call())
        farm.restart()
        farm.settle(DAY)
        self.assertEqual([each.source.get("revision") for each in farm.submitted()], ["x"])

    def test_call_after_an_error(self) -> None:
        """
        A call that waited while the schedulers failed to record builds does not record that they were started.
        """
        self.patch(ScheduledFarm, "zone", "UTC")
        farm = ScheduledFarm('schedulers.NightlyTriggerable("down", ["b"], hour=3)')

        def call(revision: str) -> Deferred[None]:
            source = {"revision": revision}
            return Deferred.fromCoroutine(farm.farm.schedulers.call("down", revision, source, {}, None))

        self.successResultOf(call("one"))
        stuck: Deferred[None] = Deferred()
        with mock.patch.object(farm.farm.requests, "submit_all", lambda *_: stuck):
            farm.settle(DAY)
            waiting = call("two")
        stuck.errback(StorageError("the disk is odd"))
        self.successResultOf(waiting)
        farm.settle(TRY_AGAIN)
        self.assertEqual([each.source.get("revision") for each in farm.submitted()], ["two"])
