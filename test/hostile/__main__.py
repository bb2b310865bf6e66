"""
All measurements of hostile connections: ``make hostile``, or ``python -m test.hostile [PART…]``.

*memory*: each behaviour alone, then 4096 connections of each, with a new master for each.  *flood*: builds, links and
the time of an attach, under 500 hostile connections a second.  *calls*: builds while a slave makes calls without end.
*queries*: builds while clients with watch FURLs send queries without end.  *fuzz*: a million inputs.  Each result is
one line of JSON.
"""

import argparse
import asyncio
import itertools
import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from buildbot_lite.wire.limits.cpu_share import SLOWED
from buildbot_lite.wire.tub import raise_file_limit

from ..processes.farm import (
    Client,
    Farm,
    rss,
)
from .connections import BEHAVIOURS, Key
from .measure import (
    MIB,
    all_at_once,
    calling_without_end,
    one_by_one,
    target_of,
)

ALL = 4096
# Behaviours that keep their connection as long as the master allows; the others end at once.
PATIENT = (
    "half-hello", "half-handshake", "half-certificate", "tls-and-mute", "dripping", "patient", "half-message",
    "endless-calls-unread",
)  # fmt: skip
RATE = 500
BUILDS = 100
ROUNDS = 3
ELSEWHERE = "127.0.0.2"
SLAVES_OWN = "127.0.0.1"
PARTS = ["memory", "flood", "calls", "queries", "fuzz"]


def say(**what: Any) -> None:
    """
    Print one result as a line of JSON.
    """
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


def fresh() -> Farm:
    """
    Run a farm with a new master.
    """
    farm = Farm("bot1", "bot2").builder("foo", "true")
    farm.may_complain = True
    farm.write_config()
    farm.start_master()
    return farm


def memory(most: int) -> None:
    """
    Measure the memory that unauthenticated connections cost.
    """
    keys = [Key.new() for _ in range(most)]
    with fresh() as farm:
        target, pid = target_of(farm), farm.master.pid
        asyncio.run(one_by_one(target, ["garbage", "endless-calls"], pid, keys[0], seconds=2))
        grown = asyncio.run(one_by_one(target, list(BEHAVIOURS), pid, keys[0], seconds=3))
        say(what="memory of one", mib={name: round(each, 2) for name, each in grown.items()})
    for behaviours in (*([name] for name in PATIENT if name in BEHAVIOURS), list(BEHAVIOURS)):
        with fresh() as farm:
            target, pid = target_of(farm), farm.master.pid
            asyncio.run(one_by_one(target, ["garbage", "endless-calls"], pid, keys[0], seconds=2))
            grown_by = asyncio.run(all_at_once(target, behaviours, pid, keys, most=most, seconds=30))
            kind = behaviours[0] if len(behaviours) == 1 else "all kinds"
            say(what="memory of many", kind=kind, connections=most, mib=round(grown_by, 1))


@contextmanager
def busy_farm(other: str, options: str = "") -> Iterator[Farm]:
    """
    Run a farm with two slaves that build, and the slave *other*, with its *options*, which is not started.
    """
    farm = Farm("bot1", "bot2", other)
    farm.may_complain = True
    farm.slave_options[other] = options
    names = [f"b{number}" for number in range(BUILDS)]
    for name in names:
        farm.builder(name, "true", submit=None, more="slavenames=['bot1', 'bot2']")
    trigger = "steps.Trigger(schedulerNames=['many'], waitForFinish=True)"
    farm.builder("together", trigger, submit=None, more="slavenames=['bot1', 'bot2']")
    farm.config(
        "c.setdefault('schedulers', []).extend([schedulers.ForceScheduler(name='force', builderNames=['together']),"
        f" schedulers.Triggerable(name='many', builderNames={names!r})])\n"
    )
    with farm:
        farm.write_config()
        farm.start_master()
        for name in ("bot1", "bot2"):
            farm.start_slave(name)
        yield farm


def flood() -> None:
    """
    Measure the throughput of builds during a flood of connections.
    """
    with busy_farm("late") as farm:
        throughput(farm)
        for behaviours, here in itertools.product(
            (["mute"], ["half-handshake"], ["patient"], list(BEHAVIOURS)), (ELSEWHERE, SLAVES_OWN)
        ):
            quiet, attacked, came, attach = [], [], [], []
            for _ in range(ROUNDS):
                quiet.append(throughput(farm))
                rate, number, attached = under_attack(farm, here, behaviours)
                attacked.append(rate)
                came.append(number)
                attach.append(attached)
            say(
                what="flood",
                kind=behaviours[0] if len(behaviours) == 1 else "all kinds",
                come_from="elsewhere" if here == ELSEWHERE else "the slaves' own address",
                builds_per_second_quiet=[round(each, 1) for each in quiet],
                builds_per_second_attacked=[round(each, 1) for each in attacked],
                kept=round(sorted(attacked)[ROUNDS // 2] / sorted(quiet)[ROUNDS // 2], 2),
                hostile_per_second=[round(each) for each in came],
                seconds_to_attach=[round(each, 1) for each in attach],
                links_lost=farm.master.log.count("bot1: connection lost")
                + farm.master.log.count("bot2: connection lost"),
                master_mib=round(rss(farm.master.pid) / MIB),
            )


def call_flood() -> None:
    """
    Measure the throughput of builds while a slave makes calls without end.
    """
    with busy_farm("evil", "pin=False") as farm:
        throughput(farm)
        quiet, attacked, answered = [], [], []
        for _ in range(ROUNDS):
            quiet.append(throughput(farm))
            with calling_without_end(farm, "evil") as ended:
                attacked.append(throughput(farm))
                answered.append(ended())
        say(
            what="greedy",
            builds_per_second_quiet=[round(each, 1) for each in quiet],
            builds_per_second_attacked=[round(each, 1) for each in attacked],
            kept=round(sorted(attacked)[ROUNDS // 2] / sorted(quiet)[ROUNDS // 2], 2),
            its_calls_per_second=[round(each) for each in answered],
            links_lost=farm.master.log.count("connection lost"),
            times_said=farm.master.log.count(SLOWED),
        )


def query_flood() -> None:
    """
    Measure the throughput of builds while clients with a watch FURL send queries without end, two hundred at a time.
    """
    with busy_farm("other") as farm:
        furl = farm.command("grant", "watch", str(farm.master_directory)).out.decode().split()[-1]
        for _ in range(3):
            throughput(farm)
        for question in ({"ask": "builds", "most": 1000}, {"ask": "status"}):
            quiet, attacked, answered = [], [], []
            for _ in range(ROUNDS):
                quiet.append(throughput(farm))
                with queries_without_end(furl, question) as ended:
                    attacked.append(throughput(farm))
                    answered.append(ended())
            say(
                what="asking",
                question=question["ask"],
                builds_per_second_quiet=[round(each, 1) for each in quiet],
                builds_per_second_attacked=[round(each, 1) for each in attacked],
                kept=round(sorted(attacked)[ROUNDS // 2] / sorted(quiet)[ROUNDS // 2], 2),
                answered_and_refused_per_second=answered,
                master_mib=round(rss(farm.master.pid) / MIB),
            )


@contextmanager
def queries_without_end(furl: str, question: Mapping[str, Any]) -> Iterator[Callable[[], str]]:
    """
    Start a client that sends *question* without end; return a function that ends it and returns its output.
    """
    script = [sys.executable, "-m", "test.hostile.queries", json.dumps(question), "200"]
    attack = subprocess.Popen(script, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert attack.stdin is not None
    assert attack.stdout is not None
    stdin, stdout = attack.stdin, attack.stdout
    stdin.write(f"{furl}\n")
    stdin.flush()
    stdout.readline()

    def ended() -> str:
        stdin.close()
        return stdout.readline().strip()

    try:
        yield ended
    finally:
        stdin.close()
        attack.wait(60)
        stdout.close()


def throughput(farm: Farm) -> float:
    """
    Return the builds per second.
    """
    client = building(farm)
    return rate_of(farm, client)


def building(farm: Farm) -> Client:
    """
    Submit a hundred builds, without the stock client, which would wait in the handshake queue.
    """
    return farm.client("buildbot-lite", "force", str(farm.master_directory), "together", "--wait")


def rate_of(farm: Farm, client: Client) -> float:
    """
    Return the rate of *client*'s last hundred builds, per second, from the records.
    """
    done = client.wait(600)
    assert done.code == 0, done.err
    ((first, last),) = farm.rows(
        "select min(started), max(finished) from"
        " (select * from builds where builder != 'together' order by id desc limit ?)",
        BUILDS,
    )
    return float(BUILDS / (last - first))


def under_attack(farm: Farm, here: str, behaviours: Sequence[str]) -> tuple[float, float, float]:
    """
    Return the throughput during the attack, the hostile connections per second, and the seconds until a slave had
    attached.
    """
    target = str(farm.port), target_of(farm).tub_id
    script = [sys.executable, "-m", "test.hostile.attack", *target, str(RATE), here, *behaviours]
    attack = subprocess.Popen(script, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert attack.stdin is not None
    assert attack.stdout is not None
    attack.stdout.readline()
    time.sleep(2)
    began = time.monotonic()
    late = farm.spawn_slave("late")
    client = building(farm)
    attached = None
    while client.process.poll() is None or attached is None:
        time.sleep(0.02)
        if attached is None and late.ready in late.log:
            attached = time.monotonic() - began
        assert time.monotonic() - began < 600
    attack.stdin.close()
    came = float(attack.stdout.readline())
    attack.wait()
    late.stop()
    return rate_of(farm, client), came, attached


def main() -> None:
    """
    Run the parts named on the command line.
    """
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("parts", nargs="*", default=PARTS, choices=PARTS)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--count", type=int, default=1_000_000)
    parser.add_argument("--most", type=int, default=ALL)
    options = parser.parse_args()
    raise_file_limit()
    if "memory" in options.parts:
        memory(options.most)
    if "flood" in options.parts:
        flood()
    if "calls" in options.parts:
        call_flood()
    if "queries" in options.parts:
        query_flood()
    if "fuzz" in options.parts:
        words = ["-m", "test.hostile.fuzz", "--seed", str(options.seed), "--count", str(options.count)]
        os.execv(sys.executable, [sys.executable, *words])


if __name__ == "__main__":
    main()
