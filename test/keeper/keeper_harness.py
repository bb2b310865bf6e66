"""
A keeper in a real process, and a client that speaks the keeper's protocol with blocking calls.
"""

import contextlib
import hashlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Mapping
from typing import IO, Any

from buildbot_lite.keeper.command_store import spool_path
from buildbot_lite.model.outcome import Outcome
from buildbot_lite.model.spec import (
    Run,
    fingerprint,
    to_document,
)

LONGEST_WAIT = 120.0


class KeeperHarness:
    """
    A directory for keepers.  `close` ends all of them and removes the directory.
    """

    def __init__(self, *arguments: str) -> None:
        self.directory = os.path.realpath(tempfile.mkdtemp(prefix="keeper-"))
        self.home = os.path.join(self.directory, "keeper")
        self.work = os.path.join(self.directory, "work")
        self.arguments = arguments
        self.clients: list[KeeperConnection] = []
        self.processes: list[subprocess.Popen[bytes]] = []

    def start_keeper(
        self,
        *arguments: str,
        stderr: "int | IO[bytes]" = subprocess.PIPE,
        env: Mapping[str, str] | None = None,
    ) -> "subprocess.Popen[bytes]":
        """
        Start a keeper in the foreground, and wait until it listens.  *env*: its environment, by default that of the
        test.
        """
        process = subprocess.Popen(
            [sys.executable, "-m", "buildbot_lite.keeper", "--foreground", *self.arguments, *arguments, self.home],
            stderr=stderr,
            env=env,
        )
        self.processes.append(process)
        wait_until(lambda: process.poll() is not None or self._answers())
        return process

    def client(self) -> "KeeperConnection":
        """
        Return a client that has said hello.
        """
        client = KeeperConnection(self)
        self.clients.append(client)
        return client

    def spool(self, id: str, stream: str = "stdio") -> bytes:
        """
        Return the bytes of a stream's spool.
        """
        with contextlib.suppress(FileNotFoundError), open(spool_path(self.home, id, stream), "rb") as spool:
            return spool.read()
        return b""

    def records(self) -> list[dict[str, Any]]:
        """
        Return the records in the keeper's file of claims.
        """
        with open(os.path.join(self.home, "claims")) as lines:
            return [json.loads(line) for line in lines if line.endswith("\n")]

    def close(self) -> None:
        """
        End the keepers, and fail if one of them printed a traceback.
        """
        logged = b""
        for process in self.processes:
            if process.poll() is None:
                process.send_signal(signal.SIGTERM)
                with contextlib.suppress(subprocess.TimeoutExpired):
                    process.wait(LONGEST_WAIT)
            if process.poll() is None:
                process.kill()
                process.wait()
            if process.stderr is not None:
                logged += process.stderr.read()
                process.stderr.close()
        for client in self.clients:
            client.hang_up()
        shutil.rmtree(self.directory, ignore_errors=True)
        assert b"Traceback" not in logged, logged.decode()

    def connect(self, client: socket.socket) -> None:
        """
        Connect *client* to the keeper.  The path of a socket has at most 107 bytes (unix(7)), and TMPDIR may be longer.
        """
        home = os.open(self.home, os.O_RDONLY | os.O_DIRECTORY)
        try:
            client.connect(f"/proc/self/fd/{home}/socket")
        finally:
            os.close(home)

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                self.connect(probe)
            except OSError:
                return False
        return True


class KeeperConnection:
    """
    A client of a keeper, with blocking calls.
    """

    def __init__(self, harness: KeeperHarness) -> None:
        self._harness = harness
        self._socket = socket.socket(socket.AF_UNIX)
        self._socket.settimeout(LONGEST_WAIT)
        harness.connect(self._socket)
        self._lines = self._socket.makefile("rb")
        self.seen: list[dict[str, Any]] = []
        self.say(op="hello")
        self.hello = self.until("hello")
        self._count = 0

    def say(self, **message: Any) -> None:
        """
        Send a message.
        """
        self._socket.sendall(json.dumps(message).encode() + b"\n")

    def hear(self) -> dict[str, Any] | None:
        """
        Return the next message, or None when the keeper has closed the connection.
        """
        line = self._lines.readline()
        if not line:
            return None
        message: dict[str, Any] = json.loads(line)
        self.seen.append(message)
        return message

    def until(self, event: str, id: str | None = None) -> dict[str, Any]:
        """
        Return the next *event* (of *id*).  An event that was received before counts, unless it was returned already.
        """

        def wanted(message: dict[str, Any]) -> bool:
            return message["event"] == event and (id is None or message["id"] == id)

        while not any(map(wanted, self.seen)):
            assert self.hear() is not None, f"the keeper closed the connection before {event}"
        found = next(filter(wanted, self.seen))
        self.seen.remove(found)
        return found

    def start(self, id: str, run: Run, secrets: dict[str, str] | None = None, **more: Any) -> None:
        """
        Send a start request.
        """
        env = {"PATH": os.environ["PATH"], "HOME": self._harness.directory, **more.pop("env", {})}
        message = {"fingerprint": fingerprint(run), "workdir": self._harness.work, "stdin_path": None, **more}
        self.say(op="start", id=id, spec=to_document(run), secrets=secrets or {}, env=env, **message)

    def run(self, id: str, run: Run, secrets: dict[str, str] | None = None, **more: Any) -> Outcome:
        """
        Run a command to its end, and check its spools against its outcome.
        """
        self.start(id, run, secrets, **more)
        return self.ended(id)

    def ended(self, id: str) -> Outcome:
        """
        Wait for the outcome of *id*, and check its spools against it.
        """
        outcome = Outcome.from_document(self.until("ended", id)["outcome"])
        for stream, seal in outcome.streams.items():
            spool = self._harness.spool(id, stream)
            assert (len(spool), hashlib.sha256(spool).hexdigest()) == (seal.length, seal.sha256), stream
        return outcome

    def wait_for_output(self, id: str, text: bytes, stream: str = "stdio") -> None:
        """
        Read messages until *text* is in the stream's spool.
        """
        while text not in self._harness.spool(id, stream):
            assert self.hear() is not None, "the keeper closed the connection"

    def hang_up(self) -> None:
        """
        Close the connection.
        """
        self._lines.close()
        self._socket.close()


def wait_until(condition: Callable[[], bool]) -> None:
    """
    Poll *condition* until it is true, for at most `LONGEST_WAIT` seconds.
    """
    deadline = time.monotonic() + LONGEST_WAIT
    while not condition():
        assert time.monotonic() < deadline, f"the condition did not become true within {LONGEST_WAIT:.0f} s"
        time.sleep(0.01)


@contextlib.contextmanager
def keeper(*arguments: str) -> Iterator[tuple[KeeperHarness, KeeperConnection]]:
    """
    Run a keeper and a client of it.
    """
    harness = KeeperHarness(*arguments)
    try:
        harness.start_keeper()
        yield harness, harness.client()
    finally:
        harness.close()
