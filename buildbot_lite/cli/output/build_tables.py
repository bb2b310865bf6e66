"""
Builds as tables: a list of them, and one in detail.
"""

from collections.abc import Sequence

from rich.console import Group, RenderableType
from rich.text import Text

from ...model.requester import requester
from .cells import Date, Document, build_name, duration, plain, result_text, short_sources, time_to_come
from .layout import facts, part, table
from .two_lines import TwoLines


def builds(document: Sequence[Document]) -> RenderableType:
    """
    A list of builds.
    """
    rows = [
        (
            plain(build_name(each)),
            result_text(each["result"]),
            plain(each["slave"]),
            Date(each["started"]),
            plain(duration(each["started"], each["finished"])),
            plain(str(each["request"])),
            plain(short_sources(each)),
            plain(requester(each["asked"])),
            plain("; ".join(filter(None, [each["reason"] or _current(each), _ends(each), _related(each)]))),
        )
        for each in document
    ]
    if not rows:
        return table((), rows)
    heads = ("build", "result", "slave", "started", "took", "request", "sources", "requested", "")
    # Of a failure, the step matters more than the requester, which may have no room.
    details = [Text("  ").join(filter(None, (why, asked))) for *_, asked, why in rows]
    first = [(*row[:3], plain(row[3].short()), *row[4:-2]) for row in rows]
    return TwoLines(table(heads, rows), heads[:-2], first, details)


def build(document: Document) -> RenderableType:
    """
    One build in detail.
    """
    asked = document["asked"]
    waited = duration(asked["at"], document["started"])
    described = [
        ("result", result_text(document["result"])),
        ("why", document["reason"] or _current(document)),
        ("requested", f"{Date(asked['at'])}, {requester(asked)} (request {document['request']})"),
        ("sources", " ".join(filter(None, [document["branch"], document["revision"]]))),
        ("slave", document["slave"] + (f" on {document['host']}" if document.get("host") else "")),
        ("started", f"{Date(document['started'])}, {waited} after the request"),
        ("took", duration(document["started"], document["finished"])),
        ("expected end", time_to_come(document.get("expected_end"))),
        ("builds", _related(document)),
        ("environment", ", ".join(document.get("environment", ()))),
    ]
    properties = [(name, repr(value)) for name, (value, _) in sorted(document["properties"].items())]
    steps = [
        (
            step["number"],
            step["name"],
            result_text(step["result"]),
            duration(step["started"], step["finished"]),
            step["summary"],
            ", ".join(step["logs"]),
        )
        for step in document["steps"]
    ]
    return Group(
        plain(build_name(document), "bold"),
        facts(described),
        *part("Properties", facts(properties), properties),
        *part("Steps", table(("#", "step", "result", "took", "summary", "logs"), steps), steps),
    )


def last_good(document: Document) -> RenderableType:
    """
    The newest good build: its name, its revision, when it ended.
    """
    words = [build_name(document), document["revision"] or "-", str(Date(document["finished"]))]
    return plain("  ".join(words))


def _current(build: Document) -> str:
    """
    The running step, or the one that decided the result.
    """
    for step in build["steps"]:
        if step["result"] is None and build["result"] is None:
            waits = build.get("waits_for")
            return f"{step['name']} waits: {waits}" if waits else f"{step['name']} …"
    if build["result"] in {"SUCCESS", None}:
        return ""
    return next(
        (f"{each['name']}: {each['summary']}" for each in build["steps"] if each["result"] == build["result"]), ""
    )


def _related(build: Document) -> str:
    """
    The build that triggered it, and the builds that it triggered.
    """
    parent = build.get("triggered_by")
    by = f"triggered by {build_name(parent)}" if parent else ""
    children = [
        f"{build_name(each) if each['number'] else each['builder']} {each['result'] or 'not finished'}"
        for each in build.get("triggered", ())
    ]
    return "; ".join(filter(None, [by, f"triggered {', '.join(children)}" if children else ""]))


def _ends(build: Document) -> str:
    """
    When a running build is expected to end.
    """
    soon = time_to_come(build.get("expected_end"))
    return "ends soon" if soon == "now" else f"ends at {soon}" if soon else ""
