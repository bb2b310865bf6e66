"""
Transfers: commands on files and directories that the slave executes itself, without a keeper.

::

    claim (transfers/ID.json) ──► perform ──► outcome ──► sent ──► forgotten
                 │                   │
                 └── a new process ──┘   begins again

A transfer is idempotent, so, unlike a command, it may be started again after a crash.  Its claim is not synced, because
it need not survive a power failure, after which no command of the same build is running, either.

This module has the base class; `transfers` lists the kinds.
"""

import os
from collections.abc import Callable, Coroutine, Mapping
from typing import Any, TypeVar

from attrs import frozen
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.interfaces import IReactorTime
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
from ..storage.files import remove
from ..wire.roles import Command
from .file_jobs import Job
from .safe_paths import SafePaths
from .transfer_files import os_sentence, private_file
from .worker_process import Workers

T = TypeVar("T")


class StoppedError(BuildbotLiteError):
    """
    The transfer was interrupted.
    """


@frozen
class TransferContext:
    """
    The collaborators of every transfer.

    *paths*: the work directory.  *directory*: the directory of the claims.  *in_thread*: runs, in a thread, a function
    that blocks for a short time.  *workers*: run long or risky jobs, each in a process of its own.
    """

    paths: SafePaths
    directory: str
    in_thread: Callable[[Callable[[], Any]], Deferred[Any]]
    clock: IReactorTime
    workers: Workers


class Transfer:
    """
    A `SlaveCommand`.  *changed*: called when there are new bytes or an outcome to send.  *saved*: the state that an
    earlier process saved; None for a new transfer.
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
        return self._outcome

    @property
    def _over(self) -> bool:
        """
        Whether it is too late for an interrupt.
        """
        return self._outcome is not None

    @property
    def life(self) -> Life:
        """
        RUNNING or ENDED.
        """
        return Life.RUNNING if self._outcome is None else Life.ENDED

    def claim(self) -> None:
        """
        Write the claim.
        """
        self._save()

    def begin(self) -> None:
        """
        Begin, or begin again in a new process, unless the outcome is known.
        """
        if self._outcome is None:
            self._go(self._perform())

    def when_claimed(self) -> Deferred[None]:
        """
        Fires at once, because a transfer is claimed when it is made.
        """
        return succeed(None)

    def lengths(self) -> Mapping[str, int]:
        """
        {}, unless the kind of transfer has a stream.
        """
        return {}

    def read(self, stream: str, offset: int, size: int) -> bytes:
        return b""

    def resend(self, stream: str) -> None:
        """
        Do nothing: there is no stream.
        """

    def confirm(self) -> bool:
        return True

    def have(self, lengths: Mapping[str, int]) -> None:
        """
        Do nothing: there is no stream.
        """

    def linked(self, command: Command) -> None:
        """
        Do nothing, unless the kind of transfer needs the master.
        """

    def unlinked(self) -> None:
        """
        Do nothing, unless the kind of transfer needs the master.
        """

    def interrupt(self, reason: str) -> None:
        if not self._over:
            killed = Outcome(Ending.KILLED, why=Why.INTERRUPTED, sentence=reason)
            background(self._stop().addCallback(lambda _: self._end(killed)), self._log, "interrupting a transfer")

    def leave(self) -> None:
        """
        Stop, but keep the claim on disk.
        """
        background(self._stop(), self._log, "stopping a transfer")

    def forget(self) -> Deferred[None]:
        """
        Stop, and remove all files of the transfer.
        """

        def stopped(_: None) -> None:
            self._clear()
            remove(self._path(".json"))

        return self._stop().addCallback(stopped)

    async def _perform(self) -> None:
        """
        Do the transfer.  If it raises, the transfer has failed.
        """
        raise NotImplementedError

    def _restore(self, saved: JsonReader | None) -> None:
        """
        Set the initial state; *saved* is that of an earlier process, None for a new transfer.
        """
        if saved is not None and saved.has("outcome"):
            self._outcome = Outcome.from_document(saved.mapping("outcome"))

    def _clear(self) -> None:
        """
        Remove temporary files.
        """

    def _state(self) -> dict[str, Any]:
        """
        Further fields to save.
        """
        return {}

    def _go(self, coroutine: Coroutine[Deferred[Any], Any, None]) -> None:
        async def going() -> None:
            try:
                await coroutine
            except (CancelledError, StoppedError, LinkLostError):
                pass  # stopped on purpose
            except OSError as error:
                self._fail(os_sentence(error, self._spec.path))
            except BuildbotLiteError as error:
                self._fail(str(error))
            except Exception:  # noqa: BLE001 - after a defect of ours, the build must not wait for ever
                self._log.failure("transfer {id}", id=self.id)
                self._fail("The slave failed with an internal error.  Its log (twistd.log) has the traceback.")

        self._task = Deferred.fromCoroutine(going())

    def _in_thread(self, function: Callable[[], T]) -> Deferred[T]:
        """
        The result of *function*, run in a thread.  A thread cannot be cancelled: a long *function* checks `_stopped`.
        """
        running: Deferred[T] = self._context.in_thread(function)
        blocking = self._blocking = Deferred()

        def over(result: T) -> T:
            blocking.callback(None)
            return result

        return shielded(running.addBoth(over))

    def _in_worker(self, job: Job, *, seconds: float | None = None, descriptor: int | None = None) -> Deferred[Any]:
        """
        The result of *job*, run in a process of its own, which is killed when the transfer is stopped.
        """
        running = self._context.workers.start(job, seconds=seconds, descriptor=descriptor)
        self._blocking = running.ended
        return running.answer

    def _stop(self) -> Deferred[None]:
        """
        Stop; fires when no thread or process of the transfer is running.
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
        # In a later turn of the reactor, because the listener may make this transfer begin again.
        self._context.clock.callLater(0, self._changed)

    def _saved_outcome(self) -> Outcome | None:
        """
        The outcome to save for a later process.
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
            # Without the file, a new process drops the transfer, or begins it again, which is allowed.
            self._log.warn("cannot save transfer {id}: {problem}", id=self.id, problem=os_sentence(error))


def succeeded() -> Outcome:
    """
    The outcome of a successful transfer.
    """
    return Outcome(Ending.EXITED, exit_code=0)
