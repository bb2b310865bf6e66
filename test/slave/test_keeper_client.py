"""
The client of the keeper's socket, with real keepers.
"""

import contextlib
import fcntl
import json
import os
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Callable, Mapping
from typing import Any
from unittest import mock

from twisted.internet import reactor as _reactor  # noqa: TID251 - real processes need the real reactor
from twisted.internet.defer import Deferred, gatherResults
from twisted.internet.endpoints import UNIXServerEndpoint
from twisted.internet.protocol import Factory
from twisted.internet.task import deferLater
from twisted.logger import LogEvent, Logger, LogLevel, formatEvent
from twisted.protocols.basic import LineOnlyReceiver
from twisted.trial.unittest import TestCase

from buildbot_lite.cli.program import run
from buildbot_lite.errors import KeeperLostError
from buildbot_lite.keeper.command_store import spool_path
from buildbot_lite.model.hello import Life
from buildbot_lite.model.names import environment_to_utf8
from buildbot_lite.model.outcome import Ending, Outcome
from buildbot_lite.model.spec import Run, fingerprint
from buildbot_lite.slave import keeper_client
from buildbot_lite.slave.keeper_client import KeeperClient
from buildbot_lite.slave.keeper_connection import KeeperConnection, KeeperDialer
from buildbot_lite.slave.keeper_messages import Holding

from ..keeper.keeper_harness import wait_until
from ..process_table import alive

reactor: Any = _reactor


def contents(path: str) -> str:
    """
    Return the contents of a file, decoded like a file name.
    """
    with open(path, errors="surrogateescape") as source:
        return source.read()


def write(path: str, text: str) -> None:
    """
    Write to a file or FIFO.
    """
    with open(path, "w") as target:
        target.write(text)


class RecordingListener:
    """
    A listener that records its calls, and can be awaited.
    """

    def __init__(self) -> None:
        self.events: list[tuple[str, str, Any]] = []
        self._waiting: list[tuple[Callable[[tuple[str, str, Any]], bool], Deferred[Any]]] = []

    def when(self, event: str, id: str = "") -> Deferred[Any]:
        """
        Return a Deferred that fires with the arguments of the next *event* of *id*; past events count, each once.
        """

        def wanted(each: tuple[str, str, Any]) -> bool:
            return each[:2] == (event, id)

        for each in self.events:
            if wanted(each):
                self.events.remove(each)
                there: Deferred[Any] = Deferred()
                there.callback(each[2])
                return there
        coming: Deferred[Any] = Deferred()
        self._waiting.append((wanted, coming))
        return coming

    def attached(self, held: Mapping[str, Holding]) -> None:
        self._came("attached", "", held)

    def claimed(self, id: str) -> None:
        self._came("claimed", id, None)

    def grew(self, id: str, lengths: Mapping[str, int]) -> None:
        self._came("grew", id, dict(lengths))

    def ended(self, id: str, outcome: Outcome, life: Life = Life.ENDED) -> None:
        self._came("ended", id, (outcome, life))

    def refused(self, id: str, sentence: str) -> None:
        self._came("refused", id, sentence)

    def forgotten(self, id: str) -> None:
        self._came("forgotten", id, None)

    def _came(self, event: str, id: str, what: object) -> None:
        each = (event, id, what)
        for number, (wanted, coming) in enumerate(self._waiting):
            if wanted(each):
                del self._waiting[number]
                coming.callback(what)
                return
        self.events.append(each)


class KeeperClientTests(TestCase):
    def setUp(self) -> None:
        """
        A directory and a listener.
        """
        self.directory = os.path.realpath(tempfile.mkdtemp(prefix="client-"))
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)
        self.home = os.path.join(self.directory, "keeper")
        self.news = RecordingListener()

    def client(self, home: str | None = None, **more: Any) -> KeeperClient:
        """
        Return a client whose keeper is stopped after the test.
        """
        client = KeeperClient(home or self.home, reactor, **{"linger": 5.0, **more})
        self.addCleanup(lambda: Deferred.fromCoroutine(client.stop()))
        return client

    def start(
        self,
        client: KeeperClient,
        id: str,
        run: Run,
        secrets: Mapping[str, str] | None = None,
    ) -> None:
        """
        Start *run*.
        """
        client.start(
            id,
            fingerprint=fingerprint(run),
            spec=run,
            secrets=secrets or {},
            workdir=os.path.join(self.directory, "work"),
            env={"PATH": os.environ["PATH"]},
        )

    async def keeper_pid(self, client: KeeperClient) -> int:
        """
        Return the pid of the keeper.
        """
        self.start(client, "pid", Run(script="echo $PPID", timeout=None))
        await self.news.when("ended", "pid")
        return int(contents(spool_path(client.directory, "pid", "stdio")))

    async def test_run(self) -> None:
        """
        The first client starts a keeper; a command is claimed, grows, ends, and is forgotten.
        """
        client = self.client()
        await client.ensure(self.news)
        self.assertEqual(await self.news.when("attached"), {})
        self.assertTrue(client.attached)
        self.assertTrue(client.keeper)
        self.assertTrue(client.boot)
        # The slave may repeat the request at any time.
        await client.ensure(self.news)

        self.start(client, "a-1", Run(script="echo hello; read x", pty=False))
        await self.news.when("claimed", "a-1")
        outcome, life = await self.news.when("ended", "a-1")
        self.assertEqual((outcome.exit_code, life), (1, Life.ENDED))
        self.assertEqual(outcome.streams["stdio"].length, 6)
        client.forget("a-1")
        await self.news.when("forgotten", "a-1")

    async def test_grew_and_interrupt(self) -> None:
        """
        Growth is reported while a command runs, and an interrupt ends the command.
        """
        client = self.client()
        await client.ensure(self.news)
        self.start(client, "a-1", Run(script="echo hello; exec sleep 600"))
        self.assertEqual(await self.news.when("grew", "a-1"), {"stdio": 6})
        client.renew_leases(0.0)
        client.interrupt("a-1", "Enough.")
        outcome, _life = await self.news.when("ended", "a-1")
        self.assertEqual((outcome.ending, outcome.sentence), (Ending.KILLED, "Enough."))

    async def test_stopped_at_once(self) -> None:
        """
        A client that is stopped while its keeper starts or answers the hello leaves no keeper behind, and starts no
        other.
        """
        for turns in (0, 1, 2, 5, 10):
            client = self.client(os.path.join(self.directory, f"keeper-{turns}"), linger=600.0)
            starting = Deferred.fromCoroutine(client.ensure(self.news))
            for _turn in range(turns):
                await deferLater(reactor, 0.01)
            starting.addErrback(lambda _failure: None)  # type: ignore[unused-awaitable]  # it is cancelled
            starting.cancel()
            await client.stop()
            # The keeper closes its connection shortly before it releases its lock.
            wait_until(lambda: self.is_free(client.directory))  # noqa: B023 - it is called at once

    def is_free(self, home: str) -> bool:
        """
        Return whether no keeper holds the directory's lock.
        """
        os.makedirs(home, exist_ok=True)
        with open(os.path.join(home, "lock"), "a") as lock:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return False
        return True

    async def test_stopped_before_it_is_attached(self) -> None:
        """
        A client that is stopped before it has reached an existing keeper ends that keeper.
        """
        first = self.client()
        await first.ensure(self.news)
        self.start(first, "a-1", Run(script="echo $$; exec sleep 600"))
        await self.news.when("grew", "a-1")
        pid = int(contents(spool_path(self.home, "a-1", "stdio")))
        first.detach()
        await self.client().stop()

        self.assertFalse(alive(pid))

    async def hung(self) -> KeeperClient:
        """
        A client that is attached to a keeper which does nothing any more, and waits for it only shortly.
        """
        client = self.client()
        await client.ensure(self.news)
        pid = await self.keeper_pid(client)
        os.kill(pid, signal.SIGSTOP)
        self.addCleanup(os.kill, pid, signal.SIGKILL)
        for limit in ("LONGEST_STOP", "_LONGEST_LEAVE"):
            self.patch(keeper_client, limit, 0.1)
        return client

    async def test_stop_of_a_keeper_that_hangs(self) -> None:
        """
        A client waits for the end of a keeper that it stops for a bounded time, and says so, attached to it or not.
        Then it closes its connection.
        """
        client = await self.hung()
        closed: list[KeeperConnection] = []
        close = KeeperConnection.close

        def note_and_close(connection: KeeperConnection) -> None:
            closed.append(connection)
            close(connection)

        self.patch(KeeperConnection, "close", note_and_close)
        events: list[LogEvent] = []
        observer: Any = events.append
        self.patch(KeeperClient, "log", Logger(observer=observer))
        for stopped in (client, self.client()):
            await stopped.stop()
        self.assertEqual(len(closed), 2)
        self.assertEqual([each["log_level"] for each in events], [LogLevel.error] * 2)
        slave = os.path.dirname(client.directory)
        self.assertTrue(formatEvent(events[0]).endswith(f": buildbot-lite stop --kill {slave}"), slave)

    async def test_leaving_a_keeper_that_hangs(self) -> None:
        """
        A client leaves a keeper that does not answer after a bounded time.
        """
        client = await self.hung()
        await client.leave()
        self.assertFalse(client.attached)

    async def test_left(self) -> None:
        """
        A client that leaves lets a keeper without commands end at once; the next client starts another one.
        """
        client = self.client(linger=600.0)
        await client.leave()
        for _each in range(2):
            await client.ensure(self.news)
            await client.leave()
            self.assertFalse(client.attached)
        wait_until(lambda: self.is_free(client.directory))

    async def test_stop_kill_of_a_slave_that_does_not_listen(self) -> None:
        """
        ``stop --kill`` ends running commands, also when the slave dies of the signal because its handler is not
        installed yet.
        """
        first = self.client()
        await first.ensure(self.news)
        self.start(first, "a-1", Run(script="echo $$; exec sleep 600"))
        await self.news.when("grew", "a-1")
        pid = int(contents(spool_path(self.home, "a-1", "stdio")))
        first.detach()
        self.stop_kill_deaf_slave()
        self.assertFalse(alive(pid))

    def stop_kill_deaf_slave(self) -> None:
        """
        Start a process that looks like a slave's twistd, and return the command that stops it.
        """
        os.mkdir(os.path.join(self.directory, "private"))
        write(os.path.join(self.directory, "private", "lock"), "")
        slave = subprocess.Popen(["sh", "-c", "exec sleep 600 9< private/lock"], cwd=self.directory)
        self.addCleanup(slave.wait)
        self.addCleanup(slave.kill)
        wait_until(lambda: os.path.exists(f"/proc/{slave.pid}/fd/9"))
        write(os.path.join(self.directory, "twistd.pid"), str(slave.pid))
        self.assertEqual(run(["stop", self.directory, "--kill"]), 0)

    async def test_goes_on(self) -> None:
        """
        Commands outlive the slave's process; the next one attaches to the same keeper (Promise 7).
        """
        first = self.client()
        await first.ensure(self.news)
        fifo = os.path.join(self.directory, "fifo")
        os.mkfifo(fifo)
        self.start(first, "a-1", run := Run(script=f"echo one; cat {fifo}"))
        await self.news.when("grew", "a-1")
        first.detach()

        second = self.client()
        later = RecordingListener()
        await second.ensure(later)
        held = await later.when("attached")
        self.assertEqual(held, {"a-1": (fingerprint(run), Life.RUNNING, {"stdio": 4})})
        self.assertEqual(second.keeper, first.keeper)
        write(fifo, "two\n")
        outcome, _life = await later.when("ended", "a-1")
        self.assertTrue(outcome.succeeded)

    async def test_keeper_dies(self) -> None:
        """
        When the keeper dies, the client starts another; the running commands are lost, and a repeated start runs
        nothing twice.
        """
        client = self.client()
        await client.ensure(self.news)
        await self.news.when("attached")
        first = client.keeper
        pid = await self.keeper_pid(client)
        self.start(client, "a-1", run := Run(script="echo ran; exec sleep 600"))
        await self.news.when("grew", "a-1")
        os.kill(pid, signal.SIGKILL)

        held = await self.news.when("attached")
        self.assertEqual(held["a-1"], (fingerprint(run), Life.LOST, {"stdio": 4}))
        self.assertNotEqual(client.keeper, first)
        outcome, life = await self.news.when("ended", "a-1")
        self.assertEqual((outcome.ending, life), (Ending.LOST, Life.LOST))
        self.start(client, "a-1", run)
        outcome, _life = await self.news.when("ended", "a-1")
        self.assertEqual(outcome.streams["stdio"].length, 4)

    async def test_interrupt_while_away(self) -> None:
        """
        An interrupt that was requested while no keeper was attached is sent to the next one.
        """
        first = self.client()
        await first.ensure(self.news)
        self.start(first, "a-1", Run(argv=("sleep", "600")))
        await self.news.when("claimed", "a-1")
        first.detach()
        second = self.client()
        second.interrupt("a-1", "Enough.")
        await second.ensure(self.news)
        outcome, _life = await self.news.when("ended", "a-1")
        self.assertEqual(outcome.sentence, "Enough.")

    async def test_race(self) -> None:
        """
        When several clients start keepers at once, one keeper remains, and all clients attach to it.
        """
        clients = [self.client() for _each in range(4)]
        recorders = [RecordingListener() for _each in clients]
        # Each client replaces the one before, which may find no keeper any more, and gets an error.
        results = [
            Deferred.fromCoroutine(client.ensure(recorder)) for client, recorder in zip(clients, recorders, strict=True)
        ]
        for result in results:
            with contextlib.suppress(KeeperLostError):
                await result
        for client in clients[:-1]:
            client.detach()
        await clients[-1].ensure(self.news)
        self.assertEqual(len({client.keeper for client in clients if client.keeper}), 1)

    async def test_long_path(self) -> None:
        """
        The path of a directory may be longer than a socket address allows.
        """
        home = os.path.join(self.directory, *["deep" * 10] * 4)
        client = self.client(home)
        await client.ensure(self.news)
        self.start(client, "a-1", Run(argv=("true",)))
        outcome, _life = await self.news.when("ended", "a-1")
        self.assertTrue(outcome.succeeded)

    async def test_any_path(self) -> None:
        """
        Promise 6.21: the directory and its parents may have any name, also one that no locale can decode.
        """
        self.directory = os.fsdecode(os.path.join(os.fsencode(self.directory), b"\xff \xc3\xbc", b"deep" * 60))
        client = self.client(os.path.join(self.directory, "keeper"))
        await client.ensure(self.news)
        self.start(client, "a-1", Run(script="pwd"))
        outcome, _life = await self.news.when("ended", "a-1")
        self.assertTrue(outcome.succeeded, outcome.sentence)
        place = os.fsencode(self.directory) + b"/work\n"
        self.assertEqual(os.fsencode(contents(spool_path(client.directory, "a-1", "stdio"))), place)

    async def test_any_environment(self) -> None:
        """
        Promise 6.21: environment variables keep their bytes, also those of the keeper itself.
        """
        os.environb[b"ODD"] = b"\xff\xfe"
        self.addCleanup(os.environb.pop, b"ODD")
        client = self.client()
        await client.ensure(self.news)
        run = Run(script='printf %s "$ODD"')
        env = environment_to_utf8({"PATH": os.environ["PATH"], "ODD": os.fsdecode(b"\xe4 in Latin-1")})
        client.start("a-1", fingerprint=fingerprint(run), spec=run, secrets={}, workdir=self.directory, env=env)
        await self.news.when("ended", "a-1")
        self.assertEqual(os.fsencode(contents(spool_path(client.directory, "a-1", "stdio"))), b"\xe4 in Latin-1")

    async def test_cannot_start(self) -> None:
        """
        When the keeper cannot be started, the error gives the reason.
        """
        client = KeeperClient(self.home, reactor, options=("--no-such-option",))
        with self.assertRaises(KeeperLostError) as caught:
            await client.ensure(self.news)
        self.assertIn("no-such-option", str(caught.exception))

    async def test_refused(self) -> None:
        """
        A different command with the same id is refused.
        """
        client = self.client()
        await client.ensure(self.news)
        self.start(client, "a-1", Run(argv=("true",)))
        await self.news.when("ended", "a-1")
        self.start(client, "a-1", Run(argv=("false",)))
        self.assertIn("same id", await self.news.when("refused", "a-1"))

    async def test_many(self) -> None:
        """
        Many concurrent commands all end, each with its own output.
        """
        client = self.client()
        await client.ensure(self.news)
        for number in range(60):
            self.start(client, f"a-{number}", Run(argv=("echo", f"number {number}")))
        await gatherResults([self.news.when("ended", f"a-{number}") for number in range(60)])
        for number in range(60):
            self.assertEqual(contents(spool_path(self.home, f"a-{number}", "stdio")), f"number {number}\n")

    async def test_stop(self) -> None:
        """
        Stopping ends the commands and the keeper, and starts no new keeper.
        """
        client = self.client()
        await client.ensure(self.news)
        self.start(client, "a-1", Run(argv=("sleep", "600")))
        await self.news.when("claimed", "a-1")
        anew: list[object] = []

        async def attach_again(news: object) -> None:
            anew.append(news)

        self.patch(client, "_attach_again", attach_again)
        await client.stop()
        outcome, _life = await self.news.when("ended", "a-1")
        self.assertEqual(outcome.ending, Ending.LOST)
        self.assertEqual(anew, [])
        self.assertFalse(client.attached)
        self.assertNotIn("socket", os.listdir(self.home))


class _LaterKeeper(LineOnlyReceiver):
    """
    A keeper of a later version, with unknown states, events and fields.
    """

    delimiter = b"\n"

    def lineReceived(self, line: bytes) -> None:
        """
        Answer a hello with everything that is new.
        """
        if json.loads(line)["op"] != "hello":
            return
        held = [{"id": id, "fingerprint": "f", "life": "suspended"} for id in ("a", "b", "c")]
        for message in (
            {"event": "hello", "keeper": "k", "boot": "b", "held": held},
            {"event": "danced", "id": "a"},
            {"event": "grew", "id": "a", "lengths": {"stdio": "many"}},
            {"event": "ended", "id": "b", "life": "evaporated", "outcome": {"ending": "exited", "exit_code": 0}},
            {"event": "ended", "id": "c", "outcome": {"ending": "teleported"}},
        ):
            self.sendLine(json.dumps(message).encode())


class DialerTests(TestCase):
    def setUp(self) -> None:
        """
        A path for the keeper's directory.
        """
        self.directory = os.path.join(os.path.abspath(self.mktemp()), "keeper")

    async def test_no_room_for_a_process(self) -> None:
        """
        When the system cannot start the keeper's process, the error is a `KeeperLostError`, after which the client
        tries again.
        """
        with mock.patch.object(reactor, "spawnProcess", side_effect=BlockingIOError(11, "Resource unavailable")):
            starting = KeeperDialer(self.directory, reactor).connect_or_start()
            await self.assertFailure(Deferred.fromCoroutine(starting), KeeperLostError)


class LaterKeeperTests(TestCase):
    async def attach(self, directory: str) -> None:
        factory = Factory.forProtocol(_LaterKeeper)
        port: Any = await UNIXServerEndpoint(reactor, os.path.join(directory, "socket")).listen(factory)
        self.addCleanup(port.stopListening)
        client, news = KeeperClient(directory, reactor), RecordingListener()
        await client.ensure(news)
        self.addCleanup(client.detach)

        self.assertEqual({id: life for id, (_, life, _) in client.held.items()}, dict.fromkeys("abc", Life.RUNNING))
        outcome, life = await news.when("ended", "b")
        self.assertEqual((outcome.ending, life), (Ending.EXITED, Life.UNKNOWN))
        outcome, life = await news.when("ended", "c")
        self.assertEqual((outcome.ending, life), (Ending.LOST, Life.LOST))
        self.assertIn("another version", outcome.sentence)
        self.assertTrue(client.attached)

    def test_new_words(self) -> Deferred[None]:
        """
        Promise 6.13: the client attaches to a keeper of another version; a command in an unknown state counts as lost
        once it is over.
        """
        directory = os.path.realpath(tempfile.mkdtemp(prefix="client-"))
        self.addCleanup(shutil.rmtree, directory, ignore_errors=True)
        return Deferred.fromCoroutine(self.attach(directory))
