"""
ForceScheduler and its parameters.
"""

import re
from typing import Any, ClassVar

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import InputError, NotFoundError, WrongValuesError
from buildbot_lite.master.config.force_parameters import UserNameParameter
from buildbot_lite.master.config.forced_values import LONGEST_PROBLEM, MOST_PROBLEMS, MOST_UNKNOWN
from buildbot_lite.storage.records import builds, inputs

from .configurations import remarks_in, sentences_in
from .harness import FakeSlave, succeeding
from .scheduled import HEAD, ScheduledFarm, Submitted

AUTOPOPULATE = (
    'util.StringParameter("x", autopopulate={"a": {"y": "b"}}), '
    'util.StringParameter("y", default="d", autopopulate={"b": {"n.z": "5", "x": "c"}}), '
    'util.NestedParameter("n", fields=[util.IntParameter("z")])'
)

POPULATING = 'autopopulate={"dev": {"username": "d@e", "one.revision": "7"}}'


class ForceCase(SynchronousTestCase):
    """
    Forced builds.
    """

    def force(self, arguments: str, given: dict[str, Any], reason: str | None = None, **more: Any) -> Submitted:
        """
        The buildset of b forced with what is *given*, by a ForceScheduler with these *arguments*.
        """
        self.farm = ScheduledFarm(f'schedulers.ForceScheduler(name="force", builderNames=["b"]{arguments})')
        self.farm.done(self.farm.farm.forcing.force("b", given, reason, **more))
        return self.farm.submitted()[-1]


class ParameterTests(ForceCase):
    """
    A table with a row for each kind of parameter and each of its arguments.
    """

    TABLE: ClassVar[list[tuple[str, dict[str, Any], Any]]] = [
        # the parameters, what is given, the properties or the sentence
        ('util.StringParameter("x")', {"x": "1"}, {"x": "1"}),
        ('util.StringParameter("x")', {}, {"x": ""}),
        ('util.StringParameter(name="x", label="X:", default="d", size=80)', {}, {"x": "d"}),
        ('util.StringParameter("x", default="d")', {"x": ""}, {"x": "d"}),
        ('util.StringParameter("x", required=True)', {}, "x must be given."),
        ('util.StringParameter("x", regex="[a-z]+$")', {"x": "A"}, "x must match '[a-z]+$', and 'A' does not."),
        ('util.StringParameter("x", regex="[a-z]+$")', {"x": "a"}, {"x": "a"}),
        ('util.StringParameter("x", maxsize=3)', {"x": "1234"}, "x has 4 bytes; at most 3 are allowed."),
        ('util.StringParameter("x", autopopulate={}, tablabel="t", hide=True)', {}, {"x": ""}),
        (AUTOPOPULATE, {}, {"x": "", "y": "d", "n": {"z": 0}}),
        (AUTOPOPULATE, {"x": "c"}, {"x": "c", "y": "d", "n": {"z": 0}}),
        (AUTOPOPULATE, {"x": "a"}, {"x": "a", "y": "b", "n": {"z": 5}}),
        (AUTOPOPULATE, {"x": "a", "y": "e"}, {"x": "a", "y": "e", "n": {"z": 0}}),
        ('util.StringParameter("x", tooltip="What it is.")', {}, {"x": ""}),
        ('util.TextParameter("x", cols=60, rows=5)', {"x": "a\nb"}, {"x": "a\nb"}),
        ('util.FixedParameter("x", default="f")', {}, {"x": "f"}),
        ('util.FixedParameter("x", default="f", choices=["f", "g"])', {}, {"x": "f"}),
        ('util.FixedParameter("x", default="f")', {"x": "g"}, "x is fixed to 'f': leave it out."),
        ('util.IntParameter("x", default=2)', {}, {"x": 2}),
        ('util.IntParameter("x", default="5")', {}, {"x": 5}),
        ('util.IntParameter("x")', {"x": "7"}, {"x": 7}),
        ('util.IntParameter("x")', {"x": 7}, {"x": 7}),
        ('util.IntParameter("x")', {"x": 7.9}, "x must be a whole number, not 7.9."),
        ('util.IntParameter("x")', {"x": float("inf")}, "x must be a whole number, not inf."),
        ('util.IntParameter("x")', {"x": "seven"}, "x must be a whole number, not 'seven'."),
        ('util.IntParameter("x", default="")', {}, {"x": 0}),
        ('util.IntParameter("x", default=2.5)', {}, {"x": 2.5}),
        ('util.IntParameter("x", default="y")', {}, {"x": "y"}),
        ('util.BooleanParameter("x", default="")', {}, {"x": False}),
        ('util.BooleanParameter("x", default="maybe")', {}, {"x": "maybe"}),
        ('util.BooleanParameter("x", default=True)', {}, {"x": True}),
        ('util.BooleanParameter("x", default="yes")', {}, {"x": True}),
        ('util.BooleanParameter("x")', {"x": "yes"}, {"x": True}),
        ('util.BooleanParameter("x", default=True)', {"x": "false"}, {"x": False}),
        ('util.BooleanParameter("x")', {"x": "maybe"}, "x must be true or false, not 'maybe'."),
        ('util.ChoiceStringParameter("x", choices=["a", "b"], default="a")', {}, {"x": "a"}),
        ('util.ChoiceStringParameter("x", choices=["a", "b"])', {"x": "b"}, {"x": "b"}),
        ('util.ChoiceStringParameter("x", choices=["a", "b"])', {"x": "c"}, "x must be one of a, b, not 'c'."),
        ('util.ChoiceStringParameter("x", choices=["a"], strict=False)', {"x": "c"}, {"x": "c"}),
        ('util.ChoiceStringParameter("x", choices=["a", "b"], multiple=True)', {"x": "a, b"}, {"x": ["a", "b"]}),
        ('util.ChoiceStringParameter("x", choices=["a", "b"], multiple=True)', {}, {"x": []}),
        ('util.ChoiceStringParameter("x", choices=["a", "b"], multiple=True, default="a,b")', {}, {"x": ["a", "b"]}),
        ('util.ChoiceStringParameter("x", choices=["a"], multiple=True, default="a")', {"x": []}, {"x": []}),
        ('util.ChoiceStringParameter("x", choices=["a"], multiple=True, required=True)', {"x": []}, "x must be given."),
        ('util.ChoiceStringParameter("x", choices=["a"], default="a")', {"x": []}, {"x": "a"}),
        # Only of several choices may none be chosen.
        ('util.StringParameter("x", default="d", multiple=True)', {"x": []}, {"x": "d"}),
        ('util.IntParameter("x", default=3, multiple=True)', {"x": []}, {"x": 3}),
        # The text of the default is the default.
        ('util.StringParameter("x", default=3)', {"x": "3"}, {"x": 3}),
        ('util.StringParameter("x", default="d", regex="v")', {"x": "d"}, {"x": "d"}),
        ('util.StringParameter("x", default="d", regex="v", required=True)', {"x": "d"},
         "x must match 'v', and 'd' does not."),
        ('util.ChoiceStringParameter("x", choices=["a"], default="*", strict=True)', {}, {"x": "*"}),
        ('util.NestedParameter("n", fields=[util.IntParameter("x")])', {"n.x": "1"}, {"n": {"x": 1}}),
        ('util.NestedParameter(name="", layout="vertical", columns=2, fields=[util.StringParameter("x")])',
         {"x": "1"}, {"x": "1"}),
        ('util.NestedParameter("n", fields=[util.NestedParameter("m", fields=[util.StringParameter("x")])])',
         {"n.m.x": "1"}, {"n": {"m": {"x": "1"}}}),
        ('util.NestedParameter("n", fields=[util.StringParameter("x", required=True)])', {},
         "n.x must be given."),
        ('util.NestedParameter("n", fields=[util.StringParameter("x", regex="a")])', {"n.x": "b"},
         "n.x must match 'a', and 'b' does not."),
        ('util.NestedParameter("n", fields=[util.StringParameter("x", maxsize=3)])', {"n.x": "1234"},
         "n.x has 4 bytes; at most 3 are allowed."),
        ('util.NestedParameter("n", fields=[util.FixedParameter("x", default=1)])', {"n.x": "2"},
         "n.x is fixed to 1: leave it out."),
        ('util.NestedParameter("n", fields=[util.NestedParameter("m", fields=[util.IntParameter("x")])])',
         {"n.m.x": "y"}, "n.m.x must be a whole number, not 'y'."),
        ('util.NestedParameter("", fields=[util.BooleanParameter("x")])', {"x": "y"},
         "x must be true or false, not 'y'."),
        ('util.NestedParameter("n", fields=[util.ChoiceStringParameter("x", choices=["a"])])', {"n.x": "b"},
         "n.x must be one of a, not 'b'."),
        ('util.AnyPropertyParameter("any")', {"whatever": "1"}, {"whatever": "1"}),
        (
            'util.AnyPropertyParameter(), util.NestedParameter("n", fields=[util.FixedParameter("x", default=1)])',
            {"n": {"x": 2}},
            "n is a group of parameters: give each as n.NAME=VALUE.",
        ),
        ('util.FileParameter("x")', {"x": "text"}, {"x": "text"}),
        ('util.FileParameter("x", maxsize=4)', {"x": "д" * 3}, "x has 6 bytes; at most 4 are allowed."),
        ('util.StringParameter("x")', {"y": "1"}, "There is no parameter 'y'.  There are: x."),
    ]  # fmt: skip

    def test_table(self) -> None:
        """
        Promise 8.2: each kind of parameter checks what is given, and sets its default.
        """
        for parameter, given, expected in self.TABLE:
            with self.subTest(parameter):
                arguments = f", properties=[{parameter}]"
                if isinstance(expected, str):
                    self.assertEqual(str(self.assertRaises(InputError, self.force, arguments, given)), expected)
                else:
                    self.assertEqual(self.force(arguments, given).properties.values(), expected)

    def test_default_of_another_kind(self) -> None:
        """
        A default that is not of the parameter's kind is kept, with a remark; an empty one is none, and needs no remark.
        """
        head = f'{HEAD}\nc["schedulers"] = [schedulers.ForceScheduler("f", ["b"], properties=['
        for parameter, sentence in (
            ('util.IntParameter("x", default="")', ""),
            ('util.IntParameter("x", default=2.5)', "default: x must be a whole number, not 2.5.  Builds for which no"),
            ('util.IntParameter("x", default="y")', "default: x must be a whole number, not 'y'.  Builds for which no"),
            ('util.BooleanParameter("x", default="")', ""),
            ('util.BooleanParameter("x", default=2)', "default: x must be true or false, not 2.  Builds for which no"),
        ):
            with self.subTest(parameter):
                found = [each for each in remarks_in(f"{head}{parameter}])]\n") if "default" in each]
                self.assertEqual(len(found), bool(sentence), found)
                self.assertIn(sentence, "".join(found))

    def test_computed_choices(self) -> None:
        """
        Promise 8.2: a class of the configuration computes its choices for the builder; what goes wrong is a sentence.
        """
        for body, value, expected in (
            ("return [f'of-{buildername}']", "of-b", {"x": "of-b"}),
            ("return [f'of-{buildername}']", "of-c", "x must be one of of-b, not 'of-c'."),
            ("return list(master.botmaster.builders)", "b", "The choices of x could not be computed: "),
        ):
            with self.subTest(body=body, value=value):
                text = (
                    "class Own(util.ChoiceStringParameter):\n"
                    f"    def getChoices(self, master, scheduler, buildername):\n        {body}\n"
                )
                forcing = 'schedulers.ForceScheduler(name="force", builderNames=["b"], properties=[Own("x")])'
                self.farm = ScheduledFarm(forcing, before=text)
                forced = self.farm.farm.forcing.force("b", {"x": value})
                if isinstance(expected, str):
                    with self.assertRaisesRegex(InputError, re.escape(expected)):
                        self.farm.done(forced)
                else:
                    self.farm.done(forced)
                    self.assertEqual(self.farm.submitted()[-1].properties.values(), expected)

    def test_any_property(self) -> None:
        """
        Without a list of parameters any property may be given, and a dictionary sets fixed ones.
        """
        self.assertEqual(self.force("", {"x": "1"}).properties.values(), {"x": "1"})
        found = self.force(', properties={"y": 2}', {"x": "1"})
        self.assertEqual(found.properties.values(), {"x": "1", "y": 2})

    def test_hostile_address(self) -> None:
        """
        A long text that is no address is refused within the time of a test.
        """
        parameter = UserNameParameter()
        for text in ("<@" * 100_000 + " ", "a@" * 100_000 + " "):
            with self.assertRaises(InputError):
                parameter.value(text)
        for text in ("A U <a@b>", "<a@b>", "a@b", "a@b@c"):
            self.assertEqual(parameter.value(text), text)
        for text in ("A U", "@b", "a@", "A\nU <a@b>", "A <a@b> U", "a b@c"):
            with self.assertRaises(InputError):
                parameter.value(text)

    def test_slave(self) -> None:
        """
        WorkerChoiceParameter: the build waits for the chosen slave; "any" is any.
        """
        parameter = ", properties=[util.WorkerChoiceParameter()]"
        self.assertEqual(self.force(parameter, {"workername": "bot2"}).source, {"slaves": ["bot2"]})
        self.assertEqual(self.farm.attach("bot1").commands, [])
        self.assertEqual(len(self.farm.attach("bot2").commands), 1)
        self.assertEqual(self.force(parameter, {}).source, {})
        self.assertEqual(self.force(parameter, {"workername": "any"}).source, {})
        with self.assertRaisesRegex(InputError, "'bot3' is no slave of b.  There are: bot1, bot2."):
            self.force(parameter, {"workername": "bot3"})
        with self.assertRaisesRegex(InputError, "The build itself sets workername: leave out that property."):
            self.force("", {"workername": "bot2"})

    def test_enforced(self) -> None:
        """
        util.enforceChosenWorker may be canStartBuild: the build waits for the chosen slave.
        """
        self.farm = ScheduledFarm(
            'schedulers.ForceScheduler("force", ["b"], properties=[util.WorkerChoiceParameter()])',
            before='c["builders"][0] = util.BuilderConfig("b", ["bot1", "bot2"], util.BuildFactory(['
            'steps.ShellCommand(command=["true"])]), canStartBuild=util.enforceChosenWorker)',
        )
        self.farm.done(self.farm.farm.forcing.force("b", {"workername": "bot2"}))
        self.assertEqual(self.farm.attach("bot1").commands, [])
        self.assertEqual(len(self.farm.attach("bot2").commands), 1)

    def test_inherit(self) -> None:
        """
        InheritBuildParameter: the properties with which another build was forced; those given count more.
        """
        self.force(
            ', properties=[util.InheritBuildParameter("like"), util.AnyPropertyParameter()]', {"x": "1", "y": "1"}
        )
        self.farm.attach(slave=FakeSlave(behaviour=succeeding))
        self.assertIsNotNone(self.farm.read(lambda c: builds.by_number(c, "b", 1)))
        forcing = self.farm.farm.forcing
        self.farm.done(forcing.force("b", {"like": "b/1", "y": "2"}))
        self.assertEqual(self.farm.submitted()[-1].properties.values(), {"x": "1", "y": "2"})
        for wrong, sentence in (
            ("b/9", "There is no build b/9."),
            ("b", "like must be a build, like \"linux/12\", not 'b'."),
        ):
            with self.assertRaises(WrongValuesError) as caught:
                self.farm.done(forcing.force("b", {"like": wrong}))
            self.assertEqual(caught.exception.problems, (("like", sentence),))


class ArgumentTests(ForceCase):
    """
    The arguments of ForceScheduler apart from properties.
    """

    TABLE: ClassVar[list[tuple[str, dict[str, Any], str | None, dict[str, Any]]]] = [
        # the arguments, what is given, the reason given, what is submitted
        ("", {}, None, {"reason": "force build", "source": {}}),
        ("", {}, "because", {"reason": "because"}),
        (', reason=util.StringParameter("reason", default="d")', {}, None, {"reason": "d"}),
        (', reason=util.FixedParameter("reason", default="f")', {}, None, {"reason": "f"}),
        (', reason=util.StringParameter("reason", required=True)', {"reason": "p"}, None, {"reason": "p"}),
        (', reasonString="%(owner)s: %(reason)s"', {"username": "a@b"}, "r", {"reason": "a@b: r"}),
        (
            ', username=util.UserNameParameter("name:", need_email=False, size=80)',
            {"username": "me"},
            None,
            {"owner": "me"},
        ),
        (', label="Force it", buttonName="go", priority=3', {}, None, {"priority": 3}),
        (', priority=util.Interpolate("4%(prop:branch)s")', {"branch": "2"}, None, {"priority": 42}),
        ("", {"branch": "dev", "revision": "1"}, None, {"source": {"branch": "dev", "revision": "1"}}),
        (', branch=util.FixedParameter("branch", default="main")', {}, None, {"source": {"branch": "main"}}),
        (
            ', codebases=[util.CodebaseParameter("", branch="m", revision=None, project="p")]',
            {},
            None,
            {"source": {"branch": "m", "project": "p"}},
        ),
        (
            ', codebases=["one", "two"]',
            {"one.branch": "x"},
            None,
            {"source": {"codebases": {"one": {"branch": "x"}, "two": {}}}},
        ),
        (
            f', codebases=[util.CodebaseParameter("one", branch=util.StringParameter("branch", {POPULATING}))]',
            {"one.branch": "dev"},
            None,
            {
                "source": {"codebases": {"one": {"branch": "dev", "revision": "7"}}, "branch": "dev", "revision": "7"},
                "owner": "d@e",
            },
        ),
        (
            ', codebases=[util.CodebaseParameter(codebase="one")]',
            {"one.revision": "x"},
            None,
            {"source": {"codebases": {"one": {"revision": "x"}}, "revision": "x"}},
        ),
    ]

    def test_table(self) -> None:
        """
        Promise 8.2: each argument has its documented meaning.
        """
        for arguments, given, reason, expected in self.TABLE:
            with self.subTest(arguments):
                found = self.force(arguments, given, reason)
                for name, value in expected.items():
                    self.assertEqual(found.properties.get(name) if name == "owner" else getattr(found, name), value)

    PATCH = "--- a/f\n+++ b/f\n@@ -1 +1 @@\n-x\n+y\n"
    PATCHES: ClassVar[list[tuple[str, dict[str, Any], Any]]] = [
        # the arguments of PatchParameter, what is given, the stamp's note or the sentence
        ("", {}, None),
        ("", {"level": "0", "author": "me"}, None),
        ("", {"body": PATCH}, {"level": 1, "subdir": ".", "author": "", "comment": ""}),
        (
            "",
            {"body": PATCH, "level": "2", "subdir": "lib/", "author": "me", "comment": "why"},
            {"level": 2, "subdir": "lib", "author": "me", "comment": "why"},
        ),
        (
            'level=util.FixedParameter("level", default=0), author=util.StringParameter("author", default="d")',
            {"body": PATCH},
            {"level": 0, "subdir": ".", "author": "d", "comment": ""},
        ),
        (
            'body=util.FileParameter("body", maxsize=10)',
            {"body": PATCH},
            "one.patch.body has 34 bytes; at most 10 are allowed.",
        ),
        ("", {"body": "hello"}, "The submission is not a patch: it has no line that begins with 'diff ' or '--- '."),
        ("", {"body": PATCH, "level": "100"}, "The level of a patch must be a number from 0 to 99."),
        ("", {"body": PATCH, "level": "x"}, "one.patch.level must be a whole number, not 'x'."),
    ]

    def test_patches(self) -> None:
        """
        Promise 8.2: PatchParameter with each of its parts: the patch is stored, and noted in the stamp of its codebase.
        """
        for arguments, given, expected in self.PATCHES:
            with self.subTest(arguments=arguments, given=given):
                forced = f', codebases=[util.CodebaseParameter("one", patch=util.PatchParameter({arguments})), "two"]'
                values = {f"one.patch.{name}": value for name, value in given.items()}
                if isinstance(expected, str):
                    self.assertEqual(str(self.assertRaises(InputError, self.force, forced, values)), expected)
                    continue
                found = self.force(forced, values)
                note = {} if expected is None else {"patch": {"codebase": "one", **expected}}
                self.assertEqual(found.source, {"codebases": {"one": {}, "two": {}}, **note})
                self.assertEqual(found.input is None, expected is None)
                self.assertEqual(found.properties.values(), {})

        found = self.force(
            ', codebases=[util.CodebaseParameter("", patch=util.PatchParameter())]',
            {"patch.body": self.PATCH, "branch": "dev"},
        )
        self.assertEqual((found.source["branch"], found.source["patch"]["level"]), ("dev", 1))
        self.assertEqual(found.properties.values(), {"branch": "dev"})
        number = found.input
        assert number is not None
        row = self.farm.read(lambda c: inputs.get(c, number))
        assert row is not None
        self.assertEqual(self.farm.farm.inputs.read(row.sha256, 0, 1000), self.PATCH.encode())
        both = ", ".join(f'util.CodebaseParameter("{name}", patch=util.PatchParameter())' for name in "ab")
        with self.assertRaisesRegex(InputError, "A build takes one patch"):
            self.force(f", codebases=[{both}]", {"a.patch.body": self.PATCH, "b.patch.body": self.PATCH})
        both = ", ".join(f'util.CodebaseParameter("{name}", patch=util.PatchParameter())' for name in ("a", ""))
        with self.assertRaises(WrongValuesError) as caught:
            self.force(f", codebases=[{both}]", {"a.patch.body": self.PATCH, "patch.body": self.PATCH})
        self.assertEqual([name for name, _ in caught.exception.problems], ["patch.body"])
        with self.assertRaises(WrongValuesError) as caught:
            self.force(
                ', codebases=[util.CodebaseParameter("", patch=util.PatchParameter())]',
                {"patch.body": self.PATCH, "patch.subdir": "../x"},
            )
        ((name, sentence),) = caught.exception.problems
        self.assertEqual(name, "patch.subdir")
        self.assertIn("'../x'", sentence)

    def test_wrong(self) -> None:
        """
        What is not permitted is refused with a sentence.
        """
        wrong: list[tuple[str, dict[str, Any], str]] = [
            (', reason=util.StringParameter("reason", required=True)', {}, "reason must be given"),
            (", username=util.UserNameParameter(required=True)", {}, "username must be given"),
            ("", {"username": "me"}, "username must have a mail address"),
            (', branch="main"', {"branch": "dev"}, "branch is fixed to 'main'"),
            (
                ', codebases=[util.CodebaseParameter("one", branch="main")]',
                {"one.branch": "dev"},
                "^one.branch is fixed",
            ),
            (', codebases=["one"], properties=[]', {"branch": "x"}, "There is no parameter 'branch'"),
        ]
        for arguments, given, sentence in wrong:
            with self.subTest(arguments), self.assertRaisesRegex(InputError, sentence):
                self.force(arguments, given)

    def test_all_that_is_wrong(self) -> None:
        """
        Promise 10.9: all values that are wrong or missing are refused at once, each by its full name; of very many the
        first are named, and the others counted.
        """
        arguments = (
            ', reason=util.StringParameter("why", required=True), codebases=[util.CodebaseParameter("lib", '
            'branch="main", patch=util.PatchParameter()), util.CodebaseParameter("app", patch=util.PatchParameter())], '
            'properties=[util.IntParameter("n"), util.NestedParameter("group", fields=[util.StringParameter("x", '
            'required=True)]), util.ChoiceStringParameter("one", choices=["a", "b"]), '
            'util.WorkerChoiceParameter("where")]'
        )
        given = {
            "username": "Ann", "lib.branch": "dev", "lib.patch.body": "no patch", "lib.patch.level": "100",
            "app.patch.body": self.PATCH, "app.patch.subdir": "/", "n": "x", "one": "c", "where": "bot9", "two": "d",
            "buildername": "y", "group": "z",
        }  # fmt: skip
        with self.assertRaises(WrongValuesError) as caught:
            self.force(arguments, given)
        wanted = {
            "username", "lib.branch", "lib.patch.body", "lib.patch.level", "app.patch.subdir", "n", "one", "where",
            "two", "buildername", "group", "group.x", "reason",
        }  # fmt: skip
        problems = dict(caught.exception.problems)
        self.assertEqual(problems.keys(), wanted)
        self.assertEqual(problems["reason"], "reason must be given.")
        self.assertEqual(problems["group.x"], "group.x must be given.")
        self.assertEqual(str(caught.exception).splitlines(), list(problems.values()))

        with self.assertRaises(WrongValuesError) as caught:
            self.force(arguments, {f"unknown{n}": "x" for n in range(1000)}, "because")
        sentences = [sentence for _, sentence in caught.exception.problems]
        self.assertEqual(len(sentences), 1 + MOST_UNKNOWN + 1)
        self.assertEqual(sentences[-1], f"There are {1000 - MOST_UNKNOWN} more that are wrong.")

        many = ", ".join(f'util.IntParameter("n{n}")' for n in range(MOST_PROBLEMS + 5))
        with self.assertRaises(WrongValuesError) as caught:
            self.force(f", properties=[{many}]", {f"n{n}": "x" * 10_000 for n in range(MOST_PROBLEMS + 5)})
        sentences = [sentence for _, sentence in caught.exception.problems]
        self.assertEqual((len(sentences), sentences[-1]), (MOST_PROBLEMS + 1, "There are 5 more that are wrong."))
        self.assertLessEqual(max(map(len, sentences)), LONGEST_PROBLEM)

    def test_named(self) -> None:
        """
        Of several ForceSchedulers the first is taken, or the one that is named.
        """
        farm = ScheduledFarm(
            'schedulers.ForceScheduler("x", ["b"]), schedulers.ForceScheduler("y", ["b"]), '
            'schedulers.ForceScheduler("z", ["other"])'
        )
        for name in (None, "y"):
            farm.done(farm.farm.forcing.force("b", {}, scheduler=name))
        self.assertEqual([each.scheduler for each in farm.submitted()], ["x", "y"])
        with self.assertRaisesRegex(NotFoundError, "b may not be forced: z does not have it"):
            farm.done(farm.farm.forcing.force("b", {}, scheduler="z"))
        with self.assertRaisesRegex(NotFoundError, "no ForceScheduler 'w'.  There are: x, y, z."):
            farm.done(farm.farm.forcing.force("b", {}, scheduler="w"))

    def test_mistakes(self) -> None:
        """
        Mistakes in master.cfg have a sentence.
        """
        wrong = [
            ('properties=[util.StringParameter("x", regex="(")]', "is not a regular expression"),
            ('properties=[util.StringParameter("x", defalt=1)]', "Did you mean 'default'?"),
            ('properties=["x"]', "properties has 'x' in it, which is not a parameter"),
            ('properties=[util.StringParameter("x"), util.IntParameter("x")]', "has the parameter 'x' twice"),
            ('properties=[util.StringParameter("")]', "has a StringParameter without a name"),
            ("properties=[util.CodebaseParameter()]", "has a CodebaseParameter without a name"),
            (
                'properties=[util.StringParameter("n"), util.NestedParameter("n", fields=[util.IntParameter("x")])]',
                "has 'n' as a parameter and as one with fields",
            ),
            (
                'properties=[util.NestedParameter("n", fields=[util.WorkerChoiceParameter("x")])]',
                "'n.x' cannot be in a NestedParameter with a name",
            ),
            ('builderNames=util.Property("x")', "builderNames must be a list of texts"),
            ('codebases="x"', "codebases must be a list of names and CodebaseParameters"),
            ("reason=5", "reason must be a parameter"),
            ('reasonString="%(nobody)s"', "reasonString may have %(owner)s and %(reason)s"),
            ('codebases=[util.CodebaseParameter("", patch=5)]', "patch must be a PatchParameter"),
            ('codebases=[util.CodebaseParameter("", patch=util.PatchParameter(levle=1))]', "Did you mean 'level'?"),
            ('properties=[util.StringParameter("x", autopopulate={"a": 1})]', "must be a dictionary of dictionaries"),
            ('butonName="x"', "Did you mean 'buttonName'?"),
        ]
        for text, sentence in wrong:
            with self.subTest(text):
                builders = "" if "builderNames" in text else '["b"], '
                found = sentences_in(f'{HEAD}\nc["schedulers"] = [schedulers.ForceScheduler("f", {builders}{text})]\n')
                self.assertTrue(any(sentence in each for each in found), found)
