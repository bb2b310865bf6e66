"""
The transfer of a file by bare Foolscap: a lower bound for the time of any follower, from its start to its end.

    hand_over.py serve FILE CHUNK IN_FLIGHT    writes "furl"
    hand_over.py fetch                         the file on standard output
"""

import os
import sys
from pathlib import Path

from foolscap.api import Referenceable, Tub
from twisted.internet import defer, reactor


class Source(Referenceable):
    def __init__(self, path, chunk, in_flight):
        self.file = os.open(path, os.O_RDONLY)
        self.chunk = chunk
        self.in_flight = in_flight

    def remote_fetch(self, taker):
        offset = 0

        async def send():
            nonlocal offset
            while data := os.pread(self.file, self.chunk, offset):
                offset += len(data)
                await taker.callRemote("take", data)

        sending = [defer.Deferred.fromCoroutine(send()) for _ in range(self.in_flight)]
        return defer.gatherResults(sending).addCallback(lambda _: offset)


class Taker(Referenceable):
    def remote_take(self, data):
        rest = memoryview(data)
        while rest:
            rest = rest[os.write(1, rest) :]


async def fetch():
    tub = Tub()
    tub.startService()
    reference = await tub.getReference(Path("furl").read_text())
    await reference.callRemote("fetch", Taker())
    await tub.stopService()


def serve(path, chunk, in_flight):
    tub = Tub(certFile="source.pem")
    port = int(sys.argv[5]) if len(sys.argv) > 5 else 18302
    tub.listenOn(f"tcp:{port}:interface=127.0.0.1")
    tub.setLocation(f"tcp:127.0.0.1:{port}")
    Path("furl").write_text(tub.registerReference(Source(path, chunk, in_flight), "source"))
    tub.startService()
    print("up", flush=True)


if sys.argv[1] == "serve":
    reactor.callWhenRunning(serve, sys.argv[2], int(sys.argv[3]), int(sys.argv[4]))
else:
    reactor.callWhenRunning(lambda: defer.Deferred.fromCoroutine(fetch()).addBoth(lambda _: reactor.stop()))
reactor.run()
