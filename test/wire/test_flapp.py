"""
The stock ``flappclient``, as a process, against the exposed FURLs.
"""

import os
import signal
import sys
from collections.abc import Callable
from typing import Any

from twisted.internet import reactor  # noqa: TID251 - these tests run processes
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.protocol import ProcessProtocol
from twisted.internet.task import deferLater
from twisted.python.failure import Failure

from buildbot_lite.errors import (
    InputError,
    LinkLostError,
    RevokedError,
    WrongVerbError,
)
from buildbot_lite.wire.exposed import (
    Exposed,
    ExposedDesk,
    Revocable,
)
from buildbot_lite.wire.flapp import TAKES_A_FILE, TAKES_NO_FILE, FlappService
from buildbot_lite.wire.flapp_roles import Read, StdinFeed, Submission, Watcher

from .recording_roles import RecordingDesk
from .tub_case import (
    SWISSNUM,
    TubTestCase,
    until,
    with_reactor,
)

FLAPPCLIENT = os.path.join(os.path.dirname(sys.executable), "flappclient")


class FlappClient(ProcessProtocol):
    """
    One process of the stock client.
    """

    def __init__(self, furlfile: str, *arguments: str, stdin: bytes | None = b"") -> None:
        self.out = b""
        self.err = b""
        self.ended: Deferred[int] = Deferred()
        self._stdin = stdin
        command = [FLAPPCLIENT, "--furlfile", furlfile, *arguments]
        environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
        self.process: Any = reactor.spawnProcess(self, FLAPPCLIENT, command, environment)

    def connectionMade(self) -> None:
        if self._stdin is not None and self.transport is not None:
            self.transport.write(self._stdin)
            self.transport.closeStdin()

    def outReceived(self, data: bytes) -> None:
        self.out += data

    def errReceived(self, data: bytes) -> None:
        self.err += data

    def processEnded(self, reason: Failure) -> None:
        code = getattr(reason.value, "exitCode", None)
        self.ended.callback(-1 if code is None else code)


class PrintingSubmission:
    """
    A `Submission` that writes output and exits.
    """

    def __init__(self, out: list[bytes], code: int = 0, stdin: bool = False) -> None:
        self.out = out
        self.code = code
        self.stdin = stdin
        self.fed = b""
        self.closed = 0
        self.lost: list[str] = []
        self.running = True
        self.watcher: Watcher | None = None
        self.error: BaseException | None = None

    def execute(self, watcher: Watcher) -> Deferred[StdinFeed | None]:
        self.watcher = watcher
        watcher.when_lost(lambda: self.lost.append("lost"))
        if self.stdin:
            return succeed(self)
        self.go()
        return succeed(None)

    def put(self, name: bytes, read: Read) -> Deferred[None]:
        return fail(WrongVerbError(TAKES_NO_FILE))

    def go(self) -> None:
        self.printed = Deferred.fromCoroutine(self._print()).addErrback(self._failed).addCallback(self._ended)

    def _failed(self, failure: Failure) -> None:
        self.error = failure.value

    def _ended(self, result: None) -> None:
        self.running = False

    async def _print(self) -> None:
        assert self.watcher is not None
        await self.watcher.stderr(b"request 1\n")
        for data in self.out:
            await self.watcher.stdout(data)
        await self.watcher.done(self.code)

    def feed(self, data: bytes) -> None:
        self.fed += data

    def close(self) -> None:
        self.closed += 1
        self.go()


class RefusingSubmission:
    """
    A `Submission` that refuses everything.
    """

    def put(self, name: bytes, read: Read) -> Deferred[None]:
        return fail(WrongVerbError(TAKES_NO_FILE))

    def execute(self, watcher: Watcher) -> Deferred[StdinFeed | None]:
        return fail(InputError("The builder hello is paused.  Ask its admin."))


class StoringSubmission:
    """
    A `Submission` that keeps the uploaded file.
    """

    def __init__(self, refuse: Exception | None = None) -> None:
        self.name = b""
        self.data = b""
        self.refuse = refuse

    def execute(self, watcher: Watcher) -> Deferred[StdinFeed | None]:
        return fail(WrongVerbError(TAKES_A_FILE))

    def put(self, name: bytes, read: Read) -> Deferred[None]:
        if self.refuse is not None:
            return fail(self.refuse)
        self.name = name
        return Deferred.fromCoroutine(self._read(read))

    async def _read(self, read: Read) -> None:
        while True:
            both = [read(100_000), read(100_000)]
            for more in both:
                self.data += (part := await more)
            if not part:
                return


class FlappTest(TubTestCase):
    def expose(self, what: Callable[[Revocable], Exposed], swissnum: str = SWISSNUM) -> str:
        """
        Expose *what*; return the name of a file with its FURL.
        """
        self.revocable = Revocable()
        exposed = what(self.revocable)
        self.farm, listener = self.listening({SWISSNUM: exposed}.get)
        name = str(self.mktemp())
        write(name, f"# a comment\n{self.furl(self.farm, listener, swissnum)}\n".encode())
        return name

    def submission(self, local: Submission) -> str:
        return self.expose(lambda revocable: FlappService(local, revocable))

    upload = submission

    @with_reactor
    async def test_run_command(self) -> None:
        """
        ``run-command`` prints the log byte for byte on stdout, remarks on stderr, and exits with the build's exit code
        (Promise 4).
        """
        everything = bytes(range(256)) * 1000
        client = FlappClient(self.submission(PrintingSubmission([everything, b"no newline"], code=4)), "run-command")

        self.assertEqual(await client.ended, 4)
        self.assertEqual(client.out, everything + b"no newline")
        self.assertEqual(client.err, b"request 1\n")

    @with_reactor
    async def test_stdin(self) -> None:
        """
        A submission that asks for it gets the client's standard input, to its end (Promise 4).
        """
        say = PrintingSubmission([b"thanks"], stdin=True)
        patch = os.urandom(1 << 20)
        client = FlappClient(self.submission(say), "run-command", stdin=patch)

        self.assertEqual(await client.ended, 0)
        self.assertEqual(say.fed, patch)
        self.assertEqual(say.closed, 1)
        self.assertEqual(client.out, b"thanks")

    @with_reactor
    async def test_client_lost(self) -> None:
        """
        When the client is killed, the submission is notified, and further output fails (Promise 4).
        """
        say = PrintingSubmission([b"x"], stdin=True)
        client = FlappClient(self.submission(say), "run-command", stdin=None)
        await until(lambda: say.watcher is not None)

        client.process.signalProcess("KILL")
        await client.ended
        await until(lambda: bool(say.lost))
        say.go()

        self.assertEqual(say.lost, ["lost"])
        self.assertIsInstance(say.error, LinkLostError)
        self.assertEqual(say.closed, 0)

    @with_reactor
    async def test_slow_client(self) -> None:
        """
        A stopped client gets no more output until it has acknowledged the earlier output (Promise 4).
        """
        say = PrintingSubmission([], stdin=True)
        client = FlappClient(self.submission(say), "run-command", stdin=None)
        await until(lambda: say.watcher is not None)
        client.process.signalProcess("STOP")
        assert say.watcher is not None

        first = say.watcher.stdout(b"a" * (1 << 20))
        answered: list[None] = []
        printed = first.addCallback(answered.append)
        for _ in range(100):
            await deferLater(reactor, 0.001)
        self.assertEqual(answered, [])

        client.process.signalProcess(signal.SIGCONT)
        await printed
        await say.watcher.done(0)
        self.assertEqual(await client.ended, 0)
        self.assertEqual(client.out, b"a" * (1 << 20))

    @with_reactor
    async def test_slow_reader(self) -> None:
        """
        No output is lost when the reader of the client's output is slow, even while the client sends its standard input
        (Promise 4).
        """
        for stdin in (True, False):
            log = os.urandom(300_000)
            say = PrintingSubmission([log[:200_000], log[200_000:]], code=1, stdin=stdin)
            client = FlappClient(self.submission(say), "run-command", stdin=None)
            await until(lambda: say.watcher is not None)  # noqa: B023 - it is called in this round
            client.process.pipes[1].pauseProducing()
            if stdin:
                client.process.write(b"x")
                await until(lambda: say.fed == b"x")  # noqa: B023 - it is called in this round
                say.go()
            await until(lambda: client.err == b"request 1\n")  # noqa: B023 - it is called in this round
            for _ in range(100):
                await deferLater(reactor, 0.001)
            self.assertTrue(say.running)

            client.process.pipes[1].resumeProducing()

            self.assertEqual(await client.ended, 1)
            self.assertEqual(client.out, log)

    @with_reactor
    async def test_refused(self) -> None:
        """
        The stock client prints our sentence, and no traceback (Promise 3).
        """
        client = FlappClient(self.submission(RefusingSubmission()), "run-command")

        self.assertEqual(await client.ended, 255)
        self.assertIn(b"The builder hello is paused.  Ask its admin.", client.err)
        self.assertNotIn(b"unavailable", client.err)
        self.assertNotIn(b'File "', client.err)

    @with_reactor
    async def test_upload_file(self) -> None:
        """
        ``upload-file`` ends when the file is stored (Promise 5).
        """
        store = StoringSubmission()
        name = str(self.mktemp())
        contents = os.urandom(777_777)
        write(name, contents)

        client = FlappClient(self.upload(store), "upload-file", name)

        self.assertEqual(await client.ended, 0)
        self.assertEqual(client.out, os.path.basename(name).encode() + b": uploaded\n")
        self.assertEqual(store.data, contents)
        self.assertEqual(store.name, os.path.basename(name).encode())

    @with_reactor
    async def test_upload_refused(self) -> None:
        """
        The upload of a refused file exits with an error.
        """
        name = str(self.mktemp())
        write(name, b"")
        client = FlappClient(self.upload(StoringSubmission(InputError("That is no tar archive."))), "upload-file", name)

        self.assertEqual(await client.ended, 255)
        self.assertIn(b"That is no tar archive.", client.err)

    @with_reactor
    async def test_wrong_verbs(self) -> None:
        """
        A FURL that is used with the wrong verb names the right one; the error for a slave's FURL says that it is a
        slave's (Promise 3).
        """
        run = self.submission(PrintingSubmission([]))
        put = self.upload(StoringSubmission())
        desk = self.expose(lambda revocable: ExposedDesk(RecordingDesk(), revocable))
        wrong_uses: list[tuple[str, tuple[Any, ...], bytes]] = [
            (run, ("upload-file", __file__), b"run-command"),
            (put, ("run-command",), b"upload-file NAME"),
            (desk, ("run-command",), b"buildslave.furls"),
        ]

        for furlfile, arguments, remedy in wrong_uses:
            client = FlappClient(furlfile, *arguments)
            self.assertEqual(await client.ended, 255)
            self.assertIn(remedy, client.err)

    @with_reactor
    async def test_unknown(self) -> None:
        """
        A mistyped FURL gets one sentence with the remedy, which repeats no part of the FURL (Promise 3).
        """
        furlfile = self.expose(lambda revocable: FlappService(PrintingSubmission([]), revocable), "wrong" * 6)

        client = FlappClient(furlfile, "run-command")

        self.assertEqual(await client.ended, 255)
        self.assertIn(b"does not know this string", client.err)
        self.assertNotIn(b"wrong", client.err)

    @with_reactor
    async def test_revoked(self) -> None:
        """
        Revoking cuts the connected client; after that, the FURL is refused with a sentence.
        """
        say = PrintingSubmission([], stdin=True)
        furlfile = self.submission(say)
        client = FlappClient(furlfile, "run-command", stdin=None)
        await until(lambda: say.watcher is not None)
        client.process.write(b"x")
        await until(lambda: say.fed == b"x")

        self.revocable.revoke(RevokedError())
        self.assertEqual((await client.ended, client.err), (3, b""))
        again = FlappClient(furlfile, "run-command")

        self.assertEqual(await again.ended, 255)
        self.assertIn(b"no longer valid", again.err)


def write(name: str, contents: bytes) -> None:
    """
    Create a file.
    """
    with open(name, "wb") as file:
        file.write(contents)
