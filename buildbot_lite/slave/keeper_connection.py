"""
Connections to the keeper's socket, and the process that starts a keeper.

::

    connect ──► a keeper listens ──────────────────────► KeeperConnection ──hello──► greeted
       ▲         none listens
       │                │
       └── 0, or busy ──┴── start a keeper ── any other exit code ──► KeeperLostError

Several processes may start keepers at once.  The lock in the directory lets one keeper run, to which all of them
connect.
"""

import json
import os
import sys
from collections.abc import Callable, Mapping
from typing import Any

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import UNIXClientEndpoint
from twisted.internet.error import ConnectError, ConnectingCancelledError
from twisted.internet.interfaces import IReactorProcess, IReactorTime, IReactorUNIX
from twisted.internet.protocol import Factory, ProcessProtocol, connectionDone
from twisted.internet.task import deferLater
from twisted.protocols.basic import LineOnlyReceiver
from twisted.python.failure import Failure

from ..deferreds import OneShot
from ..errors import KeeperLostError
from ..model.json_reader import JsonReader

_BUSY = 3
"""Exit code of a keeper that finds another one in its directory (`keeper.__main__.BUSY`)."""
# Bytes of a message from the keeper.
_LONGEST_LINE = 8 << 20
# Bytes of the path of a socket.
_LONGEST_PATH = 100
# Attempts to connect to, or start, a keeper; and the seconds between two while another one is starting.
_ATTEMPTS = 60
_PAUSE = 0.1
_DESCRIPTORS_ARE_PATHS = os.path.exists("/proc/self/fd")
# In PYTHONPATH of a new keeper, because the package need not be installed.
_SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class KeeperReactor(IReactorUNIX, IReactorProcess, IReactorTime):
    """
    The parts of the reactor that a keeper's client uses.
    """


class KeeperConnection(LineOnlyReceiver):
    """
    One connection to a keeper.  Messages after its hello wait until `listen` is called.
    """

    delimiter = b"\n"
    MAX_LENGTH = _LONGEST_LINE

    def __init__(self) -> None:
        self._hello: OneShot[JsonReader] = OneShot()
        self._lost: OneShot[None] = OneShot()
        self._listener: Callable[[JsonReader], None] | None = None

    def lineReceived(self, line: bytes) -> None:
        message = JsonReader.decode(line, "the message of the keeper", _LONGEST_LINE)
        if self._listener is not None:
            self._listener(message)
        elif message.text("event") == "hello":
            self._transport().pauseProducing()
            self._hello.fire(message)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        self._hello.fire(Failure(KeeperLostError()))
        self._lost.fire(None)

    async def greet(self) -> JsonReader:
        """
        Send a hello, and return the keeper's.  If none comes, close the connection.
        """
        self.send({"op": "hello"})
        try:
            return await self._hello.wait()
        except BaseException:
            self.close()
            raise

    def send(self, message: Mapping[str, Any]) -> None:
        self._transport().write(json.dumps(message, separators=(",", ":")).encode() + b"\n")

    def listen(self, listener: Callable[[JsonReader], None]) -> None:
        """
        Call *listener* with each message from now on.
        """
        self._listener = listener
        self._transport().resumeProducing()

    def close(self) -> None:
        self._transport().loseConnection()

    def when_lost(self) -> Deferred[None]:
        return self._lost.wait()

    def _transport(self) -> Any:
        # Twisted's annotation of `transport` has neither pauseProducing nor a guarantee that it is there.
        return self.transport


class KeeperDialer:
    """
    Connects to the keeper in *directory*, an absolute path, or starts one with the interpreter *python* and
    *arguments*.
    """

    def __init__(
        self, directory: str, reactor: KeeperReactor, *, python: str = sys.executable, arguments: tuple[str, ...] = ()
    ) -> None:
        self._directory = directory
        self._reactor = reactor
        self._python = python
        self._arguments = arguments
        self._start: _KeeperStart | None = None

    async def connect_or_start(self) -> KeeperConnection:
        """
        Connect to the keeper; start one if none listens.  `KeeperLostError` when that fails.
        """
        for _attempt in range(_ATTEMPTS):
            try:
                return await self._connect()
            except (ConnectError, OSError):
                try:
                    exit_code, output = await self._start_keeper()
                except OSError as error:
                    raise KeeperLostError(f"The keeper could not be started: {error}") from error
            if exit_code not in (0, _BUSY):
                raise KeeperLostError(f"The keeper could not be started: {output[-500:] or exit_code}")
            if exit_code == _BUSY:
                await deferLater(self._reactor, _PAUSE)
        raise KeeperLostError(
            f"Another process holds {self._directory}/lock, but does not answer at {self._directory}/socket."
        )

    async def connect_to_existing(self) -> KeeperConnection | None:
        """
        Connect to a keeper that is running or being started, and greet it; None when there is none.
        """
        if self._start is not None:
            await self._start.when_ended()
        try:
            connection = await self._connect()
            await connection.greet()
        except (ConnectError, OSError, KeeperLostError):
            return None
        connection.listen(lambda message: None)
        return connection

    async def _connect(self) -> KeeperConnection:
        path = os.path.join(self._directory, "socket")
        # The address of a socket has at most 107 bytes (unix(7)), and Twisted encodes it as the locale says.  The path
        # of a descriptor is short and ASCII, whatever the name of the directory.
        if not _DESCRIPTORS_ARE_PATHS or (path.isascii() and len(path) < _LONGEST_PATH):
            return await self._connect_to(path)
        directory = os.open(self._directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            return await self._connect_to(f"/proc/self/fd/{directory}/socket")
        finally:
            os.close(directory)

    async def _connect_to(self, path: str) -> KeeperConnection:
        factory = Factory.forProtocol(KeeperConnection)
        factory.noisy = False
        try:
            connection: KeeperConnection = await UNIXClientEndpoint(self._reactor, path, timeout=10).connect(factory)
        except ConnectingCancelledError:
            raise CancelledError from None
        return connection

    async def _start_keeper(self) -> tuple[int | None, str]:
        """
        Start a keeper, which runs in the background; return exit code and output of the process that started it.
        """
        os.makedirs(self._directory, mode=0o700, exist_ok=True)
        path = os.pathsep.join(filter(None, [_SOURCE, os.environ.get("PYTHONPATH")]))
        # Bytes: Twisted refuses strings with surrogates, which stand for bytes outside the locale's encoding.
        env = {**os.environb, b"PYTHONPATH": os.fsencode(path)}
        # UTF-8 mode, because the messages are UTF-8, whatever the locale.
        words = [self._python, "-X", "utf8", "-m", "buildbot_lite.keeper", *self._arguments, self._directory]
        arguments = [os.fsencode(word) for word in words]
        start = self._start = _KeeperStart()
        self._reactor.spawnProcess(start, arguments[0], arguments, env, os.fsencode(self._directory))
        return await start.when_ended()


class _KeeperStart(ProcessProtocol):
    """
    The process that starts a keeper in the background, and exits then.
    """

    def __init__(self) -> None:
        self._ended: OneShot[tuple[int | None, str]] = OneShot()
        self._output = b""

    def childDataReceived(self, childFD: int, data: bytes) -> None:  # noqa: N802, N803 - Twisted's
        self._output = (self._output + data)[-2000:]

    def processExited(self, reason: Failure) -> None:  # noqa: N802 - Twisted's
        # Not processEnded, which also waits until the pipes are closed: the keeper may hold them open.
        exit_code = getattr(reason.value, "exitCode", None)
        self._ended.fire((exit_code, self._output.decode("utf-8", "replace").strip()))

    def when_ended(self) -> Deferred[tuple[int | None, str]]:
        return self._ended.wait()
