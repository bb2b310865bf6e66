"""
A service in the measured master's process: one JSON request per connection on a UNIX socket.

It submits builds and reports their ends, as ``benchsvc.py`` does inside Buildbot's master, so that both are timed at
the same two places.
"""

import json
import os
import time

import commits
from twisted.application.service import IServiceCollection, Service
from twisted.internet import endpoints, protocol
from twisted.internet.defer import Deferred, gatherResults
from twisted.protocols.basic import LineReceiver


class _Requests(LineReceiver):
    delimiter = b"\n"
    MAX_LENGTH = 1 << 20

    def lineReceived(self, line):
        request = json.loads(line)
        work = getattr(self.factory.control, "do_" + request.pop("cmd"))
        Deferred.fromCoroutine(work(**request)).addCallbacks(
            self._answer, lambda failure: self._answer({"error": failure.getTraceback()})
        )

    def _answer(self, document):
        self.sendLine(json.dumps(document).encode())
        self.transport.loseConnection()


class _Factory(protocol.Factory):
    protocol = _Requests

    def __init__(self, control):
        self.control = control


class Control(Service):
    def __init__(self, master, path):
        self._master = master
        self._path = path
        self._turns = None

    def startService(self):
        from twisted.internet import reactor  # noqa: TID251 - of the process that is measured

        if os.path.exists(self._path):
            os.unlink(self._path)
        endpoints.UNIXServerEndpoint(reactor, self._path).listen(_Factory(self))

    @property
    def _farm(self):
        return self._master._farm

    async def do_ping(self):
        master = self._master
        return {"ok": bool(master._maintenance is not None and master._tub.running)}

    async def do_slaves(self):
        if self._farm is None:
            return {"connected": 0}
        return {"connected": sum(member.session.hello is not None for member in self._farm.slaves.everyone())}

    async def do_submit(self, builder, n=1):
        forcing, requests = self._farm.forcing, self._farm.requests
        before = time.monotonic()

        async def one(number):
            submitted = await forcing.force(builder, {}, f"bench {number}")
            result = await requests.when_finished(submitted.buildset.id)
            return int(result), time.monotonic()

        done = await gatherResults([Deferred.fromCoroutine(one(number)) for number in range(n)])
        return {"wall_s": max(at for _, at in done) - before, "results": [result for result, _ in done]}

    async def do_begin(self, builder):
        """
        Submit a build, whose end is not waited for.
        """
        await self._farm.forcing.force(builder, {}, "bench")
        return {}

    async def do_changes(self, n, branches):
        from buildbot_lite.model.change import Change

        recorder = self._farm.changes
        given = [
            Change(
                author="A <a@example.org>",
                source="bench",
                branch=f"b{number % branches}",
                revision=f"{number:040x}",
                files=("a",),
            )
            for number in range(n)
        ]
        await gatherResults([Deferred.fromCoroutine(recorder.add([change])) for change in given])
        return {}

    async def do_count(self, table):
        from sqlalchemy import func, select

        from buildbot_lite.storage.schema import metadata

        counting = select(func.count()).select_from(metadata.tables[table])
        return {"rows": await self._farm.records.read(lambda connection: connection.execute(counting).scalar_one())}

    async def do_commits(self):
        return {"commits": commits.total()}

    async def do_longest_turn(self):
        """
        The longest time for which the reactor did not come round since the last call.
        """
        if self._turns is None:
            self._turns = _Turns()
        return {"seconds": self._turns.take()}

    async def do_counts(self):
        """
        Answer how often the master has done what a build is made of; counting begins with the first request.
        """
        import counting

        return counting.counts()

    async def do_collect(self):
        import gc

        gc.collect()
        return {}


class _Turns:
    """
    Looks at the clock every few milliseconds, and keeps the longest time between two looks.
    """

    EVERY = 0.005

    def __init__(self):
        self._longest = 0.0
        self._last = time.monotonic()
        self._look()

    def _look(self):
        from twisted.internet import reactor  # noqa: TID251 - of the process that is measured

        now = time.monotonic()
        self._longest = max(self._longest, now - self._last)
        self._last = now
        reactor.callLater(self.EVERY, self._look)

    def take(self):
        longest, self._longest = max(self._longest, time.monotonic() - self._last), 0.0
        return longest


def beside(application, path):
    """
    Add the service to *application*, in a master.tac.
    """
    services = IServiceCollection(application)
    Control(next(iter(services)), path).setServiceParent(services)
