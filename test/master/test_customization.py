"""
What Buildbot's manual shows people how to customize: each works here, or ``checkconfig`` says what to do instead.
"""

from typing import Any, ClassVar

from sqlalchemy import Connection

from buildbot_lite.model.change import Change
from buildbot_lite.model.results import Result
from buildbot_lite.storage.records import changes, requests

from .configurations import configured, sentences_in
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
        Promise 8.13: a function that uses a word that its arguments do not have is a mistake with a remedy, not an
        exception in the running farm.
        """
        for argument, body, said in self.FUNCTIONS:
            with self.subTest(body):
                text = (
                    f"def f(builder, wfb, request=None):\n    {body}\nc['slaves'] = [slave.BuildSlave('bot1')]\n"
                    f"c['builders'] = [util.BuilderConfig('a', 'bot1', util.BuildFactory(), {argument}=f)]\n"
                )
                (sentence,) = sentences_in(text)
                self.assertIn(said, sentence)
                self.assertRegex(sentence, r"which does not exist here.  .+[.]$")
        (sentence,) = sentences_in(
            "def f(master, builders):\n    return sorted(builders, key=lambda b: b.getNewestCompleteTime())\n"
            "c['prioritizeBuilders'] = f\n"
        )
        self.assertIn("prioritizeBuilders uses .getNewestCompleteTime", sentence)
        configured("c['prioritizeBuilders'] = lambda master, builders: builders\n")
        (sentence,) = sentences_in("from buildbot.process.remotecommand import RemoteCommand\n")
        self.assertIn("A canStartBuild decides by properties", sentence)
