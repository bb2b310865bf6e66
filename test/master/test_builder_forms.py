"""
Builders as people write them: dictionaries, other names of arguments, directories, properties of all kinds.
"""

import inspect
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.model.spec import Run

from .configurations import HEAD as FIRST_LINES
from .configurations import configured, loaded, mistakes_in, sentences_in
from .harness import FakeSlave, MasterHarness, StartedCommand

HEAD = """
c["slaves"] = [slave.BuildSlave("bot1", properties={"of": "slave"}), slave.BuildSlave("bot2")]
f = util.BuildFactory([steps.ShellCommand(command=["true"])])
"""


class FormTests(SynchronousTestCase):
    """
    Promise 8.6: each form gives the same builder.
    """

    def builder(self, text: str) -> Any:
        """
        The builder in a configuration with ``c["builders"] = text``.
        """
        config = configured(f'{HEAD}c["builders"] = {text}\n')
        return next(iter(config.builders.values()))

    def test_views_and_iterators(self) -> None:
        """
        Promise 8.6: where a list is wanted, a view of a dictionary and an iterator will do.
        """
        config = configured(
            """
            names = {"bot1": 1, "bot2": 2}
            f = util.BuildFactory([steps.ShellCommand(command=["true"])])
            c["slaves"] = map(slave.BuildSlave, names)
            c["builders"] = {"b": util.BuilderConfig("b", names.keys(), f)}.values()
            sources = {"x": {"repository": "r", "workdir": "w"}, "y": {"repository": "s"}}
            c["schedulers"] = (each for each in [
                schedulers.AnyBranchScheduler("any", (name for name in ["b"]), codebases=sources),
                schedulers.AnyBranchScheduler("named", ["b"], codebases=sources.keys()),
                schedulers.ForceScheduler("force", ["b"], codebases=sources),
                schedulers.ForceScheduler("keys", ["b"], codebases=sources.keys(), properties=[
                    util.ChoiceStringParameter("p", choices=names.keys()),
                ]),
            ])
            """
        )
        self.assertEqual(list(config.slaves), ["bot1", "bot2"])
        self.assertEqual(tuple(config.builders["b"].slavenames), ("bot1", "bot2"))
        self.assertEqual(set(config.schedulers), {"any", "named", "force", "keys"})

    def test_slaves(self) -> None:
        """
        Promise 8.6: a builder's slaves as a list, tuple, set or text, under four names; a name twice counts once.
        """
        forms = {
            "slavenames=['bot1']": ("bot1",),
            "slavenames='bot1'": ("bot1",),
            "slavename='bot1'": ("bot1",),
            "workername='bot1'": ("bot1",),
            "workernames=('bot1', 'bot2')": ("bot1", "bot2"),
            "workernames={'bot2', 'bot1'}": ("bot1", "bot2"),
            "slavenames=['bot2', 'bot1', 'bot2']": ("bot2", "bot1"),
            "requires={'of': 'slave'}": ("bot1",),
            "slavenames=['bot2', 'bot1'], requires={'of': ['slave', 'x']}": ("bot1",),
        }
        for form, names in forms.items():
            with self.subTest(form):
                self.assertEqual(self.builder(f"[util.BuilderConfig(name='b', factory=f, {form})]").slavenames, names)
                self.assertEqual(self.builder(f"[dict(name='b', factory=f, {form})]").slavenames, names)

    def test_arguments(self) -> None:
        """
        Promise 8.6: what each further argument sets.
        """
        forms: dict[str, tuple[str, Any]] = {
            "builddir='x/y'": ("directory", "x/y"),
            "builddir='x', slavebuilddir='y'": ("directory", "y"),
            "workerbuilddir='y'": ("directory", "y"),
            "tags=['a'], category='b'": ("tags", ("a", "b")),
            "tags={'b', 'a'}": ("tags", ("a", "b")),
            "description=['builds', 'all']": ("description", "builds all"),
            "defaultProperties={'n': 1}": ("default_properties", {"n": 1}),
            "env={'PATH': ['/a', '${PATH}']}": ("env", {"PATH": ["/a", "${PATH}"]}),
            "mergeRequests=False": ("collapse_requests", False),
            "nextWorker=print": ("next_slave", print),
        }
        for form, (attribute, value) in forms.items():
            with self.subTest(form):
                found = self.builder(f"[dict(name='b', slavename='bot1', factory=f, {form})]")
                self.assertEqual(inspect.unwrap(getattr(found, attribute)), value)

    def test_sets(self) -> None:
        """
        Promise 8.6: builders may be a set.
        """
        self.assertEqual(self.builder("{util.BuilderConfig('b', 'bot1', f)}").name, "b")

    def test_named_by_schedulers(self) -> None:
        """
        Promise 8.6: schedulers name builders of each form; the names of others are proposed.
        """
        builders = (
            "[dict(name='b', slavename='bot1', factory=f), util.BuilderConfig('other', 'bot1', f)]",
            "{util.BuilderConfig('b', 'bot1', f), util.BuilderConfig('other', 'bot1', f)}",
        )
        for form in builders:
            text = f"{HEAD}c['builders'] = {form}\nc['schedulers'] = [schedulers.Triggerable('t', ['b', 'other'])]\n"
            with self.subTest(form):
                self.assertEqual(configured(text).schedulers["t"].builder_names, ("b", "other"))
                (sentence,) = sentences_in(text.replace("['b', 'other']", "['othr']"))
                self.assertIn("names the builder 'othr', which does not exist.  Did you mean 'other'", sentence)

    def test_named_later(self) -> None:
        """
        Promise 8.2: builders that a configuration appends to the list of a scheduler, or to its attribute, are its own.
        """
        head = f"{HEAD}names = []\nc['schedulers'] = [schedulers.Triggerable('t', names)]\n"
        more = "c['schedulers'][0].builderNames.append('other')\n"
        builders = "c['builders'] = [util.BuilderConfig(n, 'bot1', f) for n in ('b', 'other')]\n"
        scheduler = configured(f"{head}names.append('b')\n{more}{builders}").schedulers["t"]
        self.assertEqual(scheduler.builder_names, ("b", "other"))
        late = configured(f"{head}names.append('b')\nc['title'] = 'x'\n{builders}f.names = names\n")
        late.builders["b"].factory.names.append("gone")
        self.assertEqual(late.schedulers["t"].builder_names, ("b",))
        self.assertIn("which does not exist", sentences_in(f"{head}names.append('nope')\n{builders}")[0])
        self.assertIn("must be a list of texts", sentences_in(f"{head}names.append(3)\n{builders}")[0])

    def test_named_twice(self) -> None:
        """
        Promise 8.2: a name twice counts once, with a remark.
        """
        text = f"{HEAD}c['builders'] = [util.BuilderConfig('b', 'bot1', f)]\n"
        text += "c['schedulers'] = [schedulers.Triggerable('t', ['b', 'b'])]\n"
        generation = loaded(self.mktemp(), {"master.cfg": FIRST_LINES + text})
        self.assertEqual(generation.config.schedulers["t"].builder_names, ("b",))
        self.assertIn("'b' twice, which counts once", generation.remarks[0].sentence)

    def test_read_again(self) -> None:
        """
        Promise 8.6: what configurations read from their own objects, under Buildbot's names.
        """
        config = configured(
            f"""{HEAD}
s = c["slaves"][0]
assert s.slavename == s.workername == "bot1"
assert s.properties.getProperty("of") == "slave" and s.properties.getProperty("no", 3) == 3
assert s.properties.hasProperty("of") and not s.properties.hasProperty("no")
b = util.BuilderConfig("b", "bot1", f, builddir="x")
assert b.workernames == ("bot1",) and b.builddir == "x"
c["builders"] = [b]
t = schedulers.Triggerable("t", [b.name])
assert t.builderNames == ["b"]
c["schedulers"] = [t]
"""
        )
        self.assertEqual(config.slaves["bot1"].properties, {"of": "slave"})

    def test_mistakes(self) -> None:
        """
        A mistake in a dictionary is noted with the name of the builder and the line of c['builders']; nothing is noted
        twice.
        """
        (found,) = mistakes_in(f"{HEAD}c['builders'] = [dict(name='b', slavename='bot1', factory=f, locsk=[])]\n")
        sentence = "master.cfg:6: The builder 'b' has no argument 'locsk'.  Did you mean 'locks'?"
        self.assertEqual(str(found), sentence)
        for text, sentence in {
            "[dict(name='b', factory=f)]": "BuilderConfig 'b' needs the argument 'slavenames'.",
            "[dict(name='b', slavename='bot1')]": "The builder 'b' needs the argument 'factory'.",
            "[dict(slavename='bot1', factory=f)]": "A builder without a name needs the argument 'name'.",
            "[dict(name='b', slavename='bot1', factory=f, periodicBuildTime=60)]": (
                "util.BuilderConfig(periodicBuildTime=) is not here.  Write schedulers.Periodic(name, "
                "builderNames=[…], periodicBuildTimer=…) into c['schedulers']."
            ),
        }.items():
            self.assertEqual(sentences_in(f"{HEAD}c['builders'] = {text}\n"), [sentence])
        none = sentences_in(f"{HEAD}c['builders'] = [util.BuilderConfig('b', factory=f, requires={{'of': 'x'}})]\n")
        self.assertRegex(none[0], "The builder 'b' requires .*, and no slave has these properties")

    def test_shared_directory(self) -> None:
        """
        Promise 8.6: builders share a directory on slaves if their arguments say so, not by accident.
        """
        two = "[util.BuilderConfig(each, 'bot1', f{}) for each in ('x y', 'x_y')]"
        self.assertIn("would share the directory", sentences_in(f"{HEAD}c['builders'] = {two.format('')}")[0])
        self.assertEqual(self.builder(two.format(", workerbuilddir='z'")).directory, "z")


class PropertyTests(SynchronousTestCase):
    """
    Promise 8.6: the properties of all builds, and those by default.
    """

    def test_precedence(self) -> None:
        """
        Promise 8.6: c['properties'] yield to the slave's, the builder's and the scheduler's; default ones to all.
        """
        harness = MasterHarness(
            HEAD
            + """
c["properties"] = {"all": "all", "of": "all", "default": "all"}
c["builders"] = [util.BuilderConfig("b", "bot1", f, defaultProperties={"default": "b", "own": "b"},
    env={"PATH": ["/a", util.Property("all")]}, workerbuilddir="there")]
c["schedulers"] = [schedulers.Submit("go", ["b"])]
"""
        )
        commands: list[StartedCommand] = []
        harness.attach("bot1", FakeSlave(behaviour=commands.append))
        request = harness.submit("go")
        (started,) = commands
        assert isinstance(started.spec, Run)
        self.assertEqual((started.spec.workdir, started.spec.env["PATH"]), ("there/build", "/a:all"))
        started.end(0)
        harness.settle()
        properties = harness.builds(request)[0].properties
        self.assertEqual(
            {name: properties[name] for name in ("all", "of", "default", "own")},
            {"all": ["all", "global"], "of": ["slave", "Slave"], "default": ["all", "global"], "own": ["b", "Builder"]},
        )
