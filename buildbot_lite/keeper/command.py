"""
One command's life in the keeper, from its claim to its outcome.

::

    Waiting --spawned--> Running --kill, or main process ended--> Ending --none left----> Over --> outcome
       |                    `--main process ended, leaveRunning----------------------------^
       `--killed, or it could not be spawned-----------------------------------------------'

Waiting: for space on the disk for its private files; usually there is enough, and it is spawned at once.
Running: `Timeouts` limits the time without output (`timeout`) and the total time (`max_time`).
Ending: `Termination` signals the processes, waits, and kills them, also those that outlive the main process.
Over: `CommandIO` reads pipes and logs to their ends and seals the streams; then the outcome is written.

`CommandIO` reads and writes in all stages.  Of several reasons to kill a command, the outcome has the first one.
"""

import os
import signal
from typing import Any, NamedTuple, Protocol

from .command_io import CommandIO, ReadUntil
from .command_store import FinishedCommand
from .context import KeeperContext
from .masking import Masker
from .outcome import OutcomeRecorder
from .output import FULL
from .process_table import ProcessEntry, boot
from .spawn import (
    Spawned,
    SpawnError,
    spawn,
)
from .start_request import StartRequest, StartRequestError
from .termination import Termination
from .timeouts import Timeouts, expired
from .wrapper import settings

# Reasons to kill for which the command's own sigtermTime, which may be hours, is shortened.  After a lease has ended,
# the master soon runs the command on another slave (`model.lease`); "" means that the keeper has to exit, as when the
# machine shuts down.
_URGENT = ("lease", "")
# Reasons that the outcome gives even if the command ended by itself, because its log is incomplete.
_TRUNCATING = ("cap", "disk-full")
# Processes that one remark names.
_MOST_NAMED = 5


class CommandListener(Protocol):
    """
    The receiver of a command's events.
    """

    def grew(self, id: str) -> None:
        """
        Note that a spool of *id* grew.
        """

    def ended(self, finished: FinishedCommand) -> None:
        """
        Note that the command is over; its outcome is not on disk yet.
        """


class WaitingStage(NamedTuple):
    """
    The command is not spawned yet.
    """


class RunningStage(NamedTuple):
    """
    The main process is alive, and there is no reason to end it.
    """

    termination: Termination
    timeouts: Timeouts


class EndingStage(NamedTuple):
    """
    The remaining processes are being ended.
    """

    termination: Termination


class OverStage(NamedTuple):
    """
    No process of the command is tracked any more.
    """


class LiveCommand:
    """
    A claimed command.  *requested_at*: when its ``start`` arrived, on the clock `Loop.boottime`, from which the lease
    is counted.
    """

    def __init__(
        self,
        id: str,
        fingerprint: str,
        request: StartRequest,
        *,
        requested_at: float,
        context: KeeperContext,
        listener: CommandListener,
    ) -> None:
        self.id = id
        self.fingerprint = fingerprint
        self._request = request
        self._requested_at = requested_at
        self._context = context
        self._listener = listener
        self._stage: WaitingStage | RunningStage | EndingStage | OverStage = WaitingStage()
        # The processes that outlived the main process and were killed: name by pid.
        self._survivors: dict[int, str] = {}
        self._recorder = OutcomeRecorder(context.loop)
        self._io = CommandIO(
            id,
            request,
            context=context,
            recorder=self._recorder,
            grew=lambda: listener.grew(id),
            kill=self.kill,
            ended=self._seal,
        )

    def begin(self) -> None:
        """
        Spawn the command.  If that fails, the command ends FAILED; while the disk is full, it waits.
        """
        for secret in self._request.seen_in_ps:
            self._recorder.remark(
                "stdio",
                0,
                f"The secret {secret} is in this command's arguments, which all users of this "
                "machine can see in ps.  Give it in env, stdin or a file.",
            )
        self._try_to_spawn()

    def kill(self, why: str, sentence: str) -> None:
        """
        End all processes of the command, with its own signal first, then with SIGKILL.

        *why*: a value of `model.outcome.Why`, or "" if the keeper has to exit.  *sentence*: the same for people.
        """
        stage, urgent = self._stage, self._context.wait_limits.urgent
        if isinstance(stage, WaitingStage):
            self._recorder.killed(why, sentence)
            self._finish(ReadUntil.CLOSED)
        elif isinstance(stage, RunningStage):
            self._recorder.killed(why, sentence)
            stage.timeouts.cancel()
            self._stage = EndingStage(stage.termination)
            allowed = 0.0 if self._request.interrupt_signal == signal.SIGKILL else self._request.sigterm_time
            stage.termination.begin(self._request.interrupt_signal, min(allowed, urgent) if why in _URGENT else allowed)
        elif why in _TRUNCATING:
            self._recorder.killed(why, sentence)
        elif isinstance(stage, EndingStage) and why in _URGENT:
            stage.termination.shorten(urgent)

    def give_up(self, sentence: str) -> None:
        """
        End the command because the keeper has to exit: the outcome is LOST.
        """
        self.kill("", sentence)

    def check_lease(self, seconds: float) -> None:
        """
        Kill the command if its lease has ended.

        *seconds*: time since the master's last message; the time before this command's ``start`` does not count.
        """
        sentence = expired(self._request, min(seconds, self._context.loop.boottime() - self._requested_at))
        if sentence is not None:
            self.kill("lease", sentence)

    def main_ended(self, status: int, usage: Any) -> None:
        """
        Note that the main process was reaped; *status* and *usage* are those of ``os.wait4``.
        """
        stage = self._stage
        if self._recorder.is_reaped or not isinstance(stage, RunningStage | EndingStage):
            # They belong to an earlier process with the same pid.
            return
        self._recorder.reaped(status, usage)
        if isinstance(stage, RunningStage):
            stage.timeouts.cancel()
            if self._request.leave_running:
                stage.termination.leave_running()
                self._finish(ReadUntil.EMPTY)
                return
            self._stage = EndingStage(stage.termination)
            stage.termination.main_ended(self._note_survivors)
        else:
            stage.termination.main_ended()

    def lengths(self) -> dict[str, int]:
        """
        The length in bytes of every stream that is not empty.
        """
        return self._io.lengths()

    # -- changes of the stage

    def _try_to_spawn(self) -> None:
        if not isinstance(self._stage, WaitingStage):
            # It was killed while it waited.
            return
        loop, wait_limits = self._context.loop, self._context.wait_limits
        try:
            spawned = _spawned(self.id, self._request, self._context)
        except (SpawnError, StartRequestError) as error:
            self._fail(str(error))
        except OSError as error:
            self._context.store.remove_private(self.id)
            if error.errno not in FULL:
                self._fail(f"The command's private files cannot be written: {error.strerror}.")
            elif self._recorder.elapsed < wait_limits.disk:
                loop.later(wait_limits.retry, self._try_to_spawn)
            else:
                self._fail("disk full")
        else:
            self._run(spawned)

    def _run(self, spawned: Spawned) -> None:
        process_set = self._context.tracker.track(self.id, spawned.pid)
        self._context.store.spawned(self.id, spawned.pid, process_set.started, boot())
        termination = Termination(process_set, context=self._context, ended=self._terminated)
        self._io.begin(spawned)
        timeouts = Timeouts(self._request, loop=self._context.loop, silence=self._io.silence, exceeded=self.kill)
        self._stage = RunningStage(termination, timeouts)

    def _fail(self, sentence: str) -> None:
        self._recorder.failed(Masker(self._request.secrets).text(sentence))
        self._io.never_spawned()
        self._finish(ReadUntil.CLOSED)

    def _note_survivors(self, left: list[ProcessEntry]) -> None:
        for each in left:
            if each.pid not in self._survivors and (name := self._context.tracker.name_of(each)):
                self._survivors[each.pid] = name

    def _terminated(self, sentence: str) -> None:
        if self._survivors:
            named = [f"{name} ({pid})" for pid, name in self._survivors.items()]
            more = f" and {len(named) - _MOST_NAMED} more" if len(named) > _MOST_NAMED else ""
            self._io.remark(
                f"Killed processes that the command left running: {', '.join(named[:_MOST_NAMED])}{more}.  "
                "With leaveRunning=True they would go on."
            )
        if sentence:
            self._io.remark(sentence)
        self._finish(ReadUntil.EMPTY if sentence else ReadUntil.CLOSED)

    def _finish(self, until: ReadUntil) -> None:
        self._stage = OverStage()
        self._io.finish(until)

    def _seal(self) -> None:
        self._context.store.remove_private(self.id)
        outcome = self._recorder.outcome(self._io.seal())
        self._listener.ended(FinishedCommand(self.id, self.fingerprint, self._recorder.life, outcome))


def _spawned(id: str, request: StartRequest, context: KeeperContext) -> Spawned:
    """
    Spawn *request* with its private files, the tracker's variables and its wrapper.  OSError if the files cannot be
    written.
    """
    wrapper = request.wrapper
    marks = context.tracker.marks(id)
    env = {**request.env, **marks}
    argv, descriptor_3 = request.argv, None
    private = context.store.make_private(id, wrapper.owner) if request.files or wrapper.prefix else ""
    for name, contents in request.files.items():
        path = context.store.write_private(id, name, contents, wrapper.owner)
        env[name.encode()] = os.fsencode(path)
    if wrapper.prefix:
        words = wrapper.words(workdir=request.workdir, work=wrapper.root or request.workdir, private=private, id=id)
        outer = {**wrapper.outer, **marks}
        argv, env, descriptor_3 = [*words, *argv], outer, settings(env, outer)
    return spawn(
        argv,
        env,
        workdir=request.workdir,
        stdin_path=request.stdin_path,
        feed=request.stdin is not None,
        pty=request.pty,
        separate_stderr=request.separate_stderr,
        portable=context.portable_spawn,
        root=wrapper.root,
        descriptor_3=descriptor_3,
        umask=wrapper.umask,
    )
