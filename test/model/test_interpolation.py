"""
Interpolate: text with values of a build.
"""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import ConfigError, PropertyError
from buildbot_lite.model.interpolation import Interpolate
from buildbot_lite.model.properties import Properties
from buildbot_lite.model.rendering import (
    Property,
    View,
    render_now,
)
from buildbot_lite.model.spec import secret_reference

VIEW = View(
    Properties({"branch": "main", "empty": "", "zero": 0, "none": None, "n": 7, "flag": True}),
    sources={"": {"branch": "trunk", "revision": None}, "lib": {"revision": "abc"}},
    slave={"name": "bot1"},
)
TOKENS = ["%", "(", ")", "prop:", "kw:", "src:", ":-", ":?", "|", "#", "a", "s", "secret:"]


def text(fmt: str, *args: object, **kwargs: object) -> str:
    """
    *fmt*, rendered.
    """
    rendered: str = render_now(Interpolate(fmt, *args, **kwargs), VIEW)
    return rendered


class InterpolateTests(SynchronousTestCase):
    def check(self, expected: dict[str, str]) -> None:
        """
        Each format is rendered to the expected text.
        """
        self.assertEqual({fmt: text(fmt) for fmt in expected}, expected)

    def test_lookups(self) -> None:
        """
        Properties, sources, the slave and percent signs are substituted; a missing value and None become empty.
        """
        self.check({
            "%(prop:branch)s": "main",
            "<%(prop:nothing)s>": "<>",
            "<%(prop:none)s>": "<>",
            "%(prop:zero)s": "0",
            "%(prop:flag)s": "True",
            "%(src::branch)s": "trunk",
            "%(src:lib:revision)s": "abc",
            "<%(src:other:revision)s>": "<>",
            "%(slave:name)s": "bot1",
            "100%%": "100%",
            "%(prop:n)03d|%(prop:n)x": "007|7",
            "": "",
        })  # fmt: skip

    def test_minus(self) -> None:
        """
        ``:-`` is followed by the text for a missing value; an empty value is not missing.
        """
        self.check({
            "%(prop:nothing:-else)s": "else",
            "%(prop:none:-else)s": "else",
            "%(prop:branch:-else)s": "main",
            "<%(prop:empty:-else)s>": "<>",
            "%(src::revision:-HEAD)s": "HEAD",
            "%(prop:revision:-%(src::revision:-unknown)s)s": "unknown",
            "%(prop:nothing:-a:b (c))s": "a:b (c)",
            "%(prop:nothing:-50%%)s": "50%",
        })  # fmt: skip

    def test_tilde(self) -> None:
        """
        ``:~`` is followed by the text for a missing or false value.
        """
        self.check({
            "%(prop:empty:~else)s": "else",
            "%(prop:zero:~else)s": "else",
            "%(prop:branch:~else)s": "main",
            "%(prop:nothing:~else)s": "else",
        })  # fmt: skip

    def test_plus(self) -> None:
        """
        ``:+`` is followed by the text for a value that is present.
        """
        self.check({
            "%(prop:branch:+yes)s": "yes",
            "%(prop:empty:+yes)s": "yes",
            "<%(prop:nothing:+yes)s>": "<>",
            "%(prop:branch:+-b %(prop:branch)s)s": "-b main",
        })  # fmt: skip

    def test_ternary(self) -> None:
        """
        ``:?`` chooses by whether the value is present, ``:#?`` by whether it is true; any character may separate the
        two texts.
        """
        self.check({
            "%(prop:empty:?|yes|no)s": "yes",
            "%(prop:nothing:?:yes:no)s": "no",
            "%(prop:empty:#?|yes|no)s": "no",
            "%(prop:n:#?.yes.no)s": "yes",
        })  # fmt: skip

    def test_keywords(self) -> None:
        """
        Keyword arguments are rendered, and may have substitutes.
        """
        self.assertEqual(text("%(kw:a)s-%(kw:b:-B)s", a=Property("branch")), "main-B")

    def test_positional(self) -> None:
        """
        Positional arguments fill plain formats in order, and are rendered; None becomes empty.
        """
        self.assertEqual(text("%s/%04d/%s", Property("branch"), Property("n"), None), "main/0007/")

    def test_secret(self) -> None:
        """
        A secret becomes a reference, and its name is listed.
        """
        interpolate = Interpolate("https://me:%(secret:token)s@example.org/")
        self.assertEqual(interpolate.secrets, ("token",))
        self.assertEqual(render_now(interpolate, VIEW), f"https://me:{secret_reference('token')}@example.org/")

    @given(st.text())
    def test_text_without_percent_stays(self, words: str) -> None:
        """
        Text whose percent signs are doubled is rendered to itself.
        """
        self.assertEqual(text(words.replace("%", "%%")), words)

    @given(st.text(max_size=40))
    def test_any_text(self, words: str) -> None:
        """
        Any text makes an Interpolate or raises a ConfigError with a sentence.
        """
        try:
            Interpolate(words)
        except ConfigError as error:
            self.assertTrue(str(error).endswith("."))

    @given(st.lists(st.sampled_from(TOKENS)))
    def test_any_tokens(self, tokens: list[str]) -> None:
        """
        A text of random format tokens makes an Interpolate that can be rendered, or raises a ConfigError.
        """
        try:
            interpolate = Interpolate("".join(tokens))
        except ConfigError:
            return
        self.assertIsInstance(render_now(interpolate, VIEW), str)

    def test_refused(self) -> None:
        """
        Each mistake has its sentence.
        """
        for fmt, sentence in {
            "%": "write %% for a percent sign",
            "100% sure, %(prop:a)": "not followed by a format",
            "%(prop:a": "never closed",
            "%(foo:a)s": "none of prop:",
            "%(prop)s": "none of prop:",
            "%(prop:)s": "lacks a name",
            "%(src:branch)s": "lacks the codebase",
            "%(kw:a)s": "no such keyword argument",
            "%(prop:a:x)s": "begins with none of",
            "%(prop:a:)s": "begins with none of",
            "%(prop:a:?)s": "needs two texts",
            "%(prop:a:?|b)s": "needs two texts",
            "%(secret:a b)s": "cannot be the name of a secret",
            "%(secret:a)5s": "another format",
            "%s": "needs 1 positional arguments; 0 were given",
        }.items():
            with self.assertRaises(ConfigError) as caught:
                Interpolate(fmt)
            self.assertIn(sentence, str(caught.exception), fmt)

    def test_not_both(self) -> None:
        """
        Positional and keyword arguments exclude each other, and the format must be text.
        """
        self.assertRaisesRegex(ConfigError, "not both", Interpolate, "%s", 1, a=2)
        self.assertRaisesRegex(ConfigError, "needs text", Interpolate, 3)

    def test_nested_too_deep(self) -> None:
        """
        The depth of nesting is bounded.
        """
        fmt = "x"
        for _ in range(12):
            fmt = f"%(prop:nothing:-{fmt})s"
        self.assertRaisesRegex(ConfigError, "10 deep", Interpolate, fmt)

    def test_wrong_format(self) -> None:
        """
        A value that does not fit its format is named in the error.
        """
        self.assertRaisesRegex(PropertyError, "prop:branch is 'main'", text, "%(prop:branch)d")

    def test_shown(self) -> None:
        """
        The repr shows the format.
        """
        self.assertEqual(repr(Interpolate("a")), "Interpolate('a')")
