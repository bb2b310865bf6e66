"""
Our share of a package's time: everything but the programs in the root (apt, the compiler).

    .venv/bin/python bench/package_share.py [JOBS [ROOTS]]

A trivial package is built in an `Overlay` root again and again, after the base was made.  Each script in the root notes
when it begins and ends, and its processor time; that is subtracted from the time between submission and end of the job,
and from the processor time of master, slave and keeper with all their children.  Prints JSON; medians, in seconds.
ROOTS: a directory where the base stays for the next run.
"""

import json
import statistics
import subprocess
import sys
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from test.process_table import read_proc
from test.processes.farm import Farm, until
from test.processes.test_packages import CHANGELOG, CONTROL, RULES

JOBS = 7
FIRST = 1800.0
"""Seconds for the first job, which makes the base."""
CONFIG = """
from buildbot_lite.packages import DebTarget, Overlay

NOTED = '''
echo "begin $(date +%s.%N)" >>/build/out/times.txt
trap 'echo "end $(date +%s.%N)" >>/build/out/times.txt; times >>/build/out/times.txt' EXIT
'''


class NotedOverlay(Overlay):
    def prepare(self, architecture, script, *words, network=False):
        return super().prepare(architecture, NOTED + script, *words, network=network)

    def build(self, architecture, script, *words):
        return super().build(architecture, NOTED + script, *words)


c["targets"] = [DebTarget("t", arches=["ARCH"], root=NotedOverlay("bookworm", packages=[]))]
"""
TICKS = 100.0


class ShareFarm(Farm):
    """
    A farm that builds one package in many versions.
    """

    def source(self, version: str) -> bytes:
        """
        The source package.
        """
        place = self.directory / "sources" / version
        tree = place / "greet"
        (tree / "debian" / "source").mkdir(parents=True)
        for path, text in {
            "control": CONTROL.format(more=""),
            "changelog": CHANGELOG.replace("1.0", version),
            "rules": RULES.replace("{script}", "true"),
            "source/format": "3.0 (native)\n",
        }.items():
            (tree / "debian" / path).write_text(text)
        (tree / "debian" / "rules").chmod(0o755)
        self.run(f"cd {place} && dpkg-source --build greet && tar -cf source.tar greet_{version}*")
        return (place / "source.tar").read_bytes()

    def cpu(self) -> float:
        """
        The processor time of master, slave and keeper with all their children that have ended.
        """
        pids = [self.master.pid, self.slaves["bot1"].pid, *self.keepers("bot1")]
        return sum(sum(map(int, read_proc(pid, "stat").rpartition(b")")[2].split()[11:15])) for pid in pids) / TICKS


def inside(times: Path) -> tuple[float, float]:
    """
    The time and the processor time of the programs in the root.
    """
    wall = cpu = 0.0
    for line in times.read_text().splitlines():
        word, _, rest = line.partition(" ")
        if word in ("begin", "end"):
            wall += float(rest) * (1 if word == "end" else -1)
        else:
            for each in line.split():
                minutes, _, seconds = each.removesuffix("s").partition("m")
                cpu += 60 * float(minutes) + float(seconds)
    return wall, cpu


def measure(farm: ShareFarm, number: int) -> dict[str, Any]:
    """
    One job.
    """
    version, before = f"{number}.0", farm.cpu()
    done = farm.submit("t", farm.source(version), within=FIRST)
    assert done.code == 0, done
    until(lambda: farm.rows("select 1 from package_jobs where id = ? and state = 'finished'", number), "it is finished")
    ((began, ended, build),) = farm.rows(
        "select j.created, j.finished, a.build from package_jobs j join package_job_arches a on a.job = j.id "
        "where j.id = ? and a.build is not null",
        number,
    )
    spent = farm.cpu() - before
    (times,) = (farm.master_directory / "packages" / "t" / "greet" / version).glob("*/times.txt")
    wall, cpu = inside(times)
    steps = farm.rows("select name, finished - started from steps where build = ? order by number", build)
    return {
        "whole": ended - began,
        "in_the_root": wall,
        "share": ended - began - wall,
        "cpu": spent - cpu,
        "root_cpu": cpu,
    } | {f"step_{name}": seconds for name, seconds in steps}


def main() -> None:
    """
    Run the program.
    """
    jobs = int(sys.argv[1]) if len(sys.argv) > 1 else JOBS
    arch = subprocess.run(["dpkg", "--print-architecture"], check=True, capture_output=True, text=True).stdout.strip()
    with ShareFarm() as farm:
        farm.config(CONFIG.replace("ARCH", arch))
        farm.write_config()
        farm.start_master()
        slave = farm.slave_directory("bot1")
        if len(sys.argv) > 2:
            (slave / "work").mkdir(parents=True, exist_ok=True)
            roots = Path(sys.argv[2]).absolute()
            roots.mkdir(exist_ok=True)
            (slave / "work" / "roots").symlink_to(roots)
        farm.start_slave("bot1")
        measure(farm, 1)
        found = [measure(farm, number) for number in range(2, jobs + 2)]
    medians = {name: round(statistics.median(each[name] for each in found), 2) for name in found[0]}
    sys.stdout.write(
        json.dumps({"jobs": jobs, **medians, "shares": [round(each["share"], 2) for each in found]}) + "\n"
    )


if __name__ == "__main__":
    main()
