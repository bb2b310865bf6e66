"""
Counts what the measured master does, by wrapping the functions that do it.  Imported only when a measure asks: counting
costs time.
"""

import collections
import json

import commits
import foolscap.broker
import foolscap.eventual
from twisted.internet import reactor  # noqa: TID251 - of the process that is measured
from twisted.internet.defer import Deferred
from twisted.protocols.tls import TLSMemoryBIOProtocol

_found = collections.Counter()


def counts():
    return {"commits": commits.total(), **_found}


def _count(owner, name, label):
    plain = getattr(owner, name)

    def counted(*arguments, **more):
        _found[label] += 1
        return plain(*arguments, **more)

    setattr(owner, name, counted)


_count(foolscap.broker.Broker, "newRequestID", "calls to slaves")
_count(foolscap.broker.Broker, "scheduleCall", "calls from slaves")
_count(TLSMemoryBIOProtocol, "dataReceived", "reads from TLS")
_count(json.JSONEncoder, "encode", "JSON encoded")
_count(json.JSONDecoder, "decode", "JSON decoded")
_count(reactor, "callLater", "timers")
_count(reactor, "callFromThread", "calls between threads")
_count(Deferred, "__init__", "Deferreds")
_count(type(foolscap.eventual._theSimpleQueue), "append", "eventual sends")
