"""
Send logs of a build: the bytes of one log and nothing else, or the logs of all steps under headings.

::

    finished, or without *to_the_end*     records ──► step by step ──► its logs, from the files
    running, and *to_the_end*             feed    ──► event by event ─► its logs, until they are complete

With one step chosen, the client's standard output is exactly the log.  Remarks go to standard error, at their place in
the log if that is known.
"""

import os
from collections import Counter, deque
from collections.abc import Hashable, Iterable, Sequence

from attrs import define, frozen
from sqlalchemy import Connection

from ..errors import NotFoundError
from ..model.display import printable, remark_lines
from ..model.results import Result
from ..model.suggestions import did_you_mean
from ..storage.compressed_streams import open_stream
from ..storage.records import remarks, retention, steps, streams
from ..storage.records.builds import Build
from ..storage.records.feed import Event
from ..storage.records.remarks import Remark
from ..storage.records.steps import Step
from ..storage.records.streams import Stream
from ..storage.roles import Records
from .following import LogFollower
from .send_window import Client, SendWindow, send_range

STDIO = "stdio"


@frozen
class LogQuery:
    """
    The logs of *build* to send.

    *step*: the name or number of one step; None: all steps.  *log*: the name of one log; None: ``stdio`` of one step,
    all logs of all steps.  *remarks*: send remarks, too.  *to_the_end*: follow a running build until it ends.
    """

    build: Build
    step: str | None = None
    log: str | None = None
    remarks: bool = False
    to_the_end: bool = False

    def log_matches(self, name: str) -> bool:
        """
        Whether to send the log *name*.
        """
        return name == (self.log or STDIO) if self.step is not None else self.log in {None, name}


@define
class _HeadedOutput:
    """
    Output with headings: each begins on a line of its own, also after a log without a final newline.
    """

    client: SendWindow
    in_line: bool = False

    @property
    def chunk(self) -> int:
        return self.client.chunk

    async def heading(self, text: str) -> None:
        break_ = "\n" if self.in_line else ""
        self.in_line = False
        await self.client.stdout(f"{break_}{printable(text)}\n".encode())

    async def remark(self, text: str) -> None:
        await self.client.stderr(remark_lines(text).encode())

    async def turn(self, size: int) -> None:
        await self.client.turn(size)

    async def stdout(self, data: bytes) -> None:
        self.in_line = not data.endswith(b"\n")
        await self.client.stdout(data)


class LogSender:
    """
    Sends *client* the logs that *query* describes, once.  *directory*: the directory of logs.  *holder*: of the
    client's FURL.
    """

    def __init__(
        self,
        *,
        records: Records,
        follower: LogFollower,
        directory: str,
        query: LogQuery,
        client: Client,
        holder: Hashable,
    ) -> None:
        self._records = records
        self._follower = follower
        self._directory = directory
        self._query = query
        self._output = follower.output_to(client, holder)
        self._page = _HeadedOutput(self._output)

    async def run(self) -> None:
        """
        Send everything.  `NotFoundError`, which lists the existing ones, if there is no such step or log.
        """
        if self._query.to_the_end and self._query.build.finished is None:
            await self._as_it_goes()
        else:
            await self._as_it_is()
        await self._output.drained()

    # Finished builds, or the present state of running ones.

    async def _as_it_is(self) -> None:
        query, build = self._query, self._query.build.id

        def read(connection: Connection) -> tuple[Sequence[Step], Sequence[Stream], Sequence[Remark], bool]:
            return (
                steps.of_build(connection, build),
                streams.of_build(connection, build),
                remarks.of_build(connection, build),
                retention.logs_removed(connection, build),
            )

        all_steps, all_streams, all_remarks, removed = await self._records.read(read)
        if not any(stream.kind == "log" for stream in all_streams) and removed:
            label = f"{query.build.builder}/{query.build.number}"
            raise NotFoundError(f"{label} has no logs: those of such old builds were removed (c['retention']).")
        chosen = all_steps if query.step is None else [the_step(all_steps, query.step)]
        for step in chosen:
            # In the order in which the logs began, as in `_as_it_goes`: `cli.asking.resuming` counts on it.
            of_step = sorted((stream for stream in all_streams if stream.step == step.number), key=lambda each: each.id)
            logs = [stream for stream in of_step if stream.kind == "log"]
            step_remarks = [remark for remark in all_remarks if remark.step == step.number] if query.remarks else []
            await self._step(step, logs, step_remarks)

    async def _step(self, step: Step, logs: Sequence[Stream], remarks: list[Remark]) -> None:
        matching = [stream for stream in logs if self._query.log_matches(stream.name)]
        if not matching and self._query.log not in {None, STDIO} and self._query.step is not None:
            near = did_you_mean(str(self._query.log), [stream.name for stream in logs])
            raise NotFoundError(f"The step {step.name} has no log {self._query.log!r:.100}.{near}")
        await self._begin(step.name)
        # A log of several commands is their streams, one after the other; offsets of its remarks count over all.
        lasts = {stream.name: stream for stream in matching}
        beside = {name: _in_order(remark for remark in remarks if remark.log == name) for name in lasts}
        lengths: Counter[str] = Counter()
        for stream in matching:
            waiting = beside[stream.name]
            await self._begin_log(step.name, stream.name)
            lengths[stream.name] += await self._copy(stream.path, waiting, lengths[stream.name])
            if stream is lasts[stream.name]:
                await self._remark(waiting)
        await self._remark(remark for remark in remarks if remark.log not in lasts)
        if step.result is not None:
            await self._finish(step.result, step.summary)

    async def _copy(self, path: str, waiting: deque[Remark], before: int) -> int:
        """
        Send the stream in *path*, which begins *before* bytes behind the start of its log, with those of the *waiting*
        remarks that belong into it; return its length.
        """
        reader = self._follower.streams.open(os.path.join(self._directory, path))
        offset = 0
        try:
            while waiting and waiting[0].offset - before <= reader.length:
                offset = await send_range(reader, offset, self._page, max(offset, waiting[0].offset - before))
                await self._remark([waiting.popleft()])
            return await send_range(reader, offset, self._page)
        finally:
            reader.close()

    # Running builds, until they end.

    async def _as_it_goes(self) -> None:
        build, seen = self._query.build, 0
        chosen: dict[int, str] = {}
        while True:
            for event in await self._follower.events(build.request, seen):
                seen = event.seq
                if event.build == build.id and await self._heard(event, chosen):
                    return

    async def _heard(self, event: Event, chosen: dict[int, str]) -> bool:
        """
        Send the output for *event* if it concerns one of the *chosen* steps (number → name); True after the last one.
        """
        body, query = event.body, self._query
        if event.kind == "build.finished":
            if query.step is not None:
                raise NotFoundError(f"The build ended without a step {query.step!r:.100}.")
            return True
        if event.kind == "step.started" and query.step in {None, body["name"], str(body["step"])}:
            chosen[body["step"]] = body["name"]
            await self._begin(body["name"])
        if body.get("step") not in chosen:
            return False
        if event.kind == "stream.begun" and body["kind"] == "log" and query.log_matches(body["name"]):
            await self._begin_log(chosen[body["step"]], body["name"])
            await self._follower.copy(query.build.request, query.build.id, body, self._page)
        elif event.kind == "remark" and query.remarks:
            await self._page.remark(body["text"])
        elif event.kind == "step.finished":
            await self._finish(Result(body["result"]), body["summary"])
            return query.step is not None
        return False

    # Headings; a single log has none.

    async def _begin(self, step: str) -> None:
        if self._query.step is None:
            await self._page.heading(f"=== {step}")

    async def _begin_log(self, step: str, log: str) -> None:
        if self._query.step is None and log != STDIO:
            await self._page.heading(f"=== {step}, log {log}")

    async def _finish(self, result: Result, summary: str) -> None:
        if self._query.step is None:
            await self._page.heading(f"--- {result.name}: {summary}" if summary else f"--- {result.name}")

    async def _remark(self, remarks: Iterable[Remark]) -> None:
        for remark in remarks:
            await self._page.remark(remark.text)


def _in_order(remarks: Iterable[Remark]) -> deque[Remark]:
    return deque(sorted(remarks, key=lambda each: each.offset))


def the_step(steps: Sequence[Step], reference: str) -> Step:
    """
    The step that *reference* names: by its name, or by its number, counted from 0.
    """
    named = [step for step in steps if step.name == reference]
    if len(named) == 1:
        return named[0]
    if named:
        numbers = ", ".join(str(step.number) for step in named)
        raise NotFoundError(f"{len(named)} steps are called {reference!r:.100}: give the number of one, {numbers}.")
    for step in steps:
        if reference == str(step.number):
            return step
    near = did_you_mean(reference, [step.name for step in steps], see="buildbot-lite builds BUILDER/NUMBER")
    raise NotFoundError(f"This build has no step {reference!r:.100}.{near or '  None has begun.'}")


async def send_file(path: str, output: SendWindow) -> None:
    """
    Send every byte of the file *path*.
    """
    reader = open_stream(path)
    try:
        await send_range(reader, 0, output)
        await output.drained()
    finally:
        reader.close()
