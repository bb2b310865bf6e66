"""
What reporters have not sent, as JSON documents, from the records alone.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import asdict, frozen
from sqlalchemy import Connection

from ..storage.records import outbox, states
from ..storage.records.outbox import Unsent
from .build_documents import Document


@frozen
class ReporterRows:
    """
    A row of unsent messages for each reporter that has some, and the states of reporters by owner.
    """

    unsent: Sequence[Unsent]
    states: Mapping[str, Any]


def read_reporters(connection: Connection) -> ReporterRows:
    """
    The rows for `of_reporters`.
    """
    return ReporterRows(outbox.unsent(connection), states.with_prefix(connection, "reporter:"))


def of_reporters(connection: Connection) -> list[Document]:
    """
    The unsent messages of each reporter, with their number, *messages*, and the time of the next attempt; and the last
    message that it gave up, whose "next" is null.
    """
    return reporters_from(read_reporters(connection))


def reporters_from(rows: ReporterRows) -> list[Document]:
    """
    The documents as `of_reporters`.
    """
    waiting = [asdict(each) for each in rows.unsent]
    given_up = [
        {"reporter": owner.removeprefix("reporter:"), **state["given_up"], "next": None}
        for owner, state in rows.states.items()
        if state.get("given_up")
    ]
    return [*waiting, *given_up]
