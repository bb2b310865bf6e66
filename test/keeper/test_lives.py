"""
The states of a command at a real keeper (claimed, running, ended, forgotten), across deaths of client and keeper.
"""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.keeper.__main__ import BUSY
from buildbot_lite.keeper.command_store import spool_path
from buildbot_lite.model.outcome import Ending
from buildbot_lite.model.spec import Run

from ..growing_limits import within_limits
from ..process_table import alive
from .keeper_harness import KeeperHarness, wait_until


class CommandLifeTests(SynchronousTestCase):
    def setUp(self) -> None:
        """
        A keeper and a client.
        """
        self.harness = KeeperHarness()
        self.addCleanup(self.harness.close)
        self.keeper = self.harness.start_keeper()
        self.client = self.harness.client()

    def test_whole_life(self) -> None:
        """
        A command is claimed, grows, ends and is forgotten; then no file of it is left.
        """
        self.client.start("a-1", Run(script="echo hello; read x; exit 3", stdin="go\n"))
        self.client.until("claimed", "a-1")
        outcome = self.client.ended("a-1")

        self.assertEqual((outcome.ending, outcome.exit_code), (Ending.EXITED, 3))
        self.assertEqual(self.harness.spool("a-1"), b"hello\n")

        self.client.say(op="forget", id="a-1")
        self.client.until("forgotten", "a-1")
        self.assertEqual(os.listdir(os.path.join(self.harness.home, "commands")), [])

    def test_goes_on_without_client(self) -> None:
        """
        A command continues without a client, and the next client gets all of its state (Promise 7, the slave's part).
        """
        fifo = os.path.join(self.harness.directory, "fifo")
        os.mkfifo(fifo)
        self.client.start("a-1", Run(script=f"echo one; cat {fifo}; echo two"))
        self.client.wait_for_output("a-1", b"one\n")
        self.client.hang_up()
        again = self.harness.client()

        [held] = again.hello["held"]
        self.assertEqual((held["id"], held["life"], held["lengths"]), ("a-1", "running", {"stdio": 4}))
        with open(fifo, "w") as input_:
            input_.write("between\n")
        self.assertTrue(again.ended("a-1").succeeded)
        self.assertEqual(self.harness.spool("a-1"), b"one\nbetween\ntwo\n")

    def test_ended_is_held(self) -> None:
        """
        An outcome is sent to every later client until the command is forgotten (Invariant I4).
        """
        self.client.run("a-1", Run(argv=("echo", "x")))
        self.client.hang_up()
        again = self.harness.client()

        self.assertEqual([(held["id"], held["life"]) for held in again.hello["held"]], [("a-1", "ended")])
        self.assertTrue(again.ended("a-1").succeeded)

    def test_once(self) -> None:
        """
        Repeating a start, before or after the end, runs nothing a second time (Invariant I1).
        """
        run = Run(script="echo ran >> ../ran")
        for _time in range(3):
            self.client.run("a-1", run)
        with open(os.path.join(self.harness.directory, "ran")) as ran:
            self.assertEqual(ran.read(), "ran\n")

    def test_other_fingerprint(self) -> None:
        """
        A known id with another fingerprint is refused, and nothing is started (Invariant I1).
        """
        self.client.run("a-1", Run(argv=("true",)))
        self.client.start("a-1", Run(script="touch ../wrong"))
        self.client.until("refused", "a-1")

        self.client.run("a-2", Run(argv=("true",)))
        self.assertFalse(os.path.exists(os.path.join(self.harness.directory, "wrong")))

    def test_forgotten_is_not_started(self) -> None:
        """
        A forgotten id is never started again, by this keeper or the next (Invariant I1).
        """
        run = Run(argv=("true",))
        self.client.run("a-1", run)
        self.client.say(op="forget", id="a-1")
        self.client.until("forgotten", "a-1")
        self.client.start("a-1", run)
        self.client.until("refused", "a-1")

        self.keeper.terminate()
        self.keeper.wait()
        self.harness.start_keeper()
        again = self.harness.client()
        again.start("a-1", run)
        again.until("refused", "a-1")

    def test_lost(self) -> None:
        """
        A command of a killed keeper is reported as lost with its log so far, its processes are killed, and it is never
        started again.
        """
        run = Run(script="echo $$; sleep 600")
        self.client.start("a-1", run)
        self.client.wait_for_output("a-1", b"\n")
        pid = int(self.harness.spool("a-1"))
        self.keeper.kill()
        self.keeper.wait()
        self.assertTrue(alive(pid))
        self.harness.start_keeper()
        again = self.harness.client()

        self.assertFalse(alive(pid))
        self.assertEqual([held["life"] for held in again.hello["held"]], ["lost"])
        outcome = again.ended("a-1")
        self.assertEqual((outcome.ending, outcome.streams["stdio"].length), (Ending.LOST, len(f"{pid}\n")))
        again.start("a-1", run)
        again.until("claimed", "a-1")
        self.assertEqual(again.ended("a-1").ending, Ending.LOST)

    def test_keeper_killed_after_the_end(self) -> None:
        """
        Promise 7.6: an outcome that was told survives the keeper, whose log was not synced yet; not a machine that lost
        a part of the log.
        """
        for lost, life, ending in ((0, "ended", Ending.EXITED), (1, "lost", Ending.LOST)):
            with self.subTest(lost=lost):
                id = f"a-{lost}"
                self.client.run(id, Run(script="echo words"))
                self.keeper.kill()
                self.keeper.wait()
                unsynced = [record for record in self.harness.records() if record["record"] != "synced"]
                lines = "".join(f"{json.dumps(record)}\n" for record in unsynced)
                Path(self.harness.home, "claims").write_text(lines)
                os.truncate(spool_path(self.harness.home, id, "stdio"), len("words\n") - lost)
                self.keeper = self.harness.start_keeper()
                self.client = self.harness.client()
                self.assertEqual([held["life"] for held in self.client.hello["held"]], [life])
                self.assertEqual(self.client.ended(id).ending, ending)
                self.client.say(op="forget", id=id)
                self.client.until("forgotten", id)

    def test_lost_without_marks(self) -> None:
        """
        The next keeper kills the processes of a killed keeper's command, also with an empty environment: the main
        process, its session, and the descendants of marked ones (Invariant I8).
        """
        clean = "env -i sh -c 'echo $$; sleep 600 & wait'"
        self.client.start("a-1", Run(script=f"exec {clean}"))
        self.client.start("a-2", Run(script=f"{clean} & exec sleep 600"))
        self.client.start("a-3", Run(script=f'(setsid sh -c "{clean} & wait" &) ; exec env -i sleep 600'))
        for id in ("a-1", "a-2", "a-3"):
            self.client.wait_for_output(id, b"\n")
        left = [int(self.harness.spool(id)) for id in ("a-1", "a-2", "a-3")]
        bystander = subprocess.Popen(["sleep", "600"])
        self.addCleanup(bystander.wait)
        self.addCleanup(bystander.kill)
        self.keeper.kill()
        self.keeper.wait()
        self.assertTrue(all(map(alive, left)))
        self.harness.start_keeper()
        self.harness.client()

        self.assertEqual([pid for pid in left if alive(pid)], [])
        self.assertIsNone(bystander.poll())

    def test_unknown(self) -> None:
        """
        A claimed command without a record of its spawn is reported as unknown, and is not started (Invariant I1).
        """
        self.client.start("a-1", run := Run(script="sleep 600"))
        self.client.until("claimed", "a-1")
        self.keeper.kill()
        self.keeper.wait()
        claim, _spawned = self.harness.records()
        Path(self.harness.home, "claims").write_text(f"{json.dumps(claim)}\n")
        self.harness.start_keeper()
        again = self.harness.client()

        self.assertEqual([held["life"] for held in again.hello["held"]], ["unknown"])
        self.assertEqual(again.ended("a-1").ending, Ending.LOST)
        again.start("a-1", run)
        self.assertEqual(again.ended("a-1").ending, Ending.LOST)

    def test_second_keeper(self) -> None:
        """
        Promise 12: a second keeper in the directory exits with a sentence; the first continues.
        """
        second = self.harness.start_keeper()
        self.assertEqual(second.wait(), BUSY)
        assert second.stderr is not None
        self.assertIn(b"Another keeper", second.stderr.read())
        self.assertTrue(self.harness.client().run("a-1", Run(argv=("true",))).succeeded)

    def test_newer_client(self) -> None:
        """
        A new client replaces the former one.
        """
        newer = self.harness.client()
        self.assertEqual(self.client.hear(), {"event": "replaced"})
        self.assertIsNone(self.client.hear())
        self.assertTrue(newer.run("a-1", Run(argv=("true",))).succeeded)

    def test_stop(self) -> None:
        """
        A stopped keeper kills all commands, reports them, and exits.
        """
        self.client.start("a-1", Run(script="echo $$; sleep 600"))
        self.client.wait_for_output("a-1", b"\n")
        pid = int(self.harness.spool("a-1"))
        self.client.say(op="stop")
        outcome = self.client.ended("a-1")

        self.assertEqual(outcome.ending, Ending.LOST)
        self.assertIn("was stopped", outcome.sentence)
        self.assertEqual(self.keeper.wait(), 0)
        self.assertFalse(alive(pid))

    def test_disown(self) -> None:
        """
        Forgetting a running command kills it first.
        """
        self.client.start("a-1", Run(script="echo $$; sleep 600"))
        self.client.wait_for_output("a-1", b"\n")
        pid = int(self.harness.spool("a-1"))
        self.client.say(op="forget", id="a-1")
        self.client.until("forgotten", "a-1")

        self.assertFalse(alive(pid))
        self.assertEqual(self.harness.client().hello["held"], [])


class KeeperExitTests(SynchronousTestCase):
    def test_leaves_when_idle(self) -> None:
        """
        A keeper without client and command exits after a while; with either it stays.
        """

        def attempt(seconds: float) -> KeeperHarness | None:
            harness = KeeperHarness(f"--linger={seconds}")
            self.addCleanup(harness.close)
            keeper = harness.start_keeper()
            try:
                client = harness.client()
            except (OSError, AssertionError):
                # It has left already.
                return None
            client.start("a-1", Run(script=f"sleep {1.2 * seconds}; echo done"))
            client.until("claimed")
            client.hang_up()
            self.assertEqual(keeper.wait(), 0)
            return harness

        self.assertEqual(within_limits(attempt).spool("a-1"), b"done\n")

    def test_left(self) -> None:
        """
        Nothing is left running that nobody needs: a keeper whose client said that it leaves exits when it has no
        command, at once or after the last; and the next client finds the outcome.
        """
        harness = KeeperHarness("--linger=600")
        self.addCleanup(harness.close)
        keeper = harness.start_keeper()
        client = harness.client()
        client.start("a-1", Run(script="echo done"))
        client.until("ended", "a-1")
        client.say(op="leave")
        client.hang_up()
        self.assertEqual(keeper.wait(), 0)

        keeper = harness.start_keeper()
        client = harness.client()
        self.assertEqual([each["id"] for each in client.hello["held"]], ["a-1"])
        fifo = os.path.join(harness.home, "go")
        os.mkfifo(fifo)
        client.start("a-2", Run(script=f"cat {fifo}"))
        client.until("claimed")
        client.say(op="leave")
        client.hang_up()
        # The next client comes to stay.
        client = harness.client()
        self.assertEqual(sorted(each["id"] for each in client.hello["held"]), ["a-1", "a-2"])
        client.say(op="leave")
        client.hang_up()
        with open(fifo, "w", encoding="ascii") as go:
            go.write("went on\n")
        self.assertEqual(keeper.wait(), 0)
        self.assertEqual(harness.spool("a-2"), b"went on\n")

    def test_detached(self) -> None:
        """
        Without --foreground the program returns when the keeper listens, and the keeper runs in a session of its own.
        """
        harness = KeeperHarness()
        self.addCleanup(harness.close)
        started = subprocess.run(
            [sys.executable, "-m", "buildbot_lite.keeper", "--linger=600", harness.home],
            check=True,
        )
        self.assertEqual(started.returncode, 0)
        client = harness.client()
        outcome = client.run("a-1", Run(script="echo $PPID"))
        self.assertTrue(outcome.succeeded)
        session = os.getsid(int(harness.spool("a-1")))
        self.assertNotEqual(session, os.getsid(0))
        client.say(op="leave")
        client.hang_up()
        wait_until(lambda: not alive(session))

    def test_terminated(self) -> None:
        """
        SIGTERM, as at the machine's shutdown, makes running commands lost, so that their builds are retried.
        """
        harness = KeeperHarness()
        self.addCleanup(harness.close)
        keeper = harness.start_keeper()
        client = harness.client()
        client.start("a-1", Run(argv=("sleep", "600")))
        client.until("claimed")
        keeper.send_signal(signal.SIGTERM)

        self.assertEqual(client.ended("a-1").ending, Ending.LOST)
        self.assertEqual(keeper.wait(), 0)
