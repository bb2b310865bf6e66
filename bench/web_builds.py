"""
Builds of a real farm while its pages are looked at, against the same farm with nobody looking.

- `web_builds`: builds per second, and CPU of the master per build, in three ways of looking, each in turn with none:
  a flood (two connections of ``wrk`` in a closed loop), an ordinary day (50 people who follow a log that grows, and
  100 pages and answers of the API a second), and the 50 people alone.

All who look are at the lowest priority: they stand for other machines, which take nothing from the builds.

    bench/run.py --only web_builds --rounds 1 --no-control --alone
"""

import json
import re
import signal
import statistics
import subprocess
import time
from contextlib import contextmanager

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
BUILDERS = f'{{"b": [SH(["true"])], "long": [SH(["sh", "-c", {LONG!r}], timeout=None)]}}'


def web_builds(work, quick):
    count, turns = (40, 2) if quick else (400, 5)
    with Lab(work, BUILDERS, slaves=4, web=True) as lab:
        address = lab.start_web()
        lab.call("begin", builder="long")
        lab.submit("b", 20)
        ways = {"flood": flood, "day": day, "readers": readers}
        found = {name: [] for name in ways}
        alone, seen = [], {name: [] for name in ways}
        # Those who look come and go, and each turn without them is beside the turns with them.
        for _ in range(turns):
            alone.append(one_turn(lab, count))
            for name, way in ways.items():
                with way(address) as stop:
                    found[name].append(one_turn(lab, count))
                    seen[name].append(stop())
        return {
            "builds_per_s": count / statistics.median(seconds for seconds, *_ in alone),
            "master_cpu_ms": statistics.median(cpu for _, cpu, _ in alone),
            **_compared(found, alone),
            **{f"{name}_{figure}": _median(seen[name], figure) for name, figure in SEEN},
            "memory_mb": proc.memory(lab.web_pid)[1],
            # The row of the table.
            "slowed": _compared(found, alone)["flood_slowed"],
        }


def one_turn(lab, count):
    """
    Seconds, and milliseconds of CPU of master and of web process, of *count* builds.
    """
    before = proc.exact_cpu(lab.master_pid), proc.exact_cpu(lab.web_pid)
    seconds = lab.submit("b", count)
    after = proc.exact_cpu(lab.master_pid), proc.exact_cpu(lab.web_pid)
    return seconds, *((one - other) * 1000 / count for one, other in zip(after, before, strict=True))


def _median(turns, figure):
    return statistics.median(each[figure] for each in turns)


def _compared(found, alone):
    figures = {}
    for name, turns in found.items():
        pairs = list(zip(turns, alone, strict=True))
        figures[f"{name}_slowed"] = statistics.median(with_them[0] / without[0] for with_them, without in pairs)
        figures[f"{name}_master_cpu"] = statistics.median(with_them[1] / without[1] for with_them, without in pairs)
        figures[f"{name}_web_cpu_ms"] = statistics.median(with_them[2] for with_them, _ in pairs)
    return figures


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


MEASURES = {"web_builds": web_builds}
