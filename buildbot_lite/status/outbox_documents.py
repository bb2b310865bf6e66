"""
What reporters have not sent, as JSON documents, from the records alone.
"""

from attrs import asdict
from sqlalchemy import Connection

from ..storage.records import outbox, states
from .build_documents import Document


def of_reporters(connection: Connection) -> list[Document]:
    """
    The unsent messages of each reporter, with their number, *messages*, and the time of the next attempt; and the last
    message that it gave up, whose "next" is null.
    """
    waiting = [asdict(each) for each in outbox.unsent(connection)]
    states_of = states.with_prefix(connection, "reporter:")
    given_up = [
        {"reporter": owner.removeprefix("reporter:"), **state["given_up"], "next": None}
        for owner, state in states_of.items()
        if state.get("given_up")
    ]
    return [*waiting, *given_up]
