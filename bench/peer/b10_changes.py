#!/usr/bin/env python3
"""500 changes at once; 100 schedulers, each of one branch, without treeStableTimer: until 500 buildsets are there."""
import os, sys; sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from lab import *
N, S = 500, 100
builders = f"for i in range({S}): B(f'b{{i}}', [SH(T)])"
extra = f"c['schedulers'] += [schedulers.SingleBranchScheduler(name=f's{{i}}', change_filter=util.ChangeFilter(branch=f'b{{i}}'), treeStableTimer=None, builderNames=[f'b{{i}}']) for i in range({S})]"
runs = []
for i in range(nruns()):
    with Lab('changes', builders, [f'b{i}' for i in range(S)], workers=1, max_builds=1, extra=extra, start_workers=False) as L:
        a, t = cpu(L.mpid), time.monotonic()
        L.call('changes', n=N, branches=S)
        row = {'by_branch_recorded_s': time.monotonic() - t}
        while L.call('buildsets')['rows'] < N and time.monotonic() - t < 300:
            time.sleep(0.2)
        row['by_branch_s'] = time.monotonic() - t; row['by_branch_cpu_s'] = cpu(L.mpid) - a
        row['buildsets'] = L.call('buildsets')['rows']
    runs.append(row)
emit('b10_changes', runs)
