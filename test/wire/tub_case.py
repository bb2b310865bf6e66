"""
A test case with Tubs that speak real TLS over the loopback interface.
"""

import gc
import time
from collections.abc import Awaitable, Callable
from typing import Any

from foolscap.api import flushEventualQueue
from twisted.internet import reactor  # noqa: TID251 - these tests use the network
from twisted.internet.defer import Deferred
from twisted.internet.task import deferLater
from twisted.trial.unittest import TestCase

from buildbot_lite.wire.certificate import new_certificate
from buildbot_lite.wire.furl import build
from buildbot_lite.wire.tub import (
    Lookup,
    Tub,
    TubListener,
    make_tub,
)

SWISSNUM = "a" * 32

LONGEST_WAIT = 120.0
# One pair of keys for all tests, because key generation is slow and not what these tests check.
FARM_KEY = new_certificate()
SLAVE_KEY = new_certificate()


async def turn() -> None:
    """
    Wait for one iteration of the reactor.
    """
    await deferLater(reactor, 0)


async def until(true: Callable[[], bool]) -> None:
    """
    Wait, one reactor iteration after another, until *true* returns true, for at most `LONGEST_WAIT` seconds.
    """
    deadline = time.monotonic() + LONGEST_WAIT
    while not true():
        assert time.monotonic() < deadline, f"the condition did not become true within {LONGEST_WAIT:.0f} s"
        await deferLater(reactor, 0.0005)


def nothing(swissnum: str) -> None:
    """
    A lookup that finds no object.
    """


def with_reactor(test: Callable[..., Awaitable[None]]) -> Callable[..., Deferred[Any]]:
    """
    Decorate a test method that is a coroutine.
    """

    def run(self: TestCase) -> Deferred[Any]:
        return Deferred.fromCoroutine(test(self))  # type: ignore[arg-type]  # a coroutine, as every async def

    run.__doc__ = test.__doc__
    run.__name__ = test.__name__
    return run


class TubTestCase(TestCase):
    """
    Stops the Tubs of a test when it ends.
    """

    timeout = 2 * LONGEST_WAIT

    def setUp(self) -> None:
        self.tubs: list[Tub] = []

    def tearDown(self) -> Deferred[Any]:  # type: ignore[override]  # trial waits for it
        return Deferred.fromCoroutine(self._stop())

    async def _stop(self) -> None:
        for tub in reversed(self.tubs):
            if tub.running:
                await tub.stopService()
        gc.collect()
        await flushEventualQueue()

    def tub(self, key: bytes | None = None, lookup: Lookup | None = None) -> Tub:
        """
        Start a Tub.
        """
        tub = make_tub(reactor, key or new_certificate(), lookup)
        tub.startService()
        self.tubs.append(tub)
        return tub

    def listening(self, lookup: Lookup, key: bytes = FARM_KEY) -> tuple[Tub, TubListener]:
        """
        Start a Tub that listens.
        """
        tub = self.tub(key, lookup)
        return tub, tub.listen("tcp:0:interface=127.0.0.1")

    def furl(self, tub: Tub, listener: TubListener, swissnum: str = SWISSNUM) -> str:
        """
        Return the FURL of *swissnum* at a listening Tub.
        """
        return build(tub.tub_id, [f"tcp:127.0.0.1:{listener.port}"], swissnum)
