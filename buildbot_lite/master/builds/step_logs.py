"""
The logs that a step writes itself, and the remarks beside all its logs.
"""

from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager

from attrs import define, evolve

from ...errors import FileError
from ...model.display import printable
from ...model.outcome import Remark, Seal
from ...model.time_limit import never_interrupted
from ..slaves.command_streams import STDIO, latest_of, log_of
from .build_context import BuildContext, ReadableEntryStreams
from .step_effects import StepEffects


@define
class _OwnLog:
    """
    A log that the step writes: the *ordinal* of its place in the journal, and its *length* in bytes.
    """

    ordinal: int
    streams: ReadableEntryStreams
    length: int = 0


class StepLogs:
    """
    The logs and remarks of one step.
    """

    def __init__(self, build: BuildContext, effects: StepEffects) -> None:
        self._build = build
        self._effects = effects
        self._own: dict[str, _OwnLog] = {}
        # By log, the bytes of all ended commands and of all own text so far.
        self._lengths: dict[str, int] = defaultdict(int)
        # The streams of running commands, and the log with the output of each one's program.
        self._growing: list[tuple[ReadableEntryStreams, str]] = []
        self._error: FileError | None = None

    def write(self, name: str, text: str) -> None:
        """
        Append *text* to the step's own log *name*.  `FileError` if an earlier write could not be stored.
        """
        self._effects.check_open()
        if name not in self._own:
            step, ordinal = self._effects.step, self._build.journal.allocate(self._effects.step)
            self._own[name] = _OwnLog(ordinal, self._build.streams.entry(step, ordinal))
        log = self._own[name]
        data, offset = self._build.redaction.text(text).encode("utf-8", "surrogateescape"), log.length
        log.length += len(data)
        self._lengths[name] += len(data)

        def append() -> None:
            try:
                log.streams.stream(name).append(offset, data)
            except FileError as error:
                self._error = error

        # Followers read the text immediately, so it must not depend on outcomes that a crash could undo.
        self._build.journal.once_committed(append)
        self._raise_error()

    def remark(self, text: str, log: str = STDIO) -> None:
        """
        Record *text* beside *log*, at its current end.  Dropped in a replay, because it is recorded already, and after
        the step's code was abandoned.
        """
        if not self._effects.is_closed:
            self.build_remark(text, log)

    def build_remark(self, text: str, log: str = STDIO) -> None:
        """
        Record a remark of the build itself, also after the step's code was abandoned.
        """
        if not self._build.journal.replaying:
            masked = printable(self._build.redaction.text(text), lines=True)
            remark = Remark(log, self._end(log), self._build.wall(), masked)
            self._build.recorder.remark(self._effects.step, remark)

    def _end(self, log: str) -> int:
        """
        The length of *log* as far as it is stored; a command that runs counts with what came until now.
        """
        return self._lengths[log] + sum(_arrived(streams, output, log) for streams, output in self._growing)

    @contextmanager
    def growing(self, streams: ReadableEntryStreams, log: str) -> Iterator[None]:
        """
        While a command runs, it writes these *streams*.  *log*: the log with the output of its program.
        """
        command = (streams, log)
        self._growing.append(command)
        try:
            yield
        finally:
            self._growing.remove(command)

    def placed(self, remarks: Sequence[Remark], log: str) -> Sequence[Remark]:
        """
        Convert the offsets of a command's *remarks*, which count from its first byte, to offsets in the step's logs.
        *log*: the log with the output of its program.
        """
        named = [(log_of(each.stream, log), each) for each in remarks]
        return [evolve(each, stream=name, offset=each.offset + self._lengths[name]) for name, each in named]

    def add_output(self, streams: Mapping[str, Seal], log: str) -> None:
        """
        Add the lengths of the *streams* of a command that has ended.  *log*: the log with the output of its program.
        """
        for name, seal in streams.items():
            self._lengths[log_of(name, log)] += seal.length

    def places(self) -> dict[str, list[int]]:
        """
        By name, the ordinal and the length of the logs that the step wrote.
        """
        return {name: [log.ordinal, log.length] for name, log in self._own.items()}

    def restore(self, places: Mapping[str, Sequence[int]]) -> None:
        """
        Know the logs of `places`, whose text an earlier run of the build stored.
        """
        for name, (ordinal, length) in places.items():
            streams = self._build.streams.entry(self._effects.step, ordinal)
            self._own[name] = _OwnLog(ordinal, streams, streams.stream(name).length)
            self._lengths[name] = max(self._lengths[name], length)

    @never_interrupted
    async def settled(self) -> None:
        """
        Wait until all text that the step wrote is stored; `FileError` if that failed.
        """
        if self._own:
            await self._build.journal.all_committed()
        self._raise_error()

    async def sealed(self) -> dict[int, tuple[str, Seal]]:
        """
        Ordinal → name and seal of the step's own logs, without those that could not be stored.
        """
        if self._own:
            await self._build.journal.all_committed()
        sealed: dict[int, tuple[str, Seal]] = {}
        for name, log in self._own.items():
            try:
                seal = log.streams.seals().get(name)
            except FileError as error:
                self.build_remark(str(error))
            else:
                if seal is not None:
                    sealed[log.ordinal] = name, seal
        return sealed

    def _raise_error(self) -> None:
        error, self._error = self._error, None
        if error is not None:
            raise error


def _arrived(streams: ReadableEntryStreams, output: str, log: str) -> int:
    """
    The bytes of *log* in the *streams* of a running command, whose program writes into the log *output*.
    """
    try:
        lengths = streams.lengths()
    except FileError:
        return 0  # the command's own writes will say so
    latest = latest_of(lengths, log, output)
    return 0 if latest is None else lengths[latest]
