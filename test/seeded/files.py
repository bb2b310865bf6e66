"""
Log files and artifacts for the newest made-up builds: colours, progress bars, markup, undecodable bytes, long lines.
"""

import hashlib
import sqlite3
from contextlib import closing
from pathlib import Path

from buildbot_lite.model.names import directory_name
from buildbot_lite.storage.compressed_streams import compress

from .opened import in_file
from .repositories import make_repositories
from .rows import STREAMS_OF_BUILD, log_path
from .seeding import Seeding
from .values import HOSTILE, TITLE

DATABASE = Path("records", "farm.sqlite")
REPORT = f"<!doctype html><title>report</title><h1>Report</h1><script>document.title = '{TITLE}'</script>".encode()

_ORDINARY = "".join(
    f"[{each:4d}/1284] \x1b[32mCC\x1b[0m src/module_{each % 97}.c\n" if each % 9 else
    f"src/module_{each % 97}.c:{each}:12: \x1b[1;35mwarning:\x1b[0m unused variable \x1b[1m'x{each}'\x1b[0m\n"
    for each in range(1, 1285)
).encode()  # fmt: skip
_PROGRESS = b"".join(b"\rdownloading: %3d %%" % each for each in range(101)) + b"\rdownloaded             \n"
_FAILED = (
    b"test_rotation ... \x1b[31mFAIL\x1b[0m\n"
    b"Traceback (most recent call last):\n"
    b'  File "test_log.py", line 217, in test_rotation\n'
    b"    self.assertEqual(found, wanted)\n"
    b"AssertionError: 3 != 4\n\n"
    b"Ran 1284 tests in 31.2 s\n\x1b[1;31mFAILED (failures=2)\x1b[0m\n"
)
_HOSTILE = b"".join(
    (
        *(each.encode() + b"\n" for each in HOSTILE),
        b"\xff\xfe undecodable \xc3\x28 \x80\n",
        b"\0\1\2\3 controls \x7f\n",
        b"\x1b[2J\x1b[H\x1b]8;;javascript:alert(1)\x1b\\link\x1b]8;;\x1b\\\n",
        b"\x1b[38;5;196m256 colours \x1b[48;2;1;2;3mall colours\x1b[0m\n",
        b"x" * 100_000,
        b"\n",
    )
)
LOG = _PROGRESS + _ORDINARY + _HOSTILE + _FAILED
"""What every log of the newest builds has."""


def make_farm(directory: Path, seeding: Seeding, *, logs: int = 60, copies: int = 1) -> None:
    """
    Make the directory of a farm: the database with the records of *seeding*, and the files of the newest *logs* builds.
    Every second finished log is compressed.
    """
    in_file(directory / DATABASE, seeding, copies)
    with closing(sqlite3.connect(directory / DATABASE, isolation_level=None)) as database:
        newest = database.execute(
            "SELECT id, builder, finished FROM builds ORDER BY id DESC LIMIT ?", (min(logs, seeding.builds),)
        ).fetchall()
        for build, builder, finished in newest:
            _write_logs(directory, database, build, seeding.builders.index(builder), finished is not None)
        if newest:
            _write_report(directory, database, newest[-1][0])
    make_repositories(directory, directory / DATABASE)


def _write_logs(directory: Path, database: sqlite3.Connection, build: int, place: int, finished: bool) -> None:
    digest = hashlib.sha256(LOG).hexdigest()
    for (step,) in database.execute("SELECT number FROM steps WHERE build=?", (build,)).fetchall():
        path = directory / "streams" / log_path(place, build, step)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(LOG)
        sealed = database.execute(
            "UPDATE streams SET length=?, sha256=? WHERE id=? AND length IS NOT NULL",
            (len(LOG), digest, build * STREAMS_OF_BUILD + step),
        ).rowcount
        if finished and sealed and build % 2:
            compress(str(path))


def _write_report(directory: Path, database: sqlite3.Connection, build: int) -> None:
    """
    An artifact that is a page with a script.
    """
    builder, number = database.execute("SELECT builder, number FROM builds WHERE id=?", (build,)).fetchone()
    path = f"{directory_name(builder)}/{number}/report.html"
    file = directory / "artifacts" / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(REPORT)
    database.execute(
        "INSERT INTO streams (id, build, step, ordinal, name, kind, path, length, sha256)"
        " VALUES (?, ?, 0, 2, 'report.html', 'artifact', ?, ?, ?)",
        (build * STREAMS_OF_BUILD + 7, build, path, len(REPORT), hashlib.sha256(REPORT).hexdigest()),
    )
