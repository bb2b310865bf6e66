"""
The screens of ``buildbot-lite watch``: lines of a terminal, from what was asked (`documents`).

A screen has a first line, sections, and a last line.  On a small terminal each section gets a part of the lines, and
says how many rows it leaves out; slaves and builders with something to say come first.
"""

from collections import Counter
from collections.abc import Sequence
from functools import partial

from rich.text import Text

from ...model.requester import requester
from ...model.whole_numbers import whole_number
from ..command_line.next_commands import said_here
from ..output.cells import Document, build_name, duration, plain, result_text, short_sources
from ..output.tables import presence, trouble
from .coloured_tail import tail_lines
from .documents import Watched, WatchedBuild, WatchedBuilder, WatchedFarm
from .line_columns import Column
from .screen_layout import Composition, Section, Space, Target

_LETTERS = {
    "SUCCESS": Text("S", "green"),
    "WARNINGS": Text("W", "yellow"),
    "FAILURE": Text("F", "bold red"),
    "SKIPPED": Text("\N{EN DASH}", "dim"),
    "EXCEPTION": Text("E", "bold magenta"),
    "RETRY": Text("R", "cyan"),
    "CANCELLED": Text("C", "dim"),
}
_RUNNING = Text("●", "cyan")
_PRINTED = 50
"""Lines of a log that are printed without a terminal."""
_MOST_LINES = 2000
"""Lines of a log through which the keys lead."""
_BAR = 18
_BARS = 60
"""Columns of the terminal from which on there are bars."""
_INTERESTING = ("refused", "away", "reconnecting", "low space", "draining", "paused", "revoked", "here", "never seen")


def composition(watched: Watched, space: Space) -> Composition:
    """
    What a screen shows of *watched*.
    """
    if isinstance(watched, WatchedFarm):
        return _of_farm(watched, space)
    if isinstance(watched, WatchedBuilder):
        return _of_builder(watched, space)
    assert isinstance(watched, WatchedBuild)
    return _of_build(watched, space)


def _of_farm(farm: WatchedFarm, space: Space) -> Composition:
    status = farm.status
    if not status:
        return Composition(plain("connecting …", "dim"), "", [])
    title = plain(status.get("title") or "", "bold")
    slaves = status.get("slaves", ())
    waiting = status.get("waiting_total", 0)
    counts = f"{len(status.get('running', ()))} running, {waiting} waiting, {len(slaves)} slaves"
    sections = [
        _builders(farm, space),
        _running(farm, space),
        Section("Waiting", Text(str(waiting)), status.get("waiting", ()), _waiting, leads=_to_builder),
        _slaves(slaves, space),
    ]
    return Composition(title, counts, sections)


def _of_builder(watched: WatchedBuilder, space: Space) -> Composition:
    description = watched.builder.get("description") or ""
    counts = f"{sum(each['result'] is None for each in watched.builds)} running, {len(watched.waiting())} waiting"
    title = plain(watched.name, "bold").append_text(plain(f"  {description}" if description else "", "dim"))
    if not watched.status:
        return Composition(title, "asking the master …", [])
    waiting = watched.waiting()
    sections = [
        Section("Builds", Text(), watched.builds, partial(_builds, space), leads=_to_build),
        *([Section("Waiting", Text(str(len(waiting))), waiting, _waiting)] if waiting else []),
    ]
    return Composition(title, counts, sections)


def _of_build(watched: WatchedBuild, space: Space) -> Composition:
    build = watched.build
    if not build:
        return Composition(plain(f"{watched.builder}/{watched.number}", "bold"), "asking the master …", [])
    title = plain(f"{build_name(build)}  ", "bold").append_text(result_text(build["result"]))
    took = duration(build["started"], build["finished"])
    title.append(f"  {took}  ").append_text(_estimate(build["started"], build.get("expected_end"), build, space))
    about = [f"on {build['slave']}", short_sources(build), build["reason"] or "", requester(build["asked"])]
    if waits := build.get("waits_for"):
        about.insert(0, f"waits: {waits}")
    sections = [
        Section(
            "Steps",
            plain("; ".join(filter(None, about))),
            build["steps"],
            partial(_steps, space),
            last=True,
            leads=partial(_to_step, watched),
        )
    ]
    step = watched.step()
    if watched.tail and step is not None and watched.tail["log"] is not None:
        name = "" if watched.tail["log"] == "stdio" else f", {watched.tail['log']}"
        summary = plain(f"{step['name']}{name}, {watched.tail['length']} bytes")
        most = _PRINTED if space.height is None else _MOST_LINES
        sections.append(Section("Log", summary, tail_lines(watched.tail["text"], most), _alone, last=True))
    return Composition(title, "", sections)


# Sections.


def _builders(farm: WatchedFarm, space: Space) -> Section:
    running = Counter(each["builder"] for each in farm.status.get("running", ()))
    waiting = Counter(each["builder"] for each in farm.status.get("waiting", ()))
    results = {each["builder"]: farm.results_of(each) for each in farm.builders}

    def rank(builder: Document) -> int:
        name = builder["builder"]
        bad = results[name] and results[name][-1] not in {"SUCCESS", "WARNINGS", "SKIPPED"}
        return 0 if running[name] else 1 if bad else 2 if waiting[name] else 3

    builders = farm.builders if space.height is None else sorted(farm.builders, key=rank)
    last = [name[-1] for name in results.values() if name]
    summary = Text(", ".join(filter(None, [str(len(builders)), *_counted(last)])))

    def columns(shown: Sequence[Document]) -> Sequence[Column]:
        return [
            Column([plain(each["builder"]) for each in shown], least=16),
            Column([_letters(results[each["builder"]], running[each["builder"]]) for each in shown], least=4),
            Column([_some(waiting[each["builder"]], "waiting") for each in shown]),
            Column([plain(each["description"], "dim") for each in shown]),
        ]

    return Section("Builders", summary, builders, columns, leads=_to_builder)


def _running(farm: WatchedFarm, space: Space) -> Section:
    running = farm.status.get("running", ())

    def columns(shown: Sequence[Document]) -> Sequence[Column]:
        return [
            Column([plain(build_name(each)) for each in shown], least=16),
            Column([_present_step(each, farm.running.get(build_name(each))) for each in shown], least=8),
            Column([Text(duration(each["started"], None)) for each in shown], least=10, right=True),
            *_bars([_estimate(each["started"], each.get("expected_end"), each, space) for each in shown], space),
            Column([plain(f"on {each['slave']}", "dim") for each in shown], least=10),
        ]

    return Section("Running", Text(str(len(running))), running, columns, leads=_to_build)


def _waiting(requests: Sequence[Document]) -> Sequence[Column]:
    return [
        Column([Text(str(each["request"])) for each in requests], right=True),
        Column([plain(each["builder"]) for each in requests], least=12),
        Column([Text(duration(each["submitted"], None)) for each in requests], least=10, right=True),
        Column([plain(said_here(each["why"]["sentence"])) for each in requests], least=12),
    ]


def _slaves(slaves: Sequence[Document], space: Space) -> Section:
    states = {each["slave"]: presence(each) for each in slaves}
    counts = Counter(str(state) for state in states.values())

    def rank(slave: Document) -> tuple[int, bool]:
        state = str(states[slave["slave"]])
        return (_INTERESTING.index(state) if state in _INTERESTING else 0, not slave["running"])

    def columns(shown: Sequence[Document]) -> Sequence[Column]:
        return [
            Column([plain(each["slave"]) for each in shown], least=12),
            Column([states[each["slave"]] for each in shown], least=7),
            Column([Text(duration(each["since"], None), "dim") for each in shown], least=10, right=True),
            Column([trouble(each) or plain(", ".join(each["running"])) for each in shown], least=12),
            Column([plain((each["platform"] or {}).get("os", ""), "dim") for each in shown]),
        ]

    ranked = slaves if space.height is None else sorted(slaves, key=rank)
    summary = Text(", ".join([str(len(slaves)), *(f"{counts[word]} {word}" for word in counts)]))
    return Section("Slaves", summary, ranked, columns, leads=_to_running)


def _builds(space: Space, builds: Sequence[Document]) -> Sequence[Column]:
    return [
        Column([Text(str(each["number"])) for each in builds], right=True),
        Column([_LETTERS.get(each["result"] or "", _RUNNING) for each in builds], least=1),
        Column([result_text(each["result"]) for each in builds], least=9),
        Column([Text(duration(each["started"], each["finished"])) for each in builds], least=10, right=True),
        *_bars([_estimate(each["started"], each.get("expected_end"), each, space) for each in builds], space),
        Column([_outcome(each) for each in builds], least=10),
        Column([plain(short_sources(each), "dim") for each in builds]),
        Column([plain(requester(each["asked"]), "dim") for each in builds]),
    ]


def _steps(space: Space, steps: Sequence[Document]) -> Sequence[Column]:
    return [
        Column([Text(str(each["number"])) for each in steps], right=True),
        Column([_LETTERS.get(each["result"] or "", _RUNNING) for each in steps], least=1),
        Column([plain(each["name"]) for each in steps], least=12),
        Column([Text(duration(each["started"], each["finished"])) for each in steps], least=10, right=True),
        *_bars([_estimate(each["started"], _step_end(each), each, space) for each in steps], space),
        Column([plain(each["summary"] or "", "dim") for each in steps]),
    ]


def _alone(texts: Sequence[Text]) -> Sequence[Column]:
    return [Column(texts)]


# Where a row leads.


def _to_builder(item: Document) -> Target:
    return "builder", item["builder"]


def _to_build(item: Document) -> Target:
    return "build", item["builder"], item["number"]


def _to_step(watched: WatchedBuild, step: Document) -> Target | None:
    return ("step", watched.builder, watched.number, step["number"]) if step["logs"] else None


def _to_running(slave: Document) -> Target | None:
    builder, _, number = (slave["running"] or [""])[0].rpartition("/")
    found = whole_number(number)
    return None if found is None else ("build", builder, found)


# Cells.


def _letters(results: Sequence[str], running: int) -> Text:
    letters = Text()
    for each in results:
        letters.append_text(_LETTERS.get(each, Text("?")))
    for _ in range(min(running, 3)):
        letters.append_text(_RUNNING)
    return letters.append(f" {running}" if running > 3 else "")


def _counted(results: Sequence[str]) -> list[str]:
    words = {"FAILURE": "failed", "EXCEPTION": "with an exception"}
    counts = Counter(results)
    return [f"{counts[result]} {word}" for result, word in words.items() if counts[result]]


def _some(count: int, what: str) -> Text:
    return Text(f"{count} {what}" if count else "", "yellow")


def _present_step(running: Document, build: Document | None) -> Text:
    if waits := running.get("waits_for"):
        return plain(f"waits: {waits}", "yellow")
    steps = () if build is None else build["steps"]
    return plain(next((each["name"] for each in steps if each["result"] is None), ""))


def _outcome(build: Document) -> Text:
    """
    Why a build ended so, or its present step.
    """
    if build["reason"]:
        return plain(build["reason"])
    if build["result"] is None:
        return _present_step(build, build)
    deciding = [each for each in build["steps"] if each["result"] == build["result"]]
    step = next(iter(deciding), None)
    return plain("" if step is None or build["result"] == "SUCCESS" else f"{step['name']}: {step['summary']}")


def _step_end(step: Document) -> float | None:
    expected = step.get("expected")
    return None if expected is None or step["started"] is None else step["started"] + expected


def _bars(bars: Sequence[Text], space: Space) -> list[Column]:
    return [Column(bars, least=_BAR)] if space.width >= _BARS else []


def _estimate(started: float | None, end: float | None, what: Document, space: Space) -> Text:
    """
    A bar from *started* to the expected *end* of *what*; nothing if it has ended, or the end is unknown.
    """
    if started is None or end is None or end <= started or what.get("finished") is not None:
        return Text()
    part = max(0.0, (space.now - started) / (end - started))
    if part >= 1:
        # In its largest unit: the column is as wide as the bar of a build that is in time, with its percentage.
        value, unit, *_ = duration(end, space.now).split()
        return Text("━" * 10, "yellow").append(f" +{value} {unit}")
    full = int(part * 10)
    return Text("━" * full, "cyan").append("─" * (10 - full), "dim").append(f" {int(part * 100)} %")
