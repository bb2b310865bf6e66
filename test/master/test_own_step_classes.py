"""
Step classes of a configuration, as they are checked when they are made.
"""

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.model.results import Result
from buildbot_lite.testing import run

from .configurations import configured, mistakes_in


class OwnStepTests(SynchronousTestCase):
    def test_never_called(self) -> None:
        """
        Promise 8.13: a method of Buildbot's steps that is never called here is a mistake at the line of the class.
        """
        found = mistakes_in(
            """
            class Old(steps.ShellCommand):
                def startVC(self, branch, revision, patch):
                    pass
                def getText(self, cmd, results):
                    pass
                def commandComplete(self, cmd):
                    pass
            f = util.BuildFactory([Old(command=["true"]), Old(command=["false"])])
            """
        )
        self.assertEqual(
            [str(mistake).partition(".  ")[0] for mistake in found],
            ["master.cfg:4: Old.getText is never called here", "master.cfg:4: Old.startVC is never called here"],
        )

    def test_set_build(self) -> None:
        """
        So is one that Buildbot calls before a step begins, and that would set what its command needs.
        """
        (found,) = mistakes_in(
            """
            class Listing(steps.ShellCommand):
                def setBuild(self, build):
                    steps.ShellCommand.setBuild(self, build)
                    self.setProperty("changed", "a b")
            """
        )
        self.assertIn("Listing.setBuild is never called here.  Compute it in a function", str(found))

    def test_hooks_of_shipped(self) -> None:
        """
        So is one that Buildbot's trigger, upload or counting step calls.
        """
        for base, name, remedy in (
            ("Trigger", "createTriggerProperties", "Write getSchedulersAndProperties"),
            ("FileUpload", "uploadDone", "await super().run()"),
            ("MultipleFileUpload", "allUploadsDone", "await super().run()"),
            ("WarningCountingShellCommand", "maybeAddWarning", "warningExtractor"),
        ):
            with self.subTest(name=name):
                (found,) = mistakes_in(f"class C(steps.{base}):\n    def {name}(self, *values):\n        pass\n")
                self.assertIn(f"C.{name} is never called here.", str(found))
                self.assertIn(remedy, str(found))

    def test_other_classes(self) -> None:
        """
        Promise 8.13: so is one of any other class that may be subclassed; a method of the configuration's own is not,
        nor one that the class calls itself.
        """
        for base, name, remedy in (
            ("reporters.MailNotifier", "isMessageNeeded", "generators"),
            ("reporters.HttpStatusPush", "sendMessage", "generators"),
            ("reporters.GitHubStatusPush", "checkConfig", "__init__"),
            ("reporters.BuildStatusGenerator", "generate", "message_formatter"),
            ("reporters.MessageFormatter", "buildAdditionalContext", "ctx"),
            ("schedulers.SingleBranchScheduler", "gotChange", "change_filter"),
            ("schedulers.ForceScheduler", "force", "properties"),
            ("schedulers.Triggerable", "trigger", "properties"),
            ("schedulers.Nightly", "getNextBuildTime", "properties"),
            ("schedulers.Periodic", "startService", "__init__"),
            ("changes.GitPoller", "_process_changes", "PollingChangeSource"),
            ("changes.ChangeSource", "stopService", "deactivate"),
            ("secrets.SecretInAFile", "get", "value(basedir, name)"),
            ("slave.BuildSlave", "canStartBuild", "BuilderConfig"),
            ("slave.BuildSlave", "attached", "step of your own"),
            ("util.BuilderConfig", "getConfigDict", "constructor"),
            ("util.BuildFactory", "newBuild", "addStepsAfterCurrentStep"),
            ("util.StringParameter", "parse_from_arg", "regex"),
            ("util.LogLineObserver", "logChunk", "outReceived"),
            ("util.OldBuildCanceller", "reconfigService", "__init__"),
            ("steps.Git", "patch", "step of your own"),
            ("steps.SVN", "parseGotRevision", "step of your own"),
        ):
            with self.subTest(base=base, name=name):
                text = (
                    f"from buildbot_lite.plugins import reporters\nclass C({base}):\n    def {name}(self, *values):\n"
                )
                (found,) = mistakes_in(f"{text}        pass\n    def own(self):\n        pass\n")
                self.assertIn(f"C.{name} is never called here.", str(found))
                self.assertIn(remedy, str(found))
                configured(f"{text}        pass\n    def own(self):\n        self.{name}()\n")

    def test_other_arguments(self) -> None:
        """
        So is one that hides a method which is called with other arguments, also a private one; one that takes the same
        is not.
        """
        for base, method, remedy in (
            ("reporters.HttpStatusPush", "send(self, build)", "send overrides a method of HttpStatusPush"),
            ("steps.ShellCommand", "check(self)", "Give it another name."),
            ("steps.ShellCommand", "_words(self, text)", "Give it another name."),
            ("util.StringParameter", "parsed(self, value)", "Give it another name."),
        ):
            with self.subTest(base=base):
                text = f"from buildbot_lite.plugins import reporters\nclass C({base}):\n    def "
                (found,) = mistakes_in(f"{text}{method}:\n        pass\n")
                self.assertIn(remedy, str(found))
                name = method.partition("(")[0]
                configured(f"{text}{name}(self, *given, more=None):\n        pass\n")

    def test_shipped(self) -> None:
        """
        A shipped step whose module is imported first during a load is no class of the configuration's.
        """
        found = mistakes_in(
            """
            class Shipped(steps.BuildStep):
                __module__ = "buildbot_lite.master.steps.shell"
                def start(self):
                    pass
            """
        )
        self.assertEqual(found, [])

    def test_not_there(self) -> None:
        """
        So is what a step uses of itself that Buildbot's steps have, and that is not here.
        """
        found = mistakes_in(
            """
            class Old(steps.BuildStep):
                async def run(self):
                    cmd = await self.makeRemoteShellCommand(command=["true"])
                    return util.SUCCESS
            """
        )
        self.assertEqual(
            [str(mistake).partition(".  ")[0] for mistake in found],
            ["master.cfg:4: Old uses self.makeRemoteShellCommand, which does not exist here"],
        )

    def test_finished_in_run(self) -> None:
        """
        A step with run that calls finished or failed of Buildbot's first style is a mistake; a method of its own with
        such a name is its own affair.
        """
        found = mistakes_in(
            """
            class Mixed(steps.BuildStep):
                def run(self):
                    self.finished(util.SUCCESS)
            class Mine(steps.BuildStep):
                async def run(self):
                    return self.failed(1)
                def failed(self, number):
                    return util.FAILURE
            class Old(steps.BuildStep):
                def start(self):
                    self.finished(util.SUCCESS)
            """
        )
        self.assertEqual(
            [str(mistake).partition(".  ")[0] for mistake in found], ["master.cfg:4: Mixed calls self.finished"]
        )

    def test_build(self) -> None:
        """
        So is what it uses of its build that is not here, because it would fail each build.
        """
        found = mistakes_in(
            """
            class Own(steps.Trigger):
                def run(self):
                    if self.build.hasProperty("x") and self.build.buildFinished():
                        self.build.mine = 1
                        return self.build.mine
                    return steps.Trigger.run(self)
            """
        )
        said = [str(mistake).partition(".  ")[0] for mistake in found]
        self.assertEqual(said, ["master.cfg:4: Own uses self.build.buildFinished, which does not exist here"])

    def test_guarded(self) -> None:
        """
        What a class asks for first, or whose absence it handles, is no mistake.
        """
        configured(
            """
            class Own(steps.Trigger):
                def run(self):
                    if hasattr(self.build, "buildid"):
                        print(self.build.buildid, getattr(self.build, "number", None))
                    try:
                        print(self.build.buildFinished())
                    except AttributeError:
                        pass
                    return steps.Trigger.run(self)
            """
        )

    def test_own_methods(self) -> None:
        """
        A method that the class calls itself, or that it gets from a base, is its own affair; so is an attribute that it
        sets.
        """
        configured(
            """
            class Mine(steps.ShellCommand):
                start = 3
                async def run(self):
                    self.worker = self.describe()
                    return self.worker
                def describe(self):
                    return util.SUCCESS
            class Other(Mine):
                def describe(self):
                    return util.FAILURE
            """
        )

    def test_generator(self) -> None:
        """
        A run that is a bare generator is a mistake; with inlineCallbacks it is not.
        """
        found = mistakes_in(
            """
            from twisted.internet import defer
            class Bare(steps.BuildStep):
                def run(self):
                    yield 1
            class Good(steps.BuildStep):
                @defer.inlineCallbacks
                def run(self):
                    yield defer.succeed(1)
                    return util.SUCCESS
            """
        )
        self.assertEqual([mistake.place.line for mistake in found], [5])
        self.assertIn("Bare.run is a generator", found[0].sentence)

    def test_plain_run(self) -> None:
        """
        A run that is an ordinary function, and answers a result or an awaitable of one, works.
        """
        config = configured(
            """
            class Plain(steps.BuildStep):
                def run(self):
                    return util.WARNINGS
            class Passed(steps.ShellCommand):
                def run(self):
                    return super().run()
            c["slaves"] = [slave.BuildSlave("bot1")]
            c["builders"] = [util.BuilderConfig("b", ["bot1"], util.BuildFactory([Plain()]))]
            """
        )
        (step,) = config.builders["b"].steps
        self.assertEqual(run(step).result, Result.WARNINGS)

    def test_abstract(self) -> None:
        """
        A step may have abstract base classes beside its step.
        """
        config = configured(
            """
            from abc import ABC, abstractmethod
            class Base(steps.BuildStep, ABC):
                @abstractmethod
                def words(self): ...
                async def run(self):
                    return self.words()
            class Mine(Base):
                def words(self):
                    return util.SUCCESS
            c["slaves"] = [slave.BuildSlave("bot1")]
            c["builders"] = [util.BuilderConfig("b", ["bot1"], util.BuildFactory([Mine()]))]
            """
        )
        (step,) = config.builders["b"].steps
        self.assertEqual(run(step).result, Result.SUCCESS)
