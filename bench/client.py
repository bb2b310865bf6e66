"""
What a connected client sees: the calls of the stock flappclient's run-command, many in one process.

    client.py FURLFILE burst N      N submissions at once
    client.py FURLFILE latency N    N one after the other, with pauses
"""

import json
import statistics
import sys
import time
from pathlib import Path

from foolscap.api import Referenceable, Tub
from twisted.internet import defer, task


class Watcher(Referenceable):
    def __init__(self):
        self.ended = defer.Deferred()

    def remote_stdout(self, data):
        pass

    def remote_stderr(self, data):
        pass

    def remote_done(self, signal, exitcode):
        self.ended.callback((exitcode, time.monotonic()))


async def submit(reference):
    watcher = Watcher()
    await reference.callRemote("execute", watcher)
    return await watcher.ended


async def measure(reactor, furl, what, count):
    tub = Tub()
    tub.startService()
    reference = await tub.getReference(furl)
    await submit(reference)
    if what == "burst":
        began = time.monotonic()
        done = await defer.gatherResults([defer.Deferred.fromCoroutine(submit(reference)) for _ in range(count)])
        assert {code for code, _ in done} == {0}, done
        figures = {"wall_s": max(at for _, at in done) - began}
    else:
        times = []
        for _ in range(count):
            await task.deferLater(reactor, 0.25)
            began = time.monotonic()
            code, at = await submit(reference)
            assert code == 0
            times.append((at - began) * 1000)
        figures = {"ms": statistics.median(times), "ms_min": min(times), "ms_max": max(times)}
    print(json.dumps(figures))


path, what, count = sys.argv[1:]
furl = next(line.strip() for line in Path(path).read_text().splitlines() if line.startswith("pb://"))
task.react(lambda reactor: defer.Deferred.fromCoroutine(measure(reactor, furl, what, int(count))))
