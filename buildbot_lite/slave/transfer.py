"""
What a slave does itself, without a keeper: files and directories to and from the master.

::

    claim (transfers/ID.json) ──► perform ──► outcome ──► told ──► forgotten
                 │                   │
                 └── a new process ──┘   begins again: all of it may be done twice

Each is idempotent, so unlike a process it may simply be begun again after a crash, and its claim need not survive a
power failure (it is not fsynced; a machine that comes up again has no running commands to go with it anyway).

This is what all of them have in common; `transfers` knows them all.
"""

import os
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, BinaryIO, TypeVar

from attrs import frozen
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IReactorTime
from twisted.internet.task import deferLater
from twisted.logger import Logger

from ..deferreds import background, shielded
from ..errors import BuildbotLiteError, LinkLostError
from ..model.hello import Life
from ..model.json_reader import JsonReader, encode
from ..model.outcome import (
    Ending,
    Outcome,
    Why,
)
from ..model.spec import to_document
from ..storage.files import is_disk_full, remove
from ..wire.roles import Command
from .file_jobs import Job
from .safe_paths import SafePaths
from .worker_process import Workers

T = TypeVar("T")

LONGEST_DISK_WAIT = 600
"""Seconds for which whatever a slave does itself waits while its disk is full."""


class StoppedError(BuildbotLiteError):
    """
    It was interrupted.
    """


@frozen
class TransferContext:
    """
    The collaborators of every transfer.

    *paths*: the work directory.  *directory*: the claims' directory.  *in_thread*: runs a function that may block
    briefly in a thread.  *workers*: run long or risky jobs, each in a process of its own.
    """

    paths: SafePaths
    directory: str
    in_thread: Callable[[Callable[[], Any]], Deferred[Any]]
    clock: IReactorTime
    workers: Workers


class Transfer:
    """
    One transfer; a `SlaveCommand`.  *changed* is called whenever there is more to bring to the master.
    """

    _log = Logger()

    def __init__(
        self,
        id: str,
        fingerprint: str,
        spec: Any,
        context: TransferContext,
        changed: Callable[[], None],
        saved: JsonReader | None = None,
    ) -> None:
        self.id = id
        self.fingerprint = fingerprint
        self._spec = spec
        self._context = context
        self._changed = changed
        self._outcome: Outcome | None = None
        self._stopped = False
        self._task: Deferred[None] = succeed(None)
        self._blocking: Deferred[None] = succeed(None)
        self._restore(saved)

    @property
    def outcome(self) -> Outcome | None:
        """
        How it ended.
        """
        return self._outcome

    @property
    def _over(self) -> bool:
        """
        Whether there is nothing left to interrupt.
        """
        return self._outcome is not None

    @property
    def life(self) -> Life:
        """
        Running or ended: there is nothing between.
        """
        return Life.RUNNING if self._outcome is None else Life.ENDED

    def claim(self) -> None:
        """
        Write down that it was asked for.
        """
        self._save()

    def begin(self) -> None:
        """
        Start it, also again after a restart.
        """
        if self._outcome is None:
            self._go(self._perform())

    def when_claimed(self) -> Deferred[None]:
        """
        A transfer is claimed when it is made.
        """
        return succeed(None)

    def lengths(self) -> Mapping[str, int]:
        """
        Most transfers have no stream.
        """
        return {}

    def read(self, stream: str, offset: int, size: int) -> bytes:
        """
        Nothing.
        """
        return b""

    def resend(self, stream: str) -> None:
        """
        Nothing.
        """

    def confirm(self) -> bool:
        """
        It stays as it is.
        """
        return True

    def have(self, lengths: Mapping[str, int]) -> None:
        """
        Nothing depends on it.
        """

    def linked(self, command: Command) -> None:
        """
        Most can do without.
        """

    def unlinked(self) -> None:
        """
        Most can do without.
        """

    def interrupt(self, reason: str) -> None:
        """
        End it, if it has not ended.
        """
        if not self._over:
            killed = Outcome(Ending.KILLED, why=Why.INTERRUPTED, sentence=reason)
            background(self._stop().addCallback(lambda _: self._end(killed)), self._log, "interrupting a transfer")

    def leave(self) -> None:
        """
        Stop, and keep what is written down.
        """
        background(self._stop(), self._log, "stopping a transfer")

    def forget(self) -> Deferred[None]:
        """
        Stop, and remove every trace.
        """

        def stopped(_: None) -> None:
            self._clear()
            remove(self._path(".json"))

        return self._stop().addCallback(stopped)

    async def _perform(self) -> None:
        """
        Do it.  Raise what went wrong.
        """
        raise NotImplementedError

    def _restore(self, saved: JsonReader | None) -> None:
        """
        Begin with what a former process saved, if there was one.
        """
        if saved is not None and saved.has("outcome"):
            self._outcome = Outcome.from_document(saved.mapping("outcome"))

    def _clear(self) -> None:
        """
        Remove what was needed on the way.
        """

    def _state(self) -> dict[str, Any]:
        """
        What else is to be saved.
        """
        return {}

    def _go(self, coroutine: Coroutine[Deferred[Any], Any, None]) -> None:
        async def going() -> None:
            try:
                await coroutine
            except (CancelledError, StoppedError, LinkLostError):
                pass  # whoever stopped it knows what is next
            except OSError as error:
                self._fail(os_sentence(error, self._spec.path))
            except BuildbotLiteError as error:
                self._fail(str(error))
            except Exception:  # noqa: BLE001 - a defect of ours must not leave a build waiting for ever
                self._log.failure("transfer {id}", id=self.id)
                self._fail("An error of the slave itself.  The slave's log (twistd.log) has the traceback.")

        self._task = Deferred.fromCoroutine(going())

    def _in_thread(self, function: Callable[[], T]) -> Deferred[T]:
        """
        What *function* gives, out of a thread.  It may not be cancelled half-way, but asks whether we are stopped.
        """
        running: Deferred[T] = self._context.in_thread(function)
        blocking = self._blocking = Deferred()

        def over(result: T) -> T:
            blocking.callback(None)
            return result

        return shielded(running.addBoth(over))

    def _in_worker(self, job: Job, *, seconds: float | None = None, descriptor: int | None = None) -> Deferred[Any]:
        """
        What *job* gives, out of a process of its own, which is killed when we are stopped.
        """
        running = self._context.workers.start(job, seconds=seconds, descriptor=descriptor)
        self._blocking = running.ended
        return running.answer

    def _stop(self) -> Deferred[None]:
        """
        Fires when nothing of it goes on any more.
        """
        self._stopped = True
        self._task.cancel()
        return self._blocking

    def _fail(self, sentence: str) -> None:
        if not self._stopped:
            self._clear()
            self._end(Outcome(Ending.FAILED, sentence=sentence))

    def _end(self, outcome: Outcome) -> None:
        self._outcome = outcome
        self._save()
        self._notify()

    def _notify(self) -> None:
        # In a turn of its own: whoever hears it may ask this very transfer to begin again.
        self._context.clock.callLater(0, self._changed)

    def _saved_outcome(self) -> Outcome | None:
        """
        The outcome that another process is to find.
        """
        return self._outcome

    def _path(self, suffix: str) -> str:
        return os.path.join(self._context.directory, self.id + suffix)

    def _save(self) -> None:
        document = {
            "fingerprint": self.fingerprint,
            "spec": to_document(self._spec),
            "outcome": outcome.to_document() if (outcome := self._saved_outcome()) else None,
            **self._state(),
        }
        temporary = self._path(".json.new")
        try:
            with private_file(temporary) as out:
                out.write(encode(document))
            os.replace(temporary, self._path(".json"))
        except OSError as error:
            # Without it the transfer would be begun again after a restart, which does no harm.
            self._log.warn("cannot save transfer {id}: {problem}", id=self.id, problem=os_sentence(error))


def os_sentence(error: OSError, path: str = "") -> str:
    """
    *error* for people: without the number, and about *path*, the path that they gave.
    """
    if is_disk_full(error):
        return "disk full"
    where = path or error.filename
    return f"{where!r:.200}: {error.strerror or error}." if where else f"{error.strerror or error}."


async def with_room(clock: IReactorTime, attempt: Callable[[], T]) -> T:
    """
    What *attempt* gives; while the disk is full it is made again every second, for `LONGEST_DISK_WAIT` seconds at most.
    """
    retries = LONGEST_DISK_WAIT
    while True:
        try:
            return attempt()
        except OSError as error:
            if not is_disk_full(error) or not retries:
                raise
        retries -= 1
        await deferLater(clock, 1.0)


def write_at(descriptor: int, data: bytes, offset: int) -> None:
    """
    Write all of *data* at *offset*.  A disk that is nearly full takes a part at first, and says no word about it.
    """
    rest = memoryview(data)
    while rest:
        written = os.pwrite(descriptor, rest, offset)
        rest = rest[written:]
        offset += written


def succeeded() -> Outcome:
    """
    What every transfer ends with that was done.
    """
    return Outcome(Ending.EXITED, exit_code=0)


def private_file(path: str) -> BinaryIO:
    """
    A new, empty file that only we may read, open for writing.
    """
    return open(os.open(path, os.O_RDWR | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600), "wb")
