"""
``buildbot-lite try``.
"""

import fcntl
import os
import re
import struct
import subprocess
import sys
import termios
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.cli.builds import submitted, working_tree
from buildbot_lite.cli.builds.side_by_side import LAST_LINES, LONGEST_LINE, LiveLanes, PlainLane
from buildbot_lite.cli.program import NO_ANSWER, USAGE
from buildbot_lite.errors import LinkLostError, NoAnswerError, RefusedError

from .command_line_case import FURL, CommandLineCase


class TryCase(CommandLineCase):
    def setUp(self) -> None:
        """
        A farm with the Submit schedulers linux and bsd, and a working tree with a change.
        """
        super().setUp()
        self.make_farm()
        for name in ("linux", "bsd"):
            self.write(f"farm/furls/{name}.furl", f"{FURL}-{name}\n")
        self.write("tree/file", "content\n")
        for words in (("init", "-q", "-b", "main"), ("add", "."), ("commit", "-qm", "first")):
            self.git(*words)
        self.write("tree/file", "changed\n")
        self.write("one.furl", f"{FURL}\n")
        os.chdir("tree")

    def git(self, *words: str) -> str:
        """
        What git prints in the working tree.
        """
        identity = ("-c", "user.name=A", "-c", "user.email=a@example.org")
        done = subprocess.run(
            ["git", "-C", os.path.join(self.directory, "tree"), *identity, *words], check=True, capture_output=True
        )
        return done.stdout.decode().strip()

    def requests(self, **codes: int) -> None:
        """
        Let a submission make a request of each builder, which ends with that exit code.
        """
        numbers = list(range(7, 7 + len(codes)))
        self.master.answers = {
            "submit_patch": {"requests": numbers, "builders": list(codes), "watch": f"{FURL}-watch"},
            "watch": {number: {"exit_code": code} for number, code in zip(numbers, codes.values(), strict=True)},
        }


class TryTests(TryCase):
    def test_one_builder(self) -> None:
        """
        Promise 8.3: the patch and its base are submitted, and the request is followed as flappclient shows it.
        """
        self.requests(linux=1)
        self.master.chunks = [b"1log\n", b"2# linux/1: FAILURE\n"]
        tried = self.command("-C", "../farm", "try", "linux")
        self.assertEqual(tried.code, 1, tried)
        ((data, base),) = self.master.patches
        self.assertIn(b"-content\n+changed\n", data)
        self.assertEqual((base.revision, base.branch), (self.git("rev-parse", "HEAD"), None))
        self.assertEqual(self.master.output, [b"1log\n", b"2# linux/1: FAILURE\n"])
        self.assertIn(f"# linux (request 7): watch with {FURL}-watch\n", tried.err)
        self.assertEqual(self.master.furls, [f"{FURL}-linux", f"{FURL}-linux", f"{FURL}-watch"])

    def test_several_builders(self) -> None:
        """
        Promise 8.3: all builders of a string are followed at a time, each line behind its builder's name; the exit code
        is the worst.
        """
        self.requests(linux=0, bsd=4, mac=2)
        self.master.chunks = [b"1log\npart", b"1ial\n", b"2# b/1: SUCCESS\n", b"1no end"]
        tried = self.command("try", "--furlfile", os.path.join(self.directory, "one.furl"))
        self.assertEqual(tried.code, 4)
        self.assertEqual(
            [chunk for chunk in self.master.output if b"linux" in chunk],
            [b"1linux | log\n", b"1linux | partial\n", b"2linux | # b/1: SUCCESS\n", b"1linux | no end\n"],
        )
        self.assertEqual([each["request"] for each in self.master.questions[1:]], [7, 8, 9])

    def test_several_strings(self) -> None:
        """
        Promise 8.3: each named string gets the patch; the submissions stay open while they are watched, for schedulers
        with cancelOnDisconnect, and not longer.
        """
        self.requests(b=0)
        self.master.chunks = [b"1x\n"]
        self.assertEqual(self.command("-C", "../farm", "try", "linux", "bsd").code, 0)
        self.assertEqual(len(self.master.patches), 2)
        self.assertEqual(self.master.output, [b"1b (7) | x\n"] * 2)
        self.assertEqual((self.master.watched_while_submitting, self.master.submitting), ([2, 2], 0))

    def test_on_a_terminal(self) -> None:
        """
        Promise 8.3: on a terminal each builder has a line.
        """
        self.requests(linux=0, bsd=1)
        self.master.chunks = [b"1log\n", b"2# x/1: SUCCESS\n"]
        with mock.patch.object(submitted, "on_a_terminal", return_value=True):
            tried = self.command("-C", "../farm", "try", "linux")
        self.assertEqual((tried.code, self.master.output), (1, []))
        self.assertIn("linux  SUCCESS\n", tried.out)
        self.assertIn("=== bsd: the last lines\nlog\n# x/1: SUCCESS\n", tried.out)

    def test_print(self) -> None:
        """
        --print prints the patch and submits nothing.
        """
        with open("../printed", "w+") as printed:
            said = self.command("try", "--print", out=printed)
            printed.seek(0)
            self.assertIn("\n-content\n+changed\n", printed.read())
        self.assertEqual((said.code, self.master.connections), (0, 0), said)

    def test_refusals(self) -> None:
        """
        What is missing or contradictory is said in one sentence, with a code that is no build's.
        """
        self.assertIn("Give BUILDER", self.refused("-C", "../farm", "try", code=USAGE))
        self.assertIn("no string for 'mac'", self.refused("-C", "../farm", "try", "mac"))
        self.assertTrue(self.refused("-C", "../farm", "try", "mac").endswith("buildbot-lite schedulers ../farm"))
        self.assertIn("Did you mean 'linux'?", self.refused("-C", "../farm", "try", "linx"))
        self.assertIn("no string for '../x'", self.refused("-C", "../farm", "try", "../x"))
        furlfile = os.path.join(self.directory, "one.furl")
        self.assertIn("not both", self.refused("try", "--furlfile", furlfile, "linux", code=USAGE))
        self.git("checkout", "-q", ".")
        self.assertIn("There is nothing to try", self.refused("-C", "../farm", "try", "linux"))
        os.chdir("..")
        self.assertIn("is not in a working tree", self.refused("-C", "farm", "try", "linux"))

    def test_too_large(self) -> None:
        """
        A patch that no master takes is refused before there is a connection, and it is not kept in memory until then.
        """
        with mock.patch.object(working_tree, "LARGEST_INPUT", 100):
            self.assertIn(
                "larger than the 100 bytes that a master takes", self.refused("-C", "../farm", "try", "linux")
            )
        self.assertEqual(self.master.connections, 0)

    def test_refused_by_the_master(self) -> None:
        """
        Promise 6.13: the master's refusal is printed, and the commands in it are for the caller; without an answer the
        exit code is 69.
        """
        self.master.answers = {"submit_patch": RefusedError("This string takes no patch.")}
        self.assertIn("takes no patch", self.refused("-C", "../farm", "try", "linux"))
        self.master.answers = {"submit_patch": NoAnswerError("No master answers.")}
        self.assertIn("No master", self.refused("-C", "../farm", "try", "linux", code=NO_ANSWER))
        self.master.answers = {"submit_patch": LinkLostError("Lost: see buildbot-lite queue first.")}
        said = self.refused("-C", "../farm", "try", "linux", code=NO_ANSWER)
        self.assertTrue(said.endswith("Lost: see buildbot-lite queue ../farm first."), said)

    def test_lost_while_followed(self) -> None:
        """
        An error of one follower is the command's error.
        """
        self.requests(linux=0, bsd=1)
        self.master.answers = {**self.master.answers, "watch": NoAnswerError("No master answered for 30 minutes.")}
        self.assertIn("30 minutes", self.refused("-C", "../farm", "try", "linux", code=NO_ANSWER))


class Screen:
    """
    A terminal of some *rows*, which understands what `LiveLanes` writes.
    """

    def __init__(self, rows: int) -> None:
        self._rows = [""] * rows
        self._row = 0
        self.scrolled: list[str] = []

    def write(self, text: str) -> None:
        """
        Show *text*.
        """
        for up, erase, newline, letters in re.findall(r"\033\[(\d+)A|\033\[([JK])|(\r?\n)|([^\033\r\n]+)", text):
            if up:
                self._row = max(0, self._row - int(up))
            elif erase:
                self._rows[self._row] = ""
                if erase == "J":
                    self._rows[self._row :] = [""] * (len(self._rows) - self._row)
            elif newline and self._row == len(self._rows) - 1:
                self.scrolled.append(self._rows.pop(0))
                self._rows.append("")
            elif newline:
                self._row += 1
            else:
                self._rows[self._row] = letters

    @property
    def shown(self) -> list[str]:
        """
        The lines above the cursor.
        """
        return self._rows[: self._row]


ON_A_PTY = """
import itertools, shutil, sys
from buildbot_lite.cli.builds.side_by_side import LiveLanes
live = LiveLanes([f"b{number:02}" for number in range(14)], sys.stdout.write, shutil.get_terminal_size,
                 itertools.count().__next__)
for number in range(20):
    live.lanes[number % 14].take(b"1line %d\\n" % number)
sys.stdout.flush()
"""


class LaneTests(SynchronousTestCase):
    def test_plain(self) -> None:
        """
        Lines are printed whole, in order, and as the bytes that they are; endless ones in pieces.
        """
        printed: list[bytes] = []
        lane = PlainLane("b", printed.append)
        for chunk in (b"1a", b"2# remark\n", b"1b\n\xff\n", b"1" + b"x" * (LONGEST_LINE + 1)):
            lane.take(chunk)
        lane.ended(0)
        self.assertEqual(printed[:2], [b"2b | # remark\n", b"1b | ab\nb | \xff\n"])
        self.assertEqual(printed[2:], [b"1b | " + b"x" * LONGEST_LINE + b"\n", b"1b | x\n"])

    def test_live(self) -> None:
        """
        A drawing covers the last one, is made at most ten times a second, and passes no control characters on.
        """
        time = [0.0]
        printed: list[str] = []
        live = LiveLanes(["linux", "b"], printed.append, lambda: (30, 24), lambda: time[0])
        live.lanes[0].take(b"1\x1b[2Jhello " + b"y" * 100 + b"\n")
        self.assertEqual(len(printed), 1)
        time[0] = 1.0
        live.lanes[1].take(b"2# b/1 runs on bot1\n")
        up, first, second = printed[1].split("\r\033[K")
        self.assertEqual(up, "\033[2A")
        self.assertEqual((first, second), ("linux  ?[2Jhello yyyyyyyyyyy…\n", "b      b/1 runs on bot1\n\033[J"))

    def test_more_lanes_than_rows(self) -> None:
        """
        On a terminal with fewer rows than lanes, a drawing still covers the last one: it has some lanes, rather those
        that have not ended, and the number of the others.  At the end all results are there, each once.
        """
        time = iter(range(1000))
        screen = Screen(5)
        size = [80, 5]
        live = LiveLanes(
            [f"b{number}" for number in range(7)], screen.write, lambda: (size[0], size[1]), lambda: next(time)
        )
        for lane in live.lanes:
            lane.take(b"1output\n")
        self.assertEqual(screen.shown, ["b0  output", "b1  output", "b2  output", "and 4 more"])
        for lane in live.lanes[:3]:
            lane.ended(0)
        self.assertEqual(screen.shown, ["b3  output", "b4  output", "b5  output", "and 4 more, 3 of them ended"])
        size[1] = 4
        live.lanes[3].ended(1)
        self.assertEqual(screen.shown, ["b4  output", "b5  output", "and 5 more, 4 of them ended"])
        self.assertEqual(screen.scrolled, [])

        for lane in live.lanes[4:]:
            lane.ended(0)
        live.finish()
        results = [*(f"b{number}  {'failed' if number == 3 else 'success'}" for number in range(7))]
        self.assertEqual([*screen.scrolled, *screen.shown], [*results, "=== b3: the last lines", "output"])

    def test_rows_of_a_pty(self) -> None:
        """
        The rows are those of the terminal.
        """
        master, slave = os.openpty()
        self.addCleanup(os.close, master)
        fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 6, 40, 0, 0))
        environment = {name: value for name, value in os.environ.items() if name not in {"LINES", "COLUMNS"}}
        # Its output fits into the buffer of the terminal.
        subprocess.run(
            [sys.executable, "-c", ON_A_PTY], stdin=slave, stdout=slave, env=environment, check=True, timeout=300
        )
        os.close(slave)
        screen = Screen(6)
        screen.write(os.read(master, 1 << 16).decode())
        self.assertEqual(screen.shown, ["b00  line 14", "b01  line 15", "b02  line 16", "b03  line 17", "and 10 more"])

    def test_what_the_log_says(self) -> None:
        """
        The result is what the farm says, not a line of the log that looks like it; of a line that was drawn several
        times the last state is shown.
        """
        printed: list[str] = []
        live = LiveLanes(["a"], printed.append, lambda: (80, 24), lambda: 0.0)
        live.lanes[0].take(b"1# a/1: SUCCESS\n")
        live.lanes[0].take(b"1 33% (1/3)   \r100% (3/3)   \r\n")
        self.assertEqual(live.lanes[0].state, "100% (3/3)")
        live.lanes[0].ended(1)
        self.assertEqual(live.lanes[0].state, "failed")

    def test_last_lines(self) -> None:
        """
        At the end the results stand there, and the last lines of what failed.
        """
        printed: list[str] = []
        live = LiveLanes(["a", "b"], printed.append, lambda: (80, 24), lambda: 0.0)
        live.lanes[0].take(b"1" + b"".join(b"%d\n" % number for number in range(100)) + b"the end")
        live.lanes[0].take(b"2# a/1: FAILURE (make failed)\n")
        live.lanes[0].ended(1)
        live.lanes[1].ended(0)
        live.finish()
        said = "".join(printed)
        self.assertIn("a  FAILURE (make failed)\n\r\033[Kb  success\n", said)
        self.assertTrue(said.endswith("# a/1: FAILURE (make failed)\nthe end\n"), said)
        self.assertEqual(said.partition("=== a: the last lines\n")[2].count("\n"), LAST_LINES)
