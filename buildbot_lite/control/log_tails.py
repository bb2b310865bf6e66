"""
The question for the end of a step's log, for programs that show it live and need not fetch all of it.
"""

import os
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any

from attrs import frozen
from sqlalchemy import Connection

from ..errors import NotFoundError
from ..master.farm import Farm
from ..model.json_reader import JsonReader
from ..model.suggestions import did_you_mean
from ..status import build_documents
from ..status.log_output import the_step
from ..storage.compressed_streams import open_stream
from ..storage.records import steps, streams
from ..storage.records.streams import Stream

LARGEST_TAIL = 64 << 10
"""Bytes of a log in one answer."""
USUAL_TAIL = 16 << 10

Answer = Mapping[str, Any]
Read = Callable[[Callable[[Connection], Any]], Awaitable[Any]]


@frozen
class LogTails:
    """
    The ends of logs of *farm*.  *read*: reads the records, at the cost of the asker.
    """

    farm: Farm
    read: Read

    def answers(self) -> dict[str, Callable[[JsonReader], Awaitable[Answer]]]:
        """
        The question, by name.
        """
        return {"tail": self._tail}

    async def _tail(self, question: JsonReader) -> Answer:
        """
        At most *bytes* bytes at the end of a log of ``builder``, ``number``, ``step`` (its name or number), as "text"
        without what is not UTF-8; "length": all bytes of the log.  ``log``: its name; by default the newest log of the
        step, and "log" names it; null, with an empty text, if the step has none yet.
        """
        builder, number = question.text("builder", limit=200), question.integer("number")
        step, log = question.text("step", limit=1000), question.optional("log", question.text)
        most = question.integer("bytes", USUAL_TAIL, least=1, most=LARGEST_TAIL)
        known = self.farm.config.builders

        def read(connection: Connection) -> Answer:
            build = build_documents.the_build(connection, builder, number, known)
            chosen = the_step(steps.of_build(connection, build.id), step)
            found = [each for each in streams.of_step(connection, build.id, chosen.number) if each.kind == "log"]
            if log is None and not found:
                return {"step": chosen.number, "log": None, "length": 0, "text": ""}
            name = log or max(found, key=lambda each: each.id).name
            parts = [each for each in found if each.name == name]
            if not parts:
                near = did_you_mean(name, [each.name for each in found])
                raise NotFoundError(f"The step {chosen.name} has no log {name!r:.100}.{near}")
            length, data = self._end(parts, most)
            return {"step": chosen.number, "log": name, "length": length, "text": data.decode("utf-8", "replace")}

        return {"tail": await self.read(read)}

    def _end(self, parts: Sequence[Stream], most: int) -> tuple[int, bytes]:
        """
        The length of a log, which is all *parts* in their order, and its last bytes, *most* of them or fewer.
        """
        length, data = 0, b""
        for part in reversed(parts):
            reader = open_stream(os.path.join(self.farm.stream_storage.streams, part.path))
            try:
                size = reader.length
                wanted = min(size, most - len(data))
                data = reader.read(size - wanted, wanted) + data
            finally:
                reader.close()
            length += size
        return length, data
