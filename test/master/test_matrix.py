"""
Matrices: their combinations, and the builds that a `Trigger` starts for each.
"""

from collections.abc import Mapping

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import ConfigError
from buildbot_lite.master.config.matrix import MOST_COMBINATIONS
from buildbot_lite.model.results import Result
from buildbot_lite.plugins import steps, util
from buildbot_lite.storage.records import builds
from buildbot_lite.testing import replay

from .configurations import builder_config, master_cfg
from .harness import FakeSlave, MasterHarness, scripted

MATRIX = 'util.Matrix(python=["3.12", "3.13"], db=["lite", "pg"], exclude=[{"python": "3.12", "db": "pg"}])'


class MatrixTests(SynchronousTestCase):
    """
    Promise 8.7: `util.Matrix` makes the combinations of its axes.
    """

    def test_combinations(self) -> None:
        """
        The first axis changes slowest; *exclude* takes away, *include* adds; names are readable.
        """
        matrix = util.Matrix(
            python=["3.12", "3.13"],
            os=["Debian 12", "bsd"],
            exclude=[{"python": "3.12", "os": "bsd"}],
            include=[{"python": "3.14", "os": "bsd", "slow": True}],
        )
        self.assertEqual(
            {each.name: dict(each) for each in matrix},
            {
                "3.12-Debian_12": {"python": "3.12", "os": "Debian 12"},
                "3.13-Debian_12": {"python": "3.13", "os": "Debian 12"},
                "3.13-bsd": {"python": "3.13", "os": "bsd"},
                "3.14-bsd-True": {"python": "3.14", "os": "bsd", "slow": True},
            },
        )

    def test_mistakes(self) -> None:
        """
        What makes no sense is a mistake, with a sentence.
        """
        for given, said in {
            "": "no combination is left",
            "python='3.12'": "python",
            "python=[]": "at least one value",
            "a=[1], exclude=[{'b': 1}]": "'b', which is not an axis",
            "a=[1], exclude=[{'a': 1}]": "no combination is left",
            "a=['x y', 'x_y']": "two combinations are called 'x_y'",
            "a=[1], include=['x']": "a list of dictionaries",
            "a=list(range(17)), b=list(range(17))": f"289 combinations; at most {MOST_COMBINATIONS} are allowed",
            "a=list(range(10**5)), b=list(range(10**5))": "10000000000 combinations",
            "a=[object()]": "cannot be",
        }.items():
            with self.subTest(given):
                with self.assertRaises(ConfigError) as caught:
                    exec(f"util.Matrix({given})", {"util": util})
                self.assertIn(said, str(caught.exception))
                # Only what is wrong, and nothing that follows from it.
                self.assertEqual(str(caught.exception).count("Matrix: "), 1, caught.exception)

    def test_builders(self) -> None:
        """
        A matrix makes builders.
        """
        text = master_cfg() + (
            "\nfor each in " + MATRIX + ":\n"
            '    c["builders"].append(util.BuilderConfig(name=f"test-{each.name}", slavenames=["bot1"],\n'
            "        properties=each, factory=util.BuildFactory([])))\n"
        )
        config = MasterHarness(text).farm.generations.config
        self.assertEqual(config.builders["test-3.13-pg"].properties, {"python": "3.13", "db": "pg"})


class TriggerTests(SynchronousTestCase):
    """
    Promise 8.7: a `Trigger` starts one build for each combination, and joins the results.
    """

    def fan(self, outcomes: Mapping[str, int]) -> tuple[MasterHarness, Result | None]:
        """
        A build that triggers "test" for `MATRIX`; *outcomes*: database → exit code.
        """
        trigger = f'steps.Trigger(schedulerNames=["test"], waitForFinish=True, matrix={MATRIX})'
        command = 'steps.ShellCommand(command=["run", util.Property("python"), util.Property("db")])'
        harness = MasterHarness(
            master_cfg(
                slaves={"bot1": "max_builds=10"},
                builders=[
                    builder_config("fan", slaves=["bot1"], steps=[trigger]),
                    builder_config("test", slaves=["bot1"], steps=[command]),
                ],
                schedulers=['schedulers.Submit("go", ["fan"])', 'schedulers.Triggerable("test", ["test"])'],
            )
        )
        harness.attach(slave=FakeSlave(behaviour=scripted(outcomes)))
        request = harness.submit()
        harness.settle()
        return harness, harness.request(request).result

    def test_good(self) -> None:
        """
        There is one build for each combination, with its values as properties.
        """
        harness, result = self.fan({})
        found = harness.read(lambda connection: builds.newest(connection, "test"))
        self.assertEqual(
            sorted((each.properties["python"][0], each.properties["db"][0]) for each in found),
            [("3.12", "lite"), ("3.13", "lite"), ("3.13", "pg")],
        )
        self.assertIs(result, Result.SUCCESS)

    def test_bad(self) -> None:
        """
        One combination that fails fails the step, and the others are built.
        """
        harness, result = self.fan({"pg": 1})
        found = harness.read(lambda connection: builds.newest(connection, "test"))
        self.assertEqual([each.result for each in found].count(Result.SUCCESS), 2)
        self.assertIs(result, Result.FAILURE)


class ReplayTests(SynchronousTestCase):
    """
    Promise 8.7: a crash at any moment starts no combination twice.
    """

    def test_crashes(self) -> None:
        """
        Each combination is triggered once, with its properties beside the others.
        """
        step = steps.Trigger(
            schedulerNames=["check"],
            waitForFinish=True,
            set_properties={"always": 1},
            matrix=util.Matrix(a=[1, 2], b=["x"]),
        )
        finished = replay(step, triggers={"check": Result.WARNINGS})
        self.assertEqual(
            list(finished.triggered),
            [("check", {"always": 1, "a": 1, "b": "x"}), ("check", {"always": 1, "a": 2, "b": "x"})],
        )
        self.assertEqual(finished.result, Result.WARNINGS)
        self.assertEqual(finished.summary, "check (1-x): warnings, check (2-x): warnings")

    def test_unimportant(self) -> None:
        """
        No combination of an unimportant scheduler counts, also when its name has a space.
        """
        step = steps.Trigger(
            schedulerNames=["a b"], unimportantSchedulerNames=["a b"], waitForFinish=True, matrix=util.Matrix(a=[1, 2])
        )
        self.assertEqual(replay(step, triggers={"a b": Result.FAILURE}).result, Result.SUCCESS)
