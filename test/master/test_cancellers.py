"""
Services that cancel what nobody needs any more.
"""

from typing import Any
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import ConfigError
from buildbot_lite.master.config.cancellers import OldBuildCanceller, SourceStampFilter, StampView
from buildbot_lite.model.change import Change
from buildbot_lite.model.results import Result
from buildbot_lite.storage.records import changes, states

from .configurations import sentences_in
from .harness import FakeSlave, MasterHarness

TEXT = """
c["slaves"] = [slave.BuildSlave("bot1")]
def builder(name):
    return util.BuilderConfig(name, "bot1", util.BuildFactory([steps.ShellCommand(command=["true"])]))
c["builders"] = [builder("a"), builder("b"), builder("c")]
c["schedulers"] = [schedulers.Submit("all", ["a", "b", "c"]), schedulers.Submit("one", ["a"])]
"""


class CancellerTests(SynchronousTestCase):
    """
    Promise 8.5: builds of older changes, and the rest of a failed buildset, are cancelled.
    """

    def start(self, services: str) -> None:
        """
        A farm with *services*.
        """
        self.harness = MasterHarness(f"{TEXT}c['services'] = [{services}]\n")
        self.slave: FakeSlave = self.harness.attach("bot1")

    def change(self, **about: Any) -> None:
        """
        A change comes.
        """
        change = Change(**{"author": "x", "source": "test", "repository": "r", **about})
        self.harness.done(self.harness.farm.changes.add([change]))
        self.harness.settle(30)

    def result(self, request: int) -> tuple[Result | None, str]:
        """
        The request's result and reason.
        """
        row = self.harness.request(request)
        return row.result, row.reason

    def test_old_builds(self) -> None:
        """
        Promise 8.5: OldBuildCanceller cancels what runs and waits of the branch, project and repository of a new
        change, of the builders that it is told.
        """
        self.start("util.OldBuildCanceller('old', filters=[(['a', 'b'], util.SourceStampFilter(branch_re='f/'))])")
        sources = {"f": {"branch": "f/x", "repository": "r"}, "g": {"branch": "f/y", "repository": "r"}}
        cancelled = self.harness.submit("all", source=sources["f"]) - 2
        other = self.harness.submit("one", source=sources["g"])
        elsewhere = self.harness.submit("one", source={"branch": "f/x", "repository": "s"})
        self.change(branch="f/x", revision="2")
        for command in self.slave.commands:
            command.end(0)
        self.harness.settle(30)
        self.assertEqual(self.result(cancelled), (Result.CANCELLED, "there is a newer change of f/x: 2"))
        self.assertEqual(self.result(cancelled + 1)[0], Result.CANCELLED)
        self.assertNotEqual(self.result(cancelled + 2)[0], Result.CANCELLED)
        self.assertNotEqual(self.result(other)[0], Result.CANCELLED)
        self.assertNotEqual(self.result(elsewhere)[0], Result.CANCELLED)

    def test_filtered(self) -> None:
        """
        Promise 8.5: a branch that the filter does not take is left alone.
        """
        self.start("util.OldBuildCanceller('old', [(['a'], util.SourceStampFilter(branch_not_eq='main'))])")
        request = self.harness.submit("one", source={"branch": "main", "repository": "r"})
        self.change(branch="main", revision="2")
        self.assertEqual(self.result(request)[0], None)

    def test_filter_fn(self) -> None:
        """
        Promise 8.5: the function of a filter gets the source stamp as a dictionary.
        """
        stamp = StampView("p", "c", "r", "b", revision="1")
        whole = {"project": "p", "codebase": "c", "repository": "r", "branch": "b", "revision": "1"}
        self.assertTrue(SourceStampFilter(lambda given: given == whole).takes(stamp))
        self.assertFalse(SourceStampFilter(filter_fn=lambda given: given["branch"] == "x").takes(stamp))
        self.assertTrue(SourceStampFilter(filter_fn=lambda given: given.branch == stamp.branch).takes(stamp))
        self.start("util.OldBuildCanceller('old', [(['a'], util.SourceStampFilter(lambda ss: ss['revision'] == '1'))])")
        requests = [
            self.harness.submit("one", source={"branch": "f/x", "repository": "r", "revision": each}) for each in "12"
        ]
        self.change(branch="f/x", revision="3")
        self.slave.commands[0].end(0)
        self.harness.settle(30)
        self.assertEqual([self.result(each)[0] for each in requests], [Result.CANCELLED, None])

    def test_branch_key(self) -> None:
        """
        Promise 8.5: patch sets of one change in Gerrit are one branch; another branch_key may be given.
        """
        service = OldBuildCanceller("x", [])
        keys = [service.branch_key({"branch": f"refs/changes/12/{each}"}) for each in ("3412/1", "3412/2", "5612/1")]
        self.assertEqual(keys, ["refs/changes/12/3412", "refs/changes/12/3412", "refs/changes/12/5612"])
        self.start(
            "util.OldBuildCanceller('old', [(['a'], util.SourceStampFilter())], branch_key=lambda ss: ss['branch'][:2])"
        )
        request = self.harness.submit("one", source={"branch": "f/x", "repository": "r"})
        self.change(branch="f/y", revision="2")
        self.slave.commands[0].end(0)
        self.harness.settle(30)
        self.assertEqual(self.result(request)[0], Result.CANCELLED)

    def test_failing_buildset(self) -> None:
        """
        Promise 8.5: FailingBuildsetCanceller cancels the rest of a buildset, or the builders that it is told.
        """
        for cancelled, results in (
            ("None", [Result.FAILURE, Result.CANCELLED, Result.CANCELLED]),
            ("['b']", [Result.FAILURE, Result.CANCELLED, None]),
        ):
            with self.subTest(cancelled):
                self.start(f"util.FailingBuildsetCanceller('f', [(['a'], {cancelled}, util.SourceStampFilter())])")
                last = self.harness.submit("all")
                other = self.harness.submit("one")
                self.slave.commands[0].end(1)
                self.harness.settle(30)
                for command in self.slave.commands[1:3]:
                    command.end(0)
                self.harness.settle(30)
                found = [self.result(each)[0] for each in (last - 2, last - 1, last)]
                self.assertEqual(found[:2], results[:2])
                self.assertEqual(found[2] is Result.CANCELLED, results[2] is Result.CANCELLED)
                self.assertNotEqual(self.result(other)[0], Result.CANCELLED)

    def test_raising_filter(self) -> None:
        """
        A filter that raises an error is logged, and the other services cancel what they are told.
        """
        self.start(
            "util.FailingBuildsetCanceller('bad', [(['a'], None, util.SourceStampFilter(lambda stamp: 1 / 0))]),"
            "util.FailingBuildsetCanceller('good', [(['a'], ['b'], util.SourceStampFilter())])"
        )
        last = self.harness.submit("all")
        self.slave.commands[0].end(1)
        self.harness.settle(30)
        self.slave.commands[1].end(0)
        self.harness.settle(30)
        self.assertIs(self.result(last - 1)[0], Result.CANCELLED)
        self.assertEqual(len(self.flushLoggedErrors(ZeroDivisionError)), 1)

    def test_records(self) -> None:
        """
        A change costs one transaction.
        """
        self.start("util.OldBuildCanceller('old', [(['a'], util.SourceStampFilter())])")
        self.change(branch="main")
        with mock.patch.object(states, "put", wraps=states.put) as put:
            self.change(branch="main", revision="2")
        last = self.harness.read(changes.last_id)
        self.assertEqual(
            [each.args[2] for each in put.call_args_list if "cancel" in each.args[1]], [{"considered": last}]
        )

    def test_configured_again(self) -> None:
        """
        Promise 8.5: an OldBuildCanceller that a reconfiguration removes and another one adds again begins with the
        changes that arrive after that: a change in between cancels nothing.
        """
        service = "util.OldBuildCanceller('old', [(['a'], util.SourceStampFilter())])"
        self.start(service)
        self.change(branch="main", revision="1")
        self.reconfigure("")
        request = self.harness.submit("one", source={"branch": "main", "repository": "r"})
        self.change(branch="main", revision="2")
        self.reconfigure(service)
        self.change(branch="dev", revision="3")
        self.assertIsNone(self.result(request)[0])
        self.change(branch="main", revision="4")
        self.slave.commands[-1].end(0)
        self.harness.settle(30)
        self.assertEqual(self.result(request), (Result.CANCELLED, "there is a newer change of main: 4"))

    def reconfigure(self, services: str) -> None:
        """
        Apply a configuration with *services*.
        """
        self.harness.configure(f"{TEXT}c['services'] = [{services}]\n")
        self.harness.done(self.harness.farm.reconfiguration.apply())
        self.harness.settle(1)

    def test_crash_before_the_cancellation(self) -> None:
        """
        Promise 8.5: a master that dies between the commit of a change and the cancellation cancels at its next start,
        and never what is built of that change itself.
        """
        self.start("util.OldBuildCanceller('old', [(['a'], util.SourceStampFilter())])")
        old = self.harness.submit("one", source={"branch": "main", "repository": "r"})
        self.harness.farm.cancelling.stop()
        self.change(branch="main", revision="2")
        new = self.harness.submit("one", source={"branch": "main", "repository": "r", "revision": "2"})
        change = self.harness.read(changes.last_id)
        buildset = self.harness.request(new).buildset
        _ = self.harness.records.write(lambda connection: changes.add_to_buildset(connection, buildset, [change]))
        self.harness.restart()
        self.slave = self.harness.attach("bot1", FakeSlave(commands=self.slave.commands), held=self.slave.held())
        for command in self.slave.commands[:1]:
            command.end(0)
        self.harness.settle(30)
        self.assertEqual(self.result(old), (Result.CANCELLED, "there is a newer change of main: 2"))
        self.assertNotEqual(self.result(new)[0], Result.CANCELLED)

    def test_crash_after_a_failure(self) -> None:
        """
        Promise 8.5: likewise for the rest of a buildset of which one build failed.
        """
        self.start("util.FailingBuildsetCanceller('f', [(['a'], None, util.SourceStampFilter())])")
        last = self.harness.submit("all")
        self.harness.farm.cancelling.stop()
        self.slave.commands[0].end(1)
        self.harness.settle(30)
        self.assertEqual([self.result(each)[0] for each in (last - 2, last)], [Result.FAILURE, None])
        self.harness.restart()
        rest = self.slave.commands[1:]
        self.harness.attach("bot1", FakeSlave(commands=rest), held=self.slave.held()[1:])
        for command in rest:
            command.end(0)
        self.harness.settle(30)
        self.assertEqual(self.result(last)[0], Result.CANCELLED)

    def test_change_of_a_fork(self) -> None:
        """
        Promise 8.5: a change from a fork cancels no build of code that is not from one.
        """
        self.start("util.OldBuildCanceller('old', [(['a'], util.SourceStampFilter())])")
        request = self.harness.submit("one", source={"branch": "main", "repository": "r"})
        self.change(branch="main", revision="2", untrusted=True)
        self.slave.commands[0].end(0)
        self.harness.settle(30)
        self.assertEqual(self.result(request)[0], Result.SUCCESS)

    def test_filter_arguments(self) -> None:
        """
        Promise 8.5: each condition of SourceStampFilter.
        """
        stamp = StampView("p", "c", "r", "main")
        forms: list[tuple[dict[str, Any], bool]] = [({}, True)]
        for name, value in (("project", "p"), ("codebase", "c"), ("repository", "r"), ("branch", "main")):
            forms += [
                ({f"{name}_eq": value}, True),
                ({f"{name}_eq": ["x", value]}, True),
                ({f"{name}_eq": "x"}, False),
                ({f"{name}_not_eq": value}, False),
                ({f"{name}_re": f"^{value}$"}, True),
                ({f"{name}_not_re": f"^{value}$"}, False),
            ]
        forms += [({"filter_fn": lambda ss: ss["branch"] == "x"}, False)]
        for arguments, taken in forms:
            with self.subTest(arguments):
                self.assertEqual(SourceStampFilter(**arguments).takes(stamp), taken)
        self.assertRaises(ConfigError, SourceStampFilter, brunch_eq="x")

    def test_mistakes(self) -> None:
        """
        What is no filter, and builders that are not there, are mistakes.
        """
        head = f"{TEXT}f = util.SourceStampFilter()\n"
        for service, sentence in (
            ("util.OldBuildCanceller('o', [(['z'], f)])", "names the builder 'z', which does not exist"),
            ("util.FailingBuildsetCanceller('o', [(['a'], ['z'], f)])", "names the builder 'z', which does not exist"),
            ("util.OldBuildCanceller('o', [(['a'], 'f')])", "a util.SourceStampFilter at the end"),
            ("util.OldBuildCanceller('o', [['a']])", "a list of tuples of 2"),
        ):
            with self.subTest(service):
                self.assertIn(sentence, "\n".join(sentences_in(f"{head}c['services'] = [{service}]\n")))
