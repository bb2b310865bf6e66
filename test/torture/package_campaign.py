"""
Packages under random failures: submissions, the verbs of people and of signers, and another writer in a repository.

    .venv/bin/python -m test.torture.package_campaign [--seed N] [--minutes M]
"""

import argparse
import fcntl
import os
import random
import re
import sqlite3
import sys
import time
from contextlib import ExitStack, suppress
from random import Random

from attrs import define, field

from test.needs import lacking
from test.processes.farm import Client, can_mount, until

from . import schedules
from .campaign import END, MOST_AT_ONCE, Campaign
from .package_farm import BAD, FROM_GIT, GOOD, LONGEST_PAUSE, OPEN, RPMS, SIGNED, TARGETS, Package, PackageFarm
from .package_oracle import LOSSES, judge_packages
from .schedules import FAULTS, Event
from .tortured_farm import GRACE
from .verdict import Verdict

LEFT_OUT = ("reconfigure", "edit-and-kill-master", "partition")
"""Faults that have nothing to do with packages."""
VERBS = (
    "kill", "kill", "requeue", "requeue", "finish", "pause", "sign", "sign", "push", "push", "writer", "signer", "git",
)  # fmt: skip
PROGRAMS = ("apt-ftparchive", "createrepo_c", "dpkg-buildpackage", "gpg", "gpgv", "rpmbuild")
ARCHIVE, GIT = "archive", "git"
LATE = 10.0
"""Seconds by which a busy machine may make room on a disk later than planned."""
GOING = ("initialize", "checkout", "make_srpm", "prep", "repowait", "needsign", "building")
"""States in which a job that could not go on has a reason, and can be tried again."""
PATIENCE = {"repowait": 2 * LONGEST_PAUSE, "needsign": 2 * LONGEST_PAUSE}
"""By state: the seconds in which a job goes on by itself when the disk that was full has room again: after its target's
longest pause, and the same for its attempt on a busy machine."""
_ACKNOWLEDGED = re.compile(r"^# job (\d+): (\S+) (?:at )?(\S+) for (\w+)", re.MULTILINE)


def package_schedule(seed: int, minutes: float) -> list[Event]:
    """
    The schedule of *seed*::

        0.0 package open p1 1.0 good 0.5 git  target, name, version, kind, seconds that a build takes, way
        3.0 chain rpms p1 2.0 good bad 0.5    target, name of the first, version and kinds of both, seconds
        7.5 people kill 3                     of the jobs, the one with that number modulo their count
        9.0 people pause open 12.0            target, seconds
        9.5 people writer open 12.0           another program has the repository for that long
        9.9 people signer 12.0                the program that signs is killed, and away for that long
        9.9 people git 3.0                    the git server answers nobody for that long
    """
    chooser, length = Random(seed), 60 * minutes
    kinds = [fault for fault in FAULTS if fault.name not in LEFT_OUT]
    events: list[Event] = []
    at, number = 0.0, 0
    while at < length:
        number += 1
        target = chooser.choice((*TARGETS, OPEN))
        name, version = f"p{seed}x{chooser.randint(1, 4)}{target}", f"{number}.0{'-1' if target == RPMS else ''}"
        seconds = f"{chooser.uniform(0.1, 4.0):.1f}"
        first, second = (chooser.choice((GOOD, GOOD, GOOD, GOOD, BAD)) for _ in range(2))
        if chooser.random() < 0.25:
            events.append(Event(at, "chain", (target, name, version, first, second, seconds)))
        else:
            way = chooser.choice((ARCHIVE, GIT)) if target in FROM_GIT else ARCHIVE
            events.append(Event(at, "package", (target, name, version, first, seconds, way)))
        at += chooser.uniform(3.0, 9.0)
    at = 4.0
    while at < length:
        verb = chooser.choice(VERBS)
        more: tuple[str, ...] = (str(chooser.randint(0, 1000)),)
        if verb in ("pause", "writer"):
            more = (chooser.choice(TARGETS), f"{chooser.uniform(2, 15):.1f}")
        elif verb in ("signer", "git"):
            more = (f"{chooser.uniform(1, 8):.1f}",)
        events.append(Event(at, "people", (verb, *more)))
        at += chooser.uniform(1.0, 6.0)
    at = chooser.uniform(3.0, 6.0)
    while at < length:
        (fault,) = chooser.choices(kinds, [fault.weight for fault in kinds])
        events.append(schedules._event(chooser, at, fault, length))
        at += chooser.choice((0.3, chooser.uniform(4.0, 12.0), chooser.uniform(8.0, 20.0)))
    return sorted(events, key=lambda event: event.at)


@define
class PackageCampaign(Campaign):
    """
    A schedule with packages in progress.  *submitted*: the kind of each.  *full*: when a disk began to be full, and
    when it ended, in seconds since 1970.  *left_alone*: what is to be said of each job that should have gone on by
    itself, and did only when people requeued it.
    """

    submitted: dict[Package, str] = field(factory=dict)
    full: list[tuple[float, float]] = field(factory=list)
    left_alone: list[str] = field(factory=list)
    _signer: Client | None = None
    _stuck: dict[tuple[int, str], float] = field(factory=dict)

    @property
    def packages(self) -> PackageFarm:
        """
        The farm.
        """
        assert isinstance(self.farm, PackageFarm)
        return self.farm

    def run(self, events: list[Event]) -> None:
        self.packages.grant_strings()
        self._signer_up()
        self.inject(events)
        self.mend()

    def mend(self) -> None:
        """
        Repair everything, and wait until every job has ended, or waits for a signature.
        """
        for proxy in self.farm.proxies.values():
            proxy.throttle(None)
        try:
            # First of all: the master may have been away when a pause was to end, and clients wait for that.
            for target in TARGETS:
                until(lambda target=target: self._unpaused(target), f"{target} is not paused", END)  # type: ignore[misc]
            until(self._all_told, "every client was told, or gave up", END)
            if not self.acknowledged():
                # No submission was acknowledged: submit one more.
                self.packages.settle()
                self._do_package(OPEN, "late", "1.0", GOOD, "0.1", ARCHIVE)
                until(self._all_told, "the last client was told", END)
            until(self._settled, "every job has ended, or waits for a signature", END)
        except AssertionError as error:
            error.add_note(self._job_states())
            raise

    def _do_package(self, target: str, name: str, version: str, kind: str, seconds: str, way: str) -> None:
        if self._busy():
            return
        package = Package(target, name, version)
        self.submitted[package] = kind
        self.injected[f"package-{way}"] += 1
        if way == GIT:
            data = self.packages.tag(package, kind, seconds)
        else:
            data = self.packages.archive(self.packages.source(package, kind, seconds))
        self.clients[f"{name}-{version}"] = self.farm.submitting(target, data)

    def _do_chain(self, target: str, name: str, version: str, first: str, second: str, seconds: str) -> None:
        if self._busy():
            return
        chain = {Package(target, name, version): first, Package(target, f"{name}after", version): second}
        self.submitted |= chain
        files = [self.packages.source(package, kind, seconds) for package, kind in chain.items()]
        self.clients[f"{name}-{version}"] = self.packages.chain(target, files)

    def _do_fill_disk(self, whose: str, seconds: str) -> None:
        began = time.time()
        super()._do_fill_disk(whose, seconds)
        self.full.append((began, began + float(seconds) + LATE))

    def _busy(self) -> bool:
        going = sum(client.process.poll() is None for client in self.clients.values())
        return going >= MOST_AT_ONCE or not self.farm.master.alive

    def _signer_up(self) -> None:
        if self._signer is None or self._signer.process.poll() is not None:
            self._signer = self.packages.watch_signing()

    def _signer_away(self, seconds: str) -> None:
        if self._signer is not None:
            self._signer.process.kill()
        self._after(seconds, self._signer_up)

    def _git_away(self, seconds: str) -> None:
        away = ExitStack()
        away.enter_context(self.packages.git.held())
        self._after(seconds, away.close)

    def _do_people(self, verb: str, *words: str) -> None:
        self.injected[f"people-{verb}"] += 1
        if verb == "signer":
            self._signer_away(*words)
        elif verb == "git":
            self._git_away(*words)
        elif not self.farm.master.alive:
            return
        elif verb == "pause":
            target, seconds = words
            self.packages.verb("pause", target)
            self._after(seconds, lambda: self.packages.verb("unpause", target))  # type: ignore[arg-type]
        elif verb == "writer":
            self._hold(*words)
        elif verb == "sign":
            self.packages.sign()
        elif verb == "push":
            self.packages.verb("push", "--all", by=f"push {SIGNED}")
        elif jobs := self._jobs():
            number, _ = jobs[int(words[0]) % len(jobs)]
            self.packages.verb(verb, str(number))

    def _hold(self, target: str, seconds: str) -> None:
        lock = self.packages.target_place(target) / "lock"
        if not lock.exists():
            return
        descriptor = os.open(lock, os.O_RDWR | os.O_CLOEXEC)
        with suppress(BlockingIOError):
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        self._after(seconds, lambda: os.close(descriptor))

    def _jobs(self) -> list[tuple[int, str]]:
        with suppress(sqlite3.OperationalError):
            return [(id, state) for id, state in self.farm.rows("select id, state from package_jobs order by id")]
        return []

    def _unpaused(self, target: str) -> bool:
        self._all_up()
        return self.packages.verb("unpause", target).wait(60).code == 0

    def _settled(self) -> bool:
        self._all_up()
        self._signer_up()
        with suppress(sqlite3.OperationalError):
            rows = self.farm.rows("select id, target, state, reason from package_jobs where finished is null")
            going = [row for row in rows if (row[1], row[2]) != (SIGNED, "needsign")]
            now = time.monotonic()
            for id, _, state, reason in going:
                # What could not go on says why, and is tried again by people; a full disk is none of their business.
                if not reason or state not in GOING:
                    continue
                if now - self._stuck.setdefault((id, state), now) >= PATIENCE.get(state, 0.0):
                    if state == "repowait":
                        self.left_alone.append(f"job {id} stayed in {state}: {reason}")
                    self.packages.verb("requeue", str(id)).wait(60)
            arches = self.farm.rows(
                "select a.state from package_job_arches a where a.state not in ('done', 'failed', 'killed', 'skipped')"
            )
            time.sleep(0.5)
            return not going and not arches
        return False

    def _job_states(self) -> str:
        """
        All jobs, and the end of the log of each process.
        """
        said = [str(row) for row in self.farm.rows("select id, target, name, version, state, reason from package_jobs")]
        said += [str(row) for row in self.farm.rows("select * from package_job_arches")]
        for name in ("master", *self.farm.slaves):
            said += [f"--- {name}", *self.farm.daemon(name).log.splitlines()[-60:]]
        return "\n".join(said)

    def acknowledged(self) -> dict[int, Package]:
        """
        The packages whose submitters were told the number of their job, by that number.
        """
        return {
            int(number): Package(target, name, version)
            for client in self.clients.values()
            for number, name, version, target in _ACKNOWLEDGED.findall(client.err)
        }


def torture_packages(seed: int, minutes: float, *, loud: bool = False, grace: float = GRACE) -> tuple[Verdict, str]:
    """
    Run the schedule of *seed* against a new farm; the verdict, and a table for people.
    """

    def say(text: str) -> None:
        if loud:
            sys.stdout.write(f"[{time.strftime('%H:%M:%S')}] {text}\n")
            sys.stdout.flush()

    with PackageFarm(disks=can_mount(), grace=grace) as farm:
        farm.start()
        campaign = PackageCampaign(farm, say)
        campaign.run(package_schedule(seed, minutes))
        verdict = judge_packages(farm, campaign.submitted, campaign.acknowledged(), campaign.full)
        for sentence in campaign.left_alone:
            verdict.note("ends", False, sentence)
        lines = [f"  {count:5} {name}" for name, count in sorted(campaign.injected.items())]
        failed = farm.rows("select id, name, version, reason from package_jobs where state = 'failed'")
        lines += ["failed:", *(f"  job {job}, {name} {version}: {reason}" for job, name, version, reason in failed)]
        if verdict.lost:
            say(f"the master's log:\n{farm.master.log_path.read_text(errors='replace')}\n{campaign._job_states()}")
        return verdict, "\n".join(["injected:", *lines, "", *verdict.lines(LOSSES)])


def main() -> int:
    """
    Run the program.
    """
    parser = argparse.ArgumentParser(prog="python -m test.torture.package_campaign")
    parser.add_argument("--seed", type=int, default=random.SystemRandom().randrange(1_000_000))
    parser.add_argument("--minutes", type=float, default=4.0)
    options = parser.parse_args()
    if sentence := lacking(*PROGRAMS):
        sys.stdout.write(f"# without packages: {sentence}\n")
        return 0
    sys.stdout.write(f"# seed {options.seed}, {options.minutes:g} minutes\n")
    verdict, table = torture_packages(options.seed, options.minutes, loud=True)
    sys.stdout.write(f"{table}\n")
    return int(bool(verdict.lost))


if __name__ == "__main__":
    sys.exit(main())
