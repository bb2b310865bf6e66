"""
The documents of `status.documents` and `status.build_documents` as tables.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from ..command_line.next_commands import said_here
from .build_tables import build, builds, last_good
from .cells import Date, Document, build_name, duration, plain, repeated, result_text, short_sources, time_to_come
from .job_tables import job, job_files, jobs, targets
from .layout import part, table

IN_FORCE = "in force"


def status(document: Document) -> RenderableType:
    """
    The farm at a glance.
    """
    parts: list[RenderableType] = [plain(f"{document['title']} (buildbot_lite {document['version']})", "bold")]
    running = [
        (build_name(build), build["slave"], duration(build["started"], None), time_to_come(build.get("expected_end")))
        for build in document["running"]
    ]
    parts += part("Slaves", slaves(document["slaves"]), document["slaves"])
    parts += part("Running", table(("build", "slave", "for", "expected end"), running), running)
    parts += part("Waiting", queue(document["waiting"]), document["waiting"])
    unsent = [
        (
            each["reporter"],
            str(each["messages"]),
            Date(each["since"]),
            each["failure"],
            "given up" if each["next"] is None else Date(each["next"]),
        )
        for each in document.get("unsent", ())
    ]
    if unsent:
        parts += part(
            "Messages not sent", table(("reporter", "messages", "since", "why", "next attempt"), unsent), unsent
        )
    if (reach := document.get("kept")) and reach["builds_since"] is not None:
        oldest = f"Oldest build: {Date(reach['builds_since'])}"
        logs = f"; oldest log: {Date(reach['logs_since'])}" if reach["logs_since"] is not None else ""
        marked = f"; marked by keep: {reach['marked']}" if reach["marked"] else ""
        parts += [plain(""), plain(oldest + logs + marked, "dim")]
    if sources := document.get("change_sources"):
        parts += part("Change sources", _sources_table(sources), sources)
    return Group(*parts)


def _sources_table(document: Sequence[Document]) -> RenderableType:
    rows = [
        (
            each["name"],
            each["kind"],
            Date(each["polled"]),
            "now" if each["polling"] else Date(each["next"]),
            plain(each["error"], "red") if each["error"] else each["remark"] or "",
        )
        for each in document
    ]
    return table(("source", "kind", "last poll", "next poll", ""), rows)


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
            duration(each["submitted"], None),
            time_to_come(each.get("expected_start")),
            why,
        )
        for each, why in zip(document, repeated(said_here(each["why"]["sentence"]) for each in document), strict=True)
    ]
    return table(("#", "request", "builder", "from", "for", "expected start", "why"), rows)


def slaves(document: Sequence[Document]) -> RenderableType:
    """
    The slaves.
    """
    rows = [
        (
            each["slave"],
            presence(each),
            Date(each["since"]),
            ", ".join(each["running"]),
            (each["platform"] or {}).get("hostname", ""),
            (each["platform"] or {}).get("os", ""),
            each["version"] or "",
            trouble(each),
        )
        for each in document
    ]
    return table(("slave", "state", "since", "runs", "host", "system", "version", ""), rows)


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
            build_name(each["last"]),
            result_text(each["last"]["result"]) if each["last"] else "",
            each["description"],
        )
        for each in document
    ]
    return table(("builder", "slaves", "running", "waiting", "last build", "result", "description"), rows)


def schedulers(document: Sequence[Document]) -> RenderableType:
    """
    The schedulers.
    """
    rows = [
        (
            each["scheduler"],
            each["kind"],
            "rendered" if each["builders"] is None else ", ".join(each["builders"]),
            Date(each["next"]),
            each["waits_for"],
            plain(f"{Date(each['error']['at'])}: {each['error']['sentence']}", "red") if each["error"] else "",
        )
        for each in document
    ]
    return table(("scheduler", "kind", "builders", "next", "waits for", "last error"), rows)


def changes(document: Sequence[Document]) -> RenderableType:
    """
    A list of changes.
    """
    rows = [
        (
            each["change"],
            Date(each["when"]),
            each["author"],
            short_sources(each),
            each["project"] or each["repository"],
            ", ".join(build_name(caused) if caused["number"] else caused["builder"] for caused in each["requests"]),
            ("from a fork: " if each["untrusted"] else "") + each["comments"].strip().partition("\n")[0],
        )
        for each in document
    ]
    return table(("change", "when", "author", "sources", "project", "builds", ""), rows)


def artifacts(document: Sequence[Document]) -> RenderableType:
    """
    The artifacts of a build.
    """
    rows = [(each["name"], each["length"], each["sha256"]) for each in document]
    return table(("name", "bytes", "sha256"), rows)


def grants(document: Sequence[Document]) -> RenderableType:
    """
    The grants.  Their states are shown if one is not in force.
    """
    of_state = any(each["state"] != IN_FORCE for each in document)
    rows = [
        (
            f"#{each['grant']}",
            each["verb"],
            each["name"],
            each["label"] or "",
            *([plain(each["state"], "" if each["state"] == IN_FORCE else "red")] if of_state else []),
            Date(each["created"]),
            Date(each["used"]),
            each["uses"],
            each["links"],
            _limits(each),
        )
        for each in document
    ]
    state = ["state"] if of_state else []
    return table(("grant", "kind", "name", "label", *state, "made", "last used", "uses", "links", "limits"), rows)


def kept(document: Sequence[Document]) -> RenderableType:
    """
    The builds that retention must not touch.
    """
    return table(("build", "why"), [(build_name(each), each["reason"]) for each in document])


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
    "jobs": jobs,
    "job": job,
    "job-files": job_files,
    "targets": targets,
}
"""By the name of the document."""


def presence(slave: Document) -> Text:
    """
    The state of a slave, in a word.
    """
    if slave.get("revoked"):
        return plain("revoked", "red")
    if slave.get("state") == "reconnecting":
        return plain("reconnecting", "yellow")
    if not slave["connected"]:
        if slave.get("refused"):
            return plain("refused", "red")
        return plain("away" if slave["since"] else "never seen", "red")
    if slave["draining"]:
        return plain("draining", "yellow")
    if slave["paused"]:
        return plain("paused", "yellow")
    if slave.get("low_space"):
        return plain("low space", "yellow")
    return plain("here", "green")


def trouble(slave: Document) -> Text:
    """
    The reason for which the slave was refused or cut off, or takes no build because of its disk.
    """
    refused = slave.get("refused")
    if refused:
        again = f"The next attempt is by {Date(refused['asks_again_by'])}."
        return plain(f"refused: {said_here(refused['reason'])}  {again}", "red")
    breach = slave.get("breach")
    sentences = [f"cut off {Date(breach['at'])}: {breach['reason']}"] if breach else []
    if slave.get("low_space"):
        sentences.append(slave["obstacle"])
    if slave.get("grace_left") is not None:
        sentences.append(f"its builds are given up in {duration(0.0, slave['grace_left'])}")
    return plain("; ".join(sentences), "red")


def _limits(grant: Document) -> str:
    """
    The limits of a grant.
    """
    limits = []
    if grant["uses_allowed"] is not None:
        limits.append(f"{grant['uses']} of {grant['uses_allowed']} uses")
    if grant["expires"] is not None:
        limits.append(f"until {Date(grant['expires'])}")
    if grant["per_hour"] is not None:
        limits.append(f"{grant['per_hour']} an hour")
    if grant["largest"] is not None:
        limits.append(f"{grant['largest']} bytes")
    if grant["most_waiting"] is not None:
        limits.append(f"{grant['most_waiting']} waiting")
    # A master of an earlier version does not tell it.
    if grant.get("most_priority") is not None:
        limits.append(f"priority {grant['most_priority']}")
    return ", ".join(limits)
