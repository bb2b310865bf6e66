"""
``WithProperties`` and its kind.
"""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase
from zope.interface import implementer

from buildbot_lite.errors import ConfigError, PropertyError
from buildbot_lite.model.properties import Properties
from buildbot_lite.model.rendering import View, render_now
from buildbot_lite.plugins import slave, util

VIEW = View(
    Properties({"branch": "main", "n": 7, "empty": "", "none": None, "zero": 0}),
    sources={"lib": {"revision": "abc"}},
    slave={"name": "bot1"},
)


class WithPropertiesTests(SynchronousTestCase):
    """
    Promise 8.6: all forms of ``WithProperties``.
    """

    def test_forms(self) -> None:
        """
        Names in order, names in the text, replacements, functions.
        """
        rows: list[tuple[Any, str]] = [
            (util.WithProperties("plain"), "plain"),
            (util.WithProperties("100%%"), "100%"),
            (util.WithProperties("%s-%s", "branch", "n"), "main-7"),
            (util.WithProperties("%s", "x:-none"), "none"),
            (util.WithProperties("%05d", "n"), "00007"),
            (util.WithProperties("%(branch)s/%(n)03d"), "main/007"),
            (util.WithProperties("a%(none)sb"), "ab"),
            (util.WithProperties("%(x:-)s%(x:-y:-z)s"), "y:-z"),
            (util.WithProperties("%(empty:-y)s"), ""),
            (util.WithProperties("%(empty:~y)s%(zero:~0)s%(x:~z)s"), "y0z"),
            (util.WithProperties("%(branch:~y)s"), "main"),
            (util.WithProperties("%(branch:+there)s%(x:+not)s%(empty:+e)s"), "theree"),
            (util.WithProperties("%(up)s", up=lambda build: build.getProperty("branch").upper()), "MAIN"),
            (util.WithProperties("%(up:-x)s%(n)s", up=lambda build: "U"), "U7"),
        ]
        for text, expected in rows:
            with self.subTest(repr(text)):
                self.assertEqual(render_now(text, VIEW), expected)

    def test_mistakes(self) -> None:
        """
        A text that does not fit its names is refused when the configuration is read.
        """
        rows: list[tuple[tuple[Any, ...], dict[str, Any]]] = [
            (("%s %s", "a"), {}),
            (("%s", "a", "b"), {}),
            (("%(a", ), {}),
            ((7,), {}),
            (("%s", 7), {}),
            (("%(a)s", ), {"a": "not a function"}),
            (("%s", "a"), {"b": len}),
        ]  # fmt: skip
        for args, kwargs in rows:
            with self.subTest(args), self.assertRaisesRegex(ConfigError, "WithProperties"):
                util.WithProperties(*args, **kwargs)

    def test_absent(self) -> None:
        """
        A property that the build does not have fails, with the form that allows it; nothing runs on a wrong path.
        """
        with self.assertRaisesRegex(PropertyError, r"no property 'x'; %\(x:-\)s"):
            render_now(util.WithProperties("rm -rf %(x)s/"), VIEW)
        with self.assertRaisesRegex(PropertyError, "failed: KeyError"):
            render_now(util.WithProperties("%(a)s", a=lambda build: dict[str, str]()["b"]), VIEW)


class OtherRenderableTests(SynchronousTestCase):
    """
    Promise 8.6: ``Transform``, ``FlattenList``, ``Properties``, own renderables, selectors of ``Interpolate``.
    """

    def test_values(self) -> None:
        """
        Each has Buildbot's value.
        """
        rows: list[tuple[Any, Any]] = [
            (util.Transform(str.upper, util.Property("branch")), "MAIN"),
            (util.Transform("{0}-{x}".format, util.Property("branch"), x=util.Interpolate("%(prop:n)s")), "main-7"),
            (util.Transform(util.renderer(lambda props: len), ["a", "b"]), 2),
            (util.FlattenList(["a", ["b", ("c", [util.Property("branch")])]]), ["a", "b", "c", "main"]),
            (util.FlattenList(["a", ("b",)], types=list), ["a", ("b",)]),
            (util.FlattenList([["a"]]) + [["b"]], ["a", "b"]),  # noqa: RUF005 - the operator is tested
            (util.FlattenList([["a"]]) + util.FlattenList(["b"]), ["a", "b"]),
            (util.Interpolate("%(worker:name)s %(slave:name)s"), "bot1 bot1"),
            (util.Interpolate("%(src:lib:revision)s%(src:x:revision:-none)s"), "abcnone"),
            (util.Interpolate("%(kw:a:?|yes|no)s%(kw:b:#?|yes|no)s", a="", b=""), "yesno"),
            (util.Interpolate("%(prop:x:?:a:b)s"), "b"),
            (util.Interpolate("%s", util.Property("n")), "7"),
        ]
        for value, expected in rows:
            with self.subTest(repr(value)):
                self.assertEqual(render_now(value, VIEW), expected)

    def test_errors(self) -> None:
        """
        What is not a function is refused, and a function that fails is named.
        """
        with self.assertRaisesRegex(ConfigError, "must be a function"):
            util.Transform("text")
        with self.assertRaisesRegex(PropertyError, "not a function"):
            render_now(util.Transform(util.Property("branch")), VIEW)
        with self.assertRaisesRegex(PropertyError, "int failed: ValueError"):
            render_now(util.Transform(int, "x"), VIEW)

    def test_own(self) -> None:
        """
        A class that declares ``IRenderable`` is rendered, and the farm's own classes provide the interfaces.
        """

        @implementer(util.IRenderable)
        class Own:
            def getRenderingFor(self, props: Any) -> str:
                return str(util.IProperties(props).getProperty("branch"))

        self.assertEqual(render_now([Own()], VIEW), ["main"])
        for each in (util.Interpolate("x"), util.WithProperties("x"), util.Property("x"), util.Property("x") == 1):
            self.assertTrue(util.IRenderable.providedBy(each))
        self.assertTrue(util.IProperties.providedBy(util.Properties()))

    def test_properties(self) -> None:
        """
        ``Properties`` takes values by name, and stands where a dictionary of properties may.
        """
        properties = util.Properties(a=1, source="x")
        properties.setProperty("b", 2, "here")
        self.assertEqual(properties.values(), {"a": 1, "source": "x", "b": 2})
        self.assertEqual(slave.BuildSlave("bot1", properties=properties).properties["b"], 2)

    def test_results(self) -> None:
        """
        Names and comparisons of results.
        """
        self.assertEqual(util.Results[util.FAILURE], "failure")
        self.assertEqual(util.statusToString(util.WARNINGS), "warnings")
        self.assertEqual(util.statusToString(None), "not finished")
        self.assertEqual(util.statusToString(99), "no result has the number 99")
        self.assertEqual(util.worst_status(util.SKIPPED, util.SUCCESS), util.SUCCESS)
        self.assertEqual(util.ALL_RESULTS[-1], util.CANCELLED)
