"""
Writing the records: `seed` into any connection of SQLite, `multiply` for very many.

Ten thousand builds take about two seconds.  `multiply` copies them inside SQLite, with other numbers and earlier times,
which makes a million in a minute.
"""

import json
import sqlite3
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from random import Random
from typing import Any

from attrs import frozen

from . import targets
from .rows import COLUMNS, GENERATION, STREAMS_OF_BUILD, Rows, Subject, add_build, add_change
from .values import BUILDERS, HOSTILE, HOSTILE_LABELS, LONG_SLAVE, SLAVES

_AT_ONCE = 5000
NOW = 1_795_996_800.0
"""2026-11-30 00:00 UTC: the time of the newest records, unless another is given."""


@frozen
class Seeding:
    """
    What to make.  The newest *running* builds have not ended, and *waiting* requests have not begun.  *spacing*:
    seconds between two changes; each change is built once by every builder.  *hostile*: every third build and change
    has hostile texts, and there are builders with hostile names.  *steps*: of a build, at most 5.  *events*: the newest
    builds that have events in the feed.  *more_builders*: beside the ordinary ones.
    """

    builds: int = 1000
    slaves: int = 8
    running: int = 3
    waiting: int = 5
    packages: int = 20
    spacing: float = 1800.0
    hostile: bool = True
    steps: int = 5
    events: int = 500
    now: float = NOW
    random: int = 1
    more_builders: int = 0

    @property
    def between(self) -> float:
        """
        Seconds between the builds of one change.  Those of the last one have ended, however many they are.
        """
        return min(7.0, 0.8 * self.spacing / len(self.builders))

    @property
    def builders(self) -> Sequence[str]:
        """
        The names of the builders.
        """
        return _builders(self.hostile, self.more_builders)

    @property
    def slave_names(self) -> Sequence[str]:
        """
        The names of the slaves.
        """
        return _slave_names(self.hostile, self.slaves)

    @property
    def rounds(self) -> int:
        """
        The number of changes, and of builds of each builder.
        """
        return -(-self.builds // len(self.builders))


@cache
def _builders(hostile: bool, more: int) -> Sequence[str]:
    return (*BUILDERS, *(HOSTILE_LABELS if hostile else ()), *[f"builder-{each:04}" for each in range(more)])


@cache
def _slave_names(hostile: bool, most: int) -> Sequence[str]:
    known = (*SLAVES[:7], LONG_SLAVE) if hostile else SLAVES
    return [known[each] if each < len(known) else f"slave-{each}" for each in range(most)]


def seed(database: sqlite3.Connection, seeding: Seeding, *, first: int = 1) -> None:
    """
    Write the records of *seeding* into an empty database that has this version's tables.  *first*: the lowest number of
    a build; lower ones are left for `multiply`.
    """
    random = Random(seeding.random)
    _insert(database, "generations", ("hash", "applied"), [(GENERATION, seeding.now - 86400)])
    _insert(database, "slaves", _SLAVE, _slaves(seeding))
    _insert(database, "grants", _GRANT, _grants(seeding))
    for rows in _batches(seeding, random, first):
        for table, columns in COLUMNS.items():
            _insert(database, table, columns, rows[table])
    newest = first + seeding.builds - 1
    jobs, arches = targets.jobs(
        database, seeding.packages, len(seeding.builders), newest, seeding.now, hostile=seeding.hostile
    )
    _insert(database, "package_jobs", targets.JOB, jobs)
    _insert(database, "package_job_arches", targets.ARCH, arches)
    database.execute("ANALYZE")


def multiply(database: sqlite3.Connection, seeding: Seeding, copies: int) -> None:
    """
    Write *copies* times the builds of *seeding*, whose number is a multiple of that of the builders.
    """
    builders, span = len(seeding.builders), seeding.rounds * seeding.spacing
    assert seeding.builds % builders == 0, "the numbers of the copies would not follow each other"
    seed(database, seeding, first=(copies - 1) * seeding.builds + 1)
    for back in range(1, copies):
        ids, numbers = back * seeding.builds, back * seeding.builds // builders
        shifts = {
            "id": ids, "build": ids, "request": ids, "buildset": ids, "number": numbers, "change": numbers,
            **dict.fromkeys(_TIMES, back * span),
        }  # fmt: skip
        database.execute("BEGIN")
        for table in ("changes", "buildsets", "buildset_changes", "requests", "builds", "steps", "journal", "streams"):
            _copy(database, table, shifts, first=(copies - 1) * seeding.builds)
        database.execute("COMMIT")


def _copy(database: sqlite3.Connection, table: str, shifts: Mapping[str, float], first: int) -> None:
    own = dict(shifts)
    if table == "changes":
        own["id"] = shifts["change"]
    elif table == "streams":
        own["id"] = shifts["id"] * STREAMS_OF_BUILD
    elif table == "steps":
        own["number"] = 0
    columns = [each for each in COLUMNS[table] if not (table == "journal" and each == "id")]
    key = {"changes": "id", "buildset_changes": "buildset", "steps": "build", "journal": "build", "streams": "build"}
    least = first * shifts["change"] // shifts["id"] if table == "changes" else first
    values = ", ".join(f'"{each}" - {own[each]}' if own.get(each) else f'"{each}"' for each in columns)
    quoted = ", ".join(f'"{each}"' for each in columns)
    # Unfinished rows stay single: they are what runs now.
    ended = " AND finished IS NOT NULL" if table in {"builds", "requests", "buildsets"} else ""
    database.execute(
        f"INSERT INTO {table} ({quoted}) SELECT {values} FROM {table} WHERE {key.get(table, 'id')} > {least}{ended}"
    )


def _batches(seeding: Seeding, random: Random, first: int) -> Iterator[Rows]:
    builders = seeding.builders
    oldest = (first - 1) // len(builders)
    slaves = seeding.slave_names
    rows: Rows = {table: [] for table in COLUMNS}
    for made in range(seeding.builds):
        round_, place = divmod(made, len(builders))
        at = seeding.now - (seeding.rounds - round_) * seeding.spacing
        number = oldest + round_ + 1
        hostile = made // 3 if seeding.hostile and made % 3 == 0 else None
        if place == 0:
            add_change(rows, number, at, round_ // 3 if seeding.hostile and round_ % 3 == 0 else None)
        running = made >= seeding.builds - seeding.running
        add_build(
            rows,
            random,
            Subject(
                id=first + made,
                builder=builders[place],
                place=place,
                number=number,
                slave=slaves[made % len(slaves)],
                change=number,
                started=seeding.now - 60 if running else at + place * seeding.between,
                now=seeding.now,
                running=running,
                hostile=hostile,
                steps=seeding.steps,
                events=made >= seeding.builds - seeding.events,
            ),
        )
        if len(rows["builds"]) >= _AT_ONCE:
            yield rows
            rows = {table: [] for table in COLUMNS}
    _add_waiting(rows, seeding, first + seeding.builds)
    yield rows


def _add_waiting(rows: Rows, seeding: Seeding, first: int) -> None:
    for each in range(seeding.waiting):
        id, at = first + each, seeding.now - 60 * (each + 1)
        builder = seeding.builders[-1 - each % len(seeding.builders)]
        reason = HOSTILE[each % len(HOSTILE)] if seeding.hostile else "new commits"
        rows["buildsets"].append((id, "commits", reason, at, "{}", "{}", None, None, 1, None))
        rows["requests"].append((id, id, builder, at, 0, None, None, ""))


_TIMES = ("started", "finished", "submitted", "received", "happened", "begun", "ended")
_SLAVE = ("name", "home", "boot", "incarnation", "version", "platform", "attached", "lost", "paused")
_GRANT = ("id", "name", "verb", "object", "digest", "salt", "created", "label")


def _slaves(seeding: Seeding) -> list[tuple[Any, ...]]:
    platform = {"hostname": "oak.lan", "os": "Debian GNU/Linux 12", "machine": "x86_64", "python": "3.11.2"}
    hostile = dict.fromkeys(platform, HOSTILE[0])
    return [
        (
            name, "0" * 32, "0" * 32, "0" * 32, "0.1.0",
            json.dumps(hostile if seeding.hostile and place % 3 == 2 else platform),
            seeding.now - 86400.0 * (1 + place % 5), seeding.now - 600 if place % 5 == 4 else None,
            seeding.now - 3600 if place % 7 == 3 else None,
        )
        for place, name in enumerate(seeding.slave_names)
    ]  # fmt: skip


def _grants(seeding: Seeding) -> list[tuple[Any, ...]]:
    labels = (HOSTILE_LABELS[0] if seeding.hostile else "Ada's laptop", "hooks", None)
    return [
        (place, f"submit-{place}", "submit", "commits", f"{place:064x}", "0" * 32, seeding.now - 86400, label)
        for place, label in enumerate(labels, 1)
    ]


def _insert(database: sqlite3.Connection, table: str, columns: Sequence[str], rows: Sequence[tuple[Any, ...]]) -> None:
    if not rows:
        return
    named = ", ".join(f'"{each}"' for each in columns)
    database.execute("BEGIN")
    database.executemany(f"INSERT INTO {table} ({named}) VALUES ({', '.join('?' * len(columns))})", rows)
    database.execute("COMMIT")
