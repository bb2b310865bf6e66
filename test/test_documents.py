"""
The links of README.md and of the pages in docs lead somewhere.
"""

import re
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

CHECKOUT = Path(__file__).parents[1]
_FENCED = re.compile(r"```.*?```", re.DOTALL)
_HEADING = re.compile(r"^#+ (.*)$", re.MULTILINE)
_LINK = re.compile(r"\]\(([^)\s]+)\)")
_LINKED_WORDS = re.compile(r"\[([^\]]*)\]\([^)]*\)")


def pages() -> list[Path]:
    """
    Return all pages.
    """
    return [CHECKOUT / "README.md", *sorted((CHECKOUT / "docs").rglob("*.md"))]


def anchors(text: str) -> set[str]:
    """
    Return the anchors that GitHub gives to the headings of a page.
    """
    titles = [_LINKED_WORDS.sub(r"\1", title).lower() for title in _HEADING.findall(_FENCED.sub("", text))]
    return {re.sub(r"[^\w\- ]", "", title).replace(" ", "-") for title in titles}


def broken(page: Path, text: str) -> list[str]:
    """
    Return the links in *text*, the text of *page*, to missing files and headings.
    """
    found = []
    for link in _LINK.findall(_FENCED.sub("", text)):
        path, _, anchor = link.partition("#")
        if "://" in path:
            continue
        target = page.parent / path if path else page
        if not target.exists() or (anchor and anchor not in anchors(target.read_text())):
            found.append(link)
    return found


class DocumentsTests(SynchronousTestCase):
    def test_links(self) -> None:
        """
        Promise 7.3: every link of a page leads to a file, and to a heading in it if it names one.
        """
        self.assertGreater(len(pages()), 15)
        for page in pages():
            self.assertEqual(broken(page, page.read_text()), [], page)

    def test_merged(self) -> None:
        """
        No page has the marks of a merge that was not resolved.
        """
        for page in pages():
            marks = [line for line in page.read_text().splitlines() if line.startswith(("<<<<<<< ", ">>>>>>> "))]
            self.assertEqual(marks, [], page)

    def test_broken(self) -> None:
        """
        Links to missing files and headings are found.
        """
        page = CHECKOUT / "README.md"

        self.assertEqual(anchors("# One *thing*: `two`\n## A [link](x.md)"), {"one-thing-two", "a-link"})
        self.assertEqual(
            broken(page, "[d](README.md#see-it) [e](https://x) [c](nowhere.md) [f](#no)"), ["nowhere.md", "#no"]
        )
