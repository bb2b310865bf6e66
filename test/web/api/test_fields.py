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
    "about.html": ["About"],
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
    "log.html": ["OneBuild", "Log", "Lines", "FoundLines"],
    "log_lines.html": ["Lines", "BuildDetails"],
    "package.html": ["Job", "OneBuild", "Log"],
    "packages.html": ["Jobs", "Targets"],
    "parts.html": [],
    "queue.html": ["Queue", "Schedulers", "Farm"],
    "repository.html": ["TargetRepository", "Packages"],
    "repository_files.html": ["RepositoryFiles"],
    "sentence.html": [],
    "slave.html": ["Slave", "Builds"],
    "slaves.html": ["Slaves"],
    "waterfall.html": ["Builds", "Builders"],
}
"""The components of the API with what each template shows."""

METHODS = frozenset(["get", "items", "values", "split", "strip", "startswith", "index", "last"])
"""Methods of texts and mappings, and places in loops."""

_PERSON = "of the person who looks: which buttons are there, and their name"
_GROUPS = "what the page groups or lists"
_MACROS = "macros, and the build in a row"
_BARS = "bars and plots: of `started` and `finished`"
_COUNTS = "counts, sentences and words: of the slaves and requests listed"
_SIZES = "of files and logs, whose bytes and lengths the API and the repository give"
_LINES = "lines of a log, and of a search in it"

ROWS = "rows.py"
PRESENTATION: Mapping[str, Mapping[str, str]] = {
    "api.html": {
        "about answer body many media method name parameters path": "the API's own description (openapi.json)",
    },
    "build.html": {
        "badge progress": _MACROS,
        "following": "`next` of the details of a build",
        "from spent width": _BARS,
        "neighbours": _GROUPS,
        "permits": _PERSON,
        "size tail": _SIZES,
    },
    "builder.html": {
        "bars good longest median median_height width": _BARS,
        "builds_table": _MACROS,
        "entries": _GROUPS,
        "permits": _PERSON,
    },
    "builds.html": {"builds_table": _MACROS, "entries": _GROUPS},
    "change.html": {"badge": _MACROS},
    "farm.html": {
        "cell progress": _MACROS,
        "cells shown": _GROUPS,
        "count says starts states total until words": _COUNTS,
        "step": "the last of the `steps` of a build that runs",
        "tag text": "the filter in the address",
    },
    "force.html": {
        "chosen field groups is_first is_multiple more problems says_none sentence text value wrong": "of a form that "
        "somebody has filled in",
    },
    "frame.html": {"label permits": _PERSON},
    "log.html": {
        "back case end gone part place previous refused said start state": _LINES,
    },
    "log_lines.html": {
        "begins end entries first_marked goes_on hidden html is_far length marked remark": _LINES,
        "size": _SIZES,
    },
    "package.html": {"place size tail": _SIZES},
    "queue.html": {"permits": _PERSON},
    "slave.html": {
        "builds_table": _MACROS,
        "entries": _GROUPS,
        "permits": _PERSON,
        "says until words": _COUNTS,
    },
    "waterfall.html": {"x y": _BARS},
    ROWS: {"build origin": _GROUPS, "says until words": _COUNTS},
}
"""
Fields of each template, and of the rows without one, that are in none of its documents, and why; names with the same
reason together.
"""

_FRAME = frozenset(["farm_title", "has_packages", "holder", "now", "path", "root", "static", "status"])
"""Names of each page: its place, the time, who looks, and what the links above it need (`Farm`)."""
_PAGING = frozenset(
    ["after", "before", "filter", "following", "loop", "more", "newer", "older", "page", "query", "states", "text"]
)
"""Names of where a list begins and ends, and of its filter."""
NAMES: Mapping[str, Mapping[str, str]] = {
    "api.html": {"base endpoints example": "the API's own description (openapi.json)"},
    "build.html": {"artifacts build details live": _GROUPS},
    "builder.html": {"is_gone": "`configured` of a builder", "plot plot_bars": _BARS},
    "changes.html": {"builders console_rows": _GROUPS},
    "enter.html": {"code private": _PERSON},
    "farm.html": {
        "build_links": _MACROS,
        "failing names rows": _GROUPS,
        "is_known": "whether the master ever answered: where the API refuses",
    },
    "grants.html": {"everything total": _GROUPS},
    "log.html": {
        "base build_id of_build of_logs": "addresses",
        "beyond counted empty find longest near search shown": _LINES,
        "names": "`logs` of a step",
    },
    "log_lines.html": {"base": "addresses", "groups layout moved near shown": _LINES},
    "package.html": {"opened": _GROUPS},
    "packages.html": {"counts": "`jobs` of targets"},
    "parts.html": {"build_rows": _MACROS},
    "queue.html": {"is_known": "whether the master ever answered: where `total` is null", "sources": _GROUPS},
    "repository.html": {"pushed": "whether there is `use`, or will be", "versions": _GROUPS},
    "repository_files.html": {"inside": "`path` of a directory"},
    "sentence.html": {"back sentence title": "`detail` of a refusal"},
    "slave.html": {"build_links": _MACROS, "is_configured": "`state` of a slave"},
    "slaves.html": {"slave_rows": _MACROS, "total": _COUNTS},
    "waterfall.html": {"blocks choices column cut height hours shown tag ticks width": _BARS},
}
"""What templates are given beside documents and their fields, and why the API has no such field."""


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


def given_to(template: str) -> set[str]:
    """
    The names that *template* is given.
    """
    tree = Environment(autoescape=True).parse((WEB / "templates" / template).read_text())
    names = list(tree.find_all(nodes.Name))
    own = {name.name for name in names if name.ctx != "load"}
    own |= {each.target for each in tree.find_all(nodes.Import)} | {each.name for each in tree.find_all(nodes.Macro)}
    return {name.name for name in names} - own


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


def known_of(components: Sequence[str]) -> set[str]:
    """
    The names of all fields of *components*.
    """
    return {name for component in components for name in fields_of(COMPONENTS[component])}


def allowed_in(template: str) -> set[str]:
    """
    The names in the list of the fields that *template* has, and none of its documents.
    """
    return {name for names in PRESENTATION.get(template, ()) for name in names.split()}


class FieldsTests(SynchronousTestCase):
    """
    The fields of templates.
    """

    def test_templates(self) -> None:
        """
        Promise 10.5: each field that a page shows is in one of the documents that the API has of it, or stands in the
        list of those that only this page has, with the reason; and that list has no others.
        """
        templates = sorted(each.name for each in (WEB / "templates").glob("*.html"))
        self.assertEqual(templates, sorted(DOCUMENTS), "name the documents of a new template here")
        self.assertEqual(sorted(set(PRESENTATION) - {*DOCUMENTS, ROWS}), [])
        for template in templates:
            own = shown_by(template) - known_of(DOCUMENTS[template]) - METHODS
            self.assertEqual(sorted(own), sorted(allowed_in(template)), template)

    def test_names(self) -> None:
        """
        Promise 10.5: so is each value that a template is given by itself.
        """
        for template, components in DOCUMENTS.items():
            own = given_to(template) - known_of(components) - _FRAME - _PAGING - METHODS - allowed_in(template)
            listed = {name for names in NAMES.get(template, ()) for name in names.split()}
            self.assertEqual(sorted(own), sorted(listed), template)

    def test_rows(self) -> None:
        """
        Promise 10.5: so is each field of rows that no template writes.
        """
        found = set(read_by_rows())
        self.assertGreater(len(found), 12)
        own = found - known_of(["Slave", "Change", "Builds"]) - METHODS
        self.assertEqual(sorted(own), sorted(allowed_in(ROWS)))
