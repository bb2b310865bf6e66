"""
The screens of ``watch``: they fit into every terminal, say what matters first, and show no control character.
"""

import time
from typing import Any
from unittest import mock

from rich.console import Console
from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.cli.watch.coloured_tail import tail_lines
from buildbot_lite.cli.watch.documents import Watched, WatchedBuild, WatchedBuilder, WatchedFarm
from buildbot_lite.cli.watch.line_columns import shares
from buildbot_lite.cli.watch.screen_layout import Space
from buildbot_lite.cli.watch.views import composition

from .test_tables import BUILD, SLAVE

NOW = time.time()
HOSTILE = "\x1b[31mred\x1b]0;title\x07\u202e\r\n<b>[bold]x"


def running(builder: str = "hello", number: int = 13, step: str = "test") -> dict[str, Any]:
    """
    A running build as in a status.
    """
    return {
        "builder": builder,
        "number": number,
        "slave": "bot1",
        "started": NOW - 30,
        "expected_end": NOW + 30,
        "waits_for": None,
    }


def request(number: int, sentence: str = "No slave is free.") -> dict[str, Any]:
    """
    A waiting request.
    """
    why = {"kind": "no-slave", "sentence": sentence}
    return {"request": number, "builder": "hello", "submitted": NOW - 5, "why": why}


def farm(slaves: int = 1, waiting: int = 1, text: str = "hello") -> WatchedFarm:
    """
    A farm with one builder, *text*.
    """
    build = {**BUILD, "builder": text, "number": 13, "result": None, "finished": None}
    build["steps"] = [{"name": text, "result": None, "summary": text, "logs": ["stdio"]}]
    others = [{**SLAVE, "slave": f"s{number}", "running": []} for number in range(slaves)]
    watched = WatchedFarm()
    watched.status = {
        "title": text,
        "slaves": [*others, {**SLAVE, "slave": text, "connected": False, "running": []}],
        "running": [running(text)],
        "waiting": [request(number, text) for number in range(waiting)],
        "waiting_total": waiting,
    }
    watched.builders = [{"builder": text, "description": text, "last": {**BUILD, "builder": text}, "slaves": []}]
    watched.results = {text: {10: "SUCCESS", 11: "WARNINGS"}}
    watched.running = {f"{text}/13": build}
    return watched


def drawn(watched: Watched, width: int = 80, height: int | None = 24, remark: str = "") -> list[str]:
    """
    The lines of the screen, as a terminal shows them at the time of the documents, however long that takes.
    """
    space = Space(width, height, NOW, remark)
    with mock.patch("time.time", return_value=NOW):
        lines = composition(watched, space).overview(space)
    console = Console(width=width, record=True, highlight=False, quiet=True)
    with console.capture():
        for line in lines:
            console.print(line, no_wrap=True, crop=True)
    for line in lines:
        assert line.cell_len <= width, line
    return [line.plain for line in lines]


class FarmScreenTests(SynchronousTestCase):
    def test_whole(self) -> None:
        """
        The farm: results with letters, the present step with a bar, why a request waits, and the slaves' states.
        """
        text = "\n".join(drawn(farm()))
        for expected in (
            r"(?m)^hello +1 running, 1 waiting, 2 slaves$",
            r"(?m)^hello +SWF●",
            r"(?m)^hello/13 +hello +30\.\d s +━+─+ (49|50) % +on bot1$",
            r"(?m)^0 +hello +5\.\d s +hello$",
            r"(?m)^Slaves  2, 1 here, 1 away$",
            r"(?m)^hello +away",
        ):
            self.assertRegex(text, expected)

    def test_late(self) -> None:
        """
        On 80 columns, beside a long name of wide letters, a build that is late says by how much, and where it runs.
        """
        watched = farm(text="名前のとても長いビルダー")
        late = {**running("hello", 9999), "started": NOW - 200_000, "expected_end": NOW - 3000}
        watched.status = {**watched.status, "running": [late, *watched.status["running"]]}
        self.assertRegex("\n".join(drawn(watched)), r"(?m)^hello/9999 .* 2 d 7 h  ━{10} \+50 min  on bot1$")

    def test_sizes(self) -> None:
        """
        The screen has exactly as many lines as the terminal, and none is too wide, from 200 to 1 columns.
        """
        for width, height in ((200, 60), (80, 24), (60, 12), (40, 8), (20, 4), (5, 2), (1, 1)):
            lines = drawn(farm(50, 50), width, height, "lost")
            self.assertEqual(len(lines), height, (width, height))

    def test_many_slaves(self) -> None:
        """
        Of a thousand slaves, the one that is away is on the screen; the others are counted.
        """
        lines = drawn(farm(1000))

        self.assertIn("Slaves  1001, 1000 here, 1 away", lines)
        self.assertTrue(any(line.startswith("hello  away") for line in lines), lines)
        self.assertTrue(lines[-2].startswith("… 9"), lines)

    def test_not_cut(self) -> None:
        """
        Without a terminal, everything is shown.
        """
        lines = drawn(farm(1000, 300), 500, None)

        self.assertEqual(sum(line.startswith("s") for line in lines), 1000)
        self.assertFalse(any(line.startswith("…") for line in lines))

    def test_text_of_others(self) -> None:
        """
        No text of others reaches the terminal with control characters, or as markup.
        """
        whole = "\n".join([*drawn(farm(text=HOSTILE), 300), *drawn(build(HOSTILE), 300), *drawn(builder(HOSTILE), 300)])

        self.assertTrue(all(line.isprintable() for line in whole.split("\n")), whole)
        self.assertIn("[bold]x", whole)

    def test_lost(self) -> None:
        """
        A remark has a line of its own below the first one.
        """
        self.assertEqual(drawn(farm(), remark="No link since 12:00.")[1], "No link since 12:00.")

    def test_shares(self) -> None:
        """
        Short lists get all of their lines, long ones share the rest; no line is given twice.
        """
        self.assertEqual(shares([2, 100, 1, 100], 13), [2, 5, 1, 5])
        self.assertEqual(shares([2, 1], 10), [2, 1])
        self.assertEqual(shares([5, 5], 1), [1, 0])
        self.assertEqual(shares([5], -3), [0])


def builder(text: str = "hello") -> WatchedBuilder:
    """
    A builder with a failed build and a running one.
    """
    watched = WatchedBuilder(text)
    live = {**BUILD, "number": 13, "result": None, "finished": None, "reason": text}
    watched.builder, watched.builds = {"description": text}, [live, BUILD]
    watched.status = {"waiting": [{**request(7, text), "builder": text}]}
    return watched


def build(text: str = "hello", step_result: str | None = None) -> WatchedBuild:
    """
    A running build with 40 finished steps, and a log.
    """
    step = {"number": 0, "summary": text, "logs": ["stdio"], "started": 1.0, "finished": 2.0, "result": "SUCCESS"}
    now = {**step, "number": 40, "name": "last", "finished": None, "result": None, "started": NOW - 5}
    steps = [*({**step, "number": number, "name": text} for number in range(40)), {**now, "expected": 10.0}]
    watched = WatchedBuild("hello", 12)
    watched.build = {**BUILD, "result": None, "finished": None, "reason": text, "steps": steps}
    watched.tail = {"step": 40, "log": "stdio", "length": 5000, "text": f"first\n{text}\nold\rnew\n"}
    return watched


class BuildScreenTests(SynchronousTestCase):
    def test_builder(self) -> None:
        """
        A builder: its builds with the step that decided the result, and what waits.
        """
        text = "\n".join(drawn(builder(), 120))

        self.assertRegex(text, r"(?m)^12 +F +FAILURE +1 min 15 s +test: exit code 3")
        self.assertRegex(text, r"(?m)^7 +hello +5\.\d s +hello")

    def test_not_known_yet(self) -> None:
        """
        Before the master has answered, nothing is said to be idle or empty.
        """
        for watched in (WatchedBuilder("hello"), WatchedBuild("hello", 12)):
            lines = drawn(watched)
            self.assertIn("asking the master …", lines[0])
            self.assertEqual({*lines[1:-1]}, {""})

    def test_build(self) -> None:
        """
        A build: of many steps the last ones, and the end of the log of the running one.
        """
        lines = drawn(build())

        self.assertRegex("\n".join(lines), r"(?m)^40 +● +last +5\.\d s +━+─+ (49|50) % +hello$")
        self.assertIn("Log  last, 5000 bytes", lines)
        self.assertEqual([line for line in lines if line in {"first", "hello", "new"}], ["first", "hello", "new"])
        self.assertNotRegex("\n".join(lines), "… [0-9]+ more")

    def test_tail(self) -> None:
        """
        Promise 10.8: the end of a log: as a terminal shows it after carriage returns, with its colours, and with no
        other control sequence or character.
        """
        text = "a\n\x1b[1;31mred\x1b[0m\r\n1 %\r2 %\n\x1b]8;;http://x\x07link\x1b]8;;\x1b\\\n\tx\x00\n\n\x1b]open\nlast"
        lines = [line.plain for line in tail_lines(text, 7)]

        self.assertEqual(lines, ["red", "2 %", "link", "        x\u2400", "", "\u241b]open", "last"])
        self.assertEqual(tail_lines("", 7), [])
        coloured = tail_lines("\x1b[1;31mred\nstill\x1b[0m not \x1b[7;48;5;17mx\x1b[m\x1b[2J\x1b[H", 1)
        self.assertEqual([line.plain for line in coloured], ["still not x"])
        styles = [str(span.style) for span in coloured[0].spans]
        self.assertEqual([each for each in styles if each != "none"], ["bold color(1)", "reverse on color(17)"])
