"""
Questions of an admin about changes: record one, list the newest.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any, TypeVar

from attrs import frozen
from sqlalchemy import Connection

from ..master.farm import Farm
from ..model.json_reader import JsonReader
from ..status import build_documents
from .change_lines import change_from
from .changes import unbuilt

T = TypeVar("T")
Answer = Mapping[str, Any]

MOST_CHANGES = 50
"""Changes in one answer: each may have half a megabyte."""
SOURCE = "sendchange"
"""The source of the changes that an admin adds."""


@frozen
class ChangeAdmin:
    """
    Answers about the changes of *farm*.  *read* reads the records on the holder's account.
    """

    farm: Farm
    read: Callable[[Callable[[Connection], Any]], Awaitable[Any]]

    def answers(self) -> Mapping[str, Callable[[JsonReader], Awaitable[Answer]]]:
        """
        The questions, each with the method that answers it.
        """
        return {"changes": self._list, "sendchange": self._send}

    async def _list(self, question: JsonReader) -> Answer:
        most = min(question.integer("most", 20, least=1), MOST_CHANGES)
        before = question.optional("before", question.integer)
        changes: list[Any] = await self.read(lambda connection: build_documents.of_changes(connection, most, before))
        return {"changes": changes, "before": changes[-1]["change"] if len(changes) == most else None}

    async def _send(self, question: JsonReader) -> Answer:
        change = change_from(JsonReader(question.mapping("change"), "the change"), SOURCE)
        recorded = await self.farm.changes.add([change])
        return {"change": recorded[0].id if recorded else None, "remarks": unbuilt(self.farm.config, recorded)}
