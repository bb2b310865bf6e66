"""
The longest transaction of each page and each address of the API, over 1,000,000 builds (the farm of `web_million`).

Within one process, without network: each address is asked several times, deep pages of lists as well, and each query of
the records is timed from its BEGIN to its end, with the rows that it fetched.

    .venv/bin/python bench/transactions.py [DIRECTORY]

DIRECTORY: of a farm that `bench/run.py --only web_million` has made.
"""

# ruff: noqa: E402 - the path comes first

import sys
import time
import unittest
from collections import defaultdict
from pathlib import Path

BENCH = Path(__file__).resolve().parent
sys.path.insert(0, str(BENCH.parent))

from buildbot_lite.storage.read_limit import ReadLimit
from buildbot_lite.storage.reading import open_for_reading
from buildbot_lite.web.api.definitions import BASE
from test.seeded.files import DATABASE
from test.seeded.seeding import Seeding
from test.storage.inline import InlineWriter
from test.web.api import api_case
from test.web.api.test_reading_rule import ReadingRuleTests

TIMES = 5
SEEDING = Seeding(builds=10_000, slaves=100, hostile=False, steps=1)
FURTHER = (
    "/?result=failing", "/builds?result=FAILURE", "/builds?branch=nothing", "/builds?slave=nothing",
    "/builds?before=500000", "/builders/linux-x86_64?before=1000",
    f"{BASE}/builds?limit=200", f"{BASE}/builds?limit=200&property=a=b", f"{BASE}/builds?limit=200&branch=nothing",
    f"{BASE}/builders?limit=200", f"{BASE}/changes?limit=200", f"{BASE}/requests?limit=200",
    f"{BASE}/packages/jobs?limit=200",
)  # fmt: skip


class TimedRecords:
    """
    Records whose queries are timed, with SQLite's own limit out of the way.
    """

    def __init__(self, path):
        self._inner = InlineWriter(open_for_reading(path))
        self.taken = []

    def read(self, query):
        def timed(connection):
            driver = connection.connection.driver_connection
            limit = driver.limit = ReadLimit.from_now(time.monotonic, 3600.0)
            began, used = time.perf_counter(), time.thread_time()
            try:
                return query(connection)
            finally:
                driver.limit = None
                self.taken.append((time.perf_counter() - began, time.thread_time() - used, limit.rows))

        return self._inner.read(timed)


class Transactions(ReadingRuleTests):
    """
    The pages of the farm in a directory.
    """

    def runTest(self):  # noqa: N802 - unittest's
        records = TimedRecords(str(self.farm / DATABASE))
        self.watched._records = records
        found = defaultdict(list)
        addresses = [*self.addresses(), *FURTHER]
        self.watched.read = records.read
        for address in addresses:
            for _ in range(TIMES):
                self.clock.advance(5)
                records.taken.clear()
                self.get(address)
                found[address] += records.taken
        print(f"{'address':60}  longest, ms   processor, ms   rows")
        for address, taken in sorted(found.items(), key=lambda each: -max((one[0] for one in each[1]), default=0)):
            if taken:
                longest, used, rows = (max(one[place] for one in taken) for place in range(3))
                print(f"{address[:60]:60} {1000 * longest:12.2f} {1000 * used:15.2f} {rows:6}")


def main():
    default = BENCH / "work" / "web-0009-10000x100-100"
    Transactions.farm = Path(sys.argv[1]) if len(sys.argv) > 1 else default
    api_case.SEEDING = SEEDING
    result = unittest.TextTestRunner(verbosity=0).run(Transactions())
    sys.exit(not result.wasSuccessful())


if __name__ == "__main__":
    main()
