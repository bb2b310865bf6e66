"""
The time of one decision of the queue while 1,000 jobs of packages wait, of three architectures each.

    .venv/bin/python bench/package_deciding.py [JOBS]

At first all slaves are busy, and each decision finds that out; then one becomes free, and a build is chosen.  Prints
JSON; milliseconds of processor time.
"""

import json
import statistics
import sys
import time

from deciding import _Decisions

from buildbot_lite.extensions import configuration_keys
from buildbot_lite.master.slaves.slots import Slot

JOBS = 1000
SLAVES = 4
CONFIG = f"""
from buildbot_lite.plugins import *
from buildbot_lite.packages import DebTarget, Overlay
c = BuildmasterConfig = {{}}
c["slaves"] = [slave.BuildSlave(f"bot{{number}}", max_builds=1) for number in range({SLAVES})]
c["targets"] = [DebTarget("t", arches=["amd64", "i386", "all"], root=Overlay("bookworm"), repository="repos/t")]
"""


def main():
    jobs = int(sys.argv[1]) if len(sys.argv) > 1 else JOBS
    decisions = _Decisions(CONFIG, 3 * jobs, keys=configuration_keys())
    for number in range(SLAVES):
        decisions.slots.take(-number - 1, Slot("t-amd64/1", "t-amd64", f"bot{number}"))
    first = 1000 * decisions.first_s()
    others = sorted(1000 * decisions.one() for _ in range(9))
    # One slave becomes free: until the next build is chosen.
    decisions.slots.leave(-1)
    began = time.process_time()
    chosen = next(iter(decisions.choice.choose()), None)
    assert chosen is not None
    choosing = 1000 * (time.process_time() - began)
    figures = {
        "choosing_ms": choosing,
        "first_ms": first,
        "median_ms": statistics.median(others),
        "longest_ms": others[-1],
    }
    rounded = {name: round(value, 2) for name, value in figures.items()}
    sys.stdout.write(json.dumps({"jobs": jobs, "requests": 3 * jobs, **rounded}) + "\n")


if __name__ == "__main__":
    main()
