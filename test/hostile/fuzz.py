"""
Fuzz a whole master with a million inputs: ``python -m test.hostile.fuzz --seed 1 --count 1000000``.

The master in this process has all real parts (records, streams, grants, and a keeper that runs builds), except for TLS
and the network, which `Peer` replaces: that makes a hundred times as many inputs possible.  (``--real`` sends the
inputs through both, to a master under twistd.)  Meanwhile honest builds are submitted and must succeed.

The result is printed as JSON: the number of inputs, the growth of memory after the first twentieth, the number of
successful builds, and each kind of exception in the log, which no input may cause.
"""

import argparse
import gc
import json
import os
import shutil
import signal
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from random import Random
from typing import Any

from foolscap.referenceable import TubRef
from twisted.internet import reactor  # noqa: TID251 - this is a program
from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.task import deferLater
from twisted.logger import ILogObserver, LogEvent, formatEvent, globalLogBeginner
from twisted.python.failure import Failure
from zope.interface import implementer

from buildbot_lite.master.grants import verbs
from buildbot_lite.master.slaves.desk import SlaveDesk
from buildbot_lite.master_tap import MasterService
from buildbot_lite.model.results import Result
from buildbot_lite.slave.assembly import LocalSlave
from buildbot_lite.wire.broker import Broker

from ..processes.farm import WORDS, rss
from .inputs import Conversation, FurlsToTry

MIB = 1 << 20
AT_ONCE = 60
BUILD_EVERY = 5000

CONFIG = """
c['slaves'] = [slave.BuildSlave('bot1'), slave.BuildSlave('evil', pin=False, grace=60)]
true = util.BuildFactory([steps.ShellCommand(command='true')])
both = util.BuildFactory([steps.StringDownload(s='x' * 5000, slavedest='x'),
                          steps.FileUpload(slavesrc='x', masterdest='x'),
                          steps.ShellCommand(command='true')])
c['builders'] = [util.BuilderConfig(name='honest', slavenames=['bot1'], factory=true),
                 util.BuilderConfig(name='hostile', slavenames=['evil'], factory=both, concurrent=True)]
c['schedulers'] = [schedulers.ForceScheduler(name='force', builderNames=['honest']),
                   schedulers.Submit(name='run', builderNames=['hostile']),
                   schedulers.Submit(name='try', builderNames=['hostile'], stdin='patch'),
                   schedulers.Submit(name='set', builderNames=['hostile'], stdin='properties'),
                   schedulers.Submit(name='tar', builderNames=['hostile'], file='tar')]
c['maxRetries'] = 1
"""


class Peer:
    """
    The far end of a connection, in memory: the transport of a `Broker`.
    """

    def __init__(self, tub: Any, number: int) -> None:
        self.closed = False
        self.written = 0
        self._number = number
        self._stranger = tub.unauthenticated.accept("192.0.2.1", self.abortConnection)
        params = {"banana-decision-version": 3, "initial-vocab-table-index": 0}
        peer = TubRef(f"{number:032x}".translate(str.maketrans("0189", "ghij")))
        self.broker = Broker(peer, params, unauthenticated=self._stranger)
        self.broker.factory = None
        self.broker.setTub(tub)
        self.broker.makeConnection(self)
        tub.brokerAttached(peer, self.broker, False)

    def send(self, data: bytes) -> None:
        """
        Deliver *data* to the master.
        """
        if not self.closed and (not self._stranger.tracked or self._stranger.received(len(data))):
            self.broker.dataReceived(data)

    def close(self) -> None:
        """
        Close the connection.
        """
        self.closed = True
        self.broker.connectionLost(Failure(ConnectionDone()))

    def write(self, data: bytes) -> None:
        self.written += len(data)

    def writeSequence(self, pieces: list[bytes]) -> None:
        self.written += sum(map(len, pieces))

    def loseConnection(self, *_: object) -> None:
        self.closed = True

    abortConnection = loseConnection

    def registerProducer(self, *_: object) -> None:
        pass

    def unregisterProducer(self) -> None:
        pass

    def pauseProducing(self) -> None:
        pass  # this one sends on

    def resumeProducing(self) -> None:
        pass

    def setTcpKeepAlive(self, on: bool) -> None:
        pass

    @property
    def socket(self) -> "Peer":
        return self

    def setsockopt(self, *_: object) -> None:
        pass

    def getPeer(self) -> IPv4Address:
        return IPv4Address("TCP", "192.0.2.1", 1)

    getHost = getPeer


@implementer(ILogObserver)
class Findings:
    """
    Exceptions in the log, by the place that raised them.
    """

    def __init__(self) -> None:
        self.kinds: Counter[str] = Counter()
        self.examples: dict[str, str] = {}
        self.lines = 0

    def __call__(self, event: LogEvent) -> None:
        self.lines += 1
        failure = event.get("log_failure")
        if failure is None:
            return
        frames = [f"{os.path.basename(frame[1])}:{frame[2]}" for frame in failure.frames[-2:]]
        kind = f"{failure.type.__name__} at {' < '.join(reversed(frames))}"
        self.kinds[kind] += 1
        self.examples.setdefault(kind, f"{formatEvent(event)}\n{failure.getTraceback()}")


async def whole_master(directory: str) -> tuple[MasterService, LocalSlave]:
    """
    Run a master and an honest slave.
    """
    service = MasterService(directory, reactor)
    service.startService()
    while not service._tub.running or service._maintenance is None:
        await deferLater(reactor, 0.01)
    farm = service._farm
    assert farm is not None
    os.mkdir(os.path.join(directory, "bot1"))
    slave = LocalSlave(os.path.join(directory, "bot1"), reactor)
    slave.start()
    slave.attach_to(SlaveDesk("bot1", farm.slaves, lambda key: None, lambda: ()))
    return service, slave


async def honest_build(farm: Any) -> bool:
    """
    Return whether one more build succeeds.
    """
    submitted = await farm.forcing.force("honest", {}, "to see whether it is built")
    return bool(await farm.requests.when_finished(submitted.buildset.id) == Result.SUCCESS)


async def fuzz(directory: str, seed: int, count: int, findings: Findings) -> dict[str, Any]:
    """
    Send *count* inputs; return the result.
    """
    service, slave = await whole_master(directory)
    farm = service._farm
    assert farm is not None
    swissnums = {
        grant.object: farm.grants.swissnum(grant) for grant in farm.grants.everything() if grant.verb == verbs.SUBMIT
    }
    evil = farm.grants.of(verbs.SLAVE, "evil")
    assert evil is not None
    strings = FurlsToTry(farm.grants.swissnum(evil), [swissnums[name] for name in ("run", "try", "set", "tar")])
    random, tub, begun = Random(seed), service._tub, time.monotonic()
    sent = connections = builds = 0
    warm = 0
    roles: Counter[str] = Counter()
    going: list[tuple[Peer, Conversation, int]] = []
    building: Deferred[bool] | None = Deferred.fromCoroutine(honest_build(farm))
    succeeded: list[bool] = []
    while sent < count:
        while len(going) < AT_ONCE:
            connections += 1
            conversation = Conversation(random, strings)
            roles[conversation.role] += len(conversation.inputs)
            going.append((Peer(tub, connections), conversation, 0))
        still = []
        for peer, conversation, at in going:
            if not peer.closed and at < len(conversation.inputs):
                sent += 1
                try:
                    peer.send(conversation.inputs[at])
                except Exception:  # noqa: BLE001 - what would reach the transport
                    findings({"log_failure": Failure(), "log_format": "escaped"})
                    peer.closed = True
                still.append((peer, conversation, at + 1))
            else:
                peer.close()
        going = still
        await deferLater(reactor, 0)
        if building is not None and building.called:
            succeeded.append(await building)
            building = None
        if sent // BUILD_EVERY > builds and building is None:
            builds = sent // BUILD_EVERY
            building = Deferred.fromCoroutine(honest_build(farm))
        if not warm and sent >= count // 20:
            gc.collect()
            warm = rss(os.getpid())
        if sent % 50_000 < AT_ONCE and os.environ.get("VERBOSE"):
            sys.stderr.write(f"{sent} {rss(os.getpid()) / MIB:.1f} MiB {dict(findings.kinds)}\n")
    for peer, _, _ in going:
        peer.close()
    elapsed = time.monotonic() - begun
    if building is not None:
        succeeded.append(await building)
    succeeded.append(await honest_build(farm))
    gc.collect()
    report = {
        "seed": seed,
        "inputs": sent,
        "inputs_of": dict(roles),
        "connections": connections,
        "seconds": round(elapsed, 1),
        "memory_warm_mib": round(warm / MIB, 1),
        "memory_grown_mib": round((rss(os.getpid()) - warm) / MIB, 1),
        "honest_builds": len(succeeded),
        "honest_builds_succeeded": sum(succeeded),
        "log_lines": findings.lines,
        "exceptions": dict(findings.kinds),
    }
    await slave.stop(kill=True)
    service._kill = True
    await service.stopService()
    return report


def main() -> None:
    """
    Run the fuzzer; exit with 1 when it found an exception or a failed build.
    """
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=1_000_000)
    options = parser.parse_args()
    findings = Findings()
    globalLogBeginner.beginLoggingTo([findings], redirectStandardIO=False, discardBuffer=True)
    directory = tempfile.mkdtemp(prefix="fuzz-")
    Path(directory, "master.cfg").write_text(f"{WORDS}c['location'] = ['127.0.0.1']\n{CONFIG}")
    reports: list[dict[str, Any]] = []

    def done(result: Any) -> None:
        if isinstance(result, Failure):
            result.printTraceback(sys.stderr)
        else:
            reports.append(result)
        reactor.stop()

    def begin() -> None:
        Deferred.fromCoroutine(fuzz(directory, options.seed, options.count, findings)).addBoth(done)  # type: ignore[unused-awaitable]  # done() stops the reactor

    reactor.callWhenRunning(begin)
    reactor.run()
    signal.signal(signal.SIGUSR1, signal.SIG_DFL)
    shutil.rmtree(directory, ignore_errors=True)
    for example in findings.examples.values():
        sys.stderr.write(f"{example}\n")
    for report in reports:
        sys.stdout.write(json.dumps(report, indent=1) + "\n")
    good = reports and not findings.kinds and reports[0]["honest_builds"] == reports[0]["honest_builds_succeeded"]
    sys.exit(0 if good else 1)


if __name__ == "__main__":
    main()
