"""
Builds and steps that hold locks, in a farm in memory.
"""

import json
from unittest import mock

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.master.builds.lock_lines import LockOwner
from buildbot_lite.master.scheduling import lock_needs
from buildbot_lite.model.results import Result
from buildbot_lite.model.wait_reasons import WaitKind
from buildbot_lite.storage.records import remarks

from .harness import FakeSlave, MasterHarness, StartedCommand, succeeding

BUILDS = """
db = util.MasterLock("db")
two = util.MasterLock("two", maxCount=2)
cpu = util.SlaveLock("cpu", maxCount=1, maxCountForSlave={"bot2": 2})
c["slaves"] = [slave.BuildSlave("bot1"), slave.BuildSlave("bot2")]
def builder(name, *slaves, locks=(), of_step=()):
    factory = util.BuildFactory([
        steps.ShellCommand(name="one", command=["one"], locks=of_step),
        steps.ShellCommand(name="two", command=["two"]),
    ])
    return util.BuilderConfig(name, list(slaves), factory, locks=locks, concurrent=True)
c["builders"] = [
    builder("whole", "bot1", locks=[db.access("exclusive")]),
    builder("other", "bot2", locks=[db.access("counting")]),
    builder("step", "bot1", "bot2", of_step=[db.access("exclusive")]),
    builder("heavy", "bot1", "bot2", locks=[cpu.access("counting")]),
    builder("rendered", "bot1", "bot2", locks=util.renderer(
        lambda props: [db.access("exclusive")] if props.getProperty("slavename") == "bot1" else [])),
    builder("step-rendered", "bot1", of_step=util.renderer(lambda props: (db.access("exclusive"),))),
    builder("free", "bot1", "bot2"),
    builder("part", "bot1", locks=[two.access("counting")]),
    builder("all", "bot1", locks=[two.access("exclusive")]),
    builder("other-part", "bot2", locks=[two.access("counting")]),
]
c["schedulers"] = [schedulers.Submit(each.name, [each.name]) for each in c["builders"]]
c["schedulers"].append(schedulers.Submit("urgent", ["other"], priority=5))
"""


class LockingCase(SynchronousTestCase):
    """
    A farm with two slaves, whose commands end when the test says so.
    """

    text = BUILDS

    def setUp(self) -> None:
        self.harness = MasterHarness(self.text)
        self.bots = {name: self.harness.attach(name, home=name) for name in ("bot1", "bot2")}

    def why(self, request: int) -> str:
        """
        Why the request waits.
        """
        reason = self.harness.farm.dispatcher.why(request)
        return "" if reason is None else reason.sentence

    def result(self, request: int) -> Result | None:
        """
        Its result, None before that.
        """
        return self.harness.request(request).result

    def running(self, bot: str) -> list[StartedCommand]:
        """
        The commands that the slave was given.
        """
        return self.bots[bot].commands

    def end(self, given: StartedCommand) -> None:
        """
        A command ends well.
        """
        given.end(0)
        self.harness.settle()

    def remarks(self, request: int) -> list[str]:
        """
        The remarks beside the last build of the request.
        """
        build = self.harness.builds(request)[-1]
        return [each.text for each in self.harness.read(lambda connection: remarks.of_build(connection, build.id))]

    def restart(self) -> None:
        """
        The master dies; the next one finds the slaves with all their commands.
        """
        self.harness.restart()
        for name, bot in self.bots.items():
            self.bots[name] = self.harness.attach(name, FakeSlave(commands=bot.commands), home=name, held=bot.held())


class BuildLockTests(LockingCase):
    """
    Locks of whole builds.
    """

    def test_one_at_a_time(self) -> None:
        """
        Promise 8.4: the second build waits for the first, says for which lock and whose, and begins when it has ended.
        """
        first = self.harness.submit("whole")
        second = self.harness.submit("other")
        reason = self.harness.farm.dispatcher.why(second)
        assert reason is not None
        self.assertEqual((reason.kind, reason.sentence), (WaitKind.LOCK, "lock db is held by whole/1"))
        self.end(self.running("bot1")[0])
        self.assertEqual(self.harness.builds(second), [])
        self.end(self.running("bot1")[1])
        self.assertEqual(self.result(first), Result.SUCCESS)
        self.assertEqual(len(self.harness.builds(second)), 1)

    def test_recorded(self) -> None:
        """
        Promise 8.4: the record of a build says what it holds.
        """
        request = self.harness.submit("whole")
        self.assertEqual(
            list(self.harness.builds(request)[0].locks),
            [{"lock": "db", "slave": None, "exclusive": True, "count": 1, "limit": 1}],
        )

    def test_of_each_slave(self) -> None:
        """
        Promise 8.4: a SlaveLock counts on each slave for itself, and on some slaves other than on most.
        """
        requests = [self.harness.submit("heavy") for _ in range(4)]
        slaves = sorted(build.slave for each in requests for build in self.harness.builds(each))
        self.assertEqual(slaves, ["bot1", "bot2", "bot2"])
        self.assertRegex(self.why(requests[-1]), "lock cpu of bot1 is held by heavy/.*; lock cpu of bot2 is held by")

    def test_rendered(self) -> None:
        """
        Promise 8.4: the locks of a build may depend on the slave; where it needs none, it begins.
        """
        self.harness.submit("whole")
        request = self.harness.submit("rendered")
        self.assertEqual([each.slave for each in self.harness.builds(request)], ["bot2"])

    def test_held_across_a_restart(self) -> None:
        """
        Promise 8.4: after a restart the build holds its locks before the queue opens, and frees them when it ends.
        """
        first, second = self.harness.submit("whole"), self.harness.submit("other")
        self.restart()
        self.assertEqual(self.why(second), "lock db is held by whole/1")
        for each in (0, 1):
            self.end(self.running("bot1")[each])
        self.assertEqual((self.result(first), len(self.harness.builds(second))), (Result.SUCCESS, 1))

    def test_freed_with_the_build(self) -> None:
        """
        Promise 8.4: a build that is cancelled frees its locks when it has ended.
        """
        first, second = self.harness.submit("whole"), self.harness.submit("other")
        self.harness.done(self.harness.farm.running.stop(first, "not wanted"))
        self.assertEqual(self.harness.builds(second), [])
        self.end(self.running("bot1")[0])
        self.assertEqual((self.result(first), len(self.harness.builds(second))), (Result.CANCELLED, 1))

    def test_cancelled_first_in_line(self) -> None:
        """
        Promise 8.4: when a request for which a lock is kept is cancelled, those behind it can have the lock at once.
        """
        _, first, second = (self.harness.submit(each) for each in ("part", "all", "other-part"))
        self.assertIn("is reserved for", self.why(second))
        self.assertTrue(self.harness.done(self.harness.farm.requests.cancel(first, "not wanted")))
        self.harness.settle()
        self.assertEqual(len(self.harness.builds(second)), 1)

    def test_count_of_the_next_configuration(self) -> None:
        """
        Promise 8.4: a reconfiguration changes how many may hold a lock that is held.
        """
        self.harness.submit("other")
        second = self.harness.submit("other")
        self.assertIn("lock db is held", self.why(second))
        self.harness.configure(self.text.replace('MasterLock("db")', 'MasterLock("db", maxCount=2)'))
        self.harness.done(self.harness.farm.reconfiguration.apply())
        self.harness.settle()
        self.assertEqual(len(self.harness.builds(second)), 1)

    def test_absent_slave_keeps_nobody_waiting(self) -> None:
        """
        A request that waits for a lock, and then for its slave, too, does not keep others from the lock.
        """
        first = self.harness.submit("other")
        whole, third = self.harness.submit("whole"), self.harness.submit("other")
        self.assertEqual(self.why(third), "lock db is held by other/1")
        self.bots["bot1"].lose()
        self.harness.settle()
        self.end(self.running("bot2")[0])
        self.end(self.running("bot2")[1])
        self.assertEqual((self.result(first), len(self.harness.builds(third))), (Result.SUCCESS, 1))
        self.assertIn("not connected", self.why(whole))


class StepLockTests(LockingCase):
    """
    Locks of steps.
    """

    def test_waits_and_says_so(self) -> None:
        """
        Promise 8.4: a step begins when it has its locks; until then the log says what it waits for; it frees them when
        it ends, not when its build does.
        """
        holder, waiter = self.harness.submit("step"), self.harness.submit("step")
        label = self.harness.farm.slots.label(holder)
        first, second = (self.running(self.harness.builds(each)[0].slave) for each in (holder, waiter))
        self.assertEqual((len(first), len(second)), (1, 0))
        self.assertEqual(self.remarks(waiter), [f"waits: lock db is held by {label}"])
        live = self.harness.farm.running.live()[waiter]
        reason = live.build.waits_for_lock
        self.assertEqual(reason and reason.sentence, f"lock db is held by {label}")
        self.end(first[0])
        self.assertIsNone(self.result(holder))
        self.assertEqual(len(second), 1)
        self.assertIsNone(live.build.waits_for_lock)

    def test_rendered(self) -> None:
        """
        Promise 8.4: the locks of a step may be rendered.
        """
        self.harness.submit("other")
        request = self.harness.submit("step-rendered")
        self.assertEqual(self.remarks(request), ["waits: lock db is held by other/1"])

    def test_skipped_step_waits_for_nothing(self) -> None:
        """
        A step that doStepIf skips needs no locks.
        """
        self.harness.submit("whole")
        self.harness.configure(self.text.replace("locks=of_step)", "locks=of_step, doStepIf=False)"))
        self.harness.done(self.harness.farm.reconfiguration.apply())
        request = self.harness.submit("step")
        self.assertEqual(self.harness.steps(request), [("one", Result.SKIPPED), ("two", None)])

    def test_cancelled_while_it_waits(self) -> None:
        """
        Promise 8.4: a build that is cancelled while its step waits ends, and frees nobody else's lock.
        """
        holder, waiter = self.harness.submit("step"), self.harness.submit("step")
        self.harness.done(self.harness.farm.running.stop(waiter, "not wanted"))
        self.harness.settle(30)
        self.assertEqual(self.result(waiter), Result.CANCELLED)
        third = self.harness.submit("step")
        self.assertEqual(self.remarks(third), [f"waits: lock db is held by {self.harness.farm.slots.label(holder)}"])

    def test_held_across_a_restart(self) -> None:
        """
        Promise 8.4: after a restart the step that held the lock holds it, and the one that waited waits.
        """
        holder, waiter = self.harness.submit("step"), self.harness.submit("step")
        before = {each: self.harness.builds(each)[0].slave for each in (holder, waiter)}
        self.restart()
        locks = self.harness.farm.locks
        self.assertEqual([len(locks.of_request(each)) for each in (holder, waiter)], [1, 0])
        self.end(self.running(before[holder])[0])
        self.assertEqual([len(locks.of_request(each)) for each in (holder, waiter)], [0, 1])
        self.assertEqual(len(self.running(before[waiter])), 1)

    def test_restart_between_two_steps(self) -> None:
        """
        Promise 8.4: what the journal shows as held by an earlier step is free once the replay is past that step.
        """
        holder = self.harness.submit("step")
        given = self.running(self.harness.builds(holder)[0].slave)
        self.end(given[0])
        self.assertEqual(len(given), 2)
        self.restart()
        self.assertEqual(self.harness.farm.locks.of_request(holder), [])

    def test_lost_slave(self) -> None:
        """
        Promise 8.4: nothing is held by the dead: a build whose slave is lost for good frees its locks.
        """
        holder = self.harness.submit("step")
        name = self.harness.builds(holder)[0].slave
        waiter = self.harness.submit("step")
        self.bots[name].lose()
        self.bots[name] = self.harness.attach(name, home="another")
        self.harness.settle(10)
        self.assertEqual(len(self.harness.farm.locks.of_request(waiter)), 1)
        self.assertEqual(self.harness.farm.locks.holding(LockOwner(holder, 0)), ())


FAMILY = """
db = util.MasterLock("db")
c["slaves"] = [slave.BuildSlave("bot1"), slave.BuildSlave("bot2")]
def builder(name, step, locks=()):
    return util.BuilderConfig(name, ["bot1", "bot2"], util.BuildFactory([step]), locks=locks)
whole = [db.access("exclusive")]
command = steps.ShellCommand(command=["true"])
c["builders"] = [
    builder("parent", steps.Trigger(["children"], waitForFinish=True), locks=whole),
    builder("starter", steps.Trigger(["children"], waitForFinish=False), locks=whole),
    builder("trigger-step", steps.Trigger(["children"], waitForFinish=True, locks=whole)),
    builder("child", steps.ShellCommand(command=["true"], locks=whole)),
    builder("child-build", command, locks=whole),
]
c["schedulers"] = [schedulers.Triggerable("children", ["child", "child-build"])]
c["schedulers"] += [schedulers.Submit(each, [each]) for each in ("parent", "starter", "trigger-step")]
"""


class FamilyTests(LockingCase):
    """
    Builds that wait for builds.
    """

    text = FAMILY

    def finish_all(self) -> None:
        """
        Every command ends, until there is none.
        """
        for _ in range(6):
            for bot in self.bots.values():
                for given in bot.commands[:]:
                    if given not in self.ended:
                        self.ended.append(given)
                        self.end(given)

    def setUp(self) -> None:
        super().setUp()
        self.ended: list[StartedCommand] = []

    def check_waited_for(self, scheduler: str) -> None:
        request = self.harness.submit(scheduler)
        self.finish_all()
        self.assertEqual(self.result(request), Result.SUCCESS)

    def test_parents_build(self) -> None:
        """
        Promise 8.4: builds for which a build waits share its locks; they exclude each other all the same.
        """
        self.check_waited_for("parent")

    def test_trigger_step(self) -> None:
        """
        Promise 8.4: so it is with the locks of the step that waits.
        """
        self.check_waited_for("trigger-step")

    def test_after_a_restart(self) -> None:
        """
        Promise 8.4: and after a restart.
        """
        request = self.harness.submit("parent")
        self.restart()
        self.finish_all()
        self.assertEqual(self.result(request), Result.SUCCESS)

    def test_not_waited_for(self) -> None:
        """
        Builds for which nobody waits wait for the locks of the build that started them.
        """
        request = self.harness.submit("starter")
        self.assertEqual(self.result(request), Result.SUCCESS)
        self.finish_all()


LINES = """
db = util.MasterLock("db")
c["slaves"] = [slave.BuildSlave("bot1"), slave.BuildSlave("bot2")]
class Once:
    rendered = []
    def getRenderingFor(self, props):
        self.rendered.append((props.getProperty("requestid"), props.getProperty("slavename")))
        return [db.access("exclusive")]
def builder(name, step=None, **more):
    factory = util.BuildFactory([steps.ShellCommand(command=[name]), *([step] if step else [])])
    return util.BuilderConfig(name, ["bot1", "bot2"], factory, concurrent=True, **more)
c["builders"] = [
    builder("first", locks=[db.access("exclusive")]),
    builder("a", locks=[db.access("exclusive")]),
    builder("b", locks=[db.access("exclusive")]),
    builder("c", locks=[db.access("exclusive")]),
    builder("rendered", locks=Once()),
    builder("parent", steps.Trigger(schedulerNames=["inner"], waitForFinish=True), locks=[db.access("exclusive")]),
]
c["schedulers"] = [schedulers.Submit(each.name, [each.name]) for each in c["builders"]]
c["schedulers"].append(schedulers.Triggerable("inner", ["a"]))
"""
FLIPPED = """
turns = []
def by_turns(master, builders):
    turns.append(1)
    return sorted(builders, key=lambda each: each.name, reverse=len(turns) % 2 == 0)
c["prioritizeBuilders"] = by_turns
"""


class LineTests(LockingCase):
    """
    Requests in line for one lock.
    """

    text = LINES

    def commands(self) -> list[StartedCommand]:
        """
        All commands, in the order of their builds.
        """
        return [each for bot in self.bots.values() for each in bot.commands]

    def finish_all(self) -> None:
        """
        Every command ends, until there is none.
        """
        ended: list[StartedCommand] = []
        while rest := [each for each in self.commands() if each not in ended]:
            ended.append(rest[0])
            self.end(rest[0])

    def test_order_that_changes(self) -> None:
        """
        Promise 8.4: a free lock goes to somebody in each decision, also when prioritizeBuilders orders the builders
        otherwise each time.
        """
        self.harness = MasterHarness(LINES + FLIPPED)
        self.bots = {"bot1": self.harness.attach("bot1", home="bot1")}
        requests = [self.harness.submit(each) for each in ("first", "a", "b", "c")]
        self.finish_all()
        self.assertEqual([self.result(each) for each in requests], [Result.SUCCESS] * 4)

    def test_child_behind_strangers(self) -> None:
        """
        Promise 8.4: a build for which the holder of a lock waits is not hidden behind requests of its builder that
        wait for that lock.
        """
        requests = [self.harness.submit(each) for each in ("parent", "a")]
        self.finish_all()
        self.assertEqual([self.result(each) for each in requests], [Result.SUCCESS] * 2)

    def test_rendered_once(self) -> None:
        """
        Promise 8.4: locks are rendered once for each request and slave, however often the queue decides.
        """
        self.harness.submit("first")
        requests = [self.harness.submit("rendered") for _ in range(3)]
        for _ in range(5):
            self.harness.submit("a")
        self.finish_all()
        self.assertEqual([self.result(each) for each in requests], [Result.SUCCESS] * 3)
        rendered = self.harness.farm.config.builders["rendered"].locks.rendered
        self.assertEqual(sorted(rendered), [(each, bot) for each in requests for bot in ("bot1", "bot2")])

    def test_many_that_render(self) -> None:
        """
        Promise 8.4: requests whose locks one decision did not come to render are built all the same.
        """
        with mock.patch.object(lock_needs, "MOST_RENDERED", 1):
            requests = [self.harness.submit("first"), *(self.harness.submit("rendered") for _ in range(5))]
            self.finish_all()
        self.assertEqual([self.result(each) for each in requests], [Result.SUCCESS] * 6)


class LockTableTests(SynchronousTestCase):
    """
    What the journal has of locks.
    """

    def test_journal(self) -> None:
        """
        Promise 8.4: the journal has an entry "lock" for a step with locks, and none for one without.
        """
        harness = MasterHarness(BUILDS)
        harness.attach("bot1", FakeSlave(behaviour=succeeding))
        request = harness.submit("step")
        build = harness.builds(request)[0]
        from buildbot_lite.storage.records import journal

        rows = harness.read(lambda connection: journal.of_build(connection, build.id))
        kinds = [(row.step, row.kind) for row in rows]
        self.assertEqual(kinds, [(0, "lock"), (0, "command"), (1, "command")])
        self.assertEqual(json.loads(json.dumps(rows[0].outcome)), {"held": True})
