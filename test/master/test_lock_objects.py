"""
Locks as a master.cfg has them, and the mistakes in them.
"""

import textwrap
from typing import Any

from twisted.trial.unittest import SynchronousTestCase

from buildbot_lite.errors import ConfigError
from buildbot_lite.master.config.locks import LockAccess, MasterLock, SlaveLock, uses_on
from buildbot_lite.model.locks import LockName, LockUse
from buildbot_lite.plugins import util

from .configurations import mistakes_in, remarks_in


class LockObjectTests(SynchronousTestCase):
    """
    Promise 8.4: each documented argument of the locks.
    """

    def test_arguments(self) -> None:
        """
        What each form means for a build on each of two slaves.
        """
        counts = {"fast": 3}
        of_slaves = SlaveLock("s", 2, maxCountForSlave=counts)
        forms: dict[str, tuple[Any, dict[str, LockUse | None]]] = {
            "master": (
                MasterLock("m").access("exclusive"),
                dict.fromkeys(("fast", "slow"), LockUse(LockName("m"), True, 1, 1)),
            ),
            "counting": (
                MasterLock("m", maxCount=4).access("counting", count=3),
                {"fast": LockUse(LockName("m"), False, 3, 4)},
            ),
            "nothing": (MasterLock("m").access("counting", 0), {"fast": None}),
            "each slave": (
                of_slaves.access("counting"),
                {
                    "fast": LockUse(LockName("s", "fast"), False, 1, 3),
                    "slow": LockUse(LockName("s", "slow"), False, 1, 2),
                },
            ),
            "worker": (
                SlaveLock("s", maxCountForWorker=counts).access("exclusive"),
                {"fast": LockUse(LockName("s", "fast"), True, 1, 3)},
            ),
            "old form": (LockAccess(of_slaves, "counting"), {"slow": LockUse(LockName("s", "slow"), False, 1, 2)}),
        }
        for name, (access, uses) in forms.items():
            with self.subTest(name):
                self.assertEqual({slave: access.on(slave) for slave in uses}, uses)

    def test_words(self) -> None:
        """
        The words are there, under both names of the slave's.
        """
        self.assertIs(util.WorkerLock, util.SlaveLock)
        self.assertEqual(uses_on("a", [util.MasterLock("m").access("counting", 0)]), ())

    def test_mistakes(self) -> None:
        """
        What is no lock, or no use of one, is refused with a sentence.
        """
        lock = MasterLock("m", 2)
        wrong: dict[str, Any] = {
            "maxCount must be": lambda: MasterLock("m", maxCount=0),
            "must be 1 to 80 printable": lambda: MasterLock(""),
            "mean the same": lambda: SlaveLock("s", maxCountForSlave={}, maxCountForWorker={}),
            "must be a dictionary": lambda: SlaveLock("s", maxCountForSlave=["fast"]),
            "maxCountForSlave\\['fast'\\] must be": lambda: SlaveLock("s", maxCountForSlave={"fast": "3"}),
            "the mode must be one of": lambda: lock.access("shared"),
            "count must be": lambda: lock.access("counting", -1),
            "it would wait for ever": lambda: lock.access("counting", 3),
            "its count must be 1": lambda: lock.access("exclusive", 2),
            "must be a MasterLock": lambda: LockAccess("db", "exclusive"),
        }
        for sentence, make in wrong.items():
            with self.subTest(sentence):
                self.assertRegex(str(self.assertRaises(ConfigError, make)), sentence)


HEAD = """
a, b = util.MasterLock("a"), util.MasterLock("b", maxCount=3)
s, t = util.SlaveLock("s"), util.WorkerLock("t")
c["slaves"] = [slave.BuildSlave("bot1"), slave.BuildSlave("bot2")]
def builder(name, locks=(), of_step=(), slaves=("bot1",), triggers=None, waits=True, doStepIf=True, **more):
    factory = util.BuildFactory([steps.ShellCommand(command=["true"], locks=of_step, doStepIf=doStepIf)])
    if triggers:
        factory.addStep(steps.Trigger(schedulerNames=["of-" + triggers], waitForFinish=waits))
    return util.BuilderConfig(name, list(slaves), factory, locks=locks, **more)
X, N = (lambda lock: [lock.access("exclusive")]), (lambda lock: [lock.access("counting")])
"""


TRIGGERABLES = """
c["schedulers"] = [
    schedulers.Triggerable("of-" + each.name, [each.name]) for each in c["builders"] if each.name in ("c", "d")
]
"""


class DeadlockTests(SynchronousTestCase):
    """
    Promise 8.4: what `checkconfig` finds.
    """

    def found(self, *builders: str, more: str = "") -> str:
        """
        The mistakes of a configuration with these builders.
        """
        return "\n".join(
            map(str, mistakes_in(f'{HEAD}{more}\nc["builders"] = [{", ".join(builders)}]\n{TRIGGERABLES}'))
        )

    def test_harmless(self) -> None:
        """
        Ordinary uses of locks are no mistakes.
        """
        harmless = [
            ["builder('x', X(a), X(b))", "builder('y', X(a), X(b))"],
            ["builder('x', locks=a.access('exclusive'), of_step=(b,))"],
            ["builder('x', [a, b])", "builder('y', [b, a])"],
            ["builder('x', X(s), X(t))", "builder('y', X(t), X(s), ['bot2'])"],
            ["builder('x', util.renderer(lambda props: X(a)), X(a))"],
            ["builder('x', None, None)"],
        ]
        for builders in harmless:
            with self.subTest(builders):
                self.assertEqual(self.found(*builders), "")

    def test_twice(self) -> None:
        """
        A builder whose step asks for what the build holds, exclusively or not.
        """
        for build, step in (("X(a)", "X(a)"), ("N(b)", "N(b)"), ("X(s)", "N(s)")):
            with self.subTest((build, step)):
                found = self.found(f"builder('x', {build}, {step})")
                self.assertRegex(found, r"master\.cfg:\d+: The builder 'x' has the lock '.' during its builds")

    def test_of_the_slave(self) -> None:
        """
        What the slave has its builds hold counts as theirs.
        """
        more = 'c["slaves"] = [slave.BuildSlave("bot1", locks=[a.access("exclusive")]), slave.BuildSlave("bot2")]'
        self.assertIn("has the lock 'a'", self.found("builder('x', (), X(a))", more=more))
        self.assertEqual(self.found("builder('x', (), X(a), ['bot2'])", more=more), "")

    def test_circles(self) -> None:
        """
        Builds that hold what the steps of others wait for, in a circle of two or three.
        """
        found = self.found("builder('x', X(a), X(b))", "builder('y', N(b), N(a))")
        self.assertIn(
            "a build of x holds a while a step waits for b; a build of y holds b while a step waits for a", found
        )
        self.assertEqual(found.count("Builds could wait"), 1)
        found = self.found("builder('x', X(a), X(b))", "builder('y', X(b), X(s))", "builder('z', X(s), X(a))")
        self.assertEqual(found.count("Builds could wait"), 1)
        self.assertIn("Builds could wait", self.found("builder('x', X(s), X(t))", "builder('y', X(t), X(s))"))

    def remarks(self, *builders: str, more: str = "") -> str:
        """
        The remarks about deadlocks, of a configuration that is no mistake.
        """
        found = remarks_in(f'{HEAD}{more}\nc["builders"] = [{", ".join(builders)}]\n{TRIGGERABLES}')
        return "\n".join(each for each in found if "wait for each other" in each)

    def test_many_triggers(self) -> None:
        """
        Builders that all wait for each other's builds have more ways than can be followed: each is followed once.
        """
        text = """
            names = [f"n{number}" for number in range(12)]
            c["schedulers"] = [schedulers.Triggerable(f"of-{name}", [name]) for name in names]
            c["builders"] = [
                util.BuilderConfig(
                    name,
                    ["bot1", "bot2"],
                    util.BuildFactory([
                        steps.Trigger(schedulerNames=[f"of-{other}"], waitForFinish=True)
                        for other in names if other != name
                    ]),
                    locks=N(b) if name == "n3" else [],
                )
                for name in names
            ]
        """
        self.assertEqual(mistakes_in(HEAD + textwrap.dedent(text)), [])

    def test_many_orders(self) -> None:
        """
        Orders of many slaves' locks that are in no circle are not searched for one.
        """
        text = """
            c["slaves"] = [slave.BuildSlave(f"m{number}") for number in range(100)]
            c["builders"] = [
                builder(f"b{number}", X(util.SlaveLock(f"l{number}")), N(b), [each.name for each in c["slaves"]])
                for number in range(20)
            ]
        """
        self.assertEqual(mistakes_in(HEAD + textwrap.dedent(text)), [])

    def test_circles_that_cannot_close(self) -> None:
        """
        Builds that never run at the same time are no deadlock: because of a lock that both hold, or for want of slots.
        """
        circle = "builder('x', X(a), X(b))", "builder('y', X(b), X(a))"
        self.assertIn("Builds could wait", self.found(*circle))
        one_slot = 'c["slaves"] = [slave.BuildSlave("bot1", max_builds=1), slave.BuildSlave("bot2")]'
        self.assertEqual((self.found(*circle, more=one_slot), self.remarks(*circle, more=one_slot)), ("", ""))
        other_slave = circle[0], "builder('y', X(b), X(a), ['bot2'])"
        self.assertIn("Builds could wait", self.found(*other_slave, more=one_slot))
        gated = "builder('x', X(a) + X(g), X(b))", "builder('y', X(b) + N(g), X(a))"
        gate = 'g = util.MasterLock("g", maxCount=5)'
        self.assertEqual((self.found(*gated, more=gate), self.remarks(*gated, more=gate)), ("", ""))

    def test_circles_that_may_not_close(self) -> None:
        """
        What functions, conditions, rendered locks or further holders decide is a remark, and no mistake.
        """
        may = [
            ("builder('x', X(a), X(b))", "builder('y', X(b), X(a), canStartBuild=lambda *of: True)"),
            ("builder('x', X(a), X(b))", "builder('y', X(b), X(a), doStepIf=lambda step: True)"),
            ("builder('x', N(b), X(a))", "builder('y', X(a), N(b))"),
        ]
        for builders in may:
            with self.subTest(builders):
                self.assertEqual(self.found(*builders), "")
                self.assertEqual(self.remarks(*builders).count("Builds could wait"), 1)

    def test_triggered_by_others(self) -> None:
        """
        A triggered build shares only what all builds that may trigger it have while they wait for it.
        """
        parent, child = "builder('x', X(a), triggers='c')", "builder('c', X(b), X(a))"
        for other, more in (
            ("builder('y', triggers='c')", ""),
            ("builder('y', X(a), triggers='c', waits=False)", ""),
            ("builder('y', N(b), triggers=util.Property('p'))", ""),
            ("builder('y')", TRIGGERABLES),
        ):
            with self.subTest(other):
                text = f'{HEAD}c["builders"] = [{parent}, {child}, {other}]\n{TRIGGERABLES}'
                if more:
                    text += 'c["schedulers"].append(schedulers.ForceScheduler("f", ["c"]))\n'
                text = text.replace(
                    '["of-" + triggers]', '["of-" + triggers] if isinstance(triggers, str) else triggers'
                )
                self.assertEqual(len([each for each in remarks_in(text) if "wait for each other" in each]), 1)

    def test_triggered(self) -> None:
        """
        Builds for which a Trigger waits share what the waiting build has; where they need more, or another lock, that
        is a remark.
        """
        harmless = [
            ("builder('x', X(a), triggers='c')", "builder('c', X(a))"),
            ("builder('x', X(a), triggers='c')", "builder('c', X(b))"),
            (
                "builder('x', X(a) + X(b), triggers='c')",
                "builder('c', X(b))",
                "builder('y', X(b), triggers='d')",
                "builder('d', X(b))",
            ),
            ("builder('x', N(b), triggers='c', waits=False)", "builder('c', X(b))"),
            ("builder('x', N(b), triggers='c')", "builder('c', X(b))"),
            ("builder('x', X(a), triggers='c')", "builder('c', X(b), X(a))"),
            ("builder('x', X(a), triggers='c')", "builder('c', X(b), triggers='d')", "builder('d', (), X(a))"),
            ("builder('x', X(a), triggers='c')", "builder('c', triggers='d')", "builder('d', X(b), X(a))"),
        ]
        for builders in harmless:
            with self.subTest(builders):
                self.assertEqual((self.found(*builders), self.remarks(*builders)), ("", ""))
        found = self.remarks(
            "builder('x', X(a), triggers='c')",
            "builder('c', X(b))",
            "builder('y', X(b), triggers='d')",
            "builder('d', (), X(a))",
        )
        self.assertIn(
            "a build of x holds a while a build of c, which it triggers, waits for b; a build of y holds b while a "
            "build of d, which it triggers, waits for a.  Give a build all locks",
            found,
        )
        found = self.remarks("builder('x', N(b), (), ['bot1', 'bot2'], triggers='c')", "builder('c', X(b))")
        self.assertIn("waits for b, and another build of it does the same", found)
        found = self.remarks(
            "builder('x', X(a), triggers='c')",
            "builder('c', triggers='d')",
            "builder('d', X(b))",
            "builder('y', X(b), X(a))",
        )
        self.assertIn("a build of x holds a while a build of d, which it triggers, waits for b", found)

    def test_two_of_one_name(self) -> None:
        """
        Two objects of one name are one lock, unless they differ.
        """
        self.assertEqual(self.found("builder('x', X(a))", more='again = util.MasterLock("a")'), "")
        self.assertEqual(self.found("builder('x', X(a))", more='again = util.SlaveLock("a", 7)'), "")
        found = self.found("builder('x', X(a))", more='again = util.MasterLock("a", maxCount=2)')
        self.assertRegex(
            found, "There are two MasterLocks called 'a', with different counts; the first is at master.cfg:"
        )

    def test_lists(self) -> None:
        """
        What is no list of uses is refused; so is one lock twice.
        """
        self.assertIn("must be a list of uses of locks", self.found("builder('x', 'a')"))
        self.assertIn("must be a list of uses of locks", self.found("builder('x', (), ['a'])"))
        self.assertIn("has the lock 'a' twice", self.found("builder('x', [a, a])"))
