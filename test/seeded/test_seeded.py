"""
The made-up records are records: this version reads them.
"""

import sqlite3
from contextlib import closing
from pathlib import Path

from sqlalchemy import text
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.status import build_documents
from buildbot_lite.storage.compressed_streams import open_stream
from buildbot_lite.storage.records import builds, history
from buildbot_lite.storage.records.history import Filter

from .files import DATABASE, LOG, make_farm
from .live_answers import LiveAnswers
from .opened import in_file, in_memory
from .seeding import Seeding
from .values import HOSTILE


class SeededTests(SynchronousTestCase):
    """
    Records in memory and in a file.
    """

    def test_documents(self) -> None:
        """
        Every build, change and slave can be read, and hostile texts come back unchanged.
        """
        seeding = Seeding(builds=200)
        with in_memory(seeding).connect() as connection:
            page = history.page(connection, Filter(), most=1000)
            documents = build_documents.of_builds(connection, page)
            self.assertEqual(len(documents), 200)
            self.assertEqual(sum(each["finished"] is None for each in documents), 3)
            summaries = {step["summary"] for each in documents for step in each["steps"]}
            self.assertEqual([each for each in HOSTILE if each not in summaries], [])
            self.assertEqual(len(build_documents.of_changes(connection, 1000)), seeding.rounds)
            for builder in seeding.builders:
                newest = builds.newest(connection, builder, most=1)[0]
                one = build_documents.of_one_build(connection, newest)
                self.assertEqual((one["builder"], len(one["steps"]) > 0), (builder, True))

    def test_same_every_time(self) -> None:
        """
        The same seeding makes the same records.
        """
        first, second = (in_memory(Seeding(builds=50)) for _ in range(2))
        with first.connect() as one, second.connect() as other:
            for table in ("builds", "steps", "changes", "feed", "package_jobs"):
                query = text(f"SELECT * FROM {table}")
                self.assertEqual(one.execute(query).all(), other.execute(query).all())

    def test_copies(self) -> None:
        """
        Copies follow each other: numbers have no gaps, times grow, and every row has what it refers to.
        """
        path = Path(self.mktemp()) / "farm.sqlite"
        seeding = Seeding(builds=160, running=0)
        in_file(path, seeding, copies=3)
        with closing(sqlite3.connect(path)) as database:
            self.assertEqual(database.execute("PRAGMA foreign_key_check").fetchall(), [])
            rows = database.execute("SELECT id, number, started FROM builds WHERE builder='freebsd' ORDER BY id")
            _ids, numbers, times = zip(*rows.fetchall(), strict=True)
            self.assertEqual(numbers, tuple(range(1, 31)))
            self.assertEqual(list(times), sorted(times))
            self.assertEqual(database.execute("SELECT count(*) FROM builds").fetchone(), (480,))

    def test_many_builders(self) -> None:
        """
        Of very many builders, too, no build begins or ends in the future.
        """
        seeding = Seeding(builds=620, running=5, more_builders=300, hostile=False)
        path = Path(self.mktemp()) / "farm.sqlite"
        in_file(path, seeding)
        with closing(sqlite3.connect(path)) as database:
            ((started, finished),) = database.execute("SELECT max(started), max(finished) FROM builds")
        self.assertLessEqual(max(started, finished), seeding.now)

    def test_farm(self) -> None:
        """
        A farm's directory has the logs of its newest builds, as long as the records say; what the master would answer
        names the same builds.
        """
        directory, seeding = Path(self.mktemp()), Seeding(builds=64)
        make_farm(directory, seeding, logs=6)
        with closing(sqlite3.connect(directory / DATABASE)) as database:
            newest = database.execute(
                "SELECT path FROM streams WHERE kind='log' ORDER BY build DESC LIMIT 12"
            ).fetchall()
            running = database.execute("SELECT builder, number, slave FROM builds WHERE finished IS NULL").fetchall()
        for (path,) in newest:
            reader = open_stream(str(directory / "streams" / path))
            self.assertEqual((reader.length, reader.read(0, 100)), (len(LOG), LOG[:100]))
            reader.close()
        answer = LiveAnswers(seeding).to("status")
        assert answer is not None
        live = [(each["builder"], each["number"], each["slave"]) for each in answer["status"]["running"]]
        self.assertEqual(live, running)
