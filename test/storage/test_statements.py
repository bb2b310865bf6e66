"""
The SQL statements of the records, and SQLite's plans for them.
"""

import importlib
import pkgutil
from collections.abc import Iterator
from functools import partial
from typing import Any

from sqlalchemy import Connection, bindparam, select
from sqlalchemy.dialects import postgresql, sqlite

from buildbot_lite.model.results import Result
from buildbot_lite.packages.records import job_lists, job_records, job_rows
from buildbot_lite.storage import records, schema
from buildbot_lite.storage.records import builds, steps
from buildbot_lite.storage.statements import Statement, from_json, to_json

from .farm_case import FarmCase

# One row of an INSERT … SELECT of values; and the list that a question brings with it (json_each).
_NO_TABLES = ("SCAN CONSTANT ROW", "SCAN wanted_")
# Statements on small tables, and statements that run rarely.
_MAY_SCAN = {
    "grants._ALL",
    "grants._LIVE",
    "grants._NEWEST",
    "ended_grants._PRUNE",
    "grants._REVOKE_ALL",
    "slaves._ALL",
    # Scans by the primary key up to its limit.
    "cells._OF_ALL",
    "feed._OLDEST",
    "retention._OLDEST_BUILD",
    # Messages that wait are few, and so are changes that wait for a scheduler.
    "outbox._DUE",
    "outbox._UNSENT",
    "changes._ADD",
    "changes._OLD",
    "pending_changes._SCHEDULERS",
    # Run once a day.
    "retention._SUMS",
    "retention._UNUSED_INPUTS",
    # Run at a start.
    "job_lists._KILLED_UNFINISHED",
    "job_records._OLD",
    # Scans only to check for buildsets of a new input, of which there are none.
    "inputs._ADD",
    # Scans a bounded window of rows that an index finds; see `test_windows`.
    "history._OF_ALL",
    "history._OF_BUILDER",
    "history._FIRST_AFTER",
    "durations._BUILDS",
    "durations._STEPS",
    # Sorts the rows of one page's builds and requests, which indexes find.
    "listed_builds._ATTEMPTS",
    "listed_builds._TRIGGERED",
    # Jobs of packages are few beside builds; asked for by the page of one target.
    "job_lists._NEWEST_FINISHED",
}


def statements() -> Iterator[tuple[str, Statement]]:
    """
    All statements of the records, by module and name.
    """
    modules = [
        importlib.import_module(f"{records.__name__}.{each.name}") for each in pkgutil.iter_modules(records.__path__)
    ]
    for module in [*modules, job_lists, job_records, job_rows]:
        for name, value in vars(module).items():
            if isinstance(value, Statement):
                yield f"{module.__name__.rpartition('.')[2]}.{name}", value


def plan(connection: Connection, text: str, places: int) -> list[str]:
    """
    SQLite's query plan.
    """
    return [row[-1] for row in connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {text}", (None,) * places)]


class StatementTests(FarmCase):
    def test_windows(self) -> None:
        """
        A page of the history goes along the index of a bounded window of builds: it neither copies nor sorts them, and
        ends with the last row of the page.
        """
        found = dict(statements())
        for name, index in (
            ("history._OF_ALL", "INTEGER PRIMARY KEY (rowid>? AND rowid<?)"),
            ("history._OF_BUILDER", "INDEX sqlite_autoindex_builds_1 (builder=? AND number>? AND number<?)"),
            ("history._FIRST_AFTER", "INDEX sqlite_autoindex_builds_1 (builder=? AND number>? AND number<?)"),
        ):
            spelling = found[name].compiled(sqlite.dialect())
            builds_, *rest = self.do(partial(plan, text=spelling.text, places=len(spelling.order or ())))
            self.assertEqual(builds_, f"SEARCH builds USING {index}")
            self.assertFalse([step for step in rest if "B-TREE" in step or "MATERIALIZE" in step], rest)
            self.assertFalse([step for step in rest if step.startswith("SCAN") and "VIRTUAL TABLE" not in step], rest)

    def test_no_scans(self) -> None:
        """
        No statement scans or sorts a whole table, so that a million builds stay fast.
        """
        dialect = sqlite.dialect()
        scans = {}
        for name, statement in statements():
            spelling = statement.compiled(dialect)
            steps = self.do(partial(plan, text=spelling.text, places=len(spelling.order or ())))
            if any(
                (step.startswith("SCAN") and "USING" not in step and not step.startswith(_NO_TABLES))
                or "B-TREE FOR ORDER BY" in step
                for step in steps
            ):
                scans[name] = steps

        self.assertEqual(set(scans) - _MAY_SCAN, set(), scans)

    def test_postgresql(self) -> None:
        """
        All statements compile for PostgreSQL.
        """
        for name, statement in statements():
            with self.subTest(name):
                self.assertTrue(statement.compiled(postgresql.dialect()).text)

    def test_no_utf_8(self) -> None:
        """
        Text that is not UTF-8 is recorded with its encodable characters.
        """
        build = self.build(self.request("odd\udcff"))
        self.do(lambda c: steps.start(c, build.id, 0, "shell", 1.0))
        self.do(lambda c: steps.finish(c, build.id, 0, Result.SUCCESS, 2.0, summary="a\udcffb"))
        (step,) = self.do(lambda c: steps.of_build(c, build.id))

        self.assertEqual((step.result, step.summary), (Result.SUCCESS, "a?b"))
        self.assertEqual(len(self.do(lambda c: builds.newest(c, "odd\udcff"))), 1)

    def test_damaged_column(self) -> None:
        """
        What a document in a column was is read, and nothing else: neither a part of it nor more than it.
        """
        documents: tuple[Any, ...] = ({"a": [1, None, "ä\n"]}, [], "", 0, None)
        for document in documents:
            text = to_json(document)
            self.assertEqual(from_json(text), document)
            for damaged in (text + " x", text + "}", f'["a", {text}'):
                self.assertRaises(ValueError, from_json, damaged)

    def test_missing_parameter(self) -> None:
        """
        A missing parameter raises an error; it does not become NULL.
        """
        statement = Statement(select(schema.settings).where(schema.settings.c.name == bindparam("name")))
        self.failureResultOf(self.records.write(statement.run), KeyError)
