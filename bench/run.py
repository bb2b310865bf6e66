"""
This farm and Buildbot 4.3, measured in turn on this machine: ``make bench``.

Each measure runs in rounds; in a round Buildbot, this farm and this farm again run in random order, so that other load
affects all alike, and the ratio of the two equal runs shows the precision.  Then the limits run: bare Foolscap, bare
processes.  The result is one table; the raw figures stay in results/.

    bench/run.py                                  everything; takes about an hour
    bench/run.py --only steps --only log          some of it
    bench/run.py --only steps --quick --alone     small, and without Buildbot, to see whether a change helps
    bench/run.py --show results/raw-….json        the table of an earlier run
"""

import argparse
import compileall
import json
import os
import platform
import random
import shutil
import sys
import time
import traceback
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import automatic
import bare
import deciding
import ours
import table
import theirs
import watching
import web
import web_builds
import web_memory
import web_peer

BENCH = Path(__file__).resolve().parent
# Measured once: figures that do not vary between runs, and measures that take minutes.
ONCE = {"installed", "new_user", "stored", "log_gib", "web_million", "web_peer"}
MODULES = (ours, watching, deciding, automatic, web, web_builds, web_memory)
OURS = {name: measure for module in MODULES for name, measure in module.MEASURES.items()}
# Both programs at once, in turn: it returns the figures of both, and is left out where Buildbot is.
TOGETHER = {"web_peer": web_peer.measure}
# What is measured after another one, unless it was named itself.
AFTER = {"web": "web_peer"}
# The limits: the cost of the parts alone.  A limit with the name of a measure runs next to that measure.
LIMITS = {
    "bare": bare.measure,
    "bare_to_disk": bare.to_disk,
    "log_to_client": bare.hand_over,
    "log_to_flappclient": bare.flappserver,
}
EVERYTHING = dict.fromkeys((*OURS, *TOGETHER, *LIMITS))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", action="append", choices=list(EVERYTHING), help="this measure; repeatable")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--quick", action="store_true", help="small, one round: whether it works")
    parser.add_argument("--alone", action="store_true", help="without Buildbot")
    parser.add_argument("--no-control", action="store_true", help="do not run ours twice")
    parser.add_argument("--work", type=Path, default=BENCH / "work", help="where everything is put that is made")
    parser.add_argument("--show", type=Path, action="append", help="raw figures of earlier runs: print their table")
    options = parser.parse_args()
    if options.show:
        print_table(merged([json.loads(path.read_text()) for path in options.show]))
        return 0
    options.work = options.work.resolve()
    options.work.mkdir(parents=True, exist_ok=True)
    take_copy(options.work)
    return measure(options)


def take_copy(work):
    """
    Measure a copy of the package, compiled as pip compiles it, so that edits during the run have no effect.
    """
    copy = work / "measured"
    shutil.rmtree(copy, ignore_errors=True)
    shutil.copytree(
        BENCH.parent / "buildbot_lite", copy / "buildbot_lite", ignore=shutil.ignore_patterns("__pycache__")
    )
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
    os.environ.pop("PYTHONUNBUFFERED", None)
    compileall.compile_dir(copy, quiet=1)
    os.environ["PYTHONPATH"] = str(copy)
    sys.path.insert(0, str(copy))


def measure(options):
    peer = theirs.Peer(options.work)
    if not options.alone:
        peer.set_up()
    wanted = wanted_of(options)
    rounds = 1 if options.quick else options.rounds
    raw = {"began": time.strftime("%Y-%m-%d %H:%M"), "machine": machine(), "rounds": [], "failed": []}
    results = BENCH / "results" / f"raw-{time.strftime('%Y%m%d-%H%M%S')}.json"
    results.parent.mkdir(exist_ok=True)
    for number in range(rounds):
        raw["rounds"].append({})
        for name in wanted:
            if number and name in ONCE:
                continue
            one_round(raw, name, options, peer)
            results.write_text(json.dumps(raw, indent=1))
    print_table(raw)
    print(f"\nraw figures: {results}")
    return 1 if raw["failed"] else 0


def wanted_of(options):
    """
    The names of the measures, in their order.
    """
    named = [each for name in options.only or EVERYTHING for each in (name, AFTER.get(name)) if each]
    return [each for each in dict.fromkeys(named) if not (options.alone and each in TOGETHER)]


def one_round(raw, name, options, peer):
    figures = raw["rounds"][-1][name] = {}
    if name in TOGETHER:
        attempt(raw, name, "both", lambda: figures.update(TOGETHER[name](options.work, options.quick, peer)))
        raw["failed"] += [[name, each] for each in figures.pop("failed", ())]
        return
    runs = {}
    if name in OURS:
        runs["ours"] = lambda: OURS[name](options.work, options.quick)
        if not options.no_control and name not in ONCE:
            runs["again"] = runs["ours"]
    if name in LIMITS:
        runs["theirs"] = lambda: LIMITS[name](options.work, options.quick)
    elif not options.alone and name in theirs.MEASURES:
        runs["theirs"] = lambda: theirs.MEASURES[name](peer)
    for who in random.sample(sorted(runs), len(runs)):
        attempt(raw, name, who, lambda who=who: figures.update({who: runs[who]()}))


def attempt(raw, name, who, run):
    """
    Do one run; report its failure, and continue with the others.
    """
    began = time.monotonic()
    load = os.getloadavg()[0]
    try:
        run()
    except Exception:  # noqa: BLE001 - one measure of many
        traceback.print_exc()
        raw["failed"].append([name, who])
    seconds = time.monotonic() - began
    print(f"{name} {who}: {seconds:.0f} s (others: load {load:.1f})", file=sys.stderr, flush=True)


def merged(raws):
    """
    Merge several runs into one.
    """
    whole = {**raws[0]}
    for raw in raws[1:]:
        whole["rounds"] = whole["rounds"] + raw["rounds"]
    return whole


def machine():
    return {
        "cpus": os.cpu_count(),
        "system": f"{platform.system()} {platform.machine()}",
        "python": platform.python_version(),
    }


def print_table(raw):
    print("\n".join(table.lines(raw)))


if __name__ == "__main__":
    raise SystemExit(main())
