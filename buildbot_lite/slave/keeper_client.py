"""
The client of the keeper, which stays attached to a running keeper, also when the keeper or the slave is restarted.

::

                ensure             greeted
    Detached ──────────► Attaching ───────► Attached
       ▲                  │  │  ▲              │  │
       │◄─ensure fails────┘  │  └──────lost────┘  │
       └──detach, stop───────┴────────────────────┴──detach, stop, replaced

While it is not attached, the client drops requests, except interrupts.  The event ``attached`` has the commands that
the keeper holds, so that the listener can repeat the missing requests.  No command starts twice, because its claim is
on disk before it is spawned.
"""

import os
import shlex
import sys
from collections.abc import Coroutine, Mapping, Sequence
from contextlib import suppress
from typing import Any

from attrs import define, field, frozen
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.task import deferLater
from twisted.logger import Logger

from ..deferreds import background
from ..errors import KeeperLostError, MessageError
from ..keeper.wrapper import UMASK
from ..model.json_reader import JsonReader
from ..model.names import locale_to_utf8
from ..model.spec import Run, to_document
from .keeper_connection import (
    KeeperConnection,
    KeeperDialer,
    KeeperReactor,
)
from .keeper_messages import (
    Holding,
    KeeperHello,
    KeeperListener,
    deliver,
)

# Seconds.
_PAUSE_AFTER_FAILURE = 10.0
_LONGEST_LEAVE = 5.0
LONGEST_STOP = 45.0
"""
Seconds that a keeper may take to kill its commands and exit.  One that was stopped itself (SIGSTOP), or whose disk
hangs, takes for ever.
"""


@frozen
class _Detached:
    """
    The client does not try to attach.
    """


@define
class _Attaching:
    """
    The client connects to a keeper, or starts one.  *attempt* fires when that is done; cancelling it ends the attempt.
    """

    attempt: Deferred[None] = field(factory=lambda: succeed(None))


@frozen
class _Attached:
    connection: KeeperConnection


class KeeperClient:
    """
    Keeps a keeper running in *directory*, and stays attached to it.

    *python*: the interpreter for a new keeper, which exits after *linger* seconds without client and commands.
    *options*: further arguments for it.
    """

    log = Logger()

    def __init__(
        self,
        directory: str,
        reactor: KeeperReactor,
        *,
        python: str = sys.executable,
        linger: float = 60.0,
        options: tuple[str, ...] = (),
    ) -> None:
        self.directory = os.path.abspath(directory)
        self.keeper = ""
        self.boot = ""
        self.held: Mapping[str, Holding] = {}
        self._reactor = reactor
        self._dialer = KeeperDialer(
            self.directory, reactor, python=python, arguments=(f"--linger={linger:g}", *options)
        )
        self._state: _Detached | _Attaching | _Attached = _Detached()
        # Reason by id, for the next keeper that is attached.
        self._interrupts: dict[str, str] = {}

    @property
    def attached(self) -> bool:
        return isinstance(self._state, _Attached)

    async def ensure(self, listener: KeeperListener) -> None:
        """
        Attach to the keeper, which is started if there is none.  *listener* gets its events, and those of later ones.

        `KeeperLostError` when none can be started, `MessageError` when its hello is malformed.
        """
        if not isinstance(self._state, _Attached):
            try:
                await self._begin(self._attach(listener))
            except BaseException:
                self._detach()
                raise

    def start(
        self,
        id: str,
        *,
        fingerprint: str,
        spec: Run,
        secrets: Mapping[str, str],
        workdir: str,
        env: Mapping[str, str],
        stdin_path: str | None = None,
        root: str | None = None,
        wrapper: Sequence[str] = (),
        owner: tuple[int, int] | None = None,
        umask: int = UMASK,
    ) -> None:
        """
        Run *spec*; the event ``claimed`` or ``refused`` follows.

        *workdir*: an absolute path.  *stdin_path*: its input file.  *root*, *wrapper*, *owner*, *umask*: as in
        `keeper.wrapper`.  These strings are decoded as the locale of this process says, which may not be UTF-8; *spec*
        and *env*, the environment that the command inherits, are UTF-8 (`environment_to_utf8`).
        """
        self._send(
            {
                "op": "start",
                "id": id,
                "fingerprint": fingerprint,
                "spec": to_document(spec),
                "secrets": dict(secrets),
                "workdir": locale_to_utf8(workdir),
                "env": dict(env),
                "stdin_path": stdin_path and locale_to_utf8(stdin_path),
                "root": root and locale_to_utf8(root),
                "wrapper": [locale_to_utf8(word) for word in wrapper],
                "owner": owner,
                # Sent only when it differs from the default, because a keeper of 0.1.0 does not know this field.
                **({} if umask == UMASK else {"umask": umask}),
            }
        )

    def interrupt(self, id: str, reason: str) -> None:
        """
        Kill the command for *reason*; the event ``ended`` follows.
        """
        if not isinstance(self._state, _Attached):
            self._interrupts[id] = reason
        self._send({"op": "interrupt", "id": id, "reason": reason})

    def forget(self, id: str) -> None:
        """
        Kill the command if it is running, and forget it; the event ``forgotten`` follows.
        """
        self._send({"op": "forget", "id": id})

    def renew_leases(self, age: float) -> None:
        """
        Report that the last message of the master arrived *age* seconds ago; leases are counted from then.
        """
        self._send({"op": "word", "age": age})

    def detach(self) -> None:
        """
        Close the connection; the keeper and its commands continue, as if this process had died.
        """
        if (connection := self._detach()) is not None:
            connection.close()

    async def leave(self) -> None:
        """
        Close the connection; the keeper continues as long as it has commands, and then ends.
        """
        if (connection := self._detach()) is not None:
            lost = connection.when_lost()
            connection.send({"op": "leave"})
            connection.close()
            await lost.addTimeout(_LONGEST_LEAVE, self._reactor, lambda result, seconds: None)

    async def stop(self) -> None:
        """
        Make the keeper, attached or not, kill all commands and exit; returns when it has, or after `LONGEST_STOP`.
        """
        await Deferred.fromCoroutine(self._stop_keeper()).addTimeout(LONGEST_STOP, self._reactor, self._give_up)

    def _give_up(self, result: object, seconds: float) -> None:
        self.log.error(
            "The keeper in {directory} has not ended after {seconds:.0f} s, and its commands may go on.  To kill them "
            "later: buildbot-lite stop --kill {slave}",
            directory=self.directory,
            slave=shlex.quote(os.path.dirname(self.directory)),
            seconds=seconds,
        )

    async def _stop_keeper(self) -> None:
        connection = self._detach() or await self._dialer.connect_to_existing()
        if connection is not None:
            lost = connection.when_lost()
            connection.send({"op": "stop"})
            try:
                await lost
            finally:
                connection.close()

    def _begin(self, attaching: Coroutine[Deferred[Any], Any, None]) -> Deferred[None]:
        self._detach()
        state = self._state = _Attaching()
        state.attempt = Deferred.fromCoroutine(attaching)
        return state.attempt

    def _detach(self) -> KeeperConnection | None:
        """
        Enter `_Detached`; return the connection of `_Attached`, if that was the state.
        """
        state, self._state = self._state, _Detached()
        if isinstance(state, _Attaching):
            state.attempt.cancel()
        return state.connection if isinstance(state, _Attached) else None

    async def _attach(self, listener: KeeperListener) -> None:
        connection = await self._dialer.connect_or_start()
        message = await connection.greet()
        try:
            hello = KeeperHello.read(message)
        except MessageError:
            connection.close()
            raise
        self.keeper, self.boot, self.held = hello.keeper, hello.boot, hello.held
        self._state = _Attached(connection)
        lost = connection.when_lost()
        lost.addCallback(lambda _: self._lost(connection, listener))  # type: ignore[unused-awaitable]  # runs in the background
        for id, reason in self._interrupts.items():
            self._send({"op": "interrupt", "id": id, "reason": reason})
        self._interrupts.clear()
        listener.attached(self.held)
        connection.listen(lambda message: self._received(message, listener))

    def _lost(self, connection: KeeperConnection, listener: KeeperListener) -> None:
        if self._state == _Attached(connection):
            self.log.warn("the keeper in {directory} has ended; starting another one", directory=self.directory)
            background(self._begin(self._attach_again(listener)), self.log, "attaching to the keeper")

    async def _attach_again(self, listener: KeeperListener) -> None:
        with suppress(CancelledError):  # detached
            while not self.attached:
                try:
                    await self._attach(listener)
                except (KeeperLostError, MessageError) as error:
                    self.log.warn("No keeper can be started: {why}", why=str(error))
                    await deferLater(self._reactor, _PAUSE_AFTER_FAILURE)

    def _received(self, message: JsonReader, listener: KeeperListener) -> None:
        try:
            if message.text("event", limit=40) == "replaced":
                self.log.warn("Another process is attached to the keeper in {directory} now.", directory=self.directory)
                self.detach()
            else:
                deliver(message, listener)
        except MessageError as error:
            # The keeper has another version.  The connection stays, as a new one would get the same message again.
            self.log.warn("ignoring a message of the keeper: {why}", why=str(error))

    def _send(self, message: Mapping[str, Any]) -> None:
        if isinstance(self._state, _Attached):
            self._state.connection.send(message)
