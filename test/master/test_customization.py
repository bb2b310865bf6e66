"""
What Buildbot's manual shows people how to customize: each works here, or ``checkconfig`` says what to do instead.
"""

import inspect
import textwrap
from collections.abc import Generator
from typing import Any, ClassVar

from sqlalchemy import Connection
from twisted.internet.defer import inlineCallbacks, succeed
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.master.steps import BuildStep, Trigger
from buildbot_lite.master.steps.mixins import ShellMixin
from buildbot_lite.model.change import Change
from buildbot_lite.model.results import Result
from buildbot_lite.storage.records import changes, requests
from buildbot_lite.testing import Answer, command, replay, run

from .configurations import configured, remarks_in, sentences_in
from .test_choice import ChoosingCase


class DecidingFunctionTests(ChoosingCase):
    """
    Functions that decide about the queue.
    """

    def test_can_start_build(self) -> None:
        """
        Promise 8.13: canStartBuild reads properties of the request, the builder and the slave, as Buildbot's have them.
        """
        self.start(
            """
from twisted.internet import defer
@defer.inlineCallbacks
def fits(builder, wfb, request):
    wanted = request.properties.get("vm", builder.config.properties.get("vm"))
    yield defer.succeed(None)
    return wfb.worker.workername == "bot2" and wfb.slave.properties["arch"] == "amd64" and wanted == "debian"
c["builders"] = [builder("a", "bot1", "bot2", canStartBuild=fits, properties={"vm": "debian"})]
submit("a")
c["schedulers"] += [Timer("other", ["a"], properties={"vm": "fedora"})]
""",
            attach=("bot1", "bot2"),
        )
        self.assertEqual([each.slave for each in self.harness.builds(self.submit("a"))], ["bot2"])
        self.built()
        self.assertIn("refused", self.why(self.submit("other")))

    def test_can_start_build_compares(self) -> None:
        """
        CanStartBuild may compare builder and slave with the objects of master.cfg, keep requests in a set, and read
        the fields of their rows.
        """
        self.start(
            """
fast = c["slaves"][1]
seen = set()
asked = []
def fits(builder, slave, request):
    seen.add(request)
    asked.append((slave == other_slave, slave != fast, request.buildset, request.not_before, request.finished,
                  request.result))
    return slave in (fast,) and slave in {fast: 1} and builder == special and builder in {special}
other_slave = c["slaves"][0]
special = builder("a", "bot1", "bot2", canStartBuild=fits)
c["builders"] = [special]
submit("a")
""",
            attach=("bot1", "bot2"),
        )
        request = self.submit("a")
        self.assertEqual([each.slave for each in self.harness.builds(request)], ["bot2"])
        special: Any = self.harness.farm.config.builders["a"]
        words = inspect.unwrap(special.can_start_build).__globals__
        buildset = self.harness.request(request).buildset
        self.assertEqual(
            set(words["asked"]),
            {(True, True, buildset, 0.0, None, None), (False, False, buildset, 0.0, None, None)},
        )
        self.assertEqual([each.id for each in words["seen"]], [request])

    def test_views_are_copied(self) -> None:
        """
        A function may copy the request, the builder and the slave that it gets; the copies equal them.
        """
        self.start(
            """
import copy
def fits(builder, slave, request):
    return all(copy.copy(each) == each for each in (builder, slave, request)) and builder != slave != request
c["builders"] = [builder("a", canStartBuild=fits)]
submit("a")
"""
        )
        self.assertEqual(len(self.harness.builds(self.submit("a"))), 1)

    def test_builders_that_build(self) -> None:
        """
        Promise 8.13: prioritizeBuilders sees which builders build.
        """
        self.start(
            """
def idle_first(master, builders):
    builders.sort(key=lambda b: (bool(b.building) or bool(b.old_building), b.getOldestRequestTime()))
    return builders
c["prioritizeBuilders"] = idle_first
c["collapseRequests"] = False
c["builders"] = [builder("a", "bot1", "bot2"), builder("b", "bot2")]
submit("a", "b")
"""
        )
        running = self.submit("a")
        self.assertEqual(len(self.harness.builds(running)), 1)
        waiting, other = self.submit("a"), self.submit("b")
        self.attach("bot2")
        self.assertEqual([len(self.harness.builds(each)) for each in (waiting, other)], [0, 1])

    def test_sources_of_all_codebases(self) -> None:
        """
        Promise 8.13: nextBuild sees the source of each codebase.
        """
        self.start(
            """
def of_release(builder, requests):
    return next((r for r in requests if any(s.branch == "release" for s in r.sources.values())), requests[0])
c["builders"] = [builder("a", nextBuild=of_release)]
submit("a")
""",
            attach=(),
        )
        main = {"codebases": {"x": {"branch": "main"}, "y": {"branch": "main"}}}
        release = {"codebases": {"x": {"branch": "main"}, "y": {"branch": "release"}}}
        first, second = (self.submit("a", source=each) for each in (main, release))
        self.attach("bot1")
        self.assertEqual(self.built(), [f"a:{second}", f"a:{first}"])

    def test_collapsing_by_the_buildsets(self) -> None:
        """
        Promise 8.13: collapseRequests asks for the buildsets of the requests, and whether their sources are the same.
        """
        asking = """
from buildbot.process import buildrequest
from twisted.internet import defer
@defer.inlineCallbacks
def asked(master, builder, req1, req2):
    same = yield buildrequest.BuildRequest.canBeCollapsed(master, req1, req2)
    found = yield defer.gatherResults([master.data.get(("buildsets", req["buildsetid"])) for req in (req1, req2)])
    branches = [[stamp["branch"] for stamp in each["sourcestamps"]] for each in found]
    return {}
c["builders"] = [builder("a", collapseRequests=asked)]
submit("a")
"""
        rows: list[tuple[str, list[dict[str, Any]], Result | None]] = [
            ("same", [{"branch": "m"}, {"branch": "m"}], Result.SKIPPED),
            ("same", [{"branch": "m"}, {"branch": "n"}], None),
            ("same", [{"revision": "1"}, {"revision": "2"}], None),
            ("branches[0] == branches[1]", [{"revision": "1"}, {"revision": "2"}], Result.SKIPPED),
            ("found[0]['parent_buildid'] is not None", [{}, {}], None),
            ("found[0]['reason'] == found[1]['reason']", [{}, {}], Result.SKIPPED),
        ]
        for rule, sources, expected in rows:
            with self.subTest((rule, sources)):
                self.start(asking.replace("{}", rule), attach=())
                first, _ = (self.submit("a", source=each) for each in sources)
                self.assertEqual(self.result(first)[0], expected)

    def test_collapsing_requests_for_changes(self) -> None:
        """
        Promise 8.13: requests for changes are compared without their revisions, and not with requests for none.
        """

        def change(connection: Connection, submitted: requests.SubmittedBuildset) -> None:
            row, _ = changes.add(connection, Change(author="x", source="test"), 0.0)
            changes.add_to_buildset(connection, submitted.buildset.id, [row.id])

        rule = "lambda builder, one, other: one.source.canBeMergedWith(other.source) and one.branch == other.branch"
        self.start(f"c['builders'] = [builder('a', mergeRequests={rule})]\nsubmit('a')\n", attach=())
        found = [self.submit("a", source={"revision": str(n)}, in_transaction=change) for n in range(2)]
        self.submit("a", source={"revision": "1"})
        self.assertEqual([self.result(each)[0] for each in found], [Result.SKIPPED, None])

    def test_unknown_data(self) -> None:
        """
        What master.data does not know is a sentence in the log.
        """
        rule = "lambda master, builder, one, other: master.data.get(('builds', 1))"
        self.start(f"c['builders'] = [builder('a', collapseRequests={rule})]\nsubmit('a')\n", attach=())
        for _ in range(2):
            self.submit("a")
        (error,) = self.flushLoggedErrors()
        self.assertIn("master.data.get(('builds', 1)) is not known here", str(error.value))

    FUNCTIONS: ClassVar[list[tuple[str, str, str]]] = [
        # what is given, the function's body, the sentence
        ("canStartBuild", "wfb.worker.putInQuarantine(); return False", "canStartBuild uses .putInQuarantine, which"),
        ("canStartBuild", "wfb.worker.quarantine_timeout = 120; return True", "uses .quarantine_timeout, which"),
        ("nextBuild", "return [r for r in wfb if builder.builder_status][0]", "nextBuild uses .builder_status, which"),
        ("nextWorker", "return min(wfb, key=lambda w: w.getNewestCompleteTime())", "nextSlave uses .getNewestComplete"),
        ("collapseRequests", "return wfb.botmaster is None", "collapseRequests uses .botmaster, which"),
    ]

    def test_words_that_are_not_here(self) -> None:
        """
        Promise 8.13: a function that uses a word that its arguments do not have is a remark with a remedy.  It is no
        mistake: the word may be that of another object.
        """
        for argument, body, said in self.FUNCTIONS:
            with self.subTest(body):
                text = (
                    f"def f(builder, wfb, request=None):\n    {body}\nc['slaves'] = [slave.BuildSlave('bot1')]\n"
                    f"c['builders'] = [util.BuilderConfig('a', 'bot1', util.BuildFactory(), {argument}=f)]\n"
                )
                (sentence,) = [each for each in remarks_in(text) if " uses ." in each]
                self.assertIn(said, sentence)
                self.assertRegex(sentence, r"which does not exist here.  .+[.]$")
        (sentence,) = remarks_in(
            "def f(master, builders):\n    return sorted(builders, key=lambda b: b.getNewestCompleteTime())\n"
            "c['prioritizeBuilders'] = f\n"
        )
        self.assertIn("prioritizeBuilders uses .getNewestCompleteTime", sentence)
        configured("c['prioritizeBuilders'] = lambda master, builders: builders\n")
        (sentence,) = sentences_in("from buildbot.process.remotecommand import RemoteCommand\n")
        self.assertIn("A canStartBuild decides by properties", sentence)


class OwnStepTests(SynchronousTestCase):
    """
    Steps of one's own, as the manual's chapter about them writes them.
    """

    HEAD = "import re\nfrom twisted.internet import defer\nfrom buildbot.process import buildstep\n"
    RUNNING: ClassVar[list[tuple[str, list[Answer], Result, dict[str, str]]]] = [
        # the source of the class Own, what its commands answer, its result, its logs
        (
            """
            class Counting(util.LogLineObserver):
                found = 0
                def outLineReceived(self, line):
                    if "DONE" in line:
                        self.found += 1
                        self.step.setProgress("tests", self.found)
            class Own(steps.ShellCommand):
                command = ["runtests"]
                def __init__(self, **kwargs):
                    super().__init__(**kwargs)
                    self.counting = Counting()
                    self.addLogObserver("stdio", self.counting)
                    self.progressMetrics += ("tests",)
                def createSummary(self, log):
                    self.addCompleteLog("count", str(self.counting.found))
            """,
            [command("runtests").exits(0, "a DONE\nb\nc DONE\n")],
            Result.SUCCESS,
            {"stdio": "a DONE\nb\nc DONE\n", "count": "2"},
        ),
        (
            """
            class Own(buildstep.ShellMixin, buildstep.BuildStep):
                def __init__(self, script="./cleanup", **kwargs):
                    self.script = script
                    kwargs = self.setupShellMixin(kwargs, prohibitArgs=["command"])
                    super().__init__(**kwargs)
                @defer.inlineCallbacks
                def run(self):
                    cmd = yield self.makeRemoteShellCommand(command=[self.script])
                    yield self.runCommand(cmd)
                    if cmd.didFail():
                        cmd = yield self.makeRemoteShellCommand(command=[self.script, "--force"], logEnviron=False)
                        yield self.runCommand(cmd)
                    updates = yield self.addLog("updates")
                    yield updates.addStdout("ended\\n")
                    yield self.addCompleteLog("whole", self.getLog("stdio").getText())
                    return cmd.results()
            """,
            [command("./cleanup").exits(1, "no\n"), command("./cleanup --force").exits(0, "yes\n")],
            Result.SUCCESS,
            {"stdio": "no\nyes\n", "updates": "ended\n", "whole": "no\nyes\n"},
        ),
        (
            """
            class Own(steps.ShellCommand):
                command = ["node"]
                logfiles = {"nodelog": "_test/node.log"}
                def evaluateCommand(self, cmd):
                    return util.SUCCESS if "STARTED" in self.getLog("nodelog").getText() else util.FAILURE
            """,
            [command("node").exits(1, "text").writes("it is STARTED\n", "nodelog")],
            Result.SUCCESS,
            {"stdio": "text", "nodelog": "it is STARTED\n"},
        ),
        (
            """
            class Own(steps.ShellCommand):
                def start(self):
                    if self.getProperty("os") == "win":
                        self.setCommand(["zip", "x"])
                    else:
                        self.setCommand(["tar", "x"])
                    super().start()
            """,
            [command("tar x").exits(0, "")],
            Result.SUCCESS,
            {},
        ),
        (
            """
            class Linking(util.LogLineObserver):
                def __init__(self):
                    super().__init__()
                    self.ended = False
                def outLineReceived(self, line):
                    if not self.ended and (found := re.search("^Logs: (.*)$", line)):
                        self.ended = True
                        self.step.addURL("logs", c["buildbotURL"] + found.group(1))
            c["buildbotURL"] = "https://farm.example.org/"
            class Own(steps.ShellCommand):
                command = ["bulk"]
                def __init__(self, **kwargs):
                    super().__init__(**kwargs)
                    self.addLogObserver("stdio", Linking())
            """,
            [command("bulk").exits(0, "Logs: a\nLogs: b\n")],
            Result.SUCCESS,
            {"stdio": "Logs: a\nLogs: b\n"},
        ),
        (
            """
            class Base(steps.ShellCommand):
                def __init__(self, what="x", how_many=None, **kwargs):
                    if how_many is None:
                        raise TypeError("how_many is required")
                    kwargs["haltOnFailure"] = True
                    super().__init__(command=["frob", what, str(how_many)], **kwargs)
                    self.what = what
            class Own(Base):
                def __init__(self, speed=5, **kwargs):
                    super().__init__(how_many=speed, **kwargs)
                    self.speed = speed
            """,
            [command("frob x 5")],
            Result.SUCCESS,
            {},
        ),
        (
            """
            class Own(buildstep.BuildStep):
                def getCurrentSummary(self):
                    return {"step": "compiling"}
                def getResultSummary(self):
                    return {"step": "compiled", "build": "compiled"}
                @defer.inlineCallbacks
                def run(self):
                    self.updateSummary()
                    self.setStatistic("warnings", 3)
                    yield self.addCompleteLog("n", str(self.getStatistic("warnings") + self.hasStatistic("other")))
                    return util.WARNINGS
            """,
            [],
            Result.WARNINGS,
            {"n": "3"},
        ),
    ]

    def test_running(self) -> None:
        """
        Promise 8.13: each step of the manual's works, and runs its commands once whenever the master crashes.
        """
        for text, answers, result, logs in self.RUNNING:
            with self.subTest(text):
                config = configured(
                    f"{self.HEAD}{textwrap.dedent(text)}\n"
                    "c['slaves'] = [slave.BuildSlave('bot1')]\n"
                    "c['builders'] = [util.BuilderConfig('b', 'bot1', util.BuildFactory([Own()]))]\n"
                )
                (step,) = config.builders["b"].steps
                ran = replay(step, *answers)
                self.assertIs(ran.result, result)
                self.assertEqual({name: each.decode() for name, each in ran.logs.items() if each}, logs)

    def test_reading_logs(self) -> None:
        """
        Promise 8.13: getLog has what the commands wrote to that log, and nothing of another.
        """

        class Own(ShellMixin, BuildStep):
            async def run(self) -> Result:
                for name in ("own", "stdio", None):
                    await self.runCommand(await self.makeRemoteShellCommand(command=["ask"], stdioLogName=name))
                self.setProperty("found", [self.getLog(name).getText() for name in ("own", "stdio", "other")])
                return Result.SUCCESS

        ran = replay(Own(), *(command("ask").exits(0, text) for text in "abc"))
        self.assertEqual(ran.properties["found"], ["a", "bc", ""])

    def test_computed_schedulers(self) -> None:
        """
        Promise 8.13: a subclass of Trigger computes the schedulers, each with its properties, and whether it counts.
        """

        class Parts(Trigger):
            @inlineCallbacks
            def getSchedulersAndProperties(self) -> Generator[Any, Any, Any]:
                yield succeed(None)
                tests = [{"sched_name": "test", "props_to_set": {"part": each}} for each in self.getProperty("parts")]
                return [*tests, {"sched_name": "slow", "props_to_set": {}, "unimportant": True}]

        ends = {"test": Result.WARNINGS, "slow": Result.FAILURE}
        step = Parts(schedulerNames=["test", "slow"], waitForFinish=True)
        ran = replay(step, properties={"parts": ["a", "b"]}, triggers=ends)
        self.assertIs(ran.result, Result.WARNINGS)
        self.assertEqual(ran.summary, "test: warnings, test (2): warnings, slow: failure")
        self.assertEqual(list(ran.triggered), [("test", {"part": "a"}), ("test", {"part": "b"}), ("slow", {})])

        class Wrong(Trigger):
            found: Any = None

            def getSchedulersAndProperties(self) -> Any:
                return self.found

        for found, said in (
            ("test", "returned 'test', which is not a list of 1 to 256 dictionaries"),
            ([], "which is not a list of 1 to 256"),
            ([{}] * 257, "which is not a list of 1 to 256"),
            ([{"name": "test"}], "write a dictionary with sched_name and props_to_set"),
            ([{"sched_name": "test", "props_to_set": {"x": object()}}], "The property 'x' cannot be"),
        ):
            with self.subTest(said):
                Wrong.found = found
                ran = run(Wrong(schedulerNames=["test"]), triggers=ends)
                self.assertIs(ran.result, Result.EXCEPTION)
                self.assertTrue(any(said in each for each in ran.remarks), ran.remarks)

    def test_set_step_arg(self) -> None:
        """
        Promise 8.13: set_step_arg changes an argument of a step that a factory has; a wrong one is a mistake.
        """
        text = (
            "f = util.BuildFactory([steps.ShellCommand(command=['a'])])\n"
            "f.steps[0].set_step_arg({})\n"
            "c['slaves'] = [slave.BuildSlave('bot1')]\nc['builders'] = [util.BuilderConfig('b', 'bot1', f)]\n"
        )
        (step,) = configured(text.format("'command', ['b', 'c']")).builders["b"].steps
        self.assertEqual(run(step).commands, ["b c"])
        for wrong, said in (("'comand', ['b']", "Did you mean 'command'?"), ("'timeout', 'x'", "timeout must be")):
            (sentence,) = sentences_in(text.format(wrong))
            self.assertIn(said, sentence)

    REFUSED: ClassVar[list[tuple[str, list[str]]]] = [
        # a text, and what its mistakes say to do
        ("from buildbot.process.buildstep import LoggingBuildStep\n", ["Derive from steps.BuildStep"]),
        ("from buildbot.interfaces import WorkerTooOldError\n", ["Leave it out: all slaves have the same commands"]),
        (
            "class Own(steps.BuildStep):\n    async def run(self):\n        self.workerVersion('stat')\n",
            ["Leave it out: all slaves have the same commands"],
        ),
        (
            "class Own(steps.BuildStep):\n    async def run(self):\n        await self.runCommand(None)\n",
            ["Derive from steps.ShellMixin or steps.CommandMixin"],
        ),
        (
            (
                "class Own(steps.ShellCommand):\n    def evaluateCommand(self, cmd):\n"
                "        return self.build.getSummaryStatistic('n', max, 0)\n"
            ),
            ["What a step may ask of its build"],
        ),
        ("from buildbot.process.buildstep import LOG_CHANNEL_STDOUT\n", ["Read log.getText()"]),
        (
            (
                "from buildbot.process.build import Build\nclass Own(Build):\n    pass\nf = util.BuildFactory()\n"
                "f.buildClass = Own\n"
            ),
            ["self.build.addStepsAfterCurrentStep"],
        ),
        (
            (
                "class Own(changes.ChangeSource):\n    def startService(self):\n        pass\n"
                "    def stopService(self):\n        pass\n"
            ),
            ["Write it as activate", "Write it as deactivate"],
        ),
        (
            "class Own(slave.AbstractLatentWorker):\n    def start_instance(self, build):\n        pass\n",
            ["a slave's string and pin=False"],
        ),
        ("from buildbot.util.service import BuildbotService\n", ["Leave out the code that needs it"]),
        ("from buildbot.status.base import StatusReceiverMultiService\n", ["Leave out the code that needs it"]),
        ("from buildbot.steps import framboozle\nframboozle.Framboozle()\n", ["steps has no 'Framboozle'"]),
    ]

    def test_refused(self) -> None:
        """
        Promise 8.14: what the manual shows and is not here is a mistake that says what to do.
        """
        for text, remedies in self.REFUSED:
            with self.subTest(text):
                found = sentences_in(text)
                self.assertEqual(len(found), len(remedies), found)
                for sentence, remedy in zip(found, remedies, strict=True):
                    self.assertIn(remedy, sentence)

    def test_class_of_builds(self) -> None:
        """
        Promise 8.14: a class of builds of one's own has no effect, and a remark says what to do.
        """
        (sentence,) = remarks_in("f = util.BuildFactory()\nf.buildClass = dict\n")
        self.assertIn("buildClass has no effect here.  Add steps in a build with self.build.addStepsAfter", sentence)

    TAKEN: ClassVar[list[str]] = [
        (
            "from buildbot.changes.svnpoller import SVNPoller, split_file_branches\n"
            "c['change_source'] = SVNPoller('svn://svn.example.org/x', split_file=split_file_branches)\n"
        ),
        (
            "c['change_source'] = [changes.SVNPoller(svnurl='https://svn.example.org/a/',"
            " split_file=util.svn.split_file_projects_branches),"
            " changes.SVNPoller('http://svn.example.org/b', split_file=lambda path: {'branch': None, 'path': path})]\n"
        ),
        (
            "from buildbot.changes import base\nclass Own(base.PollingChangeSource):\n    compare_attrs = ['a']\n"
            "    pollInterval = 60\n    def describe(self):\n        return 'own'\n    def poll(self):\n"
            "        return self.master.data.updates.addChange(author='x', files=[], comments='', revision='1')\n"
            "c['change_source'] = [Own()]\n"
        ),
        "c['www'] = {'plugins': {'wsgi_dashboards': [{'name': 'd', 'app': object(), 'order': 5}]}}\n",
        "f = util.BuildFactory()\nf.workdir = util.Interpolate('%(src::repository)s')\n",
        (
            "db, slow = util.MasterLock('db'), util.WorkerLock('slow', maxCount=1, maxCountForWorker={'fast': 3})\n"
            "x = [db.access('exclusive'), slow.access('counting', 0), util.LockAccess(db, 'counting')]\n"
        ),
    ]

    def test_taken(self) -> None:
        """
        Promise 8.13: what the manual shows for the rest of a master.cfg loads.
        """
        for text in self.TAKEN:
            with self.subTest(text):
                self.assertEqual(sentences_in(text), [])
