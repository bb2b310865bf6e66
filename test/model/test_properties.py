"""
The properties of a build.
"""

from hypothesis import given
from hypothesis import strategies as st
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import PropertyError
from buildbot_lite.model.json_reader import JsonReader, encode
from buildbot_lite.model.properties import (
    MOST_PROPERTIES,
    Properties,
    checked_property_name,
    checked_value,
)

plain_texts = st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]))
json_values = st.recursive(
    st.none() | st.booleans() | st.integers(-(1 << 60), 1 << 60) | st.floats(allow_nan=False, allow_infinity=False)
    | plain_texts,
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(plain_texts, inner, max_size=4),
    max_leaves=20,
)  # fmt: skip
names = st.text(st.characters(categories=["L", "N", "P"]), min_size=1, max_size=20)


class PropertiesTests(SynchronousTestCase):
    @given(st.dictionaries(names, json_values, max_size=8))
    def test_recorded_and_read_again(self, values: dict[str, object]) -> None:
        """
        All properties are equal after a conversion to JSON and back.
        """
        properties = Properties(values, "Somewhere")
        document = JsonReader.decode(encode(properties.to_document()), "properties", 1 << 24).document
        self.assertEqual(Properties.from_document(document), properties)

    def test_later_wins(self) -> None:
        """
        A property has the value and the source that were set last.
        """
        properties = Properties({"a": 1}, "Builder")
        properties.setProperty("a", 2, "step")
        self.assertEqual((properties.getProperty("a"), properties.getPropertySource("a")), (2, "step"))

    def test_others_keep_their_sources(self) -> None:
        """
        Properties that are copied from another object keep their sources.
        """
        properties = Properties({"a": 1}, "Builder")
        properties.update_from(Properties({"b": 2}, "Submit"))
        self.assertEqual(properties.asDict(), {"a": [1, "Builder"], "b": [2, "Submit"]})

    def test_absent(self) -> None:
        """
        A missing property has the default value and no source.
        """
        properties = Properties()
        self.assertEqual(properties.get("a", 3), 3)
        self.assertIsNone(properties.source("a"))
        self.assertFalse(properties.has("a"))
        self.assertNotIn("a", properties)
        self.assertRaises(KeyError, lambda: properties["a"])

    def test_copies_are_apart(self) -> None:
        """
        Setting a property of a copy, or changing a list that was given, changes nothing else.
        """
        given_list = [1]
        first = Properties({"a": given_list})
        second = first.copy()
        second.set("b", 1)
        given_list.append(2)
        self.assertEqual(first.values(), {"a": [1]})
        self.assertEqual((list(second), len(second)), (["a", "b"], 2))

    def test_only_json(self) -> None:
        """
        A value that is not JSON is refused with the property's name.
        """
        for value in (object(), {1, 2}, b"bytes", float("nan"), float("inf"), {"a": [object()]}):
            with self.assertRaisesRegex(PropertyError, "'x' cannot be"):
                checked_value("x", value)

    def test_round_value_cannot_be_recorded(self) -> None:
        """
        A list that contains itself is refused.
        """
        value: list[object] = []
        value.append(value)
        self.assertRaises(PropertyError, checked_value, "x", value)

    @given(st.text(), st.text())
    def test_no_nul(self, before: str, after: str) -> None:
        """
        No property can contain a NUL at any depth, because it could refer to a secret (invariant I7).
        """
        text = f"{before}\0{after}"
        for value in (text, [text], {"a": [text]}, {text: 1}):
            self.assertRaises(PropertyError, checked_value, "x", value)

    def test_escaped_nul(self) -> None:
        """
        Text that spells an escaped NUL is accepted.
        """
        self.assertEqual(checked_value("x", "\\u0000"), "\\u0000")

    def test_too_large(self) -> None:
        """
        A value of more than 1 MiB is refused.
        """
        self.assertRaisesRegex(PropertyError, "at most 1048576", checked_value, "x", "a" * (1 << 20))
        self.assertRaisesRegex(PropertyError, "has 1048578 bytes", checked_value, "x", "\u0434" * (1 << 19))
        for large in ("\u0434" * (500 << 10), {"x": "\u0434" * (500 << 10), 1: 2}, "\udc80" * (300 << 10)):
            checked_value("x", large)

    def test_too_many(self) -> None:
        """
        There are at most 1000 properties; setting an existing one is always possible.
        """
        properties = Properties({str(n): n for n in range(MOST_PROPERTIES)})
        properties.set("0", 7)
        self.assertRaisesRegex(PropertyError, "cannot be added", properties.set, "more", 1)

    def test_names(self) -> None:
        """
        A name is short and printable.
        """
        for name in ("", "a\n", "a" * 257, 3, None):
            self.assertRaises(PropertyError, checked_property_name, name)
        self.assertEqual(checked_property_name("build number"), "build number")

    def test_document_of_another_shape(self) -> None:
        """
        A record that is not a pair of value and source is refused.
        """
        self.assertRaises(PropertyError, Properties.from_document, {"a": 1})

    def test_unlike_others(self) -> None:
        """
        Properties are equal only to Properties, and their repr shows the values.
        """
        self.assertNotEqual(Properties(), {})
        self.assertEqual(repr(Properties({"a": 1})), "Properties({'a': 1})")
