"""
Jobs of packages, and targets, as tables.
"""

from collections.abc import Sequence
from typing import Any

from rich.console import Group, RenderableType
from rich.text import Text

from ..command_line.next_commands import command_here, said_here
from .cells import Date, Document, duration, plain
from .layout import facts, part, table
from .two_lines import TwoLines

_STYLES = {
    "finished": "green",
    "done": "green",
    "pushed": "green",
    "failed": "red",
    "killed": "magenta",
    "needsign": "yellow",
    "repowait": "yellow",
    "waiting": "dim",
    "skipped": "dim",
}
_SHORT = {"done": "ok", "skipped": "-"}


def jobs(document: Sequence[Document]) -> RenderableType:
    """
    A list of jobs, with the state of each architecture for which one of them is built.
    """
    arches = list(dict.fromkeys(arch["architecture"] for each in document for arch in each["arches"] if _built(arch)))
    rows: list[Sequence[Any]] = [
        (
            plain(str(each["job"])),
            plain(f"{each['name']} {_version(each)}" + (" (scratch)" if each["scratch"] else "")),
            plain(each["target"]),
            _state(each["state"]),
            plain(each["submitter"]),
            Date(each["created"]),
            plain(duration(each["created"], each["finished"])),
            *_cells(each, arches),
            plain(_reason(each)),
        )
        for each in document
    ]
    if not rows:
        return table((), rows)
    wide = table(("job", "package", "target", "state", "by", "since", "took", *arches, ""), rows)
    # On a narrow terminal, the architectures and the reason are in a line of their own.
    first: list[list[Any]] = [
        [row[0], _shortened(row[1], 44), *row[2:4], _shortened(row[4], 28), row[6]] for row in rows
    ]
    details = [Text("  ").join([_line_of(each), plain(_reason(each))]) for each in document]
    return TwoLines(wide, ("job", "package", "target", "state", "by", "took"), first, details)


def job(document: Document) -> RenderableType:
    """
    One job in detail.
    """
    described = [
        ("state", _state(document["state"])),
        ("why", said_here(document["reason"])),
        ("target", document["target"]),
        ("source", document["version"] if document["version"] != _version(document) else ""),
        ("submitted", f"{Date(document['created'])}, by {document['submitter']}"),
        ("took", duration(document["created"], document["finished"])),
        ("priority", document["priority"] or ""),
        ("after", f"job {document['after']}" if document.get("after") else ""),
        ("made from", _origin(document.get("origin"))),
        ("scratch", "its packages enter no repository" if document["scratch"] else ""),
        ("files", _fetching(document)),
        *(("kept root", _kept_root(document["job"], each)) for each in document["arches"] if each.get("kept_until")),
    ]
    arches = [
        (
            plain(each["architecture"]),
            _state(each["state"]),
            plain(f"{each['builder']}/{each['build']}" if each["build"] else ""),
            plain(each["slave"] or ""),
            plain(duration(each["started"], each["finished"]) if each["started"] else ""),
            plain(said_here(each["reason"])),
        )
        for each in document["arches"]
    ]
    heads = ("architecture", "state", "build", "slave", "took")
    rows, reasons = [each[:-1] for each in arches], [each[-1] for each in arches]
    detailed = TwoLines(table((*heads, ""), arches), heads, rows, reasons, whole=True)
    return Group(
        plain(f"{document['name']} {_version(document)}  (job {document['job']})", "bold"),
        facts(described),
        *part("Architectures", detailed, arches),
        *part("States", table(("state", "since", "for"), _spans(document)), document["history"]),
    )


def job_files(document: Sequence[Document]) -> RenderableType:
    """
    The files of a job.
    """
    rows = [(each["architecture"], each["name"], each["length"], each["sha256"]) for each in document]
    return table(("architecture", "name", "bytes", "sha256"), rows)


def targets(document: Sequence[Document]) -> RenderableType:
    """
    The targets.
    """
    rows = [
        (
            ", ".join([each["target"], *each.get("aliases", ())]),
            each["kind"],
            ", ".join(each["arches"]),
            ", ".join(f"{count} {state}" for state, count in each["jobs"].items()),
            _hindrance(each["paused"], each.get("trouble")),
        )
        for each in document
    ]
    return table(("target", "kind", "architectures", "jobs", ""), rows)


def _version(job: Document) -> str:
    """
    The version of its packages, or of its source until they are built.  Masters of earlier versions tell only the
    latter.
    """
    return str(job.get("built_version") or job["version"])


def _shortened(text: Text, most: int) -> Text:
    """
    At most *most* characters of *text*: one long name must not move the columns of all others out of sight.
    """
    return text if len(text) <= most else plain(f"{text.plain[: most - 1]}…")


def _state(state: str) -> Text:
    return plain(state, _STYLES.get(state, "cyan"))


def _cells(job: Document, arches: Sequence[str]) -> list[Text]:
    states = {each["architecture"]: each["state"] for each in job["arches"]}
    return [
        plain(_SHORT.get(states[arch], states[arch]), _STYLES.get(states[arch], "cyan"))
        if arch in states
        else plain("")
        for arch in arches
    ]


def _built(arch: Document) -> bool:
    return bool(arch["state"] != "skipped")


def _line_of(job: Document) -> Text:
    """
    The architectures with their states.
    """
    return Text("  ").join(
        Text(" ").join([plain(each["architecture"]), _cells(job, [each["architecture"]])[0]]) for each in job["arches"]
    )


def _reason(job: Document) -> str:
    """
    Why it failed, or why it waits.
    """
    waits = [each["reason"] for each in job["arches"] if each["state"] == "waiting" and each["reason"]]
    return said_here(job["reason"] or (waits[0] if waits else ""))


def _fetching(job: Document) -> str:
    """
    How to get what was built.
    """
    built = any(each["state"] == "done" for each in job["arches"])
    return f"to fetch them: {command_here('package fetch', job['job'])}" if built else ""


def _origin(origin: Document | None) -> str:
    if origin is None:
        return ""
    commit = f", commit {origin['commit']}" if origin["commit"] else ""
    return f"{origin['repository']} at {origin['revision']}{commit}"


def _kept_root(job: int, arch: Document) -> str:
    enter = command_here("package shell", job, arch["architecture"])
    return f"of {arch['architecture']}, at most until {Date(arch['kept_until'])}: {enter}"


def _spans(job: Document) -> list[tuple[Text, Date, str]]:
    begun = [at for _, at in job["history"]]
    ends = [*begun[1:], job["finished"]]
    last = len(begun) - 1
    return [
        (_state(state), Date(at), "" if place == last and job["finished"] else duration(at, end))
        for place, ((state, at), end) in enumerate(zip(job["history"], ends, strict=True))
    ]


def _hindrance(paused: Document | None, trouble: Document | None) -> Text:
    said = []
    if paused is not None:
        reason = f": {paused['reason']}" if paused["reason"] else ""
        said.append(plain(f"paused by {paused['by']}{reason}", "yellow"))
    if trouble is not None:
        said.append(
            plain(f"jobs are stuck, next attempt {Date(trouble['again'])}: {said_here(trouble['reason'])}", "red")
        )
    return Text("\n").join(said)
