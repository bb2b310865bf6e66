"""
Limits of one transaction that only reads: of its time, and of its rows.

::

    before each statement ─┐
    after `PIECE` rows ────┼──► ReadLimit.look ──► its time is over, or the rows are too many: ReadTooLongError
    while SQLite searches ─┘    (the last: SQLite's progress handler, which interrupts the statement)

So between two looks there are a statement's few instructions, or the making of `PIECE` rows, however slow the machine
is, and no caller can make a transaction longer by asking for much.
"""

import sqlite3
from collections.abc import Callable
from typing import Any

from attrs import define

from ..errors import ReadTooLongError, TooManyRowsError

PIECE = 500
"""Rows that are fetched at a time."""
MOST_ROWS = 100_000
"""Rows of one transaction: twice those of a build with as many steps as one may have (`build_context.MOST_STEPS`)."""


@define(eq=False)
class ReadLimit:
    """
    The limit of one transaction, which lasts *longest* seconds at most.  *clock*: monotonic seconds.
    """

    clock: Callable[[], float]
    longest: float
    end: float
    rows: int = 0

    @classmethod
    def from_now(cls, clock: Callable[[], float], longest: float) -> "ReadLimit":
        """
        The limit of a transaction that begins now.
        """
        return cls(clock, longest, clock() + longest)

    @property
    def is_over(self) -> bool:
        """
        Whether its time is over.
        """
        return self.clock() > self.end

    def look(self, rows: int = 0) -> None:
        """
        `ReadTooLongError` if its time is over, `TooManyRowsError` if it has read too many rows with these *rows*.
        """
        self.rows += rows
        if self.rows > MOST_ROWS:
            raise TooManyRowsError(
                f"This has more than {MOST_ROWS} rows, which are never read for one answer.  Ask for less, with a "
                "filter or a smaller limit; if there is none, ask buildbot-lite on the master's machine."
            )
        if self.is_over:
            raise self.too_long()

    def too_long(self) -> ReadTooLongError:
        """
        The refusal of what takes longer.
        """
        return ReadTooLongError(
            f"This takes longer than {self.longest * 1000:.0f} ms to find.  Ask for less, or try again."
        )


class LimitedConnection(sqlite3.Connection):
    """
    A connection whose cursors look at *limit*, if there is one.
    """

    limit: ReadLimit | None = None

    def cursor(self, factory: Any = None) -> Any:
        """
        A cursor that looks at the limit.
        """
        return super().cursor(_LimitedCursor)


class _LimitedCursor(sqlite3.Cursor):
    connection: LimitedConnection

    def execute(self, sql: str, parameters: Any = (), /) -> "_LimitedCursor":
        self._look()
        super().execute(sql, parameters)
        return self

    def fetchmany(self, size: int | None = PIECE) -> list[Any]:
        rows = super().fetchmany(PIECE if size is None else size)
        self._look(len(rows))
        return rows

    def fetchall(self) -> list[Any]:
        rows = piece = self.fetchmany()
        while len(piece) == PIECE:
            piece = self.fetchmany()
            rows += piece
        return rows

    def _look(self, rows: int = 0) -> None:
        limit = self.connection.limit
        if limit is not None:
            limit.look(rows)
