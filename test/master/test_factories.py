"""
Factories: those of Buildbot, a row for each argument, and the forms in which steps are added.
"""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import ConfigError
from buildbot_lite.model.results import Result
from buildbot_lite.model.spec import Run
from buildbot_lite.plugins import steps, util
from buildbot_lite.testing import run

from .configurations import master_cfg, sentences_in
from .harness import FakeSlave, MasterHarness, succeeding

SOURCE = steps.SVN("svn://h/trunk")


def commands(factory: Any) -> list[Any]:
    """
    The commands of a factory's steps, without the first.
    """
    return [step.command if step.command is not None else step.words() for step in factory.steps[1:]]


class FactoryTests(SynchronousTestCase):
    """
    Promise 8.6: factories as people write them.
    """

    def test_autoconf(self) -> None:
        """
        Each argument of GNUAutoconf.
        """
        usual: list[Any] = ["./configure", ["make", "all"], ["make", "check"], ["make", "distcheck"]]
        rows: list[tuple[dict[str, Any], list[Any]]] = [
            ({}, usual),
            ({"configure": "./setup"}, ["./setup", *usual[1:]]),
            ({"configure": ["sh", "x"]}, [["sh", "x"], *usual[1:]]),
            ({"configureFlags": ["--a"]}, [["./configure", "--a"], *usual[1:]]),
            ({"configure": ["sh", "x"], "configureFlags": ("--a",)}, [["sh", "x", "--a"], *usual[1:]]),
            ({"configure": None}, usual[1:]),
            ({"reconf": True}, [["autoreconf", "-si"], *usual]),
            ({"reconf": ["./autogen"]}, [["./autogen"], *usual]),
            ({"compile": None, "test": None, "distcheck": None}, usual[:1]),
            ({"compile": "make -j", "test": ["t"], "distcheck": "d"}, ["./configure", "make -j", ["t"], "d"]),
        ]
        for given, expected in rows:
            with self.subTest(given):
                self.assertEqual(commands(util.GNUAutoconf(source=SOURCE, **given)), expected)
        made = util.GNUAutoconf(SOURCE, configureEnv={"CFLAGS": "-O2"}, reconf=True)
        self.assertEqual([step.env for step in made.steps[1:3]], [{"CFLAGS": "-O2"}] * 2)
        names = ["svn", "autoreconf", "configure", "compile", "test", "distcheck"]
        self.assertEqual([step.name for step in made.steps], names)
        error = self.assertRaises(ConfigError, util.GNUAutoconf, SOURCE, "sh configure", configureFlags=["--a"])
        self.assertIn("a list of words", str(error))

    def test_with_secrets(self) -> None:
        """
        Secrets in files of the slave's are one mistake with its line and a remedy; the steps inside are still checked.
        """
        text = "f = util.BuildFactory()\nwith f.withSecrets([('~/.ssh/id_rsa', 'key')]):\n    f.addStep(3)\n"
        (first, second) = sentences_in(text + master_cfg())
        self.assertIn("withSecrets writes no files here", first)
        self.assertIn("3 is not a step", second)

    def test_others(self) -> None:
        """
        Each argument of the other factories.
        """
        rows: list[tuple[Any, list[Any]]] = [
            (util.CPAN(SOURCE), [["perl", "Makefile.PL"], ["make"], ["make", "test"]]),
            (util.CPAN(source=SOURCE, perl="perl5"), [["perl5", "Makefile.PL"], ["make"], ["make", "test"]]),
            (util.Distutils(SOURCE), [["python", "./setup.py", "build"]]),
            (util.Distutils(SOURCE, python="py", test="t"), [["py", "./setup.py", "build"], "t"]),
            (util.Trial(SOURCE, tests="a.test"),
             [["python", "./setup.py", "build"], ["trial", "--reporter=bwverbose", "a.test"]]),
            (util.Trial(SOURCE, [], ["py"], trial="./t", tests="a", randomly=True, recurse=True),
             [["py", "./t", "--reporter=bwverbose", "--recurse", "--random=0", "a"]]),
            (util.BasicSVN("svn://h/x", compile=None), ["./configure", ["make", "check"]]),
        ]  # fmt: skip
        for factory, expected in rows:
            self.assertEqual(commands(factory), expected)
        svn = util.BasicSVN("svn://h/x", "./c", {"A": "1"}).steps
        self.assertEqual((svn[0].repourl, svn[0].way, svn[1].env), ("svn://h/x", "incremental", {"A": "1"}))
        for given in ({}, {"tests": "a", "useTestCaseNames": True}, {"tests": "a", "nonsense": 1}):
            with self.subTest(given), self.assertRaises(ConfigError):
                util.Trial(SOURCE, **given)

    def test_forms(self) -> None:
        """
        A step, a class with arguments, a pair of both, util.s, a list, and a single step in place of a list.
        """
        factory = util.BuildFactory(steps.ShellCommand(command="1"))
        factory.addStep(steps.ShellCommand, command="2")
        factory.addStep((steps.ShellCommand, {"command": "3"}))
        factory.addStep(util.s(steps.ShellCommand, command="4"))
        factory.addSteps(steps.ShellCommand(command="5"))
        factory.addSteps((steps.ShellCommand(command="6"), util.s(steps.ShellCommand, command="7")))
        factory.useProgress = False
        self.assertEqual([step.command for step in factory.steps], list("1234567"))
        self.assertEqual(util.GNUAutoconf(util.s(steps.SVN, svnurl="svn://h/")).steps[0].repourl, "svn://h/")
        for given in (3, "x", [3], steps.ShellCommand, (steps.ShellCommand, 3)):
            with self.subTest(given), self.assertRaises(ConfigError):
                util.BuildFactory().addSteps(given)


class WorkdirTests(SynchronousTestCase):
    """
    Promise 8.6: the directory that a factory gives its steps.
    """

    def test_of_builds(self) -> None:
        """
        A text, something rendered, or a function of the source stamps; a step's own directory takes precedence, and
        none leads outside.
        """
        rows = [
            ("'there'", "b/there"),
            ("'there/'", "b/there"),
            ("'.'", "b"),
            ("lambda stamps: 'of-' + stamps[0].codebase + str(stamps[0].branch)", "b/of-None"),
            ("util.Interpolate('of-%(prop:buildername)s/x')", "b/of-b/x"),
            ("util.renderer(lambda props: '.')", "b"),
            ("lambda stamps: '../../elsewhere'", None),
            ("util.Interpolate('../%(prop:buildername)s')", None),
            ("util.renderer(lambda props: 3)", None),
        ]
        shells = ["steps.ShellCommand(command='a')", "steps.ShellCommand(command='b', workdir='w')"]
        for given, expected in rows:
            with self.subTest(given):
                text = master_cfg(steps=shells) + f"\nc['builders'][0].factory.workdir = {given}\n"
                harness = MasterHarness(text)
                slave = harness.attach(slave=FakeSlave(behaviour=succeeding))
                request = harness.submit()
                harness.settle(1)
                ran = [each.spec.workdir for each in slave.commands if isinstance(each.spec, Run)]
                result = harness.steps(request)[0][1]
                self.assertEqual(ran, [] if expected is None else [expected, "b/w"])
                self.assertEqual(result, Result.EXCEPTION if expected is None else Result.SUCCESS)

    def test_mistakes(self) -> None:
        """
        A directory outside is refused where it is set.
        """
        for given in ("/tmp", "../x", 3, ["a"]):
            with self.subTest(given), self.assertRaisesRegex(ConfigError, "workdir"):
                util.BuildFactory().workdir = given
        usual: Any = run(steps.ShellCommand(command="a")).asked[0].spec
        self.assertEqual(usual.workdir.rpartition("/")[2], "build")
