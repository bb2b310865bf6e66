"""
axe-core over a page: what keeps people from reading it with a screen reader, a keyboard or weak eyes.

The script comes from the package ``axe-core-python`` (axe-core is MPL-2.0).  It runs through the DevTools protocol, so
the page's Content-Security-Policy needs no exception.
"""

from functools import cache
from importlib.resources import files
from typing import Any

COUNT = frozenset({"serious", "critical"})
"""The impacts that fail a test."""

_RUN = """
const done = arguments[arguments.length - 1];
axe.run(document, {resultTypes: ["violations"]}).then(
    (found) => done(found.violations.map((each) => ({
        id: each.id, impact: each.impact, help: each.help,
        nodes: each.nodes.slice(0, 5).map(
            (node) => `${node.html.slice(0, 160)} (${node.failureSummary.replace(/\\s+/g, " ")})`),
    }))),
    (error) => done([{id: "axe", impact: "critical", help: String(error), nodes: []}]));
"""


@cache
def _script() -> str:
    return files("axe_core_python").joinpath("axe.min.js").read_text()


def violations(driver: Any) -> list[str]:
    """
    The violations on the page of *driver* whose impact is in `COUNT`: rule, what it asks, and some of the elements.
    """
    driver.execute_script(_script())
    found: list[dict[str, Any]] = driver.execute_async_script(_RUN)
    return [
        "\n  ".join([f"{each['id']} ({each['impact']}): {each['help']}", *each["nodes"]])
        for each in found
        if each["impact"] in COUNT
    ]
