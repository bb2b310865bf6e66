"""
The files of builds on the master's disk: logs and artifacts.

::

    streams/<build / 1000>/<build>/<step>-<ordinal>-<stream>      logs, whose paths are in the records
    artifacts/<builder>/<number>/<name>                            artifacts
    artifacts/<builder>/.incoming/<number>-<step>-<ordinal>        artifacts that are being received

A stream is added to the records with its first byte, notifies its followers when it grows, and is synced to the disk
when it is complete.
"""

import hashlib
import os
from collections.abc import Callable
from typing import Any, TypeVar

from attrs import define, field, frozen
from twisted.internet.defer import Deferred, succeed

from ...errors import UnsafePathError
from ...model.names import directory_name, relative_path
from ...model.outcome import Seal
from ...storage.artifacts import ArtifactFile, incoming_path
from ...storage.early_sync import EarlySync
from ...storage.files import file_error
from ...storage.notifications import Notifications
from ...storage.streams import StreamFile, seal_stream
from ..slaves.command_streams import ARTIFACT, ATTEMPTS, STDIO, log_of
from .recorder import BuildRecorder

T = TypeVar("T")


InThread = Callable[[Callable[[], Any]], Deferred[Any]]


def streams_directory(build: int) -> str:
    """
    The directory of the logs of *build*, relative to ``streams``.
    """
    return f"{build // 1000}/{build}"


@frozen
class StreamStorage:
    """
    The directories of a farm's streams.  *basedir*: the master's directory.  *in_thread*: runs slow work in a thread.
    """

    basedir: str
    notifications: Notifications
    in_thread: InThread
    early_sync: EarlySync = field(init=False)

    @early_sync.default
    def _one_for_all(self) -> EarlySync:
        return EarlySync(self.in_thread)

    @property
    def streams(self) -> str:
        """
        The directory of logs.
        """
        return os.path.join(self.basedir, "streams")

    @property
    def artifacts(self) -> str:
        """
        The directory of artifacts.
        """
        return os.path.join(self.basedir, "artifacts")


class BuildStreamFiles:
    """
    The files of one build: the role `build_context.BuildStreams`.
    """

    def __init__(
        self, storage: StreamStorage, *, build: int, builder: str, number: int, recorder: BuildRecorder
    ) -> None:
        self._storage = storage
        self._build = build
        self._builder = directory_name(builder)
        self._number = number
        self._recorder = recorder
        self._entries: dict[tuple[int, int], EntryStreamFiles] = {}
        # Path → the first entry that uploads to it.  In a replay, the entries come in the same order.
        self._first: dict[str, tuple[int, int]] = {}

    def entry(self, step: int, ordinal: int, artifact: str | None = None, log: str = STDIO) -> "EntryStreamFiles":
        """
        The streams of one journal entry.  *artifact*: the name of its upload.  `UnsafePathError` if that is not a path
        inside the build's directory.
        """
        key = step, ordinal
        if key not in self._entries:
            path = None if artifact is None else f"{self._builder}/{self._number}/{_artifact_path(artifact)}"
            self._entries[key] = EntryStreamFiles(
                self._storage,
                self._recorder,
                step=step,
                ordinal=ordinal,
                directory=streams_directory(self._build),
                log=log,
                artifact=path,
                incoming=incoming_path(self._builder, self._number, step, ordinal),
                replaces=path is not None and self._first.setdefault(path, key) != key,
            )
        return self._entries[key]

    def close(self) -> None:
        """
        Close all files, at the end of the build.
        """
        for entry in self._entries.values():
            entry.close()
        self._entries.clear()


@define
class RecordedStream:
    """
    The file of one stream: the role `command_streams.WritableStream`.

    *key*: its name in *notifications*.  *note*: called with the first byte, to add the stream to the records.
    """

    file: StreamFile
    key: str
    note: Callable[[], None]
    storage: StreamStorage
    _noted: bool = field(default=False)

    @property
    def length(self) -> int:
        """
        The length in bytes.
        """
        return self.file.length

    def append(self, offset: int, data: bytes) -> int:
        before = self.file.length
        length = self.file.append(offset, data)
        if length and not self._noted:
            self._noted = True
            self.note()
        self.storage.notifications.changed(self.key, length - before)
        self.storage.early_sync.grown(self.file)
        return length

    def seal(self, seal: Seal) -> Deferred[bool]:
        # If the master was killed after it stored the first bytes and before it recorded the stream, the slave does
        # not send these bytes again.
        if not self._noted and (isinstance(self.file, ArtifactFile) or self.file.length):
            self._noted = True
            self.note()
        if not seal.length and not self.file.length and not isinstance(self.file, ArtifactFile):
            return succeed(seal.sha256 == hashlib.sha256().hexdigest())
        return seal_stream(self.file, seal.length, seal.sha256, self.storage.in_thread).addBoth(self._rest)

    def _rest(self, answer: T) -> T:
        self.file.close()
        return answer


class EntryStreamFiles:
    """
    The streams of one journal entry: the role `build_context.ReadableEntryStreams`.

    *directory*: that of the build's logs.  *log*: the name of the log with the stream "stdio".  *artifact*: the path of
    the entry's upload, or None.  *incoming*: the path of the upload while it is being received.  *replaces*: whether
    the upload may replace a file.
    """

    def __init__(
        self,
        storage: StreamStorage,
        recorder: BuildRecorder,
        *,
        step: int,
        ordinal: int,
        directory: str,
        log: str,
        artifact: str | None,
        incoming: str,
        replaces: bool = False,
    ) -> None:
        self._storage = storage
        self._recorder = recorder
        self._step = step
        self._ordinal = ordinal
        self._directory = directory
        self._log = log
        self._artifact = artifact
        self._incoming = incoming
        self._replaces = replaces
        self._streams: dict[str, RecordedStream] = {}

    def stream(self, name: str) -> RecordedStream:
        if name not in self._streams:
            self._streams[name] = self._artifact_stream(name) if self._holds_artifact(name) else self._log_stream(name)
        return self._streams[name]

    def lengths(self) -> dict[str, int]:
        prefix = f"{self._step}-{self._ordinal}-"
        found = _names_in(os.path.join(self._storage.streams, self._directory), "logs of a build")
        names = {name.removeprefix(prefix) for name in found if name.startswith(prefix)}
        if self._artifact is not None:
            names |= {ARTIFACT + mark for mark in ATTEMPTS}
        lengths = {name: self.stream(name).length for name in names | set(self._streams)}
        return {name: length for name, length in lengths.items() if length}

    def read(self, name: str, offset: int, size: int) -> bytes:
        stream = self.stream(name)
        try:
            return stream.file.read(offset, size)
        finally:
            stream.file.close()

    def seals(self) -> dict[str, Seal]:
        # This reads whole files.  It is only used for the logs that a step writes itself, which are short.
        seals = {}
        for name, stream in self._streams.items():
            text = self.read(name, 0, stream.length)
            seals[name] = Seal(stream.length, hashlib.sha256(text).hexdigest())
        return seals

    def close(self) -> None:
        for stream in self._streams.values():
            stream.file.close()

    def _holds_artifact(self, name: str) -> bool:
        return self._artifact is not None and name.partition("~")[0] == ARTIFACT

    def _log_stream(self, name: str) -> RecordedStream:
        path = f"{self._directory}/{self._step}-{self._ordinal}-{name}"
        file = StreamFile(os.path.join(self._storage.streams, path), what=f"log {name}")
        return self._keep(file, path, log_of(name, self._log), "log")

    def _artifact_stream(self, name: str) -> RecordedStream:
        assert self._artifact is not None
        directory = self._storage.artifacts
        path, incoming = os.path.join(directory, self._artifact), os.path.join(directory, self._incoming)
        file = ArtifactFile(
            path,
            # An upload that is repeated, because the file changed or arrived damaged, goes to another file: "~1".
            incoming + name.removeprefix(ARTIFACT),
            replaces=self._replaces,
            what=f"artifact {self._artifact.split('/', 2)[-1]}",
        )
        return self._keep(file, self._artifact, ARTIFACT, "artifact")

    def _keep(self, file: StreamFile, path: str, name: str, kind: str) -> RecordedStream:
        def note() -> None:
            self._recorder.stream_begun(self._step, self._ordinal, name, kind, path)

        return RecordedStream(file, path, note, self._storage)


def _names_in(directory: str, description: str) -> list[str]:
    try:
        return os.listdir(directory)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise file_error(error, description, cannot="be read") from error


def _artifact_path(artifact: str) -> str:
    path = relative_path(artifact)
    if path == ".":
        raise UnsafePathError("An artifact needs the name of a file.")
    return path
