"""
Hostile peers against a real master: a small part of what ``make hostile`` measures.
"""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import Coroutine
from random import Random
from typing import Any, TypeVar

from buildbot_lite.wire.tub import raise_file_limit

from ..processes.farm import (
    PATIENCE,
    Farm,
    rss,
)
from ..processes.farm_case import FarmCase
from .connections import (
    BEHAVIOURS,
    Flood,
    Key,
    connected,
    to_tokens,
)
from .inputs import Conversation, FurlsToTry
from .measure import (
    MIB,
    all_at_once,
    calling_without_end,
    one_by_one,
    swissnum_of,
    target_of,
)

T = TypeVar("T")

MOST_FOR_ONE = 8
MOST_FOR_ALL = 300
ALL = 4096
SOME = 200


def run_in_loop(work: Coroutine[Any, Any, T]) -> T:
    """
    Run *work*, a coroutine of asyncio, and return its result.
    """
    return asyncio.run(work)


class HostileTests(FarmCase):
    @classmethod
    def make(cls) -> Farm:
        raise_file_limit()
        farm = Farm("bot1", "evil").builder("foo", "echo hello").builder("bar", "true", more="slavenames=['evil']")
        farm.slave_options["evil"] = "pin=False"
        farm.may_complain = True
        return farm

    @classmethod
    def begin(cls) -> None:
        cls.farm.write_config()
        cls.farm.start_master()
        cls.farm.start_slave("bot1")
        # Memory that a master allocates once, for the first connection of any kind.
        target, pid = target_of(cls.farm), cls.farm.master.pid
        run_in_loop(one_by_one(target, ["garbage", "endless-calls"], pid, Key.new(), seconds=0.5))

    def assertBuilds(self) -> None:
        """
        Check that the slave's link was never lost, and that builds succeed.
        """
        self.assertNotIn("bot1: connection lost", self.farm.master.log)
        done = self.farm.submit("foo")
        self.assertEqual((done.code, done.out), (0, b"hello\n"), done.err)

    def test_one(self) -> None:
        """
        Promise 3.11: each behaviour of one unauthenticated peer, repeated, costs the master at most 8 MiB.
        """
        target, pid = target_of(self.farm), self.farm.master.pid
        grown = run_in_loop(one_by_one(target, list(BEHAVIOURS), pid, Key.new(), seconds=0.7))
        self.assertEqual({name: mib for name, mib in grown.items() if mib > MOST_FOR_ONE}, {})
        self.assertBuilds()

    def test_many(self) -> None:
        """
        Promise 3.11: many unauthenticated peers of all kinds at once cost the master at most their share of 300 MiB.
        """
        target, pid = target_of(self.farm), self.farm.master.pid
        keys = [Key.new() for _ in range(40)]
        grown = run_in_loop(all_at_once(target, list(BEHAVIOURS), pid, keys, most=SOME, seconds=6))
        self.assertLessEqual(grown, MOST_FOR_ONE + MOST_FOR_ALL * SOME / ALL)
        self.assertBuilds()

    def test_attack(self) -> None:
        """
        Promise 3.12: during a flood of unauthenticated connections builds continue, no link is lost, and a slave
        attaches.
        """

        async def attack() -> int:
            flood = Flood(target_of(self.farm), 100, (Key.new(), Key.new()))
            daemon = self.farm.spawn_slave("evil")
            client = self.farm.submitting("foo")
            behaviours = [name for name in BEHAVIOURS if name != "many-records"]
            going_on = flood.keep_up(
                behaviours, lambda: client.process.poll() is not None and daemon.ready in daemon.log
            )
            return await asyncio.wait_for(going_on, PATIENCE)

        self.assertGreater(run_in_loop(attack()), 0)
        self.farm.slave("evil").stop()
        self.assertBuilds()

    def test_endless_calls_of_a_slave(self) -> None:
        """
        Promise 3.14: while a slave makes valid calls without end, the builds of others continue.
        """
        with calling_without_end(self.farm, "evil") as ended:
            self.assertBuilds()
            self.assertGreater(ended(), 0)

    def test_fuzz_through_tls(self) -> None:
        """
        Promise 3.13: a master under twistd survives hostile inputs through TLS and the network, and continues to build.
        """
        strings = FurlsToTry(
            swissnum_of(self.farm, "evil"), [swissnum_of(self.farm, "bar"), swissnum_of(self.farm, "foo")]
        )
        target, key, random = target_of(self.farm), Key.new(), Random(7)

        async def fuzz() -> None:
            for _ in range(60):
                async with connected(target) as connection:
                    await to_tokens(connection, target, key)
                    for each in Conversation(random, strings).inputs:
                        await connection.send(each)
                        await asyncio.sleep(0.002)

        run_in_loop(fuzz())
        self.assertLess(rss(self.farm.master.pid) / MIB, 200)
        self.assertNotIn("Traceback", self.farm.master.log)
        self.assertBuilds()


class FuzzTests(FarmCase):
    @classmethod
    def setUpClass(cls) -> None:
        """
        Start no farm: the fuzzer runs its own master.
        """

    def test_a_few_thousand(self) -> None:
        """
        Promise 3.13: hostile inputs of strangers, slaves and submitters to a whole master: honest builds succeed, no
        exception reaches the log, and memory stays bounded.
        """
        words = [sys.executable, "-m", "test.hostile.fuzz", "--seed", "5", "--count", "3000"]
        # The directory in which the package "test" is ours, not the standard library's.
        checkout = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
        done = subprocess.run(words, capture_output=True, text=True, check=False, cwd=checkout)
        self.assertEqual(done.returncode, 0, done.stderr[-5000:])
        report = json.loads(done.stdout)
        self.assertGreaterEqual(report["inputs"], 3000)
        self.assertLess(report["memory_grown_mib"], 32)
