"""
The classes that a master.cfg uses: what they store, and what they refuse.
"""

import inspect
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite import plugins
from buildbot_lite.errors import ConfigError
from buildbot_lite.master.config import objects
from buildbot_lite.master.config.build_factory import BuildFactory
from buildbot_lite.master.config.force_scheduler import ForceScheduler
from buildbot_lite.master.config.loading import load
from buildbot_lite.master.config.mistakes import MistakesError
from buildbot_lite.master.config.objects import BuilderConfig, BuildSlave
from buildbot_lite.master.config.renderable_objects import Interpolate, Property, Secret
from buildbot_lite.master.config.schedulers import Triggerable
from buildbot_lite.master.config.submit_scheduler import Submit
from buildbot_lite.model.properties import Properties
from buildbot_lite.model.rendering import View, render_now

from .configurations import mistakes_in, sentences_in


class EmptyStep:
    """
    The attributes of a step that a factory needs.
    """

    recipe = None

    async def run(self) -> None:
        pass


class RefusalsTests(SynchronousTestCase):
    def refused(self, sentence: str, make: Any, *args: Any, **kwargs: Any) -> None:
        """
        *make* raises a ConfigError that contains *sentence*.
        """
        with self.assertRaises(ConfigError) as caught:
            make(*args, **kwargs)
        self.assertIn(sentence, str(caught.exception))

    def test_slave(self) -> None:
        """
        Each argument of a slave is checked.
        """
        wrong: dict[str, dict[str, Any]] = {
            "name of a slave": {"name": "a/b"},
            "is the password, as in Buildbot; write max_builds=2": {"password": 2},
            "max_builds must be a whole number ≥ 1, not 0": {"max_builds": 0},
            "max_builds must be a whole number ≥ 1, not True": {"max_builds": True},
            "grace must be a time in seconds, 40 or more, not 5": {"grace": 5},
            "grace must be a time in seconds, 40 or more, not nan": {"grace": float("nan")},
            "grace must be a time in seconds, 40 or more, not '1h'": {"grace": "1h"},
            "pin must be True or False, not 'no'": {"pin": "no"},
            "minspace must be a whole number ≥ 0, not 1.5": {"minspace": 1.5},
            "properties must be a dictionary": {"properties": ["a"]},
            "properties: The property 'a' cannot be": {"properties": {"a": object()}},
            "properties: The property 'b' cannot be": {"properties": {"b": Property("a")}},
            "BuildSlave has no argument 'max_build'": {"max_build": 1},
        }
        for sentence, arguments in wrong.items():
            self.refused(sentence, BuildSlave, **{"name": "bot1", **arguments})
        self.refused("BuildSlave needs the argument 'name'", BuildSlave)

    def test_as_written(self) -> None:
        """
        Sentences about an object have the name of its class as the line has it that constructs it.
        """
        text = (
            "from buildbot_lite.plugins import *\n"
            "c = {'workers': [worker.Worker('a', 'pass', nonsense=1)]}\n"
            "class OwnWorker(worker.Worker): pass\n"
            "OwnWorker('b', max_builds=0)\n"
            "slave.BuildSlave('c', max_builds=0)\n"
            "util.WorkerLock('l', maxCount='x')\n"
            "util.SlaveLock('m', maxCount='x')\n"
        )
        with self.assertRaises(MistakesError) as caught:
            load("/nowhere", text)
        said = str(caught.exception).splitlines()
        for sentence in (
            "master.cfg:2: Worker has no argument 'nonsense'",
            "master.cfg:4: OwnWorker 'b': max_builds",
            "master.cfg:5: BuildSlave 'c': max_builds",
            "master.cfg:6: WorkerLock 'l': maxCount",
            "master.cfg:7: SlaveLock 'm': maxCount",
        ):
            self.assertTrue(any(each.startswith(sentence) for each in said), (sentence, said))

    def test_builder(self) -> None:
        """
        Each argument of a builder is checked.
        """
        wrong: dict[str, dict[str, Any]] = {
            "name must be 1 to 80 printable characters, not ''": {"name": ""},
            "name must be 1 to 80 printable characters, not ' a'": {"name": " a"},
            "slavenames must be a list of texts, not [3]": {"slavenames": [3]},
            "slavenames is empty": {"slavenames": []},
            "factory must be a BuildFactory, not []": {"factory": []},
            "factory must be a BuildFactory, not the class BuildFactory (write": {"factory": BuildFactory},
            "tags must be a list of texts": {"tags": "a"},
            "env must be a dictionary": {"env": []},
            "env['A'] must be text, a list of texts, or None to remove the variable, not 1": {"env": {"A": 1}},
            "env: 'A=B' cannot be the name of an environment variable": {"env": {"A=B": ""}},
            "description must be text": {"description": 3},
            "concurrent must be True or False": {"concurrent": "yes"},
            "maxTime must be a time in seconds, 1 or more, not 0": {"maxTime": 0},
            "grace must be a time": {"grace": -1},
            "canStartBuild must be a function": {"canStartBuild": True},
            "slavenames and workernames mean the same": {"workernames": ["bot1"]},
            "slavenames and slavename mean the same": {"slavename": "bot1"},
            "needs the argument 'slavenames'": {"slavenames": None},
            "requires must be a dictionary": {"requires": ["arm64"]},
            "category must be text": {"category": 3},
            "slavebuilddir and workerbuilddir mean the same": {"slavebuilddir": "a", "workerbuilddir": "b"},
            "the build directory must be a relative path": {"builddir": "../elsewhere"},
            "the build directory must be a relative path that": {"slavebuilddir": "/abs"},
            "defaultProperties must be a dictionary": {"defaultProperties": []},
            "nextBuild must be a function": {"nextBuild": "newest"},
            "nextSlave must be a function": {"nextWorker": 1},
            "collapseRequests must be True, False or a function": {"mergeRequests": "yes"},
        }
        for sentence, arguments in wrong.items():
            good: dict[str, Any] = {"name": "b", "slavenames": ["bot1"], "factory": BuildFactory()}
            self.refused(sentence, BuilderConfig, **{**good, **arguments})

    def test_schedulers(self) -> None:
        """
        Each argument of a scheduler is checked.  The name of a Submit scheduler must be fit for a file name; other
        schedulers' names are only labels.
        """
        wrong: dict[str, dict[str, Any]] = {
            "name of a Submit scheduler": {"name": "a b"},
            "builderNames must be a list": {"builderNames": "all"},
            "stdin must be one of 'none', 'patch', 'tar', 'file', 'properties', not 'zip'": {"stdin": "zip"},
            "file must be one of 'tar', 'patch', 'file', not True": {"file": True},
            "cancelOnDisconnect must be True or False": {"cancelOnDisconnect": None},
            "priority must be a whole number": {"priority": "high"},
            "properties must be a dictionary": {"properties": 3},
        }
        for sentence, arguments in wrong.items():
            good: dict[str, Any] = {"name": "s", "builderNames": ["b"]}
            self.refused(sentence, Submit, **{**good, **arguments})
        self.assertEqual(ForceScheduler("by hand", ["b"]).name, "by hand")

    def test_factory(self) -> None:
        """
        A factory accepts only step objects, not step classes or anything else.
        """
        self.refused("EmptyStep is a class; make a step of it: EmptyStep(…)", BuildFactory, [EmptyStep])
        self.refused("3 is not a step", BuildFactory().addStep, 3)
        self.refused("must be a list", BuildFactory, 3)

    def test_rendered(self) -> None:
        """
        A wrong renderable is refused where it is created.
        """
        self.refused("name of a property", Property, 3)
        self.refused("never closed", Interpolate, "%(prop:a")
        self.refused("name of a secret", Secret, "a b")


class ValuesTests(SynchronousTestCase):
    def test_defaults(self) -> None:
        """
        Arguments that are left out have their documented defaults.
        """
        slave = BuildSlave("bot1")
        self.assertEqual(
            (slave.max_builds, slave.properties, slave.grace, slave.pin, slave.minspace), (None, {}, 1800.0, True, 0)
        )
        builder = BuilderConfig("b", ["bot1"], BuildFactory())
        self.assertEqual(
            (builder.tags, builder.env, builder.properties, builder.description, builder.concurrent),
            ((), {}, {}, "", False),
        )
        self.assertEqual((builder.max_time, builder.grace, builder.can_start_build), (None, None, None))
        submit = Submit("s", ["b"])
        self.assertEqual(
            (submit.stdin, submit.file, submit.cancel_on_disconnect, submit.priority), ("none", None, False, 0)
        )

    def test_stored_arguments(self) -> None:
        """
        Arguments are stored, times in seconds.
        """
        slave = BuildSlave("bot1", max_builds=2, properties={"os": "linux"}, grace=60, pin=False, minspace=1 << 30)
        self.assertEqual(
            (slave.max_builds, slave.properties, slave.grace, slave.pin, slave.minspace),
            (2, {"os": "linux"}, 60.0, False, 1 << 30),
        )
        builder = BuilderConfig(
            name="b",
            slavenames=("bot1", "bot2"),
            factory=BuildFactory([EmptyStep()]),
            tags=["x"],
            env={"A": "1", "B": None, "C": Property("c")},
            maxTime=3600,
            canStartBuild=print,
        )
        self.assertEqual((builder.slavenames, builder.tags, builder.max_time), (("bot1", "bot2"), ("x",), 3600.0))
        self.assertEqual((set(builder.env), inspect.unwrap(builder.can_start_build or str)), ({"A", "B", "C"}, print))
        submit = Submit("s", ["b"], stdin="patch", file="tar", cancelOnDisconnect=True, priority=-3)
        self.assertEqual(
            (submit.stdin, submit.file, submit.cancel_on_disconnect, submit.priority), ("patch", "tar", True, -3)
        )
        self.assertEqual(Triggerable("t", ["b"], properties={"a": 1}).properties, {"a": 1})

    def test_steps_added_later(self) -> None:
        """
        Steps that are added to a factory after its builder was created belong to the builder, as in Buildbot.
        """
        factory = BuildFactory()
        builder = BuilderConfig("b", ["bot1"], factory)
        steps = [EmptyStep(), EmptyStep(), EmptyStep()]
        factory.addStep(steps[0])
        factory.addSteps(steps[1:])
        self.assertEqual(builder.steps, tuple(steps))

    def test_grace(self) -> None:
        """
        The shorter of the builder's and the slave's grace applies.
        """
        slave = BuildSlave("bot1", grace=100)
        self.assertEqual(BuilderConfig("b", ["bot1"], BuildFactory()).grace_on(slave), 100)
        self.assertEqual(BuilderConfig("b", ["bot1"], BuildFactory(), grace=50).grace_on(slave), 50)
        self.assertEqual(BuilderConfig("b", ["bot1"], BuildFactory(), grace=500).grace_on(slave), 100)

    def test_directory(self) -> None:
        """
        A builder's directory is its name with unusual characters replaced.
        """
        self.assertEqual(BuilderConfig("x86 / gcc", ["bot1"], BuildFactory()).directory, "x86___gcc")

    def test_rendering(self) -> None:
        """
        Property, Interpolate and Secret render as their model classes do.
        """
        view = View(Properties({"a": 1}))
        self.assertEqual(
            render_now([Property("a"), Property("b", "d"), Interpolate("%(prop:a)s")], view), [1, "d", "1"]
        )
        self.assertEqual(render_now(Secret("key"), view), "\0key\0")

    def test_shown(self) -> None:
        """
        The repr of slaves, builders and schedulers shows their names.
        """
        things = [BuildSlave("a"), BuilderConfig("b", ["a"], BuildFactory()), Submit("c", ["b"])]
        self.assertEqual(list(map(repr, things)), ["BuildSlave('a')", "BuilderConfig('b')", "Submit('c')"])

    def test_places(self) -> None:
        """
        After a mistake, a harmless object takes the place of the wrong one, so that each mistake is reported once.
        """
        found = mistakes_in(
            """
            c["slaves"] = [slave.BuildSlave("bot 1")]
            c["builders"] = [util.BuilderConfig(name="b", slavenames=["bot 1"])]
            c["schedulers"] = [schedulers.Submit("s"), schedulers.Submit(name="t t", builderNames=["b"])]
            """
        )
        self.assertEqual(
            [(mistake.place.line, mistake.sentence[:40]) for mistake in found],
            [
                (4, "'bot 1' cannot be the name of a slave: u"),
                (5, "BuilderConfig needs the argument 'factor"),
                (6, "Submit needs the argument 'builderNames'"),
                (6, "'t t' cannot be the name of a Submit sch"),
            ],
        )

    def test_unusable_rendered_words(self) -> None:
        """
        A wrong renderable is also replaced by a harmless one.
        """
        self.assertEqual(
            len(mistakes_in("util.Property(3)\nutil.Interpolate()\nutil.Secret()\nutil.Secret('a b')\n")), 4
        )

    def test_secrets_are_looked_for(self) -> None:
        """
        A secret that no provider has is a mistake at the line that names it, also in an Interpolate.
        """
        found = mistakes_in("util.Secret('a')\nutil.Interpolate('%(secret:b)s')")
        self.assertEqual([mistake.place.line for mistake in found], [3, 4])
        self.assertIn("There is no secret 'b': c['secretsProviders'] is empty.", sentences_in("util.Secret('b')"))


class PluginsTests(SynchronousTestCase):
    def test_names(self) -> None:
        """
        Each name is in the plugin module that the reference documents.
        """
        for name, words in {
            "schedulers": {"Submit", "ForceScheduler", "Triggerable"},
            "secrets": {"SecretInAFile", "SecretInEnvironment", "SecretInPass"},
            "slave": {"BuildSlave", "Worker"},
            "worker": {"BuildSlave", "Worker"},
        }.items():
            self.assertLessEqual(words, set(dir(getattr(plugins, name))), name)
        self.assertEqual(
            set(plugins.__all__), {name for name in vars(plugins) if isinstance(vars(plugins)[name], plugins.Namespace)}
        )
        self.assertIs(plugins.util.BuilderConfig, objects.BuilderConfig)
        self.assertLessEqual(
            {"BuildFactory", "Property", "Interpolate", "renderer", "Secret", "SUCCESS", "CANCELLED"},
            set(dir(plugins.util)),
        )
        self.assertIn("BuildStep", dir(plugins.steps))

    def test_unknown_word(self) -> None:
        """
        For a misspelt name, the similar one is suggested.
        """
        with self.assertRaisesRegex(AttributeError, "slave has no 'Buildslave'.  Did you mean 'BuildSlave'"):
            _ = plugins.slave.Buildslave
