"""
Streams, a journal, records and triggered builds in memory.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from attrs import evolve
from twisted.internet.defer import Deferred, fail, succeed

from ..errors import NotFoundError
from ..master.builds.journal import (
    Done,
    JournalEntry,
)
from ..master.builds.recorder import BuildRecorder
from ..master.builds.triggered import Child
from ..master.slaves.command_streams import WritableStream
from ..model.hello import Hello
from ..model.outcome import Remark, Seal
from ..model.properties import Json
from ..model.results import Result
from .script import (
    sealed,
)


class MemorySource:
    """
    A `Source` in memory.
    """

    def __init__(self, data: bytes) -> None:
        self._data = data

    def read(self, offset: int, size: int) -> bytes:
        return self._data[offset : offset + size]


class MemoryStream:
    """
    A stream in memory.
    """

    def __init__(self) -> None:
        self.data = b""

    @property
    def length(self) -> int:
        return len(self.data)

    def append(self, offset: int, data: bytes) -> int:
        if offset <= len(self.data):
            self.data += data[len(self.data) - offset :]
        return len(self.data)

    def seal(self, seal: Seal) -> Deferred[bool]:
        return succeed(sealed(self.data) == seal)


class MemoryEntryStreams:
    """
    The streams of one entry, in memory.
    """

    def __init__(self) -> None:
        self.streams: dict[str, MemoryStream] = {}

    def stream(self, name: str) -> WritableStream:
        return self.streams.setdefault(name, MemoryStream())

    def lengths(self) -> dict[str, int]:
        return {name: stream.length for name, stream in self.streams.items()}

    def read(self, name: str, offset: int, size: int) -> bytes:
        return self.streams[name].data[offset : offset + size] if name in self.streams else b""

    def seals(self) -> dict[str, Seal]:
        return {name: sealed(stream.data) for name, stream in self.streams.items()}


class MemoryJournal:
    """
    A journal that outlives crashes.  After the moment number *last* no call is answered any more, as in a crash.
    """

    def __init__(self) -> None:
        self.entries: dict[tuple[int, int], JournalEntry] = {}
        self.moments: list[str] = []
        self.last: int | None = None

    def begin(self, build: int, entry: JournalEntry) -> Deferred[None]:
        if self._crashed:
            return Deferred()
        self.entries[entry.step, entry.ordinal] = entry
        return self._pass(f"{entry.kind} {entry.step}.{entry.ordinal}, its intent committed")

    def end(self, build: int, entry: JournalEntry, done: Done, properties: Mapping[str, Any] | None) -> Deferred[None]:
        if self._crashed:
            return Deferred()
        entry_name = f"{entry.kind} {entry.step}.{entry.ordinal}"
        before = self._pass(f"{entry_name}, done and not committed")
        if not before.called:
            return before
        self.entries[entry.step, entry.ordinal] = evolve(entry, outcome=done.outcome)
        return self._pass(f"{entry_name}, its outcome committed")

    def _pass(self, moment: str) -> Deferred[None]:
        self.moments.append(moment)
        return Deferred() if self._crashed else succeed(None)

    @property
    def _crashed(self) -> bool:
        return self.last is not None and len(self.moments) > self.last


class MemoryRecorder(BuildRecorder):
    """
    The records that people see, in memory.
    """

    def __init__(self) -> None:  # no records here
        self.remarks: list[str] = []
        self.finished: tuple[Result, str, bool] | None = None

    def step_started(self, number: int, name: str) -> None:
        pass

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
        self.finished = result, summary, hidden

    def stream_begun(self, step: int, ordinal: int, name: str, kind: str, path: str) -> None:
        pass

    def remark(self, step: int, remark: Remark) -> None:
        self.remarks.append(remark.text)


class MemoryTriggers:
    """
    Triggered builds, whose results the test sets.
    """

    def __init__(self, results: Mapping[str, Result]) -> None:
        self._results = results
        self._asked: dict[str, tuple[str, Mapping[str, Json]]] = {}

    @property
    def triggered(self) -> list[tuple[str, Mapping[str, Json]]]:
        return list(self._asked.values())

    def trigger(
        self,
        scheduler: str,
        parent: str,
        properties: Mapping[str, Json],
        source: Mapping[str, Json],
        priority: int | None,
    ) -> Deferred[int]:
        if scheduler not in self._results:
            return fail(NotFoundError(f"There is no Triggerable scheduler {scheduler!r} in this test."))
        self._asked.setdefault(parent, (scheduler, dict(properties)))
        # From 1, as in the records: 0 is no buildset.
        return succeed(list(self._asked).index(parent) + 1)

    def when_finished(self, buildset: int) -> Deferred[Result]:
        return succeed(self._result(buildset))

    def children(self, buildset: int) -> Deferred[Sequence[Child]]:
        return succeed([Child(buildset, self.triggered[buildset - 1][0], 1, self._result(buildset))])

    async def cancel(self, buildset: int, reason: str) -> Sequence[Child]:
        return []

    def _result(self, buildset: int) -> Result:
        return self._results[self.triggered[buildset - 1][0]]


class IgnoringListener:
    """
    Ignores the events of sessions.
    """

    def slave_attached(self, name: str, hello: Hello, news: str) -> None:
        pass

    def slave_lost(self, name: str) -> None:
        pass
