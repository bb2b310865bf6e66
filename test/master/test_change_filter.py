"""
util.ChangeFilter.
"""

from typing import Any, ClassVar

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import ConfigError
from buildbot_lite.model.change import Change
from buildbot_lite.model.change_view import ChangeView
from buildbot_lite.plugins import util

YES: dict[str, Any] = {
    "project": "p", "repository": "https://example.org/r", "branch": "main", "category": "push", "codebase": "c",
    "files": ("src/a.c", "README"), "properties": {"x": ["1", "Change"]},
}  # fmt: skip


def view(**values: Any) -> ChangeView:
    """
    A change with these *values*.
    """
    return ChangeView(Change(author="A", source="test", **values), 1, 5.0)


class ChangeFilterTests(SynchronousTestCase):
    """
    A table with a row for each documented argument: what it takes, and what it does not.
    """

    TABLE: ClassVar[list[tuple[dict[str, Any], dict[str, Any], dict[str, Any]]]] = [
        *[
            ({name: YES[name]}, YES, {**YES, name: "other"})
            for name in ("project", "repository", "category", "codebase")
        ],
        *[
            (arguments, YES, {**YES, name: "other"})
            for name in ("project", "repository", "branch", "category", "codebase")
            for arguments in (
                {name: [YES[name], "more"]},
                {f"{name}_not_eq": "other"},
                {f"{name}_not_eq": ["other", "more"]},
                {f"{name}_re": YES[name][:1]},
                {f"{name}_re": ["nothing", YES[name][:1]]},
                {f"{name}_not_re": "oth"},
                {f"{name}_not_re": ["nothing", "oth"]},
                {f"{name}_fn": lambda value: value != "other"},
            )
        ],
        ({"branch": None}, {**YES, "branch": None}, YES),
        ({"branch": ["main", None]}, {**YES, "branch": None}, {**YES, "branch": "dev"}),
        ({"branch_re": r"(?!x)"}, {**YES, "branch": None}, {**YES, "branch": "x"}),
        ({"branch_not_eq": None}, YES, {**YES, "branch": None}),
        ({"files_re": r".*\.c$"}, YES, {**YES, "files": ("README",)}),
        ({"files_fn": lambda path: path == "README"}, YES, {**YES, "files": ()}),
        ({"files_not_re": "doc/"}, YES, {**YES, "files": ("README", "doc/x")}),
        ({"property_eq": {"x": "1"}}, YES, {**YES, "properties": {}}),
        ({"property_eq": {"x": ["0", "1"]}}, YES, {**YES, "properties": {"x": ["2", "Change"]}}),
        ({"property_not_eq": {"x": "2"}}, {**YES, "properties": {}}, {**YES, "properties": {"x": ["2", "Change"]}}),
        ({"property_re": {"x": r"\d"}}, YES, {**YES, "properties": {"x": ["a", "Change"]}}),
        ({"property_re": {"x": ".*"}}, YES, {**YES, "properties": {}}),
        ({"property_not_re": {"x": r"\d"}}, {**YES, "properties": {}}, YES),
        ({"property_not_re": {"x": ".*"}}, {**YES, "properties": {}}, YES),
        ({"filter_fn": lambda change: "src/a.c" in change.files}, YES, {**YES, "files": ()}),
        ({"filter_fn": lambda change: change.properties.getProperty("x")}, YES, {**YES, "properties": {}}),
        ({"project": "p", "branch": "main"}, YES, {**YES, "branch": "dev"}),
        ({"project": None, "category": None, "branch": util.NotABranch, "branch_re": "m"}, YES, {**YES, "branch": "x"}),
    ]

    def test_table(self) -> None:
        """
        Promise 8.2: each argument takes and refuses what its documentation says.
        """
        for arguments, taken, refused in self.TABLE:
            with self.subTest(arguments):
                wanted = util.ChangeFilter(**arguments)
                self.assertTrue(wanted.filter_change(view(**taken)))
                self.assertFalse(wanted.filter_change(view(**refused)))

    def test_mistakes(self) -> None:
        """
        An argument that does not exist, or a value that fits none, is a mistake with a sentence.
        """
        wrong: list[tuple[dict[str, Any], str]] = [
            ({"brnach": "x"}, "Did you mean 'branch'?"),
            ({"branch_re": "("}, "is not a regular expression"),
            ({"branch_re": 5}, "must be a regular expression"),
            ({"branch_fn": "x"}, "must be a function"),
            ({"project": 1.5}, "must be a text"),
            ({"property_eq": "x"}, "must be a dictionary"),
            ({"filter_fn": "x"}, "must be a function"),
        ]
        for arguments, sentence in wrong:
            with self.subTest(arguments):
                self.assertIn(sentence, str(self.assertRaises(ConfigError, util.ChangeFilter, **arguments)))

    def test_view(self) -> None:
        """
        A change has Buildbot's names, as attributes and as keys.
        """
        change = view(revision="r", comments="c", happened=3.0)
        self.assertEqual((change.who, change.author, change["author"]), ("A", "A", "A"))
        self.assertEqual((change.when, change.number, change["revision"]), (3.0, 1, "r"))
        self.assertEqual((change.get("comments"), change.get("nothing", 7)), ("c", 7))
        self.assertEqual(change.asDict()["files"], [])
