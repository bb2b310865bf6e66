"""
One command's life in the keeper, from its claim to its outcome.

::

    Waiting --spawned--> Running --kill, or main process ended--> Ending --nobody left--> Over --> outcome
       |                    `--main process ended, what it left may live-------------------^
       `--killed, or it could not be spawned-----------------------------------------------'

Waiting: for room for its private files; mostly there is, and it is spawned at once.
Running: its `Limits` watch for silence (`timeout`) and length (`max_time`).
Ending: its `Processes` are told, given time, and killed; at last those whom it left behind.
Over: what is in its pipes and logs is read to the end and sealed; then the outcome is written.

Its `Flow` goes on all the time.  Whatever is asked twice counts once, and the first reason to kill is the one that is
told.
"""

import os
import signal
from typing import Any, NamedTuple, Protocol

from .command_io import Flow, Until
from .command_store import Kept
from .context import Surroundings
from .masking import Masker
from .outcome import Report
from .output import FULL
from .process_tracker import Process, boot
from .spawn import (
    Spawned,
    SpawnError,
    spawn,
)
from .start_request import Order, OrderError
from .termination import Processes
from .timeouts import Limits, expired
from .wrapper import settings

# Reasons to end that cannot wait for the command's own sigtermTime, which may be hours: the master tries elsewhere 30 s
# after its grace, and the machine shuts down.
_HASTY = ("lease", "")
# Reasons that count also when it ended by itself: its log is not complete.
_SPOILT = ("cap", "disk-full")
_MOST_NAMED = 5


class Listener(Protocol):
    """
    Who wants to know.
    """

    def grew(self, id: str) -> None:
        """
        A spool of *id* grew.
        """

    def ended(self, kept: Kept) -> None:
        """
        It is over; its outcome is to be written.
        """


class Waiting(NamedTuple):
    """
    It is not spawned yet.
    """


class Running(NamedTuple):
    """
    Its main process lives, and nobody wants it dead.
    """

    processes: Processes
    limits: Limits


class Ending(NamedTuple):
    """
    Some of its processes live, and are not to.
    """

    processes: Processes


class Over(NamedTuple):
    """
    None of its processes is our business any more.
    """


class Command:
    """
    A command that was claimed.  It was *asked* for when `Loop.awake` said so; its lease runs from then.
    """

    def __init__(
        self, id: str, fingerprint: str, order: Order, *, asked: float, surroundings: Surroundings, listener: Listener
    ) -> None:
        self.id = id
        self.fingerprint = fingerprint
        self._order = order
        self._asked = asked
        self._around = surroundings
        self._listener = listener
        self._stage: Waiting | Running | Ending | Over = Waiting()
        # What it left behind and is killed for that: name by process number.
        self._outlived: dict[int, str] = {}
        self._report = Report(surroundings.loop)
        self._flow = Flow(
            id,
            order,
            surroundings=surroundings,
            report=self._report,
            grew=lambda: listener.grew(id),
            kill=self.kill,
            ended=self._seal,
        )

    def begin(self) -> None:
        """
        Spawn it.  If that cannot be done, it ends at once, FAILED; only for room on the disk it waits.
        """
        for secret in self._order.seen_in_ps:
            self._report.remark(
                "stdio",
                0,
                f"The secret {secret} is in this command's arguments, which all users of this "
                "machine can see in ps.  Give it in env, stdin or a file.",
            )
        self._try()

    def kill(self, why: str, sentence: str) -> None:
        """
        End it with everything that it started: politely at first, then by force.
        """
        stage, haste = self._stage, self._around.patience.haste
        if isinstance(stage, Waiting):
            self._report.killed(why, sentence)
            self._finish(Until.CLOSED)
        elif isinstance(stage, Running):
            self._report.killed(why, sentence)
            stage.limits.lift()
            self._stage = Ending(stage.processes)
            patience = 0.0 if self._order.interrupt_signal == signal.SIGKILL else self._order.sigterm_time
            stage.processes.ask(self._order.interrupt_signal, min(patience, haste) if why in _HASTY else patience)
        elif why in _SPOILT:
            self._report.killed(why, sentence)
        elif isinstance(stage, Ending) and why in _HASTY:
            stage.processes.hurry(haste)

    def give_up(self, sentence: str) -> None:
        """
        End it because the keeper itself must end; nobody will know how far it might have come.
        """
        self.kill("", sentence)

    def silent(self, seconds: float) -> None:
        """
        There was no word from the master for so long; *seconds* since this command was asked for count at most.
        """
        sentence = expired(self._order, min(seconds, self._around.loop.awake() - self._asked))
        if sentence is not None:
            self.kill("lease", sentence)

    def main_ended(self, status: int, usage: Any) -> None:
        """
        The main process was reaped.
        """
        stage = self._stage
        if self._report.is_reaped or not isinstance(stage, Running | Ending):
            # That was another with its number.
            return
        self._report.reaped(status, usage)
        if isinstance(stage, Running):
            stage.limits.lift()
            if self._order.leave_running:
                stage.processes.spare()
                self._finish(Until.EMPTY)
                return
            self._stage = Ending(stage.processes)
            stage.processes.main_ended(self._note_outlived)
        else:
            stage.processes.main_ended()

    def lengths(self) -> dict[str, int]:
        """
        The bytes of every stream that has some.
        """
        return self._flow.lengths()

    # -- from stage to stage

    def _try(self) -> None:
        if not isinstance(self._stage, Waiting):
            # It was killed while it waited.
            return
        loop, patience = self._around.loop, self._around.patience
        try:
            spawned = _spawned(self.id, self._order, self._around)
        except (SpawnError, OrderError) as error:
            self._fail(str(error))
        except OSError as error:
            self._around.shelf.remove_private(self.id)
            if error.errno not in FULL:
                self._fail(f"The command's private files cannot be written: {error.strerror}.")
            elif self._report.elapsed < patience.disk:
                loop.later(patience.retry, self._try)
            else:
                self._fail("disk full")
        else:
            self._run(spawned)

    def _run(self, spawned: Spawned) -> None:
        family = self._around.kinship.family(self.id, spawned.pid)
        self._around.shelf.spawned(self.id, spawned.pid, family.started, boot())
        processes = Processes(family, surroundings=self._around, gone=self._gone)
        self._flow.begin(spawned)
        limits = Limits(self._order, loop=self._around.loop, silence=self._flow.silence, passed=self.kill)
        self._stage = Running(processes, limits)

    def _fail(self, sentence: str) -> None:
        self._report.failed(Masker(self._order.secrets).text(sentence))
        self._flow.never()
        self._finish(Until.CLOSED)

    def _note_outlived(self, left: list[Process]) -> None:
        for each in left:
            if each.pid not in self._outlived and (name := self._around.kinship.name_of(each)):
                self._outlived[each.pid] = name

    def _gone(self, sentence: str) -> None:
        if self._outlived:
            named = [f"{name} ({pid})" for pid, name in self._outlived.items()]
            more = f" and {len(named) - _MOST_NAMED} more" if len(named) > _MOST_NAMED else ""
            self._flow.remark(
                f"Ended, because the command had ended and left them behind: {', '.join(named[:_MOST_NAMED])}{more}.  "
                "With leaveRunning=True such processes go on."
            )
        if sentence:
            self._flow.remark(sentence)
        self._finish(Until.EMPTY if sentence else Until.CLOSED)

    def _finish(self, until: Until) -> None:
        self._stage = Over()
        self._flow.finish(until)

    def _seal(self) -> None:
        self._around.shelf.remove_private(self.id)
        outcome = self._report.outcome(self._flow.seal())
        self._listener.ended(Kept(self.id, self.fingerprint, self._report.life, outcome))


def _spawned(id: str, order: Order, around: Surroundings) -> Spawned:
    """
    Spawn *order*, with its private files, its marks and its fence.  OSError is about the files.
    """
    fence = order.fence
    marks = around.kinship.marks(id)
    env = {**order.env, **marks}
    argv, third = order.argv, None
    private = around.shelf.make_private(id, fence.owner) if order.files or fence.wrapper else ""
    for name, contents in order.files.items():
        path = around.shelf.write_private(id, name, contents, fence.owner)
        env[name.encode()] = os.fsencode(path)
    if fence.wrapper:
        words = fence.words(workdir=order.workdir, work=fence.root or order.workdir, private=private, id=id)
        outer = {**fence.outer, **marks}
        argv, env, third = [*words, *argv], outer, settings(env, outer)
    return spawn(
        argv,
        env,
        workdir=order.workdir,
        stdin_path=order.stdin_path,
        feed=order.stdin is not None,
        pty=order.pty,
        separate_stderr=order.separate_stderr,
        portable=around.portable_spawn,
        root=fence.root,
        third=third,
        umask=fence.umask,
    )
