"""
What one small build, or one long log, costs, process by process: a budget for those who look for something to save.

    bench/budget.py                    one farm of this checkout: CPU, statements, messages
    bench/budget.py --calls            system calls as well (strace counts them; the CPU of that run means nothing)
    bench/budget.py --against DIR      this checkout and that one, both running, in turn: medians, and the median of
                                       the pairs.  DIR may be this checkout: the precision of the comparison
    bench/budget.py --log 100          the same, also with --against, of builds with a log of 100 MiB

CPU times are the scheduler's (``/proc/PID/task/TID/schedstat``), so they do not depend on what else runs as much as the
wall clock does; commands are children of a keeper, counted when they have ended.
"""

import argparse
import collections
import os
import random
import signal
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

import lab
import ours
import proc

BENCH = Path(__file__).resolve().parent
SLAVES = 4


class Farm(lab.Lab):
    """
    The farm of a checkout.  Its processes import from there.
    """

    def __init__(self, options, checkout):
        self._checkout = checkout
        command, slaves = _log_of(options.log) if options.log else (["true"], SLAVES)
        before = os.environ.get("PYTHONPATH")
        os.environ["PYTHONPATH"] = str(checkout)
        try:
            super().__init__(options.work, f'{{"b": [SH({command!r})]}}', slaves=slaves)
        finally:
            os.environ.pop("PYTHONPATH")
            if before is not None:
                os.environ["PYTHONPATH"] = before
        self.submit("b", 2 if options.log else 100)

    def keepers(self):
        return [self.keeper_pid(name) for name in self.names]

    def cpu(self):
        """
        Return the CPU seconds so far: of the master's threads, of the slaves, the keepers, and their commands.
        """
        threads = _threads(self.master_pid)
        reactor = threads.pop(self.master_pid, 0.0)
        slaves = sum(sum(_threads(pid).values()) for pid in self.slave_pids.values())
        keepers = sum(sum(_threads(pid).values()) for pid in self.keepers())
        commands = sum(proc.cpu_with_children(pid) - proc.cpu(pid) for pid in self.keepers())
        return {
            "master: reactor": reactor,
            "master: other threads": sum(threads.values()),
            "slaves": slaves,
            "keepers": keepers,
            "commands": commands,
            "all": reactor + sum(threads.values()) + slaves + keepers + commands,
        }


def _log_of(mib):
    """
    Return the command and the number of slaves for builds with a log of *mib* MiB, as in `ours.log`.
    """
    return ["bash", "-c", f'yes "{ours.LINE}" | head -c {mib * ours.MIB}'], 1


def _threads(pid):
    found = {}
    for thread in os.listdir(f"/proc/{pid}/task"):
        nanoseconds = Path(f"/proc/{pid}/task/{thread}/schedstat").read_text().split()[0]
        found[int(thread)] = int(nanoseconds) / 1e9
    return found


def cpu_per_build(farm, count):
    """
    Return the milliseconds of CPU per build, by process, of *count* builds, and the time until the last one has ended.
    """
    time.sleep(2)  # logs of the round before are being compressed
    before = farm.cpu()
    seconds = farm.submit("b", count)
    time.sleep(0.5)
    after = farm.cpu()
    spent = {name: after[name] - before[name] for name in before}
    return {name: value * 1000 / count for name, value in {**spent, "until the end": seconds}.items()}


def counts_per_build(farm, count):
    before = farm.call("counts")
    farm.submit("b", count)
    time.sleep(0.5)
    after = farm.call("counts")
    return {name: (after[name] - before.get(name, 0)) / count for name in after}


def calls_per_build(farm, count):
    """
    Return the system calls per build: name → count, for the master, the slaves, and the keepers.
    """
    groups = {"master": [farm.master_pid], "slaves": list(farm.slave_pids.values()), "keepers": farm.keepers()}
    with tempfile.TemporaryDirectory() as directory:
        running = []
        for name, pids in groups.items():
            follow = [] if name == "keepers" else ["-f"]
            words = [
                "strace",
                "-c",
                *follow,
                "-o",
                f"{directory}/{name}",
                *(w for pid in pids for w in ("-p", str(pid))),
            ]
            running.append(subprocess.Popen(words, stderr=subprocess.DEVNULL))
        time.sleep(2)
        farm.submit("b", count)
        time.sleep(0.5)
        for process in running:
            process.send_signal(signal.SIGINT)
            process.wait()
        return {name: _strace_table(Path(directory) / name, count) for name in groups}


def _strace_table(path, count):
    calls = {}
    for line in path.read_text().splitlines()[2:]:
        words = line.split()
        if len(words) >= 5 and words[3].isdigit() and words[-1] != "total":
            calls[words[-1]] = int(words[3]) / count
    return calls


def one(options):
    with Farm(options, options.checkout) as farm:
        rounds = [cpu_per_build(farm, options.builds) for _ in range(options.rounds)]
        for name in rounds[0]:
            print(f"{name:24} {statistics.median(each[name] for each in rounds):8.2f} ms")
        for name, value in sorted(counts_per_build(farm, options.builds).items()):
            print(f"{name:24} {value:8.2f}")
        if options.calls:
            for name, calls in calls_per_build(farm, options.builds).items():
                shown = collections.Counter(calls).most_common(16)
                print(
                    f"{name:8} {sum(calls.values()):7.1f} system calls: " + ", ".join(f"{c} {n:.1f}" for c, n in shown)
                )


def pairs(options):
    with Farm(options, options.against) as before, Farm(options, options.checkout) as after:
        farms = [("before", before), ("after", after)]
        found = {"before": [], "after": []}
        for _ in range(options.rounds):
            random.shuffle(farms)
            for name, farm in farms:
                found[name].append(cpu_per_build(farm, options.builds))
    for name in found["before"][0]:
        old, new = ([each[name] for each in found[side]] for side in ("before", "after"))
        ratios = sorted(b / a for a, b in zip(old, new, strict=True) if a)
        spread = f"{statistics.median(ratios):.2f} ({ratios[0]:.2f} to {ratios[-1]:.2f})" if ratios else "-"
        print(f"{name:24} {statistics.median(old):8.2f} {statistics.median(new):8.2f} ms   of the pairs {spread}")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--checkout", type=Path, default=BENCH.parent)
    parser.add_argument("--against", type=Path)
    parser.add_argument("--builds", type=int, help="in a round; without it 200, or 1 with --log")
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--calls", action="store_true")
    parser.add_argument("--log", type=int, metavar="MIB", help="of each build")
    parser.add_argument("--work", type=Path, default=BENCH / "work", help="where everything is put that is made")
    options = parser.parse_args()
    options.builds = options.builds or (1 if options.log else 200)
    options.work.mkdir(parents=True, exist_ok=True)
    (pairs if options.against else one)(options)


if __name__ == "__main__":
    main()
