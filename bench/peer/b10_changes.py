#!/usr/bin/env python3
"""500 changes at once; 100 schedulers, each of one branch, without treeStableTimer: until 500 buildsets are there."""
import contextlib, os, sqlite3, sys; sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lab import *
N, S = 500, 100
builders = f"for i in range({S}): B(f'b{{i}}', [SH(T)])"
extra = f"c['schedulers'] += [schedulers.SingleBranchScheduler(name=f's{{i}}', change_filter=util.ChangeFilter(branch=f'b{{i}}'), treeStableTimer=None, builderNames=[f'b{{i}}']) for i in range({S})]"


def buildsets(L):
    """Counted beside the master: its own list costs it more than a buildset does."""
    with contextlib.closing(sqlite3.connect(f'file:{L.m}/state.sqlite?mode=ro', uri=True, timeout=30)) as db:
        return db.execute('select count(*) from buildsets').fetchone()[0]


runs = []
for i in range(nruns()):
    with Lab('changes', builders, [f'b{i}' for i in range(S)], workers=1, max_builds=1, extra=extra, start_workers=False) as L:
        # A scheduler that is not active yet never sees the change.
        give_up = time.monotonic() + 60
        while (active := L.call('schedulers')['active']) < S + 1:
            if time.monotonic() > give_up:
                raise RuntimeError(f'{active} of {S + 1} schedulers are active')
            time.sleep(0.2)
        a, t = cpu(L.mpid), time.monotonic()
        L.call('changes', n=N, branches=S)
        row = {'by_branch_recorded_s': time.monotonic() - t}
        while (found := buildsets(L)) < N:
            if time.monotonic() - t > 120:
                raise RuntimeError(f'{found} of {N} buildsets')
            time.sleep(0.2)
        row['by_branch_s'] = time.monotonic() - t; row['by_branch_cpu_s'] = cpu(L.mpid) - a
    runs.append(row)
emit('b10_changes', runs)
