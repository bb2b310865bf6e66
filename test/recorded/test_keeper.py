"""
Keepers of released versions with today's client, and their directories with today's keeper.
"""

import glob
import json
import os
import shutil
import tarfile
import tempfile
from typing import Any

from twisted.internet import reactor as _reactor  # noqa: TID251 - a real socket, and a real keeper
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import UNIXServerEndpoint
from twisted.internet.protocol import Factory
from twisted.trial.unittest import TestCase

from buildbot_lite import __version__
from buildbot_lite.keeper.command_store import spool_path
from buildbot_lite.model.hello import Life
from buildbot_lite.model.outcome import Ending
from buildbot_lite.model.spec import fingerprint
from buildbot_lite.slave.keeper_client import KeeperClient

from .keeper_recording import (
    DIRECTORY,
    HOME,
    LINES,
    LONG,
    OTHER,
    QUICK,
    RUNS,
    STORE_ARCHIVE,
    Entry,
    RecordingListener,
    ReplayedKeeper,
    converse,
    spooled,
)

reactor: Any = _reactor


def versions() -> list[str]:
    """
    Return the versions with a recording.
    """
    return [os.path.basename(path).removesuffix(LINES) for path in glob.glob(os.path.join(DIRECTORY, f"*{LINES}"))]


def recording(version: str) -> list[Entry]:
    """
    Return the conversation of *version*.
    """
    with open(os.path.join(DIRECTORY, f"{version}{LINES}")) as file:
        return [(kind, message) for kind, message in json.load(file)]


def stop(client: KeeperClient) -> Deferred[None]:
    """
    Stop the keeper of a directory.
    """
    return Deferred.fromCoroutine(client.stop())


class KeeperTests(TestCase):
    def setUp(self) -> None:
        """
        A directory.
        """
        # Not below TMPDIR: a socket's path is at most 107 bytes long (unix(7)).
        self.directory = os.path.realpath(tempfile.mkdtemp(prefix="kept-", dir="/tmp"))
        self.addCleanup(shutil.rmtree, self.directory, ignore_errors=True)

    def test_this_version(self) -> None:
        """
        Promise 3.10: this version's keeper is recorded.
        """
        self.assertIn(__version__, versions())

    async def play(self, entries: list[Entry]) -> tuple[RecordingListener, list[str]]:
        """
        Run today's client with a keeper that replays *entries*; return the client's events and the keeper's
        differences.
        """
        news, wrong = RecordingListener(), list[str]()
        stray: Deferred[None] = Deferred()

        def strayed(how: str) -> None:
            wrong.append(how)
            if not stray.called:
                stray.callback(None)

        socket = os.path.join(self.directory, "socket")
        factory = Factory.forProtocol(lambda: ReplayedKeeper(entries, strayed))
        port: Any = await UNIXServerEndpoint(reactor, socket).listen(factory)
        client = KeeperClient(self.directory, reactor)
        talk = Deferred.fromCoroutine(converse(client, news, HOME))
        stray.addCallback(lambda nothing: talk.cancel())  # type: ignore[unused-awaitable]  # it fires by itself
        talk.addErrback(lambda failure: wrong and None)  # type: ignore[unused-awaitable]  # awaited just below
        await talk
        client.detach()
        await port.stopListening()
        return news, wrong

    async def test_upgraded_slave(self) -> None:
        """
        Promises 3.3 and 3.10: a slave of today works with the keeper of every released version.
        """
        for version in versions():
            entries = recording(version)
            news, wrong = await self.play(entries)
            self.assertEqual((wrong, entries), ([], []), version)
            quick, life = news.outcomes[QUICK]
            self.assertEqual((quick.ending, quick.exit_code, life), (Ending.EXITED, 3, Life.ENDED))
            self.assertEqual({name: seal.length for name, seal in quick.streams.items()}, {"stdio": 4, "stderr": 4})
            self.assertEqual(news.outcomes[LONG][0].sentence, "stopped by Zoë")

    async def test_notices(self) -> None:
        """
        The replay detects a client whose requests differ from the recorded ones.
        """
        entries = recording(__version__)
        number = next(i for i, (kind, message) in enumerate(entries) if kind == "asked" and message["op"] == "word")
        entries[number][1]["age"] = 7
        _, wrong = await self.play(entries)
        self.assertIn("'age': 0.5", wrong[0])

    async def test_what_was_left(self) -> None:
        """
        Promises 3.3 and 3.10: a keeper of today takes over the directory of every released version: it knows how a
        command ended, and which ids may never be started again.
        """
        for version in versions():
            home = os.path.join(self.directory, version)
            with tarfile.open(os.path.join(DIRECTORY, f"{version}{STORE_ARCHIVE}")) as archive:
                archive.extractall(home)
            news = RecordingListener()
            client = KeeperClient(home, reactor, linger=5.0)
            self.addCleanup(stop, client)
            await client.ensure(news)
            await news.when("ended", LONG)
            self.assertEqual(news.held, {LONG: (fingerprint(RUNS[LONG]), Life.ENDED, {"stdio": 6})})
            self.assertEqual(news.outcomes[LONG][0].sentence, "stopped by Zoë")
            self.assertEqual(spooled(spool_path(home, LONG, "stdio")), "begun\n")
            run = RUNS[OTHER]
            client.start(
                QUICK, fingerprint=fingerprint(run), spec=run, secrets={}, workdir=home, env={"PATH": "/usr/bin:/bin"}
            )
            await news.when("refused", QUICK)
