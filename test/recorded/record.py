"""
Write the recorded database of this version: ``python -m test.recorded.record``.

Run this once for each new revision of the schema, and never again for a released one: the recording must be what that
version wrote.  The file is compressed because most of it is empty pages.
"""

import gzip
import os
import sqlite3
import sys
import tempfile

from sqlalchemy import Connection

from buildbot_lite.model.change import Change
from buildbot_lite.model.hello import Hello
from buildbot_lite.model.results import Result
from buildbot_lite.packages.records import job_records
from buildbot_lite.packages.records.jobs import NewJob
from buildbot_lite.storage.database import open_database
from buildbot_lite.storage.records import (
    builds,
    changes,
    feed,
    generations,
    grants,
    inputs,
    journal,
    outbox,
    pending_changes,
    remarks,
    requests,
    settings,
    slaves,
    states,
    steps,
    streams,
)
from buildbot_lite.storage.swissnums import SwissnumRecord, digest_of
from buildbot_lite.storage.upgrading import REVISION

DIRECTORY = os.path.dirname(os.path.abspath(__file__))
SUFFIX = ".sqlite.gz"


def fill(connection: Connection) -> None:
    """
    Write rows into every table.
    """
    settings.put(connection, "tub", "recorded")
    grants.add(
        connection,
        name="bot1",
        verb="slave",
        object="bot1",
        minted=SwissnumRecord("salt", digest_of("recorded-slave")),
        now=100.0,
    )
    watch = grants.add(
        connection,
        name="1",
        verb="watch",
        object="1",
        minted=SwissnumRecord("salt", digest_of("recorded-watch")),
        now=101.0,
        limits=grants.GrantLimits(expires=900.0),
    )
    grants.pin(connection, watch.id, "key")
    limits = grants.GrantLimits(uses=5, expires=1000.0, per_hour=2, largest=4096, most_waiting=1)
    given = grants.add(
        connection,
        name="try",
        verb="submit",
        object="try",
        minted=SwissnumRecord("salt", digest_of("recorded-submit")),
        now=101.0,
        label="release script",
        limits=limits,
    )
    generations.keep(connection, "9" * 64, 102.0)
    hello = Hello("home", "incarnation", "keeper", "boot", "0.1", platform={"system": "Linux"})
    slaves.seen(connection, "bot1", hello, 103.0)
    patch = inputs.add(connection, name="a.diff", kind="patch", length=6, sha256="a" * 64, now=104.0)
    submitted = requests.submit(
        connection,
        scheduler="try",
        builders=["hello", "tarball"],
        reason="asked",
        now=105.0,
        source={"branch": "main"},
        properties={"owner": ["me", "Submit"]},
        input=patch.id,
        parent="0.0.0",
        by_grant=given.id,
    )
    first, second = submitted.requests
    build = builds.start(
        connection,
        request=first.id,
        builder="hello",
        slave="bot1",
        home="home",
        nonce="0" * 32,
        generation="9" * 64,
        now=106.0,
        properties={"owner": ["me", "Submit"]},
    )
    feed.publish(connection, "build.started", now=106.0, request=first.id, build=build.id, body={"number": 1})
    steps.start(connection, build.id, 0, "compile", 107.0)
    journal.begin(
        connection, build.id, 0, 0, kind="command", fingerprint="f" * 64, intent={"argv": ["make"]}, now=108.0
    )
    log = streams.note(connection, build.id, 0, 0, name="stdio", kind="log", path="0/1/0-0-stdio")
    streams.seal(connection, log.id, 12, "5" * 64)
    remarks.add(connection, build.id, 0, log="stdio", offset=5, text="link lost", now=109.0)
    journal.end(connection, build.id, 0, 0, outcome={"ending": "exited", "exit_code": 0}, now=110.0)
    steps.finish(connection, build.id, 0, Result.SUCCESS, 111.0, summary="made")
    builds.finish(connection, build.id, Result.SUCCESS, 112.0)
    requests.finish(connection, first.id, Result.SUCCESS, 112.0)
    requests.requeue(connection, second.id, 500.0)
    fill_schedulers(connection, submitted.buildset.id)
    job = job_records.add(
        connection,
        NewJob(
            target="stable",
            name="hello",
            version="1.0-1",
            submitter="release script",
            by_grant=given.id,
            buildset=submitted.buildset.id,
            builders={"amd64": ("hello", first.id)},
            skipped={"arm64": "not wanted"},
        ),
        115.0,
    )
    job_records.set_built_version(connection, job, "1.0-1.f4")


def fill_schedulers(connection: Connection, buildset: int) -> None:
    """
    A change that *buildset* builds and another scheduler waits with, a state, and a message to be sent.
    """
    change, _ = changes.add(
        connection, Change(author="A U Thor <author@example.org>", source="poller", revision="1" * 40), 113.0
    )
    changes.add_to_buildset(connection, buildset, [change.id])
    pending_changes.add(connection, "nightly", change.id, important=True, now=113.0)
    states.put(connection, "scheduler:nightly", {"last": 113.0}, 113.0)
    outbox.add(connection, reporter="mail", key="1", body={"to": ["author@example.org"]}, now=114.0)


def record(path: str) -> None:
    """
    Write the recording to *path*.
    """
    with tempfile.TemporaryDirectory() as directory:
        plain = os.path.join(directory, "farm.sqlite")
        engine = open_database(plain)
        with engine.begin() as connection:
            fill(connection)
            feed.write_collected(connection)
        engine.dispose()
        with sqlite3.connect(plain) as whole:
            whole.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        whole.close()
        with open(plain, "rb") as file, gzip.GzipFile(path, "wb", mtime=0) as target:
            target.write(file.read())


if __name__ == "__main__":
    recorded = os.path.join(DIRECTORY, f"{REVISION}{SUFFIX}")
    record(recorded)
    sys.stdout.write(f"{recorded}: {os.path.getsize(recorded)} bytes\n")
