"""
docs/promises.md and docs/security.md name existing tests.
"""

import ast
import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

ROOT = Path(__file__).resolve().parents[1]
PROMISES = 14


def names_in(path: Path) -> set[str]:
    """
    Return the classes of a file, and their tests as "Class.test".
    """
    found = set()
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.ClassDef):
            found |= {
                node.name,
                *(
                    f"{node.name}.{each.name}"
                    for each in node.body
                    if isinstance(each, ast.FunctionDef | ast.AsyncFunctionDef)
                ),
            }
    return found


class PromisesTests(SynchronousTestCase):
    def test_named_tests_exist(self) -> None:
        """
        Every file, class and test that the tables name exists.
        """
        text = "".join((ROOT / "docs" / page).read_text() for page in ("promises.md", "security.md"))
        path, tests = ROOT, set[str]()
        for word in re.findall(r"`([^`\n]+)`", text):
            if word.endswith(".py"):
                path = ROOT / word
                self.assertTrue(path.is_file(), word)
                tests = names_in(path)
            elif re.fullmatch(r"[A-Z][A-Za-z]+Tests?(\.test_\w+)?", word):
                self.assertIn(word, tests, path)

    def test_each_promise_is_shown(self) -> None:
        """
        Each promise has a row, which names real-process tests with the promise in their docstrings.
        """
        text = (ROOT / "docs" / "promises.md").read_text()
        rows = {int(number): row for number, row in re.findall(r"^\| (\d+) (\|.*)$", text, re.MULTILINE)}

        self.assertEqual(list(rows), list(range(1, PROMISES + 1)))
        for number, row in rows.items():
            named = [ROOT / name for name in re.findall(r"`(test/processes/test_\w+\.py)`", row)]
            self.assertTrue(any(f"Promise {number}:" in path.read_text() for path in named), f"promise {number}")
