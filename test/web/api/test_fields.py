"""
The API has what pages show: the fields that templates write, beside those of the documents.
"""

import ast
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from jinja2 import Environment, nodes
from twisted.trial.unittest import SynchronousTestCase

import buildbot_lite.web
from buildbot_lite.web.api.schemas import COMPONENTS

WEB = Path(buildbot_lite.web.__file__).parent
DOCUMENTS: Mapping[str, Sequence[str]] = {
    "about.html": ["Farm"],
    "api.html": [],
    "build.html": ["OneBuild", "BuildDetails", "Artifact", "Change", "Farm"],
    "builder.html": ["Builder", "Builds", "Queue"],
    "builds.html": ["Builds"],
    "change.html": ["Change"],
    "changes.html": ["Changes"],
    "enter.html": [],
    "farm.html": ["Farm", "Builders", "Builds"],
    "force.html": ["Builder", "ForceForms"],
    "frame.html": ["Farm"],
    "grants.html": ["Grants"],
    "log.html": ["OneBuild", "Log", "Lines"],
    "log_lines.html": ["Lines", "BuildDetails"],
    "package.html": ["Job", "OneBuild", "Log"],
    "packages.html": ["Jobs", "Targets"],
    "parts.html": [],
    "queue.html": ["Queue", "Schedulers", "Farm"],
    "repository.html": ["Target", "Job"],
    "repository_files.html": [],
    "sentence.html": [],
    "slave.html": ["Slave", "Builds"],
    "slaves.html": ["Slaves"],
    "waterfall.html": ["Builds", "Builders"],
}
"""The components of the API with what each template shows."""

PRESENTATION: Mapping[str, str] = {
    "get items values split strip startswith index last": "methods of texts and mappings, and places in loops",
    "badge builds_table cell progress": "macros, and the build in a row",
    "permits label": "of the person who looks: which buttons are there, and their name",
    "tag text": "the filter in the address",
    "neighbours entries cells shown": "what a page groups or lists",
    "following": "`next` of the details of a build",
    "spent from width x y bars good median median_height longest": "bars and plots: of `started` and `finished`",
    "count total starts states says until words": "counts, sentences and words: of the slaves and requests listed",
    "tail size": "of the logs, whose bytes and lengths the API gives",
    "attached": "when a slave that the master does not know any more was here last",
    "after back before begins case end first_marked found gone goes_on hidden html is_far": "lines of a log",
    "marked part place previous refused remark said start state step length": "lines of a log, and of a search in it",
    "address fingerprints is_known is_private is_rpm is_signed key machine path files name source": "of a repository, "
    "which is for programs itself: Release, repomd.xml, key.asc",
    "licence": "of the installed packages",
    "field groups is_first more problems sentence value wrong": "of a form that somebody has filled in",
    "about answer body many media method parameters kind": "the API's own description (openapi.json)",
}
"""Fields of pages that are in none of their documents, and why; names with the same reason together."""


def fields_of(schema: Any) -> set[str]:
    """
    The names of all fields of *schema*, at any depth.
    """
    found: set[str] = set()
    if isinstance(schema, Mapping):
        found |= set(schema.get("properties", ()))
        if "$ref" in schema:
            found |= fields_of(COMPONENTS[schema["$ref"].rpartition("/")[2]])
        for each in schema.values():
            found |= fields_of(each)
    elif isinstance(schema, list):
        for each in schema:
            found |= fields_of(each)
    return found


def shown_by(template: str) -> set[str]:
    """
    The names of the fields that *template* reads.
    """
    tree = Environment(autoescape=True).parse((WEB / "templates" / template).read_text())
    return {node.attr for node in tree.find_all(nodes.Getattr)}


def read_by_rows() -> Iterator[str]:
    """
    The names of the fields that rows without a template read, of documents (``slave["since"]``) and of builds.
    """
    for node in ast.walk(ast.parse((WEB / "html" / "rows.py").read_text())):
        if (
            isinstance(node, ast.Subscript)
            and isinstance(node.slice, ast.Constant)
            and isinstance(node.slice.value, str)
        ):
            yield node.slice.value
        elif isinstance(node, ast.Attribute) and getattr(node.value, "id", "") in {"build", "entry"}:
            yield node.attr


class FieldsTests(SynchronousTestCase):
    """
    The fields of templates.
    """

    allowed = frozenset(name for names in PRESENTATION for name in names.split())

    def test_templates(self) -> None:
        """
        Promise 10.5: each field that a page shows is in one of the documents that the API has of it, or stands in the
        list of those that only pages have, with the reason.
        """
        templates = sorted(each.name for each in (WEB / "templates").glob("*.html"))
        self.assertEqual(templates, sorted(DOCUMENTS), "name the documents of a new template here")
        for template in templates:
            known = {name for component in DOCUMENTS[template] for name in fields_of(COMPONENTS[component])}
            self.assertEqual(sorted(shown_by(template) - known - self.allowed), [], template)

    def test_rows(self) -> None:
        """
        Promise 10.5: so is each field of rows that no template writes.
        """
        known = {name for component in ("Slave", "Change", "Builds") for name in fields_of(COMPONENTS[component])}
        found = set(read_by_rows())
        self.assertGreater(len(found), 12)
        self.assertEqual(sorted(found - known - self.allowed - {"build", "origin"}), [])

    def test_list(self) -> None:
        """
        The list of fields of pages has none that no page has.
        """
        used = {name for template in DOCUMENTS for name in shown_by(template)} | set(read_by_rows())
        self.assertEqual(sorted(self.allowed - used), [])
