"""
The actions of the tortured farm that need no client: it polls a repository, fires timers, triggers, collapses and
cancels, under locks.  The commands that hold locks are witnesses: each takes slots of its lock (files that are locked
until the process ends), and notes when no slot is free.
"""

import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from attrs import define, field

from . import jobs

HOLDER = """
import fcntl
import os
import sys
import time

name, limit, wanted = sys.argv[1], int(sys.argv[2]), int(sys.argv[3])
witness = os.environ["WITNESS"]


def note(file, text):
    fd = os.open(os.path.join(witness, file), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    os.write(fd, text.encode())
    os.close(fd)


taken = []
for slot in range(limit):
    fd = os.open(os.path.join(witness, f"{name}.{slot}.lock"), os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o644)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        continue
    taken.append(fd)
    if len(taken) == wanted:
        break
if len(taken) < wanted:
    note("overfull", f"{name}: {wanted} of {limit} wanted, {len(taken)} free\\n")
note("holders", f"{name} {wanted} of {limit}\\n")
time.sleep(float(sys.argv[4]))
"""

PERIOD = 10
PERIODIC, NIGHTLY = "often", "minutely"
TIMERS = (PERIODIC, NIGHTLY)
CHANGE_SCHEDULERS = ("each", "stable", "gathered")
ASKED_FOR = ("parts", "nudged", *jobs.STEPS)
"""The schedulers whose requests somebody asked for or waits for, which are never collapsed."""
UNFINISHED = (*TIMERS, "parts")
"""The schedulers of which some requests may not have finished at the end of a campaign."""
ONE_BUILDER = ("each", "stable", "gathered", NIGHTLY, "parts", "nudged")
"""The schedulers of one builder each."""
AUTONOMOUS_BUILDERS = ("pushed", "settled", "gathered", "ticked", "whole", "part", "nudged")
CANCELLED_BUILDERS = ("settled",)
COLLAPSED_BUILDERS = ("gathered", "ticked", "whole")
INITIAL = "main"
_PERSON = {"NAME": "A", "EMAIL": "a@example.org", "DATE": "2026-01-01T00:00:00Z"}


def configuration(holder: Path, repository: Path) -> str:
    """
    The part of master.cfg: its builders hold two of the lock *gate* in all, and of *room* one on bot1 and two on bot2.

    The builds of *gathered* are so slow, and one at a time, that requests wait and are collapsed, and that a master
    that starts meanwhile must take their lock back; those of *nudged* wait for the same lock, and are not collapsed.
    """
    return f"""
gate = util.MasterLock("gate", maxCount=2)
narrow = util.MasterLock("narrow")
room = util.SlaveLock("room", maxCount=1, maxCountForSlave={{"bot2": 2}})

@util.renderer
def limit_of_room(props):
    return "2" if props.getProperty("slavename") == "bot2" else "1"

def holds(name, limit, wanted, seconds="0.4", **more):
    command = [{sys.executable!r}, "-S", {str(holder)!r}, name, limit, wanted, seconds]
    return steps.ShellCommand(name="hold", command=command, haltOnFailure=True, **more)

def autonomous(name, *steps, **more):
    c.setdefault("builders", []).append(
        util.BuilderConfig(name, SLAVES, util.BuildFactory(list(steps)), concurrent=True, **more))

ROOM = util.Interpolate("room-%(prop:slavename)s")
autonomous("pushed", holds("gate", "2", "1"), holds(ROOM, limit_of_room, "1", locks=[room.access("counting")]),
           locks=[gate.access("counting")])
autonomous("settled", holds("gate", "2", "2", "2.0"), locks=[gate.access("exclusive")])
autonomous("ticked", holds(ROOM, limit_of_room, limit_of_room), locks=[room.access("exclusive")])
autonomous("whole", steps.Trigger(schedulerNames=["parts"], waitForFinish=True))
autonomous("part", holds("gate", "2", "1", locks=[gate.access("counting")]))
autonomous("gathered", holds("narrow", "1", "1", "6.0"), locks=[narrow.access("exclusive")])
autonomous("nudged", holds("narrow", "1", "1", "0.2"), locks=[narrow.access("exclusive")])
c["change_source"] = changes.GitPoller({str(repository)!r}, branches=True, pollInterval=3, pollAtLaunch=True)
c.setdefault("schedulers", []).extend([
    schedulers.AnyBranchScheduler("each", treeStableTimer=None, builderNames=["pushed"]),
    schedulers.AnyBranchScheduler("stable", treeStableTimer=2, builderNames=["settled"]),
    schedulers.AnyBranchScheduler("gathered", treeStableTimer=1, builderNames=["gathered"]),
    schedulers.Submit("nudged", ["nudged"]),
    schedulers.Periodic("{PERIODIC}", periodicBuildTimer={PERIOD}, builderNames=["ticked", "whole"]),
    schedulers.Nightly("{NIGHTLY}", minute="*", hour="*", builderNames=["ticked"]),
    schedulers.Triggerable("parts", builderNames=["part"]),
])
c["services"] = [util.OldBuildCanceller("old", [(["settled"], util.SourceStampFilter())])]
"""


@define
class Repository:
    """
    A bare git repository in *directory*, and the commits that its poller must see.  Each branch begins at the first
    commit, so a commit belongs to one branch.  *wanted*: the revisions of each branch that are still reachable; the
    poller may miss revisions that were replaced or deleted between two polls.
    """

    directory: Path
    env: Mapping[str, str]
    wanted: dict[str, list[str]] = field(factory=dict)
    pushed: int = 0
    _first: str = ""

    @property
    def bare(self) -> Path:
        """
        The repository that is polled.
        """
        return self.directory / "polled.git"

    def make(self) -> None:
        """
        Make it, with one commit, which the first poll takes as known.
        """
        for path in (self.bare, self._work):
            self._git("init", "-q", "--bare", "-b", INITIAL, str(path), where=self.directory)
        self._first = self._commit("")
        self._push(INITIAL, self._first)

    def push(self, branch: str, count: int) -> None:
        """
        Push *count* commits to *branch*, which need not exist.
        """
        known = self.wanted.setdefault(branch, [])
        for _ in range(count):
            known.append(self._commit(known[-1] if known else self._first))
        self._push(branch, known[-1])

    def force_push(self, branch: str) -> None:
        """
        Replace all commits of *branch* by a new one.
        """
        self.wanted[branch] = [self._commit(self._first)]
        self._push(branch, self.wanted[branch][-1])

    def delete(self, branch: str) -> None:
        """
        Delete *branch*, if it exists.
        """
        if self.wanted.pop(branch, None):
            self._git("push", "-q", str(self.bare), f":refs/heads/{branch}")

    def revisions(self) -> set[tuple[str, str]]:
        """
        Branch and revision of each commit that must be a change.
        """
        return {(branch, revision) for branch, revisions in self.wanted.items() for revision in revisions}

    @property
    def _work(self) -> Path:
        return self.directory / "pusher.git"

    def _commit(self, parent: str) -> str:
        self.pushed += 1
        tree = self._git("mktree")
        return self._git("commit-tree", tree, "-m", f"commit {self.pushed}", *(("-p", parent) if parent else ()))

    def _push(self, branch: str, revision: str) -> None:
        self._git("push", "-q", str(self.bare), f"+{revision}:refs/heads/{branch}")

    def _git(self, *words: str, where: Path | None = None) -> str:
        people = {f"GIT_{who}_{what}": text for who in ("AUTHOR", "COMMITTER") for what, text in _PERSON.items()}
        done = subprocess.run(
            ["git", *words],
            cwd=where or self._work,
            env={**self.env, **people},
            check=True,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            timeout=120,
        )
        return done.stdout.decode().strip()
