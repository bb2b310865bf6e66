"""
Arguments that are rendered for one build.
"""

from typing import Any

from hypothesis import given
from twisted.internet.defer import Deferred
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import ConfigError, PropertyError
from buildbot_lite.model.properties import Properties
from buildbot_lite.model.rendering import (
    Property,
    Secret,
    View,
    is_renderable,
    render,
    render_now,
    rendered_environment,
    renderer,
)
from buildbot_lite.model.spec import SECRET_REFERENCE

from .test_properties import json_values


def view(**properties: object) -> View:
    """
    A build with these properties.
    """
    return View(Properties(properties), sources={"": {"branch": "main"}}, slave={"name": "bot1"})


class RenderTests(SynchronousTestCase):
    @given(json_values)
    def test_plain_values_stay(self, value: object) -> None:
        """
        A value without renderables is rendered to itself.
        """
        self.assertFalse(is_renderable(value))
        self.assertEqual(render_now(value, view()), value)

    @given(json_values)
    def test_property(self, value: object) -> None:
        """
        A Property without a default is the property's value, also when it is 0, empty or False.
        """
        self.assertEqual(render_now(Property("x"), view(x=value)), value)

    def test_nested(self) -> None:
        """
        Lists, tuples and dictionaries are rendered, including the dictionaries' keys.
        """
        value = {Property("k"): [Property("v"), (Property("v"), "plain")]}
        self.assertTrue(is_renderable(value))
        self.assertEqual(render_now(value, view(k="key", v=3)), {"key": [3, (3, "plain")]})

    def test_default(self) -> None:
        """
        The default replaces a missing or false value, and is rendered; with defaultWhenFalse=False, it replaces only a
        missing value.
        """
        self.assertEqual(render_now(Property("x", default=Property("y")), view(y=2)), 2)
        self.assertEqual(render_now(Property("x", "d"), view(x="")), "d")
        self.assertEqual(render_now(Property("x", "d", defaultWhenFalse=False), view(x="")), "")
        self.assertEqual(render_now(Property("x", "d", defaultWhenFalse=False), view()), "d")
        self.assertIsNone(render_now(Property("x"), view()))
        self.assertIsNone(render_now(Property("x", None), view(x=0)))

    def test_renderer(self) -> None:
        """
        A renderer reads the build's properties, and its result is rendered again.
        """

        @renderer
        def command(props: View) -> list[Any]:
            self.assertTrue(props.hasProperty("jobs"))
            self.assertFalse(props.has_key("nothing"))
            return ["make", f"-j{props.getProperty('jobs')}", Property("target"), props["jobs"]]

        self.assertEqual(render_now(command, view(jobs=4, target="all")), ["make", "-j4", "all", 4])
        self.assertEqual((command.__name__, repr(command)), ("command", "renderer(command)"))

    def test_async_renderer(self) -> None:
        """
        A renderer may be a coroutine function; rendering without waiting then raises an error.
        """
        waited: Deferred[str] = Deferred()

        @renderer
        async def slow(props: View) -> str:
            return await waited

        rendered = Deferred.fromCoroutine(render([slow], view()))
        self.assertNoResult(rendered)
        self.assertRaisesRegex(PropertyError, "A renderer waits", render_now, slow, view())
        waited.callback("done")
        self.assertEqual(self.successResultOf(rendered), ["done"])

    def test_renderer_that_fails(self) -> None:
        """
        An error of a renderer becomes a sentence with the renderer's name; a PropertyError stays as it is.
        """

        @renderer
        def broken(props: View) -> str:
            return str(props["nothing"])

        @renderer
        def refusing(props: View) -> str:
            raise PropertyError("Not today.")

        self.assertRaisesRegex(PropertyError, "The renderer broken failed: KeyError", render_now, broken, view())
        self.assertRaisesRegex(PropertyError, "^Not today.$", render_now, refusing, view())

    def test_renderer_with_arguments(self) -> None:
        """
        WithArgs gives a renderer further arguments, which are rendered.
        """

        @renderer
        def joined(props: View, *words: str, end: str = "") -> str:
            return "-".join(words) + end

        both = joined.withArgs("a").withArgs(Property("x"), end=Property("e"))
        self.assertEqual(render_now(both, view(x="b", e="!")), "a-b!")
        self.assertEqual(render_now(joined, view()), "")

    def test_renderer_of_nothing(self) -> None:
        """
        Only a function can be a renderer.
        """
        self.assertRaises(ConfigError, renderer, 3)

    def test_endless(self) -> None:
        """
        An object that renders to itself is detected.
        """

        class Endless:
            def getRenderingFor(self, props: View) -> object:
                return self

        self.assertRaisesRegex(PropertyError, "nested more than 50", render_now, Endless(), view())

    def test_classes_are_not_rendered(self) -> None:
        """
        A class that has the method of renderables is a plain value.
        """
        self.assertIs(render_now(Property, view()), Property)

    def test_secret(self) -> None:
        """
        A Secret renders to a reference, never to a value.
        """
        found = SECRET_REFERENCE.fullmatch(render_now(Secret("key"), view()))
        self.assertEqual(found and found.group(1), "key")

    def test_bad_names(self) -> None:
        """
        Invalid names of secrets and properties are refused at once.
        """
        self.assertRaises(ConfigError, Secret, "../etc")
        self.assertRaises(ConfigError, Property, "")

    def test_sources_cannot_name_secrets(self) -> None:
        """
        A source stamp cannot contain a NUL (invariant I7).
        """
        self.assertRaises(PropertyError, View, Properties(), sources={"": {"branch": "\0key\0"}})

    def test_environment(self) -> None:
        """
        The values of an environment become text; None stays, because it removes a variable.
        """
        env = {"A": Property("n"), "B": None, "C": Property("nothing"), "D": "d"}
        rendered = self.successResultOf(Deferred.fromCoroutine(rendered_environment(env, view(n=3))))
        self.assertEqual(rendered, {"A": "3", "B": None, "C": None, "D": "d"})

    def test_view_renders(self) -> None:
        """
        A renderer may render values, and has access to all properties.
        """

        @renderer
        async def outer(props: View) -> object:
            return [await props.render(Property("x")), props.getProperties().get("x"), "x" in props]

        self.assertEqual(render_now(outer, view(x=1)), [1, 1, True])
