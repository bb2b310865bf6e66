"""
SQL statements that are compiled once.

SQLAlchemy Core generates the SQL, so the schema and the statements are written once for all databases; the driver's
cursor executes it.  Measured for inserting a feed event: ``connection.execute`` 51 µs, ``exec_driver_sql`` 20 µs, the
driver's cursor 7 µs.  A build of one step runs about twenty statements, all in the writer's one thread.

Values go to the driver unchanged: whole numbers, floats, text, None.  `buildbot_lite.storage.records` converts other
types (JSON, `Result`).  Characters that cannot be encoded in UTF-8 (such as an undecodable byte of a command line in a
step's summary) become "?", so that no record is lost because of a character.
"""

import json
from collections.abc import Callable, Iterable
from typing import Any, Generic, TypeVar

from attrs import AttrsInstance, fields, frozen
from sqlalchemy import ClauseElement, Connection, Insert, Select, Table, bindparam, insert, select
from sqlalchemy.engine.interfaces import DBAPICursor, Dialect
from sqlalchemy.sql.compiler import SQLCompiler

from .read_limit import PIECE

T = TypeVar("T")

# `json.dumps` would make one for each document.
_ENCODER = json.JSONEncoder(separators=(",", ":"))
_DECODER = json.JSONDecoder()


@frozen
class CompiledStatement:
    """
    A statement for one SQL dialect: its *text*, the *order* of its parameters (None: by name), and its *constants*.
    """

    text: str
    order: tuple[str, ...] | None
    constants: dict[str, Any]

    def arranged(self, values: dict[str, Any]) -> tuple[Any, ...] | dict[str, Any]:
        """
        *values* as the driver expects them.
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
        Run the statement in the transaction of *connection*.
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

    def run_for_each(self, connection: Connection, rows: Iterable[dict[str, float | str | None]]) -> None:
        """
        Run the statement, which returns no rows, with each of *rows*; their texts can be encoded in UTF-8.
        """
        compiled = self.compiled(connection.dialect)
        parameters: list[Any] = [compiled.arranged(row) for row in rows]
        connection.connection.cursor().executemany(compiled.text, parameters)

    def changed(self, connection: Connection, **values: float | str | None) -> int:
        """
        Run the statement; the number of changed rows.
        """
        return self.run(connection, **values).rowcount

    def number(self, connection: Connection, **values: float | str | None) -> int:
        """
        Run the statement; the whole number in its first row, or 0 without rows.
        """
        rows = self.run(connection, **values).fetchall()
        return int(rows[0][0]) if rows else 0


class Query(Statement, Generic[T]):
    """
    A statement that returns rows.  *make* converts the columns of a row to a result.
    """

    def __init__(self, clause: ClauseElement, make: Callable[..., T]) -> None:
        super().__init__(clause)
        self._make = make

    def all(self, connection: Connection, **values: float | str | None) -> list[T]:
        """
        The results for all rows.
        """
        make, cursor = self._make, self.run(connection, **values)
        rows = cursor.fetchmany(PIECE)
        made = [make(*row) for row in rows]
        # In pieces, so that a cursor with a limit can look at it between them.
        while len(rows) == PIECE:
            rows = cursor.fetchmany(PIECE)
            made += [make(*row) for row in rows]
        return made

    def first(self, connection: Connection, **values: float | str | None) -> T | None:
        """
        The result for the first row, or None.
        """
        row = self.run(connection, **values).fetchone()
        return None if row is None else self._make(*row)


def inserting(table: Table, *columns: str) -> Insert:
    """
    An INSERT into *table* with each of *columns* as a parameter.
    """
    return insert(table).values({name: bindparam(name) for name in columns})


def selecting(table: Table, row: type[AttrsInstance] | type[tuple[Any, ...]]) -> Select[tuple[Any, ...]]:
    """
    A SELECT of those columns of *table* that are fields of *row*, in the order of the fields.  Rows of which a page has
    hundreds are named tuples: a frozen class of attrs takes three times as long to make.
    """
    names = row._fields if issubclass(row, tuple) else [each.name for each in fields(row)]  # type: ignore[attr-defined]  # of a NamedTuple
    return select(*[table.c[name] for name in names])


def _as_utf8(value: float | str | None) -> float | str | None:
    return value.encode(errors="replace").decode() if isinstance(value, str) else value


def to_json(document: object) -> str:
    """
    *document* as compact JSON for a column.
    """
    return _ENCODER.encode(document)


def from_json(text: str) -> Any:
    """
    The document in a column, which `to_json` wrote; `ValueError` if it is none, or has anything beside it.

    (Of a small one, `json.loads` takes three times as long, as it looks for spaces around it.)
    """
    document, end = _DECODER.raw_decode(text)
    if end != len(text):
        raise ValueError("there is something behind the document")
    return document
