"""
Conversations of released versions with today's master and today's slave.
"""

import glob
import json
import os

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite import __version__
from buildbot_lite.model.outcome import Ending

from .conversation import (
    FILE,
    GET,
    LONG,
    PUT,
    RUN,
    RecordedLink,
    Recording,
    play,
)
from .record_wire import DIRECTORY, SUFFIX


def recordings() -> dict[str, Recording]:
    """
    Return the recordings by version.
    """
    found = {}
    for path in glob.glob(os.path.join(DIRECTORY, f"*{SUFFIX}")):
        with open(path) as file:
            found[os.path.basename(path).removesuffix(SUFFIX)] = json.load(file)
    return found


class WireTests(SynchronousTestCase):
    def test_every_version(self) -> None:
        """
        Promise 3.10: every version, including this one, has a recording with an attach, a run with output, a cut, a
        resume, a finish, an upload and a download.
        """
        found = recordings()
        self.assertIn(__version__, found)
        for recording in found.values():
            calls = {entry.get("call", "cut") for entry in recording}
            wanted = {"attach", "start", "append", "cut", "resume", "read", "finished", "interrupt", "disown"}
            self.assertEqual(wanted - calls, set())

    def test_master(self) -> None:
        """
        Promise 3.10: today's master understands the slave of every released version, and makes the same calls as that
        version's master.
        """
        for version, recording in recordings().items():
            wire = RecordedLink(recording, replayed="master")
            master, _ = play(self, wire)
            self.assertEqual((wire.broken, wire.left), ([], []), version)
            assert master is not None
            streams = {name: stream.data for name, stream in master.streams[RUN].streams.items()}
            self.assertEqual(streams, {"stdio": b"compiling \xff\nlinking\n", "x": b"done\n"})
            self.assertEqual(master.streams[PUT].streams["artifact"].data, bytes(range(256)))
            self.assertEqual(master.outcomes[RUN].exit_code, 2)
            self.assertEqual(master.outcomes[GET].ending, Ending.EXITED)
            self.assertEqual(master.outcomes[LONG].ending, Ending.LOST)

    def test_slave(self) -> None:
        """
        Promise 3.10: today's slave understands the master of every released version, and makes the same calls as that
        version's slave.
        """
        for version, recording in recordings().items():
            wire = RecordedLink(recording, replayed="slave")
            _, slave = play(self, wire)
            self.assertEqual((wire.broken, wire.left), ([], []), version)
            assert slave is not None
            keeper = slave.machine.keeper
            self.assertEqual(
                [asked for asked in keeper.asked if asked[0] == "start"], [("start", RUN), ("start", LONG)]
            )
            self.assertIn(("interrupt", LONG, "stopped by Zoë"), keeper.asked)
            self.assertEqual(keeper.asked[-1], ("forget", LONG))
            self.assertEqual(keeper.started[RUN]["secrets"], {"token": "sësame"})
            self.assertEqual(slave.machine.contents("in/tree"), FILE)
            self.assertTrue(slave.machine.agent.idle)

    def test_notices(self) -> None:
        """
        The replay detects a side whose calls differ from the recording.
        """
        recording = next(iter(recordings().values()))
        for replayed, call, name in (("master", "start", "spec"), ("slave", "append", "offset")):
            changed = json.loads(json.dumps(recording))
            entry = next(each for each in changed if each.get("call") == call)
            entry["with"][name] = {"json": {"kind": "juggle"}} if name == "spec" else 7
            wire = RecordedLink(changed, replayed=replayed)
            play(self, wire)
            self.assertTrue(wire.broken)
            self.flushLoggedErrors()
