"""
The slave's end of one link: the calls of the master, and the streams that are sent to it.

Stream senders, flow control and fetches of inputs belong to the link, and end with it.  The commands go on.
"""

from collections.abc import Callable, Mapping
from functools import partial

from twisted.internet.defer import CancelledError, Deferred

from ..deferreds import background, shielded
from ..errors import LinkLostError, RefusedError
from ..model.shell_request import ShellRequest
from ..model.spec import (
    Run,
    Spec,
    fingerprint,
)
from ..wire.flow_control import FlowControl
from ..wire.roles import Command
from ..wire.shells import OpenShell, ShellTerminal
from .agent import Agent
from .held import SlaveCommand
from .safe_paths import ResolvedPath
from .shells import NOT_PERMITTED
from .stream_sender import StreamSender
from .transfer_files import os_sentence, private_file, with_room, write_at

# Bytes of an input that are fetched at a time.
_CHUNK = 256 << 10


class AgentLink:
    """
    The agent, for the master at the other end of one link: implements `wire.roles.Slave`.

    *drop*: called with a reason, closes the connection, whose owner then calls `lost`.
    """

    def __init__(self, agent: Agent, drop: Callable[[str], None]) -> None:
        self._agent = agent
        self._drop = drop
        self._flow_control = FlowControl(agent.clock)
        self._senders: dict[str, StreamSender] = {}
        self._fetches: dict[str, Deferred[ResolvedPath]] = {}
        self._lost = False
        self._when_lost: list[Callable[[], None]] = []
        agent.linked(self)

    # The role.

    def start(self, id: str, spec: Spec, secrets: Mapping[str, str], command: Command) -> Deferred[None]:
        return Deferred.fromCoroutine(self._started(id, spec, secrets, command))

    def resume(self, id: str, command: Command, have: Mapping[str, int]) -> Deferred[None]:
        async def resumed() -> None:
            self._check()
            held = self._agent.find(id)
            if held is None:
                raise RefusedError("This slave does not hold that command.")
            self._send_streams(held, command, have)

        return Deferred.fromCoroutine(resumed())

    def interrupt(self, id: str, reason: str) -> Deferred[None]:
        async def interrupted() -> None:
            self._check()
            self._cancel_fetch(id)
            held = self._agent.find(id)
            if held is not None:
                held.interrupt(reason)

        return Deferred.fromCoroutine(interrupted())

    def disown(self, id: str) -> Deferred[None]:
        async def disowned() -> None:
            self._check()
            self._cancel_fetch(id)
            self._stop_sender(id)
            await self._agent.forget(id)

        return Deferred.fromCoroutine(disowned())

    def open_shell(self, request: ShellRequest, terminal: ShellTerminal) -> Deferred[OpenShell]:
        async def opened() -> OpenShell:
            self._check()
            if self._agent.shells is None:
                raise RefusedError(NOT_PERMITTED)
            return self._agent.shells.open(request, terminal)

        return Deferred.fromCoroutine(opened())

    def drop(self, reason: str) -> None:
        if not self._lost:
            self._drop(reason)
            self.lost()

    def when_lost(self, callback: Callable[[], None]) -> None:
        if self._lost:
            callback()
        else:
            self._when_lost.append(callback)

    # The connection.

    def lost(self) -> None:
        """
        Stop the stream senders and the fetches, because the connection is lost.  The commands go on.
        """
        if self._lost:
            return
        self._lost = True
        for id in list(self._fetches):
            self._cancel_fetch(id)
        for id in list(self._senders):
            self._stop_sender(id)
        waiting, self._when_lost = self._when_lost, []
        for callback in waiting:
            callback()

    def fetches(self, id: str) -> bool:
        return id in self._fetches

    @property
    def preparing(self) -> bool:
        return bool(self._fetches)

    def streams_changed(self, id: str) -> None:
        if id in self._senders:
            self._senders[id].streams_changed()

    # Implementation.

    async def _started(self, id: str, spec: Spec, secrets: Mapping[str, str], command: Command) -> None:
        self._check()
        held = self._agent.find(id)
        if held is None:
            held = await self._begin(id, spec, secrets, command)
        elif held.fingerprint != fingerprint(spec):
            raise RefusedError("Another command was started under this id.")
        await shielded(held.when_claimed())
        self._check()
        self._send_streams(held, command, {})

    async def _begin(self, id: str, spec: Spec, secrets: Mapping[str, str], command: Command) -> SlaveCommand:
        self._agent.check(id)
        try:
            if not isinstance(spec, Run):
                return self._agent.transfer(id, spec)
            workdir, stdin_path = await self._prepared(id, spec, command)
            return self._agent.run(id, spec, secrets, workdir, stdin_path)
        except OSError as error:
            raise RefusedError(f"The slave cannot start it: {os_sentence(error)}") from None

    async def _prepared(self, id: str, spec: Run, command: Command) -> tuple[ResolvedPath, str | None]:
        """
        Make a command's working directory and fetch its standard input.  Return the directory, and the path of the
        input, or None.

        This is done before the command is claimed, so that the command did not begin if it fails.
        """
        if id in self._fetches:
            raise RefusedError("This command is being started already.")
        clock, paths = self._agent.clock, self._agent.context.paths
        path = None if spec.stdin_input is None else self._agent.input_path(id)

        async def preparing() -> ResolvedPath:
            workdir = await with_room(clock, lambda: paths.make(spec.workdir))
            if path is not None and spec.stdin_input is not None:
                await self._fetch(path, spec.stdin_input, command)
            return workdir

        going = self._fetches[id] = Deferred.fromCoroutine(preparing())
        try:
            return await going, path
        except CancelledError:
            raise LinkLostError if self._lost else RefusedError("It was interrupted before it began.") from None
        finally:
            del self._fetches[id]

    async def _fetch(self, path: str, name: str, command: Command) -> None:
        clock, size = self._agent.clock, 0
        with await with_room(clock, lambda: private_file(path)) as out:
            while data := await shielded(command.read(name, size, _CHUNK)):
                await with_room(clock, partial(write_at, out.fileno(), data, size))
                size += len(data)

    def _send_streams(self, held: SlaveCommand, command: Command, have: Mapping[str, int]) -> None:
        self._stop_sender(held.id)
        held.have(have)
        sender = StreamSender(
            held.id, held, command, have=have, flow_control=self._flow_control, clock=self._agent.clock
        )
        self._senders[held.id] = sender
        held.linked(command)
        background(self._sent(held.id, sender.start()), self._agent.log, f"sending {held.id} to the master")

    async def _sent(self, id: str, going: Deferred[None]) -> None:
        try:
            await going
        except CancelledError:
            return  # stopped
        del self._senders[id]
        await self._agent.forget(id)

    def _stop_sender(self, id: str) -> None:
        sender = self._senders.pop(id, None)
        if sender is not None:
            sender.stop()
            held = self._agent.find(id)
            if held is not None:
                held.unlinked()

    def _cancel_fetch(self, id: str) -> None:
        if id in self._fetches:
            self._fetches[id].cancel()

    def _check(self) -> None:
        if self._lost:
            raise LinkLostError
