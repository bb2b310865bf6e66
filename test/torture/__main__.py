"""
``python -m test.torture [--seed N] [--minutes M] [--schedule FILE] [--cuts N] [--json FILE]``

Prints the schedule, each failure, and at the end the table; the exit code is 1 when anything was lost.
"""

import argparse
import json
import random
import sys
import time
from collections import Counter
from pathlib import Path

from test.processes.farm import Farm

from . import cuts, schedules
from .run import Report, torture
from .tortured_farm import GRACE


def main() -> int:
    """
    Run the program.
    """
    parser = argparse.ArgumentParser(prog="python -m test.torture")
    parser.add_argument("--seed", type=int, default=None)
    parser.add_argument("--minutes", type=float, default=5.0)
    parser.add_argument("--schedule", type=Path)
    parser.add_argument("--cuts", type=int, default=0)
    parser.add_argument("--grace", type=float, default=GRACE, help="seconds that builds wait for a slave")
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    seed = random.SystemRandom().randrange(1_000_000) if options.seed is None else options.seed
    if options.schedule:
        events = list(schedules.read(options.schedule.read_text()))
    else:
        events = schedules.schedule(seed, options.minutes)
    lost = False
    if events and options.minutes:
        _print(f"# seed {seed}, {options.minutes:g} minutes; run it again from a file with --schedule")
        _print(schedules.written(events))
        report = torture(events, say=_say, grace=options.grace)
        _print(report)
        lost = bool(report.verdict.lost)
        if options.json:
            _keep(options.json, seed, options.minutes, report)
    if options.cuts:
        _print(_cuts(options.cuts))
    return int(lost)


def _print(text: object) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


def _say(text: str) -> None:
    _print(f"[{time.strftime('%H:%M:%S')}] {text}")


def _cuts(count: int) -> cuts.ReconnectionTimes:
    with Farm("bot1", proxied=True) as farm:
        farm.builder("idle", "true")
        farm.start()
        assert farm.proxy is not None
        return cuts.measure(farm.slave(), farm.proxy, count)


def _keep(path: Path, seed: int, minutes: float, report: Report) -> None:
    document = {
        "seed": seed,
        "minutes": minutes,
        "injected": report.injected,
        "kept": report.verdict.kept,
        "lost": report.verdict.lost,
        "kinds": Counter(kind for kind, _ in report.verdict.lost),
    }
    path.write_text(json.dumps(document, indent=1) + "\n")


if __name__ == "__main__":
    sys.exit(main())
