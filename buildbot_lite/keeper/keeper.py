"""
All commands of one directory, and the protocol with the client.

The client's requests are idempotent: a ``start`` of a known id starts nothing, a ``forget`` of an unknown id only
records the id.
"""

import os
import secrets
from typing import Any, NamedTuple

from .command import LiveCommand
from .command_store import CommandStore, FinishedCommand
from .context import KeeperContext, WaitLimits
from .earlier_commands import earlier_commands
from .events import EventQueue
from .loop import (
    Loop,
    Timer,
    warn,
)
from .outcome_writer import OutcomeWriter
from .output import FULL
from .process_table import NoProcessTableError, boot
from .process_tracker import Facilities, ProcessTracker
from .server import Server
from .start_request import (
    StartRequest,
    StartRequestError,
    read_start_request,
)
from .tail import ChangeNotifier
from .timeouts import expired

_LEASE_PERIOD = 1.0
_LONGEST_ID = 100
_SHUTDOWN = "The keeper got SIGTERM, as when the machine shuts down, and ended its commands."
_STOPPED = "The slave was stopped together with its commands."


class Settings(NamedTuple):
    """
    *linger*: seconds without command and client after which the keeper exits; none after a client that said that it
    leaves.  *without*: facilities that are not used
    (for tests), of ``pidfd``, ``subreaper``, ``proc``, ``inotify``, ``spawn``.
    """

    linger: float = 60.0
    without: tuple[str, ...] = ()
    wait_limits: WaitLimits = WaitLimits()


class Keeper:
    """
    Runs the commands of *directory* until it has been idle for `Settings.linger` seconds, or is left or stopped.
    """

    def __init__(self, directory: str, loop: Loop, settings: Settings) -> None:
        self._loop = loop
        self._settings = settings
        self._name = secrets.token_hex(8)
        self._store = CommandStore(directory)
        self._outcomes = OutcomeWriter(self._store, loop, settings.wait_limits, self._update_idle)
        self._running: dict[str, LiveCommand] = {}
        self._finished: dict[str, FinishedCommand] = {}
        self._waiting: dict[str, Timer] = {}
        self._to_forget: set[str] = set()
        self._idle_timer: Timer | None = None
        self._linger = settings.linger
        self._lease_timer: Timer | None = None
        self._stopping = False
        self._heard_at = loop.boottime()
        tracker = ProcessTracker(Facilities.here(settings.without), directory)
        self._context = KeeperContext(
            directory=directory,
            loop=loop,
            store=self._store,
            tracker=tracker,
            process_sets={},
            notifier=ChangeNotifier(loop, inotify="inotify" not in settings.without),
            wait_limits=settings.wait_limits,
            portable_spawn="spawn" in settings.without,
        )
        self._server = Server(loop, self)
        self._events = EventQueue(loop, message=self._message, added=lambda: loop.soon(self._server.flush))
        if (problem := self._listing_problem()) is not None:
            warn(problem)
        self._take_over()
        self._update_idle()

    def close(self) -> None:
        """
        Close sockets and files.
        """
        self._server.close()
        self._outcomes.close()
        self._context.notifier.close()
        self._store.close()

    def reap(self) -> None:
        """
        Collect the exit statuses of all children that have ended (SIGCHLD): main processes and adopted orphans.
        """
        process_sets = self._context.process_sets
        while True:
            try:
                pid, status, usage = os.wait4(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            process_set = process_sets.get(pid)
            command = self._running.get(process_set.id) if process_set is not None else None
            if command is not None:
                command.main_ended(status, usage)

    def stop(self, sentence: str = _SHUTDOWN) -> None:
        """
        Kill all commands, and exit when they have ended.  *sentence*: the reason, for their outcomes.
        """
        self._stopping = True
        for timer in self._waiting.values():
            timer.cancel()
        self._waiting.clear()
        for command in list(self._running.values()):
            command.give_up(sentence)
        self._update_idle()

    # -- the client's requests (server.ServerBackend)

    def received(self, message: dict[str, Any]) -> None:
        """
        Handle one message of the client.  Unknown and malformed messages are logged.
        """
        op = message.get("op")
        if op == "hello":
            self._hello()
        elif op == "word":
            age = message.get("age")
            if isinstance(age, int | float):
                self._heard_at = max(self._heard_at, self._loop.boottime() - max(0.0, age))
        elif op == "leave":
            # The slave was stopped: nobody comes soon, who would have to start another keeper.
            self._linger = 0.0
        elif op == "stop":
            self.stop(_STOPPED)
        elif isinstance(id := message.get("id"), str) and 0 < len(id) <= _LONGEST_ID:
            if op == "start":
                self._start(id, message)
            elif op == "interrupt":
                self._interrupt(id, str(message.get("reason") or "It was interrupted."))
            elif op == "forget":
                self._forget(id)
        else:
            warn("the client sent an unknown or malformed message")

    def client_changed(self, present: bool) -> None:
        """
        The client connected (and must send `hello` first) or disconnected.
        """
        self._events.close()
        self._update_idle()

    def next_event(self) -> dict[str, Any] | None:
        """
        The next event for the client, or None.
        """
        return self._events.next()

    # -- the commands' events (command.CommandListener)

    def grew(self, id: str) -> None:
        """
        A spool of *id* grew.
        """
        self._events.grew(id)

    def ended(self, finished: FinishedCommand) -> None:
        """
        Record the outcome and report it; or forget the command, if the client requested that while it ran.
        """
        self._running.pop(finished.id, None)
        if finished.id in self._to_forget:
            self._forget(finished.id)
        else:
            self._finished[finished.id] = finished
            self._outcomes.write(finished)
            self._events.add("ended", finished.id)
        self._update_idle()

    # -- requests

    def _hello(self) -> None:
        self._linger = self._settings.linger
        self._events.open()
        held = [
            {"id": command.id, "fingerprint": command.fingerprint, "life": "running", "lengths": command.lengths()}
            for command in self._running.values()
        ] + [
            {
                "id": finished.id,
                "fingerprint": finished.fingerprint,
                "life": finished.life,
                "lengths": finished.lengths(),
            }
            for finished in self._finished.values()
        ]
        held = [each for each in held if each["id"] not in self._to_forget]
        self._server.send({"event": "hello", "keeper": self._name, "boot": boot(), "held": held})
        for id in self._finished:
            self._events.add("ended", id)

    def _start(self, id: str, message: dict[str, Any]) -> None:
        fingerprint = str(message.get("fingerprint"))
        known = self._finished.get(id) or self._running.get(id)
        if known is not None and known.fingerprint == fingerprint:
            self._events.add("claimed", id)
            if id in self._finished:
                self._events.add("ended", id)
        elif known is not None:
            self._refuse(id, "Another command with the same id was started before; this one was not.")
        elif self._store.forgot(id):
            self._refuse(id, "This command was here before and was forgotten; it is not started twice.")
        elif self._stopping:
            self._refuse(id, "This slave is being stopped.")
        elif (problem := self._listing_problem()) is not None:
            self._refuse(id, problem)
        elif id not in self._waiting:
            self._claim(id, fingerprint, message, self._loop.boottime())

    def _listing_problem(self) -> str | None:
        """
        A sentence if processes cannot be listed, so that a command could not be ended; otherwise None.
        """
        try:
            self._context.tracker.check()
        except NoProcessTableError as error:
            return str(error)
        return None

    def _claim(self, id: str, fingerprint: str, message: dict[str, Any], requested_at: float) -> None:
        self._waiting.pop(id, None)
        request: StartRequest | None = None
        try:
            request = read_start_request(message)
        except StartRequestError as error:
            sentence = str(error)
        waited = self._loop.boottime() - requested_at
        if request is not None and (over := expired(request, min(waited, self._silence()))) is not None:
            # While it waited for room, the master may have started it on another slave.
            self._refuse(id, over)
            return
        try:
            streams, grace = ([], None) if request is None else (request.streams(), request.grace)
            self._store.claim(id, fingerprint, streams, grace)
        except OSError as error:
            if error.errno in FULL and waited < self._settings.wait_limits.disk:
                retry = self._settings.wait_limits.retry
                self._waiting[id] = self._loop.later(retry, lambda: self._claim(id, fingerprint, message, requested_at))
            else:
                self._refuse(
                    id, "disk full" if error.errno in FULL else f"The keeper cannot write its claim: {error.strerror}."
                )
            return
        self._events.add("claimed", id)
        if request is None:
            outcome = {"ending": "failed", "sentence": sentence, "streams": {}}
            self.ended(FinishedCommand(id, fingerprint, "ended", outcome))
        else:
            self._run(
                LiveCommand(id, fingerprint, request, requested_at=requested_at, context=self._context, listener=self)
            )

    def _run(self, command: LiveCommand) -> None:
        self._running[command.id] = command
        command.begin()
        if self._lease_timer is None:
            self._lease_timer = self._loop.later(_LEASE_PERIOD, self._check_leases)
        self._update_idle()

    def _interrupt(self, id: str, reason: str) -> None:
        if id in self._running:
            self._running[id].kill("interrupted", reason)
        elif id in self._waiting:
            self._refuse(id, f"It was interrupted before it began: {reason}")

    def _forget(self, id: str) -> None:
        if id in self._waiting:
            self._waiting.pop(id).cancel()
        self._outcomes.forget(id)
        if id in self._running:
            # Killed first, forgotten when it has ended.
            self._to_forget.add(id)
            self._running[id].kill("interrupted", "It was disowned.")
            return
        self._to_forget.discard(id)
        self._finished.pop(id, None)
        self._store.forget(id)
        self._events.add("forgotten", id)

    def _take_over(self) -> None:
        """
        Take over the commands of an earlier keeper.
        """
        ended, lost = earlier_commands(self._store, self._context.tracker)
        for finished in ended:
            self._finished[finished.id] = finished
            self._outcomes.sync_later(finished.id)
        for finished in lost:
            self._finished[finished.id] = finished
            self._outcomes.write(finished)

    def _refuse(self, id: str, sentence: str) -> None:
        if id in self._waiting:
            self._waiting.pop(id).cancel()
        self._server.send({"event": "refused", "id": id, "sentence": sentence})
        self._update_idle()

    def _message(self, event: str, id: str) -> dict[str, Any] | None:
        if event == "ended" and id in self._finished:
            finished = self._finished[id]
            return {"event": "ended", "id": id, "life": finished.life, "outcome": finished.outcome}
        if event in ("claimed", "forgotten"):
            return {"event": event, "id": id}
        # The event "ended" has the final lengths.
        if event == "grew" and id in self._running:
            return {"event": "grew", "id": id, "lengths": self._running[id].lengths()}
        return None

    def _silence(self) -> float:
        """
        Seconds since the last message from the master.
        """
        return self._loop.boottime() - self._heard_at

    def _check_leases(self) -> None:
        for command in list(self._running.values()):
            command.check_lease(self._silence())
        self._lease_timer = self._loop.later(_LEASE_PERIOD, self._check_leases) if self._running else None

    def _update_idle(self) -> None:
        """
        Start or cancel the timer that ends an idle keeper.
        """
        if self._running or self._waiting or (self._outcomes.waits_for_room and not self._stopping):
            if self._idle_timer is not None:
                self._idle_timer.cancel()
                self._idle_timer = None
        elif self._stopping:
            self._loop.soon(self._loop.stop)
        elif self._server.has_client:
            if self._idle_timer is not None:
                self._idle_timer.cancel()
                self._idle_timer = None
        elif self._idle_timer is None:
            self._idle_timer = self._loop.later(self._linger, self._leave)

    def _leave(self) -> None:
        self._idle_timer = None
        if self._server.leave():
            self._loop.stop()
