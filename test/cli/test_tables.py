"""
Tables of the master's documents.
"""

import re
import time
from types import SimpleNamespace
from typing import Any

from rich.console import Console
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.cli.output import cells, tables

BUILD = {
    "builder": "hello",
    "number": 12,
    "request": 40,
    "result": "FAILURE",
    "reason": "",
    "slave": "bot1",
    "branch": None,
    "revision": None,
    "asked": {"by": "alice", "scheduler": "force", "reason": "why not", "at": 999_999_990.0},
    "started": 1_000_000_000.0,
    "finished": 1_000_000_075.5,
    "steps": [
        {"name": "compile", "result": "SUCCESS", "summary": "compile", "logs": ["stdio"]},
        {"name": "test", "result": "FAILURE", "summary": "exit code 3", "logs": ["stdio"]},
    ],
}
SLAVE = {
    "slave": "bot1",
    "connected": True,
    "since": 1_000_000_000.0,
    "paused": None,
    "draining": False,
    "running": ["hello/12"],
    "version": "1.0",
    "platform": {"hostname": "vm", "os": "Debian"},
}


def lines(what: str, document: Any, *, width: int = 200) -> list[str]:
    """
    The lines of a table.
    """
    console = Console(width=width)
    with console.capture() as capture:
        console.print(tables.TABLES[what](document))
    return [line.rstrip() for line in capture.get().splitlines()]


class TablesTests(SynchronousTestCase):
    def test_builds(self) -> None:
        """
        A build is one line, with the step that decided its result.
        """
        heads, line = lines("builds", [BUILD])

        self.assertEqual(
            heads.split(), ["build", "result", "slave", "started", "took", "request", "sources", "requested"]
        )
        self.assertRegex(
            line,
            r"^hello/12  FAILURE  bot1   2001-09-0\d \d\d:46:40  1 min 15 s  40 + alice: why not  test: exit code 3$",
        )

    def test_builds_at_80_columns(self) -> None:
        """
        On a narrow terminal a build has two lines, which are cut at the edge; on a wide one, and in a pipe, one line.
        """
        long = {**BUILD, "branch": "main", "revision": "a" * 40, "reason": "step test: " + "x" * 100}
        shown = lines("builds", [long, BUILD], width=80)
        self.assertEqual(len(shown), 5, shown)
        self.assertLessEqual(max(map(len, shown)), 80)
        self.assertEqual(shown[0].split(), ["build", "result", "slave", "started", "took", "request", "sources"])
        self.assertRegex(shown[1], "^hello/12  FAILURE  bot1   2001-09-0.  1 min 15 s  40       main aaaaaaaaaa$")
        self.assertRegex(shown[2], "^    step test: x*…$")
        self.assertEqual(shown[4], "    test: exit code 3  alice: why not")
        recent = {**BUILD, "started": time.time() - 60, "finished": None}
        self.assertRegex(
            lines("builds", [long, recent], width=80)[3], r"^hello/12  FAILURE  bot1   \d\d-\d\d \d\d:\d\d "
        )
        self.assertEqual(len(lines("builds", [BUILD], width=120)), 2)
        self.assertIn("x" * 100 + "$", lines("builds", [long], width=500)[1] + "$")

    def test_requester(self) -> None:
        """
        The requester stands before the reason, unless the reason names it.
        """
        for reason, shown in (
            ("forced", "push: forced"),
            ("pushed", "push: pushed"),
            ("by push", "by push"),
            ("Nightly 'push': its time", "Nightly 'push': its time"),
            ("changed (push)", "changed (push)"),
        ):
            asked = {"by": None, "scheduler": "push", "reason": reason, "at": 0.0}
            line = lines("builds", [{**BUILD, "asked": asked}])[1]
            self.assertRegex(line, rf"  {re.escape(shown)} +test: exit code 3$")

    def test_running_build(self) -> None:
        """
        A running build shows its current step.
        """
        step: dict[str, Any] = {"name": "test", "result": None, "summary": "", "logs": []}
        running = {**BUILD, "result": None, "finished": None, "started": time.time(), "steps": [step]}
        _, line = lines("builds", [running])

        self.assertRegex(line, r"^hello/12  running  .* test …$")

    def test_refused_slave(self) -> None:
        """
        Promise 6.12: the line of a refused slave has the remedy and the time of its next attempt.
        """
        refused = {"at": 1_000_000_000.0, "reason": "Run: buildbot-lite unpin bot1", "asks_again_by": 1_000_000_078.0}
        away = {**SLAVE, "connected": False, "platform": None, "version": None, "running": [], "refused": refused}
        _, line = lines("slaves", [away])

        self.assertRegex(
            line,
            r"^bot1   refused  2001-09-0.* refused: Run: buildbot-lite unpin bot1  The next attempt is by .*:47:58\.$",
        )

    def test_queue(self) -> None:
        """
        Promise 10: the line of a request says why it waits.
        """
        now = 1_000_000_000.0
        self.patch(cells, "time", SimpleNamespace(time=lambda: now))
        waiting = {
            "request": 41,
            "builder": "hello",
            "scheduler": "try",
            "submitted": now - 7260,
            "why": {"kind": "paused", "sentence": "bot1 is paused"},
        }

        sentence = "hello    try   2 h 1 min                  bot1 is paused"
        self.assertEqual(lines("queue", [waiting])[1], f"   41       {sentence}")
        placed = {**waiting, "position": 3, "expected_start": now - 1}
        self.assertEqual(
            lines("queue", [placed])[1], f"3  41       {sentence}".replace("min                ", "min  now           ")
        )

    def test_repeated_reasons(self) -> None:
        """
        Where lines are broken, a long reason that several requests have below each other stands there once; where
        there is room, such as in a pipe, each line has its own.
        """
        long = "; ".join(f"slave-in-the-cellar-{number} is not connected (never seen)" for number in range(3))
        rows = [
            {"request": 41, "builder": "hello", "scheduler": "try", "submitted": 0.0, "why": {"sentence": sentence}}
            for sentence in (long, long, "bot1 is paused", "bot1 is paused", long)
        ]
        narrow = " ".join("\n".join(lines("queue", rows, width=100)).split())
        self.assertEqual((narrow.count("cellar-2"), narrow.count("as above"), narrow.count("paused")), (2, 1, 2))
        self.assertEqual("\n".join(lines("queue", rows, width=500)).count("cellar-2"), 3)

    def test_schedulers(self) -> None:
        """
        A scheduler has a line, with the time of its next builds and its last error.
        """
        quiet = {"scheduler": "s", "kind": "Nightly", "builders": ["a", "b"], "waits_for": "its time", "error": None}
        failed = {**quiet, "builders": None, "error": {"at": 1_000_000_000.0, "sentence": "it failed"}}
        heads, first, second = lines("schedulers", [{**quiet, "next": 1_000_000_000.0}, {**failed, "next": None}])

        self.assertRegex(heads, r"^scheduler +kind +builders +next +waits for +last error$")
        self.assertRegex(first, r"^s +Nightly  a, b +2001-09-0\d \d\d:46:40  its time$")
        self.assertRegex(second, r"^s +Nightly  rendered +its time +2001-09-0\d \d\d:46:40: it failed$")

    def test_slaves(self) -> None:
        """
        A slave is here, draining, paused, away or never seen.
        """
        others = [
            {**SLAVE, "draining": True},
            {**SLAVE, "paused": 1.0},
            {**SLAVE, "connected": False, "platform": None, "version": None},
            {**SLAVE, "connected": False, "since": None, "platform": None, "version": None, "running": []},
        ]
        states = [line[7:17].strip() for line in lines("slaves", [SLAVE, *others])[1:]]

        self.assertEqual(states, ["here", "draining", "paused", "away", "never seen"])

    def test_targets(self) -> None:
        """
        Promise 9.9: a target says what holds its jobs up: a pause, or a fault of the machine, with the next attempt.
        It has its other names, too.
        """
        target = {"target": "t", "kind": "DebTarget", "arches": ["amd64"], "jobs": {"repowait": 2}, "paused": None}
        stuck = {
            **target,
            "aliases": ["t4"],
            "paused": {"by": "alice", "reason": "why not", "at": 1.0},
            "trouble": {"reason": "createrepo_c failed.", "since": 1.0, "again": 1_000_000_000.0},
        }
        _, quiet, first, second = lines("targets", [target, stuck])
        self.assertRegex(quiet, r"^t +DebTarget  amd64 +2 repowait$")
        self.assertRegex(first, r"^t, t4 +DebTarget .*2 repowait +paused by alice: why not$")
        self.assertRegex(second, r"^ +jobs are stuck, next attempt 2001-09-0\d \d\d:46:40: createrepo_c failed\.$")

    def test_narrow(self) -> None:
        """
        Where rows do not fit, dates are short, empty columns are left out, and sentences take several lines; in a pipe
        everything is shown.
        """
        recent = {**SLAVE, "since": time.time() - 60, "running": []}
        recent["platform"] = {"hostname": "builder-in-the-cellar", "os": "Debian GNU/Linux 12 (bookworm)"}
        heads, *rows = lines("slaves", [recent], width=80)
        self.assertEqual(heads.split(), ["slave", "state", "since", "host", "system", "version"])
        self.assertRegex(rows[0], r"^bot1   here   \d\d-\d\d \d\d:\d\d  builder-in-the-cellar  Debian")
        self.assertLessEqual(max(map(len, rows)), 80)
        heads, *rows = lines("slaves", [recent], width=500)
        self.assertEqual(heads.split(), ["slave", "state", "since", "runs", "host", "system", "version"])
        self.assertRegex(rows[0], r"^bot1   here   \d{4}-\d\d-\d\d \d\d:\d\d:\d\d  ")

    def test_nothing(self) -> None:
        """
        An empty list is shown as "none".
        """
        self.assertEqual(lines("queue", []), ["none"])

    def test_no_commands_for_the_terminal(self) -> None:
        """
        Control characters and markup in others' text are not interpreted.
        """
        nasty = {**BUILD, "reason": "\x1b]0;owned\x07[bold]x[/bold]\n\u202egnp"}
        text = "\n".join(lines("builds", [nasty]))

        self.assertNotIn("\x1b", text)
        self.assertIn("?]0;owned?[bold]x[/bold]??gnp", text)
