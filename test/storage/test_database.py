"""
Opening a farm's database of any version.
"""

import gzip
import json
import os
import shutil
import sqlite3
import stat
import subprocess
import sys
from contextlib import closing
from unittest import mock

from alembic.autogenerate import compare_metadata
from alembic.command import upgrade
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, create_engine, inspect
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import (
    DatabaseFullError,
    NewerDatabaseError,
    StorageError,
)
from buildbot_lite.model.results import Result
from buildbot_lite.packages.records import job_lists
from buildbot_lite.storage import (
    database,
    schema,
    swissnums,
    upgrading,
)
from buildbot_lite.storage.database import open_database
from buildbot_lite.storage.generation_texts import GenerationTexts
from buildbot_lite.storage.records import (
    builds,
    buildsets,
    feed,
    grants,
    inputs,
    journal,
    remarks,
    requests,
    settings,
    slaves,
    steps,
    streams,
)
from buildbot_lite.storage.swissnums import Swissnums, digest_of
from buildbot_lite.storage.upgrading import REVISION, configuration

from ..recorded.record import (
    DIRECTORY,
    SUFFIX,
    record,
)

REMEDY = "describe the change in a new file of storage/migrations/versions, then run python -m test.recorded.record"


class OpeningTests(SynchronousTestCase):
    def setUp(self) -> None:
        """
        A path without a database.
        """
        self.directory = self.mktemp()
        os.mkdir(self.directory)
        self.path = os.path.join(self.directory, "farm.sqlite")

    def open(self) -> Engine:
        """
        Open the database.
        """
        engine = open_database(self.path)
        self.addCleanup(engine.dispose)
        return engine

    def test_created_private(self) -> None:
        """
        Promise 14: only the owner can read the database's files, from their creation.
        """
        self.addCleanup(os.umask, os.umask(0))
        with self.open().connect() as connection, connection.begin():
            settings.put(connection, "a", "b")
            modes = {
                name: stat.S_IMODE(os.stat(os.path.join(self.directory, name)).st_mode)
                for name in os.listdir(self.directory)
            }

        self.assertEqual(set(modes.values()), {0o600}, modes)
        self.assertEqual(set(modes), {"farm.sqlite", "farm.sqlite-wal", "farm.sqlite-shm"})

    def test_durable(self) -> None:
        """
        Connections are configured for durable commits and checked references.
        """
        with self.open().connect() as connection:
            found = [
                connection.exec_driver_sql(f"PRAGMA {name}").scalar()
                for name in ("journal_mode", "synchronous", "foreign_keys")
            ]
        self.assertEqual(found, ["wal", 2, 1])

    def test_opened_again(self) -> None:
        """
        A database of this version is opened unchanged, without Alembic.
        """
        with self.open().begin() as connection:
            settings.put(connection, "a", "b")
        program = (
            "import sys; from buildbot_lite.storage.database import open_database; "
            f"open_database({self.path!r}); sys.exit('alembic' in sys.modules)"
        )
        self.assertEqual(subprocess.run([sys.executable, "-c", program], check=False).returncode, 0)
        with self.open().connect() as connection:
            self.assertEqual(settings.get(connection, "a"), "b")

    def test_opened_while_locked(self) -> None:
        """
        Promise 5: a master starts while another program has locked the database.
        """
        open_database(self.path).dispose()
        with closing(sqlite3.connect(self.path, isolation_level=None)) as other:
            other.execute("begin immediate")
            with mock.patch.object(database, "_OPTIONS", (*database._OPTIONS, "PRAGMA busy_timeout=0")):
                open_database(self.path).dispose()

    def test_no_room(self) -> None:
        """
        Promise 5: when SQLite cannot open the database because the disk is full, the error says so.
        """
        failing = mock.patch.object(database, "is_current", side_effect=sqlite3.OperationalError("disk I/O error"))
        full = mock.patch("shutil.disk_usage", lambda path: mock.Mock(free=0))
        with failing, full, self.assertRaises(DatabaseFullError) as caught:
            open_database(self.path)
        self.assertIn("is full", str(caught.exception))

    def test_newer(self) -> None:
        """
        Promise 13: a database from a newer version is refused with a sentence, and not touched.
        """
        with self.open().begin() as connection:
            connection.exec_driver_sql("UPDATE alembic_version SET version_num='9999'")
            connection.exec_driver_sql("ALTER TABLE settings ADD COLUMN hue TEXT")
        with self.assertRaises(NewerDatabaseError) as caught:
            open_database(self.path)

        self.assertIn("newer buildbot_lite", str(caught.exception))
        other = sqlite3.connect(self.path)
        self.addCleanup(other.close)
        self.assertEqual(other.execute("SELECT version_num FROM alembic_version").fetchall(), [("9999",)])

    def test_not_a_database(self) -> None:
        """
        A file that is not a database, or a missing directory, raises an error with its name.
        """
        with open(self.path, "wb") as file:
            file.write(b"something else\n" * 100)
        for path in (self.path, os.path.join(self.directory, "nowhere", "farm.sqlite"), self.directory):
            with self.assertRaises(StorageError) as caught:
                open_database(path)
            self.assertIn(path, str(caught.exception))

    def test_urls(self) -> None:
        """
        `c['db']` may be a URL; an unusable one is refused with a sentence without its password.
        """
        open_database(f"sqlite:///{self.path}").dispose()
        self.assertTrue(os.path.exists(self.path))
        for url in ("nonsense://x:hidden@y/z", "postgresql+nothing://x:hidden@y/z", "://"):
            with self.assertRaises(StorageError) as caught:
                open_database(url)
            self.assertNotIn("hidden", str(caught.exception))


class MigrationTests(SynchronousTestCase):
    def test_lead_to_the_schema(self) -> None:
        """
        Promise 13: the migrations from the first schema create exactly the tables of this version.
        """
        migrated, made = create_engine("sqlite://"), create_engine("sqlite://")
        self.addCleanup(migrated.dispose)
        self.addCleanup(made.dispose)
        with migrated.connect() as connection, made.connect() as fresh:
            config = configuration()
            config.attributes["connection"] = connection
            upgrade(config, "head")
            schema.metadata.create_all(fresh)

            self.assertEqual(compare_metadata(MigrationContext.configure(connection), schema.metadata), [], REMEDY)
            migrated_shapes, made_shapes = shapes(connection), shapes(fresh)
            del migrated_shapes["alembic_version"]
            self.assertEqual(migrated_shapes, made_shapes, REMEDY)

    def test_newest_revision(self) -> None:
        """
        The newest migration is the revision of this version.
        """
        self.assertEqual(ScriptDirectory.from_config(configuration()).get_heads(), [REVISION])

    def test_every_version_was_recorded(self) -> None:
        """
        Promise 13: the repository contains a database of every revision.
        """
        revisions = {script.revision for script in ScriptDirectory.from_config(configuration()).walk_revisions()}

        self.assertEqual(
            {name.removesuffix(SUFFIX) for name in os.listdir(DIRECTORY) if name.endswith(SUFFIX)}, revisions
        )

    def test_for_grant(self) -> None:
        """
        Promise 13: an upgrade finds for whom triggered buildsets are built, also through several triggers; those whose
        parents are no longer recorded are built for nobody.
        """
        path = self.mktemp()
        with gzip.open(os.path.join(DIRECTORY, "0006" + SUFFIX)) as source, open(path, "wb") as target:
            target.write(source.read())
        with closing(sqlite3.connect(path)) as connection, connection:
            for number, parent in ((901, None), (902, 901), (903, 902), (904, 999)):
                by_grant = 7 if parent is None else None
                copy_row(connection, "buildsets", id=number, by_grant=by_grant, parent_build=parent)
                copy_row(connection, "requests", id=number, buildset=number)
                copy_row(connection, "builds", id=number, number=number, request=number)
        open_database(path).dispose()
        with closing(sqlite3.connect(path)) as connection:
            found = connection.execute("SELECT id, for_grant FROM buildsets WHERE id > 900 ORDER BY id").fetchall()
        self.assertEqual(found, [(901, None), (902, 7), (903, 7), (904, None)])


def copy_row(connection: sqlite3.Connection, table: str, **changes: object) -> None:
    """
    Add the first row of *table* once more, with *changes*.
    """
    found = connection.execute(f"SELECT * FROM {table} LIMIT 1")
    row = {**dict(zip((each[0] for each in found.description), found.fetchone(), strict=True)), **changes}
    places = ", ".join("?" * len(row))
    connection.execute(f"INSERT INTO {table} ({', '.join(row)}) VALUES ({places})", tuple(row.values()))


TEXT = {"master.cfg": "password = 'open sesame'"}
ADMIN = b"recorded-admin"
SECRETS = (b"recorded-slave", ADMIN, b"recorded-watch", b"recorded-submit", b"open sesame")

NEXT = "next"
CHANGE = f"""
import sqlalchemy as sa
from alembic import op

revision = {NEXT!r}
down_revision = {REVISION!r}


def upgrade() -> None:
    with op.batch_alter_table("builds", recreate="always") as builds:
        builds.add_column(sa.Column("colour", sa.Text, nullable=False, server_default="green"))
"""


class UpgradingTests(SynchronousTestCase):
    def setUp(self) -> None:
        """
        A recorded database of revision 0002, and an additional migration.
        """
        self.path = self.mktemp()
        with gzip.open(os.path.join(DIRECTORY, "0002" + SUFFIX)) as source, open(self.path, "wb") as target:
            target.write(source.read())
        migrations = os.path.join(self.mktemp(), "migrations")
        shutil.copytree(configuration().get_main_option("script_location") or "", migrations)
        self.change = os.path.join(migrations, "versions", "colour.py")
        self.patch(upgrading, "REVISION", NEXT)

        def next_configuration() -> Config:
            config = configuration()
            config.set_main_option("script_location", migrations)
            return config

        self.patch(upgrading, "configuration", next_configuration)

    def found(self) -> tuple[str | None, list[str], int]:
        """
        The database's revision, the last column of its builds, and the number of its steps.
        """
        connection = sqlite3.connect(self.path)
        try:
            (revision,) = connection.execute("SELECT version_num FROM alembic_version").fetchone()
            columns = [row[1] for row in connection.execute("PRAGMA table_info(builds)")]
            return revision, columns[-1:], connection.execute("SELECT count(*) FROM steps").fetchone()[0]
        finally:
            connection.close()

    def test_upgraded(self) -> None:
        """
        Promise 13: opening an older database migrates it with all its data.
        """
        with open(self.change, "w", encoding="utf-8") as file:
            file.write(CHANGE)
        with open_database(self.path).connect() as connection:
            self.assertEqual(connection.exec_driver_sql("SELECT colour FROM builds").scalar(), "green")
            self.assertEqual(connection.exec_driver_sql("PRAGMA foreign_keys").scalar(), 1)

        self.assertEqual(self.found(), (NEXT, ["colour"], 1))

    def test_all_or_nothing(self) -> None:
        """
        When a migration fails, or breaks a foreign key, the database stays unchanged.
        """
        before = self.found()
        for breaks in ("raise ZeroDivisionError", 'op.execute("DELETE FROM builds")'):
            with open(self.change, "w", encoding="utf-8") as file:
                file.write(f"{CHANGE}    {breaks}  # {len(breaks)}\n")
            with self.assertRaises((ZeroDivisionError, StorageError)):
                open_database(self.path)

            self.assertEqual(self.found(), before)


class MovedSecretsTests(SynchronousTestCase):
    """
    A database of 0.1.0, with FURLs and the text of a master.cfg in it.
    """

    def setUp(self) -> None:
        """
        A database as a killed 0.1.0 leaves it, with some changes only in the write-ahead log.
        """
        directory = self.mktemp()
        self.path, self.private = os.path.join(directory, "farm.sqlite"), os.path.join(directory, "private")
        os.makedirs(self.private, 0o700)
        with gzip.open(os.path.join(DIRECTORY, "0001" + SUFFIX)) as source, open(self.path, "wb") as target:
            target.write(source.read())
        self.other = sqlite3.connect(self.path, isolation_level=None)
        self.addCleanup(self.other.close)
        self.other.execute(
            "UPDATE grants SET swissnum = 'recorded-admin', verb = 'admin', object = 'farm' WHERE id = 1"
        )
        self.other.execute("UPDATE generations SET files = ?", [json.dumps(TEXT)])

    def on_the_disk(self) -> list[bytes]:
        """
        The secrets that the database's files contain, in used or free pages or in the write-ahead log.
        """
        whole = b""
        for path in (self.path, f"{self.path}-wal", f"{self.path}-journal"):
            if os.path.exists(path):
                with open(path, "rb") as file:
                    whole += file.read()
        return [secret for secret in SECRETS if secret in whole]

    def check_moved(self) -> None:
        """
        The database contains no secret, and the private files contain all of them.
        """
        self.assertEqual(self.on_the_disk(), [])
        swissnums = Swissnums.load(b"key", self.private)
        with open_database(self.path, private=self.private).connect() as connection, connection.begin():
            found = {grant.verb: swissnums.of(grant) for grant in grants.get_all(connection)}
        self.assertEqual(found, {"admin": "recorded-admin", "watch": None, "submit": "recorded-submit"})
        self.assertEqual(GenerationTexts(self.private).get("9" * 64), TEXT)
        for name in ("strings.kept", "generations/" + "9" * 64):
            self.assertEqual(stat.S_IMODE(os.stat(os.path.join(self.private, name)).st_mode), 0o600)

    def test_moved(self) -> None:
        """
        Promise 6.19: FURLs and texts are moved to private files, and nothing of them is left in a free page or a log.
        """
        self.assertEqual(self.on_the_disk(), list(SECRETS))
        self.other.close()
        open_database(self.path, private=self.private).dispose()

        self.check_moved()

    def test_killed(self) -> None:
        """
        Promise 6.19: a master that is killed during the move leaves the old database, or the new one with all files;
        the next start completes the move.
        """
        self.other.close()
        moments = ("_mark_clean", "_write_anew", "_migrate")
        for moment in reversed(moments):
            with mock.patch.object(upgrading, moment, side_effect=ZeroDivisionError), self.subTest(moment):
                self.assertRaises(ZeroDivisionError, open_database, self.path, private=self.private)
                if moment == "_migrate":
                    self.assertIn(ADMIN, self.on_the_disk())
        open_database(self.path, private=self.private).dispose()

        self.check_moved()

    def test_files_first(self) -> None:
        """
        Promise 6.19: as long as a file cannot be written, the database keeps its secrets.
        """
        self.other.close()
        with mock.patch.object(swissnums, "write_whole", side_effect=StorageError("no room")):
            self.assertRaises(StorageError, open_database, self.path, private=self.private)

        self.assertIn(ADMIN, self.on_the_disk())
        open_database(self.path, private=self.private).dispose()
        self.check_moved()

    def test_read_meanwhile(self) -> None:
        """
        If another program has a transaction open on the database, the move fails with a sentence and is done at the
        next start.
        """
        self.other.execute("BEGIN")
        self.other.execute("SELECT * FROM grants").fetchone()
        with mock.patch.object(database, "_OPTIONS", (*database._OPTIONS, "PRAGMA busy_timeout=0")):
            error = self.assertRaises(StorageError, open_database, self.path, private=self.private)
        self.assertIn("End that program", str(error))
        self.other.close()
        open_database(self.path, private=self.private).dispose()

        self.check_moved()

    def test_no_directory(self) -> None:
        """
        Opening an old database without a directory for its secrets changes nothing.
        """
        self.other.close()
        self.assertRaises(StorageError, open_database, self.path)

        self.assertIn(ADMIN, self.on_the_disk())


class RecordedTests(SynchronousTestCase):
    def opened(self, name: str) -> Engine:
        """
        A copy of the recorded database *name*, migrated to this version.
        """
        path = self.mktemp()
        with gzip.open(os.path.join(DIRECTORY, name)) as source, open(path, "wb") as target:
            target.write(source.read())
        private = self.mktemp()
        os.mkdir(private)
        engine = open_database(path, private=private)
        self.addCleanup(engine.dispose)
        return engine

    def test_read(self) -> None:
        """
        Promise 13: all records of every earlier version can be read, and further builds added.
        """
        for name in sorted(os.listdir(DIRECTORY)):
            if name.endswith(SUFFIX):
                with self.subTest(name), self.opened(name).connect() as connection, connection.begin():
                    self.assertEqual(settings.get(connection, "tub"), "recorded")
                    self.assertEqual([g.verb for g in grants.live(connection, 500.0)], ["slave", "watch", "submit"])
                    (given,) = [g for g in grants.get_all(connection) if g.digest == digest_of("recorded-submit")]
                    self.assertEqual(
                        (given.label, given.uses_allowed, given.per_hour, given.largest, given.most_waiting),
                        ("release script", 5, 2, 4096, 1),
                    )
                    self.assertEqual([s.platform for s in slaves.get_all(connection)], [{"system": "Linux"}])
                    found = inputs.get(connection, 1)
                    assert found is not None
                    self.assertEqual(found.kind, "patch")
                    (waiting,) = requests.unfinished(connection)
                    self.assertEqual((waiting.builder, waiting.retries, waiting.not_before), ("tarball", 1, 500.0))
                    (buildset,) = buildsets.unfinished(connection)
                    self.assertEqual((buildset.source, buildset.parent), ({"branch": "main"}, "0.0.0"))
                    self.assertEqual(buildset.by_grant, given.id)
                    (build,) = builds.newest(connection)
                    self.assertEqual((build.result, build.properties), (Result.SUCCESS, {"owner": ["me", "Submit"]}))
                    self.assertEqual([s.summary for s in steps.of_build(connection, build.id)], ["made"])
                    (entry,) = journal.of_build(connection, build.id)
                    self.assertEqual((entry.intent, entry.ended), ({"argv": ["make"]}, 110.0))
                    self.assertEqual([s.length for s in streams.of_build(connection, build.id)], [12])
                    self.assertEqual([r.text for r in remarks.of_build(connection, build.id)], ["link lost"])
                    self.assertEqual([e.kind for e in feed.since(connection, 0)], ["build.started"])
                    jobs = job_lists.unfinished(connection)
                    self.assertEqual([job.name for job in jobs], ["hello"] if name >= "0006" else [])
                    built = "1.0-1.f4" if name >= "0009" else None
                    self.assertEqual([job.built_version for job in jobs], [built] * len(jobs))
                    again = builds.start(
                        connection,
                        request=waiting.id,
                        builder="hello",
                        slave="bot1",
                        nonce="1",
                        generation=build.generation,
                        now=600.0,
                    )
                    self.assertEqual(again.number, 2)

    def test_this_version(self) -> None:
        """
        The recorded database of this revision has the tables of this version, so that no table changed without a
        revision.
        """
        fresh = os.path.join(self.mktemp())
        record(fresh)
        with gzip.open(fresh) as one, gzip.open(os.path.join(DIRECTORY, REVISION + SUFFIX)) as other:
            self.assertEqual(tables(one.read()), tables(other.read()), REMEDY)


def shapes(connection: Connection) -> dict[str, list[object]]:
    """
    For each table, SQLite's description of its columns, references and indexes.
    """
    found: dict[str, list[object]] = {}
    for table in inspect(connection).get_table_names():
        asked = [f"PRAGMA {what}('{table}')" for what in ("table_xinfo", "table_list")]
        asked.append(f"""SELECT "from", "table", "to" FROM pragma_foreign_key_list('{table}') ORDER BY "from" """)
        asked.append(f"SELECT name, sql FROM sqlite_schema WHERE type='index' AND tbl_name='{table}' ORDER BY name")
        found[table] = [[tuple(row) for row in connection.exec_driver_sql(each)] for each in asked]
    return found


def tables(contents: bytes) -> list[str]:
    """
    The SQL statements that created a database.
    """
    connection = sqlite3.connect(":memory:")
    # A database in memory has no write-ahead log, which bytes 18 and 19 of the file ask for.
    connection.deserialize(contents[:18] + b"\1\1" + contents[20:])
    found = [sql for (sql,) in connection.execute("SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL ORDER BY sql")]
    connection.close()
    return found
