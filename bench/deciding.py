"""
The time of one decision of the queue while many requests wait for locks.

Nothing can start: each decision finds that out again.  It runs in a process of its own, with the queue, the locks and
a loaded configuration, and no slave, database or network.
"""

import json
import os
import statistics
import subprocess
import sys
import tempfile
import time

WAITING = 10_000
HEAD = """
from buildbot_lite.plugins import *
c = BuildmasterConfig = {}
c["slaves"] = [slave.BuildSlave("bot1"), slave.BuildSlave("bot2")]
shared = util.MasterLock("shared", maxCount=2)
factory = util.BuildFactory([steps.ShellCommand(command=["true"])])
def builder(name, locks):
    return util.BuilderConfig(name, slavenames=["bot1", "bot2"], factory=factory, locks=locks)
"""
RENDERED = """
branches = [util.MasterLock(f"branch {number}") for number in range(50)]
@util.renderer
def locks(props):
    return [branches[props.getProperty("number") % 50].access("exclusive"), shared.access("counting")]
"""
MANY = (
    HEAD
    + """
c["builders"] = [builder(f"b{number}", [shared.access("counting")]) for number in range(1000)]
"""
)
FEW = (
    HEAD
    + RENDERED
    + """
c["builders"] = [builder(f"b{number}", locks) for number in range(10)]
"""
)


def deciding(work, quick):
    """
    Measure a decision with 10,000 requests: of 1000 builders with locks, and of 10 whose locks are rendered.
    """
    arguments = [sys.executable, __file__, str(WAITING // 10 if quick else WAITING)]
    return json.loads(subprocess.run(arguments, check=True, stdout=subprocess.PIPE, env=os.environ).stdout)


class _Slave:
    """
    A member of the registry that is attached and free.
    """

    def __init__(self, config):
        self.name, self.config = config.name, config

    def obstacle(self):
        return None

    def other_machine(self, builder):
        return None


class _Generations:
    def __init__(self, generation):
        self.current = generation

    @property
    def config(self):
        return self.current.config


class _Decisions:
    """
    The queue of a farm with the configuration *text*, in which builds that hold all locks run.
    """

    def __init__(self, text, waiting, **more):
        from twisted.internet.task import Clock

        from buildbot_lite.master.builds.locks import LockOwner, Locks
        from buildbot_lite.master.config.loading import load
        from buildbot_lite.master.scheduling.can_start import CanStartAnswers
        from buildbot_lite.master.scheduling.choice import BuildChoice
        from buildbot_lite.master.scheduling.hold import Hold
        from buildbot_lite.master.scheduling.preferences import Preferences
        from buildbot_lite.master.scheduling.queue import Queue
        from buildbot_lite.master.scheduling.user_answers import UserAnswers
        from buildbot_lite.master.scheduling.wakeup import Wakeup
        from buildbot_lite.master.slaves.slots import Slots
        from buildbot_lite.model.locks import LockName, LockUse
        from buildbot_lite.storage.records.requests import Buildset, Request

        clock = self.clock = Clock()
        slots = self.slots = Slots()
        with tempfile.TemporaryDirectory() as directory:
            generation = load(directory, text, **more)
        generations = _Generations(generation)
        wakeup, answers = Wakeup(clock), UserAnswers(clock=clock, changed=lambda: None)
        self.queue = Queue(answers=answers, wakeup=wakeup, clock=clock, wall=clock.seconds)
        locks = Locks()
        locks.take(LockOwner(1), [LockUse(LockName("shared"), exclusive=True, limit=2)])
        hold = Hold.__new__(Hold)
        hold._builders = {}
        hold.reason = lambda: None
        self.decided = True
        wakeup.next().addCallback(self._woken)
        self.wakeup = wakeup
        self.choice = BuildChoice(
            queue=self.queue,
            slaves={name: _Slave(config) for name, config in generation.config.slaves.items()},
            slots=slots,
            locks=locks,
            parent=lambda buildset: None,
            can_start=CanStartAnswers(answers),
            preferences=Preferences(answers, slots),
            answers=answers,
            generations=generations,
            hold=hold,
            wakeup=wakeup,
            clock=clock,
        )

        builders = list(generation.config.builders)
        for number in range(2, waiting + 2):
            source = {
                "branch": "main",
                "revision": f"{number:040x}",
                "repository": "https://example.org/a",
                "project": "",
            }
            properties = {"number": [number, "Scheduler"], "owner": ["somebody@example.org", "Scheduler"]}
            buildset = Buildset(number, "all", "a change", 0.0, source, properties)
            self.queue.add(Request(number, number, builders[number % len(builders)], 0.0), buildset)

    def _woken(self, _):
        self.decided = True
        self.wakeup.next().addCallback(self._woken)

    def first_s(self):
        """
        The seconds of the longest decision until nothing new is found out.
        """
        longest = 0.0
        while self.decided:
            self.decided = False
            longest = max(longest, self.one())
            self.clock.advance(0)
        return longest

    def one(self):
        """
        The seconds of CPU that one decision takes: it waits for nothing, so other load does not count.
        """
        began = time.process_time()
        for _ in self.choice.choose():
            raise AssertionError("nothing may start")
        return time.process_time() - began


def main():
    waiting = int(sys.argv[1])
    figures = {}
    for name, text in (("many_builders", MANY), ("rendered", FEW)):
        decisions = _Decisions(text, waiting)
        figures[f"{name}_first_ms"] = 1000 * decisions.first_s()
        figures[f"{name}_ms"] = 1000 * statistics.median(decisions.one() for _ in range(9))
    json.dump(figures, sys.stdout)


MEASURES = {"deciding": deciding}

if __name__ == "__main__":
    main()
