"""
The recording of a keeper: a conversation with its client, and the directory that it leaves.

A keeper outlives an upgrade of its slave.  So the next version's slave must understand the former version's keeper, and
the next keeper must understand the directory of the former one.

::

    the recorder        client (this version) ──► keeper (this version), all lines recorded
    the tests           client (today's) ──► the recorded keeper, which sends its events after their requests
                        keeper (today's) in the recorded directory
"""

import json
import os
from collections.abc import Callable
from itertools import takewhile
from typing import Any

from twisted.internet.defer import Deferred
from twisted.protocols.basic import LineOnlyReceiver

from buildbot_lite.model.hello import Life
from buildbot_lite.model.outcome import Outcome
from buildbot_lite.model.spec import Run, fingerprint
from buildbot_lite.slave.keeper_client import KeeperClient
from buildbot_lite.slave.keeper_messages import Holding, KeeperListener

DIRECTORY = os.path.dirname(os.path.abspath(__file__))
LINES = ".keeper.json"
STORE_ARCHIVE = ".shelf.tar.gz"

# The placeholder for the slave's directory in the recording.
HOME = "/slave"

QUICK, LONG, OTHER = "a1b2-0-0", "a1b2-1-0", "a1b2-2-0"
RUNS = {
    QUICK: Run(script="echo one; echo two >&2; exit 3", workdir="hello/build", env={"X": "1"}, separate_stderr=True),
    LONG: Run(argv=("sh", "-c", "echo begun; exec sleep 600"), workdir="hello/build", grace=1800.0),
    OTHER: Run(script="echo other", workdir="hello/build", cap=1000, max_time=60.0),
}

# "asked" (client to keeper) or "told" (keeper to client), and the message.
Entry = tuple[str, dict[str, Any]]


def write_recording(version: str, recording: list[Entry]) -> None:
    """
    Write the conversation of *version*.
    """
    text = "[\n" + ",\n".join(json.dumps(entry) for entry in recording) + "\n]\n"
    with open(os.path.join(DIRECTORY, f"{version}{LINES}"), "w") as file:
        file.write(text)


def spooled(path: str) -> str:
    """
    Return the contents of a spool.
    """
    with open(path) as file:
        return file.read()


class RecordingListener(KeeperListener):
    """
    Records the keeper's events; `when` waits for one.
    """

    def __init__(self) -> None:
        self.heard: list[tuple[str, str]] = []
        self.outcomes: dict[str, tuple[Outcome, Life]] = {}
        self.held: dict[str, Holding] = {}
        self._waiting: list[tuple[tuple[str, str], Deferred[None]]] = []

    def when(self, event: str, id: str = "") -> Deferred[None]:
        """
        Return a Deferred that fires when *event* of *id* has been received.
        """
        coming: Deferred[None] = Deferred()
        if (event, id) in self.heard:
            coming.callback(None)
        else:
            self._waiting.append(((event, id), coming))
        return coming

    def attached(self, held: Any) -> None:
        self.held = dict(held)
        self._heard("attached", "")

    def claimed(self, id: str) -> None:
        self._heard("claimed", id)

    def grew(self, id: str, lengths: Any) -> None:
        self._heard("grew", id)

    def ended(self, id: str, outcome: Outcome, life: Life = Life.ENDED) -> None:
        self.outcomes[id] = (outcome, life)
        self._heard("ended", id)

    def refused(self, id: str, sentence: str) -> None:
        self._heard("refused", id)

    def forgotten(self, id: str) -> None:
        self._heard("forgotten", id)

    def _heard(self, event: str, id: str) -> None:
        self.heard.append((event, id))
        ready = [coming for wanted, coming in self._waiting if wanted == (event, id)]
        self._waiting = [each for each in self._waiting if each[0] != (event, id)]
        for coming in ready:
            coming.callback(None)


async def converse(client: KeeperClient, news: RecordingListener, home: str) -> None:
    """
    The script that is recorded and replayed: a command that ends, one that is interrupted, one that is refused.
    """

    def start(id: str, run: Run) -> None:
        client.start(
            id,
            fingerprint=fingerprint(run),
            spec=run,
            secrets={"token": "sësame"},
            workdir=f"{home}/work/hello/build",
            env={"PATH": "/usr/bin:/bin"},
        )

    await client.ensure(news)
    start(QUICK, RUNS[QUICK])
    await news.when("ended", QUICK)
    start(LONG, RUNS[LONG])
    await news.when("grew", LONG)
    client.renew_leases(0.5)
    start(LONG, RUNS[OTHER])
    await news.when("refused", LONG)
    client.interrupt(LONG, "stopped by Zoë")
    await news.when("ended", LONG)
    client.forget(QUICK)
    await news.when("forgotten", QUICK)


class ReplayedKeeper(LineOnlyReceiver):
    """
    Sends the events of the recorded keeper, each after the requests that preceded it.
    """

    delimiter = b"\n"
    MAX_LENGTH = 1 << 20

    def __init__(self, recording: list[Entry], wrong: Callable[[str], None]) -> None:
        self._left = recording
        self._wrong = wrong

    def lineReceived(self, line: bytes) -> None:
        """
        Compare a request with the recording, and send the next events.
        """
        asked = json.loads(line)
        if not self._left or self._left[0] != ("asked", asked):
            self._wrong(f"asked {asked}, and not {self._left[:1]}")
            return
        del self._left[0]
        for _, message in takewhile(lambda entry: entry[0] == "told", list(self._left)):
            self.sendLine(json.dumps(message).encode())
            del self._left[0]
