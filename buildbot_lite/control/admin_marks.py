"""
Questions about the marks of builds: a build with a mark stays whatever ``c['retention']`` says.
"""

from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from attrs import frozen
from sqlalchemy import Connection

from ..errors import NotFoundError
from ..master.farm import Farm
from ..model.json_reader import JsonReader
from ..status import build_documents
from ..storage.records import marks as records_of_marks
from ..storage.records.builds import Build

Answer = Mapping[str, Any]


@frozen
class BuildMarks:
    """
    The marks of the builds of *farm*.
    """

    farm: Farm

    def answers(self) -> dict[str, Callable[[JsonReader], Awaitable[Answer]]]:
        """
        The questions, by name.
        """
        return {"keep": self._keep, "unkeep": self._unkeep, "kept": self._kept}

    async def _keep(self, question: JsonReader) -> Answer:
        reason = question.prose("reason", "", limit=1000) or "kept by an admin"

        def change(connection: Connection) -> Build:
            build = self._named(question, connection)
            records_of_marks.keep(connection, build.id, reason)
            return build

        build = await self.farm.records.write(change)
        return {"builder": build.builder, "number": build.number}

    async def _unkeep(self, question: JsonReader) -> Answer:
        def change(connection: Connection) -> Build:
            build = self._named(question, connection)
            if records_of_marks.why_kept(connection, build.id) is None:
                raise NotFoundError(f"{build.builder}/{build.number} has no mark.  See: buildbot-lite kept")
            records_of_marks.keep(connection, build.id, None)
            return build

        build = await self.farm.records.write(change)
        return {"builder": build.builder, "number": build.number}

    async def _kept(self, question: JsonReader) -> Answer:
        marks = await self.farm.records.read(records_of_marks.marked)
        return {"kept": [{"builder": builder, "number": number, "reason": reason} for builder, number, reason in marks]}

    def _named(self, question: JsonReader, connection: Connection) -> Build:
        builder, number = question.text("builder", limit=200), question.integer("number")
        return build_documents.the_build(connection, builder, number, self.farm.config.builders)
