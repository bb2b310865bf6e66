"""
A farm's database with many finished builds, as after three years: one step, one log and one journal entry for each
build; events of the last thirty days; watch FURLs, of which those of the last week are valid.

    stored.py FILE BUILDS
"""

import json
import os
import sqlite3
import sys
import time
from pathlib import Path

YEARS = 3 * 365 * 86400.0
EVENTS = 30 * 86400.0
STRINGS = 365 * 86400.0
LIVE_STRINGS = 7 * 86400.0
AT_ONCE = 20_000


def make(path, builds):
    from buildbot_lite.storage.database import open_database

    unfinished = Path(f"{path}.new")
    unfinished.unlink(missing_ok=True)
    open_database(str(unfinished)).dispose()
    database = sqlite3.connect(unfinished, isolation_level=None)
    database.executescript("PRAGMA synchronous=OFF; PRAGMA journal_mode=MEMORY; PRAGMA foreign_keys=OFF;")
    columns = {
        name: [row[1] for row in database.execute(f"PRAGMA table_info({name})")]
        for name in ("generations", "buildsets", "requests", "builds", "steps", "journal", "streams", "feed", "grants")
    }
    now = time.time()
    insert(database, columns, "generations", [{"hash": "0" * 64, "applied": now - YEARS}])
    for first in range(1, builds + 1, AT_ONCE):
        rows = {name: [] for name in columns}
        for number in range(first, min(first + AT_ONCE, builds + 1)):
            one(rows, number, now - YEARS * (1 - number / builds), now)
        database.execute("BEGIN")
        for name, these in rows.items():
            insert(database, columns, name, these)
        database.execute("COMMIT")
    database.executescript("PRAGMA journal_mode=WAL; PRAGMA wal_checkpoint(TRUNCATE);")
    database.close()
    unfinished.rename(path)


def one(rows, number, at, now):
    """
    Return the rows of one build.
    """
    properties = json.dumps({"buildername": ["b", "Build"], "buildnumber": [number, "Build"]})
    intent = json.dumps({"spec": {"argv": ["true"], "workdir": "b/build"}, "where": "slave", "artifact": None})
    outcome = json.dumps({"ending": "exited", "exit_code": 0, "streams": {"stdio": {"length": 3, "sha256": "0" * 64}}})
    ended = {"finished": at + 1, "result": 0}
    more = {"id": number, **ended}
    rows["buildsets"].append(
        {"scheduler": "force", "reason": "bench", "submitted": at, "source": "{}", "properties": "{}", **more}
    )
    rows["requests"].append({"buildset": number, "builder": "b", "submitted": at, **more})
    rows["builds"].append(
        {
            "request": number,
            "builder": "b",
            "number": number,
            "slave": f"w{number % 4}",
            "home": "0" * 32,
            "nonce": f"{number:032x}",
            "generation": "0" * 64,
            "started": at,
            "properties": properties,
            **more,
        }
    )
    rows["steps"].append(
        {"build": number, "number": 0, "name": "shell", "started": at, "summary": "'true' succeeded", **ended}
    )
    rows["journal"].append(
        {
            "build": number,
            "step": 0,
            "ordinal": 0,
            "kind": "command",
            "fingerprint": "0" * 64,
            "intent": intent,
            "begun": at,
            "outcome": outcome,
            "ended": at + 1,
        }
    )
    rows["streams"].append(
        {
            "id": number,
            "build": number,
            "step": 0,
            "ordinal": 0,
            "name": "stdio",
            "kind": "log",
            "path": f"b/{number}/0-0-stdio",
            "length": 3,
            "sha256": "0" * 64,
        }
    )
    if now - at < EVENTS:
        for kind in ("request.submitted", "build.started", "step.started", "step.finished", "build.finished"):
            rows["feed"].append({"at": at, "kind": kind, "request": number, "build": number, "body": '{"result": 0}'})
    if now - at < STRINGS:
        rows["grants"].append(
            {
                "name": f"request-{number}",
                "verb": "watch",
                "object": str(number),
                "digest": os.urandom(32).hex(),
                "salt": os.urandom(16).hex(),
                "created": at,
                "expires": at + LIVE_STRINGS,
            }
        )


def insert(database, columns, name, rows):
    """
    Insert rows with the same columns; the others have their defaults.
    """
    if not rows:
        return
    named = [column for column in columns[name] if column in rows[0]]
    places = ", ".join(f":{column}" for column in named)
    quoted = ", ".join(f'"{column}"' for column in named)
    database.executemany(f"INSERT INTO {name} ({quoted}) VALUES ({places})", rows)


if __name__ == "__main__":
    make(Path(sys.argv[1]), int(sys.argv[2]))
