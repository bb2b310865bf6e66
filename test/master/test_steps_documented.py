"""
The documents about steps agree with the code.
"""

import re
import unittest
from pathlib import Path
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.master import steps
from buildbot_lite.master.config.mistakes import collecting
from buildbot_lite.master.steps.argument import declaration
from buildbot_lite.testing import run

DOCS = Path(__file__).parents[2] / "docs"


def examples(page: str) -> list[str]:
    """
    The complete Python examples on a page.
    """
    pieces = re.findall(r"```python\n(.*?)```", (DOCS / page).read_text(), re.DOTALL)
    return [piece for piece in pieces if not piece.startswith("async def")]


class DocumentedTests(SynchronousTestCase):
    def test_arguments(self) -> None:
        """
        Each argument of each step is on the page and in the docstring.
        """
        page = (DOCS / "steps.md").read_text()
        for name in steps.__all__:
            cls = getattr(steps, name)
            doc = " ".join(each.__doc__ or "" for each in cls.__mro__)
            for argument in declaration(cls).names:
                self.assertIn(f"*{argument}*", doc, name)
                self.assertIn(f"`{argument}`", page, name)

    def test_positional(self) -> None:
        """
        The page lists exactly the positional arguments of each step, and a step copies them.
        """
        said = dict(re.findall(r"`([A-Z]\w+)\(([\w, ]+)\)`", (DOCS / "steps.md").read_text()))
        have = {name: ", ".join(declaration(getattr(steps, name)).positional) for name in steps.__all__}
        self.assertEqual(said, {name: names for name, names in have.items() if names})
        plain, named = steps.StringDownload("text", "a"), steps.StringDownload(s="text", slavedest="a")
        self.assertEqual((plain.s, plain.slavedest), (named.s, named.slavedest))
        copy = plain.recipe.make()
        self.assertIsInstance(copy, steps.StringDownload)
        self.assertEqual(vars(copy)["s"], "text")

    def test_defaults(self) -> None:
        """
        A step's default name and haltOnFailure are as the page says.
        """
        page = (DOCS / "steps.md").read_text()
        for name in steps.__all__:
            cls = getattr(steps, name)
            match = re.search(rf"\n## {name}\n(.*?)(?=\n## )", page, re.DOTALL)
            if match and cls is not steps.Trigger:
                self.assertIn(f"amed `{cls.name}`", match[1])
            if match and "its failure ends the build" in match[1]:
                self.assertTrue(cls.haltOnFailure, name)
            elif match:
                self.assertFalse(cls.haltOnFailure, name)

    def test_examples(self) -> None:
        """
        The examples make no mistakes.
        """
        for piece in [*examples("steps.md"), *examples("own-steps.md")]:
            with collecting({"page": "page"}) as mistakes:
                exec(compile(piece, "page", "exec"), _namespace())
            self.assertEqual(mistakes.found, [], piece)

    def test_own_steps(self) -> None:
        """
        The example of a user's own step works, and its tests pass.
        """
        words = _namespace()
        for piece in examples("own-steps.md"):
            exec(piece, words)
        self.assertEqual(run(words["Wait"](delay=3)).commands, ["sleep 3.0"])
        result = unittest.TestResult()
        unittest.defaultTestLoader.loadTestsFromTestCase(words["CountWarningsTests"]).run(result)
        self.assertEqual((result.testsRun, result.errors, result.failures), (2, [], []))


def _namespace() -> dict[str, Any]:
    words: dict[str, Any] = {"__name__": "page"}
    exec("from buildbot_lite.plugins import schedulers, steps, util", words)
    return words
