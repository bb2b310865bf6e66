"""
The targets of a made-up farm, and the jobs of packages for them.
"""

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from buildbot_lite.model.results import Result

from .values import BUILDERS, HOSTILE

DEBIAN, FEDORA = "debian-12", "fedora-42"
ARCHITECTURES: Mapping[str, Sequence[str]] = {DEBIAN: ("amd64", "i386"), FEDORA: ("x86_64", "noarch")}
JOB = (
    "id", "target", "name", "version", "submitter", "scratch", "buildset", "state", "reason", "created", "changed",
    "finished", "history", "origin",
)  # fmt: skip
ARCH = ("job", "architecture", "place", "builder", "request", "build", "state", "reason", "history")

Row = tuple[Any, ...]
_BUILT_BY = (BUILDERS.index(DEBIAN), BUILDERS.index(FEDORA))
"""The places of the builders of the first and of the second architecture."""
_PACKAGES = (("hello", "2.10-3+farm1"), ("nyancat", "1.5.2-1"), ("zlib", "1:1.3.1-1"), ("curl", "8.11.0-2"))
_GOOD = ("finished", "needsign", "finished", "finished")
_STATES = {None: "building", Result.SUCCESS: "done", Result.WARNINGS: "done", Result.CANCELLED: "killed"}
_REPOSITORY = "https://git.example.org/hello.git"


def jobs(
    database: sqlite3.Connection, most: int, builders: int, newest: int, now: float, *, hostile: bool
) -> tuple[Sequence[Row], Sequence[Row]]:
    """
    Rows of at most *most* jobs, and of their architectures: a job for each of the newest rounds of builds, of which
    *newest* is the last build's id.
    """
    of_jobs: list[Row] = []
    of_arches: list[Row] = []
    rounds = newest // builders
    for id in range(1, most + 1):
        first = (rounds - 1 - (most - id)) * builders + 1
        arches = list(_arches(database, id, first, hostile=hostile and id % 3 == 0))
        of_arches += arches
        of_jobs.append(_job(id, arches, now - 3600.0 * (most - id + 1), hostile=hostile and id % 3 == 0))
    return of_jobs, of_arches


def target_of(job: int) -> str:
    """
    The target of the job with this number.
    """
    return FEDORA if job % 4 == 0 else DEBIAN


def _arches(database: sqlite3.Connection, job: int, first: int, *, hostile: bool) -> Iterator[Row]:
    for place, architecture in enumerate(ARCHITECTURES[target_of(job)]):
        build = first + _BUILT_BY[place]
        found = database.execute("SELECT request, builder, result, started FROM builds WHERE id = ?", (build,))
        request, builder, result, at = found.fetchone() or (None, DEBIAN, Result.SUCCESS, 0.0)
        state = _STATES.get(None if result is None else Result(result), "failed")
        history = json.dumps([["waiting", at], ["prepping", at + 1], ["building", at + 20], [state, at + 90]])
        reason = HOSTILE[job % len(HOSTILE)] if hostile and state == "failed" else ""
        yield (
            job, architecture, place, builder, request, build if request else None,
            state, reason, history,
        )  # fmt: skip


def _job(id: int, arches: Sequence[Row], at: float, *, hostile: bool) -> Row:
    states = {each[6]: each[1] for each in arches}
    state, reason = _GOOD[id % len(_GOOD)], ""
    if "building" in states:
        state = "building"
    elif "failed" in states:
        state, reason = "failed", f"{states['failed']} failed: dpkg-buildpackage ended with exit code 2."
    elif "killed" in states:
        state = "killed"
    text = HOSTILE[id % len(HOSTILE)] if hostile else ""
    name, version = _PACKAGES[id % len(_PACKAGES)]
    way = [("initialize", 0), ("waiting", 1), ("building", 40), ("repowait", 500), ("needsign", 501), ("pushed", 900)]
    ends = {"finished": 6, "needsign": 5, "building": 3}.get(state, 3)
    history = [[each, at + seconds] for each, seconds in way[:ends]]
    if state not in {"needsign", "building"}:
        history.append([state, at + 910])
    origin = {"repository": text or _REPOSITORY, "revision": text or "v2.10", "commit": "76c90bcb" * 5}
    return (
        id, target_of(id), text[:200] or name, text[:200] or version, text[:200] or "ada", int(id % 5 == 0), id, state,
        text or reason, at, history[-1][1], None if state in {"needsign", "building"} else history[-1][1],
        json.dumps(history), json.dumps(origin) if id % 4 == 1 else "",
    )  # fmt: skip


def documents(*, hostile: bool) -> list[dict[str, Any]]:
    """
    What the master says of the targets.
    """
    reason = HOSTILE[0] if hostile else "the mirror of Debian is broken"
    return [
        {
            "target": target,
            "aliases": ["f42"] if target == FEDORA else [],
            "kind": kind,
            "arches": list(ARCHITECTURES[target]),
            "paused": {"reason": reason, "by": HOSTILE[1] if hostile else "ada", "at": 1_795_990_000.0}
            if target == FEDORA
            else None,
            "trouble": None,
            "jobs": {"needsign": 3},
        }
        for target, kind in ((DEBIAN, "DebTarget"), (FEDORA, "RpmTarget"))
    ]
