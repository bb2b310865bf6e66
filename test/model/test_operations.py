"""
Operators of renderables.
"""

from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import ConfigError, PropertyError
from buildbot_lite.model.interpolation import Interpolate
from buildbot_lite.model.properties import Properties
from buildbot_lite.model.rendering import Property, View, render_now, renderer


class OperatorTests(SynchronousTestCase):
    """
    Promise 8.6: renderables are compared, and computed with.
    """

    view = View(Properties({"branch": "main", "n": 7, "list": ["a", "main"]}))

    def test_operators(self) -> None:
        """
        Each operator has the value that it has for the rendered operands.
        """
        n, branch = Property("n"), Property("branch")
        rows: list[tuple[Any, Any]] = [
            (branch == "main", True),
            ("main" == branch, True),  # noqa: SIM300 - the reflected form
            (branch != "main", False),
            (Interpolate("%(prop:branch)s") == "main", True),
            (renderer(lambda props: props["n"]) == n, True),
            (n < 8, True),
            (n <= 6, False),
            (n > 7, False),
            (n >= 7, True),
            (n + 1, 8),
            (n - 1, 6),
            (n * 2, 14),
            (n / 2, 3.5),
            (n // 2, 3),
            (n % 4, 3),
            ((n + 1) * 2, 16),
            (branch.in_(["main", "next"]), True),
            (branch.in_(Property("list")), True),
            (branch.in_(["next"]), False),
            ([branch + "-x"], ["main-x"]),
        ]
        for operation, expected in rows:
            with self.subTest(repr(operation)):
                self.assertEqual(render_now(operation, self.view), expected)

    def test_not_in_the_configuration(self) -> None:
        """
        ``if Property("branch") == "main":`` in a configuration says that only a build has the value.
        """
        with self.assertRaisesRegex(ConfigError, "only in a build"):
            bool(Property("branch") == "main")

    def test_errors(self) -> None:
        """
        Values that do not go together fail the build with a sentence.
        """
        for operation in (Property("branch") - 1, Property("n") // 0, Property("n").in_(3)):
            with self.assertRaisesRegex(PropertyError, "cannot be computed"):
                render_now(operation, self.view)

    def test_hashable(self) -> None:
        """
        Renderables may be keys.
        """
        key = Property("branch")
        self.assertEqual({key: 1}[key], 1)
