"""
The search for FURLs and secrets in files where they do not belong.

The secret part of a FURL, its swissnum, belongs into the files made for it, and into the directory of its slave.
Anywhere else (a log, a record, a free page of the database, a stream, a keeper's spool) it is a leak, and so is the
value of a secret.  The matches of each farm are collected until the end of the run, which fails then (see
``test/conftest.py``).
"""

import os
import re
import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path

from buildbot_lite.master_tap import STRINGS
from buildbot_lite.storage.moving import is_database
from buildbot_lite.storage.swissnums import SwissnumRecord, Swissnums
from buildbot_lite.wire.certificate import key_derived_from

NOTED = "BUILDBOT_LITE_TEST_LEAKS"
"""The environment variable with the path of the file in which leaks are noted."""

_SWISSNUM = re.compile(rb"pb://[a-z2-7]{32}@[^/\s\"'>]*/([A-Za-z0-9_~-]{8,})")
_LARGEST = 64 << 20

# Paths below the directory of a test's farm; "clients" has the input and output of clients.
_MAY_HOLD_STRINGS = re.compile(
    r"[^/]+/(buildslave\.furls|submit\.furls|furls/[^/]*\.furl|(web/)?private/[^/]*\.furl|private/strings\.kept)\Z"
    r"|[^/]+/(slave|web)\.tac\Z|clients/|[^/]+/[^/]+\.furl\Z"
)
_MAY_HOLD_SECRETS = re.compile(
    r"master/(secrets/|master\.cfg\Z|private/generations/)|witness/|[^/]+/work/|master/artifacts/|clients/.*\.in\Z"
)
# The farms run in the foreground, where twistd does not change the umask.
_PRIVATE = (
    "*/private",
    "*/private/*",
    "*/web/private",
    "*/web/private/*",
    "*/furls",
    "*/furls/*",
    *(f"master/{name}/**/*" for name in ("streams", "artifacts")),
)


def leaks_of(directory: Path, secrets: Sequence[str] = ()) -> list[str]:
    """
    Return a line for each file or table below *directory* with a FURL or one of the *secrets* in a wrong place.

    The farm may be running: files that disappear meanwhile are skipped.
    """
    found = list(_find(directory, secrets))
    path = os.environ.get(NOTED)
    if found and path:
        with open(path, "a") as file:
            file.writelines(f"{line}\n" for line in found)
    return found


def _find(directory: Path, secrets: Sequence[str]) -> Iterator[str]:
    files = {
        str(path.relative_to(directory)): path
        for above, _, names in os.walk(directory)
        for path in (Path(above, name) for name in names)
        if path.is_file() and not path.is_symlink()
    }
    strings = set()
    for name, path in files.items():
        if _MAY_HOLD_STRINGS.match(name):
            strings |= set(_SWISSNUM.findall(_start_of(path)))
            if _open_to_others(path) and not name.startswith("clients/"):
                yield f"{name} may be read by others"
    for above in directory.iterdir():
        strings |= {swissnum.encode() for swissnum in swissnums_of(above).values()}
    values = [value.encode() for value in secrets]
    for name, path in files.items():
        if name.endswith(".sqlite") and is_database(str(path)):
            yield from _in_database(name, path, strings, values)
        # Databases are searched byte by byte as well: free pages and the write-ahead log may contain deleted rows.
        text = _start_of(path)
        if not _MAY_HOLD_STRINGS.match(name) and (_SWISSNUM.search(text) or any(each in text for each in strings)):
            yield f"{name} holds a string"
        if not _MAY_HOLD_SECRETS.match(name) and any(value in text for value in values):
            yield f"{name} holds a secret"
    yield from _readable_by_others(directory)


def _start_of(path: Path) -> bytes:
    # Only large logs are longer; their tests compare every byte.
    with suppress(FileNotFoundError), open(path, "rb") as file:
        return file.read(_LARGEST)
    return b""


def _open_to_others(path: Path) -> bool:
    with suppress(FileNotFoundError):
        return bool(path.stat().st_mode & 0o077)
    return False


def swissnums_of(master: Path) -> dict[int, str]:
    """
    Return the swissnums of all FURLs of the master in the directory *master*, by the number of the grant.
    """
    database, key, private = master / "records" / "farm.sqlite", master / "private" / "tub.pem", master / "private"
    if not database.exists() or not key.exists():
        return {}
    swissnums = Swissnums.load(key_derived_from(key.read_bytes(), STRINGS), str(private))
    with closing(sqlite3.connect(database, timeout=30)) as connection:
        if not connection.execute("select 1 from sqlite_master where name = 'grants'").fetchall():
            return {}
        rows = connection.execute("select id, salt, digest from grants").fetchall()
    found = {id_: swissnums.of(SwissnumRecord(salt, digest)) for id_, salt, digest in rows}
    return {id_: swissnum for id_, swissnum in found.items() if swissnum is not None}


def _in_database(name: str, path: Path, strings: set[bytes], values: Sequence[bytes]) -> Iterator[str]:
    with closing(sqlite3.connect(path)) as connection:
        connection.text_factory = bytes
        tables = [
            table.decode() for (table,) in connection.execute("select name from sqlite_master where type = 'table'")
        ]
        for table in tables:
            for row in connection.execute(f'select * from "{table}"'):
                text = b"\n".join(value for value in row if isinstance(value, bytes))
                if _SWISSNUM.search(text) or any(each in text for each in strings):
                    yield f"{name}: the table {table} holds a string"
                    break
                if any(value in text for value in values):
                    yield f"{name}: the table {table} holds a secret"
                    break


def _readable_by_others(directory: Path) -> Iterator[str]:
    for pattern in _PRIVATE:
        for path in directory.glob(pattern):
            if not path.is_symlink() and _open_to_others(path):
                yield f"{path.relative_to(directory)} may be read by others"
