"""
The slave's side of the keeper's socket.

::

    detached --ensure--> connecting --hello--> attached --line lost--> connecting --hello--> attached …
       ^                 (nobody there: start a keeper)
       `------------------------------ detach, stop -----------------------'

An attendant promises little, so that it need not remember much.  What is asked while no keeper is on the line is
dropped, interrupts apart: whoever asked learns from ``attached`` what the keeper holds, and asks again for what is
missing.  That starts nothing twice, because a claim is on disk before anything is spawned.
"""

import json
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from typing import Any, Protocol

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import UNIXClientEndpoint
from twisted.internet.error import ConnectError
from twisted.internet.interfaces import IReactorProcess, IReactorTime, IReactorUNIX
from twisted.internet.protocol import Factory, ProcessProtocol, connectionDone
from twisted.internet.task import deferLater
from twisted.logger import Logger
from twisted.protocols.basic import LineOnlyReceiver
from twisted.python.failure import Failure

from ..deferreds import OneShot, background
from ..errors import KeeperLostError, MessageError
from ..keeper.wrapper import UMASK
from ..model.hello import MOST_HELD, Life
from ..model.json_reader import JsonReader
from ..model.names import locale_to_utf8
from ..model.outcome import Outcome
from ..model.spec import Run, to_document

_BUSY = 3
_LONGEST_LINE = 8 << 20
_LONGEST_PATH = 100
_ATTEMPTS = 60
_PAUSE = 0.1
_PAUSE_AFTER_FAILURE = 10.0
_DESCRIPTORS_ARE_PATHS = os.path.exists("/proc/self/fd")
# The package may be in nobody's site-packages.
_SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# Fingerprint, life and lengths of the streams.
Holding = tuple[str, Life, Mapping[str, int]]


class KeeperReactor(IReactorUNIX, IReactorProcess, IReactorTime):
    """
    What an attendant needs of the reactor.
    """


class KeeperListener(Protocol):
    """
    Who wants to know what the keeper tells.
    """

    def attached(self, held: Mapping[str, Holding]) -> None:
        """
        A keeper answers, perhaps another one than before, and holds these commands.  `ended` follows for each that is
        over.
        """

    def claimed(self, id: str) -> None:
        """
        The keeper has it; it is started at most once.
        """

    def grew(self, id: str, lengths: Mapping[str, int]) -> None:
        """
        The spools of *id* have so many bytes by now.
        """

    def ended(self, id: str, outcome: Outcome, life: Life = Life.ENDED) -> None:
        """
        It is over, and that is on disk.  This may be told more than once.
        """

    def refused(self, id: str, sentence: str) -> None:
        """
        It was not started, and will not be.
        """

    def forgotten(self, id: str) -> None:
        """
        Nothing of *id* is left.
        """


class KeeperClient:
    """
    Keeps a keeper at work in *directory*.  *python* runs it; it ends after *linger* seconds alone and without work.
    *options*: more arguments for it.
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
        self._python = python
        self._arguments = [f"--linger={linger:g}", *options]
        self._line: _KeeperConnection | None = None
        self._starting: _KeeperStart | None = None
        self._wanted = False
        self._pause: Deferred[None] | None = None
        self._interrupts: dict[str, str] = {}

    @property
    def attached(self) -> bool:
        """
        Whether a keeper is on the line.
        """
        return self._line is not None

    async def ensure(self, listener: KeeperListener) -> None:
        """
        Attach to the keeper, started if there is none; *listener* hears of it from now on, also after it was replaced.

        `KeeperLostError` when none can be started.
        """
        self._wanted = True
        if self._line is None:
            await self._attach(listener)

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
        Run *spec* in the directory *workdir*, which is absolute.  *env* is what it inherits, the file *stdin_path* its
        input.  *root*, *wrapper*, *owner*, *umask*: see `keeper.wrapper`.  ``claimed`` or ``refused`` follows.

        All of these but *spec* are spelt as in this process, whose locale may be another than UTF-8.
        """
        self._say(
            {
                "op": "start",
                "id": id,
                "fingerprint": fingerprint,
                "spec": to_document(spec),
                "secrets": dict(secrets),
                "workdir": locale_to_utf8(workdir),
                "env": {locale_to_utf8(name): locale_to_utf8(value) for name, value in env.items()},
                "stdin_path": stdin_path and locale_to_utf8(stdin_path),
                "root": root and locale_to_utf8(root),
                "wrapper": [locale_to_utf8(word) for word in wrapper],
                "owner": owner,
                # A keeper of 0.1.0 is told nothing that it does not know, unless it has to be.
                **({} if umask == UMASK else {"umask": umask}),
            }
        )

    def interrupt(self, id: str, reason: str) -> None:
        """
        Kill it, for *reason*; ``ended`` follows.
        """
        if self._line is None:
            self._interrupts[id] = reason
        self._say({"op": "interrupt", "id": id, "reason": reason})

    def forget(self, id: str) -> None:
        """
        Forget it, killing it first if it still runs; ``forgotten`` follows.
        """
        self._say({"op": "forget", "id": id})

    def word(self, age: float) -> None:
        """
        The master was heard *age* seconds ago: leases run anew from then.
        """
        self._say({"op": "word", "age": age})

    def detach(self) -> None:
        """
        Leave the keeper alone with its commands.
        """
        self._give_up()
        if self._line is not None:
            self._line.hang_up()

    async def stop(self) -> None:
        """
        Have the keeper kill everything and end, also one that is not attached to yet; fires when it is gone.
        """
        self._give_up()
        line = self._line or await self._found()
        if line is not None:
            gone = line.when_lost()
            line.say({"op": "stop"})
            await gone

    def _give_up(self) -> None:
        self._wanted = False
        if self._pause is not None:
            self._pause.cancel()

    async def _attach(self, listener: KeeperListener) -> None:
        line = await self._connect()
        lost = line.when_lost()
        line.say({"op": "hello"})
        try:
            hello = await line.when_greeted()
        except KeeperLostError:
            if self._wanted:
                raise
            return
        self.keeper = hello.text("keeper", limit=64)
        self.boot = hello.text("boot", limit=200)
        self.held = dict(hello.objects("held", _holding, most=2 * MOST_HELD))
        self._line = line
        lost.addCallback(lambda nothing: self._lost(listener))  # type: ignore[unused-awaitable]  # it fires by itself
        for id, reason in self._interrupts.items():
            self._say({"op": "interrupt", "id": id, "reason": reason})
        self._interrupts.clear()
        line.listen(lambda message: self._heard(listener, message))
        listener.attached(self.held)
        line.go_on()

    def _lost(self, listener: KeeperListener) -> None:
        self._line = None
        if self._wanted:
            self.log.warn("The keeper in {directory} is gone; another one is started.", directory=self.directory)
            background(self._attach_again(listener), self.log, "attaching to the keeper")

    async def _attach_again(self, listener: KeeperListener) -> None:
        while self._wanted and self._line is None:
            try:
                await self._attach(listener)
            except (KeeperLostError, MessageError) as error:
                await self._after_failure(error)

    async def _after_failure(self, error: Exception) -> None:
        if self._wanted:
            self.log.warn("No keeper can be started: {why}", why=str(error))
            self._pause = deferLater(self._reactor, _PAUSE_AFTER_FAILURE)
            with suppress(CancelledError):
                await self._pause

    def _heard(self, listener: KeeperListener, message: JsonReader) -> None:
        try:
            self._told(listener, message)
        except MessageError as error:
            # Another version's words.  To hang up would only have it say the same again.
            self.log.warn("The keeper said something that is passed over: {why}", why=str(error))

    def _told(self, listener: KeeperListener, message: JsonReader) -> None:
        event = message.text("event", limit=40)
        if event == "replaced":
            self.log.warn("Another process attends to the keeper in {directory} now.", directory=self.directory)
            self._wanted = False
            return
        id = message.text("id", limit=100)
        if event == "claimed":
            listener.claimed(id)
        elif event == "grew":
            lengths = JsonReader(message.mapping("lengths"), "the keeper, lengths")
            listener.grew(id, {name: lengths.integer(name) for name in lengths.document})
        elif event == "ended":
            listener.ended(id, *_ended(message))
        elif event == "refused":
            listener.refused(id, message.text("sentence"))
        elif event == "forgotten":
            listener.forgotten(id)

    def _say(self, message: Mapping[str, Any]) -> None:
        if self._line is not None:
            self._line.say(message)

    async def _connect(self) -> "_KeeperConnection":
        """
        A line to whoever keeps this directory; of several who want to start one, the lock lets one win.
        """
        path = os.path.join(self.directory, "socket")
        for _attempt in range(_ATTEMPTS):
            try:
                return await self._dial(path)
            except (ConnectError, OSError):
                # Nobody listens, or nobody yet, or not any more.
                if not self._wanted:
                    break
                code, words = await self._start_keeper()
            if code not in (0, _BUSY):
                raise KeeperLostError(f"The keeper could not be started: {words[-500:] or code}")
            if code == _BUSY:
                await deferLater(self._reactor, _PAUSE)
        raise KeeperLostError(f"Something holds {self.directory}/lock, but does not answer at {path}.")

    async def _found(self) -> "_KeeperConnection | None":
        """
        A line to the keeper that is there, or is being started; None when there is none.
        """
        if self._starting is not None:
            await self._starting.when_ended()
        try:
            line = await self._dial(os.path.join(self.directory, "socket"))
            line.say({"op": "hello"})
            await line.when_greeted()
        except (ConnectError, OSError, KeeperLostError):
            return None
        line.go_on()
        return line

    async def _dial(self, path: str) -> "_KeeperConnection":
        # A socket's address has room for 107 bytes, and Twisted wants it in the locale's own characters; through a
        # descriptor any directory is near.
        if not _DESCRIPTORS_ARE_PATHS or (path.isascii() and len(path) < _LONGEST_PATH):
            return await self._dial_near(path)
        near = os.open(self.directory, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
        try:
            return await self._dial_near(f"/proc/self/fd/{near}/socket")
        finally:
            os.close(near)

    async def _dial_near(self, path: str) -> "_KeeperConnection":
        endpoint = UNIXClientEndpoint(self._reactor, path, timeout=10)
        factory = Factory.forProtocol(_KeeperConnection)
        factory.noisy = False
        line: _KeeperConnection = await endpoint.connect(factory)
        return line

    async def _start_keeper(self) -> tuple[int | None, str]:
        os.makedirs(self.directory, mode=0o700, exist_ok=True)
        path = os.pathsep.join(filter(None, [_SOURCE, os.environ.get("PYTHONPATH")]))
        # Bytes, because Twisted refuses texts with surrogates, which stand for what is not in the locale's encoding.
        env = {**os.environb, b"PYTHONPATH": os.fsencode(path)}
        # In UTF-8 mode, whatever the locale: what travels is UTF-8.
        words = [self._python, "-X", "utf8", "-m", "buildbot_lite.keeper", *self._arguments, self.directory]
        arguments = [os.fsencode(word) for word in words]
        starting = self._starting = _KeeperStart()
        self._reactor.spawnProcess(starting, arguments[0], arguments, env, os.fsencode(self.directory))
        return await starting.when_ended()


class _KeeperConnection(LineOnlyReceiver):
    """
    One connection.  What comes after the keeper's hello waits until somebody listens.
    """

    delimiter = b"\n"
    MAX_LENGTH = _LONGEST_LINE

    def __init__(self) -> None:
        self._greeted: Deferred[JsonReader] = Deferred()
        self._lost: OneShot[None] = OneShot()
        self._listener: Callable[[JsonReader], None] | None = None

    def lineReceived(self, line: bytes) -> None:
        message = JsonReader.decode(line, "the keeper", _LONGEST_LINE)
        if self._listener is not None:
            self._listener(message)
        elif message.text("event") == "hello":
            self._wire().pauseProducing()
            self._greeted.callback(message)

    def connectionLost(self, reason: Failure = connectionDone) -> None:
        if not self._greeted.called:
            self._greeted.errback(Failure(KeeperLostError()))
        self._lost.fire(None)

    def say(self, message: Mapping[str, Any]) -> None:
        self._wire().write(json.dumps(message, separators=(",", ":")).encode() + b"\n")

    def listen(self, listener: Callable[[JsonReader], None]) -> None:
        self._listener = listener

    def go_on(self) -> None:
        self._wire().resumeProducing()

    def hang_up(self) -> None:
        self._wire().loseConnection()

    def _wire(self) -> Any:
        # Twisted types it as less than it is: a transport that may be None and cannot be paused.
        return self.transport

    def when_greeted(self) -> Deferred[JsonReader]:
        return self._greeted

    def when_lost(self) -> Deferred[None]:
        return self._lost.wait()


class _KeeperStart(ProcessProtocol):
    """
    The moment in which a keeper starts and puts itself into the background.
    """

    def __init__(self) -> None:
        self._ended: OneShot[tuple[int | None, str]] = OneShot()
        self._words = b""

    def childDataReceived(self, childFD: int, data: bytes) -> None:  # noqa: N802, N803 - Twisted's
        self._words = (self._words + data)[-2000:]

    def processExited(self, reason: Failure) -> None:  # noqa: N802 - Twisted's
        # Not processEnded: it waits for the pipes as well, and the keeper goes on.
        code = getattr(reason.value, "exitCode", None)
        self._ended.fire((code, self._words.decode("utf-8", "replace").strip()))

    def when_ended(self) -> Deferred[tuple[int | None, str]]:
        return self._ended.wait()


def _ended(message: JsonReader) -> tuple[Outcome, Life]:
    """
    How a command ended, as far as this version understands the keeper's.
    """
    try:
        outcome = Outcome.from_document(message.mapping("outcome"))
    except MessageError as error:
        return Outcome.lost(
            f"The keeper is of another version, and how the command ended is not known: {error}"
        ), Life.LOST
    return outcome, _life(message.text("life", Life.ENDED.value, limit=20), otherwise=Life.UNKNOWN)


def _life(word: str, *, otherwise: Life) -> Life:
    """
    What a keeper calls the life of a command; *otherwise* when it is of another version, and has a new word for it.
    """
    try:
        return Life(word)
    except ValueError:
        return otherwise


def _holding(reader: JsonReader) -> tuple[str, Holding]:
    lengths = JsonReader(reader.mapping("lengths", {}, most=1000), "the keeper, lengths")
    return reader.text("id", limit=100), (
        reader.text("fingerprint", limit=64),
        # If it is over, `ended` follows; until then it may run.
        _life(reader.text("life", limit=20), otherwise=Life.RUNNING),
        {name: lengths.integer(name) for name in lengths.document},
    )
