"""
Measurements of a client: many calls of the stock flappclient's run-command in one process.

    client.py FURLFILE burst N      N submissions at once
    client.py FURLFILE latency N    N one after the other, with pauses
    client.py FURLFILE followers N  one submission with N followers, each with its own Tub
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
        self.told = defer.Deferred()
        self.bytes = 0

    def remote_stdout(self, data):
        self.bytes += len(data)

    def remote_stderr(self, data):
        if not self.told.called:
            self.told.callback(data)

    def remote_done(self, signal, exitcode):
        self.ended.callback((exitcode, time.monotonic()))


async def submit(reference):
    watcher = Watcher()
    await reference.callRemote("execute", watcher)
    return await watcher.ended


async def followers(furl, count):
    """
    Submit one build with the first follower; the others use its watch FURL.
    """
    # The connections exist already: the log alone is measured.
    tubs = [Tub() for _ in range(count)]
    for tub in tubs:
        tub.startService()
    references = await defer.gatherResults([tub.getReference(furl) for tub in tubs])
    began = time.monotonic()
    watchers = [Watcher() for _ in range(count)]
    await references[0].callRemote("execute", watchers[0])
    watch = next(word for word in (await watchers[0].told).decode().split() if word.startswith("pb://"))
    references[1:] = await defer.gatherResults([tub.getReference(watch) for tub in tubs[1:]])
    for reference, watcher in zip(references[1:], watchers[1:], strict=True):
        await reference.callRemote("execute", watcher)
    done = await defer.gatherResults([watcher.ended for watcher in watchers])
    print(json.dumps({"wall_s": max(at for _, at in done) - began, "bytes": [each.bytes for each in watchers]}))


async def measure(reactor, furl, what, count):
    if what == "followers":
        await followers(furl, count)
        return
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
