"""
SQL that is compiled once.

SQLAlchemy Core writes the SQL, so that there is one schema and one spelling for every database; it has no part in
running it.  Measured here on the row of a feed event: ``connection.execute`` 51 µs, ``exec_driver_sql`` 20 µs, the
driver's own cursor 7 µs.  A build of one step runs some twenty statements, all of them in the one thread that
everybody waits for.

Values go to the driver as they are: whole numbers, floats, text, None.  Whatever else a column means (JSON, a
`Result`) is put on and taken off in `buildbot_lite.storage.records`.  Of text that is no UTF-8 (an undecodable byte of
somebody's command line, in a step's summary, say) what is not becomes "?": a record is never lost over a character.
"""

import json
from collections.abc import Callable
from typing import Any, Generic, TypeVar

from attrs import AttrsInstance, fields, frozen
from sqlalchemy import ClauseElement, Connection, Insert, Select, Table, bindparam, insert, select
from sqlalchemy.engine.interfaces import DBAPICursor, Dialect
from sqlalchemy.sql.compiler import SQLCompiler

T = TypeVar("T")


@frozen
class CompiledStatement:
    """
    What one kind of database is given: the *text*, the *order* of its parameters (None: by name), and the *constants*.
    """

    text: str
    order: tuple[str, ...] | None
    constants: dict[str, Any]

    def arranged(self, values: dict[str, Any]) -> tuple[Any, ...] | dict[str, Any]:
        """
        *values* as the driver wants them.
        """
        return values if self.order is None else tuple([values[name] for name in self.order])


class Statement:
    """
    One statement, whose `bindparam` names are the keyword arguments of `run`.
    """

    def __init__(self, clause: ClauseElement) -> None:
        self._clause = clause
        self._compiled: dict[str, CompiledStatement] = {}

    def compiled(self, dialect: Dialect) -> CompiledStatement:
        """
        It, as that kind of database is told.
        """
        known = self._compiled.get(dialect.name)
        if known is None:
            compiled = self._clause.compile(dialect=dialect)
            assert isinstance(compiled, SQLCompiler)
            order = compiled.positiontup
            constants = {name: bind.value for bind, name in compiled.bind_names.items() if not bind.required}
            known = CompiledStatement(str(compiled), None if order is None else tuple(order), constants)
            self._compiled[dialect.name] = known
        return known

    def run(self, connection: Connection, **values: float | str | None) -> DBAPICursor:
        """
        Run it in the transaction that *connection* is in.
        """
        compiled = self.compiled(connection.dialect)
        if compiled.constants:
            values = {**compiled.constants, **values}
        cursor = connection.connection.cursor()
        try:
            cursor.execute(compiled.text, compiled.arranged(values))
        except UnicodeEncodeError:
            cursor.execute(compiled.text, compiled.arranged({name: _as_utf8(value) for name, value in values.items()}))
        return cursor

    def changed(self, connection: Connection, **values: float | str | None) -> int:
        """
        Run it; how many rows it changed.
        """
        return self.run(connection, **values).rowcount

    def number(self, connection: Connection, **values: float | str | None) -> int:
        """
        Run it; the whole number that it answers, or 0 when it answers nothing.
        """
        rows = self.run(connection, **values).fetchall()
        return int(rows[0][0]) if rows else 0


class Query(Statement, Generic[T]):
    """
    A statement that answers rows; *make* makes one thing of the values of each.
    """

    def __init__(self, clause: ClauseElement, make: Callable[..., T]) -> None:
        super().__init__(clause)
        self._make = make

    def all(self, connection: Connection, **values: float | str | None) -> list[T]:
        """
        Everything that it answers.
        """
        make = self._make
        return [make(*row) for row in self.run(connection, **values).fetchall()]

    def first(self, connection: Connection, **values: float | str | None) -> T | None:
        """
        The first of what it answers, if any.
        """
        row = self.run(connection, **values).fetchone()
        return None if row is None else self._make(*row)


def inserting(table: Table, *columns: str) -> Insert:
    """
    The statement that adds a row to *table*; each of *columns* is a parameter.
    """
    return insert(table).values({name: bindparam(name) for name in columns})


def selecting(table: Table, row: type[AttrsInstance]) -> Select[tuple[Any, ...]]:
    """
    The statement that answers the columns of *table* that are fields of *row*, in their order.
    """
    return select(*[table.c[field.name] for field in fields(row)])


def _as_utf8(value: float | str | None) -> float | str | None:
    return value.encode(errors="replace").decode() if isinstance(value, str) else value


def to_json(document: object) -> str:
    """
    *document* as it is kept in a column.
    """
    return json.dumps(document, separators=(",", ":"))
