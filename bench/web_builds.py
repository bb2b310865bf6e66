"""
Builds of a real farm while its pages are looked at, against the same farm with nobody looking.

- `web_builds`: seconds that builds take, and CPU of the master per build, in three ways of looking, each in turn with
  nobody: a flood (two connections of ``wrk`` in a closed loop), an ordinary day (50 people who follow a log that grows,
  and 100 pages and answers of the API a second), and the 50 people alone.  The builds either do nothing, so that the
  farm itself keeps all processors busy, or compute for a quarter of a second, as a compiler does.

Two controls: *nobody* again shows the precision; an *idler*, a program that computes without end at the lowest
priority, shows what it costs that a processor is never idle, whoever uses it.

All who look are at the lowest priority: they stand for other machines, which take nothing from the builds.

    bench/run.py --only web_builds --rounds 1 --no-control --alone
"""

import json
import random
import re
import signal
import statistics
import subprocess
import sys
import time
from contextlib import contextmanager, nullcontext

import proc
from lab import BENCH, Lab
from visitors import visiting, yield_to_others

PATIENCE = 120
PER_S = 100
READERS = 50
LOG = "builders/long/1/steps/0/logs/stdio"
STEADY = (
    *("", "builders/b", "builders/b/1", "builds", "queue", "slaves", "waterfall", LOG),
    *("api/v1/builds", "api/v1/farm"),
)
SEEN = (
    *(("flood", "per_s"), ("flood", "refused"), ("flood", "broken")),
    *(("day", "per_s"), ("day", "p50_ms"), ("day", "p99_ms"), ("readers", "answers_per_s")),
)
"""What those who look tell: of each figure, the median of all turns."""
# Ten lines ten times a second, for as long as the bench takes.
LONG = 'i=0; while sleep 0.1; do for n in 0 1 2 3 4 5 6 7 8 9; do i=$((i+1)); echo "[$i] CC module_$n.c"; done; done'
COMPUTE = "import time\nwhile time.process_time() < 0.25: pass"
BUILDERS = (
    f'{{"b": [SH(["true"])], "c": [SH([{sys.executable!r}, "-S", "-c", {COMPUTE!r}])], '
    f'"long": [SH(["sh", "-c", {LONG!r}], timeout=None)]}}'
)
ALONE = "alone"


def web_builds(work, quick):
    turns = 2 if quick else 5
    counts = {"b": 40, "c": 8} if quick else {"b": 800, "c": 24}
    with Lab(work, BUILDERS, slaves=4, web=True) as lab:
        address = lab.start_web()
        lab.call("begin", builder="long")
        for builder in counts:
            lab.submit(builder, 20)
        found = {builder: {name: [] for name in (ALONE, *WAYS)} for builder in counts}
        seen = {name: [] for name in WAYS}
        for turn in range(turns):
            # In another order each turn, so that what changes with time affects all alike.
            for name in random.Random(turn).sample([ALONE, *WAYS], len(WAYS) + 1):
                with WAYS.get(name, _nobody)(address) as stop:
                    for builder, count in counts.items():
                        found[builder][name].append(one_turn(lab, builder, count))
                    if name in WAYS:
                        seen[name].append(stop())
        alone = found["b"][ALONE]
        return {
            "builds_per_s": counts["b"] / statistics.median(seconds for seconds, *_ in alone),
            "master_cpu_ms": statistics.median(cpu for _, cpu, _ in alone),
            **_compared(found["b"]),
            **{f"computing_{name}": figure for name, figure in _compared(found["c"]).items()},
            **{f"{name}_{figure}": _median(seen[name], figure) for name, figure in SEEN},
            "memory_mb": proc.memory(lab.web_pid)[1],
            # The row of the table.
            "slowed": _compared(found["b"])["flood_slowed"],
        }


def one_turn(lab, builder, count):
    """
    Seconds, and milliseconds of CPU of master and of web process, of *count* builds.
    """
    before = proc.exact_cpu(lab.master_pid), proc.exact_cpu(lab.web_pid)
    seconds = lab.submit(builder, count)
    after = proc.exact_cpu(lab.master_pid), proc.exact_cpu(lab.web_pid)
    return seconds, *((one - other) * 1000 / count for one, other in zip(after, before, strict=True))


def _median(turns, figure):
    return statistics.median(each[figure] for each in turns)


def _compared(found):
    figures = {}
    for name in WAYS:
        pairs = list(zip(found[name], found[ALONE], strict=True))
        figures[f"{name}_slowed"] = statistics.median(with_them[0] / without[0] for with_them, without in pairs)
        figures[f"{name}_master_cpu"] = statistics.median(with_them[1] / without[1] for with_them, without in pairs)
        figures[f"{name}_web_cpu_ms"] = statistics.median(with_them[2] for with_them, _ in pairs)
    return figures


def _nobody(_):
    return nullcontext(dict)


@contextmanager
def idler(_):
    """
    A program that computes without end, at the lowest priority.
    """
    process = subprocess.Popen(
        [sys.executable, "-S", "-c", "while True: pass"],
        start_new_session=True,
        preexec_fn=yield_to_others,  # noqa: PLW1509 - two system calls
    )
    try:
        yield dict
    finally:
        process.kill()
        process.wait()


@contextmanager
def flood(address):
    """
    Ask for the farm's page all the time; yields what ends it, and returns the figures.
    """
    script = f"--script={BENCH / 'wrk.lua'}"
    command = ["wrk", "--threads=1", "--connections=2", f"--duration={PATIENCE}s", script, address]
    process = subprocess.Popen(
        command,
        stdout=subprocess.PIPE,
        text=True,
        start_new_session=True,
        preexec_fn=yield_to_others,  # noqa: PLW1509 - two system calls
    )
    # Before it takes the signal by which it is ended, its figures would be lost.
    while not proc.catches(process.pid, signal.SIGINT):
        time.sleep(0.1)

    def stop():
        process.send_signal(signal.SIGINT)  # it prints what it has
        said, _ = process.communicate(timeout=PATIENCE)
        return json.loads(re.search(r"^FIGURES (.*)$", said, re.MULTILINE)[1])

    try:
        yield stop
    finally:
        if process.poll() is None:
            process.kill()
            process.wait()


@contextmanager
def readers(address):
    """
    People who follow the growing log.
    """
    with visiting("follow", address, LOG, READERS) as stop:
        time.sleep(2)
        yield stop


@contextmanager
def day(address):
    """
    People who follow the growing log, and pages and API at a fixed rate.
    """
    with readers(address), visiting("steady", address, PER_S, *STEADY) as stop:
        time.sleep(0.5)
        yield stop


WAYS = {"nobody": _nobody, "idler": idler, "flood": flood, "day": day, "readers": readers}
MEASURES = {"web_builds": web_builds}
