"""
Many idle slaves in one process, each with its own Tub; they connect as real slaves do.

    crowd.py buildslave.furls     prints a line when its keys are made, waits for one, attaches all, prints the seconds
"""

import json
import re
import sys
import time
from pathlib import Path

from attrs import define
from twisted.internet import defer, task

from buildbot_lite import __version__
from buildbot_lite.model.hello import Hello
from buildbot_lite.wire.certificate import new_certificate
from buildbot_lite.wire.reconnecting import connect
from buildbot_lite.wire.tub import make_tub, raise_file_limit


class IdleSlave:
    """
    A `roles.Slave` that never gets a command.
    """

    def drop(self, reason):
        pass

    def when_lost(self, callback):
        pass


@define
class Attaching:
    left: int
    all_here: defer.Deferred


async def attach_all(reactor, furls):
    raise_file_limit()
    reactor.seconds = time.monotonic
    tubs = [make_tub(reactor, new_certificate()) for _ in furls]
    for tub in tubs:
        tub.startService()
    attaching = Attaching(len(furls), defer.Deferred())
    print("ready", flush=True)
    sys.stdin.readline()
    began = time.monotonic()

    def here(welcome):
        attaching.left -= 1
        if not attaching.left:
            attaching.all_here.callback(None)

    def on_desk(name, desk, link):
        hello = Hello(name.encode().hex(), "1", "1", "boot", __version__, space=1 << 40)
        desk.attach(IdleSlave(), hello, "").addCallbacks(here, lambda failure: print(failure, file=sys.stderr))

    for (name, furl), tub in zip(furls, tubs, strict=True):
        connect(
            tub,
            furl,
            (),
            lambda desk, link, name=name: on_desk(name, desk, link),
            lambda error: print(error, file=sys.stderr),
        )
    await attaching.all_here
    print(json.dumps({"attach_s": time.monotonic() - began}), flush=True)
    await defer.Deferred()


furls = re.findall(r"^(\w+) (pb://\S+)$", Path(sys.argv[1]).read_text(), re.MULTILINE)
task.react(lambda reactor: defer.Deferred.fromCoroutine(attach_all(reactor, furls)))
