"""
The records of one build, written in the order in which things happen.

Every method makes one change, together with its events in the feed.  If nothing waits for a change (a step began, a log
has its first byte), it is committed together with the next change for which something waits.
"""

from collections.abc import Callable, Mapping
from typing import Any

from sqlalchemy import Connection
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from ...deferreds import background
from ...model.json_reader import encode
from ...model.outcome import Remark, Seal
from ...model.results import Result
from ...storage.records import (
    builds,
    feed,
    journal,
    remarks,
    steps,
    streams,
)
from ...storage.roles import Records
from .journal import Done, JournalEntry


class BuildRecorder:
    """
    Writes the journal, steps, streams and remarks of one build to the records.

    *build*, *request*: their rows.  *wall*: returns the time in seconds since 1970.
    """

    _log = Logger()

    def __init__(self, records: Records, *, build: int, request: int, wall: Callable[[], float]) -> None:
        self._records = records
        self._build = build
        self._request = request
        self._wall = wall
        self._recorded_properties = b""

    # The role `JournalStore`.

    def begin(self, build: int, entry: JournalEntry) -> Deferred[None]:
        now = self._wall()

        def change(connection: Connection) -> None:
            journal.begin(
                connection,
                build,
                entry.step,
                entry.ordinal,
                kind=entry.kind,
                fingerprint=entry.fingerprint,
                intent=entry.intent,
                now=now,
            )

        return self._records.write(change)

    def end(self, build: int, entry: JournalEntry, done: Done, properties: Mapping[str, Any] | None) -> Deferred[None]:
        now = self._wall()
        record_properties = self._recording(properties or {})

        def change(connection: Connection) -> None:
            journal.end(connection, build, entry.step, entry.ordinal, outcome=done.outcome, now=now)
            _seal(connection, build, entry.step, entry.ordinal, done.seals)
            for remark in done.remarks:
                self._add_remark(connection, entry.step, remark)
            record_properties(connection)

        return self._records.note(change) if done.held else self._records.write(change)

    # For display.

    def step_started(self, number: int, name: str) -> None:
        """
        The step *number* began, for the first time or in a replay.
        """
        now = self._wall()

        def change(connection: Connection) -> None:
            if steps.start(connection, self._build, number, name, now):
                self._publish(connection, "step.started", {"step": number, "name": name}, now)

        self._note(change, "noting that a step began")

    def step_finished(
        self,
        number: int,
        name: str,
        result: Result,
        summary: str,
        *,
        hidden: bool,
        properties: Mapping[str, Any],
        texts: Mapping[int, tuple[str, Seal]],
    ) -> None:
        """
        The step *number* ended.  *texts*: ordinal → name and seal of the logs that the step wrote itself.

        It is committed with the first entry of the next step, or with the end of the build.
        """
        now = self._wall()
        record_properties = self._recording(properties)

        def change(connection: Connection) -> None:
            for ordinal, (log, seal) in texts.items():
                _seal(connection, self._build, number, ordinal, {log: seal})
            record_properties(connection)
            if steps.finish(connection, self._build, number, result, now, summary=summary, hidden=hidden):
                body = {"step": number, "name": name, "result": int(result), "summary": summary, "hidden": hidden}
                self._publish(connection, "step.finished", body, now)

        self._note(change, "noting that a step ended")

    def stream_begun(self, step: int, ordinal: int, name: str, kind: str, path: str) -> None:
        """
        The stream *name* of a journal entry has its first byte, in the file *path*.
        """
        now = self._wall()

        def change(connection: Connection) -> None:
            exists = any(
                (row.ordinal, row.name) == (ordinal, name) for row in streams.of_step(connection, self._build, step)
            )
            row = streams.note(connection, self._build, step, ordinal, name=name, kind=kind, path=path)
            if row.path != path:
                streams.move(connection, row.id, path)
            if exists:
                return
            body = {"step": step, "ordinal": ordinal, "name": name, "kind": kind, "path": path}
            self._publish(connection, "stream.begun", body, now)

        self._note(change, "noting a stream")

    def remark(self, step: int, remark: Remark) -> None:
        """
        Record *remark* beside a log of *step*.
        """
        self._note(lambda connection: self._add_remark(connection, step, remark), "a remark")

    def _recording(self, properties: Mapping[str, Any]) -> Callable[[Connection], None]:
        """
        Return the change that records *properties*, or an empty one if they are recorded already: most steps change no
        properties, and a write would cost one or two pages of the database.  Empty *properties* mean "unknown".
        """
        encoded = encode(properties)
        if not properties or encoded == self._recorded_properties:
            return lambda connection: None
        self._recorded_properties = encoded
        return lambda connection: builds.save_properties(connection, self._build, properties)

    def _add_remark(self, connection: Connection, step: int, remark: Remark) -> None:
        remarks.add(
            connection, self._build, step, log=remark.stream, offset=remark.offset, text=remark.text, now=remark.when
        )
        body = {"step": step, "log": remark.stream, "offset": remark.offset, "text": remark.text}
        self._publish(connection, "remark", body, remark.when)

    def _publish(self, connection: Connection, kind: str, body: Mapping[str, Any], now: float) -> None:
        feed.publish(connection, kind, now=now, request=self._request, build=self._build, body=body)

    def _note(self, change: Callable[[Connection], None], what: str) -> None:
        background(self._records.note(change), self._log, what)


def _seal(connection: Connection, build: int, step: int, ordinal: int, seals: Mapping[str, Seal]) -> None:
    if not seals:
        return
    noted = {stream.name: stream for stream in streams.of_step(connection, build, step) if stream.ordinal == ordinal}
    for name, seal in seals.items():
        if stream := noted.get(name.partition("~")[0]):
            streams.seal(connection, stream.id, seal.length, seal.sha256)
