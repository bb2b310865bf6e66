"""
Schedulers that changes start.
"""

from typing import Any, ClassVar
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import StorageError
from buildbot_lite.model.change import Change
from buildbot_lite.model.http_request import HttpAnswer, HttpRequest
from buildbot_lite.model.results import Result
from buildbot_lite.model.spec import Run
from buildbot_lite.status import documents
from buildbot_lite.storage.records import builds, pending_changes, remarks

from .configurations import sentences_in
from .harness import FakeSlave, hello, succeeding
from .scheduled import HEAD, ScheduledFarm

ANY = 'schedulers.AnyBranchScheduler("all", ["b"])'
TIMED = 'schedulers.AnyBranchScheduler("all", ["b"], treeStableTimer=60)'


class EngineTests(SynchronousTestCase):
    """
    What is common to all schedulers that changes start.
    """

    def test_one_build_a_change(self) -> None:
        """
        Promise 8.2: without a treeStableTimer each change is built by itself, at its revision.
        """
        farm = ScheduledFarm(ANY)
        for _ in range(3):
            farm.change(repository="https://example.org/r", project="p")

        self.assertEqual(farm.built, [("r1",), ("r2",), ("r3",)])
        self.assertEqual(
            farm.submitted()[1].source,
            {"branch": "main", "revision": "r2", "repository": "https://example.org/r", "project": "p"},
        )

    def test_changed_files(self) -> None:
        """
        Promise 8.6: a renderer and a step get the files that the build's changes changed, and a step the changes and
        source stamps, also after a restart of the master in the middle of the build.
        """
        own = (
            "@util.renderer\ndef files(props):\n    return ' '.join(props.getBuild().allFiles())\n"
            "class Own(steps.BuildStep):\n"
            "    async def run(self):\n"
            "        changes = [each.comments for each in self.build.allChanges()]\n"
            "        (stamp,) = self.build.getAllSourceStamps()\n"
            "        of_stamp = [stamp.codebase, stamp.branch, stamp.revision, str(len(stamp.changes))]\n"
            "        assert self.build.getSourceStamp() == stamp and self.build.getSourceStamp('x') is None\n"
            "        for words in (files, self.build.allFiles(), changes, of_stamp):\n"
            "            await self.execute(['echo', *(await self.render([words] if words is files else words))])\n"
            "        return util.SUCCESS\n"
        )
        farm = ScheduledFarm(TIMED, before=f"{own}c['builders'][0].factory = util.BuildFactory([Own()])\n")
        farm.attach(slave=(first := FakeSlave()))
        farm.change(files=("a", "b"), comments="one")
        farm.change(files=("b", "c"), comments="two")
        farm.clock.advance(60)
        farm.settle()
        farm.restart()
        slave = FakeSlave(commands=first.commands, behaviour=succeeding)
        farm.attach(slave=slave, held=first.held())
        first.commands[0].end(0)
        farm.settle()
        ran = [each.spec.argv for each in slave.commands if isinstance(each.spec, Run)]
        self.assertEqual(
            ran,
            [
                ("echo", "a b c"),
                ("echo", "a", "b", "c"),
                ("echo", "one", "two"),
                ("echo", "", "main", "r2", "2"),
            ],
        )

    def test_many_in_one_transaction(self) -> None:
        """
        Changes that one source records together are each built by themselves, too.
        """
        farm = ScheduledFarm(ANY)
        wanted = [Change(author="a", source="s", revision=f"r{number}", branch="main") for number in range(500)]
        farm.done(farm.farm.changes.add(wanted))
        farm.settle()
        self.assertEqual(farm.built, [(change.revision,) for change in wanted])

    def test_new_scheduler(self) -> None:
        """
        A new scheduler begins at the newest change.
        """
        farm = ScheduledFarm('schedulers.ForceScheduler("force", ["b"])')
        farm.change()
        farm.reconfigure(ANY)
        self.assertEqual(farm.built, [])
        farm.change()
        self.assertEqual(farm.built, [("r2",)])

    def test_restart(self) -> None:
        """
        Promise 8.2: a change that was recorded just before the master died is built after the restart, once.
        """
        farm = ScheduledFarm(ANY)
        farm.change()
        farm.farm.schedulers.stop()
        farm.change()
        self.assertEqual(farm.built, [("r1",)])
        farm.restart()
        farm.restart()
        self.assertEqual(farm.built, [("r1",), ("r2",)])

    def test_error(self) -> None:
        """
        After an error of the records the schedulers read on from where the records are: nothing is lost or built twice.
        """
        farm = ScheduledFarm(TIMED)
        farm.change()
        with mock.patch.object(farm.farm.requests, "submit_all", side_effect=StorageError("broken")) as failing:
            farm.change()
            farm.settle(60)
        self.assertEqual(failing.call_count, 2)
        farm.settle(10)
        self.assertEqual(farm.built, [])
        farm.settle(60)
        self.assertEqual(farm.built, [("r1", "r2")])

    def test_waits_for(self) -> None:
        """
        While the records cannot be used, a scheduler that decides waits for them, and not for a Trigger step.
        """
        farm = ScheduledFarm(f'{TIMED}, schedulers.Triggerable("t", ["b"])')

        def waits_for() -> list[str]:
            return [each["waits_for"] for each in documents.of_schedulers(farm.farm)]

        usual = waits_for()
        self.assertEqual(usual[1], "a Trigger step")
        with mock.patch.object(farm.farm.requests, "submit_all", side_effect=StorageError("broken")):
            farm.change()
        self.assertEqual(waits_for(), ["the records of the farm", "a Trigger step"])
        farm.settle(10)
        self.assertNotIn("records", waits_for()[0])

    def test_removed_scheduler(self) -> None:
        """
        Changes do not wait any more for a scheduler that is not configured any more, and the log says how many did.
        """
        farm = ScheduledFarm(TIMED)
        farm.change()
        farm.change()
        with farm.log_lines() as lines:
            farm.reconfigure('schedulers.ForceScheduler("force", ["b"])')
        (said,) = [each for each in lines if "not in master.cfg any more" in each]
        self.assertIn("scheduler all is", said)
        self.assertIn("(2)", said)
        self.assertEqual(farm.read(pending_changes.schedulers), [])
        farm.reconfigure(TIMED)
        farm.settle(120)
        self.assertEqual(farm.built, [])


class StableTimerTests(SynchronousTestCase):
    """
    treeStableTimer.
    """

    def test_quiet_time(self) -> None:
        """
        Promise 8.2: a change restarts the timer; when it ends all that came are built together, at the last revision.
        """
        farm = ScheduledFarm(TIMED)
        farm.change()
        farm.settle(50)
        farm.change()
        farm.settle(50)
        self.assertEqual(farm.built, [])
        farm.settle(10)
        self.assertEqual(farm.built, [("r1", "r2")])
        self.assertEqual(farm.submitted()[0].source["revision"], "r2")
        self.assertEqual(farm.read(lambda c: pending_changes.of_scheduler(c, "all")), [])
        farm.settle(600)
        self.assertEqual(len(farm.built), 1)

    def test_timer_for_each_line(self) -> None:
        """
        Promise 8.2: each repository, branch, project, codebase has a timer of its own, and forks have theirs.
        """
        farm = ScheduledFarm(
            'schedulers.AnyBranchScheduler("all", ["b"], treeStableTimer=60, codebases=["", "x"], forks=True)'
        )
        lines: list[dict[str, Any]] = [
            {}, {"branch": "dev"}, {"repository": "other"}, {"project": "p"}, {"codebase": "x"}, {"untrusted": True},
        ]  # fmt: skip
        for line in lines:
            farm.change(**line)
            farm.settle(30)
        farm.settle(60)
        self.assertEqual(farm.built, [(f"r{number}",) for number in range(1, 7)])

    def test_restart(self) -> None:
        """
        Promise 8.2: the timer goes on over a restart, from when the last change came.
        """
        farm = ScheduledFarm(TIMED)
        self.assertEqual(farm.described("all"), {"waits_for": "a change", "next": None, "error": None})
        farm.change()
        farm.settle(40)
        farm.restart()
        said = {"waits_for": "60 s without a change; 1 change waits", "next": farm.clock.seconds() + 20, "error": None}
        self.assertEqual(farm.described("all"), said)
        farm.settle(19)
        self.assertEqual(farm.built, [])
        farm.settle(1)
        self.assertEqual(farm.built, [("r1",)])

    def test_down(self) -> None:
        """
        A timer that ended while the master was down fires at once after it.
        """
        farm = ScheduledFarm(TIMED)
        farm.change()
        farm.farm.schedulers.stop()
        farm.settle(1000)
        farm.restart()
        self.assertEqual(farm.built, [("r1",)])

    def test_reconfiguration(self) -> None:
        """
        The changes wait on over a reconfiguration, with the new timer.
        """
        farm = ScheduledFarm(TIMED)
        farm.change()
        farm.settle(30)
        farm.reconfigure(TIMED.replace("60", "40"))
        farm.settle(10)
        self.assertEqual(farm.built, [("r1",)])

    def test_no_timer_any_more(self) -> None:
        """
        Promise 8.2: when a reconfiguration takes the timer away, each change that waited is built by itself, with those
        before it that are not important; over a restart, too.
        """
        important = ", fileIsImportant=lambda change: change.comments != 'doc'"
        timed = TIMED.replace("=60", f"=60{important}")
        for restarts in (False, True):
            farm = ScheduledFarm(timed)
            for comments in ("doc", "", "", "doc"):
                farm.change(comments=comments)
            farm.change(branch="dev")
            if restarts:
                farm.farm.schedulers.stop()
            farm.reconfigure(timed.replace("treeStableTimer=60", "treeStableTimer=None"))
            if restarts:
                farm.restart()
            self.assertEqual(farm.built, [("r1", "r2"), ("r3",), ("r5",)])
            farm.change()
            self.assertEqual(farm.built[3:], [("r4", "r6")])
            self.assertEqual(farm.read(pending_changes.schedulers), [])

    def test_clock_set_back(self) -> None:
        """
        A clock that is set back by a day makes the quiet time no longer than the timer.
        """
        farm = ScheduledFarm(TIMED)
        farm.change()
        engine = farm.farm.schedulers
        with mock.patch.object(engine, "_wall", lambda: farm.clock.seconds() - 86400):
            farm.settle(60)
            farm.settle(60)
            self.assertEqual(farm.built, [("r1",)])


class FunctionTests(SynchronousTestCase):
    """
    Functions of the configuration.
    """

    FILES = "def important(change):\n    return any(path.endswith('.c') for path in change.files)\n"

    def test_file_is_important(self) -> None:
        """
        A change that is not important starts nothing, and comes along with the next one that is.
        """
        for timer in ("None", "60"):
            farm = ScheduledFarm(
                f'schedulers.AnyBranchScheduler("all", ["b"], treeStableTimer={timer}, fileIsImportant=important)',
                self.FILES,
            )
            farm.change(files=("README",))
            farm.settle(600)
            self.assertEqual(farm.built, [])
            farm.change(files=("README", "main.c"))
            farm.settle(60)
            self.assertEqual(farm.built, [("r1", "r2")])

    def test_only_important(self) -> None:
        """
        With onlyImportant it is forgotten.
        """
        farm = ScheduledFarm(
            'schedulers.AnyBranchScheduler("all", ["b"], fileIsImportant=important, onlyImportant=True)', self.FILES
        )
        farm.change(files=("README",))
        farm.change(files=("main.c",))
        self.assertEqual(farm.built, [("r2",)])

    def test_raising(self) -> None:
        """
        Promise 8.2: a function that raises is logged and said by `buildbot-lite schedulers`; fileIsImportant counts as
        "no", a filter as not taken; other schedulers go on.
        """
        farm = ScheduledFarm(
            """
            schedulers.AnyBranchScheduler("files", ["b"], fileIsImportant=lambda change: change.nothing),
            schedulers.AnyBranchScheduler("filter", ["b"], change_filter=util.ChangeFilter(filter_fn=lambda c: 1 / 0)),
            schedulers.AnyBranchScheduler("priority", ["b"], priority=lambda builders, changes: 1 / 0),
            schedulers.AnyBranchScheduler("names", util.renderer(lambda props: 1 / 0)),
            schedulers.AnyBranchScheduler("rendered", ["b"], priority=util.Interpolate("high")),
            schedulers.AnyBranchScheduler("good", ["b"]),
            """
        )
        farm.change()
        self.assertEqual(len(self.flushLoggedErrors(AttributeError, ZeroDivisionError)), 2)
        self.assertEqual([each.scheduler for each in farm.submitted()], ["priority", "rendered", "good"])
        expected = {
            "files": "fileIsImportant failed with change 1, which counts as not important: AttributeError",
            "filter": "change_filter failed with change 1, which it does not take therefore: ZeroDivisionError",
            "priority": "its priority function failed: ZeroDivisionError",
            "rendered": "its priority was rendered to 'high', which is no number",
            "names": "ZeroDivisionError: division by zero",
        }
        for name, sentence in expected.items():
            self.assertIn(sentence, farm.described(name)["error"][1])
        self.assertIsNone(farm.described("good")["error"])


class SubmissionTests(SynchronousTestCase):
    """
    What is submitted: a table with a row for each argument.
    """

    TABLE: ClassVar[list[tuple[str, str, dict[str, Any], dict[str, Any]]]] = [
        ("builderNames", 'builderNames=["other", "b"]', {}, {"builders": ("other", "b")}),
        ("builderNames: none", "builderNames=[]", {}, {"builders": None}),
        ("builderNames: a set", 'builderNames={"b"}', {}, {"builders": ("b",)}),
        (
            "builderNames: a renderer, with files",
            "builderNames=util.renderer(lambda props: ['third'] if 'x.c' in props.files else ['b'])",
            {"files": ("x.c",)},
            {"builders": ("third",)},
        ),
        (
            "builderNames: a renderer, with changes and sourcestamps",
            "builderNames=util.renderer(lambda props: [props.changes[0].branch, props.sourcestamps[0]['branch']])",
            {"branch": "other"},
            {"builders": ("other",)},
        ),
        ("builderNames: in part", 'builderNames=["b", util.Property("more")]', {}, {"builders": ("b", "third")}),
        ("builderNames: Interpolate", 'builderNames=[util.Interpolate("%(prop:more)s")]', {}, {"builders": ("third",)}),
        ("properties", 'builderNames=["b"], properties={"x": [1]}', {}, {"properties": ("x", [1], "Scheduler")}),
        ("properties of the change", 'builderNames=["b"]', {}, {"properties": ("more", "third", "Change")}),
        ("properties over", 'builderNames=["b"], properties={"more": 2}', {}, {"properties": ("more", 2, "Scheduler")}),
        ("owner", 'builderNames=["b"]', {}, {"properties": ("owner", "A <a@example.org>", "Change")}),
        ("owners", 'builderNames=["b"]', {}, {"properties": ("owners", ["A <a@example.org>"], "Change")}),
        ("priority", 'builderNames=["b"], priority=7', {}, {"priority": 7}),
        (
            "priority: a function",
            'builderNames=["b"], priority=lambda names, changes: len(names) + (changes[""][0]["branch"] == "main")',
            {},
            {"priority": 2},
        ),
        ("priority: None", 'builderNames=["b"], priority=None', {}, {"priority": 0}),
        (
            "priority: a property",
            'builderNames=["b"], priority=util.Property("urgency", default=1), properties={"urgency": 5}',
            {},
            {"priority": 5},
        ),
        (
            "priority: an Interpolate",
            'builderNames=["b"], priority=util.Interpolate("-%(prop:urgency)s"), properties={"urgency": "3"}',
            {},
            {"priority": -3},
        ),
        (
            "priority: a renderer, with files",
            'builderNames=["b"], priority=util.renderer(lambda props: len(props.files) + len(props.changes))',
            {"files": ("x.c", "y.c")},
            {"priority": 3},
        ),
        ("reason", 'builderNames=["b"], reason="of course"', {}, {"reason": "of course"}),
        (
            "no reason",
            'builderNames=["b"]',
            {},
            {"reason": "AnyBranchScheduler 's': 1 change of branch main, the last by A <a@example.org>"},
        ),
        ("branches", 'builderNames=["b"], branches=["main"]', {}, {"builders": ("b",)}),
        ("branches: others", 'builderNames=["b"], branches=["dev"]', {}, {"builders": None}),
        ("categories", 'builderNames=["b"], categories=["push"]', {"category": "push"}, {"builders": ("b",)}),
        ("categories: others", 'builderNames=["b"], categories=["push"]', {}, {"builders": None}),
        (
            "codebases: names",
            'builderNames=["b"], codebases=["one", "two"]',
            {"codebase": "one", "repository": "r"},
            {
                "source": {
                    "codebases": {
                        "one": {"branch": "main", "revision": "r1", "repository": "r", "project": ""},
                        "two": {},
                    }
                }
            },
        ),
        (
            "codebases: a dictionary",
            'builderNames=["b"], codebases={"one": {}, "two": {"repository": "x", "branch": "y", "revision": "z"}}',
            {"codebase": "one"},
            {
                "source": {
                    "codebases": {
                        "one": {"branch": "main", "revision": "r1", "repository": "", "project": ""},
                        "two": {"repository": "x", "branch": "y", "revision": "z"},
                    }
                }
            },
        ),
        ("codebases: another", 'builderNames=["b"], codebases=["one"]', {"codebase": "x"}, {"builders": None}),
        ("codebases: none given", 'builderNames=["b"]', {"codebase": "x"}, {"builders": None}),
        ("no forks", 'builderNames=["b"]', {"untrusted": True}, {"builders": None}),
        ("forks", 'builderNames=["b"], forks=True', {"untrusted": True}, {"builders": ("b",)}),
    ]

    def test_table(self) -> None:
        """
        Promise 8.2: each argument has its documented meaning.
        """
        for what, arguments, change, expected in self.TABLE:
            with self.subTest(what):
                farm = ScheduledFarm(f'schedulers.AnyBranchScheduler("s", {arguments})')
                farm.change(**{"properties": {"more": ["third", "Change"]}, **change})
                found = farm.submitted()
                if expected.get("builders", ()) is None:
                    self.assertEqual(list(found), [])
                    continue
                self.assertEqual(len(found), 1)
                for name, value in expected.items():
                    if name == "properties":
                        key, wanted, source = value
                        self.assertEqual(
                            (found[0].properties.get(key), found[0].properties.source(key)), (wanted, source)
                        )
                    else:
                        self.assertEqual(getattr(found[0], name), value)

    def test_builders_by_tags(self) -> None:
        """
        Promise 8.2: a renderer of builderNames may ask its master for the builders and their tags; for nothing else.
        """
        before = (
            "import fnmatch\n"
            "from twisted.internet import defer\n"
            "c['builders'][1].tags = ['nightly', 'docs']\n"
            "@util.renderer\n"
            "@defer.inlineCallbacks\n"
            "def names(props):\n"
            "    found = yield props.master.data.get((props.getProperty('of', 'builders'),))\n"
            "    wanted = set(props.getProperty('tags', '').split())\n"
            "    pattern = props.getProperty('pattern', '*')\n"
            "    tagged = [each['name'] for each in found if wanted <= set(each['tags'])]\n"
            "    return fnmatch.filter(tagged, pattern)\n"
        )
        for properties, expected in (
            ({"tags": "docs nightly"}, [("other",)]),
            ({"pattern": "*t*"}, [("other", "third")]),
            ({"of": "workers"}, []),
        ):
            farm = ScheduledFarm("schedulers.AnyBranchScheduler('s', names)", before=before)
            farm.change(properties={name: [value, "Change"] for name, value in properties.items()})
            self.assertEqual([each.builders for each in farm.submitted()], expected)
        self.assertIn("only ('builders',) can be asked", farm.described("s")["error"][1])

    def test_absolute(self) -> None:
        """
        With createAbsoluteSourceStamps a codebase without a change is built at the revision that was last seen.
        """
        farm = ScheduledFarm(
            """
            schedulers.AnyBranchScheduler("s", ["b"], codebases=["one", "two"], createAbsoluteSourceStamps=True),
            schedulers.AnyBranchScheduler("t", ["b"], codebases=["one", "two"]),
            """
        )
        farm.change(codebase="one")
        farm.restart()
        farm.change(codebase="two")
        absolute, other = farm.submitted()[2:]
        stamps = absolute.source["codebases"]
        self.assertEqual({name: stamp["revision"] for name, stamp in stamps.items()}, {"one": "r1", "two": "r2"})
        self.assertEqual(other.source["codebases"]["one"], {})

    def test_absolute_forks(self) -> None:
        """
        Promise 8.1: the revision of a fork does not get into a later build of another codebase, which has secrets.
        """
        farm = ScheduledFarm(
            'schedulers.AnyBranchScheduler("s", ["b"], codebases=["one", "two"], createAbsoluteSourceStamps=True, '
            "forks=True)"
        )
        farm.change(codebase="one", untrusted=True)
        farm.change(codebase="two")
        self.assertEqual(farm.submitted()[-1].source["codebases"]["one"], {})

    def test_rendered_to_nonsense(self) -> None:
        """
        BuilderNames that are rendered to no list of builders submit nothing, and a sentence says so.
        """
        for value, sentence in (("'nobody'", "there is no builder 'nobody'"), ("7", "which is no list of names")):
            farm = ScheduledFarm(f'schedulers.AnyBranchScheduler("s", util.renderer(lambda props: {value}))')
            farm.change()
            self.assertEqual(farm.built, [])
            self.assertIn(sentence, farm.described("s")["error"][1])


class MistakeTests(SynchronousTestCase):
    """
    What checkconfig refuses.
    """

    TABLE: ClassVar[list[tuple[str, str]]] = [
        ('schedulers.SingleBranchScheduler("s", ["b"])', "give the branch"),
        ('schedulers.SingleBranchScheduler("s", ["b"], branches=["x"])', "branches is an argument of AnyBranch"),
        ('schedulers.AnyBranchScheduler("s", ["b"], branch="x")', "branch is an argument of SingleBranch"),
        ('schedulers.AnyBranchScheduler("s", ["b"], branches=["x"], change_filter=util.ChangeFilter())', "not both"),
        (
            'schedulers.AnyBranchScheduler("s", ["b"], change_filter="main")',
            "change_filter must be a util.ChangeFilter",
        ),
        ('schedulers.AnyBranchScheduler("s", ["b"], treeStableTimer="1")', "treeStableTimer must be a time in seconds"),
        ('schedulers.AnyBranchScheduler("s", ["b"], treeStableTime=1)', "Did you mean 'treeStableTimer'?"),
        ('schedulers.AnyBranchScheduler("s", ["x"])', "names the builder 'x'"),
        ('schedulers.AnyBranchScheduler("s", ["b"], fileIsImportant=1)', "fileIsImportant must be a function"),
        ('schedulers.AnyBranchScheduler("s", ["b"], forks=["bot9"])', "forks has 'bot9' in it, which is not a slave"),
        ('schedulers.AnyBranchScheduler("s", ["b"], codebases={"": {"branhc": 1}})', "'branhc'; its keys may be"),
        ('schedulers.AnyBranchScheduler("s", ["b"], priority="high")', "priority must be a whole number"),
        ('schedulers.Dependent("d", "nobody", ["b"])', "its upstream 'nobody' is not in c['schedulers']"),
        ('schedulers.Dependent("d", "d", ["b"])', "it is its own upstream"),
        ('schedulers.Dependent("d", "e", ["b"]), schedulers.Dependent("e", "d", ["b"])', "in a circle"),
    ]

    def test_table(self) -> None:
        """
        Each mistake gets a sentence.
        """
        for text, sentence in self.TABLE:
            with self.subTest(text):
                found = sentences_in(f"{HEAD}\nc['schedulers'] = [{text}]\n")
                self.assertTrue(any(sentence in each for each in found), found)

    def test_old_name(self) -> None:
        """
        The old name Scheduler takes its arguments in the old order, too.
        """
        farm = ScheduledFarm('schedulers.Scheduler("old", "main", 30, ["b"])')
        farm.change()
        farm.change(branch="dev")
        farm.settle(30)
        self.assertEqual(farm.built, [("r1",)])


class ForkTests(SynchronousTestCase):
    """
    Code from forks.
    """

    BEFORE = """
c["secretsProviders"] = [secrets.SecretInEnvironment(prefix="FORK_")]
c["builders"].append(util.BuilderConfig("secret", ["bot1", "bot2"], util.BuildFactory([
    steps.ShellCommand(command=["run", util.Secret("KEY")]),
])))
"""
    COPIES = """
class Copies(steps.BuildStep):
    async def run(self):
        return self.fail(await self.bench.publish("a", "/nowhere/a", 0o644))
c["builders"].append(util.BuilderConfig("copies", ["bot1"], util.BuildFactory([Copies()])))
"""
    ASKS = """
c["builders"].append(util.BuilderConfig("asks", ["bot1"], util.BuildFactory([
    steps.Trigger(schedulerNames=["down"], waitForFinish=True),
])))
"""

    def setUp(self) -> None:
        environment = mock.patch.dict("os.environ", {"FORK_KEY": "hidden"})
        environment.start()
        self.addCleanup(environment.stop)

    def result(self, farm: ScheduledFarm) -> Result | None:
        """
        The result of the newest request.
        """
        found: Result | None = farm.request(farm.submitted()[-1].id).result
        return found

    def remarks(self, farm: ScheduledFarm, builder: str, number: int) -> list[str]:
        """
        The remarks of a build.
        """
        build = farm.read(lambda c: builds.by_number(c, builder, number))
        return [remark.text for remark in farm.read(lambda c: remarks.of_build(c, build.id))]

    def test_no_secret(self) -> None:
        """
        Promise 8.2: a build of code from a fork gets no secret; the same build of other code does.
        """
        farm = ScheduledFarm('schedulers.AnyBranchScheduler("all", ["secret"], forks=True)', self.BEFORE)
        slave = farm.attach(slave=FakeSlave(behaviour=succeeding))
        farm.change()
        self.assertEqual([started.secrets for started in slave.commands], [{"KEY": "hidden"}])
        self.assertEqual(self.result(farm), Result.SUCCESS)
        farm.change(untrusted=True)
        self.assertEqual(len(slave.commands), 1)
        self.assertEqual(self.result(farm), Result.EXCEPTION)
        texts = self.remarks(farm, "secret", 2)
        self.assertTrue(any("is not given to this build: its code comes from a fork" in text for text in texts), texts)

    def test_nothing_outside(self) -> None:
        """
        A build of code from a fork sends no request from the master, runs no command there, and pushes nothing; the
        same build of other code does all that.
        """
        steps = [
            "steps.GET(util.Interpolate('http://inside/%(prop:branch)s'), flunkOnFailure=False)",
            "steps.MasterShellCommand(command=['run', 'there'])",
            "steps.GitPush(workdir='build', repourl='https://example.org/r', branch='main', haltOnFailure=False)",
        ]
        sent: list[str] = []

        async def http(request: HttpRequest) -> HttpAnswer:
            sent.append(request.url)
            return HttpAnswer(200)

        for step, sentence in zip(steps, ("may send no request", "may run no command", "pushes nothing"), strict=True):
            builder = f'c["builders"].append(util.BuilderConfig("out", ["bot1"], util.BuildFactory([{step}])))\n'
            with self.subTest(sentence), mock.patch("test.master.harness.no_http", http):
                farm = ScheduledFarm('schedulers.AnyBranchScheduler("all", ["out"], forks=True)', builder)
                slave = farm.attach(slave=FakeSlave(behaviour=succeeding))
                own = FakeSlave(behaviour=succeeding)
                farm.farm.slaves.own.attached(own, hello())
                farm.change(branch="dev")
                effects = [*sent, *slave.commands, *own.commands]
                self.assertEqual((self.result(farm), len(effects) > 0), (Result.SUCCESS, True))
                farm.change(branch="evil", untrusted=True)
                self.assertEqual([*sent, *slave.commands, *own.commands], effects)
                self.assertEqual(self.result(farm), Result.EXCEPTION)
                build = farm.read(lambda c: builds.by_number(c, "out", 2))
                (text,) = [
                    each.text for each in farm.read(lambda c, b=build: remarks.of_build(c, b.id)) if "fork" in each.text
                ]
                self.assertIn(sentence, text)
                sent.clear()

    def test_nothing_elsewhere(self) -> None:
        """
        Promise 8.1: a build of code from a fork writes nothing to other places of the master.
        """
        farm = ScheduledFarm('schedulers.AnyBranchScheduler("all", ["copies"], forks=True)', self.COPIES)
        farm.attach()
        for untrusted, sentence in ((False, "No such file"), (True, "comes from a fork")):
            farm.change(untrusted=untrusted)
            texts = self.remarks(farm, "copies", 1 + untrusted)
            self.assertTrue(any(sentence in text for text in texts), texts)

    def test_no_file_of_its_choice(self) -> None:
        """
        Promise 8.1: the branch of a fork is no path of the master's.
        """
        farm = ScheduledFarm(
            'schedulers.AnyBranchScheduler("all", ["sends"], forks=True)',
            """
c["builders"].append(util.BuilderConfig("sends", ["bot1"], util.BuildFactory([
    steps.FileDownload(mastersrc=util.Property("branch"), slavedest="a"),
])))
""",
        )
        farm.attach()
        number = 0
        for branch in ("/nowhere/secret", "private/nowhere.pem", "nowhere.furls"):
            for untrusted, sentence in ((False, "The master cannot send"), (True, "comes from a fork")):
                farm.change(branch=branch, untrusted=untrusted)
                number += 1
                texts = self.remarks(farm, "sends", number)
                self.assertTrue(any(sentence in text for text in texts), (branch, texts))

    def test_named_slaves(self) -> None:
        """
        Forks may name the slaves on which such builds run; other builds do not wait for these slaves.
        """
        farm = ScheduledFarm('schedulers.AnyBranchScheduler("all", ["b"], forks=["bot2"])', self.BEFORE)
        first = farm.attach("bot1")
        farm.change(untrusted=True)
        self.assertEqual(first.commands, [])
        farm.change()
        self.assertEqual(len(first.commands), 1)
        second = farm.attach("bot2")
        self.assertEqual(len(second.commands), 1)

    def test_triggered(self) -> None:
        """
        The mark goes on to triggered builds; a Triggerable without forks takes none.
        """
        for forks, expected in ((True, ["all", "down"]), (False, ["all"])):
            farm = ScheduledFarm(
                f"""
                schedulers.AnyBranchScheduler("all", ["asks"], forks=True),
                schedulers.Triggerable("down", ["b"], forks={forks}),
                """,
                self.ASKS,
            )
            farm.attach(slave=FakeSlave(behaviour=succeeding))
            farm.change(untrusted=True)
            self.assertEqual([each.scheduler for each in farm.submitted()], expected)
            self.assertTrue(all(each.source["untrusted"] for each in farm.submitted()))
            self.assertEqual(farm.submitted()[-1].changes, ("r1",))

    def test_rebuild(self) -> None:
        """
        A rebuild of such a build is marked, too, and is of the same changes.
        """
        farm = ScheduledFarm('schedulers.AnyBranchScheduler("all", ["b"], forks=["bot1"])')
        farm.attach(slave=FakeSlave(behaviour=succeeding))
        farm.change(untrusted=True)
        build = farm.read(lambda c: builds.by_number(c, "b", 1))
        farm.done(farm.farm.forcing.rebuild(build))
        again = farm.submitted()[-1]
        self.assertEqual((again.source["untrusted"], again.source["slaves"], again.changes), (True, ["bot1"], ("r1",)))
