"""
The documents of `status.documents` and `status.build_documents` as tables.

Control characters in texts of slaves and submitters are replaced, so that a terminal does not interpret them.
"""

import re
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.cells import cell_len
from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from ..model.display import printable
from .two_lines import TwoLines

Document = Mapping[str, Any]

_SENTENCES = {
    *("why", "waits for", "last error", "system", "description", "limits", "requested", "summary", ""),
    *("slaves", "builders", "builds", "runs"),
}
"""Columns that may take several lines, between words, where the terminal is narrow."""
_RECENT = 180 * 86400
"""Seconds for which a date without a year is clear."""
_LONGEST_WORD = 30
"""Columns of a terminal that a word of a sentence may have and is not broken."""
_STYLES = {
    "SUCCESS": "green",
    "WARNINGS": "yellow",
    "FAILURE": "red",
    "SKIPPED": "dim",
    "EXCEPTION": "magenta",
    "RETRY": "cyan",
    "CANCELLED": "dim",
}


def status(document: Document) -> RenderableType:
    """
    The farm at a glance.
    """
    parts: list[RenderableType] = [_text(f"{document['title']} (buildbot_lite {document['version']})", "bold")]
    running = [
        (_label(build), build["slave"], _span(build["started"], None), _soon(build.get("expected_end")))
        for build in document["running"]
    ]
    parts += _part("Slaves", slaves(document["slaves"]), document["slaves"])
    parts += _part("Running", _table(("build", "slave", "for", "expected end"), running), running)
    parts += _part("Waiting", queue(document["waiting"]), document["waiting"])
    unsent = [
        (
            each["reporter"],
            str(each["messages"]),
            _when(each["since"]),
            each["failure"],
            "given up" if each["next"] is None else _when(each["next"]),
        )
        for each in document.get("unsent", ())
    ]
    if unsent:
        parts += _part(
            "Messages not sent", _table(("reporter", "messages", "since", "why", "next attempt"), unsent), unsent
        )
    if (reach := document.get("kept")) and reach["builds_since"] is not None:
        logs = f", logs since {_when(reach['logs_since'])}" if reach["logs_since"] is not None else ""
        marked = f", {reach['marked']} of them for ever" if reach["marked"] else ""
        parts += [_text(""), _text(f"Builds are kept since {_when(reach['builds_since'])}{logs}{marked}.", "dim")]
    if sources := document.get("change_sources"):
        parts += _part("Change sources", _sources_table(sources), sources)
    return Group(*parts)


def _sources_table(document: Sequence[Document]) -> RenderableType:
    rows = [
        (
            each["name"],
            each["kind"],
            _when(each["polled"]),
            "now" if each["polling"] else _when(each["next"]),
            _text(each["error"], "red") if each["error"] else each["remark"] or "",
        )
        for each in document
    ]
    return _table(("source", "kind", "last poll", "next poll", ""), rows)


def queue(document: Sequence[Document]) -> RenderableType:
    """
    The waiting requests, with the reasons.
    """
    rows = [
        (
            each.get("position", ""),
            each["request"],
            each["builder"],
            each["scheduler"],
            _span(each["submitted"], None),
            _soon(each.get("expected_start")),
            each["why"]["sentence"],
        )
        for each in document
    ]
    return _table(("#", "request", "builder", "from", "for", "expected start", "why"), rows)


def slaves(document: Sequence[Document]) -> RenderableType:
    """
    The slaves.
    """
    rows = [
        (
            each["slave"],
            _presence(each),
            _when(each["since"]),
            ", ".join(each["running"]),
            (each["platform"] or {}).get("hostname", ""),
            (each["platform"] or {}).get("os", ""),
            each["version"] or "",
            _trouble(each),
        )
        for each in document
    ]
    return _table(("slave", "state", "since", "runs", "host", "system", "version", ""), rows)


def builders(document: Sequence[Document]) -> RenderableType:
    """
    The builders.
    """
    rows = [
        (
            each["builder"],
            ", ".join(each["slaves"]),
            len(each["running"]),
            each["waiting"],
            _label(each["last"]),
            _result(each["last"]["result"]) if each["last"] else "",
            each["description"],
        )
        for each in document
    ]
    return _table(("builder", "slaves", "running", "waiting", "last build", "result", "description"), rows)


def schedulers(document: Sequence[Document]) -> RenderableType:
    """
    The schedulers.
    """
    rows = [
        (
            each["scheduler"],
            each["kind"],
            "rendered" if each["builders"] is None else ", ".join(each["builders"]),
            _when(each["next"]),
            each["waits_for"],
            _text(f"{_when(each['error']['at'])}: {each['error']['sentence']}", "red") if each["error"] else "",
        )
        for each in document
    ]
    return _table(("scheduler", "kind", "builders", "next", "waits for", "last error"), rows)


def builds(document: Sequence[Document]) -> RenderableType:
    """
    A list of builds.
    """
    rows = [
        (
            _text(_label(each)),
            _result(each["result"]),
            _text(each["slave"]),
            _text(_when(each["started"])),
            _text(_span(each["started"], each["finished"])),
            _text(str(each["request"])),
            _text(_sources(each)),
            _text(_asked(each["asked"])),
            _text("; ".join(filter(None, [each["reason"] or _current(each), _ends(each), _related(each)]))),
        )
        for each in document
    ]
    if not rows:
        return _table((), ())
    heads = ("build", "result", "slave", "started", "took", "request", "sources", "requested", "")
    # Of a failure, the step matters more than the requester, which may have no room.
    details = [Text("  ").join(filter(None, (why, asked))) for *_, asked, why in rows]
    dated = [_text(_short_date(each["started"])) for each in document]
    first = [(*row[:3], date, *row[4:-2]) for row, date in zip(rows, dated, strict=True)]
    return TwoLines(_table(heads, rows), heads[:-2], first, details)


def build(document: Document) -> RenderableType:
    """
    One build in detail.
    """
    asked = document["asked"]
    finished = document["finished"]
    facts = [
        ("result", _result(document["result"])),
        ("why", document["reason"] or _current(document)),
        ("requested", f"{_when(asked['at'])}, {_asked(asked)} (request {document['request']})"),
        ("sources", _text(" ".join(filter(None, [document["branch"], document["revision"]])))),
        ("slave", document["slave"] + (f" on {document['host']}" if document.get("host") else "")),
        ("started", f"{_when(document['started'])}, after {_span(asked['at'], document['started'])}"),
        ("took", _span(document["started"], finished)),
        ("expected end", _soon(document.get("expected_end"))),
        ("builds", _related(document)),
        ("environment", ", ".join(document.get("environment", ()))),
        *((name, repr(value)) for name, (value, _) in sorted(document["properties"].items())),
    ]
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), show_header=False)
    for name, value in facts:
        if value:
            table.add_row(_text(name, "dim"), value if isinstance(value, Text) else _text(str(value)))
    steps = [
        (
            step["number"],
            step["name"],
            _result(step["result"]),
            _span(step["started"], step["finished"]),
            step["summary"],
            ", ".join(step["logs"]),
        )
        for step in document["steps"]
    ]
    heads = ("#", "step", "result", "took", "summary", "logs")
    return Group(_text(_label(document), "bold"), table, *_part("Steps", _table(heads, steps), steps))


def last_good(document: Document) -> RenderableType:
    """
    The newest good build: its name, its revision, when it ended.
    """
    words = [_label(document), document["revision"] or "-", _when(document["finished"])]
    return _text("  ".join(words))


def changes(document: Sequence[Document]) -> RenderableType:
    """
    A list of changes.
    """
    rows = [
        (
            each["change"],
            _when(each["when"]),
            each["author"],
            _sources(each),
            each["project"] or each["repository"],
            ", ".join(_label(caused) if caused["number"] else caused["builder"] for caused in each["requests"]),
            ("from a fork: " if each["untrusted"] else "") + each["comments"].strip().partition("\n")[0],
        )
        for each in document
    ]
    return _table(("change", "when", "author", "sources", "of", "builds", ""), rows)


def artifacts(document: Sequence[Document]) -> RenderableType:
    """
    The artifacts of a build.
    """
    rows = [(each["name"], each["length"], each["sha256"]) for each in document]
    return _table(("name", "bytes", "sha256"), rows)


def grants(document: Sequence[Document]) -> RenderableType:
    """
    The grants.
    """
    rows = [
        (
            f"#{each['grant']}",
            each["verb"],
            each["name"],
            each["label"] or "",
            _text(each["state"], "" if each["state"] == "in force" else "red"),
            _when(each["created"]),
            _when(each["used"]),
            each["uses"],
            each["links"],
            _limits(each),
        )
        for each in document
    ]
    heads = ("grant", "to", "what", "label", "state", "made", "last used", "uses", "links", "limits")
    return _table(heads, rows)


def kept(document: Sequence[Document]) -> RenderableType:
    """
    The builds that retention must not touch.
    """
    return _table(("build", "why"), [(_label(each), each["reason"]) for each in document])


TABLES: Mapping[str, Callable[[Any], RenderableType]] = {
    "status": status,
    "queue": queue,
    "slaves": slaves,
    "builders": builders,
    "schedulers": schedulers,
    "builds": builds,
    "build": build,
    "last-good": last_good,
    "artifacts": artifacts,
    "changes": changes,
    "grants": grants,
    "kept": kept,
}
"""By the name of the document."""


def _table(heads: Sequence[str], rows: Sequence[Sequence[object]]) -> RenderableType:
    if not rows:
        return _text("none", "dim")
    table = Table(box=None, pad_edge=False, padding=(0, 2, 0, 0), header_style="bold", show_edge=False)
    texts = [[cell if isinstance(cell, Text) else _text(str(cell)) for cell in row] for row in rows]
    for head, *column in zip(heads, *texts, strict=True):
        table.add_column(
            head,
            overflow="fold",
            min_width=max(len(head), *map(_longest_word if head in _SENTENCES else cell_len, map(str, column))),
            # rich takes the missing width from the widest column that may be broken, whatever its least width is.
            no_wrap=head not in _SENTENCES,
            justify="right" if head in {"bytes", "running", "waiting"} else "left",
        )
    for row in texts:
        table.add_row(*row)
    return table


def _longest_word(text: str) -> int:
    return max((min(cell_len(word), _LONGEST_WORD) for word in text.split()), default=0)


def _part(title: str, table: RenderableType, rows: Sequence[object]) -> list[RenderableType]:
    return ["", _text(title if rows else f"{title}: none", "bold"), *([table] if rows else [])]


def _text(text: str, style: str = "") -> Text:
    return Text(printable(text), style=style)


def _label(build: Document | None) -> str:
    return f"{build['builder']}/{build['number']}" if build else ""


def _result(result: str | None) -> Text:
    return _text("running", "cyan") if result is None else _text(result, _STYLES.get(result, ""))


def _presence(slave: Document) -> Text:
    if slave.get("revoked"):
        return _text("revoked", "red")
    if not slave["connected"]:
        if slave.get("refused"):
            return _text("refused", "red")
        return _text("away" if slave["since"] else "never seen", "red")
    if slave["draining"]:
        return _text("draining", "yellow")
    if slave["paused"]:
        return _text("paused", "yellow")
    if slave.get("low_space"):
        return _text("low space", "yellow")
    return _text("here", "green")


def _trouble(slave: Document) -> Text:
    """
    The reason for which the slave was refused or cut off, or takes no build because of its disk.
    """
    refused = slave.get("refused")
    if refused:
        again = f"The next attempt is by {_when(refused['asks_again_by'])}."
        return _text(f"refused: {refused['reason']}  {again}", "red")
    breach = slave.get("breach")
    sentences = [f"cut off {_when(breach['at'])}: {breach['reason']}"] if breach else []
    if slave.get("low_space"):
        sentences.append(slave["obstacle"])
    return _text("; ".join(sentences), "red")


def _limits(grant: Document) -> str:
    """
    The limits of a grant.
    """
    limits = []
    if grant["uses_allowed"] is not None:
        limits.append(f"{grant['uses']} of {grant['uses_allowed']} uses")
    if grant["expires"] is not None:
        limits.append(f"until {_when(grant['expires'])}")
    if grant["per_hour"] is not None:
        limits.append(f"{grant['per_hour']} an hour")
    if grant["largest"] is not None:
        limits.append(f"{grant['largest']} bytes")
    if grant["most_waiting"] is not None:
        limits.append(f"{grant['most_waiting']} waiting")
    return ", ".join(limits)


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
    by = f"triggered by {_label(parent)}" if parent else ""
    children = [
        f"{_label(each) if each['number'] else each['builder']} {each['result'] or 'not finished'}"
        for each in build.get("triggered", ())
    ]
    return "; ".join(filter(None, [by, f"triggered {', '.join(children)}" if children else ""]))


def _sources(build: Document) -> str:
    """
    Branch and revision, shortened as git does it.
    """
    revision = build["revision"] or ""
    short = revision[:10] if re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", revision) else revision
    return " ".join(filter(None, [build["branch"], short]))


def _asked(asked: Document) -> str:
    """
    The requester and the reason.
    """
    who, why = asked["by"] or asked["scheduler"], asked["reason"]
    return (
        why
        if any(name in why for name in (f"({who})", repr(who))) or who in re.findall(r"[\w.-]+", why)
        else f"{who}: {why}"
    )


def _when(seconds: float | None) -> str:
    return "" if seconds is None else datetime.fromtimestamp(seconds).astimezone().strftime("%Y-%m-%d %H:%M:%S")


def _short_date(seconds: float | None) -> str:
    """
    A past time as `ls` shows it: with the time of day, or the year if it is long ago.
    """
    if seconds is None:
        return ""
    recent = time.time() - seconds < _RECENT
    return datetime.fromtimestamp(seconds).astimezone().strftime("%m-%d %H:%M" if recent else "%Y-%m-%d")


def _soon(seconds: float | None) -> str:
    """
    A time to come, without the date if that is today's.
    """
    if seconds is None:
        return ""
    if seconds <= time.time():
        return "now"
    at, today = datetime.fromtimestamp(seconds).astimezone(), datetime.now().astimezone()
    return at.strftime("%H:%M:%S") if at.date() == today.date() else _when(seconds)


def _ends(build: Document) -> str:
    """
    When a running build is expected to end.
    """
    soon = _soon(build.get("expected_end"))
    return "ends soon" if soon == "now" else f"ends at {soon}" if soon else ""


def _span(start: float | None, end: float | None) -> str:
    """
    From *start* to *end*, or to now.
    """
    if start is None:
        return ""
    seconds = max(0.0, (time.time() if end is None else end) - start)
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(int(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    hours, minutes = divmod(minutes, 60)
    return f"{hours} h {minutes} min" if hours < 48 else f"{hours // 24} d {hours % 24} h"
