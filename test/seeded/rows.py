"""
The rows of one change, and of one build with its submission, its steps and its logs.

Each function appends to lists of rows by table; the columns of a row are those of `COLUMNS`.
"""

import json
from collections.abc import Mapping, Sequence
from random import Random
from typing import Any

from attrs import frozen

from buildbot_lite.model.names import directory_name
from buildbot_lite.model.results import Result

from .values import AUTHORS, COMMENTS, FAILURES, HOSTILE, STEPS, SUMMARIES

Rows = dict[str, list[tuple[Any, ...]]]

COLUMNS: Mapping[str, Sequence[str]] = {
    "changes": (
        "id", "digest", "received", "happened", "author", "comments", "files", "revision", "branch", "repository",
        "project", "category", "revlink", "properties", "source", "untrusted",
    ),
    "buildsets": (
        "id", "scheduler", "reason", "submitted", "source", "properties", "finished", "result", "by_grant",
        "parent_build",
    ),
    "buildset_changes": ("buildset", "change"),
    "requests": ("id", "buildset", "builder", "submitted", "priority", "finished", "result", "reason"),
    "builds": (
        "id", "request", "builder", "number", "slave", "home", "nonce", "generation", "started", "finished", "result",
        "reason", "properties", "kept",
    ),
    "steps": ("build", "number", "name", "started", "finished", "result", "summary", "hidden"),
    "journal": ("build", "step", "ordinal", "kind", "fingerprint", "intent", "begun", "outcome", "ended"),
    "streams": ("id", "build", "step", "ordinal", "name", "kind", "path", "length", "sha256"),
    "remarks": ("build", "step", "log", "offset", "at", "text"),
    "feed": ("at", "kind", "request", "build", "body"),
}  # fmt: skip
GENERATION = "0" * 64
STREAMS_OF_BUILD = 8
"""The ids of a build's streams begin at this multiple of its own."""
_REPOSITORY = "https://git.example.org/farm.git"
_ENDS = (
    (Result.SUCCESS, 0.80),
    (Result.FAILURE, 0.10),
    (Result.WARNINGS, 0.06),
    (Result.EXCEPTION, 0.02),
    (Result.CANCELLED, 0.02),
)


@frozen
class Subject:
    """
    The build to make.  *place*: of its builder in the list of builders.  *hostile*: a number that chooses a text of
    `HOSTILE`; None: ordinary texts.  *started*, and *now* of a running build: seconds since 1970.  *steps*: at most.
    """

    id: int
    builder: str
    place: int
    number: int
    slave: str
    change: int
    started: float
    now: float
    running: bool = False
    hostile: int | None = None
    steps: int = len(STEPS)
    events: bool = False

    def text(self, ordinary: str) -> str:
        """
        A text of this build: the ordinary one, or a hostile one.
        """
        return ordinary if self.hostile is None else HOSTILE[self.hostile % len(HOSTILE)]

    @property
    def revision(self) -> str:
        """
        The revision that it builds.
        """
        return revision_of(self.change)


def revision_of(change: int) -> str:
    """
    The revision of a change.
    """
    return f"{change * 2654435761 % (1 << 32):08x}" * 5


def log_path(place: int, build: int, step: int) -> str:
    """
    The file of a step's log, below the farm's ``streams``.
    """
    return f"{place}/{build}/{step}-0-stdio"


def add_change(rows: Rows, id: int, at: float, hostile: int | None) -> None:
    """
    Add a change.
    """
    text = None if hostile is None else HOSTILE[hostile % len(HOSTILE)]
    revision = revision_of(id)
    rows["changes"].append(
        (
            id, f"{id:064x}", at, at - 30, text or AUTHORS[id % len(AUTHORS)], text or COMMENTS[id % len(COMMENTS)],
            json.dumps([text or "src/parser.c", "docs/index.md"]), revision, text or "main", text or _REPOSITORY,
            text or "farm", text, text or f"https://git.example.org/farm/{revision}",
            json.dumps({text or "event": [text or "push", "Change"]}), "hooks", int(id % 11 == 0),
        )
    )  # fmt: skip


def add_build(rows: Rows, random: Random, subject: Subject) -> None:
    """
    Add a build, with its buildset and request.
    """
    result = None if subject.running else random.choices([each for each, _ in _ENDS], [each for _, each in _ENDS])[0]
    steps = min(subject.steps, len(STEPS))
    broken = random.randrange(steps) if result in {Result.FAILURE, Result.EXCEPTION, Result.CANCELLED} else None
    done = steps if broken is None else broken + 1
    if subject.running:
        done = max(1, steps - 1)
    at = subject.started
    for step in range(done):
        last = step == done - 1
        took = None if subject.running and last else 3 + random.random() * 40 * (1 + subject.place % 3)
        of_step = result if last and broken is not None else Result.SUCCESS
        if result is Result.WARNINGS and STEPS[step] == "compile":
            of_step = Result.WARNINGS
        _add_step(rows, subject, step, at, took, of_step)
        at += took or 0
    reason = "" if broken is None or result is None else f"step {STEPS[broken]}: {result.name.lower()}"
    _add_request(rows, subject, None if subject.running else at, result, subject.text(reason) if reason else "")


def _add_step(rows: Rows, subject: Subject, step: int, at: float, took: float | None, result: Result | None) -> None:
    build, name = subject.id, STEPS[step]
    ended = None if took is None else at + took
    if ended is None:
        summary, outcome, length = "", None, None
    else:
        good = result in {Result.SUCCESS, Result.WARNINGS}
        summary = (SUMMARIES if good else FAILURES)[name].format(revision=subject.revision)
        outcome = _OUTCOMES[not good]
        length = 2000 + (build * 7919 + step * 104729) % 400_000
    rows["steps"].append(
        (build, step, name, at, ended, None if ended is None else result, subject.text(summary), int(name == "git"))
    )
    intent = _INTENT if subject.hostile is None else json.dumps(_intent(subject.text("")))
    rows["journal"].append((build, step, 0, "command", GENERATION, intent, at, outcome, ended))
    stream = (
        build * STREAMS_OF_BUILD + step,
        build,
        step,
        0,
        "stdio",
        "log",
        f"{subject.place}/{build}/{step}-0-stdio",
    )
    rows["streams"].append((*stream, length, None if length is None else GENERATION))
    rows["remarks"].append((build, step, "stdio", 0, at, subject.text(f"$ make {name}  (in build)")))
    if name == "package" and ended is not None:
        artifact = subject.text("farm-1.0.tar.gz") or "empty"
        path = f"{directory_name(subject.builder)}/{subject.number}/{artifact}"[:400]
        rows["streams"].append(
            (build * STREAMS_OF_BUILD + 6, build, step, 1, artifact[:200], "artifact", path, 81_920, GENERATION)
        )


def _add_request(rows: Rows, subject: Subject, ended: float | None, result: Result | None, reason: str) -> None:
    build, number, started = subject.id, subject.number, subject.started
    asked = started - 4 - build % 90
    source = json.dumps(
        {
            "branch": subject.text("main"), "revision": subject.revision, "repository": _REPOSITORY,
            "project": subject.text("farm"),
        }
    )  # fmt: skip
    rows["buildsets"].append(
        (build, "commits", subject.text("new commits"), asked, source, "{}", ended, result, 1 + build % 3, None)
    )
    rows["buildset_changes"].append((build, subject.change))
    rows["requests"].append((build, build, subject.builder, asked, build % 3 - 1, ended, result, reason))
    rows["builds"].append(
        (
            build, build, subject.builder, number, subject.slave, "0" * 32, f"{build:032x}", GENERATION, started, ended,
            result, reason, _properties(subject), subject.text("for the release") if build % 997 == 0 else None,
        )
    )  # fmt: skip
    if subject.events:
        rows["feed"].extend(_events(subject, ended, result, reason))


def _events(subject: Subject, ended: float | None, result: Result | None, reason: str) -> list[tuple[Any, ...]]:
    build, builder = subject.id, subject.builder
    start = {"builder": builder, "number": subject.number, "slave": subject.slave, "host": f"{subject.slave}.lan"}
    events: list[tuple[Any, ...]] = [
        (subject.started - 4, "request.submitted", build, None, json.dumps({"builder": builder})),
        (subject.started, "build.started", build, build, json.dumps(start)),
    ]
    if ended is not None:
        end = json.dumps({"builder": builder, "result": result, "reason": reason})
        events += [(ended, "build.finished", build, build, end), (ended, "request.finished", build, None, end)]
    return events


def _properties(subject: Subject) -> str:
    properties: dict[str, Any] = {
        "buildername": [subject.builder, "Build"],
        "buildnumber": [subject.number, "Build"],
        "slavename": [subject.slave, "Build"],
        "branch": [subject.text("main"), "Build"],
        "revision": [subject.revision, "Build"],
        "got_revision": [subject.revision, "Source"],
        "scheduler": ["commits", "Build"],
    }
    if subject.hostile is not None:
        properties[subject.text("") or "empty"] = [subject.text(""), subject.text("")]
        properties["nested"] = [{subject.text(""): [subject.text(""), 1, None, True]}, "Step"]
    return json.dumps(properties)


def _intent(text: str) -> dict[str, Any]:
    spec = {
        "kind": "run", "argv": ["make", text or "all"], "script": None, "workdir": f"b/{text or 'build'}",
        "env": {"LANG": "C.UTF-8", **({text: text} if text else {})}, "timeout": 1200.0, "logfiles": {},
    }  # fmt: skip
    return {"spec": spec, "where": "slave", "artifact": None}


def _outcome(code: int) -> str:
    return json.dumps(
        {
            "ending": "exited", "exit_code": code, "signal": None, "why": None, "sentence": "",
            "streams": {"stdio": {"length": 3, "sha256": GENERATION}}, "elapsed": 2.5,
            "usage": {"user": 2.0, "system": 0.2, "peak": 14464.0}, "remarks": [],
        }
    )  # fmt: skip


_INTENT = json.dumps(_intent(""))
_OUTCOMES = {False: _outcome(0), True: _outcome(2)}
