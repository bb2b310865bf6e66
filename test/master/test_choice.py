"""
What the functions of a master.cfg decide: which builder, request and slave is next, and which requests are collapsed.
"""

import inspect
from typing import Any
from unittest import mock

from sqlalchemy import Connection
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.master.scheduling import user_answers
from buildbot_lite.master.scheduling.views import RequestView
from buildbot_lite.model.change import Change
from buildbot_lite.model.results import Result
from buildbot_lite.model.wait_reasons import WaitKind, after_another
from buildbot_lite.storage.records import builds, changes, requests

from .harness import FakeSlave, MasterHarness, StartedCommand

HEAD = """
c["slaves"] = [
    slave.BuildSlave("bot1", max_builds=1, properties={"arch": "arm64"}),
    slave.BuildSlave("bot2", max_builds=1, properties={"arch": "amd64"}),
]
def builder(name, *slaves, **more):
    factory = util.BuildFactory([steps.ShellCommand(command=["true"])])
    return util.BuilderConfig(name, list(slaves) or ["bot1"], factory, **more)
class Timer(schedulers.Triggerable.__mro__[1]):
    pass
c["schedulers"] = []
def submit(*names, kind=Timer, **more):
    c["schedulers"] += [kind(each, [each], **more) for each in names]
"""


class ChoosingCase(SynchronousTestCase):
    """
    A farm with two slaves of one build each.
    """

    def start(self, text: str, *, attach: tuple[str, ...] = ("bot1",)) -> None:
        """
        Start a farm with *text* and attached slaves.
        """
        self.harness = MasterHarness(HEAD + text)
        self.bots: dict[str, FakeSlave] = {}
        for name in attach:
            self.attach(name)

    def attach(self, name: str) -> None:
        """
        The slave attaches.
        """
        self.bots[name] = self.harness.attach(name, home=name)

    def why(self, request: int) -> str:
        """
        Why the request waits.
        """
        self.harness.settle()
        reason = self.harness.farm.dispatcher.why(request)
        return "" if reason is None else f"{reason.kind.value}: {reason.sentence}"

    def submit(self, scheduler: str, **more: Any) -> int:
        """
        A request of a scheduler.
        """
        return self.harness.submit(scheduler, **more)

    def built(self) -> list[str]:
        """
        End every command, until none is left; the builders, in the order of their builds.
        """
        done: list[StartedCommand] = []
        while rest := [each for bot in self.bots.values() for each in bot.commands if each not in done]:
            done.append(rest[0])
            rest[0].end(0)
            self.harness.settle()
        rows = self.harness.read(builds.newest)
        return [f"{row.builder}:{row.request}" for row in reversed(rows)]

    def result(self, request: int) -> tuple[Result | None, str]:
        """
        The request's result and reason.
        """
        row = self.harness.request(request)
        return row.result, row.reason


class PreferenceTests(ChoosingCase):
    """
    Promise 8.5: what goes first.
    """

    def order_of(self, function: str) -> list[str]:
        """
        The order in which a request of each of a, b and c is built with that ``prioritizeBuilders``.
        """
        self.start(f"c['builders'] = [builder(each) for each in 'abc']\nsubmit('a', 'b', 'c')\n{function}\n", attach=())
        for each in "abc":
            self.submit(each)
        self.attach("bot1")
        return [each.partition(":")[0] for each in self.built()]

    def test_prioritize_builders(self) -> None:
        """
        Promise 8.5: prioritizeBuilders is obeyed, whether it returns the builders or a Deferred of them.
        """
        by_name = "lambda master, builders: sorted(builders, key=lambda each: each.name, reverse=True)"
        self.assertEqual(self.order_of(f"c['prioritizeBuilders'] = {by_name}"), ["c", "b", "a"])
        coroutine = f"async def f(master, builders): return ({by_name})(master, builders)\nc['prioritizeBuilders'] = f"
        self.assertEqual(self.order_of(coroutine), ["c", "b", "a"])
        ages = "sorted(builders, key=lambda each: (each.getHighestPriority(), each.getOldestRequestTime()))"
        self.assertEqual(self.order_of(f"c['prioritizeBuilders'] = lambda m, builders: {ages}"), ["a", "b", "c"])
        sort = "def f(master, builders):\n    builders.sort(key=lambda b: b.name == 'a')\n    return builders\n"
        self.assertEqual(self.order_of(f"{sort}c['prioritizeBuilders'] = f"), ["b", "c", "a"])

    def test_left_out(self) -> None:
        """
        Promise 8.5: a builder that prioritizeBuilders leaves out builds nothing, and its requests say so.
        """
        self.start(
            "c['builders'] = [builder('a')]\nsubmit('a')\nc['prioritizeBuilders'] = lambda master, builders: []\n"
        )
        self.assertEqual(self.why(self.submit("a")), "refused: prioritizeBuilders does not choose a")

    def test_failing(self) -> None:
        """
        A prioritizeBuilders that fails is logged once, and the usual order holds.
        """
        self.assertEqual(self.order_of("c['prioritizeBuilders'] = lambda: 1 / 0"), ["a", "b", "c"])
        self.assertEqual(len(self.flushLoggedErrors(TypeError)), 1)

    def test_next_build(self) -> None:
        """
        Promise 8.5: nextBuild chooses the request.
        """
        for function in (
            "lambda builder, requests: requests[-1]",
            "lambda builder, requests: max(requests, key=lambda each: each.id)",
            "lambda builder, requests: sorted(requests, key=lambda each: -each['buildrequestid'])[0]",
        ):
            self.start(f"c['builders'] = [builder('a', nextBuild={function})]\nsubmit('a')\n", attach=())
            found = [self.submit("a", source={"branch": str(n)}) for n in range(3)]
            self.attach("bot1")
            self.assertEqual(self.built(), [f"a:{each}" for each in reversed(found)])

    def test_next_build_of_held(self) -> None:
        """
        A nextBuild does not see requests that are held.
        """
        function = "lambda builder, requests: requests[0]"
        self.start(
            f"c['builders'] = [builder('a', nextBuild={function}, collapseRequests=False)]\nsubmit('a')\n", attach=()
        )
        held, other = self.submit("a"), self.submit("a")
        self.harness.farm.queue.hold({held: after_another("job 1", "building")})
        self.attach("bot1")
        self.assertEqual(self.built(), [f"a:{other}"])

    def test_next_build_of_several(self) -> None:
        """
        Promise 8.5: nextBuild may choose by branch and reason; None starts none.
        """
        text = """
def choose(builder, requests):
    if builder.name != 'a':
        raise AssertionError
    wanted = [each for each in requests if each.source.branch == 'release']
    return wanted[0] if wanted else None
c['builders'] = [builder('a', nextBuild=choose, collapseRequests=False)]
submit('a')
"""
        self.start(text, attach=())
        first = self.submit("a", source={"branch": "main"})
        second = self.submit("a", source={"branch": "release"})
        self.attach("bot1")
        self.assertEqual(self.built(), [f"a:{second}"])
        self.assertEqual(self.why(first), "refused: nextBuild of a does not choose any of them")

    def test_next_build_that_waits(self) -> None:
        """
        Promise 8.5: a nextBuild that has not answered holds up its own builder alone.
        """
        self.start(
            "asked = []\n"
            "def later(builder, requests):\n    from twisted.internet.defer import Deferred\n"
            "    asked.append(Deferred()); return asked[-1]\n"
            "c['builders'] = [builder('a', nextBuild=later), builder('b', 'bot2')]\nsubmit('a', 'b')\n",
            attach=("bot1", "bot2"),
        )
        request = self.submit("a")
        self.assertEqual(self.why(request), "asked: nextBuild of a is being asked about these requests")
        self.assertEqual(self.why(self.submit("b")), "")
        function: Any = self.harness.farm.config.builders["a"].next_build
        answer: Deferred[Any] = inspect.unwrap(function).__globals__["asked"][0]
        waiting = self.harness.farm.queue.get(request)
        assert waiting is not None
        answer.callback(RequestView(waiting.request, waiting.buildset))
        self.harness.settle()
        self.assertEqual(len(self.harness.builds(request)), 1)

    def test_next_slave(self) -> None:
        """
        Promise 8.5: nextSlave (nextWorker) chooses among the free slaves, with or without the request; None is no.
        """
        for argument, chosen in (
            ("nextSlave=lambda builder, slaves: slaves[-1]", "bot2"),
            ("nextWorker=lambda builder, workers, request: workers[request.id - 1]", "bot1"),
            ("nextWorker=lambda b, ws, r: next(w for w in ws if w.worker.workername == 'bot2')", "bot2"),
            ("nextSlave=lambda b, ws: next(w for w in ws if w.slave.properties['arch'] == 'amd64')", "bot2"),
        ):
            with self.subTest(argument):
                self.start(
                    f"c['builders'] = [builder('a', 'bot1', 'bot2', {argument})]\nsubmit('a')\n",
                    attach=("bot1", "bot2"),
                )
                self.assertEqual([each.slave for each in self.harness.builds(self.submit("a"))], [chosen])
        self.start("c['builders'] = [builder('a', nextSlave=lambda *_: None)]\nsubmit('a')\n")
        self.assertIn("refused: nextSlave of a does not choose", self.why(self.submit("a")))

    def test_next_slave_of_a_cancelled_request(self) -> None:
        """
        A nextSlave that is being asked about a request that is cancelled is asked no longer: it holds up no other.
        """
        self.patch(user_answers, "MOST_PENDING", 1)
        self.start(
            "from twisted.internet.defer import Deferred\n"
            "c['builders'] = [builder('a', nextSlave=lambda builder, slaves, request:\n"
            "    Deferred() if request.id == 1 else slaves[0])]\nsubmit('a')\nc['collapseRequests'] = False\n"
        )
        first, second = self.submit("a"), self.submit("a")
        self.assertIn("asked: nextSlave of a", self.why(first))
        self.assertIn("asked: nextSlave of a", self.why(second))
        self.assertTrue(self.harness.done(self.harness.farm.requests.cancel(first, "not wanted")))
        self.harness.settle()
        self.assertEqual(len(self.harness.builds(second)), 1)

    def test_requires(self) -> None:
        """
        Promise 8.5: a builder's requirements are matched with the properties of slaves.
        """
        self.start(
            "c['builders'] = [builder('a', 'bot1', 'bot2', requires={'arch': 'amd64'}),\n"
            "    util.BuilderConfig('b', factory=util.BuildFactory(), requires={'arch': ['arm64', 'riscv']})]\n"
            "submit('a', 'b')\n"
        )
        builders = self.harness.farm.config.builders
        self.assertEqual([builders[name].slavenames for name in "ab"], [("bot2",), ("bot1",)])


class CollapsingTests(ChoosingCase):
    """
    Promise 8.5: which requests are collapsed.
    """

    def results(self, *sources: dict[str, Any], of: str = "a") -> list[str]:
        """
        The results of requests with these sources, which wait together.
        """
        found = [self.submit(of, source=source) for source in sources]
        self.attach("bot1")
        self.built()
        return [getattr(self.result(each)[0], "name", "none") for each in found]

    def test_newest_is_built(self) -> None:
        """
        Promise 8.5: of requests for the same sources the newest is built; the others are SKIPPED, and name it.
        """
        self.start("c['builders'] = [builder('a')]\nsubmit('a')\n", attach=())
        first, second, third = (self.submit("a", source={"branch": "main"}) for _ in range(3))
        reasons = [self.result(each) for each in (first, second, third)]
        self.assertEqual(
            reasons,
            [
                (Result.SKIPPED, f"collapsed into request {second}, which asks for the same and is newer"),
                (Result.SKIPPED, f"collapsed into request {third}, which asks for the same and is newer"),
                (None, ""),
            ],
        )
        into = [self.harness.read(lambda c, each=each: requests.collapsed_into(c, each)) for each in (first, third)]
        self.assertEqual(into, [second, None])

    def test_trust_is_read_at_once(self) -> None:
        """
        However many requests wait, a function in collapseRequests costs one query for each new request.
        """
        self.start(
            "c['builders'] = [builder('a', collapseRequests=lambda *_: False)]\nsubmit('a')\n",
            attach=(),
        )
        for _ in range(5):
            self.submit("a")
        with mock.patch.object(changes, "trusts_of", wraps=changes.trusts_of) as read:
            self.submit("a")
        self.assertEqual([len(each.args[1]) for each in read.call_args_list], [6])

    def test_alike(self) -> None:
        """
        Promise 8.5: only those of one branch, repository, project and (without changes) revision are collapsed.
        """
        main = {"branch": "main", "repository": "r", "project": "p"}
        for other, results in (
            (main, ["SKIPPED", "SUCCESS"]),
            ({**main, "revision": "7"}, ["SUCCESS", "SUCCESS"]),
            ({**main, "branch": "next"}, ["SUCCESS", "SUCCESS"]),
            ({**main, "repository": "s"}, ["SUCCESS", "SUCCESS"]),
            ({**main, "project": "q"}, ["SUCCESS", "SUCCESS"]),
        ):
            with self.subTest(other):
                self.start("c['builders'] = [builder('a')]\nsubmit('a')\n", attach=())
                self.assertEqual(self.results(main, other), results)

    def test_changes(self) -> None:
        """
        Promise 8.5: requests for changes are collapsed whatever their revisions, and the changes of both are those of
        the newer one; a request for changes is not collapsed with one for none.
        """
        self.start("c['builders'] = [builder('a')]\nsubmit('a')\n", attach=())
        made: list[int] = []

        def change(connection: Connection, submitted: requests.SubmittedBuildset) -> None:
            row, _ = changes.add(connection, Change(author="x", revision=str(len(made)), source="test"), 0.0)
            changes.add_to_buildset(connection, submitted.buildset.id, [row.id])
            made.append(submitted.buildset.id)

        found = [self.submit("a", source={"revision": str(n)}, in_transaction=change) for n in range(2)]
        self.submit("a", source={})
        self.assertEqual([self.result(each)[0] for each in found], [Result.SKIPPED, None])
        rows = self.harness.read(lambda connection: changes.of_buildset(connection, made[1]))
        self.assertEqual(sorted(str(row.change.revision) for row in rows), ["0", "1"])

    def test_properties(self) -> None:
        """
        Promise 8.5: requests of other properties are not collapsed.
        """
        self.start(
            "c['builders'] = [builder('a')]\n"
            "c['schedulers'] += [Timer('one', ['a'], properties={'n': 1}), Timer('two', ['a'], properties={'n': 2})]\n",
            attach=(),
        )
        found = [self.submit(each) for each in ("one", "two")]
        self.assertEqual([self.result(each)[0] for each in found], [None, None])

    def test_forms(self) -> None:
        """
        Promise 8.5: each form of collapseRequests and mergeRequests, of the farm and of a builder, which counts more.
        """
        same = "lambda builder, one, other: one.source.branch == other.source.branch"
        both = ["SKIPPED", "SUCCESS"]
        none = ["SUCCESS", "SUCCESS"]
        forms = [
            ("", "", both),
            ("c['collapseRequests'] = True", "", both),
            ("c['collapseRequests'] = False", "", none),
            ("c['mergeRequests'] = False", "", none),
            ("c['mergeRequests'] = False", "mergeRequests=True", both),
            ("", "collapseRequests=False", none),
            ("", f"mergeRequests={same}", both),
            ("", "collapseRequests=lambda master, builder, one, other: one['source'] != other['source']", none),
            ("", "collapseRequests=lambda builder, one, other: one.canBeMergedWith(other)", both),
            ("async def f(master, builder, one, other): return one.reason == other.reason", "mergeRequests=f", both),
            ("c['collapseRequests'] = lambda m, b, one, other: b['name'] == 'b'", "", none),
        ]
        for of_farm, of_builder, results in forms:
            with self.subTest(f"{of_farm}; {of_builder}"):
                self.start(f"{of_farm}\nc['builders'] = [builder('a', {of_builder})]\nsubmit('a')\n", attach=())
                self.assertEqual(self.results({"branch": "main"}, {"branch": "main"}), results)

    def test_asked_for(self) -> None:
        """
        Promise 8.5: what somebody submitted, forced or triggered is collapsed only if a function says so.
        """
        for kind in ("schedulers.Submit", "schedulers.ForceScheduler", "schedulers.Triggerable"):
            for rule, results in (
                ("", ["SUCCESS", "SUCCESS"]),
                ("collapseRequests=True", ["SUCCESS", "SUCCESS"]),
                ("collapseRequests=lambda *_: True", ["SKIPPED", "SUCCESS"]),
            ):
                with self.subTest((kind, rule)):
                    self.start(f"c['builders'] = [builder('a', {rule})]\nsubmit('a', kind={kind})\n", attach=())
                    self.assertEqual(self.results({}, {}), results)

    def test_failing_function(self) -> None:
        """
        A function that fails collapses nothing, and is logged.
        """
        self.start("c['builders'] = [builder('a', collapseRequests=lambda: 1)]\nsubmit('a')\n", attach=())
        self.assertEqual(self.results({}, {}), ["SUCCESS", "SUCCESS"])
        self.assertEqual(len(self.flushLoggedErrors(TypeError)), 1)

    def test_what_runs_stays(self) -> None:
        """
        A request that is being built is not collapsed.
        """
        self.start("c['builders'] = [builder('a')]\nsubmit('a')\n")
        first, second = self.submit("a"), self.submit("a")
        self.assertEqual([self.result(each)[0] for each in (first, second)], [None, None])
        self.assertEqual(len(self.harness.builds(first)), 1)
        reason = self.harness.farm.dispatcher.why(second)
        self.assertEqual(reason and reason.kind, WaitKind.BUSY)

    def test_one_build_a_change(self) -> None:
        """
        Promise 8.5: the requests of a scheduler without treeStableTimer, which are to be one build for each change, are
        collapsed only if master.cfg says so.
        """
        for rule, timer, result in (
            ("", "None", None),
            ("", "5", Result.SKIPPED),
            ("collapseRequests=True", "None", Result.SKIPPED),
        ):
            with self.subTest((rule, timer)):
                self.start(
                    f"c['builders'] = [builder('a', {rule})]\n"
                    f"many = schedulers.AnyBranchScheduler('a', treeStableTimer={timer}, builderNames=['a'])\n"
                    "c['schedulers'] = [many]\n",
                    attach=(),
                )
                first, _ = self.submit("a"), self.submit("a")
                self.assertEqual(self.result(first)[0], result)
