"""
Buildbot 4.3 and this farm show the same builds, and are asked in turn in the same run.

One description (test/seeded) makes this farm's records; Buildbot's database is filled from them (peer/web_rows.py).
Then, for each thing that people look at:

- ``wrk`` asks both APIs over the same number of connections for as many entries, and this farm's page.  That has no
  counterpart: Buildbot's page is a script that asks its API.
- Chromium shows both pages.  Buildbot's turns from another of its views, with its code loaded, as after a click; this
  farm's is loaded, with its stylesheet kept.  Then one page of each without anything kept.

What is not equal is in docs/performance.md.

    bench/run.py --only web_peer --rounds 1
"""

import math
import shutil
import statistics
import sys
import time
import traceback
from contextlib import suppress
from pathlib import Path
from urllib.error import HTTPError
from urllib.request import urlopen

import proc
import web
from attrs import field, frozen
from lab import BENCH
from screen import Content, NotShownError, Screen
from web_things import PATIENCE, Records, things

# Before the standard library, which has a package test of its own.
sys.path.insert(0, str(BENCH.parent))

SECONDS = 2
MOST_SECONDS = 20
"""``wrk`` asks longer where an answer takes long, so that it gets some, but not longer than this."""
TIMES = 3
"""Chromium shows each page so often; the median counts."""
NEWEST_WITH_LOGS = 40
_ELSEWHERE = "#/schedulers"
_SHOWN_ELSEWHERE = Content("tbody tr", 1)


def measure(work, quick, peer):
    """
    The figures of both, as {"ours": …, "theirs": …, "failed": [what has none, …]}.
    """
    from test.browser.shown_farm import ShownFarm
    from test.seeded.files import DATABASE, LOG
    from test.seeded.values import TAGS

    missing = [each for each in ("wrk", "chromium", "chromedriver") if shutil.which(each) is None]
    if missing:
        raise RuntimeError(f"{', '.join(missing)}: not installed (apt install wrk chromium chromium-driver)")
    seeding, directory = _made(work, 2000 if quick else 100_000, 100 if quick else 1000)
    log = directory / "log"
    log.write_bytes(LOG)
    with (
        peer.running("b11_web.py", directory / DATABASE, log, NEWEST_WITH_LOGS, *TAGS) as buildbot,
        ShownFarm(seeding, directory=directory) as farm,
        Screen(farm.web.pid, buildbot["pid"]) as screen,
    ):
        theirs = f"http://127.0.0.1:{buildbot['port']}/"
        sides = Sides(screen, farm.address, theirs)
        everything = things(Records.of(directory / DATABASE, theirs, LOG))
        for thing in everything:
            sides.attempt(thing.name, lambda thing=thing: sides.ask(thing, 1 if quick else SECONDS))
            sides.attempt(f"{thing.name} shown", lambda thing=thing: sides.show(thing, 1 if quick else TIMES))
        sides.attempt("first page", lambda: sides.show_first(everything[0], 1 if quick else TIMES))
        for who, pid in (("ours", farm.web.pid), ("theirs", buildbot["pid"])):
            sides.figures[who]["memory_mb"], sides.figures[who]["peak_mb"] = proc.memory(pid)
        sides.figures["theirs"]["database_mb"] = buildbot["database_mb"]
        return {**sides.figures, "failed": sides.failed}


@frozen
class Sides:
    """
    Both programs, asked in turn; *figures* are those of each, *failed* says what has none, *shown* has the loads of the
    pages.
    """

    screen: Screen
    ours: str
    theirs: str
    figures: dict = field(factory=lambda: {"ours": {}, "theirs": {}})
    failed: list = field(factory=list)
    shown: dict = field(factory=dict)

    def attempt(self, what, run):
        """
        Do one part, and continue with the others if it fails.
        """
        print(f"web_peer: {what}", file=sys.stderr, flush=True)
        try:
            run()
        except Exception:  # noqa: BLE001 - one of many
            traceback.print_exc()
            self.failed.append(what)

    def ask(self, thing, seconds):
        """
        Ask both APIs, and this farm's page.
        """
        for who, name, address in (
            ("theirs", "api", self.theirs + thing.their_api),
            ("ours", "api", self.ours + thing.api),
            ("ours", "page", self.ours + thing.page),
        ):
            enough = math.ceil(2.5 * web.CONNECTIONS * _seconds(address))
            tried = web.tried(address, max(seconds, min(MOST_SECONDS, enough)))
            for figure in ("p50_ms", "p99_ms", "per_s", "requests", "refused", "broken"):
                # A refusal is quick, and is no answer.
                counts = "_" not in figure or not (tried["refused"] or tried["broken"] or not tried["requests"])
                self.figures[who][f"{thing.name}_{name}_{figure}"] = tried[figure] if counts else None

    def show(self, thing, times):
        """
        Show both pages in turn.
        """
        if thing.their_view is None:
            return
        self.screen.load(self.ours + thing.page, thing.content)  # its stylesheet is kept from now on
        for _ in range(times):
            self.screen.load(self.theirs + _ELSEWHERE, _SHOWN_ELSEWHERE)
            self._note("theirs", thing.name, lambda: self.screen.turn(thing.their_view, thing.their_content))
            self._note("ours", thing.name, lambda: self.screen.load(self.ours + thing.page, thing.content))

    def show_first(self, thing, times):
        """
        Show a page in a browser that has never been here, and one that has nothing but a word.
        """
        for who, address, content in (
            ("theirs", self.theirs + thing.their_view, thing.their_content),
            ("ours", self.ours + thing.page, thing.content),
        ) * times:
            self._note(who, "first", lambda at=address, has=content: self.screen.load(at, has, cold=True))
        for _ in range(times):
            self._note("ours", "empty", lambda: self.screen.load(self.ours + "healthz", Content(text="ok")))

    def _note(self, who, name, show):
        """
        Note when a page was shown, or that it was not, as once Buildbot's builders after 30 s.
        """
        loads = self.shown.setdefault((who, name), [])
        try:
            loads.append(show())
        except NotShownError as error:
            print(error, file=sys.stderr)
            missed = f"{name}_screen_missed"
            self.figures[who][missed] = self.figures[who].get(missed, 0) + 1
        for figure in ("ms", "requests", "kb") if loads else ():
            value = statistics.median(getattr(each, figure) for each in loads)
            self.figures[who][f"{name}_screen_{figure}"] = value


def _made(work, builds, slaves):
    """
    The description of the farm, and its directory, which is kept for later runs.
    """
    from test.seeded.files import make_farm
    from test.seeded.seeding import Seeding

    seeding = Seeding(builds=builds, slaves=slaves, hostile=False, running=10, waiting=100)
    directory = Path(work) / f"web-peer-{builds}-{slaves}"
    if not (directory / "made").exists():
        shutil.rmtree(directory, ignore_errors=True)
        make_farm(directory, seeding, logs=NEWEST_WITH_LOGS)
        (directory / "made").touch()
    return seeding, directory


def _seconds(address):
    """
    How long one answer takes alone, after one that may be the first of its kind.
    """
    for _ in range(2):
        began = time.monotonic()
        # A refusal takes its time, too; wrk counts those.
        with suppress(HTTPError), urlopen(address, timeout=PATIENCE) as answer:
            answer.read()
    return time.monotonic() - began
